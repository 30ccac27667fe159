"""A whole fleet to look at: copies of the recorded homes under a real s6, healthy ones and ones on a bad day.

    HERMES_EXPORTER=target/debug/hermes-exporter python tests/end_to_end/fleet.py --count 40 --day bad --port 10119

serves one until it is interrupted or told to end. The gateways are the exporter's own stand-in, the one of its `demo`.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import signal
import sqlite3
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Callable, Iterator

import homes
from doors import Door, opened
from exporter import Exporter
from processes import run, wait_for
from supervision import S6, s6

DAY, HOUR, MINUTE = 86400.0, 3600.0, 60.0

# The stand-in runs in no home without it.
MARK = ".hermes-exporter-demo"

LONG_NAME = "an-instance-with-a-name-as-long-as-names-can-be-in-this-exporter"


@dataclasses.dataclass
class Member:
    """One instance of the fleet: its home, its repository, and what the configuration says of it."""

    name: str
    home: Path
    repository: Path
    configuration: dict
    service: str

    def change(self, file: str, change: Callable[[dict], None]) -> None:
        """Changes a file of JSON in the home."""
        path = self.home / file
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))


# ---- damage: each is one bad day ----


def _stopped(member: Member, up: S6) -> None:
    up.tell(member.service, "-d")
    up.wait_until(member.service, "down")

    def stop(state: dict) -> None:
        state.update(gateway_state="stopped", active_agents=0)

    member.change("gateway_state.json", stop)


def _crashed(member: Member, up: S6) -> None:
    up.tell(member.service, "-d")
    up.wait_until(member.service, "down")


def _frozen(member: Member, up: S6) -> None:
    os.kill(up.process_of(member.service), signal.SIGSTOP)
    member.change("state/gateway.heartbeat", lambda beat: beat.update(updated_at=time.time() - 11 * MINUTE))


def _platforms_down(member: Member, _: S6) -> None:
    def lose(state: dict) -> None:
        state["platforms"]["telegram"].update(state="retrying", error_code="telegram_polling_conflict")
        state["platforms"]["discord"] = {"state": "fatal", "error_code": "discord_gateway_task_exited"}

    member.change("gateway_state.json", lose)


def _old_backup(member: Member, _: S6) -> None:
    _commit(member.repository, "payload/notes.md", "old", time.time() - 50 * HOUR, amend=True)
    git(member.repository, "push", "-q", "-f", "origin", "main")
    _commit(member.repository, "payload/more.md", "more", time.time() - 30 * HOUR)
    for number in range(7):
        (member.repository / f"payload/new-{number}.md").write_text("not committed")


def _leaking_backup(member: Member, _: S6) -> None:
    _commit(member.repository, "payload/.env", "TOKEN=FAKE-not-a-secret", time.time() - 2 * HOUR)
    git(member.repository, "push", "-q", "origin", "main")


def _no_backup(member: Member, _: S6) -> None:
    member.configuration["backups"][0]["path"] += "-that-is-not-there"


def _cron_late(member: Member, _: S6) -> None:
    def delay(content: dict) -> None:
        first, second = content["jobs"][:2]
        first.update(next_run_at=_iso(time.time() - 3 * HOUR))
        second.update(last_status="error", last_error="x", last_delivery_error="x")

    member.change("cron/jobs.json", delay)


def _cron_damaged(member: Member, _: S6) -> None:
    (member.home / "cron/jobs.json").write_text('{"jobs": [')


def _open_home(member: Member, _: S6) -> None:
    member.home.chmod(0o777)
    (member.home / ".env").chmod(0o644)


def _no_approvals(member: Member, _: S6) -> None:
    with (member.home / "config.yaml").open("a") as file:
        file.write("\napprovals:\n  mode: 'off'\n")


def _token_lost(member: Member, _: S6) -> None:
    def expire(token: dict) -> None:
        token.update(refresh_token=None, expiry=_iso(time.time() - 5 * HOUR))

    member.change("google_token.json", expire)


def _memory_full(member: Member, _: S6) -> None:
    (member.home / "memories/MEMORY.md").write_text("remember this. " * 140)


def _dashboard_down(member: Member, _: S6) -> None:
    member.configuration["endpoints"][0]["url"] = "http://127.0.0.1:9/"


def _store_damaged(member: Member, _: S6) -> None:
    (member.home / "state.db").write_bytes(b"this is no database" * 100)


def _no_home(member: Member, _: S6) -> None:
    member.configuration["home"] += "-that-is-not-there"


DAMAGES: list[Callable[[Member, S6], None]] = [
    _crashed,
    _old_backup,
    _platforms_down,
    _frozen,
    _cron_late,
    _leaking_backup,
    _token_lost,
    _cron_damaged,
    _open_home,
    _dashboard_down,
    _stopped,
    _memory_full,
    _no_backup,
    _store_damaged,
    _no_approvals,
    _no_home,
]


# ---- the fleet ----


@contextlib.contextmanager
def configured(folder: Path, exporter: Exporter, count: int, day: str) -> Iterator[Path]:
    """A fleet at work, and the configuration that names it; on a `bad` day every third instance is damaged."""
    recorded = homes.unpack(folder / "recorded")
    with _dashboard() as port:
        members = [_member(folder, recorded["vijay"], number, port) for number in range(count)]
        services = {member.service: {"run": _service(exporter.binary, member.home)} for member in members}
        with s6(folder / "service", services) as up:
            for member in members:
                _settle(member, up)
            # Two of two, of many every third.
            damaged = members if count <= 2 else members[::3]
            for number, member in enumerate(damaged if day == "bad" else []):
                for damage in _bad_day(number, count):
                    damage(member, up)
            configuration = {
                "instances": [member.configuration for member in members],
                # How full the disk of the machine is that these tests run on is not their matter.
                "thresholds": {"disk_available": "off", "disk_available_critical": "off"},
                "cron_job_label": "name",
                "ssh_host": "vm.tailnet.ts.net",
                "tailscale": {"socket": str(folder / "tailscaled.sock")} if day == "bad" else {},
            }
            yield exporter.write(configuration)


def _bad_day(number: int, count: int) -> list[Callable[[Member, S6], None]]:
    if count > 2:
        return [DAMAGES[number % len(DAMAGES)]]
    first = [_platforms_down, _old_backup, _cron_late, _token_lost]
    return [first, [_crashed, _leaking_backup, _dashboard_down, _store_damaged]][number]


def _member(folder: Path, recorded: Path, number: int, port: int) -> Member:
    name = ["vijay", "bheem", LONG_NAME][number] if number < 3 else f"hermes-{number + 1:02}"
    home = homes.copy(recorded, folder / f"home-{number:02}")
    repository = _repository(folder, number)
    drill = folder / f"drill-{number:02}"
    drill.write_text("")
    os.utime(drill, (time.time() - 12 * DAY,) * 2)
    service = f"gateway-{name}"
    configuration = {
        "name": name,
        "home": str(home),
        "user": "root",
        "units": [{"role": "gateway", "unit": service, "manager": "s6"}],
        "s6_scan_directory": str(folder / "service"),
        "endpoints": [{"name": "dashboard", "url": f"http://127.0.0.1:{port}/", "kind": "hermes-dashboard"}],
        "backups": [{"name": "vm", "path": str(repository), "remote": "origin", "payload": "payload"}],
        "restore_drills": {"pattern": str(drill)},
    }
    member = Member(name, home, repository, configuration, service)
    (home / MARK).write_text("")
    _mend(member)
    return member


def _mend(member: Member) -> None:
    """Moves a recorded home to the present, and takes out what was wrong when it was recorded."""
    now = time.time()

    def mend_jobs(content: dict) -> None:
        content["jobs"] = [job for job in content["jobs"] if job["state"] == "scheduled"]
        for number, job in enumerate(content["jobs"]):
            job.update(
                next_run_at=_iso(now + (number + 1) * HOUR),
                last_run_at=_iso(now - HOUR),
                last_status="ok",
                last_error=None,
                last_delivery_error=None,
            )

    member.change("cron/jobs.json", mend_jobs)
    member.change("google_token.json", lambda token: token.update(expiry=_iso(now + HOUR)))
    member.change(".update_check", lambda check: check.update(ts=now - HOUR, behind=0))
    (member.home / "gateway-starts.log").write_text(f"{now - DAY}\n")
    with contextlib.closing(sqlite3.connect(member.home / "state.db")) as store, store:
        newest = store.execute("SELECT max(timestamp) FROM messages").fetchone()[0]
        for trigger in [row[0] for row in store.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")]:
            store.execute(f'DROP TRIGGER "{trigger}"')
        store.execute("UPDATE messages SET timestamp = timestamp + ?", (now - 3 * MINUTE - newest,))


def _settle(member: Member, up: S6) -> None:
    """Waits for the stand-in to have written its state, and takes out the platform that fails in the demo."""

    def is_its_own() -> bool:
        process = up.process_of(member.service)
        return json.loads((member.home / "gateway_state.json").read_text())["pid"] == process != 0

    wait_for(f"the gateway of {member.name} to write its state", is_its_own)
    member.change("gateway_state.json", lambda state: state["platforms"].pop("discord"))


def _service(binary: Path, home: Path) -> str:
    return f"#!/bin/bash\nexport HERMES_HOME='{home}'\nexec -a hermes '{binary}' gateway run\n"


def _repository(folder: Path, number: int) -> Path:
    remote, repository = folder / f"remote-{number:02}", folder / f"backup-{number:02}"
    run("git", "init", "-q", "--bare", "-b", "main", remote).succeeded()
    run("git", "init", "-q", "-b", "main", repository).succeeded()
    git(repository, "remote", "add", "origin", remote)
    _commit(repository, "payload/notes.md", "notes", time.time() - 3 * HOUR - number * 7 * MINUTE)
    git(repository, "push", "-q", "-u", "origin", "main")
    return repository


def _commit(repository: Path, file: str, content: str, at: float, amend: bool = False) -> None:
    path = repository / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(content)
    git(repository, "add", "-A")
    date = f"{int(at)} +0000"
    git(repository, "commit", "-q", "-m", "backup", *(["--amend"] if amend else []), date=date)


def git(repository: Path, *arguments: object, date: str = "") -> None:
    """Runs git in a repository, as nobody in particular."""
    who = {f"GIT_{role}_{what}": "test@example" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    when = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date} if date else {}
    environment = {**os.environ, **who, **when, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    run("git", "-C", repository, *arguments, environment=environment).succeeded()


def _iso(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(seconds))


@contextlib.contextmanager
def _dashboard() -> Iterator[int]:
    """A server that refuses as a dashboard does, and its port."""
    refusal = (homes.FIXTURES / "api" / "dashboard_refusal_loopback.json").read_bytes()

    class Refusing(Door):
        def do_GET(self) -> None:
            self.answer(401, refusal, "application/json")

    with opened(Refusing) as port:
        yield port


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2)
    parser.add_argument("--day", choices=("good", "bad"), default="bad")
    parser.add_argument("--port", type=int, default=10119)
    arguments = parser.parse_args()
    # However it is ended, its gateways go with it.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    binary = Path(os.environ["HERMES_EXPORTER"]).absolute()
    with tempfile.TemporaryDirectory(prefix="hermes-exporter-fleet-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with configured(folder, Exporter(binary, folder), arguments.count, arguments.day) as configuration:
            address = f"127.0.0.1:{arguments.port}"
            flags = ["--config.file", str(configuration), "--web.listen-address", address]
            with contextlib.suppress(KeyboardInterrupt):
                subprocess.run([str(binary), "serve", *flags], check=True)


if __name__ == "__main__":
    main()
