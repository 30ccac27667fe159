"""Homes of other users, read as these users by an exporter that may take their identity and nothing more."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

import homes
from exporter import Exporter, Server, failures
from exposition import Samples
from processes import wait_for

# An account as a service has one; like the owner of the homes it need not exist.
KEEPER = 23456
IDENTITY = ("+setuid", "+setgid")

# What differs between two looks at the same home.
OF_THE_LOOK = (
    "hermes_collector_duration_seconds",
    "hermes_snapshot_timestamp_seconds",
    "hermes_home_filesystem_avail_bytes",
)

WRITES_AND_STAYS = """
store = SessionDB()
store.create_session("written-by-the-test", "cli")
print("ready", flush=True)
time.sleep(900)
"""


def as_keeper(exporter: Exporter, *capabilities: str) -> Exporter:
    """The exporter under an account that has these capabilities alone."""
    kept = ",".join(("-all", *capabilities))
    entering = (
        # Waits for it, as `entering` has to.
        "unshare",
        "--fork",
        "--kill-child",
        "setpriv",
        f"--reuid={KEEPER}",
        f"--regid={KEEPER}",
        "--clear-groups",
        f"--inh-caps={kept}",
        f"--ambient-caps={kept}",
        f"--bounding-set={kept}",
    )
    return dataclasses.replace(exporter, entering=entering)


@pytest.fixture
def home(recorded: dict[str, Path], owner: int) -> Path:
    """A home that nobody but its owner can look into."""
    homes.give_to(recorded["vijay"], owner)
    recorded["vijay"].chmod(0o700)
    return recorded["vijay"]


def configuration(exporter: Exporter, home: Path, user: object) -> Path:
    keys = {"user": str(user), "units": []}
    return exporter.configuration({"vijay": home}, keys, collectors={"host": {"enabled": False}})


def readings(samples: Samples) -> dict[tuple, float]:
    return {
        (name, tuple(sorted(labels.items()))): value
        for name, labels, value in samples.of(instance="vijay")
        if name not in OF_THE_LOOK
    }


def test_the_two_capabilities_are_enough(exporter: Exporter, home: Path, owner: int) -> None:
    written = configuration(exporter, home, owner)
    before = homes.listing(home)
    own = exporter.scrape_once(written, user=owner)
    as_owner = as_keeper(exporter, *IDENTITY).scrape_once(written)
    assert failures(as_owner, "vijay") == {}
    assert readings(as_owner) == readings(own)
    assert homes.differences(before, homes.listing(home)) == []


@pytest.mark.parametrize("capabilities", [(), ("+setuid",), ("+setgid",)], ids=["none", "setuid", "setgid"])
def test_with_less_everything_is_unknown_and_nothing_is_down(
    exporter: Exporter, home: Path, owner: int, capabilities: tuple[str, ...]
) -> None:
    samples = as_keeper(exporter, *capabilities).scrape_once(configuration(exporter, home, owner))
    failed = failures(samples, "vijay")
    assert failed["gateway"] == failed["sessions"] == failed["home"] == {"permission"}
    assert not samples.has("hermes_gateway_up") and not samples.has("hermes_sessions")


def test_a_store_that_hermes_is_writing_is_read(
    exporter: Exporter, home: Path, owner: int, hermes_python: Path
) -> None:
    with homes.store_user(home, hermes_python, WRITES_AND_STAYS, owner) as hermes:

        def is_open() -> bool:
            hermes.assert_running()
            return "ready" in hermes.output()

        wait_for("the store to be open", is_open)
        assert (home / "state.db-wal").stat().st_size > 0
        written = configuration(exporter, home, owner)
        before = homes.listing(home)
        samples = as_keeper(exporter, *IDENTITY).scrape_once(written)
        assert failures(samples, "vijay") == {}
        own = exporter.scrape_once(written, user=owner)
        assert samples.value("hermes_messages_total", instance="vijay") > 0
        assert readings(samples) == readings(own)
        assert homes.differences(before, homes.listing(home)) == []


def test_what_is_done_in_the_background_is_done_as_the_owner_too(exporter: Exporter, home: Path, owner: int) -> None:
    with as_keeper(exporter, *IDENTITY).serving(configuration(exporter, home, owner)) as server:

        def is_measured() -> bool:
            samples = server.scrape()
            assert failures(samples, "vijay") == {}
            return samples.has("hermes_home_bytes", instance="vijay")

        wait_for("the size of the home", is_measured)
        server.scrape()
        users = users_of_threads(server)
        assert owner in users and KEEPER in users, users


def users_of_threads(server: Server) -> set[int]:
    """The effective users of the exporter's threads."""
    statuses = [(task / "status").read_text() for task in Path(f"/proc/{server.program.pid}/task").iterdir()]
    lines = [next(line for line in status.splitlines() if line.startswith("Uid:")) for status in statuses]
    return {int(line.split()[2]) for line in lines}


@pytest.mark.parametrize("user", ["its owner", "somebody who does not exist"])
def test_root_does_not_follow_a_link_that_the_owner_could_not(
    exporter: Exporter, home: Path, owner: int, folder: Path, user: str
) -> None:
    secret = folder / "of-root.json"
    secret.write_text('{"jobs": [{"id": "0123456789ab", "enabled": true}]}')
    secret.chmod(0o600)
    (home / "cron/jobs.json").unlink()
    (home / "cron/jobs.json").symlink_to(secret)
    os.lchown(home / "cron/jobs.json", owner, owner)
    named = owner if user == "its owner" else "nobody-of-this-name"
    samples = exporter.scrape_once(configuration(exporter, home, named))
    assert failures(samples, "vijay")["cron"] == {"permission"}
    assert not samples.has("hermes_cron_jobs")
