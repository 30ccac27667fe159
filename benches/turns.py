"""Scrapes of several programs in turns, so that they are compared on the same machine in the same minutes."""

from __future__ import annotations

import dataclasses
import time
from typing import Mapping

from measure import Client, cpu_seconds
from processes import Program


@dataclasses.dataclass(frozen=True)
class Target:
    """A program that serves metrics."""

    program: Program
    port: int


def connected(program: Program, port: int, packed: bool = False) -> Client:
    """A client, as soon as somebody listens."""
    deadline = time.monotonic() + 60
    while True:
        client = Client(port, packed)
        try:
            client.connection.connect()
            return client
        except ConnectionRefusedError:
            program.assert_running()
            assert time.monotonic() < deadline, "nobody listens"
            time.sleep(0.000_5)


# How scrapes follow each other: what it is called, the pause before each in seconds, and how many come in a turn.
# Prometheus leaves seconds between them, in which processors go to sleep and caches go cold; that is the rhythm that
# counts. Back to back shows what the program itself needs.
RHYTHMS = (("back to back", 0.0, 50), ("after a pause of 0.5 s", 0.5, 1))


@dataclasses.dataclass
class Series:
    """Scrapes of one program: how long each took, and what they used of the processor."""

    took: list[float] = dataclasses.field(default_factory=list)
    used: list[float] = dataclasses.field(default_factory=list)


def in_turns(
    programs: Mapping[str, Target], packed: bool, turns: int, pause: float, per_turn: int
) -> tuple[dict[str, Series], dict[str, Client], dict[str, bytes]]:
    """Scrapes the programs in turns, so that whatever else goes on in the machine meets all of them alike."""
    clients = {called: connected(of.program, of.port, packed) for called, of in programs.items()}
    series = {called: Series() for called in programs}
    bodies = {}
    for client in clients.values():
        for _ in range(20):
            client.scrape()
    for _ in range(turns):
        for called, client in clients.items():
            if pause:
                time.sleep(pause)
            pid = programs[called].program.pid
            before = cpu_seconds(pid)
            for _ in range(per_turn):
                seconds, bodies[called] = client.scrape()
                series[called].took.append(seconds)
            series[called].used.append((cpu_seconds(pid) - before) / per_turn)
    return series, clients, bodies
