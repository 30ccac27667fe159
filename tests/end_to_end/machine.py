"""A machine of the tests' own: a real systemd, booted over a throw-away copy of this system, with users in it.

It runs below systemd-nspawn, over an overlay whose upper half is in memory, so that nothing that happens in it
reaches the system below; it shares the network, so that what listens on its loopback address can be asked from
here; and it goes away with the tests, however they end. Nothing that is installed on this system starts in it: every
unit that somebody has enabled is left out, and what is left is systemd's own. It can also be made of a bare Debian,
in which a package is installed as on a new machine.

It knows nothing of Hermes; what is special about the exporter is in `exporter.py`.
"""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import itertools
import json
import os
import pwd
import re
import shutil
import signal
import time
from pathlib import Path
from typing import Callable, Iterator, Mapping, Optional, Sequence

from exporter import Exporter
from processes import DEADLINE_SECONDS, Finished, Program, only_child, run, running, wait_for

# What the machine needs of the system below, and the packages that have it.
NEEDED = {
    "/usr/bin/systemd-nspawn": "systemd-container",
    "/lib/systemd/systemd-logind": "systemd",
    "/usr/bin/dbus-daemon": "dbus",
    "/usr/bin/dbus-broker-launch": "dbus-broker",
    "/usr/lib/systemd/user/dbus.service": "dbus-user-session",
    "/usr/share/pam-configs/systemd": "libpam-systemd",
    "/usr/bin/busctl": "systemd",
    "/usr/bin/nsenter": "util-linux",
    "/usr/bin/setpriv": "util-linux",
}
# These of them are run here, and not inside.
OUTSIDE = ("/usr/bin/systemd-nspawn", "/usr/bin/nsenter")


@dataclasses.dataclass(frozen=True)
class Account:
    """Somebody in the machine, by default one who can do nothing special."""

    name: str
    uid: int
    # Whether a manager of their own runs without them being logged in, and which program is its bus.
    lingers: bool = False
    bus: str = "dbus-daemon"
    # Rights that a process of theirs keeps.
    capabilities: tuple[str, ...] = ()

    @property
    def home(self) -> str:
        return f"/home/{self.name}"

    @property
    def runtime(self) -> str:
        """The folder with the sockets of their manager."""
        return f"/run/user/{self.uid}"


ROOT = Account("root", 0)
# Two with a manager of their own, one for each program that can be its bus; one without; one whose bus is a test's.
UMA = Account("uma", 64_101, lingers=True)
VIJAY = Account("vijay", 64_102, lingers=True, bus="dbus-broker")
TARA = Account("tara", 64_103)
RAVI = Account("ravi", 64_104)
# An account as a service has one, with the rights to become somebody else and nothing more, and without them.
KEEPER = Account("hermes-exporter", 64_105, capabilities=("setuid", "setgid"))
STRANGER = Account("stranger", 64_106)
ACCOUNTS = (UMA, VIJAY, TARA, RAVI, KEEPER, STRANGER)

# Tells the machines of one run of the tests apart.
NUMBERS = itertools.count(1)

# The kind of journal entry that systemd writes when a unit has failed.
UNIT_FAILED = "d9b373ed55a64feb8242e02dbe79a49c"

# Runs in namespaces of its own, one for mounts and one for processes. Its arguments are the control group, the system
# to copy, the folder with what is to be different inside, a folder to mount on, and then those of systemd-nspawn.
BOOT = """
cgroup=$1 system=$2 layer=$3 place=$4; shift 4
echo $$ > "$cgroup/cgroup.procs"
# systemd wants version 2 of the control groups and nothing else.
umount -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
# What systemd-nspawn notes down for itself goes away as well.
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs "$place"
mkdir "$place/upper" "$place/work" "$place/root"
mount -t overlay overlay -o "lowerdir=$system,upperdir=$place/upper,workdir=$place/work" "$place/root"
cd "$place/root"
rm -rf etc/systemd/system etc/systemd/user etc/systemd/*.conf.d etc/rc?.d etc/fstab etc/machine-id var/log/journal
rm -rf var/lib/systemd
cp -a "$layer/." .
exec systemd-nspawn --directory="$place/root" "$@"
"""


def _file(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


# What a bare Debian lacks of a machine, besides what apt has installed in any case.
PACKAGES = (
    "ca-certificates",
    "curl",
    "dbus",
    "dbus-broker",
    "dbus-user-session",
    "libpam-systemd",
    "systemd",
    "systemd-sysv",
)


def bare_debian(folder: Path, release: str = "bookworm") -> Path:
    """A Debian with nothing on it that a machine does not need; takes minutes. To be handed to `booted`."""
    assert shutil.which("debootstrap"), "debootstrap is missing: apt install debootstrap"
    include = f"--include={','.join(PACKAGES)}"
    run("debootstrap", "--variant=minbase", include, release, folder, seconds=600).succeeded()
    return folder


def _make_layer(layer: Path, system: Path, accounts: Sequence[Account]) -> None:
    """What is different inside: the accounts, and as little to start as possible."""
    taken = {entry.pw_uid for entry in pwd.getpwall()} & {account.uid for account in accounts}
    assert not taken, f"the user ids {taken} are somebody's here; the tests need them for their own machine"
    names = {of.name for of in accounts}

    def with_accounts(path: str, line: Callable[[Account], str]) -> str:
        kept = [one for one in (system / path[1:]).read_text().splitlines() if one.partition(":")[0] not in names]
        return "\n".join(kept + [line(of) for of in accounts]) + "\n"

    passwd = with_accounts("/etc/passwd", lambda of: f"{of.name}:x:{of.uid}:{of.uid}::{of.home}:/bin/sh")
    _file(layer / "etc/passwd", passwd)
    _file(layer / "etc/group", with_accounts("/etc/group", lambda of: f"{of.name}:x:{of.uid}:"))
    _file(layer / "etc/shadow", with_accounts("/etc/shadow", lambda of: f"{of.name}:*:19000:0:99999:7:::"), 0o640)
    _file(layer / "etc/fstab", "")
    _file(layer / "etc/machine-id", "")
    # The folder that is shared is below /tmp and must not be cleaned away.
    _file(layer / "etc/tmpfiles.d/tmp.conf", "")
    (layer / "etc/systemd/system").mkdir(parents=True)
    (layer / "etc/systemd/user").mkdir(parents=True)
    for account in accounts:
        home = layer / account.home[1:]
        units = home / ".config/systemd/user"
        units.mkdir(parents=True)
        if account.bus == "dbus-broker":
            # As `systemctl --user enable dbus-broker` does it; /usr/lib/systemd/user/dbus.service is dbus-daemon.
            (units / "dbus.service").symlink_to("/usr/lib/systemd/user/dbus-broker.service")
        for folder in (home, home / ".config", home / ".config/systemd", units):
            os.chown(folder, account.uid, account.uid)
        home.chmod(0o700)
        if account.lingers:
            _file(layer / "var/lib/systemd/linger" / account.name, "")


def _unified_hierarchy() -> Path:
    """Where version 2 of the control groups is mounted."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        before, _, after = line.partition(" - ")
        if after.split()[0] == "cgroup2":
            return Path(before.split()[4])
    raise AssertionError("no cgroup2 is mounted: systemd can not be booted here")


@contextlib.contextmanager
def _control_group() -> Iterator[Path]:
    """A control group of the machine's own."""
    hierarchy, prefix = _unified_hierarchy(), "hermes-exporter-test-"
    for left_over in hierarchy.glob(f"{prefix}*"):
        # Of tests that were killed. Those of others at work are theirs: systemd needs its empty groups as well.
        if not Path("/proc", left_over.name.split("-")[-2]).exists():
            with contextlib.suppress(OSError):
                _remove_group(left_over)
    group = hierarchy / f"{prefix}{os.getpid()}-{next(NUMBERS)}"
    group.mkdir()
    try:
        yield group
    finally:
        # A process that has just been killed may still be leaving.
        wait_for("the control group of the machine to be empty", lambda: _remove_group(group))


def _remove_group(group: Path) -> bool:
    for folder, _, _ in os.walk(group, topdown=False):
        os.rmdir(folder)
    return True


@dataclasses.dataclass
class Machine:
    """The machine while it runs. `share` is a folder that has the same path inside and outside."""

    program: Program
    # Its first process, as it is numbered outside.
    leader: int
    share: Path
    binary: Path
    boot_seconds: float

    def entering(self, account: Account = ROOT) -> list[str]:
        """The beginning of a command line that runs the rest of it inside, as somebody."""
        enter = ["nsenter", f"--target={self.leader}", "--mount", "--uts", "--ipc", "--pid", "--root", "--"]
        if account.uid == 0:
            return enter
        kept = "-all" + "".join(f",+{name}" for name in account.capabilities)
        return [
            *enter,
            "setpriv",
            f"--reuid={account.uid}",
            f"--regid={account.uid}",
            "--clear-groups",
            f"--inh-caps={kept}",
            f"--ambient-caps={kept}",
            f"--bounding-set={kept}",
            "--",
        ]

    def environment(self, account: Account = ROOT) -> dict[str, str]:
        """The environment of a process inside, as a service has it."""
        values = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8", "TZ": "UTC"}
        if account.uid:
            values.update(HOME=account.home, USER=account.name)
        if account.lingers:
            values["XDG_RUNTIME_DIR"] = account.runtime
        return values

    def run(self, *arguments: object, user: Account = ROOT, seconds: float = DEADLINE_SECONDS) -> Finished:
        """Runs a program inside to its end."""
        return run(*arguments, seconds=seconds, **self.options(user))

    def options(self, user: Account = ROOT) -> dict[str, object]:
        """What makes `running` and `run` start a program inside."""
        return {"entering": self.entering(user), "environment": self.environment(user)}

    def path(self, path: str) -> Path:
        """Where a file of the machine is to be found from outside."""
        return Path(f"/proc/{self.leader}/root") / path.lstrip("/")

    def systemctl(self, *arguments: object, user: Account = ROOT, seconds: float = DEADLINE_SECONDS) -> str:
        """Runs systemctl for the system's manager, or for somebody's own, and gives what it writes."""
        return self.ask_systemctl(*arguments, user=user, seconds=seconds).succeeded().output

    def ask_systemctl(self, *arguments: object, user: Account = ROOT, seconds: float = DEADLINE_SECONDS) -> Finished:
        """The same for a command that may fail."""
        whose = ["--user"] if user.uid else []
        return self.run("systemctl", *whose, "--no-pager", *arguments, user=user, seconds=seconds)

    def show(self, unit: str, *names: str, user: Account = ROOT) -> dict[str, str]:
        """Properties of a unit as systemd itself has them."""
        return self.show_all([unit], *names, user=user)[unit]

    def show_all(self, units: Sequence[str], *names: str, user: Account = ROOT) -> dict[str, dict[str, str]]:
        """The same of several units at once."""
        output = self.systemctl("show", "--timestamp=unix", f"--property={','.join(names)}", *units, user=user)
        found = [dict(line.partition("=")[::2] for line in part.splitlines()) for part in output.split("\n\n")]
        assert len(found) == len(units), f"asked for {units}, got {output}"
        return dict(zip(units, found))

    def unit_folder(self, user: Account = ROOT) -> Path:
        return self.path(f"{user.home}/.config/systemd/user" if user.uid else "/etc/systemd/system")

    def write_unit(self, name: str, text: str, user: Account = ROOT) -> None:
        """Writes a unit file, which the manager has yet to read."""
        path = self.unit_folder(user) / name
        path.parent.mkdir(exist_ok=True)
        _file(path, text)

    def write_units(self, files: Mapping[str, str], user: Account = ROOT) -> None:
        """Writes unit files and has the manager read them."""
        for name, text in files.items():
            self.write_unit(name, text, user)
        self.systemctl("daemon-reload", user=user)

    def wait_for_unit(self, unit: str, user: Account = ROOT, seconds: float = DEADLINE_SECONDS, **wanted: str) -> None:
        """Waits until properties of a unit have these values."""

        def has() -> bool:
            found = self.show(unit, *wanted, user=user)
            assert found == wanted, f"{unit}: {found}"
            return True

        wait_for(f"{unit} to be {wanted}", has, seconds)

    def main_pid(self, unit: str, user: Account = ROOT) -> int:
        """The main process of a service, as it is numbered inside."""
        pid = int(self.show(unit, "MainPID", user=user)["MainPID"])
        assert pid, f"{unit} has no main process"
        return pid

    def has_manager(self, account: Account) -> bool:
        """Whether somebody's own manager is done with starting, and can be asked over their bus."""
        asked = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
        answer = self.run("busctl", "--user", "get-property", *asked, "SystemState", user=account)
        return answer.output.strip() == 's "running"'

    def install(self, package: Path) -> Finished:
        """Installs a package's file, whose dependencies have to be there. It asks nothing, and keeps changed files."""
        dpkg = ("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--force-confold")
        return self.run(*dpkg, "--install", shutil.copy2(package, self.share), seconds=120)

    def exporter(self, account: Account = ROOT) -> Exporter:
        """The exporter, to be run inside by somebody."""
        return Exporter(self.binary, self.share, self.entering(account), self.environment(account))

    def failures(self, unit: str, user: Account = ROOT) -> collections.Counter[str]:
        """How often a unit has failed, by result, as systemd itself noted it down in the journal."""
        field = "USER_UNIT" if user.uid else "UNIT"
        self.run("journalctl", "--sync").succeeded()
        wanted = [f"MESSAGE_ID={UNIT_FAILED}", f"{field}={unit}", f"_UID={user.uid}"]
        lines = self.run("journalctl", "--quiet", "--output=json", *wanted).output.splitlines()
        return collections.Counter(json.loads(line)["UNIT_RESULT"] for line in lines)

    def journal(self, lines: int = 100) -> str:
        """The last lines of the journal, for a message about a failure."""
        return self.run("journalctl", "--no-pager", "--output=short-precise", f"--lines={lines}").output


@contextlib.contextmanager
def booted(
    binary: Path, share: Path, system: Path = Path("/"), accounts: Sequence[Account] = ACCOUNTS
) -> Iterator[Machine]:
    """Boots the machine for the length of a `with` block. `share` is seen inside under its own path. `system` is what
    it is a copy of: this system, or a `bare_debian`."""
    for path, package in NEEDED.items():
        where = Path("/") if path in OUTSIDE else system
        assert (where / path[1:]).exists(), f"{path} is missing in {where}: these tests need the package {package}"
    assert os.geteuid() == 0, "these tests boot a machine and need root"
    layer, place = share / "layer", share / "machine"
    layer.mkdir()
    place.mkdir()
    _make_layer(layer, system, accounts)
    inside = share / "inside"
    inside.mkdir()
    inside.chmod(0o755)
    copy = inside / "hermes-exporter"
    shutil.copy2(binary, copy)
    flags = [
        "--boot",
        "--quiet",
        "--register=no",
        "--keep-unit",
        "--machine=hermes-exporter-test",
        "--console=pipe",
        "--resolv-conf=off",
        "--timezone=off",
        "--link-journal=no",
        f"--bind={inside}",
    ]
    # In a process namespace of its own, because what systemd-nspawn has started survives it when it is killed, and
    # nothing survives the first process of a namespace.
    unshare = ["unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--mount-proc"]
    begun = time.monotonic()
    boot = (*unshare, "sh", "-euc", BOOT, "boot")
    with _control_group() as group, running(*boot, group, system, layer, place, *flags) as program:
        leader = wait_for("systemd to be started", lambda: _leader(program))
        machine = Machine(program, leader, inside, copy, 0.0)

        def ready() -> bool:
            program.assert_running()
            state = machine.ask_systemctl("is-system-running").output.strip()
            if state == "degraded":
                raise RuntimeError(f"the machine came up degraded:\n{machine.systemctl('--failed')}{machine.journal()}")
            assert state == "running", f"the system is {state!r}: {program.everything()[-2_000:]}"
            without = [of.name for of in accounts if of.lingers and not machine.has_manager(of)]
            assert not without, f"no manager yet: {without}"
            return True

        wait_for("the machine to be up", ready, seconds=60)
        machine.boot_seconds = time.monotonic() - begun
        try:
            yield machine
        finally:
            # Nothing in it is to be kept, and a unit that will not end would have an orderly shutdown wait for it:
            # with the first process of the namespace, all of it is gone.
            with contextlib.suppress(AssertionError, OSError):
                os.kill(only_child(program.pid), signal.SIGKILL)


def _leader(program: Program) -> Optional[int]:
    """The first process inside, as it is numbered outside."""
    program.assert_running()
    child = only_child(only_child(program.pid))
    name = Path(f"/proc/{child}/comm").read_text().strip()
    numbers = re.search(r"^NSpid:\s+(.*)$", Path(f"/proc/{child}/status").read_text(), re.M)
    assert name == "systemd" and numbers and numbers[1].split()[-1] == "1", f"{child} is {name}, NSpid {numbers}"
    return child
