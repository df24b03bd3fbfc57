"""Registers the app, and listens to what accounts tell."""

import importlib

from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "audit"

    def ready(self) -> None:
        importlib.import_module("audit.listeners")  # needs models, so not before they are there
