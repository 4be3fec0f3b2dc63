import random

import orjson
import pytest

from loadtests.results import Place, cell, write_json
from tests.loadtests.made import result, side


def test_a_cell_is_made_of_its_rounds():
    chance = random.Random(1)
    ours = [side(chance, rate=10_000) for _ in range(5)]
    ceiling = [side(chance, rate=40_000) for _ in range(5)]
    made = cell(Place("wide", 4, 500), ours, ceiling)
    rates = sorted(one.outcome.items_per_second for one in ours)
    each = sorted(
        mine.outcome.items_per_second / theirs.outcome.items_per_second
        for mine, theirs in zip(ours, ceiling, strict=True)
    )
    assert made.items_per_second.median == rates[2]
    assert made.ratio.median == each[2]
    assert made.rounds == 5
    assert made.cpu_seconds_per_1000_items == {"server": 0.03, "loader": 0.01, "postgres": 0.02}
    assert made.latency_ms.p50 <= made.latency_ms.p99 <= 1000
    assert made.server_rss_peak_bytes == 90 * 2**20


def test_the_json_says_what_was_measured_and_on_what(tmp_path):
    write_json(result(), tmp_path / "results" / "x.json")
    read = orjson.loads((tmp_path / "results" / "x.json").read_bytes())
    assert read["scenario"] == "ingest"
    assert read["machine"]["cores"] == 4
    assert read["versions"]["postgres"] == "18.4"
    assert read["arguments"]["batch_sizes"] == [10, 100]
    assert len(read["cells"]) == 4
    assert set(read["cells"][0]["ratio"]) == {"median", "p10", "p90"}
    assert read["cells"][0]["ratio"]["median"] == pytest.approx(0.45, rel=0.5)
