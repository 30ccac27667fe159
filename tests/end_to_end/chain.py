"""The whole chain at work: gateways of Hermes, exporter, Prometheus, Alertmanager, bridge; only Telegram is imitated.

Everything runs as it is shipped in `alerts/`, sixty times faster: each `for` and `keep_firing_for` of an alert about an
instance, each `group_wait`, `group_interval` and `repeat_interval` is as many seconds as it has minutes there. So it is
with the alert that keeps back what is told of instances while the exporter is away. The others about the watching
itself wait as long as ever: a Prometheus tells for the first time five seconds after its start, which would be five
minutes to them. Every program can be killed, and comes back under its address, with what it has on the disk.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import re
import signal
import sys
import time
from pathlib import Path
from typing import Callable, Iterator, Optional, Sequence
from urllib.parse import urlencode

import yaml

from alert_bridge import BotApi, ask, bot_api, bridge_configuration, bridge_environment
from exporter import bare_environment
from fleet import git
from processes import DEADLINE_SECONDS, Program, free_port, run, running, wait_for

REPOSITORY = Path(__file__).resolve().parents[2]
ALERTS = REPOSITORY / "alerts"

# How much faster than as shipped.
FASTER = 60

# How often Prometheus tells Alertmanager what fires (--rules.alert.resend-delay; as shipped a minute). Four times as
# long Alertmanager believes it: that is how long Prometheus may be away until what fires is taken for over.
RESEND_SECONDS = 5

# How long there may be no heartbeat (watchdog.max_silence; 5m where it is documented). Longer than any outage here.
SILENCE_SECONDS = 60

# The alert about the watching that has to come before those about instances have ended.
EXPORTER_DOWN = "HermesExporterDown"

HOUR = 3600.0

# Mounts what nobody answers for at the path of its argument, and holds it until it is ended: whoever looks there waits.
DEAD_FILESYSTEM = """
import ctypes, os, sys, time
libc = ctypes.CDLL(None, use_errno=True)
descriptor = os.open("/dev/fuse", os.O_RDWR)
options = f"fd={descriptor},rootmode=40000,user_id=0,group_id=0,allow_other"
assert libc.mount(b"dead", os.fsencode(sys.argv[1]), b"fuse", 0, options.encode()) == 0, os.strerror(ctypes.get_errno())
print("mounted", flush=True)
time.sleep(600)
"""


# ---- what is shipped, and faster ----


def faster(duration: str) -> str:
    """A duration of a configuration, as much shorter as everything here is; at least a second."""
    parts = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", duration)
    assert parts and any(parts.groups()), f"{duration!r} is not understood here"
    hours, minutes, seconds = (int(part or 0) for part in parts.groups())
    whole = hours * 3600 + minutes * 60 + seconds
    return f"{max(1, round(whole / FASTER))}s" if whole else "0s"


def seconds_of(duration: str) -> int:
    assert re.fullmatch(r"\d+s", duration), duration
    return int(duration[:-1])


def hasten_rules(rules: dict) -> dict:
    """Rules with alerts that wait and hold on for as many seconds as they did minutes.

    Those about instances, and that about an exporter that is down; nothing else is changed.
    """
    for group in rules["groups"]:
        for rule in group["rules"]:
            for key in ("for", "keep_firing_for"):
                if key in rule and (_is_about_instances(rule) or rule.get("alert") == EXPORTER_DOWN):
                    rule[key] = faster(rule[key])
    return rules


def _is_about_instances(rule: dict) -> bool:
    return "finding" in rule.get("labels", {})


def hasten_route(route: dict) -> None:
    """A route of Alertmanager and all below it, faster."""
    for key in ("group_wait", "group_interval", "repeat_interval"):
        if key in route:
            route[key] = faster(route[key])
    for below in route.get("routes", []):
        hasten_route(below)


def write_rules(folder: Path) -> int:
    """Writes the shipped rules, faster. Gives the longest time for which one of their alerts waits, in seconds."""
    (folder / "rules").mkdir()
    longest = 0
    for path in sorted((ALERTS / "rules").glob("*.yml")):
        rules = hasten_rules(yaml.safe_load(path.read_text()))
        about_instances = [rule for group in rules["groups"] for rule in group["rules"] if _is_about_instances(rule)]
        longest = max([longest, *(seconds_of(rule["for"]) for rule in about_instances if "for" in rule)])
        (folder / "rules" / path.name).write_text(yaml.safe_dump(rules, sort_keys=False))
    return longest


def write_prometheus(folder: Path, addresses: dict[str, int]) -> Path:
    """Writes the shipped configuration of Prometheus, with these addresses, and everything each second."""
    configuration = yaml.safe_load(with_addresses((ALERTS / "prometheus.yml").read_text(), addresses))
    configuration["global"].update(scrape_interval="1s", scrape_timeout="1s", evaluation_interval="1s")
    for job in configuration["scrape_configs"]:
        job.pop("scrape_interval", None)
        job.pop("scrape_timeout", None)
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(configuration, sort_keys=False))
    return path


def shipped_flags_for_rules() -> list[str]:
    """The flags with which the shipped Prometheus is told how to deal with rules."""
    compose = yaml.safe_load((REPOSITORY / "docker" / "compose.yml").read_text())
    return [flag for flag in compose["services"]["prometheus"]["command"] if flag.startswith("--rules.")]


def write_alertmanager(folder: Path, addresses: dict[str, int]) -> Path:
    """Writes the shipped configuration of Alertmanager, with these addresses, and faster."""
    text = with_addresses((ALERTS / "alertmanager.yml").read_text(), addresses)
    configuration = yaml.safe_load(text.replace("/run/secrets/", f"{folder}/"))
    hasten_route(configuration["route"])
    path = folder / "alertmanager.yml"
    path.write_text(yaml.safe_dump(configuration, sort_keys=False))
    return path


def with_addresses(text: str, addresses: dict[str, int]) -> str:
    """A configuration with ports of this machine in place of the names and ports of the containers."""
    for name, port in addresses.items():
        assert name in text or name.startswith("prometheus"), f"{name} is not in the shipped configuration"
        text = re.sub(rf"(?<![\w.-]){re.escape(name)}\b", f"127.0.0.1:{port}", text)
    return text


# ---- the programs ----


class Part:
    """A program of the chain: it can go down, and come back with the same arguments."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[object],
        is_ready: Callable[[Program], object],
        environment: dict[str, str],
        ready_in: float = DEADLINE_SECONDS,
    ) -> None:
        self.name = name
        self._arguments, self._is_ready, self._environment = arguments, is_ready, environment
        self._ready_in = ready_in
        self._program: Optional[Program] = None
        self._former_logs = ""

    @property
    def pid(self) -> int:
        assert self._program, f"{self.name} is down"
        return self._program.pid

    def start(self, until_ready: bool = True) -> None:
        assert not self._program, f"{self.name} is up already"
        self._program = Program(self._arguments, environment=self._environment)
        if until_ready:
            self.wait_until_ready()

    def wait_until_ready(self) -> None:
        def is_ready() -> object:
            assert self._program
            self._program.assert_running()
            return self._is_ready(self._program)

        wait_for(f"{self.name} to be ready", is_ready, self._ready_in)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Ends it and waits until it is gone."""
        assert self._program, f"{self.name} is down already"
        self._program.assert_running()
        self._program.send(number)
        self._program.wait()
        self.clean_up()

    def restart(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.stop(number)
        self.start()

    def clean_up(self) -> None:
        if self._program:
            self._former_logs = f"{self.log()}\n---- gone ----\n"
            self._program.end()
            self._program = None

    def log(self) -> str:
        """All that it has written, in all its lives."""
        return self._former_logs + (self._program.everything() if self._program else "")


def answers(port: int, path: str) -> Callable[[Program], bool]:
    """A condition: the program at this port answers well."""
    return lambda _: ask(port, "GET", path, seconds=5)[0] == 200


@dataclasses.dataclass
class Installation:
    """An installation of Hermes: a home, its real gateway, and the repository that it is backed up to."""

    name: str
    home: Path
    repository: Path
    gateway: Part
    exposed: Part

    def commit(self, age: float) -> None:
        """Makes the newest commit of the backup one of so many seconds ago, and pushes it."""
        date = f"{int(time.time() - age)} +0000"
        is_new = not (self.repository / ".git" / "refs" / "heads" / "main").exists()
        amend = [] if is_new else ["--amend"]
        git(self.repository, "commit", "-q", "-m", "backup", *amend, "--allow-empty", date=date)
        git(self.repository, "push", "-q", "-f", "origin", "main")


def installation(folder: Path, name: str, hermes: Path) -> Installation:
    """An installation that has a backup of this minute, and whose gateway is not at work yet."""
    home, repository, remote = folder / name, folder / f"{name}-backup", folder / f"{name}-remote"
    home.mkdir(mode=0o700)
    run("git", "init", "-q", "--bare", "-b", "main", remote).succeeded()
    run("git", "init", "-q", "-b", "main", repository).succeeded()
    git(repository, "remote", "add", "origin", remote)
    (repository / "notes.md").write_text("notes")
    git(repository, "add", "-A")
    environment = bare_environment(folder) | {"HERMES_HOME": str(home)}

    def is_at_work(program: Program) -> bool:
        state = json.loads((home / "gateway_state.json").read_text())
        return state["pid"] == program.pid and state["gateway_state"] == "running"

    # In networks of their own, so that nothing here is ever reachable from anywhere, and nobody is asked for anything.
    alone = ("unshare", "--net", hermes)
    gateway = Part(f"gateway of {name}", (*alone, "gateway", "run"), is_at_work, environment, ready_in=120)
    # For a dashboard that is not on loopback Hermes demands a login.
    login = {"HERMES_DASHBOARD_BASIC_AUTH_USERNAME": "somebody", "HERMES_DASHBOARD_BASIC_AUTH_PASSWORD": "not-a-secret"}
    arguments = (*alone, "dashboard", "--no-open", "--host", "0.0.0.0", "--port", 9119)
    listens = lambda program: f":{9119:04X} " in Path(f"/proc/{program.pid}/net/tcp").read_text()  # noqa: E731
    exposed = Part(f"dashboard of {name} for everybody", arguments, listens, environment | login, ready_in=120)
    made = Installation(name, home, repository, gateway, exposed)
    made.commit(age=0)
    return made


class Chain:
    """Everything, at work, and what is asked of it."""

    def __init__(self, folder: Path, api: BotApi, programs: dict[str, Path]) -> None:
        """`programs` are the paths of `hermes`, `hermes-exporter`, `prometheus`, `alertmanager` and the bridge."""
        self.api = api
        hermes = programs["hermes"]
        self.vijay, self.bheem = (installation(folder, name, hermes) for name in ("vijay", "bheem"))
        self.installations = (self.vijay, self.bheem)
        at = {name: free_port() for name in ("exporter", "bridge", "prometheus", "alertmanager")}
        self._ports = at
        addresses = {
            "hermes-exporter:10119": at["exporter"],
            "hermes-alert-bridge:10120": at["bridge"],
            "prometheus:9090": at["prometheus"],
            "alertmanager:9093": at["alertmanager"],
        }
        self.longest_wait = write_rules(folder)
        (folder / "webhook_token").write_text("for-the-webhook")
        environment = bare_environment(folder)

        def listening(name: str) -> str:
            return f"--web.listen-address=127.0.0.1:{at[name]}"

        # With mounts of its own, so that it can be given something else to see than what is there.
        arguments = ["unshare", "--mount", "--propagation", "private", programs["exporter"], "serve"]
        arguments += ["--config.file", self._exporter_configuration(folder), listening("exporter")]
        self.exporter = Part("exporter", arguments, answers(at["exporter"], "/-/ready"), environment)

        arguments = [programs["prometheus"], f"--config.file={write_prometheus(folder, addresses)}"]
        arguments += [f"--storage.tsdb.path={folder / 'prometheus'}", listening("prometheus")]
        arguments += [f"--rules.alert.resend-delay={RESEND_SECONDS}s", *shipped_flags_for_rules()]
        self.prometheus = Part("prometheus", arguments, answers(at["prometheus"], "/-/ready"), environment)

        configuration = write_alertmanager(folder, {"hermes-alert-bridge:10120": at["bridge"]})
        arguments = [programs["alertmanager"], f"--config.file={configuration}", "--cluster.listen-address="]
        arguments += [f"--storage.path={folder / 'alertmanager'}", listening("alertmanager")]
        self.alertmanager = Part("alertmanager", arguments, answers(at["alertmanager"], "/-/ready"), environment)

        self._folder = folder
        arguments = [programs["bridge"], "serve", "--config.file", self.configure_bridge(SILENCE_SECONDS)]
        arguments += [listening("bridge")]
        is_healthy = answers(at["bridge"], "/-/healthy")
        self.bridge = Part("bridge", arguments, is_healthy, bridge_environment(folder))

        self.parts = [self.exporter, self.bridge, self.alertmanager, self.prometheus]
        self.parts += [part for one in self.installations for part in (one.gateway, one.exposed)]

    def configure_bridge(self, silence: int) -> Path:
        """Writes the configuration of the bridge, with so many seconds for which there may be no heartbeat."""
        watchdog = {"match": 'alertname = "Watchdog"', "max_silence": f"{silence}s"}
        auth = {"bearer_token_file": str(self._folder / "webhook_token")}
        # What is wrong with the watching itself is kept apart from what is wrong with instances.
        routes = [
            {"match": 'finding = ""', "chat": "ops"},
            {"match": 'instance = "vijay"', "chat": "root"},
            {"match": 'instance = "bheem"', "chat": "uma"},
        ]
        return bridge_configuration(self._folder, self.api, auth=auth, watchdog=watchdog, routes=routes)

    def _exporter_configuration(self, folder: Path) -> Path:
        instances = [
            {
                "name": one.name,
                "home": str(one.home),
                "units": [],
                "backups": [{"name": "vm", "path": str(one.repository), "remote": "origin", "max_age": "26h"}],
            }
            for one in self.installations
        ]
        configuration = {
            "instances": instances,
            # How full the disk of the machine is that these tests run on is not their matter.
            "thresholds": {"disk_available": "off", "disk_available_critical": "off"},
            "collectors": {name: {"time_to_live": "1s"} for name in ("backup", "sessions")},
        }
        path = folder / "hermes-exporter.yml"
        path.write_text(json.dumps(configuration))
        return path

    def start(self) -> None:
        """Starts everything, and waits until everything is seen to be well and the heart beats."""
        for one in self.installations:
            one.gateway.start(until_ready=False)
        for part in (self.exporter, self.alertmanager):
            part.start()
        for one in self.installations:
            one.gateway.wait_until_ready()
        # Not before there is something to see, and something that may be missed.
        for part in (self.bridge, self.prometheus):
            part.start()
        wait_for("both gateways to be seen", lambda: len(self.query("hermes_gateway_up == 1")) == 2)
        wait_for("a heartbeat", self.heartbeat)

    def clean_up(self) -> None:
        for part in self.parts:
            part.clean_up()

    def logs(self) -> str:
        """The last lines of every program."""
        return "\n".join(f"==== {part.name}\n" + "\n".join(part.log().splitlines()[-50:]) for part in self.parts)

    @contextlib.contextmanager
    def explained(self) -> Iterator[None]:
        """What fails within is shown together with what every program has written."""
        try:
            yield
        except BaseException:
            print(self.logs())
            raise

    # -- asking

    def _get(self, part: str, path: str) -> bytes:
        status, body = ask(self._ports[part], "GET", path)
        assert status == 200, f"{part} answered {path} with {status}: {body.decode()}"
        return body

    def query(self, expression: str) -> list[dict]:
        """What Prometheus answers to a query: the samples, each with its labels in `metric`."""
        answer = json.loads(self._get("prometheus", f"/api/v1/query?{urlencode({'query': expression})}"))
        return answer["data"]["result"]

    def states(self, alert: str, instance: str) -> list[str]:
        """The states of an alert in Prometheus."""
        found = self.query(f'ALERTS{{alertname="{alert}",instance="{instance}"}}')
        return [one["metric"]["alertstate"] for one in found]

    def active_since(self, alert: str, instance: str) -> int:
        """When an alert has begun to wait, in seconds of Unix time; 0 where it is not there."""
        alerts = json.loads(self._get("prometheus", "/api/v1/alerts"))["data"]["alerts"]
        wanted = {"alertname": alert, "instance": instance}
        moments = [one["activeAt"] for one in alerts if wanted.items() <= one["labels"].items()]
        return int(_moment(re.sub(r"\.\d+", "", moments[0]))) if moments else 0

    def firing(self) -> set[tuple[str, str]]:
        """What fires about instances in Prometheus, by alert and instance."""
        found = self.query('ALERTS{alertstate="firing",finding!=""}')
        return {(one["metric"]["alertname"], one["metric"]["instance"]) for one in found}

    def known_since(self, moment: float) -> set[tuple[str, str]]:
        """What fires about instances in Alertmanager and was told to it after this moment, by alert and instance."""
        found = [one for one in json.loads(self._get("alertmanager", "/api/v2/alerts")) if "finding" in one["labels"]]
        named = [(one["labels"]["alertname"], one["labels"]["instance"], one) for one in found]
        return {(name, instance) for name, instance, one in named if _moment(one["updatedAt"]) > moment}

    def heartbeat(self) -> float:
        """When the bridge last heard the heartbeat; 0 for never."""
        text = self._get("bridge", "/metrics").decode()
        found = re.search(r"^hermes_alert_bridge_heartbeat_last_timestamp_seconds\{.*\} (\S+)", text, re.M)
        return float(found[1]) if found else 0.0

    def wait_until_told_anew(self, *firing: tuple[str, str]) -> None:
        """Waits until the whole chain has been gone through from now on, with just this firing about instances.

        Alertmanager waits for `group_wait` before it tells of an alert that is new to it; two heartbeats take longer.
        """
        now = time.time()

        def is_so() -> bool:
            found, known = self.firing(), self.known_since(now)
            assert found == known == set(firing), f"{found} fires in Prometheus, and {known} is known to Alertmanager"
            return True

        wait_for("all that fires to be told to Alertmanager", is_so, seconds=60)
        for _ in range(2):
            last = self.heartbeat()
            wait_for("a heartbeat", lambda: self.heartbeat() > last)

    # -- what the exporter sees

    def _in_exporter(self, *command: object) -> tuple[object, ...]:
        # Its root as well: that of the namespace is another one where these tests run in a changed root.
        return ("nsenter", "--mount", "--root", "--target", self.exporter.pid, *command)

    @contextlib.contextmanager
    def unanswering(self, path: Path) -> Iterator[None]:
        """For the exporter alone, whoever looks into a folder waits for ever."""
        with running(*self._in_exporter(sys.executable, "-c", DEAD_FILESYSTEM, path)) as program:

            def is_mounted() -> bool:
                program.assert_running()
                return "mounted" in program.output()

            wait_for("the dead filesystem", is_mounted)
            yield
        run(*self._in_exporter("umount", "--lazy", path)).succeeded()

    @contextlib.contextmanager
    def replaced(self, path: Path, content: bytes, folder: Path) -> Iterator[None]:
        """For the exporter alone, a file has another content."""
        other = folder / f"instead-of-{path.name}"
        other.write_bytes(content)
        run(*self._in_exporter("mount", "--bind", other, path)).succeeded()
        yield
        run(*self._in_exporter("umount", path)).succeeded()


def _moment(text: str) -> float:
    return datetime.datetime.fromisoformat(text).timestamp()


@contextlib.contextmanager
def chain(folder: Path, programs: dict[str, Path], bot_api_server: Path) -> Iterator[Chain]:
    """The whole chain at work for the length of a `with` block."""
    with bot_api(bot_api_server) as api:
        whole = Chain(folder, api, programs)
        try:
            with whole.explained():
                whole.start()
            yield whole
        finally:
            whole.clean_up()
