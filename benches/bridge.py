#!/usr/bin/env python3
"""Measures the alert bridge, beside Alertmanager's own Telegram receiver in the same run, and prints tables of figures.

    cargo build --release --locked && cargo build --locked --example bot-api-server
    python3 benches/bridge.py [--quick] [--only PART]

Six parts: size and start; accepting notifications; from an alert to the first call of the Bot API; ten thousand alerts
that wait; what is brought to people at Telegram's limits; what is lost and told twice when Telegram refuses for a
while. It needs `prometheus-alertmanager`, no network, and five minutes. Nothing here fails because something is slow:
figures are for reading. It fails when something that was accepted is lost.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import contextlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, Iterator, Optional, Sequence

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tests" / "end_to_end"))

from alert_bridge import (  # noqa: E402
    ROOT,
    TOKEN,
    Alertmanager,
    BotApi,
    Bridge,
    alert,
    alertmanagers,
    ask,
    bot_api,
    bridge_configuration,
    resolved,
    serving_bridge,
)
from measure import Figures, Table, status_kib  # noqa: E402
from processes import wait_for  # noqa: E402
from webhooks import notifications, post, request  # noqa: E402

BRIDGE, ITSELF = "hermes-alert-bridge", "Alertmanager's own receiver"

# Alertmanager's own receiver, with the times that the route to the bridge has.
OWN_RECEIVER = """\
route:
  receiver: telegram
  group_by: [alertname, instance]
  group_wait: 500ms
  group_interval: 5s
  repeat_interval: 1h
receivers:
  - name: telegram
    telegram_configs:
      - api_url: {url}
        bot_token: "{token}"
        chat_id: {chat}
        parse_mode: HTML
        send_resolved: true
"""

# One that tells nobody, to see how fast it takes alerts.
NO_RECEIVER = """\
route: {receiver: nobody, group_by: [none]}
receivers: [{name: nobody}]
"""

# More cards than are ever waiting here.
NEVER = 1_000_000


@contextlib.contextmanager
def own_folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="hermes-alert-bridge-bench-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextlib.contextmanager
def served(
    given: argparse.Namespace, chat: int = ROOT, kind: str = "private", limited: bool = False, **more: object
) -> Iterator[tuple[BotApi, Bridge, Path]]:
    """A Bot API server, and the bridge that sends to one chat of it; `limited`: with Telegram's limits on both sides."""
    with own_folder() as folder, bot_api(given.bot_api_server) as api:
        api.control("POST", "chats", {"id": chat, "kind": kind})
        chats = {"root": {"chat_id": chat}, "ops": {"chat_id": 1003}}
        file = bridge_configuration(folder, api, chats=chats, routes=[], **more)
        if limited:
            api.control("POST", "limits", {"is_enforced": True})
            configuration = json.loads(file.read_text())
            del configuration["telegram"]["limits"]
            file.write_text(json.dumps(configuration))
        with serving_bridge(given.bridge, file, "--log.level", "warn") as bridge:
            yield api, bridge, folder


@contextlib.contextmanager
def by_itself(
    given: argparse.Namespace, chat: int = ROOT, kind: str = "private", limited: bool = False
) -> Iterator[tuple[BotApi, Alertmanager]]:
    """The same with nothing but an Alertmanager."""
    with own_folder() as folder, bot_api(given.bot_api_server) as api:
        api.control("POST", "chats", {"id": chat, "kind": kind})
        api.control("POST", "limits", {"is_enforced": limited})
        text = OWN_RECEIVER.format(url=api.url, token=TOKEN, chat=chat)
        with alertmanagers(given.alertmanager, folder, 0, configuration=text) as (one,):
            yield api, one


@contextlib.contextmanager
def behind_alertmanager(given: argparse.Namespace) -> Iterator[tuple[BotApi, Alertmanager]]:
    """The bridge behind an Alertmanager."""
    with served(given) as (api, bridge, folder):
        with alertmanagers(given.alertmanager, folder, bridge.port) as (one,):
            yield api, one


WAYS: Sequence[tuple[str, Callable]] = ((BRIDGE, behind_alertmanager), (ITSELF, by_itself))


def at_once(*tasks: Callable[[], tuple]) -> list[tuple]:
    """Does things that wait more than they do beside each other; gives what they give, in this order."""
    with concurrent.futures.ThreadPoolExecutor(len(tasks)) as pool:
        return [future.result() for future in [pool.submit(task) for task in tasks]]


def told_names(api: BotApi, names: Sequence[str], chat: int = ROOT) -> set[str]:
    """Which of these can be read in the chat, in messages or documents."""
    text = "\n".join(
        message["text"] + "\n" + ((message["document"] or {}).get("content") or "") for message in api.messages(chat)
    )
    return set(re.findall(r"[A-Z][a-z]+\d+x", text)) & set(names)


def numbered(name: str, count: int) -> list[str]:
    return [f"{name}{number}x" for number in range(count)]


def milliseconds(took: Sequence[float]) -> tuple[str, str, str]:
    """p50, p99 and the most."""
    figures = Figures(took).times(1e3)
    p50, p99 = re.findall(r"p\d+ ([\d.]+)", figures.quartet())
    return p50, p99, f"{max(figures.values):.1f}"


def mib(kib: float) -> str:
    return f"{kib / 1024:.1f}"


# Size and start.


def size_and_start(given: argparse.Namespace) -> None:
    """Ready: what a start has to wait for, /-/ready, answers with 200."""
    table = Table("Size and start", "program", "binary, MB", "start to ready, ms", "memory when idle, MiB")
    times = 3 if given.quick else 10
    starts: list[float] = []
    for _ in range(times):
        with own_folder() as folder, bot_api(given.bot_api_server) as api:
            file = bridge_configuration(folder, api)
            begun = time.perf_counter()
            with serving_bridge(given.bridge, file, "--log.level", "warn") as bridge:
                wait_for("the bridge to be ready", lambda: bridge.get("/-/ready")[0] == 200, pause=0.001)
                starts.append(time.perf_counter() - begun)
                time.sleep(1)
                memory = status_kib(bridge.program.pid, "VmRSS")
    size = f"{given.bridge.stat().st_size / 1e6:.1f}"
    table.row(BRIDGE, size, Figures(starts).times(1e3).middle(0), mib(memory))
    starts = []
    for _ in range(times):
        with own_folder() as folder:
            begun = time.perf_counter()
            with alertmanagers(given.alertmanager, folder, 0, configuration=NO_RECEIVER) as (one,):
                wait_for("Alertmanager", lambda: ask(one.port, "GET", "/-/ready")[0] == 200, pause=0.001)
                starts.append(time.perf_counter() - begun)
                time.sleep(1)
                memory = status_kib(one.program.pid, "VmRSS")
    size = f"{Path(given.alertmanager).stat().st_size / 1e6:.1f}"
    table.row("Alertmanager", size, Figures(starts).times(1e3).middle(0), mib(memory))
    print(table)


# Accepting.


def accepting(given: argparse.Namespace) -> None:
    table = Table(
        "Accepting: a notification with one alert, until the answer",
        "who, and what an answer means",
        "connections",
        "notifications",
        "per second",
        "p50, ms",
        "p99, ms",
        "most, ms",
    )
    counts = {1: 200, 16: 1_000, 64: 1_000, 256: 1_000} if given.quick else {1: 1_500, 16: 8_000, 64: 8_000, 256: 8_000}
    on_disk, in_memory = f"{BRIDGE}: it is on the disk", "Alertmanager: it is in memory"
    paced = 400 if given.quick else 4_000
    with served(given, digest_above=NEVER) as (api, bridge, _):
        api.control("POST", "faults", {"kind": "rate", "retry_after": 3600})
        post(bridge.port, notifications(bridge.port, numbered("Warm", 200)), 2)
        posted = post(bridge.port, notifications(bridge.port, numbered("Paced", paced)), 4, per_second=200)
        table.row(f"{on_disk}, 200 are posted per second", 4, paced, f"{posted.per_second:.0f}", *milliseconds(posted.took))
        for connections, count in counts.items():
            requests = notifications(bridge.port, numbered(f"Full{connections}n", count))
            posted = post(bridge.port, requests, connections)
            table.row(on_disk, connections, count, f"{posted.per_second:.0f}", *milliseconds(posted.took))
    with own_folder() as folder:
        with alertmanagers(given.alertmanager, folder, 0, configuration=NO_RECEIVER) as (one,):
            for connections, count in counts.items():
                names = numbered(f"Full{connections}n", count)
                requests = [request(one.port, "/api/v2/alerts", [alert(name)]) for name in names]
                posted = post(one.port, requests, connections)
                table.row(in_memory, connections, count, f"{posted.per_second:.0f}", *milliseconds(posted.took))
    print(table)


# To the first call.


def moment(api: BotApi) -> int:
    """The time by the clock of the Bot API server: that of a call of our own."""
    ask(api.port, "POST", f"/bot{TOKEN}/getMe", {})
    return [call for call in api.calls() if call["method"] == "getme"][-1]["at"]


def call_about(api: BotApi, name: str) -> dict:
    return wait_for("the call", lambda: next((c for c in api.calls() if name in c["text"]), None), pause=0.01)


def first_call(given: argparse.Namespace) -> None:
    table = Table("From an alert to the first call of the Bot API", "from", "to", "times", "p50, ms", "p99, ms", "most, ms")
    times = 5 if given.quick else 50
    with served(given) as (api, bridge, _):
        took = []
        for name in numbered("Posted", times):
            [content] = notifications(bridge.port, [name])
            begun = moment(api)
            post(bridge.port, [content], 1)
            took.append((call_about(api, name)["at"] - begun) / 1e3)
    table.row("a POST to the bridge", BRIDGE, times, *milliseconds(took))
    times = 5 if given.quick else 20
    for way, started in WAYS:
        with started(given) as (api, one):
            took = []
            for name in numbered("Prompt", times):
                begun = moment(api)
                one.tell(alert(name))
                took.append((call_about(api, name)["at"] - begun) / 1e3)
        table.row("a POST to Alertmanager, with its group_wait of 500 ms", way, times, *milliseconds(took))
    print(table)


# Ten thousand that wait.


def waiting(given: argparse.Namespace) -> None:
    count = 1_000 if given.quick else 10_000
    table = Table(
        f"{count:,} alerts that wait while Telegram fails, each in a notification of its own",
        "who",
        "memory before, MiB",
        "with all waiting, MiB",
        "on the disk, MiB",
        "Telegram works again, with its limits for a private chat",
        "most memory, MiB",
    )
    names = numbered("Waiting", count)
    one_by_one = f"not waited for: {count:,} messages, at one per second"
    for how, digest_above in (("put together above 30, as by default", 30), ("never put together", NEVER)):
        with served(given, limited=True, digest_above=digest_above) as (api, bridge, folder):
            pid = bridge.program.pid
            before = status_kib(pid, "VmRSS")
            api.control("POST", "faults", {"kind": "internal"})
            post(bridge.port, notifications(bridge.port, names), 16)
            queued = status_kib(pid, "VmRSS")
            size = sum(file.stat().st_size for file in folder.glob("bridge.db*")) / 1024
            told = one_by_one
            if digest_above != NEVER:
                api.control("DELETE", "faults")
                begun = time.perf_counter()
                wait_for("all to be told", lambda: len(told_names(api, names)) == count, seconds=600, pause=0.5)
                drained, messages = time.perf_counter() - begun, len(api.messages(ROOT))
                told = f"all told after {drained:.0f} s, in {messages} messages, {refused_calls(api)} calls refused"
            most = status_kib(pid, "VmHWM")
            table.row(f"{BRIDGE}, {how}", mib(before), mib(queued), mib(size), told, mib(most))
    with by_itself(given) as (api, one):
        pid = one.program.pid
        before = status_kib(pid, "VmRSS")
        api.control("POST", "faults", {"kind": "internal"})
        one.tell(*(alert(name) for name in names))
        # Until each has been tried.
        time.sleep(10)
        queued, most = status_kib(pid, "VmRSS"), status_kib(pid, "VmHWM")
        table.row(ITSELF, mib(before), mib(queued), "-", one_by_one, mib(most))
    print(table)


# At the limits.


def refused_calls(api: BotApi) -> int:
    return sum(call["outcome"].startswith("429") for call in api.calls())


def at_the_limits(given: argparse.Namespace) -> None:
    """With the limits of Telegram kept by the server, and the bridge's own as they are shipped."""
    count = 8 if given.quick else 20
    table = Table(
        f"{count} alerts at once at Telegram's limits: one message per second to a chat, 20 per minute to a group"
        " (of which the bridge uses 18 unless told otherwise)",
        "who",
        "chat",
        "until all is told, s",
        "messages",
        "calls refused with 429",
    )
    names = numbered("Limited", count)

    def until_told(api: BotApi, chat: int, begun: float) -> tuple[str, int, int]:
        wait_for("all to be told", lambda: len(told_names(api, names, chat)) == count, seconds=300, pause=0.2)
        return f"{time.perf_counter() - begun:.1f}", len(api.messages(chat)), refused_calls(api)

    def of_bridge(chat: int, kind: str) -> tuple:
        with served(given, chat, kind, limited=True) as (api, bridge, _):
            begun = time.perf_counter()
            post(bridge.port, notifications(bridge.port, names), 1)
            return BRIDGE, kind, *until_told(api, chat, begun)

    def of_itself(chat: int, kind: str) -> tuple:
        with by_itself(given, chat, kind, limited=True) as (api, one):
            begun = time.perf_counter()
            one.tell(*(alert(name) for name in names))
            return ITSELF, kind, *until_told(api, chat, begun)

    chats = ((ROOT, "private"), (-1004, "supergroup"))
    tasks = [lambda way=way, chat=chat: way(*chat) for chat in chats for way in (of_bridge, of_itself)]
    for row in at_once(*tasks):
        table.row(*row)
    print(table)


# While Telegram refuses.


def refusals(given: argparse.Namespace) -> None:
    """Alerts that fire, and some that are over again, while Telegram refuses."""
    count, seconds = 20, 8 if given.quick else 20
    table = Table(
        f"{count} alerts that fire while Telegram refuses for {seconds} s, half of which are over again meanwhile",
        "who",
        "what Telegram answers",
        "calls in vain",
        "alerts that nobody was told of",
        "told twice",
        "last told after, s",
    )
    names = numbered("Refused", count)

    def refused(way: str, started: Callable, answer: str, kind: dict) -> tuple:
        with started(given) as (api, one):
            api.control("POST", "faults", {**kind, "seconds": seconds})
            begun = time.monotonic()
            alerts = [alert(name) for name in names]
            one.tell(*alerts)
            time.sleep(seconds / 2)
            one.tell(*(resolved(firing) for firing in alerts[: count // 2]))
            last = time.monotonic()
            found: set[str] = set()
            # Two intervals of a group after nothing new has come, nothing more comes.
            while time.monotonic() - max(last, begun + seconds) < 15:
                now = told_names(api, names)
                if now != found:
                    found, last = now, time.monotonic()
                time.sleep(0.2)
            cards = [message for message in api.messages(ROOT) if message["reply_to"] is None]
            firing = [message for message in cards if way == BRIDGE or "Alerts Firing" in message["text"]]
            twice = sum(max(0, sum(name in message["text"] for message in firing) - 1) for name in names)
            vain = sum(not call["is_done"] for call in api.calls())
            assert way != BRIDGE or len(found) == count, f"lost: {set(names) - found}"
            return way, answer, vain, count - len(found), twice, f"{last - begun:.1f}"

    kinds = (("502 in HTML", {"kind": "bad_gateway"}), ("429, retry_after 3", {"kind": "rate", "retry_after": 3}))
    tasks = [
        lambda way=way, started=started, answer=answer, kind=kind: refused(way, started, answer, kind)
        for answer, kind in kinds
        for way, started in WAYS
    ]
    for row in at_once(*tasks):
        table.row(*row)
    print(table)


def first_line(*command: object) -> str:
    """The first line of what a program writes."""
    finished = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    return ((finished.stdout + finished.stderr).splitlines() or ["?"])[0]


def facts(given: argparse.Namespace) -> None:
    """What is measured, and on what."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = models[0].partition(": ")[2] if models else "unknown"
    memory = int(Path("/proc/meminfo").read_text().split()[1]) / 1_048_576
    kernel = f"{platform.system()} {platform.release()}"
    print(f"- {os.cpu_count()} cores ({model}), {memory:.0f} GiB, {kernel}, load before {os.getloadavg()[0]:.1f}")
    print(f"- a write to the disk and the wait for it: {milliseconds(synchronous_writes())[0]} ms (p50)")
    print(f"- {first_line(given.bridge, '--version')} ({given.bridge})")
    print(f"- {first_line(given.alertmanager, '--version').partition(' (')[0]}")
    print("- the Bot API server is one of our own, on this machine; clients and servers share its cores\n")


def synchronous_writes() -> list[float]:
    """What the disk takes: every commit of the bridge waits for it once."""
    took = []
    with tempfile.NamedTemporaryFile(prefix="hermes-alert-bridge-bench-") as file:
        # As SQLite does it: over what is there already.
        os.write(file.fileno(), b"x" * 4096 * 200)
        os.fsync(file.fileno())
        for number in range(200):
            begun = time.perf_counter()
            os.pwrite(file.fileno(), b"y" * 4096, 4096 * number)
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - begun)
    return took


PARTS = {
    "start": size_and_start,
    "accepting": accepting,
    "first-call": first_call,
    "waiting": waiting,
    "limits": at_the_limits,
    "refusals": refusals,
}


def built(*names: str) -> Optional[Path]:
    """The first of these that was built."""
    return next((path for path in (REPOSITORY / "target" / name for name in names) if path.is_file()), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    server = built("release/examples/bot-api-server", "debug/examples/bot-api-server")
    parser.add_argument("--bridge", type=Path, default=built("release/hermes-alert-bridge"), help="the binary to measure")
    parser.add_argument("--bot-api-server", type=Path, default=server)
    parser.add_argument("--alertmanager", type=Path, default=shutil.which("prometheus-alertmanager"))
    parser.add_argument("--quick", action="store_true", help="less of everything: to see that it works")
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part; may be repeated")
    given = parser.parse_args()
    for name in ("bridge", "bot_api_server", "alertmanager"):
        if not getattr(given, name):
            parser.error(f"--{name.replace('_', '-')} is needed: there is none where it is looked for")
        setattr(given, name, Path(getattr(given, name)).absolute())
    begun = time.monotonic()
    facts(given)
    for name, part in PARTS.items():
        if not given.only or name in given.only:
            part(given)
            sys.stdout.flush()
    print(f"It took {time.monotonic() - begun:.0f} s; load after {os.getloadavg()[0]:.1f}.")


if __name__ == "__main__":
    main()
