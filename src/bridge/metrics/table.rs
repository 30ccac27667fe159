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
        /// Tasks that had to be started again.
        TaskRestarts => row("hermes_alert_bridge_task_restarts_total", &["task"], "Times that a part of the bridge ended by itself and was started again"),
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

rows! {
    /// What is so at the moment it is asked.
    State {
        /// The version.
        BuildInfo => row("hermes_alert_bridge_build_info", &["version"], "The bridge's version"),
        /// Whether it does what it is for.
        Ready => row("hermes_alert_bridge_ready", &[], "1 when /-/ready says so"),
        /// Cards that wait.
        Pending => row("hermes_alert_bridge_pending", &["chat", "urgency"],
            "Cards that wait: critical or new (nobody knows of these yet), resolved (the end is to be told), changed (the message is to be changed)"),
        /// The oldest news that wait.
        OldestPending => row("hermes_alert_bridge_oldest_pending_timestamp_seconds", &["chat"],
            "Since when the oldest news waits in a chat: a card that is not there yet, or an end that was not told; no sample where none does"),
        /// Whether a chat can be written to.
        ChatReachable => row("hermes_alert_bridge_chat_reachable", &["chat"], "1 unless Telegram said that the chat can not be written to"),
        /// Whether a chat's topic is gone.
        TopicGone => row("hermes_alert_bridge_chat_topic_gone", &["chat"], "1 when the chat's topic can not be written to, and messages go to the general one"),
        /// Until when a chat is not written to.
        NotBefore => row("hermes_alert_bridge_chat_not_before_timestamp_seconds", &["chat"], "Until when Telegram asks to wait; no sample where it does not"),
        /// When a heartbeat was last heard.
        HeartbeatLast => row("hermes_alert_bridge_heartbeat_last_timestamp_seconds", &["alertname", "fingerprint"], "When a heartbeat was last heard"),
        /// Whether a heartbeat is missing.
        HeartbeatMissing => row("hermes_alert_bridge_heartbeat_missing", &["alertname", "fingerprint"], "1 when it was told that a heartbeat is missing, and it is not back"),
        /// The size of the store.
        StoreBytes => row("hermes_alert_bridge_store_bytes", &[], "Size of the store on the disk, with what is not in its main file yet"),
        /// Whether buttons can be pressed.
        ButtonsEnabled => row("hermes_alert_bridge_buttons_enabled", &[], "1 when buttons and commands can be used; 0 when they can not, although they are configured; no sample where they are not"),
        /// Whether the token is accepted.
        TokenAccepted => row("hermes_alert_bridge_token_accepted", &[], "1 unless Telegram has refused the bot's token"),
        /// Tasks that are not well.
        TasksDown => row("hermes_alert_bridge_tasks_down", &[], "Parts of the bridge that have ended by themselves and do not run steadily again yet"),
        /// What the configuration names and can not be used.
        ConfigProblems => row("hermes_alert_bridge_config_problems", &[], "Templates and tokens of the configuration in force that can not be used"),
        /// Whether the last reload succeeded.
        ConfigReloaded => row("hermes_alert_bridge_config_last_reload_successful", &[], "1 when the last attempt to load the bridge's configuration succeeded"),
        /// When the configuration was loaded.
        ConfigReloadedAt => row("hermes_alert_bridge_config_last_reload_success_timestamp_seconds", &[], "When the bridge's configuration in force was loaded"),
        /// Whether what the web configuration says is in force.
        WebConfigReloaded => row("hermes_alert_bridge_web_config_last_reload_successful", &[], "1 when what is in force is what --web.config.file and the files that it names say; only where there is such a file"),
        /// Until when the bridge's own certificate is valid.
        WebCertificateExpiry => row("hermes_alert_bridge_web_certificate_expiry_timestamp_seconds", &[], "Until when the certificate is valid that the bridge shows to clients; only with TLS"),
        /// Processor time.
        ProcessCpu => row("process_cpu_seconds_total", &[], "Processor time of the bridge, user and system"),
        /// Memory.
        ProcessMemory => row("process_resident_memory_bytes", &[], "Resident memory of the bridge"),
        /// Descriptors.
        ProcessDescriptors => row("process_open_fds", &[], "Open file descriptors of the bridge"),
        /// Threads.
        ProcessThreads => row("process_threads", &[], "Threads of the bridge"),
        /// Its start.
        ProcessStart => row("process_start_time_seconds", &[], "When the bridge was started"),
    }
}
