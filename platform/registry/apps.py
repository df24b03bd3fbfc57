"""Registers the app, and lets every app object to what models are called."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class RegistryConfig(AppConfig):
    name = "registry"

    def ready(self) -> None:
        autodiscover_modules("objections")
