"""How much of a reference a text holds: BLEU by sacrebleu, ROUGE-1, -2 and -L (Lin 2004) by F1 over texts.

ROUGE is our own: the library rouge-score brings nltk along, and takes every letter beyond a to z for a blank. Words are
sequences of letters and digits, in lower case, unstemmed; on plain English figures are those of rouge-score.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import sacrebleu

WORD = re.compile(r"[^\W_]+")
RESAMPLES = 1000


def words_of(text: str) -> list[str]:
    return WORD.findall(text.lower())


def f1(shared: int, said: int, right: int) -> float:
    return 2 * shared / (said + right) if said + right else 0.0


def rouge_n(said: str, right: str, *, n: int) -> float:
    grams = [Counter(zip(*(words[i:] for i in range(n)), strict=False)) for words in (words_of(said), words_of(right))]
    return f1(sum((grams[0] & grams[1]).values()), grams[0].total(), grams[1].total())


def rouge_l(said: str, right: str) -> float:
    """By the longest common subsequence of words."""
    one, other = words_of(said), words_of(right)
    row = [0] * (len(other) + 1)
    for word in one:
        before = 0
        for place, rival in enumerate(other, start=1):
            before, row[place] = row[place], before + 1 if word == rival else max(row[place], row[place - 1])
    return f1(row[-1], len(one), len(other))


def bleu(said: Sequence[str], right: Sequence[str]) -> tuple[dict[str, float], str]:
    """Of the corpus, from 0 to 100, with 95 % by resampling texts, and the signature by which others compute the same."""
    metric = sacrebleu.BLEU()
    if len(said) < 2:
        return {"bleu": float(metric.corpus_score(list(said), [list(right)]).score)}, str(metric.get_signature())
    score = metric.corpus_score(list(said), [list(right)], n_bootstrap=RESAMPLES)
    low, high = score._mean - score._ci, score._mean + score._ci  # it shows them as text alone
    return {"bleu": float(score.score), "bleu_low": float(low), "bleu_high": float(high)}, str(metric.get_signature())
