"""Sentences that are kept in English and said in the language of whoever reads them."""

from __future__ import annotations

import pytest
from django.utils import translation

from annotation.models import Cause, StandingChange
from annotation.quality import sentences
from annotation.quality.judgement import Measure, told
from annotation.quality.sentences import PATTERNS, PLACE, said
from annotation.services import qualification
from annotation.services.figures import in_words

HASTE = sentences.PAUSED_BY_HASTE % {"num": 40, "share": "31 %"}


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("language", ["de", "ar"])
def test_a_kept_sentence_is_found_again_with_what_was_put_into_it(pattern: str, language: str):
    facts = {name: f"{number} %" for number, name in enumerate(PLACE.findall(pattern), start=11)}
    with translation.override(language):
        read = said(pattern % facts)
    assert read != pattern % facts
    assert all(value in read for value in facts.values())


def test_of_two_verdicts_that_begin_alike_each_is_read_as_what_it_says():
    measure = Measure(0.8, num=15, low=0.5, high=0.9)
    with translation.override("de"):
        too_few = said(qualification.told(measure, num=4, mark=0.75, has_passed=False))
        missed = said(qualification.told(measure, num=4, mark=0.9, has_passed=False))
    assert "vom Raten" in too_few and "nötig waren" not in too_few
    assert "nötig waren 90 %" in missed


def test_what_is_kept_is_english_whoever_asks():
    with translation.override("ar"):
        kept = qualification.told(Measure(0.9, num=30, low=0.7, high=0.97), num=10, mark=0.75, has_passed=True)
    assert kept == (
        "You passed the test: you ordered 90 % of 30 pairs as expected in 10 tasks (95 % interval 70 % to 97 %);"
        " 75 % were needed."
    )


def test_a_sentence_within_a_sentence_is_said_in_the_same_language():
    why = "No gold ranking orders two texts that were ranked."
    kept = qualification.told(Measure(None, why=why), num=4, mark=0.75, has_passed=False)
    with translation.override("de"):
        assert said(kept) == f"Der Test lässt sich nicht beurteilen: {said(why)}"
        assert said(why) != why


@pytest.mark.parametrize("cause", [Cause.CHECKS, Cause.TEST])
def test_a_reason_of_the_product_is_read_in_the_readers_language(cause: Cause):
    change = StandingChange(cause=cause, kept_reason=HASTE)
    assert change.reason == HASTE
    with translation.override("de"):
        assert change.reason == said(HASTE) != HASTE


@pytest.mark.parametrize("cause", [Cause.HAND, Cause.APPEAL])
def test_a_persons_own_words_are_never_translated(cause: Cause):
    with translation.override("de"):
        assert StandingChange(cause=cause, kept_reason="Paused").reason == "Paused"


def test_a_measure_that_is_shown_says_why_in_the_readers_language():
    with translation.override("de"):
        assert told(Measure(None, why=sentences.UNSHOWN)).why == said(sentences.UNSHOWN) != sentences.UNSHOWN
    assert told(Measure(0.5, num=3)) == Measure(0.5, num=3)


def test_a_kept_report_is_read_in_another_language_and_stays_as_it_was():
    def part() -> dict[str, object]:
        return {
            "overall": {"figures": {"w": {"value": None, "num": 0, "why": "One task alone gives no interval."}}},
            "raters": [{"rater": "Paused", "haste": {"num": 7, "sentence": "7 of the 20 rankings that a test needs."}}],
            "kinds": [{"name": "unnamed"}, {"name": "code"}],
        }

    report = {"campaign": "everyday", "people": part(), "programs": None, "wall": {"num_tasks": 3}}
    with translation.override("de"):
        read = in_words(report)
    assert read["people"]["overall"]["figures"]["w"]["why"] == "Eine einzige Aufgabe ergibt kein Intervall."
    (rater,) = read["people"]["raters"]
    assert rater["haste"]["sentence"].startswith("7 von 20 Rangfolgen") and rater["rater"] == "Paused"
    assert [kind["name"] for kind in read["people"]["kinds"]] == ["ohne Angabe", "code"]
    assert report["people"] == part() and read["wall"] == report["wall"]


def test_a_report_is_read_in_english_as_it_is_kept():
    report = {"people": None, "programs": None}
    assert in_words(report) is report
