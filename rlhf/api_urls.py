"""Addresses of this app's API, below /api/v1/."""

from __future__ import annotations

from django.urls import URLPattern, path

from rlhf import api_views as views
from rlhf import constitution_api as constitutions
from rlhf import constitutional_api as constitutional

api_urlpatterns: list[URLPattern] = [
    path("rlhf/rounds/", views.RoundsView.as_view(), name="api_rounds"),
    path("rlhf/rounds/<uuid:pk>/", views.RoundView.as_view(), name="api_round"),
    path("rlhf/rounds/<uuid:pk>/promote/", views.PromoteView.as_view(), name="api_round_promote"),
    path("rlhf/rounds/<uuid:pk>/decline/", views.DeclineView.as_view(), name="api_round_decline"),
    path("rlhf/constitutional/", constitutional.ConstitutionalRunsView.as_view(), name="api_constitutional_runs"),
    path(
        "rlhf/constitutional/estimate/",
        constitutional.ConstitutionalEstimateView.as_view(),
        name="api_constitutional_estimate",
    ),
    path(
        "rlhf/constitutional/<uuid:pk>/", constitutional.ConstitutionalRunView.as_view(), name="api_constitutional_run"
    ),
    path(
        "rlhf/constitutional/<uuid:pk>/through/",
        constitutional.ConstitutionalThroughView.as_view(),
        name="api_constitutional_through",
    ),
    path(
        "rlhf/constitutional/<uuid:pk>/people/",
        constitutional.ConstitutionalPeopleView.as_view(),
        name="api_constitutional_people",
    ),
    path(
        "rlhf/constitutional/<uuid:pk>/votes/",
        constitutional.ConstitutionalVotesView.as_view(),
        name="api_constitutional_votes",
    ),
    path(
        "rlhf/constitutional/<uuid:pk>/close/",
        constitutional.ConstitutionalCloseView.as_view(),
        name="api_constitutional_close",
    ),
    path("rlhf/constitutions/", constitutions.ConstitutionsView.as_view(), name="api_constitutions"),
    path("rlhf/constitutions/<slug:slug>/", constitutions.ConstitutionView.as_view(), name="api_constitution"),
    path(
        "rlhf/constitutions/<slug:slug>/versions/<int:number>/",
        constitutions.VersionView.as_view(),
        name="api_constitution_version",
    ),
    path(
        "rlhf/constitutions/<slug:slug>/publish/",
        constitutions.PublishView.as_view(),
        name="api_constitution_publish",
    ),
]
