"""Addresses of this app's API, below /api/v1/."""

from __future__ import annotations

from django.urls import URLPattern, path

from runs import api_views as views

api_urlpatterns: list[URLPattern] = [
    path("runs/", views.RunsView.as_view(), name="api_runs"),
    path("runs/recipes/", views.RecipesView.as_view(), name="api_recipes"),
    path("runs/<uuid:pk>/", views.RunView.as_view(), name="api_run"),
    path("runs/<uuid:pk>/events/", views.RunEventsView.as_view(), name="api_run_events"),
    path("runs/<uuid:pk>/cancel/", views.CancelView.as_view(), name="api_run_cancel"),
    path("runs/<uuid:pk>/resume/", views.ResumeView.as_view(), name="api_run_resume"),
]
