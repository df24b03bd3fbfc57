"""What an admin fills in about a constitutional run: what it is made of, who judges, and what agreement is asked for."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.models import User
from annotation.endpoint_form import EndpointForm
from annotation.forms import PeopleField, people_who_rank
from annotation.quality.ai_gate import Rule
from registry.models import Alias, DatasetKind, DatasetVersion, ModelRole, ModelVersion
from rlhf.services.constitutional.estimates import Makings
from rlhf.services.constitutional.plan import POLICIES, Plan
from rlhf.services.rounds import CURRENT
from training.recipes import RECIPES

RULE = Rule()
CRITICS = (
    ("model", _("The model itself")),
    ("feedback", _("Another model from the registry")),
    ("endpoint", _("An OpenAI-compatible endpoint")),
    ("rules", _("A list of words, for tests")),
)
NAMES = {"dpo": _("DPO, on comparisons"), "ppo": _("PPO, on the preference model")}


class DatasetField(forms.ModelChoiceField):  # type: ignore[type-arg]  # generic for mypy alone
    def label_from_instance(self, dataset: DatasetVersion) -> str:
        if dataset.kind == DatasetKind.CONSTITUTION:
            return dataset.name
        told = {"name": dataset.name, "train": dataset.splits.get("train", 0), "test": dataset.splits.get("test", 0)}
        return gettext("%(name)s (%(train)s to train on, %(test)s held out)") % told


def datasets(kind: str) -> QuerySet[DatasetVersion]:
    return DatasetVersion.objects.filter(kind=kind).order_by("-created_at", "-pk")


def models() -> QuerySet[ModelVersion]:
    return ModelVersion.objects.filter(role__in=[ModelRole.SFT, ModelRole.POLICY]).order_by("-created_at", "-pk")


class ConstitutionalForm(EndpointForm):
    name = forms.SlugField(
        label=_("Name"), max_length=60, help_text=_("Its models and datasets begin with it: letters, digits, - and _.")
    )
    constitution = DatasetField(
        label=_("Constitution"), queryset=datasets(DatasetKind.CONSTITUTION), empty_label=None,
        help_text=_("A published version."),
    )  # fmt: skip
    model = forms.ModelChoiceField(
        label=_("Start from"),
        queryset=models(),
        empty_label=None,
        help_text=_("The helpful model that is to do no harm."),
    )
    red_team = DatasetField(
        label=_("Prompts that ask for harm"), queryset=datasets(DatasetKind.PROMPTS), empty_label=_("choose prompts"),
        help_text=_("Its answers to them are criticised, revised, and compared."),
    )  # fmt: skip
    helpful = DatasetField(
        label=_("Everyday prompts"), queryset=datasets(DatasetKind.PROMPTS), empty_label=_("choose prompts"),
        help_text=_("Its answers to them are learned as they are, so that it stays helpful."),
    )  # fmt: skip
    human = DatasetField(
        label=_("People's rankings of helpfulness"), queryset=datasets(DatasetKind.PREFERENCE), required=False,
        empty_label=_("none"), help_text=_("Mixed with the AI feedback, so that the policy does not learn to refuse."),
    )  # fmt: skip
    preset = forms.ChoiceField(
        label=_("Size"), choices=[(name, name) for name in RECIPES["dpo"].presets], initial="demo",
        help_text=_("“demo” is for models of some 135 M parameters, “tiny” for those of 0.1 M."),
    )  # fmt: skip
    rounds = forms.IntegerField(label=_("Rounds of critique and revision"), initial=4, min_value=0, max_value=16)
    policy = forms.ChoiceField(label=_("Policy by"), choices=[(name, NAMES[name]) for name in POLICIES])

    critic = forms.ChoiceField(label=_("Who criticises and judges"), choices=CRITICS)
    feedback = forms.ModelChoiceField(
        label=_("Feedback model"), queryset=models(), required=False, empty_label=_("none"),
        help_text=_("Where another model does."),
    )  # fmt: skip

    people_share = forms.IntegerField(
        label=_("Pairs that people rank, too (%)"), initial=30, min_value=0, max_value=100,
        help_text=_("The blind overlap, by lot: what the feedback model is measured by. Held-out pairs are people's always."),
    )  # fmt: skip
    ai_share = forms.IntegerField(
        label=_("Harmlessness in what is learned (%)"), initial=50, min_value=1, max_value=99,
        help_text=_("The rest is people's rankings of helpfulness, where there are any."),
    )  # fmt: skip
    accuracy = forms.FloatField(label=_("Agreement, at least"), initial=RULE.accuracy, min_value=0, max_value=1)
    kappa = forms.FloatField(label=_("Kappa, at least"), initial=RULE.kappa, min_value=-1, max_value=1)
    fewest = forms.IntegerField(label=_("Judgements, at least"), initial=RULE.fewest, min_value=1)
    raters = PeopleField(
        label=_("Raters of the blind overlap"), queryset=User.objects.none(), required=False,
        widget=forms.CheckboxSelectMultiple, help_text=_("More can join later, on the campaign's page."),
    )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        raters = self.fields["raters"]
        assert isinstance(raters, PeopleField)
        raters.queryset = people_who_rank()
        current = Alias.objects.filter(name=CURRENT, model__role__in=[ModelRole.SFT, ModelRole.POLICY]).first()
        if current is not None:
            self.fields["model"].initial = current.model_id

    def clean(self) -> dict[str, Any]:
        given = super().clean()
        if given.get("critic") == "feedback" and given.get("feedback") is None and "feedback" not in self.errors:
            self.add_error("feedback", gettext("Choose the model that criticises and judges."))
        return given

    def makings(self) -> Makings:
        """Of a form that is valid."""
        given = self.cleaned_data
        return Makings(
            constitution=given["constitution"], model=given["model"], red_team=given["red_team"], helpful=given["helpful"],
            human=given["human"], feedback=given["feedback"] if given["critic"] == "feedback" else None, plan=self.plan(),
        )  # fmt: skip

    def plan(self) -> Plan:
        given = self.cleaned_data
        critic = {"critic": "model" if given["critic"] == "feedback" else given["critic"], **self.endpoint()}
        return Plan(
            preset=given["preset"], policy=given["policy"], people_share=given["people_share"],
            ai_share=given["ai_share"] / 100,
            rule=Rule(given["accuracy"], given["kappa"], given["fewest"]),
            changes={"chains": {**critic, "rounds": given["rounds"]}, "judge": critic},
        )  # fmt: skip


class VotesForm(forms.Form):
    """Whom to ask, blind, which model answers better."""

    raters = PeopleField(
        label=_("Raters"), queryset=User.objects.none(), required=False, widget=forms.CheckboxSelectMultiple,
        help_text=_("More can join later, on the campaign's page."),
    )  # fmt: skip
    overlap = forms.IntegerField(label=_("Raters a task"), initial=1)
    limit = forms.IntegerField(
        label=_("Prompts of each kind, at most"),
        required=False,
        help_text=_("By lot; empty for all that are held out."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        raters = self.fields["raters"]
        assert isinstance(raters, PeopleField)
        raters.queryset = people_who_rank()
