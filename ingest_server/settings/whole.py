"""All settings together, read and checked at once."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from ingest_server.container import memory_there_is
from ingest_server.errors import StartRefused
from ingest_server.model import TableName, TableOptions
from ingest_server.settings.database import DatabaseSettings
from ingest_server.settings.keeping import KeepingSettings
from ingest_server.settings.limits import LimitSettings
from ingest_server.settings.listening import ListeningSettings, is_loopback
from ingest_server.settings.mistakes import mistake, unknown_variables
from ingest_server.settings.tables import TableSettings, TablesSettings, options
from ingest_server.settings.telling import TellingSettings
from ingest_server.settings.tokens import TokensSettings
from ingest_server.settings.waiting import WaitingSettings
from ingest_server.tokens.section import TokenSection

DEFAULT_CONFIG = Path("ingest.toml")
_SECTIONS: dict[str, type[BaseModel]] = {"table": TableSettings, "tokens": TokenSection}


# pydantic lists the fields of the last base first: so they stand in --help from where to listen to what to tell.
class Settings(
    TellingSettings,
    KeepingSettings,
    LimitSettings,
    WaitingSettings,
    TablesSettings,
    DatabaseSettings,
    TokensSettings,
    ListeningSettings,
    BaseSettings,
):
    """What the server is told. Flags win over variables, variables over the file."""

    model_config = SettingsConfigDict(
        env_prefix="INGEST_", env_prefix_target="all", extra="forbid", populate_by_name=True, validate_default=True
    )
    config_file: ClassVar[Path | None] = None

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
    def read(cls, flags: Mapping[str, Any], config: Path | None = None, *, listens: bool = True) -> Self:
        """All settings, validated at once. Raises `StartRefused` which names every mistake with its remedy.

        `listens`: for a server, which must not be open to everybody; a command may read the same file to make the first token.
        """
        file = config or DEFAULT_CONFIG
        if config is not None and not config.is_file():
            raise StartRefused(f"there is no file {config}", remedy="name an existing file with --config")
        reader = type(cls.__name__, (cls,), {"config_file": file if file.is_file() else None, "__module__": __name__})
        unknown = unknown_variables(cls)
        try:
            settings: Self = reader(**flags)
        except ValidationError as error:
            mistakes = unknown + [mistake(one, flags, file, cls, _SECTIONS) for one in error.errors(include_url=False)]
            raise StartRefused(f"settings: {'; '.join(mistakes)}", remedy="see ingest-server run --help") from None
        except tomllib.TOMLDecodeError as error:
            raise StartRefused(f"{file}: {error}", remedy="mend the file; its form is TOML") from None
        except ValueError as error:  # pydantic-settings: a variable that should hold JSON, and holds none
            raise StartRefused(f"settings: {error}", remedy="see ingest-server run --help") from None
        if unknown:
            raise StartRefused(f"settings: {'; '.join(unknown)}", remedy="unset it, or see ingest-server run --help")
        if listens:
            settings._check_who_may_ask()
        return settings

    def _check_who_may_ask(self) -> None:
        if not (is_loopback(self.host) or self.tokens or self.tokens_path.exists() or self.allow_anonymous):
            raise StartRefused(
                f"settings: host {self.host} is not loopback, and the server has no tokens: anyone could write",
                remedy="make one with ingest-server tokens create NAME, listen on 127.0.0.1,"
                " or say --allow-anonymous on where something in front asks who it is",
            )
        if self.tls_cert is None and (self.tls_key or self.tls_client_ca):
            raise StartRefused(
                "settings: tls_key and tls_client_ca mean nothing without tls_cert", remedy="set tls_cert too"
            )

    @property
    def tokens_path(self) -> Path:
        """Where the tokens' file is, or would be."""
        return self.tokens_file or self.data_dir / "tokens.toml"

    @property
    def url(self) -> str:
        """Where this server is asked from its own machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(self.host, self.host)
        scheme = "http" if self.tls_cert is None else "https"
        return f"{scheme}://[{host}]:{self.port}" if ":" in host else f"{scheme}://{host}:{self.port}"

    @property
    def table_options(self) -> dict[TableName, TableOptions]:
        """What the file says about tables, by name."""
        return options(self.table, self.schema_)

    @property
    def journal_path(self) -> Path:
        """Where the journal's files are."""
        return self.journal_dir or self.data_dir / "journal"

    @property
    def memory_bytes(self) -> int:
        """The limit on resident memory."""
        return self.memory_limit or memory_there_is() // 2

    @property
    def memory_hard_bytes(self) -> int:
        """The limit above which less is worked on at the same time."""
        return max(self.memory_bytes, self.memory_hard_limit or self.memory_bytes * 3 // 2)

    @property
    def body_bytes(self) -> int:
        """Bytes of bodies that may be in memory, as they wait and as they arrive: a quarter of the limit at most."""
        return max(2**20, min(self.queue_bytes, self.memory_bytes // 4))
