"""A real Prometheus scrapes the exporter in both formats, and finds the instances under their own names."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Iterator

from doors import Door, opened
from exporter import ACCEPT_TEXT, Exporter, Server
from monitoring import serving_prometheus
from processes import run, wait_for

CONFIGURATION = """\
global:
  scrape_interval: 1s
  scrape_timeout: 1s
scrape_configs:
  - job_name: openmetrics
    honor_labels: true
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
  - job_name: text
    honor_labels: true
    static_configs: [{{targets: ["127.0.0.1:{text_port}"]}}]
  - job_name: without_honor_labels
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
  - job_name: service_discovery
    honor_labels: true
    http_sd_configs: [{{url: "http://127.0.0.1:{port}/sd", refresh_interval: 1s}}]
"""
JOBS = {"openmetrics", "text", "without_honor_labels", "service_discovery"}


@contextlib.contextmanager
def text_only(server: Server) -> Iterator[int]:
    """A door to the exporter that asks for the text format, whatever Prometheus would rather have."""

    class AsText(Door):
        def do_GET(self) -> None:
            answer = server.get(self.path, Accept=ACCEPT_TEXT)
            self.answer(answer.status, answer.body, answer.headers["content-type"])

    with opened(AsText) as port:
        yield port


def test_a_real_prometheus(
    exporter: Exporter, recorded: dict[str, Path], folder: Path, prometheus: Path, promtool: Path
) -> None:
    with exporter.serving(exporter.configuration(recorded)) as server, text_only(server) as text_port:
        configuration = folder / "prometheus-under-test.yaml"
        configuration.write_text(CONFIGURATION.format(port=server.port, text_port=text_port))
        run(promtool, "check", "config", configuration).succeeded()
        with serving_prometheus(prometheus, configuration) as scraping:
            series = scraping.series

            def targets_are_up() -> bool:
                health = {
                    target["scrapeUrl"] + " of " + target["labels"]["job"]: (target["health"], target["lastError"])
                    for target in scraping.get("targets")["activeTargets"]
                }
                assert {name.rpartition(" ")[2] for name in health} == JOBS, health
                assert set(health.values()) == {("up", "")}, health
                assert len(series("up == 1")) == len(health), health
                return True

            wait_for("Prometheus to have scraped everything", targets_are_up, seconds=60)
            assert series("up == 0") == []

            for job in ("openmetrics", "text"):
                for name in ("vijay", "bheem"):
                    found = series(f'hermes_gateway_up{{instance="{name}",job="{job}"}}')
                    assert len(found) == 1, f"{job}: {found}"
                    assert "exported_instance" not in found[0]
                assert series(f'{{__name__=~"hermes_.+",exported_instance!="",job="{job}"}}') == []
            # Why the documentation insists on honor_labels.
            renamed = series('hermes_gateway_up{job="without_honor_labels"}')
            assert {found["exported_instance"] for found in renamed} == {"vijay", "bheem"}

            # Both formats bring the same series, counters under the same names.
            def names(job: str) -> set[tuple]:
                return {
                    tuple(
                        sorted(
                            (label, value)
                            for label, value in found.items()
                            if label not in ("job", "instance") or value in recorded
                        )
                    )
                    for found in series(f'{{__name__=~"hermes_.+",job="{job}"}}')
                    if found["__name__"] != "hermes_exporter_build_info"
                }

            def same() -> bool:
                one, other = names("openmetrics"), names("text")
                differing = {label for key in one ^ other for name, label in key if name == "__name__"}
                assert one and one == other, f"the formats differ in {sorted(differing)}"
                return True

            wait_for("both formats to bring the same series", same)
            # And it stays up.
            wait_for(
                "ten scrapes without a failure",
                lambda: scraping.get("query", query='count_over_time(up{job="openmetrics"}[1m]) >= 10')["result"],
                seconds=60,
            )
            assert series("min_over_time(up[1m]) == 0") == []
