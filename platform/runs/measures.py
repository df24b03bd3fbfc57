"""What a measurement of several models left, read for a page: figures side by side, and what each cost beside what it gained."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from django.urls import reverse
from django.utils.translation import gettext, gettext_noop

from accounts.numbers import digits, whole
from registry.models import ModelRole, ModelVersion
from runs.models import Run, RunState
from runs.reports import has_report

ROWS_SHOWN = 12
MOST_LABELS = 24  # of a confusion matrix that a person reads
# Figure -> what it is called, how it is written, and whether more is better.
FIGURES: dict[str, tuple[str, str, bool]] = {
    "corpus_bits_per_byte": (gettext_noop("Corpus, bits per byte"), ".3f", False),
    "corpus_perplexity": (gettext_noop("Corpus, perplexity by its own tokens"), ".1f", False),
    "forgetting": (gettext_noop("Forgotten: bits per byte above the first model"), "+.3f", False),
    "answers_loss": (gettext_noop("Answers, loss a token"), ".3f", False),
    "answers_bits_per_byte": (gettext_noop("Answers, bits per byte"), ".3f", False),
    "bleu": (gettext_noop("BLEU"), ".1f", True),
    "rouge_1": (gettext_noop("ROUGE-1"), ".3f", True),
    "rouge_2": (gettext_noop("ROUGE-2"), ".3f", True),
    "rouge_l": (gettext_noop("ROUGE-L"), ".3f", True),
    "accuracy": (gettext_noop("Accuracy"), ".1%", True),
    "exact_match": (gettext_noop("Exact match"), ".1%", True),
    "f1": (gettext_noop("F1"), ".3f", True),
    "f1_macro": (gettext_noop("F1, mean over labels"), ".3f", True),
    "ece": (gettext_noop("Calibration error"), ".3f", False),
    "ended": (gettext_noop("Share that ended by itself"), ".1%", True),
}
# What models are set against their cost by: the first that two of them have, and not both alike.
QUALITY = ("score", "exact_match", "rouge_l", "answers_bits_per_byte", "corpus_bits_per_byte")
QUALITY_LABELS = {"score": gettext_noop("Labelled texts: accuracy or F1")}


@dataclass(frozen=True, slots=True)
class Cell:
    value: str
    interval: str = ""
    is_best: bool = False


@dataclass(frozen=True, slots=True)
class FigureRow:
    label: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Cost:
    """One model: what it took (where that is known), and what came of it."""

    name: str
    url: str
    method: str
    trained: str
    size: str
    minutes: str
    quality: str
    forgetting: str


@dataclass(frozen=True, slots=True)
class Answers:
    prompt: str
    reference: str
    said: tuple[tuple[str, str], ...]  # model, text


@dataclass(frozen=True, slots=True)
class Measured:
    names: tuple[str, ...]
    figures: tuple[FigureRow, ...]
    costs: tuple[Cost, ...]
    quality: str
    chart: dict[str, Any] | None
    answers: tuple[Answers, ...]
    caption: str

    @property
    def chart_title(self) -> str:
        return gettext("%(quality)s, over trained parameters") % {"quality": self.quality}


@dataclass(frozen=True, slots=True)
class Confusion:
    """How often texts of each label (row) were called each (column)."""

    title: str
    labels: tuple[str, ...]
    rows: tuple[tuple[str, tuple[int, ...]], ...]


@dataclass(frozen=True, slots=True)
class _Model:
    """One model of the report, with its version and its run where the registry knows them."""

    told: dict[str, Any]
    version: ModelVersion | None
    run: Run | None

    @property
    def figures(self) -> dict[str, Any]:
        found: dict[str, Any] = self.told["figures"]
        return found

    @property
    def name(self) -> str:
        return self.version.name if self.version is not None else str(self.told["title"])

    @property
    def trained(self) -> int | None:
        """Parameters that its run trained; a base model has none that this comparison paid for."""
        if self.told["is_adapter"]:
            return int(self.told["own_parameters"])
        if self.version is None or self.version.role == ModelRole.BASE or self.version.method == "import_model":
            return None
        told = self.run.metrics.get("num_trained") if self.run is not None else None
        return int(told or self.told["own_parameters"])

    @property
    def minutes(self) -> float | None:
        if self.run is None or self.run.started_at is None or self.run.finished_at is None:
            return None
        return (self.run.finished_at - self.run.started_at).total_seconds() / 60


def measured_of(run: Run) -> Measured | None:
    if run.method != "measure" or run.is_estimate or not has_report(run):
        return None
    folder = run.output.artifact.folder
    told = json.loads((folder / "report.json").read_text())
    models = models_of(run, told["models"])
    quality = quality_of(models)
    return Measured(
        names=tuple(model.name for model in models),
        figures=figure_rows(models),
        costs=tuple(cost_of(model, quality) for model in models),
        quality=label_of(quality),
        chart=chart_of(models, quality),
        answers=answers_of(folder / "rows.parquet", models),
        caption=gettext("Held-out rows: %(sets)s. Intervals are 95 %% by bootstrap; the best figure of a row is bold.")
        % {"sets": ", ".join(f"{one['title'] or name} {whole(one['rows'])}" for name, one in told["sets"].items())},
    )


def models_of(run: Run, told: list[dict[str, Any]]) -> list[_Model]:
    given = {entry.name: entry.artifact for entry in run.inputs.select_related("artifact__model")}
    versions = {name: getattr(artifact, "model", None) for name, artifact in given.items()}
    runs = Run.objects.in_bulk({version.run for version in versions.values() if version is not None and version.run})
    found = []
    for one in told:
        version = versions.get(one["input"])
        found.append(_Model(one, version, runs.get(version.run) if version is not None and version.run else None))
    return found


def label_of(name: str) -> str:
    return gettext(QUALITY_LABELS.get(name) or FIGURES[name][0]) if name else ""


def figure_rows(models: list[_Model]) -> tuple[FigureRow, ...]:
    rows = []
    for name, (label, form, more_is_better) in FIGURES.items():
        values = [model.figures.get(name) for model in models]
        known = [value for value in values if value is not None]
        if not known:
            continue
        best = (max if more_is_better else min)(known) if len(set(known)) > 1 else None
        cells = [cell_of(model.figures, name, form, best) for model in models]
        rows.append(FigureRow(gettext(label), tuple(cells)))
    return tuple(rows)


def cell_of(figures: dict[str, Any], name: str, form: str, best: float | None) -> Cell:
    value = figures.get(name)
    if value is None:
        return Cell("–")
    interval = ""
    if f"{name}_low" in figures:
        low, high = (digits(figures[f"{name}_{end}"], form=form) for end in ("low", "high"))
        interval = gettext("%(low)s to %(high)s") % {"low": low, "high": high}
    return Cell(digits(value, form=form), interval, is_best=value == best)


def quality_of(models: list[_Model]) -> str:
    """By what models are set against their cost; nothing where no two have a figure in common.

    One that tells models apart, if there is any: free text matches nothing exactly.
    """
    values = {name: [model.figures[name] for model in models if name in model.figures] for name in QUALITY}
    common = [name for name in QUALITY if len(values[name]) > 1]
    return next((name for name in common if len(set(values[name])) > 1), common[0] if common else "")


def cost_of(model: _Model, quality: str) -> Cost:
    value, lost = model.figures.get(quality), model.figures.get("forgetting")
    return Cost(
        name=model.name,
        url=reverse("model", args=[model.version.pk]) if model.version is not None else "",
        method=model.version.method if model.version is not None else "",
        trained=whole(model.trained) if model.trained is not None else "–",
        size=gettext("%(size)s MB") % {"size": digits(model.told["bytes"] / 1e6, form=".2f")},
        minutes=digits(model.minutes, form=".1f") if model.minutes is not None else "–",
        quality=digits(value, form=".3f") if value is not None else "–",
        forgetting=digits(lost, form="+.3f") if lost is not None else "–",
    )


def chart_of(models: list[_Model], quality: str) -> dict[str, Any] | None:
    """Quality over trained parameters, a point a model with its interval; None for fewer than two points."""
    shown = [model for model in models if quality in model.figures and model.trained]
    if len(shown) < 2:
        return None
    places = sorted({model.trained for model in shown if model.trained is not None})

    def on_places(model: _Model, name: str) -> list[float | None]:
        return [model.figures.get(name) if model.trained == place else None for place in places]

    return {
        "x": {"label": gettext("trained parameters"), "values": places, "scale": "log"},
        "y": {"label": label_of(quality)},
        "series": [{"label": model.name, "values": on_places(model, quality), "role": "other"} for model in shown],
    }


def answers_of(path: Path, models: list[_Model]) -> tuple[Answers, ...]:
    if not path.exists():
        return ()
    return tuple(
        Answers(
            row["prompt"],
            row["reference"],
            tuple((model.name, row[model.told["input"]]) for model in models if model.told["input"] in row),
        )
        for row in pq.read_table(path).slice(0, ROWS_SHOWN).to_pylist()
    )


def confusions_of(run: Run) -> tuple[Confusion, ...]:
    """Of a fine-tuning on labels, or of each task model of a measurement, where labels are few enough to read."""
    if run.state != RunState.SUCCEEDED or run.is_estimate:
        return ()
    if run.method == "finetune":
        told = [(run.title, run.metrics.get("eval_confusion"))]
    elif run.method == "measure" and has_report(run):
        report = json.loads((run.output.artifact.folder / "report.json").read_text())
        told = [(model.name, model.figures.get("confusion")) for model in models_of(run, report["models"])]
    else:
        return ()
    return tuple(
        Confusion(
            title, tuple(counts["labels"]), tuple(zip(counts["labels"], map(tuple, counts["counts"]), strict=True))
        )
        for title, counts in told
        if counts and len(counts["labels"]) <= MOST_LABELS
    )
