"""Registers the app, and lets every app hook into what runs publish."""

from __future__ import annotations

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class RunsConfig(AppConfig):
    name = "runs"

    def ready(self) -> None:
        autodiscover_modules("publishing")
