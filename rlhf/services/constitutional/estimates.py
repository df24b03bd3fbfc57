"""What a constitutional run would take: the stages whose inputs are there are probed, the others go by the last such run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypedDict

from django.utils.translation import gettext

from accounts.models import User
from registry.models import DatasetVersion, ModelVersion
from rlhf.models import CaiStage
from rlhf.services.constitutional.plan import Plan, check_plan
from rlhf.services.constitutional.start import check
from runs.models import Run, RunState
from runs.services.estimate import REASONS, ask_estimate, known_estimate
from runs.services.inputs import Given
from runs.services.start import check_recipe, fingerprint_of

PROBED = (CaiStage.CHAINS, CaiStage.PAIRS)
BY_PACE = (CaiStage.ANSWERS_BEFORE, CaiStage.ANSWERS_SFT, CaiStage.ANSWERS_POLICY)  # as the pairs are written
LAST_ONES = 20  # of a method's runs that are looked through for one like it
ROWS_OF = {  # the input of a past run whose rows its time is taken to go by; the others do so many steps whatever they read
    CaiStage.SFT: "instructions", CaiStage.JUDGE: "completions", CaiStage.REWARD: "preferences", CaiStage.POLICY: "preferences",
    CaiStage.COMPARE: "prompts", CaiStage.SCORES: "prompts",
}  # fmt: skip


class Makings(TypedDict):
    """What a constitutional run is made of, as `start_constitutional` takes it."""

    constitution: DatasetVersion
    model: ModelVersion
    red_team: DatasetVersion
    helpful: DatasetVersion
    human: DatasetVersion | None
    feedback: ModelVersion | None
    plan: Plan


@dataclass(frozen=True, slots=True)
class StageEstimate:
    """`seconds` is None where nothing is known; `words` says by what it is known, or why not."""

    stage: CaiStage
    seconds: float | None
    words: str
    run: Run | None = None  # the probe, or the run that it goes by

    @property
    def is_under_way(self) -> bool:
        return self.run is not None and not self.run.has_ended


@dataclass(frozen=True, slots=True)
class Total:
    """`unknown` stages are not in the `seconds`."""

    seconds: float
    unknown: int
    is_under_way: bool


def probe(makings: Makings, *, user: User | None) -> None:
    """Starts what can be tried now, or finds that it was tried. Raises `BadConstitutionalRun`, `BadPlan`, `BadRecipe`."""
    check_makings(makings)
    plan = makings["plan"]
    for stage in PROBED:
        if not is_by_endpoint(plan, stage):
            ask_estimate(
                plan.method(stage), recipe=recipe_of(plan, stage), inputs=inputs_of(makings, stage), user=user,
                title=str(stage.label), preset=plan.preset,
            )  # fmt: skip


def estimates_of(makings: Makings) -> list[StageEstimate]:
    """Of each stage, in the order in which they go."""
    plan = makings["plan"]
    probed = {stage: by_probe(makings, stage) for stage in PROBED}
    found = []
    for stage in CaiStage:
        if stage in probed:
            found.append(probed[stage])
        elif stage in BY_PACE:
            found.append(by_pace(makings, stage, probed[CaiStage.PAIRS]))
        elif is_by_endpoint(plan, stage):
            found.append(StageEstimate(stage, None, gettext(REASONS[0])))
        else:
            found.append(by_last_run(makings, stage))
    return found


def total_of(estimates: list[StageEstimate]) -> Total:
    known = [one.seconds for one in estimates if one.seconds is not None]
    return Total(sum(known), len(estimates) - len(known), any(one.is_under_way for one in estimates))


def check_makings(makings: Makings) -> None:
    check_plan(makings["plan"])
    check(
        constitution=makings["constitution"], model=makings["model"], red_team=makings["red_team"],
        helpful=makings["helpful"], human=makings["human"],
    )  # fmt: skip


# Probes


def by_probe(makings: Makings, stage: CaiStage) -> StageEstimate:
    plan = makings["plan"]
    if is_by_endpoint(plan, stage):
        return StageEstimate(stage, None, gettext(REASONS[0]))
    method = plan.method(stage)
    fields = check_recipe(method, recipe_of(plan, stage), preset=plan.preset).model_dump(mode="json")
    run = known_estimate(fingerprint_of(method, fields, inputs_of(makings, stage), seed=0))
    if run is None:
        return StageEstimate(stage, None, gettext("Not tried yet."))
    if run.state != RunState.SUCCEEDED:
        return StageEstimate(stage, None, gettext("Being tried."), run)
    return StageEstimate(stage, float(run.metrics["seconds"]), gettext("Tried on this machine."), run)


def by_pace(makings: Makings, stage: CaiStage, pairs: StageEstimate) -> StageEstimate:
    if pairs.seconds is None:
        return StageEstimate(stage, None, pairs.words, pairs.run)
    plan = makings["plan"]
    written = sum(makings["red_team"].splits.values()) * recipe_of(plan, CaiStage.PAIRS)["k"]
    num = asked(makings) * check_recipe("generate", plan.recipe(stage), preset=plan.preset).model_dump()["k"]
    return StageEstimate(
        stage, pairs.seconds * num / max(written, 1), gettext("By the pace at which pairs are written."), pairs.run
    )


def recipe_of(plan: Plan, stage: CaiStage) -> dict[str, Any]:
    return plan.recipe(stage) | ({"k": 2} if stage == CaiStage.PAIRS else {})


def inputs_of(makings: Makings, stage: CaiStage) -> dict[str, Given]:
    """Pairs will be written by the tuned model, which is as large as the one that is there."""
    model, red_team = makings["model"].artifact, makings["red_team"].artifact
    if stage == CaiStage.PAIRS:
        return {"model": model, "prompts": red_team}
    feedback = makings["feedback"]
    return {
        "model": model, "prompts": red_team, "helpful": makings["helpful"].artifact,
        "constitution": makings["constitution"].artifact,
        **({"feedback": feedback.artifact} if feedback is not None else {}),
    }  # fmt: skip


def is_by_endpoint(plan: Plan, stage: CaiStage) -> bool:
    return bool(plan.recipe(stage).get("critic") == "endpoint")


# Runs before


def by_last_run(makings: Makings, stage: CaiStage) -> StageEstimate:
    """The newest run of the method and preset on a model of the same size, its time scaled by the rows that it read."""
    plan = makings["plan"]
    method = plan.method(stage)
    past = Run.objects.filter(method=method, preset=plan.preset, state=RunState.SUCCEEDED, is_estimate=False, attempt=1)
    for run in past.order_by("-finished_at", "-pk")[:LAST_ONES]:
        given = {
            one.name: one.artifact for one in run.inputs.select_related("artifact__model", "artifact__dataset", "after")
        }
        if run.used and is_like(given, makings["model"]):
            read = rows_read(given, stage)
            scale = rows_planned(makings, stage) / read if read else 1.0
            told = gettext("By the last run of this kind, “%(run)s”.") % {"run": run.title}
            return StageEstimate(stage, run.used["seconds"] * scale, told, run)
    return StageEstimate(stage, None, gettext("Not known: there was no such run of a model of this size yet."))


def is_like(given: dict[str, Any], model: ModelVersion) -> bool:
    first = next((given[name] for name in ("model", "policy", "reward") if given.get(name) is not None), None)
    return first is None or (hasattr(first, "model") and first.model.num_parameters == model.num_parameters)


def rows_read(given: dict[str, Any], stage: CaiStage) -> int:
    artifact = given.get(ROWS_OF.get(stage, ""))
    return artifact.dataset.num_rows if artifact is not None and hasattr(artifact, "dataset") else 0


def rows_planned(makings: Makings, stage: CaiStage) -> int:
    """The most there can be: each revision is kept, and no pair is held back at the gate."""
    plan, red_team = makings["plan"], sum(makings["red_team"].splits.values())
    told = check_recipe("constitutional", plan.recipe(CaiStage.CHAINS), preset=plan.preset).model_dump()
    human = makings["human"].num_rows if makings["human"] is not None else 0
    revised = red_team * (told["rounds"] if told["learn"] == "all" else 1)
    planned: dict[CaiStage, int] = {
        CaiStage.SFT: (revised + sum(makings["helpful"].splits.values())) * told["samples"],
        CaiStage.JUDGE: 2 * red_team,
        CaiStage.REWARD: red_team + human, CaiStage.POLICY: red_team + human,
        CaiStage.COMPARE: asked(makings), CaiStage.SCORES: asked(makings),
    }  # fmt: skip
    return planned.get(stage, 1)


def asked(makings: Makings) -> int:
    """Held-out prompts, on which models are compared."""
    return int(makings["red_team"].splits["test"]) + int(makings["helpful"].splits["test"])
