"""Right orders: gold and test tasks, made of work that was ranked or brought in a file; they look like any task."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext

from accounts.errors import Conflict, UserError
from accounts.models import User
from accounts.numbers import whole
from annotation import weak_order
from annotation.importing.checking import completions_of
from annotation.importing.complaints import Complaints
from annotation.importing.json_files import json_lines
from annotation.importing.opening import unpacked
from annotation.models import Campaign, Completion, GoldAnswer, Prompt, RankingTask, Slot, TaskCompletion, TaskKind
from annotation.quality.judgement import votes
from annotation.rails import order_told, review_letters
from annotation.services.prompts import conversation
from annotation.services.texts import BadLine, complaint_about
from audit.services import record
from registry.services.schemas import conversation_sha256, split_of

LONGEST_EXPLANATION = 4000
USES = {"gold": TaskKind.GOLD, "test": TaskKind.TEST}
ROW = {"prompt", "completions", "gold", "explanation", "use"}


class BadGold(UserError):
    code = "bad_gold"


class GoldTwice(Conflict):
    code = "gold_twice"


@dataclass(frozen=True, slots=True)
class GoldRow:
    """One line of a file, checked; `tiers` are of the ids of `completions`, which are (id, text, model's name)."""

    messages: list[dict[str, str]]
    completions: tuple[tuple[str, str, str], ...]
    tiers: list[list[str]]
    explanation: str
    kind: TaskKind


@dataclass(frozen=True, slots=True)
class GoldImported:
    num_gold: int
    num_tests: int
    num_known: int


def make_gold(
    source: RankingTask, *, tiers: Sequence[Sequence[str]], explanation: str, kind: TaskKind, user: User | None
) -> GoldAnswer:
    """A task of its own with the texts of `source`, whose rankings stay work. `tiers` are of completion ids.

    Raises `BadGold` where the order does not hold every text or orders no two, `GoldTwice` where there is one already.
    """
    names = [str(pk) for pk in source.entries.values_list("completion", flat=True)]
    told = checked_tiers(tiers, names=names)
    with transaction.atomic():
        # Locked, so that two reviewers at once make one.
        RankingTask.objects.select_for_update(no_key=True).get(pk=source.pk)
        if GoldAnswer.objects.filter(source=source, retired_at=None, task__kind=kind).exists():
            raise GoldTwice(gettext("This task is gold already. Retire that one first."))
        made = save(
            source.campaign, prompt=source.prompt, names=names, tiers=told,
            explanation=checked_explanation(explanation), kind=kind, user=user, source=source,
        )  # fmt: skip
        record("gold.made", actor=user, target=source.campaign, task=str(made.task_id), kind=str(kind))
    return made


def save(
    campaign: Campaign,
    *,
    prompt: Prompt,
    names: Sequence[Any],
    tiers: list[list[str]],
    explanation: str,
    kind: TaskKind,
    user: User | None,
    source: RankingTask | None = None,
) -> GoldAnswer:
    task = RankingTask.objects.create(campaign=campaign, prompt=prompt, kind=kind)
    TaskCompletion.objects.bulk_create(
        TaskCompletion(task=task, completion_id=name, index=i) for i, name in enumerate(names)
    )
    return GoldAnswer.objects.create(task=task, tiers=tiers, explanation=explanation, source=source, made_by=user)


def checked_tiers(tiers: Sequence[Sequence[str]], *, names: Sequence[str]) -> list[list[str]]:
    try:
        order = weak_order.canonical(tiers, [1] * max(len(tiers) - 1, 0))
        weak_order.check_complete(order, names=names)
    except weak_order.BadOrder as error:
        raise BadGold(str(error), field="order") from error
    if not any(votes(order.tiers).values()):
        raise BadGold(
            gettext("A right order has two places at least: where all are tied, nothing can be checked."), field="order"
        )
    return [list(tier) for tier in order.tiers]


def tiers_typed(line: str, *, task: RankingTask) -> list[list[str]]:
    """An order in the letters that reviewers see, as ids. Raises `BadGold`."""
    try:
        order = order_told(line, letters=review_letters(task))
    except weak_order.BadOrder as error:
        raise BadGold(str(error), field="order") from error
    return [list(tier) for tier in order.tiers]


def checked_explanation(words: str) -> str:
    told = words.replace("\r\n", "\n").strip()
    if len(told) > LONGEST_EXPLANATION:
        raise BadGold(
            gettext("An explanation has at most %(most)s characters.") % {"most": whole(LONGEST_EXPLANATION)},
            field="explanation",
        )
    if complaint := complaint_about(told):
        raise BadGold(
            gettext("There is %(complaint)s in the explanation.") % {"complaint": complaint}, field="explanation"
        )
    return told


def retire_gold(gold: GoldAnswer, *, user: User | None) -> bool:
    """Nobody gets it any more, and the answers to it count for nobody; whom it paused can be let go on. False if it was."""
    with transaction.atomic():
        active = GoldAnswer.objects.filter(pk=gold.pk, retired_at=None)
        if active.update(retired_at=timezone.now()) != 1:
            return False
        Slot.objects.filter(task=gold.task_id, is_free=True, assignments=None).delete()
        record("gold.retired", actor=user, target=gold.task.campaign, task=str(gold.task_id))
    return True


def import_gold(campaign: Campaign, *, path: Path, user: User | None) -> GoldImported:
    """All lines or none. A line is {"prompt", "completions": [{"id", "text"}], "gold": "b > a = c", "explanation"?, "use"?}.

    Letters name the completions as the line lists them, `a` the first; `use` is "gold" or "test". A line that is here
    already, with the same order, is left alone. Raises `NotFound`, `BadFile`, `BadLines`, `BadGold`.
    """
    rows: list[tuple[int, GoldRow]] = []
    complaints = Complaints()
    with unpacked(path) as file:
        for number, given in json_lines(file):
            try:
                if isinstance(given, BadLine):
                    raise given
                rows.append((number, row_of(given)))
            except (BadLine, BadGold) as error:
                complaints.add(number, BadLine(str(error), code=error.code))
    complaints.refuse()
    if not rows:
        raise BadGold(gettext("The file has no row."), code="no_rows")
    with transaction.atomic():
        Campaign.objects.select_for_update().get(pk=campaign.pk)  # one import at a time
        made = [row.kind for _, row in rows if save_row(campaign, row, user=user)]
        if made:
            record("gold.imported", actor=user, target=campaign, num=len(made))
    num_gold = sum(kind == TaskKind.GOLD for kind in made)
    return GoldImported(num_gold, len(made) - num_gold, len(rows) - len(made))


def import_upload(campaign: Campaign, file: UploadedFile[bytes], *, user: User | None) -> GoldImported:
    """As `import_gold`, of a file that was sent."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gold.jsonl"
        with path.open("wb") as out:
            for chunk in file.chunks():
                out.write(chunk)
        return import_gold(campaign, path=path, user=user)


def row_of(given: Any) -> GoldRow:
    """Raises `BadLine`, `BadGold`."""
    if not isinstance(given, dict):
        raise BadLine(gettext("This is not an object with a prompt."))
    if missing := sorted({"prompt", "completions", "gold"} - set(given)):
        raise BadLine(gettext("There is no %(field)s in a row.") % {"field": missing[0]})
    if unknown := sorted(set(given) - ROW):
        raise BadLine(
            gettext("There is no field %(field)s in a row; there are %(known)s.")
            % {"field": unknown[0], "known": ", ".join(sorted(ROW))}
        )
    if complaint := complaint_about(given):
        raise BadLine(gettext("There is %(complaint)s.") % {"complaint": complaint}, code="bad_text")
    if not isinstance(given["completions"], list) or len(given["completions"]) < 2:
        raise BadLine(gettext("A prompt has two completions at least."), code="bad_completions")
    completions = tuple(completions_of(given["completions"]))
    texts = [text.strip() for _, text, _ in completions]
    if len(set(texts)) != len(texts):
        raise BadLine(gettext("Two completions say the same."))
    order, explanation, use = given["gold"], given.get("explanation", ""), given.get("use", "gold")
    if not isinstance(order, str) or not isinstance(explanation, str):
        raise BadLine(gettext("A gold order and its explanation are texts."))
    if use not in USES:
        raise BadLine(gettext('"use" is "gold" or "test".'))
    letters = {chr(ord("a") + i): name for i, (name, _, _) in enumerate(completions)}
    return GoldRow(
        conversation(given["prompt"]), completions, tiers_told(order, letters=letters),
        checked_explanation(explanation), USES[use],
    )  # fmt: skip


def tiers_told(line: str, *, letters: dict[str, str]) -> list[list[str]]:
    """A typed order, as ids. Raises `BadGold`."""
    try:
        order = weak_order.parse_order(line)
    except weak_order.BadOrder as error:
        raise BadGold(str(error), field="order") from error
    checked = checked_tiers(order.tiers, names=list(letters))
    return [sorted(letters[letter] for letter in tier) for tier in checked]


def save_row(campaign: Campaign, row: GoldRow, *, user: User | None) -> bool:
    """False where it is here already."""
    sha256 = conversation_sha256(row.messages)
    prompt, _ = Prompt.objects.get_or_create(
        campaign=campaign, content_hash=sha256,
        defaults={"messages": row.messages, "split": split_of(sha256), "is_check": True},
    )  # fmt: skip
    texts = {name: text for name, text, _ in row.completions}
    wanted = [sorted(texts[name] for name in tier) for tier in row.tiers]
    if wanted in known_orders(prompt, kind=row.kind):
        return False
    written = [
        Completion(prompt=prompt, text=text, model_label=model, external_id=name)
        for name, text, model in row.completions
    ]
    Completion.objects.bulk_create(written)
    ids = {one.external_id: str(one.pk) for one in written}
    tiers = [sorted(ids[name] for name in tier) for tier in row.tiers]
    save(
        campaign, prompt=prompt, names=[one.pk for one in written], tiers=tiers, explanation=row.explanation,
        kind=row.kind, user=user,
    )  # fmt: skip
    return True


def known_orders(prompt: Prompt, *, kind: TaskKind) -> Iterable[list[list[str]]]:
    golds = list(GoldAnswer.objects.filter(task__prompt=prompt, task__kind=kind, retired_at=None))
    names = [name for gold in golds for tier in gold.tiers for name in tier]
    texts = {str(pk): text for pk, text in Completion.objects.filter(pk__in=names).values_list("pk", "text")}
    return [[sorted(texts[name] for name in tier) for tier in gold.tiers] for gold in golds]
