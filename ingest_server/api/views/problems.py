"""Errors as bodies (RFC 9457)."""

from pydantic import BaseModel

from ingest_server.api.views.batches import ItemErrorView


class ProblemView(BaseModel):
    """RFC 9457."""

    type: str
    title: str
    status: int
    detail: str
    limit: int | None = None
    limit_unit: str | None = None
    table: str | None = None
    errors: list[ItemErrorView] | None = None
    retry_after: int | None = None
