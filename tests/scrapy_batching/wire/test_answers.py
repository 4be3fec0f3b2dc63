"""What each answer of the contract means, row by row."""

import json
from typing import Any

import pytest

from scrapy_batching.names import uuid7
from scrapy_batching.wire.answers import (
    Answer,
    Delivered,
    ForLater,
    InMemory,
    Refused,
    TooLarge,
    TryAgain,
    verdict_on_asking,
    verdict_on_sending,
)

NAME = uuid7()


def answer(status: int, **body: Any) -> Answer:
    return Answer(status, {"Retry-After": "3"}, json.dumps({"id": str(NAME), "total": 2, "failed": 0} | body).encode())


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        (answer(200, ack="committed"), Delivered(2, 0)),
        (answer(207, ack="committed", failed=2), Delivered(2, 2)),
        (answer(202, ack="journaled"), Delivered(2, 0)),
        (answer(202, ack="memory"), InMemory(3.0)),
        (answer(202, ack="perhaps"), TryAgain("answer 202 with an unknown ack")),
        (answer(200, ack="committed", total="2"), TryAgain("answer 200 with an unknown ack")),
        *((answer(status), TryAgain(f"answer {status}", 3.0)) for status in (502, 503, 504)),
        (answer(408), TryAgain("answer 408", 3.0, whose="batch")),
        (answer(409), TryAgain("answer 409", 3.0, whose="batch", slows=False)),
        (answer(429), TryAgain("answer 429", 3.0, whose="rate")),
    ],
)
def test_an_answer_to_a_sent_batch(given, verdict):
    assert verdict_on_sending(given, NAME) == verdict


@pytest.mark.parametrize(
    ("statuses", "kind"),
    [((401, 403, 404), ForLater), ((413,), TooLarge), ((301, 400, 405, 410, 415, 422, 500, 501), Refused)],
)
def test_a_final_answer_carries_the_problem(statuses, kind):
    for status in statuses:
        verdict = verdict_on_sending(answer(status, title="No", detail="because"), NAME)
        assert isinstance(verdict, kind)
        assert str(verdict.problem) == f"{status} No: because"


@pytest.mark.parametrize("content_type", ["application/problem+json", "Application/Problem+JSON; charset=utf-8"])
def test_what_the_server_says_while_it_takes_nothing_is_one_bounded_line(content_type):
    body = json.dumps({"title": "t", "detail": "the journal\nis full " + "x" * 9_000}).encode()
    verdict = verdict_on_sending(Answer(503, {"Content-Type": content_type}, body), NAME)
    assert isinstance(verdict, TryAgain)
    assert verdict.is_told
    assert verdict.reason.startswith("answer 503: the journal is full xxx")
    assert len(verdict.reason) < 350


@pytest.mark.parametrize("status", [429, 503])
def test_a_problem_that_names_the_table_is_that_table_s_trouble_alone(status):
    headers = {"Content-Type": "application/problem+json", "Retry-After": "7"}
    given = Answer(status, headers, b'{"title": "parked", "table": "books"}')
    assert verdict_on_sending(given, NAME) == TryAgain(
        f"answer {status}: parked", 7.0, is_told=True, whose="table", slows=False
    )


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/html", b"<p>down</p>"),
        ("application/json", b'{"detail": "a gateway\'s"}'),
        ("application/problem+json", b"cut o"),
        ("application/problem+json", b"{}"),
    ],
)
def test_what_is_no_problem_says_nothing_about_a_server(content_type, body):
    given = Answer(503, {"Content-Type": content_type}, body)
    assert verdict_on_sending(given, NAME) == TryAgain("answer 503")


def test_a_problem_that_is_a_page_is_shown_by_its_beginning():
    verdict = verdict_on_sending(Answer(400, {}, b"<p>" + b"x" * 9_000 + b"\xff"), NAME)
    assert isinstance(verdict, TryAgain)
    assert verdict.reason.startswith("answer 400, not from an ingestion server, check BATCHING_URL; it began '<p>xxx")
    assert len(verdict.reason) < 250
    assert "it was empty" in verdict_on_sending(Answer(405, {}, b" "), NAME).reason


@pytest.mark.parametrize("body", [b'{"id": "cut o', b"<html>a portal</html>", b'{"id": "another"}', b"{}"])
def test_a_good_answer_that_is_not_about_the_batch_says_nothing(body):
    verdict = verdict_on_sending(Answer(200, {}, body), NAME)
    assert isinstance(verdict, TryAgain)
    assert verdict.reason.startswith("answer 200")
    assert verdict.page is not None
    assert "BATCHING_URL" in str(verdict.page)


STRANGERS = [b"<html>no</html>", b"", b'"no"', b'{"message": "no Route matched"}', b'{"detail": "Not Found"}']
OF_ALL = (200, 204, 301, 302, 307, 308, 402, 404, 405, 406, 410, 451, 500, 501, 520)


@pytest.mark.parametrize("body", STRANGERS)
@pytest.mark.parametrize("verdict_on", [verdict_on_sending, verdict_on_asking])
def test_what_is_no_ingestion_server_s_buries_nothing(body, verdict_on):
    for status in (*OF_ALL, 400, 422):
        if verdict_on is verdict_on_asking and status == 204:
            continue
        verdict = verdict_on(Answer(status, {"Retry-After": "3"}, body), NAME)
        assert isinstance(verdict, TryAgain), status
        assert verdict.whose == ("server" if status in OF_ALL else "batch")
        assert verdict.slows == (status in OF_ALL)
        assert verdict.retry_after == (3.0 if "ingestion" in verdict.reason else 0.0)
        assert not verdict.is_told
        assert verdict.page is not None


@pytest.mark.parametrize(("status", "kind"), [(401, ForLater), (403, ForLater), (413, TooLarge), (415, Refused)])
@pytest.mark.parametrize("body", STRANGERS)
def test_a_gateway_s_token_and_a_proxy_s_limit_are_true(status, kind, body):
    assert isinstance(verdict_on_sending(Answer(status, {}, body), NAME), kind)


@pytest.mark.parametrize(
    ("status", "more", "remedy"),
    [
        (401, {}, "mend the token (BATCHING_TOKEN)"),
        (403, {"table": "books"}, "mend the token (BATCHING_TOKEN)"),
        (404, {"table": "books"}, "make the table"),
        (404, {}, "check BATCHING_URL"),
    ],
)
def test_what_is_for_later_says_what_to_do(status, more, remedy):
    verdict = verdict_on_sending(answer(status, title="No", **more), NAME)
    assert isinstance(verdict, ForLater)
    assert verdict.remedy == remedy


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        (answer(200, ack="committed"), Delivered(2, 0)),
        (answer(200, ack="journaled"), Delivered(2, 0)),
        (answer(200, ack="memory"), InMemory(3.0)),
        (answer(503), TryAgain("answer 503 about a batch", 3.0)),
        (answer(500, title=""), TryAgain("answer 500 about a batch", 3.0, whose="batch", slows=False)),
    ],
)
def test_an_answer_about_a_batch_that_is_in_memory(given, verdict):
    assert verdict_on_asking(given, NAME) == verdict
