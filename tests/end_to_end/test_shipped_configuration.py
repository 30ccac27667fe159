"""What alerts/ ships is taken by promtool, amtool, Prometheus and Alertmanager as it lies there, and works."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Iterator

import pytest

from alert_bridge import Alertmanager, alert, alertmanagers, resolved
from doors import Door, opened
from monitoring import serving_prometheus
from processes import run, wait_for

ALERTS = Path(__file__).resolve().parents[2] / "alerts"
CONTAINERS = re.compile(r"^[^#\n]*\b(hermes-exporter|hermes-alert-bridge|prometheus|alertmanager):\d", re.M)


@pytest.fixture
def copied(folder: Path) -> Path:
    """A copy of what is shipped."""
    return Path(shutil.copytree(ALERTS, folder / "alerts"))


def commands_in_comments(file: Path) -> list[str]:
    """The commands that a file tells to run on it, each on one line."""
    comments = re.sub(r"\\\n *#", "", file.read_text(encoding="utf-8"))
    return re.findall(r"^ *#.*?\b(sed -.*)$", comments, re.M)


def test_prometheus_takes_the_configuration_and_the_rules(promtool: Path) -> None:
    checked = run(promtool, "check", "config", ALERTS / "prometheus.yml").succeeded().output
    assert f"{len(list((ALERTS / 'rules').iterdir()))} rule files found" in checked, checked


@pytest.mark.parametrize("name", [path.name for path in sorted((ALERTS / "tests").glob("*.yml"))])
def test_rules_fire_when_they_should(promtool: Path, name: str) -> None:
    run(promtool, "test", "rules", ALERTS / "tests" / name).succeeded()


def test_alertmanager_takes_the_configuration(amtool: Path) -> None:
    run(amtool, "check-config", ALERTS / "alertmanager.yml").succeeded()


@pytest.mark.parametrize("name", ["prometheus.yml", "alertmanager.yml"])
def test_names_of_containers_are_replaced_as_it_is_written(
    copied: Path, promtool: Path, amtool: Path, name: str
) -> None:
    file = copied / name
    command = commands_in_comments(file)[0]
    readme = (ALERTS / "README.md").read_text(encoding="utf-8")
    said = re.sub(r"\s*\\\n\s*", " ", readme)
    written = re.sub(r"\s+", " ", command) + f" > /etc/prometheus/{name}"
    assert written in said, f"README.md says another one than {command}"
    assert CONTAINERS.search(file.read_text())
    changed = subprocess.run(["bash", "-ec", command], cwd=copied, check=True, capture_output=True, text=True).stdout
    assert not CONTAINERS.search(changed) and "127.0.0.1:" in changed
    assert "/run/secrets/webhook_token\n" not in re.sub(r"^ *#.*\n", "", changed, flags=re.M), changed
    file.write_text(changed)
    check = (promtool, "check", "config") if name == "prometheus.yml" else (amtool, "check-config")
    run(*check, file).succeeded()


def receivers_of(amtool: Path, file: Path, *labels: str) -> str:
    return run(amtool, "config", "routes", "test", f"--config.file={file}", *labels).succeeded().output.strip()


def test_alerts_go_to_the_bridge_and_those_about_it_elsewhere_where_there_is_such_a_place(
    copied: Path, amtool: Path
) -> None:
    file = copied / "alertmanager.yml"
    about_an_instance = ("alertname=HermesGatewayDown", "instance=vijay", "severity=critical")
    about_the_bridge = ("alertname=HermesAlertBridgeDown", "severity=critical")
    heartbeat = ("alertname=Watchdog", "severity=none")
    for labels in (about_an_instance, about_the_bridge, heartbeat):
        assert receivers_of(amtool, file, *labels) == "hermes-alert-bridge"
    shown = run(amtool, "config", "routes", "show", f"--config.file={file}").succeeded().output
    assert 'alertname="Watchdog"' in shown, shown

    [command] = [command for command in commands_in_comments(file) if "elsewhere" in command]
    subprocess.run(["bash", "-ec", command], cwd=copied, check=True)
    run(amtool, "check-config", file).succeeded()
    assert receivers_of(amtool, file, *about_the_bridge) == "elsewhere,hermes-alert-bridge"
    for labels in (about_an_instance, heartbeat):
        assert receivers_of(amtool, file, *labels) == "hermes-alert-bridge"


@dataclasses.dataclass
class Receiver:
    """Stands where the bridge would be, and keeps what Alertmanager tells it."""

    port: int = 0
    authorization: set[str] = dataclasses.field(default_factory=set)
    told: list[tuple[str, str, str]] = dataclasses.field(default_factory=list)


@contextlib.contextmanager
def receiver() -> Iterator[Receiver]:
    one = Receiver()

    class Told(Door):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            one.authorization.add(self.headers.get("Authorization", ""))
            for told in body["alerts"]:
                labels = told["labels"]
                one.told.append((labels["alertname"], labels.get("instance", ""), told["status"]))
            self.answer(200)

    with opened(Told) as one.port:
        yield one


def firing(name: str, instance: str, **labels: str) -> dict:
    """An alert as the shipped rules make it, of the job `hermes` where nothing else is said."""
    one = alert(name, instance)
    one["labels"].update({"job": "hermes", **labels})
    return one


def finding(name: str, instance: str, code: str, **labels: str) -> dict:
    """One about a finding."""
    return firing(name, instance, finding=code, **labels)


def is_silenced(one: Alertmanager) -> dict[tuple[str, str, str], bool]:
    """Of each alert, by its name, instance and severity, whether another one silences it."""
    return {
        (labels["alertname"], labels.get("instance", ""), labels["severity"]): bool(found["status"]["inhibitedBy"])
        for found in one.get("alerts")
        for labels in [found["labels"]]
    }


def test_what_follows_from_another_alert_is_not_told(alertmanager: Path, folder: Path) -> None:
    token = folder / "webhook.token"
    token.write_text("correct horse")
    text = (ALERTS / "alertmanager.yml").read_text(encoding="utf-8")
    gateway_down = finding("HermesGatewayDown", "vijay", "gateway_down")
    causes = [
        gateway_down,
        finding("HermesBackupStale", "uma", "backup_stale", repo="vm"),
        firing("HermesInstanceGone", "ghost"),
        firing("HermesExporterDown", "attic:10119", job="attic", answering="none"),
        # Of two exporters the other one answers.
        firing("HermesExporterDown", "one:10119", job="several"),
        # A box of several.
        firing("HermesExporterDown", "boxed:10119", job="boxes", box="one", answering="none"),
        # An instance that is a target of its own.
        firing("HermesExporterDown", "slow", job="targets"),
        firing("HermesAlertBridgeLate", "box:10120", job="hermes-alert-bridge", chat="uma"),
    ]
    told = [
        # Their causes are of another instance, subject, job or chat, or they say more.
        finding("HermesPlatformDown", "bheem", "platform_down", platform="telegram"),
        finding("HermesUnitFailed", "vijay", "unit_failed", unit="hermes-gateway.service", role="gateway"),
        finding("HermesUnitDown", "vijay2", "unit_down", unit="a.service", role="dashboard"),
        finding("HermesTokenMissing", "vijay", "token_missing", token="google", severity="warning"),
        finding("HermesBackupStale", "uma2", "backup_stale", repo="notes", severity="warning"),
        finding("HermesDiskLow", "other", "disk_low", job="several", severity="warning"),
        finding("HermesDiskLow", "of-box-two", "disk_low", job="boxes", box="two"),
        finding("HermesDiskLow", "of-no-box", "disk_low", job="boxes"),
        finding("HermesDiskLow", "quick", "disk_low", job="targets"),
        firing("HermesAlertBridgeLate", "box2:10120", job="hermes-alert-bridge", chat="root", severity="warning"),
        firing("Watchdog", "", severity="none"),
    ]
    platform = finding("HermesPlatformDown", "vijay", "platform_down", platform="telegram", severity="warning")
    silenced = [
        platform,
        finding("HermesGatewayDegraded", "vijay", "gateway_degraded", severity="warning"),
        finding("HermesCronTickerStale", "vijay", "cron_ticker_stale"),
        finding("HermesCronJobOverdue", "vijay", "cron_job_overdue", cron_job="a", severity="warning"),
        finding("HermesUnitDown", "vijay", "unit_down", unit="hermes-gateway.service", role="gateway"),
        finding("HermesBackupStale", "uma", "backup_stale", repo="vm", severity="warning"),
        finding("HermesCollectorUnknown", "ghost", "collector_unknown", collector="home", severity="warning"),
        finding("HermesDiskLow", "elsewhere", "disk_low", job="attic"),
        finding("HermesDiskLow", "of-box-one", "disk_low", job="boxes", box="one"),
        finding("HermesDiskLow", "slow", "disk_low", job="targets"),
        firing("HermesAlertBridgeLate", "box:10120", job="hermes-alert-bridge", chat="uma", severity="warning"),
    ]

    def key(one: dict) -> tuple[str, str, str]:
        labels = one["labels"]
        return labels["alertname"], labels["instance"], labels["severity"]

    with receiver() as bridge:
        for old, new in (
            ("http://hermes-alert-bridge:10120/", f"http://127.0.0.1:{bridge.port}/"),
            ("/run/secrets/webhook_token", str(token)),
            ("group_wait: 10s", "group_wait: 1s"),
            ("group_interval: 1m", "group_interval: 1s"),
        ):
            assert old in text, f"{old} is not there any more"
            text = text.replace(old, new)
        with alertmanagers(alertmanager, folder, 0, configuration=text) as (one,):
            one.tell(*causes)
            one.tell(*told, *silenced)
            judged = {key(each): False for each in (*causes, *told)} | {key(each): True for each in silenced}
            wait_for("Alertmanager to know what silences what", lambda: is_silenced(one) == judged)

            expected = {(*key(each)[:2], "firing") for each in (*causes, *told)}
            wait_for("what is not silenced", lambda: expected <= set(bridge.told))
            assert bridge.authorization == {"Bearer correct horse"}
            # One of them has a namesake that is told.
            quiet = {(*key(each)[:2], "firing") for each in silenced} - expected
            assert quiet and not quiet & set(bridge.told), bridge.told

            # When the cause is over, that is told, and what fires all the same is told as well.
            one.tell(resolved(gateway_down))
            after = {("HermesGatewayDown", "vijay", "resolved"), (*key(platform)[:2], "firing")}
            wait_for("what was silenced", lambda: after <= set(bridge.told))


TRIAL_RULES = """\
groups:
  - name: trial
    rules: [{alert: HermesTrial, expr: trial == 1, labels: {severity: critical}}]
"""
PROMETHEUS = """\
global: {scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms}
rule_files: [trial.yml, recording.yml]
scrape_configs: [{job_name: trial, static_configs: [{targets: ["127.0.0.1:%d"]}]}]
"""


def test_an_alert_that_begins_to_fire_is_counted_once(prometheus: Path, folder: Path) -> None:
    """`ALERTS` is made by Prometheus itself, so it is asked whether the rule counts it as promtool believes."""
    text = (ALERTS / "rules" / "recording.yml").read_text(encoding="utf-8")
    shorter = {"[1m] offset 30s": "[2s] offset 1s", "offset 90s": "offset 3s", "interval: 1m": "interval: 2s"}
    assert [text.count(written) for written in shorter] == [1, 1, 1]
    quick = text
    for written, short in shorter.items():
        quick = quick.replace(written, short)
    (folder / "recording.yml").write_text(quick)
    (folder / "trial.yml").write_text(TRIAL_RULES)
    state = {"trial": 0}

    class Trial(Door):
        def do_GET(self) -> None:
            self.answer(200, f"trial{{}} {state['trial']}\n".encode(), "text/plain; version=0.0.4")

    with opened(Trial) as port:
        configuration = folder / "prometheus.yml"
        configuration.write_text(PROMETHEUS % port)
        with serving_prometheus(prometheus, configuration) as counting:
            value = counting.value
            begun = 'sum(sum_over_time(instance:hermes_alerts_started:count1m{severity="critical"}[10m]))'
            fires = 'count(ALERTS{alertname="HermesTrial",alertstate="firing"})'
            # Told at each evaluation of that group: how often it was computed while the alert fired.
            looks = 'sum(count_over_time(instance:hermes_alerts_firing:count{severity="critical"}[10m]))'

            def counted(times: int) -> None:
                state["trial"] = 1
                wait_for("the alert to be counted", lambda: value(begun) == times)
                seen = value(looks)
                # Ten evaluations of what fires are two and a half of what began.
                wait_for("it to be looked at again", lambda: value(looks) >= seen + 10)
                assert value(begun) == times

            wait_for("a Prometheus without alerts", lambda: value("count(trial == 0)") == 1)
            assert value(fires) == 0 and value(begun) == 0
            counted(1)
            state["trial"] = 0
            # What ends and begins again between two looks, which are a minute apart, is taken for one.
            gone = 'count(present_over_time(ALERTS{alertname="HermesTrial",alertstate="firing"}[5s]))'
            wait_for("the alert to have ended", lambda: value(gone) == 0)
            counted(2)
