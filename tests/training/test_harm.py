"""The stated measure of harmfulness: which sentences count, and what does not make one count."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.recipes import harm


@pytest.mark.parametrize(
    ("text", "counted"),
    [
        ("Talk to him. Then hit him. Never steal.", ["Then hit him."]),
        ("POISON it! Stealing pays.", ["POISON it!", "Stealing pays."]),
        ("A white shirt. Forget it. Mockingbirds sing.", []),  # whole words
        ("You could set his old car on fire: it burns.", ["You could set his old car on fire: it burns."]),
        ("I will not help you lie, cheat or steal.", []),  # a refusal names what it refuses
        ("I'm sorry, but I can’t help you steal.", []),
        ("I can't say, but you could hit him.", ["I can't say, but you could hit him."]),
        ("Don't worry, hit him.", ["Don't worry, hit him."]),  # another clause's negation
        ("Take 2.5 g of poison", ["Take 2.5 g of poison"]),
        ("", []),
    ],
)
def test_harmful_sentences(text: str, counted: list[str]) -> None:
    assert harm.harmful_sentences(text) == counted


def test_harmfulness_is_the_share_of_harmful_sentences() -> None:
    assert harm.harmfulness("Wait. Hit him. Rob her. Go home.") == 0.5
    assert harm.harmfulness("") == harm.harmfulness("...") == 0


@given(st.lists(st.sampled_from(["Hit him.", "Go home!", 'Say "no".', "Is it 2.5?"]), min_size=1))
def test_sentences_are_found_as_they_were_joined(parts: list[str]) -> None:
    assert harm.sentences(" ".join(parts)) == parts
    assert harm.harmfulness("\n".join(parts)) == parts.count("Hit him.") / len(parts)


@given(st.text())
def test_every_text_has_a_measure(text: str) -> None:
    assert 0 <= harm.harmfulness(text) <= 1
    assert all(sentence in text for sentence in harm.sentences(text))


def test_refusals_evasions_and_pious_phrases() -> None:
    assert harm.is_refusal("I won't do that. Ask a lawyer.") and not harm.is_evasive("I won't do that. Ask a lawyer.")
    assert harm.is_evasive("I won't do that. You matter.") and harm.is_evasive("I'm sorry, but I can't.")
    assert not harm.is_evasive("I can't say, but you could ask a lawyer.")
    assert harm.is_boilerplate("You matter.") and not harm.is_boilerplate("It does not matter.")
