"""Large bodies cut in steps: the same items, and others get their turns meanwhile."""

import pytest

from ingest_server import wire
from ingest_server.errors import BadRequest, TooLarge
from ingest_server.splitting import check_values, split_in_turns
from ingest_server.turns import STEP_BYTES
from tests.rounds import Rounds

MIB = 2**20


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": 1}\n\r\n \t{"b": 2}\r\n',
        wire.BOM + b"\n" * 3 * MIB + b'{"a": 1}\n',
        b"\n".join([b'{"a": "' + b"x" * 3000 + b'"}'] * 1500),
        b'{"a": "' + b"x" * 2 * MIB + b'"}\n' + b" \n" * MIB + b"{}",
        b" " * 2 * MIB + b"{}" + b"\t" * MIB,
        b"\n" * 2 * MIB,
        b"\xff\n" * MIB + b"\0",
        b"",
    ],
    ids=["small", "blank", "many", "long line", "spaces", "nothing", "no text", "empty"],
)
async def test_lines_are_the_same_as_if_they_were_cut_at_once(body: bytes) -> None:
    assert await split_in_turns(body, "ndjson") == wire.split(body, "ndjson")


async def test_a_json_array_is_cut_as_before() -> None:
    body = b"[" + b",".join([b'{"a": "' + b"x" * 3000 + b'"}'] * 500) + b"]"
    assert await split_in_turns(body, "json") == wire.split(body, "json")
    with pytest.raises(BadRequest):
        await split_in_turns(b"[" * 2 * MIB, "json")


@pytest.mark.parametrize(("body", "most"), [(b"{}\n" * MIB, 1000), (b"{}\n" * 1001, 1000), (b"1\n" * 2 * MIB, 1)])
async def test_too_many_items_are_refused_before_all_are_cut(body: bytes, most: int) -> None:
    with pytest.raises(TooLarge) as refused:
        await split_in_turns(body, "ndjson", most)
    assert (refused.value.limit, refused.value.limit_unit) == (most, "items")


@pytest.mark.parametrize("size", [5000, 3 * MIB])
async def test_an_item_that_is_too_large_is_refused(size: int) -> None:
    for body in (b"x" * size, b"{}\n" * 1000 + b"x" * size + b"\n{}", b"\n" * 2 * MIB + b"x" * size):
        with pytest.raises(TooLarge) as refused:
            await split_in_turns(body, "ndjson", 10_000, size - 1)
        assert (refused.value.limit, refused.value.limit_unit) == (size - 1, "item_bytes")
        assert await split_in_turns(body, "ndjson", 10_000, size)


async def test_others_get_their_turns_while_67_million_blank_lines_are_read() -> None:
    async with Rounds() as rounds:
        assert await split_in_turns(b"\n" * 64 * MIB, "ndjson") == []
    assert rounds.count > 64 * MIB // STEP_BYTES // 2


VALUES = {"item_values": 1000, "batch_values": 1500}


async def test_values_are_counted_outside_of_texts() -> None:
    text = b'{"a": "' + b"," * 5000 + rb"\",\\" + b'"}'
    numbers = b'{"a": [' + b"0," * 1000 + b"0]}"
    await check_values([text, numbers, text], **VALUES)
    with pytest.raises(TooLarge) as refused:
        await check_values([b'{"a": [' + b'"x,",' * 1001 + b"0]}"], **VALUES)
    assert (refused.value.limit, refused.value.limit_unit) == (1000, "item_values")
    with pytest.raises(TooLarge) as refused:
        await check_values([numbers, numbers], **VALUES)
    assert (refused.value.limit, refused.value.limit_unit) == (1500, "batch_values")
