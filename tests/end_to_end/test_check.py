"""`check` beside the real thing: a gateway that lives, freezes and dies, and a home that nobody else may read."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import homes
from exporter import Exporter
from processes import wait_for

# Somebody who owns nothing here.
STRANGER = 54321


def check(exporter: Exporter, configuration: Path, *arguments: object, **options: object) -> tuple[int, dict]:
    """The exit code and what was found."""
    flags = ("--config.file", configuration, "--output", "json", "--no-collector.tailscale")
    finished = exporter.run("check", *flags, *arguments, **options)
    return finished.code, json.loads(finished.output)


def of_gateway(told: dict) -> list[tuple[str, str]]:
    """What is found of the gateway itself; its stand-in has a platform that fails for good."""
    return [
        (finding["severity"], finding["finding"])
        for finding in told["findings"]
        if finding["finding"].startswith("gateway_")
    ]


def test_a_gateway_through_its_life(exporter: Exporter, fresh: dict[str, Path], hermes_python: Path) -> None:
    configuration = exporter.configuration({"vijay": fresh["vijay"]}, {"units": []})

    def wait_until_found(*expected: tuple[str, str]) -> int:
        def has_come() -> int:
            code, told = check(exporter, configuration)
            assert of_gateway(told) == list(expected), told
            assert told["unknown"] == [], told
            return code + 1

        return wait_for(f"{expected} to be found of the gateway", has_come, seconds=60) - 1

    assert wait_until_found(("critical", "gateway_crashed")) == 2
    with homes.gateway(fresh["vijay"], hermes_python) as gateway:
        wait_until_found()
        _, told = check(exporter, configuration)
        down = [finding for finding in told["findings"] if finding["severity"] == "critical"]
        assert [(finding["finding"], finding["subject"]) for finding in down] == [("platform_down", "discord")]
        gateway.send(signal.SIGSTOP)
        assert wait_until_found(("critical", "gateway_frozen")) == 2
        _, told = check(exporter, configuration)
        assert not [finding for finding in told["findings"] if finding["finding"] == "platform_down"]
        gateway.send(signal.SIGCONT)
        wait_until_found()
        gateway.send(signal.SIGKILL)
        gateway.wait()
        assert wait_until_found(("critical", "gateway_crashed")) == 2


def test_a_home_that_may_not_be_read_is_unknown(exporter: Exporter, fresh: dict[str, Path], owner: int) -> None:
    home = fresh["bheem"]
    homes.give_to(home, owner)
    home.chmod(0o700)
    configuration = exporter.configuration({"bheem": home}, {"units": []})
    code, told = check(exporter, configuration, user=STRANGER)
    assert code == 3, told
    assert told["findings"] == [] and told["healthy"] == 0
    assert {unknown["reason"] for unknown in told["unknown"]} == {"permission"}
    code, told = check(exporter, configuration, user=owner)
    assert code == 2 and told["unknown"] == [], "its owner sees that its gateway was stopped"

    finished = exporter.run("check", "--config.file", configuration, "--no-collector.tailscale", user=STRANGER)
    assert finished.code == 3
    assert finished.output.startswith("unknown: 0 of 1 instance healthy, no findings"), finished.output
