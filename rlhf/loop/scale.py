"""How large a headless loop is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Scale:
    """`preset` names the recipes; `has_chat_model` ranks SmolLM2's completions, else those of the model made from zero."""

    name: str
    preset: str
    has_chat_model: bool
    has_controls: (
        bool  # the same round on rankings whose order was shuffled, and on their opposite: nothing may come of them
    )
    num_corpus_rows: int | None
    num_prompts: int
    num_held_out: int
    ranks_held_out: bool  # raters rank them too: what is held out by its content alone is a few prompts
    raters: int
    overlap: int
    noise: float  # standard deviation that a simulated rater adds to each utility, in units of the utility
    changes: dict[str, dict[str, Any]] = field(default_factory=dict)  # to the preset, by stage


TINY = Scale(
    name="tiny",
    preset="tiny",
    has_chat_model=False,
    has_controls=False,
    num_corpus_rows=400,
    num_prompts=24,
    num_held_out=8,
    ranks_held_out=False,
    raters=1,  # of two it would be chance who ranks what: with one, the loop gives the same figures whenever it is run
    overlap=1,
    noise=0.1,
    changes={"ppo": {"target_kl": 3.0}},  # a model so small runs far past its target before the price reacts
)
FULL = Scale(
    name="full",
    preset="demo",
    has_chat_model=True,
    has_controls=True,
    num_corpus_rows=None,
    num_prompts=192,
    num_held_out=32,
    ranks_held_out=True,
    raters=4,
    overlap=2,
    noise=0.3,
    # Twice the demo's prompts, so fewer readings of each, and fewer evaluations, which read every held-out text.
    changes={"reward": {"epochs": 2, "eval_every": 100}, "dpo": {"eval_every": 40}},
)
SCALES = {scale.name: scale for scale in (TINY, FULL)}
