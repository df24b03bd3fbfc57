"""Prompts of a campaign: added as rows, all or none, each content once. Files are `annotation.importing`'s."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils.translation import gettext

from accounts.abilities import BadAbility, language_of, skill_of
from accounts.errors import UserError
from accounts.hints import hint
from accounts.models import User
from annotation.models import Campaign, Prompt, Split
from annotation.services.texts import BadLine, complaint_about
from audit.services import record
from registry.services.schemas import ROLES, conversation_sha256, split_of

LONGEST_ID = 120
LARGEST_PROMPT = 200_000  # characters
LONGEST_KIND = 40
FIELDS = {"prompt", "messages", "id", "source", "kind", "language", "skill", "priority", "held_out"}
LOWEST_PRIORITY = 1000  # the larger the number, the later
USUAL_PRIORITY = 50


class BadPrompt(UserError):
    code = "bad_prompt"


@dataclass(frozen=True, slots=True)
class Added:
    num_added: int
    num_known: int


def add_prompts(campaign: Campaign, *, rows: Iterable[dict[str, Any]], user: User | None) -> Added:
    """Rows are {"messages": [...]} or {"prompt": text or messages}, and may have an "id", a "language" and a "skill" that
    raters need, a "priority", and a "held_out" where their rankings are never to be trained on. Raises `BadPrompt`.
    """
    prompts = []
    for number, row in enumerate(rows, start=1):
        try:
            prompts.append(prompt_of(campaign, row))
        except BadLine as error:
            raise BadPrompt(
                gettext("Prompt %(number)s: %(error)s") % {"number": number, "error": error}, row=number
            ) from error
    return save(campaign, prompts, user=user)


def prompt_of(campaign: Campaign, row: Any) -> Prompt:
    """Raises `BadLine`."""
    if not isinstance(row, dict):
        raise BadLine(gettext("This is not an object with a prompt."))
    if unknown := sorted(set(row) - FIELDS):
        sentence = gettext("There is no field %(name)s in a prompt; there are %(known)s.")
        raise BadLine(sentence % {"name": unknown[0], "known": ", ".join(sorted(FIELDS))})
    if ("prompt" in row) == ("messages" in row):
        raise BadLine(gettext('Give either "prompt" or "messages".'))
    messages = conversation(row.get("messages", row.get("prompt")))
    if complaint := complaint_about(row):
        raise BadLine(gettext("There is %(complaint)s.") % {"complaint": complaint})
    kind = kind_of(row.get("kind", ""))
    sha256 = conversation_sha256(messages)
    return Prompt(
        campaign=campaign, messages=messages, content_hash=sha256,
        split=Split.TEST if held_out(row.get("held_out")) else split_of(sha256),
        external_id=str(row.get("id", ""))[:LONGEST_ID], kind=kind, **needs_of(row),
        priority=priority_of(row.get("priority")),
    )  # fmt: skip


def kind_of(given: Any) -> str:
    """What sort of prompt it is, in a word or two; empty where nobody says. Raises `BadLine`."""
    if not isinstance(given, str) or len(given.strip()) > LONGEST_KIND:
        sentence = gettext('A prompt\'s "kind" is a text of at most %(most)s characters.')
        raise BadLine(sentence % {"most": LONGEST_KIND})
    return given.strip()


def needs_of(row: Mapping[str, Any]) -> dict[str, str]:
    """Which language and which skill its raters must have; empty where it asks none. Raises `BadLine`."""
    needs = {}
    for name, read in (("language", language_of), ("skill", skill_of)):
        given = row.get(name)
        if given is not None and not isinstance(given, str):
            raise BadLine(gettext("A language is a text.") if name == "language" else gettext("A skill is a text."))
        try:
            needs[name] = read(given) if given and given.strip() else ""
        except BadAbility as error:
            raise BadLine(str(error)) from error
    return needs


def priority_of(given: Any) -> int:
    """Raises `BadLine`."""
    if given is None:
        return USUAL_PRIORITY
    if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= LOWEST_PRIORITY:
        sentence = gettext("A priority is a whole number from 0, which goes first, to %(last)s.")
        raise BadLine(sentence % {"last": LOWEST_PRIORITY})
    return given


def held_out(given: Any) -> bool:
    """Whether its rankings are kept for tests by whoever brings it; a prompt that its content holds out stays held out.

    Raises `BadLine`.
    """
    if given is not None and not isinstance(given, bool):
        raise BadLine(gettext('A prompt\'s "held_out" is true or false.'))
    return bool(given)


def conversation(given: Any) -> list[dict[str, str]]:
    """Messages, the last by a user, from a text or a list of messages. Raises `BadLine`."""
    messages = [{"role": "user", "content": given}] if isinstance(given, str) else given
    if not isinstance(messages, list) or not messages:
        raise BadLine(gettext("A prompt is a text or a list of messages."))
    for message in messages:
        if not isinstance(message, dict) or set(message) != {"role", "content"}:
            raise BadLine(gettext("A message has a role and a content, and nothing else."))
        if message["role"] not in ROLES:
            raise BadLine(gettext("A role is %(known)s.") % {"known": ", ".join(ROLES)})
        if not isinstance(message["content"], str) or not message["content"].strip():
            raise BadLine(gettext("A message's content is a text that isn't blank."))
    if messages[-1]["role"] != "user":
        raise BadLine(gettext("A prompt ends with a user's turn."))
    if sum(len(message["content"]) for message in messages) > LARGEST_PROMPT:
        raise BadLine(gettext("A prompt has at most %(most)s characters.") % {"most": LARGEST_PROMPT})
    return messages


def save(campaign: Campaign, prompts: list[Prompt], *, user: User | None) -> Added:
    unique = {prompt.content_hash: prompt for prompt in prompts}
    with transaction.atomic():
        Campaign.objects.select_for_update().get(pk=campaign.pk)  # two imports at once count right
        known = set(campaign.prompts.values_list("content_hash", flat=True))
        new = [prompt for sha256, prompt in unique.items() if sha256 not in known]
        Prompt.objects.bulk_create(new, batch_size=500)
        if new:
            record("campaign.prompts_added", actor=user, target=campaign, num_added=len(new))
            hint(f"campaign:{campaign.pk}")
    return Added(num_added=len(new), num_known=len(prompts) - len(new))
