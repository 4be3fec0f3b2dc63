"""What the pulse looks at: every figure reaches the warning that it is for."""

from ingest_server.admission import Admission, DrainRate, Memory
from ingest_server.queues.memory import MemoryQueue
from ingest_server.serving.gauges import Fullness, look
from ingest_server.settings import Settings
from ingest_server.telemetry import Telemetry
from tests import make
from tests.fakes import Clock, settled_of


def room(**given: object) -> tuple[MemoryQueue, Admission, Fullness]:
    settings = Settings.read({"journal": "off", "memory_limit": 2**30, **given})
    queue = MemoryQueue(max_items=settings.queue_items, max_bytes=settings.body_bytes)
    admission = Admission(queue, DrainRate(Clock(100.0)), Memory(Clock(100.0), 2**40), max_bytes=settings.body_bytes)
    return queue, admission, Fullness(settings, queue, admission)


async def test_without_a_journal_items_bytes_and_what_arrives_fill_the_queue() -> None:
    queue, admission, fullness = room(queue_items=10)
    assert fullness.ratio == 0
    await queue.put(make.batch(*({"a": 1} for _ in range(8))))
    assert fullness.ratio == 0.8
    arriving = admission.enter(None)
    arriving.take(fullness.body_bytes * 7 // 10)
    assert 0.9 < fullness.ratio <= 1
    arriving.give_back()
    assert fullness.ratio == 0.8


async def test_each_figure_reaches_its_own_warning() -> None:
    clock = Clock(100.0)
    queue, _, fullness = room(queue_items=10)
    roomy, tight = Memory(Clock(100.0), 2**50), Memory(Clock(100.0), 1)
    telemetry = Telemetry(clock)
    batch = make.batch(*({"a": 1} for _ in range(9)))

    def warned(memory: Memory = roomy) -> list[str]:
        look(telemetry, fullness, memory)
        return [text.split()[1] for text in telemetry.warnings]

    assert warned() == []
    telemetry.accepted(batch)
    assert warned() == []
    clock.now += 5.1
    assert warned() == ["oldest"]
    await queue.put(batch)
    assert warned() == ["oldest", "queue"]
    await queue.ack(batch)
    telemetry.settled(batch, settled_of(batch, inserted=8, failed=1))
    assert warned() == ["of"], "the dead letters' share"
    assert warned(tight) == ["of", "memory"]
