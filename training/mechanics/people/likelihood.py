"""How likely an order of texts is, given their scores: Plackett-Luce with ties and margins; Bradley-Terry where K = 2.

A ranking is read as choices, best first: of the texts that are left, S, the rater takes the best one, or a tier C of
several that she finds equal. With worths a_i = exp(s_i) and n = |C|,

    P(C of S) = d_n (prod_{i in C} a_i)^(1/n)  /  sum_{t=1}^{D} d_t sum_{T in S, |T| = t} (prod_{i in T} a_i)^(1/t)

(Davidson-Luce: Firth, Kosmidis & Turner 2019, arXiv 1909.07123; Turner et al. 2020, "Modelling rankings in R: the
PlackettLuce package"). d_1 = 1; d_t says how readily t texts are tied; D is the largest tier that is held possible. Then

- D = 1 is Plackett-Luce (Luce 1959; Plackett 1975): -log P = sum over places of logsumexp(s of what is left) - s;
- K = 2 and D = 2 is Davidson's model of ties (1970): P(tie) = d_2 sqrt(a b) / (a + b + d_2 sqrt(a b));
- K = 2 and D = 1 is Bradley-Terry (1952), -logsigmoid(s_better - s_worse).

It is a distribution over all weak orders of S for any d, and exact at no great price: the inner sum is the elementary
symmetric polynomial e_t of a_i^(1/t), so K texts cost K D^2 additions instead of the 2^K subsets. Texts that a rater left
out of her order stand in no S: by Luce's axiom the others are judged as if they had not been there.

A margin (Touvron et al. 2023, Llama 2, section 3.2.2) asks that the better text lead by m: s_j + m takes the place of s_j in
S for each text j that stands m below. Strengths add up along the order, and a choice does not change when all of S moves
alike, so this is the same likelihood of s_i + (the strengths above i).

Shapes: O orders, K places (best first, equal ones side by side, the end padded), D sizes of a tier.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

NOWHERE = -1  # the tier of a padded place
NEVER = -1e9  # a logarithm of zero whose gradient is a number


def plackett_luce_losses(
    scores_OK: Tensor, tiers_OK: Tensor, *, log_ties: Tensor | None = None, strengths_OK: Tensor | None = None
) -> Tensor:
    """-log P of each order, (O,). `tiers_OK` counts up from 0 along an order, `NOWHERE` where it is padded.

    `log_ties` (D - 1,) are log d_2 ... log d_D; no tier may be larger than D. `strengths_OK` is how far each text stands
    below the best one, in units of scores.
    """
    scores_OK = scores_OK.float()
    if strengths_OK is not None:
        scores_OK = scores_OK + strengths_OK
    log_d = scores_OK.new_zeros(1) if log_ties is None else torch.cat([scores_OK.new_zeros(1), log_ties.to(scores_OK)])
    size = len(log_d)
    here_OK = tiers_OK != NOWHERE
    begins_OK = here_OK & (F.pad(tiers_OK[:, :-1], (1, 0), value=NOWHERE) != tiers_OK)
    sizes_OK = (tiers_OK.unsqueeze(2) == tiers_OK.unsqueeze(1)).sum(dim=2)

    # log e_j of a^(1/t) over the texts from here to the end, j = 0 ... D, for each t: one more text at each turn.
    roots_D = torch.arange(1, size + 1, device=scores_OK.device)
    log_e_ODJ = scores_OK.new_full((len(scores_OK), size, size + 1), NEVER)
    log_e_ODJ[:, :, 0] = 0.0
    log_choices_OK = []
    for place in reversed(range(scores_OK.shape[1])):
        root_OD = scores_OK[:, place, None] / roots_D
        grown = torch.logaddexp(log_e_ODJ[:, :, 1:], log_e_ODJ[:, :, :-1] + root_OD.unsqueeze(-1))
        grown = torch.cat([log_e_ODJ[:, :, :1], grown], dim=2)
        log_e_ODJ = torch.where(here_OK[:, place, None, None], grown, log_e_ODJ)
        log_choices_OK.append((log_e_ODJ.diagonal(offset=1, dim1=1, dim2=2) + log_d).logsumexp(dim=1))
    log_all_OK = torch.stack(log_choices_OK[::-1], dim=1)

    # A tier's geometric mean, a text at a time: each gives its share of the score.
    own_OK = (scores_OK / sizes_OK.clamp(min=1)).masked_fill(~here_OK, 0.0)
    ties_OK = log_d[(sizes_OK - 1).clamp(min=0)]
    return ((log_all_OK - ties_OK) * begins_OK - own_OK).sum(dim=1)


def bradley_terry_losses(better: Tensor, worse: Tensor, *, margin: Tensor | float = 0.0) -> Tensor:
    """-log P(better beats worse by `margin`), all (B,): what `plackett_luce_losses` comes to for two texts."""
    return -F.logsigmoid(better - worse - margin)


def num_choices(tiers_OK: Tensor) -> Tensor:
    """(O,), in how many of its choices an order had something to choose from: K - 1 without ties, 1 for a single tier."""
    left_OK = (tiers_OK != NOWHERE).flip(1).cumsum(dim=1).flip(1)
    before_OK = F.pad(tiers_OK[:, :-1], (1, 0), value=NOWHERE)
    return ((tiers_OK != NOWHERE) & (tiers_OK != before_OK) & (left_OK > 1)).sum(dim=1)


def losses_by_lot(losses_O: Tensor, tiers_OK: Tensor, *, lots_O: Tensor, log_ties: Tensor | None = None) -> Tensor:
    """-log P where order o was given by lot with probability `lots_O[o]`: by lot is as if all scores were equal.

    For two texts that is a label that is flipped with probability lots_O / 2 (Natarajan et al. 2013; for raters, Chen et al.
    2013, "Pairwise ranking aggregation in a crowdsourced setting"). An order that contradicts the scores soon counts as one
    by lot and pulls no longer: its share of the gradient is the probability that it was meant.
    """
    equal_O = plackett_luce_losses(torch.zeros_like(tiers_OK, dtype=torch.float32), tiers_OK, log_ties=log_ties)
    meant_O = torch.log1p(-lots_O.clamp(max=1 - 1e-6)) - losses_O
    return -torch.where(lots_O > 0, torch.logaddexp(meant_O, lots_O.clamp(min=1e-12).log() - equal_O), meant_O)


def ties_of_equals(orders: Iterable[Sequence[int]]) -> list[float]:
    """log d_2 ... log d_D as the sizes of tiers tell them if all texts were equal: where their learning begins.

    An order is given by the sizes of its tiers. The likelihood of the sizes alone, with C(k, t) tiers of t among k texts, is
    raised until it stands still (a fixed point of its gradient: seen as often as expected).
    """
    seen: Counter[int] = Counter()
    left: Counter[int] = Counter()
    for sizes in orders:
        k = sum(sizes)
        for size in sizes:
            if k > 1:
                seen[size] += 1
                left[k] += 1
            k -= size
    largest = max((size for size in seen if seen[size]), default=1)
    d = [1.0] * largest
    for _ in range(200 if largest > 1 else 0):
        expected = [0.0] * largest
        for k, times in left.items():
            shares = [d[t - 1] * math.comb(k, t) for t in range(1, largest + 1)]
            expected = [e + times * share / sum(shares) for e, share in zip(expected, shares, strict=True)]
        # A size that was never seen keeps half a sighting: a probability of zero would never rise again.
        d = [d_t * max(seen[t], 0.5) / e for t, (d_t, e) in enumerate(zip(d, expected, strict=True), start=1)]
        d = [d_t / d[0] for d_t in d]
    return [math.log(d_t) for d_t in d[1:]]
