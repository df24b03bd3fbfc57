"""Registers the app."""

from django.apps import AppConfig


class RlhfConfig(AppConfig):
    name = "rlhf"
