"""Shards: the stream that memory would hold, in files; whoever is killed goes on, whoever comes again reads what is there."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.training import tiny
from training.mechanics.corpus import shards, shuffle
from training.mechanics.corpus.packing import Rows, encode_documents
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


@pytest.mark.parametrize("world", [2, 3])
def test_of_several_processes_each_reads_rows_of_its_own_and_together_all(corpus, tmp_path, world):
    stream = opened(tmp_path, corpus)
    alone = Rows(stream, length=32, seed=1).batch_BT(0, 6 * world)
    ranks = [Rows(stream, length=32, seed=1, rank=rank, world=world).batch_BT(0, 6 * world) for rank in range(world)]
    assert (np.stack(ranks, axis=1).reshape(alone.shape) == alone).all()
