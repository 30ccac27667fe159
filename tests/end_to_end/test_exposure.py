"""Who listens where, and the guardrail about it: with addresses of every kind, in a network of the test's own.

The addresses are given to the loopback interface of that namespace, so that nothing here is ever reachable from
anywhere, whatever it listens on.
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import ContextManager, Iterator, Optional

import pytest

import homes
from exporter import Exporter, failures
from exposition import Samples
from processes import Program, free_port, run, running, wait_for

# One of each kind, out of the ranges for documentation where there is one.
ADDRESSES = {
    "127.0.0.1": "loopback",
    "::1": "loopback",
    "10.20.30.40": "private",
    "fd12:3456:789a::7": "private",
    "100.64.0.7": "tailscale",
    "fd7a:115c:a1e0::7": "tailscale",
    "203.0.113.7": "public",
    "2001:db8::7": "public",
    "0.0.0.0": "public",
    "::": "public",
}
GIVEN = ["10.20.30.40", "fd12:3456:789a::7", "100.64.0.7", "fd7a:115c:a1e0::7", "203.0.113.7", "2001:db8::7"]
PORT = 18_700

# Listens where it is told, on its own and through a child that has it as its script, and waits.
LISTEN = """
import json, os, socket, subprocess, sys, time
plan = json.loads(os.environ["PLAN"])
if plan.get("become"):
    # A new image, because what has changed its user may not be looked at by its new one.
    children = plan.pop("children")
    for script, child in children.items():
        subprocess.Popen([sys.executable, script], env=os.environ | {"PLAN": json.dumps(child)}, user=child["user"])
    owner = plan.pop("become")
    os.setgroups([])
    os.setgid(owner)
    os.setuid(owner)
    os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {"PLAN": json.dumps(plan)})
held = []
for address, port in plan["own"]:
    listener = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
    if ":" in address:
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((address, port))
    listener.listen()
    held.append(listener)
for script, child in plan.get("children", {}).items():
    subprocess.Popen([sys.executable, script], env=os.environ | {"PLAN": json.dumps(child)})
print("listening", flush=True)
time.sleep(600)
"""


@pytest.fixture
def network() -> Iterator[int]:
    """A network namespace with an address of each kind, held by a process that is told to go away with the test."""
    with running("unshare", "--net", "sleep", "900") as keeper:
        own = os.stat("/proc/self/ns/net").st_ino

        def has_left() -> bool:
            keeper.assert_running()
            return os.stat(f"/proc/{keeper.pid}/ns/net").st_ino != own

        wait_for("the namespace", has_left)
        inside = ("nsenter", "--net", "--target", keeper.pid)
        run(*inside, "ip", "link", "set", "lo", "up").succeeded()
        for address in GIVEN:
            extra = ("nodad",) if ":" in address else ()
            run(*inside, "ip", "address", "add", address, "dev", "lo", *extra).succeeded()
        yield keeper.pid


class Stage:
    """Stand-in programs of Hermes in one network, and the exporter that looks at them."""

    def __init__(self, exporter: Exporter, folder: Path, network: Optional[int]) -> None:
        self.exporter, self.folder, self.network = exporter, folder, network
        # Recognised by their names alone.
        for name in ("hermes", "calendar_server.py", "somebody_else.py"):
            (folder / name).write_text(LISTEN)
        self.home = folder / "home"
        self.home.mkdir(mode=0o700)

    def entered(self, *command: object) -> tuple:
        return ("nsenter", "--net", "--target", self.network, *command) if self.network else command

    def program(self, script, *arguments, own=(), children=None, user=None, become=None) -> ContextManager[Program]:
        """A stand-in that listens on its `own` addresses and starts `children`, and then runs as user `become`."""
        by_path = {str(self.folder / name): plan for name, plan in (children or {}).items()}
        plan = {"own": list(own), "children": by_path, "become": become}
        environment = {
            # The system's own Python, which every user may run.
            "PATH": "/usr/bin:/bin",
            "HERMES_HOME": str(self.home) if script == "hermes" else "/nonexistent",
            "HOME": "/nonexistent",
            "PLAN": json.dumps(plan),
        }
        command = self.entered("/usr/bin/env", "python3", self.folder / script, *arguments)
        return running(*command, environment=environment, user=user)

    def scrape(self) -> Samples:
        configuration = self.exporter.configuration({"vijay": self.home})
        arguments = ("scrape", "--config.file", configuration, "--format", "openmetrics")
        environment = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}
        output = run(*self.entered(self.exporter.binary, *arguments), environment=environment)
        return Samples.parse(output.succeeded().output, "openmetrics").of(instance="vijay")


def is_listening(program: Program) -> bool:
    program.assert_running()
    return "listening" in program.output()


def wait_until_listening(*programs: Program) -> None:
    for program in programs:
        wait_for("a stand-in to listen", lambda: is_listening(program))


def listeners(samples: Samples) -> set[tuple[str, str, str]]:
    found = set()
    for labels, value in samples.series("hermes_listener").items():
        named = dict(labels)
        assert value == 1, named
        found.add((named["port"], named["scope"], named["program"]))
    return found


def guardrail(samples: Samples) -> float:
    return samples.value("hermes_guardrail_ok", guardrail="private_listeners")


@pytest.fixture
def stage(exporter: Exporter, folder: Path, network: int) -> Stage:
    return Stage(exporter, folder, network)


def test_every_kind_of_address(stage: Stage) -> None:
    assert (listeners(stage.scrape()), guardrail(stage.scrape())) == (set(), 1), "nobody listens, and that is known"
    own = [(address, PORT + number) for number, address in enumerate(ADDRESSES)]
    with stage.program("hermes", "gateway", "run", own=own) as gateway:
        wait_until_listening(gateway)
        samples = stage.scrape()
        expected = {(str(PORT + number), scope, "gateway") for number, scope in enumerate(ADDRESSES.values())}
        assert listeners(samples) == expected
        assert guardrail(samples) == 0
        assert samples.value("hermes_collector_success", collector="exposure") == 1


@pytest.mark.parametrize(("address", "scope"), ADDRESSES.items())
def test_the_guardrail_trips_for_public_addresses_alone(stage: Stage, address: str, scope: str) -> None:
    with stage.program("hermes", "gateway", "run", own=[(address, PORT)]) as gateway:
        wait_until_listening(gateway)
        samples = stage.scrape()
        assert listeners(samples) == {(str(PORT), scope, "gateway")}
        assert guardrail(samples) == (0 if scope == "public" else 1)


def test_one_port_on_two_addresses_is_two_samples(stage: Stage) -> None:
    own = [("127.0.0.1", PORT), ("::1", PORT), ("100.64.0.7", PORT)]
    with stage.program("hermes", "dashboard", own=own) as dashboard:
        wait_until_listening(dashboard)
        port = str(PORT)
        assert listeners(stage.scrape()) == {(port, "loopback", "dashboard"), (port, "tailscale", "dashboard")}


def test_what_a_gateway_has_started_is_its_and_what_others_hold_is_not(stage: Stage) -> None:
    children = {"calendar_server.py": {"own": [("10.20.30.40", PORT + 1)]}}
    with (
        stage.program("hermes", "gateway", "run", own=[("127.0.0.1", PORT)], children=children) as gateway,
        stage.program("somebody_else.py", own=[("0.0.0.0", PORT + 2)]) as other,
    ):
        wait_until_listening(gateway, other)

        def both() -> bool:
            found = listeners(stage.scrape())
            wanted = {(str(PORT), "loopback", "gateway"), (str(PORT + 1), "private", "calendar_server.py")}
            assert found == wanted, f"{found}, not {wanted}"
            return True

        wait_for("the child to listen", both)
        assert guardrail(stage.scrape()) == 1


def test_a_served_exporter_sees_ports_come_and_go(exporter: Exporter, folder: Path) -> None:
    stage = Stage(exporter, folder, None)
    with exporter.serving(exporter.configuration({"vijay": stage.home})) as server:

        def seen() -> set[tuple[str, str, str]]:
            return listeners(server.scrape().of(instance="vijay"))

        assert seen() == set()
        port, other = free_port(), free_port()
        for _ in range(2):
            with stage.program("hermes", "gateway", "run", own=[("127.0.0.1", port)]) as gateway:
                wait_until_listening(gateway)
                assert seen() == {(str(port), "loopback", "gateway")}
                with stage.program("hermes", "dashboard", own=[("127.0.0.1", other)]) as dashboard:
                    wait_until_listening(dashboard)
                    both = {(str(port), "loopback", "gateway"), (str(other), "loopback", "dashboard")}
                    # Remembered from one look to the next.
                    assert seen() == both
                    assert seen() == both
                assert seen() == {(str(port), "loopback", "gateway")}
            assert seen() == set()


def test_ports_in_another_network_are_read_too(stage: Stage) -> None:
    """As a gateway in a container is seen from its host."""
    with stage.program("hermes", "gateway", "run", own=[("203.0.113.7", PORT), ("::1", PORT)]) as gateway:
        wait_until_listening(gateway)
        network, stage.network = stage.network, None
        samples = stage.scrape()
        stage.network = network
        assert listeners(samples) == {(str(PORT), "public", "gateway"), (str(PORT), "loopback", "gateway")}
        assert guardrail(samples) == 0


def test_what_may_not_be_looked_at_is_unknown(exporter: Exporter, folder: Path, owner: int) -> None:
    stage = Stage(exporter, folder, None)
    homes.give_to(stage.home, owner)
    # Somebody else may enter the home, and look no further than that.
    stage.home.chmod(0o755)
    configuration = exporter.configuration({"vijay": stage.home})

    def scrape(user: int) -> Samples:
        return exporter.scrape_once(configuration, "openmetrics", user=user)

    port = free_port()
    with stage.program("hermes", "gateway", "run", own=[("127.0.0.1", port)], user=owner) as gateway:
        wait_until_listening(gateway)
        samples = scrape(owner + 1)
        assert failures(samples, "vijay")["exposure"] == {"permission"}
        assert not samples.has("hermes_listener"), "what may not be looked at is a guess"
        assert not samples.has("hermes_guardrail_ok", guardrail="private_listeners")
        # Its owner may look.
        samples = scrape(owner)
        assert "exposure" not in failures(samples, "vijay")
        assert listeners(samples.of(instance="vijay")) == {(str(port), "loopback", "gateway")}
    # Without a process there is nothing that may not be looked at.
    samples = scrape(owner + 1).of(instance="vijay")
    assert (listeners(samples), guardrail(samples)) == (set(), 1)


def test_a_child_of_somebody_else_leaves_it_open(exporter: Exporter, folder: Path, owner: int) -> None:
    """A gateway may start what runs as another user, whose open files may not be read: then it can not be told."""
    stage = Stage(exporter, folder, None)
    homes.give_to(stage.home, owner)
    configuration = exporter.configuration({"vijay": stage.home})
    port = free_port()
    children = {"calendar_server.py": {"own": [], "user": owner + 1}}
    # It starts as root, starts the child, and becomes its own user.
    own = [("127.0.0.1", port)]
    with stage.program("hermes", "gateway", "run", own=own, children=children, become=owner) as gateway:
        wait_until_listening(gateway)
        samples = exporter.scrape_once(configuration, "openmetrics", user=owner)
        assert failures(samples, "vijay")["exposure"] == {"permission"}
        assert not samples.has("hermes_listener")
        # Root may look at both.
        samples = exporter.scrape_once(configuration, "openmetrics").of(instance="vijay")
        assert listeners(samples) == {(str(port), "loopback", "gateway")}
