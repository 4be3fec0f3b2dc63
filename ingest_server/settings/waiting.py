"""What may wait, where, and how long a stop waits for it."""

from pathlib import Path

from pydantic import BaseModel, Field


class WaitingSettings(BaseModel):
    """Queue, journal, memory."""

    journal: bool = Field(
        True, description="on: an accepted batch is on disk before the answer; off: in memory, gone with the server"
    )
    journal_dir: Path | None = Field(
        None,
        description="directory for the journal, on a local disk; servers may share it; by default journal in the data directory",
    )
    journal_bytes: int = Field(
        4 * 2**30, ge=1, description="bytes that may wait in this server's journal; more is answered 503"
    )
    queue_items: int = Field(500_000, ge=1, description="items that may wait in memory")
    queue_bytes: int = Field(256 * 2**20, ge=2**20, description="decoded bytes that may wait in memory or arrive")
    parked_share: float = Field(
        0.25,
        gt=0,
        le=0.5,
        description="part of journal_bytes (without a journal: of what may wait in memory) that one parked table may take; "
        "all of them together take half at most; more is answered 503 for that table",
    )
    memory_limit: int = Field(
        0,
        ge=0,
        description="resident bytes above which new batches are answered 503; 0: half of what the machine or container has",
    )
    memory_hard_limit: int = Field(
        0,
        ge=0,
        description="resident bytes above which half as much is written at the same time; 0: one and a half times memory_limit",
    )
    drain_timeout: float = Field(
        60.0,
        ge=0,
        description="seconds that a stop waits for batches to settle; 0: as long as it takes, or until a second signal",
    )
