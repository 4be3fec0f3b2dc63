"""TLS of the server itself: the certificate is read again without a connection being dropped, clients may need one too."""

import contextlib
import hashlib
import http.client
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from ingest_server.errors import StartRefused
from ingest_server.telemetry import Telemetry
from ingest_server.tls import Certificate, fingerprint
from tests.asking import until
from tests.running import RunningServer, running_server


class World:
    """An authority, and where the server's pair lies."""

    def __init__(self, directory: Path) -> None:
        self.authority = trustme.CA()
        self.ca, self.cert, self.key = (directory / name for name in ("ca.pem", "cert.pem", "key.pem"))
        self.authority.cert_pem.write_to_path(self.ca)
        self.pair = self.issue()

    def issue(self, *, key_too: bool = True) -> trustme.LeafCert:
        """A new certificate in the place of the old one."""
        self.pair = self.authority.issue_cert("127.0.0.1")
        if key_too:
            put(self.key, self.pair.private_key_pem.bytes())
        put(self.cert, b"".join(one.bytes() for one in self.pair.cert_chain_pems))
        return self.pair

    @property
    def arguments(self) -> tuple[str, ...]:
        return ("--tls-cert", str(self.cert), "--tls-key", str(self.key))

    def context(self, *, client: trustme.LeafCert | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=str(self.ca))
        if client is not None:
            client.configure_cert(context)
        return context

    def shown(self, server: RunningServer) -> bytes:
        """SHA-256 of the certificate that the server shows to a new connection."""
        with (
            socket.create_connection(("127.0.0.1", server.port), timeout=10) as plain,
            self.context().wrap_socket(plain, server_hostname="127.0.0.1") as wrapped,
        ):
            return hashlib.sha256(wrapped.getpeercert(binary_form=True) or b"").digest()


def put(path: Path, content: bytes) -> None:
    """As those who renew certificates do: in one step."""
    new = path.with_suffix(".new")
    new.write_bytes(content)
    new.replace(path)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def ask(server: RunningServer, context: ssl.SSLContext, path: str = "/livez") -> int:
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=10, context=context)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()


def test_the_server_speaks_tls_and_survives_who_does_not(world: World, shared_database: str) -> None:
    with running_server("--database", shared_database, *world.arguments) as server:
        assert server.url.startswith("https://127.0.0.1:")
        assert ask(server, world.context()) == 200
        with pytest.raises(ssl.SSLCertVerificationError):
            ask(server, ssl.create_default_context())
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as plain:
            plain.sendall(b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert b"200" not in plain.recv(100)
        old = world.context()
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        assert ask(server, old) == 200
        assert ask(server, world.context()) == 200
        _, log = server.terminate()
    assert "Traceback" not in log


@pytest.mark.parametrize("by_signal", [False, True])
def test_a_new_certificate_is_shown_and_no_connection_is_dropped(
    world: World, shared_database: str, by_signal: bool
) -> None:
    with running_server("--database", shared_database, *world.arguments) as server:
        before = world.shown(server)
        assert before == fingerprint(world.cert)
        kept = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=10, context=world.context())
        kept.request("GET", "/livez")
        kept.getresponse().read()
        kept_socket = kept.sock
        world.issue(key_too=True)
        if by_signal:
            server.process.send_signal(signal.SIGHUP)
        until(lambda: world.shown(server) != before)
        assert world.shown(server) == fingerprint(world.cert)
        kept.request("GET", "/livez")
        assert kept.getresponse().read()
        assert kept.sock is kept_socket, "the same connection"
        kept.close()


def test_half_a_change_changes_nothing_until_the_other_half_comes(world: World, shared_database: str) -> None:
    with running_server("--database", shared_database, *world.arguments) as server:
        before = world.shown(server)
        world.issue(key_too=False)
        until(lambda: b'ingest_reload_failed{file="certificate"} 1.0' in metrics(server, world))
        assert world.shown(server) == before
        put(world.key, world.pair.private_key_pem.bytes())
        until(lambda: world.shown(server) == fingerprint(world.cert))
        world.cert.unlink()
        until(lambda: b'ingest_reload_failed{file="certificate"} 1.0' in metrics(server, world))
        assert ask(server, world.context()) == 200


def metrics(server: RunningServer, world: World) -> bytes:
    connection = http.client.HTTPSConnection("127.0.0.1", server.port, timeout=10, context=world.context())
    try:
        connection.request("GET", "/metrics")
        return connection.getresponse().read()
    finally:
        connection.close()


def test_clients_may_need_a_certificate(world: World, shared_database: str) -> None:
    stranger = trustme.CA().issue_cert("crawl@example.org")
    friend = world.authority.issue_cert("crawl@example.org")
    with running_server("--database", shared_database, *world.arguments, "--tls-client-ca", str(world.ca)) as server:
        assert ask(server, world.context(client=friend)) == 200
        for client in (None, stranger):
            with pytest.raises((ssl.SSLError, ConnectionError)):
                ask(server, world.context(client=client))
        world.issue()
        server.process.send_signal(signal.SIGHUP)
        until(lambda: ask(server, world.context(client=friend)) == 200)


def test_a_handshake_that_does_not_go_on_is_cut(world: World, shared_database: str) -> None:
    with running_server("--database", shared_database, *world.arguments, "--head-timeout", "1") as server:
        silent = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(20)]
        for one in silent[:10]:
            one.sendall(b"\x16\x03\x01")
        assert ask(server, world.context()) == 200
        for one in silent:
            with contextlib.suppress(ConnectionResetError):
                assert one.recv(1) == b""
            one.close()
        assert ask(server, world.context()) == 200
        _, log = server.terminate()
    assert "Traceback" not in log


class Files(World):
    """A certificate without a server."""

    now = 0.0

    def certificate(self, **changes: Path | None) -> Certificate:
        files = {"cert": self.cert, "key": self.key, "client_ca": None} | changes
        return Certificate(files["cert"], files["key"], files["client_ca"], Telemetry(), clock=lambda: self.now)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Files]:
    return Files(tmp_path)


def test_files_that_cannot_be_used_stop_the_start_and_are_named(files: Files, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    other, locked, none = tmp_path / "other.pem", tmp_path / "locked.pem", tmp_path / "none.pem"
    other.write_bytes(files.authority.issue_cert("x.example").private_key_pem.bytes())
    key = load_pem_private_key(files.key.read_bytes(), None)
    locked.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
    for changes, said in [
        ({"cert": none}, "tls_cert .* cannot be read"),
        ({"key": none}, "tls_key .* cannot be read"),
        ({"client_ca": none}, "tls_client_ca .* cannot be read"),
        ({"key": other}, "not the certificate's"),
        ({"key": None}, "no such pair"),
        ({"cert": files.key}, "no such pair"),
        ({"key": locked}, "wants a password"),
        ({"client_ca": files.key}, "holds no certificate"),
    ]:
        with pytest.raises(StartRefused, match=said):
            files.certificate(**changes)


def test_the_files_are_looked_at_once_a_second_at_most(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    certificate = files.certificate()
    looks: list[object] = []
    monkeypatch.setattr(certificate, "_state", lambda: looks.append(1) or certificate._seen)
    for _ in range(5):
        certificate.look()
    files.now = 1.0
    certificate.look()
    assert len(looks) == 2
