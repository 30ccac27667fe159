"""The dashboards: made from their source, as Grafana's own types want them, and asking nothing that is not there.

Every query is put to a real Prometheus that scrapes a good day, a bad day and the recorded homes, with the shipped
rules loaded, and has to be answered with data; ../draw_dashboards draws them, to be looked at.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import shutil
import ssl
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Iterator

import pytest

import fleet
import grafana_schema
from alert_bridge import TOKEN, ask as bridge_is_asked, serving_bridge
from doors import Door, opened
from exporter import Exporter, bare_environment
from monitoring import rules_at_once, serving_prometheus
from processes import run, running, wait_for
from test_tailscale import STATUS as TAILSCALE_STATUS, daemon as tailscale_daemon

ROOT = grafana_schema.ROOT
FOLDER = ROOT / "dashboards"
FILES = {name: FOLDER / f"{name}.json" for name in ("hermes-fleet", "hermes-instance")}
RULES = ROOT / "alerts" / "rules"

PROMETHEUS_OWN = {"up", "scrape_duration_seconds", "ALERTS", "ALERTS_FOR_STATE"}

# How many queries of which panel have no answer in these fleets, and why.
WITHOUT_DATA = {
    ("hermes-instance", "Units and timers"): (2, "when timers have fired and will: s6 has none"),
}

# A program of an installation that listens, where nobody but this machine can reach it.
LISTENING = """
import socket, time
held = socket.create_server(("127.0.0.1", 0))
print("listening", flush=True)
time.sleep(600)
"""

# A certificate that is trusted as its own authority, and is none otherwise.
CERTIFICATE = """
[req]
prompt = no
distinguished_name = name
x509_extensions = own
[name]
CN = 127.0.0.1
[own]
basicConstraints = critical, CA:FALSE
subjectAltName = IP:127.0.0.1
"""

PROMETHEUS = """\
global: {scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s}
rule_files: ["rules/*.yml"]
scrape_configs:
"""
# The same names are in each fleet, and only one job is called hermes.
FLEET = """\
  - job_name: {name}
    honor_labels: true
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
    relabel_configs: [{{target_label: job, replacement: hermes}}]
    metric_relabel_configs:
      - {{source_labels: [instance], regex: "([a-z].*)", target_label: instance, replacement: "{name}-$1"}}
"""
BRIDGE = """\
  - job_name: hermes-alert-bridge
    static_configs: [{{targets: ["127.0.0.1:{port}"]}}]
"""
# Nobody answers there, so that what it is told waits.
BRIDGE_WITHOUT_TELEGRAM = """\
store: {folder}/bridge.db
telegram: {{token_file: "{folder}/bot.token", api_url: "http://127.0.0.1:9"}}
chats: {{root: {{chat_id: 1}}}}
default_chat: root
"""


def dashboard(name: str) -> dict:
    return json.loads(FILES[name].read_text())


def panels(content: dict) -> list[dict]:
    """All panels, rows among them, and those in folded rows."""
    return [one for panel in content["panels"] for one in (panel, *panel.get("panels", []))]


def drawn(content: dict) -> list[dict]:
    return [panel for panel in panels(content) if panel["type"] != "row"]


def queries() -> Iterator[tuple[tuple[str, str, str], dict]]:
    """Each target, with where it stands: dashboard, panel and letter."""
    for name in FILES:
        for panel in drawn(dashboard(name)):
            for target in panel["targets"]:
                yield (name, panel["title"], target["refId"]), target


def test_they_are_what_their_source_makes(folder: Path) -> None:
    run(sys.executable, FOLDER / "build.py", "--check").succeeded()
    copy = folder / "dashboards"
    shutil.copytree(FOLDER, copy)
    (copy / "hermes-fleet.json").write_text("{}")
    stale = run(sys.executable, copy / "build.py", "--check")
    assert stale.code == 1 and "hermes-fleet.json is not what build.py makes" in stale.log, stale
    run(sys.executable, copy / "build.py").succeeded()
    assert (copy / "hermes-fleet.json").read_bytes() == FILES["hermes-fleet"].read_bytes()


def _no_such_mode(content: dict) -> None:
    drawn(content)[0]["fieldConfig"]["defaults"]["thresholds"]["mode"] = "absolut"


def _no_such_key(content: dict) -> None:
    drawn(content)[0]["colour"] = "red"


def _no_such_option(content: dict) -> None:
    next(panel for panel in drawn(content) if panel["type"] == "stat")["options"]["colorMode"] = "foreground"


def _no_such_style(content: dict) -> None:
    next(panel for panel in drawn(content) if panel["type"] == "timeseries")["fieldConfig"]["defaults"]["custom"][
        "drawStyle"
    ] = "dots"


def test_grafanas_own_types_want_them_so(folder: Path) -> None:
    grafana_schema.checked(list(FILES.values())).succeeded()
    for breaking in (_no_such_mode, _no_such_key, _no_such_option, _no_such_style):
        content = dashboard("hermes-fleet")
        breaking(content)
        broken = folder / "broken.json"
        broken.write_text(json.dumps(content))
        answer = grafana_schema.checked([broken])
        assert answer.code == 1, f"{breaking.__name__} was not noticed: {answer.output}{answer.log}"


@pytest.mark.parametrize("name", FILES)
def test_every_panel_says_what_it_shows(name: str) -> None:
    content = dashboard(name)
    assert content["uid"] == name and content["tags"] == ["hermes"] and content["refresh"] == "30s"
    assert content["timezone"] == "browser" and content["editable"] is True
    ids = [panel["id"] for panel in panels(content)]
    assert len(ids) == len(set(ids)), "two panels have the same id"
    places = [(place, title) for place, title in ((panel["gridPos"], panel["title"]) for panel in panels(content))]
    for place, title in places:
        assert place["x"] >= 0 and place["x"] + place["w"] <= 24, f"{title} is wider than the dashboard"
    for row in [content["panels"], *(panel["panels"] for panel in panels(content) if panel.get("panels"))]:
        for one, other in itertools.combinations(row, 2):
            assert not _overlap(one["gridPos"], other["gridPos"]), f"{one['title']} lies over {other['title']}"
    for panel in drawn(content):
        defaults = panel["fieldConfig"]["defaults"]
        assert panel["title"] and panel["description"].endswith("."), panel["title"]
        assert defaults["unit"] and defaults["noValue"] and defaults["thresholds"]["steps"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
        assert panel["targets"], panel["title"]
        for target in panel["targets"]:
            assert target["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]
            assert target["expr"], panel["title"]


def _overlap(one: dict, other: dict) -> bool:
    apart = (
        one["x"] + one["w"] <= other["x"]
        or other["x"] + other["w"] <= one["x"]
        or one["y"] + one["h"] <= other["y"]
        or other["y"] + other["h"] <= one["y"]
    )
    return not apart


def test_links_lead_somewhere() -> None:
    known = {dashboard(name)["uid"] for name in FILES}
    for name in FILES:
        text = FILES[name].read_text()
        linked = set(re.findall(r"/d/([\w-]+)", text))
        assert linked and linked <= known, f"{name} leads to {linked - known}"
        variables = {variable["name"] for variable in dashboard(name)["templating"]["list"]}
        used = {found for found in re.findall(r"\$\{(\w+)", text) if not found.startswith("__")}
        used |= {found for found in re.findall(r"\$(\w+)", text) if not found.startswith("__") and not found.isdigit()}
        assert used == variables, f"{name} uses the variables {used} and has {variables}"


def test_every_alert_has_its_runbook() -> None:
    """An alert about an instance names its runbook by its finding; one about the watching is known by its name."""
    runbooks = {
        alert: runbook
        for _, target in queries()
        for runbook, alert in re.findall(r'"finding", "(\w+)", "alertname", "(\w+)"', target["expr"])
    }
    for rules in RULES.glob("*.yml"):
        for text in re.split(r"^ *- alert: ", rules.read_text(), flags=re.M)[1:]:
            alert, runbook = text.split()[0], re.search(r"/runbooks/(\w+)", text)
            finding = re.search(r"\bfinding: (\w+)", text)
            assert runbook, f"{alert} has no runbook"
            if alert != "Watchdog":
                assert runbook[1] == (finding[1] if finding else runbooks.get(alert)), f"{alert} of {rules.name}"


def known_metrics() -> set[str]:
    """The metrics that the documents and the recording rules have."""
    found = set(PROMETHEUS_OWN)
    for document in ("metrics.md", "bridge-metrics.md"):
        for metric, kind in re.findall(r"^\| `(\w+)` \| (\w+) \|", (ROOT / "docs" / document).read_text(), re.M):
            parts = ("_bucket", "_sum", "_count") if kind == "histogram" else ("",)
            found |= {metric + part for part in parts}
    for rules in RULES.glob("*.yml"):
        found |= set(re.findall(r"^\s*-?\s*record: (\S+)", rules.read_text(), re.M))
    return found


WORDS = {"by", "on", "or", "and", "unless", "ignoring", "group_left", "group_right", "bool", "offset", "without"}


def metrics_of(expression: str) -> set[str]:
    """The names in a query that are no functions, labels or words of the language."""
    bare = re.sub(r'"(?:[^"\\]|\\.)*"', '""', expression)
    bare = re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", bare)
    bare = re.sub(r"\b(?:by|on|ignoring|without|group_left|group_right) *\([^)]*\)", "", bare)
    names = re.findall(r"(?<![\w:.])([a-zA-Z_][\w:]*)(?! *\(|[\w:])", bare)
    return {name for name in names if name not in WORDS}


def test_every_metric_is_one_that_there_is() -> None:
    assert metrics_of('sum by (a) (rate(x_total{b="c"}[5m])) / on (d) y:z:w @ end() or 1e10 * up') == {
        "x_total",
        "y:z:w",
        "up",
    }
    known = known_metrics()
    unknown = {(where, name) for where, target in queries() for name in metrics_of(target["expr"]) - known}
    assert not unknown, f"asked for, and nowhere to be had: {sorted(unknown)}"


@contextlib.contextmanager
def fleets(folder: Path, exporter: Exporter, recorded: dict[str, Path]) -> Iterator[dict[str, int]]:
    """A good day, a bad day and the recorded homes, each served; and their ports."""
    with contextlib.ExitStack() as stack:
        ports = {}
        for day in ("good", "bad"):
            place = folder / day
            place.mkdir(mode=0o755)
            configuration = stack.enter_context(fleet.configured(place, exporter, 2, day))
            ports[day] = stack.enter_context(exporter.serving(configuration)).port
        place = folder / "more"
        place.mkdir(mode=0o755)
        configuration = stack.enter_context(with_more(place, exporter, recorded))
        ports["recorded"] = stack.enter_context(exporter.serving(configuration)).port
        yield ports


@contextlib.contextmanager
def with_more(folder: Path, exporter: Exporter, recorded: dict[str, Path]) -> Iterator[Path]:
    """The recorded homes with what the fleets lack: a certificate, a listener, a tailnet and an emergency bundle."""
    bundle, program, socket = folder / "bundle.tar", folder / "hermes", folder / "tailscaled.sock"
    bundle.touch()
    # Recognised by its name and its home.
    program.write_text(LISTENING)
    environment = bare_environment(folder) | {"HERMES_HOME": str(recorded["vijay"])}
    with (
        encrypted_door(folder) as (port, certificate),
        tailscale_daemon(socket, TAILSCALE_STATUS),
        running("/usr/bin/env", "python3", program, "dashboard", environment=environment) as listener,
    ):
        wait_for("the program to listen", lambda: "listening" in listener.output())
        door = {"name": "door", "kind": "http", "url": f"https://127.0.0.1:{port}/", "ca_file": str(certificate)}
        keys = {"endpoints": [door], "emergency_bundles": {"pattern": str(bundle)}}
        yield exporter.configuration(recorded, keys, tailscale={"socket": str(socket)})


@contextlib.contextmanager
def encrypted_door(folder: Path) -> Iterator[tuple[int, Path]]:
    """The port of a server that speaks TLS, and its certificate."""

    class Welcoming(Door):
        def do_GET(self) -> None:
            self.answer(200, b"welcome")

    wanted, key, certificate = folder / "certificate.conf", folder / "key.pem", folder / "certificate.pem"
    wanted.write_text(CERTIFICATE)
    made = ("-newkey", "rsa:2048", "-noenc", "-keyout", key, "-out", certificate, "-days", "90")
    run("openssl", "req", "-x509", "-config", wanted, *made).succeeded()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with opened(Welcoming, context) as port:
        yield port, certificate


def filled(expression: str) -> str:
    variables = {"instance": ".+", "__rate_interval": "10s", "__range": "30s", "__interval": "20s", "datasource": "x"}
    # Not $1, which is what a regular expression has found.
    return re.sub(r"\$([a-z_]+)", lambda found: variables[found[1]], expression)


def test_a_real_prometheus_answers_every_query(
    exporter: Exporter, recorded: dict[str, Path], folder: Path, prometheus: Path, promtool: Path, bridge_binary: Path
) -> None:
    bridge = folder / "bridge.yml"
    bridge.write_text(BRIDGE_WITHOUT_TELEGRAM.format(folder=folder))
    (folder / "bot.token").write_text(TOKEN)
    with fleets(folder, exporter, recorded) as ports, serving_bridge(bridge_binary, bridge) as served:
        status, _ = bridge_is_asked(served.port, "POST", "/notify", {"chat": "root", "text": "This waits."})
        assert status == 200
        rules_at_once(RULES, folder / "rules", "1s")
        jobs = [FLEET.format(name=name, port=port) for name, port in ports.items()]
        configuration = folder / "prometheus.yml"
        configuration.write_text(PROMETHEUS + "".join(jobs) + BRIDGE.format(port=served.port))
        run(promtool, "check", "config", configuration).succeeded()
        with serving_prometheus(prometheus, configuration) as asked:

            def answered(target: dict) -> list:
                expression = filled(target["expr"])
                if target["instant"]:
                    return asked.results(expression)
                now = time.time()
                return asked.get("query_range", query=expression, start=now - 20, end=now, step=2)["result"]

            # What can not be scraped, evaluated or answered yet; a query that is wrong stays so.
            missing = dict(queries())
            expected = {panel: number for panel, (number, _) in WITHOUT_DATA.items()}

            def nothing_else_is_missing() -> bool:
                for where in [where for where, target in missing.items() if answered(target)]:
                    del missing[where]
                without = [f"{' / '.join(where)}: {filled(target['expr'])}" for where, target in missing.items()]
                by_panel = Counter((name, title) for name, title, _ in missing)
                assert by_panel == expected, f"not {expected}, but no data for\n" + "\n".join(without)
                return True

            wait_for("every other query to be answered with data", nothing_else_is_missing, seconds=60, pause=1)
