"""People, and what each role may do."""

from __future__ import annotations

from typing import ClassVar

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils.translation import gettext_lazy as _
from knox.models import AbstractAuthToken


class Role(models.TextChoices):
    RATER = "rater", _("Rater")
    REVIEWER = "reviewer", _("Reviewer")
    RESEARCHER = "researcher", _("Researcher")
    ADMIN = "admin", _("Admin")


class Capability(models.TextChoices):
    """What a page, an endpoint or a socket asks for; which roles have it stands in `GRANTS`, and nowhere else."""

    SIGN_IN = "sign_in", "Have an account"
    RANK = "rank", "Rank completions and see one's own work"
    REVIEW = "review", "See disagreements and adjudicate"
    STUDY = "study", "See campaigns, runs, models and datasets; freeze, export and evaluate"
    MANAGE = "manage", "Manage campaigns, raters, runs, models and people"


GRANTS: dict[str, frozenset[Capability]] = {
    Role.RATER: frozenset({Capability.SIGN_IN, Capability.RANK}),
    Role.REVIEWER: frozenset({Capability.SIGN_IN, Capability.RANK, Capability.REVIEW}),
    Role.RESEARCHER: frozenset({Capability.SIGN_IN, Capability.STUDY}),
    Role.ADMIN: frozenset({Capability.SIGN_IN, Capability.REVIEW, Capability.STUDY, Capability.MANAGE}),
}


class User(AbstractUser):  # type: ignore[django-manager-missing]  # of tokens: knox has no types
    """One person, a simulated rater, or a feedback model: whatever the latter two do is marked so wherever it appears."""

    role = models.CharField(max_length=16, choices=Role, default=Role.RATER)
    is_simulated = models.BooleanField(default=False)
    is_ai = models.BooleanField(default=False)  # a feedback model, in whose name nobody signs in
    interface_language = models.CharField(max_length=8, blank=True)  # of pages; empty: as the browser asks
    # Action -> key, where she chose another: `annotation.keys` reads it.
    keys = models.JSONField(default=dict, blank=True)
    languages = models.JSONField(default=list, blank=True)  # BCP 47 primary tags, such as "de": what she can judge
    skills = models.JSONField(default=list, blank=True)  # short words, such as "law", that an admin gives

    REQUIRED_FIELDS: ClassVar[list[str]] = []

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="user_has_a_known_role"),
            models.CheckConstraint(
                condition=models.Q(is_simulated=False) | models.Q(role=Role.RATER), name="only_raters_are_simulated"
            ),
            models.CheckConstraint(
                condition=models.Q(is_ai=False) | models.Q(role=Role.RATER, is_active=False, is_simulated=False),
                name="feedback_models_are_raters_who_never_sign_in",
            ),
        ]

    def can(self, capability: Capability) -> bool:
        return self.is_active and capability in GRANTS.get(self.role, frozenset())


class ApiToken(AbstractAuthToken):  # type: ignore[misc]  # knox has no types
    """A key for programs that act as its owner. Only its hash is kept; `token_key`, its first letters, names it."""

    name = models.CharField(max_length=80)
    can_write = models.BooleanField(default=False)

    class Meta:
        ordering: ClassVar = ["-created", "-pk"]
