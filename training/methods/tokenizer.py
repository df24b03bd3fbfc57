"""A tokenizer from zero: byte-level BPE (Sennrich et al. 2016; bytes as in Radford et al. 2019) with a chat template.

Every text is covered and comes back as it was: all 256 bytes are tokens, nothing is normalised, no space is added or
cleaned away. A document of a corpus is `<|begin|>` text `<|im_end|>`; a turn of a conversation is
`<|im_start|>role`, newline, content, `<|im_end|>`, newline. One token ends a document and a turn, so that a model from
`pretrain` has met the end before fine-tuning teaches it to answer. The template renders the beginning of a
conversation as the beginning of the conversation, which is what lets `sft` find the assistant's words.

Training is a matter of seconds and exact: a run that is stopped starts anew and makes the same files.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from training.context import RunContext, Stopped
from training.contract import Failure
from training.mechanics import datasets
from training.recipes.tokenizer import TokenizerRecipe

PAD, BEGIN, TURN, END = "<|pad|>", "<|begin|>", "<|im_start|>", "<|im_end|>"
SPECIAL = [PAD, BEGIN, TURN, END]
SHOWN = 240  # characters of a held-out text whose tokens are shown

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def run(context: RunContext) -> dict[str, Any]:
    recipe = context.recipe
    assert isinstance(recipe, TokenizerRecipe)
    corpus = context.input("corpus")
    train = [row["text"] for row in datasets.read_rows(corpus, split="train")]
    held_out = [row["text"] for row in datasets.read_rows(corpus, split="test")]
    if not any(train):
        raise Failure("no_rows", "The corpus has no text to train on.", advice="Choose a corpus with a train split.")

    bpe = learn(train, recipe=recipe, context=context)
    if context.stop_requested:
        raise Stopped
    size = bpe.get_vocab_size()
    if size < recipe.vocab_size:
        context.warn(
            "few_merges",
            f"The corpus gave {size:,} tokens, not {recipe.vocab_size:,}: no other pair occurs "
            f"{recipe.min_frequency} times or more.",
        )
    measured = measure(bpe, held_out or train, context=context)
    show(bpe, (held_out or train)[0][:SHOWN], context=context)
    publish(bpe, context=context)
    name = "eval_bytes_per_token" if held_out else "bytes_per_token"
    metrics = {"vocab_size": size, "train_rows": len(train), "train_bytes": num_bytes(train), name: measured}
    context.metric(size, **{name: measured})
    return metrics


def learn(texts: list[str], *, recipe: TokenizerRecipe, context: RunContext) -> Tokenizer:
    """The same texts in the same order give the same merges. A request to stop ends the reading of texts."""
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=recipe.vocab_size,
        min_frequency=recipe.min_frequency,
        special_tokens=SPECIAL,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(told(texts, context=context, phase="counting words"), trainer, length=len(texts))
    return bpe


def told(texts: list[str], *, context: RunContext, phase: str) -> Iterator[str]:
    """Each text, saying how far it is; none any more after a request to stop."""
    every = max(1, len(texts) // 20)
    for number, text in enumerate(texts, start=1):
        if context.stop_requested:
            return
        yield text
        if number % every == 0 or number == len(texts):
            context.progress(phase, number, len(texts), unit="texts")


def measure(bpe: Tokenizer, texts: list[str], *, context: RunContext) -> float:
    """Bytes a token, over all `texts`. Raises `Failure("not_exact")` where one does not come back as it was."""
    bpe.encode_special_tokens = True  # a text that spells `<|im_end|>` is measured as text
    tokens = 0
    for text in told(texts, context=context, phase="measuring"):
        ids = bpe.encode(text).ids
        if bpe.decode(ids, skip_special_tokens=False) != text:
            raise Failure("not_exact", f"A text does not come back from its tokens as it was: {text[:80]!r}.")
        tokens += len(ids)
    bpe.encode_special_tokens = False
    if context.stop_requested:
        raise Stopped
    return num_bytes(texts) / max(tokens, 1)


def num_bytes(texts: list[str]) -> int:
    return sum(len(text.encode()) for text in texts)


def show(bpe: Tokenizer, text: str, *, context: RunContext) -> None:
    parts = [text[start:end] for start, end in bpe.encode(text).offsets]
    context.sample(0, prompt=text, text=" · ".join(parts), num_tokens=len(parts))


def publish(bpe: Tokenizer, *, context: RunContext) -> None:
    fast = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token=PAD,
        bos_token=BEGIN,
        eos_token=END,
        additional_special_tokens=[TURN],
        padding_side="right",
        clean_up_tokenization_spaces=False,
    )
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(context.output)
    # transformers 5 no longer writes this file; older readers still look for it.
    roles = {"pad_token": PAD, "bos_token": BEGIN, "eos_token": END, "additional_special_tokens": [TURN]}
    (context.output / "special_tokens_map.json").write_text(json.dumps(roles, indent=1))
