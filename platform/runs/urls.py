"""Addresses of the pages of runs."""

from __future__ import annotations

from django.urls import path

from runs import compare_views, estimate_views, import_views, launch_views, preflight_views, views

urlpatterns = [
    path("runs/", views.run_list, name="runs"),
    path("runs/compare/", compare_views.compare, name="runs_compare"),
    path("runs/compare/curves/", compare_views.compare_curves, name="runs_compare_curves"),
    path("runs/new/<slug:method>/", launch_views.launch, name="launch"),
    path("runs/preflight/", preflight_views.preflight, name="preflight"),
    path("models/import/", import_views.model_import, name="model_import"),
    path("runs/<uuid:run_id>/", views.run_detail, name="run"),
    path("runs/<uuid:run_id>/curves/", views.run_curves, name="run_curves"),
    path("runs/<uuid:run_id>/samples/", views.run_samples, name="run_samples"),
    path("runs/<uuid:run_id>/events/", views.run_events, name="run_events"),
    path("runs/<uuid:run_id>/cancel/", views.run_cancel, name="run_cancel"),
    path("runs/<uuid:run_id>/resume/", views.run_resume, name="run_resume"),
    path("runs/<uuid:run_id>/start-estimated/", estimate_views.start, name="run_start_estimated"),
    path("runs/<uuid:run_id>/estimate-anew/", estimate_views.anew, name="run_estimate_anew"),
    path("runs/<uuid:run_id>/without-length/", views.run_without_length, name="run_without_length"),
]
