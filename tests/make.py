"""Values for tests, each with the one thing that the test is about and the rest as it usually is."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import orjson

from ingest_server import retries, wire
from ingest_server.model import Batch, BatchHead, Form, TableName
from ingest_server.names import uuid7
from ingest_server.retries import Retry

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def ndjson(*items: object) -> bytes:
    """Items as NDJSON; bytes stand for themselves, so that a broken line can be among them."""
    return b"".join((item if isinstance(item, bytes) else orjson.dumps(item)) + b"\n" for item in items)


def batch(
    *items: object,
    table: str = "things",
    crawl: str | None = None,
    id: UUID | None = None,
    strict: bool = False,
    form: Form = "ndjson",
    owner: str = "",
) -> Batch:
    body = ndjson(*items)
    return BatchHead(
        id=id or uuid7(),
        owner=owner,
        table=TableName.parse(table, "public"),
        crawl=crawl,
        form=form,
        total=len(wire.split(body, form)),
        size=len(body),
        fingerprint=wire.fingerprint(body),
        strict=strict,
        created_at=NOON,
    ).with_body(body)


def retry(owner: str, made: Sequence[Retry], table: str = "things") -> Batch:
    """The batch that makes these retries, as the server makes it."""
    body = retries.body_of(made)
    return BatchHead(
        id=retries.batch_of(body),
        owner=owner,
        table=TableName.parse(table, "public"),
        crawl=None,
        form="retry",
        total=len(made),
        size=len(body),
        fingerprint=wire.fingerprint(body),
        strict=False,
        created_at=NOON,
    ).with_body(body)
