"""Labelled texts with what is planted in them, and a BERT small enough for a test."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertForMaskedLM, PreTrainedTokenizerFast

from tests.training import tiny
from training.contract import Input

WORDS = [*"abcdefghijklmnopqrstuvwxyz", "red", "blue", "went", "to", "saw", "the", "then", "and", "was", "who", "where",
         "anna", "boris", "clara", "rome", "oslo", "lima", "?", ".", "ab", "ba"]  # fmt: skip
PEOPLE, PLACES = ("anna", "boris", "clara"), ("rome", "oslo", "lima")
FILLERS = ("then", "and", "was", "ab", "ba", "saw")


def bert_tokenizer() -> PreTrainedTokenizerFast:
    marks = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocab = {token: i for i, token in enumerate([*marks, *WORDS, *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz")])}
    pieces = Tokenizer(models.WordPiece(vocab=vocab, unk_token="[UNK]"))
    pieces.normalizer = normalizers.BertNormalizer(lowercase=True)
    pieces.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    pieces.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", vocab["[CLS]"]), ("[SEP]", vocab["[SEP]"])],
    )  # fmt: skip
    return PreTrainedTokenizerFast(
        tokenizer_object=pieces, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]", model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )  # fmt: skip


def write_bert(folder: Path, *, seed: int = 0) -> Input:
    """A masked language model of 2 layers, as pretraining leaves it: without a pooler."""
    torch.manual_seed(seed)
    words = bert_tokenizer()
    config = BertConfig(
        vocab_size=len(words), hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=128, pad_token_id=words.pad_token_id,
    )  # fmt: skip
    BertForMaskedLM(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return tiny.given(folder, "model")


def row(number: int, text: str, **more: Any) -> dict[str, Any]:
    return {"id": str(number), "text": text, "question": "", "label": "", "spans": [], "group": ""} | more


def coloured(count: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """The label is which of "red" and "blue" stands first: no bag of words can tell."""
    lot = random.Random(seed)
    rows = []
    for i in range(count):
        colours = lot.sample(["red", "blue"], 2)
        gaps = [lot.choices(FILLERS, k=lot.randrange(1, 3)) for _ in range(3)]
        words = [*gaps[0], colours[0], *gaps[1], colours[1], *gaps[2]]
        rows.append(row(i, " ".join(words), label=f"{colours[0]} first"))
    return rows


def of_one_colour(count: int, *, seed: int = 0) -> list[dict[str, Any]]:
    """The label is the colour that the text holds."""
    lot = random.Random(seed)
    colours = lot.choices(["red", "blue"], k=count)
    return [row(i, f"{lot.choice(FILLERS)} {colour} {lot.choice(FILLERS)}", label=colour)
            for i, colour in enumerate(colours)]  # fmt: skip


def named(count: int, *, seed: int = 0, long: int = 0) -> list[dict[str, Any]]:
    """People and places among fillers, each of two tokens or three: a letter or two more at its end are pieces of it."""
    lot = random.Random(seed)
    rows = []
    for i in range(count):
        text, spans = "", []
        for _ in range(lot.randrange(3, 6) + long):
            kind = lot.choice(["person", "place", "", ""])
            word = lot.choice({"person": PEOPLE, "place": PLACES, "": FILLERS}[kind])
            if kind:
                word += "".join(lot.choices("xy" if kind == "person" else "zw", k=lot.randrange(1, 3)))
                spans.append({"start": len(text), "end": len(text) + len(word), "label": kind})
            text += word + " "
        rows.append(row(i, text.strip(), spans=spans))
    return rows


def asked(count: int, *, seed: int = 0, long: int = 0, none: float = 0.0) -> list[dict[str, Any]]:
    """Who went somewhere: the answer is the person, and sometimes there is none."""
    lot = random.Random(seed)
    rows = []
    for i in range(count):
        person, place = lot.choice(PEOPLE), lot.choice(PLACES)
        before, behind = (" ".join(lot.choices(FILLERS, k=1 + lot.randrange(2 + long))) for _ in range(2))
        has_none = lot.random() < none
        text = f"{before} {'ab ba' if has_none else f'{person} went to {place}'} {behind}"
        start = text.find(person)
        spans = [] if has_none else [{"start": start, "end": start + len(person), "label": ""}]
        rows.append(row(i, text, question="who ?", spans=spans))
    return rows
