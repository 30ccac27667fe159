"""What docs/deployment.md has people copy and write is taken by the real Prometheus and Alertmanager."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from processes import run

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "deployment.md"

# What pieces of a configuration stand below in a whole one, by how they begin.
ABOVE = {
    "scrape_configs:": "",
    "global:": "",
    "    http_sd_configs:": "scrape_configs:\n  - job_name: hermes\n",
    "  - job_name:": "scrape_configs:\n",
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
    assert len(pieces()) == len(for_prometheus) >= 5
