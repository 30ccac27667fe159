"""The alerts that fire, as rows of a table: the worst and newest first, each with its runbook."""

from __future__ import annotations

from .panels import INSTANCE, PAGE, SEVERITY, Column, Panel, Query, table

# What an alert is about besides its instance: labels that one alert or another has.
SUBJECTS = (
    "platform",
    "unit",
    "repo",
    "token",
    "cron_job",
    "endpoint",
    "file",
    "port",
    "collector",
    "guardrail",
    "chat",
)
# The alerts about the watching itself, which are no findings.
RUNBOOKS = {
    "HermesExporterDown": "exporter_down",
    "HermesExporterAbsent": "exporter_down",
    "HermesHonorLabelsMissing": "honor_labels_missing",
    "HermesInstanceNameTaken": "instance_name_taken",
    "HermesInstanceGone": "instance_gone",
    "HermesExporterConfigReloadFailed": "exporter_config_reload_failed",
    "HermesAlertBridgeDown": "bridge_down",
    "HermesAlertBridgeNotReady": "bridge_not_ready",
    "HermesAlertBridgeLate": "bridge_late",
    "HermesAlertBridgeChatUnreachable": "bridge_chat_unreachable",
    "HermesAlertBridgeUnrouted": "bridge_unrouted",
    "HermesAlertBridgeTruncated": "bridge_truncated",
    "HermesAlertBridgeButtonsOff": "bridge_buttons_off",
    "HermesAlertBridgeConfigReloadFailed": "bridge_config_reload_failed",
    "HermesAlertmanagerDown": "alertmanager_down",
    "HermesAlertsDropped": "alertmanager_down",
    "HermesNotificationsFailing": "notifications_failing",
    "HermesWatchingConfigReloadFailed": "rules_failing",
    "HermesWebConfigReloadFailed": "web_config_reload_failed",
    "HermesWebCertificateExpiring": "web_certificate_expiring",
    "HermesRulesFailing": "rules_failing",
}
# More would be read by nobody, and would make a bad day of a thousand instances a bad day for the browser.
MOST = 200


def alerts(title: str, description: str, only: str, *, width: int = 24, height: int = 8) -> Panel:
    """`only` is a matcher on the alerts, or nothing."""
    wide = width > 12
    matchers = 'alertstate="firing"' + (f", {only}" if only else "")
    ranked = " or ".join(
        f'{rank} * ALERTS{{{matchers}, severity="{severity}"}}'
        for severity, rank in (("critical", 3), ("warning", 2), ("info", 1))
    )
    # How bad it is, and since when, in one number: times stay below ten thousand million for three centuries.
    # Only of these is worked out what they are about.
    both = f"topk({MOST}, 1e10 * ({ranked}) + ignoring (alertstate) ALERTS_FOR_STATE)"
    named = f'label_join({both}, "subject", " ", {", ".join(f"{chr(34)}{label}{chr(34)}" for label in SUBJECTS)})'
    named = f'label_replace({named}, "subject", "$1", "subject", " *(.*?) *")'
    for alert, runbook in RUNBOOKS.items():
        named = f'label_replace({named}, "finding", "{runbook}", "alertname", "{alert}")'
    worst = f"max by (instance, alertname, severity, finding, subject) ({named})"
    runbook = f"{PAGE}/runbooks/${{__data.fields.finding}}"
    ranks = {rank: (severity, SEVERITY[severity]) for rank, severity in ((3, "critical"), (2, "warning"), (1, "info"))}
    return table(
        title,
        f"{description} The worst first, of these the newest, {MOST} at most. Click the name for what to do.",
        [Query(f"floor(({worst}) / 1e10)"), Query(f"1000 * (({worst}) % 1e10)")],
        [
            Column("#A", "Severity", words=ranks, width=80 if wide else 70),
            Column("#B", "Since", unit="dateTimeFromNow", width=145 if wide else 120),
            Column("alertname", "Alert", link=("Runbook", runbook), width=220 if wide else 200),
            Column("instance", "Instance", link=("Everything about it", INSTANCE)),
            Column("subject", "About"),
            Column("finding", "Finding", width=0 if wide else 165),
        ],
        missing="No alert fires",
        sort=("Severity", True),
        width=width,
        height=height,
    )
