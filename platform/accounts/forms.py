"""The forms of people and tokens."""

from __future__ import annotations

from django import forms
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.utils.translation import gettext_lazy as _

from accounts.abilities import split
from accounts.models import Role

DAYS = ((7, _("a week")), (30, _("30 days")), (90, _("90 days")), (365, _("a year")))


class PersonForm(forms.Form):
    username = forms.CharField(
        max_length=150,
        label=_("User name"),
        validators=[UnicodeUsernameValidator()],
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none", "spellcheck": "false"}),
    )
    role = forms.ChoiceField(label=_("Role"), choices=Role.choices, initial=Role.RATER)


class RoleForm(forms.Form):
    role = forms.ChoiceField(choices=Role.choices)


class WordsField(forms.CharField):
    """Words in one line, between commas or blanks."""

    def to_python(self, value: object) -> list[str]:  # type: ignore[override]  # a list, as it is used
        return [word for word in split(str(value or "")) if word]


class LanguagesForm(forms.Form):
    languages = WordsField(
        required=False, max_length=200,
        help_text="Tags such as en, de or gsw, with commas. Tasks of other languages, where they are marked, go to others.",
    )  # fmt: skip


class AbilitiesForm(LanguagesForm):
    skills = WordsField(required=False, max_length=400)


class ActiveForm(forms.Form):
    active = forms.TypedChoiceField(choices=(("yes", "yes"), ("no", "no")), coerce=lambda value: value == "yes")


class TokenForm(forms.Form):
    name = forms.CharField(
        label=_("Name"), max_length=80, help_text=_("What it is for, so that you know later which one to revoke.")
    )
    days = forms.TypedChoiceField(choices=DAYS, coerce=int, initial=30, label=_("Expires after"))
    can_write = forms.BooleanField(
        required=False, label=_("May change things"), help_text=_("Without this it can only read what you can read.")
    )
