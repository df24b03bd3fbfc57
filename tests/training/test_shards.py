"""Shards: the stream that memory would hold, in files; whoever is killed goes on, whoever comes again reads what is there."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.training import tiny
from training.mechanics.corpus import shards, shuffle
from training.mechanics.corpus.packing import Rows, Stream, encode_documents
from training.mechanics.corpus.shards import open_shards

EVERYTHING = 10**9


class Interrupted(Exception):
    pass


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """More texts than are encoded in one call."""
    rows = [{"id": str(n), "text": f"{n} and {n * n}", "source": "test"} for n in range(shards.CALL_TEXTS + 500)]
    return tiny.write_dataset(tmp_path_factory.mktemp("corpus") / "data", rows)


def opened(folder, corpus, **more):
    given = {"tokenizer": tiny.tokenizer(), "given": corpus, "split": "train", "most": EVERYTHING, "shard_tokens": 5000}
    return open_shards(folder, **given | more)


def written_at(path):
    return path.stat().st_ino, path.stat().st_mtime_ns


def everything(stream):
    return stream.read(0, len(stream))


def test_files_hold_the_stream_that_memory_would_hold(corpus, tmp_path):
    stream = opened(tmp_path, corpus)
    texts = [f"{n} and {n * n}" for n in range(shards.CALL_TEXTS + 500)]
    held = encode_documents(tiny.tokenizer(), texts, most=EVERYTHING)
    assert (everything(stream) == everything(held)).all()
    assert (stream.num_bytes, stream.num_documents) == (held.num_bytes, held.num_documents)
    assert all(isinstance(part, np.memmap) and part.dtype == np.uint16 for part in stream.parts)
    assert {len(part) for part in stream.parts[:-1]} == {5000}
    rows, same = (Rows(one, length=32, seed=1) for one in (stream, held))
    assert (rows.batch_BT(0, 300) == same.batch_BT(0, 300)).all()


def test_the_manifest_says_what_is_there_and_what_it_was_made_of(corpus, tmp_path):
    stream = opened(tmp_path, corpus)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert sum(shard["tokens"] for shard in manifest["shards"]) == len(stream)
    assert manifest["documents"] == stream.num_documents
    assert manifest["bytes"] == stream.num_bytes
    assert manifest["key"]["corpus"] == corpus.sha256
    assert len(manifest["key"]["tokenizer"]) == 64


def test_a_document_that_crosses_the_limit_is_kept_whole_and_is_the_last(corpus, tmp_path):
    stream = opened(tmp_path, corpus, most=12)
    assert (len(stream), stream.num_documents) == (16, 2)


def test_who_was_killed_between_goes_on_behind_the_last_full_file(corpus, tmp_path):
    def interrupt(done, total):
        raise Interrupted

    whole = opened(tmp_path / "whole", corpus, seed=3)
    with pytest.raises(Interrupted):
        opened(tmp_path / "killed", corpus, seed=3, tell=interrupt)
    assert not (tmp_path / "killed/manifest.json").exists()
    first = written_at(tmp_path / "killed/00000.bin")

    stream = opened(tmp_path / "killed", corpus, seed=3)
    assert (everything(stream) == everything(whole)).all()
    assert (stream.num_bytes, stream.num_documents) == (whole.num_bytes, whole.num_documents)
    assert written_at(tmp_path / "killed/00000.bin") == first
    names = {path.name for path in (tmp_path / "killed").iterdir()}
    assert names == {path.name for path in (tmp_path / "whole").iterdir()}


def test_what_stands_whole_is_read_and_what_is_torn_or_of_another_tokenizer_is_written_again(corpus, tmp_path):
    before = everything(opened(tmp_path, corpus))
    stands = written_at(tmp_path / "00000.bin")
    opened(tmp_path, corpus)
    assert written_at(tmp_path / "00000.bin") == stands

    (tmp_path / "00001.bin").write_bytes(b"torn")
    assert (everything(opened(tmp_path, corpus)) == before).all()

    other = tiny.tokenizer()
    other.bos_token = "<|im_start|>"
    stream = opened(tmp_path, corpus, tokenizer=other)
    assert len(stream) == len(before) + stream.num_documents


def test_an_order_without_a_table_is_an_order():
    keys = [3, 1, 4, 1]
    places = [shuffle.walk(number, 16_000, half=7, keys=keys) for number in range(16_000)]
    assert sorted(places) == list(range(16_000))
    assert abs(np.corrcoef(places, range(16_000))[0, 1]) < 0.05


def test_a_corpus_too_large_for_a_table_reads_each_row_once_a_pass(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(shuffle, "TABLE", 100)
    rows = Rows(opened(tmp_path, corpus), length=32, seed=1)
    starts = {tuple(rows.row(number)) for number in range(rows.rows_per_pass)}
    assert len(starts) == rows.rows_per_pass


@settings(max_examples=40, deadline=None)
@given(
    legs=st.lists(st.tuples(st.integers(1, 5), st.integers(1, 4)), min_size=1, max_size=4),
    tokens=st.integers(200, 3000),
    seed=st.integers(0, 9),
)
def test_each_row_is_read_by_one_process_in_one_order_though_their_number_changes(legs, tokens, seed):
    """`legs`: so many processes for so many steps; whoever resumes may be more or fewer."""
    stream, batch = Stream((np.arange(tokens, dtype=np.uint32),), tokens, 1), 6
    alone = Rows(stream, length=32, seed=seed)
    first = 0
    for world, steps in legs:
        ranks = [Rows(stream, length=32, seed=seed, rank=rank, world=world) for rank in range(world)]
        for _ in range(steps):
            numbers = [number for rows in ranks for number in rows.share(first, batch)]
            assert sorted(numbers) == list(range(first, first + batch))
            read = {}
            for rows in ranks:
                read |= dict(zip(rows.share(first, batch), rows.batch_BT(first, batch).tolist(), strict=True))
            assert [read[number] for number in sorted(read)] == alone.batch_BT(first, batch).tolist()
            first += batch
