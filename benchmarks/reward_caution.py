"""What caution is worth: the mean of heads less c standard deviations, optimised as hard as a policy could, beside the truth.

`make bench-reward_caution`: a model of two layers learns what letters are worth from few rankings of words with 25 % of labels
flipped. Then what it likes best is looked for: among n words drawn like those it learned from, and among n in which every third
letter is one that no ranking held, and which is worth little (best-of-n; Gao et al. 2022, arXiv 2210.10760); and by changing a
word a letter at a time for as long as its score rises, any letter, as a policy would that nothing holds back. Told is the true
worth of what was found, in standard deviations of drawn words, under one head, the mean of all, mean - c std and the lowest
(Coste et al. 2023, arXiv 2310.02743): heads of one trunk as they are, and brought to one mean and deviation, as they are used;
and models trained apart from different seeds, likewise. SEEDS repeats it, PROMPTS trains on so many. A table of means over
seeds goes to stdout, its last line is JSON.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import string
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from training.__main__ import OFFLINE, THREADS

os.environ.update(OFFLINE | THREADS)  # as a run has it; read when torch is loaded

import numpy as np
import torch
import torch.nn.functional as F
from transformers.utils import logging

from benchmarks import bench, simulated_rankings
from benchmarks.reward_simulated import finished
from benchmarks.simulated_rankings import WORD
from tests.training import tiny
from training import contract
from training.mechanics import models
from training.mechanics.datasets import render_conversation
from training.mechanics.scoring import by_length, pad_right

PROMPTS = int(os.environ.get("PROMPTS", "80"))
SEEDS = int(os.environ.get("SEEDS", "3"))
FLIPPED = 0.25
HEADS = 5
DRAWN = 4096
BEST_OF = (16, 256, 1024)
KNOWN, STRANGE = string.ascii_lowercase[:20], string.ascii_uppercase[:10]
WORTH_OF_STRANGE = -1.0  # in standard deviations of the known ones' worths
CHAINS, TRIES, STEPS = (
    16,
    12,
    (8, 24),
)  # words that are changed, changes tried at each step, steps after which it is told

Rule = Callable[[np.ndarray], np.ndarray]
"""Scores of heads (N, H) to one of each text (N,)."""


def cautious(c: float) -> Rule:
    return lambda scores_NH: scores_NH.mean(axis=1) - c * scores_NH.std(axis=1)


RULES: dict[str, Rule] = {
    "one head": lambda scores_NH: scores_NH[:, 0],
    "mean": cautious(0),
    **{f"mean - {c} std": cautious(c) for c in (0.25, 0.5, 1, 2)},
    "lowest": lambda scores_NH: scores_NH.min(axis=1),
}


@dataclass(frozen=True, slots=True)
class Ensemble:
    """Of one model's heads, or of several models; `means` and `stds` (heads,) are taken off what they say, and out of it."""

    members: list[Any]
    means: np.ndarray | float = 0.0
    stds: np.ndarray | float = 1.0

    @torch.no_grad()
    def scores(self, texts: Sequence[str]) -> np.ndarray:
        """(texts, heads)."""
        tokenizer = tiny.tokenizer()
        ids = [render_conversation(tokenizer, [tiny.user("Say 0"), tiny.assistant(text)]) for text in texts]
        found: np.ndarray = np.zeros((len(texts), sum(model.score.weight.shape[0] for model in self.members)))
        for places in by_length([len(one) for one in ids], batch_size=256, stop_requested=None):
            ids_BT, mask_BT = pad_right([ids[place] for place in places], pad_token_id=tokenizer.pad_token_id)
            last_B = mask_BT.sum(dim=1) - 1
            of_members = []
            for model in self.members:
                hidden_BTD = model.base_model(
                    input_ids=ids_BT, attention_mask=mask_BT, use_cache=False
                ).last_hidden_state
                last_BD = hidden_BTD[torch.arange(len(places)), last_B]
                of_members.append(F.linear(last_BD, model.score.weight).numpy())
            found[places] = np.concatenate(of_members, axis=1)
        return (found - self.means) / self.stds

    def aligned(self, texts: Sequence[str]) -> Ensemble:
        said_NH = self.scores(texts)
        return Ensemble(self.members, said_NH.mean(axis=0), said_NH.std(axis=0))


def main() -> None:
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.set_num_threads(1)
    began = time.monotonic()
    found: dict[tuple[str, str], list[list[float]]] = {}
    accuracies: list[float] = []
    for seed in range(SEEDS):
        with tempfile.TemporaryDirectory() as home:
            ensembles, told = trained(Path(home), seed=seed)
            accuracies += told
            for kind, ensemble in ensembles.items():
                for rule, values in measured(ensemble, seed=seed).items():
                    found.setdefault((kind, rule), []).append(values)
    columns = [f"{kind}{n}" for kind in ("best of ", "strange, best of ") for n in BEST_OF]
    columns += [f"{n} changes" for n in STEPS]
    print(f"{len(accuracies)} models, right on {statistics.fmean(accuracies):.3f} of true comparisons")
    print("| heads | score | " + " | ".join(columns) + " |")
    print("|---" * (len(columns) + 2) + "|")
    rows = []
    for (kind, rule), values in found.items():
        means, spans = np.mean(values, axis=0), np.ptp(values, axis=0)
        print(f"| {kind} | {rule} | " + " | ".join(f"{mean:.2f}" for mean in means) + " |")
        rows.append({"heads": kind, "score": rule} | {
            name: [round(float(mean), 3), round(float(span), 3)]
            for name, mean, span in zip(columns, means, spans, strict=True)
        })  # fmt: skip
    print(json.dumps({
        "bench": "reward_caution", "prompts": PROMPTS, "seeds": SEEDS, "seconds": round(time.monotonic() - began),
        "mean and span": rows, "torch": torch.__version__, "machine": bench.machine(),
    }))  # fmt: skip


def truth_of(seed: int) -> Callable[[str], float]:
    worth = simulated_rankings.worth_of_words(seed, letters=len(KNOWN))
    return lambda text: sum(worth(letter) if letter in KNOWN else WORTH_OF_STRANGE for letter in text)


def trained(home: Path, *, seed: int) -> tuple[dict[str, Ensemble], list[float]]:
    """An ensemble of each kind, and the accuracy of each model on what is true."""
    truth = truth_of(seed)
    train = simulated_rankings.words(PROMPTS, texts=3, seed=seed)
    test = simulated_rankings.words(200, texts=3, seed=seed, first=PROMPTS)
    rows = simulated_rankings.flipped(train, rate=FLIPPED, seed=seed, worth=truth)
    held_out = simulated_rankings.flipped(test, rate=0, seed=seed, worth=truth)
    told = []

    def learned(number: int, heads: int) -> Any:
        run_dir, metrics = finished(home / f"{heads}-{number}", rows, held_out, seed=number, heads=heads)
        told.append(float(metrics["eval_accuracy"]))
        return models.load_reward(tiny.given(run_dir / contract.OUTPUT, "model"), dtype=torch.float32).eval()

    texts = [text for task in train for text in task.texts]
    trunk = Ensemble([learned(seed, HEADS)])
    apart = Ensemble([learned(100 + HEADS * seed + i, 1) for i in range(HEADS)])
    return {"one trunk, raw": trunk, "one trunk": trunk.aligned(texts), "apart": apart.aligned(texts)}, told


def measured(ensemble: Ensemble, *, seed: int) -> dict[str, list[float]]:
    """By rule, the true worth of the best of n words, of n strange ones, and of what is left after so many changes."""
    truth, luck = truth_of(seed), random.Random(f"draws {seed}")
    drawn = [simulated_rankings.word(luck) for _ in range(DRAWN)]
    strange = ["".join(luck.choice(STRANGE) if luck.random() < 1 / 3 else c for c in text) for text in drawn]
    worths, strange_worths = (np.array([truth(text) for text in some]) for some in (drawn, strange))

    def standing(values: np.ndarray) -> float:
        return float((values.mean() - worths.mean()) / worths.std())

    found: dict[str, list[float]] = {name: [] for name in RULES}
    for values, scores_NH in ((worths, ensemble.scores(drawn)), (strange_worths, ensemble.scores(strange))):
        for name, rule in RULES.items():
            # Of one head: each in turn, or its luck would be taken for the rule's.
            turns = [scores_NH[:, [h]] for h in range(scores_NH.shape[1])] if name == "one head" else [scores_NH]
            found[name] += [
                statistics.fmean(standing(values[best_of(rule(turn), n, seed=seed)]) for turn in turns) for n in BEST_OF
            ]
    for name, rule in RULES.items():
        climbed = climb(ensemble, rule, drawn[:CHAINS], seed=seed)
        found[name] += [standing(np.array([truth(text) for text in texts])) for texts in climbed]
    return found


def best_of(scores_N: np.ndarray, n: int, *, seed: int) -> np.ndarray:
    """Which texts are the best of n, in 512 draws."""
    drawn = np.random.default_rng(seed).integers(0, len(scores_N), (512, n))
    return drawn[np.arange(512), scores_N[drawn].argmax(axis=1)]


def climb(ensemble: Ensemble, rule: Rule, texts: Sequence[str], *, seed: int) -> list[list[str]]:
    """The texts after each of `STEPS`: at each one the best of `TRIES` changes of a letter, if it scores more."""
    luck = random.Random(f"changes {seed}")
    now, told = list(texts), []
    best = rule(ensemble.scores(now))
    for step in range(1, max(STEPS) + 1):
        tried = [changed(text, luck) for text in now for _ in range(TRIES)]
        scores = rule(ensemble.scores(tried)).reshape(len(now), TRIES)
        for i, k in enumerate(scores.argmax(axis=1)):
            if scores[i, k] > best[i]:
                now[i], best[i] = tried[i * TRIES + k], scores[i, k]
        if step in STEPS:
            told.append(list(now))
    return told


def changed(text: str, luck: random.Random) -> str:
    """A letter put in, left out, or in the place of another."""
    place, letter = luck.randrange(len(text)), luck.choice(KNOWN + STRANGE)
    kinds = [text[:place] + letter + text[place + 1 :]]
    if len(text) < WORD[1]:
        kinds.append(text[:place] + letter + text[place:])
    if len(text) > WORD[0]:
        kinds.append(text[:place] + text[place + 1 :])
    return luck.choice(kinds)


if __name__ == "__main__":
    main()
