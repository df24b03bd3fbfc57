"""Addresses of this app's API, below /api/v1/."""

from __future__ import annotations

from django.urls import URLPattern, path

from registry import api_views as views

api_urlpatterns: list[URLPattern] = [
    path("registry/models/", views.ModelsView.as_view(), name="api_models"),
    path("registry/models/<uuid:pk>/", views.ModelView.as_view(), name="api_model"),
    path("registry/datasets/", views.DatasetsView.as_view(), name="api_datasets"),
    path("registry/datasets/import/", views.DatasetImportView.as_view(), name="api_dataset_import"),
    path("registry/datasets/<uuid:pk>/", views.DatasetView.as_view(), name="api_dataset"),
    path("registry/datasets/<uuid:pk>/rows/", views.DatasetRowsView.as_view(), name="api_dataset_rows"),
    path(
        "registry/datasets/<uuid:pk>/export/<slug:fmt>/", views.DatasetExportView.as_view(), name="api_dataset_export"
    ),
    path("registry/uploads/", views.UploadsView.as_view(), name="api_uploads"),
    path("registry/aliases/", views.AliasesView.as_view(), name="api_aliases"),
    path("registry/lineage/<slug:kind>/<uuid:pk>/", views.LineageView.as_view(), name="api_lineage"),
]
