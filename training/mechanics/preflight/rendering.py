"""What a chat template makes of conversations: whether it renders them at all, all of them, and tells who speaks."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from jinja2.exceptions import TemplateError

from training.mechanics.instructions.talks import IGNORED, Example, Talk, encode

# What other templates write between turns; where a row says it itself, it was rendered before.
MARKS = re.compile(
    r"<\|im_(?:start|end)\|>|\[/?INST\]|<</?SYS>>|<\|(?:user|assistant|system|eot_id|start_header_id|end_of_text)\|>"
    r"|<(?:start|end)_of_turn>|### (?:Instruction|Response|Human|Assistant):|</s>|^(?:Human|Assistant|USER|ASSISTANT): ",
    re.MULTILINE,
)


@dataclass(slots=True)
class Rendered:
    """`examples` are the rows that the template renders, in their order; the counts are of rows."""

    examples: list[Example] = field(default_factory=list)
    refused: int = 0
    refusal: str = ""
    lost: int = 0
    marked: int = 0
    num_rows: int = 0
    mark: str = ""

    def silent(self) -> int:
        return sum(all(label == IGNORED for label in example.labels) for example in self.examples)

    def longer_than(self, max_length: int) -> int:
        return sum(len(example.input_ids) > max_length for example in self.examples)


def render(tokenizer: Any, talks: list[Talk]) -> Rendered:
    """The tokenizer has a chat template."""
    found = Rendered(num_rows=len(talks))
    for talk in talks:
        mark = next((m.group() for message in talk if (m := MARKS.search(message["content"]))), "")
        found.marked += bool(mark)
        found.mark = found.mark or mark
        try:
            words = tokenizer.apply_chat_template(talk, tokenize=False)
            found.examples.append(encode(tokenizer, talk))
        except (TemplateError, ValueError, TypeError) as error:
            found.refused += 1
            found.refusal = found.refusal or (str(error).strip() or type(error).__name__).splitlines()[0][:200]
            continue
        found.lost += not says_all(words, talk)
    return found


def says_all(words: str, talk: Talk) -> bool:
    """Whether every message stands in the rendered text, in order."""
    at = 0
    for message in talk:
        content = message["content"].strip()
        at = words.find(content, at)
        if at < 0:
            return False
        at += len(content)
    return True


def tells_roles_apart(tokenizer: Any) -> bool:
    """Whether more than blanks stands between a question and its answer. A template that refuses is judged by its rows."""
    try:
        words = tokenizer.apply_chat_template(
            [{"role": "user", "content": "QQQQ"}, {"role": "assistant", "content": "AAAA"}], tokenize=False
        )
    except (TemplateError, ValueError, TypeError):
        return True
    between = words.partition("QQQQ")[2].partition("AAAA")[0]
    return bool(between.strip())
