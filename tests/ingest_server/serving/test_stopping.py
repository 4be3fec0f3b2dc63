"""The end of a server that has no journal: what is gone is named, whoever sent it."""

import pytest

from ingest_server.serving.stopping import name_what_is_gone
from ingest_server.statuses import Statuses
from ingest_server.telemetry import Telemetry
from tests import make


async def test_what_is_gone_is_named_for_every_owner(caplog: pytest.LogCaptureFixture) -> None:
    statuses = Statuses()
    batches = [make.batch({"a": 1}, owner=owner) for owner in ("", "ann", "bob")]
    for batch in batches:
        statuses.accepted(batch.head)
    name_what_is_gone(statuses, Telemetry(), "public", 3, 3)
    said = [one for one in caplog.messages if one.startswith("not settled")]
    assert [str(batch.id) in line for batch, line in zip(batches, said, strict=True)] == [True] * 3
    assert [" of ann" in line for line in said] == [False, True, False]
