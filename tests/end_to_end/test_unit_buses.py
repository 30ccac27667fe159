"""Buses that hang, talk nonsense or are not there: they cost the units that would have been read over them, are told
as unknown with a reason, leave nothing behind, and are asked again.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Callable

import pytest

import buses
import unit_files
from exporter import Exporter, Server
from machine import KEEPER, RAVI, ROOT, UMA, VIJAY, Account, Machine
from processes import wait_for
from unit_readings import assert_succeeded, configuration, known, reasons, state, unit, watching

# How often something fails before what it left behind is counted.
LOOKS = 1_000


def descriptors(server: Server) -> int:
    return len(os.listdir(f"/proc/{server.program.pid}/fd"))


def threads(server: Server) -> int:
    return len(os.listdir(f"/proc/{server.program.pid}/task"))


def highest_memory(server: Server) -> int:
    """In MiB."""
    status = Path(f"/proc/{server.program.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1_024


@pytest.fixture
def sleeping(machine: Machine) -> str:
    """A unit that runs in the system's manager, in uma's and in vijay's."""
    name = "sleeping.service"
    for user in (ROOT, UMA, VIJAY):
        machine.write_units({name: unit_files.SLEEPS}, user)
        machine.systemctl("start", name, user=user)
    return name


@pytest.mark.parametrize("reader", [ROOT, KEEPER], ids=lambda of: of.name)
def test_a_bus_that_hangs_costs_its_own_units_until_it_goes_on(
    machine: Machine, sleeping: str, reader: Account
) -> None:
    uma = {f"bheem-{number}": (UMA, [unit(sleeping, manager="user")]) for number in range(20)}
    vijay = {"vijay": (VIJAY, [unit(sleeping, manager="user")]), "system": (UMA, [unit(sleeping, manager="system")])}
    with watching(machine, reader, {**uma, **vijay}, timeout="200ms") as server:
        before = descriptors(server), threads(server)
        # Not by uma's own manager, which asks its bus as well.
        hung = machine.main_pid("dbus.service", UMA)
        machine.run("sh", "-c", f"kill -STOP {hung}").succeeded()
        try:
            failing = 0
            most = before
            while failing < LOOKS:
                samples = server.scrape()
                for instance in uma:
                    assert reasons(samples, instance) == {"timeout"}, instance
                    assert known(samples.of(instance=instance)) == set()
                    failing += 1
                for instance in vijay:
                    assert_succeeded(samples, instance)
                    assert state(samples.of(instance=instance), sleeping) == "active"
                most = max(most[0], descriptors(server)), max(most[1], threads(server))
        finally:
            machine.run("sh", "-c", f"kill -CONT {hung}").succeeded()

        def back() -> bool:
            samples = server.scrape()
            for instance in uma:
                assert_succeeded(samples, instance)
                assert state(samples.of(instance=instance), sleeping) == "active"
            return True

        # The pauses between attempts grow while they fail.
        wait_for("uma's units to be back", back, seconds=90)

        def as_before() -> bool:
            now = descriptors(server), threads(server)
            assert now[0] <= before[0] and now[1] <= before[1], f"descriptors, threads: {before} before, {now} now"
            return True

        wait_for("nothing to be left behind", as_before)
        after = descriptors(server), threads(server)
        print(f"\ndescriptors and threads: {before} before, {most} at most in {failing} failing looks, {after} after")


@pytest.mark.parametrize(
    "reader, how",
    [pytest.param(ROOT, how, id=f"root-{name}") for name, how in buses.MISBEHAVIOURS.items()]
    + [pytest.param(KEEPER, buses.lets_in_and_talks_nonsense, id="keeper-lets in and talks nonsense")],
)
def test_a_bus_that_misbehaves_is_unknown_and_costs_nothing_else(
    machine: Machine, sleeping: str, reader: Account, how: Callable
) -> None:
    asked = {
        "ravi": (RAVI, [unit(sleeping, manager="user")]),
        "vijay": (VIJAY, [unit(sleeping, manager="user")]),
    }
    with buses.misbehaving(machine, RAVI, how):
        exporter = machine.exporter(reader)
        with exporter.serving(configuration(exporter, machine, asked, timeout="200ms")) as server:

            def told() -> bool:
                assert_succeeded(server.scrape(), "vijay")
                return True

            wait_for("vijay's units", told)
            before, memory = descriptors(server), highest_memory(server)
            for _ in range(20):
                samples = server.scrape()
                assert reasons(samples, "ravi") and reasons(samples, "ravi") <= {"bus", "timeout"}
                assert known(samples.of(instance="ravi")) == set()
                assert_succeeded(samples, "vijay")

            def nothing_left() -> bool:
                now = descriptors(server)
                # The one connection that is being tried may be there or not at any moment.
                assert now <= before + 2, f"{before} descriptors before, {now} now"
                return True

            wait_for("nothing to be left behind", nothing_left)
            # The greatest message that D-Bus allows has 128 MiB; it is never held twice.
            assert highest_memory(server) < memory + 140


def test_where_no_systemd_runs_units_are_unknown(folder: Path, binary: Path) -> None:
    """In a mount namespace with an empty /run, which is what a container without systemd looks like."""
    bare = ["unshare", "--mount", "--propagation=private", "sh", "-euc", 'mount -t tmpfs t /run; exec "$@"', "bare"]
    exporter = Exporter(binary, folder, bare)
    listed = [
        {"name": name, "home": str(folder / name), "user": "root", "units": [unit("hermes-gateway.service", **keys)]}
        for name, keys in (("system", {"manager": "system"}), ("user", {"manager": "user"}), ("unnamed", {}))
    ]
    samples = exporter.scrape_once(exporter.write({"instances": listed}))
    for instance in ("system", "unnamed"):
        assert reasons(samples, instance) and reasons(samples, instance) <= {"bus", "unsupported", "not_found"}
        assert known(samples.of(instance=instance)) == set()
