"""A tokenizer from zero: byte-level BPE (Sennrich et al. 2016; bytes as in Radford et al. 2019) with a chat template.

Every text is covered and comes back as it was: all 256 bytes are tokens that any character falls back to, nothing is
normalised, no space is added or cleaned away. A document of a corpus is begin, text, end; one token ends a document and a
turn, so that a model from `pretrain` has met the end before fine-tuning teaches it to answer. How a conversation is written
is a choice (`mechanics/corpus/chat_templates.py`).

How well it packs is told in bytes a token on held-out text, beside what another tokenizer reaches on the same text, if one
is given. Texts are read as they are needed: a corpus of any size. Training is exact: a run that is stopped starts anew and
makes the same files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from training.context import RunContext, Stopped
from training.contract import Failure, Input
from training.mechanics.corpus.chat_templates import FORMS, PAD
from training.mechanics.curation import rows
from training.recipes.tokenizer import TokenizerRecipe

SHOWN = 240  # characters of a held-out text whose tokens are shown
REFERENCES = ("reference", "reference_model")


@dataclass(slots=True)
class Texts:
    """The texts of a split, read anew each time; how many bytes went by at the last."""

    given: Input
    split: str
    context: RunContext
    num_bytes: int = 0

    def __len__(self) -> int:
        return sum(pq.read_metadata(path).num_rows for path in rows.files_of(self.given, self.split))

    def told(self, phase: str) -> Iterator[str]:
        """Each text, saying how far it is; none any more after a request to stop."""
        count = len(self)
        every = max(1, count // 20)
        self.num_bytes = 0
        for number, row in enumerate(rows.read_split(self.given, self.split), start=1):
            if self.context.stop_requested:
                return
            self.num_bytes += len(row["text"].encode())
            yield row["text"]
            if number % every == 0 or number == count:
                self.context.progress(phase, number, count, unit="texts")


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, TokenizerRecipe)
    train, held_out = (Texts(context.input("corpus"), split, context) for split in ("train", "test"))
    if not any(row["text"] for row in rows.read_split(train.given, "train")):
        raise Failure("no_rows", "The corpus has no text to train on.", advice="Choose a corpus with a train split.")
    references = {name: load_reference(context.input(name)) for name in REFERENCES if context.has_input(name)}

    bpe = learn(train, recipe=recipe)
    if context.stop_requested:
        raise Stopped
    size = bpe.get_vocab_size()
    if size < recipe.vocab_size:
        context.warn(
            "few_merges",
            f"The corpus gave {size:,} tokens, not {recipe.vocab_size:,}: no other pair occurs "
            f"{recipe.min_frequency} times or more.",
        )
    metrics: dict[str, Any] = {"vocab_size": size, "train_rows": len(train), "train_bytes": train.num_bytes}
    judged = held_out if len(held_out) else train
    measured = measure(bpe, judged)
    packing = {"eval_bytes_per_token" if len(held_out) else "bytes_per_token": measured}
    for name, reference in references.items():
        packing |= beside(name, reference, judged, measured=measured)
    show(bpe, next(judged.told("showing"))[:SHOWN], context=context)
    publish(bpe, context=context)
    context.metric(size, **packing)
    return metrics | packing


def special_of(recipe: TokenizerRecipe) -> list[str]:
    return list(dict.fromkeys([*FORMS[recipe.chat_template].special, *recipe.special_tokens]))


def learn(texts: Texts, *, recipe: TokenizerRecipe) -> Tokenizer:
    """The same texts in the same order give the same merges. A request to stop ends the reading of texts."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.vocab_size,
        min_frequency=recipe.min_frequency,
        special_tokens=special_of(recipe),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts.told("counting words"), trainer, length=len(texts))
    return bpe


def measure(bpe: Tokenizer, texts: Texts) -> float:
    """Bytes a token, over all `texts`. Raises `Failure("not_exact")` where one does not come back as it was."""
    bpe.encode_special_tokens = True  # a text that spells `<|im_end|>` is measured as text
    tokens = 0
    for text in texts.told("measuring"):
        ids = bpe.encode(text).ids
        if bpe.decode(ids, skip_special_tokens=False) != text:
            raise Failure("not_exact", f"A text does not come back from its tokens as it was: {text[:80]!r}.")
        tokens += len(ids)
    bpe.encode_special_tokens = False
    if texts.context.stop_requested:
        raise Stopped
    return texts.num_bytes / max(tokens, 1)


def load_reference(given: Input) -> Tokenizer:
    """Of a tokenizer or a model. Raises `Failure("no_tokenizer")`."""
    try:
        return Tokenizer.from_file(str(Path(given.path, "tokenizer.json")))
    except Exception as error:  # the Rust library behind it raises bare `Exception`
        raise Failure(
            "no_tokenizer", f"{given.name or 'The reference'} has no tokenizer.json that can be read."
        ) from error


def beside(name: str, reference: Tokenizer, texts: Texts, *, measured: float) -> dict[str, float]:
    """What the other one reaches on the same texts, and how many bytes a token of ours holds for one of its own."""
    tokens = 0
    for text in texts.told("measuring"):
        tokens += len(reference.encode(text, add_special_tokens=False).ids)
    if texts.context.stop_requested:
        raise Stopped
    theirs = texts.num_bytes / max(tokens, 1)
    return {f"{name}_bytes_per_token": theirs, f"{name}_vocab_size": reference.get_vocab_size(),
            f"{name}_ratio": measured / theirs}  # fmt: skip


def show(bpe: Tokenizer, text: str, *, context: RunContext) -> None:
    parts = [text[start:end] for start, end in bpe.encode(text).offsets]
    context.sample(0, prompt=text, text=" · ".join(parts), num_tokens=len(parts))


def publish(bpe: Tokenizer, *, context: RunContext) -> None:
    recipe = context.recipe
    assert isinstance(recipe, TokenizerRecipe)
    form = FORMS[recipe.chat_template]
    more = [token for token in special_of(recipe) if token not in (PAD, form.begin, form.end)]
    roles = {"pad_token": PAD, "bos_token": form.begin, "eos_token": form.end}
    fast = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        **roles,
        additional_special_tokens=more,
        padding_side="right",
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = form.template
    fast.save_pretrained(context.output)
    # transformers 5 no longer writes this file; older readers still look for it.
    told = json.dumps({**roles, "additional_special_tokens": more}, indent=1)
    (context.output / "special_tokens_map.json").write_text(told)
