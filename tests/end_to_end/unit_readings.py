"""The exporter asked about units: configurations that name them, and what the answers say."""

from __future__ import annotations

import contextlib
import datetime
from pathlib import Path
from typing import Iterator, Mapping, Optional

import unit_files
from exporter import Exporter, Server, failures
from exposition import Samples
from machine import Account, Machine
from processes import wait_for

Instances = Mapping[str, tuple[Account, list[dict[str, str]]]]
# What is not to be looked at meanwhile.
OTHER_COLLECTORS = (
    "gateway",
    "cron",
    "credentials",
    "inventory",
    "sessions",
    "activity",
    "home",
    "endpoints",
    "exposure",
    "guardrails",
    "logs",
    "host",
    "tailscale",
)
# Every name that tells something of a unit.
NAMES = {
    "hermes_unit_up",
    "hermes_unit_state",
    "hermes_unit_state_timestamp_seconds",
    "hermes_unit_enabled",
    "hermes_unit_restarts_total",
    "hermes_unit_failures_total",
    "hermes_unit_start_time_seconds",
    "hermes_unit_manager_active",
    "hermes_timer_last_trigger_timestamp_seconds",
    "hermes_timer_next_trigger_timestamp_seconds",
}


def unit(name: str, role: str = "gateway", **keys: str) -> dict[str, str]:
    return {"role": role, "unit": name, **keys}


def configuration(exporter: Exporter, machine: Machine, instances: Instances, timeout: Optional[str] = None) -> Path:
    """Instances with a user and units, and nothing but units to look at."""
    listed = []
    for name, (user, of) in instances.items():
        home = machine.share / f"home-{name}"
        home.mkdir(exist_ok=True)
        listed.append({"name": name, "home": str(home), "user": user.name, "units": of})
    collectors: dict[str, dict] = {name: {"enabled": False} for name in OTHER_COLLECTORS}
    if timeout:
        collectors["units"] = {"timeout": timeout}
    return exporter.write({"instances": listed, "collectors": collectors})


def scrape(machine: Machine, reader: Account, instances: Instances) -> Samples:
    """What somebody is told who runs the exporter once inside."""
    exporter = machine.exporter(reader)
    return exporter.scrape_once(configuration(exporter, machine, instances))


def known(samples: Samples) -> set[str]:
    """The units of which anything is told."""
    return {labels["unit"] for name, labels, _ in samples if name in NAMES}


def state(samples: Samples, name: str) -> str:
    """The one state that a unit is in, after making sure that it is one of all of them."""
    found = {dict(labels)["state"]: value for labels, value in samples.series("hermes_unit_state", unit=name).items()}
    assert set(found) == unit_files.STATES, f"{name} has the states {sorted(found)}"
    assert set(found.values()) == {0, 1} and sum(found.values()) == 1, f"{name} is in {found}"
    return next(of for of, value in found.items() if value)


def failed(samples: Samples, name: str) -> dict[str, int]:
    """How often a unit has failed, by result, without results that never came."""
    counted = {
        dict(labels)["result"]: int(value)
        for labels, value in samples.series("hermes_unit_failures_total", unit=name).items()
    }
    return {result: count for result, count in counted.items() if count}


def succeeded(samples: Samples, instance: str) -> bool:
    return samples.value("hermes_collector_success", collector="units", instance=instance) == 1


def assert_succeeded(samples: Samples, instance: str) -> None:
    assert succeeded(samples, instance), f"units of {instance} failed: {failures(samples, instance)}"


def reasons(samples: Samples, instance: str) -> set[str]:
    """Why the units of an instance could not be told; empty if they could."""
    return failures(samples, instance).get("units", set())


def seconds(shown: str) -> float:
    """A time as systemctl shows it, which is to the second."""
    if shown.startswith("@"):
        return float(shown[1:])
    read = datetime.datetime.strptime(shown, "%a %Y-%m-%d %H:%M:%S %Z")
    return read.replace(tzinfo=datetime.timezone.utc).timestamp()


@contextlib.contextmanager
def watching(
    machine: Machine, reader: Account, instances: Instances, timeout: Optional[str] = None
) -> Iterator[Server]:
    """The exporter serving inside, after it has once told the units of all instances."""
    exporter = machine.exporter(reader)
    with exporter.serving(configuration(exporter, machine, instances, timeout)) as server:

        def all_told() -> bool:
            samples = server.scrape()
            for instance in instances:
                assert_succeeded(samples, instance)
            return True

        wait_for("the exporter to tell all units", all_told)
        yield server
