"""The losses that learn from preferences without a reward model: every one of TRL 1.16's DPOTrainer, and KTO's.

Of a comparison of a chosen text w with a rejected one l of a prompt x: c = log pi(w|x) - log ref(w|x), how much likelier than
under the reference the policy finds the chosen one, r the same of the rejected one, and s the logistic function. A text's
log-probability is the sum over the tokens of its completion, |w| or |l| of them. e is the share of comparisons that are
taken to be the wrong way round.

With another divergence than the reverse KL (f-DPO, `scored`) c and r are f' of those ratios in every loss that knows of it.

A comparison may have a label p, the probability that w is the better one (`people.soft_labels`): then it counts p times, and its
opposite, with w and l in each other's place, 1 - p times (`labelled`). For DPO's own loss that is the cross-entropy to p; for
IPO and SPPO, up to a number without a gradient, the squared distance to (p - 1/2) / beta, as their papers have it.

Shapes: B comparisons or judged texts, U texts, N tokens of all completions of a batch, text after text.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

MOST_EXPONENT = 80.0  # e to it is a number of float32, and of bfloat16


@dataclass(frozen=True, slots=True)
class Divergence:
    """What holds a policy to its reference: one of the recipe's `f_divergence_type`, with the alpha of `alpha_divergence`."""

    kind: str = "reverse_kl"
    alpha: float = 0.5

    def scored(self, log_ratios: Tensor) -> Tensor:
        """f'(t) where log t = log pi(y|x) - log ref(y|x): what DPO's reward is beta times of, up to a term of the prompt alone
        (f-DPO, Wang et al. 2024, arXiv 2309.16240, theorem 1 and table 1):

            reverse KL   log t             (plain DPO)
            forward KL   1 - 1/t           (the alpha divergence of alpha 0)
            JS           log(2t / (1 + t))
            alpha        (t^(alpha - 1) - 1) / (alpha - 1)
        """
        alpha = 0.0 if self.kind == "forward_kl" else self.alpha
        if self.kind == "js_divergence":
            return math.log(2) + F.logsigmoid(log_ratios)
        if self.kind == "reverse_kl" or abs(alpha - 1) < 1e-6:  # the limit of alpha to 1
            return log_ratios
        exponents = ((alpha - 1) * log_ratios).clamp(max=MOST_EXPONENT)
        return (exponents.exp() - 1) / (alpha - 1)


REVERSE_KL = Divergence()


@dataclass(frozen=True, slots=True)
class Pairs:
    """Log-probabilities of B comparisons' texts under policy and reference, and the numbers of tokens; all (B,)."""

    chosen: Tensor
    rejected: Tensor
    ref_chosen: Tensor
    ref_rejected: Tensor
    chosen_lengths: Tensor
    rejected_lengths: Tensor
    chosen_whole: Tensor | None = None
    """Where `length_desensitised` has changed `chosen`: what it was before."""
    rejected_whole: Tensor | None = None
    divergence: Divergence = REVERSE_KL

    @property
    def c(self) -> Tensor:
        return self.divergence.scored(self.chosen - self.ref_chosen)

    @property
    def r(self) -> Tensor:
        return self.divergence.scored(self.rejected - self.ref_rejected)

    def margins(self, beta: float) -> Tensor:
        return beta * self.c - beta * self.r

    def opposite(self) -> Pairs:
        return Pairs(
            self.rejected, self.chosen, self.ref_rejected, self.ref_chosen, self.rejected_lengths, self.chosen_lengths,
            self.rejected_whole, self.chosen_whole, self.divergence,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Terms:
    beta: float
    label_smoothing: float | Tensor = 0.0
    """e, of all or of each comparison (B,)."""
    discopop_tau: float = 0.05


def dpo_losses(margins: Tensor, *, label_smoothing: float | Tensor = 0.0) -> Tensor:
    """DPO (Rafailov et al. 2023, arXiv 2305.18290, eq. 7) of margins beta (c - r): -log s(margin); and with e > 0 robust DPO
    (Chowdhury et al. 2024, arXiv 2403.00409), unbiased where a share e of labels is flipped:

        (-(1 - e) log s(margin) + e log s(-margin)) / (1 - 2e)
    """
    e = label_smoothing
    return (-(1 - e) * F.logsigmoid(margins) + e * F.logsigmoid(-margins)) / (1 - 2 * e)


def smoothed(margins: Tensor, e: float | Tensor) -> Tensor:
    """-(1 - e) log s(margin) - e log s(-margin): cross-entropy to labels that are right with probability 1 - e."""
    return -(1 - e) * F.logsigmoid(margins) - e * F.logsigmoid(-margins)


def sigmoid(pairs: Pairs, terms: Terms) -> Tensor:
    return dpo_losses(pairs.margins(terms.beta), label_smoothing=terms.label_smoothing)


def hinge(pairs: Pairs, terms: Terms) -> Tensor:
    """max(0, 1 - beta (c - r)). SLiC-HF (Zhao et al. 2023, arXiv 2305.10425) on the log-ratios of RSO (Liu et al. 2023,
    arXiv 2309.06657): a comparison whose margin is reached teaches nothing more."""
    return torch.relu(1 - pairs.margins(terms.beta))


def ipo(pairs: Pairs, terms: Terms) -> Tensor:
    """(c/|w| - r/|l| - 1 / (2 beta))^2. IPO (Azar et al. 2023, arXiv 2310.12036, eq. 17; its tau is beta), by token as its
    authors ran it: the margin is steered to a value instead of raised for ever."""
    by_token = pairs.c / pairs.chosen_lengths - pairs.r / pairs.rejected_lengths
    return (by_token - 1 / (2 * terms.beta)) ** 2


def exo_pair(pairs: Pairs, terms: Terms) -> Tensor:
    """KL(q || p) of q = (s(m), s(-m)), m = beta (c - r), and p = (1 - e, e). EXO (Ji et al. 2024, arXiv 2402.00856, eq. 16):
    the reverse of the KL that DPO takes; e must be above 0, the paper's is 1e-3."""
    margins = pairs.margins(terms.beta)
    e = torch.as_tensor(terms.label_smoothing, device=margins.device)
    right = torch.sigmoid(margins) * (F.logsigmoid(margins) - torch.log1p(-e))
    wrong = torch.sigmoid(-margins) * (F.logsigmoid(-margins) - torch.log(e))
    return right + wrong


def nca_pair(pairs: Pairs, terms: Terms) -> Tensor:
    """-log s(beta c) - log s(-beta c)/2 - log s(-beta r)/2. NCA (Chen et al. 2024, arXiv 2402.05369): absolute rewards, which
    hold the chosen text's likelihood up, too."""
    c, r = terms.beta * pairs.c, terms.beta * pairs.r
    return -F.logsigmoid(c) - 0.5 * F.logsigmoid(-c) - 0.5 * F.logsigmoid(-r)


def bco_pair(pairs: Pairs, terms: Terms) -> Tensor:
    """-log s(beta c) - log s(-beta r). BCO (Jung et al. 2024, arXiv 2404.04656) on pairs, its reward shift left out: chosen and
    rejected texts are told apart one by one, as by a classifier."""
    return -F.logsigmoid(terms.beta * pairs.c) - F.logsigmoid(-terms.beta * pairs.r)


def sppo_hard(pairs: Pairs, terms: Terms) -> Tensor:
    """(c - 1/(2 beta))^2 + (r + 1/(2 beta))^2. SPPO (Wu et al. 2024, arXiv 2405.00675, eq. 4.7) with probabilities 1 and 0."""
    return (pairs.c - 0.5 / terms.beta) ** 2 + (pairs.r + 0.5 / terms.beta) ** 2


def aot(pairs: Pairs, terms: Terms) -> Tensor:
    """`smoothed` over the batch's sorted log pi(w) - log pi(l), each less that of its rank under the reference. AOT (Melnyk et
    al. 2024, arXiv 2406.05882): not each comparison but their distribution is to dominate the reference's."""
    policy = (pairs.chosen - pairs.rejected).sort(dim=0).values
    reference = (pairs.ref_chosen - pairs.ref_rejected).sort(dim=0).values
    return smoothed(terms.beta * (policy - reference), terms.label_smoothing)


def aot_unpaired(pairs: Pairs, terms: Terms) -> Tensor:
    """`smoothed` over the batch's sorted c less its sorted r: AOT where chosen texts aren't of the rejected ones' prompts."""
    return smoothed(terms.beta * (pairs.c.sort(dim=0).values - pairs.r.sort(dim=0).values), terms.label_smoothing)


def apo_zero(pairs: Pairs, terms: Terms) -> Tensor:
    """1 - s(beta c) + s(beta r). APO (D'Oosterlinck et al. 2024, arXiv 2408.06266, eq. 7): for chosen texts that are better
    than what the model writes itself; the chosen go up and the rejected down, whatever the other does."""
    return 1 - torch.sigmoid(terms.beta * pairs.c) + torch.sigmoid(terms.beta * pairs.r)


def apo_down(pairs: Pairs, terms: Terms) -> Tensor:
    """s(beta c) + 1 - s(beta (c - r)). APO (eq. 8): for chosen texts that are worse than what the model writes itself; both go
    down, the rejected further."""
    return torch.sigmoid(terms.beta * pairs.c) + 1 - torch.sigmoid(pairs.margins(terms.beta))


def discopop(pairs: Pairs, terms: Terms) -> Tensor:
    """(1 - s(m/tau)) (-log s(m)) + s(m/tau) exp(-m), m = beta (c - r). DiscoPOP (Lu et al. 2024, arXiv 2406.08414, eq. 5): found
    by a program search; where m is far below 0 it is DPO, above it an exponential; tau is how gradually it changes."""
    margins = pairs.margins(terms.beta)
    share = torch.sigmoid(margins / terms.discopop_tau)
    return -F.logsigmoid(margins) * (1 - share) + torch.exp(-margins) * share


def sft(pairs: Pairs, terms: Terms) -> Tensor:
    """-log pi(w) over the mean number of tokens of the batch's chosen texts: its mean is a token's negative log-likelihood."""
    whole = pairs.chosen if pairs.chosen_whole is None else pairs.chosen_whole
    return -whole / pairs.chosen_lengths.float().mean()


def sigmoid_norm(pairs: Pairs, terms: Terms) -> Tensor:
    """-log s(beta (c/|w| - r/|l|)). Length-normalised DPO (Lambert et al. 2024, arXiv 2411.15124, Tulu 3): a margin a token, so
    length alone earns none; betas are larger, 2 to 10."""
    by_token = pairs.c / pairs.chosen_lengths - pairs.r / pairs.rejected_lengths
    return -F.logsigmoid(terms.beta * by_token)


LOSSES: dict[str, Callable[[Pairs, Terms], Tensor]] = {
    "sigmoid": sigmoid,
    "robust": sigmoid,
    "hinge": hinge,
    "ipo": ipo,
    "exo_pair": exo_pair,
    "nca_pair": nca_pair,
    "bco_pair": bco_pair,
    "sppo_hard": sppo_hard,
    "aot": aot,
    "aot_unpaired": aot_unpaired,
    "apo_zero": apo_zero,
    "apo_down": apo_down,
    "discopop": discopop,
    "sft": sft,
    "sigmoid_norm": sigmoid_norm,
}
SORTED = (
    "aot",
    "aot_unpaired",
)  # losses of ranks in the batch: none of them belongs to one comparison, or has its weight


def labelled(name: str, pairs: Pairs, terms: Terms, *, labels: Tensor | None) -> Tensor:
    """A loss of `LOSSES`, but for those of `SORTED`, by comparison, each with the label (B,) that its chosen text is better."""
    losses = LOSSES[name](pairs, terms)
    if labels is None:
        return losses
    return labels * losses + (1 - labels) * LOSSES[name](pairs.opposite(), terms)


def weighed_loss(name: str, pairs: Pairs, terms: Terms, *, weights: Tensor, labels: Tensor | None = None) -> Tensor:
    """The mean over the batch of a loss of `LOSSES`, each comparison by its weight (B,)."""
    losses = labelled(name, pairs, terms, labels=labels)
    return (weights.mean() * losses if name in SORTED else weights * losses).mean()


@torch.no_grad()
def on_policy_weights(log_probs_N: Tensor, squares_N: Tensor, texts_N: Tensor, *, num_texts: int) -> Tensor:
    """(U,): of each text, the geometric mean over its tokens of p(token) / sum over the vocabulary of p(v)^2.

    WPO (Zhou et al. 2024, arXiv 2406.11827, eq. 2 with the alignment of section 3.2): comparisons count by how likely the
    policy would have written their texts itself, the product of both texts' weights, as if they had been sampled from it.
    The denominator, whose logarithm `squares_N` is, is what a token that the policy samples has on average: so a text that
    it writes itself weighs about 1 however unsure it is.
    """
    sums = log_probs_N.new_zeros(num_texts).index_add(0, texts_N, log_probs_N - squares_N)
    return (sums / torch.bincount(texts_N, minlength=num_texts).clamp(min=1)).exp()


def length_desensitised(
    log_probs_N: Tensor, texts_N: Tensor, *, texts_B: Tensor, others_B: Tensor, num_texts: int, alpha: float
) -> Tensor:
    """(B,): of text i beside text j, the sum over its first min(|i|, |j|) tokens, and `alpha` times the sum over the rest.

    LD-DPO (Liu et al. 2024, arXiv 2409.06411): what a longer text says beyond the other's length counts less. `texts_N` is the
    text of each token, and the tokens of a text stand together in their order.
    """
    lengths_U = torch.bincount(texts_N, minlength=num_texts)
    ends_U = lengths_U.cumsum(dim=0)
    starts_B = (ends_U - lengths_U)[texts_B]
    shared_B = torch.minimum(lengths_U[texts_B], lengths_U[others_B])
    until_N1 = F.pad(log_probs_N.double().cumsum(dim=0), (1, 0))  # differences of long sums: float32 would lose digits
    first_B = until_N1[starts_B + shared_B] - until_N1[starts_B]
    rest_B = until_N1[ends_U[texts_B]] - until_N1[starts_B + shared_B]
    return (first_B + alpha * rest_B).to(log_probs_N.dtype)


def kto_losses(log_ratios: Tensor, desirable: Tensor, *, kl: Tensor, beta: float) -> Tensor:
    """(B,): 1 - s(beta (q - kl)) of a desirable text, 1 - s(beta (kl - q)) of an undesirable one, q = log pi(y|x) - log ref(y|x).

    KTO (Ethayarajh et al. 2024, arXiv 2402.01306, eq. 7): the gain or loss of a person whose reference point is how far the
    policy has moved in general. Where policy and reference are equal it is 1/2.
    """
    return 1 - torch.sigmoid(beta * torch.where(desirable, log_ratios - kl, kl - log_ratios))


def reference_point(log_ratios: Tensor) -> Tensor:
    """KTO's estimate of KL(pi || ref): the mean log-ratio of other prompts' completions, no less than 0, without gradient."""
    return log_ratios.detach().mean().clamp(min=0) if len(log_ratios) else log_ratios.new_zeros(())
