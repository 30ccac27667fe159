"""The Debian package: what it is made of fits together. It is not built here, which would take too long."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from processes import run

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGING = REPOSITORY / "packaging"
MANIFEST = tomllib.loads((REPOSITORY / "Cargo.toml").read_text())
DEB = MANIFEST["package"]["metadata"]["deb"]
UNITS = ("hermes-exporter.service", "hermes-alert-bridge.service")


def installed() -> dict[str, Path]:
    """Every file of the package but the programs, by where it is installed."""
    found: dict[str, Path] = {}
    for pattern, target, _ in DEB["assets"]:
        files = [path for path in REPOSITORY.glob(pattern) if path.is_file()]
        if not pattern.startswith("target/"):
            assert files, f"{pattern} of the package's assets in Cargo.toml names nothing"
        for file in files:
            found["/" + (target + file.name if target.endswith("/") else target)] = file
    return found


def test_every_file_of_the_package_is_there() -> None:
    files = installed()
    missing = set(DEB["conf-files"]) - set(files)
    assert not missing, f"conf-files that nothing installs: {missing}"
    inside_etc = {path for path in files if path.startswith("/etc/")}
    assert inside_etc == set(DEB["conf-files"]), "what is in /etc has to be kept as it was changed"


def test_paths_that_are_named_are_installed() -> None:
    files = set(installed())
    folders = {str(parent) for path in files for parent in Path(path).parents}
    texts = [path for path in PACKAGING.rglob("*") if path.is_file()] + [REPOSITORY / "docs/deployment-debian.md"]
    for text in texts:
        for named in re.findall(r"/(?:usr/share|etc/default)/(?:doc/)?hermes-[\w./-]+", text.read_text()):
            path = named.rstrip("./")
            assert path in files or path in folders, f"{text.name} names {path}, which the package does not install"


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_is_understood_by_systemd(binary: Path, bridge_binary: Path, tmp_path: Path, unit: str) -> None:
    text = (PACKAGING / "systemd" / unit).read_text()
    program = f"/usr/bin/{unit.removesuffix('.service')}"
    assert f"ExecStart={program} " in text
    tried = tmp_path / unit
    tried.write_text(text.replace(program, str(binary if "exporter" in unit else bridge_binary)))
    found = run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", tried).succeeded()
    assert unit not in found.output + found.log, found.log


@pytest.mark.parametrize("unit", UNITS)
def test_a_unit_has_its_account_its_configuration_and_its_flags(unit: str) -> None:
    text = (PACKAGING / "systemd" / unit).read_text()
    (account,) = re.findall(r"^User=(.*)$", text, re.M)
    accounts = (PACKAGING / "sysusers/hermes-exporter.conf").read_text()
    assert re.search(rf"^u {account} ", accounts, re.M), f"nobody makes the account {account}"
    (flags,) = re.findall(r"^EnvironmentFile=-(.*)$", text, re.M)
    assert installed()[flags].read_text().splitlines()[-1] == 'ARGS=""'
    (configuration,) = re.findall(r"^ExecStart=.* --config.file (\S+) ", text, re.M)
    assert configuration in DEB["conf-files"]
    assert re.search(rf"^ExecReload=\+?\S+ check-config {re.escape(configuration)}$", text, re.M)


def test_the_exporter_is_configured_to_look_at_nothing_yet(binary: Path) -> None:
    answer = run(binary, "check-config", PACKAGING / "config/hermes-exporter.yml").succeeded()
    assert "valid, 0 instances" in answer.output


def test_the_example_in_the_configuration_of_the_exporter_is_valid(binary: Path, tmp_path: Path) -> None:
    text = (PACKAGING / "config/hermes-exporter.yml").read_text()
    example = text[text.index("# instances:") :].replace("\ninstances: []", "")
    tried = tmp_path / "hermes-exporter.yml"
    tried.write_text(re.sub(r"^# ?", "", example, flags=re.M))
    assert "valid, 2 instances" in run(binary, "check-config", tried).succeeded().output


def test_the_bridge_can_be_tried_as_it_is_configured(bridge_binary: Path, tmp_path: Path) -> None:
    text = (PACKAGING / "config/bridge.yml").read_text()
    assert "\nstore: /var/lib/hermes-alert-bridge/bridge.db\n" in text
    tried = tmp_path / "bridge.yml"
    tried.write_text(text.replace("/var/lib/hermes-alert-bridge", str(tmp_path)))
    assert "2 chats, 4 routes" in run(bridge_binary, "check-config", tried).succeeded().output


def test_the_package_has_the_version_of_the_programs() -> None:
    newest = (PACKAGING / "debian/changelog").read_text().splitlines()[0]
    assert newest.startswith(f"hermes-exporter ({MANIFEST['package']['version']}-"), newest


@pytest.mark.parametrize("script", ["postinst", "prerm", "postrm"])
def test_a_maintainer_script_is_a_script(script: str) -> None:
    run("sh", "-n", PACKAGING / "debian" / script).succeeded()


@pytest.mark.parametrize("unit", UNITS)
def test_a_mistake_is_not_tried_again(binary: Path, bridge_binary: Path, tmp_path: Path, unit: str) -> None:
    text = (PACKAGING / "systemd" / unit).read_text()
    (given_up,) = re.findall(r"^RestartPreventExitStatus=(\d+)$", text, re.M)
    wrong = tmp_path / "wrong.yml"
    wrong.write_text("no_such_key: 1\n")
    ended = run(binary if "exporter" in unit else bridge_binary, "--config.file", wrong)
    assert ended.code == int(given_up), ended.log


def test_a_reload_asks_whether_the_service_can_read_its_configuration(tmp_path: Path) -> None:
    text = (PACKAGING / "systemd/hermes-exporter.service").read_text()
    # Without a `+`, which would ask it of root.
    (command,) = re.findall(r"^ExecReload=/bin/sh -c '(.*)'$", text, re.M)
    configuration = "/etc/hermes-exporter/hermes-exporter.yml"
    assert configuration in command
    there = tmp_path / "there.yml"
    there.write_text("instances: []\n")
    run("sh", "-c", command.replace(configuration, str(there))).succeeded()
    assert run("sh", "-c", command.replace(configuration, str(tmp_path / "none.yml"))).code != 0


def test_what_discover_prints_says_how_to_go_on(binary: Path, tmp_path: Path) -> None:
    (tmp_path / ".hermes").mkdir()
    (tmp_path / ".hermes/config.yaml").write_text("")
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    found = run(binary, "discover", environment=environment).succeeded().output
    (keys,) = re.findall(r"Every key: (\S+)$", found, re.M)
    assert Path(keys).is_file() or (REPOSITORY / keys).is_file(), keys
    assert "A line `units` is a guess" in found and "# units: [" in found, found
