"""One call per fact: it logs and counts. Nothing here names an item's content or a secret."""

import platform
import time
from collections.abc import Callable
from importlib.metadata import version

import prometheus_client as prometheus

from ingest_server.telemetry.access import AccessFacts
from ingest_server.telemetry.batches import BatchFacts
from ingest_server.telemetry.ground import Ground
from ingest_server.telemetry.journal import JournalFacts
from ingest_server.telemetry.memory import MemoryFacts
from ingest_server.telemetry.parking import ParkingFacts
from ingest_server.telemetry.requests import RequestFacts
from ingest_server.telemetry.retention import RetentionFacts
from ingest_server.telemetry.sink import SinkFacts
from ingest_server.telemetry.warnings import WarningFacts

__all__ = ["Telemetry"]

# A time of making for each counter would double what is scraped, and Prometheus' text format has no use for it.
prometheus.disable_created_metrics()  # type: ignore[no-untyped-call]


class Telemetry(
    RequestFacts,
    BatchFacts,
    SinkFacts,
    ParkingFacts,
    JournalFacts,
    WarningFacts,
    AccessFacts,
    MemoryFacts,
    RetentionFacts,
):
    """The server's facts. Each server has a registry of its own, so that several live in one process."""

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        *,
        schema: str = "public",
        wall: Callable[[], float] = time.time,
    ) -> None:
        ground = Ground(clock, wall, schema=schema)
        super().__init__(ground)
        self.registry = ground.registry
        build = ground.gauge("ingest_build_info", "1; the labels say what runs", "version", "python")
        build.labels(version("scrapy-batching"), platform.python_version()).set(1)
        prometheus.ProcessCollector(registry=ground.registry)

    def watch(self, name: str, text: str, value: Callable[[], float], **labels: str) -> None:
        """A gauge that is read when somebody asks; with labels, one of several of this name."""
        gauge = self._ground.gauge(name, text, *labels)
        (gauge.labels(**labels) if labels else gauge).set_function(value)
