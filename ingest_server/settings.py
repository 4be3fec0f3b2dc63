"""Every setting of the server, declared once: flags, INGEST_* variables, ingest.toml and the docs follow from here."""

import ipaddress
import os
import tomllib
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import psutil
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from ingest_server.errors import StartRefused
from ingest_server.model import Mode, TableName, TableOptions

DEFAULT_CONFIG = Path("ingest.toml")
_PREFIX = "INGEST_"


def _names(value: Any) -> Any:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


class TableSettings(BaseModel):
    """`[table.NAME]` of ingest.toml: how a table is written that no model describes."""

    model_config = ConfigDict(extra="forbid")

    mode: Mode | None = Field(None, description="append, upsert or ignore; by default upsert where items bring the key")
    newest_by: str | None = Field(None, description="a column; an item with an older value leaves the row as it is")
    catch_all: str | None = Field(None, description="a jsonb column for fields that the table does not have")


class Settings(BaseSettings):
    """What the server is told. Flags win over variables, variables over the file."""

    model_config = SettingsConfigDict(
        env_prefix="INGEST_", env_prefix_target="all", extra="forbid", populate_by_name=True, validate_default=True
    )
    config_file: ClassVar[Path | None] = None

    host: str = Field("127.0.0.1", description="address to listen on; loopback only, until the server has tokens")
    port: int = Field(8800, ge=0, le=65535, description="port to listen on; 0 lets the system choose")
    database: SecretStr | None = Field(
        None, description="postgresql://user@host/name; by default an embedded PostgreSQL in the data directory"
    )
    data_dir: Path = Field(Path(".ingest"), description="directory for the embedded PostgreSQL and the journal")
    schema_: str = Field("public", alias="schema", description="schema of tables that are named without one")
    workers: int = Field(4, ge=1, le=256, description="batches that are written at the same time")
    tables: Annotated[list[str], NoDecode, BeforeValidator(_names)] = Field(
        default_factory=list, description="modules with models (class X(Table)), comma separated"
    )
    table: dict[str, TableSettings] = Field(
        default_factory=dict, description="[table.NAME] in the file: how a table is written that no model describes"
    )
    create_tables: bool | None = Field(
        None, description="make a landing table for an unknown name; by default only with the embedded PostgreSQL"
    )
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
    memory_limit: int = Field(
        0,
        ge=0,
        description="resident bytes above which new batches are answered 503; 0: half of what the machine or container has",
    )
    max_batch_items: int = Field(10_000, ge=1, description="items a batch may have")
    max_batch_bytes: int = Field(16 * 2**20, ge=1024, description="bytes a batch may have as it is sent")
    max_decoded_bytes: int = Field(64 * 2**20, ge=1024, description="bytes a batch may have once decoded")
    max_item_bytes: int = Field(8 * 2**20, ge=1024, description="bytes one item may have")
    receive_timeout: float = Field(60.0, gt=0, description="seconds in which a batch's body must have arrived")
    statement_timeout: float = Field(
        60.0, gt=0, description="seconds after which a database statement is given up and tried again"
    )
    drain_timeout: float = Field(
        60.0,
        ge=0,
        description="seconds that a stop waits for batches to settle; 0: as long as it takes, or until a second signal",
    )
    log_level: str = Field(
        "info",
        pattern="(?i)^(debug|info|warning|error)$",
        description="debug, info, warning or error; debug logs every batch",
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003  the order of sources is pydantic-settings' own
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Flags, then variables, then the file."""
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, cls.config_file)

    @classmethod
    def read(cls, flags: Mapping[str, Any], config: Path | None = None) -> Self:
        """All settings, validated at once. Raises `StartRefused` which names every mistake with its remedy."""
        file = config or DEFAULT_CONFIG
        if config is not None and not config.is_file():
            raise StartRefused(f"there is no file {config}", remedy="name an existing file with --config")
        reader = type(cls.__name__, (cls,), {"config_file": file if file.is_file() else None, "__module__": __name__})
        unknown = _unknown_variables(cls)
        try:
            settings: Self = reader(**flags)
        except ValidationError as error:
            mistakes = unknown + [_mistake(one, flags, file, cls) for one in error.errors(include_url=False)]
            raise StartRefused(f"settings: {'; '.join(mistakes)}", remedy="see ingest-server run --help") from None
        except tomllib.TOMLDecodeError as error:
            raise StartRefused(f"{file}: {error}", remedy="mend the file; its form is TOML") from None
        except ValueError as error:  # pydantic-settings: a variable that should hold JSON, and holds none
            raise StartRefused(f"settings: {error}", remedy="see ingest-server run --help") from None
        if unknown:
            raise StartRefused(f"settings: {'; '.join(unknown)}", remedy="unset it, or see ingest-server run --help")
        if not _is_loopback(settings.host):
            raise StartRefused(
                f"settings: host {settings.host} is not loopback, and the server has no tokens yet: anyone could write",
                remedy="listen on 127.0.0.1, and put an authenticating proxy in front",
            )
        return settings

    @property
    def table_options(self) -> dict[TableName, TableOptions]:
        """What the file says about tables, by name."""
        return _options(self.table, self.schema_)

    @property
    def journal_path(self) -> Path:
        """Where the journal's files are."""
        return self.journal_dir or self.data_dir / "journal"

    @property
    def memory_bytes(self) -> int:
        """The limit on resident memory."""
        return self.memory_limit or _available_memory() // 2


def _mistake(error: Any, flags: Mapping[str, Any], file: Path, settings: type[Settings]) -> str:
    """What is wrong with one setting, under the name and with the value that somebody wrote: flag, variable or file."""
    option, *inner = (str(part) for part in error["loc"])
    option = option_name(option)
    dotted = ".".join((option, *inner))
    value = "(not shown)" if option == "database" else str(error["input"])[:_MOST_SHOWN]
    what = _WORDS.get(error["type"], error["msg"].removeprefix("Input should be "))
    if "ctx" in error and error["type"] in _BOUNDS:
        what = f"write a number {_BOUNDS[error['type']]} {next(iter(error['ctx'].values()))}"
    if error["type"] == "extra_forbidden":
        names = TableSettings.model_fields if inner else settings.model_fields
        return f"{dotted} in {file}: {_no_such(inner[-1] if inner else option, names)}"
    if error["type"] == "string_pattern_mismatch":
        what = f"write {next(one.description for name, one in settings.model_fields.items() if option_name(name) == option)}"
    variable = environment_name(option)
    if option in flags:
        return f"{flag_name(option)} {value}: {what}"
    if any(name.upper() == variable for name in os.environ):
        return f"{variable}={value}: {what}"
    return f"{dotted} = {value} in {file}: {what}"


_MOST_SHOWN = 80
_WORDS = {
    "int_parsing": "write a whole number",
    "int_type": "write a whole number",
    "int_from_float": "write a whole number",
    "float_parsing": "write a number",
    "float_type": "write a number",
    "bool_parsing": "write on or off",
    "bool_type": "write on or off",
}
_BOUNDS = {
    "greater_than": "above",
    "greater_than_equal": "that is at least",
    "less_than": "below",
    "less_than_equal": "that is at most",
}


def _unknown_variables(settings: type[Settings]) -> list[str]:
    """Variables with our prefix that nobody reads: a typing error, or a setting of another version."""
    known = {option_name(name) for name in settings.model_fields} | {"config"}
    ours = sorted(name for name in os.environ if name.upper().startswith(_PREFIX))
    return [
        f"{name}: {_no_such(name[len(_PREFIX) :].lower(), known, environment_name)}"
        for name in ours
        if name[len(_PREFIX) :].lower() not in known
    ]


def _no_such(name: str, known: Iterable[str], shown: Callable[[str], str] = str) -> str:
    near = get_close_matches(name, sorted(option_name(one) for one in known), 1)
    return f"there is no such setting, did you mean {shown(near[0])}?" if near else "there is no such setting"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _options(tables: Mapping[str, TableSettings], schema: str) -> dict[TableName, TableOptions]:
    found = {}
    for text, table in tables.items():
        try:
            name = TableName.parse(text, schema)
        except ValueError as error:
            raise StartRefused(f"settings: [table.{text}]", remedy=str(error)) from None
        found[name] = TableOptions(table.mode, table.newest_by, table.catch_all)
    return found


def _available_memory() -> int:
    """What the machine has, or the container where it is less."""
    total = int(psutil.virtual_memory().total)
    for limit in (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")):
        try:
            total = min(total, int(limit.read_text()))
        except (OSError, ValueError):  # no such controller, or "max"
            continue
    return total


def option_name(field: str) -> str:
    """A field's name as users write it: `schema_` is `schema`."""
    return field.rstrip("_")


def environment_name(field: str) -> str:
    """The variable of a field."""
    return f"INGEST_{option_name(field).upper()}"


def flag_name(field: str) -> str:
    """The flag of a field."""
    return f"--{option_name(field).replace('_', '-')}"


def config_from_environment() -> Path | None:
    """The file that INGEST_CONFIG names."""
    value = os.environ.get("INGEST_CONFIG")
    return Path(value) if value else None
