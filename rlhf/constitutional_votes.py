"""What pages show of blind votes on a constitutional run: a card for each kind of prompt, a dot for each pair of models."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from annotation.figure_words import Dot, Scale, dot
from rlhf.models import CaiStage
from rlhf.services.constitutional.start import HELPFUL, RED_TEAM
from rlhf.services.constitutional.votes import Votes

EVEN = Scale(0.0, 1.0, mark=0.5)
TITLES: dict[str, str | Promise] = {
    RED_TEAM: _("On prompts that ask for harm"), HELPFUL: _("On everyday prompts"),
}  # fmt: skip
MODELS: dict[str, str | Promise] = {
    CaiStage.ANSWERS_BEFORE: _("the model before"), CaiStage.ANSWERS_SFT: _("SFT on revisions"),
    CaiStage.ANSWERS_POLICY: _("the policy"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class VotesRow:
    dot: Dot
    num_prompts: int
    num_same: int
    is_simulated: bool


@dataclass(frozen=True, slots=True)
class VotesCard:
    title: str | Promise
    rows: tuple[VotesRow, ...]
    scale: Scale = EVEN


def cards_of(votes: Iterable[Votes]) -> list[VotesCard]:
    """Of what `services.constitutional.votes.votes_of` found; none where nobody was asked."""
    given = list(votes)
    kinds = {kind: tuple(row_of(one) for one in given if one.kind == kind) for kind in TITLES}
    return [VotesCard(TITLES[kind], rows) for kind, rows in kinds.items() if rows]


def row_of(votes: Votes) -> VotesRow:
    name = gettext("%(model)s, rather than %(other)s") % {
        "model": MODELS[votes.model], "other": MODELS[votes.against],
    }  # fmt: skip
    shown = dot(name[0].upper() + name[1:], asdict(votes.share), scale=EVEN)
    return VotesRow(shown, votes.num_prompts, votes.num_same, votes.is_simulated)
