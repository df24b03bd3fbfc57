"""Addresses of the pages of rounds, constitutions, constitutional runs and chains."""

from __future__ import annotations

from django.urls import path

from rlhf import chain_views, views
from rlhf import constitution_desk as desk
from rlhf import constitution_views as constitutions
from rlhf import constitutional_desk as gate
from rlhf import constitutional_views as constitutional

urlpatterns = [
    path("rounds/", views.round_list, name="rounds"),
    path("rounds/<uuid:round_id>/", views.round_detail, name="round"),
    path("rounds/<uuid:round_id>/promote/", views.round_promote, name="round_promote"),
    path("rounds/<uuid:round_id>/decline/", views.round_decline, name="round_decline"),
    path("datasets/<uuid:dataset_id>/chains/", chain_views.chain_list, name="chains"),
    path("datasets/<uuid:dataset_id>/chains/<slug:split>/<int:number>/", chain_views.chain_detail, name="chain"),
    path("campaigns/<slug:slug>/rounds/new/", views.round_new, name="round_new"),
    path("constitutional/", constitutional.run_list, name="constitutional_runs"),
    path("constitutional/new/", constitutional.run_new, name="constitutional_new"),
    path("constitutional/<uuid:pk>/", constitutional.run_detail, name="constitutional_run"),
    path("constitutional/<uuid:pk>/through/", gate.run_through, name="constitutional_through"),
    path("constitutional/<uuid:pk>/people/", gate.run_people, name="constitutional_people"),
    path("constitutional/<uuid:pk>/votes/", gate.run_votes, name="constitutional_votes"),
    path("constitutional/<uuid:pk>/close/", gate.run_close, name="constitutional_close"),
    path("constitutions/", constitutions.constitution_list, name="constitutions"),
    path("constitutions/new/", desk.constitution_new, name="constitution_new"),
    path("constitutions/import/", desk.constitution_import, name="constitution_import"),
    path("constitutions/<slug:slug>/", constitutions.constitution_detail, name="constitution"),
    path("constitutions/<slug:slug>/compare/", constitutions.constitution_compare, name="constitution_compare"),
    path("constitutions/<slug:slug>/begin/", desk.constitution_begin, name="constitution_begin"),
    path("constitutions/<slug:slug>/edit/", desk.constitution_edit, name="constitution_edit"),
    path("constitutions/<slug:slug>/publish/", desk.constitution_publish, name="constitution_publish"),
    path("constitutions/<slug:slug>/drop/", desk.constitution_drop, name="constitution_drop"),
    path(
        "constitutions/<slug:slug>/versions/<int:number>/",
        constitutions.constitution_detail,
        name="constitution_version",
    ),
    path(
        "constitutions/<slug:slug>/versions/<int:number>/export/",
        constitutions.constitution_export,
        name="constitution_export",
    ),
]
