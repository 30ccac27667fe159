"""Units for a machine, one for each thing that can become of a unit, and what the exporter has to say about each."""

from __future__ import annotations

import dataclasses
import os
from typing import Iterable, Optional

from machine import ROOT, Account, Machine
from processes import wait_for

STATES = {
    "active",
    "reloading",
    "inactive",
    "failed",
    "activating",
    "deactivating",
    "maintenance",
    "not-found",
    "load-failed",
    "masked",
    "no-manager",
}

# Timers are late by up to a minute unless they are told not to.
AT_ONCE = "AccuracySec=1us\n"


def service(*lines: str, unit: Iterable[str] = (), enabled: bool = False) -> str:
    """The text of a service's unit file."""
    install = ["[Install]", "WantedBy=default.target"] if enabled else []
    return "\n".join(["[Unit]", *unit, "[Service]", *lines, *install]) + "\n"


def timer(*lines: str) -> str:
    """The text of a timer's unit file."""
    return "\n".join(["[Timer]", *lines, AT_ONCE])


# Crashes once and waits for an hour, as far as a test is concerned for ever, to be started again.
WAITS_FOR_A_RESTART = service("ExecStart=/bin/sh -c 'exit 3'", "Restart=always", "RestartSec=1h")
SLEEPS = service("ExecStart=/bin/sleep infinity")


@dataclasses.dataclass(frozen=True)
class Expected:
    """One unit, and what is to be said about it. The name has a prefix put before it that tells whose it is."""

    role: str
    name: str
    state: str
    up: bool
    # Nothing where it is not for a unit to be enabled by itself.
    enabled: Optional[bool] = None
    # For a timer: whether it ever ran.
    triggered: Optional[bool] = None
    # What to put into the configuration for it; by default the name, nothing if another entry brings this one along.
    entry: Optional[dict[str, str]] = dataclasses.field(default_factory=dict)


# What to write for each manager, by name without the prefix; {prefix} in a text becomes it.
FILES = {
    "gateway.service": service("ExecStart=/bin/sleep infinity", "Restart=always", enabled=True),
    "disabled.service": service("ExecStart=/bin/sleep infinity", enabled=True),
    "static.service": SLEEPS,
    "waiting.service": WAITS_FOR_A_RESTART,
    "limit.service": service(
        "ExecStart=/bin/sh -c 'exit 3'",
        "Restart=always",
        "RestartSec=20ms",
        unit=("StartLimitIntervalSec=60", "StartLimitBurst=3"),
    ),
    "killed.service": service("ExecStart=/bin/sh -c 'kill -KILL $$$$'"),
    "bad-setting.service": service("Restart=always"),
    "unreadable.service": "[Service]\nExecStart=relative/path\n",
    "started.service": service("Type=oneshot", "RemainAfterExit=yes", "ExecStart=/bin/true"),
    "starting.service": service("Type=notify", "ExecStart=/bin/sleep infinity", "TimeoutStartSec=infinity"),
    "stopping.service": service(
        "ExecStart=/bin/sh -c 'trap \"\" TERM; touch /tmp/{prefix}stopping; while :; do sleep 1; done'",
        "TimeoutStopSec=infinity",
    ),
    "backup.service": service("Type=oneshot", "ExecStart=/bin/true"),
    # One with a time of day for its next run, and one that counts from its last.
    "backup.timer": timer("OnActiveSec=0", "OnCalendar=daily"),
    "broken-backup.service": service("Type=oneshot", "ExecStart=/bin/false"),
    "broken-backup.timer": timer("OnActiveSec=0", "OnUnitActiveSec=1h"),
    "some-day.service": service("Type=oneshot", "ExecStart=/bin/true"),
    "some-day.timer": timer("OnActiveSec=1d"),
    "stopped.timer": timer("OnActiveSec=1d", "Unit={prefix}backup.service"),
    "container@.service": SLEEPS,
}
START = (
    "gateway.service",
    "static.service",
    "waiting.service",
    "limit.service",
    "killed.service",
    "started.service",
    "starting.service",
    "stopping.service",
    "backup.timer",
    "broken-backup.timer",
    "some-day.timer",
    "container@a.service",
    "container@b.service",
)

EXPECTED = (
    Expected("gateway", "gateway.service", "active", up=True, enabled=True),
    Expected("disabled", "disabled.service", "inactive", up=False, enabled=False),
    Expected("static", "static.service", "active", up=True),
    Expected("waiting", "waiting.service", "activating", up=False),
    Expected("limit", "limit.service", "failed", up=False),
    Expected("killed", "killed.service", "failed", up=False),
    Expected("masked", "masked.service", "masked", up=False),
    Expected("missing", "missing.service", "not-found", up=False),
    Expected("bad", "bad-setting.service", "load-failed", up=False),
    Expected("bad", "unreadable.service", "load-failed", up=False),
    Expected("started", "started.service", "active", up=True),
    Expected("starting", "starting.service", "activating", up=False),
    Expected("stopping", "stopping.service", "deactivating", up=False),
    # The service that a timer starts comes with the timer. It is well while it has not failed.
    Expected("backup", "backup.timer", "active", up=True, triggered=True),
    Expected("backup", "backup.service", "inactive", up=True, entry=None),
    Expected("broken", "broken-backup.timer", "active", up=True, triggered=True),
    Expected("broken", "broken-backup.service", "failed", up=False, entry=None),
    Expected("some-day", "some-day.timer", "active", up=True, triggered=False),
    Expected("some-day", "some-day.service", "inactive", up=True, entry=None),
    Expected("container", "container@a.service", "active", up=True, entry={"pattern": "container@*.service"}),
    Expected("container", "container@b.service", "active", up=True, entry=None),
)

# What systemd itself has to say about them before the exporter is asked.
SETTLED = {
    "gateway.service": {"ActiveState": "active", "SubState": "running"},
    "waiting.service": {"ActiveState": "activating", "SubState": "auto-restart"},
    "limit.service": {"ActiveState": "failed", "Result": "exit-code", "NRestarts": "3"},
    "killed.service": {"ActiveState": "failed", "Result": "signal"},
    "masked.service": {"LoadState": "masked", "ActiveState": "inactive"},
    "missing.service": {"LoadState": "not-found", "ActiveState": "inactive"},
    "bad-setting.service": {"LoadState": "bad-setting"},
    "unreadable.service": {"LoadState": "bad-setting"},
    "started.service": {"ActiveState": "active", "SubState": "exited"},
    "starting.service": {"ActiveState": "activating", "SubState": "start"},
    "stopping.service": {"ActiveState": "deactivating", "SubState": "stop-sigterm"},
    "backup.timer": {"ActiveState": "active", "SubState": "waiting"},
    "backup.service": {"ActiveState": "inactive", "Result": "success"},
    "broken-backup.timer": {"ActiveState": "active", "SubState": "waiting"},
    "broken-backup.service": {"ActiveState": "failed", "Result": "exit-code"},
    "some-day.timer": {"ActiveState": "active", "LastTriggerUSec": ""},
}


def entries(prefix: str, **keys: str) -> list[dict[str, str]]:
    """What to put into the configuration for all of them."""
    found = []
    for of in EXPECTED:
        if of.entry is not None:
            entry = {key: prefix + value for key, value in of.entry.items()} or {"unit": prefix + of.name}
            found.append({"role": of.role, **entry, **keys})
    return found


def run_as(user: Account, text: str) -> str:
    """The text of a service of the system that is somebody's."""
    return text.replace("[Service]\n", f"[Service]\nUser={user.name}\n")


def set_up(machine: Machine, prefix: str, owner: Account, user: Account) -> None:
    """Writes them all for the manager of `user`, starts what is to run, and waits until systemd itself says of each
    what it should. In the system's manager they are those of `owner`, who does not matter in a user's.
    """
    for name, text in FILES.items():
        text = text.replace("{prefix}", prefix)
        machine.write_unit(prefix + name, text if user.uid else run_as(owner, text), user)
    os.symlink("/dev/null", machine.unit_folder(user) / f"{prefix}masked.service")
    machine.systemctl("daemon-reload", user=user)
    machine.systemctl("enable", "--quiet", f"{prefix}gateway.service", user=user)
    machine.systemctl("start", "--no-block", *(prefix + name for name in START), user=user)
    # A service that will not end has to have begun before it is told to.
    wait_for(f"{prefix}stopping.service to hold out", machine.path(f"/tmp/{prefix}stopping").exists)
    machine.systemctl("stop", "--no-block", f"{prefix}stopping.service", user=user)
    properties = {name for wanted in SETTLED.values() for name in wanted}

    def settled() -> bool:
        shown = machine.show_all([prefix + name for name in SETTLED], *properties, user=user)
        for name, wanted in SETTLED.items():
            found = {key: shown[prefix + name].get(key) for key in wanted}
            assert found == wanted, f"{prefix}{name}: {found}, not yet {wanted}"
        return True

    wait_for(f"the units {prefix}* to be what they should", settled)


class Crashing:
    """A service that ends when it is told to, with the code it is told, and is started again at once."""

    def __init__(self, machine: Machine, name: str, user: Account = ROOT, *lines: str, enabled: bool = False) -> None:
        self.machine, self.unit, self.user = machine, f"{name}.service", user
        place = f"{user.home}/{name}.pipe" if user.uid else f"/srv/{name}.pipe"
        self.pipe = machine.path(place)
        os.mkfifo(self.pipe)
        os.chown(self.pipe, user.uid, user.uid)
        command = f"ExecStart=/bin/sh -c 'read code < {place}; exit $$code'"
        restart = lines or ("Restart=always", "RestartSec=20ms")
        text = service(command, *restart, unit=["StartLimitIntervalSec=0"], enabled=enabled)
        machine.write_units({self.unit: text}, user)
        if enabled:
            machine.systemctl("enable", "--quiet", self.unit, user=user)
        self.systemctl("start")

    def systemctl(self, verb: str, *flags: str) -> None:
        self.machine.systemctl(verb, *flags, self.unit, user=self.user)

    def _tell(self, code: int) -> bool:
        # While nobody reads, which is before the service has come up, this is an OSError.
        descriptor = os.open(self.pipe, os.O_WRONLY | os.O_NONBLOCK)
        try:
            os.write(descriptor, f"{code}\n".encode())
        finally:
            os.close(descriptor)
        return True

    def restarts(self) -> int:
        return int(self.machine.show(self.unit, "NRestarts", user=self.user)["NRestarts"])

    def recovered(self, restarts: int) -> None:
        """Waits until it runs after so many automatic restarts."""
        wanted = {"ActiveState": "active", "NRestarts": str(restarts)}
        self.machine.wait_for_unit(self.unit, self.user, **wanted)

    def crash(self, code: int = 3) -> None:
        """Has it end with a code, and waits until it runs again."""
        before = self.restarts()
        wait_for(f"{self.unit} to listen", lambda: self._tell(code))
        self.recovered(before + 1)

    def kill(self) -> None:
        """Kills it, and waits until it runs again."""
        before = self.restarts()
        self.systemctl("kill", "--signal=KILL", "--kill-whom=main")
        self.recovered(before + 1)

    def failures(self) -> dict[str, int]:
        """How often it has failed, by result, as systemd itself noted it down."""
        return dict(self.machine.failures(self.unit, self.user))
