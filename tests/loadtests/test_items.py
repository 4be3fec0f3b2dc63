import hashlib

import orjson
import pytest

from loadtests.items import SHAPES, cut, line, make_items, row, stored_before

EVERY_SHAPE = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


@EVERY_SHAPE
def test_a_seed_makes_the_same_items_again_and_another_seed_others(shape):
    first, again, other = (b"".join(map(line, make_items(shape, 50, seed))) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_the_same_bytes_are_made_on_every_machine():
    digests = {
        name: hashlib.sha256(b"".join(map(line, make_items(shape, 100, 1)))).hexdigest()[:16]
        for name, shape in SHAPES.items()
    }
    assert digests == {"wide": "2f6a9216c1b748a7", "narrow": "1a48078c41ca50eb"}


@EVERY_SHAPE
def test_fewer_items_are_a_prefix_of_more(shape):
    assert make_items(shape, 20, 5) == make_items(shape, 40, 5)[:20]


@pytest.mark.parametrize(("name", "columns", "size"), [("wide", 18, 1000), ("narrow", 5, 150)])
def test_items_have_the_documented_columns_and_about_the_documented_bytes(name, columns, size):
    items = make_items(SHAPES[name], 2_000, 1)
    assert len(SHAPES[name].columns) == columns
    assert all(tuple(item) == SHAPES[name].names for item in items)
    lines = [line(item) for item in items]
    assert 0.9 * size < sum(map(len, lines)) / len(lines) < 1.1 * size
    assert all(0.75 * size < len(one) < 1.25 * size for one in lines)


@EVERY_SHAPE
def test_every_key_is_another(shape):
    items = make_items(shape, 5_000, 1)
    assert len({item[shape.key] for item in items}) == len(items)


@EVERY_SHAPE
def test_a_line_is_one_json_object_and_a_row_holds_the_same_values(shape):
    item = make_items(shape, 1, 1)[0]
    written = line(item)
    assert written.endswith(b"}\n")
    assert written.count(b"\n") == 1
    read = orjson.loads(written)
    for (name, kind), value in zip(shape.columns, row(shape, item), strict=True):
        if kind == "jsonb":
            assert orjson.loads(value) == read[name]
        elif kind in {"date", "timestamptz"}:
            assert value.isoformat() == read[name]
        else:
            assert value == read[name]


@EVERY_SHAPE
def test_what_is_stored_before_is_a_share_unchanged_and_a_share_with_another_price(shape):
    items = make_items(shape, 200, 1)
    by_key = {item[shape.key]: item for item in items}
    stored = stored_before(items, changed=0.25, unchanged=0.1, seed=1)
    assert len({item[shape.key] for item in stored}) == len(stored) == 70
    same = [item for item in stored if item == by_key[item[shape.key]]]
    assert len(same) == 20
    for item in stored:
        assert {**item, "price": 0} == {**by_key[item[shape.key]], "price": 0}


def test_cutting_loses_nothing():
    assert cut(range(7), 3) == [range(3), range(3, 6), range(6, 7)]
    assert cut([], 3) == []
