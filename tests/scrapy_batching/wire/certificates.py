"""A small world of certificates: an authority, a server's certificate, a client's, and another authority."""

import ssl
from pathlib import Path

import trustme


class Certificates:
    """Files below `directory`, as the settings name them, and what a server makes of them."""

    def __init__(self, directory: Path) -> None:
        self.authority, self.stranger = trustme.CA(), trustme.CA()
        self.server = self.authority.issue_cert("127.0.0.1", "localhost")
        self.client = self.authority.issue_cert("crawl@example.org")
        self.ca, self.other_ca = directory / "ca.pem", directory / "other-ca.pem"
        self.cert, self.key, self.both = directory / "cert.pem", directory / "key.pem", directory / "both.pem"
        self.other_key = directory / "other-key.pem"
        self.authority.cert_pem.write_to_path(self.ca)
        self.stranger.cert_pem.write_to_path(self.other_ca)
        self.client.cert_chain_pems[0].write_to_path(self.cert)
        self.client.private_key_pem.write_to_path(self.key)
        self.client.private_key_and_cert_chain_pem.write_to_path(self.both)
        self.server.private_key_pem.write_to_path(self.other_key)

    def server_side(self, *, wants_certificate: bool = False, host: str | None = None) -> ssl.SSLContext:
        """The server's context; with a certificate for another `host`, or one that lets in nobody without a certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        (self.server if host is None else self.authority.issue_cert(host)).configure_cert(context)
        if wants_certificate:
            self.authority.configure_trust(context)
            context.verify_mode = ssl.CERT_REQUIRED
        return context
