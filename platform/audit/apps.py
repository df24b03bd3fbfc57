"""Registers the app, listens to what accounts tell, and gathers what every app says must hold."""

import importlib

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class AuditConfig(AppConfig):
    name = "audit"

    def ready(self) -> None:
        importlib.import_module("audit.listeners")  # needs models, so not before they are there
        autodiscover_modules("checks")
