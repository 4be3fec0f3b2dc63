"""The server's own state as bodies."""

from pydantic import BaseModel


class LiveView(BaseModel):
    """The event loop turns."""

    status: str = "live"


class ReadyView(BaseModel):
    """Whether batches are taken in; warnings do not keep them out."""

    ready: bool
    reasons: list[str]
    warnings: list[str]
