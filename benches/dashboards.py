#!/usr/bin/env python3
"""Measures every query of the dashboards at a thousand instances, beside the same without recording rules.

    HERMES_EXPORTER=target/release/hermes-exporter PYTHON benches/dashboards.py [--quick] [--only DASHBOARD]

A few homes, of which a third has a bad day, are scraped once, and a real Prometheus scrapes that under a thousand
names. It has the shipped rules, and a history made up from the same: a day of what is recorded and of one instance,
six hours of all others. Each query is put as Grafana would put it, for 6 and for 24 hours, one after the other. The
peer in the same run is each query with what is recorded written out. PYTHON is that of the
end-to-end tests, with what tests/end_to_end/requirements.txt names. It needs `prometheus`, `promtool`, `s6`, 6 GB of
disk and of memory, and a quarter of an hour. Nothing here fails because something is slow: figures are for reading. It
fails when Prometheus refuses a query that it should not.

Hermes Instance with All is for dozens of instances, and is measured at a thousand all the same: it takes tens of seconds
(38 s of queries in sum for 6 hours, at a load of 16 on two processors).
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import gzip
import http.server
import json
import math
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Iterator, Optional

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tests" / "end_to_end"))

import fleet  # noqa: E402
from exporter import Exporter  # noqa: E402
from measure import Client, Table  # noqa: E402
from monitoring import rules_at_once  # noqa: E402
from processes import Program, free_port, running, wait_for  # noqa: E402

RULES = REPOSITORY / "alerts" / "rules"
DASHBOARDS = {name: REPOSITORY / "dashboards" / f"hermes-{name}.json" for name in ("fleet", "instance")}
HOUR = 3600
# As shipped: how often is scraped and evaluated.
INTERVAL = 30
# How far apart the points of the history are: as if scraped half as often.
SPACING = 60
# What Grafana makes the step of, for a panel of 1,000 points; see `step`.
RANGES = {"6 h": 6 * HOUR, "24 h": 24 * HOUR}
LIMIT = 100.0  # milliseconds; what is slower is counted
HOMES = 12
SUFFIXES = 7  # ways in which values move in the history

CONFIGURATION = """\
global: {{scrape_interval: {interval}s, scrape_timeout: {interval}s, evaluation_interval: {interval}s}}
rule_files: ["rules/*.yml"]
scrape_configs:
  - job_name: hermes
    honor_labels: true
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""


# ---- a thousand instances ----


@dataclasses.dataclass(frozen=True)
class Series:
    """A series as it is written, `name{labels}`, with the value that it had."""

    written: str
    value: float

    @property
    def name(self) -> str:
        return self.written.partition("{")[0]


def scraped(exporter: Path, folder: Path) -> tuple[str, list[str]]:
    """What the exporter says of a few homes, once everything was looked at, and their names."""
    folder.mkdir(mode=0o755)
    with fleet.configured(folder, Exporter(exporter, folder), HOMES, "bad") as configuration:
        names = [one["name"] for one in json.loads(configuration.read_text())["instances"]]
        port = free_port()
        flags = ("--config.file", configuration, "--web.listen-address", f"127.0.0.1:{port}", "--log.level", "error")
        with running(exporter, "serve", *flags) as program:

            def body() -> Optional[str]:
                program.assert_running()
                client = Client(port)
                text = client.scrape()[1].decode()
                client.close()
                failing = re.findall(r'^hermes_collector_success\{.*collector="activity".*\} 0', text, re.M)
                return text if len(failing) <= 1 else None

            return wait_for("all that is told of the homes", body, seconds=60, pause=1), names


def multiplied(text: str, names: list[str], count: int, asked: set[str]) -> list[str]:
    """The lines under `count` names instead of a few, without what neither a dashboard nor a rule asks for."""
    of_machine, of_instance = [], {name: [] for name in names}
    for line in text.splitlines():
        if line.startswith("#") or re.match(r"\w+", line)[0] not in asked:
            continue
        found = re.search(r'[{,]instance="([^"]*)"', line)
        (of_instance[found[1]] if found else of_machine).append(line)
    wholes = {name: "\n".join(lines) for name, lines in of_instance.items()}
    for number in range(count):
        name = names[number % len(names)]
        of_machine += wholes[name].replace(f'instance="{name}"', f'instance="{called(number)}"').splitlines()
    return of_machine


def called(number: int) -> str:
    return f"hermes-{number:04}"


@contextlib.contextmanager
def answering(lines: list[str]) -> Iterator[int]:
    """A server that answers each scrape with these lines, and its port."""
    packed = gzip.compress(("\n".join(lines) + "\n").encode(), 1)

    class Same(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.send_header("Content-Encoding", "gzip")
            self.send_header("Content-Length", str(len(packed)))
            self.end_headers()
            self.wfile.write(packed)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Same) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


# ---- Prometheus ----


@dataclasses.dataclass(frozen=True)
class Prometheus:
    """A running Prometheus."""

    port: int
    program: Program

    def ask(self, path: str, seconds: float = 120, **query: object) -> tuple[float, bytes]:
        """How many milliseconds until the last byte of the answer was here, and the answer."""
        self.program.assert_running()
        url = f"http://127.0.0.1:{self.port}/{path}?{urllib.parse.urlencode(query)}"
        begun = time.perf_counter()
        try:
            with urllib.request.urlopen(url, timeout=seconds) as answer:
                body = answer.read()
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{query}: {error.read().decode()}") from None
        return (time.perf_counter() - begun) * 1000, body

    def vector(self, query: str) -> list[Series]:
        """The series that a query finds now."""
        found = []
        for one in json.loads(self.ask("api/v1/query", query=query)[1])["data"]["result"]:
            labels = {label: value for label, value in one["metric"].items() if label != "__name__"}
            written = ",".join(f"{label}={json.dumps(value)}" for label, value in labels.items())
            found.append(Series(f"{one['metric']['__name__']}{{{written}}}", float(one["value"][1])))
        return found

    def found(self, query: str) -> bool:
        """Whether the query has an answer now."""
        return bool(json.loads(self.ask("api/v1/query", query=query)[1])["data"]["result"])

    def groups(self) -> list[dict]:
        return json.loads(self.ask("api/v1/rules")[1])["data"]["groups"]


@contextlib.contextmanager
def prometheus(given: argparse.Namespace, folder: Path, target: int, interval: int, times: int) -> Iterator[Prometheus]:
    """One that has scraped, and has evaluated every rule so often since."""
    rules_at_once(RULES, folder / "rules", None if interval == INTERVAL else f"{interval}s")
    configuration = folder / "prometheus.yml"
    configuration.write_text(CONFIGURATION.format(interval=interval, port=target))
    port = free_port()
    flags = [f"--config.file={configuration}", f"--storage.tsdb.path={folder / 'data'}", "--log.level=error"]
    flags += [f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=90d"]
    with running(given.prometheus, *flags) as program:
        if given.nice:
            # Each session has a share of its own on Linux; the niceness of a process counts within it alone.
            os.setpriority(os.PRIO_PROCESS, program.pid, given.nice)
            with contextlib.suppress(FileNotFoundError):
                Path(f"/proc/{program.pid}/autogroup").write_text(str(given.nice))
        one = Prometheus(port, program)
        seen: dict[str, set[str]] = {}

        def is_judged() -> bool:
            if not program.is_running():
                raise RuntimeError(program.everything())
            if one.found("hermes_exporter_build_info"):
                for group in one.groups():
                    seen.setdefault(group["name"], set()).add(group["lastEvaluation"])
            return bool(seen) and all(len(moments) > times for moments in seen.values())

        wait_for("every rule to be evaluated", is_judged, 300, 2)
        yield one


# ---- a history ----


def movements(begin: int, end: int, spacing: int) -> list[list[tuple[float, str]]]:
    """Ways in which a value moves: what it is multiplied with, and when."""
    times = range(begin, end, spacing)
    return [[(0.75 + (at // spacing * (way + 3) % 97) / 400, str(at)) for at in times] for way in range(SUFFIXES)]


class History:
    """Lines of a block of two hours, from what each series is now."""

    def __init__(self, begin: int, end: int) -> None:
        self.moving = movements(begin, end, SPACING)
        self.end = end
        self.known: dict[tuple, list[str]] = {}

    def lines(self, one: Series, number: int) -> str:
        """Counters grow, alerts begin now and then, and what is one thing or the other stays what it is."""
        kind = next((kind for part, kind in KINDS.items() if part in one.name), "gauge")
        way = number % SUFFIXES
        number %= 331
        key = (kind, one.value, way, number if kind in ("started", "began") else 0)
        if key not in self.known:
            self.known[key] = [f" {value:g} {at}\n" for value, at in self._values(kind, one.value, way, number)]
        points = self.known[key]
        return one.written + one.written.join(points) if points else ""

    def _values(self, kind: str, value: float, way: int, number: int) -> Iterator[tuple[float, str]]:
        for factor, at in self.moving[way]:
            if kind == "started":
                yield float((int(at) // 60 + number * 7) % 331 == 0), at
            elif kind == "began":
                if (int(at) // 60 + number * 7) % 331 == 0:
                    yield 1.0, at
            elif kind == "counter":
                yield max(0.0, value + 1e6 - (self.end - int(at)) / (10 + way)), at
            else:
                yield value if value in (0.0, 1.0) else value * factor, at


KINDS = {"alerts_started": "started", "alerts_began": "began"} | dict.fromkeys(("_total", "_bucket", "_sum"), "counter")


def remembered(
    given: argparse.Namespace, folder: Path, lines: list[str], recorded: list[Series], ranged: set[str]
) -> None:
    """Blocks of a history, as if all this had been scraped and recorded before."""
    one = called(given.chosen)
    every, of_one = [], []
    for line in lines:
        written, _, value = line.rpartition(" ")
        series = Series(written, float(value))
        if series.name in ranged:
            of_machine = 'instance="' not in written
            (of_one if of_machine or f'instance="{one}"' in written else every).append(series)
    now = int(time.time())
    # Blocks begin at even hours.
    begin = (now - max(RANGES.values())) // (2 * HOUR) * 2 * HOUR
    since = now - given.hours * HOUR
    for start in range(begin, now, 2 * HOUR):
        end = min(start + 2 * HOUR, now - 2 * INTERVAL)
        history = History(start, end)
        file = folder / "history.txt"
        with file.open("w") as writing:
            chosen = [*recorded, *of_one, *(every if end > since else [])]
            for number, series in enumerate(chosen):
                writing.write(history.lines(series, number))
            writing.write("# EOF\n")
        command = [given.promtool, "tsdb", "create-blocks-from", "openmetrics", file, folder / "data"]
        finished = subprocess.run([str(word) for word in command], capture_output=True, text=True)
        assert finished.returncode == 0, finished.stdout[-2000:] + finished.stderr[-2000:]
        file.unlink()


# ---- what is asked ----


@dataclasses.dataclass(frozen=True)
class Question:
    """A query of a panel."""

    where: str
    expression: str
    instant: bool
    # The least step, in seconds; 0 where the panel has none.
    least: int

    def filled(self, seconds: int, instance: str) -> str:
        step = self.step(seconds)
        variables = {
            "instance": instance,
            "__rate_interval": f"{max(step + INTERVAL, 4 * INTERVAL)}s",
            "__interval": f"{step}s",
            "__range": f"{seconds}s",
        }
        return re.sub(r"\$([a-z_]+)", lambda found: variables[found[1]], self.expression)

    def step(self, seconds: int) -> int:
        """As Grafana rounds the time between a thousand points, not finer than the data source is scraped."""
        each = seconds / 1000
        rounded = next((step for most, step in ROUNDED if each < most), 600)
        return max(rounded, INTERVAL, self.least)


ROUNDED = [(7.5, 5), (12.5, 10), (17.5, 15), (25, 20), (45, 30), (90, 60), (210, 120), (450, 300)]


def questions(dashboard: Path) -> list[Question]:
    content = json.loads(dashboard.read_text())
    every = [one for panel in content["panels"] for one in (panel, *panel.get("panels", []))]
    return [
        Question(
            f"{panel['title']} {target['refId']}",
            target["expr"],
            target["instant"],
            {"": 0, "1h": HOUR}[panel.get("interval", "")],
        )
        for panel in every
        for target in panel.get("targets", [])
    ]


def measured(
    given: argparse.Namespace, one: Prometheus, asked: Question, expression: str, seconds: int, refusable: bool
) -> float:
    """The median of a few answers, in milliseconds; endless where it is refused as too much, or nobody would wait."""
    try:
        return answered(given, one, asked, expression, seconds, given.longest if refusable else 120)
    except (AssertionError, OSError):
        if not refusable:
            raise
        return math.inf


def answered(
    given: argparse.Namespace, one: Prometheus, asked: Question, expression: str, seconds: int, longest: float
) -> float:
    now = int(time.time())
    step = asked.step(seconds)
    # As Grafana does: the ends are multiples of the step.
    window = {"start": (now - seconds) // step * step, "end": now // step * step, "step": step}
    took: list[float] = []
    begun = time.monotonic()
    while len(took) < given.times and (not took or time.monotonic() - begun < given.patience):
        if asked.instant:
            took.append(one.ask("api/v1/query", longest, query=expression, time=now)[0])
        else:
            took.append(one.ask("api/v1/query_range", longest, query=expression, **window)[0])
    return statistics.median(took)


# ---- the peer: without records ----


def records() -> dict[str, str]:
    """What each recorded name stands for."""
    found: dict[str, str] = {}
    for text in re.split(r"^ *- record: ", (RULES / "recording.yml").read_text(), flags=re.M)[1:]:
        name, _, rest = text.partition("\n")
        rest = re.split(r"^  - name: ", rest, flags=re.M)[0]
        lines = [line.strip() for line in rest.splitlines() if line.strip() and not line.strip().startswith("#")]
        assert lines[0].startswith("expr: "), f"{name}: {lines[0]}"
        found[name] = " ".join([lines[0].removeprefix("expr: ").removeprefix("|"), *lines[1:]])
    return found


RECORD = r"(?<![\w:])([a-z]+:[\w:]+)(\{[^}]*\})?(?:\[([^\]]*)\])?"


def written_out(expression: str, known: dict[str, str]) -> str:
    """The same without recorded names: what one would have to ask without the rules."""

    def instead(found: re.Match[str]) -> str:
        name, matchers, window = found[1], found[2] or "", found[3]
        inner = written_out(known[name], known)
        for label, how, value in re.findall(r'(\w+)(=~?)"([^"]*)"', matchers):
            if how == "=~":
                # Where it is cheapest: in every selector.
                inner = re.sub(r"\b((?:hermes_\w+|ALERTS)\b)(?:\{([^}]*)\})?", rf'\1{{\2,{label}=~"{value}"}}', inner)
                inner = inner.replace("{,", "{")
            else:
                inner = f'({inner}) and on ({label}) label_replace(vector(1), "{label}", "{value}", "", "")'
        step = "1m" if "alerts_started" in name else f"{INTERVAL}s"
        return f"({inner})" + (f"[{window}:{step}]" if window else "")

    return re.sub(RECORD, instead, expression)


# ---- the figures ----


def figures(given: argparse.Namespace, one: Prometheus, title: str, asked: list[Question], instance: str) -> None:
    known = records()
    summary = Table(
        f"{title}: {len(asked)} queries, ms",
        "for",
        "median",
        "slowest",
        f"over {LIMIT:g} ms",
        "all in sum",
        "of those with records",
        "the same without records",
        "its slowest",
    )
    slow = Table(f"{title}: the ten slowest, ms", "panel and query", "for", "with records", "without")
    rows: list[tuple[float, tuple[str, str, str, str]]] = []
    for name, seconds in RANGES.items():
        took: dict[Question, float] = {}
        peer: dict[Question, float] = {}
        for question in asked:
            expression = question.filled(seconds, instance)
            took[question] = measured(given, one, question, expression, seconds, instance == ".+")
            without = written_out(expression, known)
            if without != expression and not given.no_peer:
                peer[question] = measured(given, one, question, without, seconds, True)
        for question, value in took.items():
            other = f"{peer[question]:.0f}" if question in peer else "the same"
            rows.append((value, (question.where, name, f"{value:.0f}", other)))
        summary.row(
            name,
            f"{statistics.median(took.values()):.1f}",
            f"{max(took.values()):.0f}",
            sum(value > LIMIT for value in took.values()),
            f"{sum(took.values()):.0f}",
            f"{len(peer)}: {sum(took[question] for question in peer):.0f}",
            f"{sum(peer.values()):.0f}",
            f"{max(peer.values(), default=0):.0f}",
        )
    for _, row in sorted(rows, reverse=True)[: len(rows) if given.every else 10]:
        slow.row(*row)
    print(summary)
    print(slow)
    sys.stdout.flush()


def rules(one: Prometheus) -> None:
    """How long the groups of rules took when they were evaluated last, by Prometheus' own word."""
    table = Table("Evaluating the rules, ms (every 30 s)", "group", "rules", "took")
    for group in one.groups():
        table.row(group["name"], len(group["rules"]), f"{group['evaluationTime'] * 1000:.0f}")
    print(table)


def facts(given: argparse.Namespace) -> None:
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = models[0].partition(": ")[2] if models else "unknown"
    version = subprocess.run([str(given.prometheus), "--version"], capture_output=True, text=True)
    print(f"- {os.cpu_count()} cores ({model}), load before {os.getloadavg()[0]:.1f}")
    print(f"- {(version.stdout + version.stderr).partition(' (')[0]}, scraping and evaluating every {INTERVAL} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exporter", type=Path, default=os.environ.get("HERMES_EXPORTER"))
    parser.add_argument("--prometheus", type=Path, default=shutil.which("prometheus"))
    parser.add_argument("--promtool", type=Path, default=shutil.which("promtool"))
    parser.add_argument("--instances", type=int, default=1000)
    parser.add_argument("--hours", type=int, default=6, help="the history of all instances")
    parser.add_argument("--times", type=int, default=5, help="how often a query is put")
    parser.add_argument("--patience", type=float, default=3, help="seconds after which it is not put again")
    parser.add_argument("--longest", type=float, default=12, help="seconds for a query of the peer, or of All")
    parser.add_argument("--nice", type=int, default=0, help="the niceness of Prometheus, where others are at work too")
    parser.add_argument("--only", choices=("fleet", "one", "all"), action="append", help="may be repeated")
    parser.add_argument("--no-peer", action="store_true", help="not without the records")
    parser.add_argument("--every", action="store_true", help="print every query, not the ten slowest")
    parser.add_argument("--quick", action="store_true", help="fifty instances: to see that it works")
    given = parser.parse_args()
    for name in ("exporter", "prometheus", "promtool"):
        if not getattr(given, name):
            parser.error(f"--{name} is needed")
        setattr(given, name, Path(getattr(given, name)).absolute())
    if given.quick:
        given.instances, given.times = 50, 2
    given.chosen = 0
    begun = time.monotonic()
    facts(given)
    put = {name: questions(file) for name, file in DASHBOARDS.items()}
    text = " ".join(question.expression for several in put.values() for question in several)
    asked = set(re.findall(r"hermes_\w+", text + "".join(file.read_text() for file in RULES.glob("*.yml"))))
    # What is asked over time, by itself or by what is recorded of it.
    ranges = " ".join(question.expression for several in put.values() for question in several if not question.instant)
    ranged = set(re.findall(r"hermes_\w+", written_out(ranges, records())))
    with tempfile.TemporaryDirectory(prefix="hermes-dashboards-bench-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        lines = multiplied(*scraped(given.exporter, folder / "homes"), given.instances, asked)
        print(f"- {given.instances} instances, {len(lines)} series that a dashboard or a rule asks for")
        with answering(lines) as port:
            # Three times: records are made of records.
            with prometheus(given, folder, port, 10, 3) as one:
                recorded = one.vector('{__name__=~".+:.+"}') + one.vector('ALERTS{alertstate="firing"}')
            remembered(given, folder, lines, recorded, ranged)
            print(f"- {len(recorded)} recorded series and alerts; prepared in {time.monotonic() - begun:.0f} s\n")
            sys.stdout.flush()
            with prometheus(given, folder, port, INTERVAL, 1) as one:
                for part, title, several, instance in (
                    ("fleet", "Hermes Fleet", put["fleet"], ""),
                    ("one", "Hermes Instance, one chosen", put["instance"], called(given.chosen)),
                    ("all", "Hermes Instance, All", put["instance"], ".+"),
                ):
                    if not given.only or part in given.only:
                        figures(given, one, title, several, instance)
                rules(one)
    print(f"It took {time.monotonic() - begun:.0f} s; load after {os.getloadavg()[0]:.1f}.")


if __name__ == "__main__":
    main()
