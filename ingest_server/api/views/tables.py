"""Tables as bodies."""

from typing import Literal, Self

from pydantic import BaseModel

from ingest_server.api.views.times import Time
from ingest_server.model import Mode, Parked, TableName, TableSpec


class ColumnView(BaseModel):
    """One column."""

    name: str
    type: str
    nullable: bool


class ParkedView(BaseModel):
    """Why a table's batches wait aside, and how many of them here. `refused`: nearly every item was, until `resume`."""

    since: Time
    cause: Literal["configuration", "refused"]
    code: str
    column: str | None
    reason: str
    waiting: int

    @classmethod
    def of_parked(cls, parked: Parked, waiting: int) -> Self:
        """A parked table, and how many batches wait for it."""
        return cls(
            since=parked.since,
            cause=parked.cause,
            code=parked.code,
            column=parked.column,
            reason=parked.reason,
            waiting=waiting,
        )


class TableView(BaseModel):
    """One table, as the catalogue has it; `counts` are items settled since this server started."""

    name: str
    columns: list[ColumnView]
    key: list[str]
    mode: Mode
    landing: bool
    counts: dict[str, int]
    parked: ParkedView | None = None

    @classmethod
    def of_spec(cls, spec: TableSpec, schema: str, counts: dict[str, int], parked: ParkedView | None) -> Self:
        """A table with its counts."""
        return cls(
            name=spec.table.shown(schema),
            columns=[ColumnView(name=one.name, type=one.type, nullable=one.nullable) for one in spec.columns],
            key=list(spec.key),
            mode=spec.mode,
            landing=spec.landing,
            counts=counts,
            parked=parked,
        )

    @classmethod
    def of_missing(cls, table: TableName, schema: str, counts: dict[str, int], parked: ParkedView | None) -> Self:
        """A table that is not there, for the batches that wait for it."""
        return cls(
            name=table.shown(schema), columns=[], key=[], mode=Mode.APPEND, landing=False, counts=counts, parked=parked
        )


class ResumedView(BaseModel):
    """Whether the table was parked; `waiting`: its batches here, which go on now."""

    table: str
    resumed: bool
    waiting: int


class TablesView(BaseModel):
    """All tables that may be written."""

    tables: list[TableView]
