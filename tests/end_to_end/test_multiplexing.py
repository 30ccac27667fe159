"""One real gateway for several profiles: each profile is shown with the gateway that serves it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
from pathlib import Path
from typing import Iterator

import pytest

from exporter import Exporter, Server, bare_environment
from exposition import Samples
from processes import Program, running, wait_for

MULTIPLEXING = "gateway:\n  multiplex_profiles: true\n"


@pytest.fixture
def root_home(folder: Path) -> Path:
    """A root home with two profiles, none of which has a platform."""
    home = folder / "home"
    for profile in ("coder", "writer"):
        (home / "profiles" / profile).mkdir(parents=True)
        (home / "profiles" / profile / "SOUL.md").write_text("A profile.\n")
        (home / "profiles" / profile / "config.yaml").write_text("memory: {}\n")
    return home


@contextlib.contextmanager
def real_gateway(home: Path, folder: Path) -> Iterator[Program]:
    """Hermes' own gateway at work, in a network of its own in which there is nobody else."""
    hermes = Path(os.environ["HERMES_PYTHON"]).parent / "hermes"
    environment = bare_environment(folder) | {"HERMES_HOME": str(home)}
    with running("unshare", "--net", hermes, "gateway", "run", environment=environment) as program:

        def is_running() -> bool:
            program.assert_running()
            state = json.loads((home / "gateway_state.json").read_text())
            return state["pid"] == program.pid and state["gateway_state"] == "running"

        wait_for("the gateway to run", is_running, seconds=120)
        yield program


def of(server: Server, instance: str) -> Samples:
    return server.scrape().of(instance=instance)


def holding(samples: Samples) -> list[str]:
    """The states of the gateway that hold."""
    if not samples.has("hermes_gateway_state"):
        return []
    return [state for state, value in samples.by("hermes_gateway_state", "state").items() if value == 1]


def test_a_served_profile_has_the_gateway_of_its_root(
    exporter: Exporter, root_home: Path, folder: Path, hermes: Path
) -> None:
    coder = root_home / "profiles" / "coder"
    # What a gateway of its own has left behind when it was killed.
    left = {"pid": 4_194_000, "start_time": 1, "gateway_state": "running", "platforms": {}}
    (coder / "gateway_state.json").write_text(json.dumps(left))
    (root_home / "config.yaml").write_text(MULTIPLEXING)
    written = exporter.configuration({"root": root_home, "coder": coder, "writer": root_home / "profiles" / "writer"})
    with exporter.serving(written) as server:
        assert holding(of(server, "coder")) == ["crashed"]
        assert holding(of(server, "writer")) == []
        with real_gateway(root_home, folder) as gateway:

            def serves() -> Samples:
                samples = of(server, "root")
                assert samples.value("hermes_gateway_served_profiles") == 3
                return samples

            root = wait_for("the profiles to be served", serves)
            assert not root.has("hermes_gateway_served_by_info")
            for profile in ("coder", "writer"):
                served = of(server, profile)
                assert served.value("hermes_gateway_up") == 1
                assert holding(served) == ["running"]
                assert served.value("hermes_gateway_served_by_info", profile="default") == 1
                assert served.value("hermes_gateway_processes") == 1
                for metric in ("hermes_gateway_start_time_seconds", "hermes_gateway_heartbeat_timestamp_seconds"):
                    assert abs(served.value(metric) - root.value(metric)) <= 30, metric
                assert not served.has("hermes_gateway_memory_bytes"), "it is the root's own"

            gateway.send(signal.SIGSTOP)
            wait_for("both to be frozen", lambda: holding(of(server, "writer")) == ["frozen"])
            gateway.send(signal.SIGCONT)
            wait_for("both to run again", lambda: holding(of(server, "writer")) == ["running"])
            gateway.send(signal.SIGKILL)
            gateway.wait()
        wait_for("the root to be down", lambda: holding(of(server, "root")) == ["crashed"])
        assert holding(of(server, "coder")) == ["crashed"]
        assert holding(of(server, "writer")) == [], "it never had a gateway, and has none that is down"

        # Hermes leaves the list of the profiles in its state when it serves them no more.
        (root_home / "config.yaml").write_text("gateway: {}\n")
        with real_gateway(root_home, folder):
            state = json.loads((root_home / "gateway_state.json").read_text())
            assert "coder" in state["served_profiles"], "then this test needs another beginning"
            wait_for("the root to run", lambda: holding(of(server, "root")) == ["running"])
            assert not of(server, "root").has("hermes_gateway_served_profiles")
            assert holding(of(server, "coder")) == ["crashed"]
