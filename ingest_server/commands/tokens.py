"""`ingest-server tokens create|list|revoke`: who may ask."""

from typing import Annotated, Any

import typer

from ingest_server.commands.options import AsJson, Config, DataDir, as_json, read_settings, refusals
from ingest_server.errors import StartRefused
from ingest_server.settings import Settings
from ingest_server.tokens.file import alone_with, read_tokens, write_tokens
from ingest_server.tokens.grant import Known, digest, new_token
from ingest_server.tokens.section import NAME, TokenSection

tokens = typer.Typer(help="Who may ask: make, list and revoke tokens.", no_args_is_help=True)
_ID_SIGNS = 8

Name = Annotated[str, typer.Argument(help="who it is: the owner of what is sent with the token, whatever the token is")]
TokensFile = Annotated[
    str | None, typer.Option("--tokens-file", help="default: tokens.toml in the server's data directory")
]


@tokens.command()
def create(
    name: Name,
    table: Annotated[
        list[str] | None,
        typer.Option(
            "--table", help="a table that may be written: name, schema.name, schema.* or *; default: every one"
        ),
    ] = None,
    items_per_second: Annotated[float | None, typer.Option(help="items that are taken a second")] = None,
    bytes_per_second: Annotated[float | None, typer.Option(help="decoded bytes that are taken a second")] = None,
    admin: Annotated[bool, typer.Option("--admin", help="may read /metrics and let parked tables go on")] = False,
    add: Annotated[bool, typer.Option("--add", help="another token for a name that has one, to replace it")] = False,
    json: AsJson = False,
    tokens_file: TokensFile = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Make a token, and show it this once. Only its hash is kept; a running server knows it within a second."""
    wanted = {
        "tables": table,
        "items_per_second": items_per_second,
        "bytes_per_second": bytes_per_second,
        "admin": admin or None,
    }
    token = new_token()
    with refusals():
        settings = read_settings(config, tokens_file=tokens_file, data_dir=data_dir)
        _check_name(name, settings)
        with alone_with(settings.tokens_path):
            sections = read_tokens(settings.tokens_path)
            was_open = not (settings.tokens_path.exists() or settings.tokens)
            sections[name] = _with_token(name, sections.get(name), digest(token).hex(), wanted, add=add)
            _write(settings, sections)
    if json:
        typer.echo(as_json({"name": name, "token": token, "file": str(settings.tokens_path)}))
        return
    typer.echo(f"{settings.tokens_path}: [tokens.{name}] has {_count(sections[name])}.", err=True)
    if was_open:
        typer.echo("From now on nobody gets in without a token, and what was sent before belongs to none.", err=True)
    typer.echo("The token, shown this once (a crawl takes it as BATCHING_TOKEN):", err=True)
    typer.echo(token)


@tokens.command("list")
def show(json: AsJson = False, tokens_file: TokensFile = None, config: Config = None, data_dir: DataDir = None) -> None:
    """List names, what each may do, and the ids of their tokens, oldest first. An id is the beginning of the hash."""
    with refusals():
        settings = read_settings(config, tokens_file=tokens_file, data_dir=data_dir)
        kept = read_tokens(settings.tokens_path)
    rows = [_row(name, one, "ingest.toml") for name, one in settings.tokens.items()]
    rows += [_row(name, one, str(settings.tokens_path)) for name, one in kept.items()]
    if json:
        typer.echo(as_json({"tokens": rows}))
        return
    for row in rows:
        rates = [f"{row[key]:g} {key.partition('_')[0]}/s" for key in _RATES if row[key] is not None]
        tables = "every table" if row["tables"] is None else ", ".join(row["tables"]) or "no table"
        more = [tables, *rates, *(["admin"] if row["admin"] else [])]
        typer.echo(f"{row['name']}  {' '.join(row['ids'])}  {'; '.join(more)}")
    if not rows:
        closed = settings.tokens_path.exists()
        typer.echo(
            f"{settings.tokens_path} holds no token: nobody gets in" if closed else "there are no tokens", err=True
        )


@tokens.command()
def revoke(
    name: Name,
    id: Annotated[  # noqa: A002  it is the option's name
        str | None, typer.Option("--id", help="this one alone, by its id as list shows it; default: all of the name")
    ] = None,
    tokens_file: TokensFile = None,
    config: Config = None,
    data_dir: DataDir = None,
) -> None:
    """Take the name's tokens away; a running server refuses them within a second. What was sent with them stays its own."""
    with refusals():
        settings = read_settings(config, tokens_file=tokens_file, data_dir=data_dir)
        if name in settings.tokens:
            raise StartRefused(f"{name} stands in the settings' file", remedy=f"remove [tokens.{name}] there")
        with alone_with(settings.tokens_path):
            sections = read_tokens(settings.tokens_path)
            if name not in sections:
                raise StartRefused(
                    f"there is no {name} in {settings.tokens_path}", remedy="see ingest-server tokens list"
                )
            left = [] if id is None else _without(name, sections[name].hash, id)
            gone = len(sections[name].hash) - len(left)
            if left:
                sections[name] = sections[name].model_copy(update={"hash": left})
            else:
                del sections[name]
            _write(settings, sections)
    typer.echo(f"{settings.tokens_path}: {gone} of {name} revoked", err=True)
    if not (sections or settings.tokens):
        typer.echo("No token is left: nobody gets in. To do without tokens remove that file and restart.", err=True)


_RATES = ("items_per_second", "bytes_per_second")


def _check_name(name: str, settings: Settings) -> None:
    if NAME.fullmatch(name) is None:
        remedy = "write 1 to 63 letters, digits, dots, hyphens or underscores, a letter or digit first"
        raise StartRefused(f"{name!r} is no name", remedy=remedy)
    if name in settings.tokens:
        raise StartRefused(f"{name} stands in the settings' file already", remedy=f"change [tokens.{name}] there")


def _with_token(name: str, there: TokenSection | None, new: str, wanted: dict[str, Any], *, add: bool) -> TokenSection:
    given = {key: value for key, value in wanted.items() if value is not None}
    if there is None:
        if add:
            raise StartRefused(f"there is no {name} to add a token to", remedy="leave --add out")
        try:
            return TokenSection.model_validate({"hash": [new], **given})
        except ValueError:
            raise StartRefused("a rate is a number above 0", remedy="leave it out for no limit") from None
    if not add:
        raise StartRefused(f"there is a token for {name}", remedy="say --add for another one, or revoke it first")
    if given:
        what = ", ".join(given)
        raise StartRefused(f"{what} belong to the name, not to one token", remedy="change them in the file of tokens")
    return there.model_copy(update={"hash": [*there.hash, new]})


def _write(settings: Settings, sections: dict[str, TokenSection]) -> None:
    try:
        Known({**settings.tokens, **sections}, settings.schema_)
    except ValueError as error:
        raise StartRefused(str(error), remedy="name tables as name, schema.name, schema.* or *") from None
    try:
        write_tokens(settings.tokens_path, sections)
    except OSError as error:
        raise StartRefused(
            f"{settings.tokens_path} cannot be written ({error.strerror or error})", remedy="say --tokens-file"
        ) from None


def _without(name: str, hashes: list[str], begins: str) -> list[str]:
    left = [one for one in hashes if not one.startswith(begins.lower())]
    if len(left) != len(hashes) - 1:
        found = "no token" if len(left) == len(hashes) else "more than one token"
        raise StartRefused(
            f"{name} has {found} with an id that begins with {begins}", remedy="see ingest-server tokens list"
        )
    return left


def _row(name: str, section: TokenSection, where: str) -> dict[str, Any]:
    said = section.model_dump(exclude={"hash"})
    return {"name": name, "ids": [one[:_ID_SIGNS] for one in section.hash], **said, "file": where}


def _count(section: TokenSection) -> str:
    return "one token" if len(section.hash) == 1 else f"{len(section.hash)} tokens"
