//! The Snapshot: what one look at one instance found, typed, serialisable and versioned.
//!
//! Everything outside the collectors is a rendering of it. A reading is one of three things, and the type says
//! so: [known](Reading::Known), [absent](Reading::Absent) or [unknown](Reading::Unknown) with a reason.
//! Unknown is never shown as down, and down never as unknown.
//!
//! Nothing personal or secret is in here: booleans, counts, times, enums and short names ([`Label`]), no chat
//! ids, no error texts, no tokens. What comes from outside is capped in length and in number.
//!
//! This is not the place for how a reading is obtained ([`super::collect`]) nor for how it is shown
//! ([`super::expose`]).

pub mod activity;
pub mod backups;
pub mod credentials;
pub mod cron;
pub mod endpoints;
pub mod exposure;
pub mod gateway;
pub mod guardrails;
pub mod home;
pub mod host;
pub mod inventory;
mod label;
pub mod logs;
#[cfg(test)]
mod schema;
pub mod sessions;
pub mod tailscale;
pub mod thresholds;
pub mod units;

use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

pub use label::{Label, MOST_ENTRIES, OTHER, Tally, cap};
pub use thresholds::{Threshold, Thresholds};

use crate::system::time::Timestamp;

/// The version of the serialised form. It grows when a field changes its meaning; new fields do not change it.
pub const FORMAT: u32 = 1;

/// Why a reading is unknown: the closed set behind every `reason` label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It took longer than it may.
    Timeout,
    /// The operating system refused.
    Permission,
    /// What should be looked at is not there.
    NotFound,
    /// The content is damaged or of the wrong shape.
    Parse,
    /// The operating system failed to read it.
    Io,
    /// D-Bus failed.
    Bus,
    /// HTTP failed.
    Http,
    /// What is there does not say how things are now.
    Stale,
    /// It is of a kind or version that is not supported.
    Unsupported,
}

impl Reason {
    /// The word used in labels and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Reason::Timeout => "timeout",
            Reason::Permission => "permission",
            Reason::NotFound => "not_found",
            Reason::Parse => "parse",
            Reason::Io => "io",
            Reason::Bus => "bus",
            Reason::Http => "http",
            Reason::Stale => "stale",
            Reason::Unsupported => "unsupported",
        }
    }
}

/// What is known of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum Reading<T> {
    /// It was read, and this is its value.
    Known(T),
    /// It is not configured, or rightly not there.
    #[default]
    Absent,
    /// It was looked at, and could not be told.
    Unknown(Reason),
}

impl<T> Reading<T> {
    /// The value, where it is known.
    pub fn known(&self) -> Option<&T> {
        match self {
            Reading::Known(value) => Some(value),
            Reading::Absent | Reading::Unknown(_) => None,
        }
    }

    /// The same reading of a borrowed value.
    pub fn as_ref(&self) -> Reading<&T> {
        match self {
            Reading::Known(value) => Reading::Known(value),
            Reading::Absent => Reading::Absent,
            Reading::Unknown(reason) => Reading::Unknown(*reason),
        }
    }

    /// The same reading of another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Reading<U> {
        match self {
            Reading::Known(value) => Reading::Known(change(value)),
            Reading::Absent => Reading::Absent,
            Reading::Unknown(reason) => Reading::Unknown(reason),
        }
    }

    /// The reading that follows from a known value; absent and unknown stay as they are.
    pub fn and_then<U>(self, change: impl FnOnce(T) -> Reading<U>) -> Reading<U> {
        match self {
            Reading::Known(value) => change(value),
            Reading::Absent => Reading::Absent,
            Reading::Unknown(reason) => Reading::Unknown(reason),
        }
    }
}

/// Never fails: what another version has written in a way that is not understood here, or has not written at all, is
/// unknown and unsupported, and what stands around it is read all the same.
impl<'de, T: DeserializeOwned> Deserialize<'de> for Reading<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Of a field that is not there, serde makes an option that is none.
        let told = Option::<serde_json::Value>::deserialize(deserializer)?;
        let unsupported = Reading::Unknown(Reason::Unsupported);
        Ok(match told {
            Some(serde_json::Value::String(word)) if word == "absent" => Reading::Absent,
            Some(serde_json::Value::Object(mut fields)) => {
                if let Some(value) = fields.remove("known") {
                    serde_json::from_value(value).map_or(unsupported, Reading::Known)
                } else {
                    let reason = fields.remove("unknown").map(serde_json::from_value);
                    Reading::Unknown(reason.and_then(Result::ok).unwrap_or(Reason::Unsupported))
                }
            }
            _ => unsupported,
        })
    }
}

impl<T> From<Option<T>> for Reading<T> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Reading::Absent, Reading::Known)
    }
}

/// Something that a collector could not tell: the reason, and what it was looking at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Problem {
    /// Why.
    pub reason: Reason,
    /// What it was looking at: a fixed name such as `cron/jobs.json`.
    pub subject: String,
}

/// How one collector fared in one look.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CollectorRun {
    /// The collector's name.
    pub collector: String,
    /// How long it took.
    pub duration_seconds: f64,
    /// What it could not tell; empty when it succeeded.
    pub problems: Vec<Problem>,
    /// Since when it has not told everything at any look, as far as the exporter has watched.
    #[serde(default)]
    pub failing_since: Option<Timestamp>,
}

impl CollectorRun {
    /// The collector that reads the report of an instance, where nothing else is looked at of it.
    pub const REPORT: &str = "report";

    /// What collectors note as what they could not look at, where it is the home itself: none of them tells anything then.
    pub const HOME: &str = "home";

    /// Whether all that it could not look at is the home itself.
    pub fn lacks_home(&self) -> bool {
        !self.problems.is_empty() && self.problems.iter().all(|problem| problem.subject == Self::HOME)
    }
}

/// Where a Snapshot comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// This exporter looked at the home itself.
    Local,
    /// The installation's own exporter looked, and wrote down what it saw.
    Report,
}

impl Source {
    /// The word used in labels and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Source::Local => "local",
            Source::Report => "report",
        }
    }
}

/// Which installation a Snapshot is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Identity {
    /// The instance's name, unique in the fleet.
    pub name: String,
    /// The user whose installation it is.
    pub user: String,
    /// The Hermes profile; `default` for a root home.
    pub profile: String,
    /// Where the Snapshot comes from.
    pub source: Source,
}

/// What one look at one instance found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Snapshot {
    /// The version of this form, [`FORMAT`].
    pub format: u32,
    /// Which installation this is.
    pub identity: Identity,
    /// When it was looked at.
    pub taken_at: Timestamp,
    /// The limits in force.
    #[serde(default)]
    pub thresholds: Thresholds,
    /// Findings that are not to be made of this instance.
    #[serde(default)]
    pub ignored_findings: Vec<Label>,
    /// How each collector fared, in the order of the table of collectors.
    pub collectors: Vec<CollectorRun>,
    /// The gateway process and its platforms.
    #[serde(default)]
    pub gateway: Reading<Arc<gateway::Gateway>>,
    /// Sessions and messages in the store.
    #[serde(default)]
    pub sessions: Reading<Arc<sessions::Sessions>>,
    /// Turns and tool calls.
    #[serde(default)]
    pub activity: Reading<Arc<activity::Activity>>,
    /// Cron jobs and their ticker.
    #[serde(default)]
    pub cron: Reading<Arc<cron::Cron>>,
    /// Tokens, credential pools and keys.
    #[serde(default)]
    pub credentials: Reading<Arc<credentials::Credentials>>,
    /// Memory, skills, MCP servers, webhooks, pairings, kanban, deliveries, update.
    #[serde(default)]
    pub inventory: Reading<Arc<inventory::Inventory>>,
    /// Size of the home and space around it.
    #[serde(default)]
    pub home: Reading<Arc<home::Home>>,
    /// The services and timers that a supervisor runs for it.
    #[serde(default)]
    pub units: Reading<Arc<units::Units>>,
    /// Whether the configured endpoints answer.
    #[serde(default)]
    pub endpoints: Reading<Arc<endpoints::Endpoints>>,
    /// The ports that its processes listen on.
    #[serde(default)]
    pub exposure: Reading<Arc<exposure::Exposure>>,
    /// Safety settings and file modes.
    #[serde(default)]
    pub guardrails: Reading<Arc<guardrails::Guardrails>>,
    /// The repositories that it is backed up to, and the proofs that they can be used.
    #[serde(default)]
    pub backups: Reading<Arc<backups::Backups>>,
    /// Lines of its logs, counted.
    #[serde(default)]
    pub logs: Reading<Arc<logs::Logs>>,
}

/// One look at the whole fleet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fleet {
    /// When it was looked at.
    pub taken_at: Timestamp,
    /// Every instance that was looked at, in the order of the configuration.
    pub instances: Vec<Arc<Snapshot>>,
    /// The machine the exporter runs on.
    pub host: Reading<Arc<host::Host>>,
    /// The Tailscale of that machine; absent where there is none.
    #[serde(default)]
    pub tailscale: Reading<Arc<tailscale::Tailscale>>,
    /// How the collectors of the machine fared, those that were asked, in the order of the table of collectors.
    #[serde(default)]
    pub machine_runs: Vec<CollectorRun>,
    /// The limits in force for the machine.
    #[serde(default)]
    pub thresholds: Thresholds,
    /// Findings that are not to be made of the machine.
    #[serde(default)]
    pub ignored_findings: Vec<Label>,
}

impl Snapshot {
    /// A Snapshot in which nothing is known yet, judged by the usual limits.
    pub fn at(taken_at: Timestamp, identity: Identity) -> Snapshot {
        Snapshot {
            format: FORMAT,
            identity,
            taken_at,
            thresholds: Thresholds::default(),
            ignored_findings: Vec::new(),
            collectors: Vec::new(),
            gateway: Reading::Absent,
            sessions: Reading::Absent,
            activity: Reading::Absent,
            cron: Reading::Absent,
            credentials: Reading::Absent,
            inventory: Reading::Absent,
            home: Reading::Absent,
            units: Reading::Absent,
            endpoints: Reading::Absent,
            exposure: Reading::Absent,
            guardrails: Reading::Absent,
            backups: Reading::Absent,
            logs: Reading::Absent,
        }
    }

    /// When what it says was seen; `None` of an instance whose report could not be read, which says nothing.
    pub fn told_at(&self) -> Option<Timestamp> {
        let is_told = match self.identity.source {
            Source::Local => true,
            Source::Report => self.report_run().is_some_and(|run| {
                // An old report is one, and says how old it is.
                run.problems.iter().all(|problem| problem.reason == Reason::Stale)
            }),
        };
        is_told.then_some(self.taken_at)
    }

    /// How reading its report went, where it is told of by one.
    pub fn report_run(&self) -> Option<&CollectorRun> {
        let runs = (self.identity.source == Source::Report).then_some(&self.collectors)?;
        runs.iter().find(|run| run.collector == CollectorRun::REPORT)
    }
}

impl Fleet {
    /// A fleet of which nothing is known yet.
    pub fn at(taken_at: Timestamp) -> Fleet {
        Fleet {
            taken_at,
            instances: Vec::new(),
            host: Reading::Absent,
            tailscale: Reading::Absent,
            machine_runs: Vec::new(),
            thresholds: Thresholds::default(),
            ignored_findings: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_readings_are_told_apart_in_json() {
        let json = |reading: Reading<u64>| serde_json::to_string(&reading).unwrap();
        assert_eq!(json(Reading::Known(0)), r#"{"known":0}"#);
        assert_eq!(json(Reading::Absent), r#""absent""#);
        assert_eq!(json(Reading::Unknown(Reason::NotFound)), r#"{"unknown":"not_found"}"#);
        for reading in [Reading::Known(7), Reading::Absent, Reading::Unknown(Reason::Timeout)] {
            assert_eq!(serde_json::from_str::<Reading<u64>>(&json(reading)).unwrap(), reading);
        }
    }

    #[test]
    fn of_another_version_only_what_is_not_understood_is_unknown() {
        #[derive(Debug, PartialEq, Deserialize)]
        struct Part {
            same: Reading<u64>,
            changed: Reading<u64>,
            missing: Reading<u64>,
            reshaped: Reading<u64>,
            reason: Reading<u64>,
            more: Reading<u64>,
        }
        let json = r#"{"same": {"known": 1}, "changed": {"known": "one"}, "reshaped": [1], "new": {"known": 1},
                       "reason": {"unknown": "eclipse"}, "more": {"known": 2, "since": 3}}"#;
        let unsupported = Reading::Unknown(Reason::Unsupported);
        let expected = Part {
            same: Reading::Known(1),
            changed: unsupported,
            missing: unsupported,
            reshaped: unsupported,
            reason: unsupported,
            more: Reading::Known(2),
        };
        assert_eq!(serde_json::from_str::<Part>(json).unwrap(), expected);
    }

    #[test]
    fn a_reason_is_the_same_word_in_labels_and_in_json() {
        use Reason::*;
        for reason in [Timeout, Permission, NotFound, Parse, Io, Bus, Http, Stale, Unsupported] {
            assert_eq!(serde_json::to_string(&reason).unwrap(), format!("\"{}\"", reason.as_str()));
        }
    }
}
