"""Addresses of this app's API, below /api/v1/."""

from __future__ import annotations

from django.urls import URLPattern, path

from rlhf import api_views as views

api_urlpatterns: list[URLPattern] = [
    path("rlhf/rounds/", views.RoundsView.as_view(), name="api_rounds"),
    path("rlhf/rounds/<uuid:pk>/", views.RoundView.as_view(), name="api_round"),
    path("rlhf/rounds/<uuid:pk>/promote/", views.PromoteView.as_view(), name="api_round_promote"),
    path("rlhf/rounds/<uuid:pk>/decline/", views.DeclineView.as_view(), name="api_round_decline"),
]
