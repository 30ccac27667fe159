#!/usr/bin/env python3
"""Measures how the exporter serves, beside Debian's node_exporter in the same run, and prints tables of figures.

    cargo build --release --locked
    python3 benches/web.py [--exporter BINARY] [--quick]

Three parts: what TLS and passwords cost; a certificate that is renewed while it is asked for; connections that are held
by clients that say nothing or half of it. Both programs have little to tell, so that serving is what is measured: the
exporter no instances, node_exporter one collector. It needs openssl, and two minutes. Nothing here fails because
something is slow: figures are for reading. What a scrape brings is looked at in benches/run.py.
"""

from __future__ import annotations

import argparse
import base64
import concurrent.futures
import contextlib
import http.client
import json
import os
import platform
import socket
import ssl
import sys
import tempfile
import time
from pathlib import Path
from typing import Iterator, Optional

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY / "tests" / "end_to_end"))

from authority import Authority, Certificate, put_over  # noqa: E402
from measure import ACCEPT, Figures, Table, cpu_seconds, status_kib  # noqa: E402
from processes import Program, free_port, running, wait_for  # noqa: E402
from rude_clients import HANDSHAKE, OPENINGS, held  # noqa: E402

NAME, PASSWORD = "prometheus", "correct horse"
# Of the cost 10, which docs/web-configuration.md recommends.
HASH = "$2b$10$abcdefghijklmnopqrstuu23JPZtHcGhwXSF41f93o/7vBdDut3Xu"
CALLED = {"exporter": "hermes-exporter", "node": "node_exporter"}


class Asker:
    """Scrapes, over a connection that stays or over a new one each time."""

    def __init__(self, port: int, context: Optional[ssl.SSLContext], password: Optional[str], stays: bool) -> None:
        self._port, self._context, self._stays = port, context, stays
        self._headers = {"Accept": ACCEPT, "Accept-Encoding": "identity"}
        self._password, self._asked = password, 0
        self._connection: Optional[http.client.HTTPConnection] = None
        self.size = 0

    def ask(self) -> tuple[int, float]:
        """The status, and how many seconds it took until the last byte was here."""
        self._asked += 1
        if self._password is not None:
            given = f"{NAME}:{self._password.format(number=self._asked)}".encode()
            self._headers["Authorization"] = f"Basic {base64.b64encode(given).decode()}"
        begun = time.perf_counter()
        if self._connection is None:
            if self._context:
                self._connection = http.client.HTTPSConnection(
                    "127.0.0.1", self._port, timeout=60, context=self._context
                )
            else:
                self._connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        self._connection.request("GET", "/metrics", headers=self._headers)
        response = self._connection.getresponse()
        self.size = len(response.read())
        took = time.perf_counter() - begun
        if not self._stays:
            self.close()
        return response.status, took

    def close(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None


@contextlib.contextmanager
def serving(given: argparse.Namespace, folder: Path, which: str, web: dict) -> Iterator[tuple[Program, int]]:
    """One of the two programs, served so."""
    port = free_port()
    file, none = folder / f"{which}.web.yml", folder / "none.yml"
    # JSON is YAML as well.
    file.write_text(json.dumps(web))
    none.write_text('{"instances": []}')
    flags = [f"--web.listen-address=127.0.0.1:{port}", *([f"--web.config.file={file}"] if web else [])]
    if which == "exporter":
        command = [given.exporter, "serve", "--config.file", none, "--log.level", "warn", *flags]
    else:
        collectors = ["--collector.disable-defaults", "--collector.loadavg", "--web.disable-exporter-metrics"]
        command = [given.node_exporter, *collectors, *flags]
    with running(*command) as program:
        wait_for("the program to listen", lambda: listens(port))
        yield program, port


def listens(port: int) -> bool:
    socket.create_connection(("127.0.0.1", port), timeout=5).close()
    return True


def tls_of(server: Certificate) -> dict:
    return {"tls_server_config": {"cert_file": str(server.certificate), "key_file": str(server.key)}}


def costs(given: argparse.Namespace, folder: Path) -> None:
    authority = Authority(folder)
    tls, users = tls_of(authority.server()), {"basic_auth_users": {NAME: HASH}}
    trusting = authority.trusted()
    part = 10 if given.quick else 1
    # What it is, what is served so, how it is asked, how often, and what is answered.
    ways = [
        ("plain, one connection", {}, None, None, True, 3_000, 200),
        ("plain, a new connection each", {}, None, None, False, 1_000, 200),
        ("TLS, one connection", tls, trusting, None, True, 3_000, 200),
        ("TLS, a new connection each", tls, trusting, None, False, 500, 200),
        ("password, one connection", users, None, PASSWORD, True, 1_000, 200),
        ("TLS and password, a new connection each", {**tls, **users}, trusting, PASSWORD, False, 500, 200),
        ("the same wrong password each time", users, None, "battery staple", True, 20, 401),
        ("another wrong password each time", users, None, "battery staple {number}", True, 20, 401),
    ]
    table = Table(
        "Scrapes by one client, back to back",
        "how",
        "times",
        "program",
        "body in bytes",
        "per second",
        "latency in ms",
        "CPU in ms",
    )
    for how, web, context, password, stays, count, status in ways:
        count = max(5, count // part)
        for which, called in CALLED.items():
            with serving(given, folder, which, web) as (program, port):
                asker = Asker(port, context, password, stays)
                # Warm: a password that was right may be remembered.
                for _ in range(3):
                    asker.ask()
                begun, used = time.perf_counter(), cpu_seconds(program.pid)
                answers = [asker.ask() for _ in range(count)]
                took, used = time.perf_counter() - begun, cpu_seconds(program.pid) - used
                asker.close()
                assert {found for found, _ in answers} == {status}, {found for found, _ in answers}
                table.row(
                    how,
                    count,
                    called,
                    asker.size,
                    f"{count / took:.0f}" if count / took > 100 else f"{count / took:.1f}",
                    Figures([seconds for _, seconds in answers]).times(1_000).quartet(),
                    f"{used / count * 1_000:.2f}",
                )
    print(table)


def renewal(given: argparse.Namespace, folder: Path) -> None:
    authority = Authority(folder)
    rounds = 2 if given.quick else 5
    made = [authority.server() for _ in range(rounds + 1)]
    table = Table(
        f"A certificate is renewed {rounds} times, the key half a second after it, under load",
        "program",
        "clients, with a new connection each time",
        "scrapes",
        "failed",
        "latency in ms",
        "until the new one is shown, in s",
    )
    for which, called in CALLED.items():
        used = Certificate(folder / f"{which}.crt", folder / f"{which}.key")
        put_over(made[0].certificate, used.certificate)
        put_over(made[0].key, used.key)
        with serving(given, folder, which, tls_of(used)) as (_, port):
            trusting = authority.trusted()
            ended = []
            clients = 2

            def scrape() -> tuple[list[float], int]:
                asker, took, failed = Asker(port, trusting, None, False), [], 0
                while not ended:
                    try:
                        status, seconds = asker.ask()
                        assert status == 200, status
                        took.append(seconds)
                    except OSError:
                        failed += 1
                        asker.close()
                return took, failed

            def shown() -> int:
                with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
                    with trusting.wrap_socket(plain, server_hostname="localhost") as connection:
                        return int(connection.getpeercert()["serialNumber"], 16)

            def is_shown(serial: int) -> bool:
                return shown() == serial

            with concurrent.futures.ThreadPoolExecutor(clients) as pool:
                scraping = [pool.submit(scrape) for _ in range(clients)]
                until = []
                try:
                    for new in made[1:]:
                        put_over(new.certificate, used.certificate)
                        time.sleep(0.5)
                        put_over(new.key, used.key)
                        begun = time.perf_counter()
                        serial = new.serial
                        wait_for("the new certificate to be shown", lambda: is_shown(serial))
                        until.append(time.perf_counter() - begun)
                finally:
                    ended.append(True)
                results = [one.result() for one in scraping]
            took = [seconds for one, _ in results for seconds in one]
            failed = sum(count for _, count in results)
            table.row(
                called,
                clients,
                len(took) + failed,
                failed,
                Figures(took).times(1_000).quartet(),
                Figures(until).middle(2),
            )
    print(table)


def slow_clients(given: argparse.Namespace, folder: Path) -> None:
    count, scrapes = 600, 20 if given.quick else 200
    table = Table(
        f"{count} connections are held, of which the exporter keeps 512; {scrapes} scrapes beside them, each over a new one",
        "what was sent on them",
        "program",
        "resident memory before",
        "with them",
        "failed",
        "latency in ms",
        "of the first one",
        "cut off meanwhile",
    )
    authority = Authority(folder)
    encrypted, trusting = tls_of(authority.server()), authority.trusted()
    for opening, sent in OPENINGS.items():
        for which, called in CALLED.items():
            is_encrypted = opening == HANDSHAKE
            with serving(given, folder, which, encrypted if is_encrypted else {}) as (program, port):
                asker = Asker(port, trusting if is_encrypted else None, None, False)
                for _ in range(5):
                    asker.ask()
                before = status_kib(program.pid, "VmRSS")
                with held(port, sent, count) as holding:
                    took, failed = [], 0
                    for _ in range(scrapes):
                        status, seconds = asker.ask()
                        took.append(seconds)
                        failed += status != 200
                    after = status_kib(program.pid, "VmRSS")
                    table.row(
                        opening,
                        called,
                        f"{before / 1_024:.1f} MiB",
                        f"{after / 1_024:.1f} MiB",
                        failed,
                        Figures(took).times(1_000).quartet(),
                        f"{took[0] * 1_000:.0f}",
                        len(holding.cut_off()),
                    )
    print(table)


PARTS = {"costs": costs, "renewal": renewal, "slow": slow_clients}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--exporter",
        type=Path,
        default=REPOSITORY / "target/release/hermes-exporter",
        help="the binary to measure; a release build (default: %(default)s)",
    )
    parser.add_argument("--node-exporter", type=Path, default=Path("/usr/bin/prometheus-node-exporter"))
    parser.add_argument("--quick", action="store_true", help="less of everything: to see that it works")
    parser.add_argument("--only", choices=PARTS, action="append", help="only this part; may be repeated")
    given = parser.parse_args()
    given.exporter = given.exporter.absolute()
    kernel = f"{platform.system()} {platform.release()}"
    size = given.exporter.stat().st_size / 1e6
    print(f"- {os.cpu_count()} cores, {kernel}, load {os.getloadavg()[0]:.1f}; the exporter has {size:.1f} MB")
    print("- latencies are seen from a client in Python, which adds its own time; ranges are from least to most\n")
    for name, part in PARTS.items():
        if not given.only or name in given.only:
            with tempfile.TemporaryDirectory(prefix="hermes-exporter-bench-") as folder:
                part(given, Path(folder))
                sys.stdout.flush()


if __name__ == "__main__":
    main()
