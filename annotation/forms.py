"""What an admin fills in about a campaign. Bounds that the services know are told by them, in one place."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet

from accounts.errors import UserError
from accounts.models import GRANTS, Capability, User
from annotation.attributes import BadAttributes, as_json, parse_attributes
from annotation.models import Campaign
from annotation.rule_forms import RulesForm
from registry.models import ModelRole, ModelVersion
from training.recipes.generate import GenerateRecipe

WRITERS = (ModelRole.BASE, ModelRole.SFT, ModelRole.POLICY)
DEFAULTS = GenerateRecipe()


class PeopleField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]  # generic for mypy alone
    def label_from_instance(self, user: User) -> str:
        return f"{user.username} ({user.get_role_display().lower()})"


def people_who_rank() -> QuerySet[User]:
    roles = [role for role, granted in GRANTS.items() if Capability.RANK in granted]
    return User.objects.filter(role__in=roles, is_active=True, is_simulated=False).order_by("username")


def tell(form: forms.Form, error: UserError) -> None:
    """Puts what a service refused beside the field that it names, bad lines of a file one by one."""
    lines = error.data.get("lines", [])
    field = "file" if lines else error.data.get("field")
    told = [f"Line {line['line']}: {line['message']}" for line in lines] or [error.sentence]
    if (more := error.data.get("num_bad", 0) - len(lines)) > 0:
        told.append(f"{more} more lines are bad.")
    if lines:
        told.append("Nothing of the file was kept: mend it and choose it again.")
    for sentence in told:
        form.add_error(field if field in form.fields else None, sentence)


class CampaignForm(RulesForm):
    name = forms.CharField(max_length=120, help_text="Raters see it.")
    k = forms.IntegerField(label="Completions a prompt (K)", initial=4, help_text="2 to 9; more than 4 tire raters.")
    overlap = forms.IntegerField(label="Raters a task", initial=2, help_text="Agreement is known only from 2 on.")
    lease_minutes = forms.IntegerField(
        label="Minutes on a desk", initial=20, help_text="A task left alone for so long goes to somebody else."
    )
    raters = PeopleField(
        queryset=User.objects.none(), required=False, widget=forms.CheckboxSelectMultiple,
        help_text="They may rank as soon as it is open. More can join later.",
    )  # fmt: skip
    attributes = forms.CharField(
        label="Rate each text on", required=False,
        widget=forms.Textarea(attrs={"rows": 3, "placeholder": "helpful 1-5: useless .. just what was asked (required)"}),
        help_text="Nothing, or up to 6 scales, one a line: name, levels (2 to 7), what the lowest and the highest mean."
        " Raters may leave one out unless it says (required). They can't be changed later.",
    )  # fmt: skip
    guideline = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 12}),
        help_text="Markdown: what makes a reply better? It can be revised later; each ranking names its version.",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        raters = self.fields["raters"]
        assert isinstance(raters, PeopleField)
        raters.queryset = people_who_rank()

    def clean_attributes(self) -> list[dict[str, Any]]:
        try:
            return as_json(parse_attributes(self.cleaned_data["attributes"]))
        except BadAttributes as error:
            raise forms.ValidationError(str(error)) from error


class PromptsForm(forms.Form):
    file = forms.FileField(
        label="File", widget=forms.ClearableFileInput(attrs={"accept": ".jsonl,.json,.ndjson,.txt"}),
        help_text='JSON lines, {"prompt": "text"} or {"messages": [...]}; or a .txt with one prompt a line. '
        "Prompts that are here already are left alone.",
    )  # fmt: skip


class CompletionsForm(forms.Form):
    model = forms.ModelChoiceField(
        queryset=ModelVersion.objects.none(), empty_label="choose a model", help_text="Raters never see which it was."
    )
    k = forms.IntegerField(
        label="Completions a prompt", help_text="Fewer than K of this model leave room for another's."
    )
    max_new_tokens = forms.IntegerField(
        label="Tokens at most", initial=DEFAULTS.max_new_tokens, help_text="A completion is cut here."
    )

    def __init__(self, *args: Any, k: int = 4, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        model = self.fields["model"]
        assert isinstance(model, forms.ModelChoiceField)
        model.queryset = ModelVersion.objects.filter(role__in=WRITERS).order_by("-created_at", "-pk")
        self.fields["k"].initial = k


class SnapshotForm(forms.Form):
    name = forms.CharField(max_length=120, label="Name")


class RatersForm(forms.Form):
    raters = PeopleField(queryset=User.objects.none(), label="Add raters", widget=forms.CheckboxSelectMultiple)

    def __init__(self, *args: Any, campaign: Campaign, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        raters = self.fields["raters"]
        assert isinstance(raters, PeopleField)
        here = User.objects.filter(memberships__campaign=campaign, memberships__is_active=True)
        raters.queryset = people_who_rank().exclude(pk__in=here.values("pk"))


class GuidelineForm(forms.Form):
    text = forms.CharField(
        label="Guideline", widget=forms.Textarea(attrs={"rows": 12}),
        help_text="Markdown. Who is ranking now finishes under the version that she was shown.",
    )  # fmt: skip
