"""The seam between a run that learns from people while it goes on and whoever brings their answers: files in its folder.

    questions/000012.json         what rollout 12 asks (`Sheet`): written once, by rename, by the run
    answers/000012.json           what people have answered so far (`Answers`): by rename, whole each time, by the other side
    questions/000012.taken.json   the answers that the run took, frozen: a run that resumes takes these again

A run asks nobody twice: where a sheet of questions is there, its completions are taken from it. It waits until all
questions are answered, the answers are closed, or the deadline and `GRACE_S` are over. Free of torch.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from training.contract import Failure, write_atomically

QUESTIONS = "questions"
ANSWERS = "answers"
GRACE_S = 20.0  # after the deadline, for what came just before it to be written down


@dataclass(frozen=True, slots=True)
class AskedText:
    """One completion: its `id` is a uuid; `ids`, `ended` and `is_first` are the run's own, and nobody's who ranks.

    `is_first`: by the model that the run began from.
    """

    id: str
    text: str
    ids: list[int]
    ended: bool
    is_first: bool = False


@dataclass(frozen=True, slots=True)
class Question:
    """A prompt, and the completions that are to be ranked; `id` is a uuid, the same however often the run is resumed."""

    id: str
    messages: list[dict[str, str]]
    completions: list[AskedText]

    @property
    def own(self) -> list[AskedText]:
        """Those that the run may learn from."""
        return [one for one in self.completions if not one.is_first]


@dataclass(frozen=True, slots=True)
class Sheet:
    """The questions of one rollout. Times are ISO 8601 with a zone."""

    number: int
    asked_at: str
    deadline_at: str
    questions: list[Question]
    version: int = 1

    @property
    def deadline(self) -> datetime:
        return datetime.fromisoformat(self.deadline_at)


@dataclass(frozen=True, slots=True)
class Answer:
    """Each ranking is tiers of completion ids, the best first; ids of a tier are tied, one that is left out was not judged.

    `is_complete`: no more rankings are to come. A question that people could not answer is complete and has none.
    """

    rankings: list[list[list[str]]]
    is_complete: bool


@dataclass(frozen=True, slots=True)
class Answers:
    """By question id. `is_closed`: the deadline is over, and all that came before it is here."""

    answers: dict[str, Answer] = field(default_factory=dict)
    is_closed: bool = False
    version: int = 1

    def num_complete(self, sheet: Sheet) -> int:
        """Of the sheet's questions."""
        return sum(each.id in self.answers and self.answers[each.id].is_complete for each in sheet.questions)


def sheet_path(run_dir: Path, number: int) -> Path:
    return run_dir / QUESTIONS / f"{number:06d}.json"


def answers_path(run_dir: Path, number: int) -> Path:
    return run_dir / ANSWERS / f"{number:06d}.json"


def taken_path(run_dir: Path, number: int) -> Path:
    return run_dir / QUESTIONS / f"{number:06d}.taken.json"


def open_sheets(run_dir: Path) -> list[Sheet]:
    """Those that were asked and not taken, the oldest first."""
    paths = sorted((run_dir / QUESTIONS).glob("[0-9]*.json"))
    numbers = [int(path.stem) for path in paths if path.stem.isdigit()]
    found = [read_sheet(run_dir, number) for number in numbers if not taken_path(run_dir, number).exists()]
    return [sheet for sheet in found if sheet is not None]


def read_sheet(run_dir: Path, number: int) -> Sheet | None:
    raw = read_json(sheet_path(run_dir, number))
    if raw is None:
        return None
    with_texts = [
        Question(q["id"], q["messages"], [AskedText(**text) for text in q["completions"]]) for q in raw.pop("questions")
    ]
    return Sheet(questions=with_texts, **raw)


def read_answers(path: Path) -> Answers | None:
    """What stands at `answers_path` or `taken_path`; none where nothing does. Raises `Failure("bad_answers")`."""
    raw = read_json(path)
    if raw is None:
        return None
    try:
        answers = {
            name: Answer(
                [[list(map(str, tier)) for tier in tiers] for tiers in one["rankings"]], bool(one["is_complete"])
            )
            for name, one in raw["answers"].items()
        }
        return Answers(answers, bool(raw["is_closed"]))
    except (KeyError, TypeError, AttributeError) as error:
        raise Failure(
            "bad_answers",
            f"{path.name} is not a file of answers: {error!r}.",
            advice="Write rankings as training/questions.py says, or remove the file.",
        ) from error


def write(path: Path, what: Sheet | Answers) -> None:
    path.parent.mkdir(exist_ok=True)
    write_atomically(path, json.dumps(asdict(what), indent=1, ensure_ascii=False))


def read_json(path: Path) -> dict[str, Any] | None:
    try:
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise Failure(
            "bad_answers",
            f"{path.name} holds no JSON: {error}",
            advice="Files of a run's folder are written by rename.",
        ) from error
    return raw
