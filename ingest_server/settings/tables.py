"""What is said about tables: models, `[table.NAME]`, landing."""

from collections.abc import Mapping
from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_settings import NoDecode

from ingest_server.errors import StartRefused
from ingest_server.model import Merge, Mode, TableName, TableOptions, Unknown, Unstorable
from ingest_server.settings.lists import parts


class TableSettings(BaseModel):
    """`[table.NAME]` of ingest.toml: how a table is written that no model describes."""

    model_config = ConfigDict(extra="forbid")

    mode: Mode | None = Field(None, description="append, upsert or ignore; by default upsert where items bring the key")
    newest_by: str | None = Field(None, description="a column; an item with an older value leaves the row as it is")
    catch_all: str | None = Field(None, description="a jsonb column for fields that the table does not have")
    merge: Merge | None = Field(
        None,
        description="of an upsert: replace (the row becomes the item) or patch (only the fields that the item has)",
    )
    key: Annotated[list[str], BeforeValidator(parts)] = Field(
        default_factory=list,
        description="columns of the unique index that tells rows apart; by default the primary key, or the only unique index",
    )
    unknown: Unknown = Field(
        Unknown.REJECT,
        description="reject: an item with a field that the table does not have is refused; ignore: the field is left out",
    )
    unstorable: Unstorable = Field(
        Unstorable.REJECT,
        description="reject: an item with NUL, half a surrogate pair, NaN or Infinity is refused; replace: by U+FFFD and null",
    )

    @model_validator(mode="after")
    def _one_fate_of_unknown_fields(self) -> Self:
        if self.catch_all is not None and self.unknown is Unknown.IGNORE:
            raise ValueError(
                'catch_all keeps fields that the table does not have, unknown = "ignore" drops them: take one out'
            )
        return self


class TablesSettings(BaseModel):
    """Which tables there are, and how they are written."""

    tables: Annotated[list[str], NoDecode, BeforeValidator(parts)] = Field(
        default_factory=list, description="modules with models (class X(Table)), comma separated"
    )
    table: dict[str, TableSettings] = Field(
        default_factory=dict, description="[table.NAME] in the file: how a table is written that no model describes"
    )
    create_tables: bool | None = Field(
        None, description="make a landing table for an unknown name; by default only with the embedded PostgreSQL"
    )


def options(tables: Mapping[str, TableSettings], schema: str) -> dict[TableName, TableOptions]:
    """What the file says about tables, by name. Raises `StartRefused` for a name that no table could have."""
    found = {}
    for text, table in tables.items():
        try:
            name = TableName.parse(text, schema)
        except ValueError as error:
            raise StartRefused(f"settings: [table.{text}]", remedy=str(error)) from None
        found[name] = TableOptions(
            mode=table.mode,
            newest_by=table.newest_by,
            catch_all=table.catch_all,
            merge=table.merge,
            key=tuple(table.key),
            unknown=table.unknown,
            unstorable=table.unstorable,
        )
    return found
