#!/usr/bin/env python3
"""Measures the exporter, beside Debian's node_exporter in the same run, and prints tables of figures.

    python benches/run.py --exporter target/release/hermes-exporter --hermes-python PYTHON [--quick]

Six parts: two homes with a living gateway; a thousand homes; one home with a very large store; a million records of
a log; a backup of 50,000 files, beside git; units of a systemd, booted for that, which needs root. Nothing here fails
because something is slow: figures are for reading. It fails when an answer is wrong or incomplete.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Iterator, Optional, Sequence

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "end_to_end"))

import backup  # noqa: E402
import homes  # noqa: E402
import large_home  # noqa: E402
import logs  # noqa: E402
import units  # noqa: E402
from measure import Client, Figures, Table, bytes_read, cpu_seconds, sample, status_kib  # noqa: E402
from processes import Program, free_port, running, wait_for  # noqa: E402
from turns import RHYTHMS, Target, connected, in_turns  # noqa: E402

INSTANCE_COLLECTORS = ("gateway", "cron", "credentials", "inventory", "sessions", "activity", "home")


def configuration(folder: Path, instances: dict[str, Path]) -> Path:
    """A configuration of these homes; JSON is YAML as well."""
    path = folder / "hermes-exporter.yml"
    path.write_text(json.dumps({"instances": [{"name": name, "home": str(home)} for name, home in instances.items()]}))
    return path


@contextlib.contextmanager
def served(exporter: Path, file: Path) -> Iterator[tuple[Program, int]]:
    """The exporter serving; not waited for."""
    port = free_port()
    flags = ("--config.file", file, "--web.listen-address", f"127.0.0.1:{port}", "--log.level", "warn")
    with running(exporter, "serve", *flags) as program:
        yield program, port


def is_complete(body: bytes, instances: Sequence[str]) -> bool:
    """Whether every collector that a home has something for has succeeded, for every instance."""
    wanted = tuple(f'collector="{name}"' for name in INSTANCE_COLLECTORS)
    succeeded = sum(
        line.startswith("hermes_collector_success{")
        and any(name in line for name in wanted)
        and float(line.rpartition(" ")[2]) == 1
        for line in body.decode().splitlines()
    )
    return succeeded == len(instances) * len(INSTANCE_COLLECTORS)


def assert_complete(body: bytes, instances: Sequence[str]) -> None:
    failed = [
        line
        for line in body.decode().splitlines()
        if line.startswith("hermes_collector_success{") and float(line.rpartition(" ")[2]) == 0
    ]
    assert is_complete(body, instances), f"not every collector succeeded: {failed[:10] or body[:2_000].decode()}"


# Two homes.


@contextlib.contextmanager
def node_exporter(binary: Path) -> Iterator[tuple[Program, int, str]]:
    """Debian's node_exporter with its systemd collector where that works, else as it comes."""
    for flags, called in (
        (["--collector.systemd"], "node_exporter with --collector.systemd"),
        ([], "node_exporter, defaults"),
    ):
        port = free_port()
        with running(binary, f"--web.listen-address=127.0.0.1:{port}", *flags) as program:
            client = connected(program, port)
            _, body = client.scrape()
            client.close()
            if not flags or sample(body, "node_scrape_collector_success", collector="systemd") == 1:
                yield program, port, called
                return


def start_to_full_scrape(exporter: Path, file: Path, instances: Sequence[str], times: int) -> list[float]:
    """From before the program is started to the last byte of a scrape in which nothing is missing."""
    found = []
    for _ in range(times):
        begun = time.perf_counter()
        with served(exporter, file) as (program, port):
            client = connected(program, port)
            while True:
                _, body = client.scrape()
                if is_complete(body, instances):
                    break
                assert time.perf_counter() - begun < 60, "never complete"
            found.append(time.perf_counter() - begun)
            client.close()
    return found


def two_homes(given: argparse.Namespace, folder: Path) -> None:
    recorded = homes.build(folder / "two", given.hermes_python)
    file = configuration(folder, recorded)
    names = list(recorded)
    with contextlib.ExitStack() as stack:
        stack.enter_context(homes.gateway(recorded["vijay"], given.hermes_python))
        starts = start_to_full_scrape(given.exporter, file, names, 5)
        program, port = stack.enter_context(served(given.exporter, file))
        node, node_port, node_called = stack.enter_context(node_exporter(given.node_exporter))
        programs = {
            "hermes-exporter": Target(program, port),
            node_called: Target(node, node_port),
        }
        table = Table(
            "Two homes, one with a living gateway, warm; both programs in turns",
            "scrapes",
            "encoding",
            "program",
            "body",
            "latency in ms",
            "CPU per scrape in ms",
            "scrapes per CPU second",
            "ratio",
        )
        for rhythm, pause, per_turn in RHYTHMS:
            turns = (100 if pause else 1_000) // per_turn // (5 if given.quick else 1)
            for packed in (False, True):
                series, clients, bodies = in_turns(programs, packed, turns, pause, per_turn)
                assert_complete(bodies["hermes-exporter"], names)
                per_cpu_second = {called: 1 / statistics.mean(of.used) for called, of in series.items()}
                for called, of in series.items():
                    table.row(
                        f"{turns * per_turn} {rhythm}",
                        "gzip" if packed else "none",
                        called,
                        f"{clients[called].size / 1_000:.1f} kB",
                        Figures(of.took).times(1_000).quartet(),
                        Figures(of.used).times(1_000).middle(3),
                        f"{per_cpu_second[called]:.0f}",
                        f"{per_cpu_second['hermes-exporter'] / per_cpu_second[called]:.1f}",
                    )
                    clients[called].close()
        print(table)
        table = Table(
            "Two homes: memory and start", "program", "resident memory", "highest", "start to first full scrape in ms"
        )
        for called, measured in programs.items():
            table.row(
                called,
                f"{status_kib(measured.program.pid, 'VmRSS') / 1_024:.1f} MiB",
                f"{status_kib(measured.program.pid, 'VmHWM') / 1_024:.1f} MiB",
                Figures(starts).times(1_000).middle(0) if called == "hermes-exporter" else "",
            )
        print(table)


# A thousand homes.


def many_homes(given: argparse.Namespace, folder: Path) -> None:
    count, scrapes = (100, 20) if given.quick else (1_000, 50)
    place = folder / "many"
    place.mkdir()
    original = homes.unpack(folder / "original")["bheem"]
    instances = {f"home-{number:04d}": place / f"home-{number:04d}" for number in range(count)}
    for home in instances.values():
        subprocess.run(["cp", "-a", original, home], check=True)
    file = configuration(folder, instances)
    names = list(instances)
    table = Table(
        f"{count} homes; {scrapes} warm scrapes of each kind",
        "encoding",
        "first scrape in ms",
        "back to back in ms",
        "after a pause of 0.5 s in ms",
        "CPU per scrape in ms",
        "body",
        "resident memory",
        "highest",
    )
    for packed in (False, True):
        with served(given.exporter, file) as (program, port):
            client = connected(program, port, packed)
            first, body = client.scrape()
            complete = first
            begun = time.perf_counter()
            while not is_complete(body, names):
                assert time.perf_counter() - begun < 120, "never complete"
                _, body = client.scrape()
                complete = first + time.perf_counter() - begun
            took = {}
            before = cpu_seconds(program.pid)
            for rhythm, pause, _ in RHYTHMS:
                took[rhythm] = []
                for _ in range(scrapes):
                    time.sleep(pause)
                    seconds, body = client.scrape()
                    took[rhythm].append(seconds)
            used = (cpu_seconds(program.pid) - before) / (scrapes * len(RHYTHMS))
            assert_complete(body, names)
            table.row(
                "gzip" if packed else "none",
                f"{first * 1_000:.0f}" + ("" if complete == first else f", complete after {complete * 1_000:.0f}"),
                *(Figures(took[rhythm]).times(1_000).quartet(1) for rhythm, _, _ in RHYTHMS),
                f"{used * 1_000:.1f}",
                f"{client.size / 1e6:.2f} MB",
                f"{status_kib(program.pid, 'VmRSS') / 1_024:.0f} MiB",
                f"{status_kib(program.pid, 'VmHWM') / 1_024:.0f} MiB",
            )
            client.close()
    print(table)
    shutil.rmtree(place)


# One very large home.

NEW_MESSAGES = 500


def forget_cached_pages(path: Path) -> None:
    """Asks the kernel to drop what it has cached of a file."""
    with open(path, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def first_look(exporter: Path, file: Path, whole_messages: int, table: Table, called: str) -> None:
    """What scrapes find from the start until nothing is missing any more."""
    begun = time.perf_counter()
    known: dict[str, float] = {}
    took = []
    with served(exporter, file) as (program, port):
        client = connected(program, port)
        while len(known) < 3:
            seconds, body = client.scrape()
            took.append(seconds)
            since = time.perf_counter() - begun
            stored = sample(body, "hermes_stored_messages")
            assert stored in (None, whole_messages), f"{stored} messages are told, there are {whole_messages}"
            for what, here in (
                ("sessions", sample(body, "hermes_sessions") is not None),
                ("messages", stored is not None),
                ("activity", sample(body, "hermes_collector_success", collector="activity") == 1),
            ):
                if here:
                    known.setdefault(what, since)
            assert since < 600, f"only {known} are known after ten minutes"
            time.sleep(0.05)
        table.row(
            called,
            f"{took[0] * 1_000:.0f}",
            *(f"{known[what]:.2f}" for what in ("sessions", "messages", "activity")),
            f"{max(took) * 1_000:.0f}",
            f"{cpu_seconds(program.pid):.2f}",
            f"{bytes_read(program.pid) / 1e6:.0f}",
            f"{status_kib(program.pid, 'VmHWM') / 1_024:.1f} MiB",
        )
        client.close()


class Growing:
    """The large store, with somebody who writes to it as Hermes does, and who cleans up."""

    def __init__(self, path: Path) -> None:
        self.store = sqlite3.connect(path, isolation_level=None)
        (self.kept,) = self.store.execute("SELECT max(id) FROM messages").fetchone()
        (self.session,) = self.store.execute("SELECT id FROM sessions ORDER BY started_at DESC LIMIT 1").fetchone()
        self.writer = large_home.Writer(seed=2)

    def add(self, count: int) -> None:
        now = time.time()
        rows = list(self.writer.messages(self.session, count, now - count * 0.01, 0.01))
        self.store.execute("BEGIN IMMEDIATE")
        self.store.executemany(large_home.INSERT_MESSAGE, rows)
        self.store.execute("COMMIT")

    def close(self) -> None:
        self.store.execute("DELETE FROM messages WHERE id > ?", [self.kept])
        self.store.execute("UPDATE sqlite_sequence SET seq = ? WHERE name = 'messages'", [self.kept])
        self.store.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self.store.close()


def settled(client: Client, program: Program, messages: Optional[int] = None) -> bytes:
    """Waits until this many messages are counted, turns with them, and nothing goes on in the background."""

    def nothing_goes_on() -> bytes:
        _, body = client.scrape()
        assert messages is None or sample(body, "hermes_messages_total") == messages, sample(
            body, "hermes_messages_total"
        )
        assert sample(body, "hermes_collector_success", collector="activity") == 1
        before = cpu_seconds(program.pid)
        time.sleep(0.25)
        assert cpu_seconds(program.pid) - before < 0.002, "something goes on"
        return body

    return wait_for("the exporter to settle", nothing_goes_on, seconds=300)


def large(given: argparse.Namespace, folder: Path) -> None:
    sessions, messages = (2_000, 40_000) if given.quick else (given.sessions, given.messages)
    home = large_home.home(given.cache, given.hermes_python, sessions, messages)
    path = home / "state.db"
    file = configuration(folder, {"large": home})
    size = path.stat().st_size
    what = f"{sessions:,} sessions, {messages:,} messages, {size / 1e9:.2f} GB"
    table = Table(
        f"First look at a large home ({what}); seconds since the start",
        "page cache",
        "first scrape in ms",
        "sessions known",
        "messages known",
        "activity succeeds",
        "slowest scrape meanwhile in ms",
        "CPU in s",
        "read in MB",
        "highest memory",
    )
    forget_cached_pages(path)
    first_look(given.exporter, file, messages, table, "dropped")
    path.read_bytes() if size < 1e9 else subprocess.run(
        ["dd", f"if={path}", "of=/dev/null", "bs=4M", "status=none"], check=True
    )
    first_look(given.exporter, file, messages, table, "full")
    print(table)

    scrapes = 50 if given.quick else 500
    table = Table(
        "The large home, warm",
        "what",
        "times",
        "latency in ms",
        "CPU in ms",
        "bytes read per scrape",
        "resident memory",
    )
    with served(given.exporter, file) as (program, port):
        client = connected(program, port)
        settled(client, program)
        read, used = bytes_read(program.pid), cpu_seconds(program.pid)
        took = [client.scrape()[0] for _ in range(scrapes)]
        used, read = cpu_seconds(program.pid) - used, bytes_read(program.pid) - read
        table.row(
            "nothing has changed, back to back",
            scrapes,
            Figures(took).times(1_000).quartet(),
            f"{used / scrapes * 1_000:.3f}",
            f"{read / scrapes:.0f}",
            f"{status_kib(program.pid, 'VmRSS') / 1_024:.1f} MiB",
        )
        growing = Growing(path)
        try:
            latencies, at_once, with_background, reads = [], [], [], []
            for number in range(1, 11):
                settled(client, program)
                growing.add(NEW_MESSAGES)
                wanted = growing.kept + number * NEW_MESSAGES
                read, used = bytes_read(program.pid), cpu_seconds(program.pid)
                seconds, body = client.scrape()
                latencies.append(seconds)
                at_once.append(cpu_seconds(program.pid) - used)
                reads.append(bytes_read(program.pid) - read)
                settled(client, program, wanted)
                with_background.append(cpu_seconds(program.pid) - used)
            table.row(
                f"{NEW_MESSAGES} new messages, the scrape",
                10,
                Figures(latencies).times(1_000).quartet(),
                Figures(at_once).times(1_000).middle(),
                Figures(reads).middle(0),
                f"{status_kib(program.pid, 'VmRSS') / 1_024:.1f} MiB",
            )
            table.row(
                "the same, with what followed in the background and a few scrapes",
                10,
                "",
                Figures(with_background).times(1_000).middle(),
                "",
                "",
            )
        finally:
            growing.close()
        client.close()
    print(table)


def first_line(*command: object) -> str:
    """The first line of what a program writes."""
    output = subprocess.run([str(word) for word in command], capture_output=True, text=True).stdout
    return (output.splitlines() or ["?"])[0]


def facts(given: argparse.Namespace) -> None:
    """What was measured, and on what."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = models[0].partition(": ")[2] if models else "unknown"
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 1_048_576
    kernel = f"{platform.system()} {platform.release()}"
    print(f"- {os.cpu_count()} cores ({model}), {memory:.0f} GiB, {kernel}, load {os.getloadavg()[0]:.1f}")
    size = given.exporter.stat().st_size / 1e6
    node = first_line(given.node_exporter, "--version").partition(" (")[0]
    print(f"- {first_line(given.exporter, '--version')}, {size:.1f} MB; {node}")
    print(
        "- latencies are seen from a client in Python, which adds its own time; ranges are from the least to the most\n"
    )


PARTS = {
    "two": two_homes,
    "many": many_homes,
    "large": large,
    "logs": logs.measured,
    "backup": backup.measured,
    "units": units.measured,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exporter", type=Path, required=True, help="the binary to measure; a release build")
    parser.add_argument("--node-exporter", type=Path, default=Path("/usr/bin/prometheus-node-exporter"))
    parser.add_argument(
        "--hermes-python", type=Path, required=True, help="a Python that has hermes-agent and time-machine"
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path(tempfile.gettempdir()) / "hermes-exporter-benches",
        help="where the large home is kept (default: %(default)s)",
    )
    parser.add_argument("--sessions", type=int, default=100_000, help="of the large home")
    parser.add_argument("--messages", type=int, default=2_000_000, help="of the large home")
    parser.add_argument("--quick", action="store_true", help="less of everything: to see that it works")
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part; may be repeated")
    given = parser.parse_args()
    given.exporter = given.exporter.absolute()
    given.hermes_python = given.hermes_python.absolute()
    facts(given)
    for name, part in PARTS.items():
        if not given.only or name in given.only:
            with tempfile.TemporaryDirectory(prefix="hermes-exporter-bench-") as folder:
                part(given, Path(folder))
                sys.stdout.flush()


if __name__ == "__main__":
    main()
