"""What an admin fills in to ask for AI feedback on a campaign, and to say how much of it people rank besides."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from annotation.endpoint_form import EndpointForm
from annotation.forms import WRITERS
from registry.models import DatasetKind, DatasetVersion, ModelVersion
from training.recipes.judge import JudgeRecipe

CRITICS = (
    ("model", _("a model")),
    ("endpoint", _("an OpenAI-compatible endpoint")),
    ("rules", _("rules: the share of harmful words; to try it out")),
)
DEFAULTS = _("defaults")


class AskFeedbackForm(EndpointForm):
    constitution = forms.ModelChoiceField(
        label=_("Constitution"), queryset=DatasetVersion.objects.none(), empty_label=_("choose a constitution"),
        help_text=_("Each pair is judged by one of its principles that has a comparison question."),
    )  # fmt: skip
    critic = forms.ChoiceField(label=_("Who judges"), choices=CRITICS)
    model = forms.ModelChoiceField(
        label=_("Feedback model"), queryset=ModelVersion.objects.none(), required=False, empty_label=_("choose a model"),
        help_text=_("It reads every pair twice, in both orders. Raters never see that it did."),
    )  # fmt: skip
    preset = forms.ChoiceField(
        label=_("Preset"), required=False, choices=[("", DEFAULTS), *((name, name) for name in JudgeRecipe.presets)]
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        constitution, model = self.fields["constitution"], self.fields["model"]
        assert isinstance(constitution, forms.ModelChoiceField) and isinstance(model, forms.ModelChoiceField)
        newest = ("-created_at", "-pk")
        constitution.queryset = DatasetVersion.objects.filter(kind=DatasetKind.CONSTITUTION).order_by(*newest)
        model.queryset = ModelVersion.objects.filter(role__in=WRITERS).order_by(*newest)

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        if given.get("critic") == "model" and not given.get("model") and "model" not in self.errors:
            self.add_error("model", _("Choose the model that judges."))
        return given

    def asked(self) -> dict[str, Any]:
        """As `request_judgements` takes it."""
        given = self.cleaned_data
        by_model = given["critic"] == "model"
        return {
            "constitution": given["constitution"], "model": given["model"] if by_model else None,
            "recipe": {"critic": given["critic"], **self.endpoint()}, "preset": given["preset"],
        }  # fmt: skip


class PeopleShareForm(forms.Form):
    people_share = forms.IntegerField(label=_("People rank, percent of the training prompts"))
