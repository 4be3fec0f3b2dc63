"""Where the batches of parked tables wait, and what is here of each table."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from ingest_server.model import BatchHead, TableName
from ingest_server.ports import Tally


@dataclass(slots=True)
class _Siding:
    waiting: deque[BatchHead] = field(default_factory=deque)
    let_through: set[tuple[str, UUID]] = field(default_factory=set)
    lets_next: bool = False


class Sidings:
    """A siding for every parked table. A batch that is let through is ready like any other."""

    def __init__(self) -> None:
        self._tallies: dict[TableName, Tally] = {}
        self._sidings: dict[TableName, _Siding] = {}

    @property
    def waiting(self) -> int:
        """Batches that stand on a siding."""
        return sum(len(one.waiting) for one in self._sidings.values()) if self._sidings else 0

    @property
    def parked(self) -> Tally:
        """What is here of parked tables, wherever it stands."""
        whole = Tally()
        for table in self._sidings:
            one = self.of(table)
            whole = Tally(whole.batches + one.batches, whole.items + one.items, whole.bytes + one.bytes)
        return whole

    def of(self, table: TableName) -> Tally:
        """What is here of this table."""
        return self._tallies.get(table) or Tally()

    def tally(self, table: TableName) -> Tally:
        """The same, to be counted up."""
        return self._tallies.setdefault(table, Tally())

    def forget(self, head: BatchHead) -> None:
        """The batch is settled."""
        tally = self._tallies[head.table]
        tally.remove(head)
        if not tally.batches:
            del self._tallies[head.table]

    def is_parked(self, table: TableName) -> bool:
        """Whether the table has a siding."""
        return table in self._sidings

    def park(self, table: TableName) -> None:
        """Give the table a siding."""
        self._sidings.setdefault(table, _Siding())

    def takes(self, head: BatchHead) -> bool:
        """Whether the batch must wait: then it stands on its table's siding now."""
        siding = self._sidings.get(head.table)
        if siding is None:
            return False
        if head.name in siding.let_through:
            siding.let_through.discard(head.name)
            return False
        if siding.lets_next:
            siding.lets_next = False
            siding.let_through.add(head.name)  # it is asked again when a worker takes it
            return False
        siding.waiting.append(head)
        return True

    def let_one_through(self, table: TableName) -> BatchHead | None:
        """The batch that waited longest, to be made ready; None where none waits: then it will be the next that comes."""
        siding = self._sidings.get(table)
        if siding is None:
            return None
        if not siding.waiting:
            siding.lets_next = True
            return None
        head = siding.waiting.popleft()
        siding.let_through.add(head.name)
        return head

    def resume(self, table: TableName) -> Sequence[BatchHead]:
        """Take the siding away: these batches stood on it."""
        siding = self._sidings.pop(table, None)
        return siding.waiting if siding is not None else ()
