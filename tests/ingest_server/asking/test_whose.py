"""Whose crawls a command is about: named, or the token's, or everyone's where there are no tokens."""

from pathlib import Path

import pytest

from ingest_server.asking.whose import whose
from ingest_server.errors import StartRefused
from ingest_server.settings import Settings
from ingest_server.tokens.file import write_tokens
from tests.ingest_server.api.guarded import section, token

FILE = Path(".ingest/tokens.toml")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    FILE.parent.mkdir()


def settings(name: str | None = None) -> Settings:
    return Settings.read({} if name is None else {"token": token(name)})


def test_without_tokens_there_is_one_owner() -> None:
    assert whose(settings(), None) == ""
    assert whose(settings("whatever"), None) == "", "as the server itself does"
    assert whose(settings(), "ann") == "ann", "one that there was"


def test_with_tokens_it_is_the_named_one_or_the_tokens() -> None:
    write_tokens(FILE, {"ann": section("ann"), "bob": section("bob")})
    assert whose(settings(), "ann") == "ann"
    assert whose(settings("bob"), None) == "bob"
    assert whose(settings("bob"), "bob") == "bob"
    assert whose(settings(), "") == "", "what was sent before there were tokens"


@pytest.mark.parametrize(
    ("name", "owner", "said"),
    [
        (None, None, "ann, bob.*--owner NAME"),
        ("bob", "ann", "leave one of them out"),
        ("stranger", None, "not known here"),
        ("stranger", "ann", "not known here"),
    ],
)
def test_what_cannot_be_said_is_refused_without_a_secret(name: str | None, owner: str | None, said: str) -> None:
    write_tokens(FILE, {"ann": section("ann"), "bob": section("bob")})
    with pytest.raises(StartRefused, match=said) as refused:
        whose(settings(name), owner)
    assert "ingest_secret" not in str(refused.value)


def test_a_file_without_a_token_is_still_a_server_with_tokens() -> None:
    write_tokens(FILE, {})
    with pytest.raises(StartRefused, match="none is left"):
        whose(settings(), None)
