"""Services of a real s6: what the exporter says of them against what s6's own tools say."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import homes
from exporter import Exporter, Server, failures
from exposition import Samples
from processes import running, wait_for
from supervision import S6, SLEEPER, s6

SERVICES = {
    "gateway-up": {"run": SLEEPER},
    "gateway-stopped": {"run": SLEEPER},
    "gateway-restarted": {"run": SLEEPER},
    "gateway-killed": {"run": SLEEPER},
    "gateway-registered": {"run": SLEEPER, "down": ""},
    "gateway-crashing": {"run": "#!/bin/sh\nexit 3\n"},
    "gateway-failed": {"run": "#!/bin/sh\nexit 78\n", "finish": '#!/bin/sh\n[ "$1" -ne 78 ] || exit 125\n'},
}


def configuration(exporter: Exporter, home: Path, scan_directory: Path, units: list[str]) -> Path:
    keys = {
        "s6_scan_directory": str(scan_directory),
        "units": [{"role": "gateway", "unit": unit, "manager": "s6"} for unit in units],
    }
    return exporter.configuration({"vijay": home}, keys)


def state(samples: Samples, unit: str) -> tuple[float, str]:
    """Whether a unit is up, and the one state that holds."""
    labels = {"instance": "vijay", "unit": unit, "role": "gateway"}
    states = samples.by("hermes_unit_state", "state", **labels)
    assert set(states.values()) <= {0.0, 1.0}, states
    holding = [name for name, value in states.items() if value == 1]
    assert len(holding) == 1, f"{unit} is {holding}"
    return samples.value("hermes_unit_up", **labels), holding[0]


def wait_until_unit_is(server: Server, s6: S6, unit: str, expected: tuple[float, str], *words: str) -> Samples:
    """Waits until both say the same: the exporter in its states, and `s6-svstat` in its words."""

    def agrees() -> Samples:
        samples, said = server.scrape(), s6.words(unit)
        found = state(samples, unit)
        assert found == expected and all(word in said for word in words), f"{found}; s6-svstat: {said}"
        return samples

    return wait_for(f"{unit} to be {expected} and {words}", agrees)


def value(samples: Samples, metric: str, unit: str, **labels: str) -> float:
    return samples.value(metric, instance="vijay", unit=unit, role="gateway", **labels)


def test_every_state_of_a_service(exporter: Exporter, recorded: dict[str, Path], folder: Path) -> None:
    units = [*SERVICES, "gateway-nowhere"]
    with (
        s6(folder / "scan", SERVICES) as supervision,
        exporter.serving(configuration(exporter, recorded["vijay"], folder / "scan", units)) as server,
    ):
        samples = wait_until_unit_is(server, supervision, "gateway-up", (1, "active"), "up (pid ")
        born = os.stat(f"/proc/{supervision.process_of('gateway-up')}").st_mtime
        started = value(samples, "hermes_unit_start_time_seconds", "gateway-up")
        assert value(samples, "hermes_unit_state_timestamp_seconds", "gateway-up") == started
        assert abs(started - born) < 30, f"started at {started}, the process is of about {born}"
        assert value(samples, "hermes_unit_restarts_total", "gateway-up") == 0

        wait_until_unit_is(server, supervision, "gateway-registered", (0, "inactive"), "down (exitcode 0)")
        wait_until_unit_is(server, supervision, "gateway-failed", (0, "failed"), "down (exitcode 78)", "normally up")
        crashing = ("down (exitcode 3)", "want up")
        wait_until_unit_is(server, supervision, "gateway-crashing", (0, "activating"), *crashing)
        assert state(server.scrape(), "gateway-nowhere") == (0, "not-found")

        supervision.wait_until("gateway-stopped", "up (pid ")
        supervision.tell("gateway-stopped", "-d")
        stopped = ("down (signal SIGTERM)", "normally up")
        samples = wait_until_unit_is(server, supervision, "gateway-stopped", (0, "inactive"), *stopped)
        assert not samples.has("hermes_unit_start_time_seconds", instance="vijay", unit="gateway-stopped")

        supervision.wait_until("gateway-restarted", "up (pid ")
        first = supervision.process_of("gateway-restarted")
        supervision.tell("gateway-restarted", "-r")
        wait_for("it to be restarted", lambda: supervision.process_of("gateway-restarted") not in (0, first))
        wait_until_unit_is(server, supervision, "gateway-restarted", (1, "active"), "up (pid ")

        supervision.wait_until("gateway-killed", "up (pid ")
        os.kill(supervision.process_of("gateway-killed"), signal.SIGKILL)

        def has_come_back() -> Samples:
            found = server.scrape()
            assert value(found, "hermes_unit_restarts_total", "gateway-killed") == 1
            assert value(found, "hermes_unit_failures_total", "gateway-killed", result="signal") == 1
            return found

        wait_for("the death to be counted", has_come_back)
        wait_until_unit_is(server, supervision, "gateway-killed", (1, "active"), "up (pid ")

        def deaths_have_grown() -> bool:
            return value(server.scrape(), "hermes_unit_restarts_total", "gateway-crashing") >= 3

        wait_for("the crash loop to be counted", deaths_have_grown)
        assert failures(server.scrape(), "vijay").keys().isdisjoint({"units"})


def test_a_dead_supervisor_is_not_believed(exporter: Exporter, recorded: dict[str, Path], folder: Path) -> None:
    with (
        s6(folder / "scan", {"gateway-default": {"run": SLEEPER}}) as supervision,
        exporter.serving(
            configuration(exporter, recorded["vijay"], folder / "scan", ["gateway-default"])
        ) as server,
    ):
        wait_until_unit_is(server, supervision, "gateway-default", (1, "active"), "up (pid ")
        supervision.kill_supervisors()
        dead = "s6-supervise not running"
        wait_until_unit_is(server, supervision, "gateway-default", (0, "no-manager"), dead)
        assert Path(f"/proc/{supervision.process_of('gateway-default')}").exists(), "the orphan lives on"


def test_a_service_of_another_user_is_unknown(
    exporter: Exporter, recorded: dict[str, Path], folder: Path, owner: int
) -> None:
    homes.give_to(recorded["vijay"], owner)
    with s6(folder / "scan", {"gateway-default": {"run": SLEEPER}}) as supervision:
        supervision.wait_until("gateway-default", "up (pid ")
        written = configuration(exporter, recorded["vijay"], folder / "scan", ["gateway-default"])
        # s6 makes its folder for its own user alone.
        refused = exporter.scrape_once(written, user=owner).of(instance="vijay")
        assert not refused.has("hermes_unit_up") and not refused.has("hermes_unit_state")
        assert failures(exporter.scrape_once(written, user=owner), "vijay")["units"] == {"permission"}
        # With the rights that Hermes gives it in a container, anybody can see.
        (folder / "scan/gateway-default/supervise").chmod(0o755)
        samples = exporter.scrape_once(written, user=owner)
        assert state(samples, "gateway-default") == (1, "active")


def test_looking_changes_nothing(exporter: Exporter, recorded: dict[str, Path], folder: Path) -> None:
    with s6(folder / "scan", {"gateway-default": {"run": SLEEPER}}) as supervision:
        supervision.wait_until("gateway-default", "up (pid ")
        before = homes.listing(folder / "scan")
        written = configuration(exporter, recorded["vijay"], folder / "scan", ["gateway-default"])
        for _ in range(3):
            assert state(exporter.scrape_once(written), "gateway-default") == (1, "active")
        assert homes.listing(folder / "scan") == before


def test_a_gateway_under_s6_is_named_after_its_service(
    exporter: Exporter, fresh: dict[str, Path], folder: Path, hermes_python: Path
) -> None:
    gateway = f"#!/bin/sh\nexec {hermes_python} {homes.MAKE_HOMES} gateway {fresh['vijay']} --seconds 900\n"
    now = time.strftime("%Y-%m-%dT%H:%M:%S%z")
    boot = fresh["vijay"] / "logs/container-boot.log"
    boot.write_text(f"{now} profile=default prior_state=running action=started\n")
    with s6(folder / "scan", {"gateway-default": {"run": gateway}}) as supervision:
        written = exporter.configuration(fresh)
        with exporter.serving(written) as server:

            def is_at_work() -> Samples:
                samples = server.scrape().of(instance="vijay")
                assert samples.value("hermes_gateway_up") == 1
                return samples

            samples = wait_for("the gateway to be up", is_at_work, seconds=60)
            named = {"manager": "s6", "unit": "gateway-default"}
            assert samples.series("hermes_gateway_unit_processes") == {frozenset(named.items()): 1}
            ((labels, _),) = samples.series("hermes_instance_info").items()
            assert dict(labels)["supervisor"] == "s6"
            assert samples.value("hermes_container_boot_info", action="started", prior_state="running") == 1
            assert abs(samples.value("hermes_container_boot_timestamp_seconds") - time.time()) < 300
            # A second one, started by hand, is seen and told from it. Hermes' own would not start beside the first.
            os.mkfifo(folder / "gateway")
            by_hand = ("bash", "-c", "exec -a hermes cat gateway run")
            environment = {"PATH": os.environ["PATH"], "HERMES_HOME": str(fresh["vijay"])}
            with running(*by_hand, environment=environment, folder=folder):

                def are_two() -> bool:
                    found = server.scrape().series("hermes_gateway_unit_processes", instance="vijay")
                    by_manager = {dict(labels)["manager"]: count for labels, count in found.items()}
                    assert sum(by_manager.values()) == 2 and by_manager["s6"] == 1, by_manager
                    return True

                wait_for("both to be seen", are_two)
        supervision.tell("gateway-default", "-d")
        supervision.wait_until("gateway-default", "down (")
