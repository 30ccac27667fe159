"""HTTP servers of a test's own, which answer as the test needs it."""

from __future__ import annotations

import contextlib
import http.server
import ssl
import threading
from typing import Iterator, Optional


class Door(http.server.BaseHTTPRequestHandler):
    """One that is silent about its requests; what it does with them is for those who make one of it."""

    def answer(self, status: int, body: bytes = b"", content_type: str = "text/plain") -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        pass


@contextlib.contextmanager
def opened(door: type[Door], encryption: Optional[ssl.SSLContext] = None) -> Iterator[int]:
    """The port of a server with this door for the length of a `with` block."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), door) as server:
        if encryption:
            server.socket = encryption.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
