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
        (answer(200, ack="committed", id="another"), TryAgain("answer 200 that is not about the batch")),
        (answer(200, ack="committed", total="2"), TryAgain("answer 200 with an unknown ack")),
        (Answer(200, {}, b"<html>a portal</html>"), TryAgain("answer 200 that is not about the batch")),
        (Answer(200, {}, b'{"id": "cut o'), TryAgain("answer 200 that is not about the batch")),
        (Answer(204, {}, b""), TryAgain("answer 204 that is not about the batch")),
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
    assert isinstance(verdict, Refused)
    assert "check BATCHING_URL" in str(verdict.problem)
    assert "<p>xxx" in str(verdict.problem)
    assert len(str(verdict.problem)) < 250


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        (answer(200, ack="committed"), Delivered(2, 0)),
        (answer(200, ack="journaled"), Delivered(2, 0)),
        (answer(200, ack="memory"), InMemory(3.0)),
        (answer(503), TryAgain("answer 503 about a batch", 3.0)),
        (answer(500), TryAgain("answer 500 about a batch", 3.0, whose="batch", slows=False)),
    ],
)
def test_an_answer_about_a_batch_that_is_in_memory(given, verdict):
    assert verdict_on_asking(given, NAME) == verdict
