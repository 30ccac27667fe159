"""Hermes homes to look at: the recorded pair, and pairs built this minute by Hermes' own code.

Also the exact listing of a home that shows whether anybody has touched it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import tarfile
from pathlib import Path
from typing import Iterator

from processes import Program, run, running, wait_for

FIXTURES = Path(__file__).resolve().parent.parent / "fixtures" / "hermes-0.19.0"
MAKE_HOMES = FIXTURES / "make_homes.py"
NAMES = ("vijay", "bheem")


def expected() -> dict[str, dict]:
    """What is in each recorded home, counted by SQL that has nothing to do with the exporter."""
    return json.loads((FIXTURES / "expected.json").read_text())["homes"]


def unpack(folder: Path) -> dict[str, Path]:
    """The recorded homes, by the name of their instance."""
    enterable(folder)
    with tarfile.open(FIXTURES / "homes.tar.gz") as archive:
        # As it was packed; Pythons before 3.11.4 do so anyway and know no filters.
        archive.extraction_filter = lambda member, _: member
        archive.extractall(folder)
    return {name: folder / f"home-{name}" for name in NAMES}


def build(folder: Path, hermes_python: Path) -> dict[str, Path]:
    """The same homes made now by Hermes' own code: every time in them is counted from this moment."""
    enterable(folder)
    run(hermes_python, MAKE_HOMES, "build", "--out", folder, seconds=180).succeeded()
    return {name: folder / f"home-{name}" for name in NAMES}


def enterable(folder: Path) -> None:
    """Makes a folder that every user can enter; the homes in it guard themselves."""
    folder.mkdir()
    folder.chmod(0o755)


def copy(home: Path, to: Path) -> Path:
    """A copy of a home with all its times and modes."""
    shutil.copytree(home, to, symlinks=True)
    return to


def give_to(home: Path, owner: int) -> None:
    """Makes `owner` the owner of everything in a home."""
    for folder, _, files in os.walk(home):
        os.chown(folder, owner, owner)
        for name in files:
            os.chown(os.path.join(folder, name), owner, owner, follow_symlinks=False)


@contextlib.contextmanager
def gateway(home: Path, hermes_python: Path) -> Iterator[Program]:
    """A stand-in gateway for a home: the real lock, files and heartbeats, and no network."""
    with running(hermes_python, MAKE_HOMES, "gateway", home, "--seconds", "900") as program:

        def at_work() -> bool:
            program.assert_running()
            return "standin gateway pid=" in program.output()

        wait_for("the stand-in gateway to be at work", at_work, seconds=60)
        yield program


# Hermes' own session store, opened by the user whose home it is. Python and its packages may lie where that user
# can not go, so everything is loaded, by using it once elsewhere, before this becomes that user.
STORE_OF_THE_OWNER = """
import json, os, pathlib, sys, tempfile, time
from hermes_state import SessionDB
with tempfile.TemporaryDirectory() as elsewhere:
    store = SessionDB(pathlib.Path(elsewhere) / "state.db")
    store.create_session("practice", "cli")
    store.append_message("practice", "user", "practice")
    store.end_session("practice", "cli_close")
    store.close()
owner = int(sys.argv[1])
os.setgroups([])
os.setgid(owner)
os.setuid(owner)
"""


@contextlib.contextmanager
def store_user(home: Path, hermes_python: Path, program: str, owner: int) -> Iterator[Program]:
    """A program that uses Hermes' own `SessionDB` on the store of a home, as the home's owner."""
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "HERMES_HOME": str(home), "TZ": "UTC"}
    with running(hermes_python, "-B", "-c", STORE_OF_THE_OWNER + program, owner, environment=environment) as started:
        yield started


def listing(home: Path) -> dict[str, tuple]:
    """Everything about everything in a home: type, mode, owner, size, inode, times of change, and content.

    The access time is left out: reading is allowed to move that.
    """
    found = {}
    for path in [home, *sorted(home.rglob("*"))]:
        content = ""
        try:
            facts = path.lstat()
            if stat.S_ISREG(facts.st_mode):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
            elif stat.S_ISLNK(facts.st_mode):
                content = os.readlink(path)
        except FileNotFoundError:
            # The temporary file of a program that is at work here.
            continue
        found[str(path.relative_to(home))] = (
            stat.filemode(facts.st_mode),
            (facts.st_uid, facts.st_gid),
            facts.st_size if stat.S_ISREG(facts.st_mode) else None,
            facts.st_ino,
            facts.st_mtime_ns,
            facts.st_ctime_ns,
            content,
        )
    return found


def differences(before: dict[str, tuple], after: dict[str, tuple]) -> list[str]:
    """What changed from one listing to the next, one line for each thing."""
    lines = [f"appeared: {name} {after[name]}" for name in sorted(after.keys() - before.keys())]
    lines += [f"vanished: {name}" for name in sorted(before.keys() - after.keys())]
    for name in sorted(before.keys() & after.keys()):
        if before[name] != after[name]:
            lines.append(f"changed: {name} from {before[name]} to {after[name]}")
    return lines
