"""Our own JSON lines: {"prompt", "completions": [{"id", "text", "model"?}], "rankings"?: [{"rater", "tiers", ...}]}.

What else a ranking may say is in `annotation.services.saying`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from django.utils.translation import gettext, gettext_lazy

from annotation.importing.checking import MOST_COMPLETIONS
from annotation.importing.columns import OPTIONAL
from annotation.importing.drafts import Draft, Reader
from annotation.services.saying import check_fields
from annotation.services.texts import BadLine

FIELDS = {"prompt", "completions", "rankings"}


class Native(Reader):
    name = "steadyhand"
    label = gettext_lazy("Steadyhand rankings")

    @classmethod
    def fits(cls, record: Mapping[str, Any]) -> bool:
        completions = record.get("completions")
        return "prompt" in record and isinstance(completions, list) and ("rankings" in record or has_ids(completions))

    def drafts(self, record: Mapping[str, Any]) -> Iterator[Draft]:
        check_fields(record, known=FIELDS | OPTIONAL, needed={"prompt", "completions"}, what=gettext("a row"))
        completions = record["completions"]
        if not isinstance(completions, list) or len(completions) < 2:
            if not isinstance(completions, list):
                raise BadLine(gettext("There are 2 to 9 completions to a prompt, not no list."), code="bad_completions")
            sentence = gettext("There are 2 to %(most)s completions to a prompt, not %(num)s.")
            raise BadLine(sentence % {"most": MOST_COMPLETIONS, "num": len(completions)}, code="bad_completions")
        rankings = record.get("rankings", [])
        if not isinstance(rankings, list):
            raise BadLine(gettext('"rankings" is a list.'), code="bad_shape")
        yield Draft(record["prompt"], tuple(completions), tuple(rankings), columns=record)


def has_ids(completions: list[Any]) -> bool:
    return any(isinstance(one, Mapping) and {"id", "text"} <= set(one) for one in completions)
