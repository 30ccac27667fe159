"""Looking leaves no trace: not in any state a store can be found in, and not while Hermes writes.

Each is looked at by the owner of the home, who could write, and by root, who could leave files behind that the
owner can not remove.
"""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import time
from pathlib import Path
from typing import Iterator, Optional

import pytest

import homes
from exporter import ACCEPT_TEXT, Exporter, failures
from processes import Program, wait_for

SCRAPES = 100


@pytest.fixture(params=["the owner", "root"])
def looker(request: pytest.FixtureRequest, owner: int) -> Optional[int]:
    """The user who looks: the owner of the home, or the superuser."""
    return owner if request.param == "the owner" else None


@pytest.fixture
def home(recorded: dict[str, Path], owner: int) -> Path:
    """A home, at rest, of a user who is not root."""
    homes.give_to(recorded["vijay"], owner)
    return recorded["vijay"]


WRITE_AND_STAY = """
store = SessionDB()
if {write}:
    session = store.create_session("written-by-the-test", "cli")
    for number in range(30):
        store.append_message(session, "user", "message %d" % number)
else:
    # What a gateway does at rest: the log is folded into the main file and stays open.
    store._conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
print("ready", flush=True)
time.sleep(900)
"""


@contextlib.contextmanager
def store_held_open(home: Path, hermes_python: Path, owner: int, write: bool) -> Iterator[Program]:
    """Hermes' own code with the store open, as the owner of the home."""
    with homes.store_user(home, hermes_python, WRITE_AND_STAY.format(write=write), owner) as program:

        def ready() -> bool:
            program.assert_running()
            return "ready" in program.output()

        wait_for("Hermes to have the store open", ready)
        yield program


def look_in_every_way(exporter: Exporter, home: Path, looker: Optional[int]) -> int:
    """Many scrapes of a serving exporter, its pages, and one-shot runs that remember nothing; counts messages."""
    configuration = exporter.configuration({"vijay": home})
    counted = set()
    with exporter.serving(configuration, user=looker) as server:
        for _ in range(SCRAPES):
            samples = server.scrape()
            assert failures(samples, "vijay") == {}
            counted.add(samples.value("hermes_messages_total", instance="vijay"))
        for path in ("/", "/api/v1/instances", "/api/v1/instances/vijay", "/sd", "/-/ready", "/-/healthy"):
            assert server.get(path).status == 200, path
    for _ in range(3):
        samples = exporter.scrape_once(configuration, user=looker)
        counted.add(samples.value("hermes_messages_total", instance="vijay"))
    exporter.run("check-config", configuration, user=looker).succeeded()
    assert len(counted) == 1, f"the number of messages was {sorted(counted)}, though nobody wrote"
    return int(counted.pop())


def beside(home: Path) -> dict[str, int]:
    """The sizes of the files beside the store."""
    return {path.name.removeprefix("state.db"): path.stat().st_size for path in home.glob("state.db-*")}


def assert_untouched(home: Path, before: dict[str, tuple]) -> None:
    changes = homes.differences(before, homes.listing(home))
    assert not changes, "looking has changed the home:\n" + "\n".join(changes)


def test_a_store_at_rest(exporter: Exporter, home: Path, looker: Optional[int]) -> None:
    assert beside(home) == {}, "a store that was closed has no files beside it"
    before = homes.listing(home)
    assert look_in_every_way(exporter, home, looker) == 5225
    assert_untouched(home, before)


def test_an_empty_log_beside_the_store(
    exporter: Exporter, home: Path, looker: Optional[int], hermes_python: Path, owner: int
) -> None:
    """What a gateway at rest has: it keeps the store open and has nothing to say."""
    with store_held_open(home, hermes_python, owner, write=False):
        assert beside(home)["-wal"] == 0 and beside(home)["-shm"] > 0, beside(home)
        before = homes.listing(home)
        assert look_in_every_way(exporter, home, looker) == 5225
        assert_untouched(home, before)


def test_a_full_log_beside_the_store(
    exporter: Exporter, home: Path, looker: Optional[int], hermes_python: Path, owner: int
) -> None:
    with store_held_open(home, hermes_python, owner, write=True):
        assert beside(home)["-wal"] > 0 and beside(home)["-shm"] > 0, beside(home)
        before = homes.listing(home)
        assert look_in_every_way(exporter, home, looker) == 5225 + 30, "what is in the log counts"
        assert_untouched(home, before)


@pytest.mark.parametrize("write", [True, False], ids=["with something in the log", "with an empty log"])
def test_what_a_killed_gateway_leaves(
    exporter: Exporter, home: Path, looker: Optional[int], hermes_python: Path, owner: int, write: bool
) -> None:
    with store_held_open(home, hermes_python, owner, write=write) as program:
        program.send(signal.SIGKILL)
        program.wait()
    assert (beside(home)["-wal"] > 0) == write and beside(home)["-shm"] > 0, beside(home)
    before = homes.listing(home)
    assert look_in_every_way(exporter, home, looker) == 5225 + (30 if write else 0)
    assert_untouched(home, before)
    # And Hermes can go on where it was.
    with homes.store_user(home, hermes_python, OPEN_AND_CLOSE, owner) as again:
        assert again.wait() == 0, again.everything()
    assert beside(home) == {}, "Hermes folds the log in and removes it"
    assert_sound(home / "state.db")


def test_a_running_gateway(
    exporter: Exporter, fresh: dict[str, Path], hermes_python: Path, owner: int, looker: Optional[int]
) -> None:
    """Its own files change all the time; nothing else does, and no file is anybody else's."""
    home = fresh["vijay"]

    def beats(line: str) -> bool:
        name = line.split(" ")[1]
        # With each tick Hermes sets the mode of its cron folders anew.
        is_ticker = name.startswith("cron/.hb_") or (name.startswith("cron/") and "tick" in name)
        return name in ("state", "cron", "cron/output") or name.startswith("state/") or is_ticker

    # The stand-in runs as whoever runs the tests: that it is another user's process must not matter.
    with homes.gateway(home, hermes_python):
        before = homes.listing(home)
        if looker is None:
            assert look_in_every_way(exporter, home, looker) == 5225
        else:
            # The home is root's and closed to others; they are told so, and it stays as it is.
            samples = exporter.scrape_once(exporter.configuration({"vijay": home}), user=looker)
            failed = failures(samples, "vijay")
            assert failed and set().union(*failed.values()) == {"permission"}, failed
        changes = homes.differences(before, homes.listing(home))
        foreign = [line for line in changes if not beats(line)]
        assert not foreign, "\n".join(foreign)


ROUNDS = 25
MESSAGES_A_ROUND = 20

WRITER = """
home = pathlib.Path(os.environ["HERMES_HOME"])
report = dict(rounds=0, messages=0, errors=[], made_by_others=[], kept_alive=0, slowest_seconds=0.0)

def beside():
    found = {{}}
    for suffix in ("-wal", "-shm", "-journal"):
        try:
            found[suffix] = os.stat(str(home / "state.db") + suffix).st_ino
        except FileNotFoundError:
            pass
    return found

for number in range({rounds}):
    try:
        store = SessionDB()
        session = "round-%d" % number
        store.create_session(session, "cli")
        for _ in range({messages}):
            begun = time.monotonic()
            store.append_message(session, "user", "x" * 500)
            report["slowest_seconds"] = max(report["slowest_seconds"], time.monotonic() - begun)
            report["messages"] += 1
        store.end_session(session, "cli_close")
        mine = beside()
        # Held open, so that no other file can be given the same inode.
        held = [os.open(str(home / "state.db") + suffix, os.O_RDONLY) for suffix in mine]
        store.close()
        # A reader that is there at the moment of closing keeps these files alive, which is no harm: they are this
        # program's own. Others were made by a reader, at once or when it found the store at rest.
        report["kept_alive"] += len(beside())
        time.sleep(0.1)
        report["made_by_others"] += [suffix for suffix, inode in beside().items() if mine.get(suffix) != inode]
        for descriptor in held:
            os.close(descriptor)
        report["rounds"] += 1
    except Exception as error:
        report["errors"].append(repr(error))
print(json.dumps(report), flush=True)
""".format(rounds=ROUNDS, messages=MESSAGES_A_ROUND)

OPEN_AND_CLOSE = """
SessionDB().close()
"""


def test_hermes_writes_undisturbed(
    exporter: Exporter, home: Path, looker: Optional[int], hermes_python: Path, owner: int
) -> None:
    """Hermes opens, writes and closes its store over and over while the exporter looks as often as it can."""
    with exporter.serving(exporter.configuration({"vijay": home}), user=looker) as server:
        with homes.store_user(home, hermes_python, WRITER, owner) as writer:
            seen, looks, failed = set(), 0, []
            deadline = time.monotonic() + 120
            while writer.is_running():
                samples = server.scrape(accept=ACCEPT_TEXT)
                looks += 1
                failed += [f"{name}: {reasons}" for name, reasons in failures(samples, "vijay").items()]
                seen |= set(samples.series("hermes_messages_total", instance="vijay").values())
                assert time.monotonic() < deadline, "Hermes does not get on with it"
            assert writer.wait() == 0, writer.everything()
            report = json.loads(writer.output().splitlines()[-1])
        total = 5225 + report["messages"]

        def caught_up() -> bool:
            found = server.scrape().value("hermes_messages_total", instance="vijay")
            assert found == total, f"{found} messages, {total} were written"
            return True

        wait_for("the exporter to have counted everything", caught_up)
    assert report["errors"] == [], f"Hermes was disturbed: {report}"
    assert report["made_by_others"] == [], f"the exporter made files beside the store: {report}"
    assert (report["rounds"], report["messages"]) == (ROUNDS, ROUNDS * MESSAGES_A_ROUND), report
    # However slow the machine is, there was a look for each round.
    assert looks >= ROUNDS and len(seen) >= 5, f"there was little to disturb: {looks} looks, {len(seen)} numbers"
    assert max(seen) <= total
    # A store that changes under every attempt to read it is told to be so; that is the exception.
    assert len(failed) <= looks // 10, f"{len(failed)} failures in {looks} looks: {sorted(set(failed))}"

    # Nobody looks any more: what Hermes closes is closed, and everything is its own.
    with homes.store_user(home, hermes_python, OPEN_AND_CLOSE, owner) as last:
        assert last.wait() == 0, last.everything()
    assert beside(home) == {}, "files stay beside the store"
    strangers = [path for path in home.rglob("*") if path.lstat().st_uid != owner]
    assert not strangers, f"files that are not the owner's: {strangers}"
    assert_sound(home / "state.db")


def assert_sound(store: Path) -> None:
    """Checks a store in a way that leaves it as it is."""
    connection = sqlite3.connect(f"file:{store}?immutable=1", uri=True)
    try:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    finally:
        connection.close()
