"""An authority and what it certifies, made by openssl as docs/web-configuration.md shows; who serves is not here."""

from __future__ import annotations

import dataclasses
import os
import ssl
from pathlib import Path
from typing import Optional

from processes import run

EC = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


@dataclasses.dataclass(frozen=True)
class Certificate:
    """A certificate, and its key."""

    certificate: Path
    key: Path

    @property
    def serial(self) -> int:
        text = run("openssl", "x509", "-in", self.certificate, "-noout", "-serial").succeeded().output
        return int(text.strip().partition("=")[2], 16)


class Authority:
    """Makes certificates for servers and for clients."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self.folder = folder
        self.certificate = folder / f"{name}.crt"
        self._key = folder / f"{name}.key"
        self._made = 0
        subject = ("-days", 30, "-subj", f"/CN={name}", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
        files = ("-keyout", self._key, "-out", self.certificate)
        run("openssl", "req", "-x509", *EC, *subject, *files).succeeded()

    def _issue(self, name: str, names: str, usage: str) -> Certificate:
        self._made += 1
        stem = f"{self.certificate.stem}-{self._made}-{name}"
        made = Certificate(self.folder / f"{stem}.crt", self.folder / f"{stem}.key")
        request, extensions = self.folder / f"{stem}.csr", self.folder / f"{stem}.ext"
        extensions.write_text(f"subjectAltName={names}\nextendedKeyUsage={usage}\n")
        run("openssl", "req", "-new", *EC, "-subj", f"/CN={name}", "-keyout", made.key, "-out", request).succeeded()
        signing = ("-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial", "-days", 30)
        run(
            "openssl", "x509", "-req", "-in", request, *signing, "-extfile", extensions, "-out", made.certificate
        ).succeeded()
        return made

    def server(self) -> Certificate:
        return self._issue("server", "DNS:localhost,IP:127.0.0.1", "serverAuth")

    def client(self) -> Certificate:
        return self._issue("client", "DNS:prometheus.example", "clientAuth")

    def trusted(self, client: Optional[Certificate] = None) -> ssl.SSLContext:
        """For who trusts this authority, and shows this certificate."""
        context = ssl.create_default_context(cafile=str(self.certificate))
        if client:
            context.load_cert_chain(client.certificate, client.key)
        return context


def put_over(source: Path, target: Path) -> None:
    """Puts a copy over a file, as it is done with files that somebody reads."""
    new = target.with_name(f"{target.name}.new")
    new.write_bytes(source.read_bytes())
    os.replace(new, target)
