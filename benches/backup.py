"""A backup of many files: what each reading costs, beside git itself in the same run.

The repository has 50,000 files in 500 folders and 200 commits, 100 of them not pushed. Figures of the exporter are whole
scrapes over HTTP by which only the backup is asked for; those of git are one process for each question.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
import time
from pathlib import Path
from typing import Callable, Iterator

from measure import Figures, Table, cpu_seconds, sample, status_kib
from processes import free_port, running, wait_for
from turns import connected

# Every question that a scrape answers, as one asks git.
QUESTIONS = {
    "newest commit": ("log", "-1", "--format=%ct"),
    "unpushed commits": ("rev-list", "--count", "origin/main..HEAD"),
    "commits of 30 days": ("rev-list", "--count", "--since=30.days", "HEAD"),
    "payload": ("ls-tree", "-r", "-l", "HEAD", "data"),
    "changed files": ("--no-optional-locks", "status", "--porcelain"),
    "paths of all commits": ("log", "--all", "--name-only", "--format="),
}


def git(path: Path, *arguments: object) -> str:
    who = {f"GIT_{who}_{what}": "bench" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    command = ["git", "-C", str(path), *map(str, arguments)]
    return subprocess.run(command, env={**os.environ, **who}, check=True, capture_output=True, text=True).stdout


def repository(path: Path, files: int, commits: int) -> None:
    path.mkdir()
    git(path, "init", "-q", "-b", "main")
    for number in range(files):
        folder = path / "data" / f"{number % 500:03}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:05}.md").write_text(f"note {number}\n" * 5)
    git(path, "add", "-A")
    git(path, "commit", "-q", "-m", "first")
    git(path, "init", "-q", "--bare", path.with_suffix(".git"))
    git(path, "remote", "add", "origin", path.with_suffix(".git"))
    for number in range(1, commits):
        (path / "data" / f"{number % 500:03}" / f"{number % 500:05}.md").write_text(str(number))
        git(path, "add", "-A", "data" if number % 50 == 0 else f"data/{number % 500:03}")
        git(path, "commit", "-q", "-m", f"backup {number}")
        if number == commits // 2:
            git(path, "push", "-q", "-u", "origin", "main")
    git(path, "gc", "-q")


@contextlib.contextmanager
def served(given: argparse.Namespace, folder: Path, **keys: object) -> Iterator[tuple]:
    home = folder / "home"
    home.mkdir(exist_ok=True)
    backup = {"name": "vm", "path": str(folder / "vm"), "payload": "data", **keys}
    file = folder / "hermes-exporter.yml"
    file.write_text(json.dumps({"instances": [{"name": "a", "home": str(home), "units": [], "backups": [backup]}]}))
    port = free_port()
    flags = ("--config.file", file, "--web.listen-address", f"127.0.0.1:{port}", "--log.level", "error")
    with running(given.exporter, "serve", *flags) as program:
        client = connected(program, port)
        client.path = "/metrics?collect[]=backup"
        yield program, client


def is_whole(body: bytes) -> bool:
    return sample(body, "hermes_collector_success", collector="backup") == 1


def timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def measured(given: argparse.Namespace, folder: Path) -> None:
    files, commits, scrapes = (5_000, 50, 20) if given.quick else (50_000, 200, 200)
    path = folder / "vm"
    repository(path, files, commits)
    what = f"{files:,} files, {commits} commits"
    table = Table(f"A backup ({what}): the exporter", "what", "latency in ms", "CPU in ms", "resident memory", "highest")

    def row(called: str, program, took: list[float], used: float) -> None:
        memory = [f"{status_kib(program.pid, name) / 1_024:.1f} MiB" for name in ("VmRSS", "VmHWM")]
        table.row(called, Figures(took).times(1_000).quartet(2), f"{used / len(took) * 1_000:.2f}", *memory)

    for called, keys in (("everything", {}), ("dirty: false", {"dirty": False})):
        with served(given, folder, **keys) as (program, client):
            used = cpu_seconds(program.pid)
            begun = time.perf_counter()
            first, body = client.scrape()
            while not is_whole(body):
                assert time.perf_counter() - begun < 300, "never whole"
                time.sleep(0.01)
                _, body = client.scrape()
            whole = time.perf_counter() - begun
            row(f"{called}: first scrape", program, [first], 0)
            row(f"{called}: everything known after", program, [whole], cpu_seconds(program.pid) - used)
            assert sample(body, "hermes_backup_payload_files") == files
            assert sample(body, "hermes_backup_unpushed_commits") == int(git(path, *QUESTIONS["unpushed commits"]))
            used = cpu_seconds(program.pid)
            row(f"{called}: warm", program, [client.scrape()[0] for _ in range(scrapes)], cpu_seconds(program.pid) - used)
            (path / "data/000/00000.md").write_text(called)
            git(path, "commit", "-q", "-a", "-m", called)
            used = cpu_seconds(program.pid)
            begun = time.perf_counter()
            after, body = client.scrape()
            row(f"{called}: after a commit", program, [after], cpu_seconds(program.pid) - used)

            def is_told() -> bool:
                return sample(client.scrape()[1], "hermes_backup_unpushed_commits") == int(
                    git(path, *QUESTIONS["unpushed commits"])
                )

            wait_for("the new commit", is_told)
            client.close()
    print(table)
    table = Table(f"A backup ({what}): git, warm", "question", "latency in ms")
    for called, question in QUESTIONS.items():
        git(path, *question)
        took = [timed(lambda: git(path, *question)) for _ in range(5 if given.quick else 20)]
        table.row(called, Figures(took).times(1_000).quartet(1))
    print(table)
