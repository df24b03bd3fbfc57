"""Addresses of this app's API, below /api/v1/."""

from __future__ import annotations

from django.urls import URLPattern

api_urlpatterns: list[URLPattern] = []
