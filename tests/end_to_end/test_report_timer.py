"""The package's service for reports in the systemd of a real user: what is counted goes on from run to run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import homes
from machine import UMA, Machine
from processes import wait_for

UNITS = Path(__file__).resolve().parents[2] / "packaging/systemd/user"
REPORTS = "/var/lib/hermes-exporter/reports"
SERVICE = "hermes-exporter-report@bheem.service"
GATEWAY = "hermes-gateway.service"
CONFIGURATION = """
instances:
  - name: bheem
    home: /home/uma/.hermes
    units: [{role: gateway, unit: hermes-gateway.service, manager: user}]
"""


def reported(machine: Machine) -> tuple[int, int, int]:
    """Has a report made; gives the turns, the rate limits and the failures in it."""
    machine.systemctl("start", SERVICE, user=UMA)
    report = json.loads(machine.path(f"{REPORTS}/bheem.json").read_text())
    (unit,) = report["units"]["known"]
    turns = report["activity"]["known"]["turns"]["buckets"]
    return sum(turns), report["logs"]["known"]["rate_limited"]["known"], sum(unit["failures"]["known"].values())


def restarts(machine: Machine) -> int:
    return int(machine.show(GATEWAY, "NRestarts", user=UMA)["NRestarts"])


def test_what_is_counted_goes_on_in_the_service_of_a_user(own_machine: Machine, tmp_path: Path) -> None:
    machine = own_machine
    shutil.copy(machine.binary, machine.path("/usr/bin/hermes-exporter"))
    for unit in UNITS.iterdir():
        shutil.copy(unit, machine.path("/usr/lib/systemd/user") / unit.name)
    machine.run("install", "-d", "-m", "1733", REPORTS).succeeded()
    home = machine.path("/home/uma/.hermes")
    shutil.copytree(homes.unpack(tmp_path / "homes")["bheem"], home, symlinks=True)
    configuration = machine.path("/home/uma/.config/hermes-exporter/hermes-exporter.yml")
    configuration.parent.mkdir(parents=True)
    configuration.write_text(CONFIGURATION)
    machine.run("chown", "-R", "uma:uma", UMA.home).succeeded()
    machine.write_unit(GATEWAY, "[Service]\nExecStart=/bin/sleep infinity\nRestart=always\n", user=UMA)
    machine.systemctl("daemon-reload", user=UMA)
    machine.systemctl("start", GATEWAY, user=UMA)
    turns, limits, failures = reported(machine)
    assert turns > 100 and (limits, failures) == (0, 0)
    with (home / "logs/errors.log").open("a") as log:
        log.write("2026-11-20 08:49:16,713 ERROR x: HTTP 429\n")
    for number in (1, 2):
        machine.systemctl("kill", "--signal=SEGV", GATEWAY, user=UMA)

        def is_restarted(number: int = number) -> bool:
            assert restarts(machine) == number
            return machine.main_pid(GATEWAY, user=UMA) > 0

        wait_for("the restart", is_restarted)
    for _ in range(2):
        assert reported(machine) == (turns, 1, 2)
    kept = "/home/uma/.config/hermes-exporter/reports"
    modes = machine.run("stat", "--format=%a %U", kept, f"{kept}/bheem.json").succeeded().output
    assert modes.splitlines() == ["700 uma", "600 uma"]
