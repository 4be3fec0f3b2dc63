"""What an operator sees of a real server: warnings in /readyz, in the metrics and, as JSON, in the log, with their end."""

import json
import re

import asyncpg

from tests.asking import Asker, until
from tests.running import running_server


def says(asker: Asker, words: str) -> bool:
    """Whether /readyz has these words now. The server looks four times a second."""
    return words in asker.get("/readyz").body.decode()


def oldest_seconds(asker: Asker) -> float:
    found = re.search(r"^ingest_oldest_unsettled_seconds (.+)$", asker.get("/metrics").body.decode(), re.MULTILINE)
    assert found is not None
    return float(found[1])


async def test_warnings_begin_and_end_in_readyz_metrics_and_log(database: str, sql: asyncpg.Connection) -> None:
    """A table that somebody locks: the queue fills, and one of two items is no object."""
    await sql.execute("CREATE TABLE things (a int CHECK (a > 0))")
    with running_server("--database", database, "--journal-bytes", "5000") as server:
        asker = Asker(server.port)
        assert asker.get("/readyz").json["warnings"] == []
        async with sql.transaction():
            await sql.execute("LOCK TABLE things")
            assert asker.send("things", {"a": 1}, [1], ingest_crawl="shop-7").status == 202
            until(lambda: says(asker, "the queue is 8"))
            assert asker.get("/readyz").json["ready"] is False, "its journal takes one batch only"
            assert 'ingest_warning{warning="queue"} 1.0' in asker.get("/metrics").body.decode()
            until(lambda: oldest_seconds(asker) > 0)
        until(lambda: says(asker, "50.0% of the items of the last 5 minutes are dead letters"))
        until(lambda: not says(asker, "the queue is"))
        assert oldest_seconds(asker) == 0
        text = asker.get("/metrics").body.decode()
        for name, on in (("queue", 0), ("lag", 0), ("errors", 1), ("memory", 0)):
            assert f'ingest_warning{{warning="{name}"}} {on}.0' in text
        assert 'ingest_write_seconds_count{mode="append"} 1.0' in text
        assert 'ingest_dead_letters_total{code="invalid",table="things"} 1.0' in text
        assert 'ingest_pool_connections{pool="workers"} ' in text
        assert asker.send("things", {"a": 0}, {"a": 2}, prefer="wait=20").status == 207
        text = asker.get("/metrics").body.decode()
        assert 'ingest_isolations_total{table="things"} 1.0' in text
        assert 'ingest_dead_letters_total{code="23514",table="things"} 1.0' in text
        code, log = server.terminate()
    assert code == 0
    lines = [json.loads(line) for line in log.splitlines()]
    told = [(one["warning"], one["message"]) for one in lines if "warning" in one]
    begun = [name for name, text in told if text.startswith("warning: ")]
    over = [name for name, text in told if re.match(r"over after \d+\.\d s: ", text)]
    assert sorted(begun) == ["errors", "queue"], "each once"
    assert sorted(over) == ["queue"], "with its end"
    assert len(told) == 3
    failed, _ = (one for one in lines if "dead letters, the first" in one["message"])
    assert (failed["table"], failed["crawl"], failed["level"]) == ("things", "shop-7", "warning")
