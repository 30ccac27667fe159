"""The demonstration with a real Prometheus and a real Alertmanager: the message arrives, and nothing is left."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from pathlib import Path
from typing import Iterator

from processes import Program, free_port, run, running, wait_for

# What it prints last, when it has nothing more to say by itself.
END = "Ctrl-C ends it and removes everything."


@contextlib.contextmanager
def demonstration(binary: Path, bridge: Path, folder: Path, *flags: str) -> Iterator[tuple[Program, int]]:
    """A demonstration in a folder, and the exporter's port."""
    environment = {
        "PATH": f"{bridge.parent}:{os.environ['PATH']}",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "TZ": "UTC",
    }
    port = free_port()
    arguments = (binary, "demo", "--web.listen-address", f"127.0.0.1:{port}", *flags)
    with running(*arguments, environment=environment) as program:

        def has_said_all() -> bool:
            program.assert_running()
            return END in program.output()

        wait_for("the demonstration to have said everything", has_said_all, seconds=180)
        yield program, port


def children(pid: int) -> dict[int, str]:
    """What a process has started: the first word of each command line."""
    found = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return {child: Path(f"/proc/{child}/cmdline").read_text().split("\0")[0].rpartition("/")[2] for child in found}


def is_alive(pid: int) -> bool:
    """Whether a process is there, and not only waits for somebody to take note of its end."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(") ")[2][0] not in "ZX"


def listens(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) == 0


def assert_in_order(text: str, *parts: str) -> None:
    position = 0
    for part in parts:
        found = text.find(part, position)
        assert found >= 0, f"{part!r} is not there, or too early:\n{text}"
        position = found + len(part)


EVERYBODY = ["hermes", "hermes", "hermes-alert-bridge", "prometheus", "prometheus-alertmanager"]


def test_the_message_comes_through_the_whole_chain(
    binary: Path, bridge_binary: Path, folder: Path, prometheus: Path, alertmanager: Path, promtool: Path, amtool: Path
) -> None:
    with demonstration(binary, bridge_binary, folder) as (program, port):
        assert_in_order(
            program.output(),
            "The gateway of bheem dies",
            "Prometheus fires HermesGatewayCrashed, and tells Alertmanager.",
            "What uma's chat gets:\n",
            "🔴 Critical · bheem · HermesGatewayCrashed\n",
            "The gateway of bheem is started again",
            "What uma's chat gets, in answer to its message #",
            "✅ Resolved · bheem · HermesGatewayCrashed\n",
            "import dashboards/*.json",
        )
        assert "This part ends here" not in program.output(), program.output()
        (sample,) = folder.iterdir()
        run(promtool, "check", "config", sample / "prometheus.yml").succeeded()
        run(amtool, "check-config", sample / "alertmanager.yml").succeeded()
        started = children(program.pid)
        assert sorted(started.values()) == EVERYBODY
        program.send(signal.SIGINT)
        assert program.wait() == 0, program.everything()
        assert [pid for pid in started if is_alive(pid)] == []
        assert list(folder.iterdir()) == []
        assert not listens(port)


def test_nothing_goes_on_when_it_is_killed(
    binary: Path, bridge_binary: Path, folder: Path, prometheus: Path, alertmanager: Path
) -> None:
    with demonstration(binary, bridge_binary, folder, "--no-incident") as (program, _):
        assert "An incident" not in program.output()
        started = children(program.pid)
        assert sorted(started.values()) == EVERYBODY
        program.send(signal.SIGKILL)
        program.wait()
        wait_for("everything to be gone", lambda: not any(is_alive(pid) for pid in started))
