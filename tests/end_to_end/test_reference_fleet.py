"""The reference fleet, whole, in a machine with a real systemd: vijay is root's and read by the exporter itself, bheem
is uma's and is known from the report that her own timer writes. Units, accounts and folders are those of the package.

The exporter can not look into uma's home, and nothing of bheem is missing in what it tells.
"""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
from pathlib import Path
from typing import Callable, Iterator

import pytest

import homes
import unit_files
from conftest import folder_that_goes_away
from exporter import Server, failures
from exposition import Samples
from fleet import git
from machine import KEEPER, ROOT, UMA, Account, Machine, booted
from monitoring import serving_prometheus
from processes import free_port, run, wait_for
from test_packaging import installed

BINARY = "/usr/bin/hermes-exporter"
REPORT = "/var/lib/hermes-exporter/reports/bheem.json"
UMAS_CONFIGURATION = f"{UMA.home}/.config/hermes-exporter/hermes-exporter.yml"

# The stand-in of the demonstration, under the name and with the arguments of a gateway; it serves homes with its mark.
GATEWAY = unit_files.service(
    f"ExecStart=/bin/bash -c 'exec -a hermes {BINARY} gateway run'", "Environment=HERMES_HOME=%h/.hermes"
)
MARK = (".hermes-exporter-demo", "untroubled")
BACKUP = unit_files.service("Type=oneshot", "ExecStart=/bin/true")
BACKUP_TIMER = unit_files.timer("OnCalendar=daily")

# As shipped, each minute.
OFTEN = "[Timer]\nOnCalendar=\nOnCalendar=*:*:0/2\nRandomizedDelaySec=0\n"

# The exporter could become uma, and look as her. So nothing of any home but root's is there for it at all.
NO_HOMES = "[Service]\nProtectHome=no\nInaccessiblePaths=/home\n"

# What a look at a home tells of the look and not of the home, and what differs from second to second.
OF_THE_LOOK = {
    "hermes_collector_duration_seconds",
    "hermes_collector_failing_since_timestamp_seconds",
    "hermes_snapshot_timestamp_seconds",
    # The limits, and what is ignored, are those of who judges.
    "hermes_threshold_seconds",
    "hermes_threshold_ratio",
    "hermes_threshold_count",
}


@dataclasses.dataclass
class Fleet:
    machine: Machine
    server: Server

    def scrape(self) -> Samples:
        return self.server.scrape()


def installation(name: str) -> dict[str, object]:
    """What both owners have configured of their installations."""
    return {
        "units": [
            {"role": "gateway", "unit": "hermes-gateway.service"},
            {"role": "backup", "unit": "hermes-backup.timer"},
        ],
        "backups": [{"name": "vm", "path": f"{name}/repos/vm_backup", "remote": "origin", "max_age": "26h"}],
    }


def backup(folder: Path, inside: str) -> Path:
    """A repository that is backed up to another one, both to be put into `inside`."""
    repository, remote = folder / "vm_backup", folder / "remote"
    run("git", "init", "-q", "--bare", "-b", "main", remote).succeeded()
    run("git", "init", "-q", "-b", "main", repository).succeeded()
    git(repository, "remote", "add", "origin", remote)
    (repository / "notes.md").write_text("notes")
    git(repository, "add", "-A")
    git(repository, "commit", "-q", "-m", "backup")
    git(repository, "push", "-q", "origin", "main")
    git(repository, "remote", "set-url", "origin", f"{inside}/remote")
    return folder


def set_up_owner(machine: Machine, home: Path, account: Account) -> None:
    """Puts a home, its backup and its units into the machine, as an owner would have them."""
    inside = "/root" if account is ROOT else account.home
    place = machine.path(inside)
    # What is below the machine may have one of its own.
    machine.run("rm", "-rf", f"{inside}/.hermes", f"{inside}/repos").succeeded()
    shutil.copytree(home, place / ".hermes", symlinks=True)
    (place / ".hermes" / MARK[0]).write_text(MARK[1])
    made = home.with_name(f"{home.name}-repos")
    made.mkdir()
    shutil.copytree(backup(made, f"{inside}/repos"), place / "repos", symlinks=True)
    for top in (place / ".hermes", place / "repos"):
        homes.give_to(top, account.uid)
    (place / ".hermes").chmod(0o700)
    units = {
        "hermes-gateway.service": GATEWAY,
        "hermes-backup.service": BACKUP,
        "hermes-backup.timer": BACKUP_TIMER,
    }
    machine.write_units(units, account)
    machine.systemctl("start", "hermes-gateway.service", "hermes-backup.timer", user=account)


def write(machine: Machine, path: str, text: str, account: Account = ROOT) -> None:
    """Writes a file of the machine as somebody, with the folders that it needs."""
    file = machine.path(path)
    for folder in [folder for folder in reversed(file.parents) if not folder.exists()]:
        folder.mkdir()
        os.chown(folder, account.uid, account.uid)
    file.write_text(text)
    os.chown(file, account.uid, account.uid)


def install(machine: Machine) -> None:
    """What dpkg and the package's postinst do of it."""
    for path, file in installed().items():
        if not path.startswith("/usr/share/doc/"):
            to = machine.path(path)
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, to)
    shutil.copy2(machine.binary, machine.path(BINARY))
    machine.run("systemd-sysusers", "hermes-exporter.conf").succeeded()
    machine.run("systemd-tmpfiles", "--create", "hermes-exporter.conf").succeeded()


@pytest.fixture(scope="module")
def fleet(binary: Path, hermes_python: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    built = homes.build(tmp_path_factory.mktemp("fleet") / "built", hermes_python)
    with folder_that_goes_away() as share, booted(binary, share) as machine:
        install(machine)
        set_up_owner(machine, built["vijay"], ROOT)
        set_up_owner(machine, built["bheem"], UMA)
        port = free_port()
        instances = [
            {"name": "vijay", "home": "/root/.hermes", "user": "root", **installation("/root")},
            {"name": "bheem", "report": REPORT, "user": "uma", "thresholds": {"report_age": "20s"}},
        ]
        write(machine, "/etc/hermes-exporter/hermes-exporter.yml", json.dumps({"instances": instances}))
        write(machine, "/etc/default/hermes-exporter", f'ARGS="--web.listen-address=127.0.0.1:{port}"\n')
        umas = [{"name": "bheem", "home": f"{UMA.home}/.hermes", **installation(UMA.home)}]
        write(machine, UMAS_CONFIGURATION, json.dumps({"instances": umas}), UMA)
        write(machine, "/etc/systemd/system/hermes-exporter.service.d/no-homes.conf", NO_HOMES)
        often = f"{UMA.home}/.config/systemd/user/hermes-exporter-report@.timer.d/often.conf"
        write(machine, often, OFTEN, UMA)
        machine.systemctl("daemon-reload")
        machine.systemctl("daemon-reload", user=UMA)
        machine.systemctl("enable", "--now", "hermes-exporter-report@bheem.timer", user=UMA)
        machine.systemctl("enable", "--now", "hermes-exporter.service")
        server = Server(port, machine.program)
        try:
            wait_for("bheem to be told", lambda: failures(server.scrape(), "bheem") == {})
        except AssertionError as error:
            raise AssertionError(f"{error}\n{machine.journal()}") from error
        yield Fleet(machine, server)


def readings(samples: Samples) -> dict[tuple, float]:
    return {
        (name, tuple(sorted(labels.items()))): value
        for name, labels, value in samples.of(instance="bheem")
        if name not in OF_THE_LOOK
    }


def test_nothing_is_lost_on_the_way_through_a_report(fleet: Fleet) -> None:
    own = fleet.machine.exporter(UMA)
    looked = own.run("scrape", "--config.file", UMAS_CONFIGURATION, "--collector.logs").succeeded().output
    direct, told = readings(Samples.parse(looked)), readings(fleet.scrape())
    sources = ({key for key in found if key[0] == "hermes_instance_info"} for found in (direct, told))
    (of_direct,), (of_told,) = sources
    assert dict(of_told[1]) == {**dict(of_direct[1]), "source": "report"}
    lost = set(direct) - set(told) - {of_direct}
    assert not lost, sorted(lost)
    more = set(told) - set(direct) - {of_told}
    assert more == {("hermes_collector_success", (("collector", "report"),))}, sorted(more)
    assert len(direct) > 150, len(direct)
    print(f"\n{len(direct)} series of bheem by a look of uma's own, {len(told)} through the report")


def test_vijay_is_read_by_the_exporter_itself(fleet: Fleet) -> None:
    samples = fleet.scrape()
    assert failures(samples, "vijay") == {}
    assert samples.by("hermes_gateway_up", "instance") == {"vijay": 1, "bheem": 1}
    sources = {labels["instance"]: labels["source"] for labels in map(dict, samples.series("hermes_instance_info"))}
    assert sources == {"vijay": "local", "bheem": "report"}
    for manager, instance in (("system", "vijay"), ("user", "bheem")):
        up = samples.series("hermes_gateway_unit_processes", instance=instance)
        assert {dict(labels)["manager"] for labels in up} == {manager}, instance


def test_the_home_of_uma_is_closed_to_the_exporter(fleet: Fleet) -> None:
    machine = fleet.machine
    stranger = dataclasses.replace(KEEPER, capabilities=())
    assert "Permission denied" in machine.run("ls", UMA.home, user=stranger).log
    # And not even as uma, as whom it could look, is anything there.
    for account in ("root", "uma"):
        seen = as_the_service(machine, account, "ls -A /home")
        assert seen.code != 0 or seen.output == "", f"as {account}: {seen.output}"


def as_the_service(machine: Machine, account: str, command: str):
    """Runs a shell where the exporter's service is and with what it may do, as an account that it can become."""
    pid = machine.main_pid("hermes-exporter.service")
    status = machine.path(f"/proc/{pid}/status").read_text()
    (bounding,) = re.findall(r"^CapBnd:\s+(\w+)$", status, re.M)
    names = {6: "setgid", 7: "setuid", 19: "sys_ptrace"}
    held = [number for number in range(64) if int(bounding, 16) >> number & 1]
    assert set(held) == set(names), held
    kept = "-all" + "".join(f",+{name}" for name in names.values())
    identity = ["setpriv", f"--reuid={account}", f"--regid={account}", "--clear-groups", "--no-new-privs"]
    return machine.run(
        "nsenter", f"--target={pid}", "--mount", "--root", "--", *identity, f"--bounding-set={kept}", "--",
        "sh", "-c", command,
    )  # fmt: skip


def test_the_service_can_not_write_to_a_home(fleet: Fleet) -> None:
    machine = fleet.machine
    machine.run("rm", "-f", "/etc/systemd/system/hermes-exporter.service.d/no-homes.conf")
    # As shipped: homes are there, to be read.
    machine.systemctl("daemon-reload")
    machine.systemctl("restart", "hermes-exporter.service")
    pid = machine.main_pid("hermes-exporter.service")
    status = dict(line.split(":\t", 1) for line in machine.path(f"/proc/{pid}/status").read_text().splitlines())
    rights = {name: int(status[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    assert set(rights.values()) == {1 << 6 | 1 << 7 | 1 << 19}, rights
    assert status["NoNewPrivs"] == "1"
    for account, home in (("root", "/root/.hermes"), ("uma", f"{UMA.home}/.hermes")):
        assert as_the_service(machine, account, f"test -r {home}/config.yaml").code == 0, f"{home} is read-only"
        for attempt in (
            f"touch {home}/state.db",
            f"touch {home}/new",
            f"rm {home}/config.yaml",
            f"mkdir {home}/state/new",
            f"echo >> {home}/config.yaml",
            f"mv {home}/config.yaml {home}/other",
        ):
            tried = as_the_service(machine, account, attempt)
            assert tried.code != 0 and "Read-only file system" in tried.log, f"{attempt} as {account}: {tried.log}"
    tried = as_the_service(machine, "root", f"touch {REPORT}")
    assert tried.code != 0, "the report is read and nothing else"


def test_what_happens_to_bheem_is_told(fleet: Fleet, prometheus: Path, tmp_path: Path) -> None:
    """As Prometheus has it: what the report says, then that the report is stale, broken and missing."""
    machine = fleet.machine
    configuration = tmp_path / "prometheus.yml"
    configuration.write_text(
        "scrape_configs: [{job_name: hermes, honor_labels: true, scrape_interval: 1s, scrape_timeout: 1s, "
        f'static_configs: [{{targets: ["127.0.0.1:{fleet.server.port}"]}}]}}]'
    )

    def tell(verb: str, unit: str) -> None:
        machine.systemctl(verb, unit, user=UMA)

    with serving_prometheus(prometheus, configuration) as scraping:

        def becomes(what: str, expression: str, value: object) -> None:
            def is_so() -> bool:
                found = [float(one["value"][1]) for one in scraping.results(expression)]
                assert found == value, f"{expression} is {found}"
                return True

            wait_for(what, is_so)

        up = 'hermes_gateway_up{instance="bheem"}'
        becomes("both to be up", "sum(hermes_gateway_up)", [2])
        tell("stop", "hermes-gateway.service")
        becomes("a gateway that was stopped to be down", up, [0])
        tell("start", "hermes-gateway.service")
        becomes("it to be up again", up, [1])

        def reason(word: str) -> Callable[[], bool]:
            def told() -> bool:
                assert failures(fleet.scrape(), "bheem") == {"report": {word}}
                return True

            return told

        tell("stop", "hermes-exporter-report@bheem.timer")
        wait_for("the report to be stale", reason("stale"))
        becomes("nothing to be told of a gateway that nobody has looked at", up, [])
        becomes("the instance to stay", 'count(hermes_instance_info{instance="bheem",source="report"})', [1])
        machine.run("sh", "-c", f"echo '{{' > {REPORT}").succeeded()
        wait_for("the report to be broken", reason("parse"))
        machine.run("rm", REPORT).succeeded()
        wait_for("the report to be missing", reason("not_found"))
        # Somebody else is quicker than she.
        write(machine, REPORT, "{}", KEEPER)
        wait_for("the report to be somebody else's", reason("permission"))
        machine.run("rm", REPORT).succeeded()
        tell("start", "hermes-exporter-report@bheem.timer")
        becomes("all to be well again", up, [1])
        assert failures(fleet.scrape(), "vijay") == {}
