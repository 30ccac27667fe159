"""Hermes Instance: everything about one instance, or about the few that are chosen.

With All, single numbers are the worst or the sum of the chosen ones. What is looked at less often is folded away, and
asks nothing until it is opened.
"""

from __future__ import annotations

from typing import Any

from . import work
from .alerts import alerts
from .panels import (
    ANY_IS_BAD,
    ANY_IS_DOUBTFUL,
    BLUE,
    CHOSEN,
    GREEN,
    HEALTH,
    PAGE,
    PLAIN,
    RATE,
    RED,
    SEVERITY,
    STATES,
    UNKNOWN,
    UP,
    YELLOW,
    YES,
    Column,
    Panel,
    Query,
    Row,
    address_variable,
    bars,
    chart,
    dashboard,
    datasource_variable,
    instance_variable,
    page_variable,
    stat,
    table,
    top_link,
)


def made() -> dict[str, Any]:
    native = address_variable(
        "hermes_dashboard",
        "Hermes' dashboard",
        "Where your browser reaches the dashboard of Hermes itself for this instance",
        "http://127.0.0.1:9119",
    )
    return dashboard(
        "hermes-instance",
        "Hermes Instance",
        "Everything about one Hermes instance. Green is well, red is not, purple is what nobody could tell.",
        [
            Row("", _summary()),
            Row("What is wrong", _wrong()),
            Row("Gateway and platforms", _gateway()),
            Row("Units, timers and endpoints", _units()),
            Row("Backups", _backups()),
            Row("Cron", work.cron()),
            Row("Tokens and credentials", work.tokens()),
            Row("Sessions, messages and turns", work.sessions()),
            Row("Tokens and cost by model", work.models()),
            Row("Home, disk and exposure", _home()),
            Row("Tools and logs", work.tools(), folded=True),
            Row("Memory files, skills and the rest", work.inventory(), folded=True),
            Row("Collectors", _collectors(), folded=True),
        ],
        [datasource_variable(), instance_variable(), page_variable(), native],
        [
            top_link("Hermes Fleet", "/d/hermes-fleet", "Every instance at a glance"),
            top_link("Status page", f"{PAGE}/", "What is wrong, in words, by the exporter itself", new_tab=True),
            top_link("Runbooks", f"{PAGE}/runbooks", "What to do about each finding", new_tab=True),
            top_link(
                "Hermes' own dashboard", "${hermes_dashboard:raw}/", "The dashboard of Hermes itself", new_tab=True
            ),
        ],
        "now-24h",
    )


def _summary() -> list[Panel]:
    health = (
        "max(instance:hermes_health:worst{%s}) or max(last_over_time(instance:hermes_health:worst{%s}[1h])) * 0 - 1"
        % (CHOSEN, CHOSEN)
    )
    # Half a one for an instance of which nobody could tell, so that the least of them is down, then unknown, then up.
    gateway = "min(hermes_gateway_up{%s} or on (job, instance) 0 * hermes_instance_info{%s} + 0.5)" % (CHOSEN, CHOSEN)
    return [
        stat(
            "Health",
            "The worst that is known; of several instances, of the worst. Not seen: the exporter told of it within the"
            " last hour, and does not any more.",
            Query(health),
            words=HEALTH,
            missing="no such instance",
            background=True,
            width=4,
            url=f"{PAGE}/",
        ),
        stat(
            "Gateway",
            "Whether the gateway's process is alive and its heartbeat fresh; of several, the worst.",
            Query(gateway),
            words=UP,
            missing="no such instance",
            background=True,
            width=4,
        ),
        stat(
            "Heartbeat",
            "How long ago the gateway last gave a sign of life, which it does every 30 s; of several, the oldest."
            " Red above 90 s, the limit unless it is configured otherwise.",
            Query("time() - min(hermes_gateway_heartbeat_timestamp_seconds{%s})" % CHOSEN),
            unit="s",
            decimals=0,
            steps=[(None, GREEN), (60, YELLOW), (90, RED)],
            width=3,
        ),
        stat(
            "Backup age",
            "How old the oldest backup is as a part of how old it may be. Not configured: no repository is judged by"
            " its age.",
            Query("max(instance:hermes_backup_age:ratio{%s})" % CHOSEN),
            unit="percentunit",
            decimals=0,
            steps=[(None, GREEN), (1, YELLOW), (2, RED)],
            missing="not configured",
            width=3,
        ),
        stat(
            "Last message",
            "How long ago the newest message was stored.",
            Query("time() - max(hermes_last_message_timestamp_seconds{%s})" % CHOSEN),
            unit="s",
            decimals=1,
            width=3,
        ),
        stat(
            "Sessions now",
            "Sessions in progress: open, with a message in the last five minutes.",
            Query("sum(hermes_sessions_active{%s})" % CHOSEN),
            unit="short",
            width=3,
        ),
        stat(
            "Could not be told",
            "Collectors that could not tell everything; the reasons are in the last row.",
            Query("sum(1 - hermes_collector_success{%s})" % CHOSEN),
            unit="short",
            steps=[(None, GREEN), (1, UNKNOWN)],
            width=4,
        ),
    ]


def _wrong() -> list[Panel]:
    severities = {name: colour for name, colour in SEVERITY.items() if name != "none"}
    rank = " or ".join(
        'hermes_finding_info{%s, severity="%s"} * %d' % (CHOSEN, severity, number)
        for severity, number in (("critical", 3), ("warning", 2), ("info", 1))
    )
    words = {number: (name, severities[name]) for number, name in ((3, "critical"), (2, "warning"), (1, "info"))}
    return [
        table(
            "Findings",
            "What the exporter finds wrong, the worst first. Click a finding for what to do about it.",
            Query(f"topk(100, max by (instance, finding, severity, subject) ({rank}))"),
            [
                Column("#A", "Severity", words=words, width=90),
                Column("finding", "Finding", link=("Runbook", f"{PAGE}/runbooks/${{__value.text}}")),
                Column("subject", "About"),
                Column("instance", "Instance"),
            ],
            missing="Nothing is found wrong",
            sort=("Severity", True),
            width=12,
        ),
        alerts("Alerts", "What Prometheus says is wrong.", CHOSEN, width=12),
    ]


def _gateway() -> list[Panel]:
    each = "{{instance}}"
    return [
        chart(
            "Gateway up",
            "1 when the gateway's process is alive and its heartbeat fresh. A gap: nobody could tell.",
            Query("hermes_gateway_up{%s}" % CHOSEN, each),
            words=UP,
            high=1,
            decimals=0,
            width=8,
            most="bottomk",
        ),
        chart(
            "Heartbeat age",
            "How long ago the gateway last gave a sign of life; above the dashed line it is taken for frozen,"
            " unless the limit is configured otherwise than 90 s.",
            Query("time() - hermes_gateway_heartbeat_timestamp_seconds{%s}" % CHOSEN, each),
            unit="s",
            steps=[(None, GREEN), (90, RED)],
            most="topk",
        ),
        table(
            "Gateway and platform states",
            "The state of each gateway, and of each platform that a living gateway is with.",
            Query(
                'label_replace(max by (instance, state) (hermes_gateway_state{%s} == 1), "platform", "gateway", "", "")'
                " or max by (instance, platform, state) (hermes_platform_state{%s} == 1)" % (CHOSEN, CHOSEN)
            ),
            [
                Column("instance", "Instance"),
                Column("platform", "Part"),
                Column("state", "State", texts=STATES),
            ],
            missing="unknown",
            width=8,
        ),
        chart(
            "Memory",
            "Resident memory of the gateway's process.",
            Query("hermes_gateway_memory_bytes{%s}" % CHOSEN, each),
            unit="bytes",
            width=6,
            most="topk",
        ),
        chart(
            "Processor",
            "Processors that the gateway's process keeps busy.",
            Query("rate(hermes_gateway_cpu_seconds_total{%s}[%s])" % (CHOSEN, RATE), each),
            unit="percentunit",
            width=6,
            most="topk",
        ),
        chart(
            "Descriptors and threads",
            "Open file descriptors and threads of the gateway's process.",
            [
                Query("hermes_gateway_open_fds{%s}" % CHOSEN, "descriptors of {{instance}}"),
                Query("hermes_gateway_threads{%s}" % CHOSEN, "threads of {{instance}}"),
            ],
            width=6,
            decimals=0,
            most="topk",
        ),
        stat(
            "Recent starts",
            "Starts of the gateway within 15 minutes, by its own log; more than three are a crash loop,"
            " unless it is configured otherwise.",
            Query("max(hermes_gateway_recent_starts{%s})" % CHOSEN),
            unit="short",
            steps=[(None, GREEN), (2, YELLOW), (4, RED)],
            width=3,
        ),
        stat(
            "Gateway up for",
            "How long ago the gateway's process was started; of several, the one that was started last. No word: it is"
            " down, or nobody could tell.",
            Query("time() - max(hermes_gateway_start_time_seconds{%s})" % CHOSEN),
            unit="s",
            decimals=1,
            missing="no word",
            width=3,
        ),
        stat(
            "Gateway processes",
            "Living gateway processes that serve one home; more than one fight over it.",
            Query("max(hermes_gateway_processes{%s})" % CHOSEN),
            unit="short",
            steps=[(None, RED), (1, GREEN), (2, RED)],
            width=3,
        ),
        stat(
            "Restart requested",
            "Whether somebody has asked a gateway to restart. No word: it is down, or nobody could tell.",
            Query("max(hermes_gateway_restart_requested{%s})" % CHOSEN),
            words={0: ("no", GREEN), 1: ("yes", BLUE)},
            missing="no word",
            width=3,
        ),
    ]


def _units() -> list[Panel]:
    by = "by (instance, unit, role)"
    return [
        table(
            "Units and timers",
            "What keeps Hermes at work, by its supervisor's word: systemd or s6. A dash: not configured, or not of a"
            " timer.",
            [
                Query("max %s (hermes_unit_up{%s})" % (by, CHOSEN)),
                Query("max by (instance, unit, role, state) (hermes_unit_state{%s} == 1)" % CHOSEN),
                Query("time() - max %s (hermes_unit_state_timestamp_seconds{%s})" % (by, CHOSEN)),
                Query("max %s (hermes_unit_restarts_total{%s})" % (by, CHOSEN)),
                Query("max %s (hermes_unit_enabled{%s})" % (by, CHOSEN)),
                Query("1000 * max %s (hermes_timer_last_trigger_timestamp_seconds{%s})" % (by, CHOSEN)),
                Query("1000 * max %s (hermes_timer_next_trigger_timestamp_seconds{%s})" % (by, CHOSEN)),
            ],
            [
                Column("instance", "Instance"),
                Column("unit", "Unit"),
                Column("role", "Role", width=100),
                Column("#A", "Up", words=UP, width=80),
                Column("state", "State", texts=STATES, width=100),
                Column("#C", "For", unit="s", decimals=1, missing="–", width=90),
                Column("#D", "Restarts", unit="short", missing="–", width=80),
                Column("#E", "Enabled", words=YES, missing="–", width=80),
                Column("#F", "Last run", unit="dateTimeFromNow", missing="–", width=130),
                Column("#G", "Next run", unit="dateTimeFromNow", missing="–", width=130),
            ],
            missing="No unit is configured or found",
            sort=("Up", False),
            width=24,
            height=6,
        ),
        table(
            "Endpoints and certificates",
            "What is expected to answer: whether it does, how fast, and until when its certificate is valid. A dash:"
            " there is none.",
            [
                Query("max by (instance, endpoint, kind) (hermes_endpoint_info{%s})" % CHOSEN),
                Query("max by (instance, endpoint) (hermes_endpoint_up{%s})" % CHOSEN),
                Query("max by (instance, endpoint) (hermes_endpoint_status_code{%s})" % CHOSEN),
                Query("max by (instance, endpoint) (hermes_endpoint_duration_seconds{%s})" % CHOSEN),
                Query("max by (instance, endpoint, reason) (hermes_endpoint_failure_info{%s})" % CHOSEN),
                Query("max by (instance, endpoint) (hermes_endpoint_login_required{%s})" % CHOSEN),
                Query(
                    "max by (instance, endpoint) (hermes_endpoint_certificate_expiry_timestamp_seconds{%s}) - time()"
                    % CHOSEN
                ),
            ],
            [
                Column("instance", "Instance"),
                Column("endpoint", "Endpoint", link=("Hermes' own dashboard", "${hermes_dashboard:raw}/")),
                Column("kind", "Kind"),
                Column("#B", "Up", words=UP, width=80),
                Column("reason", "Why not"),
                Column("#C", "Status", missing="–", width=70),
                Column("#D", "Took", unit="s", decimals=0, missing="–", width=80),
                Column("#F", "Login", words={0: ("no", PLAIN), 1: ("yes", GREEN)}, missing="–", width=70),
                Column(
                    "#G",
                    "Certificate for",
                    unit="s",
                    decimals=0,
                    steps=[(None, RED), (0, YELLOW), (1209600, GREEN)],
                    missing="–",
                    width=120,
                ),
            ],
            missing="No endpoint is configured",
            sort=("Up", False),
            width=14,
            height=7,
        ),
        chart(
            "Endpoints answer within",
            "How long it took to find out whether an endpoint answers.",
            Query("hermes_endpoint_duration_seconds{%s}" % CHOSEN, "{{instance}} · {{endpoint}}"),
            unit="s",
            missing="not configured",
            width=10,
            height=7,
            most="topk",
        ),
    ]


def _of_limit(metric: str, threshold: str) -> str:
    """How long ago that was, as a part of the limit in force; nothing where that is switched off."""
    limit = 'hermes_threshold_seconds{%s, threshold="%s"}' % (CHOSEN, threshold)
    return "max((time() - %s{%s}) / on (job, instance) group_left () %s)" % (metric, CHOSEN, limit)


def _backups() -> list[Panel]:
    def of(metric: str, more: str = "") -> Query:
        return Query("max by (instance, repo) (%s{%s%s})" % (metric, CHOSEN, more))

    return [
        table(
            "Repositories",
            "Each backup repository: how old what has reached the remote is, against how old it may be, and what has"
            " not got there. Never: secrets that are committed.",
            [
                Query("max by (instance, repo, state) (hermes_backup_state{%s} == 1)" % CHOSEN),
                of("hermes_backup_age_seconds"),
                of("hermes_backup_max_age_seconds"),
                Query(
                    "max by (instance, repo) (hermes_backup_age_seconds{%s} / hermes_backup_max_age_seconds)" % CHOSEN
                ),
                of("hermes_backup_unpushed_commits"),
                of("hermes_backup_dirty_files"),
                of("hermes_backup_commits", ', window="24h"'),
                of("hermes_backup_commits", ', window="7d"'),
                of("hermes_backup_payload_files"),
                of("hermes_backup_payload_bytes"),
                of("hermes_backup_forbidden_files"),
                Query("sum by (instance, repo) (hermes_backup_forbidden_files_ever{%s})" % CHOSEN),
            ],
            [
                Column("instance", "Instance"),
                Column("repo", "Repository"),
                Column("state", "State", texts=STATES, width=110),
                Column("#B", "Age", unit="s", decimals=1, width=90),
                Column("#C", "Limit", unit="s", decimals=1, missing="–", width=90),
                Column(
                    "#D",
                    "of limit",
                    unit="percentunit",
                    decimals=0,
                    steps=[(None, GREEN), (1, YELLOW), (2, RED)],
                    missing="–",
                    width=80,
                ),
                Column("#E", "Not pushed", unit="short", steps=ANY_IS_DOUBTFUL, width=95),
                Column("#F", "Not committed", unit="short", steps=[(None, GREEN), (1, BLUE)], width=115),
                Column("#G", "Commits 24h", unit="short", width=105),
                Column("#H", "7d", unit="short", width=50),
                Column("#I", "Files", unit="short", width=60),
                Column("#J", "Size", unit="bytes", width=80),
                Column("#K", "Secrets", unit="short", steps=ANY_IS_BAD, width=75),
                Column("#L", "ever", unit="short", steps=ANY_IS_DOUBTFUL, width=55),
            ],
            missing="No backup is configured",
            sort=("of limit", True),
            width=24,
            height=6,
        ),
        chart(
            "Backup age against its limit",
            "Above the dashed line the backup is too old.",
            Query(
                "hermes_backup_age_seconds{%s} / hermes_backup_max_age_seconds{%s}" % (CHOSEN, CHOSEN),
                "{{instance}} · {{repo}}",
            ),
            unit="percentunit",
            steps=[(None, GREEN), (1, RED)],
            missing="not configured",
            width=12,
            height=7,
            most="topk",
        ),
        chart(
            "Not committed and not pushed",
            "Files that are not committed, and commits that have not reached the remote.",
            [
                Query("hermes_backup_dirty_files{%s}" % CHOSEN, "files · {{instance}} · {{repo}}"),
                Query("hermes_backup_unpushed_commits{%s}" % CHOSEN, "commits · {{instance}} · {{repo}}"),
            ],
            missing="not configured",
            decimals=0,
            width=8,
            height=7,
            most="topk",
        ),
        stat(
            "Restore drill",
            "How long ago a restore was last rehearsed, as a part of how long ago that may be; of several instances,"
            " the longest.",
            Query(_of_limit("hermes_restore_drill_timestamp_seconds", "restore_drill_age")),
            unit="percentunit",
            decimals=0,
            steps=[(None, GREEN), (1, YELLOW)],
            missing="not configured",
            width=4,
            height=4,
        ),
        stat(
            "Emergency bundle",
            "How old the newest bundle for an emergency is, as a part of how old it may be; of several instances, the"
            " oldest.",
            Query(_of_limit("hermes_emergency_bundle_timestamp_seconds", "emergency_bundle_age")),
            unit="percentunit",
            decimals=0,
            steps=[(None, GREEN), (1, YELLOW)],
            missing="not configured",
            width=4,
            height=3,
        ),
    ]


def _home() -> list[Panel]:
    return [
        bars(
            "Disk left for the home",
            "The part that is left of the home's filesystem: the ten instances with the least. Orange below 10%, red"
            " below 3%, the limits unless they are configured otherwise.",
            Query(
                "bottomk(10, min by (instance) (hermes_home_filesystem_avail_bytes{%s} /"
                " hermes_home_filesystem_size_bytes))" % CHOSEN,
                "{{instance}}",
            ),
            unit="percentunit",
            steps=[(None, RED), (0.03, YELLOW), (0.1, GREEN)],
            decimals=0,
            high=1,
            width=6,
        ),
        chart(
            "Sizes",
            "All files of the home; the session store and its write-ahead log.",
            [
                Query("hermes_home_bytes{%s}" % CHOSEN, "home of {{instance}}"),
                Query("hermes_state_db_bytes{%s}" % CHOSEN, "store of {{instance}}"),
                Query("hermes_state_db_wal_bytes{%s}" % CHOSEN, "log of {{instance}}"),
            ],
            unit="bytes",
            width=6,
            most="topk",
        ),
        table(
            "Guardrails",
            "What keeps an instance from harm, those that are not in place first. Unknown ones are not listed; see the"
            " collectors.",
            Query("min by (instance, guardrail) (hermes_guardrail_ok{%s})" % CHOSEN),
            [
                Column("instance", "Instance"),
                Column("guardrail", "Guardrail", width=200),
                Column("#A", "In place", words={0: ("no", YELLOW), 1: ("yes", GREEN)}, width=75),
            ],
            missing="unknown",
            sort=("In place", False),
            width=6,
        ),
        table(
            "Listeners",
            "TCP ports that processes of the installation listen on, and who can reach them.",
            Query("max by (instance, port, scope, program) (hermes_listener{%s})" % CHOSEN),
            [
                Column("instance", "Instance"),
                Column("port", "Port", width=65),
                Column(
                    "scope",
                    "For",
                    texts={"loopback": GREEN, "private": GREEN, "tailscale": GREEN, "public": RED},
                    width=90,
                ),
                Column("program", "Program"),
            ],
            missing="No listener is known of",
            width=6,
        ),
    ]


def _collectors() -> list[Panel]:
    return [
        table(
            "What can not be told",
            "Collectors that could not tell everything, with the reason. What they look at is unknown, and not down.",
            [
                Query("max by (instance, collector, reason) (hermes_collector_failure_info{%s})" % CHOSEN),
                Query(
                    "1000 * max by (instance, collector) (hermes_collector_failing_since_timestamp_seconds{%s})"
                    % CHOSEN
                ),
            ],
            [
                Column("instance", "Instance"),
                Column("collector", "Collector"),
                Column("reason", "Reason"),
                Column("#B", "Since", unit="dateTimeFromNow", missing="–", width=140),
            ],
            missing="Everything could be told",
            width=9,
        ),
        chart(
            "How long collectors take",
            "The ten slowest now.",
            Query(
                "hermes_collector_duration_seconds{%s} and topk(10, hermes_collector_duration_seconds{%s} @ end())"
                % (CHOSEN, CHOSEN),
                "{{instance}} · {{collector}}",
            ),
            unit="s",
            width=10,
            legend_at="right",
        ),
        chart(
            "Age of what is shown",
            "How long ago the instance was looked at; of a self-report, when it was written.",
            Query("time() - hermes_snapshot_timestamp_seconds{%s}" % CHOSEN, "{{instance}}"),
            unit="s",
            width=5,
            most="topk",
        ),
    ]
