//! What arrives in place of Alertmanager's payload, and what is said about it to who has to mend it.

use serde_json::Value;
use serde_json::error::Category;

use super::VERSION;

/// Why a body is no notification. Each text is for the person who reads Alertmanager's log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// There is none.
    #[error("the request has no body; Alertmanager's webhook_configs post one to this URL")]
    Empty,
    /// It is no JSON.
    #[error("the body is not JSON: {problem} (line {line}, column {column})")]
    Broken {
        /// What is wrong.
        problem: String,
        /// Where, from 1.
        line: usize,
        /// Where in the line, from 1; 0 where the line had not begun.
        column: usize,
    },
    /// Alerts as Prometheus itself sends them.
    #[error(
        "these are alerts as Prometheus sends them to an Alertmanager; let alerting.alertmanagers in prometheus.yml name \
         the Alertmanager, and give that a receiver whose webhook_configs have this bridge's URL, with /alertmanager"
    )]
    Prometheus,
    /// What Alertmanager was told to send instead.
    #[error(
        "this comes from Alertmanager, but is not its own payload; remove `payload:` from the webhook_configs of the \
         receiver that posts here"
    )]
    CustomPayload,
    /// Some other JSON.
    #[error("this is JSON, but not what Alertmanager's webhook_configs post: it has no \"version\": \"{VERSION}\"")]
    Stranger,
    /// A version that is not known.
    #[error("the payload has version {found:?}, and only {VERSION:?} is known, which Alertmanager 0.25 to 0.34 post")]
    Version {
        /// The version.
        found: String,
    },
    /// A field is not what it should be.
    #[error("the payload has a field that Alertmanager does not write like that: {problem}")]
    Field {
        /// Which, and where.
        problem: String,
    },
}

impl Refusal {
    /// What it is called where refusals are counted and kept.
    pub fn reason(&self) -> &'static str {
        match self {
            Refusal::Empty => "empty",
            Refusal::Broken { .. } => "broken_json",
            Refusal::Prometheus => "prometheus",
            Refusal::CustomPayload => "custom_payload",
            Refusal::Stranger => "other_json",
            Refusal::Version { .. } => "version",
            Refusal::Field { .. } => "field",
        }
    }
}

/// Why a body that could not be read could not.
pub(super) fn of(body: &[u8], sender: &str, error: &serde_json::Error) -> Refusal {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Refusal::Empty;
    }
    let broken = |error: &serde_json::Error| Refusal::Broken {
        problem: without_place(error),
        line: error.line(),
        column: error.column(),
    };
    if error.classify() != Category::Data {
        return broken(error);
    }
    // What has the wrong type may be broken as well, further on.
    let value: Value = match serde_json::from_slice(body) {
        Ok(value) => value,
        Err(error) => return broken(&error),
    };
    match &value {
        Value::Array(alerts) if alerts.iter().all(is_prometheus_alert) => Refusal::Prometheus,
        Value::Object(fields) if fields.get("version").and_then(Value::as_str) == Some(VERSION) => {
            Refusal::Field { problem: error.to_string() }
        }
        Value::Object(fields) if fields.get("alerts").is_some_and(Value::is_array) => match fields.get("version") {
            Some(Value::Null) | None => of_stranger(sender),
            Some(Value::String(version)) => Refusal::Version { found: version.chars().take(40).collect() },
            Some(other) => Refusal::Version { found: other.to_string().chars().take(40).collect() },
        },
        _ => of_stranger(sender),
    }
}

/// Why JSON that is not Alertmanager's payload may be here.
pub(super) fn of_stranger(sender: &str) -> Refusal {
    if sender.starts_with("Alertmanager/") { Refusal::CustomPayload } else { Refusal::Stranger }
}

/// What the API of Alertmanager is posted, its first version and its second.
fn is_prometheus_alert(value: &Value) -> bool {
    value.get("labels").is_some_and(Value::is_object) && value.get("status").is_none()
}

fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or(text.clone(), |(problem, _)| problem.to_owned())
}
