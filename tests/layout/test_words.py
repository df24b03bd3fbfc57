"""Catalogs of translations: whatever the product says is in each of them, translated, whole, and compiled."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import polib
import pytest
from django.conf import settings

from scripts import words
from tests.web_server import ROOT

CATALOGS = sorted((ROOT / "locale").glob("*/LC_MESSAGES/*.po"))
NAMED = re.compile(r"%\((\w+)\)[.\d]*[sdfge]|%[sd]|\{(\w+)\}")


def catalogs() -> list[pytest.param]:
    return [pytest.param(file, id=f"{file.parents[1].name}-{file.stem}") for file in CATALOGS]


def test_there_is_a_catalog_of_each_domain_for_each_language():
    languages = {code for code, _ in settings.LANGUAGES} - {settings.LANGUAGE_CODE}
    assert {(file.parents[1].name, file.stem) for file in CATALOGS} == {
        (code, domain) for code in languages for domain in words.DOMAINS
    }


@pytest.mark.skipif(not shutil.which("xgettext"), reason="xgettext is not installed (Debian: gettext)")
def test_the_catalogs_hold_just_what_the_product_says(monkeypatch):
    monkeypatch.chdir(ROOT)
    kept = {file: file.read_bytes() for file in CATALOGS}
    try:
        words.extract()  # into the catalogs themselves: it takes the folder `locale` beside what it reads, wherever told
        fresh = {file: ids(polib.pofile(str(file))) for file in CATALOGS}
    finally:
        for file, written in kept.items():
            file.write_bytes(written)
    for file in CATALOGS:
        assert ids(polib.pofile(str(file))) == fresh[file], f"run scripts/words.py: {file}"


@pytest.mark.parametrize("file", catalogs())
def test_every_text_is_translated_and_keeps_its_places(file: Path):
    for entry in polib.pofile(str(file)):
        said = entry.msgstr_plural.values() if entry.msgid_plural else [entry.msgstr]
        assert all(said) and not entry.fuzzy, entry.msgid
        wanted = places(entry.msgid) | places(entry.msgid_plural)
        for text in said:
            assert places(text) <= wanted, (entry.msgid, text)
            if not entry.msgid_plural:
                assert places(text) == wanted, (entry.msgid, text)
            assert text[:1].isspace() == entry.msgid[:1].isspace(), entry.msgid


@pytest.mark.parametrize("file", catalogs())
def test_what_is_compiled_is_what_is_written(file: Path):
    compiled = polib.mofile(str(file.with_suffix(".mo")))
    written = polib.pofile(str(file))
    assert {e.msgid: (e.msgstr, e.msgstr_plural) for e in compiled} == {
        e.msgid: (e.msgstr, e.msgstr_plural) for e in written
    }


@pytest.mark.parametrize("file", [file for file in CATALOGS if "/ar/" in str(file)], ids=lambda file: file.stem)
def test_arabic_is_written_in_arabic(file: Path):
    for entry in polib.pofile(str(file)):
        for text in entry.msgstr_plural.values() if entry.msgid_plural else [entry.msgstr]:
            assert re.search("[\u0600-\u06ff]", text) or not re.search("[a-z]{3}", entry.msgid.lower()), entry.msgid


def test_every_word_of_a_recipe_is_marked():
    assert words.MARKS.read_text(encoding="utf-8") == words.recipe_marks(), "run scripts/words.py"


def test_every_word_of_the_coach_is_marked():
    assert words.COACH_MARKS.read_text(encoding="utf-8") == words.coach_marks(), "run scripts/words.py"


def ids(catalog: polib.POFile) -> set[tuple[str | None, str, str]]:
    return {(entry.msgctxt, entry.msgid, entry.msgid_plural) for entry in catalog}


def places(text: str) -> set[str]:
    return {match.group(0) for match in NAMED.finditer(text)}
