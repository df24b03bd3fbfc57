"""What an admin fills in about the quality of judgement."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from annotation.models import QualityPlan

PERCENT = ("gold_share", "repeat_share", "pass_mark", "floor", "false_alarm")


class PlanForm(forms.Form):
    """Shares are typed in percent."""

    gold_share = forms.FloatField(label=_("Gold, % of tasks"), help_text=_("Tasks whose right order is known."))
    repeat_share = forms.FloatField(label=_("Repeats, % of tasks"), help_text=_("A rater's own tasks, once more."))
    repeat_after = forms.IntegerField(label=_("Tasks before a repeat"), help_text=_("At least so many lie between."))
    false_alarm = forms.FloatField(
        label=_("False alarms, %"), help_text=_("The chance that an honest rater is ever paused by the checks.")
    )
    floor = forms.FloatField(
        label=_("Honest credit, %"),
        help_text=_(
            "Who reaches it on average counts as honest. 63 is the lowest published for careful people; where"
            " gold is clear, 75 is fair and finds guessers in half the time."
        ),
    )
    num_tests = forms.IntegerField(
        label=_("Test tasks"), help_text=_("Before she ranks; 0 for no test, else 4 or more.")
    )
    pass_mark = forms.FloatField(label=_("Pass mark, %"), help_text=_("Of the pairs of the test, ordered as expected."))
    shows_agreement = forms.BooleanField(
        label=_("Raters see how far they agree with others"), required=False,
        help_text=_("On My work, with its interval; never who the others are."),
    )  # fmt: skip

    @staticmethod
    def initial_of(plan: QualityPlan) -> dict[str, Any]:
        shares = {name: round(100 * getattr(plan, name), 4) for name in PERCENT}
        rest = {name: getattr(plan, name) for name in ("repeat_after", "num_tests", "shows_agreement")}
        return {name: f"{value:g}" for name, value in shares.items()} | rest

    def clean(self) -> dict[str, Any]:
        given = super().clean() or {}
        return {name: value / 100 if name in PERCENT else value for name, value in given.items()}


class GoldFileForm(forms.Form):
    file = forms.FileField(
        label=_("File"), widget=forms.ClearableFileInput(attrs={"accept": ".jsonl,.json,.ndjson"}),
        help_text=_(
            'JSON lines: {"prompt": "...", "completions": [{"id": "x", "text": "..."}, ...], "gold": "b > a = c",'
            ' "explanation": "...", "use": "gold"}; a is the first completion, and "use" is gold or test.'
            " Raters read an explanation after a test, and see the texts under other letters: say what a text does."
        ),
    )  # fmt: skip
