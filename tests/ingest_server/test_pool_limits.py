"""The server opens no more connections than its settings say, however many ask at once."""

from concurrent.futures import ThreadPoolExecutor

import asyncpg

from tests.asking import Asker
from tests.running import running_server

WORKERS, READERS = 2, 4


async def test_the_server_has_never_more_connections_than_its_workers_and_four(
    database: str, sql: asyncpg.Connection
) -> None:
    await sql.execute("CREATE TABLE things (a int)")
    role = await sql.fetchval("SELECT current_database() || '_few'")
    # One more would be refused with 53300, and be seen as an outage.
    await sql.execute(
        f"CREATE ROLE {role} LOGIN CONNECTION LIMIT {WORKERS + READERS}; GRANT USAGE ON SCHEMA ingest TO {role};"
        f"GRANT ALL ON ALL TABLES IN SCHEMA ingest, public TO {role}"
    )
    try:
        with running_server(
            "--database", database.replace("postgres@", f"{role}@"), "--workers", str(WORKERS)
        ) as running:
            asker = Asker(running.port)

            def ask(number: int) -> int:
                if number % 2:
                    return asker.get("/v1/crawls/nobody").status
                return asker.send("things", {"a": number}, prefer="wait=30", idempotency_key=f"key-{number}").status

            with ThreadPoolExecutor(20) as pool:
                answers = list(pool.map(ask, range(200)))
            assert set(answers) == {200, 404}
            assert "ingest_sink_errors_total 0.0" in asker.get("/metrics").body.decode()
    finally:
        await sql.execute(f"DROP OWNED BY {role}; DROP ROLE {role}")
    assert await sql.fetchval("SELECT count(*) FROM things") == 100
