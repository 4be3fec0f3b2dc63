"""The file of tokens, and what a running server makes of its changes."""

import stat
import threading
from pathlib import Path

import pytest

from ingest_server.errors import StartRefused
from ingest_server.telemetry import Telemetry
from ingest_server.tokens import file
from ingest_server.tokens.file import alone_with, read_tokens, write_tokens
from ingest_server.tokens.grant import digest
from ingest_server.tokens.keeper import Tokens
from ingest_server.tokens.section import TokenSection


def section(token: str, **more) -> TokenSection:
    return TokenSection(hash=[digest(token).hex()], **more)


class Kept:
    """A file, and a server's view of it."""

    def __init__(self, directory: Path, fixed: dict[str, TokenSection] | None = None, **sections: TokenSection) -> None:
        self.path = directory / "tokens.toml"
        self.now = 0.0
        self.telemetry = Telemetry()
        if sections:
            write_tokens(self.path, sections)
        self.tokens = Tokens(fixed or {}, self.path, self.telemetry, schema="public", clock=lambda: self.now)

    def later(self) -> Tokens:
        self.now += 1
        self.tokens.look()
        return self.tokens


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    said = {
        "a": section("one"),
        "b.c-d_e": section(
            "two", tables=["x", 'shop."a\x7f\\"', "ü.*"], items_per_second=0.5, bytes_per_second=1e6, admin=True
        ),
        "none": section("three", tables=[]),
    }
    write_tokens(path, said)
    assert read_tokens(path) == said
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path], "nothing else is left there"


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "tokens.toml"
    write_tokens(path, {"a": section("one")})

    def full(number: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(file.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_tokens(path, {"b": section("two")})
    monkeypatch.undo()
    assert list(read_tokens(path)) == ["a"]
    assert list(tmp_path.iterdir()) == [path]


def test_what_root_writes_belongs_to_whom_the_place_belongs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(file.os, "geteuid", lambda: 0)
    monkeypatch.setattr(file.os, "fchown", lambda number, user, group: given.append((user, group)))
    write_tokens(tmp_path / "tokens.toml", {"a": section("one")})
    assert given == [(tmp_path.stat().st_uid, tmp_path.stat().st_gid)]


def test_two_who_write_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new" / "tokens.toml"

    def add(name: str) -> None:
        with alone_with(path):
            write_tokens(path, {**read_tokens(path), name: section(name)})

    threads = [threading.Thread(target=add, args=(f"n{number}",)) for number in range(20)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert len(read_tokens(path)) == 20


def test_a_changed_file_is_known_within_a_second_and_looked_at_no_oftener(tmp_path: Path) -> None:
    kept = Kept(tmp_path, a=section("one"))
    kept.tokens.look()
    write_tokens(kept.path, {"a": section("two")})
    kept.tokens.look()
    assert kept.tokens.find("two") is None, "not looked at yet"
    assert kept.later().find("two") is not None
    assert kept.tokens.find("one") is None


def test_a_file_that_is_removed_lets_nobody_in(tmp_path: Path) -> None:
    kept = Kept(tmp_path, a=section("one"))
    kept.path.unlink()
    assert kept.later().find("one") is None
    assert kept.tokens.wanted


def test_the_first_token_shuts_an_open_server_and_nothing_opens_it_again(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    assert not kept.tokens.wanted
    write_tokens(kept.path, {"a": section("one")})
    assert kept.later().wanted
    write_tokens(kept.path, {})
    assert kept.later().wanted
    assert kept.tokens.find("one") is None
    assert Tokens({}, kept.path, kept.telemetry, schema="public", clock=lambda: 0).wanted, "an empty file shuts it too"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tokens.a", "mend the file"),
        ("nonsense = 1", "there is no nonsense"),
        ('[tokens.a]\nhash = "abc"', "SHA-256"),
        ("[tokens.a]\nadmin = true", "hash"),
        (f'[tokens.a]\nhash = "{"0" * 64}"\nhsh = 1', "hsh"),
        (f'[tokens."a b"]\nhash = "{"0" * 64}"', "is no name"),
        (f'[tokens.""]\nhash = "{"0" * 64}"', "is no name"),
        (f'[tokens.a]\nhash = "{"0" * 64}"\ntables = ["a.b.c"]', "table"),
        (f'[tokens.a]\nhash = "{"0" * 64}"\nitems_per_second = 0', "items_per_second"),
        (f'[tokens.a]\nhash = "{"0" * 64}"\nbytes_per_second = inf', "bytes_per_second"),
    ],
)
def test_a_file_that_cannot_be_meant_changes_nothing_and_is_told(tmp_path: Path, text: str, said: str) -> None:
    kept = Kept(tmp_path, a=section("one"))
    kept.path.write_text(text)
    assert kept.later().find("one") is not None
    assert kept.telemetry.registry.get_sample_value("ingest_reload_failed", {"file": "tokens"}) == 1
    assert kept.telemetry.stale_files
    with pytest.raises(StartRefused, match=said):
        Tokens({}, kept.path, kept.telemetry, schema="public", clock=lambda: 0)
    write_tokens(kept.path, {"a": section("two")})
    assert kept.later().find("two") is not None
    assert not kept.telemetry.stale_files


def test_a_file_that_others_may_write_is_refused(tmp_path: Path) -> None:
    kept = Kept(tmp_path, a=section("one"))
    write_tokens(kept.path, {"a": section("one"), "intruder": section("two")})
    kept.path.chmod(0o620)
    assert kept.later().find("two") is None
    with pytest.raises(StartRefused, match="others may write"):
        read_tokens(kept.path)


def test_a_name_stands_in_one_place_only(tmp_path: Path) -> None:
    with pytest.raises(StartRefused, match="a stands in"):
        Kept(tmp_path, {"a": section("one")}, a=section("two"))
    kept = Kept(tmp_path, {"b": section("one")})
    assert kept.tokens.find("one").owner == "b"


def test_whatever_is_wrong_no_hash_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text('[tokens.a]\nhash = "do-not-show-me"')
    with pytest.raises(StartRefused) as refused:
        read_tokens(path)
    assert "do-not-show-me" not in str(refused.value)
    assert digest("one").hex() not in repr(section("one"))
