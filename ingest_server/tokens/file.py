"""The file that `ingest-server tokens` keeps: TOML, hashes only, written whole and put in its place in one step."""

import contextlib
import fcntl
import json
import os
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ingest_server.errors import StartRefused
from ingest_server.tokens.section import TokenSection, names

_HEAD = """\
# Tokens of ingest-server, by the name that owns what is sent with them. Only hashes stand here.
# `ingest-server tokens create|list|revoke` writes this file, and a running server reads it again by itself.
# Other lines may be changed by hand; comments are not kept. While this file is there, nobody gets in without a token.
"""
_SECTIONS: TypeAdapter[dict[str, TokenSection]] = TypeAdapter(dict[str, TokenSection])
_OTHERS_MAY_WRITE = 0o022


def read_tokens(path: Path) -> dict[str, TokenSection]:
    """What the file holds; nothing where there is none. Raises `StartRefused`: others may write it, or it is no such file."""
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            text = file.read().decode()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise StartRefused(
            f"tokens: {path} cannot be read ({reason})", remedy="let the server's user read it"
        ) from None
    if mode & _OTHERS_MAY_WRITE:
        remedy = f"chmod 600 {path}, after a look at what stands in it"
        raise StartRefused(f"tokens: others may write {path}, and so let themselves in", remedy=remedy)
    try:
        found = tomllib.loads(text)
        if unknown := sorted(set(found) - {"tokens"}):
            raise ValueError(f"there is no {', '.join(unknown)} in a file of tokens: write [tokens.NAME]")
        return dict(names(_SECTIONS.validate_python(found.get("tokens", {}))))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        said = f"tokens.{'.'.join(map(str, first['loc']))}: {first['msg'].removeprefix('Value error, ')}"
        raise StartRefused(f"tokens: {path}: {said}", remedy="mend the file") from None
    except ValueError as error:
        raise StartRefused(f"tokens: {path}: {error}", remedy="mend the file") from None


def write_tokens(path: Path, sections: Mapping[str, TokenSection]) -> None:
    """Put the file in its place, for its owner's eyes only: whoever reads meanwhile reads the old one or the new one, whole."""
    number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # 0600
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(_HEAD + "".join(_section(one, sections[one]) for one in sections))
            file.flush()
            if os.geteuid() == 0:  # what root writes for a server of another user, that user must read
                seen = (path if path.exists() else path.parent).stat()
                os.fchown(file.fileno(), seen.st_uid, seen.st_gid)
            os.fsync(file.fileno())
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync(path.parent)


@contextlib.contextmanager
def alone_with(path: Path) -> Iterator[None]:
    """Nobody else changes the file meanwhile: two who create tokens at once both find theirs in it. Makes its directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    number = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(number, fcntl.LOCK_EX)
        yield
    finally:
        os.close(number)


def _section(name: str, section: TokenSection) -> str:
    said = section.model_dump(exclude_none=True, exclude_defaults=True)
    return f"\n[tokens.{_quoted(name)}]\n" + "".join(f"{key} = {_quoted(value)}\n" for key, value in said.items())


def _quoted(value: object) -> str:
    # a JSON string, list, number or boolean is a TOML one; DEL alone must be escaped, and JSON leaves it
    return json.dumps(value, allow_nan=False).replace("\x7f", "\\u007f")


def _sync(directory: Path) -> None:
    number = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
