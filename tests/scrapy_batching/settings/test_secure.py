"""BATCHING_HEADERS and BATCHING_TLS_…: what is refused at the start, with which remedy, and that no value is shown."""

import pytest
from scrapy.settings import Settings as ScrapySettings

from scrapy_batching.assembly import way_to
from scrapy_batching.errors import SettingsRefused
from scrapy_batching.settings.reading import read_settings
from tests.scrapy_batching.wire.certificates import Certificates

HTTPS = "https://ingest.example.org"


def read(**values):
    return read_settings(ScrapySettings(values))


def refused(**values):
    with pytest.raises(SettingsRefused) as caught:
        read(**values)
    return str(caught.value)


@pytest.fixture
def files(tmp_path):
    return Certificates(tmp_path)


@pytest.mark.parametrize("given", [{"X-Api-Key": "k3y value"}, '{"X-Api-Key": "k3y value"}'])
def test_headers_go_with_every_request_and_are_shown_nowhere(given):
    settings = read(BATCHING_HEADERS=given)
    way = way_to(settings, "c")
    assert way.every == {"X-Api-Key": "k3y value"}
    assert "k3y" not in repr(settings)
    assert "k3y" not in repr(way)


@pytest.mark.parametrize(
    ("headers", "remedy"),
    [
        ({"Authorization": "s3cret"}, "set BATCHING_TOKEN"),
        ({"idempotency-key": "s3cret"}, "has its own name"),
        ({"Ingest-Crawl": "s3cret"}, "BATCHING_CRAWL_ID"),
        ({"Content-Encoding": "s3cret"}, "BATCHING_COMPRESSION"),
        ({"Prefer": "s3cret"}, "leave it out"),
        ({"Host": "s3cret"}, "leave it out"),
        ({"content-length": "s3cret"}, "leave it out"),
        ({"X-A": "s3cret\r\nX-B: y"}, "without line breaks"),
        ({"X-A": "s3cret\n"}, "without line breaks"),
        ({"X-A": " s3cret"}, "without line breaks or blanks"),
        ({"X-A": ""}, "visible ASCII"),
        ({"X-A": "s3cret é"}, "visible ASCII"),
        ({"X-A": 5}, "as a text"),
        ({"X A": "s3cret"}, "letters, digits and -"),
        ({"X-A: s3cret": "s3cret"}, "letters, digits and -"),
        ({"": "s3cret"}, "letters, digits and -"),
        ({"X-A": "s3cret", "x-a": "s3cret"}, "once"),
    ],
    ids=str,
)
def test_a_header_that_cannot_be_sent_is_refused_without_its_value(headers, remedy):
    said = refused(BATCHING_HEADERS=headers)
    assert "BATCHING_HEADERS" in said
    assert remedy in said
    assert "s3cret" not in said


def test_files_that_can_be_used_are_taken(files):
    settings = read(
        BATCHING_URL=HTTPS, BATCHING_TLS_CA=files.ca, BATCHING_TLS_CERT=files.cert, BATCHING_TLS_KEY=files.key
    )
    way = way_to(settings, "c")
    assert way.tls is not None
    assert way.has_certificate
    assert way_to(read(BATCHING_URL=HTTPS), "c").tls is None
    read(BATCHING_URL=HTTPS, BATCHING_TLS_CERT=files.both)


@pytest.mark.parametrize(
    ("settings", "culprit", "remedy"),
    [
        ({"TLS_CA": "gone"}, "BATCHING_TLS_CA", "no such file"),
        ({"TLS_CA": "key"}, "BATCHING_TLS_CA", "holds no certificate"),
        ({"TLS_CERT": "gone", "TLS_KEY": "key"}, "BATCHING_TLS_CERT", "no such file"),
        ({"TLS_CERT": "cert", "TLS_KEY": "gone"}, "BATCHING_TLS_KEY", "no such file"),
        ({"TLS_CERT": "cert", "TLS_KEY": "other_key"}, "BATCHING_TLS_KEY", "not the certificate's"),
        ({"TLS_CERT": "key", "TLS_KEY": "key"}, "BATCHING_TLS_CERT", "holds no certificate"),
        ({"TLS_CERT": "cert", "TLS_KEY": "cert"}, "BATCHING_TLS_KEY", "holds no key"),
        ({"TLS_CERT": "cert"}, "BATCHING_TLS_CERT", "holds no key"),
        ({"TLS_KEY": "key"}, "BATCHING_TLS_KEY", "set BATCHING_TLS_CERT too"),
    ],
    ids=str,
)
def test_a_file_that_cannot_be_used_is_named_with_the_remedy(files, settings, culprit, remedy):
    files.gone = files.ca.with_name("gone.pem")
    given = {f"BATCHING_{name}": str(getattr(files, file)) for name, file in settings.items()}
    said = refused(BATCHING_URL=HTTPS, **given)
    assert f"{culprit} = " in said
    assert remedy in said
    assert said.count("\n") == 1, "one mistake"


def test_a_directory_is_no_file(tmp_path):
    assert "cannot be read" in refused(BATCHING_URL=HTTPS, BATCHING_TLS_CA=str(tmp_path))


def test_files_without_tls_are_refused_because_they_would_have_no_effect(files):
    said = refused(BATCHING_URL="http://ingest.example.org", BATCHING_TLS_CA=str(files.ca))
    assert "write https:// in BATCHING_URL" in said


def test_a_file_that_is_not_there_is_told_without_tls_too():
    said = refused(BATCHING_URL="http://ingest.example.org", BATCHING_TLS_CA="/nope")
    assert "write https:// in BATCHING_URL" in said
    assert "there is no such file" in said
    assert said.count("\n") == 1, "one mistake"


def test_https_to_this_machine_sends_plain_bodies_and_elsewhere_small_ones():
    from scrapy_batching.telemetry import Telemetry
    from scrapy_batching.wire.way import Link
    from tests.scrapy_batching.make import Stats

    codings = {
        url: Link(way_to(read(BATCHING_URL=url), "c"), Telemetry(Stats())).coding
        for url in ("https://127.0.0.1:8800", "https://localhost", HTTPS, "http://ingest.example.org")
    }
    assert list(codings.values()) == ["identity", "identity", "zstd", "zstd"]
