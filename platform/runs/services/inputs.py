"""The inputs of a run: found by what a person calls them, checked against the method, written into its spec."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import assert_never

from accounts.errors import Conflict, NotFound, UserError
from registry.models import Alias, Artifact, ArtifactKind, DatasetVersion, ModelRole, ModelVersion
from runs.models import Run, RunState
from training import contract
from training.recipes import RECIPES, Recipe

Given = Artifact | Run


class BadInput(UserError):
    code = "bad_input"


class AmbiguousInput(Conflict):
    code = "ambiguous_input"


def find_input(text: str) -> Given:
    """What `text` names: the name of a model, an alias or a dataset, or the id of one of these, of an artifact, of a run."""
    found: list[Given] = [model.artifact for model in ModelVersion.objects.filter(name=text).select_related("artifact")]
    found += [alias.model.artifact for alias in Alias.objects.filter(name=text).select_related("model__artifact")]
    found += [dataset.artifact for dataset in DatasetVersion.objects.filter(name=text).select_related("artifact")]
    if not found:
        found = _with_id(text)
    if not found:
        # What has no version of its own (a tokenizer) or does not exist yet is called by its run's output name.
        found = list(Run.objects.filter(output_name=text).exclude(state__in=[RunState.FAILED, RunState.CANCELLED])[:1])
    if len({thing.pk for thing in found}) > 1:
        raise AmbiguousInput(f"Both a model and a dataset are called {text}. Name one by its id.")
    if not found:
        raise NotFound(f"There is no model, dataset, artifact or run called {text}.", code="no_input")
    return found[0]


def _with_id(text: str) -> list[Given]:
    try:
        key = uuid.UUID(text)
    except ValueError:
        return []
    artifacts = Artifact.objects.filter(pk=key) | Artifact.objects.filter(model__pk=key)
    return [*(artifacts | Artifact.objects.filter(dataset__pk=key)).distinct(), *Run.objects.filter(pk=key)]


def check_inputs(recipe: type[Recipe], inputs: Mapping[str, Given]) -> None:
    """Raises `BadInput` where one is missing, unknown, or not what the method needs."""
    wanted = {name.removesuffix("?"): what for name, what in recipe.inputs.items()}
    optional = {name[:-1] for name in recipe.inputs if name.endswith("?")}
    for name in inputs:
        if name not in wanted:
            raise BadInput(f"There is no input called {name}; there are {', '.join(wanted)}.", field=name)
    for name, what in wanted.items():
        if name in inputs:
            if not _fits(what, kind_of(inputs[name])):
                raise BadInput(f"Input {name} must be {_in_words(what)}, not {_in_words(kind_of(inputs[name]))}.",
                               field=name)  # fmt: skip
        elif name not in optional:
            raise BadInput(f"Input {name} is missing: {_in_words(what)}.", field=name)


def kind_of(given: Given) -> str:
    """What an input is, in the words of `Recipe.inputs`: "model:sft", "dataset:prompts", "tokenizer" ..."""
    match given:
        case Artifact(kind=ArtifactKind.MODEL):
            return f"model:{given.model.role}" if hasattr(given, "model") else "model:"
        case Artifact(kind=ArtifactKind.DATASET):
            return f"dataset:{given.dataset.kind}" if hasattr(given, "dataset") else "dataset:"
        case Artifact():
            return given.kind
        case Run():
            if given.state in (RunState.FAILED, RunState.CANCELLED):
                raise BadInput(f"\u201c{given.title}\u201d has no output: it is {given.state}. Resume it first.")
            role = role_of_output(given)
            return f"{RECIPES[given.method].output}:{role}" if role else RECIPES[given.method].output
        case _:
            assert_never(given)


def role_of_output(run: Run) -> str:
    """The role of the model, or the kind of the dataset, that comes out of a run; empty for tokenizers and reports."""
    return str(run.recipe.get("role_of_model", RECIPES[run.method].role))


def _fits(what: str, given: str) -> bool:
    """A plain "model" is one that writes text; a reward model, which cannot, is asked for by name."""
    if what == "model":
        return given.startswith("model:") and given != f"model:{ModelRole.REWARD}"
    return what == given


def _in_words(what: str) -> str:
    kind, _, role = what.partition(":")
    words = f"{role} {kind}" if role else kind
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def spec_inputs(run: Run) -> dict[str, contract.Input]:
    """The inputs of a claimed run as its spec names them: folders with their hashes."""
    inputs = {}
    for given in run.inputs.select_related("artifact__model__base__artifact", "artifact__dataset"):
        artifact = given.artifact
        assert artifact is not None  # a run with an input that is not there yet is not claimable
        version = getattr(artifact, "model", None) or getattr(artifact, "dataset", None)
        base = version.base if isinstance(version, ModelVersion) else None
        inputs[given.name] = contract.Input(
            path=str(artifact.folder), kind=artifact.kind, sha256=artifact.sha256, name=version.name if version else "",
            base=str(base.artifact.folder) if base else None,
        )  # fmt: skip
    return inputs
