"""A real Alertmanager, alone and as a cluster of two, and the bridge behind it: one incident is one message."""

from __future__ import annotations

import contextlib
import json
import signal
import time
from pathlib import Path
from typing import ContextManager, Iterator, Optional

import pytest

from alert_bridge import (
    ALERTMANAGER,
    OPERATIONS,
    ROOT,
    UMA,
    Alertmanager,
    BotApi,
    Bridge,
    Gate,
    alert,
    alertmanagers,
    ask,
    bot_api,
    bridge_configuration,
    bridge_environment,
    gate_before,
    resolved,
    serving_bridge,
)
from processes import Program, free_port, run, running, wait_for

# What Alertmanager's own receivers do not survive, and longer than its --cluster.peer-timeout of 15 s.
REFUSING_SECONDS = 20


@pytest.fixture
def api(bot_api_server: Path) -> Iterator[BotApi]:
    with bot_api(bot_api_server) as server:
        yield server


@pytest.fixture
def bridge(bridge_binary: Path, folder: Path, api: BotApi) -> Iterator[Bridge]:
    with serving_bridge(bridge_binary, bridge_configuration(folder, api)) as serving:
        yield serving


@pytest.fixture
def gate(bridge: Bridge) -> Iterator[Gate]:
    with gate_before(bridge) as gate:
        yield gate


def messages(api: BotApi, chat: int, count: int, seconds: float = 60) -> list[dict]:
    """The messages of a chat, as soon as there are so many."""

    def there() -> list[dict]:
        found = api.messages(chat)
        return found if len(found) >= count else []

    return wait_for(f"{count} messages in {chat}", there, seconds)


def test_an_alert_fires_and_is_over(alertmanager: Path, folder: Path, bridge: Bridge, api: BotApi) -> None:
    disk, memory = alert("DiskFull", description="x < 10% & <no value>"), alert("MemoryLow", "bheem")
    with alertmanagers(alertmanager, folder, bridge.port) as (one,):
        one.tell(disk, memory)
        [message] = messages(api, ROOT, 1)
        assert "DiskFull" in message["text"] and "x < 10% & <no value>" in message["text"]
        [other] = messages(api, UMA, 1)
        assert "MemoryLow" in other["text"]
        one.tell(resolved(disk))
        card, answer = messages(api, ROOT, 2)
        assert answer["reply_to"] == card["message_id"]
        wait_for("the card to say that it is over", lambda: api.messages(ROOT)[0]["edits"] >= 1)
        assert len(api.messages(UMA)) == 1


def test_amtool_adds_an_alert(
    alertmanager: Path, amtool: Path, folder: Path, bridge: Bridge, api: BotApi
) -> None:
    with alertmanagers(alertmanager, folder, bridge.port) as (one,):
        at = f"--alertmanager.url={one.url}"
        labels = ("alertname=ByHand", "instance=bheem", "severity=info")
        run(amtool, "alert", "add", at, *labels, "--annotation=summary=By hand").succeeded()
        [message] = messages(api, UMA, 1)
        assert "ByHand" in message["text"] or "By hand" in message["text"]
        assert message["is_silent"], "what is merely worth knowing makes no sound"


def test_repeats_change_nothing(alertmanager: Path, folder: Path, gate: Gate, api: BotApi) -> None:
    with alertmanagers(alertmanager, folder, gate.port, group_interval="1s", repeat_interval="1s") as (one,):
        one.tell(alert("Repeating"))
        wait_for("a few repeats", lambda: len(gate.accepted()) >= 5)
        [message] = api.messages(ROOT)
        assert message["edits"] == 0


def test_one_that_is_refused_comes_again(alertmanager: Path, folder: Path, gate: Gate, api: BotApi) -> None:
    gate.refuses_until = time.monotonic() + 3600
    firing = alert("Refused")
    with alertmanagers(alertmanager, folder, gate.port) as (one,):
        one.tell(firing)
        wait_for("the first refusal", lambda: gate.passed)
        gate.refuses_until = time.monotonic() + 8
        messages(api, ROOT, 1)
        print(f"{gate.told()}: {len(api.messages(ROOT))} message")
        assert len(gate.passed) > len(gate.accepted())
        one.tell(resolved(firing))
        messages(api, ROOT, 2)
        assert len(api.messages(ROOT)) == 2


@contextlib.contextmanager
def cluster_that_fires(
    binary: Path, folder: Path, gate: Gate, group_interval: str = "5s"
) -> Iterator[tuple[list[Alertmanager], dict]]:
    """Two Alertmanagers, both of which are told of the same alert, as Prometheus tells them."""
    with alertmanagers(binary, folder, gate.port, count=2, group_interval=group_interval) as both:
        firing = alert("Clustered")
        for one in both:
            one.tell(firing)
        yield both, firing


def assert_one_message(both: list[Alertmanager], firing: dict, gate: Gate, api: BotApi) -> None:
    [message] = api.messages(ROOT)
    assert "Clustered" in message["text"] and message["edits"] == 0
    print(f"{gate.told()}: {len(api.messages(ROOT))} message")
    gate.answers_after = 0.0
    for one in both:
        one.tell(resolved(firing))
    card, answer = messages(api, ROOT, 2, seconds=120)
    assert answer["reply_to"] == card["message_id"]
    # Until both have told it, and a little longer than the one waits for the other.
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        assert len(api.messages(ROOT)) == 2
        time.sleep(0.2)
    assert api.messages(OPERATIONS) == []


def test_a_cluster_of_two_is_one_message(alertmanager: Path, folder: Path, gate: Gate, api: BotApi) -> None:
    with cluster_that_fires(alertmanager, folder, gate) as (both, firing):
        messages(api, ROOT, 1)
        assert_one_message(both, firing, gate, api)


def test_a_cluster_of_two_that_is_refused_for_a_while_is_one_message(
    alertmanager: Path, folder: Path, gate: Gate, api: BotApi
) -> None:
    gate.refuses_until = time.monotonic() + 3600
    with cluster_that_fires(alertmanager, folder, gate) as (both, firing):
        wait_for("the first refusal", lambda: gate.passed)
        gate.refuses_until = time.monotonic() + REFUSING_SECONDS
        messages(api, ROOT, 1, seconds=120)
        # The second one comes a few seconds after the first, if it comes.
        settled = time.monotonic() + 20
        wait_for("both to have told it", lambda: len(set(gate.accepted())) == 2 or time.monotonic() > settled)
        assert_one_message(both, firing, gate, api)


def test_a_cluster_of_two_with_slow_answers_is_one_message(
    alertmanager: Path, folder: Path, gate: Gate, api: BotApi
) -> None:
    gate.answers_after = REFUSING_SECONDS
    # An answer that comes after group_interval comes too late: Alertmanager then does not know that it was there, and
    # never tells of the end.
    with cluster_that_fires(alertmanager, folder, gate, group_interval="30s") as (both, firing):
        wait_for("both to have told it", lambda: len(set(gate.accepted())) == 2, seconds=90)
        messages(api, ROOT, 1)
        assert_one_message(both, firing, gate, api)


def test_a_bridge_that_is_killed_loses_nothing(
    alertmanager: Path, bridge_binary: Path, folder: Path, api: BotApi
) -> None:
    file = bridge_configuration(folder, api)
    names = [f"Killed{number}x" for number in range(20)]
    port = free_port()

    def started() -> ContextManager[Program]:
        flags = ("--config.file", file, "--web.listen-address", f"127.0.0.1:{port}")
        return running(bridge_binary, "serve", *flags, environment=bridge_environment(folder))

    def missing() -> list[str]:
        told = json.dumps(api.messages(ROOT))
        return [name for name in names if name not in told]

    with alertmanagers(alertmanager, folder, port) as (one,):
        api.control("POST", "faults", {"kind": "bad_gateway"})
        with started() as first:
            one.tell(*(alert(name) for name in names))
            wait_for("a call in vain", lambda: any(call["outcome"] == "bad_gateway" for call in api.calls()))
            first.send(signal.SIGKILL)
            first.wait()
        api.control("DELETE", "faults")
        with started():
            wait_for("all of them to be told", lambda: not missing(), seconds=90)


def test_silences_are_made_in_the_real_alertmanager(
    alertmanager: Path, amtool: Path, bridge_binary: Path, folder: Path, api: BotApi
) -> None:
    # Each has to know where the other one is.
    port = free_port()
    with contextlib.ExitStack() as stack:
        (one,) = stack.enter_context(alertmanagers(alertmanager, folder, port))
        buttons = {"users": [{"id": 555, "name": "Mahesh"}]}
        file = bridge_configuration(folder, api, alertmanager={"url": one.url}, buttons=buttons)
        stack.enter_context(serving_bridge(bridge_binary, file, port=port))
        one.tell(alert("Loud"))

        def pressed(label: str) -> str:
            def found() -> Optional[dict]:
                for message in api.messages(ROOT):
                    rows = (message["keyboard"] or {}).get("inline_keyboard", [])
                    if any(label in button["text"] for row in rows for button in row):
                        return message
                return None

            message = wait_for(f"a button {label}", found)
            press = {"chat_id": ROOT, "message_id": message["message_id"], "user_id": 555, "label": label}
            number = api.control("POST", "press", press)["id"]
            return wait_for("an answer", lambda: api.control("GET", f"press/{number}"))["text"]

        at = f"--alertmanager.url={one.url}"
        print(pressed("🔕"))
        wait_for("the silence", lambda: any(s["status"]["state"] == "active" for s in one.get("silences")))
        assert "Loud" in run(amtool, "silence", "query", at).succeeded().output
        assert [found["status"]["state"] for found in one.get("alerts")] == ["suppressed"]
        print(pressed("Undo"))
        wait_for("its end", lambda: all(s["status"]["state"] == "expired" for s in one.get("silences")))


def test_the_receiver_is_valid(amtool: Path, folder: Path) -> None:
    file = folder / "alertmanager.yml"
    url = "http://127.0.0.1:10120/alertmanager"
    file.write_text(ALERTMANAGER.format(url=url, group_interval="5m", repeat_interval="4h"))
    assert "SUCCESS" in run(amtool, "check-config", file).succeeded().output


def test_an_alert_of_alertmanager_is_accepted_as_it_comes(bridge: Bridge) -> None:
    status, answer = ask(bridge.port, "POST", "/alertmanager", [alert("Raw")])
    assert status == 400 and b"Alertmanager" in answer, "Prometheus itself is not who is expected"
