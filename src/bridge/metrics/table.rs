//! The table of every metric of the bridge. The names are a contract with dashboards and alert rules.

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// The name of its samples, as it is queried.
    pub name: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// One line on what it means.
    pub help: &'static str,
}

const fn row(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Row {
    Row { name, labels, help }
}

/// The variants of an enum, each with its row.
macro_rules! rows {
    ($(#[$about:meta])* $table:ident { $($(#[$doc:meta])* $variant:ident => $row:expr,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum $table {
            $($(#[$doc])* $variant,)*
        }

        impl $table {
            /// All of them, in the order in which they are exposed.
            pub const ALL: &[$table] = &[$($table::$variant,)*];

            /// What it is called, and what it means.
            pub const fn row(self) -> Row {
                match self {
                    $($table::$variant => $row,)*
                }
            }
        }
    };
}

rows! {
    /// What is counted.
    Count {
        /// Requests to `/alertmanager`.
        Webhooks => row("hermes_alert_bridge_webhooks_total", &["outcome"],
            "Requests to /alertmanager: accepted, unauthorized, refused (not what Alertmanager sends), too_large, or failed (answered with 503)"),
        /// Alerts in accepted requests.
        Alerts => row("hermes_alert_bridge_alerts_total", &["status"], "Alerts in accepted requests, repeats included"),
        /// What each of them meant.
        Changes => row("hermes_alert_bridge_alert_changes_total", &["change"],
            "What accepted alerts meant: fired, resolved, repeated, late (a firing after its resolve), updated (other annotations), heartbeat, reopened (a late firing that was none), or replaced (over without a word, because the series began anew)"),
        /// Alerts that went to the default chat.
        Unrouted => row("hermes_alert_bridge_unrouted_total", &[], "Alerts that no route wanted, and that went to the default chat"),
        /// Alerts that a chat does not want.
        Muted => row("hermes_alert_bridge_muted_total", &["chat"], "Alerts that were not told in a chat because it mutes their severity"),
        /// Alerts that Alertmanager has cut off.
        Truncated => row("hermes_alert_bridge_truncated_total", &[], "Alerts that Alertmanager's max_alerts has cut off, and that nobody was told of"),
        /// Calls of the Bot API.
        Calls => row("hermes_alert_bridge_telegram_calls_total", &["method"], "Calls of the Bot API, whatever came of them"),
        /// Messages that were brought to people.
        Sent => row("hermes_alert_bridge_sent_total", &["chat", "kind"],
            "What Telegram has taken: message, announcement (that something is over), edit, or document"),
        /// Calls that failed.
        Failed => row("hermes_alert_bridge_failures_total", &["chat", "class"], "Calls of the Bot API that failed, by what is done about it"),
        /// Cards in a lesser form.
        Degraded => row("hermes_alert_bridge_degraded_total", &["chat", "level"],
            "Cards that went on without markup (plain) or as one line (line), because Telegram refused more"),
        /// Templates that failed.
        TemplateFailures => row("hermes_alert_bridge_template_failures_total", &["chat"],
            "Cards that were made with the shipped template because the configured one failed"),
        /// Cards that went somewhere else.
        Diverted => row("hermes_alert_bridge_diverted_total", &["chat"], "Cards that were brought to another chat because theirs can not be written to"),
        /// Groups that became supergroups.
        Migrated => row("hermes_alert_bridge_migrated_total", &["chat"], "Times that a chat was followed to its new number"),
        /// Calls of which nobody knows.
        Uncertain => row("hermes_alert_bridge_uncertain_total", &["chat"], "Messages that may be there twice, because it was not told whether the first one arrived"),
        /// Cards that were put together.
        Merged => row("hermes_alert_bridge_merged_total", &["chat"], "Cards that were put into one with others because too many were waiting"),
        /// Requests to `/notify`.
        Notes => row("hermes_alert_bridge_notify_requests_total", &["outcome"], "Requests to /notify: accepted, unauthorized, refused or failed"),
        /// Buttons that were pressed.
        Presses => row("hermes_alert_bridge_presses_total", &["action", "outcome"],
            "Buttons that were pressed: done, failed, foreign (who may not), stale (used or gone), or unknown"),
        /// Commands that were written.
        Commands => row("hermes_alert_bridge_commands_total", &["command", "outcome"], "Commands that were written in chats: answered, or foreign (who may not)"),
        /// Somebody else polls.
        Conflicts => row("hermes_alert_bridge_polling_conflicts_total", &[], "Times that somebody else was found to ask for this bot's updates"),
        /// Pings of a URL.
        Pings => row("hermes_alert_bridge_pings_total", &["outcome"], "Requests to the URL that is asked for so that somebody notices when the bridge is gone"),
    }
}

rows! {
    /// What is measured in time.
    Duration {
        /// From the request to the answer.
        Intake => row("hermes_alert_bridge_intake_duration_seconds", &[], "From the last byte of a request with alerts until they are on the disk"),
        /// From the request to the first call.
        FirstCall => row("hermes_alert_bridge_first_call_delay_seconds", &[], "From when a card was stored until Telegram was first asked to show it"),
        /// A call of the Bot API.
        Call => row("hermes_alert_bridge_telegram_call_duration_seconds", &[], "Calls of the Bot API"),
    }
}
