"""Failures that come and go between two scrapes are counted, each once and with its result; and they go on being
counted when the managers and buses they are heard of by are started anew.

The witness is the journal, where systemd notes down every failure of a unit.
"""

from __future__ import annotations

import collections
import itertools
from typing import Callable, Mapping

import pytest

import unit_files
from exporter import Server
from machine import KEEPER, ROOT, UMA, VIJAY, Account, Machine
from processes import wait_for
from unit_readings import assert_succeeded, failed, reasons, state, succeeded, unit, watching
from unit_files import Crashing

NUMBERS = itertools.count(1)

# Who reads, and whose manager it is that the unit is in.
PAIRS = [
    pytest.param(reader, owner, id=f"{reader.name}-reads-{owner.name}")
    for reader, owner in ((ROOT, ROOT), (KEEPER, ROOT), (ROOT, UMA), (UMA, UMA), (KEEPER, UMA), (ROOT, VIJAY))
]


def fresh(what: str) -> str:
    """A name that no other test uses."""
    return f"{what}-{next(NUMBERS)}"


class Witness:
    """Compares what the exporter has counted with what systemd has noted down, both from now on."""

    def __init__(self, server: Server, crashing: Crashing) -> None:
        self.server, self.crashing = server, crashing
        self.counted, self.noted = self._counted(), collections.Counter(crashing.failures())

    def _counted(self) -> collections.Counter[str]:
        samples = self.server.scrape()
        assert_succeeded(samples, "bheem")
        assert state(samples.of(instance="bheem"), self.crashing.unit) == "active"
        return collections.Counter(failed(samples.of(instance="bheem"), self.crashing.unit))

    def assert_grown_by(self, what: str, **results: int) -> None:
        """Since the last time, exactly this has been counted, and noted down."""
        expected = collections.Counter({name.replace("_", "-"): count for name, count in results.items()})
        counted, noted = self._counted(), collections.Counter(self.crashing.failures())
        assert noted - self.noted == expected, f"{what}: systemd itself noted down something else"
        assert not self.counted - counted, f"{what}: a counter fell, from {self.counted} to {counted}"
        assert counted - self.counted == expected, f"{what}: counted {counted - self.counted}, expected {expected}"
        self.counted, self.noted = counted, noted


def crashes(crashing: Crashing, count: int) -> None:
    for _ in range(count):
        crashing.crash()


@pytest.mark.parametrize("reader, owner", PAIRS)
def test_what_crashes_and_recovers_between_two_scrapes_is_counted_once(
    machine: Machine, reader: Account, owner: Account
) -> None:
    crashing = Crashing(machine, fresh("crashing"), owner)
    with watching(machine, reader, {"bheem": (owner, [unit(crashing.unit)])}) as server:
        witness = Witness(server, crashing)
        witness.assert_grown_by("nothing happens")
        crashing.crash()
        witness.assert_grown_by("one crash", exit_code=1)
        crashing.kill()
        witness.assert_grown_by("killed", signal=1)
        crashing.systemctl("restart")
        witness.assert_grown_by("restarted in order")
        crashing.systemctl("stop")
        crashing.systemctl("start")
        witness.assert_grown_by("stopped and started in order")
        crashes(crashing, 10)
        crashing.kill()
        witness.assert_grown_by("many between two scrapes", exit_code=10, signal=1)
        crashing.systemctl("reset-failed")
        witness.assert_grown_by("its failures are forgotten by systemd")
    crashing.systemctl("stop")


# Each way to fail that needs no more than a unit file, with the result that systemd has for it.
WAYS_TO_FAIL = {
    "exit": ("exit-code", ["ExecStart=/bin/false"]),
    "signal": ("signal", ["ExecStart=/bin/sh -c 'kill -KILL $$$$'"]),
    "missing": ("exit-code", ["ExecStart=/nonexistent"]),
    "prepares": ("exit-code", ["ExecStartPre=/bin/false", "ExecStart=/bin/sleep infinity"]),
    "cleans-up": ("exit-code", ["ExecStart=/bin/true", "ExecStopPost=/bin/false"]),
    "oneshot": ("exit-code", ["Type=oneshot", "ExecStart=/bin/false"]),
    "forking": ("exit-code", ["Type=forking", "ExecStart=/bin/false"]),
    "protocol": ("protocol", ["Type=notify", "ExecStart=/bin/true"]),
    "start-timeout": ("timeout", ["Type=notify", "ExecStart=/bin/sleep infinity", "TimeoutStartSec=20ms"]),
    "run-timeout": ("timeout", ["ExecStart=/bin/sleep infinity", "RuntimeMaxSec=20ms"]),
    "watchdog": ("watchdog", ["ExecStart=/bin/sleep infinity", "WatchdogSec=20ms"]),
}
RUNS = 10


@pytest.mark.parametrize("owner", [ROOT, UMA], ids=lambda of: of.name)
def test_every_failure_of_a_fast_loop_is_counted_by_its_result(machine: Machine, owner: Account) -> None:
    prefix = fresh("fails")
    names = {f"{prefix}-{what}.service": result for what, (result, _) in WAYS_TO_FAIL.items()}
    again = ("Restart=on-failure", "RestartSec=1ms")
    limit = ("StartLimitIntervalSec=600", f"StartLimitBurst={RUNS}")
    for what, (_, lines) in WAYS_TO_FAIL.items():
        machine.write_unit(f"{prefix}-{what}.service", unit_files.service(*lines, *again, unit=limit), owner)
    # Ends well each time, and fails by being given up on.
    clean = f"{prefix}-clean.service"
    ends_well = unit_files.service("ExecStart=/bin/true", "Restart=always", "RestartSec=1ms", unit=limit)
    machine.write_units({clean: ends_well}, owner)
    with watching(machine, ROOT, {"bheem": (owner, [unit(name) for name in (*names, clean)])}) as server:
        assert not any(failed(server.scrape().of(instance="bheem"), name) for name in names)
        for times in (1, 2):
            machine.systemctl("start", "--no-block", *names, clean, user=owner)
            for name in (*names, clean):
                machine.wait_for_unit(name, owner, ActiveState="failed")
            samples = server.scrape()
            assert_succeeded(samples, "bheem")
            samples = samples.of(instance="bheem")
            for name, result in names.items():
                assert state(samples, name) == "failed"
                # That it is not run once more is noted down as a failure as well, and is none.
                assert machine.failures(name, owner) == {result: (RUNS + 1) * times}, name
                assert failed(samples, name) == {result: RUNS * times}, name
            assert failed(samples, clean) == machine.failures(clean, owner) == {"start-limit-hit": times}
            # Forgotten by systemd, which is no reason for a counter to fall.
            machine.systemctl("reset-failed", *names, clean, user=owner)
            samples = server.scrape().of(instance="bheem")
            assert {name: failed(samples, name) for name in names} == {
                name: {result: RUNS * times} for name, result in names.items()
            }


def test_the_service_of_a_timer_is_watched_with_the_timer(machine: Machine) -> None:
    name = fresh("backup")
    files = {
        f"{name}.service": unit_files.service("Type=oneshot", "ExecStart=/bin/false"),
        f"{name}.timer": unit_files.timer("OnActiveSec=0"),
    }
    machine.write_units(files, UMA)
    with watching(machine, ROOT, {"bheem": (UMA, [unit(f"{name}.timer", role="backup")])}) as server:
        labels = {"instance": "bheem", "unit": f"{name}.service", "role": "backup"}
        assert server.scrape().value("hermes_unit_up", **labels) == 1
        for times in (1, 2):
            machine.systemctl("restart", f"{name}.timer", user=UMA)
            machine.wait_for_unit(f"{name}.service", UMA, ActiveState="failed")
            wait_for("the failure", lambda: machine.failures(f"{name}.service", UMA) == {"exit-code": times})
            samples = server.scrape()
            assert samples.value("hermes_unit_up", **labels) == 0
            assert failed(samples.of(instance="bheem"), f"{name}.service") == {"exit-code": times}
            machine.systemctl("reset-failed", f"{name}.service", user=UMA)


def test_a_unit_that_comes_later_is_watched_as_well(machine: Machine) -> None:
    name, pattern = fresh("later"), fresh("container")
    template = unit_files.service("ExecStart=/bin/sleep infinity", "Restart=always", "RestartSec=20ms")
    machine.write_units({f"{pattern}@.service": template}, UMA)
    entries = [unit(f"{name}.service"), {"role": "container", "pattern": f"{pattern}@*.service"}]
    with watching(machine, ROOT, {"bheem": (UMA, entries)}) as server:
        samples = server.scrape().of(instance="bheem")
        assert state(samples, f"{name}.service") == "not-found"
        assert not samples.has("hermes_unit_up", role="container")
        crashing = Crashing(machine, name, UMA)
        machine.systemctl("start", f"{pattern}@one.service", user=UMA)
        samples = server.scrape().of(instance="bheem")
        assert samples.value("hermes_unit_up", unit=f"{pattern}@one.service", role="container") == 1
        witness = Witness(server, crashing)
        crashing.crash()
        witness.assert_grown_by("one crash", exit_code=1)
        machine.systemctl("kill", "--signal=KILL", f"{pattern}@one.service", user=UMA)
        machine.wait_for_unit(f"{pattern}@one.service", UMA, NRestarts="1", ActiveState="active")
        assert failed(server.scrape().of(instance="bheem"), f"{pattern}@one.service") == {"signal": 1}
        machine.systemctl("stop", f"{pattern}@one.service", user=UMA)
        assert not server.scrape().has("hermes_unit_up", unit=f"{pattern}@one.service", role="container")
    crashing.systemctl("stop")


# What the counting hangs on is started anew.


def execute_anew(machine: Machine, owner: Account) -> None:
    machine.systemctl("daemon-reexec", user=owner)


def reload(machine: Machine, owner: Account) -> None:
    machine.systemctl("daemon-reload", user=owner)


def restart_bus(machine: Machine, owner: Account) -> None:
    machine.systemctl("restart", "dbus.service", user=owner)


def restart_manager(machine: Machine, owner: Account) -> None:
    machine.systemctl("restart", f"user@{owner.uid}.service")


STARTED_ANEW: Mapping[str, tuple[Callable[[Machine, Account], None], tuple[Account, ...]]] = {
    "daemon-reexec": (execute_anew, (ROOT, UMA, VIJAY)),
    "daemon-reload": (reload, (ROOT, UMA)),
    "bus": (restart_bus, (ROOT, UMA, VIJAY)),
    "manager": (restart_manager, (UMA, VIJAY)),
}


@pytest.mark.parametrize(
    "do, owner, reader",
    [
        pytest.param(do, owner, reader, id=f"{name}-of-{owner.name}-read-by-{reader.name}")
        for name, (do, owners) in STARTED_ANEW.items()
        for owner in owners
        for reader in ((ROOT, KEEPER) if owner is UMA else (ROOT,))
    ],
)
def test_counting_goes_on_when_it_is_started_anew(
    own_machine: Machine, do: Callable[[Machine, Account], None], owner: Account, reader: Account
) -> None:
    crashing = Crashing(own_machine, "crashing", owner, "Restart=always", "RestartSec=20ms", enabled=True)
    with watching(own_machine, reader, {"bheem": (owner, [unit(crashing.unit)])}) as server:
        witness = Witness(server, crashing)
        crashing.crash()
        witness.assert_grown_by("before", exit_code=1)
        for _ in range(2):
            do(own_machine, owner)
            own_machine.wait_for_unit(crashing.unit, owner, ActiveState="active")

            def back() -> bool:
                samples = server.scrape()
                assert_succeeded(samples, "bheem")
                return state(samples.of(instance="bheem"), crashing.unit) == "active"

            wait_for("the readings to be back", back)
            witness.assert_grown_by("started anew")
            crashing.crash()
            crashing.kill()
            witness.assert_grown_by("afterwards", exit_code=1, signal=1)


@pytest.mark.parametrize("looked", [False, True], ids=["nobody-looks", "somebody-looks"])
def test_crashes_while_the_bus_hangs_are_counted_once_it_goes_on(machine: Machine, looked: bool) -> None:
    crashing = Crashing(machine, fresh("crashing"), UMA)
    # Where it is given up, soon; else not before the bus has caught up.
    timeout = "200ms" if looked else "5s"
    with watching(machine, ROOT, {"bheem": (UMA, [unit(crashing.unit)])}, timeout=timeout) as server:
        witness = Witness(server, crashing)
        hung = machine.main_pid("dbus.service", UMA)
        machine.run("sh", "-c", f"kill -STOP {hung}").succeeded()
        try:
            if looked:
                assert reasons(server.scrape(), "bheem") == {"timeout"}
            crashes(crashing, 3)
        finally:
            machine.run("sh", "-c", f"kill -CONT {hung}").succeeded()
        wait_for("the readings to be back", lambda: succeeded(server.scrape(), "bheem"), seconds=90)
        if looked:
            # The connection was given up, so that how each of them failed was not heard.
            total = sum(failed(server.scrape().of(instance="bheem"), crashing.unit).values())
            assert total == sum(crashing.failures().values()) == 3
        else:
            witness.assert_grown_by("while the bus hung", exit_code=3)
    crashing.systemctl("stop")
