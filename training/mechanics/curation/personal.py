"""Personal data by their form: e-mail addresses, phone numbers, IBANs, card numbers, IP addresses; checked where they can be.

Found by rules, so it finds what is written as usual and nothing that must be understood (names, streets). Check digits
(Luhn for cards, ISO 7064 for IBANs) and the bounds of numbers keep dates and sums out.
"""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Collection
from functools import partial

KINDS = ("email", "iban", "card", "ip", "phone")  # in this order: a longer number is not taken for a shorter one's
HINT = re.compile(r"@|\d[\d .()/:-]{5}|::|[0-9A-Fa-f]:[0-9A-Fa-f]")  # without one of these there is nothing to find
PATTERNS = {
    "email": re.compile(
        r"(?<![\w.+%-])[A-Za-z0-9](?:[\w.+%-]{0,62}[\w+%-])?@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}"
        r"[A-Za-z]{2,24}(?![\w@])"
    ),
    "iban": re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)"),
    "card": re.compile(r"(?<![\w.,-])\d(?:[ -]?\d){12,18}(?![\w-]|[.,]\d)"),
    "ip": re.compile(r"(?<![\w.:])(?:\d{1,3}(?:\.\d{1,3}){3}(?![\w]|\.\d)|[0-9A-Fa-f:]{3,39}(?![\w:]))"),
    "phone": re.compile(
        r"(?<![\w.,/-])(?:\+\d{1,3}(?:[ .\-/]?\(?\d{1,4}\)?){2,6}|\(\d{3}\) ?\d{3}[ .\-]\d{4}|\d{3}([.\-])\d{3}\1\d{4})"
        r"(?![\w-]|[.,]\d)"
    ),
}
IBAN_LENGTHS = range(15, 35)


def find_personal(text: str, kinds: Collection[str], *, redact: bool) -> tuple[str, Counter[str]]:
    """The text, redacted if it is to be, and how many there are of each kind.

    >>> find_personal("Write to ada@example.org.", {"email"}, redact=True)
    ('Write to [email].', Counter({'email': 1}))
    """
    found: Counter[str] = Counter()
    if not HINT.search(text):
        return text, found
    hidden = text
    for kind in KINDS:
        if kind in kinds:
            hidden = PATTERNS[kind].sub(partial(placeholder, kind, found), hidden)
    return hidden if redact else text, found


def placeholder(kind: str, found: Counter[str], match: re.Match[str]) -> str:
    if not CHECKS[kind](match.group()):
        return match.group()
    found[kind] += 1
    return f"[{kind}]"


def is_iban(text: str) -> bool:
    code = text.replace(" ", "")
    if len(code) not in IBAN_LENGTHS:
        return False
    return int("".join(str(int(sign, 36)) for sign in code[4:] + code[:4])) % 97 == 1


def is_card(text: str) -> bool:
    digits = [int(sign) for sign in text if sign in "0123456789"]
    if digits[0] not in (2, 3, 4, 5, 6) or len(set(digits)) == 1:  # of payment cards; no row of one digit
        return False
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def is_ip(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    return not (address.is_loopback or address.is_unspecified)


def is_phone(text: str) -> bool:
    return 8 <= sum(sign.isdigit() for sign in text) <= 15  # E.164


def is_email(text: str) -> bool:
    return ".." not in text


CHECKS: dict[str, Callable[[str], bool]] = {
    "email": is_email, "iban": is_iban, "card": is_card, "ip": is_ip, "phone": is_phone,
}  # fmt: skip
