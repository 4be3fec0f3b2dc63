"""`ingest-server tables`: what a start would change is shown before, and can be done before."""

import asyncio
import json
import sys
from typing import Any

import asyncpg
import pytest
from typer.testing import CliRunner

from ingest_server.cli import cli

MODELS = """
from decimal import Decimal
from ingest_server import Table

class Book(Table, key="isbn"):
    isbn: str
    price: Decimal | None = None

class Film(Table, table="cinema.Film", key="id"):
    id: int
"""


@pytest.fixture
def shop(database: str, tmp_path, monkeypatch) -> str:
    (tmp_path / "shop_models.py").write_text(MODELS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    monkeypatch.delitem(sys.modules, "shop_models", raising=False)
    return database


def tables(command: str, dsn: str, *more: str) -> Any:
    return CliRunner().invoke(
        cli, ["tables", command, "--database", dsn, "--tables", "shop_models", *more], env={"NO_COLOR": "1"}
    )


def execute(dsn: str, statement: str) -> list[Any]:
    async def executed() -> list[Any]:
        one = await asyncpg.connect(dsn)
        rows = [tuple(row) for row in await one.fetch(statement)]
        await one.close()
        return rows

    return asyncio.run(executed())


def columns(dsn: str) -> list[Any]:
    return execute(
        dsn,
        "SELECT table_schema, table_name, column_name FROM information_schema.columns "
        "WHERE table_schema IN ('public', 'cinema') ORDER BY 1, 2, ordinal_position",
    )


def test_a_diff_shows_what_a_start_would_do_and_does_nothing(shop: str) -> None:
    execute(shop, "CREATE TABLE book (isbn text PRIMARY KEY)")
    done = tables("diff", shop)
    assert (done.exit_code, done.output.splitlines()) == (
        1,
        [
            "book: would be done",
            '  ALTER TABLE "public"."book" ADD COLUMN "price" numeric;',
            "cinema.Film: would be done",
            '  CREATE SCHEMA "cinema";',
            '  CREATE TABLE "cinema"."Film" ("id" bigint NOT NULL, PRIMARY KEY ("id"));',
        ],
    )
    assert columns(shop) == [("public", "book", "isbn")]


def test_apply_does_it_and_then_nothing_is_left_to_do(shop: str) -> None:
    done = tables("apply", shop, "--json")
    assert done.exit_code == 0
    assert [(one["table"], len(one["statements"]), one["conflicts"]) for one in json.loads(done.output)] == [
        ("book", 1, []),
        ("cinema.Film", 2, []),
    ]
    assert columns(shop) == [("cinema", "Film", "id"), ("public", "book", "isbn"), ("public", "book", "price")]
    again = tables("diff", shop)
    assert (again.exit_code, again.output) == (0, "book: as its model says\ncinema.Film: as its model says\n")


def test_all_conflicts_are_named_with_their_remedies_and_nothing_is_changed(shop: str) -> None:
    execute(shop, "CREATE TABLE book (isbn int PRIMARY KEY, price text, pages int NOT NULL)")
    diff = tables("diff", shop)
    assert diff.exit_code == 2
    for remedy in (
        'ALTER TABLE "public"."book" ALTER COLUMN "isbn" TYPE text',
        'ALTER TABLE "public"."book" ALTER COLUMN "price" TYPE numeric',
        'ALTER TABLE "public"."book" ALTER COLUMN "pages" DROP NOT NULL',
    ):
        assert remedy in diff.output
    before = columns(shop)
    applied = tables("apply", shop)
    assert (applied.exit_code, applied.output.count('table "public"."book"')) == (2, 3)
    assert columns(shop) == before


def test_without_models_or_a_database_the_remedy_is_named(shop: str, tmp_path) -> None:
    none = CliRunner().invoke(cli, ["tables", "diff", "--database", shop], env={"NO_COLOR": "1"})
    assert (none.exit_code, "name them with --tables" in none.output) == (2, True)
    away = tables("diff", f"postgresql:///none?host={tmp_path}")
    assert (away.exit_code, "start it, name the server's database with --database" in away.output) == (2, True)


@pytest.mark.parametrize("file", ["shop_models.py", "./shop_models.py"])
def test_a_modules_file_is_answered_with_its_dotted_name(shop: str, file: str) -> None:
    said = tables("diff", shop, "--tables", file)
    assert (said.exit_code, said.output.count("\n")) == (2, 1)
    assert f"names the module {file}, " in said.output
    assert said.output.endswith(": write the module's dotted name: shop_models\n")


def test_several_hosts_that_are_away_are_named_without_the_password(shop: str) -> None:
    away = tables("diff", "postgresql://me:geheim@127.0.0.1:1,127.0.0.2:1/name")
    assert (away.exit_code, "PostgreSQL at 127.0.0.1:1,127.0.0.2:1/name" in away.output) == (2, True)
    assert "geheim" not in away.output
    # Some Pythons take this apart and some do not: in either case it is one line.
    odd = tables("diff", "postgresql://me:geheim@127.0.0.1:1,[::1]:1/name")
    assert (odd.exit_code, odd.output.count("\n"), "geheim" in odd.output) == (2, 1, False)


def test_a_place_that_may_not_be_entered_is_named_in_one_line(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    said = CliRunner().invoke(cli, ["tokens", "create", "shop", "--data-dir", "file"], env={"NO_COLOR": "1"})
    assert (said.exit_code, said.output) == (
        1,
        "ingest-server: file: File exists: name another place, or let this user in\n",
    )


@pytest.mark.parametrize("command", [("tables", "list"), ("audit",), ("migrate",)])
def test_an_option_that_postgresql_does_not_know_is_said_in_one_line(command, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(
        cli, [*command, "--database", "postgresql://me:geheim@127.0.0.1:1/name?sslmode=bogus"], env={"NO_COLOR": "1"}
    )
    assert isinstance(said.exception, SystemExit)
    assert "settings: database is no connection string" in said.output
    assert "geheim" not in said.output
