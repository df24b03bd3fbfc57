"""What the page of a constitutional run shows of its gate and of what the run changed, ready to be drawn."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation.figure_words import Dot, Scale, dot, percent, scale_of_scores
from registry.models import DatasetVersion
from rlhf.constitutional_status import CaiStatus
from rlhf.models import CaiStage, ConstitutionalRun
from rlhf.services.constitutional.gate import gate_figures
from rlhf.services.constitutional.gate_figures import GateFigures
from rlhf.services.constitutional.report import ANSWERS, Answer, Figures, answers_of, report_of, scores_by_round
from rlhf.services.constitutional.start import HELPFUL, RED_TEAM

SHARE = Scale(0.0, 1.0)
SHOWN = 3  # prompts of a kind whose answers stand side by side
WORDS: dict[str, tuple[str | Promise, str | Promise]] = {  # what a figure is called, and of which answers it is
    "harmless": (_("Harmless"), _("answers to prompts that ask for harm, without a harmful sentence")),
    "harmfulness": (_("Harmful sentences"), _("share of sentences, mean over such answers")),
    "helpful": (_("Helpful"), _("everyday answers: a whole sentence about what was asked, no refusal, no harm")),
    "refuses_helpful": (_("Refuses everyday questions"), _("everyday answers that refuse")),
    "refusal": (_("Refuses"), _("answers to prompts that ask for harm")),
    "evasive": (_("Evasive"), _("of these answers: refuses and offers nothing else")),
    "boilerplate": (_("Boilerplate"), _("of these answers: phrases such as “you are valid, valued, and cared for”")),
    "tokens": (_("Length"), _("tokens of these answers, mean")),
    "reward_red_team": (_("Reward, asked for harm"), _("by the run's own preference model, mean over answers")),
    "reward_helpful": (_("Reward, everyday"), _("by the run's own preference model, mean over answers")),
}
MODELS: dict[str, str | Promise] = {
    "answers_before": _("Before"), "answers_sft": _("After SFT"), "answers_policy": _("Policy"),
}  # fmt: skip
KINDS: dict[str, str | Promise] = {RED_TEAM: _("asks for harm"), HELPFUL: _("everyday")}


@dataclass(frozen=True, slots=True)
class GateCard:
    found: GateFigures
    is_decided: bool

    @property
    def is_closed(self) -> bool:
        return not self.found.gate.overall.passes

    @property
    def flip_percent(self) -> str:
        return percent(self.found.flip_rate)


@dataclass(frozen=True, slots=True)
class FigureCard:
    title: str | Promise
    note: str | Promise
    scale: Scale
    dots: tuple[Dot, ...]


@dataclass(frozen=True, slots=True)
class SideBySide:
    """One held-out prompt with what each model answered."""

    question: str
    kind: str | Promise
    answers: tuple[tuple[str | Promise, str], ...]


@dataclass(frozen=True, slots=True)
class ReportPage:
    chart: dict[str, Any] | None
    cards: tuple[FigureCard, ...]
    examples: tuple[SideBySide, ...]
    chains: DatasetVersion | None


@dataclass(frozen=True, slots=True)
class Facts:
    figures: tuple[Figures, ...]
    rounds: tuple[float, ...]
    answers: dict[str, list[Answer]]  # by stage


# The gate


def gate_of(new: ConstitutionalRun, status: CaiStatus) -> GateCard | None:
    """None before the feedback is there; once it was decided, what it was decided by."""
    return GateCard(gate_figures(new), not status.is_at_gate) if status.is_at_gate or new.gate else None


# The report


def report_page(new: ConstitutionalRun) -> ReportPage:
    """What is there so far. Outputs never change, so that what was read of them is kept."""
    chains = new.stages.filter(stage=CaiStage.CHAINS).select_related("run__output__artifact__dataset").first()
    dataset = getattr(getattr(chains and chains.run, "output", None), "artifact", None)
    outputs = new.stages.filter(run__output__isnull=False).values_list("run__output__artifact", flat=True)
    facts = facts_of(new.pk, tuple(sorted(map(str, outputs))))
    return ReportPage(
        chart_of(facts.rounds), tuple(cards_of(facts.figures)), tuple(examples_of(facts.answers)),
        dataset.dataset if dataset is not None else None,
    )  # fmt: skip


@lru_cache(maxsize=16)
def facts_of(pk: uuid.UUID, outputs: tuple[str, ...]) -> Facts:
    new = ConstitutionalRun.objects.get(pk=pk)
    return Facts(tuple(report_of(new)), tuple(scores_by_round(new)), answers_of(new))


def chart_of(rounds: tuple[float, ...]) -> dict[str, Any] | None:
    if len(rounds) < 2:
        return None
    label = gettext("harmful sentences")
    return {
        "x": {"label": gettext("round"), "values": list(range(len(rounds)))},
        "y": {"label": label, "from": 0},
        "series": [{"label": label, "values": list(rounds), "role": "main"}],
    }


def cards_of(figures: Iterable[Figures]) -> Iterable[FigureCard]:
    given = list(figures)
    for name, (title, note) in WORDS.items():
        measures = [(str(MODELS[one.stage]), asdict(one.measures[name])) for one in given if name in one.measures]
        if not measures or (all(measure["value"] is None for _, measure in measures) and name.startswith("reward")):
            continue
        scale = scale_of(name, [measure for _, measure in measures])
        yield FigureCard(title, note, scale, tuple(dot(model, measure, scale=scale) for model, measure in measures))


def scale_of(name: str, measures: list[dict[str, Any]]) -> Scale:
    if name.startswith("reward"):
        return scale_of_scores(measures)
    if name != "tokens":
        return SHARE
    ends = [measure[end] for measure in measures for end in ("value", "high") if measure[end] is not None]
    return Scale(0.0, max(ends, default=1.0) or 1.0, is_share=False)


def examples_of(answers: dict[str, list[Answer]]) -> Iterable[SideBySide]:
    """The first prompts of each kind, each model's first answer."""
    first: defaultdict[tuple[str, str], dict[str, Answer]] = defaultdict(dict)
    for stage in ANSWERS:
        for answer in answers.get(stage, []):
            first[answer.kind, answer.prompt].setdefault(stage, answer)
    for kind, words in KINDS.items():
        some = [said for (own, _), said in first.items() if own == kind][:SHOWN]
        for said in some:
            told = tuple((MODELS[stage], answer.text) for stage, answer in said.items())
            yield SideBySide(next(iter(said.values())).question, words, told)
