"""The units that run a gateway, told from its processes alone, in a real systemd."""

from __future__ import annotations

import os

import unit_files
from machine import ROOT, UMA, Account, Machine
from processes import wait_for

# What systemd spells with an escape.
ESCAPED = r"hermes-gateway-of\x2duma.service"


def test_a_gateway_that_runs_in_two_managers_is_named_with_both(machine: Machine) -> None:
    home = machine.share / "home-of-a-gateway"
    home.mkdir()
    # Who is not its owner, root or the configured user is not believed to serve it.
    os.chown(home, UMA.uid, UMA.uid)
    os.mkfifo(machine.share / "gateway", 0o666)
    (machine.share / "gateway").chmod(0o666)
    pretends = unit_files.service(
        f"ExecStart=/bin/bash -c 'cd {machine.share}; exec -a hermes cat gateway run'",
        f"Environment=HERMES_HOME={home}",
    )
    exporter = machine.exporter(ROOT)
    written = exporter.write({"instances": [{"name": "uma", "home": str(home), "user": "uma"}]})

    def found() -> dict[tuple[str, str], float]:
        series = exporter.scrape_once(written).series("hermes_gateway_unit_processes", instance="uma")
        return {(dict(labels)["manager"], dict(labels).get("unit", "")): count for labels, count in series.items()}

    def start(name: str, user: Account) -> None:
        machine.write_units({name: pretends}, user)
        machine.systemctl("start", "--", name, user=user)

    assert found() == {}
    start("hermes-gateway.service", ROOT)
    system = {("system", "hermes-gateway.service"): 1}
    wait_for("the system's to be named", lambda: found() == system)
    start("hermes-gateway.service", UMA)
    both = {**system, ("user", "hermes-gateway.service"): 1}
    wait_for("both to be named", lambda: found() == both)
    start(ESCAPED, ROOT)
    wait_for("the third to be named as it is spelt", lambda: found() == {**both, ("system", ESCAPED): 1})
    for name, user in (("hermes-gateway.service", ROOT), ("hermes-gateway.service", UMA), (ESCAPED, ROOT)):
        machine.systemctl("stop", "--", name, user=user)
    wait_for("none to be left", lambda: found() == {})
