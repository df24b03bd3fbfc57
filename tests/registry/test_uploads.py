"""What comes from outside is weights and text, or stays outside: whatever it is called."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import struct
import zipfile
from pathlib import Path

import pytest
from django.conf import settings

from accounts.errors import NotFound
from registry.models import Artifact
from registry.services import uploads
from registry.services.uploads import BadUpload, PickleRefused, stage_upload
from tests.registry.factories import model_folder, safetensors

pytestmark = pytest.mark.django_db


class Canary:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def zipped(raw: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", raw)
    return buffer.getvalue()


def nothing_kept() -> bool:
    store = Path(settings.ARTIFACTS_DIR)
    return not Artifact.objects.exists() and not (store.exists() and list(store.iterdir()))


def test_a_folder_of_safetensors_is_taken_as_it_is(tmp_path):
    folder = model_folder(tmp_path / "model")
    artifact = stage_upload(folder)
    assert artifact.kind == "upload"
    assert set(artifact.files) == {path.name for path in folder.iterdir()}
    assert folder.exists()


def test_a_gguf_file_is_taken_alone_or_in_a_folder(tmp_path):
    (tmp_path / "g").mkdir()
    path = tmp_path / "g" / "tiny.gguf"
    path.write_bytes(b"GGUF" + bytes(60))
    assert set(stage_upload(path).files) == set(stage_upload(tmp_path / "g").files) == {"tiny.gguf"}


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "name", ["model.safetensors", "tokenizer.json", "tokenizer.model", "LICENSE", "x.gguf", "w.bin"]
)
def test_a_pickle_is_refused_under_any_name_and_never_opened(tmp_path, name, protocol):
    canary = tmp_path / "canary"
    raw = pickle.dumps(Canary(canary), protocol=protocol)
    for content in (raw, zipped(raw)):
        folder = model_folder(tmp_path / "model")
        (folder / name).write_bytes(content)
        with pytest.raises(BadUpload):
            stage_upload(folder)
        shutil.rmtree(folder)
    assert not canary.exists() and nothing_kept()


@pytest.mark.parametrize("name", ["pytorch_model.bin", "a.pt", "a.pth", "a.ckpt", "a.pkl", "A.PT", "a.npz", "a.h5"])
def test_formats_that_can_run_code_are_refused_by_name(tmp_path, name):
    folder = model_folder(tmp_path / "model")
    (folder / name).write_bytes(b"harmless")
    with pytest.raises(PickleRefused, match=f"{name} is a pickle or an archive"):
        stage_upload(folder)
    assert nothing_kept()


def test_links_devices_and_folders_within_are_refused(tmp_path):
    makers = {
        "link.json": lambda p: p.symlink_to("/etc/passwd"),
        "pipe.json": os.mkfifo,
        "inner": Path.mkdir,
    }
    for name, make in makers.items():
        folder = model_folder(tmp_path / f"with-{name}")
        make(folder / name)
        with pytest.raises(BadUpload, match=name) as refused:
            stage_upload(folder)
        assert refused.value.code == "not_a_file"
    for name in ("folder", "file.gguf"):
        (tmp_path / name).symlink_to(tmp_path / "with-inner")
        with pytest.raises(BadUpload):
            stage_upload(tmp_path / name)
    with pytest.raises(BadUpload):
        stage_upload(Path("/dev/zero"))
    assert nothing_kept()


@pytest.mark.parametrize(
    ("harm", "code"),
    [
        (lambda f: (f / "config.json").unlink(), "no_model"),
        (lambda f: (f / "model.safetensors").unlink(), "no_model"),
        (lambda f: (f / "tokenizer.json").unlink(), "no_tokenizer"),
        (lambda f: (f / "modeling.py").write_text("import os"), "unknown_file"),
        (lambda f: (f / "run.sh").write_text("ls"), "unknown_file"),
        (lambda f: (f / "config.json").write_text("{"), "not_text"),
        (lambda f: (f / "merges.txt").write_bytes(b"\xff\xfe\x00"), "not_text"),
        (lambda f: (f / "w.gguf").write_bytes(b"nope"), "not_gguf"),
        (lambda f: (f / "model.safetensors").write_bytes(b""), "not_safetensors"),
        (lambda f: (f / "model.safetensors").write_bytes(struct.pack("<Q", 2**60) + b"{}"), "not_safetensors"),
        (lambda f: safetensors(f / "model.safetensors").open("ab").write(b"more"), "not_safetensors"),
        (lambda f: os.truncate(f / "model.safetensors", 60), "not_safetensors"),
    ],
)
def test_what_is_no_model_is_told_in_one_sentence(tmp_path, harm, code):
    folder = model_folder(tmp_path / "model")
    harm(folder)
    with pytest.raises(BadUpload) as refused:
        stage_upload(folder)
    assert refused.value.code == code
    assert nothing_kept()


def test_too_many_and_too_large_are_refused_before_anything_is_copied(tmp_path, monkeypatch):
    folder = model_folder(tmp_path / "model")
    monkeypatch.setattr(uploads, "MOST_FILES", 3)
    with pytest.raises(BadUpload) as many:
        stage_upload(folder)
    monkeypatch.setattr(uploads, "MOST_FILES", 100)
    monkeypatch.setattr(uploads, "MOST_BYTES", 10)
    with pytest.raises(BadUpload) as large:
        stage_upload(folder)
    assert (many.value.code, large.value.code) == ("too_many_files", "too_large")
    assert nothing_kept()


def test_what_is_not_there_is_told(tmp_path):
    with pytest.raises(NotFound):
        stage_upload(tmp_path / "nowhere")


def test_a_real_model_is_taken(data):
    assert "model.safetensors" in stage_upload(data / "stories260k").files
