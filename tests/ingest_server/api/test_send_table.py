"""The table that a batch is sent to: every name that a table can have, and a problem where there is none."""

import pytest

from tests.asking import Asker
from tests.ingest_server.api.problems import is_problem
from tests.running import running_server


@pytest.mark.parametrize(
    ("written", "schema", "name"),
    [
        ("plain", "public", "plain"),
        ("%70lain2", "public", "plain2"),
        ("public.other", "public", "other"),
        ("own.things", "own", "things"),
        ("%22a.b%22", "public", "a.b"),
        ("own.%22a.b%22", "own", "a.b"),
        ("%22say%20%22%22hi%22%22%22", "public", 'say "hi"'),
        ("a%2Fb", "public", "a/b"),
        ("a%2fc", "public", "a/c"),
        ("%7Bbraces%7D", "public", "{braces}"),
        ("100%25", "public", "100%"),
        ("%C3%9Cml%C3%A4ut", "public", "Ümläut"),
        ("%E4%B8%AD" * 21, "public", "中" * 21),
        ("a%0Ab", "public", "a\nb"),
        ("Select", "public", "Select"),
    ],
)
async def test_a_table_may_have_any_name(asker: Asker, shared_sql, written: str, schema: str, name: str) -> None:
    answer = asker.send(written, {"a": 1}, prefer="wait=30")
    assert (answer.status, answer.json["inserted"]) == (200, 1), answer.body
    query = "SELECT count(*) FROM pg_tables WHERE schemaname = $1 AND tablename = $2"
    assert await shared_sql.fetchval(query, schema, name) == 1


@pytest.mark.parametrize(
    "written",
    [
        "%FF",
        "%00",
        "a%00b",
        "a%",
        "%zz",
        "a.b.c",
        ".",
        "..",
        ".a",
        "a.",
        "%22",
        "%22a",
        "%22%22",
        "%22a%22b",
        "x" * 64,
        "%E4%B8%AD" * 22,
        "%ED%A0%80",
    ],
)
def test_a_name_that_no_table_can_have_is_400(asker: Asker, written: str) -> None:
    is_problem(asker.send(written, {}), 400, "bad-request")


def test_a_table_that_is_not_there_is_404(database: str) -> None:
    with running_server("--database", database) as server:
        problem = is_problem(Asker(server.port).send("nowhere", {}), 404, "not-found")
        assert problem["table"] == "nowhere"


@pytest.mark.parametrize("name", ["ingest.batches", "pg_catalog.pg_class", "information_schema.tables"])
def test_tables_of_the_server_and_the_database_are_404(asker: Asker, name: str) -> None:
    is_problem(asker.send(name, {}), 404, "not-found")


async def test_a_table_that_was_dropped_is_404_and_taken_again_once_it_is_back(database: str, sql) -> None:
    await sql.execute("CREATE TABLE things (a int)")
    with running_server("--database", database) as server:
        asker = Asker(server.port)
        assert asker.send("things", {"a": 1}, prefer="wait=30").status == 200
        await sql.execute("DROP TABLE things")
        kept = asker.send("things", {"a": 2}, prefer="wait=1")
        while kept.status == 202:  # the catalogue is believed for a while
            last, kept = kept, asker.send("things", {"a": 2}, prefer="wait=1")
        is_problem(kept, 404, "not-found")
        await sql.execute("CREATE TABLE things (a int)")
        assert asker.settled(last.json["id"])["inserted"] == 1
        assert asker.send("things", {"a": 3}, prefer="wait=30").status == 200
