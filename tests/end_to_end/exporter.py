"""The program under test: run once, or serving, and asked over HTTP."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import http.client
import json
import os
import shutil
from pathlib import Path
from typing import Iterator, Mapping, Optional, Sequence

from exposition import Samples
from processes import DEADLINE_SECONDS, Finished, Program, free_port, run, running, wait_for

# What Prometheus itself sends.
ACCEPT_OPENMETRICS = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
ACCEPT_TEXT = "text/plain;version=0.0.4"

REASONS = {"timeout", "permission", "not_found", "parse", "io", "bus", "http", "stale", "unsupported"}


@dataclasses.dataclass
class Answer:
    """An answer over HTTP."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@dataclasses.dataclass
class Server:
    """A serving exporter."""

    port: int
    program: Program

    def get(self, path: str, seconds: float = DEADLINE_SECONDS, **headers: str) -> Answer:
        """One GET; header names are written with underscores."""
        return self._ask("GET", path, seconds, headers)

    def post(self, path: str, seconds: float = DEADLINE_SECONDS, **headers: str) -> Answer:
        """One POST with nothing in it."""
        return self._ask("POST", path, seconds, headers)

    def _ask(self, method: str, path: str, seconds: float, headers: Mapping[str, str]) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=seconds)
        try:
            connection.request(method, path, headers={name.replace("_", "-"): text for name, text in headers.items()})
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        if response.headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        return Answer(response.status, {name.lower(): text for name, text in response.getheaders()}, body)

    def scrape(self, query: str = "", accept: str = ACCEPT_OPENMETRICS) -> Samples:
        """One scrape, parsed by the parser for what it says it is."""
        answer = self.get(f"/metrics{query}", Accept=accept)
        assert answer.status == 200, f"/metrics{query} answered {answer.status}: {answer.text[:500]}"
        form = "openmetrics" if answer.headers["content-type"].startswith("application/openmetrics-text") else "text"
        return Samples.parse(answer.text, form)


@dataclasses.dataclass
class Exporter:
    """The binary, and a folder for the configurations it is given."""

    binary: Path
    folder: Path
    # What to put before the command line, and the environment, to run it as somebody or somewhere else.
    entering: Sequence[str] = ()
    environment: Optional[dict[str, str]] = None

    def configuration(
        self, homes: Mapping[str, Path], instance_keys: Optional[dict] = None, **top_level: object
    ) -> Path:
        """Writes a configuration; JSON is YAML as well. `instance_keys` are added to every instance."""
        instances = [{"name": name, "home": str(home), **(instance_keys or {})} for name, home in homes.items()]
        return self.write({"instances": instances, **top_level})

    def write(self, configuration: Mapping[str, object]) -> Path:
        """Writes a configuration as it is given."""
        path = self.folder / f"hermes-exporter-{len(list(self.folder.glob('*.yml')))}.yml"
        path.write_text(json.dumps(configuration, indent=2))
        path.chmod(0o644)
        return path

    def run(self, *arguments: object, user: Optional[int] = None, seconds: float = DEADLINE_SECONDS) -> Finished:
        return run(self.binary, *arguments, seconds=seconds, **self._options(user))

    def _options(self, user: Optional[int]) -> dict[str, object]:
        environment = bare_environment(self.folder) if self.environment is None else self.environment
        return {"user": user, "environment": environment, "entering": self.entering}

    def scrape_text(self, configuration: Path, form: str = "text", user: Optional[int] = None) -> str:
        """What `scrape` writes for a configuration, with the collector that it leaves out by itself: as a server has it."""
        arguments = ("scrape", "--config.file", configuration, "--format", form, "--collector.logs")
        return self.run(*arguments, user=user).succeeded().output

    def scrape_once(self, configuration: Path, form: str = "text", user: Optional[int] = None) -> Samples:
        return Samples.parse(self.scrape_text(configuration, form, user), form)

    @contextlib.contextmanager
    def serving(
        self, configuration: Path, *flags: object, user: Optional[int] = None, ready: bool = True
    ) -> Iterator[Server]:
        """The exporter serving on a port of its own for the length of a `with` block."""
        port = free_port()
        arguments = ["--config.file", configuration, "--web.listen-address", f"127.0.0.1:{port}", *flags]
        with running(self.binary, "serve", *arguments, **self._options(user)) as program:
            server = Server(port, program)

            def answers() -> bool:
                program.assert_running()
                return server.get("/-/ready" if ready else "/-/healthy", seconds=5).status == 200

            wait_for("the exporter to answer", answers)
            yield server
            assert program.is_running(), f"the exporter ended by itself:\n{program.everything()}"


def bare_environment(home: Path) -> dict[str, str]:
    """An environment that names no Hermes home by accident, and in which Hermes installs nothing."""
    path = os.environ.get("PATH", "/usr/bin:/bin")
    return {"PATH": path, "HOME": str(home), "TZ": "UTC", "LANG": "C.UTF-8", "HERMES_DISABLE_LAZY_INSTALLS": "1"}


def installed_where_all_may_run_it(binary: Path, folder: Path) -> Path:
    """A copy of the binary in a folder that every user can reach."""
    to = folder / "hermes-exporter"
    shutil.copy2(binary, to)
    to.chmod(0o755)
    return to


def failures(samples: Samples, instance: str) -> dict[str, set[str]]:
    """The collectors that failed for an instance, with their reasons."""
    failed: dict[str, set[str]] = {
        collector: set()
        for collector, success in samples.by("hermes_collector_success", "collector", instance=instance).items()
        if success == 0
    }
    for labels, value in samples.series("hermes_collector_failure_info", instance=instance).items():
        found = dict(labels)
        assert value == 1, f"hermes_collector_failure_info{found} is {value}, an info is always 1"
        assert found["collector"] in failed, f"{found} is the reason of a failure, but its collector succeeded"
        failed[found["collector"]].add(found["reason"])
    for collector, reasons in failed.items():
        assert reasons, f"the collector {collector} of {instance} failed and gives no reason"
        assert reasons <= REASONS, (
            f"the collector {collector} of {instance} failed for {reasons - REASONS}, not among {REASONS}"
        )
    return failed
