"""What an admin fills in about the price and the budget of a campaign. What is no price is told by the service."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from annotation.models import Per
from annotation.services.tariffs import DEFAULT_MOST_SECONDS, Costs


class TariffForm(forms.Form):
    price = forms.DecimalField(
        label=_("Price"), help_text=_("Up to four digits after the point."), widget=forms.TextInput, localize=True
    )
    per = forms.ChoiceField(
        label=_("For"), choices=Per.choices, initial=Per.HOUR, help_text=_("An hour of active time, or each ranking.")
    )
    currency = forms.CharField(
        label=_("Currency"), max_length=3, initial="EUR", help_text=_("Three letters (ISO 4217).")
    )
    most_seconds = forms.IntegerField(
        label=_("Seconds paid at most"), initial=DEFAULT_MOST_SECONDS,
        help_text=_("Of one ranking, where time is paid. So much is put aside for each task on a desk."),
    )  # fmt: skip
    budget = forms.DecimalField(
        label=_("Budget"), required=False, widget=forms.TextInput, localize=True,
        help_text=_("When the next task could cost more than is left of it, raters get none. Empty: no bound."),
    )  # fmt: skip

    def clean_currency(self) -> str:
        return str(self.cleaned_data["currency"]).upper()

    @staticmethod
    def initial_of(costs: Costs) -> dict[str, Any]:
        if costs.price is None:
            return {}
        return {
            "price": costs.price.normalize(), "per": costs.per, "currency": costs.currency,
            "most_seconds": costs.most_seconds,
            "budget": None if costs.budget is None else costs.budget.normalize(),
        }  # fmt: skip
