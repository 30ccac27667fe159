"""A real Prometheus for the length of a test, and what it is asked; Alertmanagers are in alert_bridge.py."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from pathlib import Path
from typing import Iterator, Optional
from urllib.parse import urlencode

from alert_bridge import ask
from processes import Program, free_port, running, wait_for


@dataclasses.dataclass
class Prometheus:
    """A running Prometheus."""

    port: int
    program: Program

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str, **query: object) -> dict:
        """The data of an answer of its HTTP API; one that is refused says which question and why."""
        self.program.assert_running()
        status, body = ask(self.port, "GET", f"/api/v1/{path}?{urlencode(query)}")
        assert status == 200, f"{path} {query} answered {status}: {body.decode()}"
        return json.loads(body)["data"]

    def results(self, expression: str) -> list[dict]:
        """What an expression gives now: labels and values."""
        return self.get("query", query=expression)["result"]

    def series(self, expression: str) -> list[dict[str, str]]:
        """The labels of what an expression gives now."""
        return [found["metric"] for found in self.results(expression)]

    def value(self, expression: str) -> float:
        """The one value that an expression has now; 0 where it has none."""
        found = self.results(expression)
        assert len(found) <= 1, f"{expression} has {len(found)} values"
        return float(found[0]["value"][1]) if found else 0.0


def rules_at_once(rules: Path, to: Path, interval: Optional[str]) -> None:
    """Copies files of rules so that alerts wait for nothing; groups with an interval of their own get this one."""
    to.mkdir(exist_ok=True)
    for file in rules.glob("*.yml"):
        text = re.sub(r"\b(for|keep_firing_for): \S+", r"\1: 0s", file.read_text())
        if interval:
            text = re.sub(r"\binterval: \S+", f"interval: {interval}", text)
        (to / file.name).write_text(text)


@contextlib.contextmanager
def serving_prometheus(binary: Path, configuration: Path, *more: str) -> Iterator[Prometheus]:
    """Prometheus with this configuration and more flags, and its data beside it, for the length of a `with` block."""
    port = free_port()
    flags = [
        f"--config.file={configuration}",
        f"--storage.tsdb.path={configuration.with_name('prometheus-data')}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
        *more,
    ]
    with running(binary, *flags) as program:
        prometheus = Prometheus(port, program)

        def is_ready() -> bool:
            program.assert_running()
            return ask(port, "GET", "/-/ready")[0] == 200

        wait_for("Prometheus to be ready", is_ready)
        yield prometheus
