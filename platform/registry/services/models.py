"""Models by version, and the names that move between them."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from enum import Enum
from typing import Final

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import gettext

from accounts.errors import Conflict, UserError
from accounts.models import User
from audit.services import record
from registry.models import Alias, Artifact, ArtifactKind, DatasetVersion, ModelVersion
from registry.objections import objection_to
from registry.services.names import NameTaken, check_alias, check_length

ADAPTER = "adapter_config.json"


class BadModel(UserError):
    code = "bad_model"


class AliasMoved(Conflict):
    code = "alias_moved"


class Anything(Enum):
    """Stands for "whatever it points at now": None means that there is no such alias yet."""

    ANYTHING = "anything"


ANYTHING: Final = Anything.ANYTHING


def register_model(
    name: str,
    *,
    role: str,
    artifact: Artifact,
    base: ModelVersion | None = None,
    parents: Iterable[ModelVersion] = (),
    datasets: Iterable[DatasetVersion] = (),
    run: uuid.UUID | None = None,
    method: str = "",
    user: User | None,
    num_parameters: int = 0,
    card: str = "",
    is_simulated: bool = False,
) -> ModelVersion:
    """Raises `NameTaken`, `BadModel`. A model made from simulated rankings, or from such a model, is marked itself."""
    check_length(name)
    parents, datasets = list(parents), list(datasets)
    simulated = [is_simulated, *(m.is_simulated for m in parents), *(d.is_simulated for d in datasets)]
    if artifact.kind != ArtifactKind.MODEL:
        raise BadModel(
            gettext("%(name)s cannot be made from a %(kind)s: it takes a model.")
            % {"name": name, "kind": artifact.kind}
        )
    if (base is not None) != (ADAPTER in artifact.files):
        raise BadModel(gettext("%(name)s: an adapter names its base model, and nothing else does.") % {"name": name})
    model = ModelVersion(
        name=name, role=role, artifact=artifact, base=base, run=run, method=method, num_parameters=num_parameters,
        card=card, created_by=user, is_simulated=any(simulated),
    )  # fmt: skip
    with transaction.atomic():
        try:
            with transaction.atomic():
                model.save(force_insert=True)
        except IntegrityError as error:
            if ModelVersion.objects.filter(name=name).exists():
                raise NameTaken(
                    gettext("A model is called %(name)s already. Choose another name.") % {"name": name}
                ) from error
            raise
        model.parents.set(parents)
        model.datasets.set(datasets)
        record("model.registered", actor=user, target=model, name=name, role=role, sha256=artifact.sha256)
    return model


def move_alias(
    name: str,
    *,
    model: ModelVersion,
    user: User | None,
    expected: ModelVersion | Anything | None = ANYTHING,
    despite_objection: bool = False,
) -> Alias:
    """Lets `name` mean `model`, if it still means `expected` (None: nothing yet). Raises `AliasMoved` where it does not.

    Of two people who move it at once, one wins and the other is told; without `expected` the later one wins. What an app
    has against the model (`registry.objections`) is raised, unless `despite_objection`; then it is in the audit log.
    """
    check_alias(name)
    objection = objection_to(model)
    if objection is not None and not despite_objection:
        raise objection
    with transaction.atomic():
        known = Alias.objects.select_related("model").filter(name=name).first()
        before = known.model if known else None
        if expected is not ANYTHING and expected != before:
            raise _moved(name, now=before)
        if before is None:
            _create(name, model)
        elif not Alias.objects.filter(name=name, model=before).update(model=model, moved_at=timezone.now()):
            raise _moved(name, now=None)
        alias = Alias.objects.select_related("model").get(name=name)
        against = {"despite": objection.code} if objection is not None else {}
        record(
            "alias.moved", actor=user, target=alias, alias=name, to=model.name, before=before.name if before else "",
            **against,
        )  # fmt: skip
    return alias


def _create(name: str, model: ModelVersion) -> None:
    try:
        with transaction.atomic():
            Alias.objects.create(name=name, model=model)
    except IntegrityError as error:
        raise _moved(name, now=None) from error


def _moved(name: str, *, now: ModelVersion | None) -> AliasMoved:
    if now is None:
        sentence = gettext("%(name)s was moved meanwhile. Look what it means now, then decide again.") % {"name": name}
        return AliasMoved(sentence, now=None)
    sentence = gettext("%(name)s was moved meanwhile. It means %(now)s now, then decide again.")
    return AliasMoved(sentence % {"name": name, "now": now.name}, now=now.name)
