"""What models, datasets and aliases may be called."""

from __future__ import annotations

import re

from django.utils.translation import gettext

from accounts.errors import Conflict, UserError

LONGEST = 120  # characters, as the columns have them
SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
ALIAS = re.compile(r"[a-z0-9][a-z0-9._-]*(/[a-z0-9][a-z0-9._-]*)?")
LONGEST_ALIAS = 64
FILE = re.compile(r"(\.gitattributes|[A-Za-z0-9_][A-Za-z0-9._ -]*)")


class BadName(UserError):
    code = "bad_name"


class NameTaken(Conflict):
    code = "name_taken"


def check_slug(name: str) -> None:
    """A name that is also a file's, a folder's and a part of an address."""
    check_length(name)
    if not SLUG.fullmatch(name):
        raise BadName(
            gettext("A name has letters, digits, dots, dashes and underscores, and begins with a letter or a digit.")
        )


def check_length(name: str) -> None:
    if not 1 <= len(name) <= LONGEST:
        raise BadName(gettext("A name has 1 to %(most)s characters.") % {"most": LONGEST})


def check_alias(name: str) -> None:
    if len(name) > LONGEST_ALIAS or not ALIAS.fullmatch(name):
        raise BadName(
            gettext("An alias is written like sft/current: small letters, digits and dashes, at most %(most)s.")
            % {"most": LONGEST_ALIAS}
        )


def check_file_name(name: str) -> str:
    """The name of an uploaded file, which becomes one of ours: no path, nothing hidden but what git leaves."""
    check_length(name)
    if not FILE.fullmatch(name):
        raise BadName(gettext("A file's name has letters, digits, dots, dashes and underscores."))
    return name
