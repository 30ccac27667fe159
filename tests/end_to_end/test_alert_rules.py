"""The shipped alert rules find what `check` finds: tried with a real Prometheus, on a fleet on a bad day.

That Prometheus takes them, and that they pass their own tests, is in test_shipped_configuration.py.
"""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from typing import NamedTuple

import fleet
from exporter import Exporter
from monitoring import Prometheus, serving_prometheus
from processes import run, wait_for

ALERTS = Path(__file__).resolve().parents[2] / "alerts"

# Sixteen kinds of damage, one for every third instance.
COUNT = 46

# The service of the instance that comes first, and has the first damage.
CRASHED = "gateway-vijay"

SUBJECTS = ("platform", "unit", "repo", "token", "cron_job", "endpoint", "file", "port", "collector")

# The tickers go round every five seconds. Looks as far apart could all come right after a round, and never see that the
# limit of a second is passed.
CONFIGURATION = """\
global: {{scrape_interval: 4s, scrape_timeout: 4s, evaluation_interval: 1s}}
rule_files: ["{rules}"]
scrape_configs:
  - job_name: hermes
    honor_labels: true
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
  - job_name: without-gateways
    honor_labels: true
    static_configs: [{{targets: ["127.0.0.1:{other_port}"]}}]
  - job_name: reports
    honor_labels: true
    static_configs: [{{targets: ["127.0.0.1:{reports_port}"]}}]
"""


class Found(NamedTuple):
    """Something that is wrong, by a rule or by the exporter."""

    job: str
    instance: str
    finding: str
    severity: str
    subject: str


def test_the_rules_find_what_the_exporter_finds(
    exporter: Exporter, folder: Path, prometheus: Path, promtool: Path
) -> None:
    with fleet.configured(folder, exporter, COUNT, "bad") as configuration:
        _worsen(configuration)
        rules = folder / "findings-at-once.yml"
        rules.write_text(_at_once((ALERTS / "rules" / "findings.yml").read_text()))
        others = _without_gateways(configuration, exporter)
        reports = _by_reports(configuration, exporter, folder)
        with (
            exporter.serving(configuration) as server,
            exporter.serving(others) as other,
            exporter.serving(reports) as reporting,
        ):
            configured = folder / "prometheus.yml"
            configured.write_text(
                CONFIGURATION.format(
                    rules=rules, port=server.port, other_port=other.port, reports_port=reporting.port
                )
            )
            run(promtool, "check", "config", configured).succeeded()
            with serving_prometheus(prometheus, configured) as judging:
                _agree(judging, f"127.0.0.1:{server.port}")


def _agree(judging: Prometheus, machine: str) -> None:
    def agree() -> bool:
        told = {_told(labels) for labels in judging.series("hermes_finding_info")}
        alerts = {_alert(labels) for labels in judging.series('ALERTS{alertstate="firing"}')}
        assert told, "nothing is found yet"
        missing, wrong = sorted(told - alerts), sorted(alerts - told)
        assert not missing and not wrong, f"found, and no alert: {missing}; an alert, and not found: {wrong}"
        # So that what they agree about is worth it.
        kinds = {found.finding for found in told}
        assert kinds >= EXPECTED, f"not found: {EXPECTED - kinds}"
        assert {found.severity for found in told} == {"critical", "warning", "info"}
        # However many collectors that stops.
        assert "home" in {found.subject for found in told if found.finding == "collector_unknown"}
        assert Found("hermes", machine, "tailscale_down", "warning", "") in told
        assert {"gateway_down", "backup_stale", "token_invalid"} <= {
            found.finding for found in told if found.job == "reports"
        }
        return True

    def rules_are_well() -> None:
        rules = [rule for group in judging.get("rules")["groups"] for rule in group["rules"]]
        assert rules and {(rule["health"], rule.get("lastError", "")) for rule in rules} == {("ok", "")}, rules

    wait_for("the alerts to be what is found", agree, seconds=300, pause=0.5)
    rules_are_well()


# What a bad day has, at the least.
EXPECTED = {
    "gateway_down",
    "gateway_crashed",
    "gateway_frozen",
    "gateway_crash_looping",
    "platform_down",
    "gateway_degraded",
    "unit_failed",
    "unit_down",
    "endpoint_down",
    "backup_missing",
    "backup_stale",
    "backup_unpushed",
    "backup_dirty",
    "backup_interrupted",
    "backup_leaking",
    "restore_drill_overdue",
    "emergency_bundle_overdue",
    "token_invalid",
    "token_expiring",
    "token_missing",
    "cron_job_failing",
    "cron_job_overdue",
    "cron_delivery_failing",
    "cron_ticker_stale",
    "memory_near_limit",
    "disk_low",
    "update_available",
    "approvals_bypassed",
    "secrets_unredacted",
    "home_exposed",
    "secrets_exposed",
    "tailscale_down",
    "collector_unknown",
}


def _worsen(configuration: Path) -> None:
    """Limits that are reached at once, limits that are off, and findings that are ignored, among the instances."""
    content = json.loads(configuration.read_text())
    content["thresholds"].update(collector_unknown="1s")
    instances = content["instances"]
    changes = {
        1: {"thresholds": {"disk_available": "100%"}},
        2: {"thresholds": {"disk_available": "100%", "disk_available_critical": "100%", "restore_drill_age": "1d"}},
        4: {"thresholds": {"restore_drill_age": "1d"}, "ignored_findings": ["restore_drill_overdue"]},
        5: {"thresholds": {"gateway_starts": 0}},
        7: {"thresholds": {"cron_ticker": "1s"}},
        8: {"thresholds": {"backup_age": "1h"}},
        10: {"thresholds": {"backup_age": "off"}},
        11: {"emergency_bundles": {"pattern": "/nonexistent/bundle"}},
        13: {"units": [*instances[13]["units"], _unit("backup", "not-there"), _unit("dashboard", CRASHED)]},
        14: {"units": [*instances[14]["units"], _unit("gateway", "not-there"), _unit("gateway", CRASHED)]},
    }
    for number, change in changes.items():
        instances[number].update(change)
    homes = [Path(instance["home"]) for instance in instances]
    _change(homes[16] / ".update_check", behind=5)
    _change(homes[17] / "gateway_state.json", gateway_state="degraded")
    _change(homes[19] / "gateway_state.json", platforms={"telegram": {"state": "paused"}})
    in_two_days = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() + 2 * 86400))
    _change(homes[20] / "google_token.json", refresh_token=None, expiry=in_two_days)
    (homes[22] / "google_token.json").unlink()
    with (homes[23] / "config.yaml").open("a") as file:
        file.write("\nsecurity:\n  redact_secrets: false\n")
    repository = Path(instances[25]["backups"][0]["path"]) / ".git"
    (repository / "MERGE_HEAD").write_bytes((repository / "refs/heads/main").read_bytes())
    configuration.write_text(json.dumps(content))


def _without_gateways(configuration: Path, exporter: Exporter) -> Path:
    """Some of the same instances, looked at without their gateways.

    Nobody knows then that these have only just come up, and would catch up with the jobs that are late.
    """
    content = json.loads(configuration.read_text())
    return exporter.write(
        {**content, "instances": content["instances"][9:15], "collectors": {"gateway": {"enabled": False}}}
    )


def _by_reports(configuration: Path, exporter: Exporter, folder: Path) -> Path:
    """One instance of each kind of damage, told of by its report.

    The first one has a timer besides that is due once the report is written: nobody looks whether it fires.
    """
    content = json.loads(configuration.read_text())
    instances = []
    for number, instance in enumerate(content["instances"][:COUNT:3]):
        file = folder / f"{instance['name']}.json"
        arguments = ("--config.file", configuration, "--instance", instance["name"], "--output", file)
        exporter.run("report", *arguments).succeeded()
        if number == 0:
            _add_timer(file)
        judging = {key: instance[key] for key in ("thresholds", "ignored_findings") if key in instance}
        instances.append({"name": instance["name"], "report": str(file), **judging})
    return exporter.write({"thresholds": content["thresholds"], "instances": instances})


def _add_timer(file: Path) -> None:
    report = json.loads(file.read_text())
    units = report["units"]["known"]
    moments = {
        "last_trigger": {"known": report["taken_at"] - 86400},
        "next_trigger": {"known": report["taken_at"] + 1},
    }
    units.append(
        {**units[0], "unit": "nightly.timer", "role": "nightly", "up": {"known": True}, "timer": {"known": moments}}
    )
    file.write_text(json.dumps(report))


def _change(file: Path, **changes: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def _unit(role: str, name: str) -> dict[str, str]:
    return {"role": role, "unit": name, "manager": "s6"}


def _at_once(rules: str) -> str:
    """The rules without the patience that they have with what comes and goes."""
    return re.sub(r"^ +(keep_firing_)?for: .*\n", "", rules, flags=re.MULTILINE)


def _told(labels: dict[str, str]) -> Found:
    return Found(labels["job"], labels["instance"], labels["finding"], labels["severity"], labels.get("subject", ""))


def _alert(labels: dict[str, str]) -> Found:
    subject = next((labels[name] for name in SUBJECTS if name in labels), "")
    return Found(labels["job"], labels["instance"], labels["finding"], labels["severity"], subject)
