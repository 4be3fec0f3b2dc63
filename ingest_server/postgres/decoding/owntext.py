"""JSON values as the text that a type's own input function takes."""

import re
from typing import Any

import orjson

from ingest_server.postgres.decoding.jsontext import elements, members
from ingest_server.postgres.decoding.types import own_kind, takes_json

_SIGNED = re.compile(r"([-+])P[^-+]*$")
_NUMBER = re.compile(r"[0-9]+(?:[.,][0-9]*)?")
_HSTORE_QUOTED = str.maketrans({"\\": "\\\\", '"': '\\"'})


def own_text(raw: bytes, kind: str, dimensions: int) -> Any:
    """A text as it is, a number or a truth value as it was sent, null as None; of an array a list of such.

    A list or an object goes as JSON text to types of somebody's own, an object to hstore in hstore's form. Raises
    `ValueError`, with words for the refusal, where PostgreSQL's own types are given one.
    """
    if raw == b"null":
        return None
    if dimensions:
        return [own_text(bytes(part), kind, dimensions - 1) for part in elements(raw)]
    if raw[:1] == b'"':
        return said(orjson.loads(raw), kind)
    if raw[:1] in (b"{", b"["):
        if not takes_json(kind):
            raise ValueError("is a list or an object, and the column's type is written as text")
        if kind == "hstore" and raw[:1] == b"{":
            return _hstore(raw)
    return raw.decode()


def said(text: str, kind: str) -> str:
    """A text as the column's type reads it: a duration may have one sign for the whole (-P1D), and PostgreSQL knows no such."""
    if kind == "interval" and (signed := _SIGNED.match(text)):
        return _NUMBER.sub(r"-\g<0>", text[1:]) if signed[1] == "-" else text[1:]
    return text


def _hstore(raw: bytes) -> str:
    found = {name: own_text(bytes(value), own_kind("any"), 0) for name, value in members(raw).items()}
    return ", ".join(f"{_quoted(name)}=>{'NULL' if value is None else _quoted(value)}" for name, value in found.items())


def _quoted(text: str) -> str:
    return f'"{text.translate(_HSTORE_QUOTED)}"'
