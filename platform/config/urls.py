"""Every address: pages by app, the API below /api/v1/, its schema below /api/."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

import accounts.api_urls
import annotation.api_urls
import registry.api_urls
import rlhf.api_urls
import runs.api_urls

API_APPS = (annotation, accounts, registry, runs, rlhf)

api: list[URLPattern | URLResolver] = [pattern for app in API_APPS for pattern in app.api_urls.api_urlpatterns]

handler404 = "accounts.errors.not_found"
handler500 = "accounts.errors.broken"

# Addresses are tried in this order, and raters ask all day.
urlpatterns: list[URLPattern | URLResolver] = [
    path("api/v1/", include(api)),
    path("", include("annotation.urls")),
    path("", include("accounts.urls")),
    path("", include("audit.urls")),
    path("", include("registry.urls")),
    path("", include("runs.urls")),
    path("", include("rlhf.urls")),
]
