"""A living gateway through its life, and live sessions counted as Hermes itself counts them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import signal
import urllib.request
from pathlib import Path
from typing import Iterator, Optional

import pytest

import homes
from exporter import Exporter, Server, bare_environment, failures
from processes import LIBC, Program, free_port, run, running, wait_for

# From <sys/mount.h>: goes also while somebody still looks.
MNT_DETACH = 2


def gateway_states(server: Server, instance: str) -> tuple[float, list[str]]:
    """Whether the gateway is up, and the states that are said to hold; that must be exactly one."""
    samples = server.scrape().of(instance=instance)
    states = samples.by("hermes_gateway_state", "state")
    assert set(states.values()) <= {0.0, 1.0}, states
    return samples.value("hermes_gateway_up"), [state for state, value in states.items() if value == 1]


def wait_until_gateway_is(server: Server, up: float, state: str, instance: str = "vijay") -> None:
    def has_come() -> bool:
        found = gateway_states(server, instance)
        assert found == (up, [state]), f"the gateway is {found}"
        return True

    wait_for(f"the gateway of {instance} to be up={up:g} and {state}", has_come, seconds=60)


def test_a_gateway_through_its_life(exporter: Exporter, fresh: dict[str, Path], hermes_python: Path) -> None:
    with exporter.serving(exporter.configuration(fresh)) as server:
        # The home says "running" of a process that is gone.
        wait_until_gateway_is(server, 0, "crashed")
        wait_until_gateway_is(server, 0, "stopped", "bheem")
        with homes.gateway(fresh["vijay"], hermes_python) as gateway:
            wait_until_gateway_is(server, 1, "running")
            samples = server.scrape().of(instance="vijay")
            assert samples.value("hermes_gateway_processes") == 1
            assert samples.value("hermes_gateway_active_agents") == 1
            assert samples.value("hermes_gateway_memory_bytes") > 1_000_000
            assert samples.value("hermes_gateway_threads") >= 1
            assert samples.value("hermes_platform_up", platform="telegram") == 1
            assert samples.value("hermes_platform_up", platform="discord") == 0
            assert samples.value("hermes_platform_state", platform="discord", state="fatal") == 1
            code = {"platform": "discord", "error_code": "discord_gateway_task_exited"}
            assert samples.value("hermes_platform_error_info", **code) == 1
            started = samples.value("hermes_gateway_start_time_seconds")
            born = os.stat(f"/proc/{gateway.pid}").st_mtime
            assert abs(started - born) < 60, f"started at {started}, the process is of about {born}"

            gateway.send(signal.SIGSTOP)
            wait_until_gateway_is(server, 0, "frozen")
            gateway.send(signal.SIGCONT)
            wait_until_gateway_is(server, 1, "running")

            gateway.send(signal.SIGKILL)
            gateway.wait()
            wait_until_gateway_is(server, 0, "crashed")
            samples = server.scrape().of(instance="vijay")
            for metric in (
                "hermes_platform_up",
                "hermes_platform_state",
                "hermes_platform_error_info",
                "hermes_gateway_memory_bytes",
                "hermes_gateway_cpu_seconds_total",
                "hermes_gateway_open_fds",
                "hermes_gateway_threads",
                "hermes_gateway_start_time_seconds",
            ):
                assert not samples.has(metric), f"{metric} of a dead gateway: {samples.show(metric)}"
        # The other one has not noticed.
        assert gateway_states(server, "bheem") == (0, ["stopped"])


def test_a_gateway_whose_loop_hangs_is_frozen(exporter: Exporter, fresh: dict[str, Path], hermes_python: Path) -> None:
    """Its process runs on, and only its heartbeat tells; the limit is the configuration's."""
    patient = exporter.configuration(fresh)
    strict = exporter.configuration(fresh, {"thresholds": {"gateway_heartbeat": "1s"}})
    # The stand-in's heart beats every five seconds: too slow for the strict one.
    with (
        homes.gateway(fresh["vijay"], hermes_python),
        exporter.serving(patient) as calm,
        exporter.serving(strict) as nervous,
    ):
        wait_until_gateway_is(nervous, 0, "frozen")
        assert gateway_states(calm, "vijay") == (1, ["running"])


def test_two_gateways_are_told_apart(exporter: Exporter, fresh: dict[str, Path], hermes_python: Path) -> None:
    with exporter.serving(exporter.configuration(fresh)) as server:
        with homes.gateway(fresh["bheem"], hermes_python):
            wait_until_gateway_is(server, 1, "running", "bheem")
            assert gateway_states(server, "vijay") == (0, ["crashed"])
            samples = server.scrape()
            assert samples.value("hermes_gateway_processes", instance="bheem") == 1
            assert samples.value("hermes_gateway_processes", instance="vijay") == 0


@contextlib.contextmanager
def pretended_gateway(folder: Path, home: Path, user: Optional[int] = None) -> Iterator[Program]:
    """A process with the arguments and the environment of a gateway, and nothing else of one."""
    hermes = folder / "hermes"
    if not hermes.exists():
        hermes.symlink_to("/bin/sh")
    environment = bare_environment(folder) | {"HERMES_HOME": str(home)}
    with running(hermes, "-c", "sleep 900; :", "gateway", environment=environment, user=user) as program:
        yield program


def empty_home(folder: Path, name: str, user: int) -> Path:
    home = folder / name
    home.mkdir(mode=0o755)
    os.chown(home, user, user)
    return home


def test_a_process_of_somebody_else_serves_nobodys_home(
    exporter: Exporter, fresh: dict[str, Path], folder: Path, owner: int
) -> None:
    """It may name any home in its environment."""
    homes.give_to(fresh["vijay"], owner)
    with exporter.serving(exporter.configuration(fresh)) as server:
        with pretended_gateway(folder, fresh["vijay"], owner + 1):
            wait_until_gateway_is(server, 0, "crashed")
            assert server.scrape().value("hermes_gateway_processes", instance="vijay") == 0
        with pretended_gateway(folder, fresh["vijay"], owner):
            wait_for("it to count", lambda: server.scrape().value("hermes_gateway_processes", instance="vijay") == 1)


def test_where_others_processes_are_hidden_each_gateway_is_seen(binary: Path, folder: Path, owner: int) -> None:
    """Under `hidepid` root sees all, and who reads an instance as its user does not."""
    hiding = folder / "hiding"
    mount = "mount -t proc -o hidepid=2 proc /proc"
    hiding.write_text(f"#!/bin/sh\nexec unshare --mount sh -c '{mount} && exec \"$0\" \"$@\"' {binary} \"$@\"\n")
    hiding.chmod(0o755)
    ours, theirs = empty_home(folder, "ours", 0), empty_home(folder, "theirs", owner)
    configuration = folder / "hidden.yml"
    instances = [
        {"name": "theirs", "home": str(theirs), "user": str(owner)},
        {"name": "ours", "home": str(ours)},
    ]
    configuration.write_text(json.dumps({"instances": instances}))
    with Exporter(hiding, folder).serving(configuration) as server, pretended_gateway(folder, ours):

        def is_seen() -> bool:
            return server.scrape("?collect[]=gateway").of(instance="ours").has("hermes_gateway_processes")

        wait_for("the gateway to be seen", is_seen)
        for _ in range(5):
            samples = server.scrape("?collect[]=gateway&instance=theirs").of(instance="theirs")
            # Nobody hides anything from root, so that it can be told that there is none.
            assert failures(samples, "theirs") == {}
            assert not samples.has("hermes_gateway_processes")
            assert is_seen()
        # One that root runs for them is hidden from them, and counts.
        with pretended_gateway(folder, theirs):
            wait_for("it to count", lambda: server.scrape().value("hermes_gateway_processes", instance="theirs") == 1)
            # What is hidden from who reads the instance is not told of.
            samples = server.scrape().of(instance="theirs")
            assert not samples.has("hermes_guardrail_ok", guardrail="private_listeners")


@contextlib.contextmanager
def dead_filesystem(folder: Path) -> Iterator[Path]:
    """A folder in which whoever looks waits for ever: a filesystem in user space that nobody runs."""
    place = folder / "dead"
    place.mkdir()
    descriptor = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={descriptor},rootmode=40000,user_id=0,group_id=0,allow_other"
    assert LIBC.mount(b"dead", bytes(place), b"fuse", 0, options.encode()) == 0, "no FUSE could be mounted"
    try:
        yield place
    finally:
        # All who wait get an error.
        os.close(descriptor)
        assert LIBC.umount2(bytes(place), MNT_DETACH) == 0


@pytest.mark.parametrize("user", [0, 64104], ids=["of root", "of a stranger"])
def test_a_gateway_whose_home_does_not_answer_costs_nobody_else(
    exporter: Exporter, fresh: dict[str, Path], folder: Path, user: int
) -> None:
    instances = exporter.configuration(fresh)
    with dead_filesystem(folder) as dead, pretended_gateway(folder, dead / "home", user or None):
        assert exporter.scrape_once(instances).value("hermes_gateway_up", instance="vijay") == 0
        with exporter.serving(instances) as server:
            wait_until_gateway_is(server, 0, "crashed")
            for instance in fresh:
                failed = failures(server.scrape(), instance)
                assert not failed.keys() & {"gateway", "exposure", "guardrails"}, failed
            with pretended_gateway(folder, fresh["vijay"]):
                count = "hermes_gateway_processes"
                wait_for("a gateway to count", lambda: server.scrape().value(count, instance="vijay") == 1)


@contextlib.contextmanager
def dashboard(home: Path, hermes: Path, folder: Path) -> Iterator[callable]:
    """Hermes' own dashboard on a home; gives a function that asks its API."""
    port, token = free_port(), secrets.token_hex(8)
    environment = bare_environment(folder) | {"HERMES_HOME": str(home), "HERMES_DASHBOARD_SESSION_TOKEN": token}

    def ask(path: str) -> dict:
        request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"X-Hermes-Session-Token": token})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read())

    with running(hermes, "dashboard", "--no-open", "--port", port, environment=environment) as program:

        def answers() -> dict:
            program.assert_running()
            return ask("/api/status")

        wait_for("the dashboard to answer", answers, seconds=90)
        yield ask


def test_sessions_are_counted_as_hermes_counts_them(
    exporter: Exporter, fresh: dict[str, Path], hermes: Path, folder: Path
) -> None:
    # Hermes' own commands write into the home they look at, so they are given a copy.
    copy = homes.copy(fresh["vijay"], folder / "copy-for-hermes")
    samples = exporter.scrape_once(exporter.configuration(fresh)).of(instance="vijay")
    current = samples.by("hermes_sessions", "source", archived="false")
    archived = samples.by("hermes_sessions", "source", archived="true")

    environment = bare_environment(folder) | {"HERMES_HOME": str(copy)}
    answer = run(hermes, "sessions", "stats", environment=environment, seconds=120).succeeded().output
    told = {what: int(count) for what, count in re.findall(r"Total (\w+): (\d+)", answer)}
    assert sum(current.values()) == told["sessions"], answer
    assert samples.value("hermes_stored_messages") == told["messages"], answer
    by_source = {source: int(count) for source, count in re.findall(r"^  (\w+): (\d+) sessions", answer, re.M)}
    assert by_source, answer
    assert {source: current[source] for source in by_source} == by_source

    with dashboard(copy, hermes, folder) as ask:
        stats = ask("/api/sessions/stats")
        assert sum(current.values()) + sum(archived.values()) == stats["total"]
        assert sum(archived.values()) == stats["archived"]
        assert sum(current.values()) == stats["active_store"]
        assert samples.value("hermes_stored_messages") == stats["messages"]
        listed = {source: current.get(source, 0) + archived.get(source, 0) for source in stats["by_source"]}
        assert listed == stats["by_source"], "Hermes leaves delegated children out of this list, and nothing else"
        left_out = (current.keys() | archived.keys()) - stats["by_source"].keys()
        assert left_out == {"subagent"}

        # A session is active for five minutes after its last message, so both are asked anew.
        active = exporter.scrape_once(exporter.configuration(fresh)).value("hermes_sessions_active", instance="vijay")
        assert active == ask("/api/status")["active_sessions"]
        assert active == 2, "make_homes.py leaves two conversations going"


WRITE_A_TURN = """
store = SessionDB()
store.create_session("a-new-session", "telegram", model="example/large-1")
store.append_message("a-new-session", "user", "hello")
call = dict(id="1", type="function", function=dict(name="terminal", arguments=""))
store.append_message("a-new-session", "assistant", "", tool_calls=[call], finish_reason="tool_calls")
store.append_message("a-new-session", "tool", "done", tool_name="terminal", tool_call_id="1")
store.append_message("a-new-session", "assistant", "there you are", finish_reason="stop")
print("written", flush=True)
if {stay}:
    time.sleep(600)
store.close()
"""


@pytest.mark.parametrize("stay", [True, False], ids=["in the log of an open store", "in a store that was closed"])
def test_a_new_turn_is_counted(exporter: Exporter, fresh: dict[str, Path], hermes_python: Path, stay: bool) -> None:
    wanted = {
        "hermes_messages_total": 4,
        "hermes_turns_total": 1,
        "hermes_tool_calls_total": 1,
        "hermes_stored_messages": 4,
    }
    with exporter.serving(exporter.configuration({"vijay": fresh["vijay"]})) as server:

        def totals() -> dict[str, float]:
            samples = server.scrape()
            found = {metric: sum(samples.series(metric, instance="vijay").values()) for metric in wanted}
            assert found["hermes_turns_total"] > 0, "the first pass over the history is not finished"
            return found

        before = wait_for("the first pass over the history", totals)
        with homes.store_user(fresh["vijay"], hermes_python, WRITE_A_TURN.format(stay=stay), os.geteuid()) as writer:
            wait_for("the turn to be written", lambda: "written" in writer.output())
            if not stay:
                assert writer.wait() == 0, writer.everything()

            def has_grown() -> bool:
                grown = {metric: value - before[metric] for metric, value in totals().items()}
                assert grown == wanted, f"grew by {grown}, expected {wanted}"
                return True

            wait_for("the new turn to be counted", has_grown)
            # Others cease to be active while that lasts.
            assert server.scrape().value("hermes_sessions_active", instance="vijay") >= 1
