"""One step in each round of the loop, in the order of coming."""

import asyncio

from ingest_server.turns import STEP_BYTES, Breath, request_turn, turn


async def test_in_each_round_of_the_loop_one_goes_on_in_the_order_of_coming() -> None:
    went: list[str] = []
    rounds = 0

    async def work(name: str) -> None:
        for _ in range(3):
            await turn()
            went.append(name)

    async def count() -> None:
        nonlocal rounds
        while len(went) < 9:
            before = len(went)
            await asyncio.sleep(0)
            rounds += 1
            assert len(went) - before <= 1

    await asyncio.gather(count(), *(work(name) for name in "abc"))
    assert went == list("aabcabcbc")  # the first found nobody there, and was first in the line again
    assert rounds >= 9


async def test_a_turn_that_nobody_else_wants_is_had_at_once() -> None:
    asked = turn()
    try:
        asked.send(None)
    except StopIteration:
        return
    raise AssertionError("it waited")


async def test_who_is_cancelled_in_the_line_or_at_its_turn_holds_nobody_up() -> None:
    await turn()
    waiting = [asyncio.create_task(turn()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.gather(waiting[0], return_exceptions=True)
    waiting[1].cancel()  # its turn has come, and it does not know yet
    async with asyncio.timeout(5):
        await asyncio.gather(*waiting, return_exceptions=True)
        await turn()
    assert not waiting[2].cancelled()


async def test_of_requests_eight_begin_in_a_round() -> None:
    begun = 0

    async def request() -> None:
        nonlocal begun
        await request_turn()
        begun += 1

    tasks = [asyncio.create_task(request()) for _ in range(100)]
    most = 0
    while begun < 100:
        before = begun
        await asyncio.sleep(0)
        most = max(most, begun - before)
    await asyncio.gather(*tasks)
    assert most == 8


async def test_a_loop_over_items_breathes_by_number_and_by_bytes() -> None:
    small = Breath(1000)
    assert [number for number in range(1, 1001) if small.is_due(5)] == [200, 400, 600, 800, 1000]
    large = Breath(2**24)
    assert [large.is_due(STEP_BYTES // 2) for _ in range(4)] == [False, True, True, True]
    await small.take()
    await large.take()
