"""People who answer a run's questions, played by a thread: they rank by a rule, as the product would write it down."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

from training import questions
from training.questions import Answer, Answers, Question, Sheet

Worth = Callable[[str], float]


def capitals(text: str) -> float:
    """The share of capital letters, as the reward model by hand scores it."""
    return sum("A" <= letter <= "Z" for letter in text) / max(1, len(text))


def tiers_of(question: Question, worth: Worth) -> list[list[str]]:
    ranked = sorted(question.completions, key=lambda one: -worth(one.text))
    return [[one.id for one in tier] for _, tier in groupby(ranked, key=lambda one: worth(one.text))]


def answers_to(sheet: Sheet, worth: Worth) -> Answers:
    return Answers({each.id: Answer([tiers_of(each, worth)], is_complete=True) for each in sheet.questions})


@contextmanager
def voting(run_dir: Path, worth: Worth) -> Iterator[None]:
    """Answers every question of the run while the block lasts."""
    done = threading.Event()

    def answer() -> None:
        while not done.wait(0.01):
            for sheet in questions.open_sheets(run_dir):
                path = questions.answers_path(run_dir, sheet.number)
                if not path.exists():
                    questions.write(path, answers_to(sheet, worth))

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
