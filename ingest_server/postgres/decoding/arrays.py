"""How deep an item's arrays are: PostgreSQL does not enforce what was declared, and copies of a table forget it.

https://www.postgresql.org/docs/current/arrays.html#ARRAYS-DECLARATION
"""

from dataclasses import replace

import msgspec

from ingest_server.model import TableSpec
from ingest_server.postgres.decoding.jsontext import elements, members
from ingest_server.postgres.decoding.types import JSON_KINDS, takes_json

# MAXDIM: deeper ones are PostgreSQL's to refuse.
_MOST = 6


def as_deep_as(raw: bytes, spec: TableSpec) -> TableSpec:
    """The shape with arrays as deep as this item's are; the very same where they are as declared, or it is no object."""
    try:
        sent = members(raw)
        depths = {
            column.name: _depth(bytes(sent[column.name]))
            for column in spec.writable
            if column.dimensions and column.name in sent and not _may_hold_lists(column.kind)
        }
    except (msgspec.DecodeError, RecursionError):
        return spec
    columns = tuple(replace(one, dimensions=depths.get(one.name) or one.dimensions) for one in spec.columns)
    return spec if columns == spec.columns else replace(spec, columns=columns)


def _may_hold_lists(kind: str) -> bool:
    # A list in it may be the element itself.
    return kind in JSON_KINDS or takes_json(kind)


def _depth(raw: bytes) -> int:
    """Lists around the first thing that is neither a list nor null; 0 where there is none."""
    depth = 0
    while raw[:1] == b"[" and depth < _MOST:
        depth += 1
        raw = next((bytes(part) for part in elements(raw) if bytes(part) != b"null"), b"")
    return depth
