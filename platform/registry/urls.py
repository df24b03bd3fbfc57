"""Addresses of the pages of models and datasets."""

from __future__ import annotations

from django.urls import path

from registry import views

urlpatterns = [
    path("models/", views.model_list, name="models"),
    path("models/<uuid:model_id>/", views.model_detail, name="model"),
    path("models/<uuid:model_id>/alias/", views.model_alias, name="model_alias"),
    path("datasets/", views.dataset_list, name="datasets"),
    path("datasets/<uuid:dataset_id>/", views.dataset_detail, name="dataset"),
    path("datasets/<uuid:dataset_id>/export/<slug:fmt>/", views.dataset_export, name="dataset_export"),
    path("lineage/<slug:kind>/<uuid:thing_id>/", views.lineage, name="lineage"),
]
