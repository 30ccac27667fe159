"""Both programs served securely, and asked by the real programs: TLS, client certificates and passwords, a certificate
that is renewed while it is asked for, clients that misbehave, sockets, and who is refused.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import ssl
import threading
from pathlib import Path
from typing import Iterator, Optional

import pytest

from alert_bridge import ROOT, alert, alertmanagers, bot_api, bridge_configuration
from authority import Authority, Certificate, put_over
from exporter import bare_environment
from monitoring import Prometheus, serving_prometheus
from processes import DEADLINE_SECONDS, Program, free_port, run, running, wait_for
from rude_clients import HANDSHAKE, OPENINGS, held

# A hash of the least cost: how long a comparison takes is not what is looked at here.
NAME, PASSWORD = "prometheus", "correct horse"
HASH = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"
# As many as a program serves at once.
MOST_CONNECTIONS = 512

USERS = {"basic_auth_users": {NAME: HASH}}


def basic(password: str = PASSWORD) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'{NAME}:{password}'.encode()).decode()}"}


def ask(
    port: int,
    path: str,
    context: Optional[ssl.SSLContext] = None,
    method: str = "GET",
    body: Optional[bytes] = None,
    headers: Optional[dict[str, str]] = None,
    seconds: float = DEADLINE_SECONDS,
) -> tuple[int, str]:
    """One request over a connection of its own; the status and the body of the answer."""
    if context:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=seconds, context=context)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    with contextlib.closing(connection):
        connection.request(method, path, body=body, headers=headers or {})
        response = connection.getresponse()
        return response.status, response.read().decode()


def web_configuration(folder: Path, **parts: object) -> Path:
    """Writes a web configuration; JSON is YAML as well."""
    path = folder / "web.yml"
    path.write_text(json.dumps(parts))
    return path


def tls_of(server: Certificate, **more: object) -> dict[str, object]:
    return {"tls_server_config": {"cert_file": str(server.certificate), "key_file": str(server.key), **more}}


@contextlib.contextmanager
def served(
    program: Path, configuration: Path, address: str, *flags: object, web: Optional[Path] = None
) -> Iterator[Program]:
    """A program that serves at an address, once its own healthcheck says so."""
    encryption = ("--web.config.file", web) if web else ()
    at = ("--web.listen-address", address, *encryption)
    environment = bare_environment(configuration.parent)
    arguments = ("serve", "--config.file", configuration, *at, *flags)
    with running(program, *arguments, environment=environment) as serving:

        def is_healthy() -> bool:
            serving.assert_running()
            return run(program, "healthcheck", *at, environment=environment).succeeded().output.strip() == "healthy"

        wait_for(f"{program.name} to be healthy at {address}", is_healthy)
        yield serving
        assert serving.is_running(), f"{program.name} ended by itself:\n{serving.everything()}"


@pytest.fixture
def nothing(folder: Path) -> Path:
    """A configuration without instances: what is asked for here is who may ask."""
    path = folder / "hermes-exporter.yml"
    path.write_text('{"instances": []}')
    return path


@pytest.fixture
def authority(folder: Path) -> Authority:
    return Authority(folder)


def scrape_configuration(folder: Path, port: int, jobs: dict[str, dict], interval: str = "1s") -> Path:
    """Writes a configuration of Prometheus with these jobs, all of the same target."""
    targets = [{"targets": [f"127.0.0.1:{port}"]}]
    path = folder / "prometheus.yml"
    scrapes = [
        {"job_name": name, "honor_labels": True, "static_configs": targets, **job} for name, job in jobs.items()
    ]
    times = {"scrape_interval": interval, "scrape_timeout": interval}
    path.write_text(json.dumps({"global": times, "scrape_configs": scrapes}))
    return path


def told(scraping: Prometheus) -> dict[str, tuple[str, str]]:
    """What Prometheus says of its targets by their jobs: their health, and the last error."""
    targets = scraping.get("targets")["activeTargets"]
    return {target["labels"]["job"]: (target["health"], target["lastError"]) for target in targets}


def test_who_is_let_in_by_tls_a_client_certificate_and_a_password(
    binary: Path, nothing: Path, folder: Path, prometheus: Path, authority: Authority
) -> None:
    client, stranger = authority.client(), Authority(folder, "strangers").client()
    verified = {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": str(authority.certificate)}
    web = web_configuration(folder, **tls_of(authority.server(), **verified), **USERS)

    def tls(shown: Optional[Certificate]) -> dict[str, str]:
        files = {"cert_file": str(shown.certificate), "key_file": str(shown.key)} if shown else {}
        return {"ca_file": str(authority.certificate), **files}

    password = {"username": NAME, "password": PASSWORD}
    wrong = {"username": NAME, "password": "battery staple"}
    jobs = {
        "all": {"scheme": "https", "tls_config": tls(client), "basic_auth": password},
        "no certificate": {"scheme": "https", "tls_config": tls(None), "basic_auth": password},
        "another certificate": {"scheme": "https", "tls_config": tls(stranger), "basic_auth": password},
        "no password": {"scheme": "https", "tls_config": tls(client)},
        "wrong password": {"scheme": "https", "tls_config": tls(client), "basic_auth": wrong},
        "no trust": {"scheme": "https", "basic_auth": password},
        "no TLS": {"basic_auth": password},
    }
    port = free_port()
    with served(binary, nothing, f"127.0.0.1:{port}", web=web):
        credentials = {"tls_config": tls(client), "basic_auth": password}
        asked = {"url": f"https://127.0.0.1:{port}/sd", "refresh_interval": "1s", **credentials}
        jobs["discovered"] = {"scheme": "https", "static_configs": [], "http_sd_configs": [asked], **credentials}
        configuration = scrape_configuration(folder, port, jobs)
        with serving_prometheus(prometheus, configuration) as scraping:

            def all_are_told() -> dict[str, tuple[str, str]]:
                found = told(scraping)
                assert found.keys() == jobs.keys() and all(health != "unknown" for health, _ in found.values()), found
                return found

            found = wait_for("Prometheus to have scraped with each job", all_are_told)
            assert found["all"] == found["discovered"] == ("up", ""), found
            for job, error in (
                ("no certificate", "403 Forbidden"),
                ("another certificate", "tls: unknown certificate authority"),
                ("no password", "401 Unauthorized"),
                ("wrong password", "401 Unauthorized"),
                ("no trust", "certificate signed by unknown authority"),
                ("no TLS", ""),
            ):
                assert found[job][0] == "down" and error in found[job][1], (job, found[job])

            def is_up_where_it_may() -> bool:
                up = {result["metric"]["job"]: result["value"][1] for result in scraping.results("up")}
                assert up == {job: str(int(job in ("all", "discovered"))) for job in jobs}
                return True

            # Prometheus tells of a target before what it has scraped of it can be asked for.
            wait_for("it to be written down", is_up_where_it_may)

        # Health is for everybody, and nothing else is, whatever it is.
        open_to_all, certified = authority.trusted(), authority.trusted(client)
        for path in ("/-/healthy", "/-/ready"):
            assert ask(port, path, open_to_all)[0] == 200
        for path in ("/", "/metrics", "/sd", "/-/reload", "/-/healthy/", "/nowhere"):
            assert ask(port, path, open_to_all, headers=basic())[0] == 403, path
            assert ask(port, path, certified)[0] == 401, path
        assert ask(port, "/metrics", certified, headers=basic())[0] == 200


def serial_shown(port: int, context: ssl.SSLContext) -> int:
    """The serial number of the certificate that a new connection is shown."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
        with context.wrap_socket(plain, server_hostname="localhost") as connection:
            return int(connection.getpeercert()["serialNumber"], 16)


class Asking:
    """Scrapes over a new connection each time, one after the other, until it is ended."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self.answered = 0
        self.failed: list[object] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._ask, args=(port, context), daemon=True)
        self._thread.start()

    def _ask(self, port: int, context: ssl.SSLContext) -> None:
        while not self._ended.is_set():
            try:
                status, _ = ask(port, "/metrics", context, headers=basic())
                if status == 200:
                    self.answered += 1
                else:
                    self.failed.append(status)
            except OSError as error:
                self.failed.append(error)

    def end(self) -> None:
        self._ended.set()
        self._thread.join()


def test_a_certificate_is_renewed_while_it_is_asked_for(
    binary: Path, nothing: Path, folder: Path, prometheus: Path, authority: Authority
) -> None:
    first, *others = [authority.server() for _ in range(4)]
    used = Certificate(folder / "server.crt", folder / "server.key")
    put_over(first.certificate, used.certificate)
    put_over(first.key, used.key)
    web = web_configuration(folder, **tls_of(used), **USERS)
    trusting = authority.trusted()
    port = free_port()
    encrypted = {"scheme": "https", "tls_config": {"ca_file": str(authority.certificate)}}
    jobs = {"web": {**encrypted, "basic_auth": {"username": NAME, "password": PASSWORD}}}

    def loaded(value: int) -> bool:
        _, text = ask(port, "/metrics", trusting, headers=basic())
        return f"\nhermes_exporter_web_config_last_reload_successful {value}\n" in text

    with served(binary, nothing, f"127.0.0.1:{port}", web=web):
        with serving_prometheus(prometheus, scrape_configuration(folder, port, jobs)) as scraping:
            wait_for("the first scrape", lambda: scraping.value("up") == 1)
            asking = [Asking(port, trusting) for _ in range(2)]
            for former, new in zip([first, *others], others):
                put_over(new.certificate, used.certificate)
                wait_for("it to be seen that the key is another one's", lambda: loaded(0))
                assert serial_shown(port, trusting) == former.serial
                put_over(new.key, used.key)
                wait_for("the new certificate to be shown", lambda: serial_shown(port, trusting) == new.serial)
                wait_for("all to be well", lambda: loaded(1))
            for one in asking:
                one.end()
            assert all(one.failed == [] and one.answered > 20 for one in asking), [
                (one.answered, one.failed) for one in asking
            ]
            assert scraping.value("min_over_time(up[5m])") == 1
            assert scraping.value("count_over_time(up[5m])") >= 3


@pytest.mark.parametrize("opening", OPENINGS)
def test_clients_that_hold_all_connections_keep_no_scrape_out(
    binary: Path, nothing: Path, folder: Path, authority: Authority, opening: str
) -> None:
    port = free_port()
    is_encrypted = opening == HANDSHAKE
    web = web_configuration(folder, **tls_of(authority.server())) if is_encrypted else None
    context = authority.trusted() if is_encrypted else None
    with served(binary, nothing, f"127.0.0.1:{port}", web=web):
        with held(port, OPENINGS[opening], MOST_CONNECTIONS + 100) as holding:
            for _ in range(5):
                # Not as long as Prometheus waits, nor until heads are cut off after 10 s.
                assert ask(port, "/metrics", context, seconds=8)[0] == 200
                holding.trickle()
            wait_for("those in the way to be cut off", lambda: len(holding.cut_off()) >= 100)


def test_half_a_body_on_all_connections_keeps_nobody_away_from_the_bridge(
    bridge_binary: Path, folder: Path, bot_api_server: Path
) -> None:
    port = free_port()
    with bot_api(bot_api_server) as api:
        with served(bridge_binary, bridge_configuration(folder, api), f"127.0.0.1:{port}"):
            with held(port, OPENINGS["half a body"], MOST_CONNECTIONS + 100) as holding:
                # Not until bodies are cut off after 30 s.
                assert ask(port, "/metrics", seconds=8)[0] == 200
                wait_for("those in the way to be cut off", lambda: len(holding.cut_off()) >= 100)


def answer_to(port: int, request: bytes) -> str:
    """The first line of the answer to what is sent as it is."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request)
        return connection.makefile("rb").readline().decode().strip()


def test_what_is_too_large_is_refused(
    binary: Path, bridge_binary: Path, nothing: Path, folder: Path, bot_api_server: Path
) -> None:
    with bot_api(bot_api_server) as api:
        for program, configuration in ((binary, nothing), (bridge_binary, bridge_configuration(folder, api))):
            port = free_port()
            with served(program, configuration, f"127.0.0.1:{port}"):
                long = b"x" * 9_000
                head = b"GET /metrics HTTP/1.1\r\nHost: a\r\nX: " + long + b"\r\nY: " + long + b"\r\n\r\n"
                assert answer_to(port, head) == "HTTP/1.1 431 Request Header Fields Too Large"
                target = b"GET /metrics?" + long + b" HTTP/1.1\r\nHost: a\r\n\r\n"
                assert answer_to(port, target) == "HTTP/1.1 414 URI Too Long"
                if program == bridge_binary:
                    post = b"POST /%s HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
                    for path in (b"alertmanager", b"notify"):
                        assert answer_to(port, post % (path, 1 << 30)) == "HTTP/1.1 413 Payload Too Large"
                    # One that does not say how large it is.
                    many = b"POST /notify HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n100000\r\n"
                    assert answer_to(port, many + b"x" * 0x100000) == "HTTP/1.1 413 Payload Too Large"
                assert ask(port, "/metrics")[0] == 200


def ask_socket(path: Path, what: str) -> str:
    """The answer at a socket file, with its head."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(30)
        connection.connect(str(path))
        connection.sendall(f"GET {what} HTTP/1.0\r\n\r\n".encode())
        return connection.makefile("rb").read().decode()


def test_a_socket_file_is_served_with_and_without_tls(
    binary: Path, nothing: Path, folder: Path, authority: Authority
) -> None:
    path = folder / "exporter.sock"
    with served(binary, nothing, f"unix:{path}"):
        assert path.is_socket() and path.stat().st_mode & 0o777 == 0o660
        assert "hermes_exporter_build_info{" in ask_socket(path, "/metrics")
    assert not path.exists()
    web = web_configuration(folder, **tls_of(authority.server()), **USERS)
    with served(binary, nothing, f"unix:{path}", web=web):
        with socket.socket(socket.AF_UNIX) as plain:
            plain.connect(str(path))
            with authority.trusted().wrap_socket(plain, server_hostname="localhost") as connection:
                connection.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
                assert connection.makefile("rb").readline() == b"HTTP/1.0 401 Unauthorized\r\n"


def test_what_systemd_listens_on_is_scraped(
    binary: Path, nothing: Path, folder: Path, prometheus: Path, authority: Authority
) -> None:
    web = web_configuration(folder, **tls_of(authority.server()), **USERS)
    port, path = free_port(), folder / "activated.sock"
    flags = ("serve", "--config.file", nothing, "--web.systemd-socket", "--web.config.file", web)
    places = ("-l", f"127.0.0.1:{port}", "-l", path)
    encrypted = {"scheme": "https", "tls_config": {"ca_file": str(authority.certificate)}}
    jobs = {"web": {**encrypted, "basic_auth": {"username": NAME, "password": PASSWORD}}}
    with running("systemd-socket-activate", *places, binary, *flags, environment=bare_environment(folder)) as program:
        with serving_prometheus(prometheus, scrape_configuration(folder, port, jobs)) as scraping:
            # Who asks first is what starts it.
            wait_for("the first scrape", lambda: scraping.value("up") == 1)
            asked = ("healthcheck", "--web.listen-address", f"unix:{path}", "--web.config.file", web)
            assert run(binary, *asked).succeeded().output == "healthy\n"
        program.assert_running()


RECEIVER = """\
route: {{receiver: telegram, group_wait: 100ms, group_interval: 1s}}
receivers:
  - name: telegram
    webhook_configs:
      - url: https://127.0.0.1:{port}/alertmanager
        max_alerts: 0
        http_config:
          authorization: {{credentials: {token}}}
          tls_config: {{ca_file: {ca}, cert_file: {client.certificate}, key_file: {client.key}}}
"""


def test_an_alertmanager_delivers_over_tls_with_a_token(
    bridge_binary: Path, bot_api_server: Path, alertmanager: Path, folder: Path, authority: Authority
) -> None:
    client = authority.client()
    verified = {"client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": str(authority.certificate)}
    web = web_configuration(folder, **tls_of(authority.server(), **verified), **USERS)
    token = folder / "webhook.token"
    token.write_text("a-long-random-token")
    port = free_port()
    with bot_api(bot_api_server) as api:
        configuration = bridge_configuration(folder, api, auth={"bearer_token_file": str(token)})
        with served(bridge_binary, configuration, f"127.0.0.1:{port}", web=web):
            receiver = RECEIVER.format(port=port, token=token.read_text(), ca=authority.certificate, client=client)
            with alertmanagers(alertmanager, folder, port, configuration=receiver) as (telling,):
                telling.tell(alert("HermesGatewayDown"))
                (message,) = wait_for("the message", lambda: api.messages(ROOT), seconds=60)
                assert "HermesGatewayDown on vijay" in json.dumps(message)
            certified, bearer = authority.trusted(client), {"Authorization": f"Bearer {token.read_text()}"}
            # The token opens what it is for, and the password the rest.
            assert ask(port, "/metrics", certified, headers=bearer)[0] == 401
            assert ask(port, "/metrics", certified, headers=basic())[0] == 200
            assert ask(port, "/alertmanager", certified, "POST", b"{}", basic())[0] == 401
            assert ask(port, "/alertmanager", authority.trusted(), "POST", b"{}", bearer)[0] == 403
            assert ask(port, "/-/healthy", authority.trusted())[0] == 200


def test_where_everybody_could_ask_is_not_listened_on(
    binary: Path, bridge_binary: Path, nothing: Path, folder: Path, bot_api_server: Path
) -> None:
    web = web_configuration(folder, **USERS)
    with bot_api(bot_api_server) as api:
        for program, configuration in ((binary, nothing), (bridge_binary, bridge_configuration(folder, api))):
            port = free_port()
            everywhere = f"0.0.0.0:{port}"
            arguments = ("serve", "--config.file", configuration, "--web.listen-address", everywhere)
            refused = run(program, *arguments, environment=bare_environment(folder))
            assert refused.code == 64 and everywhere in refused.log, refused
            for way_out in ("127.0.0.1", "--web.config.file", "--web.allow-public-without-auth"):
                assert way_out in refused.log, refused.log
            with served(program, configuration, everywhere, "--web.allow-public-without-auth"):
                assert ask(port, "/metrics")[0] == 200
            with served(program, configuration, everywhere, web=web):
                assert ask(port, "/metrics")[0] == 401
                assert ask(port, "/metrics", headers=basic())[0] == 200
