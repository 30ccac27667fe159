//! What Alertmanager tells: notifications, and the alerts in them.
//!
//! These are the types that everything else goes by. How they are read from a request is [`super::webhook`]'s matter.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use crate::severity::Severity;
use crate::system::time::Timestamp;

/// Names with values: the labels or annotations of an alert.
pub type Labels = BTreeMap<String, String>;

/// The label that says which installation an alert is about.
pub const INSTANCE: &str = "instance";

/// One POST of Alertmanager: a group of alerts for one receiver.
#[derive(Debug, Clone, PartialEq)]
pub struct Notification {
    /// The receiver in Alertmanager's configuration.
    pub receiver: String,
    /// What the group is known by; not unique among routes, so that it is only shown.
    pub group_key: String,
    /// The labels that Alertmanager's route has given (0.34 and newer).
    pub route_labels: Labels,
    /// Where Alertmanager itself is reached, for people; each of a cluster says its own.
    pub external_url: String,
    /// Why it was sent (0.32 and newer); only shown.
    pub reason: Option<String>,
    /// How many alerts `max_alerts` has cut off.
    pub truncated_alerts: u64,
    /// The alerts, each in its own state.
    pub alerts: Vec<Alert>,
}

/// One alert, in one state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// A hash of the labels: the same for every time the alert fires.
    pub fingerprint: String,
    /// Whether it fires.
    pub status: Status,
    /// Since when; with the fingerprint this is what an incident is known by.
    pub starts_at: Timestamp,
    /// When it ended; `None` while it fires.
    pub ends_at: Option<Timestamp>,
    /// What it is about.
    pub labels: Labels,
    /// What is to be told.
    pub annotations: Labels,
    /// The expression in Prometheus; empty where there is none.
    pub generator_url: String,
}

impl Alert {
    /// The value of a label; empty where there is none, as Alertmanager's matchers have it.
    pub fn label(&self, name: &str) -> &str {
        self.labels.get(name).map_or("", String::as_str)
    }

    /// The installation that it is about, as people call it: without a port, in lower case.
    pub fn instance(&self) -> Option<String> {
        self.labels.get(INSTANCE).map(|value| normal_instance(value)).filter(|instance| !instance.is_empty())
    }

    /// How bad it is, by the label `severity`.
    pub fn severity(&self) -> Severity {
        Severity::of_label(self.label("severity"))
    }
}

/// Whether an alert fires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It fires.
    Firing,
    /// It does not any more.
    Resolved,
}

impl Status {
    /// As Alertmanager writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Firing => "firing",
            Status::Resolved => "resolved",
        }
    }
}

impl Severity {
    /// What a label of an alert means by it: the words that rules in the field use. No severity, or one that nobody knows,
    /// is a warning.
    pub fn of_label(value: &str) -> Severity {
        match value.to_ascii_lowercase().as_str() {
            "critical" | "crit" | "page" | "error" | "emergency" | "fatal" | "disaster" | "high" => Severity::Critical,
            "info" | "none" | "notice" | "information" | "informational" | "debug" | "low" => Severity::Info,
            _ => Severity::Warning,
        }
    }
}

/// An instance as people call it: `Vijay:9119` is `vijay`, `[::1]:9119` is `::1`.
///
/// Only a port is dropped, so that the name `vm:vijay` stays what it is, and so does an IPv6 address without brackets.
pub fn normal_instance(value: &str) -> String {
    let value = value.trim();
    let without_port = match value.rsplit_once(':') {
        Some((host, port)) if is_port(port) && (!host.contains(':') || host.ends_with(']')) => host,
        _ => value,
    };
    let bare = without_port.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(without_port);
    bare.to_lowercase()
}

fn is_port(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) && text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_what_people_call_it() {
        for (label, instance) in [
            ("vijay", "vijay"),
            ("Vijay", "vijay"),
            ("vijay:9119", "vijay"),
            (" vijay:10119 ", "vijay"),
            ("127.0.0.1:19800", "127.0.0.1"),
            ("[::1]:9119", "::1"),
            ("[::1]", "::1"),
            ("fe80::1", "fe80::1"),
            ("vm:vijay", "vm:vijay"),
            ("vm:vijay:9119", "vm:vijay:9119"),
            ("vijay:99999", "vijay:99999"),
            ("vijay:", "vijay:"),
            ("", ""),
        ] {
            assert_eq!(normal_instance(label), instance, "{label}");
        }
    }

    #[test]
    fn a_severity_that_nobody_knows_is_a_warning() {
        for (label, severity) in [
            ("critical", Severity::Critical),
            ("PAGE", Severity::Critical),
            ("warning", Severity::Warning),
            ("", Severity::Warning),
            ("sev3", Severity::Warning),
            ("info", Severity::Info),
            ("none", Severity::Info),
        ] {
            assert_eq!(Severity::of_label(label), severity, "{label}");
        }
    }
}
