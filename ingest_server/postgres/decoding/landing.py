"""Items for landing tables: as they are, into one jsonb column."""

from collections.abc import Sequence
from uuid import UUID

from ingest_server.model import Refusal, Unstorable
from ingest_server.postgres.decoding.jsontext import NUL, TOO_DEEP, holds_nul, not_an_object, too_deep
from ingest_server.postgres.decoding.mending import may_be_mended, mended
from ingest_server.postgres.writing.refusals import INVALID
from ingest_server.postgres.writing.rows import Decoded, Rows
from ingest_server.turns import Breath

_COLUMNS = ("crawl", "batch", "item")


class LandingDecoder:
    """For landing tables: the item goes as it is into one jsonb column, beside its crawl and batch."""

    def __init__(self, crawl: str | None, batch: UUID, unstorable: Unstorable = Unstorable.REJECT) -> None:
        self._crawl = crawl
        self._batch = batch
        self._mends = unstorable is Unstorable.REPLACE

    async def decode(self, items: Sequence[bytes]) -> Decoded:
        """Every JSON object as a row, anything else as a refusal."""
        rows = Rows(_COLUMNS)
        decoded = Decoded([], [])
        breath = Breath(sum(map(len, items)))
        for index, raw in enumerate(items):
            if breath.is_due(len(raw)):
                await breath.take()
            fault, whole = _fault(raw), raw
            if fault is not None and self._mends and may_be_mended(raw, has_numbers=False):
                whole, counts = mended(raw, ())
                if counts and (fault := _fault(whole)) is None:
                    decoded.altered += counts
            if fault is not None:
                decoded.refusals.append(Refusal(index, INVALID, fault))
            else:
                rows.indexes.append(index)
                rows.values.append((self._crawl, self._batch, whole.decode()))
        if rows.indexes:
            decoded.groups.append(rows)
        return decoded


def _fault(raw: bytes) -> str | None:
    fault = TOO_DEEP if too_deep(raw) else not_an_object(raw)
    if fault is None and b"\\u0000" in raw and holds_nul(raw.decode(), is_json=True):
        return NUL
    return fault
