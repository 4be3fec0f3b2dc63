"""What every refusal over HTTP looks like."""

from typing import Any

from tests.asking import Answer


def is_problem(answer: Answer, status: int, kind: str | None = None) -> dict[str, Any]:
    """The problem of an answer that must be one, of this status and kind."""
    assert answer.status == status, (answer.status, answer.body)
    assert answer.headers["Content-Type"] == "application/problem+json", answer.headers["Content-Type"]
    problem = answer.json
    assert problem["status"] == status, problem
    assert problem["title"], problem
    assert problem["detail"], problem
    if kind:
        assert problem["type"] == f"urn:scrapy-batching:problem:{kind}", problem
    return problem
