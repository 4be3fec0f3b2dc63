"""Metrics follow Prometheus' conventions (what `promtool check metrics` asks for), and labels cannot grow without end."""

import re
from uuid import uuid4

import pytest
from prometheus_client.core import Metric

from ingest_server.model import BuriedItem, Refusal
from ingest_server.telemetry import Telemetry
from ingest_server.telemetry.ground import OTHER
from tests import make
from tests.fakes import settled_of
from tests.running import RunningServer
from tests.test_metrics import labels

OTHERS_UNITS = {"milliseconds", "ms", "minutes", "hours", "days", "kilobytes", "kb", "mb", "percent", "percentage"}
TYPES = {"gauge", "counter", "histogram", "summary", "metric"}
LABELS = labels() | {"le"}
"""Those of docs/metrics.md, where each says what bounds it."""


def complaints(metric: Metric) -> list[str]:
    """What is wrong with a metric's name, help and labels."""
    words = metric.name.split("_")
    found = []
    if not re.fullmatch(r"(ingest|process)(_[a-z0-9]+)+", metric.name):
        found.append("snake case with the program's prefix")
    if not metric.documentation or metric.documentation.endswith("."):
        found.append("a help text, which is no sentence")
    if OTHERS_UNITS & set(words):
        found.append("base units: seconds, bytes, ratio")
    if TYPES & set(words):
        found.append("the type is no part of the name")
    if metric.type != "histogram" and words[-1] in {"count", "sum", "bucket"}:
        found.append("count, sum and bucket are a histogram's")
    if metric.type == "histogram" and words[-1] not in {"seconds", "bytes", "batches"}:
        found.append("a histogram ends with its unit")
    for sample in metric.samples:
        if (metric.type == "counter") != sample.name.endswith("_total"):
            found.append("counters, and nothing else, end with _total")
        if set(sample.labels) - LABELS:
            found.append(f"labels: {set(sample.labels) - LABELS}")
    return sorted(set(found))


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


def test_names_helps_units_and_labels_are_prometheus_own(telemetry: Telemetry) -> None:
    batch = make.batch({"a": 1})
    telemetry.accepted(batch)
    telemetry.settled(batch, settled_of(batch, inserted=0, failed=1))
    metrics = [one for one in telemetry.registry.collect() if one.name != "process_virtual_memory_bytes"]
    assert len(metrics) > 25
    own = [one for one in metrics if one.name.startswith("ingest_")]
    assert {one.name: wrong for one in own if (wrong := complaints(one))} == {}


def test_what_a_running_server_shows_is_in_order_too(server: RunningServer) -> None:
    import urllib.request

    from prometheus_client.parser import text_string_to_metric_families

    with urllib.request.urlopen(f"{server.url}/metrics") as answer:
        text = answer.read().decode()
    metrics = [one for one in text_string_to_metric_families(text) if one.name.startswith("ingest_")]
    assert {one.name: wrong for one in metrics if (wrong := complaints(one))} == {}
    assert "_created" not in text
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    assert len(samples) == len({line.rpartition(" ")[0] for line in samples})


@pytest.mark.parametrize(
    ("name", "kind", "text"),
    [
        ("ingest_lag_ms", "gauge", "Lag"),
        ("ingest_things_total", "gauge", "Things"),
        ("ingest_queue_gauge", "gauge", "Queue"),
        ("ingest_Queue", "gauge", "Queue"),
        ("queue_bytes", "gauge", "Queue"),
        ("ingest_queue_bytes", "gauge", ""),
        ("ingest_delivery", "histogram", "Delivery"),
    ],
)
def test_the_checker_of_names_bites(name: str, kind: str, text: str) -> None:
    metric = Metric("ingest_x", text, kind)
    metric.name = name
    metric.add_sample(name, {}, 1.0)
    assert complaints(metric)


def test_labels_of_tables_and_codes_are_bounded(telemetry: Telemetry, caplog) -> None:
    for number in range(1000):
        batch = make.batch({"a": 1}, table=f"t{number}")
        refusal = BuriedItem(Refusal(0, f"X{number:04d}", "no"), uuid4(), make.NOON)
        telemetry.accepted(batch)
        telemetry.settled(batch, settled_of(batch, inserted=0, failed=1, errors=(refusal,)))
    samples = {one.name: one.samples for one in telemetry.registry.collect()}
    accepted = {one.labels["table"]: one.value for one in samples["ingest_batches_accepted"]}
    assert len(accepted) == 201
    assert accepted[OTHER] == 800.0
    codes = {one.labels["code"] for one in samples["ingest_dead_letters"]}
    assert len(codes) == 101
    assert sum(one.value for one in samples["ingest_dead_letters"]) == 1000.0
    told = [one.getMessage() for one in caplog.records if "metrics name the first" in one.getMessage()]
    assert sorted(told) == [
        "metrics name the first 100 codes of dead letters; all others are counted as (other)",
        "metrics name the first 200 tables; all others are counted as (other)",
    ]
