"""Backups, with the real git as the witness: what it counts is what is exposed."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import time
from pathlib import Path

import pytest

import homes
from exporter import Exporter, failures
from exposition import Samples
from test_owner import IDENTITY, as_keeper

SECRET = "rumpelstiltskin"
ETC_GITCONFIG = Path("/etc/gitconfig")


class Repository:
    """A repository that git itself has made, and what git says of it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: object, when: float | None = None) -> str:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.path.parent),
            "GIT_CONFIG_NOSYSTEM": "1",
            **{f"GIT_{who}_{what}": text for who in ("AUTHOR", "COMMITTER") for what, text in (("NAME", "tara"), ("EMAIL", "t@x"))},
        }
        if when is not None:
            environment["GIT_COMMITTER_DATE"] = environment["GIT_AUTHOR_DATE"] = f"{int(when)} +0530"
        done = subprocess.run(
            ["git", "-C", self.path, "-c", "safe.directory=*", *map(str, arguments)],
            env=environment, capture_output=True, text=True, timeout=120,
        )
        assert done.returncode == 0, f"git {arguments}: {done.stderr}"
        return done.stdout

    def commit(self, when: float, **files: str) -> None:
        for name, content in files.items():
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_text(content)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "backup", when=when)

    def count(self, *arguments: object) -> int:
        return int(self.git("rev-list", "--count", *arguments))

    def changed(self) -> int:
        return len(self.git("status", "--porcelain", "--no-renames").splitlines())

    def add_remote(self) -> Path:
        bare = self.path.with_suffix(".git")
        self.git("init", "-q", "--bare", "-b", "main", bare)
        self.git("remote", "add", "origin", bare)
        return bare


@pytest.fixture
def repository(folder: Path) -> Repository:
    return Repository(folder / "backups/vm")


def configuration(exporter: Exporter, home: Path, path: Path, user: object = None, **keys: object) -> Path:
    keys = {"backups": [{"name": "vm", "path": str(path), **keys}], "units": []}
    if user is not None:
        keys["user"] = str(user)
    return exporter.configuration({"vijay": home}, keys, collectors={"host": {"enabled": False}})


def of(samples: Samples, name: str, **labels: str) -> float:
    return samples.value(f"hermes_backup_{name}", instance="vijay", repo="vm", **labels)


def test_what_git_counts_is_exposed(exporter: Exporter, recorded: dict[str, Path], repository: Repository) -> None:
    now = time.time()
    bare = repository.add_remote()
    for days in (40, 20, 6, 3):
        repository.commit(now - days * 86_400, **{"data/a.txt": str(days), ".gitignore": "*.log\n"})
    repository.git("push", "-q", "-u", "origin", "main")
    pushed = time.time()
    repository.commit(now - 7_200, **{"data/b.txt": "12345", "data/deep/c.txt": "1"})
    repository.commit(now - 3_600, **{"other": "1"})
    (repository.path / "new").mkdir()
    (repository.path / "new/file").write_text("")
    (repository.path / "data/a.txt").write_text("changed")
    (repository.path / "x.log").write_text("ignored")
    written = configuration(exporter, recorded["vijay"], repository.path, payload="data")
    with exporter.serving(written) as server:
        samples = server.scrape()
        assert "backup" not in failures(samples, "vijay")
        assert of(samples, "unpushed_commits") == repository.count("origin/main..HEAD") == 2
        for window, since in (("24h", "24.hours"), ("7d", "7.days"), ("30d", "30.days")):
            assert of(samples, "commits", window=window) == repository.count(f"--since={since}", "HEAD")
        assert of(samples, "dirty_files") == repository.changed() == 2
        listed = repository.git("ls-tree", "-r", "-l", "HEAD", "data").splitlines()
        assert of(samples, "payload_files") == len(listed) == 3
        assert of(samples, "payload_bytes") == sum(int(line.split()[3]) for line in listed)
        assert of(samples, "last_commit_timestamp_seconds") == int(repository.git("log", "-1", "--format=%ct"))
        assert of(samples, "last_pushed_commit_timestamp_seconds") == int(now - 3 * 86_400)
        assert abs(of(samples, "last_push_timestamp_seconds") - pushed) < 30
        assert of(samples, "age_seconds") == pytest.approx(3 * 86_400, abs=60)
        # Pushed: the age falls.
        repository.git("push", "-q")
        samples = server.scrape()
        assert of(samples, "age_seconds") == pytest.approx(3_600, abs=60)
        assert of(samples, "unpushed_commits") == 0
        # Packed by git, everything is the same.
        repository.git("gc", "-q")
        after = server.scrape()
        assert of(after, "payload_bytes") == of(samples, "payload_bytes")
        assert of(after, "last_push_timestamp_seconds") == of(samples, "last_push_timestamp_seconds")
    # The other end, which has no working tree.
    samples = exporter.scrape_once(configuration(exporter, recorded["vijay"], bare))
    assert of(samples, "state", state="ready") == 1
    assert not samples.has("hermes_backup_dirty_files") and not samples.has("hermes_backup_unpushed_commits")


def at_random(path: Path, chance: random.Random) -> Repository:
    """A repository with a history that nobody has thought of: branches, merges, pushes, amendments, packs."""
    made = Repository(path)
    made.git("init", "-q", "--bare", "-b", "main", path.with_suffix(".git"))
    made.git("remote", "add", "origin", path.with_suffix(".git"))
    clock = time.time() - 50 * 86_400
    made.commit(clock, **{"data/a": "0"})

    def change() -> None:
        nonlocal clock
        clock += chance.uniform(60, 4 * 86_400)
        names = chance.sample(["data/a", "data/b", "data/deep/c", "other", "ä ö/d", "é.log"], 2)
        made.commit(min(clock, time.time() - 1), **{name: "x" * chance.randrange(5_000) for name in names})

    def merge() -> None:
        made.git("checkout", "-q", "-f", "-b", "side", "HEAD~1" if made.count("HEAD") > 1 else "HEAD")
        change()
        made.git("checkout", "-q", "-f", "main")
        change()
        made.git("merge", "-q", "-s", "ours", "-m", "merge", "side", when=min(clock, time.time() - 1))
        made.git("branch", "-q", "-D", "side")

    steps = [
        change, change, change, merge,
        lambda: made.git("push", "-q", "-f", "-u", "origin", "main"),
        lambda: made.git("commit", "-q", "--amend", "--allow-empty", "-m", "again"),
        lambda: made.git("reset", "-q", "--hard", "HEAD~1" if made.count("HEAD") > 1 else "HEAD"),
        lambda: made.git("gc", "-q"),
        lambda: (path / f"new-{chance.randrange(9)}").write_text("1"),
        lambda: made.git("rm", "-q", "-r", "--cached", "--ignore-unmatch", "data/b"),
    ]
    for _ in range(8):
        chance.choice(steps)()
    return made


def test_histories_made_at_random_are_counted_as_git_counts_them(
    exporter: Exporter, recorded: dict[str, Path], folder: Path
) -> None:
    seed = random.randrange(1 << 32)
    made = {f"r{number}": at_random(folder / f"r{number}", random.Random(seed + number)) for number in range(20)}
    keys = {"backups": [{"name": name, "path": str(one.path), "payload": "data"} for name, one in made.items()]}
    written = exporter.configuration({"vijay": recorded["vijay"]}, {"units": [], **keys})
    samples = exporter.scrape_once(written)
    assert "backup" not in failures(samples, "vijay"), f"seed {seed}"
    for name, one in made.items():
        said = {
            key: samples.value(f"hermes_backup_{key}", instance="vijay", repo=name)
            for key in ("unpushed_commits", "dirty_files", "payload_files", "payload_bytes", "last_commit_timestamp_seconds")
        }
        is_pushed = "origin/main" in one.git("branch", "-r")
        listed = one.git("ls-tree", "-r", "-l", "HEAD", "data").splitlines()
        assert said == {
            "unpushed_commits": one.count("HEAD", *["^origin/main"] * is_pushed),
            # What is staged as deleted and still lies there is two lines of git's, and one file.
            "dirty_files": len({line[3:] for line in one.git("status", "--porcelain", "--no-renames").splitlines()}),
            "payload_files": len(listed),
            "payload_bytes": sum(int(line.split()[3]) for line in listed),
            "last_commit_timestamp_seconds": int(one.git("log", "-1", "--format=%ct")),
        }, f"seed {seed}, {name}"
        pushed = "hermes_backup_last_pushed_commit_timestamp_seconds"
        if is_pushed:
            newest = "HEAD" if said["unpushed_commits"] == 0 else "origin/main"
            wanted = int(one.git("log", "-1", "--format=%ct", newest))
            assert samples.value(pushed, instance="vijay", repo=name) == wanted, f"seed {seed}, {name}"


def test_a_rebase_that_stopped_is_an_interruption(
    exporter: Exporter, recorded: dict[str, Path], repository: Repository
) -> None:
    now = time.time()
    repository.commit(now - 300, a="1")
    repository.git("branch", "side")
    repository.commit(now - 200, a="2")
    repository.git("checkout", "-q", "side")
    repository.commit(now - 100, a="3")
    with pytest.raises(AssertionError):
        repository.git("rebase", "-q", "main")
    samples = exporter.scrape_once(configuration(exporter, recorded["vijay"], repository.path))
    assert of(samples, "state", state="interrupted") == 1 and of(samples, "state", state="ready") == 0


def test_a_secret_that_was_committed_is_told_by_its_kind_alone(
    exporter: Exporter, recorded: dict[str, Path], repository: Repository
) -> None:
    repository.commit(time.time(), **{f"{SECRET}/.env": SECRET, f"{SECRET}_token.json": SECRET, "state.db": "x"})
    repository.git("rm", "-q", "-r", SECRET)
    repository.commit(time.time())
    with exporter.serving(configuration(exporter, recorded["vijay"], repository.path)) as server:
        samples = server.scrape()
        assert samples.value("hermes_guardrail_ok", instance="vijay", guardrail="backup_clean_of_secrets") == 0
        assert of(samples, "forbidden_files") == 2
        ever = samples.by("hermes_backup_forbidden_files_ever", "kind", instance="vijay", repo="vm")
        assert {kind for kind, count in ever.items() if count} == {"env", "token", "database"}
        for path in ("/metrics", "/api/v1/instances/vijay", "/"):
            assert SECRET not in server.get(path).text
        assert SECRET not in server.program.everything()


def test_another_users_repository_takes_the_two_capabilities(
    exporter: Exporter, recorded: dict[str, Path], repository: Repository, owner: int
) -> None:
    repository.commit(time.time() - 3_600, **{"data/a": "1", ".gitignore": "*.log\n"})
    (repository.path / "x.log").write_text("ignored")
    (repository.path / "new").write_text("")
    for path in (recorded["vijay"], repository.path):
        homes.give_to(path, owner)
        path.chmod(0o700)
    written = configuration(exporter, recorded["vijay"], repository.path, user=owner, payload="data")
    before = homes.listing(repository.path)
    samples = as_keeper(exporter, *IDENTITY).scrape_once(written)
    assert "backup" not in failures(samples, "vijay")
    assert of(samples, "payload_files") == 1 and of(samples, "dirty_files") == 1
    assert homes.differences(before, homes.listing(repository.path)) == []
    samples = as_keeper(exporter).scrape_once(written)
    assert failures(samples, "vijay")["backup"] == {"permission"}
    assert not samples.has("hermes_backup_state") and not samples.has("hermes_backup_age_seconds")


def test_a_repository_of_somebody_else_is_not_trusted(
    exporter: Exporter, recorded: dict[str, Path], repository: Repository, owner: int
) -> None:
    repository.commit(time.time(), a="1")
    homes.give_to(repository.path, owner)
    # Whatever the configuration of the system says.
    samples = exporter.scrape_once(configuration(exporter, recorded["vijay"], repository.path, user=0))
    assert failures(samples, "vijay")["backup"] == {"permission"}


def test_configuration_outside_of_the_repository_is_not_read(
    exporter: Exporter, recorded: dict[str, Path], repository: Repository, folder: Path, owner: int
) -> None:
    repository.commit(time.time(), a="1")
    homes.give_to(repository.path, owner)
    homes.give_to(recorded["vijay"], owner)
    home = folder / "unreadable"
    home.mkdir(mode=0o700)
    (home / ".gitconfig").write_text("[[[ nonsense")
    exporter.environment = {"PATH": "/usr/bin:/bin", "HOME": str(home), "GIT_DIR": "/nowhere", "GIT_INDEX_FILE": "/nowhere"}
    written = configuration(exporter, recorded["vijay"], repository.path)
    kept = ETC_GITCONFIG.read_bytes() if ETC_GITCONFIG.exists() else None
    ETC_GITCONFIG.write_text("[[[ nonsense")
    try:
        samples = exporter.scrape_once(written, user=owner)
    finally:
        ETC_GITCONFIG.write_bytes(kept) if kept is not None else ETC_GITCONFIG.unlink()
    assert "backup" not in failures(samples, "vijay")
    assert of(samples, "state", state="ready") == 1 and of(samples, "dirty_files") == 0


def test_nothing_of_the_repository_is_run(
    exporter: Exporter, recorded: dict[str, Path], repository: Repository, folder: Path
) -> None:
    mark = folder / "trapped"
    repository.commit(time.time(), a="1", **{".gitattributes": "a filter=trap\n"})
    for key in ("core.fsmonitor", "filter.trap.clean", "filter.trap.process", "core.sshCommand", "credential.helper"):
        repository.git("config", key, f"touch {mark}")
    (repository.path / "a").write_text("2")
    before = homes.listing(repository.path)
    samples = exporter.scrape_once(configuration(exporter, recorded["vijay"], repository.path))
    assert of(samples, "dirty_files") == 1
    assert not mark.exists()
    assert homes.differences(before, homes.listing(repository.path)) == []
    # The witness: git itself falls for it.
    with contextlib.suppress(AssertionError):
        repository.git("status")
    assert mark.exists()


def test_drills_and_bundles_are_known_by_the_newest(
    exporter: Exporter, recorded: dict[str, Path], folder: Path
) -> None:
    drills = folder / "drills"
    drills.mkdir()
    for name, seconds in (("drill-1.json", 1_000_000), ("drill-2.json", 2_000_000)):
        (drills / name).write_text("{}")
        os.utime(drills / name, (seconds, seconds))
    keys = {
        "units": [],
        "restore_drills": {"pattern": f"{drills}/drill-*.json"},
        "emergency_bundles": {"pattern": f"{folder}/none/*.tar", "max_age": "off"},
    }
    samples = exporter.scrape_once(exporter.configuration({"vijay": recorded["vijay"]}, keys))
    assert samples.value("hermes_restore_drill_timestamp_seconds", instance="vijay") == 2_000_000
    assert samples.value("hermes_restore_drills", instance="vijay") == 2
    assert samples.value("hermes_restore_drill_max_age_seconds", instance="vijay") == 90 * 86_400
    assert samples.value("hermes_emergency_bundles", instance="vijay") == 0
    assert not samples.has("hermes_emergency_bundle_timestamp_seconds")
    assert not samples.has("hermes_emergency_bundle_max_age_seconds")
