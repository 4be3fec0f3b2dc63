"""docs/metrics.md, the alert rules and the dashboard: every metric that they name is there, as they say it is, and no other."""

import json
import re
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from tests.running import RunningServer
from tests.test_docs import rows

ROOT = Path(__file__).parent.parent
RULES = ROOT / "examples" / "prometheus-rules.yml"
DASHBOARD = ROOT / "examples" / "grafana-dashboard.json"
# Prometheus' own, beside what a server says of itself.
SCRAPED = {"up", "job", "instance"}


def documented() -> dict[str, tuple[str, set[str]]]:
    """Type and labels of every metric that has a row."""
    table = [cells for cells in rows("metrics.md", "What is counted") if cells[0].startswith("`ingest_")]
    found = {cells[0].strip("`"): (cells[1], {one for one in cells[2].split(", ") if one}) for cells in table}
    assert len(found) == len(table), "a metric has two rows"
    return found


def labels() -> set[str]:
    return {one for cells in rows("metrics.md", "Labels")[1:] for one in cells[0].split(", ")}


@pytest.fixture
def served(server: RunningServer) -> list[Metric]:
    with urllib.request.urlopen(f"{server.url}/metrics") as answer:
        return list(text_string_to_metric_families(answer.read().decode()))


def shown_name(metric: Metric) -> str:
    return f"{metric.name}_total" if metric.type == "counter" else metric.name


def test_every_metric_has_its_row_with_type_and_labels_and_there_is_no_other(served: list[Metric]) -> None:
    known = documented()
    own = {shown_name(one): one for one in served if one.name.startswith("ingest_")}
    assert set(known) == set(own)
    for name, metric in own.items():
        kind, has = known[name]
        assert metric.type == kind, name
        assert {label for sample in metric.samples for label in sample.labels} - {"le"} <= has, name
    assert {label for _, has in known.values() for label in has} == labels()
    text = (ROOT / "docs" / "metrics.md").read_text()
    ours = set(re.findall(r"`(ingest_\w+)`", text))
    assert ours <= set(known)
    others = {shown_name(one) for one in served if one.name.startswith("process_")}
    assert set(re.findall(r"`(process_\w+)`", text)) >= others


def test_every_warning_has_its_row(served: list[Metric]) -> None:
    (metric,) = (one for one in served if one.name == "ingest_warning")
    assert [cells[0] for cells in rows("metrics.md", "Warnings")[1:]] == [
        f"`{sample.labels['warning']}`" for sample in metric.samples
    ]


def mistakes(expression: str) -> list[str]:
    """Metrics and labels of a PromQL expression that are not there, and brackets that do not close."""
    known = documented()
    histograms = {name for name, (kind, _) in known.items() if kind == "histogram"}
    there = set(known) | {f"{name}_{end}" for name in histograms for end in ("bucket", "sum", "count")} | SCRAPED
    there |= set(re.findall(r"process_\w+", (ROOT / "docs" / "metrics.md").read_text()))
    bare = re.sub(r'"[^"]*"', '""', expression)
    found = [name for name in re.findall(r"\b(?:ingest|process)_\w+|\bup\b", bare) if name not in there - histograms]
    selected = re.findall(r"(\w+)\s*(?:=~|!~|!=|=(?!=))", " ".join(re.findall(r"{([^}]*)}", bare)))
    grouped = re.findall(r"\w+", " ".join(re.findall(r"\b(?:by|without)\s*\(([^)]*)\)", bare)))
    found += [name for name in {*selected, *grouped} if name not in labels() | SCRAPED | {"le"}]
    for first, last in ("()", "[]", "{}"):
        if bare.count(first) != bare.count(last):
            found.append(f"{first}{last}")
    for name in re.findall(r"\b(?:rate|increase)\(\s*(\w+)", bare):
        if not name.endswith(("_total", "_bucket", "_sum", "_count")):
            found.append(f"rate of {name}, which is no counter")
    return found


def alerts() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return list(group["rules"])


def panels() -> list[dict[str, Any]]:
    return [one for one in json.loads(DASHBOARD.read_text())["panels"] if one["type"] != "row"]


def test_every_alert_asks_for_what_is_there_and_says_what_it_means() -> None:
    assert len(alerts()) > 10
    assert {one["alert"]: wrong for one in alerts() if (wrong := mistakes(one["expr"]))} == {}
    assert len({one["alert"] for one in alerts()}) == len(alerts())
    for alert in alerts():
        assert alert["labels"]["severity"] in ("critical", "warning")
        used = set(re.findall(r"\$labels\.(\w+)", " ".join(alert["annotations"].values())))
        assert used <= labels() | SCRAPED, alert["alert"]
        by = re.findall(r"\bby\s*\(([^)]*)\)", alert["expr"])
        assert all(name in " ".join(by) for name in used) or not by, f"{alert['alert']}: a label is summed away"


def test_every_warning_has_an_alert() -> None:
    asked = set(re.findall(r'ingest_warning\{warning="(\w+)"\}', RULES.read_text()))
    assert asked == {"queue", "lag", "errors", "memory"}


def test_every_panel_asks_for_what_is_there_and_no_two_lie_on_each_other() -> None:
    assert len(panels()) > 20
    for panel in panels():
        assert panel["title"]
        for target in panel["targets"]:
            assert mistakes(target["expr"]) == [], panel["title"]
            shown = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            assert shown <= labels() | SCRAPED, panel["title"]
    every = json.loads(DASHBOARD.read_text())["panels"]
    assert len({one["id"] for one in every}) == len(every)
    taken = [
        (x, y)
        for place in (one["gridPos"] for one in every)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24


@pytest.mark.parametrize(
    "expression",
    [
        "ingest_queue_filled_ratio > 0",
        'ingest_warning{kind="queue"} == 1',
        "sum by (tables) (ingest_items_accepted_total)",
        "rate(ingest_queue_items[5m])",
        "ingest_write_seconds > 1",
        "sum(rate(ingest_items_accepted_total[5m])",
    ],
)
def test_the_checker_of_expressions_bites(expression: str) -> None:
    assert mistakes(expression)
