"""Both programs served securely, and asked by the real programs: TLS, client certificates and passwords, a certificate
that is renewed while it is asked for, clients that misbehave, sockets, and who is refused.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import resource
import socket
import ssl
import threading
import time
from pathlib import Path
from typing import Iterator, Optional

import pytest

from alert_bridge import OPERATIONS, ROOT, BotApi, alert, alertmanagers, bot_api, bridge_configuration
from authority import Authority, Certificate, put_over
from exporter import bare_environment
from monitoring import Prometheus, serving_prometheus
from processes import Program, free_port, run, running, wait_for

# A hash of the least cost: how long a comparison takes is not what is looked at here.
NAME, PASSWORD = "prometheus", "correct horse"
HASH = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e"
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
) -> tuple[int, str]:
    """One request over a connection of its own; the status and the body of the answer."""
    if context:
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=30, context=context)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
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
            up = {result["metric"]["job"]: result["value"][1] for result in scraping.results("up")}
            assert up == {job: str(int(job in ("all", "discovered"))) for job in jobs}

        # Health is for everybody, and nothing else is, whatever it is.
        open_to_all, certified = authority.trusted(), authority.trusted(client)
        for path in ("/-/healthy", "/-/ready"):
            assert ask(port, path, open_to_all)[0] == 200
        for path in ("/", "/metrics", "/sd", "/-/reload", "/-/healthy/", "/nowhere"):
            assert ask(port, path, open_to_all, headers=basic())[0] == 403, path
            assert ask(port, path, certified)[0] == 401, path
        assert ask(port, "/metrics", certified, headers=basic())[0] == 200
