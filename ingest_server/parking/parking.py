"""Parked tables: their batches wait aside, hold no worker, and leave the other tables their room.

A table that cannot be written as it is configured is parked at once. One batch is let through now and then as a probe;
when it is settled the table goes on by itself. A table that refused nearly all of its newest items is parked until
somebody says `resume`. Which tables are parked is kept in the database: the next start knows it, and other servers do.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from ingest_server.backoff import Backoff
from ingest_server.errors import Misconfigured, NearlyAllRefused, SinkError
from ingest_server.model import BatchHead, Parked, Refusal, TableName
from ingest_server.parking.refusing import Window
from ingest_server.ports import BatchQueue, ParkedTables
from ingest_server.telemetry import Telemetry

# The least time between two probes of one table.
_PROBE_SECONDS = 0.5
# A batch that was refused as its table's configuration while another passed, so often, is no sign for the table any more.
_TIMES_ALONE = 2
_BY_ITSELF = "a batch that was let through was settled"
_ELSEWHERE = "another server, or somebody in the database, let it go on"


@dataclass(slots=True)
class _Lot:
    parked: Parked
    is_kept: bool = False
    is_foreign: bool = False
    """Another server said so, and this one has not tried."""
    probes: int = 0
    is_probing: bool = False
    timer: asyncio.TimerHandle | None = None


class Parking:
    """Which tables are parked, for this server; the database has the word for all."""

    def __init__(
        self,
        queue: BatchQueue,
        kept: ParkedTables,
        telemetry: Telemetry,
        clock: Callable[[], datetime],
        *,
        chance: Callable[[float, float], float] = random.uniform,
        backoff: Backoff | None = None,
        look_seconds: float = 2.0,
    ) -> None:
        self._queue = queue
        self._kept = kept
        self._telemetry = telemetry
        self._clock = clock
        self._chance = chance
        self._backoff = backoff or Backoff(base=1.0, cap=30.0)
        self._look_seconds = look_seconds
        self._lots: dict[TableName, _Lot] = {}
        self._windows: dict[TableName, Window] = {}
        self._gone_on: set[TableName] = set()
        self._disbelieved: dict[TableName, datetime] = {}
        self._failed_alone: Counter[tuple[str, UUID]] = Counter()
        self._failed: dict[TableName, set[tuple[str, UUID]]] = {}
        self._changed = asyncio.Event()
        self._asking = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    @property
    def tables(self) -> Mapping[TableName, Parked]:
        """The tables that are parked."""
        return {table: lot.parked for table, lot in self._lots.items()}

    async def start(self) -> None:
        """Take over what is kept, before the first batch is taken; then look after it until `stop`."""
        with contextlib.suppress(SinkError):
            await self._agree(is_start=True)
        self._task = asyncio.create_task(self._look_after(), name="parked tables")

    async def stop(self) -> None:
        """End the task and the probes."""
        for lot in self._lots.values():
            if lot.timer is not None:
                lot.timer.cancel()
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def judge(self, batch: BatchHead, refusals: Sequence[Refusal]) -> None:
        """Asked before a batch's refused items are buried. Raises `NearlyAllRefused` where they must not be."""
        lot = self._lots.get(batch.table)
        if lot is not None and lot.parked.cause == "refused":
            parked = lot.parked
            if any((one.code, one.column) == (parked.code, parked.column) for one in refusals):
                raise NearlyAllRefused(parked.reason, code=parked.code, column=parked.column)
            return
        window = self._windows.setdefault(batch.table, Window())
        verdict = window.add(batch.name, batch.total, refusals)
        if verdict is not None:
            code, column = verdict.reason
            words = f"{verdict.refused} of its newest {verdict.items} items were refused with {code}"
            raise NearlyAllRefused(words + (f", column {column}" if column else ""), code=code, column=column)

    def misconfigured(self, batch: BatchHead, error: Misconfigured) -> bool:
        """The batch met a table that cannot be written. False where only this batch does: then it must wait on its own."""
        table, lot = batch.table, self._lots.get(batch.table)
        if self._failed_alone[batch.name] >= _TIMES_ALONE:
            return False
        self._failed.setdefault(table, set()).add(batch.name)
        parked = Parked(table, self._clock(), "configuration", error.code, error.column, error.reason)
        if lot is None:
            self._park(parked)
        elif lot.parked.cause == "configuration":
            lot.is_foreign = False
            if lot.parked.reason != error.reason:
                lot.parked = replace(parked, since=lot.parked.since)
                self._telemetry.parked(lot.parked)
            if lot.is_probing:
                self._probe_later(lot)
        return True

    def nearly_all_refused(self, batch: BatchHead, error: NearlyAllRefused) -> None:
        """The batch must not be buried: its table is parked until `resume`."""
        lot = self._lots.get(batch.table)
        if lot is None or lot.parked.cause != "refused":
            self._park(Parked(batch.table, self._clock(), "refused", error.code, error.column, error.reason))

    def settled(self, batch: BatchHead) -> None:
        """The batch is settled. Where it was let through to a table that could not be written, all may go on."""
        self._failed_alone.pop(batch.name, None)
        lot = self._lots.get(batch.table)
        if lot is not None and lot.is_probing:
            self._failed_alone.update(self._failed.get(batch.table, set()) - {batch.name})
            if lot.is_foreign:  # it is that server's trouble, which may be set up otherwise, and its word to take back
                self._disbelieved[batch.table] = lot.parked.since
            else:
                self._gone_on.add(batch.table)
                self._changed.set()
            self._go_on(batch.table, _BY_ITSELF)

    async def resume(self, table: TableName) -> bool:
        """Let a parked table go on, here and at every server of this database. Whether it was parked.

        Raises `SinkError` where the database cannot be asked: then nothing changed.
        """
        async with self._asking:
            was_kept = await self._kept.resume(table)
            was_parked = table in self._lots
            self._go_on(table, "resume was said")
        return was_kept or was_parked

    def _park(self, parked: Parked, *, is_kept: bool = False, is_foreign: bool = False) -> None:
        table, before = parked.table, self._lots.get(parked.table)
        if before is not None and before.timer is not None:
            before.timer.cancel()
        lot = self._lots[table] = _Lot(parked, is_kept, is_foreign)
        self._windows.pop(table, None)
        self._queue.park(table)
        self._telemetry.parked(parked)
        if parked.cause == "configuration":
            self._probe_later(lot)
        self._changed.set()

    def _go_on(self, table: TableName, why: str) -> None:
        lot = self._lots.pop(table, None)
        self._windows.pop(table, None)
        self._failed.pop(table, None)
        if lot is None:
            return
        if lot.timer is not None:
            lot.timer.cancel()
        self._telemetry.went_on(table, self._queue.waiting(table).batches, why)
        self._queue.resume(table)

    def _probe_later(self, lot: _Lot) -> None:
        if lot.timer is not None:
            lot.timer.cancel()
        lot.is_probing = False
        seconds = _PROBE_SECONDS + self._backoff.seconds(lot.probes, self._chance)
        lot.timer = asyncio.get_running_loop().call_later(seconds, self._probe, lot)

    def _probe(self, lot: _Lot) -> None:
        lot.probes += 1
        lot.is_probing = True
        self._telemetry.probed(lot.parked.table)
        self._queue.probe(lot.parked.table)
        # A probe may meet a lock, an outage, or a disk that lost it: then there is another.
        lot.timer = asyncio.get_running_loop().call_later(_PROBE_SECONDS + self._backoff.cap, self._probe, lot)

    async def _look_after(self) -> None:
        trouble = None
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._look_seconds):
                    await self._changed.wait()
            self._changed.clear()
            try:
                await self._agree()
                trouble = None
            except Exception as error:
                reason = error.reason if isinstance(error, SinkError) else f"unexpected {type(error).__name__}"
                if trouble != reason and self._lots and not self._telemetry.sink_is_away:
                    self._telemetry.parking_unkept(reason)
                trouble = reason
                await asyncio.sleep(self._look_seconds)

    async def _agree(self, *, is_start: bool = False) -> None:
        """The database learns what happened here, and tells what happened elsewhere."""
        async with self._asking:
            for table in list(self._gone_on):
                await self._kept.resume(table, only_configuration=True)
                self._gone_on.discard(table)
            for lot in list(self._lots.values()):
                if not lot.is_kept:
                    await self._kept.park(lot.parked)
                    lot.is_kept = True
            known = {parked.table: parked for parked in await self._kept.parked()}
            for table, parked in known.items():
                here = self._lots.get(table)
                if table in self._gone_on or self._disbelieved.get(table) == parked.since:
                    continue
                if here is None or here.parked.cause != parked.cause:
                    self._park(parked, is_kept=True, is_foreign=not is_start)
                else:
                    here.parked = replace(here.parked, since=parked.since)
            for table, lot in list(self._lots.items()):
                if lot.is_kept and table not in known:
                    self._go_on(table, _ELSEWHERE)
