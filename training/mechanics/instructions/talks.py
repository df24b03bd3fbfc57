"""Conversations as tokens, and which of them are learned: the assistant's words, each turn to its end-of-turn token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from training.context import RunContext
from training.contract import Failure

IGNORED = -100

Talk = list[dict[str, str]]
LossOn = Literal["assistant", "completion"]
TooLong = Literal["leave_out", "cut_turns"]


@dataclass(frozen=True, slots=True)
class Example:
    """One conversation as tokens; `labels` are -100 wherever nothing is learned; `num_bytes` of the words that are.

    `ends` is whether an end of the assistant's is learned, `is_asked_so` whether each answer follows what asks for one.
    """

    input_ids: list[int]
    labels: list[int]
    num_bytes: int
    ends: bool = True
    is_asked_so: bool = True

    @property
    def is_silent(self) -> bool:
        return all(label == IGNORED for label in self.labels)


def read_talks(rows: list[dict[str, Any]]) -> list[Talk]:
    return [[{"role": m["role"], "content": m["content"]} for m in row["messages"]] for row in rows]


def turns_of(talk: Talk) -> list[int]:
    """Places of the assistant's turns."""
    return [i for i, message in enumerate(talk) if message["role"] == "assistant"]


def question_of(talk: Talk) -> Talk:
    """The conversation up to the assistant's last turn."""
    turns = turns_of(talk)
    return talk[: turns[-1]] if turns else talk


def encode(tokenizer: Any, talk: Talk, *, loss_on: LossOn = "assistant") -> Example:
    """Learned are all of the assistant's turns, or with "completion" the last one alone."""

    def render(messages: Talk, *, ask: bool) -> list[int]:
        if not messages:
            return []
        return list(
            tokenizer.apply_chat_template(messages, tokenize=True, return_dict=True, add_generation_prompt=ask)[
                "input_ids"
            ]
        )

    ids = render(talk, ask=False)
    labels = [IGNORED] * len(ids)
    num_bytes = 0
    is_asked_so = True
    for turn in turns_of(talk)[-1 if loss_on == "completion" else 0 :]:
        asked = render(talk[:turn], ask=True)
        start = common_prefix(ids, asked)
        is_asked_so &= start == len(asked)
        end = common_prefix(ids, render(talk[: turn + 1], ask=False))
        ends = [i for i in range(start, end) if ids[i] == tokenizer.eos_token_id]
        end = ends[-1] + 1 if ends else end  # what a template writes behind the end of a turn is never generated
        if start < end:
            labels[start:end] = ids[start:end]
            num_bytes += len(talk[turn]["content"].encode())
    labels[:1] = [IGNORED] * len(
        labels[:1]
    )  # nothing foresees a first token: in a pack, the conversation before it would
    return Example(ids, labels, num_bytes, ends=tokenizer.eos_token_id in labels, is_asked_so=is_asked_so)


def common_prefix(ids: list[int], others: list[int]) -> int:
    return next((i for i, (a, b) in enumerate(zip(ids, others, strict=False)) if a != b), min(len(ids), len(others)))


def cut_turns(tokenizer: Any, talk: Talk, *, loss_on: LossOn, max_length: int) -> Example | None:
    """The longest beginning that ends with a turn of the assistant's and fits; None where not even the first one does.

    A cut within a turn would teach answers without an end, and one within a template would teach half a template.
    """
    for turn in reversed(turns_of(talk)):
        example = encode(tokenizer, talk[: turn + 1], loss_on=loss_on)
        if len(example.input_ids) <= max_length:
            return example
    return None


def encode_all(
    tokenizer: Any,
    talks: list[Talk],
    *,
    max_length: int,
    context: RunContext,
    split: str,
    loss_on: LossOn = "assistant",
    too_long: TooLong = "leave_out",
) -> list[Example]:
    """Leaves out, and counts, what is too long or has no word to learn. Raises `Failure` where no training row is left."""
    if split == "train" and not talks:
        raise Failure(
            "no_rows", "The dataset has no conversation to train on.", advice="Import or freeze one with rows."
        )
    encoded = [(talk, encode(tokenizer, talk, loss_on=loss_on)) for talk in talks]
    spoken = [(talk, example) for talk, example in encoded if not example.is_silent]
    fitting = [example for _, example in spoken if len(example.input_ids) <= max_length]
    long = [talk for talk, example in spoken if len(example.input_ids) > max_length]
    if long and too_long == "cut_turns":
        cut = [cut_turns(tokenizer, talk, loss_on=loss_on, max_length=max_length) for talk in long]
        kept = [example for example in cut if example is not None and not example.is_silent]
        context.log(f"{len(kept)} conversations ({split}) were cut behind a turn that ends within {max_length} tokens.")
        fitting += kept
    if split == "train":
        refuse_nothing(encoded=len(encoded), spoken=len(spoken), fitting=len(fitting), max_length=max_length)
    if len(spoken) < len(encoded):
        count = len(encoded) - len(spoken)
        context.warn("left_out_silent", f"{count} conversations ({split}) have nothing to learn and were left out.")
    if len(fitting) < len(spoken):
        count = len(spoken) - len(fitting)
        context.warn(
            "left_out_long",
            f"{count} of {len(spoken)} conversations ({split}) are longer than {max_length} tokens and were left out.",
        )
    return fitting


def refuse_nothing(*, encoded: int, spoken: int, fitting: int, max_length: int) -> None:
    if not spoken:
        raise Failure(
            "no_trained_token",
            f"None of the {encoded} conversations has a token of the assistant's to learn.",
            advice="Each conversation needs an assistant turn that the model's chat template renders.",
        )
    if not fitting:
        raise Failure("no_rows", f"All conversations are longer than {max_length} tokens.", advice="Raise max_length.")


def learned_of(examples: list[Example]) -> dict[str, float]:
    """What is learned of conversations, for the coach: shares of tokens, of ends, of answers asked for otherwise."""
    tokens = sum(len(example.labels) for example in examples)
    return {
        "trained_share": sum(label != IGNORED for example in examples for label in example.labels) / tokens,
        "ends_learned": sum(example.ends for example in examples) / len(examples),
        "asked_otherwise": sum(not example.is_asked_so for example in examples) / len(examples),
    }
