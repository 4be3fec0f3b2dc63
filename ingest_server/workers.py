"""N coroutines: take a batch, deliver it, acknowledge it."""

import asyncio

from ingest_server.admission import DrainRate, Gate
from ingest_server.delivery import Aside, Delivery
from ingest_server.ports import BatchQueue
from ingest_server.statuses import Statuses
from ingest_server.telemetry import Telemetry
from ingest_server.turns import be_a_worker


class Workers:
    """The tasks between queue and sink. They end when the queue closes."""

    def __init__(
        self,
        queue: BatchQueue,
        delivery: Delivery,
        statuses: Statuses,
        telemetry: Telemetry,
        rate: DrainRate,
        *,
        count: int,
        gate: Gate | None = None,
    ) -> None:
        self._queue = queue
        self._delivery = delivery
        self._statuses = statuses
        self._telemetry = telemetry
        self._rate = rate
        self._count = count
        self._gate = gate or Gate(count, 2**30)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start the tasks."""
        self._tasks = [
            asyncio.create_task(self._work(), name=f"worker-{number}") for number in range(1, self._count + 1)
        ]
        for task in self._tasks:
            task.add_done_callback(self._ended)

    @property
    def alive(self) -> int:
        """Tasks that still run."""
        return sum(not task.done() for task in self._tasks)

    @property
    def allowed(self) -> int:
        """How many of them may have a batch now: fewer while memory is out."""
        return self._gate.allowed

    async def stop(self) -> None:
        """Cancel what still runs, and wait until it has ended. A batch in the middle of its transaction is rolled back."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _work(self) -> None:
        be_a_worker()
        async for batch in self._gate.through(self._queue):
            taken_at = self._rate.clock()
            self._statuses.processing(batch)
            async with self._gate.work(batch):
                with self._telemetry.delivering(batch):
                    outcome = await self._delivery.deliver(batch)
            if isinstance(outcome, Aside):
                self._statuses.queued(batch)
                self._queue.set_aside(batch, outcome.seconds)
                continue
            self._rate.drained(batch.size, since=taken_at)
            self._statuses.settled(batch, outcome)
            self._telemetry.settled(batch, outcome)
            # last: with the last acknowledgement a server that is shutting down goes on, and would leave waiters behind
            await self._queue.ack(batch)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._telemetry.worker_died(task.get_name(), error)
