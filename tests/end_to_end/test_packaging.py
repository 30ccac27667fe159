"""The Debian package: what it is made of fits together. It is not built here, which would take too long."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import tomllib
from pathlib import Path
from typing import Sequence

import pytest

from machine import KEEPER, TARA, Machine
from processes import run

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGING = REPOSITORY / "packaging"
MANIFEST = tomllib.loads((REPOSITORY / "Cargo.toml").read_text())
DEB = MANIFEST["package"]["metadata"]["deb"]
UNITS = ("hermes-exporter.service", "hermes-alert-bridge.service")
REPORT = "hermes-exporter-report@"
DEPLOYMENT = REPOSITORY / "docs/deployment-debian.md"
# What a unit is changed with to be judged by systemd-analyze.
FIGURES: dict[str, tuple[str, Sequence[str]]] = {
    "as it is installed": ("hermes-exporter.service", ()),
    "with `no-root.conf`": ("hermes-exporter.service", ("no-root.conf",)),
    "with `no-homes.conf`": ("hermes-exporter.service", ("no-homes.conf",)),
    "the bridge": ("hermes-alert-bridge.service", ()),
    "the bridge with `hermes-homes.conf`": ("hermes-alert-bridge.service", ("hermes-homes.conf",)),
}


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
    texts = [path for path in PACKAGING.rglob("*") if path.is_file()] + [DEPLOYMENT]
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


def with_changes(folder: Path, unit: str, changes: Sequence[str]) -> Path:
    """A unit and examples of changes to it, in a folder as systemd has them."""
    copy = Path(shutil.copy(PACKAGING / "systemd" / unit, folder))
    for change in changes:
        below = folder / f"{unit}.d"
        below.mkdir(exist_ok=True)
        shutil.copy(PACKAGING / "examples" / change, below)
    return copy


def test_the_changes_to_units_are_understood_by_systemd(binary: Path, tmp_path: Path) -> None:
    (tmp_path / "apart").mkdir()
    shutil.copy(PACKAGING / "examples/hermes-exporter.socket", tmp_path)
    together = with_changes(tmp_path, "hermes-exporter.service", ("no-homes.conf", "socket.conf", "web.conf"))
    other = with_changes(tmp_path, "hermes-alert-bridge.service", ("hermes-homes.conf",))
    apart = with_changes(tmp_path / "apart", "hermes-exporter.service", ("no-root.conf",))
    tried = {path.name for folder in tmp_path.rglob("*.d") for path in folder.iterdir()}
    assert tried == {path.name for path in (PACKAGING / "examples").glob("*.conf")}
    for unit in (together, other, apart):
        unit.write_text(re.sub(r"/usr/bin/hermes-\S+", str(binary), unit.read_text()))
    for units in ((together, tmp_path / "hermes-exporter.socket"), (other,), (apart,)):
        found = run("systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *units).succeeded()
        assert "hermes" not in found.output + found.log, found.log


def test_the_units_of_users_are_understood_by_systemd(tmp_path: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path)}
    units = [PACKAGING / "systemd/user" / f"{REPORT}.{kind}" for kind in ("service", "timer")]
    flags = ("--user", "--man=no", "--recursive-errors=no")
    found = run("systemd-analyze", "verify", *flags, *units, environment=environment).succeeded()
    assert found.output + found.log == ""


@pytest.mark.parametrize("is_configured", [False, True])
def test_a_report_is_made_with_the_configuration_of_the_user_if_it_is_there(
    tmp_path: Path, is_configured: bool
) -> None:
    text = (PACKAGING / "systemd/user" / f"{REPORT}.service").read_text().replace("\\\n", " ")
    (line,) = re.findall(r"^ExecStart=(.*)$", text, re.M)
    configuration = tmp_path / "with a space/hermes-exporter.yml"
    configuration.parent.mkdir()
    words = shlex.split(line.replace("$$", "$").replace("/usr/bin/hermes-exporter", r'printf "%s\n"'))
    assert words[-2:] == ["%i", "%E/hermes-exporter/hermes-exporter.yml"]
    if is_configured:
        configuration.write_text("instances: []\n")
    environment = {"PATH": os.environ["PATH"], "STATE_DIRECTORY": "/some where"}
    asked = run(*words[:-2], "bheem", configuration, environment=environment).succeeded().output.splitlines()
    expected = ["report", "--instance", "bheem", "--output", "/var/lib/hermes-exporter/reports/bheem.json"]
    expected += ["--state", "/some where/bheem.json"]
    assert asked == expected + (["--config.file", str(configuration)] if is_configured else [])


def test_everybody_may_add_a_report_and_nobody_may_list_them(tmp_path: Path) -> None:
    configuration = PACKAGING / "tmpfiles/hermes-exporter.conf"
    run("systemd-tmpfiles", "--create", f"--root={tmp_path}", configuration).succeeded()
    kept = tmp_path / "var/lib/hermes-exporter"
    modes = {path.name: oct(path.stat().st_mode & 0o7777) for path in (kept, kept / "reports")}
    assert modes == {"hermes-exporter": "0o755", "reports": "0o1733"}
    purged = re.findall(r"rm -rf (.*)$", (PACKAGING / "debian/postrm").read_text(), re.M)
    assert "/var/lib/hermes-exporter" in purged[0].split()


def test_manual_pages_are_without_a_mistake() -> None:
    pages = sorted((PACKAGING / "man").glob("*.1"))
    assert len(pages) > 10
    tried = 0
    for program, flags in (("groff", ("-man", "-ww", "-Tutf8", "-z")), ("mandoc", ("-Tlint", "-Wwarning"))):
        if shutil.which(program):
            tried += 1
            found = run(program, *flags, *pages).succeeded()
            assert found.output + found.log == "", program
    if not tried:
        pytest.skip("neither groff nor mandoc is here")


def test_the_figures_in_the_documentation_are_those_of_the_units(tmp_path: Path) -> None:
    if not run("systemctl", "--version").succeeded().output.startswith("systemd 252 "):
        pytest.skip("each version of systemd counts differently; the figures are those of 252")
    table = "| the exporter | exposure |\n|---|---|\n"
    for number, (name, (unit, changes)) in enumerate(FIGURES.items()):
        folder = tmp_path / str(number)
        folder.mkdir()
        judged = run("systemd-analyze", "security", "--offline=true", "--no-pager", with_changes(folder, unit, changes))
        (figure,) = re.findall(r"Overall exposure level for \S+: ([\d.]+) ", judged.succeeded().output)
        table += f"| {name} | {figure} |\n"
    begins, ends = "(UPDATE_GOLDEN=1). -->\n", "<!-- What was made ends here. -->\n"
    text = DEPLOYMENT.read_text()
    before, rest = text.split(begins)
    former, after = rest.split(ends)
    if os.environ.get("UPDATE_GOLDEN"):
        DEPLOYMENT.write_text(before + begins + table + ends + after)
        return
    assert former == table, "run this test with UPDATE_GOLDEN=1"


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
    (command,) = re.findall(r"^ExecReload=/bin/sh -c '(:.*)'$", text, re.M)
    configuration = "/etc/hermes-exporter/hermes-exporter.yml"
    assert configuration in command
    there = tmp_path / "there.yml"
    there.write_text("instances: []\n")
    run("sh", "-c", command.replace(configuration, str(there))).succeeded()
    assert run("sh", "-c", command.replace(configuration, str(tmp_path / "none.yml"))).code != 0


@pytest.mark.parametrize("unit", (*UNITS, *(f"user/{REPORT}.{kind}" for kind in ("service", "timer"))))
def test_a_unit_runs_nothing_that_a_small_machine_lacks(unit: str) -> None:
    """What the packages run that every Debian has is all there is: /bin/kill is procps', for one."""
    text = (PACKAGING / "systemd" / unit).read_text()
    programs = {command.lstrip("+-@!:").split()[0] for command in re.findall(r"^Exec\w+=(.*)$", text, re.M)}
    assert programs <= {"/bin/sh", "/usr/bin/hermes-exporter", "/usr/bin/hermes-alert-bridge"}, programs


# What would change a file, in the shell's words. `{home}` is a home with one file in it.
CHANGES = (
    "touch {home}/kept",
    "echo more >> {home}/kept",
    "dd if=/dev/zero of={home}/kept bs=1 count=1 conv=notrunc",
    "rm -f {home}/kept",
    "mv {home}/kept {home}/other",
    "mkdir {home}/new",
    "rmdir {home}/empty",
    "ln -s kept {home}/link",
    "ln {home}/kept {home}/link",
    "chmod 777 {home}/kept",
    "chown 0 {home}/kept",
    "truncate -s 0 {home}/kept",
    "mkfifo {home}/pipe",
    "mknod {home}/device c 1 3",
)


def test_the_service_changes_nothing_as_whomever_it_looks(machine: Machine) -> None:
    """Run where the service runs, with all that it may do, but other words than its program."""
    home = f"{TARA.home}/home"
    machine.run("sh", "-c", f"mkdir -p {home}/empty; echo kept > {home}/kept").succeeded()
    machine.run("chown", "-R", TARA.name, home).succeeded()
    roots = ("", "/proc/1/root")
    attempts = [change.format(home=root + home) for root in roots for change in CHANGES]
    rights = "+setuid,+setgid,+sys_ptrace"
    script = machine.share / "attempts.sh"
    script.write_text(
        f"as_tara() {{ setpriv --reuid={TARA.uid} --regid={TARA.uid} --clear-groups "
        f'--inh-caps={rights} --ambient-caps={rights} sh -c "$1"; }}\n'
        + "".join(f"as_tara 'test -r {root}{home}/kept' || echo 'not there: {root}'\n" for root in roots)
        + "".join(f"as_tara '{attempt}' 2>/dev/null && echo 'done: {attempt}'\n" for attempt in attempts)
        + "echo all tried\n"
    )
    unit = (PACKAGING / "systemd/hermes-exporter.service").read_text()
    unit = re.sub(r"^(Type|NotifyAccess|ExecReload|Restart\w*|Environment\w*)=.*\n", "", unit, flags=re.M)
    unit = re.sub(r"^ExecStart=.*$", f"Type=oneshot\nExecStart=/bin/sh {script}", unit, flags=re.M)
    # What the machine shares with the tests is below /tmp.
    unit = unit.replace("PrivateTmp=yes\n", "")
    name = "hermes-exporter-tried.service"
    try:
        machine.write_units({name: unit})
        machine.systemctl("start", name)
        machine.run("journalctl", "--sync").succeeded()
        told = machine.run("journalctl", "--output=cat", f"--unit={name}", f"_UID={KEEPER.uid}").output.splitlines()
        assert [line for line in told if "File size limit" not in line] == ["all tried"]
        assert machine.path(f"{home}/kept").read_text() == "kept\n"
        assert sorted(path.name for path in machine.path(home).iterdir()) == ["empty", "kept"]
    finally:
        (machine.unit_folder() / name).unlink()
        machine.systemctl("daemon-reload")
        machine.run("rm", "-rf", home).succeeded()


def test_what_discover_prints_says_how_to_go_on(binary: Path, tmp_path: Path) -> None:
    (tmp_path / ".hermes").mkdir()
    (tmp_path / ".hermes/config.yaml").write_text("")
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    found = run(binary, "discover", environment=environment).succeeded().output
    (keys,) = re.findall(r"Every key: (\S+)$", found, re.M)
    assert Path(keys).is_file() or (REPOSITORY / keys).is_file(), keys
    assert "A line `units` is a guess" in found and "# units: [" in found, found
