"""Clients that take connections and do not come to an end with them."""

from __future__ import annotations

import contextlib
import resource
import select
import socket
from typing import Iterator

# For a server that speaks TLS.
HANDSHAKE = "half a handshake of TLS"

# What is sent on each connection, by what it is called.
OPENINGS = {
    "nothing": b"",
    "half a head": b"GET /metrics HTTP/1.1\r\nHost: a\r\nX-Slow: ",
    HANDSHAKE: b"\x16\x03\x01\x02\x00\x01",
    "half a body": b"POST /alertmanager HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{",
}


class Held:
    """Connections to a port that are held open."""

    def __init__(self, port: int, opening: bytes, count: int) -> None:
        self._poll = select.poll()
        self._sockets: dict[int, socket.socket] = {}
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", port), timeout=30)
            self._sockets[connection.fileno()] = connection
            self._poll.register(connection, select.POLLIN | select.POLLRDHUP)
            connection.sendall(opening)

    def trickle(self) -> None:
        """Sends one more byte on each that is open."""
        for connection in self._sockets.values():
            with contextlib.suppress(OSError):
                connection.send(b"x")

    def cut_off(self) -> list[int]:
        """Those that the other end has ended, or answered."""
        return [number for number, _ in self._poll.poll(0)]

    def close(self) -> None:
        for connection in self._sockets.values():
            connection.close()


@contextlib.contextmanager
def held(port: int, opening: bytes, count: int) -> Iterator[Held]:
    """So many connections on which this was sent, for the length of a `with` block."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    holding = Held(port, opening, count)
    try:
        yield holding
    finally:
        holding.close()
