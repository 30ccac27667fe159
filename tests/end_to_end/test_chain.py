"""From the deed to the right chat: a real fleet, everything that is shipped, and trouble in the middle of it.

The tests share one chain that is started once; each leaves it as well as it has found it. What is told in a chat is
compared as a whole, so that a message too many is as wrong as one too few.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
import time
from pathlib import Path
from typing import Iterator, Sequence

import pytest

from alert_bridge import OPERATIONS, ROOT, UMA
from chain import HOUR, Chain, chain
from processes import wait_for

# What is promised of a chain that looks each second; and how long is waited, so that a slow machine is no failure.
PROMISED_SECONDS = 30
PATIENCE_SECONDS = 2 * PROMISED_SECONDS

Alert = tuple[str, str]
CRASHED = ("HermesGatewayCrashed", "vijay")
STALE = ("HermesBackupStale", "bheem")
LISTENING = ("HermesPublicListener", "bheem")
SILENT = ("HermesAlertHeartbeatMissing", "")

# What an Alertmanager or a bridge that goes down may leave behind for a quarter of an hour, if something was on its way.
AFTERMATH = ("HermesAlertsDropped", "HermesNotificationsFailing")


@pytest.fixture(scope="module")
def work() -> Iterator[Path]:
    """A folder for the whole chain."""
    path = Path(tempfile.mkdtemp(prefix="hermes-exporter-test-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


@pytest.fixture(scope="module")
def whole(
    work: Path, hermes: Path, binary: Path, prometheus: Path, alertmanager: Path, bridge_binary: Path, bot_api_server: Path
) -> Iterator[Chain]:
    programs = {
        "hermes": hermes,
        "exporter": binary,
        "prometheus": prometheus,
        "alertmanager": alertmanager,
        "bridge": bridge_binary,
    }
    with chain(work, programs, bot_api_server) as started:
        yield started


def fires(alert: Alert, severity: str = "🔴 Critical") -> str:
    """The first line of a message about an alert that fires."""
    return " · ".join(part for part in (severity, *reversed(alert)) if part)


def over(alert: Alert) -> str:
    """The first line of that message when it is over."""
    return fires(alert, "✅ Resolved")


def answered(alert: Alert) -> str:
    """An answer to that message, which says that it is over."""
    return f"[{over(alert)}] {over(alert)}"


class Chats:
    """What is told in the chats from now on."""

    def __init__(self, whole: Chain) -> None:
        self._whole, self._api = whole, whole.api
        self._before = {chat: len(self._api.messages(chat)) for chat in (ROOT, UMA, OPERATIONS)}

    def told(self, chat: int) -> list[str]:
        """The first lines of the messages in a chat; before an answer that of what is answered, in brackets."""
        messages = self._api.messages(chat)
        titles = {message["message_id"]: message["text"].splitlines()[0] for message in messages}
        return [
            "".join(f"[{titles[answered]}] " for answered in [message["reply_to"]] if answered)
            + titles[message["message_id"]]
            for message in messages[self._before[chat] :]
        ]

    def assert_just(
        self, root: Sequence[str] = (), uma: Sequence[str] = (), operations: Sequence[str] = ()
    ) -> bool:
        """Nothing but this has been told, each once; in any order."""
        for chat, wanted in ((ROOT, root), (UMA, uma), (OPERATIONS, operations)):
            found = [title for title in self.told(chat) if not any(name in title for name in AFTERMATH)]
            assert sorted(found) == sorted(wanted), f"the chat {chat} was told {found}, and not {list(wanted)}"
        return True

    def wait_for(
        self,
        what: str,
        root: Sequence[str] = (),
        uma: Sequence[str] = (),
        operations: Sequence[str] = (),
    ) -> float:
        """Waits until just this has been told, and gives how long it took."""
        began = time.monotonic()
        wait_for(what, lambda: self.assert_just(root, uma, operations), PATIENCE_SECONDS)
        return time.monotonic() - began

    def assert_calls_agree(self) -> None:
        """Nothing was sent that is not there any more: as many messages were sent as there are in the chats."""
        sent = [call for call in self._api.calls() if call["method"].startswith("send") and call["is_done"]]
        there = sum(len(self._api.messages(chat)) for chat in self._before)
        assert len(sent) == there, f"{there} messages are there of {len(sent)} that were sent"


def test_each_deed_is_told_in_its_chat(whole: Chain) -> None:
    """Of a fleet that is well nothing is told; of each deed, once, in one chat, and that it is over."""
    took: list[tuple[str, float]] = []
    crashed, stale, listening = fires(CRASHED), fires(STALE, "🟡 Warning"), fires(LISTENING)
    with whole.explained():
        chats = Chats(whole)
        whole.wait_until_told_anew()
        chats.assert_just()

        whole.vijay.gateway.stop(signal.SIGKILL)
        took.append(("a gateway is killed", chats.wait_for("the crash", root=[crashed])))
        whole.bheem.commit(age=40 * HOUR)
        took.append(("a backup is too old", chats.wait_for("the backup", root=[crashed], uma=[stale])))
        whole.bheem.exposed.start()
        took.append(("a port is public", chats.wait_for("the listener", root=[crashed], uma=[stale, listening])))
        whole.wait_until_told_anew(CRASHED, STALE, LISTENING)
        chats.assert_just(root=[crashed], uma=[stale, listening])

        whole.bheem.exposed.stop()
        whole.bheem.commit(age=0)
        whole.vijay.gateway.start()
        root, uma = [over(CRASHED), answered(CRASHED)], [over(STALE), answered(STALE), over(LISTENING), answered(LISTENING)]
        took.append(("and all are over", chats.wait_for("the ends", root=root, uma=uma)))
        whole.wait_until_told_anew()
        chats.assert_just(root=root, uma=uma)
        chats.assert_calls_agree()
    lines = [f"{deed:<24}{seconds:8.1f} s" for deed, seconds in took]
    print(f"from the deed to the message, with a look each second ({PROMISED_SECONDS} s are promised):", *lines, sep="\n")


def test_trouble_in_the_middle(whole: Chain) -> None:
    """Nothing is lost, told twice, or said to be over before it is, whichever part goes down for a moment."""
    crashed, stale = fires(CRASHED), fires(STALE, "🟡 Warning")
    with whole.explained():
        chats = Chats(whole)

        def assert_unchanged(after: str) -> None:
            whole.wait_until_told_anew(CRASHED, STALE)
            print(f"{time.monotonic() - began:5.1f} s: all is told anew after {after}")
            chats.assert_just(root=[crashed], uma=[stale])

        began = time.monotonic()
        whole.bheem.commit(age=40 * HOUR)
        wait_for("the backup to be seen", lambda: whole.states(*STALE) == ["pending"])
        whole.exporter.restart()
        chats.wait_for("the backup", uma=[stale])
        whole.api.control("POST", "faults", {"kind": "bad_gateway", "chat_id": ROOT})
        whole.vijay.gateway.stop(signal.SIGKILL)
        wait_for("a call in vain", lambda: any(call["outcome"] == "bad_gateway" for call in whole.api.calls()))
        # What Alertmanager has handed over is on the disk by now, and nowhere else.
        whole.bridge.stop(signal.SIGKILL)
        whole.api.control("DELETE", "faults")
        whole.bridge.start()
        chats.wait_for("the crash", root=[crashed], uma=[stale])

        # Until Prometheus has noticed.
        whole.exporter.stop(signal.SIGKILL)
        wait_for("a look in vain", lambda: whole.query('up{job="hermes"} == 0'))
        whole.exporter.start()
        assert_unchanged("an exporter that was gone")
        whole.bridge.restart(signal.SIGKILL)
        assert_unchanged("a bridge that was killed")
        # What it has on the disk is lost that way, so that it tells of everything anew.
        whole.alertmanager.restart(signal.SIGKILL)
        assert_unchanged("an Alertmanager that was killed")
        whole.alertmanager.restart(signal.SIGTERM)
        assert_unchanged("an Alertmanager that was restarted")

        # What ends while nobody hears of it is told later.
        whole.alertmanager.stop()
        whole.bheem.commit(age=0)
        wait_for("the backup to be well", lambda: STALE not in whole.firing())
        whole.alertmanager.start()
        uma = [over(STALE), answered(STALE)]
        chats.wait_for("the end of the one", root=[crashed], uma=uma)

        for number in (signal.SIGKILL, signal.SIGTERM):
            whole.prometheus.restart(number)
            whole.wait_until_told_anew(CRASHED)
            print(f"{time.monotonic() - began:5.1f} s: all is told anew after {number.name} to Prometheus")
            chats.assert_just(root=[crashed], uma=uma)
        whole.vijay.gateway.start()
        root = [over(CRASHED), answered(CRASHED)]
        chats.wait_for("the end of the other", root=root, uma=uma)
        whole.wait_until_told_anew()
        chats.assert_just(root=root, uma=uma)
        chats.assert_calls_agree()


def test_unknown_is_not_down(whole: Chain, work: Path) -> None:
    """What can not be looked at is not told as down, however long that lasts; and it is known that it is unknown."""
    with whole.explained():
        chats = Chats(whole)

        def wait_while_unknown(collector: str) -> None:
            """Until it has been unknown for longer than any alert waits."""
            failing = f'hermes_collector_success{{instance="bheem",collector="{collector}"}} == 0'
            looks = f"count_over_time(({failing})[5m:1s]) > {whole.longest_wait + 2}"
            wait_for(f"{collector} of bheem to be unknown for long", lambda: whole.query(looks), PATIENCE_SECONDS)

        home = whole.bheem.home
        damage = b"this is no database" * 1000
        with (
            whole.replaced(home / "state.db", damage, work),
            whole.replaced(home / "state.db-wal", damage, work),
            whole.unanswering(home / "state"),
        ):
            wait_while_unknown("sessions")
            wait_while_unknown("gateway")
        with whole.unanswering(home):
            wait_while_unknown("gateway")
            assert not whole.query('hermes_gateway_up{instance="bheem"}'), "what is not known is not shown"
            assert whole.query('hermes_gateway_up{instance="vijay"} == 1'), "the other one is not held up"
        wait_for("the gateway to be seen", lambda: whole.query('hermes_gateway_up{instance="bheem"} == 1'))
        whole.wait_until_told_anew()
        chats.assert_just()


def test_a_prometheus_that_is_gone_is_missed(whole: Chain) -> None:
    """The operations chat hears that nothing would be heard, and that it is over; nobody else hears of it."""
    with whole.explained():
        chats = Chats(whole)
        whole.prometheus.stop()
        missed = chats.wait_for("the heartbeat to be missed", operations=[fires(SILENT)])
        whole.prometheus.start()
        back = chats.wait_for("the heartbeat to be back", operations=[over(SILENT), answered(SILENT)])
        whole.wait_until_told_anew()
        chats.assert_just(operations=[over(SILENT), answered(SILENT)])
    print(f"Prometheus is missed after {missed:.1f} s, and back after {back:.1f} s")
