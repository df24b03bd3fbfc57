"""Chains: a prompt's response and what became of it round by round; which texts are learned, and how all is written down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from training.context import RunContext
from training.contract import Failure
from training.mechanics import datasets
from training.mechanics.constitutional.leaks import Cleaned
from training.mechanics.constitutional.principles import Principle
from training.mechanics.curation.rows import MESSAGES, SCHEMAS
from training.mechanics.generation import completions, sampling
from training.recipes import harm
from training.recipes.constitutional import ConstitutionalRecipe

SPLITS = ("train", "test")
STEPS = pa.list_(
    pa.struct(
        [
            ("round", pa.int32()), ("principle", pa.string()), ("critique", pa.string()), ("revision", pa.string()),
            ("kept", pa.bool_()), ("why", pa.string()),
        ]
    )
)  # fmt: skip
CHAINS = pa.schema(
    [
        ("id", pa.string()), ("prompt_id", pa.string()), ("kind", pa.string()), ("prompt", MESSAGES),
        ("response", pa.string()), ("steps", STEPS), ("scores", pa.list_(pa.float64())), ("chosen", pa.list_(pa.string())),
    ]
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """`revision` is the reply that goes on where it was `kept`, and otherwise the critic's own words; `why` it was not."""

    round: int
    principle: str
    critique: str
    revision: str
    kept: bool
    why: str


@dataclass(slots=True)
class Chain:
    """`seed` follows from the run's seed, the recipe's and the prompt's words; all that is drawn for the chain from it."""

    prompt_id: str
    kind: Literal["revised", "helpful"]
    split: str
    index: int
    messages: list[datasets.Message]
    seed: int
    response: str = ""
    ended: bool = True
    steps: list[Step] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    chosen: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """As it stands after the last round."""
        return self.texts[-1]

    @property
    def texts(self) -> list[str]:
        """The response, and the text after each round."""
        found = [self.response]
        for step in self.steps:
            found.append(step.revision if step.kept else found[-1])
        return found

    def take(self, number: int, principle: Principle, *, critique: str, answer: str, cleaned: Cleaned) -> None:
        revision = cleaned.text if cleaned.is_kept else answer.strip()
        self.steps.append(Step(number, principle.id, critique, revision, cleaned.is_kept, cleaned.why))

    def id(self, run: str, *more: object) -> str:
        return completions.completion_id(run, " ".join(map(str, (self.kind, self.prompt_id, *more))), self.index)


# What is to be done


def plan(context: RunContext, recipe: ConstitutionalRecipe) -> list[Chain]:
    """Chains to be revised, then helpful ones. Raises `Failure` ("no_rows", "bad_prompt")."""
    seeded = context.spec.seed, recipe.seed
    revised = chains_of(context, "prompts", "revised", *seeded, samples=recipe.samples)
    helpful = chains_of(context, "helpful", "helpful", *seeded, samples=recipe.samples)
    if not revised:
        raise Failure("no_rows", "The dataset has no prompt to answer.", advice="Add prompts, then start again.")
    hold_out(context, [*revised, *helpful])
    if recipe.helpful_share is not None:
        most = (recipe.rounds or 1) if recipe.learn == "all" else 1
        helpful = [
            chain
            for split in SPLITS
            for chain in some([one for one in helpful if one.split == split],
                              wanted(most * sum(one.split == split for one in revised), recipe.helpful_share))
        ]  # fmt: skip
    return [*revised, *helpful]


def chains_of(
    context: RunContext, name: str, kind: Literal["revised", "helpful"], *seeded: int, samples: int
) -> list[Chain]:
    if not context.has_input(name):
        return []
    rows = [(split, row) for split in SPLITS for row in datasets.read_rows(context.input(name), split=split)]
    asked = [datasets.messages_of(row) for _, row in rows]
    for (_, row), messages in zip(rows, asked, strict=True):
        if messages[0]["role"] == "assistant" or messages[-1]["role"] != "user":
            raise Failure(
                "bad_prompt",
                f"Prompt {row['id']} does not begin with a person's turn and end with one.",
                advice="Leave it out: what is learned are answers to people.",
            )
    seeds = sampling.seeds_of(asked, *seeded, kind, samples=samples)
    return [
        Chain(row["id"], kind, split, index, messages, seed)
        for (split, row), messages, own in zip(rows, asked, seeds, strict=True)
        for index, seed in enumerate(own)
    ]


def hold_out(context: RunContext, chains: Sequence[Chain]) -> None:
    """What begins as a held-out prompt does is held out itself, whichever dataset it comes from."""
    held_out = {beginning(chain) for chain in chains if chain.split == "test"}
    moved = [chain for chain in chains if chain.split != "test" and beginning(chain) in held_out]
    for chain in moved:
        chain.split = "test"
    if moved:
        context.log(f"{len(moved)} answers to prompts that begin like held-out ones are held out, too.")


def beginning(chain: Chain) -> str:
    """Up to the first answer: the identity of a conversation by which splits are kept apart."""
    roles = [message["role"] for message in chain.messages]
    until = roles.index("assistant") if "assistant" in roles else None
    return repr([(message["role"], message["content"]) for message in chain.messages[:until]])


def wanted(revised: int, share: float) -> int:
    """Helpful rows beside so many revised ones, so that they are that share of all: h / (h + r) = share."""
    return math.floor(revised * share / (1 - share) + 0.5)


def some(chains: list[Chain], count: int) -> list[Chain]:
    """So many of them, by lot of their own seeds, in their order."""
    chosen = sorted(chains, key=lambda chain: sampling.seed_of("chosen", chain.seed))[:count]
    ids = {id(chain) for chain in chosen}
    return [chain for chain in chains if id(chain) in ids]


# What is learned


def choose(context: RunContext, recipe: ConstitutionalRecipe, chains: Sequence[Chain]) -> None:
    """Fills `chosen`. Raises `Failure("nothing_learned")`."""
    for chain in chains:
        chain.chosen = learned(recipe, chain)
    if recipe.helpful_share is not None:
        for split in SPLITS:
            here = [chain for chain in chains if chain.split == split]
            count = wanted(sum(len(one.chosen) for one in here if one.kind == "revised"), recipe.helpful_share)
            helpful = [one for one in here if one.kind == "helpful" and one.chosen]
            if len(helpful) < count:
                context.warn("few_helpful", f"For that share {count} helpful answers are wanted in {split}: there are"
                                            f" {len(helpful)}.")  # fmt: skip
            staying = {id(chain) for chain in some(helpful, count)}
            for chain in helpful:
                chain.chosen = chain.chosen if id(chain) in staying else []
    if not any(chain.chosen for chain in chains) and context.probe is None:
        raise Failure(
            "nothing_learned",
            "No revision of any answer was kept, so there is nothing to learn.",
            advice="Read the samples: a critic that is too small repeats the request or the reply. Choose another one.",
        )


def learned(recipe: ConstitutionalRecipe, chain: Chain) -> list[str]:
    if chain.kind == "helpful" or not recipe.rounds:
        texts = [] if recipe.drop_cut and not chain.ended else [chain.response]
    else:
        texts = [step.revision for step in chain.steps if step.kept]
        texts = texts if recipe.learn == "all" else texts[-1:]
        if recipe.drop_evasive:
            texts = [text for text in texts if not harm.is_evasive(text)]
    return list(dict.fromkeys(text for text in texts if text.strip()))


def write(output: Path, run: str, chains: Sequence[Chain], *, card: str) -> None:
    """`data/`, as any dataset of instructions, and `chains/` with all that it came from. A split without rows has no file."""
    for folder, schema, rows_of in (
        ("data", SCHEMAS["instructions"], instruction_rows),
        ("chains", CHAINS, chain_rows),
    ):
        (output / folder).mkdir(exist_ok=True)
        for split in SPLITS:
            if rows := [row for chain in chains if chain.split == split for row in rows_of(run, chain)]:
                table = pa.Table.from_pylist(rows, schema=schema)
                pq.write_table(table, output / folder / f"{split}-00000-of-00001.parquet", compression="zstd")
    (output / "README.md").write_text(f"# Critiques and revisions\n\n{card}\n")


def instruction_rows(run: str, chain: Chain) -> list[dict[str, Any]]:
    return [
        {"id": chain.id(run, number), "messages": [*chain.messages, {"role": "assistant", "content": text}]}
        for number, text in enumerate(chain.chosen)
    ]


def chain_rows(run: str, chain: Chain) -> list[dict[str, Any]]:
    return [
        {
            "id": chain.id(run), "prompt_id": chain.prompt_id, "kind": chain.kind, "prompt": chain.messages,
            "response": chain.response, "steps": [asdict(step) for step in chain.steps], "scores": chain.scores,
            "chosen": chain.chosen,
        }
    ]  # fmt: skip
