"""TLS against a real server: whose certificate is trusted, who shows one, and what is said where it fails."""

import asyncio
from contextlib import asynccontextmanager
from functools import partial

import pytest

from scrapy_batching.wire.answers import Delivered
from scrapy_batching.wire.breaker import Try
from scrapy_batching.wire.client import Progress
from scrapy_batching.wire.tls import context_of
from tests.scrapy_batching.fake_server import FakeServer, serving
from tests.scrapy_batching.make import batch
from tests.scrapy_batching.wire.certificates import Certificates
from tests.scrapy_batching.wire.client_bench import Bench


@pytest.fixture
def files(tmp_path):
    return Certificates(tmp_path)


@asynccontextmanager
async def bench_for(files, url_of=lambda url: url, ca="ca", cert="", key="", **server_side):
    path = lambda name: str(getattr(files, name)) if name else ""  # noqa: E731
    async with serving(FakeServer(), tls=files.server_side(**server_side)) as server:
        bench = Bench(url_of(server.url), tls=context_of(path(ca), path(cert), path(key)), timeout=5.0)
        try:
            yield server, bench
        finally:
            await bench.client.close()


async def refusal(bench):
    """What one try says that does not get through."""
    verdict = await bench.client.attempt(batch(), Progress(), Try(0))
    (remedy,) = bench.notes.remedies
    assert verdict.remedy == remedy
    return verdict


async def test_a_server_whose_authority_is_named_is_trusted(files):
    async with bench_for(files) as (server, bench):
        assert server.url.startswith("https://")
        assert await bench.client.deliver(batch()) == Delivered(3, 0)
        assert len(server.items) == 3


async def test_without_an_authority_the_system_s_are_asked_and_the_remedy_is_to_name_one(files):
    async with bench_for(files, ca="") as (server, bench):
        assert "set BATCHING_TLS_CA" in (await refusal(bench)).remedy
        assert server.sent == []


async def test_another_authority_is_no_reason_to_trust(files):
    async with bench_for(files, ca="other_ca") as (server, bench):
        assert "names another authority" in (await refusal(bench)).remedy
        assert server.sent == []


async def test_a_certificate_for_another_name_is_told_as_that(files):
    async with bench_for(files, host="ingest.example.org") as (server, bench):
        assert "is for another name" in (await refusal(bench)).remedy
        assert server.sent == []


@pytest.mark.parametrize(("cert", "key"), [("cert", "key"), ("both", "")])
async def test_a_server_that_wants_a_certificate_gets_ours(files, cert, key):
    async with bench_for(files, cert=cert, key=key, wants_certificate=True) as (_, bench):
        assert await bench.client.deliver(batch()) == Delivered(3, 0)


async def test_without_the_certificate_that_it_wants_the_remedy_names_the_setting(files):
    async with bench_for(files, wants_certificate=True) as (server, bench):
        assert "BATCHING_TLS_CERT" in (await refusal(bench)).remedy
        assert server.sent == []


async def test_a_certificate_of_an_authority_that_it_does_not_trust_is_told_with_the_setting(files, tmp_path):
    files.client = files.stranger.issue_cert("crawl@example.org")
    files.client.private_key_and_cert_chain_pem.write_to_path(files.both)
    async with bench_for(files, cert="both", wants_certificate=True) as (server, bench):
        assert "BATCHING_TLS_CERT" in (await refusal(bench)).remedy
        assert server.sent == []


async def test_http_to_a_server_with_tls_says_so(files):
    async with bench_for(files, lambda url: url.replace("https:", "http:")) as (server, bench):
        assert "write https:// in BATCHING_URL" in (await refusal(bench)).remedy
        assert server.sent == []


@pytest.mark.parametrize(("scheme", "ca"), [("http", ""), ("https", ""), ("https", "ca")])
async def test_a_reason_has_none_of_the_library_s_arguments(files, unused_tcp_port, scheme, ca):
    bench = Bench(f"{scheme}://127.0.0.1:{unused_tcp_port}", tls=context_of(str(files.ca) if ca else "", "", ""))
    reason = (await refusal(bench)).reason
    assert f"127.0.0.1:{unused_tcp_port} [Connect call failed" in reason
    await bench.client.close()


async def test_https_to_a_server_without_tls_says_so(files, server):
    bench = Bench(server.url.replace("http:", "https:"), tls=context_of(str(files.ca), "", ""), timeout=5.0)
    assert "does not speak TLS there" in (await refusal(bench)).remedy
    await bench.client.close()


async def test_a_server_that_is_not_there_is_no_matter_of_certificates(files, unused_tcp_port):
    bench = Bench(f"https://127.0.0.1:{unused_tcp_port}", tls=context_of(str(files.ca), "", ""))
    assert (await refusal(bench)).remedy == ""
    await bench.client.close()


def test_no_files_are_no_context():
    assert context_of("", "", "") is None


async def test_a_key_with_a_password_never_asks_the_terminal(files, tmp_path):
    from cryptography.hazmat.primitives import serialization

    key = serialization.load_pem_private_key(files.key.read_bytes(), None)
    locked = tmp_path / "locked.pem"
    locked.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    from scrapy_batching.wire.tls import wrong_with_pair

    found = await asyncio.to_thread(partial(wrong_with_pair, str(files.cert), str(locked)))
    assert found[0] == "tls_key"
    assert "without one" in found[1]
