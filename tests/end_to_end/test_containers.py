"""What docker/ ships: the Dockerfile, the compose files, and what prepare.sh makes; without any container engine.

tests/images.sh builds the images and runs them, which takes too long for this place.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Iterator, Optional
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

import pytest
import yaml

from alert_bridge import ask
from exporter import Exporter
from processes import free_port, run, running, wait_for

REPOSITORY = Path(__file__).resolve().parents[2]
CONTAINER_OVERLAY, TAILSCALE_OVERLAY = "compose.hermes-container.yml", "compose.tailscale.yml"
OVERLAYS = [[], [CONTAINER_OVERLAY], [TAILSCALE_OVERLAY]]
OWN = ["hermes-exporter", "hermes-alert-bridge", "prometheus", "alertmanager", "grafana"]
SECRETS = ["webhook_token", "telegram_bot_token", "grafana_admin_password", "grafana_secret_key"]
# The agent itself is somebody else's program, whose first process needs more.
NOT_HARDENED = {"hermes"}
# What they are configured with, which names secrets and each other.
CONFIGURED = {
    "prometheus": "alerts/prometheus.yml",
    "alertmanager": "alerts/alertmanager.yml",
    "hermes-alert-bridge": "docker/configuration/hermes-alert-bridge/bridge.yml",
}


@pytest.fixture
def tree(folder: Path) -> Path:
    """A copy of what is mounted, so that what prepare.sh makes does not stay."""
    for name in ["docker", "alerts", "dashboards"]:
        ours = shutil.ignore_patterns(".env", "secrets", "configuration", "__pycache__")
        shutil.copytree(REPOSITORY / name, folder / name, ignore=ours)
    return folder


def prepare(tree: Path, *arguments: object, umask: int = 0o022) -> subprocess.CompletedProcess[str]:
    command = [tree / "docker/prepare.sh", *arguments]
    return subprocess.run(command, capture_output=True, text=True, umask=umask, timeout=60)


def prepared(tree: Path) -> Path:
    """The tree, prepared for a home in it."""
    home = tree / "home"
    home.mkdir()
    os.chown(home, 12345, 12346)
    done = prepare(tree, home)
    assert done.returncode == 0, done.stderr
    return tree


def compose(tree: Path, overlays: list[str]) -> subprocess.CompletedProcess[str]:
    files = [part for name in ["compose.yml", *overlays] for part in ("-f", name)]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tree)}
    command = ["docker-compose", *files, "config"]
    return subprocess.run(command, cwd=tree / "docker", env=environment, capture_output=True, text=True, timeout=60)


def configured(tree: Path, overlays: list[str]) -> dict:
    """The compose files, as compose understands them."""
    done = compose(tree, overlays)
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)


def mounts(service: dict) -> Iterator[tuple[str, str, str]]:
    """Source, target and mode of each."""
    for mount in service.get("volumes", []):
        if isinstance(mount, dict):
            yield mount["source"], mount["target"], "ro" if mount.get("read_only") else "rw"
            continue
        source, target, *mode = mount.split(":")
        yield source, target, mode[0] if mode else "rw"


def texts(value: object) -> Iterator[str]:
    """Every text in what YAML says."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from texts(part)
    elif isinstance(value, str):
        yield value


def scripts() -> Iterator[Path]:
    """Every shell script of the repository, whatever its name; what is built may have others'."""
    for place, folders, files in os.walk(REPOSITORY):
        others = {name for name in folders if name.startswith(".") and name != ".ci"} | {"target", "node_modules"}
        folders[:] = [name for name in folders if name not in others]
        yield from (path for path in (Path(place, name) for name in files) if path.is_file() and is_script(path))


def is_script(path: Path) -> bool:
    """Whether its first line names a shell."""
    with path.open("rb") as file:
        return re.match(rb"#!\s*\S*/(?:env +)?(?:ba|da)?sh\b", file.readline(200)) is not None


def test_what_linters_say() -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    checked = subprocess.run([hadolint, REPOSITORY / "docker/Dockerfile"], capture_output=True, text=True, timeout=60)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    found = list(scripts())
    for known in ("docker/prepare.sh", "packaging/debian/postinst", ".ci/run"):
        assert REPOSITORY / known in found, f"{known} is not looked at"
    checked = subprocess.run(["shellcheck", *found], capture_output=True, text=True, timeout=120)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("overlays", OVERLAYS, ids=lambda overlays: "+".join(overlays) or "alone")
def test_no_container_may_more_than_it_needs(tree: Path, overlays: list[str]) -> None:
    stack = configured(prepared(tree), overlays)
    services = stack["services"]
    assert set(OWN) <= set(services)
    for name, service in services.items():
        assert not service.get("privileged") and "cap_add" not in service and "devices" not in service, name
        assert service["restart"] == "unless-stopped" and "mem_limit" in service, name
        assert "network_mode" not in service and list(service["networks"]) == ["hermes"], name
        tag = service["image"].rsplit(":", 1)[1]
        assert name in NOT_HARDENED or tag == "local" or re.fullmatch(r"v?\d+\.\d+\.\d+", tag), service["image"]
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name} publishes {port}"
        for source, target, mode in mounts(service):
            assert mode == "ro" or source in stack["volumes"], f"{name} may write to {source}"
            assert "docker.sock" not in source and target != "/", name
        if name in NOT_HARDENED:
            continue
        assert service["read_only"] is True and service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["healthcheck"]["test"][0] == "CMD", f"{name}: not every image has a shell"


@pytest.mark.parametrize("overlays", [[], [CONTAINER_OVERLAY, TAILSCALE_OVERLAY]], ids=["alone", "all"])
def test_everything_that_is_mounted_is_there(tree: Path, overlays: list[str]) -> None:
    stack = configured(prepared(tree), overlays)
    (tree / "docker/secrets/tailscale_auth_key").write_text("key\n")
    for name, service in stack["services"].items():
        for source, target, _ in mounts(service):
            assert source in stack["volumes"] or Path(source).exists(), f"{name} mounts {source} at {target}"
        for secret in service.get("secrets", []):
            assert Path(stack["secrets"][secret["source"]]["file"]).is_file(), f"{name}: {secret}"
        build = service.get("build")
        assert not build or (tree / build["dockerfile"]).is_file()
    grafana = stack["services"]["grafana"]
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    provider = yaml.safe_load((tree / "docker/grafana/provisioning/dashboards/hermes.yml").read_text())["providers"][0]
    assert str(home.parent) == provider["options"]["path"]
    assert (inside(grafana, home)).is_file(), "Grafana opens with a dashboard that is not there"


def inside(service: dict, path: Path) -> Path:
    """The file that a container sees at this path, on this side."""
    for source, target, _ in mounts(service):
        if path.is_relative_to(target):
            return Path(source) / path.relative_to(target)
    raise AssertionError(f"nothing is mounted at {path}")


def argument(service: dict, flag: str) -> Path:
    [value] = [word.split("=", 1)[1] for word in service["command"] if word.startswith(f"{flag}=")]
    return Path(value)


def test_services_find_each_other_and_their_secrets(tree: Path) -> None:
    services = configured(prepared(tree), [])["services"]
    listening = {
        (name, int(port.split("/")[0].rsplit(":", 1)[1]))
        for name, service in services.items()
        for port in service["ports"]
    }
    for name, file in CONFIGURED.items():
        said = list(texts(yaml.safe_load((tree / file).read_text())))
        given = {f"/run/secrets/{secret['source']}" for secret in services[name].get("secrets", [])}
        for text in said:
            assert not text.startswith("/run/secrets/") or text in given, f"{name} is not given {text}"
            # Links are for people, who come by the loopback.
            url = urlsplit(text if "://" in text else f"//{text}")
            is_address = re.fullmatch(r"(\w+://)?[\w.-]+:\d+(/[\w/-]*)?", text)
            if is_address and url.hostname not in ("localhost", "127.0.0.1"):
                assert (url.hostname, url.port) in listening, f"{name}: nothing listens at {text}"
    datasource = yaml.safe_load((tree / "docker/grafana/provisioning/datasources/prometheus.yml").read_text())
    assert datasource["datasources"][0]["url"] == "http://prometheus:9090"

    prometheus = inside(services["prometheus"], argument(services["prometheus"], "--config.file"))
    loaded = yaml.safe_load(prometheus.read_text())
    jobs = {job["job_name"]: job for job in loaded["scrape_configs"]}
    assert jobs["hermes"]["honor_labels"] is True
    assert jobs["hermes"]["static_configs"][0]["targets"] == ["hermes-exporter:10119"]
    for pattern in loaded["rule_files"]:
        assert list(prometheus.parent.glob(pattern)), f"{pattern}: there are no such rules"
    assert inside(services["alertmanager"], argument(services["alertmanager"], "--config.file")).is_file()


def test_the_overlay_with_hermes_looks_at_the_container_alone(tree: Path) -> None:
    services = configured(prepared(tree), [CONTAINER_OVERLAY])["services"]
    watching, hermes = services["hermes-exporter"], services["hermes"]
    assert watching["pid"] == "service:hermes" and watching["user"] == "10000:10000"
    homes = {target: source for source, target, _ in mounts(watching)}
    assert homes["/hermes"] == {target: source for source, target, _ in mounts(hermes)}["/opt/data"]
    alone = configured(tree, [])["services"]["hermes-exporter"]
    assert alone["pid"] == "host" and alone["user"] == "12345:12346"


def test_nothing_starts_without_secrets(tree: Path) -> None:
    refused = compose(tree, [])
    assert refused.returncode != 0 and "prepare.sh" in refused.stderr, refused.stdout
    stack = configured(prepared(tree), [])
    assert sorted(stack["secrets"]) == sorted(SECRETS)
    # No value of one is anywhere but in its file, which git does not see.
    for key in (key for service in stack["services"].values() for key in service.get("environment", {})):
        assert not re.search("PASSWORD|SECRET_KEY|TOKEN|AUTHKEY", key) or key.endswith("__FILE"), key
    ignored = (REPOSITORY / ".gitignore").read_text().split()
    assert {"/docker/secrets/", "/docker/configuration/", "/docker/.env"} <= set(ignored)
    sent = (REPOSITORY / ".dockerignore").read_text().split()
    assert "*" in sent and not any(line.startswith("!docker") for line in sent)


def test_what_is_prepared_is_private_readable_in_a_container_and_kept(tree: Path) -> None:
    prepared(tree)
    docker = tree / "docker"
    assert stat.S_IMODE((docker / "secrets").stat().st_mode) == 0o700
    values = {}
    for name in SECRETS:
        path = docker / "secrets" / name
        assert stat.S_IMODE(path.stat().st_mode) == 0o644, name
        values[name] = path.read_text()
    # The name of the folder, which is that of many, is not the project's.
    assert "COMPOSE_PROJECT_NAME=hermes-exporter" in (docker / ".env").read_text().splitlines()
    made = [value for name, value in values.items() if name != "telegram_bot_token"]
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in made) and len(set(made)) == 3
    (docker / "secrets/telegram_bot_token").write_text("1:a")
    (docker / "configuration/hermes-alert-bridge/bridge.yml").write_text("mine")
    again = prepare(tree, tree / "home")
    assert again.returncode == 0 and "made" not in again.stdout, again.stdout
    assert (docker / "secrets/webhook_token").read_text() == values["webhook_token"]
    assert (docker / "secrets/telegram_bot_token").read_text() == "1:a"
    assert (docker / "configuration/hermes-alert-bridge/bridge.yml").read_text() == "mine"
    assert not [value for value in made if value in again.stdout + again.stderr]


def test_a_home_may_have_any_path_that_compose_can_read(tree: Path) -> None:
    home = tree / "my home #1: a"
    home.mkdir()
    (home / "config.yaml").touch()
    done = prepare(tree, home)
    assert done.returncode == 0 and not done.stderr, done.stderr
    found = {target: source for source, target, _ in mounts(configured(tree, [])["services"]["hermes-exporter"])}
    assert found["/hermes"] == str(home)
    # Whoever asks for another one is told that nothing was done about it; an overlay more makes no difference.
    environment = tree / "docker/.env"
    environment.write_text(environment.read_text().replace("compose.yml", f"compose.yml:{TAILSCALE_OVERLAY}"))
    assert prepare(tree, home).returncode == 0
    for another in [tree, "--container"]:
        refused = prepare(tree, another)
        assert refused.returncode == 1 and f"To watch {another} instead" in refused.stderr, refused.stderr
    for name in ["a$b", "a'b", 'a"b', "a\\b", "a\nb"]:
        (tree / name).mkdir()
        refused = prepare(tree, tree / name)
        assert refused.returncode == 1 and "a link" in refused.stderr, refused.stderr


def test_what_a_container_can_not_see_is_reported_only_where_it_could_see_it(tree: Path) -> None:
    home = tree / "home"
    home.mkdir()
    configuration = tree / "docker/configuration/hermes-exporter/hermes-exporter.yml"
    apparmor = Path("/sys/module/apparmor/parameters/enabled")
    machine_hides = apparmor.exists() and apparmor.read_text().strip() == "Y"
    for owner, argument, hides in [(0, home, True), (12345, home, machine_hides), (0, "--container", False)]:
        os.chown(home, owner, owner)
        shutil.rmtree(tree / "docker/configuration", ignore_errors=True)
        (tree / "docker/.env").unlink(missing_ok=True)
        assert prepare(tree, argument).returncode == 0
        [instance] = yaml.safe_load(configuration.read_text())["instances"]
        limits = {"collector_unknown": False} if hides else None  # `off`, as YAML 1.1 has it
        assert instance.get("thresholds") == limits, (owner, argument)
        assert set(instance) - {"thresholds"} == {"name", "home", "units"}


def test_what_cannot_be_read_in_a_container_is_said(tree: Path) -> None:
    (tree / "home").mkdir()
    rules = tree / "alerts/rules"
    rules.chmod(0o700)
    done = prepare(tree, tree / "home", umask=0o077)
    assert done.returncode == 0 and f"can not read {rules}" in done.stderr, done.stderr


@pytest.mark.parametrize("arguments", [[], ["relative"], ["--other"], ["/a", "/b"]], ids=str)
def test_preparing_needs_one_home(tree: Path, arguments: list[str]) -> None:
    refused = prepare(tree, *arguments)
    assert refused.returncode == 64 and not (tree / "docker/secrets").exists(), refused.stdout
    absent = prepare(tree, "/does/not/exist")
    assert absent.returncode == 1 and "is not there" in absent.stderr


def included() -> Iterator[Path]:
    """What the programs have in them that is not below src/, as it is found from the repository."""
    for file in (REPOSITORY / "src").rglob("*.rs"):
        # Tests are not built into an image.
        code = "" if file.name == "tests.rs" else file.read_text().split("#[cfg(test)]\nmod tests {")[0]
        for found in re.findall(r'include_(?:str|bytes)!\(\s*(?:concat!\(\s*)?"([^"]+)"', code):
            path = Path(os.path.normpath(file.parent / found)).relative_to(REPOSITORY)
            if path.parts[0] != "src":
                yield path


def test_the_exporters_image_is_built_from_all_that_is_in_the_program() -> None:
    needed = set(included())
    assert Path("alerts/rules/findings.yml") in needed and Path("docs/runbooks") in needed
    sent = [line[1:] for line in (REPOSITORY / ".dockerignore").read_text().split() if line.startswith("!")]
    stage = (REPOSITORY / "docker/Dockerfile").read_text().split("AS build-exporter")[1].split("FROM ")[0]
    copied = re.findall(r"^COPY (\S+) \./\1$", stage, re.MULTILINE)
    for path in needed:
        assert any(path.is_relative_to(folder) for folder in sent), f".dockerignore does not let {path} through"
        assert any(path.is_relative_to(folder) for folder in copied), f"the Dockerfile does not copy {path}"


def test_the_examples_are_valid(tree: Path, exporter: Exporter, bridge_binary: Path) -> None:
    prepared(tree)
    checked = exporter.run("check-config", tree / "docker/configuration/hermes-exporter/hermes-exporter.yml")
    assert checked.code == 0 and "valid, 1 instance" in checked.output, checked.output
    # The paths in it are those in the container.
    example = (tree / "docker/configuration/hermes-alert-bridge/bridge.yml").read_text()
    example = example.replace("/run/secrets", str(tree / "docker/secrets"))
    example = example.replace("/var/lib/hermes-alert-bridge", str(tree))
    (tree / "bridge.yml").write_text(example)
    printing = run(bridge_binary, "check-config", tree / "bridge.yml")
    assert printing.code == 0, printing
    # With the lines that are commented out, instead of those that they say.
    printed = "delivery: console\nchats:\n  root: {}\n"
    assert printed in example
    with_bot = example.replace(printed, "")
    for line in ["# telegram:", "# chats:", "#   root:"]:
        assert line in with_bot
        with_bot = with_bot.replace(line, line[2:])
    (tree / "bridge.yml").write_text(with_bot)
    (tree / "docker/secrets/telegram_bot_token").write_text("123456789:AAHdqTcvCH1vGWJxfSeofSAs0K5PALDsawX\n")
    sending = run(bridge_binary, "check-config", tree / "bridge.yml")
    assert sending.code == 0, sending


def shipped_rules() -> Iterator[dict[str, str]]:
    """The labels with which each shipped alert arrives where everything runs in containers."""
    for file in sorted((REPOSITORY / "alerts/rules").glob("*.yml")):
        for rule in (rule for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]):
            if "alert" not in rule:
                continue
            labels = {"alertname": rule["alert"], "severity": "warning", **rule.get("labels", {})}
            yield {**labels, "instance": "vijay"}
            # About the machine, which has no name of its own; and about what Prometheus lacks altogether.
            yield {**labels, "instance": "hermes-exporter:10119"}
            if "finding" not in labels:
                yield labels
                yield {**labels, "instance": "prometheus:9090"}


def fingerprint(labels: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(labels, sort_keys=True).encode()).hexdigest()[:16]


def test_every_shipped_alert_has_a_route(tree: Path, bridge_binary: Path) -> None:
    prepared(tree)
    example = (tree / "docker/configuration/hermes-alert-bridge/bridge.yml").read_text()
    example = example.replace("/run/secrets", str(tree / "docker/secrets"))
    (tree / "bridge.yml").write_text(example.replace("/var/lib/hermes-alert-bridge", str(tree)))
    port = free_port()
    token = (tree / "docker/secrets/webhook_token").read_text()
    serve = ["--config.file", tree / "bridge.yml", "--web.listen-address", f"127.0.0.1:{port}"]

    def unrouted_after(labels: list[dict[str, str]]) -> float:
        firing = {"status": "firing", "startsAt": "2026-11-20T12:00:00Z"}
        alerts = [{**firing, "fingerprint": fingerprint(those), "labels": those} for those in labels]
        body = {"version": "4", "groupKey": "{}", "status": "firing", "receiver": "bridge", "alerts": alerts}
        request = Request(f"http://127.0.0.1:{port}/alertmanager", json.dumps(body).encode())
        request.add_header("Authorization", f"Bearer {token}")
        with urlopen(request, timeout=10) as answer:
            assert answer.status == 200
        metrics = ask(port, "GET", "/metrics")[1].decode()
        [value] = re.findall(r"^hermes_alert_bridge_unrouted_total (\S+)$", metrics, re.MULTILINE)
        return float(value)

    with running(bridge_binary, *serve):
        wait_for("the bridge to be ready", lambda: ask(port, "GET", "/-/ready")[0] == 200)
        assert unrouted_after(list(shipped_rules())) == 0
        stranger = {"alertname": "HermesGatewayDown", "instance": "stranger", "finding": "gateway_down"}
        assert unrouted_after([stranger]) == 1, "who adds an instance is not told that a route is missing"


def healthcheck(binary: Path, port: Optional[int], *flags: str) -> tuple[int, str]:
    """The exit code, and the one line that is said."""
    where = [] if port is None else ["--web.listen-address", f"0.0.0.0:{port}"]
    finished = run(binary, "healthcheck", *where, *flags)
    return finished.code, (finished.output + finished.log).strip()


def test_a_program_says_whether_it_is_healthy(exporter: Exporter, folder: Path, bridge_binary: Path) -> None:
    configuration = folder / "bridge.yml"
    configuration.write_text(f"store: {folder}/bridge.db\ndelivery: console\nchats: {{a: {{}}}}\ndefault_chat: a\n")
    port = free_port()
    serve = ["--config.file", configuration, "--web.listen-address", f"127.0.0.1:{port}"]
    with running(bridge_binary, *serve):
        wait_for("the bridge to be ready", lambda: ask(port, "GET", "/-/ready")[0] == 200)
        assert healthcheck(bridge_binary, port) == (0, "healthy")
        assert healthcheck(bridge_binary, port, "--ready") == (0, "ready")
        # The other program asks the same.
        assert healthcheck(exporter.binary, port) == (0, "healthy")
    for binary in [bridge_binary, exporter.binary]:
        code, said = healthcheck(binary, port)
        assert code == 1 and said.count("\n") == 0 and f"0.0.0.0:{port}/-/healthy" in said, said
        assert healthcheck(binary, None, "--web.listen-address", "nonsense")[0] == 64
