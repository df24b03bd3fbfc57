"""What a form asks about an OpenAI-compatible endpoint, where one is to judge in place of a model of ours."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _


class EndpointForm(forms.Form):
    """`critic` is another field of the form: these are needed where it says `endpoint`."""

    url = forms.CharField(label=_("Endpoint"), required=False, max_length=500, help_text=_("Up to /v1."))
    served = forms.CharField(label=_("Its model"), required=False, max_length=200)
    key_variable = forms.CharField(
        label=_("Its key"), required=False, max_length=100,
        help_text=_("The name of a variable of the workers, STEADYHAND_KEY_...; never the key."),
    )  # fmt: skip

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        if given.get("critic") == "endpoint":
            for name in ("url", "served"):
                if not given.get(name) and name not in self.errors:
                    self.add_error(name, gettext("An endpoint needs an address and the name of its model."))
        return given

    def endpoint(self) -> dict[str, Any]:
        """Of a recipe that asks one: nothing where none judges."""
        given = self.cleaned_data
        if given["critic"] != "endpoint":
            return {}
        told = {"url": given["url"], "model": given["served"], "key_variable": given["key_variable"]}
        return {"endpoint": told}
