"""Registers the app, and finds what the others contribute to it: panels of the home page, topics that pages may follow."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        autodiscover_modules("panels", "topics")
