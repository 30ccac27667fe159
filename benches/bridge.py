#!/usr/bin/env python3
"""Measures the alert bridge, beside Alertmanager's own Telegram receiver where that can be compared.

    python benches/bridge.py --bridge target/release/hermes-alert-bridge \\
        --bot-api-server target/release/examples/bot-api-server [--quick]

Four parts: accepting notifications durably; ten thousand alerts that wait, and how they are brought to people; from
Alertmanager to the first call of the Bot API; what is lost and told twice when Telegram refuses for a while. Nothing
here fails because something is slow: figures are for reading. It fails when something that was accepted is lost.
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import json
import multiprocessing
import re
import shutil
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Callable, Iterator, Optional, Sequence

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests" / "end_to_end"))

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


@contextlib.contextmanager
def own_folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="hermes-alert-bridge-bench-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


@contextlib.contextmanager
def served(given: argparse.Namespace, **more: object) -> Iterator[tuple[BotApi, Bridge, Path]]:
    """A Bot API server, and the bridge that sends to it."""
    with own_folder() as folder, bot_api(given.bot_api_server) as api:
        file = bridge_configuration(folder, api, **more)
        with serving_bridge(given.bridge, file, "--log.level", "warn") as bridge:
            yield api, bridge, folder


def body_of(name: str) -> dict:
    """What Alertmanager posts for one alert."""
    firing = {**alert(name), "status": "firing", "fingerprint": f"{hash(name) & (2**64 - 1):016x}"}
    firing["endsAt"] = "0001-01-01T00:00:00Z"
    return {
        "receiver": "telegram",
        "status": "firing",
        "alerts": [firing],
        "groupLabels": {"alertname": name},
        "commonLabels": firing["labels"],
        "commonAnnotations": firing["annotations"],
        "externalURL": "http://alertmanager.example:9093",
        "version": "4",
        "groupKey": f'{{}}:{{alertname="{name}"}}',
        "truncatedAlerts": 0,
    }


# Accepting.


def request_of(port: int, name: str) -> bytes:
    body = json.dumps(body_of(name)).encode()
    head = f"POST /alertmanager HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def exchange(connection: socket.socket, request: bytes) -> float:
    """Sends a request and reads the answer; how long that took."""
    begun = time.perf_counter()
    connection.sendall(request)
    answer = b""
    while True:
        answer += connection.recv(65_536)
        head, end, rest = answer.partition(b"\r\n\r\n")
        if end:
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            if len(rest) >= int(length.split(b":")[1]):
                break
    took = time.perf_counter() - begun
    assert answer.startswith(b"HTTP/1.1 200"), answer[:500]
    return took


def post_all(port: int, requests: Sequence[bytes], connections: int, pause: float, to: multiprocessing.Queue) -> None:
    """One process of clients: each connection is a thread; `pause` is from one request of all to the next."""
    took: list[float] = []
    begin = time.perf_counter()

    def post(first: int) -> None:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for number in range(first, len(requests), connections):
                wait = begin + number * pause - time.perf_counter()
                if wait > 0:
                    time.sleep(wait)
                took.append(exchange(connection, requests[number]))

    threads = [threading.Thread(target=post, args=(first,)) for first in range(connections)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    to.put(took)


def post_in_processes(port: int, count: int, connections: int, pause: float, round_name: str) -> tuple[list[float], float]:
    """Posts so many notifications; how long each took, and all together."""
    processes = min(2, connections)
    requests = [request_of(port, f"{round_name}{number}x") for number in range(count)]
    answers: multiprocessing.Queue = multiprocessing.Queue()
    workers = [
        multiprocessing.Process(
            target=post_all,
            args=(port, requests[first::processes], connections // processes, pause * processes, answers),
        )
        for first in range(processes)
    ]
    begun = time.perf_counter()
    for worker in workers:
        worker.start()
    took = [one for _ in workers for one in answers.get(timeout=600)]
    elapsed = time.perf_counter() - begun
    for worker in workers:
        worker.join()
    assert len(took) == count, f"{count - len(took)} of {count} were not answered with 200"
    return took, elapsed


def accepting(given: argparse.Namespace) -> None:
    table = Table(
        "Accepting a notification until it is on the disk, while Telegram does not answer",
        "how",
        "notifications",
        "per second",
        "ms",
    )
    count = 1_000 if given.quick else 10_000
    with served(given, digest_above=1_000_000) as (api, bridge, _):
        api.control("POST", "faults", {"kind": "rate", "retry_after": 3600})
        post_in_processes(bridge.port, 200, 2, 0.0, "Warm")
        paced = 400 if given.quick else 4_000
        took, elapsed = post_in_processes(bridge.port, paced, 4, 1 / 200, "Paced")
        table.row("200 per second", paced, f"{paced / elapsed:.0f}", Figures(took).times(1e3).quartet())
        for connections in (1, 4, 16, 64):
            took, elapsed = post_in_processes(bridge.port, count, connections, 0.0, f"Full{connections}n")
            how = f"{connections} connections, as fast as it goes"
            table.row(how, count, f"{count / elapsed:.0f}", Figures(took).times(1e3).quartet())
    print(table)


# Ten thousand that wait.


def told_names(api: BotApi, names: Sequence[str]) -> set[str]:
    """Which of these can be read in the chat, in messages or documents."""
    text = "\n".join(
        message["text"] + "\n" + ((message["document"] or {}).get("content") or "") for message in api.messages(ROOT)
    )
    return set(re.findall(r"[A-Z][a-z]+\d+x", text)) & set(names)


def waiting(given: argparse.Namespace) -> None:
    count = 1_000 if given.quick else 10_000
    table = Table(
        f"{count:,} alerts that wait, each in a notification of its own",
        "how they are told",
        "memory before, MiB",
        "memory with all waiting, MiB",
        "store, MiB",
        "until all is told, s",
        "messages",
        "most memory, MiB",
    )
    for how, digest_above in (("put together, as by default", 30), ("one by one, without limits", 1_000_000)):
        with served(given, digest_above=digest_above) as (api, bridge, folder):
            pid = bridge.program.pid
            before = status_kib(pid, "VmRSS")
            api.control("POST", "faults", {"kind": "rate", "retry_after": 5})
            post_in_processes(bridge.port, count, 8, 0.0, "Waiting")
            queued = status_kib(pid, "VmRSS")
            size = sum(file.stat().st_size for file in folder.glob("bridge.db*"))
            names = [f"Waiting{number}x" for number in range(count)]
            api.control("DELETE", "faults")
            begun = time.perf_counter()
            wait_for("all to be told", lambda: len(told_names(api, names)) == count, seconds=1200, pause=0.5)
            drained = time.perf_counter() - begun
            most = status_kib(pid, "VmHWM")
            mib = [f"{kib / 1024:.1f}" for kib in (before, queued)]
            messages = len(api.messages(ROOT))
            table.row(how, *mib, f"{size / 2**20:.1f}", f"{drained:.1f}", messages, f"{most / 1024:.1f}")
    print(table)


def at_the_limits(given: argparse.Namespace) -> None:
    """With the limits of Telegram kept by the server, and the bridge's own as they are shipped."""
    table = Table("At Telegram's limits", "alerts", "chat", "until all is told, s", "messages", "refused with 429")
    for count, chat, kind in ((20, ROOT, "private"), (20, -1004, "supergroup")):
        telegram_chats = {"root": {"chat_id": chat}, "ops": {"chat_id": 1003}}
        with own_folder() as folder, bot_api(given.bot_api_server) as api:
            api.control("POST", "chats", {"id": chat, "kind": kind})
            api.control("POST", "limits", {"is_enforced": True})
            file = bridge_configuration(folder, api, chats=telegram_chats, routes=[], digest_above=1_000)
            configuration = json.loads(file.read_text())
            del configuration["telegram"]["limits"]
            file.write_text(json.dumps(configuration))
            with serving_bridge(given.bridge, file, "--log.level", "warn") as bridge:
                begun = time.perf_counter()
                post_in_processes(bridge.port, count, 1, 0.0, "Limited")
                names = [f"Limited{number}x" for number in range(count)]

                def all_told() -> bool:
                    told = json.dumps(api.messages(chat))
                    return all(name in told for name in names)

                wait_for("all to be told", all_told, seconds=600)
                took = time.perf_counter() - begun
                refused = sum(call["outcome"].startswith("429") for call in api.calls())
                table.row(count, kind, f"{took:.1f}", len(api.messages(chat)), refused)
    print(table)


# Beside Alertmanager's own receiver.


@contextlib.contextmanager
def by_bridge(given: argparse.Namespace) -> Iterator[tuple[BotApi, Alertmanager, Optional[Bridge]]]:
    with served(given) as (api, bridge, folder):
        with alertmanagers(given.alertmanager, folder, bridge.port) as (one,):
            yield api, one, bridge


@contextlib.contextmanager
def by_itself(given: argparse.Namespace) -> Iterator[tuple[BotApi, Alertmanager, Optional[Bridge]]]:
    with own_folder() as folder, bot_api(given.bot_api_server) as api:
        text = OWN_RECEIVER.format(url=api.url, token=TOKEN, chat=ROOT)
        with alertmanagers(given.alertmanager, folder, 0, configuration=text) as (one,):
            yield api, one, None


WAYS: Sequence[tuple[str, Callable]] = (
    ("Alertmanager's own Telegram receiver", by_itself),
    ("Alertmanager and hermes-alert-bridge", by_bridge),
)


def to_first_call(given: argparse.Namespace) -> None:
    table = Table(
        "From Alertmanager being told to the first call of the Bot API, of which 500 ms are group_wait", "way", "ms"
    )
    for way, started in WAYS:
        with started(given) as (api, one, _):
            took = []
            for number in range(5 if given.quick else 30):
                # A call of our own gives the moment by the clock of the server.
                ask(api.port, "POST", f"/bot{TOKEN}/getMe", {})
                one.tell(alert(f"Prompt{number}x"))
                name = f"Prompt{number}x"
                [call] = wait_for("the call", lambda: [c for c in api.calls() if name in c["text"]][:1], pause=0.01)
                begun = [c for c in api.calls() if c["method"] == "getme"][-1]
                took.append(call["at"] - begun["at"])
            table.row(way, Figures(took).quartet(0))
    print(table)


def refusals(given: argparse.Namespace) -> None:
    """Alerts that fire, and some that are over again, while Telegram refuses."""
    count, seconds = 20, 8 if given.quick else 20
    table = Table(
        f"{count} alerts that fire while Telegram refuses for {seconds} s, half of which are over again meanwhile",
        "way",
        "what Telegram answers",
        "calls in vain",
        "alerts that nobody was told of",
        "told twice",
        "last told after, s",
    )
    kinds = (("502 in HTML", {"kind": "bad_gateway"}), ("429, retry_after 3", {"kind": "rate", "retry_after": 3}))
    for answer, kind in kinds:
        for way, started in WAYS:
            with started(given) as (api, one, bridge):
                api.control("POST", "faults", {**kind, "seconds": seconds})
                begun = time.monotonic()
                alerts = [alert(f"Refused{number}x") for number in range(count)]
                one.tell(*alerts)
                time.sleep(seconds / 2)
                one.tell(*(resolved(firing) for firing in alerts[: count // 2]))
                names = [f"Refused{number}x" for number in range(count)]
                last = time.monotonic()
                found: set[str] = set()
                # Two intervals of a group after nothing new has come, nothing more comes.
                while time.monotonic() - max(last, begun + seconds) < 15:
                    now = told_names(api, names)
                    if now != found:
                        found, last = now, time.monotonic()
                    time.sleep(0.2)
                cards = [message for message in api.messages(ROOT) if message["reply_to"] is None]
                firing = [message for message in cards if bridge or "Alerts Firing" in message["text"]]
                twice = sum(max(0, sum(name in message["text"] for message in firing) - 1) for name in names)
                vain = sum(not call["is_done"] for call in api.calls())
                table.row(way, answer, vain, count - len(found), twice, f"{last - begun:.1f}")
                assert bridge is None or len(found) == count, f"lost: {set(names) - found}"
    print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bridge", type=Path, required=True)
    parser.add_argument("--bot-api-server", type=Path, required=True)
    parser.add_argument("--alertmanager", type=Path, default=shutil.which("prometheus-alertmanager"))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--part", choices=[part.__name__ for part in PARTS], action="append")
    given = parser.parse_args()
    assert given.alertmanager, "prometheus-alertmanager is not on the PATH"
    for part in PARTS:
        if not given.part or part.__name__ in given.part:
            part(given)
            sys.stdout.flush()


PARTS = (accepting, waiting, at_the_limits, to_first_call, refusals)

if __name__ == "__main__":
    main()
