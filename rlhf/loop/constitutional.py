"""Constitutional AI headless: the steps in their order, each kept in the database, so that one that was stopped goes on.

A model is taught to answer whatever is asked, harm included (`demo.red_team`): at the small scale one made from zero, whose
answers a list of words critiques and judges; at the full one SmolLM2, whose answers it critiques and judges as it was before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from accounts.models import User
from annotation.models import Campaign
from annotation.services.completions import request_completions
from annotation.services.snapshot import freeze_snapshot
from annotation.simulation import simulate_raters
from registry.models import DatasetKind, DatasetVersion, ModelVersion
from registry.services.datasets import freeze_dataset
from rlhf.demo import people, red_team
from rlhf.demo import steps as demo
from rlhf.loop.steps import work
from rlhf.models import CaiState, ConstitutionalRun
from rlhf.services.constitutional.gate import closed_because, gate_figures, go_through, send_rest_to_people
from rlhf.services.constitutional.gate_figures import GateFigures
from rlhf.services.constitutional.plan import Plan
from rlhf.services.constitutional.start import start_constitutional
from rlhf.services.constitutional.votes import open_votes
from rlhf.services.constitutions.documents import import_document, read_bytes
from rlhf.services.constitutions.publishing import publish
from runs.models import Run
from training.recipes import RECIPES

NAME, MODEL = "harmless", "village-sft"
CONSTITUTION = demo.FOLDER / "constitutions" / "general.json"
SEED = 0
Rows = Callable[[red_team.Split], list[dict[str, Any]]]


@dataclass(frozen=True, slots=True)
class Scale:
    """`makes_base` makes the helper's base from zero; else it is SmolLM2. Simulated raters add `noise` to how helpful a
    text is to them, and `harm_noise` to how harmless. They vote on at most `voted` prompts of a kind."""

    preset: str
    makes_base: bool
    noise: float
    harm_noise: float
    plan: Plan
    voted: int = 60
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)  # of the runs before, by what they make


SCALES = {
    "tiny": Scale(
        preset="tiny",
        makes_base=True,
        noise=0.05,
        harm_noise=0.05,
        plan=Plan(
            preset="tiny",
            people_share=35,
            changes={
                "chains": {"critic": "rules", "temperature": 0.7, "max_new_tokens": 64},
                "sft": {"epochs": 2},
                "pairs": {"max_new_tokens": 64, "temperatures": [1.0]},
                "judge": {"critic": "rules"},
                **{f"answers_{name}": {"k": 2, "max_new_tokens": 64} for name in ("before", "sft", "policy")},
                "compare": {"max_new_tokens": 64},
            },
        ),
        changes={"pretrain": {"steps": 400}, "sft": {"epochs": 6}},
    ),
    "full": Scale(
        preset="demo",
        makes_base=False,
        noise=0.3,
        harm_noise=0.02,  # most pairs are alike in harm, and more noise would decide between them
        plan=Plan(
            preset="demo",
            people_share=35,
            changes={
                "chains": {"temperature": 0.7, "critic_temperature": 0.7},  # at 1 so small a model writes nonsense
                **{f"answers_{name}": {"k": 2} for name in ("before", "sft", "policy")},
            },
        ),
        changes={"sft": {"epochs": 1, "learning_rate": 1e-4}},  # what it knew of critiques is to stay
    ),
}


@dataclass(frozen=True, slots=True)
class Done:
    run: ConstitutionalRun
    gate: GateFigures


def go(scale: Scale, *, tell: Callable[[str], None]) -> Done:
    """Where the gate stays closed, what it holds back is ranked by the simulated rater, and learned from in its stead.

    Raises `RunsFailed` where a run did not succeed.
    """
    people.make_people()
    admin = User.objects.get(username="admin")
    model = helper(scale, admin=admin, tell=tell)
    asked = {
        "village-red-team": prompts("village-red-team", red_team.red_team, admin=admin),
        "village-questions": prompts("village-questions", red_team.helpful, admin=admin),
    }
    human = rankings_of_helpfulness(scale, model=model, admin=admin, tell=tell)
    new = ConstitutionalRun.objects.filter(name=NAME).first() or start_constitutional(
        NAME, constitution=constitution(admin), model=model, red_team=asked["village-red-team"],
        helpful=asked["village-questions"], human=human, feedback=None if scale.makes_base else untaught(), plan=scale.plan,
        user=admin,
    )  # fmt: skip
    work(tell)
    if new.state == CaiState.FEEDBACK:
        decide(new, scale, admin=admin, tell=tell)
    work(tell)
    vote(new, scale, admin=admin, tell=tell)
    return Done(new, gate_figures(new))


def decide(new: ConstitutionalRun, scale: Scale, *, admin: User, tell: Callable[[str], None]) -> None:
    def rank() -> int:
        return simulate_raters(new.campaign, num_raters=1, seed=SEED, noise=scale.harm_noise, likes="harmless").rankings

    tell(f"{rank():,} rankings of the blind overlap by a simulated rater")
    gate = gate_figures(new).gate
    if not gate.overall.passes:
        tell(f"{closed_because(gate)} What it holds back goes to people.")
        send_rest_to_people(new, user=admin)
        tell(f"{rank():,} rankings of what the gate held back")
    go_through(new, user=admin, people_alone=not gate.overall.passes)


def vote(new: ConstitutionalRun, scale: Scale, *, admin: User, tell: Callable[[str], None]) -> None:
    """By a simulated rater whom harm repels first, and who likes what is brief among what does none."""
    campaign = open_votes(new, limit=scale.voted, user=admin)
    said = simulate_raters(campaign, num_raters=1, seed=SEED, noise=scale.noise, likes="careful")
    tell(f"{said.rankings:,} blind votes by a simulated rater")


def helper(scale: Scale, *, admin: User, tell: Callable[[str], None]) -> ModelVersion:
    """The model that is to become harmless: one that was taught to answer whatever is asked."""
    talks = dataset("village-talks", DatasetKind.INSTRUCTIONS, red_team.talks, admin=admin).artifact
    base = base_from_zero(scale, admin=admin) if scale.makes_base else demo.chat_model(admin)
    demo.once(
        "sft", output_name=MODEL, inputs={"model": base, "instructions": talks}, recipe=scale.changes.get("sft", {}),
        preset=scale.preset, user=admin,
    )  # fmt: skip
    work(tell)
    return ModelVersion.objects.get(name=MODEL)


def untaught() -> ModelVersion:
    return ModelVersion.objects.get(name=demo.CHAT_MODEL)


def base_from_zero(scale: Scale, *, admin: User) -> Run:
    texts = dataset("village-texts", DatasetKind.CORPUS, red_team.corpus, admin=admin).artifact
    told: dict[str, Any] = {"preset": scale.preset, "user": admin}
    words = demo.once("tokenizer", output_name="village-tokenizer", inputs={"corpus": texts}, **told)
    return demo.once(
        "pretrain", output_name="village-base", inputs={"tokenizer": words, "corpus": texts},
        recipe=scale.changes.get("pretrain", {}), **told,
    )  # fmt: skip


def dataset(name: str, kind: DatasetKind, rows: Rows, *, admin: User) -> DatasetVersion:
    known = DatasetVersion.objects.filter(name=name).first()
    splits: dict[str, Iterable[dict[str, Any]]] = {"train": rows("train"), "test": rows("test")}
    return known or freeze_dataset(name, kind=kind, splits=splits, user=admin, card="Written for the demo.")


def prompts(name: str, rows: Rows, *, admin: User) -> DatasetVersion:
    return dataset(name, DatasetKind.PROMPTS, rows, admin=admin)


def constitution(admin: User) -> DatasetVersion:
    """The general one, published; the same dataset however often it is asked for."""
    version = import_document(read_bytes(CONSTITUTION.read_bytes()), user=admin).version
    if version.is_draft:
        version = publish(version, seen=version.edits, user=admin)
    assert version.dataset is not None
    return version.dataset


def rankings_of_helpfulness(
    scale: Scale, *, model: ModelVersion, admin: User, tell: Callable[[str], None]
) -> DatasetVersion:
    """By simulated raters who like brief answers, on everyday questions."""
    name = "village-helpfulness"
    if known := DatasetVersion.objects.filter(name=name).first():
        return known
    rows = [{**row, "held_out": split == "test"} for split in ("train", "test") for row in red_team.helpful(split)]
    campaign: Campaign = demo.campaign_of("Village questions", rows=rows, raters=[], user=admin, overlap=1)
    if not campaign.tasks.exists():
        request_completions(
            campaign, model=model, user=admin, recipe={**RECIPES["generate"].presets[scale.preset], "k": campaign.k}
        )
        work(tell)
    simulate_raters(campaign, num_raters=1, seed=SEED, noise=scale.noise)
    return freeze_snapshot(campaign, name=name, user=admin)
