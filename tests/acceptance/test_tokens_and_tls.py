"""A crawl with a token over TLS, against the real server that wants both, and what it says where one of them is wrong."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
import trustme

from ingest_server.tokens.file import write_tokens
from tests.ingest_server.api.guarded import section, token
from tests.running import RunningServer, running_server
from tests.scrapy_batching.crawls import crawled


class World:
    """Certificates, a file of tokens, and a server that wants one of each."""

    def __init__(self, directory: Path) -> None:
        self.authority = trustme.CA()
        self.ca, self.server, self.client, self.tokens = (
            directory / name for name in ("ca.pem", "server.pem", "client.pem", "tokens.toml")
        )
        self.authority.cert_pem.write_to_path(self.ca)
        self.authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(self.server)
        self.authority.issue_cert("crawl@example.org").private_key_and_cert_chain_pem.write_to_path(self.client)
        write_tokens(self.tokens, {"shop": section("shop", tables=["numbers"]), "other": section("other")})

    @property
    def of_server(self) -> tuple[str, ...]:
        tls = ("--tls-cert", str(self.server), "--tls-client-ca", str(self.ca))
        return (*tls, "--tokens-file", str(self.tokens))

    def of_crawl(self, server: RunningServer, name: str = "shop", **more: object) -> dict[str, object]:
        tls = {"BATCHING_TLS_CA": str(self.ca), "BATCHING_TLS_CERT": str(self.client)}
        return {"BATCHING_URL": server.url, "BATCHING_TOKEN": token(name), **tls, **more}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@pytest.fixture
def guarded(world: World, database: str) -> Iterator[RunningServer]:
    with running_server("--database", database, "--create-tables", *world.of_server) as server:
        yield server


def ran(words: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False, env=environment)


def audit(crawl: str, database: str, *arguments: str, **environment: str) -> tuple[int, dict[str, object], str]:
    words = [sys.executable, "-m", "ingest_server", "audit", crawl, "--json", "--database", database, *arguments]
    done = ran(words, {**os.environ, **environment})
    return done.returncode, json.loads(done.stdout or "{}"), done.stderr


async def test_a_crawl_with_a_token_over_tls(
    world: World, guarded: RunningServer, database: str, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    crawl = await crawled(tmp_path, **world.of_crawl(guarded, BATCHING_CRAWL_ID="done"))
    stats = crawl.batching()
    assert (stats["server/expected"], stats["server/processed"], stats["items/delivered"]) == (7, 7, 7)
    assert await sql.fetchval("SELECT count(*) FROM numbers") == 7
    assert await sql.fetch("SELECT DISTINCT owner FROM ingest.batches") == [("shop",)]
    assert token("shop") not in crawl.log
    spool, env = ("--spool", str(tmp_path / "spool")), {"INGEST_TOKENS_FILE": str(world.tokens)}
    code, said, _ = audit("done", database, *spool, INGEST_TOKEN=token("shop"), **env)
    assert (code, said["settled"], said["missing"]) == (0, 7, 0)


async def test_commands_ask_their_own_server_by_its_certificate_and_with_a_token(
    world: World, database: str, tmp_path: Path, free_port: int
) -> None:
    config = tmp_path / "ingest.toml"
    lines = {"port": free_port, "tls_cert": str(world.server), "tokens_file": str(world.tokens), "database": database}
    config.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in lines.items()))
    with running_server("--config", str(config), "--create-tables", "--port", str(free_port)) as server:
        crawl = ("--crawl", "c")
        settings = world.of_crawl(server, BATCHING_CRAWL_ID="done")
        await crawled(tmp_path, **settings)
        code, said, _ = audit(
            "done", database, *("--config", str(config), "--spool", str(tmp_path / "spool")), INGEST_TOKEN=token("shop")
        )
        assert (code, said["settled"], said["notes"]) == (0, 7, [])
        words = [sys.executable, "-m", "ingest_server", "dead-letters", "list", "--config", str(config), *crawl]
        for name, asked in (("shop", 0), ("nobody", 1)):
            environment = {**os.environ, "INGEST_TOKEN": token(name)}
            done = ran(words, environment)
            assert (min(done.returncode, 1), "INGEST_TOKEN" in done.stderr) == (asked, bool(asked)), done.stderr


async def test_a_token_that_is_not_known_leaves_everything_in_the_spool_and_says_so(
    world: World, guarded: RunningServer, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    crawl = await crawled(tmp_path, **world.of_crawl(guarded, "nobody"))
    assert "401 Unauthorized: this token is not known here" in crawl.log
    assert "mend the token (BATCHING_TOKEN)" in crawl.log
    assert token("nobody") not in crawl.log
    assert len(crawl.waiting()) == 7
    again = await crawled(tmp_path, **world.of_crawl(guarded, HOW_MANY=0))
    assert again.waiting() == []
    assert await sql.fetchval("SELECT count(*) FROM numbers") == 7


async def test_a_token_that_is_for_another_table_says_which(
    world: World, guarded: RunningServer, tmp_path: Path
) -> None:
    crawl = await crawled(tmp_path, **world.of_crawl(guarded, BATCHING_TABLES={"dict": "things"}))
    assert "403 Forbidden: the token of shop is not for table things" in crawl.log
    assert "mend the token (BATCHING_TOKEN)" in crawl.log
    assert len(crawl.waiting()) == 7


async def test_a_rate_slows_a_crawl_and_loses_nothing(
    world: World, guarded: RunningServer, sql: asyncpg.Connection, tmp_path: Path
) -> None:
    write_tokens(world.tokens, {"shop": section("shop", items_per_second=100)})
    more = {"HOW_MANY": 300, "BATCHING_BATCH_ITEMS": 50}
    crawl = await crawled(tmp_path, **world.of_crawl(guarded, **more))
    assert crawl.batching()["items/delivered"] == 300
    assert await sql.fetchval("SELECT count(*) FROM numbers") == 300
