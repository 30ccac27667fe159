"""Tailscale on the machine: its daemon's answers as they go over the wire, and what becomes of them."""

from __future__ import annotations

import contextlib
import json
import os
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Iterator

from exporter import Exporter
from exposition import Samples
from processes import wait_for

STATUS = {
    "Version": "1.90.2-tabcdef012-g345678901",
    "TUN": True,
    "BackendState": "Running",
    "AuthURL": "",
    "TailscaleIPs": ["100.101.102.103", "fd7a:115c:a1e0::1"],
    "Self": {
        "ID": "n1234CNTRL",
        "HostName": "anns-laptop",
        "DNSName": "anns-laptop.tail1234.ts.net.",
        "UserID": 1234567890,
        "Online": True,
        "KeyExpiry": "2027-01-02T03:04:05Z",
    },
    "Health": ["Some peers are advertising routes but --accept-routes is false"],
    "CurrentTailnet": {"Name": "ann@example.com", "MagicDNSSuffix": "tail1234.ts.net"},
    "User": {"1234567890": {"LoginName": "ann@example.com"}},
}


@contextlib.contextmanager
def daemon(path: Path, status: dict) -> Iterator[None]:
    """A daemon at its socket, with the checks of the real one."""

    class LocalApi(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            is_local = self.headers["Host"] in ("local-tailscaled.sock", "")
            if not is_local or self.headers["Origin"] or self.headers["Referer"]:
                code, body = 403, b"invalid localapi request"
            elif self.path.startswith("/localapi/v0/status?"):
                code, body = 200, json.dumps(status, indent="\t").encode()
            else:
                code, body = 404, b"404 page not found"
            self.send_response(code)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return "socket"

        def log_message(self, *_: object) -> None:
            pass

    class Listener(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
        daemon_threads = True

    with Listener(str(path), LocalApi) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()
    os.unlink(path)


def test_a_machine_enters_and_leaves_its_tailnet(exporter: Exporter, recorded: dict[str, Path], folder: Path) -> None:
    path = folder / "tailscaled.sock"
    configuration = exporter.configuration(recorded, tailscale={"socket": str(path)})
    with exporter.serving(configuration) as server:

        def scrape() -> Samples:
            samples = server.scrape("?collect[]=tailscale")
            assert samples.value("hermes_collector_success", collector="tailscale") == 1
            return samples

        def states(samples: Samples) -> list[str]:
            return [name for name, value in samples.by("hermes_tailscale_state", "state").items() if value == 1]

        samples = scrape()
        assert (samples.value("hermes_tailscale_up"), states(samples)) == (0, ["not_there"])
        with daemon(path, STATUS):
            samples = scrape()
            assert (samples.value("hermes_tailscale_up"), states(samples)) == (1, ["running"])
            assert samples.value("hermes_tailscale_key_expiry_timestamp_seconds") == 1798859045
            assert samples.value("hermes_tailscale_health_warnings") == 1
            assert samples.value("hermes_tailscale_info", version=STATUS["Version"]) == 1
            everything = server.get("/api/v1/instances").text + server.get("/metrics").text
            assert "100.101.102.103" in everything
            for personal in ("ann", "tail1234", "1234567890", "n1234CNTRL"):
                assert personal not in everything, personal
        with daemon(path, STATUS | {"BackendState": "Stopped"}):
            samples = scrape()
            assert (samples.value("hermes_tailscale_up"), states(samples)) == (0, ["stopped"])
        wait_for("the daemon to be gone", lambda: states(scrape()) == ["not_there"])
