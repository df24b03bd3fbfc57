"""What our code never does: run what it was given. Read from the syntax tree, so that a comment is no offence."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("platform", "annotation", "rlhf", "training", "scripts", "benchmarks", "deploy")
FILES = [ROOT / "manage.py", *(path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))]

MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
CALLS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.load", "numpy.load", "np.load",
         "subprocess.getoutput", "mark_safe", "django.utils.safestring.mark_safe"}  # fmt: skip
ARGUMENTS = {"shell": True, "trust_remote_code": True, "allow_pickle": True, "weights_only": False}


def offences(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (f"import {name.name}" for name in node.names if name.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            yield f"from {node.module} import"
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in CALLS or (name == "torch.load" and "weights_only=True" not in ast.unparse(node)):
                yield f"{name}()"
            for keyword in node.keywords:
                if keyword.arg in ARGUMENTS and getattr(keyword.value, "value", None) is ARGUMENTS[keyword.arg]:
                    yield f"{name}({keyword.arg}={ARGUMENTS[keyword.arg]})"


# Markdown becomes markup in one place, where an allow-list has been over it.
MEANT = {"annotation/rendering.py": ["mark_safe()"]}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_it_runs_nothing_that_it_was_given(path):
    assert list(offences(path.read_text())) == MEANT.get(str(path.relative_to(ROOT)), [])


def test_the_rule_finds_what_it_looks_for():
    source = (
        "import pickle\nfrom joblib import load\neval('1')\nrun('ls', shell=True)\ntorch.load(p, weights_only=False)\n"
    )
    assert list(offences(source)) == [
        "import pickle",
        "from joblib import",
        "eval()",
        "run(shell=True)",
        "torch.load()",
        "torch.load(weights_only=False)",
    ]


def test_many_files_were_read():
    assert len(FILES) > 60
