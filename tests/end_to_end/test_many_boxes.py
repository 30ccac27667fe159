"""What docs/many-boxes.md has people write works: two boxes, a Prometheus above theirs, and one that is pushed to.

Mimir and Thanos are not here. What is written for them is tried with a Prometheus that receives, at its own address.
"""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any, Iterator

import pytest
import yaml

from exporter import Exporter, Server
from monitoring import Prometheus, rules_at_once, serving_prometheus
from processes import run, wait_for

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "many-boxes.md").read_text(encoding="utf-8")
FLEET = json.loads((ROOT / "dashboards" / "hermes-fleet.json").read_text(encoding="utf-8"))
OFTEN = {"scrape_interval": "2s", "scrape_timeout": "2s", "evaluation_interval": "2s"}


def blocks(kind: str) -> list[str]:
    """The blocks of this kind in the document."""
    return re.findall(rf"^```{kind}\n(.*?)^```", DOCUMENT, re.M | re.S)


LISTS, ABOVE, BELOW, TO_MIMIR, TO_THANOS = (yaml.safe_load(block) for block in blocks("yaml"))


def write(folder: Path, configuration: dict[str, Any]) -> Path:
    """A configuration of a Prometheus in a folder of its own, which asks often."""
    folder.mkdir(exist_ok=True)
    file = folder / "prometheus.yml"
    file.write_text(json.dumps(configuration | {"global": OFTEN | configuration.get("global", {})}))
    return file


def asked_by_dashboard() -> list[str]:
    """What the dashboard of the fleet asks, but for what it asks of the past: that begins later above."""
    panels = [inner for panel in FLEET["panels"] for inner in (panel, *panel.get("panels", []))]
    asked = {target["expr"] for panel in panels for target in panel.get("targets", [])}
    return sorted(expression for expression in asked if "[" not in expression)


def answer(prometheus: Prometheus, expression: str) -> dict[tuple, float]:
    """What an expression gives now, without the label of the place, which only those above have."""
    found = {}
    for series in prometheus.results(expression):
        labels = tuple(sorted((name, text) for name, text in series["metric"].items() if name != "place"))
        assert labels not in found, f"{expression} gives {labels} twice"
        found[labels] = float(series["value"][1])
    return found


@pytest.fixture
def boxes(exporter: Exporter, recorded: dict[str, Path]) -> Iterator[dict[str, Server]]:
    """An exporter on each of two boxes, with an instance each."""
    with contextlib.ExitStack() as stack:
        yield {
            box: stack.enter_context(exporter.serving(exporter.configuration({name: recorded[name]})))
            for box, name in (("one", "vijay"), ("two", "bheem"))
        }


def test_every_place_gives_the_same_answers_of_the_fleet(
    exporter: Exporter,
    recorded: dict[str, Path],
    boxes: dict[str, Server],
    folder: Path,
    prometheus: Path,
    promtool: Path,
) -> None:
    # The list of the first box as a file, by the command of the document.
    below = folder / "below"
    (below / "targets").mkdir(parents=True)
    [command] = [block for block in blocks("sh") if " targets " in block]
    words = command.replace("\\\n", " ").split()
    assert words[:2] == ["hermes-exporter", "targets"]
    known = {
        "/etc/hermes-exporter/hermes-exporter.yml": str(exporter.configuration({"vijay": recorded["vijay"]})),
        "100.64.0.11:10119": f"127.0.0.1:{boxes['one'].port}",
        "one.json": str(below / "targets" / "one.json"),
    }
    exporter.run(*(known.get(word, word) for word in words[1:])).succeeded()
    listed = json.loads((below / "targets" / "one.json").read_text())
    of_box = json.loads(boxes["one"].get("/sd").text)
    assert [group["labels"].pop("box") for group in listed] == ["one", "one"]
    assert listed == of_box

    rules_at_once(ROOT / "alerts" / "rules", below / "rules", "2s")
    receiver = write(folder / "store", {})
    lists = json.loads(json.dumps(LISTS).replace("100.64.0.12:10119", f"127.0.0.1:{boxes['two'].port}"))
    with serving_prometheus(prometheus, receiver, "--web.enable-remote-write-receiver") as store:
        pushing = json.loads(json.dumps(TO_MIMIR))
        pushing["remote_write"][0]["url"] = f"{store.url}/api/v1/write"
        file = write(below, lists | BELOW | pushing | {"rule_files": ["rules/*.yml"]})
        run(promtool, "check", "config", file).succeeded()
        assert "rightly" in exporter.run("check-config", "--prometheus", file).succeeded().output
        with serving_prometheus(prometheus, file) as scraping:
            federating = json.loads(json.dumps(ABOVE))
            federating["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{scraping.port}"]}]
            above_file = write(folder / "above", federating)
            exporter.run("check-config", "--prometheus", above_file).succeeded()
            with serving_prometheus(prometheus, above_file) as above:
                all_agree(scraping, above, store)
                boxes_are_told_apart(scraping, boxes)


def all_agree(scraping: Prometheus, above: Prometheus, store: Prometheus) -> None:
    """Each question of the fleet's dashboard is answered alike everywhere."""

    def is_whole() -> bool:
        assert answer(scraping, "sum(job:hermes_instances:count)") == {(): 2}
        assert set(answer(scraping, "instance:hermes_alerts_firing:count > 0"))
        return True

    wait_for("the rules to have been computed of both boxes", is_whole, seconds=60)
    told = 0
    for expression in asked_by_dashboard():

        def agrees() -> bool:
            here = answer(scraping, expression)
            for other in (above, store):
                there = answer(other, expression)
                assert set(there) == set(here), f"{there} is not {here}"
                # What changes from moment to moment has no moment at which it is the same everywhere.
                if not re.search(r"time\(\)|hermes_host|filesystem|scrape_duration", expression):
                    assert there == here, f"{there} is not {here}"
            return True

        wait_for(f"the same answer everywhere: {expression[:200]}", agrees)
        told += bool(answer(scraping, expression))
    assert told > 25, f"only {told} questions had an answer"
    # And nothing but what is about Hermes was pushed.
    names = store.get("label/__name__/values")
    assert "up" in names and "instance:hermes_health:worst" in names
    assert [name for name in names if not re.fullmatch(r"((instance|job):)?hermes_.+|up|scrape_duration_seconds|ALERTS(_FOR_STATE)?", name)] == []
    assert answer(store, 'count(up{job!~"hermes.*"} or ALERTS{alertname!~"Hermes.+"})') == {}


def boxes_are_told_apart(scraping: Prometheus, boxes: dict[str, Server]) -> None:
    """The list in the file says which box it is; the one that is asked for is told by its address."""
    found = {series["instance"]: series["box"] for series in scraping.series("hermes_instance_info")}
    assert found == {"vijay": "one", "bheem": f"127.0.0.1:{boxes['two'].port}"}
    assert scraping.series('{__name__=~"hermes_.+", exported_instance!=""}') == []
    assert scraping.series('ALERTS{alertname=~"HermesInstanceNameTaken|HermesHonorLabelsMissing"}') == []


def test_what_is_pushed_to_either_store_is_the_same(folder: Path, promtool: Path) -> None:
    to_mimir, to_thanos = TO_MIMIR["remote_write"][0], TO_THANOS["remote_write"][0]
    assert to_mimir["write_relabel_configs"] == to_thanos["write_relabel_configs"]
    assert (to_mimir["url"].split(":", 2)[2], to_thanos["url"].split(":", 2)[2]) == (
        "8080/api/v1/push",
        "19291/api/v1/receive",
    )
    for block in blocks("yaml"):
        (folder / "prometheus.yml").write_text(block)
        run(promtool, "check", "config", folder / "prometheus.yml").succeeded()


def test_a_name_that_two_boxes_have_given_is_told(
    exporter: Exporter, recorded: dict[str, Path], folder: Path, prometheus: Path
) -> None:
    with contextlib.ExitStack() as stack:
        ports = [
            stack.enter_context(exporter.serving(exporter.configuration({"vijay": home}))).port
            for home in recorded.values()
        ]
        rules_at_once(ROOT / "alerts" / "rules", folder / "rules", "2s")
        groups = [
            {"targets": [f"127.0.0.1:{port}"], "labels": {"box": box}} for port, box in zip(ports, ("one", "two"))
        ]
        job = {"job_name": "hermes", "honor_labels": True, "static_configs": groups}
        (folder / "below").mkdir()
        (folder / "rules").rename(folder / "below" / "rules")
        file = write(folder / "below", {"scrape_configs": [job], "rule_files": ["rules/*.yml"]})
        scraping = stack.enter_context(serving_prometheus(prometheus, file))
        firing = 'ALERTS{alertname="HermesInstanceNameTaken", alertstate="firing"}'
        [taken] = wait_for("the name to be told of", lambda: scraping.series(firing), seconds=60)
        assert (taken["job"], taken["instance"], taken["severity"]) == ("hermes", "vijay", "warning")
