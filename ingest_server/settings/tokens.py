"""Who may ask, and with which token this program's own commands ask."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, SecretStr

from ingest_server.tokens.section import TokenSection, names


def _checked(value: dict[str, TokenSection]) -> dict[str, TokenSection]:
    return dict(names(value))


class TokensSettings(BaseModel):
    """Tokens: in the settings' file, and in a file of their own."""

    tokens: Annotated[dict[str, TokenSection], AfterValidator(_checked)] = Field(
        default_factory=dict, repr=False, description="[tokens.NAME] in the file: who may ask, besides the tokens' file"
    )
    tokens_file: Path | None = Field(
        None,
        description="file of `ingest-server tokens`, read again when it changes; by default tokens.toml in the data directory",
    )
    token: SecretStr | None = Field(
        None, description="the token with which audit and other commands ask a running server; variable or file only"
    )
    allow_anonymous: bool = Field(
        False, description="on: listen beyond loopback without tokens; whoever reaches the port may write and read"
    )
