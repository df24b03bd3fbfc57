"""Twenty steps of pretraining on a tiny model: a refactor leaves these curves as they are, a change explains itself."""

from __future__ import annotations

from pathlib import Path

from tests.training import tiny
from training import contract
from training.recipes import RECIPES

GOLDEN = Path(__file__).parent / "golden"
CHANGES = {"hidden_size": 32, "num_heads": 2, "context": 32, "steps": 20, "eval_every": 10}


def test_twenty_steps_of_pretraining_follow_the_stored_curves(tmp_path):
    texts = [f"{n} and {n + 1} are {2 * n + 1}; {n} times {n} is {n * n}." for n in range(200)]
    rows = [{"id": str(n), "text": text, "source": "test"} for n, text in enumerate(texts)]
    tiny.tokenizer().save_pretrained(tmp_path / "tokenizer")
    inputs = {
        "tokenizer": tiny.given(tmp_path / "tokenizer", "tokenizer"),
        "corpus": tiny.write_dataset(tmp_path / "corpus", rows[10:], rows[:10]),
    }
    run_dir = tiny.make_run(tmp_path / "run", "pretrain", RECIPES["pretrain"].presets["tiny"] | CHANGES, inputs)

    assert tiny.finish(run_dir) == contract.EXIT_DONE
    assert max(tiny.curve(run_dir, "loss")) == 20
    curves = ("loss", "grad_norm", "bits_per_byte", "learning_rate", "eval_bits_per_byte")
    tiny.held_to_golden("pretrain", run_dir, curves, folder=GOLDEN)
