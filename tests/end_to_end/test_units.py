"""Units as a real systemd has them: every state, in the system's manager and in users' own, read with every set of
rights. What is expected is taken from systemd itself at the same moment.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

import unit_files
from exporter import Server
from exposition import Samples
from machine import KEEPER, ROOT, STRANGER, TARA, UMA, VIJAY, Account, Machine
from processes import free_port, wait_for
from unit_readings import assert_succeeded, configuration, known, reasons, scrape, seconds, state, unit, watching

# Who may read uma's units: root, she herself, and an account that may become her.
READERS = {"root": ROOT, "uma": UMA, "keeper": KEEPER}


# Every state, in each manager, read with each set of rights.


@pytest.fixture(scope="module")
def prepared(machine: Machine) -> Machine:
    """All kinds of units, in the system's manager and in uma's."""
    unit_files.set_up(machine, "sys-", UMA, ROOT)
    unit_files.set_up(machine, "own-", UMA, UMA)
    return machine


@pytest.fixture(scope="module", params=READERS)
def read(request: pytest.FixtureRequest, prepared: Machine) -> Samples:
    """All of them read by somebody, once with the manager named and once without."""
    asked = {
        "unnamed": (UMA, unit_files.entries("sys-") + unit_files.entries("own-")),
        "named": (UMA, unit_files.entries("sys-", manager="system") + unit_files.entries("own-", manager="user")),
    }
    return scrape(prepared, READERS[request.param], asked)


Shown = dict[str, dict[str, str]]


@pytest.fixture(scope="module")
def shown(prepared: Machine) -> Shown:
    """What systemd itself says of all of them."""
    found = {}
    for prefix, whose in (("sys-", ROOT), ("own-", UMA)):
        services = [prefix + of.name for of in unit_files.EXPECTED if of.name.endswith(".service")]
        timers = [prefix + of.name for of in unit_files.EXPECTED if of.name.endswith(".timer")]
        every = ("UnitFileState", "ActiveEnterTimestamp", "StateChangeTimestamp")
        found.update(prepared.show_all(services, "NRestarts", *every, user=whose))
        found.update(prepared.show_all(timers, "LastTriggerUSec", "NextElapseUSecRealtime", *every, user=whose))
    return found


EACH = [
    pytest.param(prefix, whose, of, id=f"{prefix}{of.name}")
    for prefix, whose in (("sys-", ROOT), ("own-", UMA))
    for of in unit_files.EXPECTED
]


@pytest.mark.parametrize("instance", ["unnamed", "named"])
@pytest.mark.parametrize("prefix, whose, of", EACH)
def test_a_unit_is_told_as_it_is(
    read: Samples, shown: Shown, prefix: str, whose: Account, of: unit_files.Expected, instance: str
) -> None:
    name = prefix + of.name
    samples = read.of(instance=instance)
    labels = {"unit": name, "role": of.role}
    assert state(samples, name) == of.state
    assert samples.value("hermes_unit_up", **labels) == of.up
    if of.enabled is not None:
        assert shown[name]["UnitFileState"] == ("enabled" if of.enabled else "disabled")
        assert samples.value("hermes_unit_enabled", **labels) == of.enabled
    elif samples.has("hermes_unit_enabled", **labels):
        assert samples.value("hermes_unit_enabled", **labels) == 0
    if name.endswith(".service") and of.state in ("active", "activating", "failed"):
        assert samples.value("hermes_unit_restarts_total", **labels) == int(shown[name]["NRestarts"])
    if of.state == "active":
        begun = seconds(shown[name]["ActiveEnterTimestamp"])
        assert abs(samples.value("hermes_unit_start_time_seconds", **labels) - begun) < 1.5
    changed = "hermes_unit_state_timestamp_seconds"
    if of.state in ("active", "failed") and not of.triggered:
        assert abs(samples.value(changed, **labels) - seconds(shown[name]["StateChangeTimestamp"])) < 1.5
    # A service that is being started or stopped may have a start; one that is not there has none.
    if of.state in ("not-found", "masked", "load-failed"):
        assert not samples.has("hermes_unit_start_time_seconds", unit=name)
        assert not samples.has(changed, unit=name)
    managers = samples.by("hermes_unit_manager_active", "manager", **labels)
    assert set(managers) <= {"system", "user"}
    ours, other = ("user", "system") if whose.uid else ("system", "user")
    if of.state == "active":
        assert managers[ours] == 1
    assert managers.get(other, 0) == 0


@pytest.mark.parametrize("prefix", ["sys-", "own-"])
def test_timers_tell_when_they_ran_and_will_run(read: Samples, shown: Shown, prefix: str) -> None:
    samples = read.of(instance="unnamed")
    last, following = "hermes_timer_last_trigger_timestamp_seconds", "hermes_timer_next_trigger_timestamp_seconds"
    for of in unit_files.EXPECTED:
        name = prefix + of.name
        if of.triggered is None:
            assert not samples.has(last, unit=name) and not samples.has(following, unit=name)
            continue
        labels = {"unit": name, "role": of.role}
        if of.triggered:
            assert abs(samples.value(last, **labels) - seconds(shown[name]["LastTriggerUSec"])) < 1.5
        else:
            assert shown[name]["LastTriggerUSec"] == "" and not samples.has(last, unit=name)
        next_run = samples.value(following, **labels)
        if shown[name]["NextElapseUSecRealtime"]:
            assert abs(next_run - seconds(shown[name]["NextElapseUSecRealtime"])) < 1.5
        else:
            # Given by systemd on a clock of its own: an hour after the last run, or a day after it was started.
            after = 3_600 if of.triggered else 86_400
            assert abs(next_run - seconds(shown[name]["ActiveEnterTimestamp"]) - after) < 5


def test_all_is_known_to_whoever_may_read_it(read: Samples) -> None:
    expected = {prefix + of.name for prefix in ("sys-", "own-") for of in unit_files.EXPECTED}
    for instance in ("unnamed", "named"):
        assert_succeeded(read, instance)
        assert known(read.of(instance=instance)) == expected


def test_without_rights_a_users_units_are_unknown_and_the_systems_are_not(prepared: Machine) -> None:
    asked = {
        "system": (UMA, unit_files.entries("sys-", manager="system")),
        "user": (UMA, unit_files.entries("own-", manager="user")),
        "unnamed": (UMA, unit_files.entries("sys-") + unit_files.entries("own-")),
    }
    samples = scrape(prepared, STRANGER, asked)
    assert_succeeded(samples, "system")
    assert known(samples.of(instance="system")) == {f"sys-{of.name}" for of in unit_files.EXPECTED}
    assert reasons(samples, "user") == {"permission"}
    assert known(samples.of(instance="user")) == set()
    # What the system's manager does not have may be in the other one, which can not be asked.
    assert reasons(samples, "unnamed") == {"permission"}
    told = known(samples.of(instance="unnamed"))
    assert {f"sys-{of.name}" for of in unit_files.EXPECTED if of.state == "active"} <= told
    assert not {name for name in told if name.startswith("own-")}
    assert samples.value("hermes_unit_up", instance="unnamed", unit="sys-gateway.service", role="gateway") == 1


def test_another_users_units_are_as_unknown_to_a_user_with_a_manager(prepared: Machine) -> None:
    samples = scrape(prepared, VIJAY, {"bheem": (UMA, unit_files.entries("own-", manager="user"))})
    assert reasons(samples, "bheem") == {"permission"}
    assert known(samples) == set()


@pytest.mark.parametrize("reader", READERS)
def test_a_user_without_a_manager_is_told_as_such(machine: Machine, reader: str) -> None:
    samples = scrape(machine, READERS[reader], {"tara": (TARA, [unit("hermes-gateway.service", manager="user")])})
    assert_succeeded(samples, "tara")
    samples = samples.of(instance="tara")
    assert state(samples, "hermes-gateway.service") == "no-manager"
    assert samples.value("hermes_unit_up", unit="hermes-gateway.service", role="gateway") == 0


@pytest.mark.parametrize("reader", READERS)
def test_a_gateway_that_runs_in_both_managers_is_named(machine: Machine, reader: str) -> None:
    name = "twice.service"
    for user, text in ((ROOT, unit_files.run_as(UMA, unit_files.SLEEPS)), (UMA, unit_files.SLEEPS)):
        machine.write_units({name: text}, user)
        machine.systemctl("start", name, user=user)
    asked = {"unnamed": (UMA, [unit(name)]), "system": (UMA, [unit(name, manager="system")])}
    samples = scrape(machine, READERS[reader], asked)
    for instance in asked:
        assert_succeeded(samples, instance)
        assert samples.value("hermes_unit_up", instance=instance, unit=name, role="gateway") == 1
    found = samples.of(instance="unnamed").by("hermes_unit_manager_active", "manager", unit=name, role="gateway")
    assert found == {"system": 1, "user": 1}
    machine.systemctl("stop", name, user=UMA)
    samples = scrape(machine, READERS[reader], asked)
    found = samples.of(instance="unnamed").by("hermes_unit_manager_active", "manager", unit=name, role="gateway")
    assert found.get("user", 0) == 0 and found["system"] == 1
    assert samples.value("hermes_unit_up", instance="unnamed", unit=name, role="gateway") == 1
    machine.systemctl("stop", name)


def test_a_unit_of_the_system_is_an_instances_own_by_its_home_or_its_user(machine: Machine) -> None:
    home = machine.share / "home-uma"
    texts = {
        "whose-roots": unit_files.SLEEPS,
        "whose-umas": unit_files.run_as(UMA, unit_files.SLEEPS),
        "whose-home": unit_files.service("ExecStart=/bin/sleep infinity", f"Environment=HERMES_HOME={home}"),
        "whose-other-home": unit_files.service(
            "ExecStart=/bin/sleep infinity", f"User={UMA.name}", "Environment=HERMES_HOME=/srv/other"
        ),
    }
    names = [f"{name}.service" for name in texts]
    machine.write_units({f"{name}.service": text for name, text in texts.items()})
    # The system's runs, and uma's own has failed.
    twice = "whose-both.service"
    machine.write_units({twice: unit_files.SLEEPS})
    machine.write_units({twice: unit_files.service("Type=oneshot", "ExecStart=/bin/false")}, UMA)
    assert machine.ask_systemctl("start", twice, user=UMA).code != 0
    machine.systemctl("start", *names, twice)
    entries = [unit(name) for name in (*names, twice)]
    samples = scrape(machine, ROOT, {"uma": (UMA, entries), "root": (ROOT, entries)})
    # What root runs without a home may be for anybody who has none of that name.
    for instance, own in (("uma", {"whose-roots", "whose-umas", "whose-home"}), ("root", {"whose-roots"})):
        assert_succeeded(samples, instance)
        found = {name for name in texts if state(samples.of(instance=instance), f"{name}.service") == "active"}
        assert found == own, f"taken for those of {instance}"
    assert state(samples.of(instance="uma"), twice) == "failed"
    assert state(samples.of(instance="root"), twice) == "active"
    machine.systemctl("stop", *names, twice)
    machine.systemctl("reset-failed", twice, user=UMA)


@pytest.mark.parametrize("reader", [ROOT, VIJAY, KEEPER], ids=lambda of: of.name)
def test_a_broker_is_as_good_a_bus_as_a_daemon(machine: Machine, reader: Account) -> None:
    for user, program in ((UMA, "dbus-daemon"), (VIJAY, "dbus-broker")):
        assert program in machine.show("dbus.service", "ExecStart", user=user)["ExecStart"]
    machine.write_units({"brokered.service": unit_files.SLEEPS}, VIJAY)
    machine.systemctl("start", "brokered.service", user=VIJAY)
    samples = scrape(machine, reader, {"vijay": (VIJAY, [unit("brokered.service", manager="user")])})
    assert_succeeded(samples, "vijay")
    assert samples.value("hermes_unit_up", instance="vijay", unit="brokered.service", role="gateway") == 1


@pytest.mark.parametrize("left", ["a socket that refuses", "nothing"])
@pytest.mark.parametrize("reader", [ROOT, VIJAY, KEEPER], ids=lambda of: of.name)
def test_a_manager_without_a_bus_is_reached_by_its_own_socket(machine: Machine, reader: Account, left: str) -> None:
    machine.write_units({"busless.service": unit_files.SLEEPS}, VIJAY)
    machine.systemctl("start", "busless.service", user=VIJAY)
    machine.systemctl("stop", "dbus.socket", "dbus.service", user=VIJAY)
    bus = machine.path(f"{VIJAY.runtime}/bus")
    assert bus.is_socket(), "systemd is known to leave it behind"
    try:
        if left == "nothing":
            bus.unlink()
        samples = scrape(machine, reader, {"vijay": (VIJAY, [unit("busless.service", manager="user")])})
    finally:
        # Else it would be started too often for systemd's liking.
        machine.systemctl("reset-failed", "dbus.socket", "dbus.service", user=VIJAY)
        machine.systemctl("start", "dbus.socket", user=VIJAY)
    assert_succeeded(samples, "vijay")
    assert samples.value("hermes_unit_up", instance="vijay", unit="busless.service", role="gateway") == 1
    wait_for("vijay's bus to be back", lambda: machine.has_manager(VIJAY))


def test_a_loop_of_crashes_goes_on_being_seen(machine: Machine) -> None:
    name = "looping.service"
    lines = ("ExecStart=/bin/sh -c 'exit 3'", "Restart=always", "RestartSec=100ms")
    text = unit_files.service(*lines, unit=["StartLimitIntervalSec=0"])
    machine.write_units({name: text}, UMA)
    machine.systemctl("start", name, user=UMA)

    def restarts() -> int:
        return int(machine.show(name, "NRestarts", user=UMA)["NRestarts"])

    try:
        for reader in READERS.values():
            before = wait_for("the loop to go on", restarts)
            samples = scrape(machine, reader, {"bheem": (UMA, [unit(name)])})
            after = restarts()
            samples = samples.of(instance="bheem")
            # It is up for an instant now and then.
            assert state(samples, name) in ("activating", "active", "deactivating", "inactive", "failed")
            assert before <= samples.value("hermes_unit_restarts_total", unit=name, role="gateway") <= after
    finally:
        machine.systemctl("stop", name, user=UMA)


def documented_service() -> str:
    """The unit file in the documentation for an exporter that looks at several users' installations."""
    text = (Path(__file__).resolve().parents[2] / "docs/privileges.md").read_text()
    blocks = re.findall(r"^```ini\n# /etc/systemd/system/hermes-exporter.service\n(.*?)^```$", text, re.M | re.S)
    assert len(blocks) == 1, f"expected one unit file in the documentation, found {len(blocks)}"
    return blocks[0]


def test_the_documented_service_reads_everything(machine: Machine) -> None:
    text = documented_service()
    command = "ExecStart=/usr/local/bin/hermes-exporter --config.file /etc/hermes-exporter.yml"
    assert f"{command}\n" in text and f"User={KEEPER.name}\n" in text
    shutil.copy2(machine.binary, machine.path("/usr/local/bin/hermes-exporter"))
    name = "documented.service"
    for user in (ROOT, UMA, VIJAY):
        machine.write_units({name: unit_files.SLEEPS}, user)
        machine.systemctl("start", name, user=user)
    asked = {
        "system": (UMA, [unit(name, manager="system")]),
        "uma": (UMA, [unit(name, manager="user")]),
        "vijay": (VIJAY, [unit(name, manager="user")]),
    }
    written = configuration(machine.exporter(KEEPER), machine, asked)
    shutil.copy2(written, machine.path("/etc/hermes-exporter.yml"))
    port = free_port()
    service = "hermes-exporter.service"
    machine.write_units({service: text.replace(command, f"{command} --web.listen-address 127.0.0.1:{port}")})
    assert machine.run("systemd-analyze", "verify", f"/etc/systemd/system/{service}").succeeded().log == ""
    machine.systemctl("start", service)
    try:
        found = wait_for("the service to answer", Server(port, machine.program).scrape)
        status = machine.path(f"/proc/{machine.main_pid(service)}/status").read_text()
    finally:
        machine.systemctl("stop", service)
    for instance in asked:
        assert_succeeded(found, instance)
        assert found.value("hermes_unit_up", instance=instance, unit=name, role="gateway") == 1
    assert f"Uid:\t{KEEPER.uid}\t{KEEPER.uid}" in status
    # CAP_SETGID and CAP_SETUID.
    assert re.findall(r"^Cap(?:Prm|Eff|Bnd|Amb):\s+(\w+)$", status, re.M) == ["00000000000000c0"] * 4


@pytest.mark.parametrize("owner", [ROOT, UMA, VIJAY], ids=lambda of: of.name)
def test_many_units_are_all_told_every_time(machine: Machine, owner: Account) -> None:
    """More of them than a bus lets a connection have questions open, which is 128 for dbus-daemon."""
    machine.write_units({"many@.service": unit_files.SLEEPS}, owner)
    names = {f"many@{number}.service" for number in range(150)}
    machine.systemctl("start", *names, user=owner)
    manager = "user" if owner.uid else "system"
    entries = [{"role": "container", "pattern": "many@*.service", "manager": manager}]
    by_name = [unit(name, role="container", manager=manager) for name in sorted(names)]
    with watching(machine, ROOT, {"pattern": (owner, entries), "named": (owner, by_name)}) as server:
        for _ in range(10):
            samples = server.scrape()
            for instance in ("pattern", "named"):
                assert_succeeded(samples, instance)
                told = samples.of(instance=instance)
                assert told.by("hermes_unit_up", "unit", role="container") == dict.fromkeys(names, 1)
                assert set(told.by("hermes_unit_restarts_total", "unit", role="container")) == names
    machine.systemctl("stop", *names, user=owner)


@pytest.mark.parametrize("reader", [ROOT, UMA], ids=lambda of: of.name)
def test_what_changes_between_two_looks_is_told_at_the_next(machine: Machine, reader: Account) -> None:
    """Properties are kept until the manager says that they have changed, and are never shown any longer."""
    name = f"changing-for-{reader.name}.service"
    machine.write_units({name: unit_files.service("ExecStart=/bin/sleep infinity", enabled=True)}, UMA)
    machine.systemctl("start", name, user=UMA)
    labels = {"instance": "bheem", "unit": name, "role": "gateway"}
    with watching(machine, reader, {"bheem": (UMA, [unit(name)])}) as server:
        first = server.scrape()
        assert first.value("hermes_unit_enabled", **labels) == 0
        for _ in range(3):
            assert server.scrape().value("hermes_unit_enabled", **labels) == 0
        machine.systemctl("enable", name, user=UMA)
        assert server.scrape().value("hermes_unit_enabled", **labels) == 1
        machine.systemctl("restart", name, user=UMA)
        started = first.value("hermes_unit_start_time_seconds", **labels)
        assert server.scrape().value("hermes_unit_start_time_seconds", **labels) > started
        machine.systemctl("disable", "--now", name, user=UMA)
        last = server.scrape()
        assert last.value("hermes_unit_enabled", **labels) == 0
        assert (last.value("hermes_unit_up", **labels), state(last, name)) == (0, "inactive")
