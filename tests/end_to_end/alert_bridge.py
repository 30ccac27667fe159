"""The bridge under test, the Bot API server it talks to, and the Alertmanagers that tell it of alerts."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import http.client
import http.server
import json
import os
import threading
import time
from pathlib import Path
from typing import Iterator, NamedTuple, Optional, Sequence

from processes import DEADLINE_SECONDS, Program, free_port, running, wait_for

TOKEN = "123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsawX"

# The chats of the configuration below.
ROOT, UMA, OPERATIONS = 1001, 1002, 1003


def ask(port: int, method: str, path: str, body: object = None, seconds: float = DEADLINE_SECONDS) -> tuple[int, bytes]:
    """One request with JSON in it; the status and the body of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        content = None if body is None else json.dumps(body)
        connection.request(method, path, body=content, headers={"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


@dataclasses.dataclass
class BotApi:
    """A running Bot API server."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def control(self, method: str, path: str, body: object = None) -> object:
        """One request to its control interface."""
        status, answer = ask(self.port, method, f"/control/{path}", body)
        assert status == 200, f"{method} /control/{path} answered {status}: {answer.decode()}"
        return json.loads(answer)

    def messages(self, chat: int) -> list[dict]:
        """The messages that are in a chat, the oldest first."""
        return self.control("GET", f"chats/{chat}/messages")

    def calls(self) -> list[dict]:
        return self.control("GET", "calls")


@contextlib.contextmanager
def bot_api(binary: Path) -> Iterator[BotApi]:
    """A Bot API server with three chats for the length of a `with` block."""
    with running(binary, "--listen", "127.0.0.1:0") as program:
        address = wait_for("the address of the Bot API server", lambda: program.output().strip())
        server = BotApi(int(address.rpartition(":")[2]))
        server.control("POST", "chats", [{"id": chat} for chat in (ROOT, UMA, OPERATIONS)])
        yield server


@dataclasses.dataclass
class Bridge:
    """A serving bridge."""

    port: int
    program: Program

    def get(self, path: str) -> tuple[int, str]:
        status, body = ask(self.port, "GET", path)
        return status, body.decode()


def bridge_environment(home: Path) -> dict[str, str]:
    """An environment in which nothing leads to a proxy or to a configuration by accident."""
    return {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": str(home), "TZ": "UTC", "LANG": "C.UTF-8"}


def bridge_configuration(folder: Path, api: BotApi, **more: object) -> Path:
    """Writes a configuration without limits of its own; JSON is YAML as well. `more` is added to it, or replaces."""
    token = folder / "bot.token"
    token.write_text(TOKEN)
    limits = {"chat_interval": "0s", "group_per_minute": 100_000, "bot_per_second": 100_000}
    configuration = {
        "store": str(folder / "bridge.db"),
        "telegram": {"token_file": str(token), "api_url": api.url, "limits": limits},
        "chats": {"root": {"chat_id": ROOT}, "uma": {"chat_id": UMA}, "ops": {"chat_id": OPERATIONS}},
        "routes": [{"match": 'instance = "vijay"', "chat": "root"}, {"match": 'instance = "bheem"', "chat": "uma"}],
        "default_chat": "root",
        "operations_chat": "ops",
        **more,
    }
    path = folder / "bridge.yml"
    path.write_text(json.dumps(configuration))
    return path


@contextlib.contextmanager
def serving_bridge(
    binary: Path, configuration: Path, *flags: object, port: Optional[int] = None
) -> Iterator[Bridge]:
    """The bridge serving on this port, or one of its own, for the length of a `with` block."""
    port = port or free_port()
    arguments = ("serve", "--config.file", configuration, "--web.listen-address", f"127.0.0.1:{port}", *flags)
    with running(binary, *arguments, environment=bridge_environment(configuration.parent)) as program:
        bridge = Bridge(port, program)

        def answers() -> bool:
            program.assert_running()
            return bridge.get("/-/healthy")[0] == 200

        wait_for("the bridge to answer", answers)
        yield bridge
        assert program.is_running(), f"the bridge ended by itself:\n{program.everything()}"


class Passing(NamedTuple):
    """A notification: who has sent it, by the externalURL in the body, what was answered, and when."""

    sender: str
    status: int
    at: float


class Gate:
    """Stands before the bridge: refuses, or delays what the bridge has answered."""

    def __init__(self, bridge: Bridge) -> None:
        self.refuses_until = 0.0
        self.answers_after = 0.0
        self.passed: list[Passing] = []
        gate = self

        class Door(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                sender = json.loads(body).get("externalURL", "")
                if time.monotonic() < gate.refuses_until:
                    status, answer = 503, b"not now"
                else:
                    connection = http.client.HTTPConnection("127.0.0.1", bridge.port, timeout=DEADLINE_SECONDS)
                    connection.request("POST", self.path, body=body, headers={"Content-Type": "application/json"})
                    response = connection.getresponse()
                    status, answer = response.status, response.read()
                    connection.close()
                gate.passed.append(Passing(sender, status, time.monotonic()))
                if status == 200:
                    time.sleep(gate.answers_after)
                with contextlib.suppress(ConnectionError):
                    self.send_response(status)
                    self.send_header("Content-Length", str(len(answer)))
                    self.end_headers()
                    self.wfile.write(answer)

            def log_message(self, *arguments: object) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def accepted(self) -> list[str]:
        """Whose notifications the bridge has accepted."""
        return [passing.sender for passing in self.passed if passing.status == 200]

    def told(self) -> str:
        """What came, for a person: how many, how many of them were refused, and when."""
        moments = [[passing.at for passing in self.passed if (passing.status == 200) == good] for good in (False, True)]
        refused, accepted = moments
        begun = self.passed[0].at
        times = ", ".join(f"{at - begun:.1f}" for at in accepted)
        last = f", the last one after {refused[-1] - begun:.1f} s" if refused else ""
        senders = len(set(self.accepted()))
        return f"{len(refused)} notifications were refused{last}; accepted of {senders} senders after {times} s"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextlib.contextmanager
def gate_before(bridge: Bridge) -> Iterator[Gate]:
    gate = Gate(bridge)
    try:
        yield gate
    finally:
        gate.close()


# A receiver as it is recommended, and a route with short times.
ALERTMANAGER = """\
route:
  receiver: telegram
  group_by: [alertname, instance]
  group_wait: 500ms
  group_interval: {group_interval}
  repeat_interval: {repeat_interval}
receivers:
  - name: telegram
    webhook_configs:
      - url: {url}
        send_resolved: true
        max_alerts: 0
"""


@dataclasses.dataclass
class Alertmanager:
    """A running Alertmanager."""

    port: int
    program: Program

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def get(self, path: str) -> object:
        status, body = ask(self.port, "GET", f"/api/v2/{path}")
        assert status == 200, f"{path} answered {status}: {body.decode()}"
        return json.loads(body)

    def tell(self, *alerts: dict) -> None:
        """As Prometheus tells it of alerts."""
        status, body = ask(self.port, "POST", "/api/v2/alerts", list(alerts))
        assert status == 200, f"the alerts were answered with {status}: {body.decode()}"


def alert(name: str, instance: str = "vijay", **annotations: str) -> dict:
    """An alert that has just begun to fire, and does so for an hour."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "labels": {"alertname": name, "instance": instance, "severity": "critical"},
        "annotations": {"summary": f"{name} on {instance}", **annotations},
        "startsAt": now.isoformat(),
        "endsAt": (now + datetime.timedelta(hours=1)).isoformat(),
        "generatorURL": "http://prometheus.example:9090/graph?g0.expr=up",
    }


def resolved(firing: dict) -> dict:
    """The same alert, over now."""
    return {**firing, "endsAt": datetime.datetime.now(datetime.timezone.utc).isoformat()}


@contextlib.contextmanager
def alertmanagers(
    binary: Path,
    folder: Path,
    receiver: int,
    count: int = 1,
    group_interval: str = "5s",
    repeat_interval: str = "1h",
    configuration: Optional[str] = None,
) -> Iterator[Sequence[Alertmanager]]:
    """One Alertmanager, or a cluster of several, that notify the receiver at this port."""
    url = f"http://127.0.0.1:{receiver}/alertmanager"
    file = folder / "alertmanager.yml"
    text = configuration or ALERTMANAGER.format(
        url=url, group_interval=group_interval, repeat_interval=repeat_interval
    )
    file.write_text(text)
    gossip = [free_port() for _ in range(count)]
    with contextlib.ExitStack() as stack:
        started = []
        for number in range(count):
            port = free_port()
            storage = folder / f"alertmanager-{number}"
            storage.mkdir()
            flags = [f"--config.file={file}", f"--storage.path={storage}", f"--web.listen-address=127.0.0.1:{port}"]
            if count == 1:
                flags.append("--cluster.listen-address=")
            else:
                flags.append(f"--cluster.listen-address=127.0.0.1:{gossip[number]}")
                flags.append("--cluster.settle-timeout=2s")
                flags += [f"--cluster.peer=127.0.0.1:{other}" for other in gossip if other != gossip[number]]
            program = stack.enter_context(running(binary, *flags, folder=folder))
            started.append(Alertmanager(port, program))

        def is_ready(one: Alertmanager) -> bool:
            one.program.assert_running()
            cluster = one.get("status")["cluster"]
            return count == 1 or (cluster["status"] == "ready" and len(cluster["peers"]) == count)

        for one in started:
            wait_for("the Alertmanagers to be a cluster", lambda: is_ready(one))
        yield started
