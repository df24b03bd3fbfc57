"""Curating drops what each step says it drops, for the reason it gives, and nothing else; twice is as once."""

from __future__ import annotations

import json
import random
import signal
import time

import ftfy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from registry.models import DatasetKind
from registry.services import schemas
from registry.services.datasets import tally_of
from tests.training import tiny
from tests.training.curated import PLAIN, curate, edited, ids, prepared, rows, sentence, step, text_row, texts
from training import contract
from training.context import Stopped
from training.mechanics.curation import minhash
from training.mechanics.curation import rows as curation_rows
from training.mechanics.curation.duplicates import Signatures, first_of_equals
from training.mechanics.curation.normal import MENDING, normal
from training.mechanics.curation.words import words_of
from training.methods import curate as method

LOT = random.Random(7)
SENTENCES = [sentence(LOT) for _ in range(40)]


def test_with_every_step_off_rows_stay_as_they_are_and_the_report_says_so(tmp_path):
    given = texts(*SENTENCES[:20])
    run_dir = curate(tmp_path, given, texts(*SENTENCES[20:25], first=20), **PLAIN)
    assert rows(run_dir, "train") == given
    assert ids(run_dir, "test") == ["20", "21", "22", "23", "24"]
    report = json.loads((run_dir / "output/curation.json").read_text())
    assert report["rows"] == {"given": 25, "kept": 25, "train": 20, "test": 5}
    assert [told["dropped"] for told in report["steps"]] == [0] * len(report["steps"])
    assert tally_of(run_dir / "output", kind="corpus").splits == {"train": 20, "test": 5}


def test_broken_encodings_are_mended_and_quotation_marks_stay(tmp_path):
    run_dir = curate(
        tmp_path, texts("CafÃ© “noir”\r\nl’été", "e\u0301te", "plain", "\ufeff "), **PLAIN | {"normalise": True}
    )
    assert [row["text"] for row in rows(run_dir, "train")] == ["Café “noir”\nl’été", "éte", "plain"]
    told = step(run_dir, "normalise")
    assert (told["changed"], told["reasons"]) == (3, {"no text": 1})


@settings(deadline=None, max_examples=60)
@given(text=st.text(max_size=60) | st.text(alphabet="aÃ©â€™&;lt\r\n\u0301“”—…. ", max_size=30))
def test_what_is_normal_stays_as_it_is(text):
    assert normal(normal(text)) == normal(text)


@settings(deadline=None, max_examples=300)
@given(text=st.text(alphabet="aZ09 .,;:'\"<>#@\t\n–—‘’“”…", max_size=40))
def test_what_is_passed_over_as_usual_is_what_ftfy_leaves_alone(text):
    assert normal(text) == text == ftfy.fix_text(text, MENDING)


@pytest.mark.parametrize(
    ("text", "hidden", "kind"),
    [
        ("Write to ada.b+c@mail.example.org, please.", "Write to [email], please.", "email"),
        ("DE89 3704 0044 0532 0130 00 it is", "[iban] it is", "iban"),
        ("DE88 3704 0044 0532 0130 00 it is not", None, ""),
        ("card 4111 1111 1111 1111.", "card [card].", "card"),
        ("card 4111 1111 1111 1112.", None, ""),
        ("from 192.168.17.4 on", "from [ip] on", "ip"),
        ("at 2001:db8::8a2e:370:7334!", "at [ip]!", "ip"),
        ("version 1.2.3.456 or 127.0.0.1", None, ""),
        ("call +49 30 901820 now", "call [phone] now", "phone"),
        ("call (212) 555-0147 now", "call [phone] now", "phone"),
        ("from 1914-1918, 3.14159265358979, 12:30:45", None, ""),
    ],
)
def test_personal_data_are_redacted_where_their_check_digits_are_right(tmp_path, text, hidden, kind):
    run_dir = curate(tmp_path, texts(text), **PLAIN | {"personal_data": {"action": "redact"}})
    assert rows(run_dir, "train")[0]["text"] == (hidden or text)
    assert step(run_dir, "personal_data")["found"] == ({kind: 1} if kind else {})


def test_personal_data_may_be_counted_alone_or_cost_the_row(tmp_path):
    given = texts("ada@example.org", "nobody")
    counted = curate(tmp_path / "a", given, **PLAIN | {"personal_data": {"action": "count"}})
    assert [row["text"] for row in rows(counted, "train")] == ["ada@example.org", "nobody"]
    assert step(counted, "personal_data")["found"] == {"email": 1}
    dropped = curate(tmp_path / "b", given, **PLAIN | {"personal_data": {"action": "drop"}})
    assert ids(dropped) == ["1"]
    told = step(dropped, "personal_data")
    assert told["reasons"] == {"holds personal data (email)": 1}
    assert told["examples"][0]["text"] == "[email]"


BAD = {
    "too few words": "two words",
    "words too short": "a b c d e f g h",
    "words too long": "incomprehensibilities " * 6,
    "too many symbols": "some #words #with #hash #signs in them",
    "too few words with a letter": "100 200 300 400 five six 700 800 9000 100",
    "too few letters": "a1111 b2222 c3333 d4444 e5555 f6666",
    "placeholder text": "Here lorem ipsum stands for what is missing",
    "too many bullets": "- one thing that is here\n- another thing to think of\n- and then a third of them",
    "too many ellipses": "what was it …\nnobody knows …\nbut everybody asks",
}


@pytest.mark.parametrize("reason", BAD)
def test_each_bound_of_quality_drops_what_is_beyond_it_alone(tmp_path, reason):
    run_dir = curate(tmp_path, texts(SENTENCES[0], BAD[reason]), **PLAIN | {"quality": {"max_symbols": 0.3}})
    told = step(run_dir, "quality")
    assert ids(run_dir) == ["0"] and told["reasons"] == {reason: 1}
    assert told["examples"] == [{"id": "1", "reason": reason, "text": BAD[reason][:300]}]


def test_texts_that_repeat_themselves_are_dropped_and_prose_is_not(tmp_path):
    lines = "\n".join([sentence(LOT, 8)] * 5 + [sentence(LOT, 8) for _ in range(5)])
    runs = " ".join(["one more time we say it"] * 3 + [sentence(LOT, 100)])
    often = " ".join(f"so then {word}" for word in sentence(LOT, 40).split())
    long = sentence(LOT, 12)
    again = " ".join([sentence(LOT, 40), long, sentence(LOT, 20), long])
    run_dir = curate(tmp_path, texts(lines, runs, often, again, *SENTENCES), **PLAIN | {"repetition": {}})
    dropped = {shown["id"]: shown["reason"] for shown in step(run_dir, "repetition")["examples"]}
    assert dropped.keys() == {"0", "2", "3"} | ({"1"} & dropped.keys())
    assert dropped["0"].startswith("too ") and "lines" in dropped["0"]
    assert dropped["2"] == "one run of 2 words too often"
    assert dropped["3"].startswith("too many repeated runs of")


def test_named_languages_are_kept(tmp_path):
    english = "It was the best of times, it was the worst of times, it was the age of wisdom."
    german = "Es war einmal ein Mann, der hatte eine Frau und viele Kinder, die alle nicht schlafen wollten."
    run_dir = curate(tmp_path, texts(english, german, "Ja, gut."), **PLAIN | {"language": {"keep": ["en"]}})
    assert ids(run_dir) == ["0", "2"]
    assert step(run_dir, "language")["reasons"] == {"in de": 1}
    refused = prepared(tmp_path / "no", texts(english), **PLAIN | {"language": {"keep": ["tlh"]}})
    assert tiny.finish(refused) == contract.EXIT_FAILED and tiny.failure(refused)["code"] == "no_language"


def test_of_equal_rows_the_held_out_one_stays_and_else_the_first(tmp_path):
    a, b, c = SENTENCES[:3]
    run_dir = curate(tmp_path, texts(a, b, a, c, b), texts(c, first=5), **PLAIN | {"exact_duplicates": True})
    assert ids(run_dir) == ["0", "1"] and ids(run_dir, "test") == ["5"]
    assert step(run_dir, "exact_duplicates")["reasons"] == {"equal to an earlier row": 2, "equal to a held-out row": 1}


def test_no_prompt_is_in_two_splits_whatever_the_steps(tmp_path):
    """Here the two texts become one when they are mended."""
    run_dir = curate(
        tmp_path, texts("CafÃ© au lait", "tea"), texts("Café au lait", first=2), **PLAIN | {"normalise": True}
    )
    assert ids(run_dir) == ["1"] and ids(run_dir, "test") == ["2"]
    assert step(run_dir, "held_out")["reasons"] == {"its prompt is held out": 1}
    tally_of(run_dir / "output", kind="corpus")


def test_near_copies_leave_and_never_stay_in_training_beside_a_held_out_one(tmp_path):
    lot = random.Random(1)
    copies = [text_row(f"copy-{i}", edited(text, 0.05, lot) + " end") for i, text in enumerate(SENTENCES[:30])]
    run_dir = curate(
        tmp_path,
        [*texts(*SENTENCES[:20]), *copies],
        texts(*SENTENCES[20:], first=20),
        **PLAIN | {"near_duplicates": {}},
    )
    assert ids(run_dir) == [str(i) for i in range(20)] and len(ids(run_dir, "test")) == 20
    told = step(run_dir, "near_duplicates")
    assert told["reasons"] == {"almost equal to an earlier row": 20, "almost equal to a held-out row": 10}
    shown = told["examples"][0]
    assert shown["id"] == f"copy-{shown['like']}" and shown["like_text"] == SENTENCES[int(shown["like"])][:300]


def test_short_texts_with_one_other_word_are_other_texts(tmp_path):
    given = texts("What is the capital of France?", "What is the capital of Chad?")
    held_out = texts(SENTENCES[0], first=2)
    assert ids(curate(tmp_path, given, held_out, **PLAIN | {"near_duplicates": {}})) == ["0", "1"]


def test_rows_that_share_thirteen_words_with_an_evaluation_set_leave(tmp_path):
    lot = random.Random(2)
    asked = [sentence(lot, 30), sentence(lot, 9), sentence(lot, 4)]
    words = asked[0].split()
    given = texts(
        f"{SENTENCES[0]} {' '.join(words[5:18]).upper()}! {SENTENCES[1]}",
        f"{SENTENCES[2]} {' '.join(words[5:17])} {SENTENCES[3]}",
        f"{SENTENCES[4]}, {asked[1]}.",
        f"{SENTENCES[5]} {asked[2]}",
    )
    against = [{"id": str(i), "messages": [tiny.user(text)]} for i, text in enumerate(asked)]
    run_dir = curate(tmp_path, given, against=against, **PLAIN | {"decontamination": {}})
    assert ids(run_dir) == ["1", "3"]
    report = json.loads((run_dir / "output/curation.json").read_text())
    assert report["against"] == {"datasets": [""], "texts": 3, "too_short": 1, "runs": 18 + 1}


def test_instructions_are_curated_by_what_was_said(tmp_path):
    def talk(name, asked, answer):
        return {"id": name, "messages": [tiny.user(asked), tiny.assistant(answer)]}

    question, answer = SENTENCES[0], SENTENCES[1]
    given = [
        talk("a", question, answer),
        talk("b", question, answer),
        talk("c", SENTENCES[2], "ada@example.org says so"),
    ]
    run_dir = curate(tmp_path, given, [talk("d", SENTENCES[2], SENTENCES[3])], kind="instructions")
    assert ids(run_dir) == ["a"] and ids(run_dir, "test") == ["d"]
    assert step(run_dir, "held_out")["dropped"] == 1 and step(run_dir, "exact_duplicates")["dropped"] == 1
    assert tally_of(run_dir / "output", kind="instructions").splits == {"train": 1, "test": 1}


def test_without_held_out_rows_a_tenth_is_held_out_as_the_registry_does(tmp_path):
    given = texts(*(sentence(LOT) for _ in range(150)))
    run_dir = curate(tmp_path, given)
    held_out = set(ids(run_dir, "test"))
    assert 3 < len(held_out) < 40
    for row in given:
        expected = schemas.split_of(schemas.prompt_sha256(row, kind=DatasetKind.CORPUS))
        assert (row["id"] in held_out) == (expected == "test")
    talk = {"id": "1", "messages": [tiny.user("“Why?”"), tiny.assistant("é"), tiny.user("x"), tiny.assistant("y")]}
    digest = curation_rows.prompt_digest(talk, kind="instructions").hex()
    assert digest == schemas.prompt_sha256(talk, kind=DatasetKind.INSTRUCTIONS)


def messy(count: int) -> tuple[list[dict], list[dict]]:
    lot = random.Random(3)
    base = [sentence(lot) for _ in range(count)]
    made = base + [edited(lot.choice(base), rate, lot) for rate in (0.0, 0.02, 0.1, 0.15) for _ in range(count // 3)]
    made += ["CafÃ© ada@example.org " + text for text in base[:5]] + ["short", "- a b c d e\n- f g h i j"]
    lot.shuffle(made)
    return texts(*made), texts(*(edited(text, 0.05, lot) for text in base[:4]), first=10_000)


def test_curating_twice_changes_nothing(tmp_path):
    train, test = messy(60)
    once = curate(tmp_path / "once", train, test)
    twice = curate(tmp_path / "twice", rows(once, "train"), rows(once, "test"))
    assert 20 < len(ids(once)) < len(train)
    for split in ("train", "test"):
        assert rows(twice, split) == rows(once, split)
    assert contract.read_manifest(twice)["metrics"]["kept_share"] == 1


def test_a_run_that_was_stopped_goes_on_and_ends_in_the_same_files(tmp_path, monkeypatch):
    monkeypatch.setattr(curation_rows, "PART_ROWS", 30)
    train, test = messy(60)
    whole = curate(tmp_path / "whole", train, test)
    stopped = tiny.same_run(whole, tmp_path / "stopped")
    context = tiny.open_run(stopped)
    with monkeypatch.context() as soon:
        soon.setattr(
            type(context), "progress", lambda self, phase, step, *_, **__: setattr(self, "stop_requested", step > 60)
        )
        with pytest.raises(Stopped):
            method.run(context)
    assert 2 <= len(list(context.checkpoints.glob("part-*.parquet"))) <= 4
    assert tiny.finish(stopped) == contract.EXIT_DONE
    assert contract.folder_files(stopped / "output") == contract.folder_files(whole / "output")


def test_sigterm_stops_the_program(tmp_path):
    train, test = messy(300)
    run_dir = prepared(tmp_path, train * 8, test, exact_duplicates=False)
    process = tiny.start(run_dir)
    until = time.monotonic() + 60
    while not tiny.events(run_dir, "progress") and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == contract.EXIT_STOPPED


def test_the_wrong_kind_and_what_leaves_nothing_are_told_in_a_sentence(tmp_path):
    corpus = tiny.write_dataset(tmp_path / "given", texts("two words"))
    wrong = tiny.make_run(tmp_path / "wrong", "curate", {"kind_of_dataset": "instructions"}, {"corpus": corpus})
    assert tiny.finish(wrong) == contract.EXIT_FAILED and tiny.failure(wrong)["code"] == "no_input"
    empty = tiny.make_run(tmp_path / "empty", "curate", {}, {"corpus": corpus})
    assert tiny.finish(empty) == contract.EXIT_FAILED and tiny.failure(empty)["code"] == "nothing_left"


@settings(deadline=None, max_examples=50)
@given(st.lists(st.text(alphabet="ab c,.Äß日\n0", max_size=20), min_size=1, max_size=6))
def test_a_text_has_the_words_it_has_alone_whatever_stands_beside_it(given_texts):
    together = words_of(given_texts)
    for place, text in enumerate(given_texts):
        here = slice(together.begins_D[place], together.begins_D[place + 1])
        assert words_of([text]).hashes_W.tolist() == together.hashes_W[here].tolist()
        assert words_of([text.upper().replace("SS", "ß") if "ß" in text else text.upper()]).hashes_W.tolist() == (
            together.hashes_W[here].tolist()
        )


def test_the_share_of_hashes_that_agree_estimates_the_share_of_runs():
    lot = random.Random(4)
    base = [sentence(lot, 200) for _ in range(60)]
    other = [edited(text, 0.1, lot) for text in base]

    def runs(text):
        words = text.split()
        return {tuple(words[i : i + 3]) for i in range(len(words) - 2)}

    true = [len(runs(a) & runs(b)) / len(runs(a) | runs(b)) for a, b in zip(base, other, strict=True)]
    one, two = (minhash.signatures(words_of(side), ngram=3, count=256) for side in (base, other))
    errors = minhash.similarity(one, two) - true
    assert abs(errors.mean()) < 0.02 and errors.std() < 0.05


@given(keys=st.lists(st.integers(0, 5), max_size=40))
def test_the_first_of_equals_is_the_first_row_with_the_same_key(keys):
    assert first_of_equals(np.array(keys, dtype=np.uint64)).tolist() == [keys.index(key) for key in keys]


@given(places=st.lists(st.integers(0, 199), max_size=60), is_in_order=st.booleans())
@settings(max_examples=50)
def test_signatures_come_in_the_order_in_which_they_are_asked_for(tmp_path_factory, places, is_in_order):
    table = np.random.default_rng(0).integers(0, 2**16, size=(200, 6), dtype=np.uint16)
    path = tmp_path_factory.mktemp("signatures") / "signatures.u2"
    path.write_bytes(table.tobytes())
    asked = np.array(sorted(places) if is_in_order else places, dtype=np.int32)
    assert (Signatures(path, bands=2, rows=3).of(asked) == table[asked]).all()
