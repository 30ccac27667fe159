"""Endpoints against Hermes' own dashboard and gateway: up, down, frozen, behind a login, and taken by somebody else."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import secrets
import signal
import socket
import socketserver
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Iterator, Optional

import homes
from exporter import Exporter, Server, bare_environment, failures
from exposition import Samples
from processes import Finished, Program, free_port, run, running, wait_for

ASKED = "?collect[]=endpoints"

# For Hermes any address but 127.0.0.1 is one that strangers can reach, so that it asks for a login.
NOT_QUITE_LOOPBACK = "127.0.0.2"


def answers(url: str) -> bool:
    with contextlib.suppress(urllib.error.HTTPError):
        urllib.request.urlopen(url, timeout=60).close()
    return True


@contextlib.contextmanager
def dashboard(home: Path, hermes: Path, port: int, address: str = "127.0.0.1") -> Iterator[Program]:
    """Hermes' dashboard on a home."""
    environment = bare_environment(home.parent) | {"HERMES_HOME": str(home)}
    arguments = ("dashboard", "--no-open", "--host", address, "--port", port)
    with running(hermes, *arguments, environment=environment) as program:

        def ready() -> bool:
            program.assert_running()
            return answers(f"http://{address}:{port}/")

        wait_for("the dashboard to answer", ready, seconds=90)
        yield program


@contextlib.contextmanager
def gateway(home: Path, hermes: Path, api_port: int, webhook_port: int) -> Iterator[Program]:
    """Hermes' gateway with its API server and webhooks, on loopback."""
    home.mkdir()
    extra = {"host": "127.0.0.1", "port": webhook_port, "secret": secrets.token_hex(16)}
    (home / "config.yaml").write_text(json.dumps({"platforms": {"webhook": {"enabled": True, "extra": extra}}}))
    environment = bare_environment(home.parent) | {
        "HERMES_HOME": str(home),
        "API_SERVER_ENABLED": "true",
        "API_SERVER_KEY": secrets.token_hex(16),
        "API_SERVER_PORT": str(api_port),
    }
    with running(hermes, "gateway", "run", environment=environment) as program:

        def ready() -> bool:
            program.assert_running()
            return all(answers(f"http://127.0.0.1:{port}/health") for port in (api_port, webhook_port))

        wait_for("the gateway to answer", ready, seconds=90)
        yield program


def endpoint(name: str, kind: str, port: int, **more: object) -> dict:
    return {"name": name, "kind": kind, "url": f"http://127.0.0.1:{port}/", **more}


def state_of(samples: Samples, name: str) -> tuple[Optional[float], set[str]]:
    """Whether an endpoint is up (None: unknown), and the reasons why not."""
    up = samples.by("hermes_endpoint_up", "endpoint").get(name)
    return up, set(samples.by("hermes_endpoint_failure_info", "reason", endpoint=name))


def wait_until(server: Server, name: str, up: float, *reasons: str) -> Samples:
    def has_come() -> Samples:
        samples = server.scrape(ASKED).of(instance="vijay")
        assert state_of(samples, name) == (up, set(reasons))
        return samples

    return wait_for(f"{name} to be up={up:g} {reasons}", has_come)


@contextlib.contextmanager
def page_for_everything(port: int) -> Iterator[None]:
    """Somebody else's single-page application: 200 and HTML at every path."""

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = b"<!doctype html><title>Hermes Agent - Dashboard</title>"
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(page)))
            self.end_headers()
            self.wfile.write(page)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Page) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


def test_a_dashboard_through_its_life(exporter: Exporter, recorded: dict[str, Path], hermes: Path, folder: Path) -> None:
    port = free_port()
    home = homes.copy(recorded["vijay"], folder / "dashboard")
    endpoints = [
        endpoint("dashboard", "hermes-dashboard", port, timeout="2s"),
        endpoint("by-name", "hermes-dashboard", port, url=f"http://localhost:{port}", timeout="2s"),
        endpoint("page", "http", port, timeout="2s"),
    ]
    configuration = exporter.configuration({"vijay": recorded["vijay"]}, {"endpoints": endpoints})
    with exporter.serving(configuration) as server:
        wait_until(server, "dashboard", 0, "refused")
        with dashboard(home, hermes, port) as program:
            samples = wait_until(server, "dashboard", 1)
            assert samples.value("hermes_endpoint_status_code", endpoint="dashboard") == 401
            assert samples.value("hermes_endpoint_login_required", endpoint="dashboard") == 0
            assert samples.value("hermes_endpoint_info", endpoint="dashboard", kind="hermes-dashboard") == 1
            assert state_of(samples, "by-name") == (1, set())
            assert state_of(samples, "page") == (1, set())
            assert not samples.has("hermes_endpoint_login_required", endpoint="page")

            program.send(signal.SIGSTOP)
            samples = wait_until(server, "dashboard", 0, "timeout")
            assert samples.value("hermes_endpoint_duration_seconds", endpoint="dashboard") >= 2
            assert not samples.has("hermes_endpoint_status_code", endpoint="dashboard")
            program.send(signal.SIGCONT)
            wait_until(server, "dashboard", 1)
        wait_until(server, "dashboard", 0, "refused")
        with page_for_everything(port):
            samples = wait_until(server, "dashboard", 0, "content")
            assert samples.value("hermes_endpoint_status_code", endpoint="dashboard") == 200
            assert state_of(samples, "page") == (1, set())
        # None of that was a failure to tell.
        assert failures(server.scrape(ASKED), "vijay") == {}


def test_a_dashboard_with_a_login(exporter: Exporter, recorded: dict[str, Path], hermes: Path, folder: Path) -> None:
    port = free_port()
    home = folder / "gated"
    home.mkdir()
    login = {"username": "somebody", "password": secrets.token_hex(8)}
    (home / "config.yaml").write_text(json.dumps({"dashboard": {"basic_auth": login}}))
    url = f"http://{NOT_QUITE_LOOPBACK}:{port}"
    endpoints = [endpoint("dashboard", "hermes-dashboard", port, url=url), endpoint("page", "http", port, url=url)]
    with dashboard(home, hermes, port, NOT_QUITE_LOOPBACK):
        before = settled(home)
        samples = exporter.scrape_once(exporter.configuration({"vijay": recorded["vijay"]}, {"endpoints": endpoints}))
        samples = samples.of(instance="vijay")
        assert state_of(samples, "dashboard") == (1, set())
        assert samples.value("hermes_endpoint_login_required", endpoint="dashboard") == 1
        # To its login page.
        assert state_of(samples, "page") == (1, set())
        assert samples.value("hermes_endpoint_status_code", endpoint="page") == 302
        assert homes.differences(before, homes.listing(home)) == []


def settled(home: Path) -> dict[str, tuple]:
    """What is in a home, once a program that has just been started on it has come to rest."""
    found = homes.listing(home)

    def is_settled() -> bool:
        nonlocal found
        time.sleep(1)
        former, found = found, homes.listing(home)
        return former == found

    wait_for(f"{home} to come to rest", is_settled)
    return found


def test_probing_a_dashboard_leaves_its_home_as_it_was(
    exporter: Exporter, recorded: dict[str, Path], hermes: Path, folder: Path
) -> None:
    port = free_port()
    # The home of a gateway that has crashed.
    home = homes.copy(recorded["vijay"], folder / "dashboard")
    endpoints = [endpoint("dashboard", "hermes-dashboard", port)]
    configuration = exporter.configuration({"vijay": recorded["vijay"]}, {"endpoints": endpoints})
    with dashboard(home, hermes, port) as program, exporter.serving(configuration) as server:
        before = settled(home)
        for _ in range(100):
            assert state_of(server.scrape(ASKED).of(instance="vijay"), "dashboard") == (1, set())
        assert homes.differences(before, homes.listing(home)) == []
        # What would have been seen: the path that is made for probes changes the home.
        program.assert_running()
        answers(f"http://127.0.0.1:{port}/api/status")
        assert "vanished: gateway.pid" in homes.differences(before, homes.listing(home))


def test_a_gateway_through_its_life(exporter: Exporter, recorded: dict[str, Path], hermes: Path, folder: Path) -> None:
    api_port, webhook_port = free_port(), free_port()
    endpoints = [
        endpoint("api", "hermes-api-server", api_port, timeout="2s"),
        endpoint("webhooks", "hermes-webhook", webhook_port, timeout="2s"),
        endpoint("swapped", "hermes-webhook", api_port, timeout="2s"),
        endpoint("dashboard", "hermes-dashboard", api_port, timeout="2s"),
    ]
    configuration = exporter.configuration({"vijay": recorded["vijay"]}, {"endpoints": endpoints})
    with exporter.serving(configuration) as server:
        wait_until(server, "api", 0, "refused")
        with gateway(folder / "gateway", hermes, api_port, webhook_port) as program:
            samples = wait_until(server, "api", 1)
            assert state_of(samples, "webhooks") == (1, set())
            assert samples.value("hermes_endpoint_status_code", endpoint="webhooks") == 200
            assert state_of(samples, "swapped") == (0, {"content"})
            assert state_of(samples, "dashboard") == (0, {"status"})
            program.send(signal.SIGSTOP)
            assert state_of(wait_until(server, "api", 0, "timeout"), "webhooks") == (0, {"timeout"})
            program.send(signal.SIGCONT)
            assert state_of(wait_until(server, "api", 1), "webhooks") == (1, set())
        wait_until(server, "api", 0, "refused")


@contextlib.contextmanager
def hostile() -> Iterator[dict[str, int]]:
    """Ports where nobody answers well."""

    class Resets(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(1)

    class Garbage(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(4096)
            self.request.sendall(b"220 mail.example ESMTP\r\n" * 10)

    class Endless(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(4096)
            with contextlib.suppress(OSError):
                self.request.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
                while True:
                    self.request.sendall(b"x" * 65536)

    class Listener(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 1000

    with contextlib.ExitStack() as stack:
        ports = {"refused": free_port()}
        for name, handler in {"reset": Resets, "protocol": Garbage, "too_large": Endless}.items():
            server = stack.enter_context(Listener(("127.0.0.1", 0), handler))
            threading.Thread(target=server.serve_forever, daemon=True).start()
            stack.callback(server.shutdown)
            ports[name] = server.server_address[1]
        # Connections are made by the kernel, and nobody ever takes them.
        silent = stack.enter_context(socket.socket())
        silent.bind(("127.0.0.1", 0))
        silent.listen(4096)
        ports["timeout"] = silent.getsockname()[1]
        yield ports


def test_a_thousand_failures_leave_no_descriptor_behind(exporter: Exporter, recorded: dict[str, Path]) -> None:
    with hostile() as ports:
        endpoints = [endpoint(name, "hermes-webhook", port, timeout="2s") for name, port in ports.items()]
        for one in endpoints:
            if one["name"] == "timeout":
                one["timeout"] = "10ms"
        endpoints.append(endpoint("tls", "http", ports["protocol"], url=f"https://127.0.0.1:{ports['protocol']}/"))
        configuration = exporter.configuration({"vijay": recorded["vijay"]}, {"endpoints": endpoints})
        with exporter.serving(configuration) as server:

            def look() -> None:
                samples = server.scrape(ASKED).of(instance="vijay")
                for one in endpoints:
                    assert state_of(samples, one["name"]) == (0, {one["name"]})

            def descriptors() -> int:
                return len(os.listdir(f"/proc/{server.program.pid}/fd"))

            # Whatever is opened once and kept is open after this.
            for _ in range(20):
                look()
            before = descriptors()
            for _ in range(1000):
                look()

            # A connection of the last scrape may still be on its way out.
            wait_for(f"no more than {before} descriptors", lambda: descriptors() <= before)
            assert failures(server.scrape(ASKED), "vijay") == {}


OTHER_COLLECTORS = (
    ["gateway", "units", "cron", "credentials", "inventory", "sessions", "activity", "home", "exposure", "guardrails"]
    + ["logs", "host", "tailscale"]
)


def limited(exporter: Exporter, descriptors: int, *arguments: object) -> Finished:
    """A run of the exporter that may have so many descriptors, and no more."""
    prlimit = ("prlimit", f"--nofile={descriptors}:{descriptors}")
    return run(*prlimit, exporter.binary, *arguments, environment=bare_environment(exporter.folder))


def test_without_descriptors_nothing_is_said_to_be_down(exporter: Exporter, recorded: dict[str, Path]) -> None:
    with hostile() as ports:
        endpoints = [endpoint(f"e{n}", "http", ports["timeout"], timeout="100ms") for n in range(4)]
        path = exporter.configuration({"vijay": recorded["vijay"]}, {"endpoints": endpoints})
        off = [f"--no-collector.{name}" for name in OTHER_COLLECTORS]
        tried, not_tried = (0, {"timeout"}), (None, set())
        seen = []
        # How many it takes for itself is its own affair: from too few to start with, to enough for all.
        for descriptors in range(4, 20):
            finished = limited(exporter, descriptors, "scrape", "--config.file", path, *off)
            if finished.code != 0:
                assert "Too many open files" in finished.log
                continue
            samples = Samples.parse(finished.output)
            states = [state_of(samples.of(instance="vijay"), one["name"]) for one in endpoints]
            assert all(state in (tried, not_tried) for state in states), states
            assert failures(samples, "vijay") == ({"endpoints": {"io"}} if not_tried in states else {})
            seen += states
        assert tried in seen and not_tried in seen, seen


def test_endpoints_leave_descriptors_to_others(exporter: Exporter, recorded: dict[str, Path], folder: Path) -> None:
    with hostile() as ports:
        endpoints = [endpoint(f"e{n}", "http", ports["timeout"], timeout="50ms") for n in range(32)]
        instances = {name: homes.copy(recorded["vijay"], folder / name) for name in ("a", "b", "c", "d")}
        path = exporter.configuration(instances, {"endpoints": endpoints})
        finished = limited(exporter, 64, "scrape", "--config.file", path, "--no-collector.units").succeeded()
        samples = Samples.parse(finished.output)
        for name in instances:
            of_instance = samples.of(instance=name)
            assert {state_of(of_instance, one["name"])[0] for one in endpoints} == {0}
            assert failures(samples, name) == {}


def test_it_takes_the_descriptors_it_may_have(exporter: Exporter, recorded: dict[str, Path]) -> None:
    path = exporter.configuration({"vijay": recorded["vijay"]})
    serve = (exporter.binary, "serve", "--config.file", path, "--web.listen-address", f"127.0.0.1:{free_port()}")
    with running("prlimit", "--nofile=512:4096", *serve, environment=bare_environment(exporter.folder)) as program:

        def is_raised() -> bool:
            limits = Path(f"/proc/{program.pid}/limits").read_text().splitlines()
            (line,) = [line.split() for line in limits if line.startswith("Max open files")]
            return line[3:5] == ["4096", "4096"]

        wait_for("the limit to be raised", is_raised)
