"""Items for landing tables: as they are, into one jsonb column."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

from ingest_server.model import Refusal
from ingest_server.postgres.jsontext import NUL, TOO_DEEP, holds_nul, not_an_object, too_deep
from ingest_server.postgres.refusals import INVALID
from ingest_server.postgres.rows import Decoded, Rows

_COLUMNS = ("crawl", "batch", "item")
# Decoding holds the event loop; after so many items others get their turn.
SLICE = 200


class LandingDecoder:
    """For landing tables: the item goes as it is into one jsonb column, beside its crawl and batch."""

    def __init__(self, crawl: str | None, batch: UUID) -> None:
        self._crawl = crawl
        self._batch = batch

    async def decode(self, items: Sequence[bytes]) -> Decoded:
        """Every JSON object as a row, anything else as a refusal."""
        rows = Rows(_COLUMNS)
        refusals: list[Refusal] = []
        for index, raw in enumerate(items):
            if index % SLICE == SLICE - 1:
                await asyncio.sleep(0)
            fault = _fault(raw)
            if fault is not None:
                refusals.append(Refusal(index, INVALID, fault))
            else:
                rows.indexes.append(index)
                rows.values.append((self._crawl, self._batch, raw.decode()))
        return Decoded([rows] if rows.indexes else [], refusals)


def _fault(raw: bytes) -> str | None:
    fault = TOO_DEEP if too_deep(raw) else not_an_object(raw)
    if fault is None and b"\\u0000" in raw and holds_nul(raw.decode(), is_json=True):
        return NUL
    return fault
