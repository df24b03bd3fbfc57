"""What an admin fills in about a campaign. Bounds that the services know are told by them, in one place."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.validators import UnicodeUsernameValidator
from django.db.models import QuerySet
from django.utils.translation import gettext_lazy as _

from accounts.errors import UserError
from accounts.models import GRANTS, Capability, Role, User
from annotation.attributes import BadAttributes, as_json, parse_attributes
from annotation.importing.reading import CHOICES
from annotation.models import Campaign
from annotation.rule_forms import RulesForm
from annotation.services.ai_gate import ai_raters
from registry.models import ModelRole, ModelVersion
from training.recipes.generate import GenerateRecipe

WRITERS = (ModelRole.BASE, ModelRole.SFT, ModelRole.POLICY)
DEFAULTS = GenerateRecipe()
SCALE = _("helpful 1-5: useless .. just what was asked (required)")  # its name and "(required)" are read as they stand
ROLES: dict[str, Any] = {  # of people who may rank: how a list tells them apart
    Role.RATER: _("%(name)s (rater)"),
    Role.REVIEWER: _("%(name)s (reviewer)"),
}


class PeopleField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]  # generic for mypy alone
    def label_from_instance(self, user: User) -> str:
        return str(ROLES[user.role] % {"name": user.username})


def people_who_rank() -> QuerySet[User]:
    roles = [role for role, granted in GRANTS.items() if Capability.RANK in granted]
    return User.objects.filter(role__in=roles, is_active=True, is_simulated=False).order_by("username")


def tell(form: forms.Form, error: UserError) -> None:
    """Puts what a service refused beside the field that it names."""
    field = error.data.get("field")
    form.add_error(field if field in form.fields else None, error.sentence)


class CampaignForm(RulesForm):
    name = forms.CharField(label=_("Name"), max_length=120, help_text=_("Raters see it."))
    k = forms.IntegerField(
        label=_("Completions a prompt (K)"), initial=4, help_text=_("2 to 9; more than 4 tire raters.")
    )
    overlap = forms.IntegerField(label=_("Raters a task"), initial=2, help_text=_("Agreement is known only from 2 on."))
    lease_minutes = forms.IntegerField(
        label=_("Minutes on a desk"), initial=20, help_text=_("A task left alone for so long goes to somebody else.")
    )
    raters = PeopleField(
        label=_("Raters"), queryset=User.objects.none(), required=False, widget=forms.CheckboxSelectMultiple,
        help_text=_("They may rank as soon as it is open. More can join later."),
    )  # fmt: skip
    attributes = forms.CharField(
        label=_("Rate each text on"), required=False,
        widget=forms.Textarea(attrs={"rows": 3, "placeholder": SCALE}),
        help_text=_(
            "Nothing, or up to 6 scales, one a line: name, levels (2 to 7), what the lowest and the highest mean."
            " Raters may leave one out unless it says (required). They can't be changed later."
        ),
    )  # fmt: skip
    guideline = forms.CharField(
        label=_("Guideline"),
        widget=forms.Textarea(attrs={"rows": 12}),
        help_text=_("Markdown: what makes a reply better? It can be revised later; each ranking names its version."),
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


class ImportForm(forms.Form):
    file = forms.FileField(
        label=_("File"),
        widget=forms.ClearableFileInput(attrs={"accept": ".jsonl,.json,.ndjson,.csv,.tsv,.parquet,.txt,.gz"}),
        help_text=_("JSON lines, a JSON list, CSV, Parquet, or a .txt with one prompt a line; packed by gzip or not."),
    )  # fmt: skip
    format = forms.ChoiceField(
        label=_("Format"),
        choices=CHOICES,
        required=False,
        help_text=_("Told from the first rows, unless you know better."),
    )
    is_simulated = forms.BooleanField(
        label=_("Its rankings were made by programs"),
        required=False,
        help_text=_("They are marked as simulated everywhere."),
    )


class CloneForm(forms.Form):
    name = forms.CharField(label=_("Name"), max_length=120, help_text=_("Raters see it."))
    with_prompts = forms.BooleanField(label=_("With its prompts"), required=False)
    with_completions = forms.BooleanField(
        label=_("With its completions, in the same tasks"), required=False, help_text=_("Then its prompts come along.")
    )


class InvitationForm(forms.Form):
    max_uses = forms.IntegerField(label=_("For how many people"), initial=1)
    days = forms.IntegerField(label=_("Holds for (days)"), initial=7)
    note = forms.CharField(
        max_length=120, required=False, label=_("For whom"), help_text=_("Only you and other admins see it.")
    )


class JoinForm(forms.Form):
    username = forms.CharField(
        max_length=150, label=_("User name"), validators=[UnicodeUsernameValidator()],
        widget=forms.TextInput(attrs={"autocomplete": "username", "autocapitalize": "none", "spellcheck": "false"}),
        help_text=_("Those who run the campaign see it; other raters don't."),
    )  # fmt: skip
    password = forms.CharField(
        label=_("Password"),
        strip=False,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text=_("12 characters or more."),
    )
    again = forms.CharField(
        strip=False, label=_("The same once more"), widget=forms.PasswordInput(attrs={"autocomplete": "new-password"})
    )

    def clean_again(self) -> str:
        if self.cleaned_data["again"] != self.cleaned_data.get("password", self.cleaned_data["again"]):
            raise forms.ValidationError(_("These are two different passwords."))
        return str(self.cleaned_data["again"])


class ExampleForm(forms.Form):
    prompt = forms.CharField(label=_("Prompt"), widget=forms.Textarea(attrs={"rows": 3}))
    text_a = forms.CharField(label=_("Text A"), widget=forms.Textarea(attrs={"rows": 3}))
    text_b = forms.CharField(label=_("Text B"), widget=forms.Textarea(attrs={"rows": 3}))
    text_c = forms.CharField(label=_("Text C"), required=False, widget=forms.Textarea(attrs={"rows": 3}))
    text_d = forms.CharField(label=_("Text D"), required=False, widget=forms.Textarea(attrs={"rows": 3}))
    order = forms.CharField(
        label=_("Right order"), max_length=200, help_text=_("As raters type it: b > a = c."),
        widget=forms.TextInput(attrs={"autocapitalize": "off", "spellcheck": "false", "autocomplete": "off"}),
    )  # fmt: skip
    why = forms.CharField(label=_("Why"), widget=forms.Textarea(attrs={"rows": 3}), help_text=_("Markdown."))

    def texts(self) -> list[str]:
        return [self.cleaned_data[f"text_{letter}"] for letter in "abcd"]


class CompletionsForm(forms.Form):
    model = forms.ModelChoiceField(
        label=_("Model"),
        queryset=ModelVersion.objects.none(),
        empty_label=_("choose a model"),
        help_text=_("Raters never see which it was."),
    )
    k = forms.IntegerField(
        label=_("Completions a prompt"), help_text=_("Fewer than K of this model leave room for another's.")
    )
    max_new_tokens = forms.IntegerField(
        label=_("Tokens at most"), initial=DEFAULTS.max_new_tokens, help_text=_("A completion is cut here.")
    )

    def __init__(self, *args: Any, k: int = 4, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        model = self.fields["model"]
        assert isinstance(model, forms.ModelChoiceField)
        model.queryset = ModelVersion.objects.filter(role__in=WRITERS).order_by("-created_at", "-pk")
        self.fields["k"].initial = k


class SnapshotForm(forms.Form):
    """`ai_rater` only where feedback models have judged the campaign."""

    name = forms.CharField(max_length=120, label=_("Name"))
    ai_rater = forms.ModelChoiceField(
        label=_("Labels of"), queryset=User.objects.none(), required=False, to_field_name="username",
        empty_label=_("people alone"), error_messages={"invalid_choice": _("This is no feedback model that judged here.")},
    )  # fmt: skip

    def __init__(self, *args: Any, campaign: Campaign, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        rater = self.fields["ai_rater"]
        assert isinstance(rater, forms.ModelChoiceField)
        rater.queryset = ai_raters(campaign)

    @property
    def feedback(self) -> User | None:
        rater: User | None = self.cleaned_data["ai_rater"]
        return rater


class RatersForm(forms.Form):
    raters = PeopleField(queryset=User.objects.none(), label=_("Add raters"), widget=forms.CheckboxSelectMultiple)

    def __init__(self, *args: Any, campaign: Campaign, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        raters = self.fields["raters"]
        assert isinstance(raters, PeopleField)
        here = User.objects.filter(memberships__campaign=campaign, memberships__is_active=True)
        raters.queryset = people_who_rank().exclude(pk__in=here.values("pk"))


class GuidelineForm(forms.Form):
    text = forms.CharField(
        label=_("Guideline"), widget=forms.Textarea(attrs={"rows": 12}),
        help_text=_("Markdown. Who is ranking now finishes under the version that she was shown."),
    )  # fmt: skip
