"""What of a critic's answer is a reply: words about it are cut or refuse it, and no colon or label of the text is lost."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from training.mechanics.constitutional.leaks import WHYS, clean, plain, stripped

PREFACES = [
    "Sure, here is a revised reply: ",
    "Sure! Here's the revised response:\n\n",
    "Certainly! Here is a revised version of the response that is kinder:\n",
    "Here’s an improved and kinder answer:\n",
    "Of course. I have rewritten the reply.\n\n",
    "I've rewritten the answer as follows: ",
    "Here is a revised reply.\n",
    "**Revised response:** ",
    "My revised answer is: ",
    "Revised version: ",
    "Revision: ",
    "### Revision 2:\n",
    "Assistant: ",
    "**Assistant:** Sure thing, here is a safer version:\n",
    "<reply>\n",
    "<conversation>\nPerson: Why?\n</conversation>\n<reply>\n",
    "<think>\nHit: bad. Let me see: one, two.\n</think>\n\n",
]
ENDINGS = [
    "",
    "\n</reply>",
    "\n</reply>\n<criticism>\nIt hits: him.\n</criticism>\n\nAnswer with the words of the new reply alone.",
    "\n\nHuman: And now: what?\n\nAssistant: Nothing.",
    "\nHuman: Thanks",
    "\n\nUser: Thanks",
    "\n\n(I removed the harmful advice.)",
    "\n\nNote: I've changed the tone: it is kinder now.",
    "\n\nChanges made: none\n- one: two",
    "\n\nThis revised reply hurts nobody.",
]
PLAIN = [
    "Sure: go on.",
    "User: root\nPassword: secret",
    "Here is the answer: 42",
    "Here is what to do: wait: then go.",
    "New message: hello",
    "I removed the message: it was rude. I changed it: twice.",
    "A: b: c",
    "Note: I like this: very much.",
    "The human: a study. The assistant: another.",
    "Ratio 3:4, at 12:30; see https://example.org/a:b",
    "```yaml\nreply: x\nanswer:\n  text: y\n```",
    "To: you\n\nSubject: my new text\n\nDear: all",
    '{"reply": "Here: it is."}',
    ":", "::\n:", "a:", ":b",
]  # fmt: skip
WORDS = st.sampled_from(
    ["go", "Wait", "note:", "a:", ":", "3:4", "him.", "Here", "is", "it:", "\n", "\n\n", "Sure", "-", "“so”", "{x}"]
)
COLONED = st.lists(WORDS, min_size=1, max_size=20).map(" ".join).filter(lambda text: text.strip())


@given(COLONED)
@example("Sure: here is it: wait")
def test_a_text_with_colons_passes_to_the_letter(text):
    found = clean(text, before="Something else.", request="Rewrite the reply so that it harms nobody.", asked="Why?")
    assert (found.text, found.why) == (text.strip(), "")


@pytest.mark.parametrize("text", PLAIN)
def test_texts_that_look_like_labels_and_prefaces_pass(text):
    assert clean(text, before="x", request="r" * 40).text == text


@given(st.text())
def test_any_text_has_an_outcome_and_what_is_kept_is_part_of_it(text):
    found = clean(text, before="before", request="request " * 5, asked="asked", critique="critique")
    assert found.text in text and found.why in ("", *WHYS)
    assert found.is_kept <= bool(found.text.strip())
    assert stripped(stripped(text)) == stripped(text)


@given(COLONED, st.sampled_from(PREFACES), st.sampled_from(ENDINGS))
@example(":", "Of course. I have rewritten the reply.\n\n", "")
@example("go \n\n note:", "", "\n\nChanges made: none")
def test_what_is_said_about_a_revision_is_cut_and_the_reply_stays_as_it_is(text, preface, ending):
    found = clean(preface + text.strip() + ending, before="Something else.", request="r" * 40)
    assert (found.text, found.why) == (text.strip(), "")


def test_a_quotation_that_the_reply_did_not_open_ends_it():
    assert clean("Talk to him.</response>\n\nNow he is calm.", before="Hit him.").text == "Talk to him."
    xml = "Send <response>ok</response> and wait."
    assert clean(xml, before="Hit him.").text == xml


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("Sure, here is a revised reply:", "leak"),
        ("Human: and you?", "leak"),
        ("I would say it so, for the original reply was rude.", "leak"),
        ("By the critique request above, be kind.", "leak"),
        ("  It WAS\nlike this. ", "unchanged"),
        ("Here is a revised reply: It was like this.", "unchanged"),
        ("Please rewrite the reply so that it harms nobody.", "echo"),
        ("How do I get even?", "echo"),
        ("The reply hits him.", "echo"),
    ],
)
def test_what_is_no_revision_is_refused_and_says_why(answer, why):
    found = clean(
        answer, before="It was like this.", request="Rewrite the reply so that it harms nobody.", asked="How do I get even?",
        critique="The reply hits him.",
    )  # fmt: skip
    assert found.why == why


SHOWN = "Before the contract: four days without sleep are a great weight. Call somebody."


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (SHOWN, "example"),
        ("I see. Before the contract: FOUR days without\nsleep are a great weight. Take the bus.", "example"),
        ("Call somebody.", ""),  # anybody says so
        ("Four days without sleep are much.", ""),
        # Much of it in an example's words, though no sentence of it.
        ("Well, before the contract four days without sleep are a great worry to him and to you. Rest.", "example"),
        ("Four days without sleep are a great deal. " + "Nobody can drive a car then, so ask for a lift. " * 3, ""),
    ],
)
def test_a_whole_sentence_of_an_example_is_no_revision(answer, why):
    assert clean(answer, before="Sign it.", examples=[SHOWN]).why == why
    assert clean(f"{answer} Now.", before=answer, examples=[SHOWN]).why == "", "unless the reply had it before"


def test_what_the_reply_had_before_is_its_own():
    letter = "Here is a revised version of your letter: Dear Ann: thanks."
    assert clean(letter.replace("Ann", "Bob"), before=letter).text == letter.replace("Ann", "Bob")
    talk = "Human: Hi: you!\nAssistant: Hello."
    assert clean(talk + "\nHuman: Bye.", before=talk).text == talk + "\nHuman: Bye."


def test_plain_text_is_what_is_left_of_case_and_spaces():
    assert plain(" A\n b ") == plain("a B")
