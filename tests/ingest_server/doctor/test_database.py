"""The doctor on a real database: sound, and with each fault made on purpose."""

import asyncio
import json
from collections.abc import Sequence

import asyncpg
import pytest
from typer.testing import CliRunner

from ingest_server.cli import cli
from ingest_server.doctor import database as checks

Found = list[tuple[str, str, str]]


def doctor(*flags: str) -> tuple[int, Found]:
    """Exit code, and (check, level, text) of what concerns the database."""
    done = CliRunner().invoke(cli, ["doctor", "--json", *flags])
    assert done.exit_code in (0, 1), done.output
    findings = json.loads(done.stdout)["findings"]
    assert all(bool(one["remedy"]) == (one["level"] != "ok") for one in findings), "a remedy where one is needed"
    return done.exit_code, [(one["check"], one["level"], one["text"]) for one in findings]


async def examined(*flags: str) -> tuple[int, Found]:
    """The same, beside a running event loop: the command has one of its own."""
    return await asyncio.to_thread(doctor, *flags)


def of(found: Found, check: str) -> Sequence[tuple[str, str]]:
    return [(level, text) for name, level, text in found if name == check]


@pytest.fixture
async def role(sql: asyncpg.Connection, database: str) -> str:
    """A connection string of a role without any privilege of its own."""
    name = f"doctor_{await sql.fetchval('SELECT current_database()')}"
    await sql.execute(f"CREATE ROLE {name} LOGIN")
    return database.replace("postgresql://postgres@", f"postgresql://{name}@")


async def test_a_sound_database_needs_nothing(sql: asyncpg.Connection, database: str) -> None:
    await sql.execute("CREATE TABLE things (id bigint PRIMARY KEY); CREATE TABLE log (line text)")
    _, found = await examined("--database", database)
    asked = ("database", "clock", "connections", "ledger", "tables")
    assert [level for check in asked for level, _ in of(found, check)] == ["ok"] * 5
    assert of(found, "tables") == [("ok", "2 in order: 1 append, 1 upsert")]
    assert "a commit takes" in of(found, "commit time")[0][1]
    # the tests' own server does not fsync, and that is what the doctor is for
    assert of(found, "commits") == [("failure", "fsync is off: a crash may destroy the database")]


async def test_row_level_security_without_a_policy_is_named(sql: asyncpg.Connection, role: str) -> None:
    name = role.partition("//")[2].partition("@")[0]
    await sql.execute(f"CREATE TABLE things (id int); GRANT SELECT, INSERT, UPDATE ON things TO {name}")
    await sql.execute("ALTER TABLE things ENABLE ROW LEVEL SECURITY")
    assert "a policy of row-level security" in of((await examined("--database", role))[1], "table things")[0][1]


async def test_what_a_role_lacks_is_named(sql: asyncpg.Connection, role: str) -> None:
    await sql.execute("CREATE TABLE things (id serial PRIMARY KEY, name text UNIQUE)")
    code, found = await examined("--database", role)
    assert code == 1
    assert of(found, "ledger")[0][0] == "failure"
    lacks = of(found, "table things")[0][1]
    assert lacks.startswith("this role lacks SELECT, INSERT")
    assert "USAGE on sequence things_id_seq" in lacks
    name = role.partition("//")[2].partition("@")[0]
    await sql.execute(
        f"GRANT SELECT, INSERT, UPDATE ON things TO {name}; GRANT USAGE ON SEQUENCE things_id_seq TO {name}"
    )
    assert of((await examined("--database", role))[1], "table things") == []


async def test_a_ledger_that_is_closed_or_old_is_told(sql: asyncpg.Connection, role: str) -> None:
    name = role.partition("//")[2].partition("@")[0]
    await sql.execute(
        "DROP SCHEMA IF EXISTS ingest CASCADE; CREATE SCHEMA ingest; CREATE TABLE ingest.batches (id int);"
        "CREATE TABLE ingest.schema_version (version int, applied_at timestamptz);"
        "INSERT INTO ingest.schema_version VALUES (1, now())"
    )
    assert (
        "may not read and write ingest.batches, ingest.schema_version"
        in of((await examined("--database", role))[1], "ledger")[0][1]
    )
    await sql.execute(
        f"GRANT USAGE ON SCHEMA ingest TO {name}; GRANT SELECT, INSERT, UPDATE, DELETE ON ingest.batches TO {name};"
        f"GRANT SELECT ON ingest.schema_version TO {name}"
    )
    assert "may not bring it up to date" in of((await examined("--database", role))[1], "ledger")[0][1]
    await sql.execute("UPDATE ingest.schema_version SET version = 1000")
    assert of((await examined("--database", role))[1], "ledger")[0][0] == "warning"


async def test_room_for_connections(sql: asyncpg.Connection, database: str, role: str) -> None:
    code, found = await examined("--database", database, "--workers", "250")
    assert (code, of(found, "connections")[0][0]) == (1, "failure")
    await sql.execute(f"ALTER ROLE {role.partition('//')[2].partition('@')[0]} CONNECTION LIMIT 3")
    level, text = of((await examined("--database", role))[1], "connections")[0]
    assert (level, "8 are needed, the role's CONNECTION LIMIT allows 3" in text) == ("failure", True)


async def test_keys_that_cannot_be_used_and_settings_that_do_not_fit(
    sql: asyncpg.Connection, database: str, tmp_path
) -> None:
    await sql.execute(
        "CREATE TABLE late (id int PRIMARY KEY DEFERRABLE); CREATE TABLE several (a int NOT NULL UNIQUE, b int NOT NULL UNIQUE);"
        "CREATE TABLE keyless (a int); CREATE TABLE twice (a int); INSERT INTO twice VALUES (1), (1)"
    )
    with pytest.raises(asyncpg.UniqueViolationError):
        await sql.execute("CREATE UNIQUE INDEX CONCURRENTLY twice_a ON twice (a)")
    config = tmp_path / "ingest.toml"
    config.write_text('[table.keyless]\nmode = "upsert"\n\n[table.gone]\nmode = "append"\n')
    code, found = await examined("--database", database, "--config", str(config))
    assert code == 1
    assert of(found, "table keyless")[0][0] == "failure"
    assert ("warning", "twice_a is no valid index") in of(found, "table twice")
    assert "DEFERRABLE" in of(found, "table late")[0][1]
    assert "several unique indexes" in of(found, "table several")[0][1]
    assert ("warning", "the settings have [table.gone], and there is no such table") in of(found, "tables")


@pytest.mark.parametrize(
    ("setting", "value", "check", "level"),
    [
        ("synchronous_commit", "off", "commits", "warning"),
        ("default_transaction_read_only", "on", "database", "failure"),
        ("statement_timeout", "100ms", "statement_timeout", "warning"),
    ],
)
async def test_settings_of_the_database_that_harm(
    sql: asyncpg.Connection, database: str, setting: str, value: str, check: str, level: str
) -> None:
    name = await sql.fetchval("SELECT current_database()")
    await sql.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'")
    assert of((await examined("--database", database))[1], check)[-1][0] == level


@pytest.mark.parametrize(
    ("database", "words"),
    [
        ("postgresql://nobody@127.0.0.1:1/none", "no connection|127.0.0.1:1/none"),
        ("postgresql://127.0.0.1/none?sslmode=nonsense", "no connection"),
    ],
)
def test_a_database_that_cannot_be_asked(database: str, words: str, capfd) -> None:
    code, found = doctor("--database", database)
    assert code == 1
    ((level, text),) = of(found, "database")
    assert level == "failure"
    assert any(word in text for word in words.split("|"))


def test_the_text_for_people_and_the_exit_codes(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = CliRunner().invoke
    done = run(cli, ["doctor", "--journal", "off"])
    assert done.exit_code == 0
    assert "! journal" in done.stdout
    assert "→ --journal on" in done.stdout
    assert "0 failures, " in done.stdout.splitlines()[-1]
    assert run(cli, ["doctor", "--journal", "off", "--strict"]).exit_code == 1
    wrong = run(cli, ["doctor", "--workers", "none"])
    assert (wrong.exit_code, "write a whole number" in wrong.stderr) == (2, True)
    missing = run(cli, ["doctor", "--tables", "no_such_module_of_models"])
    assert (missing.exit_code, "no_such_module_of_models" in missing.stdout) == (1, True)
    assert list(tmp_path.iterdir()) == []


def test_the_embedded_database_is_examined_as_it_is(reachable_path) -> None:
    from ingest_server.postgres.embedded.embedded import EmbeddedPostgres

    directory = reachable_path / ".ingest"
    server = EmbeddedPostgres(directory)
    server.start()
    server.stop()
    code, found = doctor("--data-dir", str(directory))
    assert code == 0
    assert of(found, "database")[0][1].startswith("PostgreSQL ")
    assert of(found, "ledger") == [("ok", "the schema ingest is not there yet; the first start makes it")]


@pytest.mark.parametrize(
    ("address", "is_encrypted", "is_exposed"),
    [
        (None, False, False),
        ("127.0.0.1", False, False),
        ("::1", False, False),
        ("10.0.0.7", False, True),
        ("10.0.0.7", True, False),
        ("2001:db8::7", False, True),
    ],
)
def test_a_connection_that_leaves_the_machine_in_the_clear(address, is_encrypted: bool, is_exposed: bool) -> None:
    assert checks.is_exposed(address, is_encrypted=is_encrypted) is is_exposed


@pytest.mark.parametrize(("address", "is_told"), [("10.0.0.7", True), (None, False)])
async def test_it_is_told_where_items_leave_the_machine_in_the_clear(
    sql: asyncpg.Connection, address: str | None, is_told: bool
) -> None:
    class Elsewhere:
        """The real answers, but for where they come from: a test has no other machine."""

        async def fetchrow(self, question: str) -> dict[str, object]:
            return dict(await sql.fetchrow(question)) | {"address": address, "is_encrypted": False}

    found = [one async for one in checks.server(Elsewhere(), "elsewhere")]
    told = [(str(one.level), one.text) for one in found if one.check == "encryption"]
    assert told == [("warning", "items go to 10.0.0.7 in the clear")] * is_told
