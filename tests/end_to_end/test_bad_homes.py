"""A damaged home costs its own damaged part: the rest of it stays, the other instances stay, and the scrape stands."""

from __future__ import annotations

import dataclasses
import os
import shutil
import signal
import sqlite3
import time
from pathlib import Path
from typing import Callable

import pytest

import homes
from exporter import Exporter, failures
from exposition import Samples
from processes import wait_for

# What state.db feeds: its own two collectors, and what else is kept in it, in tables that Hermes makes when it first
# needs them, so that a store without them is no failure.
STORE = {"sessions", "activity", "inventory"}
FAMILIES_OF_LATE_TABLES = {"hermes_delivery_obligations", "hermes_delegations"}
# Given by two collectors, so that one of them goes on giving its part.
SHARED_FAMILIES = {"guardrails": {"hermes_guardrail_ok"}}


@dataclasses.dataclass(frozen=True)
class Damage:
    """Something that happens to a home, and the collectors that it may cost."""

    name: str
    do: Callable[[Path], None]
    costs: frozenset[str]
    # Of those, the ones that it must cost, and the reasons they may give.
    must_cost: frozenset[str]
    reasons: frozenset[str]


def damage(name: str, costs: set[str], must_cost: set[str], *reasons: str) -> Callable:
    def wrap(do: Callable[[Path], None]) -> Damage:
        return Damage(name, do, frozenset(costs), frozenset(must_cost), frozenset(reasons))

    return wrap


def overwrite_pages(path: Path) -> None:
    content = bytearray(path.read_bytes())
    # The header stays, and nothing else does.
    content[100:] = os.urandom(len(content) - 100)
    path.write_bytes(content)


@damage("state.db is random but for its header", STORE, {"sessions", "activity"}, "parse")
def corrupt_store(home: Path) -> None:
    overwrite_pages(home / "state.db")


@damage("state.db is no database", STORE, {"sessions", "activity"}, "parse")
def no_store(home: Path) -> None:
    (home / "state.db").write_bytes(b"this is no database at all, and long enough to be none\n" * 200)


@damage("state.db is cut in half", STORE, set(), "parse", "io")
def half_a_store(home: Path) -> None:
    os.truncate(home / "state.db", (home / "state.db").stat().st_size // 2)


@damage("state.db is empty", STORE, {"sessions", "activity"}, "parse", "unsupported")
def empty_store(home: Path) -> None:
    (home / "state.db").write_bytes(b"")


@damage("state.db belongs to another program", STORE, {"sessions", "activity"}, "unsupported", "parse")
def foreign_store(home: Path) -> None:
    (home / "state.db").unlink()
    other = sqlite3.connect(home / "state.db")
    other.executescript("CREATE TABLE recipes (name TEXT); INSERT INTO recipes VALUES ('soup')")
    other.close()


@damage("state.db has other columns", STORE, {"sessions"}, "unsupported", "parse")
def store_of_the_future(home: Path) -> None:
    store = sqlite3.connect(home / "state.db")
    store.executescript(
        "ALTER TABLE sessions RENAME COLUMN source TO origin; ALTER TABLE messages RENAME COLUMN role TO who;"
    )
    store.close()


@damage("state.db is a folder", STORE, {"sessions", "activity"}, "unsupported", "io")
def store_is_a_folder(home: Path) -> None:
    (home / "state.db").unlink()
    (home / "state.db").mkdir()


@damage("jobs.json is half-written", {"cron"}, {"cron"}, "parse")
def half_jobs(home: Path) -> None:
    jobs = home / "cron" / "jobs.json"
    jobs.write_bytes(jobs.read_bytes()[: jobs.stat().st_size // 2])


@damage("jobs.json nests without end", {"cron"}, {"cron"}, "parse", "unsupported")
def endless_jobs(home: Path) -> None:
    (home / "cron" / "jobs.json").write_text("[" * 1_000_000)


@damage("auth.json is a pipe", {"credentials"}, {"credentials"}, "unsupported", "timeout", "io")
def pipe_for_credentials(home: Path) -> None:
    (home / "auth.json").unlink()
    os.mkfifo(home / "auth.json")


@damage("state.db is a pipe", STORE, {"sessions", "activity"}, "unsupported", "parse", "timeout", "io")
def pipe_for_store(home: Path) -> None:
    (home / "state.db").unlink()
    os.mkfifo(home / "state.db")


@damage("auth.json is a link to itself", {"credentials"}, {"credentials"}, "io", "unsupported", "not_found")
def loop_for_credentials(home: Path) -> None:
    (home / "auth.json").unlink()
    (home / "auth.json").symlink_to("auth.json")


@damage("google_token.json is not JSON", {"credentials"}, {"credentials"}, "parse")
def torn_token(home: Path) -> None:
    (home / "google_token.json").write_text('{"token": "FAKE-')


@damage("gateway_state.json is not JSON", {"gateway"}, {"gateway"}, "parse")
def torn_gateway_state(home: Path) -> None:
    (home / "gateway_state.json").write_bytes(b"\xff\xfe\x00{")


@damage("config.yaml is not YAML", {"inventory", "guardrails", "cron"}, {"inventory", "guardrails"}, "parse")
def torn_configuration(home: Path) -> None:
    (home / "config.yaml").write_text("skills: [unclosed\n\t: : {")


ALL_DAMAGE = [
    corrupt_store,
    no_store,
    half_a_store,
    empty_store,
    foreign_store,
    store_of_the_future,
    store_is_a_folder,
    half_jobs,
    endless_jobs,
    pipe_for_credentials,
    pipe_for_store,
    loop_for_credentials,
    torn_token,
    torn_gateway_state,
    torn_configuration,
]

# What moves from scrape to scrape by itself.
MOVING = (
    "hermes_collector_duration_seconds",
    "hermes_snapshot_timestamp_seconds",
    "hermes_home_filesystem",
    "hermes_host_",
    "hermes_exporter_",
    "process_",
)


def still(samples: Samples) -> dict[tuple, float]:
    """The samples that do not move by themselves, as one comparable thing."""
    return {(name, frozenset(labels.items())): value for name, labels, value in samples if not name.startswith(MOVING)}


def families_by_collector(exporter: Exporter, configuration: Path) -> dict[str, set[str]]:
    """The names of the metrics that each collector gives, found by asking for one after the other."""
    with exporter.serving(configuration) as server:
        collectors = server.scrape().by("hermes_collector_success", "collector", instance="vijay")
        # What is told of an instance without looking.
        always = server.scrape("?collect[]=host").names()
        found = {name: server.scrape(f"?collect[]={name}").names() - always for name in collectors}
    assert all(found.values()), f"a collector that gives nothing: {found}"
    return found


@pytest.mark.parametrize("harm", ALL_DAMAGE, ids=lambda harm: harm.name)
def test_damage_costs_what_is_damaged(exporter: Exporter, recorded: dict[str, Path], harm: Damage) -> None:
    configuration = exporter.configuration(recorded)
    families = families_by_collector(exporter, configuration)
    sound = exporter.scrape_once(configuration)
    harm.do(recorded["vijay"])
    with exporter.serving(configuration) as server:
        begun = time.monotonic()
        damaged = server.scrape()
        took = time.monotonic() - begun
        assert took < 9.5, f"the scrape took {took:.1f} s: Prometheus would have given up"

        failed = failures(damaged, "vijay")
        assert failed.keys() <= harm.costs, f"{harm.name} has cost {failed}"
        assert failed.keys() >= harm.must_cost, f"{harm.name} went unnoticed: {failed}"
        for collector, reasons in failed.items():
            assert reasons <= harm.reasons, f"{collector} failed for {reasons}, expected one of {set(harm.reasons)}"
        # A second look comes to the same, and the server stands.
        assert failures(server.scrape(), "vijay") == failed

    # Everything that no damaged collector gives is as it was.
    costly = set().union(*(families[name] for name in failed)) - set().union(
        *(families[name] for name in families if name not in failed)
    )
    if "sessions" in failed:
        costly |= FAMILIES_OF_LATE_TABLES
    costly |= set().union(*(SHARED_FAMILIES.get(name, set()) for name in failed))
    kept = {name for name in sound.of(instance="vijay").names() if name not in costly}
    before, after = (
        {
            key: value
            for key, value in still(samples.of(instance="vijay")).items()
            if key[0] in kept and key[0].startswith("hermes_")
        }
        for samples in (sound, damaged)
    )
    for told in (before, after):
        for key in [
            key for key in told if key[0].startswith(("hermes_collector_", "hermes_finding", "hermes_home_bytes"))
        ]:
            del told[key]
    assert after == before, "what is not damaged has changed"

    assert failures(damaged, "bheem") == {}
    assert still(damaged.of(instance="bheem")) == still(sound.of(instance="bheem")), "the other instance has changed"


WRITE_A_LITTLE = """
store = SessionDB()
store.create_session("new", "cli")
store.append_message("new", "user", "hello")
print("ready", flush=True)
time.sleep(600)
"""


def test_a_log_without_its_index(exporter: Exporter, recorded: dict[str, Path], hermes_python: Path) -> None:
    """A -wal without a -shm, as a copy of a live home has it: what the main file says is out of date."""
    home = recorded["vijay"]
    with homes.store_user(home, hermes_python, WRITE_A_LITTLE, os.geteuid()) as hermes:
        wait_for("Hermes to have written", lambda: "ready" in hermes.output())
        hermes.send(signal.SIGKILL)
        hermes.wait()
    (home / "state.db-shm").unlink()
    assert (home / "state.db-wal").stat().st_size > 0
    before = homes.listing(home)
    samples = exporter.scrape_once(exporter.configuration(recorded))
    failed = failures(samples, "vijay")
    assert failed.keys() >= {"sessions", "activity"} and failed.keys() <= STORE, failed
    assert set().union(*failed.values()) == {"stale"}, failed
    assert not samples.has("hermes_messages_total", instance="vijay"), "an outdated number is shown as if it were known"
    assert samples.has("hermes_cron_jobs", instance="vijay")
    assert failures(samples, "bheem") == {}
    assert homes.differences(before, homes.listing(home)) == []


@pytest.mark.parametrize(
    ("closed", "costs"),
    [
        ("auth.json", {"credentials"}),
        (".env", {"credentials", "guardrails"}),
        ("state.db", STORE),
        ("cron/jobs.json", {"cron"}),
        ("gateway_state.json", {"gateway"}),
        ("memories", {"inventory"}),
        ("cron", {"cron"}),
    ],
)
def test_what_may_not_be_read(
    exporter: Exporter, recorded: dict[str, Path], owner: int, closed: str, costs: set[str]
) -> None:
    for home in recorded.values():
        homes.give_to(home, owner)
    (recorded["vijay"] / closed).chmod(0o000)
    samples = exporter.scrape_once(exporter.configuration(recorded), user=owner)
    failed = failures(samples, "vijay")
    # A folder that may not be entered also hides how large it is.
    assert failed and failed.keys() <= costs | {"home"}, failed
    assert failed.keys() & costs, failed
    assert set().union(*failed.values()) == {"permission"}, failed
    assert failures(samples, "bheem") == {}


def test_a_home_that_may_not_be_entered(exporter: Exporter, recorded: dict[str, Path], owner: int) -> None:
    homes.give_to(recorded["bheem"], owner)
    os.chown(recorded["vijay"], 0, 0)
    recorded["vijay"].chmod(0o700)
    with exporter.serving(exporter.configuration(recorded), user=owner) as server:
        samples = server.scrape()
        failed = failures(samples, "vijay")
        assert failed, "nothing of it can be read"
        assert set().union(*failed.values()) == {"permission"}, failed
        for metric in ("hermes_gateway_up", "hermes_sessions", "hermes_cron_jobs", "hermes_token_present"):
            assert not samples.has(metric, instance="vijay"), f"{samples.show(metric)} is a guess"
        assert failures(samples, "bheem") == {}
        assert samples.value("hermes_stored_messages", instance="bheem") == homes.expected()["bheem"]["messages_rows"]


def test_a_home_that_vanishes_and_comes_back(exporter: Exporter, recorded: dict[str, Path], folder: Path) -> None:
    with exporter.serving(exporter.configuration(recorded)) as server:
        sound = server.scrape()
        assert failures(sound, "vijay") == {}
        recorded["vijay"].rename(folder / "elsewhere")

        def is_missed() -> Samples:
            samples = server.scrape()
            failed = failures(samples, "vijay")
            assert "gateway" in failed and "sessions" in failed, failed
            assert set().union(*failed.values()) == {"not_found"}, failed
            return samples

        gone = wait_for("the exporter to miss the home", is_missed)
        assert not gone.has("hermes_sessions", instance="vijay"), "sessions of a home that is not there"
        assert server.get("/-/healthy").status == 200
        assert server.get("/").status == 200
        assert failures(gone, "bheem") == {}
        assert still(gone.of(instance="bheem")) == still(sound.of(instance="bheem"))

        (folder / "elsewhere").rename(recorded["vijay"])

        def is_back() -> bool:
            samples = server.scrape()
            assert failures(samples, "vijay") == {}
            assert samples.show("hermes_sessions") == sound.show("hermes_sessions")
            assert samples.show("hermes_tool_calls_total") == sound.show("hermes_tool_calls_total")
            return True

        wait_for("everything to be as before", is_back)


def test_a_home_that_was_never_there(exporter: Exporter, recorded: dict[str, Path]) -> None:
    shutil.rmtree(recorded["vijay"])
    samples = exporter.scrape_once(exporter.configuration(recorded))
    failed = failures(samples, "vijay")
    assert set().union(*failed.values()) == {"not_found"}, failed
    assert samples.has("hermes_instance_info", instance="vijay"), "it is configured, so it is told of"
    assert failures(samples, "bheem") == {}


def test_a_configuration_that_is_wrong_binds_nothing(exporter: Exporter, folder: Path) -> None:
    wrong = folder / "wrong.yml"
    wrong.write_text("instances:\n  - name: vijay\n    hoem: /nowhere\n")
    for arguments in (("check-config", wrong), ("serve", "--config.file", wrong), ("scrape", "--config.file", wrong)):
        finished = exporter.run(*arguments)
        assert finished.code == 64, f"{arguments[0]} ended with {finished.code}:\n{finished.output}{finished.log}"
        told = finished.output + finished.log
        assert "hoem" in told and "home" in told and "wrong.yml" in told, f"which key, where, and what instead: {told}"


def test_a_bad_reload_keeps_the_last_good_configuration(exporter: Exporter, recorded: dict[str, Path]) -> None:
    configuration = exporter.configuration(recorded)
    good = configuration.read_text()
    with exporter.serving(configuration) as server:
        assert server.scrape().value("hermes_exporter_config_last_reload_successful") == 1
        configuration.write_text("instances: nonsense")
        assert server.post("/-/reload").status >= 400
        samples = server.scrape()
        assert samples.value("hermes_exporter_config_last_reload_successful") == 0
        assert samples.has("hermes_gateway_up", instance="vijay") and samples.has("hermes_gateway_up", instance="bheem")
        calls = samples.show("hermes_tool_calls_total")
        configuration.write_text(good)
        server.program.send(signal.SIGHUP)

        def reloaded() -> bool:
            samples = server.scrape()
            assert samples.value("hermes_exporter_config_last_reload_successful") == 1
            assert samples.show("hermes_tool_calls_total") == calls, "counters go on over a reload"
            return True

        wait_for("the good configuration to be back", reloaded)
