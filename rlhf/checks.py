"""What must hold of constitutions: a published version says what its frozen rows say."""

from __future__ import annotations

from collections.abc import Iterator

from audit.invariants import invariant
from registry.models import DatasetKind
from registry.services.schemas import RowsHash
from rlhf.models import ConstitutionVersion, VersionState
from rlhf.services.constitutions.wording import wordings_in


@invariant("The principles of a published constitution are the rows of its dataset.")
def published_constitutions() -> Iterator[str]:
    published = ConstitutionVersion.objects.filter(state=VersionState.PUBLISHED).order_by("pk")
    for version in published.select_related("constitution", "dataset").prefetch_related("principles"):
        rows = RowsHash(DatasetKind.CONSTITUTION)
        for wording in wordings_in(version):
            rows.add("train", wording.as_row())
        assert version.dataset is not None  # a constraint says so
        if rows.hexdigest() != version.dataset.rows_sha256:
            yield f"{version.constitution.slug}, version {version.number}"
