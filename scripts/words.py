"""Brings the catalogs of translations up to date with the words of templates, Python and scripts, and compiles them.

    python scripts/words.py            # says what is left to translate, by language

What recipes and the coach say is marked first, in modules of their own: training knows no Django and cannot do so.

Needs xgettext (Debian's package gettext). A catalog in the repository is compiled, so that running the product needs none.
"""

from __future__ import annotations

import ast
import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "platform")]
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

import django  # noqa: E402

django.setup()

import polib  # noqa: E402
from django.conf import settings  # noqa: E402
from django.core.management import call_command  # noqa: E402
from pydantic import BaseModel  # noqa: E402

from runs.recipe_form import label_of, model_in  # noqa: E402
from training.mechanics.coach.watch import RULES  # noqa: E402
from training.recipes import RECIPES  # noqa: E402

DOMAINS = {"django": ["html", "py"], "djangojs": ["js"]}
ELSEWHERE = [
    "var/*",
    ".venv/*",
    "node_modules/*",
    "static/vendor/*",
    "tests/*",
    "training/*",
    "benchmarks/*",
    "scripts/*",
]

KEPT = ("Content-Type", "Content-Transfer-Encoding", "Plural-Forms")  # of a head, what no run of xgettext changes

MARKS = ROOT / "platform" / "runs" / "recipe_marks.py"
COACH_MARKS = ROOT / "platform" / "runs" / "coach_marks.py"
MARKS_HEAD = '''"""Marks the words of %(whose)s for xgettext: scripts/words.py writes this from what %(who)s."""

from __future__ import annotations

from django.utils.translation import gettext_noop as _

'''


def recipe_marks() -> str:
    """A module that marks each summary, name of an input, name of a field and description once."""
    texts: set[str] = set()
    for recipe in RECIPES.values():
        texts |= {recipe.summary, *(label_of(name.rstrip("?")) for name in recipe.inputs)} | texts_of(recipe)
    return module_of(texts, whose="recipes", who="the recipes say")


def coach_marks() -> str:
    """A module that marks what rules watch, and each sentence, cause and advice of a finding."""
    texts = {rule.watches for rule in RULES}
    for file in sorted((ROOT / "training" / "mechanics").rglob("*.py")):
        calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
        for call in calls:
            told = [word.value for word in call.keywords if word.arg in ("template", "cause", "advice")]
            if isinstance(call.func, ast.Name) and call.func.id == "Finding" and len(call.args) > 1:
                told.append(call.args[1])
            elif not (isinstance(call.func, ast.Name) and call.func.id in ("Finding", "replace")):
                continue  # a Failure has an advice too, which is told as it is
            constants = [part.value for words in told for part in ast.walk(words) if isinstance(part, ast.Constant)]
            texts |= {text for text in constants if isinstance(text, str)}
    return module_of(texts, whose="the coach", who="its rules say")


def module_of(texts: set[str], *, whose: str, who: str) -> str:
    marked = "".join(f"    _({json.dumps(text, ensure_ascii=False)}),\n" for text in sorted(texts - {""}))
    return f"{MARKS_HEAD % {'whose': whose, 'who': who}}MARKS = (\n{marked})\n"


def texts_of(recipe: type[BaseModel]) -> set[str]:
    found: set[str] = set()
    for name, field in recipe.model_fields.items():
        inner = model_in(field.annotation)
        found |= {label_of(name), field.description or ""} | (texts_of(inner) if inner else set())
    return found


def extract() -> None:
    """Writes new words into `locale/`, keeps what is translated, and drops what is said no more."""
    languages = [code for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE]
    os.chdir(ROOT)
    for domain, extensions in DOMAINS.items():
        call_command(
            "makemessages", domain=domain, locale=languages, extensions=extensions, ignore_patterns=ELSEWHERE,
            no_obsolete=True, no_wrap=True, add_location="file", verbosity=0,
        )  # fmt: skip


def compile_all() -> None:
    languages = dict(settings.LANGUAGES)
    for file in sorted((ROOT / "locale").glob("*/LC_MESSAGES/*.po")):
        catalog = polib.pofile(str(file), wrapwidth=0)
        catalog.header = f"The words of Steadyhand in {languages[file.parents[1].name]}."
        catalog.metadata = {name: catalog.metadata[name] for name in KEPT if name in catalog.metadata}
        catalog.metadata_is_fuzzy = []
        catalog.save()
        catalog.save_as_mofile(str(file.with_suffix(".mo")))
        left = [entry.msgid for entry in catalog.untranslated_entries() + catalog.fuzzy_entries()]
        print(f"{file.relative_to(ROOT)}: {len(catalog)} texts, {len(left)} to translate")  # noqa: T201 - a script
        for msgid in left[:20]:
            print(f"    {msgid!r}")  # noqa: T201


if __name__ == "__main__":
    MARKS.write_text(recipe_marks(), encoding="utf-8")
    COACH_MARKS.write_text(coach_marks(), encoding="utf-8")
    extract()
    compile_all()
