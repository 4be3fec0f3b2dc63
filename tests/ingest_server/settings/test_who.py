"""The settings of who may ask: what is refused at the start, with which remedy, and that no secret is shown."""

from pathlib import Path

import pytest

from ingest_server.errors import StartRefused
from ingest_server.settings import WITHOUT_FLAG, Settings
from tests.ingest_server.api.guarded import section

HASH = "ab" * 32


def write(text: str) -> None:
    Path("ingest.toml").write_text(text)


def refusal(**flags: str) -> str:
    with pytest.raises(StartRefused) as refused:
        Settings.read(flags)
    return str(refused.value)


def test_beyond_loopback_it_listens_with_tokens_or_when_told_so() -> None:
    assert "ingest-server tokens create" in refusal(host="0.0.0.0")
    assert Settings.read({"host": "0.0.0.0", "allow_anonymous": "on"}).allow_anonymous
    Path("tokens.toml").write_text("")
    assert Settings.read({"host": "0.0.0.0", "tokens_file": "tokens.toml"}).host == "0.0.0.0"
    Path(".ingest").mkdir()
    Path(".ingest/tokens.toml").write_text("")
    assert Settings.read({"host": "::"}).tokens_path == Path(".ingest/tokens.toml")
    write(f'[tokens.a]\nhash = "{HASH}"\n')
    assert Settings.read({"host": "::", "data_dir": "elsewhere"}).tokens["a"].hash == [HASH]


def test_tokens_in_the_file_are_checked_and_their_hashes_are_not_shown() -> None:
    write('[tokens.a]\nhash = "not-a-hash"\n[tokens.b]\nhash = []\n[tokens.c]\nadmins = true\n')
    text = refusal()
    for said in ("tokens.a.hash", "SHA-256", "tokens.b.hash", "tokens.c.admins", "did you mean admin?"):
        assert said in text
    assert "not-a-hash" not in text
    write(f'[tokens."a b"]\nhash = "{HASH}"\n')
    assert "is no name" in refusal()
    write(f'token = "do-not-show-me"\n[tokens.a]\nhash = ["{HASH}", "{"cd" * 32}"]\ntables = "x"\n')
    settings = Settings.read({})
    assert settings.tokens["a"].tables == ["x"]
    assert settings.token is not None
    assert settings.token.get_secret_value() == "do-not-show-me"
    for shown in (repr(settings), str(settings), repr(section("x"))):
        assert "do-not-show-me" not in shown
        assert HASH not in shown
    write("token = 5\n")
    assert "5" not in refusal().replace("ingest.toml", "")


def test_what_is_secret_or_a_section_has_no_flag() -> None:
    assert {"table", "tokens", "token"} == WITHOUT_FLAG


def test_parts_of_tls_mean_nothing_alone() -> None:
    assert "set tls_cert" in refusal(tls_key="key.pem")
    assert "set tls_cert" in refusal(tls_client_ca="ca.pem")


@pytest.mark.parametrize("host", ["http://a", "a:80", "a/b", "a b@c"])
def test_hosts_are_names_alone(host: str) -> None:
    assert "without scheme and port" in refusal(hosts=host)


def test_hosts_and_origins_may_be_several() -> None:
    settings = Settings.read({"hosts": "A.example, [::1],fe80::1", "origins": "https://A.example,http://b:80"})
    assert settings.hosts == ["a.example", "::1", "fe80::1"]
    assert settings.origins == ["https://a.example", "http://b:80"]


@pytest.mark.parametrize("origin", ["*", "null", "a.example", "https://a.example/", "https://a.example/x", "ftp://a"])
def test_origins_are_written_as_browsers_send_them(origin: str) -> None:
    assert "as the browser sends it" in refusal(origins=origin)


@pytest.mark.parametrize(
    ("flags", "url"),
    [
        ({}, "http://127.0.0.1:8800"),
        ({"host": "::1", "port": "1"}, "http://[::1]:1"),
        ({"host": "0.0.0.0", "allow_anonymous": "on"}, "http://127.0.0.1:8800"),
        ({"host": "::", "allow_anonymous": "on"}, "http://[::1]:8800"),
        ({"tls_cert": "cert.pem"}, "https://127.0.0.1:8800"),
    ],
)
def test_commands_ask_the_server_on_its_own_machine(flags: dict[str, str], url: str) -> None:
    assert Settings.read(flags).url == url
