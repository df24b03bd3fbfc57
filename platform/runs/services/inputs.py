"""The inputs of a run: found by what a person calls them, checked against the method, written into its spec."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from typing import assert_never

from django.utils.translation import gettext, gettext_noop

from accounts.errors import Conflict, NotFound, UserError
from registry.models import SILENT, Alias, Artifact, ArtifactKind, DatasetVersion, ModelVersion
from runs.models import Run, RunState
from training import contract
from training.recipes import RECIPES, Recipe
from training.recipes.base import SAME_ROLE

Given = Artifact | Run


# What an input is or must be, as it follows "must be": an article is no part to be glued to a noun.
THINGS = {
    "model": gettext_noop("a model"),
    "model:": gettext_noop("a model without a role"),
    "model:base": gettext_noop("a base model"),
    "model:sft": gettext_noop("an SFT model"),
    "model:reward": gettext_noop("a reward model"),
    "model:policy": gettext_noop("a policy"),
    "model:masked": gettext_noop("a masked language model"),
    "model:task": gettext_noop("a task model"),
    "model|model:masked": gettext_noop("a model that writes, or a masked language model"),
    "model|model:task": gettext_noop("a model that writes, or a task model"),
    "dataset": gettext_noop("a dataset"),
    "dataset:": gettext_noop("a dataset without a kind"),
    "dataset:corpus": gettext_noop("a corpus dataset"),
    "dataset:instructions": gettext_noop("an instructions dataset"),
    "dataset:labelled": gettext_noop("a labelled dataset"),
    "dataset:prompts": gettext_noop("a prompts dataset"),
    "dataset:completions": gettext_noop("a completions dataset"),
    "dataset:preference": gettext_noop("a preference dataset"),
    "dataset:constitution": gettext_noop("a constitution"),
    "tokenizer": gettext_noop("a tokenizer"),
    "report": gettext_noop("a report"),
    "upload": gettext_noop("an upload"),
}


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
        raise AmbiguousInput(
            gettext("Both a model and a dataset are called %(text)s. Name one by its id.") % {"text": text}
        )
    if not found:
        raise NotFound(
            gettext("There is no model, dataset, artifact or run called %(text)s.") % {"text": text}, code="no_input"
        )
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
            raise BadInput(
                gettext("There is no input called %(name)s; there are %(known)s.")
                % {"name": name, "known": ", ".join(wanted)},
                field=name,
            )
    for name, what in wanted.items():
        if name in inputs:
            if not _fits(what, kind_of(inputs[name])):
                raise BadInput(gettext("Input %(name)s must be %(wanted)s, not %(given)s.")
                               % {"name": name, "wanted": _in_words(what), "given": _in_words(kind_of(inputs[name]))},
                               field=name)  # fmt: skip
        elif name not in optional:
            raise BadInput(
                gettext("Input %(name)s is missing: %(wanted)s.") % {"name": name, "wanted": _in_words(what)},
                field=name,
            )


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
                raise BadInput(
                    gettext("“%(title)s” has no output: it is %(state)s. Resume it first.")
                    % {"title": given.title, "state": given.state}
                )
            if given.is_estimate:
                return ArtifactKind.REPORT
            role = role_of_output(given)
            return f"{RECIPES[given.method].output}:{role}" if role else RECIPES[given.method].output
        case _:
            assert_never(given)


def role_of_output(run: Run) -> str:
    """The role of the model, or the kind of the dataset, that comes out of a run; empty for tokenizers and reports."""
    role = RECIPES[run.method].role_of(run.recipe)
    if role != SAME_ROLE:
        return role
    given = run.inputs.select_related("artifact__model", "after").get(name="model")
    if given.artifact is not None:
        return str(given.artifact.model.role)
    assert given.after is not None  # a database constraint: an input comes from somewhere
    return role_of_output(given.after)


def _fits(what: str, given: str) -> bool:
    """A plain "model" is one that writes text; those of a role that cannot are asked for by name. "|" is or.

    A plain "dataset" is one of any kind.
    """
    if "|" in what:
        return any(_fits(one, given) for one in what.split("|"))
    if what == "model":
        return given.startswith("model:") and given.removeprefix("model:") not in SILENT
    if what == "dataset":
        return given.startswith("dataset:")
    return what == given


def _in_words(what: str) -> str:
    return gettext(THINGS[what]) if what in THINGS else what


def spec_inputs(run: Run) -> dict[str, contract.Input]:
    """The inputs of a claimed run as its spec names them: folders with their hashes."""
    inputs = {}
    for given in run.inputs.select_related("artifact__model__base", "artifact__dataset"):
        artifact = given.artifact
        assert artifact is not None  # a run with an input that is not there yet is not claimable
        version = getattr(artifact, "model", None) or getattr(artifact, "dataset", None)
        below = [str(model.artifact.folder) for model in version.below()] if isinstance(version, ModelVersion) else []
        inputs[given.name] = contract.Input(
            path=str(artifact.folder), kind=artifact.kind, sha256=artifact.sha256, name=version.name if version else "",
            base=below[0] if below else None, between=tuple(below[1:]),
        )  # fmt: skip
    return inputs
