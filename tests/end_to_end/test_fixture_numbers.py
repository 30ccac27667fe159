"""The numbers of the recorded homes, as independent SQL counted them, are the numbers that are exposed.

Also what holds of every exposition: both formats are valid to their own tools, nothing occurs twice, everything
about an installation names it, and nothing personal or secret is in it.
"""

from __future__ import annotations

import datetime
import json
import re
import sqlite3
from pathlib import Path

import pytest

import homes
from exporter import ACCEPT_OPENMETRICS, ACCEPT_TEXT, Exporter, failures
from exposition import Samples
from processes import run, wait_for

EXPECTED = homes.expected()


def seconds(text: str) -> float:
    """A moment in ISO 8601 as Unix seconds."""
    return datetime.datetime.fromisoformat(text).timestamp()


@pytest.fixture(params=homes.NAMES)
def name(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def truth(name: str) -> dict:
    return EXPECTED[name]


@pytest.fixture
def samples(exporter: Exporter, recorded: dict[str, Path], name: str) -> Samples:
    """What one scrape tells of the instance."""
    everything = exporter.scrape_once(exporter.configuration(recorded))
    assert failures(everything, name) == {}, "every collector succeeds on a sound home"
    return everything.of(instance=name)


def test_sessions(samples: Samples, truth: dict) -> None:
    current = truth["sessions_by_source_not_archived"]
    assert samples.by("hermes_sessions", "source", archived="false") == current
    archived = {
        source: count - current.get(source, 0)
        for source, count in truth["sessions_by_source_all"].items()
        if count != current.get(source, 0)
    }
    exposed = samples.by("hermes_sessions", "source", archived="true")
    assert {source: count for source, count in exposed.items() if count} == archived
    assert sum(samples.series("hermes_sessions").values()) == truth["sessions_rows"]
    assert samples.value("hermes_sessions_open") == truth["sessions_open_not_archived"]
    ended = {reason: count for reason, count in truth["sessions_by_end_reason"].items() if reason != "None"}
    assert samples.by("hermes_sessions_ended", "reason") == ended


def test_messages(samples: Samples, truth: dict) -> None:
    assert samples.value("hermes_stored_messages") == truth["messages_rows"]
    assert samples.value("hermes_messages_total") == truth["messages_seq"]


def test_tool_calls(samples: Samples, truth: dict) -> None:
    assert samples.by("hermes_tool_calls_total", "tool") == truth["tool_calls_by_name_json (assistant rows)"]


def test_the_time_of_the_newest_message(samples: Samples, name: str, recorded: dict[str, Path]) -> None:
    store = sqlite3.connect(f"file:{recorded[name]}/state.db?immutable=1", uri=True)
    # Not that of the last row: a compaction inserts rows of long ago.
    (newest,) = store.execute("SELECT max(timestamp) FROM messages").fetchone()
    store.close()
    assert samples.value("hermes_last_message_timestamp_seconds") == pytest.approx(newest, abs=0.001)


def test_turns_are_counted_once_in_the_counter_and_in_the_histogram(samples: Samples, truth: dict) -> None:
    turns = samples.value("hermes_turns_total")
    assert 0 < turns <= truth["messages_by_role"]["user"], "a turn begins with a message of a person"
    assert samples.value("hermes_turn_duration_seconds_count") == turns
    assert samples.value("hermes_turn_duration_seconds_bucket", le="+Inf") == turns
    buckets = {float(bound): count for bound, count in samples.by("hermes_turn_duration_seconds_bucket", "le").items()}
    counts = [buckets[bound] for bound in sorted(buckets)]
    assert counts == sorted(counts), f"the buckets are cumulative: {buckets}"


def test_model_usage(samples: Samples, truth: dict) -> None:
    rows = truth["usage_table_by_model_task"]
    assert rows, "the fixture has model usage"
    for row in rows:
        labels = {"model": row["model"], "provider": row["provider"], "task": row["task"]}
        # An empty label is the same as none, and a parser may drop it.
        for kind in ("input", "output"):
            assert samples.value("hermes_model_tokens", kind=kind, **labels) == row[kind], (labels, kind)
        assert samples.value("hermes_model_cost_usd", **labels) == pytest.approx(row["cost"], abs=1e-9), labels
        assert samples.value("hermes_model_api_calls", **labels) == row["api_calls"], labels
    assert len(samples.series("hermes_model_cost_usd")) == len(rows)
    # The main loop's usage is all that the sessions' own sums know.
    sums = truth["tokens_sessions_table"]
    for kind in ("input", "output", "cache_read", "cache_write", "reasoning"):
        total = sum(
            value
            for labels, value in samples.series("hermes_model_tokens", kind=kind).items()
            if dict(labels)["task"] == ""
        )
        assert total == sums[kind], f"{kind} tokens of the main loop"


def test_the_store(samples: Samples, truth: dict) -> None:
    assert samples.value("hermes_state_db_schema_version") == truth["schema_version"]
    assert samples.value("hermes_state_db_bytes") == truth["state_db_bytes"]
    assert samples.value("hermes_state_db_wal_bytes") == 0


def test_delivery_obligations(samples: Samples, truth: dict) -> None:
    owed = samples.by("hermes_delivery_obligations", "state")
    if truth["delivery_obligations"] is None:
        assert owed == {}, "there is no such table, so nothing is known of obligations"
    else:
        assert {state: count for state, count in owed.items() if count} == truth["delivery_obligations"]


def test_cron(samples: Samples, truth: dict) -> None:
    jobs = truth["cron_jobs"]
    states: dict[str, int] = {}
    for job in jobs:
        states[job["state"]] = states.get(job["state"], 0) + 1
    exposed = samples.by("hermes_cron_jobs", "state")
    assert {state: count for state, count in exposed.items() if count} == states

    def by_job(metric: str) -> dict[str, float]:
        return samples.by(metric, "cron_job")

    def those_with(field: str) -> list[dict]:
        return [job for job in jobs if job[field] is not None]

    last_runs = {job["id"]: seconds(job["last_run_at"]) for job in those_with("last_run_at")}
    assert by_job("hermes_cron_job_last_run_timestamp_seconds") == pytest.approx(last_runs, abs=0.001)
    assert by_job("hermes_cron_job_last_run_success") == {
        job["id"]: float(job["last_status"] == "ok") for job in those_with("last_status")
    }
    exposed_next = by_job("hermes_cron_job_next_run_timestamp_seconds")
    for job in jobs:
        if job["state"] == "scheduled":
            assert exposed_next[job["id"]] == pytest.approx(seconds(job["next_run_at"]), abs=0.001), job["name"]
        if job["next_run_at"] is None:
            assert job["id"] not in exposed_next, f"{job['name']} has no next run"
    delivered = by_job("hermes_cron_job_last_delivery_success")
    for job in jobs:
        if job["last_delivery_error"] is not None:
            assert delivered[job["id"]] == 0, f"the delivery of {job['name']} failed"
        else:
            assert delivered.get(job["id"], 1) == 1, f"nothing is wrong with the delivery of {job['name']}"


def test_the_durations_of_cron_runs(samples: Samples, name: str, recorded: dict[str, Path]) -> None:
    store = sqlite3.connect(f"file:{recorded[name]}/cron/executions.db?immutable=1", uri=True)
    newest: dict[str, tuple[str, float]] = {}
    for job, begun, ended in store.execute("SELECT job_id, started_at, finished_at FROM executions"):
        if begun and ended and (job not in newest or ended > newest[job][0]):
            newest[job] = (ended, seconds(ended) - seconds(begun))
    store.close()
    exposed = samples.by("hermes_cron_job_last_duration_seconds", "cron_job")
    assert exposed, "some job has run"
    for job, duration in exposed.items():
        assert duration == pytest.approx(newest[job][1], abs=0.001), job


def test_the_ticker(samples: Samples, name: str, recorded: dict[str, Path]) -> None:
    for metric, file in (
        ("hermes_cron_ticker_heartbeat_timestamp_seconds", "ticker_heartbeat"),
        ("hermes_cron_ticker_last_success_timestamp_seconds", "ticker_last_success"),
    ):
        written = float((recorded[name] / "cron" / file).read_text())
        assert samples.value(metric) == pytest.approx(written, abs=0.001)


def test_tokens(samples: Samples, truth: dict) -> None:
    assert samples.value("hermes_token_present", token="google") == float(truth["google_token_present"])
    if truth["google_token_present"]:
        expiry = samples.value("hermes_token_expiry_timestamp_seconds", token="google")
        assert expiry == pytest.approx(seconds(truth["google_token_expiry"]), abs=0.001)
        assert samples.value("hermes_token_refreshable", token="google") == float(truth["google_has_refresh"])
        assert samples.value("hermes_token_valid", token="google") == 1, "expired, but it can be refreshed"
    else:
        assert not samples.has("hermes_token_expiry_timestamp_seconds", token="google")
    present = samples.by("hermes_token_present", "token")
    for provider in truth["auth_providers"]:
        assert provider in present, f"auth.json names {provider}"


def test_a_token_that_needs_a_person_is_not_valid(exporter: Exporter, recorded: dict[str, Path]) -> None:
    samples = exporter.scrape_once(exporter.configuration(recorded))
    assert samples.value("hermes_token_valid", instance="bheem", token="nous") == 0, "nous wants a new login"


def test_credential_pools(samples: Samples, truth: dict) -> None:
    exposed: dict[str, dict[str, float]] = {}
    for labels, count in samples.series("hermes_credential_pool_entries").items():
        found = dict(labels)
        if count:
            exposed.setdefault(found["provider"], {})[found["status"]] = count
    assert set(exposed) == set(truth["pool"])
    for provider, statuses in truth["pool"].items():
        assert sum(exposed[provider].values()) == len(statuses), provider
        for status in {status for status in statuses if status}:
            assert exposed[provider][status] == statuses.count(status), (provider, status)


def test_memory(samples: Samples, truth: dict) -> None:
    assert samples.by("hermes_memory_chars", "file") == truth["memory_chars"]
    assert samples.by("hermes_memory_limit_chars", "file") == {"MEMORY.md": 2200, "USER.md": 1375}


def test_skills(samples: Samples, truth: dict, name: str) -> None:
    skills = samples.by("hermes_skills", "state")
    assert sum(skills.values()) == truth["skill_md_files"]
    assert skills.get("disabled", 0) == {"vijay": 1, "bheem": 0}[name]


def test_the_rest_of_the_furniture(samples: Samples, name: str) -> None:
    """What make_homes.py puts into the home and expected.json does not count."""
    wanted = {
        "vijay": {"mcp_servers": {"enabled": 2, "disabled": 1}, "webhooks": {"enabled": 1, "disabled": 1}},
        "bheem": {"mcp_servers": {}, "webhooks": {}},
    }[name]
    for metric, counts in wanted.items():
        exposed = samples.by(f"hermes_{metric}", "state")
        assert {state: count for state, count in exposed.items() if count} == counts, metric
    if name == "vijay":
        boards = samples.series("hermes_kanban_tasks")
        assert sum(boards.values()) == 7, samples.show("hermes_kanban_tasks")
        assert samples.by("hermes_paired_users", "state", platform="telegram")["approved"] == 1


def test_the_gateway_of_a_home_at_rest(samples: Samples, name: str) -> None:
    state = {"vijay": "crashed", "bheem": "stopped"}[name]
    assert samples.value("hermes_gateway_up") == 0
    states = samples.by("hermes_gateway_state", "state")
    assert [found for found, value in states.items() if value == 1] == [state], states
    assert not samples.has("hermes_platform_up"), "what is written of platforms by a dead gateway tells nothing"
    assert not samples.has("hermes_platform_state")


# What holds of every exposition.


def test_promtool_accepts_the_text_format(
    exporter: Exporter, recorded: dict[str, Path], folder: Path, promtool: Path
) -> None:
    text = exporter.scrape_text(exporter.configuration(recorded), "text")
    metrics = folder / "metrics.txt"
    metrics.write_text(text)
    checked = run("/bin/sh", "-c", f'"{promtool}" check metrics < "{metrics}"')
    # A threshold is no histogram; its name says in what it is measured.
    complaints = set((checked.output + checked.log).splitlines())
    accepted = {'hermes_threshold_count non-histogram and non-summary metrics should not have "_count" suffix'}
    assert checked.code in (0, 3) and complaints <= accepted, f"promtool check metrics:\n{checked.output}{checked.log}"


def test_both_formats_say_the_same(exporter: Exporter, recorded: dict[str, Path]) -> None:
    configuration = exporter.configuration(recorded)
    text = exporter.scrape_once(configuration, "text").keys()
    openmetrics = exporter.scrape_once(configuration, "openmetrics").keys()
    assert text, "there is nothing in it"
    differing = sorted(f"{name}{dict(labels)}" for name, labels in text ^ openmetrics)
    assert not differing, f"in one format only: {differing[:20]}"


def test_the_format_is_negotiated(exporter: Exporter, recorded: dict[str, Path]) -> None:
    with exporter.serving(exporter.configuration(recorded)) as server:
        for accept, wanted in (
            (ACCEPT_OPENMETRICS, "application/openmetrics-text; version=1.0.0; charset=utf-8"),
            (ACCEPT_TEXT, "text/plain; version=0.0.4; charset=utf-8"),
            ("*/*", "text/plain; version=0.0.4; charset=utf-8"),
            ("text/html,*/*;q=0.8", "text/plain; version=0.0.4; charset=utf-8"),
        ):
            answer = server.get("/metrics", Accept=accept)
            assert answer.headers["content-type"] == wanted, accept
        packed = server.get("/metrics", Accept=ACCEPT_TEXT, Accept_Encoding="gzip")
        assert packed.headers.get("content-encoding") == "gzip"
        assert Samples.parse(packed.text).names() >= {"hermes_gateway_up"}


def test_scrape_writes_a_whole_file(exporter: Exporter, recorded: dict[str, Path], folder: Path) -> None:
    output = folder / "hermes.prom"
    output.write_text("what was there before")
    configuration = exporter.configuration(recorded)
    exporter.run("scrape", "--config.file", configuration, "--output", output).succeeded()
    assert Samples.parse(output.read_text()).has("hermes_gateway_up", instance="bheem")
    assert [path.name for path in folder.glob("*hermes.prom*")] == ["hermes.prom"], "no half-made file stays"


def test_everything_about_an_installation_names_it(exporter: Exporter, recorded: dict[str, Path]) -> None:
    samples = exporter.scrape_once(exporter.configuration(recorded))
    for name, labels, _ in samples:
        # The exporter itself and the machine are no installation.
        of_itself = name.startswith(("hermes_exporter_", "hermes_host_", "hermes_tailscale_", "process_"))
        if of_itself or labels.get("collector") in ("host", "tailscale"):
            assert "instance" not in labels, f"{name}{labels}"
        elif not (name.startswith(("hermes_finding", "hermes_threshold")) and "instance" not in labels):
            # What is found of the machine, and by which limits, is of no installation either.
            assert labels.get("instance") in homes.NAMES, f"{name}{labels}"
        assert "job" not in labels, f"{name}{labels}: Prometheus itself sets `job`"


def test_a_scrape_can_be_narrowed(exporter: Exporter, recorded: dict[str, Path]) -> None:
    with exporter.serving(exporter.configuration(recorded)) as server:
        samples = server.scrape("?instance=bheem&collect[]=cron")
        instances = {labels["instance"] for _, labels, _ in samples if "instance" in labels}
        assert instances == {"bheem"}
        assert samples.has("hermes_cron_jobs") and not samples.has("hermes_sessions")
        assert server.get("/metrics?collect[]=no-such-collector").status == 400
        assert server.get("/metrics?instance=no-such-instance").status in (400, 404)


def test_the_other_pages(exporter: Exporter, recorded: dict[str, Path]) -> None:
    with exporter.serving(exporter.configuration(recorded)) as server:
        assert server.get("/-/healthy").status == 200
        assert server.get("/-/ready").status == 200
        assert server.get("/").headers["content-type"].startswith("text/html")
        assert server.get("/no-such-page").status == 404
        several = json.loads(server.get("/api/v1/instances").text)
        assert all(name in json.dumps(several) for name in homes.NAMES)
        one = json.loads(server.get("/api/v1/instances/bheem").text)
        assert "bheem" in json.dumps(one) and '"vijay"' not in json.dumps(one)
        assert server.get("/api/v1/instances/nobody").status == 404
        assert isinstance(json.loads(server.get("/sd").text), list)


def private_texts(home: Path) -> set[str]:
    """Everything in a home that is nobody else's business: secrets, people, chats, titles, errors, prompts."""
    private = {"FAKE-", "not-a-secret", "Friend", "Stranger", "User1", "User2", "deleted", "too noisy"}
    private |= {f"10000000{digit}" for digit in range(1, 10)} | {
        "200000001",
        "800000000000000001",
        "700000000000000001",
    }
    store = sqlite3.connect(f"file:{home}/state.db?immutable=1", uri=True)
    for column in ("id", "title", "user_id", "chat_id", "session_key", "cwd", "thread_id"):
        private |= {str(value) for (value,) in store.execute(f"SELECT {column} FROM sessions") if value}
    private |= {
        content[:30] for (content,) in store.execute("SELECT content FROM messages WHERE role <> 'tool'") if content
    }
    store.close()
    for job in json.loads((home / "cron" / "jobs.json").read_text())["jobs"]:
        private |= {job[key] for key in ("name", "prompt", "last_error", "last_delivery_error") if job[key]}
    recorded_state = json.loads((home / "gateway_state.json").read_text())
    private |= {
        platform["error_message"] for platform in recorded_state["platforms"].values() if platform["error_message"]
    }
    for line in (home / ".env").read_text().splitlines():
        key, _, value = line.partition("=")
        if re.fullmatch(r"\w+", key) and len(value) > 5:
            private.add(value.strip("'\""))
    # Short numbers and words occur by chance.
    return {text for text in private if len(text) > 5}


def test_nothing_private_is_told(exporter: Exporter, recorded: dict[str, Path]) -> None:
    private = set().union(*map(private_texts, recorded.values()))
    assert len(private) > 1000, "the homes are full of private things"
    with exporter.serving(exporter.configuration(recorded), "--log.level", "debug") as server:
        told = {
            "/metrics as text": server.get("/metrics", Accept=ACCEPT_TEXT).text,
            "/metrics as OpenMetrics": server.get("/metrics", Accept=ACCEPT_OPENMETRICS).text,
        }
        for path in ("/", "/api/v1/instances", *(f"/api/v1/instances/{name}" for name in homes.NAMES), "/sd"):
            answer = server.get(path)
            assert answer.status == 200, f"{path} answered {answer.status}"
            told[path] = answer.text
        told["the log"] = server.program.everything()
    for place, text in told.items():
        found = sorted(secret for secret in private if secret in text)
        assert not found, f"{place} tells {found[:10]}"


def test_jobs_are_called_by_their_names_where_the_configuration_says_so(
    exporter: Exporter, recorded: dict[str, Path]
) -> None:
    configuration = exporter.configuration(recorded, {"cron_job_label": "name"})
    jobs = exporter.scrape_once(configuration).by("hermes_cron_job_last_run_success", "cron_job", instance="vijay")
    assert jobs["Weekly report"] == 0 and jobs["Morning briefing"] == 1


def test_a_serving_exporter_comes_to_the_same_numbers(exporter: Exporter, recorded: dict[str, Path]) -> None:
    """Long first passes are made in the background while serving, and at once by `scrape`; the outcome is the same."""
    configuration = exporter.configuration(recorded)
    once = exporter.scrape_once(configuration)
    with exporter.serving(configuration) as server:

        def same() -> bool:
            served = server.scrape()
            for name in ("hermes_tool_calls_total", "hermes_sessions", "hermes_messages_total", "hermes_turns_total"):
                assert served.show(name) == once.show(name), name
            return True

        wait_for("the numbers of a one-shot scrape", same)
