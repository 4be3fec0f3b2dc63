"""The doctor on who gets in: real certificates and files."""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from ingest_server.doctor import safety
from ingest_server.doctor.finding import Finding, Level
from ingest_server.settings import Settings

DAY = 86400.0


@pytest.fixture
def pair(tmp_path: Path) -> tuple[Path, Path]:
    """Certificate and key that end in the year 2050 or later, so that both forms of a date in them are met."""
    authority = trustme.CA()
    issued = authority.issue_cert("db.example", not_after=datetime(2052, 3, 4, 5, 6, 7, tzinfo=UTC))
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    issued.cert_chain_pems[0].write_to_path(cert)
    issued.private_key_pem.write_to_path(key)
    key.chmod(0o600)
    return cert, key


def encryption(pair: tuple[Path, Path], now: float | None = None) -> Finding:
    (found,) = safety.encryption(Settings.read({"tls_cert": pair[0], "tls_key": pair[1]}), now)
    return found


def test_how_long_a_certificate_lasts(pair: tuple[Path, Path]) -> None:
    ends = datetime(2052, 3, 4, 5, 6, 7, tzinfo=UTC).timestamp()
    assert encryption(pair).level is Level.OK
    assert "ends 2052-03-04" in encryption(pair).text
    soon = encryption(pair, ends - 20 * DAY)
    assert (soon.level, "in 20 days" in soon.text) == (Level.WARNING, True)
    assert encryption(pair, ends - 22 * DAY).level is Level.OK
    assert encryption(pair, ends + 1).level is Level.FAILURE


def test_a_certificate_of_this_century_that_has_expired(tmp_path: Path) -> None:
    issued = trustme.CA().issue_cert("db.example", not_after=datetime.now(UTC) - timedelta(days=2))
    cert = tmp_path / "both.pem"
    issued.private_key_and_cert_chain_pem.write_to_path(cert)
    (found,) = safety.encryption(Settings.read({"tls_cert": cert}))
    assert (found.level, "it has expired" in found.text) == (Level.FAILURE, True)
    assert time.strftime("%Y-%m", time.gmtime(time.time() - 2 * DAY)) in found.text


def test_a_pair_that_does_not_belong_together_is_told(pair: tuple[Path, Path], tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    trustme.CA().issue_cert("db.example").private_key_pem.write_to_path(other)
    found = encryption((pair[0], other))
    assert (found.level, "this key is not the certificate's" in found.text) == (Level.FAILURE, True)


def test_files_with_secrets_that_everyone_may_read(pair: tuple[Path, Path], tmp_path: Path) -> None:
    config = tmp_path / "ingest.toml"
    config.write_text(f'database = "postgresql://a:geheim@b/c"\ntls_cert = "{pair[0]}"\ntls_key = "{pair[1]}"\n')
    config.chmod(0o600)
    assert [one.level for one in safety.secrets(Settings.read({}, config))] == [Level.OK]
    config.chmod(0o644)
    pair[1].chmod(0o604)
    first, second = safety.secrets(Settings.read({}, config))
    assert (first.remedy, second.remedy) == (f"chmod o= {config}", f"chmod o= {pair[1]}")
    assert "geheim" not in first.text
    for secret in ('database = "postgresql://b/c?user=a&password=geheim"\n', 'token = "geheim"\n'):
        config.write_text(secret)
        (found,) = safety.secrets(Settings.read({}, config))
        assert (found.level, found.remedy) == (Level.WARNING, f"chmod o= {config}")
    config.write_text('database = "postgresql://a@b/c"\n')
    assert [one.level for one in safety.secrets(Settings.read({}, config))] == [Level.OK]


def test_tokens_that_others_may_write_and_none_where_they_are_needed(tmp_path: Path) -> None:
    (none,) = safety.tokens(Settings.read({"data_dir": tmp_path}))
    assert none.level is Level.OK
    file = Settings.read({"data_dir": tmp_path}).tokens_path
    file.write_text("")
    file.chmod(0o622)
    (found,) = safety.tokens(Settings.read({"data_dir": tmp_path}))
    assert (found.level, "chmod 600" in found.remedy) == (Level.FAILURE, True)


def test_a_pattern_for_tables_that_there_is_not_is_found_wherever_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    section = f'[tokens.shop]\nhash = "{"0" * 64}"\ntables = ["a*"]\n'
    for name in ("ingest.toml", "tokens.toml"):
        file = tmp_path / name
        file.write_text(section)
        file.chmod(0o600)
        (found,) = safety.tokens(Settings.read({"tokens_file": tmp_path / "tokens.toml"}))
        assert (found.level, "a* is no table's name" in found.text) == (Level.FAILURE, True), name
        file.unlink()
