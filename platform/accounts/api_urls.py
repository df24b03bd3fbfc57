"""Addresses of this app's API, below /api/v1/."""

from __future__ import annotations

from django.urls import URLPattern, path

from accounts import api_views

api_urlpatterns: list[URLPattern] = [
    path("me/", api_views.MeView.as_view(), name="api_me"),
    path("tokens/", api_views.TokensView.as_view(), name="api_tokens"),
    path("tokens/<str:key>/", api_views.TokenView.as_view(), name="api_token"),
]
