"""Which texts people found desirable and which not, from their rankings: what KTO learns from.

What a ranking says of a text, the first line that applies:

    the rater flagged it (unsafe, personal data, ...)                    undesirable, wherever it stands
    all are bad                                                          undesirable; her own better version is desirable
    it stands in the best of two or more tiers                           desirable
    it stands in the worst of two or more tiers                          undesirable
    it stands between, is left out, or all are tied                      nothing is known of it

Where a dataset has comparisons alone, a text that nothing was preferred to is desirable, one that was preferred to nothing is
undesirable. Rows of TRL's unpaired format say it themselves (`label`). A prompt weighs once: its rankings share 1, and the
texts that a ranking says something of share that.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from training.contract import Failure, Input
from training.mechanics import datasets
from training.mechanics.people.pairs import Pair, extremes, messages
from training.mechanics.people.rankings import Reply, told
from training.mechanics.people.soft_labels import may_be_soft, refuse_soft


@dataclass(frozen=True, slots=True)
class Verdict:
    """One text of a prompt, desirable or not; several raters may say the same of it, or the opposite, each with a weight."""

    group: str
    prompt: Reply
    reply: Reply
    is_desirable: bool
    weight: float

    def row(self) -> dict[str, Any]:
        """In TRL's unpaired format."""
        return {
            "prompt": messages(self.prompt), "completion": messages(self.reply), "label": self.is_desirable,
            "weight": self.weight, "group_id": self.group,
        }  # fmt: skip


Said = tuple[str, Reply, dict[Reply, bool]]  # of one ranking: its group, its prompt, and what it says of which texts


def read_verdicts(preferences: Input, *, split: str) -> list[Verdict]:
    """Of whole rankings where there are any, else of comparisons or unpaired rows. Raises `Failure("soft_labels")`."""
    if split == "train" and may_be_soft(preferences):
        refuse_soft(
            (row for row in datasets.read_rows(preferences, split=split) if "chosen" in row),
            what="KTO, to which a text is desirable or not,",
            advice="Learn them by DPO or with a reward model.",
        )
    rankings = datasets.read_rows(preferences, split=split, folder="rankings")
    if rankings:
        return shared(of_ranking(row) for row in rankings)
    rows = datasets.read_rows(preferences, split=split)
    return shared(of_unpaired(rows) if rows and "completion" in rows[0] else of_comparisons(rows))


def of_ranking(row: dict[str, Any]) -> Said:
    texts = {one["id"]: one["text"] for one in row["completions"]}
    notes = {one["id"]: one for one in row.get("texts") or []}
    own = {name for name, note in notes.items() if note["better_than"]}
    tiers = row["tiers"]
    found: dict[str, bool] = {}
    if row.get("all_bad"):
        found = {name: name in own for name in texts}
    elif len(tiers) > 1:
        found = dict.fromkeys(tiers[0], True) | dict.fromkeys(tiers[-1], False)
    found |= {name: False for name, note in notes.items() if note["flags"]}
    return row["group_id"], told(row["prompt"]), of_texts((texts[name].strip(), good) for name, good in found.items())


def of_texts(found: Iterable[tuple[str, bool]]) -> dict[Reply, bool]:
    """Of two texts that say the same, one counts; where one is desirable and the other not, neither."""
    votes: dict[str, set[bool]] = defaultdict(set)
    for text, good in found:
        votes[text].add(good)
    return {(("assistant", text),): good for text, (good, *other) in votes.items() if not other}


def of_comparisons(rows: list[dict[str, Any]]) -> Iterable[Said]:
    rankings: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        rankings[row["group_id"], row["rater"]].append(row)
    for (group, _), some in rankings.items():
        best, worst = extremes(Pair(told(row["chosen"]), told(row["rejected"]), row["margin"]) for row in some)
        # In the order of the rows: that of a set is another one in the process that resumes a run.
        texts = [told(row[side]) for side in ("chosen", "rejected") for row in some]
        found = {text: True for text in texts if text in best} | {text: False for text in texts if text in worst}
        yield group, told(some[0]["prompt"]), found


def of_unpaired(rows: list[dict[str, Any]]) -> Iterable[Said]:
    for row in rows:
        prompt = told(row["prompt"])
        yield row.get("group_id") or repr(prompt), prompt, {told(row["completion"]): bool(row["label"])}


def shared(found: Iterable[Said]) -> list[Verdict]:
    """Verdicts of prompts in the order in which they are met; what several rankings say alike is one, with their weights."""
    of_group: dict[str, list[Said]] = defaultdict(list)
    for one in found:
        if one[2]:
            of_group[one[0]].append(one)
    verdicts = []
    for group, said in of_group.items():
        weights: dict[tuple[Reply, bool], float] = defaultdict(float)
        for _, _, texts in said:
            for reply, good in texts.items():
                weights[reply, good] += 1 / len(said) / len(texts)
        verdicts += [Verdict(group, said[0][1], reply, good, weight) for (reply, good), weight in weights.items()]
    return verdicts


def balanced(verdicts: list[Verdict], *, desirable: float, undesirable: float) -> list[Verdict]:
    """Both kinds of the same weight in sum, times what is asked for, and mean 1: KTO's lambda_D n_D = lambda_U n_U
    (Ethayarajh et al. 2024, arXiv 2402.01306, eq. 8). Raises `Failure("one_sided")` where there is only one kind.
    """
    sums = {good: sum(one.weight for one in verdicts if one.is_desirable == good) for good in (True, False)}
    for good, name in ((True, "desirable"), (False, "undesirable")):
        if not sums[good]:
            raise Failure(
                "one_sided",
                f"The rankings call no text {name}: KTO learns from desirable and from undesirable ones.",
                advice="Rank texts in two tiers or more; the best tier is desirable, the worst one and what is flagged is not.",
            )
    factors = {True: desirable / sums[True], False: undesirable / sums[False]}
    told = [replace(one, weight=one.weight * factors[one.is_desirable]) for one in verdicts]
    mean = sum(one.weight for one in told) / len(told)
    return [replace(one, weight=one.weight / mean) for one in told]
