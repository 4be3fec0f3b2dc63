"""A batch between decoding and writing: rows that fill the same columns, and the items that were refused."""

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field
from typing import Any

from ingest_server.model import Refusal

Row = tuple[Any, ...]

IGNORED_FIELDS = "unknown_field"


@dataclass(slots=True, eq=False)
class Rows:
    """Rows of one batch that fill the same columns, each with its item's index."""

    columns: tuple[str, ...]
    indexes: list[int] = field(default_factory=list)
    values: list[Row] = field(default_factory=list)

    def only(self, indexes: Container[int]) -> "Rows":
        """Those rows among them whose items have these indexes."""
        pairs = [pair for pair in zip(self.indexes, self.values, strict=True) if pair[0] in indexes]
        return Rows(self.columns, [index for index, _ in pairs], [value for _, value in pairs])


@dataclass(slots=True, eq=False)
class Decoded:
    """A batch, sorted into rows and refusals: every index stands in exactly one of them."""

    groups: list[Rows]
    refusals: list[Refusal]
    altered: Counter[str] = field(default_factory=Counter)
    """What was left out or replaced in items that became rows, because the table wants it so."""
