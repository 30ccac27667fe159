"""Buses that misbehave: sockets that are where a user's bus should be, and answer as a test wants."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from typing import Callable, Iterator

from machine import Account, Machine

# What a bus says to a client that has been let in, and how the client says that it has begun.
SERVER_ID = b"OK 0123456789abcdef0123456789abcdef\r\n"
BEGIN = b"BEGIN\r\n"


def _lines_until_begin(peer: socket.socket) -> None:
    """Lets a client in, whoever it says it is."""
    received = b""
    answered = 0
    while BEGIN not in received:
        piece = peer.recv(4_096)
        if not piece:
            raise ConnectionError("gone")
        received += piece
        for line in received.split(b"\r\n")[answered:-1]:
            answered += 1
            if b"AUTH" in line or b"DATA" in line:
                peer.sendall(SERVER_ID)
            elif b"NEGOTIATE_UNIX_FD" in line:
                peer.sendall(b"AGREE_UNIX_FD\r\n")


def says_nothing(peer: socket.socket) -> None:
    while peer.recv(4_096):
        pass


def hangs_up(peer: socket.socket) -> None:
    pass


def refuses(peer: socket.socket) -> None:
    peer.recv(4_096)
    peer.sendall(b"REJECTED\r\n")
    says_nothing(peer)


def is_a_web_server(peer: socket.socket) -> None:
    peer.recv(4_096)
    peer.sendall(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")


def never_ends_its_line(peer: socket.socket) -> None:
    while True:
        peer.sendall(b"x" * 65_536)


def lets_in_and_says_nothing(peer: socket.socket) -> None:
    _lines_until_begin(peer)
    says_nothing(peer)


def lets_in_and_talks_nonsense(peer: socket.socket) -> None:
    _lines_until_begin(peer)
    while True:
        peer.sendall(os.urandom(4_096))


def announces_a_message_of_128_mib(peer: socket.socket) -> None:
    _lines_until_begin(peer)
    size = (128 * 1024 * 1024 - 16).to_bytes(4, "little")
    # A reply in little-endian, with a body of that size and no header fields; the body begins and never ends.
    peer.sendall(b"l\x02\x00\x01" + size + (1).to_bytes(4, "little") + (0).to_bytes(4, "little"))
    while True:
        peer.sendall(b"\x00" * 65_536)
        threading.Event().wait(0.01)


MISBEHAVIOURS: dict[str, Callable[[socket.socket], None]] = {
    of.__name__.replace("_", " "): of
    for of in (
        says_nothing,
        hangs_up,
        refuses,
        is_a_web_server,
        never_ends_its_line,
        lets_in_and_says_nothing,
        lets_in_and_talks_nonsense,
        announces_a_message_of_128_mib,
    )
}


@contextlib.contextmanager
def misbehaving(machine: Machine, account: Account, how: Callable[[socket.socket], None]) -> Iterator[None]:
    """Puts a socket where the bus of somebody without a manager would be, and answers there."""
    folder = machine.path(account.runtime)
    folder.mkdir(mode=0o700)
    os.chown(folder, account.uid, account.uid)
    path = folder / "bus"
    listener = socket.socket(socket.AF_UNIX)
    peers: list[socket.socket] = []

    def talk(peer: socket.socket) -> None:
        with contextlib.suppress(OSError):
            how(peer)
        peer.close()

    def accept() -> None:
        while True:
            try:
                peer, _ = listener.accept()
            except OSError:
                return
            peers.append(peer)
            threading.Thread(target=talk, args=(peer,), daemon=True).start()

    try:
        listener.bind(str(path))
        os.chown(path, account.uid, account.uid)
        listener.listen(64)
        threading.Thread(target=accept, daemon=True).start()
        yield
    finally:
        # Closing alone does not wake a thread that waits in one of them.
        for end in (listener, *peers):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        path.unlink(missing_ok=True)
        folder.rmdir()
