"""`ingest-server audit`: what is missing, where it was last seen, and exit codes that a program can rely on."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID, uuid5

import asyncpg
import orjson
import pytest
from typer.testing import CliRunner, Result

from ingest_server import cli as program
from ingest_server.audit.findings import Findings, Seen, found
from ingest_server.audit.report import verdict
from ingest_server.audit.spooled import Left, Refused, Run, Spools, Tallied
from ingest_server.model import CrawlClose, CrawlTotals
from ingest_server.names import uuid7
from ingest_server.postgres.embedded.embedded import EmbeddedPostgres
from tests import make
from tests.asking import Asker, locked, until_blocked
from tests.conftest import dsn_of
from tests.ingest_server.postgres.stores import Store, store_over
from tests.ingest_server.queues.test_orphans import journal_of
from tests.running import running_server

NOBODY = "http://127.0.0.1:9"


def audited(*arguments: str) -> Result:
    return CliRunner().invoke(
        program.cli, ["audit", *arguments], env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb", "INGEST_PORT": "9"}
    )


async def audit_of(*arguments: str) -> Result:
    return await asyncio.to_thread(audited, *arguments)


@pytest.fixture
async def store(database: str, sql: asyncpg.Connection) -> AsyncIterator[Store]:
    await sql.execute("CREATE TABLE things (a int)")
    async with store_over(database) as store:
        yield store


def spool_run(spool: Path, crawl: str = "c", tally: tuple[dict, ...] = (), close: dict | None = None) -> Path:
    place = spool / str(uuid7())
    (place / "things").mkdir(parents=True)
    about = {
        "format": 1,
        "crawl": crawl,
        "spider": "s",
        "started_at": "2026-01-01T00:00:00+00:00",
        "pid": 1,
        "host": "h",
    }
    (place / "about.json").write_bytes(orjson.dumps(about))
    (place / "things" / "table.json").write_text('{"table":"things"}')
    if tally:
        (place / "tally.ndjson").write_bytes(make.ndjson(*tally))
    if close:
        (place / "close.json").write_bytes(orjson.dumps(close))
    return place


def spooled(run: Path, *items: object, id: UUID | None = None, suffix: str = ".ndjson") -> UUID:
    name = id or uuid7()
    (run / "things" / f"{name}{suffix}").write_bytes(make.ndjson(*items))
    return name


# The arithmetic


def put_together(*, totals: CrawlTotals | None = None, **more) -> Findings:
    usual = {"spools": Spools(()), "waiting": (), "journalled": (), "settled": {}, "elsewhere": 0, "letters": ()}
    return found("c", **{**usual, "totals": totals, **more})


def run_of(
    *left: Left, tallied: tuple[Tallied, ...] = (), close: CrawlClose | None = None, is_held: bool = False
) -> Run:
    return Run(Path("/spool/run"), "", is_held, left, tallied, 0, 0, close)


def test_a_crawl_whose_items_are_all_settled_misses_nothing() -> None:
    findings = put_together(totals=CrawlTotals(batches=1, inserted=7, failed=1, items=10, rejected=2))
    assert (findings.missing, findings.nowhere, findings.surplus, findings.settled) == (0, 0, 0, 8)


def test_what_no_place_has_is_missing_from_everywhere() -> None:
    findings = put_together(totals=CrawlTotals(batches=1, inserted=7, items=10))
    assert (findings.missing, findings.nowhere) == (3, 3)


def test_what_was_dropped_is_missing_and_what_could_not_be_encoded_is_not() -> None:
    findings = put_together(totals=CrawlTotals(inserted=7, items=10, rejected=1, dropped=2))
    assert (findings.missing, findings.nowhere) == (2, 0)


def test_a_batch_that_is_met_in_several_places_counts_once_where_it_is_on_its_way() -> None:
    name = uuid7()
    spools = Spools((), (run_of(Left(name, "t", 3, Path("/f"))),))
    findings = put_together(
        totals=CrawlTotals(items=3, spooled=3),
        spools=spools,
        journalled=[Seen("journal", name, "t", 3, "/j")],
        waiting=[Seen("server", name, "t", 3, "http://x")],
    )
    assert [one.place for one in findings.seen] == ["server"]
    assert (findings.missing, findings.nowhere) == (0, 0)


def test_a_batch_that_the_ledger_has_is_delivered_already_wherever_it_lies() -> None:
    one, two, three = uuid7(), uuid7(), uuid7()
    spools = Spools((), (run_of(Left(one, "t", 3, Path("/f"))),), (Refused(two, "t", 2, Path("/r"), "no"),))
    findings = put_together(
        totals=CrawlTotals(batches=3, inserted=9, items=9, rejected=2, spooled=3),
        spools=spools,
        journalled=[Seen("journal", three, "t", 4, "/j")],
        settled={one: 3, two: 2, three: 4},
    )
    assert (findings.seen, findings.delivered_already, findings.missing, findings.surplus) == ((), 3, 0, 0)


def test_of_a_split_batch_only_the_halves_that_are_not_delivered_are_missing() -> None:
    name = uuid7()
    first, second = uuid5(name, "0-2"), uuid5(name, "2-4")
    spools = Spools((), (run_of(Left(name, "t", 4, Path("/f"), is_split=True)),))
    findings = put_together(totals=CrawlTotals(inserted=2, items=4, spooled=4), spools=spools, settled={first: 2})
    assert [(one.id, one.items, one.place) for one in findings.seen] == [(second, 2, "spool")]
    assert findings.missing == 2


def test_a_killed_crawl_is_counted_from_its_tally_and_lost_batches_are_named() -> None:
    there, gone, delivered = uuid7(), uuid7(), uuid7()
    run = run_of(
        Left(there, "t", 2, Path("/f")),
        tallied=(Tallied(gone, "t", 5), Tallied(delivered, "t", 3), Tallied(there, "t", 2)),
    )
    findings = put_together(totals=CrawlTotals(inserted=3), spools=Spools((), (run,)), settled={delivered: 3})
    assert findings.items == 10
    assert {one.id: one.place for one in findings.seen} == {there: "spool", gone: "nowhere"}
    assert (findings.nowhere, findings.missing) == (5, 7)


def test_what_a_running_crawl_holds_is_on_its_way() -> None:
    findings = put_together(spools=Spools((), (run_of(Left(uuid7(), "t", 2, Path("/f")), is_held=True),)))
    assert (findings.items, findings.missing) == (2, 0)


def test_without_the_crawl_s_own_count_nobody_can_say() -> None:
    assert put_together(totals=CrawlTotals(batches=1, inserted=3)).missing is None


def test_items_beyond_the_crawl_s_count_are_no_loss_and_are_told() -> None:
    findings = put_together(totals=CrawlTotals(batches=1, inserted=9, items=7))
    assert (findings.missing, findings.surplus, findings.exit_code) == (0, 2, 1)
    assert verdict(findings) == (
        "the counts differ: 2 more than the crawl took; where BATCHING_CRAWL_ID is set, give every run an id of its own"
    )


def test_what_a_running_crawl_sends_after_its_tally_was_read_is_no_difference() -> None:
    findings = put_together(totals=CrawlTotals(batches=1, inserted=9), spools=Spools((), (run_of(is_held=True),)))
    assert (findings.surplus, findings.exit_code) == (0, 0)


@pytest.mark.parametrize(("inserted", "dropped", "code"), [(10, 0, 0), (7, 0, 2), (7, 3, 1), (11, 0, 1)])
def test_what_may_lie_in_a_journal_of_a_server_that_was_not_asked_is_not_said_to_be_missing(
    inserted: int, dropped: int, code: int
) -> None:
    totals = CrawlTotals(batches=1, inserted=inserted, items=10, dropped=dropped)
    findings = put_together(totals=totals, unasked=["/journal-1.sqlite3"])
    assert findings.exit_code == code
    assert ("it could not be said" in verdict(findings)) == (code == 2)
    assert ("name it with --url" in verdict(findings)) == (code == 2)


# The command


async def test_a_crawl_without_a_loss_is_exit_code_0(database: str, store: Store, tmp_path: Path) -> None:
    await store.write(make.batch({"a": 1}, {"a": 2}, crawl="c"))
    await store.ledger.close_crawl("", "c", CrawlClose(2, reason="finished"))
    done = await audit_of("c", "--database", database, "--spool", str(tmp_path))
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == "nothing is missing"
    assert "2 in the tables, 0 failed" in done.output


async def test_every_place_is_looked_into(database: str, store: Store, tmp_path: Path) -> None:
    settled = await store.write(make.batch({"a": 1}, {"a": "x"}, b"broken", crawl="c"))
    await store.write(make.batch({"a": 1}, {"a": "y"}, crawl="another"))
    run = spool_run(tmp_path)
    waits, delivered = spooled(run, {"a": 1}, {"a": 2}), spooled(run, {"a": 1}, {"a": "x"}, b"broken", id=settled.id)
    refused = tmp_path / "refused" / "things"
    refused.mkdir(parents=True)
    name = uuid7()
    (refused / f"{name}.ndjson").write_text('{"a":9}\n')
    (refused / f"{name}.json").write_bytes(
        orjson.dumps(
            {"id": str(name), "table": "things", "crawl": "c", "items": 1, "reason": "r"}
            | {"problem": {"status": 422, "title": "Unprocessable", "detail": "[no]"}}
        )
    )
    journal = tmp_path / "data" / "journal"
    journal.mkdir(parents=True)
    in_journal = make.batch({"a": 5}, {"a": 6}, crawl="c")
    await journal_of(journal, in_journal, make.batch({"a": 7}, crawl="another"))
    await store.ledger.close_crawl("", "c", CrawlClose(13, rejected=1, spooled=2, reason="finished"))
    where = ("c", "--database", database, "--spool", str(tmp_path), "--journal-dir", str(journal))
    done = await audit_of(*where, "--json")
    assert done.exit_code == 1, done.output
    said = json.loads(done.output)
    assert {one["batch"]: (one["place"], one["items"], one["note"]) for one in said["seen"]} == {
        str(waits): ("spool", 2, ""),
        str(name): ("refused", 1, "422 Unprocessable: [no]"),
        str(in_journal.id): ("journal", 2, "waits for the next server"),
    }
    assert str(delivered) == str(settled.id)
    assert (said["settled"], said["succeeded"], said["failed"], said["delivered_already"]) == (3, 1, 2, 1)
    # 13 taken, 1 rejected, 3 settled, 2 spooled, 2 journalled
    assert (said["nowhere"], said["missing"], said["pending"]) == (5, 10, 0)
    letters = {(one["code"], one["column"]): one["items"] for one in said["dead_letters"]}
    assert letters == {("invalid", "a"): 1, ("invalid", None): 1}
    assert any(f"{NOBODY} does not answer" in note for note in said["notes"])
    text = (await audit_of(*where)).output
    assert "10 items are missing: 2 in a journal, 2 in the spool, 1 refused, 5 not seen anywhere" in text
    for word in (
        str(waits),
        str(run / "things" / f"{waits}.ndjson"),
        "422 Unprocessable: [no]",
        "missing and not seen",
    ):
        assert word in text


async def test_a_server_that_was_not_asked_leaves_it_open(database: str, sql, store: Store, tmp_path: Path) -> None:
    await store.ledger.close_crawl("", "c", CrawlClose(2, reason="finished"))
    where = ("c", "--database", database, "--spool", str(tmp_path / "none"), "--data-dir", str(tmp_path))
    with running_server("--database", database, "--data-dir", str(tmp_path)) as server:
        asker = Asker(server.port)
        async with locked(sql, "things"):
            sent = asker.send("things", {"a": 1}, {"a": 2}, ingest_crawl="c").json["id"]
            done = await audit_of(*where)
            assert done.exit_code == 2, done.output
            assert "it could not be said what is missing: 2 not seen anywhere" in done.output.splitlines()[-1]
            assert (await audit_of(*where, "--url", server.url)).exit_code == 0
        asker.settled(sent)
        assert (await audit_of(*where)).exit_code == 0


async def test_without_a_crawl_the_latest_are_listed(database: str, store: Store, tmp_path: Path) -> None:
    arguments = ("--database", database)
    assert "this database knows of no crawl" in (await audit_of(*arguments)).output
    await store.write(make.batch({"a": 1}, {"a": "x"}, crawl="open"))
    await store.ledger.close_crawl("", "closed", CrawlClose(5, rejected=1, spooled=1, reason="finished"))
    done = await audit_of(*arguments, "--json")
    assert done.exit_code == 0, done.output
    said = {one["crawl"]: one for one in json.loads(done.output)}
    assert said["closed"].pop("closed").startswith("20")
    assert said == {
        "closed": {"crawl": "closed", "reason": "finished", "items": 5, "expected": 3, "processed": 0},
        "open": {"crawl": "open", "reason": None, "closed": None, "items": None, "expected": None, "processed": 2},
    }
    (heading, *lines) = (await audit_of(*arguments)).output.splitlines()
    assert heading.split() == ["crawl", "reason", "closed", "items", "expected", "processed"]
    assert {line.split()[0] for line in lines} == {"closed", "open"}


async def test_what_waits_in_a_running_server_is_on_its_way(database: str, sql, tmp_path: Path) -> None:
    await sql.execute("CREATE TABLE things (a int)")
    with running_server("--database", database, "--data-dir", str(tmp_path)) as server:
        asker = Asker(server.port)
        where = ("c", "--database", database, "--spool", str(tmp_path), "--url", server.url, "--json")
        async with locked(sql, "things"):
            sent = asker.send("things", {"a": 1}, {"a": 2}, ingest_crawl="c").json["id"]
            asker.close_crawl("c", 2)
            watcher = await asyncpg.connect(database)
            await until_blocked(watcher)
            await watcher.close()
            done = await audit_of(*where)
        said = json.loads(done.output)
        assert (done.exit_code, said["pending"], said["settled"], said["notes"]) == (0, 2, 0, [])
        assert [(one["place"], one["batch"], one["where"]) for one in said["seen"]] == [("server", sent, server.url)]
        asker.settled(sent)
        said = json.loads((await audit_of(*where)).output)
        assert (said["pending"], said["settled"], said["seen"]) == (0, 2, [])


async def test_what_cannot_be_audited_is_exit_code_2_with_the_remedy(
    database: str, store: Store, postgres: EmbeddedPostgres, tmp_path: Path
) -> None:
    await store.write(make.batch({"a": 1}, crawl="the-other"))
    spool = ("--spool", str(tmp_path))
    asked = {
        ("c", "--database", database): "there is no crawl c: not in the database, not in the server, and not in",
        ("c", "--database", dsn_of(postgres, "postgres")): "has no ledger: no server has used it",
        ("c", "--database", "postgresql://me:secret@127.0.0.1:9/x"): "PostgreSQL at 127.0.0.1:9/x cannot be asked",
        ("c", "--data-dir", str(tmp_path / "none")): "there is no embedded PostgreSQL",
        ("the-other", "--database", database): "nobody knows how many items this crawl took",
    }
    for arguments, said in asked.items():
        done = await audit_of(*arguments, *spool)
        assert done.exit_code == 2, (arguments, done.output)
        assert said in done.output
        assert "Traceback" not in done.output
        assert "secret" not in done.output
    done = await audit_of("c", "--database", database, *spool)
    assert "the latest crawls are the-other" in done.output
    assert "--spool (JOBDIR/batching for a crawl with a JOBDIR)" in done.output


def test_an_embedded_postgresql_that_does_not_run_is_started_for_as_long_as_it_takes(reachable_path: Path) -> None:
    with running_server("--data-dir", str(reachable_path)) as server:
        asker = Asker(server.port)
        assert asker.send("things", {"a": 1}, ingest_crawl="c", prefer="wait=30").status == 200
        asker.close_crawl("c", 1)
        assert server.terminate()[0] == 0
    done = audited("c", "--data-dir", str(reachable_path), "--spool", str(reachable_path / "spool"))
    assert done.exit_code == 0, done.output
    assert not (reachable_path / "postgres" / "postmaster.pid").exists()
