"""Models over tables: made, extended, refused with column and remedy, and items by the model's own rules."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

import asyncpg
import orjson
import pytest
from pydantic import AliasChoices, AnyUrl, BaseModel, Field, computed_field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from ingest_server import Table
from ingest_server.errors import IncompatibleTable, Misconfigured, StartRefused
from ingest_server.model import Mode, TableOptions, Unknown, Unstorable
from ingest_server.models.loading import Model
from ingest_server.models.table import spec_of
from ingest_server.postgres.tables.ddl import ensure
from tests.ingest_server.postgres.stores import counts, store_over
from tests.make import batch


class Kind(StrEnum):
    FLAT = "flat"


class Photo(BaseModel):
    url: AnyUrl
    size: tuple[int, int] = Field(default=(0, 0), alias="dimensions")


class Thing(Table, key="id", catch_all="rest"):
    id: int = Field(gt=0)
    price: Decimal | None = Field(default=None, max_digits=30, decimal_places=12)
    kind: Kind = Kind.FLAT
    link: AnyUrl | None = None
    name: str = Field(default="none", alias="title", max_length=20)
    size: int | None = Field(default=None, validation_alias=AliasChoices("size", "m2"))
    photos: list[Photo] = Field(default_factory=list)
    at: datetime | None = None
    rest: dict[str, Any] = Field(default_factory=dict)
    secret: str = Field(default="", exclude=True)

    @field_validator("name")
    @classmethod
    def polite(cls, value: str) -> str:
        if value == "rude":
            raise ValueError(f"rude: {value}")
        if value == "odd":
            raise PydanticCustomError("odd_name", "an odd name: {name}", {"name": value})
        return {"crash": None}.get(value, value).strip()  # type: ignore[union-attr]

    @model_validator(mode="after")
    def whole(self) -> "Thing":
        if self.size == 13:
            raise ValueError("thirteen")
        return self

    @computed_field
    @property
    def price_per_size(self) -> Decimal | None:
        return self.price / self.size if self.price is not None and self.size is not None else None


@pytest.fixture
async def made(sql: asyncpg.Connection) -> None:
    await ensure(sql, spec_of(Thing, "public"))


async def write(database: str, *items: object, model: type[Table] = Thing, table: str = "things") -> Any:
    spec = spec_of(model, "public")
    options = Model(model, spec).options()
    async with store_over(database, models={spec.table.name: model}, options={spec.table.name: options}) as store:
        return await store.write(batch(*items, table=spec.table.name))


@pytest.mark.usefixtures("made")
class TestItems:
    async def test_an_item_by_the_model_s_rules(self, database: str, sql: asyncpg.Connection) -> None:
        item = {
            "id": 1, "price": "10", "title": " a ", "m2": "4", "link": "https://example.org", "at": "2026-01-01T00:00:00",
            "photos": [{"url": "https://example.org/1", "dimensions": [3, 4]}], "extra": {"x": 1.10}, "rest": {"own": 1},
            "secret": "s",
        }  # fmt: skip
        assert counts(await write(database, item)) == (1, 0, 0, 0)
        row = dict(await sql.fetchrow("SELECT * FROM thing"))
        assert (row["name"], row["size"], row["price_per_size"], row["kind"]) == ("a", 4, Decimal("2.5"), "flat")
        assert row["link"] == "https://example.org/"
        assert str(row["at"]) == "2026-01-01 00:00:00+00:00"
        assert orjson.loads(row["photos"]) == [{"url": "https://example.org/1", "size": [3, 4]}]
        assert orjson.loads(row["rest"]) == {"own": 1, "extra": {"x": 1.10}}
        assert "secret" not in row
        assert counts(await write(database, item)) == (0, 0, 1, 0)

    async def test_no_digit_of_a_decimal_is_lost(self, database: str, sql: asyncpg.Connection) -> None:
        settled = await write(
            database, b'{"id":1,"price":123456789012345678.123456789012}', b'{"id":2,"price":0.1234567890123}'
        )
        assert counts(settled) == (1, 0, 0, 1)  # the second has a digit too many
        assert await sql.fetchval("SELECT price FROM thing") == Decimal("123456789012345678.123456789012")

    @pytest.mark.parametrize(
        ("wrong", "column", "message"),
        [
            ({"id": 0}, "id", "greater than 0"),
            ({"title": "x" * 21}, "name", "at most 20"),  # the column, though the item says title
            ({"title": "rude"}, "name", "the table's own rule refused it"),
            ({"title": "odd"}, "name", "the table's own rule refused it"),
            ({"title": "crash"}, None, "the table's own rule failed on it"),
            ({"size": 13}, None, "the table's own rule refused it"),
            ({"size": 0, "price": 1}, None, "the table's own rule failed on it"),  # in a computed field
            ({"kind": "house"}, "kind", "'flat'"),
            ({"photos": [{"url": "nope"}]}, "photos", "valid URL"),
            ({"rest": {"a": "\0"}}, "rest", "NUL"),
            ({"more": "\0"}, "rest", "NUL"),
        ],
    )
    async def test_a_refusal_names_the_column_and_not_the_content(
        self, database: str, wrong: dict[str, object], column: str | None, message: str
    ) -> None:
        settled = await write(database, {"id": 1}, {"id": 2} | wrong)
        assert counts(settled) == (1, 0, 0, 1)
        refusal = settled.errors[0].refusal
        assert (refusal.index, refusal.column) == (1, column)
        assert message in refusal.message
        assert "rude" not in refusal.message
        assert "odd" not in refusal.message

    async def test_infinite_numbers_do_not_become_null(self, database: str, sql: asyncpg.Connection) -> None:
        settled = await write(database, b'{"id":1,"rest":{"a":1e999}}', b'{"id":2,"rest":{"a":NaN}}', b'{"id":3}')
        assert counts(settled) == (1, 0, 0, 2)

    async def test_nesting_is_bounded(self, database: str) -> None:
        deep = b"[" * 99 + b"]" * 99
        settled = await write(database, b'{"id":1,"rest":{"a":' + deep + b"}}", b'{"id":2,"a":' + deep + b"}")
        assert counts(settled) == (0, 0, 0, 2)


class Patched(Table, table="patched", key="id", merge="patch", newest_by="at", catch_all="rest"):
    id: int
    at: datetime
    name: str | None = "unnamed"
    price: Decimal | None = Field(default=None, alias="cost")
    photos: list[str] | None = Field(default_factory=list)
    rest: dict[str, Any] | None = None


class TestPatches:
    async def test_only_the_fields_that_an_item_has_are_written(self, database: str, sql: asyncpg.Connection) -> None:
        """A default of the model is no field of the item."""
        await ensure(sql, spec_of(Patched, "public"))
        for item, expected in (
            ({"id": 1, "at": "2026-01-01T00:00Z", "name": "a", "cost": "1.5", "colour": "red"}, (1, 0, 0, 0)),
            ({"id": 1, "at": "2026-01-02T00:00Z", "photos": ["x"], "rooms": 2}, (0, 1, 0, 0)),
            ({"id": 1, "at": "2026-01-03T00:00Z", "cost": None}, (0, 1, 0, 0)),
            ({"id": 1, "at": "2026-01-02T00:00Z", "name": "too late"}, (0, 0, 1, 0)),
            ({"id": 1, "name": "without its date"}, (0, 0, 0, 1)),
        ):
            settled = await write(database, item, model=Patched)
            assert counts(settled) == expected, settled.errors
        row = dict(await sql.fetchrow("SELECT * FROM patched"))
        assert (row["name"], row["price"], orjson.loads(row["photos"])) == ("a", None, ["x"])
        assert orjson.loads(row["rest"]) == {"colour": "red", "rooms": 2}

    def test_what_a_patch_cannot_do_is_refused_with_the_class(self) -> None:
        with pytest.raises(TypeError, match="cannot write the computed field double"):

            class Computed(Table, key="id", merge="patch"):
                id: int

                @computed_field
                @property
                def double(self) -> int:
                    return 2 * self.id

        with pytest.raises(TypeError, match="may lack 'name', and its default is not written"):

            class Defaulted(Table, key="id", merge="patch"):
                id: int
                name: str = "unnamed"

        with pytest.raises(TypeError, match='merge = "patch" is for mode "upsert", and the mode is "append"'):

            class Appended(Table, merge="patch"):
                id: int

        with pytest.raises(TypeError, match="merge is one of replace, patch, not 'both'"):

            class Both(Table, key="id", merge="both"):  # type: ignore[arg-type]
                id: int


class TestSettingsBesideAModel:
    def test_what_a_model_does_not_say_may_be_told(self) -> None:
        model = Model(Small, spec_of(Small, "public"))
        told = TableOptions(unstorable=Unstorable.REPLACE)
        assert model.options(told) == replace(model.options(), unstorable=Unstorable.REPLACE)

    @pytest.mark.parametrize(
        "told", [TableOptions(mode=Mode.APPEND), TableOptions(newest_by="a"), TableOptions(unknown=Unknown.IGNORE)]
    )
    def test_what_the_class_line_says_stops_the_start(self, told: TableOptions) -> None:
        model = Model(Small, spec_of(Small, "public"))
        with pytest.raises(
            StartRefused, match=r"\[table.small\].*the model Small describes.*say it in the model's class"
        ):
            model.options(told)


class Small(Table, table="small", key="id"):
    id: int
    a: str | None = None


class TestTables:
    async def test_the_table_is_made_once(self, sql: asyncpg.Connection) -> None:
        spec = spec_of(Thing, "new schema")
        for _ in range(2):
            await ensure(sql, spec)
        rows = await sql.fetch(
            "SELECT column_name, data_type, is_nullable FROM information_schema.columns "
            "WHERE table_schema = 'new schema' AND table_name = 'thing' ORDER BY ordinal_position"
        )
        assert [tuple(row) for row in rows] == [
            (column.name, column.type, "YES" if column.nullable else "NO") for column in spec.columns
        ]

    async def test_new_nullable_columns_are_added(self, database: str, sql: asyncpg.Connection) -> None:
        await sql.execute("CREATE TABLE small (id bigint PRIMARY KEY, theirs text DEFAULT 'x', human text)")
        await sql.execute("INSERT INTO small VALUES (1, 'kept', 'kept')")
        await ensure(sql, spec_of(Small, "public"))
        assert counts(await write(database, {"id": 1, "a": "b"}, {"id": 2}, model=Small)) == (1, 1, 0, 0)
        # columns that the model does not know are left alone
        assert [tuple(row) for row in await sql.fetch("SELECT * FROM small ORDER BY id")] == [
            (1, "kept", "kept", "b"),
            (2, "x", None, None),
        ]

    async def test_a_field_that_is_missing_takes_the_column_s_default(
        self, database: str, sql: asyncpg.Connection
    ) -> None:
        await sql.execute("CREATE TABLE small (id bigint PRIMARY KEY, a text NOT NULL DEFAULT 'usual')")
        await ensure(sql, spec_of(Small, "public"))
        settled = await write(database, {"id": 1}, {"id": 2, "a": "x"}, {"id": 3, "a": None}, model=Small)
        assert counts(settled) == (2, 0, 0, 1)
        assert dict(await sql.fetch("SELECT * FROM small")) == {1: "usual", 2: "x"}

    @pytest.mark.parametrize(
        ("table", "message"),
        [
            (
                "id bigint PRIMARY KEY, a int",
                'column "a": the model says text, the table integer: .*ALTER COLUMN "a" TYPE text',
            ),
            ("id bigint PRIMARY KEY, a text NOT NULL", "the model allows None, the table is NOT NULL: .*DROP NOT NULL"),
            ("id bigint PRIMARY KEY, a text[]", "the model says text, the table text"),
            ("id bigint, a text DEFAULT 'x' PRIMARY KEY", r"key is \(\"id\"\), the table's \(\"a\"\)"),
            ("id bigint, a text", r"the table's \(none\)"),
            (
                "id bigint PRIMARY KEY, b int NOT NULL",
                'column "b", NOT NULL and without a default, which the model lacks',
            ),
            ("id bigint PRIMARY KEY, a text GENERATED ALWAYS AS ('x') STORED", "the table generates it"),
            ("a text", 'lacks column "id", which the model requires'),
        ],
    )
    async def test_anything_else_stops_the_start_and_changes_nothing(
        self, sql: asyncpg.Connection, table: str, message: str
    ) -> None:
        await sql.execute(f"CREATE TABLE small ({table})")
        before = await sql.fetch("SELECT attname FROM pg_attribute WHERE attrelid = 'small'::regclass")
        with pytest.raises(IncompatibleTable, match=message):
            await ensure(sql, spec_of(Small, "public"))
        assert await sql.fetch("SELECT attname FROM pg_attribute WHERE attrelid = 'small'::regclass") == before

    async def test_a_column_that_goes_later_waits_instead_of_dropping_its_values(
        self, database: str, sql: asyncpg.Connection
    ) -> None:
        await ensure(sql, spec_of(Small, "public"))
        await sql.execute("ALTER TABLE small DROP COLUMN a")
        with pytest.raises(Misconfigured, match="lacks column a, which the model Small has"):
            await write(database, {"id": 1, "a": "x"}, model=Small)

    async def test_two_servers_may_start_at_once(self, database: str, sql: asyncpg.Connection) -> None:
        import asyncio

        others = [await asyncpg.connect(database) for _ in range(4)]
        await asyncio.gather(*(ensure(one, spec_of(Small, "fresh")) for one in others))
        for one in others:
            await one.close()
        assert await sql.fetchval("SELECT count(*) FROM fresh.small") == 0
