"""An adapter merged into its base: a full model that says what the two said, for whoever serves no adapters.

W + (alpha / r) B A, layer by layer, in float32 (Hu et al. 2021, section 4.1); of a stack of adapters each in its turn. Before
anything is stored, both forms read the same tokens, and a merge that says something else ends the run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from torch import Tensor
from transformers import AutoModelForCausalLM

from training.context import RunContext, Stopped
from training.contract import Failure, Input
from training.mechanics import adapters, models
from training.mechanics.naming import named
from training.recipes.merge import MergeRecipe

MOST_APART = 1e-3  # of a logit, in float32: what the order of sums leaves, with room
PROBE = 64  # tokens
PHASES = 3
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, MergeRecipe)
    given = context.input("model")
    if given.base is None:
        raise Failure(
            "not_an_adapter",
            f"{named(given)} is a full model: there is nothing to merge.",
            advice="Choose a model that is an adapter.",
        )
    adapters.refuse_virtual(given)
    tokenizer = models.load_tokenizer(given)
    tell(context, 0)
    unmerged = read_unmerged(given)
    probe = probe_of(tokenizer)
    with torch.no_grad():
        said = unmerged(input_ids=probe).logits
        tell(context, 1)
        model = unmerged.merge_and_unload().eval()
        apart = difference(model(input_ids=probe).logits, said)
        if not apart <= MOST_APART:
            raise Failure(
                "merge_differs",
                f"Merged, the model's logits differ by {apart:.2g} from those of base and adapter: nothing was stored.",
                advice="Train the adapter again, or serve it beside its base.",
            )
        tell(context, 2)
        model.to(DTYPES[recipe.dtype])
        rounded = difference(model(input_ids=probe).logits.float(), said)
    models.publish_model(model, tokenizer, context.output)
    tell(context, PHASES)
    metrics = {"logits_apart": apart, "stored_logits_apart": rounded, "num_adapters": len(given.between) + 1}
    context.metric(0, **metrics)
    return {**metrics, "num_parameters": models.count_parameters(model)}


def read_unmerged(given: Input) -> Any:
    """In float32, with the topmost adapter beside its base, and those below it merged. Raises `Failure`."""
    *below, top = given.folders
    base = Input(
        below[-1], given.kind, "", given.name, base=below[0] if below[1:] else None, between=tuple(below[1:-1])
    )
    model = models.load(AutoModelForCausalLM, base, dtype=torch.float32)
    adapters.refuse_missing(Path(top), given=given)
    return PeftModel.from_pretrained(model, top).eval()


def probe_of(tokenizer: Any) -> Tensor:
    """Every so many of all tokens: (1, T)."""
    step = max(1, len(tokenizer) // PROBE)
    return torch.arange(0, len(tokenizer), step)[None, :PROBE]


def difference(one: Tensor, other: Tensor) -> float:
    return float((one - other).abs().max())


def tell(context: RunContext, step: int) -> None:
    if context.stop_requested:
        raise Stopped
    context.progress("merging", step, PHASES, unit="phases")
