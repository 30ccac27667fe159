"""Units: the exporter beside node_exporter's systemd collector, in a machine with a systemd of its own.

Both are asked for units alone. Besides what they use themselves, this shows what they make systemd and the bus do: the
processor time of those two, and the calls that go over the system's bus for one scrape.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import json
import re
import statistics
from pathlib import Path
from typing import Iterator

import unit_files
from machine import Machine, booted
from measure import Figures, Table, cpu_seconds, status_kib
from processes import free_port, running, wait_for
from turns import RHYTHMS, Target, connected, in_turns
from unit_readings import OTHER_COLLECTORS

PREFIX = "hermes-bench"
SCRAPES_LISTENED_TO = 10

# The peer's own names for what it is asked for.
NODE_EXPORTER = {
    "node_exporter, the same units": [f"--collector.systemd.unit-include={PREFIX}-.*"],
    "node_exporter, the same units, with restarts and start times": [
        f"--collector.systemd.unit-include={PREFIX}-.*",
        "--collector.systemd.enable-restarts-metrics",
        "--collector.systemd.enable-start-time-metrics",
    ],
    "node_exporter, its default: all units": [],
}
OURS = "hermes-exporter"


@contextlib.contextmanager
def serving(machine: Machine, called: str, *command: object) -> Iterator[Target]:
    """A program that serves metrics inside, as root."""
    port = free_port()
    filled = [str(word).replace("PORT", str(port)) for word in command]
    with running(*filled, **machine.options()) as program:
        connected(program, port).close()
        yield Target(program, port)


def configuration(machine: Machine, names: list[str]) -> Path:
    home = machine.share / "home"
    home.mkdir(exist_ok=True)
    listed = [{"role": "bench", "unit": name, "manager": "system"} for name in names]
    instance = {"name": "bench", "home": str(home), "user": "root", "units": listed}
    collectors = {name: {"enabled": False} for name in OTHER_COLLECTORS}
    path = machine.share / f"bench-{len(names)}.yml"
    path.write_text(json.dumps({"instances": [instance], "collectors": collectors}))
    return path


def processes_inside(machine: Machine, command: str) -> list[int]:
    """Direct children of the machine's first process that run a program, as they are numbered outside."""
    children = Path(f"/proc/{machine.leader}/task/{machine.leader}/children").read_text().split()
    return [int(pid) for pid in children if Path(f"/proc/{pid}/comm").read_text().strip() == command]


def calls_per_scrape(machine: Machine, target: Target) -> collections.Counter[str]:
    """What goes over the system's bus in some scrapes, by what is called; listened to as the bus's monitor.

    Counted are method calls, each of which is a round trip. Nobody else talks to systemd meanwhile but this function,
    whose own call marks the end.
    """
    end = ("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetId")
    with running("dbus-monitor", "--system", **machine.options()) as monitor:

        def marked(times: int) -> bool:
            machine.run("busctl", "--system", "call", *end).succeeded()
            return monitor.output().count("member=GetId") >= times

        wait_for("the monitor to listen", lambda: marked(1))
        begun = len(monitor.output())
        client = connected(target.program, target.port)
        for _ in range(SCRAPES_LISTENED_TO):
            client.scrape()
        client.close()
        wait_for("the monitor to have heard all", lambda: marked(2))
        heard = monitor.output()[begun:]
    found = re.findall(r"^method call .*? sender=(\S+) .*; member=(\w+)$", heard, re.M)
    ours = {sender for sender, member in found if member == "GetId"}
    return collections.Counter(member for sender, member in found if sender not in ours)


def measured(given: argparse.Namespace, folder: Path) -> None:
    for count in (3, 150):
        place = folder / f"units-{count}"
        place.mkdir()
        place.chmod(0o755)
        folder.chmod(0o755)
        with booted(given.exporter, place) as machine:
            compare(given, machine, count)


def compare(given: argparse.Namespace, machine: Machine, count: int) -> None:
    names = [f"{PREFIX}-{number:03d}.service" for number in range(count)]
    machine.write_units({name: unit_files.SLEEPS for name in names})
    machine.systemctl("start", *names)
    file = configuration(machine, names)
    bus = processes_inside(machine, "dbus-daemon")
    with contextlib.ExitStack() as stack:
        flags = ("--config.file", file, "--web.listen-address", "127.0.0.1:PORT", "--log.level", "warn")
        programs = {OURS: stack.enter_context(serving(machine, OURS, machine.binary, "serve", *flags))}
        for called, more in NODE_EXPORTER.items():
            flags = ("--web.listen-address=127.0.0.1:PORT", "--collector.disable-defaults", "--collector.systemd")
            programs[called] = stack.enter_context(
                serving(machine, called, given.node_exporter, *flags, "--web.disable-exporter-metrics", *more)
            )
        table = Table(
            f"{count} running units, one manager; all programs in turns",
            "scrapes",
            "program",
            "body",
            "latency in ms",
            "CPU per scrape in ms",
            "scrapes per CPU second",
            "ratio",
        )
        for rhythm, pause, per_turn in RHYTHMS:
            turns = max(1, (50 if pause else 200) // per_turn // (5 if given.quick else 1))
            series, clients, bodies = in_turns(programs, False, turns, pause, per_turn)
            for called, body in bodies.items():
                assert_whole(called, body, names)
            per_cpu_second = {called: 1 / statistics.mean(of.used) for called, of in series.items()}
            for called, of in series.items():
                table.row(
                    f"{turns * per_turn} {rhythm}",
                    called,
                    f"{clients[called].size / 1_000:.1f} kB",
                    Figures(of.took).times(1_000).quartet(),
                    Figures(of.used).times(1_000).middle(3),
                    f"{per_cpu_second[called]:.0f}",
                    f"{per_cpu_second[OURS] / per_cpu_second[called]:.1f}",
                )
                clients[called].close()
        print(table)
        table = Table(
            f"{count} running units: what one scrape costs others",
            "program",
            "calls over the bus",
            "of those",
            "CPU of systemd in ms",
            "CPU of the bus in ms",
            "resident memory",
        )
        for called, target in programs.items():
            calls = calls_per_scrape(machine, target)
            client = connected(target.program, target.port)
            scrapes = 50
            before = cpu_seconds(machine.leader), sum(map(cpu_seconds, bus))
            for _ in range(scrapes):
                client.scrape()
            after = cpu_seconds(machine.leader), sum(map(cpu_seconds, bus))
            client.close()
            shown = [f"{number / SCRAPES_LISTENED_TO:g} {member}" for member, number in calls.most_common()]
            table.row(
                called,
                f"{sum(calls.values()) / SCRAPES_LISTENED_TO:g}",
                ", ".join(shown) or "none",
                *(f"{(now - then) / scrapes * 1_000:.3f}" for then, now in zip(before, after)),
                f"{status_kib(target.program.pid, 'VmRSS') / 1_024:.1f} MiB",
            )
        print(table)


def assert_whole(called: str, body: bytes, names: list[str]) -> None:
    """Whether every unit is told as running."""
    text = body.decode()
    if called == OURS:
        found = set(re.findall(r'^hermes_unit_up\{.*unit="([^"]+)".*\} 1(?:\.0)?$', text, re.M))
    else:
        found = set(re.findall(r'^node_systemd_unit_state\{name="([^"]+)",state="active",.*\} 1$', text, re.M))
    missing = set(names) - found
    assert not missing, f"{called} does not say that these run: {sorted(missing)[:10]} of {len(missing)}"
