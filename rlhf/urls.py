"""Addresses of the pages of rounds and chains."""

from __future__ import annotations

from django.urls import path

from rlhf import chain_views, views

urlpatterns = [
    path("rounds/", views.round_list, name="rounds"),
    path("rounds/<uuid:round_id>/", views.round_detail, name="round"),
    path("rounds/<uuid:round_id>/promote/", views.round_promote, name="round_promote"),
    path("rounds/<uuid:round_id>/decline/", views.round_decline, name="round_decline"),
    path("datasets/<uuid:dataset_id>/chains/", chain_views.chain_list, name="chains"),
    path("datasets/<uuid:dataset_id>/chains/<slug:split>/<int:number>/", chain_views.chain_detail, name="chain"),
    path("campaigns/<slug:slug>/rounds/new/", views.round_new, name="round_new"),
]
