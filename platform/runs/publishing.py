"""What comes of a run that succeeded: an artifact, a model or dataset version with its lineage, and what others hook in."""

from __future__ import annotations

import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import DatabaseError, transaction

from accounts.errors import UserError
from audit.services import record
from registry.models import Artifact, ArtifactKind
from registry.services.artifacts import discard, store_folder
from registry.services.datasets import Tally, tally_of
from runs.models import Run, RunInput, RunOutput, RunState
from runs.services.claim import Claim, LeaseLost, renew
from runs.services.doorbell import ring
from runs.services.inputs import role_of_output
from runs.services.states import change_state
from runs.services.versions import make_version
from training import contract

Hook = Callable[[Run, Artifact, dict[str, Any]], None]
BYTES_A_SECOND = 20_000_000  # hashing and moving is never slower; the lease is made longer by as much
HOOKS: defaultdict[str, list[Hook]] = defaultdict(list)


class PublishFailed(Exception):
    """The output cannot be taken over: a code, a sentence and advice for the person who started the run."""

    def __init__(self, code: str, sentence: str, *, advice: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.sentence = sentence
        self.advice = advice


def publishes(method: str) -> Callable[[Hook], Hook]:
    """Registers `hook(run, artifact, manifest)`, called once inside the transaction in which a run of `method` succeeds.

    Put it into `publishing.py` of an app, which is imported when Django starts. A `UserError` that it raises fails the run,
    whose output stays in its folder: resuming publishes again.
    """

    def register(hook: Hook) -> Hook:
        HOOKS[method].append(hook)
        return hook

    return register


def publish(claim: Claim, run: Run) -> None:
    """Takes over the output of a finished run, if the claim stands. Raises `PublishFailed`, `LeaseLost`.

    The folder is stored before the transaction (hashing must not hold the only write lock of SQLite) from a clone made of
    hard links: whatever dies in between, the run's own folder still holds its output, and publishing can be repeated.
    """
    output = run.folder / contract.OUTPUT
    size = sum(path.stat().st_size for path in output.rglob("*") if path.is_file()) if output.exists() else 0
    renew(claim, seconds=settings.RUN_TIMES["lease_s"] + size / BYTES_A_SECOND)
    manifest = verified_manifest(run.folder)
    try:
        with stored(run, output, manifest) as artifact:
            tally = (
                tally_of(artifact.folder, kind=role_of_output(run)) if artifact.kind == ArtifactKind.DATASET else None
            )
            with transaction.atomic():
                take_over(claim, run, artifact, manifest, tally)
    except UserError as error:
        raise PublishFailed(
            error.code, f"Its output was not taken over: {error.sentence}", advice="Mend this, then resume the run."
        ) from error
    for name in (contract.OUTPUT, contract.CHECKPOINTS):
        shutil.rmtree(run.folder / name, ignore_errors=True)  # the artifact has it; nothing is left to resume


def verified_manifest(folder: Path) -> dict[str, Any]:
    try:
        return contract.read_manifest(folder)
    except contract.Failure as failure:
        # Without it, a resumed run does its last part again instead of finding itself done.
        (folder / contract.MANIFEST).unlink(missing_ok=True)
        raise PublishFailed(
            failure.code, failure.sentence, advice="Resume the run: it makes its output again from its last checkpoint."
        ) from failure


@contextmanager
def stored(run: Run, output: Path, manifest: dict[str, Any]) -> Iterator[Artifact]:
    """The output as an artifact, which is thrown away again where the block fails to commit."""
    clone = run.folder / f"publish-{run.fence}"
    shutil.rmtree(clone, ignore_errors=True)
    shutil.copytree(output, clone, copy_function=link_or_copy)
    artifact = store_folder(clone, kind=manifest["kind"], metrics=manifest["metrics"], move=True)
    try:
        yield artifact
    except BaseException:
        with suppress(DatabaseError):  # away: an artifact that nothing refers to harms nobody
            if not RunOutput.objects.filter(artifact=artifact).exists():
                discard(artifact)
        raise


def link_or_copy(source: str, target: str) -> None:
    try:
        Path(target).hardlink_to(source)
    except OSError:  # a file system without hard links
        shutil.copy2(source, target)


def take_over(claim: Claim, run: Run, artifact: Artifact, manifest: dict[str, Any], tally: Tally | None) -> None:
    metrics = manifest["metrics"]
    done = change_state(claim.held, run.pk, to=RunState.SUCCEEDED, because="Done.", metrics=metrics)
    if done is None:
        raise LeaseLost(f"Run {run.pk} is no longer held by {claim.worker}.")
    RunOutput.objects.create(run=done, artifact=artifact)
    RunInput.objects.filter(after=done, artifact__isnull=True).update(artifact=artifact)
    if not done.is_estimate:  # whose report is no output of the method
        make_version(done, artifact, tally=tally)
        for hook in HOOKS[done.method]:
            hook(done, artifact, manifest)
    record("run.succeed", actor=done.created_by, target=done, artifact=artifact.sha256)
    if done.needed_by.exists():
        ring()
