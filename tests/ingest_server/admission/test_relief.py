"""Memory runs out: half as much is begun, and all of it again when it is well."""

import asyncio
from types import SimpleNamespace

import pytest

from ingest_server.admission import Gate, Relief
from ingest_server.admission.gate import weight_of
from tests import make

MIB = 2**20


class World:
    def __init__(self) -> None:
        self.now = 1000.0
        self.memory = SimpleNamespace(resident=50, limit=100, hard_limit=150)
        self.gate = Gate(8, 1000)
        self.told: list[str] = []
        self.trims = 0
        admission = SimpleNamespace(cut_half=lambda: 3)
        tell = SimpleNamespace(
            memory_out=lambda resident, limit, *, allowed, cut: self.told.append(
                f"{resident}>{limit} {allowed} -{cut}"
            ),
            memory_well=lambda resident, *, allowed: self.told.append(f"{resident} {allowed}"),
        )
        self.relief = Relief(self.memory, self.gate, admission, tell, clock=lambda: self.now, trim=self._trim)

    def _trim(self) -> None:
        self.trims += 1

    def look(self, resident: int, *, after: float = 2.0) -> int:
        self.memory.resident = resident
        self.now += after
        self.relief.look()
        return self.gate.allowed


async def test_above_the_hard_limit_half_as_much_is_begun_and_below_the_soft_one_more_again() -> None:
    world = World()
    assert world.look(149) == 8
    assert world.look(151) == 4
    assert world.look(151, after=0.25) == 4, "what was done gets two seconds to show"
    assert world.look(151) == 2
    assert world.look(151) == 1
    assert world.look(151) == 1
    assert world.look(120) == 1, "not before it is below the soft limit"
    assert [world.look(90) for _ in range(5)] == [2, 4, 8, 8, 8]
    assert world.told == ["151>150 4 -3", "151>150 2 -3", "151>150 1 -3", "151>150 1 -3", "90 8"]
    assert world.look(151) == 4


async def test_above_the_soft_limit_freed_memory_is_given_back_now_and_then() -> None:
    world = World()
    world.look(99)
    for _ in range(9):
        world.look(101, after=0.25)
    await asyncio.get_running_loop().shutdown_default_executor()
    assert world.trims == 2


async def working(gate: Gate, size: int, ends: asyncio.Event) -> None:
    async with gate.work(make.batch({"a": "x" * size})):
        await ends.wait()


async def rounds() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_large_batches_are_worked_on_one_by_one_and_small_ones_beside_them() -> None:
    gate, ends = Gate(4, 6 * MIB), asyncio.Event()
    large = [asyncio.create_task(working(gate, 2 * MIB, ends)) for _ in range(2)]
    await rounds()
    assert 8 * MIB < gate.weight < 9 * MIB, "one of them, though it is too much by itself"
    small = [asyncio.create_task(working(gate, 10, ends)) for _ in range(3)]
    await rounds()
    ends.set()
    async with asyncio.timeout(5):
        await asyncio.gather(*large, *small)
    assert gate.weight == 0


async def test_who_may_not_begin_takes_no_batch() -> None:
    gate, ends = Gate(2, MIB), asyncio.Event()
    gate.halve()
    taken = []

    async def batches():
        for number in range(4):
            taken.append(number)
            yield make.batch({"a": number})

    async def work() -> None:
        async for _ in gate.through(batches()):
            pass

    busy = asyncio.create_task(working(gate, 10, ends))
    await rounds()
    other = asyncio.create_task(work())
    await rounds()
    assert taken == [0], "it asked before memory was out; the next one stays where it is"
    ends.set()
    async with asyncio.timeout(5):
        await asyncio.gather(busy, other)
    assert taken == [0, 1, 2, 3]


@pytest.mark.parametrize(("body", "weight"), [(b"," * MIB, 0), (b"," * (MIB + 1), 104 * (MIB + 1))])
def test_a_large_batch_weighs_its_bytes_and_its_values(body: bytes, weight: int) -> None:
    assert weight_of(body) == weight
