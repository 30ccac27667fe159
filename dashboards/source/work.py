"""What an instance does: its cron jobs, tokens, sessions, models, tools, and what it keeps."""

from __future__ import annotations

from .panels import (
    ANY_IS_BAD,
    BLUE,
    CHOSEN,
    GREEN,
    PLAIN,
    RATE,
    RED,
    STATES,
    YELLOW,
    YES,
    Column,
    Panel,
    Query,
    bars,
    chart,
    stat,
    table,
)


def cron() -> list[Panel]:
    def of(metric: str, factor: str = "") -> Query:
        return Query("%smax by (instance, cron_job) (%s{%s})" % (factor, metric, CHOSEN))

    failing = {0: ("failed", RED), 1: ("ok", GREEN)}
    return [
        table(
            "Cron jobs",
            "Each cron job: whether its last run succeeded and was delivered, and when it runs next. A dash: it has not"
            " run yet, or had nothing to deliver.",
            [
                Query("max by (instance, cron_job, state) (hermes_cron_job_state{%s} == 1)" % CHOSEN),
                of("hermes_cron_job_last_run_timestamp_seconds", "1000 * "),
                of("hermes_cron_job_last_run_success"),
                of("hermes_cron_job_last_delivery_success"),
                of("hermes_cron_job_last_duration_seconds"),
                of("hermes_cron_job_next_run_timestamp_seconds", "1000 * "),
                of("hermes_cron_job_overdue"),
            ],
            [
                Column("instance", "Instance"),
                Column("cron_job", "Job"),
                Column("state", "State", texts=STATES, width=95),
                Column("#B", "Last run", unit="dateTimeFromNow", missing="–", width=125),
                Column("#C", "Result", words=failing, missing="–", width=70),
                Column("#D", "Delivery", words=failing, missing="–", width=80),
                Column("#E", "Took", unit="s", decimals=0, missing="–", width=70),
                Column("#F", "Next run", unit="dateTimeFromNow", missing="–", width=125),
                Column("#G", "Overdue", words={0: ("no", GREEN), 1: ("overdue", RED)}, missing="–", width=80),
            ],
            missing="No cron job is told of",
            sort=("Overdue", True),
            width=16,
            height=9,
        ),
        bars(
            "Jobs by state",
            "Cron jobs by state. Error: Hermes could not tell when to run the job again.",
            Query("sum by (state) (hermes_cron_jobs{%s}) > 0" % CHOSEN, "{{state}}"),
            missing="no jobs",
            decimals=0,
            width=4,
            height=9,
        ),
        stat(
            "Jobs overdue",
            "Cron jobs whose next run should have begun.",
            Query("sum(hermes_cron_jobs_overdue{%s})" % CHOSEN),
            unit="short",
            steps=ANY_IS_BAD,
            width=4,
            height=3,
        ),
        stat(
            "Ticker last went round",
            "Cron's ticker goes round every minute; without it no job runs. Red above 5 min, the limit unless it is"
            " configured otherwise.",
            Query("time() - min(hermes_cron_ticker_heartbeat_timestamp_seconds{%s})" % CHOSEN),
            unit="s",
            decimals=0,
            steps=[(None, GREEN), (120, YELLOW), (300, RED)],
            width=4,
            height=3,
        ),
        stat(
            "Runs that failed",
            "Recorded runs of cron jobs that failed; Hermes keeps the newest thousand runs.",
            Query('sum(hermes_cron_executions{%s, status="failed"})' % CHOSEN),
            unit="short",
            width=4,
            height=3,
        ),
    ]


def tokens() -> list[Panel]:
    def of(metric: str) -> Query:
        return Query("max by (instance, token) (%s{%s})" % (metric, CHOSEN))

    return [
        table(
            "Tokens",
            "Each token: whether it is there, would work now, and can be refreshed without a person. Access that has"
            " expired is normal where it can.",
            [
                of("hermes_token_expected"),
                of("hermes_token_present"),
                of("hermes_token_valid"),
                of("hermes_token_refreshable"),
                Query("1000 * max by (instance, token) (hermes_token_expiry_timestamp_seconds{%s})" % CHOSEN),
            ],
            [
                Column("instance", "Instance"),
                Column("token", "Token"),
                Column("#A", "Counted on", words={0: ("no", PLAIN), 1: ("yes", GREEN)}, width=100),
                Column("#B", "There", words={0: ("no", YELLOW), 1: ("yes", GREEN)}, width=75),
                Column("#C", "Works", words=YES, missing="–", width=75),
                Column("#D", "Refreshable", words={0: ("no", YELLOW), 1: ("yes", GREEN)}, missing="–", width=100),
                Column("#E", "Access expires", unit="dateTimeFromNow", missing="–", width=130),
            ],
            missing="No token is told of",
            sort=("Works", False),
            width=12,
        ),
        bars(
            "Credential pools",
            "Entries of the credential pools by what the provider last said of them. Exhausted: it wants a pause; dead:"
            " it refuses.",
            Query(
                "sum by (provider, status) (hermes_credential_pool_entries{%s}) > 0" % CHOSEN,
                "{{status}} · {{provider}}",
            ),
            missing="none is configured",
            decimals=0,
            width=6,
        ),
        table(
            "Keys of .env",
            "Keys of the file .env that are set to something, or not; never what they are set to.",
            Query("max by (instance, key) (hermes_env_key_present{%s})" % CHOSEN),
            [
                Column("instance", "Instance"),
                Column("key", "Key", width=190),
                Column("#A", "Set", words={0: ("no", YELLOW), 1: ("yes", GREEN)}, width=60),
            ],
            missing="none is told of",
            width=6,
        ),
    ]


def sessions() -> list[Panel]:
    def quantile(part: str, name: str) -> Query:
        buckets = "sum by (le) (rate(hermes_turn_duration_seconds_bucket{%s}[%s]))" % (CHOSEN, RATE)
        return Query(f"histogram_quantile({part}, {buckets})", name)

    return [
        chart(
            "Messages by the minute",
            "Messages stored.",
            Query("60 * sum by (instance) (rate(hermes_messages_total{%s}[%s]))" % (CHOSEN, RATE), "{{instance}}"),
            most="topk",
        ),
        chart(
            "Turns by the minute",
            "Turns: from a message of a person to the answer that calls no tool.",
            Query("60 * sum by (instance) (rate(hermes_turns_total{%s}[%s]))" % (CHOSEN, RATE), "{{instance}}"),
            most="topk",
        ),
        chart(
            "How long turns take",
            "Half of the turns were faster than the median, and one of twenty slower than the highest line. No line: no"
            " turn ended.",
            [quantile("0.5", "median"), quantile("0.9", "90 of 100"), quantile("0.95", "95 of 100")],
            unit="s",
            missing="no turns",
        ),
        chart(
            "Sessions",
            "Sessions in progress, with a message in the last five minutes, and those that have not ended.",
            [
                Query("sum(hermes_sessions_active{%s})" % CHOSEN, "in progress"),
                Query("sum(hermes_sessions_open{%s})" % CHOSEN, "open"),
                Query("sum(hermes_gateway_active_agents{%s})" % CHOSEN, "agents at work"),
            ],
            decimals=0,
        ),
        bars(
            "Stored sessions by source",
            "Stored sessions by where they came from: the ten with the most.",
            Query("topk(10, sum by (source) (hermes_sessions{%s}))" % CHOSEN, "{{source}}"),
            decimals=0,
            missing="no sessions",
        ),
        bars(
            "Sessions by how they ended",
            "Stored sessions that have ended, by the reason: the ten with the most.",
            Query("topk(10, sum by (reason) (hermes_sessions_ended{%s}))" % CHOSEN, "{{reason}}"),
            decimals=0,
            missing="no sessions",
        ),
    ]


def models() -> list[Panel]:
    return [
        chart(
            "Cost of stored sessions",
            "As billed where that is known, else as estimated. Falls when Hermes deletes old sessions.",
            Query("sum by (instance) (hermes_model_cost_usd{%s})" % CHOSEN, "{{instance}}"),
            unit="currencyUSD",
            decimals=2,
            width=6,
            most="topk",
        ),
        table(
            "Models",
            "What the stored sessions have used, by model and by what for: the twenty with the most tokens. The task is"
            " empty for the conversation itself.",
            [
                Query("topk(20, sum by (model, provider, task) (hermes_model_tokens{%s}))" % CHOSEN),
                Query("sum by (model, provider, task) (hermes_model_api_calls{%s})" % CHOSEN),
                Query("sum by (model, provider, task) (hermes_model_cost_usd{%s})" % CHOSEN),
            ],
            [
                Column("model", "Model"),
                Column("provider", "Provider", width=110),
                Column("task", "Task", width=130),
                Column("#A", "Tokens", unit="short", decimals=1, missing="–", width=90),
                Column("#B", "Calls", unit="short", missing="–", width=70),
                Column("#C", "Cost", unit="currencyUSD", decimals=2, missing="–", width=90),
            ],
            missing="No model was used",
            sort=("Tokens", True),
            width=12,
        ),
        bars(
            "Tokens by kind",
            "Tokens of the sessions that are stored, by kind.",
            Query("sort_desc(sum by (kind) (hermes_model_tokens{%s}))" % CHOSEN, "{{kind}}"),
            decimals=1,
            missing="none",
            width=6,
        ),
    ]


def tools() -> list[Panel]:
    return [
        bars(
            "Tools of the last day",
            "Calls that the model made within the last 24 hours: the ten tools with the most.",
            Query("topk(10, sum by (tool) (increase(hermes_tool_calls_total{%s}[1d])))" % CHOSEN, "{{tool}}"),
            decimals=0,
            missing="no calls",
        ),
        chart(
            "Records in the logs by the minute",
            "Warnings and worse that Hermes has written to its logs; a record with its traceback is one. The log of"
            " errors repeats the others, and is left out.",
            Query(
                '60 * sum by (level) (rate(hermes_log_lines_total{%s, log!="errors", level!~"(?i)debug|info"}[%s]))'
                % (CHOSEN, RATE),
                "{{level}}",
            ),
        ),
        chart(
            "Rate limits by the hour",
            "Warnings and errors that tell of a rate limit (HTTP 429) of a provider or a platform.",
            Query("sum by (instance) (increase(hermes_rate_limited_total{%s}[1h]))" % CHOSEN, "{{instance}}"),
            steps=[(None, GREEN), (50, YELLOW)],
            most="topk",
        ),
    ]


def inventory() -> list[Panel]:
    def by_state(metric: str, what: str) -> Query:
        return Query('label_replace(sum by (state) (%s{%s}), "what", "%s", "", "")' % (metric, CHOSEN, what))

    metrics = (
        ("hermes_skills", "skills"),
        ("hermes_mcp_servers", "MCP servers"),
        ("hermes_webhooks", "webhooks"),
        ("hermes_paired_users", "paired users"),
        ("hermes_delivery_obligations", "replies owed"),
        ("hermes_delegations", "delegations"),
    )
    everything = " or ".join(f"({by_state(metric, what).expression})" for metric, what in metrics)
    return [
        bars(
            "Memory files",
            "How full a memory file is, as a part of what Hermes lets it have: the ten fullest.",
            Query("topk(10, hermes_memory_chars{%s} / hermes_memory_limit_chars)" % CHOSEN, "{{file}} · {{instance}}"),
            unit="percentunit",
            steps=[(None, GREEN), (0.9, YELLOW), (1, RED)],
            decimals=0,
            high=1,
            width=6,
        ),
        table(
            "Skills and the rest",
            "Skills, MCP servers, webhooks, paired people, replies owed and delegations, by state; of several"
            " instances, in sum.",
            Query(everything),
            [
                Column("what", "What"),
                Column("state", "State"),
                Column("#A", "Count", unit="short", width=70),
            ],
            missing="unknown",
            width=5,
        ),
        bars(
            "Kanban tasks",
            "Kanban tasks of all boards, by status.",
            Query("sum by (status) (hermes_kanban_tasks{%s}) > 0" % CHOSEN, "{{status}}"),
            decimals=0,
            missing="no tasks",
            width=4,
        ),
        table(
            "Versions",
            "Whose it is, who restarts its gateway, its Hermes version, and how far that is behind what Hermes last"
            " found.",
            [
                Query(
                    "max by (instance, user, profile, supervisor, version, source) (hermes_instance_info{%s})" % CHOSEN
                ),
                Query("max by (instance) (hermes_update_behind_commits{%s})" % CHOSEN),
            ],
            [
                Column("instance", "Instance"),
                Column("user", "User", width=60),
                Column("profile", "Profile", width=70),
                Column("supervisor", "Supervisor", width=90),
                Column("version", "Version", width=75),
                Column("source", "Seen by", width=75),
                Column("#B", "Behind", unit="short", steps=[(None, GREEN), (1, BLUE)], missing="–", width=65),
            ],
            missing="no such instance",
            width=9,
        ),
    ]
