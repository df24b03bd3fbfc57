"""What an admin fills in about how work is given out. Bounds that the services know are told by them."""

from __future__ import annotations

from django import forms
from django.utils.translation import gettext_lazy as _

from annotation.models import Campaign, SkipMode
from annotation.rules import RULES

WORDS = {
    SkipMode.OTHERS: _("goes to others, and not back to her"),
    SkipMode.LATER: _("comes back to her when nothing else waits, unless others took it"),
    SkipMode.DONE: _("counts as done in its place: nobody is given that again"),
}


class RulesForm(forms.Form):
    most_rankings = forms.IntegerField(
        label=_("Rankings a rater, at most"), required=False,
        help_text=_("So that no one person's taste makes the dataset. A rater may have a limit of her own."),
    )  # fmt: skip
    extra_below = forms.IntegerField(
        label=_("Add a rater while agreement is below (%)"), required=False,
        help_text=_("One at a time, to a task whose rankings differ. Needs two raters a task. 75 is much to ask."),
    )  # fmt: skip
    extra_most = forms.IntegerField(
        label=_("Rankings a task, at most"),
        required=False,
        help_text=_("With those extra raters; then it stays as it is."),
    )
    skip_mode = forms.ChoiceField(
        label=_("A task that is skipped"), choices=list(WORDS.items()), initial=SkipMode.OTHERS, required=False
    )
    skip_needs_reason = forms.BooleanField(label=_("Skipping needs a reason"), required=False)

    def clean_skip_mode(self) -> str:
        return self.cleaned_data["skip_mode"] or SkipMode.OTHERS

    @classmethod
    def of(cls, campaign: Campaign) -> RulesForm:
        return cls(initial={name: getattr(campaign, name) for name in RULES})

    @property
    def numbers(self) -> list[forms.BoundField]:
        return [self[name] for name in ("most_rankings", "extra_below", "extra_most")]


class PriorityForm(forms.Form):
    priority = forms.IntegerField(
        label=_("Priority"), initial=10, help_text=_("0 goes first; 50 is usual; 1000 goes last.")
    )
    ids = forms.CharField(
        label=_("Of tasks"), widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("Ids of prompts as your file gave them, or of tasks, one a line. What somebody ranks now stays hers."),
    )  # fmt: skip

    def clean_ids(self) -> list[str]:
        return str(self.cleaned_data["ids"]).splitlines()


class LimitForm(forms.Form):
    most_rankings = forms.IntegerField(required=False)
