"""Static files with hashed names, those that scripts import from one another included: a browser never mixes two versions."""

from __future__ import annotations

from typing import Any, ClassVar

from whitenoise.storage import CompressedManifestStaticFilesStorage

OURS = ("js/*.js", "accounts/*.js", "annotation/*.js", "registry/*.js", "runs/*.js", "rlhf/*.js")
_, IMPORTS = CompressedManifestStaticFilesStorage._js_module_import_aggregation_patterns


class HashedFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]  # whitenoise has no types
    """Django's rewriting of imports, for our own scripts: a package's minified code holds words that only look like one."""

    patterns: ClassVar[tuple[Any, ...]] = (
        *CompressedManifestStaticFilesStorage.patterns,
        *((scripts, IMPORTS) for scripts in OURS),
    )
