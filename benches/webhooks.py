"""Notifications as Alertmanager posts them, and a client that posts many of them over many connections at once."""

from __future__ import annotations

import dataclasses
import hashlib
import heapq
import json
import selectors
import socket
import sys
import time
from pathlib import Path
from typing import Optional, Sequence

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "end_to_end"))

from alert_bridge import alert  # noqa: E402

# How long any answer may take.
PATIENCE_SECONDS = 60


def notification(name: str) -> dict:
    """What Alertmanager posts for one alert."""
    firing = {**alert(name), "status": "firing", "fingerprint": hashlib.sha256(name.encode()).hexdigest()[:16]}
    firing["endsAt"] = "0001-01-01T00:00:00Z"
    return {
        "receiver": "telegram",
        "status": "firing",
        "alerts": [firing],
        "groupLabels": {"alertname": name},
        "commonLabels": firing["labels"],
        "commonAnnotations": firing["annotations"],
        "externalURL": "http://alertmanager.example:9093",
        "version": "4",
        "groupKey": f'{{}}:{{alertname="{name}"}}',
        "truncatedAlerts": 0,
    }


def request(port: int, path: str, content: object) -> bytes:
    """A POST as it goes over the wire."""
    body = json.dumps(content).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def notifications(port: int, names: Sequence[str]) -> list[bytes]:
    """A POST to the bridge for each of these alerts."""
    return [request(port, "/alertmanager", notification(name)) for name in names]


@dataclasses.dataclass
class Posted:
    """How long each request took, and all of them together, in seconds."""

    took: list[float]
    elapsed: float

    @property
    def per_second(self) -> float:
        return len(self.took) / self.elapsed


class _Connection:
    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_SECONDS)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.answer = b""
        self.since = 0.0

    def send(self, content: bytes, since: float) -> None:
        self.answer, self.since = b"", since
        self.socket.sendall(content)

    def is_answered(self) -> bool:
        """Reads what is there; whether that is all of a good answer."""
        read = self.socket.recv(65_536)
        assert read, f"the connection was closed after {self.answer!r}"
        self.answer += read
        head, end, rest = self.answer.partition(b"\r\n\r\n")
        if not end:
            return False
        length = next(
            (line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b"content-length: 0"
        )
        if len(rest) < int(length.split(b":")[1]):
            return False
        assert head.startswith(b"HTTP/1.1 200"), self.answer[:500]
        return True


def post(port: int, requests: Sequence[bytes], connections: int, per_second: Optional[float] = None) -> Posted:
    """Posts them all, over so many connections: as fast as they are answered, or so many per second.

    What is to be posted at a certain time counts from that time, even where no connection was free.
    """
    opened = [_Connection(port) for _ in range(min(connections, len(requests)))]
    free = list(opened)
    took: list[float] = []
    waiting = [(0.0 if per_second is None else number / per_second, number) for number in range(len(requests))]
    heapq.heapify(waiting)
    with selectors.DefaultSelector() as selector:
        for connection in opened:
            selector.register(connection.socket, selectors.EVENT_READ, connection)
        begun = time.perf_counter()
        while len(took) < len(requests):
            now = time.perf_counter()
            while free and waiting and begun + waiting[0][0] <= now:
                at, number = heapq.heappop(waiting)
                free.pop().send(requests[number], now if per_second is None else begun + at)
            wait = begun + waiting[0][0] - time.perf_counter() if free and waiting else PATIENCE_SECONDS
            events = selector.select(max(0.0, wait))
            assert events or (free and waiting), f"no answer for {PATIENCE_SECONDS} s"
            now = time.perf_counter()
            for key, _ in events:
                if key.data.is_answered():
                    took.append(now - key.data.since)
                    free.append(key.data)
        elapsed = time.perf_counter() - begun
    for connection in opened:
        connection.socket.close()
    return Posted(took, elapsed)
