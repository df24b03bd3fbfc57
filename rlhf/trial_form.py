"""What somebody fills in who tries a principle: a prompt, who answers, who critiques, and how long the texts may be."""

from __future__ import annotations

from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation.endpoint_form import EndpointForm
from registry.models import Artifact, ModelVersion
from rlhf.services.constitutions.trying import LONGEST_PROMPT, Asked, writers

MOST_MODELS = 100
MOST_SEED = 2**31 - 1
FEEDBACK = "feedback"  # a choice of the form alone: the recipe's critic is a model then, too
CRITICS = (
    ("model", _("The model itself")),
    (FEEDBACK, _("Another model from the registry")),
    ("endpoint", _("An OpenAI-compatible endpoint")),
    ("rules", _("A list of harmful words")),
)
PASSED_ON = ("max_new_tokens", "temperature", "seed")


class TryForm(EndpointForm):
    prompt = forms.CharField(
        label=_("Prompt"), max_length=LONGEST_PROMPT, widget=forms.Textarea(attrs={"rows": 4, "dir": "auto"}),
        help_text=_("What a person would ask the model."),
    )  # fmt: skip
    model = forms.ModelChoiceField(label=_("Model"), queryset=ModelVersion.objects.none(), empty_label=None)
    critic = forms.ChoiceField(label=_("Who critiques"), choices=CRITICS)
    feedback = forms.ModelChoiceField(
        label=_("The other model"), queryset=ModelVersion.objects.none(), required=False, empty_label=_("choose a model"),
        help_text=_("Where another one critiques and judges."),
    )  # fmt: skip
    max_new_tokens = forms.IntegerField(
        label=_("Tokens at most"), min_value=1, max_value=2048, help_text=_("Of the answer and of the revision.")
    )
    temperature = forms.FloatField(
        label=_("Temperature"), min_value=0.05, max_value=2, help_text=_("Of all texts; a run's is 1.")
    )
    seed = forms.IntegerField(
        label=_("Seed"), min_value=0, max_value=MOST_SEED,
        help_text=_("The same one gives the same answer: what changes then comes from the words."),
    )  # fmt: skip

    def __init__(self, *args: Any, shown: Asked, **kwargs: Any) -> None:
        """Models that `shown` names can be chosen however old they are."""
        super().__init__(*args, **kwargs)
        newest = list(writers().values_list("pk", flat=True)[:MOST_MODELS])
        chosen = [given.pk for given in (shown.model, shown.feedback) if given is not None]
        known = writers().filter(pk__in=newest) | writers().filter(artifact__in=chosen)
        for name in ("model", "feedback"):
            field = self.fields[name]
            assert isinstance(field, forms.ModelChoiceField)
            field.queryset = known.select_related("artifact")

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        if given.get("critic") == FEEDBACK and given.get("feedback") is None and "feedback" not in self.errors:
            self.add_error("feedback", gettext("Choose the model that criticises and judges."))
        return given

    def asked(self) -> Asked:
        """Of a form that is valid."""
        given = self.cleaned_data
        is_another = given["critic"] == FEEDBACK
        settings = {name: given[name] for name in PASSED_ON} | self.endpoint()
        settings["critic"] = "model" if is_another else given["critic"]
        return Asked(given["model"].artifact, given["feedback"].artifact if is_another else None, settings)


def initial_of(asked: Asked) -> dict[str, Any]:
    """The form's fields as `asked` fills them, but for the prompt."""
    given = {name: artifact for name in ("model", "feedback") if (artifact := getattr(asked, name)) is not None}
    models = dict(ModelVersion.objects.filter(artifact__in=given.values()).values_list("artifact", "pk"))
    told = asked.settings.get("endpoint") or {}
    return {
        **{name: models.get(artifact.pk) for name, artifact in given.items() if isinstance(artifact, Artifact)},
        **{name: asked.settings[name] for name in PASSED_ON},
        "critic": FEEDBACK if "feedback" in given else asked.settings["critic"],
        "url": told.get("url"), "served": told.get("model"), "key_variable": told.get("key_variable"),
    }  # fmt: skip
