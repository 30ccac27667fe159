"""What docs/deployment.md has people copy and write is taken by the real Prometheus, Alertmanager and bridge."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from alert_bridge import alert
from processes import run

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "deployment.md"

# What pieces of a configuration stand below in a whole one, by how they begin.
ABOVE = {
    "scrape_configs:": "",
    "global:": "",
    "    http_sd_configs:": "scrape_configs:\n  - job_name: hermes\n",
}


def blocks(kind: str) -> list[str]:
    """The blocks of this kind in the document, as they stand there but for comments above."""
    text = DOCUMENT.read_text(encoding="utf-8")
    found = re.findall(rf"^```{kind}\n(.*?)^```", text, re.M | re.S)
    return [re.sub(r"\A(#.*\n)+", "", block) for block in found]


def pieces() -> list[str]:
    """The blocks that belong into the configuration of a Prometheus, each as a whole one."""
    return [ABOVE[begin] + block for block in blocks("yaml") for begin in ABOVE if block.startswith(begin)]


def test_the_files_of_alerts_are_copied_and_led_to_this_machine(folder: Path, promtool: Path, amtool: Path) -> None:
    [script] = [block for block in blocks("sh") if "sed -i" in block]
    assert "/etc/prometheus/" in script
    run("bash", "-euc", f"cd {ROOT}\n" + script.replace("/etc/prometheus", str(folder))).succeeded()

    prometheus, alertmanager = folder / "prometheus.yml", folder / "alertmanager.yml"
    run(promtool, "check", "config", prometheus).succeeded()
    run(amtool, "check-config", alertmanager).succeeded()
    assert sorted(path.name for path in (folder / "rules").iterdir()) == sorted(
        path.name for path in (ROOT / "alerts" / "rules").iterdir()
    )
    told = re.sub(r"#.*", "", prometheus.read_text() + alertmanager.read_text())
    addresses = set(re.findall(r"[\w.-]+:\d{4,5}\b", told))
    assert addresses == {f"127.0.0.1:{port}" for port in (9090, 9093, 10119, 10120)}
    assert f"{folder}/hermes-alert-bridge.token" in told and "/run/secrets" not in told


@pytest.mark.parametrize("number", range(len(pieces())))
def test_what_is_written_for_prometheus_is_valid(number: int, folder: Path, promtool: Path) -> None:
    configuration = folder / "prometheus.yml"
    configuration.write_text(pieces()[number])
    run(promtool, "check", "config", configuration).succeeded()


def test_no_piece_is_left_out() -> None:
    for_prometheus = [block for block in blocks("yaml") if "_configs:" in block or "job_name" in block]
    assert len(pieces()) == len(for_prometheus) >= 4


def test_the_rule_for_a_box_that_pushes_is_valid(folder: Path, promtool: Path) -> None:
    [rules] = [block for block in blocks("yaml") if block.startswith("groups:")]
    (folder / "rules.yml").write_text(rules)
    run(promtool, "check", "rules", folder / "rules.yml").succeeded()


def test_what_is_about_a_box_has_a_route_and_an_instance_that_is_new_has_none(
    folder: Path, bridge_binary: Path
) -> None:
    [routes] = [block for block in blocks("yaml") if block.startswith("routes:")]
    (folder / "token").write_text("correct horse")
    (folder / "token").chmod(0o600)
    head = f"store: {folder}/bridge.db\ndelivery: console\nauth: {{bearer_token_file: {folder}/token}}\n"
    chats = "chats: {root: {}, uma: {}, nobody: {}}\n"
    configuration = folder / "bridge.yml"
    configuration.write_text(head + chats + routes.replace("default_chat: root", "default_chat: nobody"))

    def chat_of(instance: str, **labels: str) -> str:
        one = alert("HermesTrial", instance)
        one["labels"].update(labels)
        one |= {"status": "firing", "fingerprint": "0" * 16}
        payload = {"version": "4", "groupKey": "{}", "status": "firing", "receiver": "bridge", "groupLabels": {}}
        payload |= {"commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://alertmanager", "alerts": [one]}
        (folder / "payload.json").write_text(json.dumps(payload))
        done = run(bridge_binary, "render", "--config.file", configuration, "--payload", folder / "payload.json")
        [chat] = re.findall(r"^== (\w+)$", done.succeeded().output, re.M)
        return chat

    assert chat_of("bheem-two", finding="gateway_down", box="two") == "uma"
    assert chat_of("100.64.0.12:10119", box="two") == "root"
    for machine in ("100.64.0.11:10119", "100.64.0.12:10119", "box-three:10119"):
        assert chat_of(machine, finding="tailscale_down") == "root"
    assert chat_of("new-two", finding="gateway_down", box="two") == "nobody"
