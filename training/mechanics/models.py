"""Models and tokenizers between a folder and memory: safetensors only, nobody's code, adapters where they are allowed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors import SafetensorError, safe_open
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

from training import contract
from training.contract import Failure, Input
from training.mechanics.adapters import ADAPTER_CONFIG, put_on, refuse_virtual
from training.mechanics.naming import first_line, named
from training.mechanics.reward.score_rule import PLAIN, ScoreRule
from training.recipes.lora import LoRA

REWARD_SCALE = "reward.json"
MASKED_CLASSES = ("ForMaskedLM", "ForPreTraining")
PICKLES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".npy", ".npz", ".joblib", ".msgpack", ".h5")


@dataclass(frozen=True, slots=True)
class RewardScale:
    """`(raw - mean) / std`: scores with mean 0 and standard deviation 1 on the texts that a reward model learned from."""

    mean: float
    std: float

    def normalise(self, raw: float) -> float:
        return (raw - self.mean) / self.std


def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


# From a folder


def load_tokenizer(given: Input, *, ends: bool = True) -> Any:
    """Pads with the end token where there is no other; `ends`: it must have one. Raises `Failure("no_tokenizer")`."""
    if not Path(given.path, "tokenizer.json").is_file():
        raise Failure("no_tokenizer", f"{named(given)} has no tokenizer.json.", advice="Add the tokenizer's files.")
    try:
        tokenizer = AutoTokenizer.from_pretrained(given.path, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Failure("no_tokenizer", f"The tokenizer of {named(given)} can't be read: {first_line(error)}") from error
    except Exception as error:
        # The Rust library behind tokenizers raises bare `Exception` for a broken tokenizer.json.
        raise Failure("no_tokenizer", f"The tokenizer of {named(given)} is broken: {first_line(error)}") from error
    if tokenizer.eos_token_id is None and (ends or tokenizer.pad_token_id is None):
        raise Failure(
            "no_end_token",
            f"The tokenizer of {named(given)} names no end token: a model could never end its answer.",
            advice="Name eos_token in tokenizer_config.json.",
        )
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_causal(given: Input, *, dtype: torch.dtype, virtual_allowed: bool = False, **more: Any) -> Any:
    """A causal language model on the CPU, adapters merged into their base in their order.

    With `virtual_allowed` one of prompt or prefix tuning stays on it (`virtual_tokens.split` reads it). Raises `Failure`.
    """
    refuse_masked(given)
    return load(AutoModelForCausalLM, given, dtype=dtype, virtual_allowed=virtual_allowed, **more)


def load_reward(given: Input, *, dtype: torch.dtype, heads: int | None = None) -> Any:
    """A model whose heads come to a score by its `score_rule`; heads are fresh, from torch's random state, where the
    folder holds none.

    `heads` asks for so many. Raises `Failure("other_heads")` where the folder has others, `Failure("bad_heads")` where it
    says that it has other ones than it has.
    """
    refuse_masked(given)
    tokenizer = load_tokenizer(given)
    rule = checked_score_rule(given, heads=heads)
    model = load(AutoModelForSequenceClassification, given, dtype=dtype, num_labels=rule.heads)
    model.config.pad_token_id = tokenizer.pad_token_id
    model.score_rule = rule
    return model


def refuse_masked(given: Input) -> None:
    """Raises `Failure("masked_model")`: transformers would load one as a causal model, which writes noise."""
    try:
        config = json.loads(Path(given.base or given.path, "config.json").read_text(encoding="utf-8"))
        names = [str(name) for name in config.get("architectures") or []]
    except (OSError, ValueError, AttributeError, TypeError):
        return  # who loads it says what is wrong with it
    if masked := masked_class(names):
        raise Failure(
            "masked_model",
            f"{named(given)} is a masked language model ({masked}), which fills in gaps; what is needed here reads from left"
            " to right, as causal models do.",
            advice="Choose a causal model: one that was pretrained as Llama, Qwen3 or GPT-2, for example.",
        )


def masked_class(names: Sequence[str]) -> str:
    """The first of these class names of transformers that is a masked language model's, or ""."""
    return next((name for name in names if name.endswith(MASKED_CLASSES)), "")


def checked_score_rule(given: Input, *, heads: int | None = None) -> ScoreRule:
    """Raises `Failure` as `load_reward` does."""
    rule = read_score_rule(given)
    if heads is not None and rule is not None and rule.heads != heads:
        raise Failure(
            "other_heads",
            f"{named(given)} is a reward model whose number of heads is {rule.heads}; the recipe asks for {heads}.",
            advice="Ask for as many, or start from a model that is no reward model yet.",
        )
    trained = rule is not None
    rule = rule or ScoreRule(heads=heads or 1)
    stored = stored_heads(given)
    other = [told for told in (rule.heads, len(rule.head_means) or rule.heads) if told != stored]
    if (stored is not None or rule.heads > 1) and trained and other:
        raise Failure(
            "bad_heads",
            f"The weights of {named(given)} have {stored or 0} heads, but {REWARD_SCALE} tells how {other[0]} come to a score.",
            advice="Train the reward model again: its files do not belong together.",
        )
    return rule


def stored_heads(given: Input) -> int | None:
    """Rows of the head among the weights of a folder; None where no file of it holds a head."""
    for path in sorted(Path(given.path).glob("*.safetensors")):
        try:
            with safe_open(str(path), framework="pt") as file:
                for name in file.keys():  # noqa: SIM118  (it is no mapping)
                    if name.endswith("score.weight"):
                        return int(file.get_slice(name).get_shape()[0])
        except (OSError, SafetensorError):
            return None  # who loads it says what is wrong with it
    return None


def load(auto: Any, given: Input, *, dtype: torch.dtype, virtual_allowed: bool = False, **more: Any) -> Any:
    if not virtual_allowed:
        refuse_virtual(given)
    bottom, *adapters = given.folders
    try:
        model = auto.from_pretrained(
            bottom, dtype=dtype, use_safetensors=True, trust_remote_code=False, local_files_only=True, **more
        )
        for folder in adapters:
            model = put_on(model, Path(folder), given=given)
        return model
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError) as error:
        raise Failure("bad_model", f"{named(given)} can't be loaded: {first_line(error)}") from error


def read_reward_scale(given: Input) -> RewardScale:
    try:
        raw = json.loads(Path(given.path, REWARD_SCALE).read_text())
        return RewardScale(float(raw["mean"]), float(raw["std"]))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise Failure(
            "no_reward_scale",
            f"{named(given)} has no readable {REWARD_SCALE}, by which scores are put on one scale.",
            advice="Choose a reward model that was trained here.",
        ) from error


def read_score_rule(given: Input) -> ScoreRule | None:
    """None for a model that was never trained to score. Raises `Failure("no_reward_scale")` for what can't be read."""
    path = Path(given.path, REWARD_SCALE)
    if not path.exists():
        return None
    try:
        return ScoreRule.from_plain(json.loads(path.read_text()))
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise Failure(
            "no_reward_scale",
            f"{named(given)} has no readable {REWARD_SCALE}, by which scores are put on one scale.",
            advice="Choose a reward model that was trained here.",
        ) from error


def count_parameters(model: Any) -> int:
    return sum(weight.numel() for weight in model.parameters())


# Training


def add_lora(model: Any, lora: LoRA, *, task: Literal["causal", "reward"]) -> Any:
    """A fresh adapter on all linear layers; a reward model's head is trained whole and belongs to the adapter."""
    config = LoraConfig(
        r=lora.r,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules="all-linear",
        task_type="CAUSAL_LM" if task == "causal" else "SEQ_CLS",
        modules_to_save=["score"] if task == "reward" else None,
    )
    return get_peft_model(model, config)


# Into a folder


def publish_model(model: Any, tokenizer: Any, folder: Path, *, state: dict[str, Any] | None = None) -> None:
    """Writes the model and its tokenizer; of an adapter its own weights alone. `state` where the model's own is not whole."""
    if isinstance(model, PeftModel):
        model.save_pretrained(str(folder))
        (folder / "README.md").unlink(missing_ok=True)  # peft's blank form
        forget_base_path(folder / ADAPTER_CONFIG)
    else:
        say_tokens(model, tokenizer)
        model.save_pretrained(folder, state_dict=state)
    tokenizer.save_pretrained(folder)
    refuse_pickles(folder)


def say_tokens(model: Any, tokenizer: Any) -> None:
    """Whoever generates with this model elsewhere must stop where we stop."""
    configs = [model.config] + ([model.generation_config] if model.can_generate() else [])
    for config in configs:
        config.pad_token_id = tokenizer.pad_token_id
        config.eos_token_id = tokenizer.eos_token_id
        config.bos_token_id = tokenizer.bos_token_id


def forget_base_path(path: Path) -> None:
    """An adapter's base is named by whoever stores it; a path of this machine says nothing elsewhere."""
    config = json.loads(path.read_text())
    contract.write_atomically(path, json.dumps({**config, "base_model_name_or_path": None}, indent=2, sort_keys=True))


def write_reward_scale(folder: Path, mean: float, std: float, rule: ScoreRule = PLAIN) -> None:
    contract.write_atomically(folder / REWARD_SCALE, json.dumps({"mean": mean, "std": std, **rule.as_plain()}))


def refuse_pickles(folder: Path) -> None:
    """Raises `Failure("pickle")`: loading a pickle runs whatever code its author put there."""
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in PICKLES:
            raise Failure(
                "pickle",
                f"{path.name} is a format that can run code when it is loaded; only safetensors are taken.",
                advice="Convert the weights to safetensors and leave that file out.",
            )
