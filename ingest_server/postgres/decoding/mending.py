"""Items that hold what PostgreSQL cannot store, mended where a table wants that instead of refusing them."""

import re
from collections import Counter
from collections.abc import Iterable

import msgspec

from ingest_server.postgres.decoding.jsontext import members, with_members

NUL = "nul"
SURROGATE = "surrogate"
NAN = "nan"

_REPLACEMENT = b"\\ufffd"
# A whole pair comes before its halves, and every other escape before the quote or the digits that it hides.
_ODD = re.compile(
    rb"(?P<pair>\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    rb'|(?P<nul>\\u0000)|(?P<escape>\\.)|(?P<quote>")|(?P<nan>NaN|-?Infinity)',
    re.DOTALL,
)
_NO_NUMBERS = frozenset({b"nan", b"+nan", b"-nan", b"inf", b"+inf", b"-inf", b"infinity", b"+infinity", b"-infinity"})


def may_be_mended(raw: bytes, *, has_numbers: bool) -> bool:
    """A quick look: whether `mended` could find anything."""
    return (
        b"\\u0000" in raw
        or b"\\ud" in raw
        or b"\\uD" in raw
        or b"N" in raw
        or b"I" in raw
        or (has_numbers and (b"n" in raw or b"i" in raw))
    )


def mended(raw: bytes, numbers: Iterable[str]) -> tuple[bytes, Counter[str]]:
    """The item with U+FFFD for NUL characters and halves of surrogate pairs, and null for NaN and Infinity, and their counts.

    `numbers` are fields in which a text that says so ("NaN") is such a number too. Never raises; what is no JSON object
    afterwards was none before.
    """
    counts: Counter[str] = Counter()
    is_text = False

    def replaced(found: re.Match[bytes]) -> bytes:
        nonlocal is_text
        match found.lastgroup:
            case "quote":
                is_text = not is_text
            case "half" if is_text:
                counts[SURROGATE] += 1
                return _REPLACEMENT
            case "nul" if is_text:
                counts[NUL] += 1
                return _REPLACEMENT
            case "nan" if not is_text:
                counts[NAN] += 1
                return b"null"
        return found[0]

    made = _ODD.sub(replaced, raw)
    try:
        sent = members(made)
        nulls = {name: b"null" for name in numbers if name in sent and _is_no_number(bytes(sent[name]))}
    except (msgspec.DecodeError, RecursionError):
        return made, counts
    counts[NAN] += len(nulls)
    return with_members(made, nulls) if nulls else made, +counts


def _is_no_number(raw: bytes) -> bool:
    return raw[:1] == b'"' and raw.strip(b'" ').lower() in _NO_NUMBERS
