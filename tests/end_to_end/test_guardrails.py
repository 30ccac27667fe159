"""Safety settings as Hermes itself decides them, and what modes let other accounts do."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from exporter import Exporter
from processes import run

# What a gateway that is started on a home now would do, by the modules that do it.
ASK_HERMES = """
import json, sys
sys.argv = ["hermes", "gateway", "run"]
import hermes_cli.main
import gateway.run, agent.redact, tools.approval
asks = not tools.approval.is_approval_bypass_active() and tools.approval._get_cron_approval_mode() != "approve"
privacy = gateway.run._load_gateway_config().get("privacy") or {}
answer = {
    "approvals_enforced": asks,
    "secrets_redacted": agent.redact._REDACT_ENABLED,
    "pii_redacted": bool(privacy.get("redact_pii", False)),
}
print("ANSWER", json.dumps(answer))
"""

SETTINGS = {
    "nothing is set": ("", ""),
    "a bare off": ("approvals: {mode: off}\n", ""),
    "a quoted no": ("approvals: {mode: 'no'}\n", ""),
    "off with a blank": ("approvals: {mode: ' OFF '}\n", ""),
    "cron may": ("approvals: {cron_mode: allow}\n", ""),
    "a bare off for cron": ("approvals: {cron_mode: off}\n", ""),
    "yolo in .env": ("", "export HERMES_YOLO_MODE=On # for now\n"),
    "yolo in the configuration": ("HERMES_YOLO_MODE: yes\n", ""),
    "yolo taken back in .env": ("HERMES_YOLO_MODE: yes\n", "HERMES_YOLO_MODE=0\n"),
    "secrets shown": ("security: {redact_secrets: no}\nprivacy: {redact_pii: 1}\n", ""),
    "secrets hidden again in .env": ("security: {redact_secrets: no}\n", "HERMES_REDACT_SECRETS=TRUE\n"),
    "an empty variable": ("security: {redact_secrets: yes}\n", "HERMES_REDACT_SECRETS=\n"),
    "a quoted false": ("security: {redact_secrets: 'false'}\nprivacy: {redact_pii: 'false'}\n", ""),
    "twice": ("approvals: {mode: manual}\napprovals: {mode: off}\n", "HERMES_YOLO_MODE=1\nHERMES_YOLO_MODE=\n"),
}


@pytest.fixture
def home(folder: Path) -> Path:
    home = folder / "home"
    home.mkdir(mode=0o700)
    return home


def guardrails(exporter: Exporter, home: Path) -> dict[str, float]:
    samples = exporter.scrape_once(exporter.configuration({"vijay": home}))
    return samples.by("hermes_guardrail_ok", "guardrail", instance="vijay")


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_are_decided_as_hermes_decides_them(
    exporter: Exporter, home: Path, folder: Path, hermes_python: Path, name: str
) -> None:
    configuration, variables = SETTINGS[name]
    (home / "config.yaml").write_text(configuration)
    (home / ".env").write_text(variables)
    found = guardrails(exporter, home)
    # Asked last, because Hermes writes into the home it looks at.
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "HERMES_HOME": str(home), "TZ": "UTC"}
    asked = run(hermes_python, "-c", ASK_HERMES, environment=environment, folder=folder, seconds=120).succeeded()
    line = next(line for line in asked.output.splitlines() if line.startswith("ANSWER "))
    answer = json.loads(line.removeprefix("ANSWER "))
    assert {setting: found[setting] for setting in answer} == answer


def test_modes_decide_who_may_look(exporter: Exporter, home: Path) -> None:
    (home / "auth.json").write_text("{}")
    (home / "auth.json").chmod(0o600)
    # The home's mode, that of a secret, and what follows.
    for of_home, of_secret, expected in [
        (0o700, 0o600, (1, 1)),
        (0o700, 0o644, (1, 1)),
        (0o755, 0o600, (0, 1)),
        (0o755, 0o644, (0, 0)),
        (0o701, 0o644, (0, 0)),
        (0o750, 0o640, (1, 1)),
        (0o770, 0o600, (0, 1)),
    ]:
        home.chmod(of_home)
        (home / "auth.json").chmod(of_secret)
        found = guardrails(exporter, home)
        assert (found["home_private"], found["secrets_private"]) == expected, f"{of_home:o} {of_secret:o}"
