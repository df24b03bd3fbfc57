"""What an admin fills in about a campaign. Bounds that the database knows are told by the services, in one place."""

from __future__ import annotations

from typing import ClassVar

from django import forms
from django.db.models import QuerySet

from accounts.models import Capability, Role, User
from registry.models import ModelRole, ModelVersion


class RatersField(forms.ModelMultipleChoiceField):
    def label_from_instance(self, user: User) -> str:  # type: ignore[override]
        return f"{user.username} ({user.get_role_display().lower()})"


def people_who_rank() -> QuerySet[User]:
    roles = [role for role in Role.values if User(role=role).can(Capability.RANK)]
    return User.objects.filter(role__in=roles, is_active=True, is_simulated=False).order_by("username")


class CampaignForm(forms.Form):
    name = forms.CharField(max_length=120, help_text="Raters see it.")
    k = forms.IntegerField(label="Completions a prompt (K)", initial=4, help_text="2 to 9; more than 4 tires raters.")
    overlap = forms.IntegerField(label="Raters a task", initial=1, help_text="How many people rank each prompt.")
    lease_minutes = forms.IntegerField(
        label="Lease in minutes", initial=20, help_text="A task left alone for so long goes to somebody else."
    )
    raters = RatersField(queryset=User.objects.none(), required=False, help_text="They may rank as soon as it is open.")
    guideline = forms.CharField(
        widget=forms.Textarea(attrs={"rows": 14}), help_text="Markdown. Each change is a new version, and rankings name theirs."
    )
    field_order: ClassVar = ["name", "k", "overlap", "lease_minutes", "raters", "guideline"]

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        self.fields["raters"].queryset = people_who_rank()  # type: ignore[attr-defined]


class PromptsForm(forms.Form):
    file = forms.FileField(
        label="Prompts", help_text='JSON lines: {"prompt": "text"} or {"messages": [...]}; or one prompt a line of a .txt.'
    )


class CompletionsForm(forms.Form):
    model = forms.ModelChoiceField(
        queryset=ModelVersion.objects.none(), empty_label="choose a model", help_text="Raters never see which it was."
    )

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]
        writers = ModelVersion.objects.exclude(role=ModelRole.REWARD).order_by("-created_at", "-pk")
        self.fields["model"].queryset = writers  # type: ignore[attr-defined]


class SnapshotForm(forms.Form):
    name = forms.CharField(max_length=120, label="Name of the snapshot")
