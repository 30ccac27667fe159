"""What every end-to-end test is given: the real components, a folder that goes away, and homes.

These tests need, and say so instead of skipping when one is missing:

* `HERMES_EXPORTER`: path of the binary under test;
* `HERMES_ALERT_BRIDGE` and `BOT_API_SERVER`: paths of the bridge under test and of the server that it sends to;
* `HERMES_PYTHON`: path of a Python that has hermes-agent, time-machine, prometheus_client and pytest;
* `prometheus`, `promtool`, `prometheus-alertmanager` and `amtool` on the PATH;
* `s6-svscan` and its tools on the PATH;
* `chromium`, `chromedriver` and `git` on the PATH, and selenium for that Python;
* `node` and `npm` on the PATH, which fetches what ../dashboards/package-lock.json names;
* `shellcheck` and `docker-compose` on the PATH, and hadolint beside that Python;
* what `machine.py` lists, to boot a systemd;
* root, because they look at homes as their owner and as somebody else.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Iterator

import pytest

import homes
from exporter import Exporter, installed_where_all_may_run_it
from machine import Machine, booted

# A user that owns homes here and nothing else; it need not exist.
OWNER = 12345


def _from_environment(name: str, what: str) -> Path:
    value = os.environ.get(name)
    assert value, f"{name} is not set: it names {what}"
    # Not resolved: a virtual environment's python is a link, and it is the link that knows the packages.
    path = Path(value).absolute()
    assert path.is_file() and os.access(path, os.X_OK), f"{name}={value} is not {what}"
    return path


def _on_path(name: str, package: str) -> Path:
    found = shutil.which(name)
    assert found, f"{name} is not on the PATH: these tests need the package {package}"
    return Path(found)


@pytest.fixture(scope="session")
def hermes_python() -> Path:
    python = _from_environment("HERMES_PYTHON", "a Python that has hermes-agent")
    check = "import importlib.metadata as m; import time_machine; print(m.version('hermes-agent'))"
    answer = subprocess.run([python, "-c", check], capture_output=True, text=True)
    assert answer.returncode == 0, f"{python} lacks hermes-agent or time-machine:\n{answer.stderr}"
    version = answer.stdout.strip()
    assert version == "0.19.0", f"{python} has hermes-agent {version}; the fixtures are of 0.19.0"
    return python


@pytest.fixture(scope="session")
def hermes(hermes_python: Path) -> Path:
    command = hermes_python.parent / "hermes"
    assert command.is_file(), f"there is no `hermes` command beside {hermes_python}"
    return command


@pytest.fixture(scope="session")
def prometheus() -> Path:
    return _on_path("prometheus", "prometheus")


@pytest.fixture(scope="session")
def promtool() -> Path:
    return _on_path("promtool", "prometheus")


@pytest.fixture(scope="session")
def alertmanager() -> Path:
    return _on_path("prometheus-alertmanager", "prometheus-alertmanager")


@pytest.fixture(scope="session")
def amtool() -> Path:
    return _on_path("amtool", "prometheus-alertmanager")


@pytest.fixture(scope="session")
def bridge_binary() -> Path:
    return _from_environment("HERMES_ALERT_BRIDGE", "the bridge under test")


@pytest.fixture(scope="session")
def bot_api_server() -> Path:
    return _from_environment("BOT_API_SERVER", "the Bot API server to test against")


@contextlib.contextmanager
def folder_that_goes_away() -> Iterator[Path]:
    """A folder that any user can enter, and that is removed whatever happens."""
    path = Path(tempfile.mkdtemp(prefix="hermes-exporter-test-"))
    path.chmod(0o755)
    try:
        yield path
    finally:
        shutil.rmtree(path)


@pytest.fixture(scope="session")
def binary() -> Iterator[Path]:
    """The binary under test, at a place where every user may run it."""
    given = _from_environment("HERMES_EXPORTER", "the binary under test")
    with folder_that_goes_away() as path:
        yield installed_where_all_may_run_it(given, path)


@pytest.fixture(scope="session")
def machine(binary: Path) -> Iterator[Machine]:
    """A machine with a real systemd; booted once, for the tests that leave it as they found it."""
    with folder_that_goes_away() as share, booted(binary, share) as up:
        yield up


@pytest.fixture
def own_machine(binary: Path) -> Iterator[Machine]:
    """A machine for one test alone."""
    with folder_that_goes_away() as share, booted(binary, share) as up:
        yield up


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder of the test's own."""
    with folder_that_goes_away() as path:
        yield path


@pytest.fixture
def exporter(binary: Path, folder: Path) -> Exporter:
    return Exporter(binary, folder)


@pytest.fixture
def recorded(folder: Path) -> dict[str, Path]:
    """The recorded homes."""
    return homes.unpack(folder / "recorded")


@pytest.fixture
def fresh(folder: Path, hermes_python: Path) -> dict[str, Path]:
    """Homes built this minute."""
    return homes.build(folder / "fresh", hermes_python)


@pytest.fixture
def owner() -> int:
    """A user to own homes, who is not the user that runs the tests."""
    assert os.geteuid() == 0, "these tests act as several users and need root"
    return OWNER
