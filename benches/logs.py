"""A million records of a log, counted by the exporter, beside `grep -c` over the same bytes; and logs in which nothing
happens."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import time
from pathlib import Path

from exporter import Exporter, bare_environment
from measure import Figures, Table, cpu_seconds, sample, status_kib
from processes import free_port, running
from turns import connected

SELECTED = "/metrics?collect[]=logs"
LEVELS = ("INFO", "INFO", "INFO", "DEBUG", "INFO", "INFO", "WARNING", "INFO", "INFO", "ERROR")
MESSAGE = "API call #3: model=x provider=y in=1200 out=340 total=1540 latency=3.2s cache=80%"


def records(first: int, count: int) -> str:
    return "".join(
        f"2026-11-20 08:49:16,{number % 1000:03d} {LEVELS[number % 10]} [20261120_084916_ab12] agent.loop: {MESSAGE}\n"
        + ("Traceback (most recent call last):\n  File \"x.py\", line 1, in call\n" if number % 10 == 9 else "")
        for number in range(first, first + count)
    )


def grepped(paths: list[Path], times: int) -> tuple[int, list[float], list[float]]:
    """What grep counts, and the seconds and the processor time it takes."""
    took, used = [], []
    for _ in range(times):
        begun = time.perf_counter()
        # What the level is found by, without looking at the whole line.
        pattern = "^[0-9-]{10} [0-9:]{8},[0-9]{3} ERROR "
        process = subprocess.Popen(["grep", "-chE", pattern, *map(str, paths)], stdout=subprocess.PIPE, text=True)
        output = process.stdout.read()
        _, _, usage = os.wait4(process.pid, 0)
        took.append(time.perf_counter() - begun)
        used.append(usage.ru_utime + usage.ru_stime)
        process.returncode = 0
    return sum(int(line) for line in output.split()), took, used


def burst(given: argparse.Namespace, folder: Path) -> None:
    count, times = (50_000, 2) if given.quick else (1_000_000, 5)
    home = folder / "home"
    (home / "logs").mkdir(parents=True)
    log, rotated = home / "logs/agent.log", home / "logs/agent.log.1"
    (home / "logs/errors.log").touch()
    log.touch()
    file = Exporter(given.exporter, folder).configuration({"home": home}, {"units": []})
    port = free_port()
    flags = ("--config.file", file, "--web.listen-address", f"127.0.0.1:{port}", "--log.level", "warn")
    took, used, scrapes = [], [], []
    halves = [records(0, count // 2), records(count // 2, count - count // 2)]
    size = sum(len(half) for half in halves)
    with running(given.exporter, "serve", *flags, environment=bare_environment(folder)) as program:
        client = connected(program, port)
        client.path = SELECTED
        client.scrape()
        resting = status_kib(program.pid, "VmRSS")
        for number in range(1, times + 1):
            for half in halves:
                with log.open("a") as appended:
                    appended.write(half)
                if half is halves[0]:
                    log.rename(rotated)
            begun, before = time.perf_counter(), cpu_seconds(program.pid)
            while True:
                seconds, body = client.scrape()
                scrapes.append(seconds)
                counted = sum(
                    sample(body, "hermes_log_lines_total", log="agent", level=level.lower()) for level in set(LEVELS)
                )
                if counted == number * count:
                    break
                assert counted < number * count, f"{counted} are counted of {number * count}"
                assert time.perf_counter() - begun < 60, f"only {counted} are counted of {number * count}"
                time.sleep(0.02)
            took.append(time.perf_counter() - begun)
            used.append(cpu_seconds(program.pid) - before)
            errors, grep_took, grep_used = grepped([rotated, log], 3)
            assert errors == count // 10, errors
            # The next burst begins in a file of its own.
            rotated.unlink()
            log.rename(rotated)
            log.touch()
            client.scrape()
            rotated.unlink()
        table = Table(
            f"A burst of {count:,} records ({size / 1e6:.0f} MB), rotated in its middle, {times} times; asked every 20 ms",
            "program",
            "until all is counted in ms",
            "CPU in ms",
            "CPU per MB in ms",
            "slowest scrape meanwhile in ms",
            "memory before",
            "highest",
        )
        table.row(
            "hermes-exporter, by level",
            Figures(took).times(1_000).middle(0),
            Figures(used).times(1_000).middle(0),
            Figures(used).times(1e9 / size).middle(),
            f"{max(scrapes) * 1_000:.1f}",
            f"{resting / 1_024:.1f} MiB",
            f"{status_kib(program.pid, 'VmHWM') / 1_024:.1f} MiB",
        )
        table.row(
            "grep -cE, one level",
            Figures(grep_took).times(1_000).middle(0),
            Figures(grep_used).times(1_000).middle(0),
            Figures(grep_used).times(1e9 / size).middle(),
            "",
            "",
            "",
        )
        print(table)
        client.close()


def idle(given: argparse.Namespace, folder: Path) -> None:
    count, scrapes = (50, 20) if given.quick else (1_000, 200)
    instances = []
    long_ago = time.time() - 3_600
    for number in range(count):
        home = folder / f"idle-{number}"
        (home / "logs").mkdir(parents=True)
        for log in ("agent", "errors", "gateway"):
            path = home / f"logs/{log}.log"
            path.write_text(records(0, 10))
            os.utime(path, (long_ago, long_ago))
        instances.append({"name": f"home-{number}", "home": str(home), "units": []})
    file = folder / "idle.yml"
    file.write_text(json.dumps({"instances": instances}))
    port = free_port()
    flags = ("--config.file", file, "--web.listen-address", f"127.0.0.1:{port}", "--log.level", "warn")
    with running(given.exporter, "serve", *flags, environment=bare_environment(folder)) as program:
        client = connected(program, port)
        table = Table(
            f"{count:,} homes whose logs do not change; {scrapes} scrapes, back to back",
            "collector",
            "latency in ms",
            "CPU per scrape in ms",
            "CPU per home in µs",
        )
        # Of the others home does least: what is left of it is what any collector costs.
        for collector in ("logs", "home"):
            client.path = f"/metrics?collect[]={collector}"
            for _ in range(5):
                client.scrape()
            before = cpu_seconds(program.pid)
            took = [client.scrape()[0] for _ in range(scrapes)]
            used = (cpu_seconds(program.pid) - before) / scrapes
            table.row(
                collector, Figures(took).times(1_000).quartet(1), f"{used * 1_000:.2f}", f"{used * 1e6 / count:.1f}"
            )
        print(table)
        client.close()


def measured(given: argparse.Namespace, folder: Path) -> None:
    burst(given, folder)
    idle(given, folder)
