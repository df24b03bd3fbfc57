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
    CaiStage.ANSWERS_BEFORE: _("before"), CaiStage.ANSWERS_SFT: _("SFT"), CaiStage.ANSWERS_POLICY: _("policy"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class VotesRow:
    dot: Dot
    num_same: int


@dataclass(frozen=True, slots=True)
class VotesCard:
    title: str | Promise
    rows: tuple[VotesRow, ...]
    is_simulated: bool  # some of what is told here is of simulated raters
    scale: Scale = EVEN


def cards_of(votes: Iterable[Votes]) -> list[VotesCard]:
    """Of what `services.constitutional.votes.votes_of` found; none where nobody was asked."""
    given = list(votes)
    found = [(kind, [one for one in given if one.kind == kind]) for kind in TITLES]
    return [
        VotesCard(TITLES[kind], tuple(map(row_of, some)), any(one.is_simulated for one in some))
        for kind, some in found
        if some
    ]


def row_of(votes: Votes) -> VotesRow:
    name = gettext("%(model)s over %(other)s") % {"model": MODELS[votes.model], "other": MODELS[votes.against]}
    return VotesRow(dot(name, asdict(votes.share), scale=EVEN), votes.num_same)
