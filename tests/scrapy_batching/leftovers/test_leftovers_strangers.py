"""Why something stays, and what is to be done: by what was answered, and by whom."""

import pytest

from tests.scrapy_batching.fake_server import problem, shows
from tests.scrapy_batching.leftovers.leaving import everything, left_by, numbers, send


@pytest.mark.parametrize(
    ("status", "table", "remedy"),
    [
        (401, None, "mend the token (BATCHING_TOKEN)"),
        (403, "books", "mend the token (BATCHING_TOKEN)"),
        (404, "books", "make the table"),
        (404, None, "check BATCHING_URL"),
        (429, "books", "it goes on when the table takes batches again"),
        (503, "books", "it goes on when the table takes batches again"),
    ],
)
async def test_what_stays_says_what_mends_it(server, tmp_path, caplog, status, table, remedy):
    left_by(tmp_path, 2)

    async def refuses(*_):
        return problem(status, "not now", table=table)

    server.always = refuses
    await send(tmp_path, server.url)
    (line,) = [one.getMessage() for one in caplog.records if "stays in the spool" in one.getMessage()]
    assert f"); {remedy}; then the next crawl sends it, or: scrapy batches send" in line
    assert "what earlier crawls left for books stays" in line


async def test_a_batch_that_a_firewall_dislikes_keeps_no_other_back(server, tmp_path):
    left_by(tmp_path, 2, 3, 4)

    async def firewall(fake, request, body):
        return await shows(400, "no")(fake, request, body) if b'"n":3' in body else None

    server.always = firewall
    telemetry = await send(tmp_path, server.url, compression="off")
    assert numbers(server) == [0, 1, 5, 6, 7, 8]
    assert (telemetry.counts["items/waiting"], telemetry.counts["items/refused"]) == (3, 0)
    assert server.closes[-1]["spooled"] == 3
    server.always = None
    await send(tmp_path, server.url)
    assert numbers(server) == list(range(9))
    assert everything(tmp_path) == []


async def test_where_something_else_answers_all_of_it_stays_and_is_told_once(server, tmp_path, caplog):
    left_by(tmp_path, 2)
    left_by(tmp_path, 3, table="others", crawl="another")
    server.always = shows(404, "<html>an ingress</html>")
    telemetry = await send(tmp_path, server.url)
    assert telemetry.counts["items/waiting"] == 5
    assert len(server.sent) == 5
    assert server.closes == []
    assert telemetry.problem.startswith(
        "404 not from an ingestion server, check BATCHING_URL; it began '<html>an ingress"
    )
    (line,) = [one.getMessage() for one in caplog.records if "stays in the spool" in one.getMessage()]
    assert "mend it, or BATCHING_URL; then the next crawl sends it" in line
