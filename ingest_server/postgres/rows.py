"""A batch between decoding and writing: rows that fill the same columns, and the items that were refused."""

from dataclasses import dataclass, field
from typing import Any

from ingest_server.model import Refusal

Row = tuple[Any, ...]


@dataclass(slots=True, eq=False)
class Rows:
    """Rows of one batch that fill the same columns, each with its item's index."""

    columns: tuple[str, ...]
    indexes: list[int] = field(default_factory=list)
    values: list[Row] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Decoded:
    """A batch, sorted into rows and refusals: every index stands in exactly one of them."""

    groups: list[Rows]
    refusals: list[Refusal]
