import re

import orjson
import pytest
from rich.console import Console

from loadtests.pipeline.page import page, says, write_page
from loadtests.pipeline.plan import Crawl
from loadtests.pipeline.results import Run, result_of
from loadtests.pipeline.table import COLUMNS, GOAL_COLUMNS, WIDTH, cells, goals
from loadtests.results import write_json
from tests.loadtests.pipeline.made import MICROS, plan, result
from tests.loadtests.test_page import read


def test_ratios_are_of_the_same_round_so_a_slow_round_does_not_show():
    found = result().ratios
    assert found["ours/empty"].median == pytest.approx(40 / 42)
    assert found["ours/empty"].p10 == pytest.approx(found["ours/empty"].p90)
    assert found["ours/empty:item-a-page"].median == pytest.approx(40 / 42)
    for kind in ("dict", "item", "dataclass", "attrs", "pydantic"):
        assert found[f"ours/feed:{kind}"].median == pytest.approx(42 / 80)


def test_the_short_name_is_of_the_one_page_where_that_was_measured():
    assert result().ratios["ours/empty"] == result().ratios["ours/empty:one-page"]
    only = result(shapes=("item-a-page",)).ratios
    assert only["ours/empty"] == only["ours/empty:item-a-page"]
    assert "ours/empty:one-page" not in only


def test_a_page_that_is_parsed_has_a_ratio_of_its_own_and_never_the_short_name():
    parsed = {"ours/empty:page-json", "ours/empty:page-html"}
    found = result().ratios
    assert parsed <= found.keys()
    assert found["ours/empty"] == found["ours/empty:one-page"]
    assert "ours/empty" not in result(shapes=("page-json", "page-html")).ratios
    assert {
        goal.ratio: goal.met for goal in result(MICROS | {"ours": 50}).goals if goal.ratio in parsed
    } == dict.fromkeys(parsed, False)


def test_a_page_that_is_parsed_has_the_first_size_only():
    places = plan(items=(100, 200), kinds=("dict",)).places
    assert [(one.shape, one.items) for one in places] == [
        ("one-page", 100),
        ("one-page", 200),
        ("page-json", 100),
        ("page-html", 100),
        ("item-a-page", 50),
    ]


def test_what_is_above_empty_is_less_the_empty_one_of_the_same_round():
    cell = next(cell for cell in result(rounds=1).cells if cell.contender == "feed")
    empty = next(cell for cell in result(rounds=1).cells if cell.contender == "empty")
    assert cell.above_empty_micros.median == pytest.approx(cell.micros.median - empty.micros.median)
    assert cell.of_empty.median == pytest.approx(0.5)
    assert empty.above_empty_micros.median == 0


def test_goals_are_met_missed_or_not_measured():
    assert {goal.met for goal in result(MICROS | {"ours": 40.5}).goals} == {True}
    slow = {goal.ratio: goal.met for goal in result(MICROS | {"ours": 42}).goals}
    assert slow["ours/empty:one-page"] is True
    assert slow["ours/empty:item-a-page"] is False
    assert not any(goal.met for goal in result(MICROS | {"ours": 81}).goals)
    alone = result(contenders=("ours", "none"))
    assert {goal.met for goal in alone.goals} == {None}
    assert alone.ratios == {}
    assert {cell.of_empty for cell in alone.cells} == {None}


def test_the_slowest_are_given_fewer_items():
    measured = plan(most_one_by_one=20)
    (place, *_) = measured.places
    given = {contender: measured.items_of(place, contender) for contender in measured.contenders}
    assert given == {"none": 100, "empty": 100, "ours": 100, "feed": 100, "psycopg": 20, "asyncpg": 20}


def test_terminal_and_page_say_what_was_missed():
    slow = result(MICROS | {"ours": 42})
    console = Console(width=WIDTH)
    with console.capture() as captured:
        console.print(cells(slow, "one-page", 100))
        console.print(goals(slow))
        console.print(goals(result(contenders=("ours",))))
    said = captured.get()
    assert said.count("MISSED") == 1
    assert said.count("not measured") == len(slow.goals)
    assert "8 of 9 goals met." in says(slow)
    assert page(slow).count('<tr class="wrong">') == 1


def test_the_page_needs_nothing_beside_itself_and_holds_every_cell(tmp_path):
    made = result()
    write_page(made, tmp_path / "a" / "b.html")
    text = (tmp_path / "a" / "b.html").read_text(encoding="utf-8")
    assert text == page(made)
    found = read(text)
    assert found.seen.count("svg") == 1
    assert found.seen.count("td") == len(made.cells) * len(COLUMNS) + len(made.goals) * len(GOAL_COLUMNS)
    assert "a <fast> one & more" in "".join(found.text)
    assert all(reference.startswith("#") for reference in found.references)
    assert re.search(r"https?://|//[a-z]|@import|url\((?!#)", text) is None


@pytest.mark.parametrize("contenders", [("ours",), ("empty",), ("ours", "feed")])
def test_any_choice_can_be_drawn(contenders):
    read(page(result(contenders=contenders, kinds=("attrs",), rounds=1)))


def test_the_json_holds_ratios_cells_and_every_crawl(tmp_path):
    write_json(result(), tmp_path / "new" / "x.json")
    found = orjson.loads((tmp_path / "new" / "x.json").read_bytes())
    assert set(found["ratios"]["ours/empty"]) == {"median", "p10", "p90"}
    assert set(found["cpu_ratios"]) == set(found["scraping_ratios"]) == set(found["ratios"])
    assert len(found["cells"]) == 4 * 5 * 6
    assert len(found["runs"]) == 3 * 4 * 5 * 6
    assert found["runs"][0].keys() >= {
        "round",
        "shape",
        "kind",
        "asked",
        "contender",
        "items",
        "seconds",
        "cpu_seconds",
    }


def test_the_scraping_ratio_leaves_the_closing_out():
    measured = plan(kinds=("dict",), shapes=("one-page",), contenders=("ours", "empty"), rounds=1)
    (place,) = measured.places
    ours = Run(1, place, "ours", Crawl(100, 3.0, 2.0, 1.0, "finished", 0))
    empty = Run(1, place, "empty", Crawl(100, 1.0, 1.0, 0.0, "finished", 0))
    found = result_of([ours, empty], measured, date="", seconds=1.0, machine={}, versions={})
    assert found.ratios["ours/empty"].median == pytest.approx(1 / 3)
    assert found.scraping_ratios["ours/empty"].median == pytest.approx(1 / 2)
    assert found.cpu_ratios["ours/empty"].median == pytest.approx(1 / 2)
