"""Chains of critique and revision as pages show them: marked, scored, told apart from what was not kept, and never believed."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from accounts.models import Role
from registry.services.datasets import freeze_dataset
from rlhf.chains import WHY, read_chains
from tests.accounts.people import person
from training.mechanics.constitutional.leaks import WHYS

MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
STEP = pa.struct([
    ("round", pa.int32()), ("principle", pa.string()), ("critique", pa.string()), ("revision", pa.string()),
    ("kept", pa.bool_()), ("why", pa.string()),
])  # fmt: skip
SCHEMA = pa.schema([
    ("id", pa.string()), ("prompt_id", pa.string()), ("kind", pa.string()), ("prompt", MESSAGES), ("response", pa.string()),
    ("steps", pa.list_(STEP)), ("scores", pa.list_(pa.float64())), ("chosen", pa.list_(pa.string())),
])  # fmt: skip


def a_step(number, revision, *, kept=True, why="", critique="It says to hit him."):
    return {"round": number, "principle": "harm", "critique": critique, "revision": revision, "kept": kept, "why": why}


def a_chain(number, *, response="Hit him. Then steal his keys.", steps=None, scores=(1.0, 0.5, 0.5, 0.0)):
    if steps is None:
        steps = [
            a_step(1, "Talk to him. Then steal his keys."),
            a_step(2, "Sure, here is a revised reply:", kept=False, why="leak"),
            a_step(3, "Talk to him. Then ask for help."),
        ]
    kept = [step["revision"] for step in steps if step["kept"]]
    return {
        "id": f"c{number}", "prompt_id": f"p{number}", "kind": "revised" if steps else "helpful", "response": response,
        "prompt": [{"role": "user", "content": f"Question {number}?"}], "steps": steps, "scores": list(scores),
        "chosen": kept[-1:] or [response],
    }  # fmt: skip


def a_dataset(chains, *, name="chains-1", write=None, **more):
    rows = [
        {"id": chain["id"], "messages": [*chain["prompt"], {"role": "assistant", "content": chain["chosen"][0]}]}
        for chain in chains
    ]

    def beside(folder):
        (folder / "chains").mkdir()
        path = folder / "chains" / "train-00000-of-00001.parquet"
        if write is not None:
            path.write_bytes(write)
        else:
            pq.write_table(pa.Table.from_pylist(chains, schema=SCHEMA), path, row_group_size=10)

    return freeze_dataset(name, kind="instructions", splits={"train": rows}, user=None, extra_files=beside, **more)


@pytest.fixture
def people(db):
    return {role.value: person(role) for role in Role}


@pytest.fixture
def chained(db):
    return a_dataset([a_chain(number) for number in range(60)])


def test_a_revision_is_marked_against_what_went_on_and_not_against_what_was_dropped(chained):
    (chain,) = read_chains(chained, "train", start=0, count=1)
    first, dropped, last = chain.steps
    assert [(change.kind, change.text.strip()) for change in first.changes] == [
        ("gone", "Hit"), ("new", "Talk to"), ("same", "him. Then steal his keys."),
    ]  # fmt: skip
    assert not dropped.is_kept and "instead of giving it" in dropped.why
    assert [change.text.strip() for change in last.changes if change.kind == "gone"] == ["steal his keys"]
    assert (chain.first_score, [step.score for step in chain.steps], chain.num_kept) == (1.0, [0.5, 0.5, 0.0], 2)
    assert last.is_chosen and not first.is_chosen and not chain.is_response_chosen


def test_any_chain_is_found_by_its_number_across_groups_of_rows(chained):
    assert [chain.number for chain in read_chains(chained, "train", start=8, count=15)] == list(range(8, 23))
    assert [chain.asked for chain in read_chains(chained, "train", start=59, count=5)] == ["Question 59?"]
    assert read_chains(chained, "train", start=60, count=5) == [] == read_chains(chained, "test", start=0, count=5)


def test_the_pages_show_them_to_those_who_study_and_to_nobody_else(client, chained, people):
    for name in ("admin", "researcher"):
        client.force_login(people[name])
        page = client.get(f"/datasets/{chained.pk}/chains/?from=50").content.decode()
        assert "Question 59?" in page and "Question 49?" not in page and "60 chains" in page
        page = client.get(f"/datasets/{chained.pk}/chains/train/3/").content.decode()
        assert "<del>Hit </del>" in page and "<ins>Talk to </ins>" in page and "not kept" in page
        assert f'href="/datasets/{chained.pk}/chains/train/4/"' in page
        assert f'href="/datasets/{chained.pk}/chains/"' in client.get(f"/datasets/{chained.pk}/").content.decode()
    client.force_login(people["rater"])
    assert client.get(f"/datasets/{chained.pk}/chains/").status_code in (403, 404)
    assert client.get(f"/datasets/{chained.pk}/chains/train/3/").status_code in (403, 404)


def test_what_a_model_wrote_is_text_and_no_markup(client, db, people):
    evil = '<script>alert("x")</script><img src=x onerror=alert(1)>'
    dataset = a_dataset([a_chain(0, response=evil, steps=[a_step(1, evil + " more", critique=evil)])])
    client.force_login(people["admin"])
    page = client.get(f"/datasets/{dataset.pk}/chains/train/0/").content.decode()
    assert "<script>alert" not in page and "<img src=x" not in page and "&lt;script&gt;" in page


@pytest.mark.parametrize("write", [b"no parquet at all", b""])
def test_files_that_are_no_chains_get_one_sentence(client, db, people, write):
    dataset = a_dataset([a_chain(0)], write=write)
    client.force_login(people["admin"])
    for address in ("chains/", "chains/train/0/"):
        answer = client.get(f"/datasets/{dataset.pk}/{address}")
        assert answer.status_code == 400 and "be read" in answer.content.decode()


def test_every_reason_for_which_a_revision_is_not_kept_has_words():
    assert set(WHYS) == WHY.keys()


def test_scores_of_a_reward_model_are_not_called_harmfulness(client, db, people):
    query = {"method": "constitutional", "recipe": {"score": "reward"}}
    dataset = a_dataset([a_chain(0, scores=(-1.5, 0.25, 0.25, 2.75))], query=query)
    client.force_login(people["admin"])
    for address, shown in (("chains/", "Score before"), ("chains/train/0/", "2.75")):
        page = client.get(f"/datasets/{dataset.pk}/{address}").content.decode()
        assert shown in page and "armfulness" not in page and "<meter" not in page


def test_there_is_no_page_where_there_are_no_chains(client, chained, people):
    client.force_login(people["admin"])
    assert client.get(f"/datasets/{chained.pk}/chains/train/60/").status_code == 404
    assert client.get(f"/datasets/{chained.pk}/chains/other/0/").status_code == 404
    bare = freeze_dataset("bare", kind="prompts", splits={"train": [
        {"id": "1", "messages": [{"role": "user", "content": "Hello?"}]}]}, user=None)  # fmt: skip
    assert client.get(f"/datasets/{bare.pk}/chains/").status_code == 404
    assert "chains" not in client.get(f"/datasets/{bare.pk}/").content.decode()
