"""Hermes Fleet: every instance at a glance.

What is asked for each instance alone is asked in one table; charts show sums, or the ten that stand out, so that a
thousand instances stay readable and cheap. Rates and health over time come from the recording rules.
"""

from __future__ import annotations

from typing import Any

from .alerts import alerts
from .panels import (
    ANY_IS_BAD,
    ANY_IS_DOUBTFUL,
    BLUE,
    GREEN,
    HEALTH,
    INSTANCE,
    NEUTRAL,
    PAGE,
    RED,
    STATES,
    UNKNOWN,
    UP,
    YES,
    YELLOW,
    Column,
    Panel,
    Query,
    Row,
    bars,
    chart,
    dashboard,
    datasource_variable,
    page_variable,
    stat,
    table,
    top_link,
)

SEEN = "instance:hermes_health:worst"
NOT_SEEN = f"(max by (instance) (last_over_time({SEEN}[1h])) unless on (instance) {SEEN})"
FAILING = "job:hermes_collectors_failing:count"
BEGAN = "instance:hermes_alerts_began:count1m"
# What is of no instance is of the watching itself.
WHOSE = 'label_replace({0}, "instance", "the watching", "instance", "")'
RATIO = "instance:hermes_backup_age:ratio"
OLDEST = "instance:hermes_backup_age:ratio_oldest"
# What stands for a value that its collector could not tell; one that there rightly is none of has no value.
COULD_NOT_BE_TOLD = {-1: ("unknown", UNKNOWN)}


def made() -> dict[str, Any]:
    return dashboard(
        "hermes-fleet",
        "Hermes Fleet",
        "Every Hermes instance at a glance. Green is well, red is not, purple is what nobody could tell.",
        [
            Row("", _summary()),
            Row("Instances", [_instances()]),
            Row(
                "Alerts",
                [alerts("Firing alerts", "What Prometheus says is wrong now.", 'alertname!="Watchdog"', height=9)],
            ),
            Row("Health, backups and alerts over time", _trends()),
            Row("Work and cost", _work()),
            Row("Machine", _machine()),
            Row("The watching itself", _watching()),
        ],
        [datasource_variable(), page_variable()],
        [
            top_link("Hermes Instance", "/d/hermes-instance", "Everything about one instance"),
            top_link("Status page", f"{PAGE}/", "What is wrong, in words, by the exporter itself", new_tab=True),
        ],
        "now-24h",
    )


def _summary() -> list[Panel]:
    healthy, count = "sum(job:hermes_instances_healthy:count)", "sum(job:hermes_instances:count)"
    named = f'count_values("healthy", {healthy}) * on () group_left (count) count_values("count", {count})'
    by_severity = 'sum(instance:hermes_alerts_firing:count{{severity="{0}"}}) or vector(0)'
    return [
        stat(
            "Healthy instances",
            "Healthy instances of all that the exporter tells of: nothing is wrong, or nothing worse than a remark, "
            "and everything could be told.",
            Query(f"({named}) * on () group_left () ({healthy} / {count})", "{{healthy}} / {{count}}"),
            unit="percentunit",
            steps=[(None, RED), (0.5, YELLOW), (1, GREEN)],
            shows="name",
            background=True,
            width=4,
        ),
        stat(
            "Instances by health",
            "Each instance by the worst that is known of it. Unknown: nothing is known to be wrong, and not everything "
            "could be told. Not seen: told of within the last hour, and not any more.",
            [
                *(
                    Query(f'sum(job:hermes_instances_by_health:count{{health="{health}"}})', health, colour)
                    for health, colour in (
                        ("critical", RED),
                        ("warning", YELLOW),
                        ("unknown", UNKNOWN),
                        ("healthy", GREEN),
                    )
                ),
                Query(f"count({NOT_SEEN}) or 0 * {count}", "not seen", UNKNOWN),
            ],
            shows="value_and_name",
            width=9,
        ),
        stat(
            "Alerts firing",
            "Alerts that fire now, by severity; the Watchdog is left out, which always fires.",
            [
                Query(by_severity.format(name), name, colour)
                for name, colour in (("critical", RED), ("warning", YELLOW), ("info", BLUE))
            ],
            shows="value_and_name",
            width=5,
        ),
        stat(
            "Exporter",
            "Whether Prometheus reaches the exporter; of several, the worst.",
            Query('min(up{job="hermes"})'),
            words=UP,
            missing="not scraped",
            width=3,
        ),
        stat(
            "Alert bridge",
            "Whether the bridge to Telegram says that it is ready. Not scraped: Prometheus has no word from it.",
            Query('min(hermes_alert_bridge_ready) or min(up{job="hermes-alert-bridge"})'),
            words={0: ("down", RED), 1: ("ready", GREEN)},
            missing="not scraped",
            width=3,
        ),
    ]


def _instances() -> Panel:
    def findings(severity: str) -> Query:
        return Query(
            f'sum by (instance) (hermes_findings{{severity="{severity}", instance!=""}} and on (job, instance)'
            " hermes_instance_info)"
        )

    def told(value: str, collector: str) -> Query:
        return Query(
            f"({value}) or max by (instance) (hermes_collector_success"
            f'{{collector="{collector}", instance!=""}} == 0) - 1'
        )

    return table(
        "Instances",
        "One row for each instance, the worst first. A name leads to everything about the instance, its health to the "
        "status page. Backup: the oldest of its repositories, and how much of its limit that is. Unknown: could not be "
        "told. A dash: there is none. A heartbeat is red above 90 s, the limit unless it is configured otherwise.",
        [
            Query(f"max by (instance) ({SEEN}) or {NOT_SEEN} * 0 - 1"),
            Query("max by (instance, state) (hermes_gateway_state == 1)"),
            told("time() - max by (instance) (hermes_gateway_heartbeat_timestamp_seconds)", "gateway"),
            told("max by (instance) (hermes_backup_age_seconds)", "backup"),
            Query(f"max by (instance) ({RATIO})"),
            Query("max by (instance) (hermes_sessions_active)"),
            told("time() - max by (instance) (hermes_last_message_timestamp_seconds)", "sessions"),
            Query("max by (instance) (hermes_cron_jobs_overdue)"),
            told(
                "sum by (instance) ((1 - hermes_token_valid) and on (job, instance, token) hermes_token_expected == 1)",
                "credentials",
            ),
            findings("critical"),
            findings("warning"),
            findings("info"),
            # Only what failed has a reason, so that this is cheap where the success of every collector would not be.
            Query(
                "count by (instance) (count by (job, instance, collector) (hermes_collector_failure_info)"
                " and on (job, instance) hermes_instance_info) or 0 * max by (instance) (hermes_instance_info)"
            ),
            Query("max by (instance, version) (hermes_instance_info)"),
        ],
        [
            Column("instance", "Instance", link=("Everything about it", INSTANCE)),
            Column(
                "#A",
                "Health",
                words=HEALTH,
                width=90,
                link=("Status page", f"{PAGE}/?instance=${{__data.fields.Instance:percentencode}}"),
            ),
            Column("state", "Gateway", texts={state: colour for state, colour in STATES.items()}, width=110),
            Column(
                "#C",
                "Heartbeat",
                unit="s",
                decimals=0,
                steps=[(None, GREEN), (90, RED)],
                words=COULD_NOT_BE_TOLD,
                width=90,
                missing="–",
            ),
            Column("#D", "Backup", unit="s", decimals=1, words=COULD_NOT_BE_TOLD, width=90, missing="–"),
            Column(
                "#E",
                "of limit",
                unit="percentunit",
                decimals=0,
                steps=[(None, GREEN), (1, YELLOW), (2, RED)],
                width=75,
                missing="–",
            ),
            Column("#F", "Sessions", unit="short", width=80),
            Column("#G", "Last message", unit="s", decimals=1, words=COULD_NOT_BE_TOLD, width=110, missing="–"),
            Column("#H", "Cron overdue", unit="short", steps=ANY_IS_DOUBTFUL, width=110),
            Column(
                "#I",
                "Tokens invalid",
                unit="short",
                steps=ANY_IS_DOUBTFUL,
                words=COULD_NOT_BE_TOLD,
                width=115,
                missing="–",
            ),
            Column("#J", "Critical", unit="short", steps=ANY_IS_BAD, width=70),
            Column("#K", "Warning", unit="short", steps=ANY_IS_DOUBTFUL, width=75),
            Column("#L", "Info", unit="short", steps=[(None, GREEN), (1, BLUE)], width=55),
            Column("#M", "Not told", unit="short", steps=[(None, GREEN), (1, UNKNOWN)], width=75),
            Column("version", "Version", width=80),
        ],
        missing="No instance is told of: is the exporter scraped, and are the recording rules loaded?",
        sort=("Health", True),
        height=14,
    )


def _trends() -> list[Panel]:
    return [
        chart(
            "Health",
            "Instances by the worst that was known of them.",
            [
                Query(f'sum(job:hermes_instances_by_health:count{{health="{health}"}})', health, colour)
                for health, colour in (("healthy", GREEN), ("unknown", UNKNOWN), ("warning", YELLOW), ("critical", RED))
            ],
            stacked=True,
            decimals=0,
            width=12,
        ),
        chart(
            "Gateways",
            "Gateways that are up, that are down, and those of which nobody could tell.",
            [
                Query(f'sum(job:hermes_gateways:count{{state="{state}"}})', state, colour)
                for state, colour in (("up", GREEN), ("unknown", UNKNOWN), ("down", RED))
            ],
            stacked=True,
            decimals=0,
            width=12,
        ),
        chart(
            "Backup age against its limit",
            "How old the oldest backup of an instance is, as a part of how old it may be: the ten that are oldest now, "
            "for as long as they were among the hundred oldest. Above the dashed line is too old.",
            Query(f"{OLDEST} and topk(10, last_over_time({OLDEST}[1h] @ end()))", "{{instance}}"),
            unit="percentunit",
            steps=[(None, GREEN), (1, RED)],
            missing="not configured",
            width=12,
        ),
        chart(
            "Alerts that began",
            "Alerts that began to fire, by the hour, or by what a bar stands for, and by severity.",
            [
                Query(f'sum(sum_over_time({BEGAN}{{severity="{severity}"}}[$__interval]))', severity, colour)
                for severity, colour in (("info", BLUE), ("warning", YELLOW), ("critical", RED))
            ],
            stacked=True,
            bars=True,
            decimals=0,
            interval="1h",
            missing="none",
            width=7,
        ),
        bars(
            "Alerts of the last day",
            "Alerts that began to fire within the last 24 hours: the ten instances with the most.",
            Query(WHOSE.format(f"topk(10, sum by (instance) (sum_over_time({BEGAN}[1d])) > 0)"), "{{instance}}"),
            steps=[(None, BLUE), (10, YELLOW), (50, RED)],
            decimals=0,
            missing="none",
            width=5,
        ),
    ]


def _work() -> list[Panel]:
    return [
        chart(
            "Messages by the minute",
            "Messages stored, of all instances, and turns: from a message of a person to the answer.",
            [
                Query("60 * sum(job:hermes_messages:rate5m)", "messages"),
                Query("60 * sum(job:hermes_turns:rate5m)", "turns"),
            ],
            unit="short",
        ),
        chart(
            "Sessions in progress",
            "Open sessions with a message in the last five minutes, and the agents that gateways say are at work.",
            [
                Query("sum(job:hermes_sessions_active:sum)", "sessions"),
                Query("sum(job:hermes_gateway_active_agents:sum)", "agents at work"),
            ],
        ),
        bars(
            "Busiest instances of the last hour",
            "Messages stored within the last hour: the ten instances with the most.",
            Query("topk(10, sum by (instance) (increase(hermes_messages_total[1h])))", "{{instance}}"),
            decimals=0,
            missing="no messages",
            width=8,
        ),
        chart(
            "Cost of stored sessions",
            "As billed where that is known, else as estimated. Falls when Hermes deletes old sessions.",
            Query("sum(job:hermes_model_cost_usd:sum)", "all instances"),
            unit="currencyUSD",
            decimals=2,
            width=8,
        ),
        bars(
            "Cost by instance",
            "Cost of the sessions that are stored now: the ten instances with the most.",
            Query("topk(10, sum by (instance) (hermes_model_cost_usd))", "{{instance}}"),
            unit="currencyUSD",
            decimals=2,
        ),
        bars(
            "Cost by model",
            "Cost of the sessions that are stored now: the ten models with the most.",
            Query("topk(10, sum by (model) (hermes_model_cost_usd))", "{{model}}"),
            unit="currencyUSD",
            decimals=2,
        ),
    ]


def _machine() -> list[Panel]:
    used = "1 - hermes_host_memory_available_bytes / hermes_host_memory_size_bytes"
    left = "min by (instance) (hermes_home_filesystem_avail_bytes / hermes_home_filesystem_size_bytes)"
    return [
        stat(
            "Tailscale",
            "Whether the machine is in its tailnet; of several machines, the worst. Not watched: Tailscale is not"
            " configured.",
            Query('min(hermes_tailscale_up) or min(hermes_collector_success{collector="tailscale"} == 0) + 0.5'),
            words=UP,
            missing="not watched",
            width=4,
        ),
        stat(
            "Tailscale key",
            "How long until a machine has to log in to its tailnet again. Without a time: no machine's key expires, or "
            "Tailscale is not watched.",
            Query("min(hermes_tailscale_key_expiry_timestamp_seconds) - time()"),
            unit="s",
            decimals=1,
            steps=[(None, RED), (86400, YELLOW), (604800, GREEN)],
            missing="does not expire, or is not watched",
            width=4,
        ),
        stat(
            "Least disk left",
            "The part that is left of the fullest filesystem that has a home on it. Orange below 10%, red below 3%, "
            "the limits unless they are configured otherwise.",
            Query(f"min({left})"),
            unit="percentunit",
            decimals=0,
            steps=[(None, RED), (0.03, YELLOW), (0.1, GREEN)],
            width=4,
        ),
        stat(
            "Memory used",
            "The part of the machine's memory that programs can not get any more.",
            Query(f"max({used})"),
            unit="percentunit",
            decimals=0,
            steps=[(None, GREEN), (0.85, YELLOW), (0.95, RED)],
            missing="not told",
            width=4,
        ),
        stat(
            "Load per processor",
            "Load over five minutes for each processor; above 1 programs wait.",
            Query("max(hermes_host_load5 / hermes_host_cpus)"),
            decimals=2,
            steps=[(None, GREEN), (1, YELLOW), (2, RED)],
            missing="not told",
            width=4,
        ),
        stat(
            "Machine up for",
            "How long ago the machine was started; of several, the one that was started last.",
            Query("min(hermes_host_uptime_seconds)"),
            unit="s",
            decimals=1,
            missing="not told",
            width=4,
        ),
        chart(
            "Processor and memory",
            "The part of the machine's processor time and memory that is used.",
            [
                Query("hermes_host_cpu_usage_ratio", "processor of {{instance}}"),
                Query(used, "memory of {{instance}}"),
            ],
            unit="percentunit",
            high=1,
            missing="not told",
            width=12,
        ),
        bars(
            "Disk left for homes",
            "The part that is left of the filesystem of a home: the ten instances with the least. Orange below 10%, "
            "red below 3%, the limits unless they are configured otherwise.",
            Query(f"bottomk(10, {left})", "{{instance}}"),
            unit="percentunit",
            steps=[(None, RED), (0.03, YELLOW), (0.1, GREEN)],
            decimals=0,
            high=1,
            width=12,
        ),
    ]


def _watching() -> list[Panel]:
    return [
        chart(
            "Scrapes",
            "How long Prometheus waits for the exporter's metrics.",
            Query('scrape_duration_seconds{job="hermes"}', "{{instance}}"),
            unit="s",
            missing="not scraped",
        ),
        chart(
            "What could not be told",
            "Collectors of all instances that could not tell everything, and the five that most often could not: the "
            "reasons are on the dashboard of the instance.",
            [
                Query(f"sum({FAILING}) or 0 * sum(job:hermes_instances:count)", "all collectors", UNKNOWN),
                Query(f"topk(5, sum by (collector) ({FAILING}))", "{{collector}}"),
            ],
            missing="unknown",
            decimals=0,
        ),
        chart(
            "News that wait in the bridge",
            "Messages that the bridge still has to bring to Telegram, by chat.",
            Query("sum by (chat) (hermes_alert_bridge_pending)", "{{chat}}"),
            missing="not scraped",
            decimals=0,
        ),
        stat(
            "Oldest news waiting",
            "How long the oldest news has waited for Telegram.",
            Query("time() - min(hermes_alert_bridge_oldest_pending_timestamp_seconds)"),
            unit="s",
            steps=[(None, GREEN), (120, YELLOW), (600, RED)],
            missing="none waits",
            width=4,
        ),
        stat(
            "Chats reachable",
            "Whether Telegram lets the bot write to every chat.",
            Query("min(hermes_alert_bridge_chat_reachable)"),
            words=YES,
            missing="not scraped",
            width=4,
        ),
        stat(
            "Failed calls to Telegram",
            "Calls of the Bot API that failed within the last hour; the bridge tries again.",
            Query("sum(increase(hermes_alert_bridge_failures_total[1h])) or 0 * min(hermes_alert_bridge_ready)"),
            unit="short",
            decimals=0,
            steps=[(None, GREEN), (1, YELLOW), (50, RED)],
            missing="not scraped",
            width=4,
        ),
        stat(
            "Unrouted alerts",
            "Alerts within the last day that no route of the bridge wanted, and that went to the default chat.",
            Query("sum(increase(hermes_alert_bridge_unrouted_total[1d]))"),
            unit="short",
            decimals=0,
            steps=ANY_IS_DOUBTFUL,
            missing="not scraped",
            width=4,
        ),
        stat(
            "Configurations loaded",
            "Whether the last attempt to load the configuration of the exporter and of the bridge succeeded.",
            Query(
                "min(hermes_exporter_config_last_reload_successful or"
                " hermes_alert_bridge_config_last_reload_successful)"
            ),
            words=YES,
            missing="not scraped",
            width=4,
        ),
        stat(
            "Exporter version",
            "The exporter's version.",
            Query("max by (version) (hermes_exporter_build_info)", "{{version}}"),
            shows="name",
            steps=NEUTRAL,
            missing="not scraped",
            width=4,
        ),
    ]
