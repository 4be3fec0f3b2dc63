"""Dead letters as bodies, one by one and in groups."""

from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from ingest_server.api.views.batches import BatchView
from ingest_server.api.views.times import Time
from ingest_server.model import NAME_BYTES, DeadLetter
from ingest_server.ports import LetterGroup


class DeadLetterView(BaseModel):
    """A refused item with its reason; `item` where it is JSON, else `raw` in base64."""

    id: UUID
    table: str
    batch: UUID
    crawl: str | None
    index: int
    code: str
    column: str | None
    message: str
    item: Any = None
    raw: str | None = None
    attempts: int
    created_at: Time

    @classmethod
    def of_letter(cls, letter: DeadLetter, schema: str) -> Self:
        """All but the item, which is put in as it was sent."""
        return cls(
            id=letter.id,
            table=letter.table.shown(schema),
            batch=letter.batch,
            crawl=letter.crawl,
            index=letter.index,
            code=letter.code,
            column=letter.column,
            message=letter.message,
            attempts=letter.attempts,
            created_at=letter.created_at,
        )


class DeadLettersView(BaseModel):
    """A page of dead letters; `cursor` asks for the next one, and is null on the last."""

    dead_letters: list[DeadLetterView]
    cursor: str | None = None


class LetterGroupView(BaseModel):
    """How many dead letters share table, code and column."""

    table: str
    code: str
    column: str | None
    count: int

    @classmethod
    def of_group(cls, group: LetterGroup, schema: str) -> Self:
        """One group."""
        return cls(table=group.table.shown(schema), code=group.code, column=group.column, count=group.count)


class LetterGroupsView(BaseModel):
    """All groups, the largest first."""

    groups: list[LetterGroupView]


class LetterRetryBody(BaseModel):
    """What is to be retried: the letter as it is, or with the repaired item."""

    model_config = ConfigDict(extra="forbid")

    item: dict[str, Any] = Field(default_factory=dict)


class LettersRetryBody(BaseModel):
    """Which dead letters are to be retried, as the list's filters say it; at least one of them. `cursor` goes on."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"anyOf": [{"required": [name]} for name in ("table", "crawl", "code", "column")]},
    )

    table: str = Field("", min_length=1)
    crawl: str = Field("", pattern="^[!-~]{1,255}$")
    code: str = Field("", pattern="^[ -~]{0,255}$")
    column: str = Field("", max_length=NAME_BYTES, pattern=r"^[^\x00]*$")
    cursor: str = ""


class LettersLeftView(BaseModel):
    """Letters that a retry of a group leaves as they are."""

    table: str
    reason: str
    letters: int


class RetriesView(BaseModel):
    """The batches that retry a group, those that were on their way already among them.

    `letters` are in these batches, `left` are not. A `cursor` that is not null asks for the rest of the group.
    """

    batches: list[BatchView]
    letters: int
    left: list[LettersLeftView]
    cursor: str | None = None


class LettersImportView(BaseModel):
    """How many lines became dead letters; the others were there already, or a retry had stored their items."""

    imported: int
    existing: int
