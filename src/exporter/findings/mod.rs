//! What is wrong, judged from a Snapshot and its thresholds alone: what `check`, the page and the alert rules say.
//!
//! A [`Finding`] is something that is known to be wrong. What could not be told is [`Unknown`], and never a finding by
//! itself: nobody is woken by a file that could not be read, until that has lasted ([`Code::CollectorUnknown`]).
//!
//! * [`code`]: the table of what can be found.
//!
//! This is not the place for looking ([`super::collect`]) nor for showing ([`super::expose`], [`super::cli`]).

pub mod code;

use serde::{Deserialize, Serialize};

pub use code::Code;

use super::snapshot::{CollectorRun, Fleet, Label, Reason, Snapshot};
use crate::system::time::Timestamp;

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Somebody may want to know.
    Info,
    /// Somebody has to see to it, within a day or so.
    Warning,
    /// Somebody has to see to it now.
    Critical,
}

impl Severity {
    /// Every severity, the least first.
    pub const ALL: [Severity; 3] = [Severity::Info, Severity::Warning, Severity::Critical];

    /// The word used in labels and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Info => "info",
            Severity::Warning => "warning",
            Severity::Critical => "critical",
        }
    }
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// What.
    pub code: Code,
    /// How bad it is.
    pub severity: Severity,
    /// Which unit, platform, repository, token or job it is about; `None` where there is but one.
    pub subject: Option<Label>,
    /// One sentence about it, for people.
    pub sentence: String,
    /// Since when, where that can be told.
    pub since: Option<Timestamp>,
}

/// Something that could not be told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unknown {
    /// The collector that could not tell it.
    pub collector: String,
    /// What it was looking at.
    pub subject: String,
    /// Why.
    pub reason: Reason,
    /// Since when the collector can not tell everything, as far as the exporter has watched.
    pub since: Option<Timestamp>,
}

/// What was found in one Snapshot.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Findings {
    /// What is wrong, the worst first.
    pub found: Vec<Finding>,
    /// What could not be told.
    pub unknown: Vec<Unknown>,
}

/// How an instance is, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Everything could be told, and there is nothing that somebody has to see to.
    Healthy,
    /// Something could not be told, and nothing that could be is wrong.
    Unknown,
    /// Something is wrong that has time.
    Warning,
    /// Something is wrong that has none.
    Critical,
}

impl Health {
    /// The word used in JSON and for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Health::Healthy => "healthy",
            Health::Unknown => "unknown",
            Health::Warning => "warning",
            Health::Critical => "critical",
        }
    }
}

impl Findings {
    /// How many there are of a severity.
    pub fn count(&self, severity: Severity) -> u64 {
        self.found.iter().filter(|finding| finding.severity == severity).count() as u64
    }

    /// How the instance is. What is known to be wrong counts for more than what could not be told.
    pub fn health(&self) -> Health {
        match self.found.iter().map(|finding| finding.severity).max() {
            Some(Severity::Critical) => Health::Critical,
            Some(Severity::Warning) => Health::Warning,
            Some(Severity::Info) | None if self.unknown.is_empty() => Health::Healthy,
            Some(Severity::Info) | None => Health::Unknown,
        }
    }

    fn of(mut found: Vec<Finding>, runs: &[CollectorRun]) -> Findings {
        found.sort_by(|one, other| {
            (other.severity, one.code, &one.subject).cmp(&(one.severity, other.code, &other.subject))
        });
        let of_run = |run: &CollectorRun| {
            let (collector, since) = (run.collector.clone(), run.failing_since);
            let unknown = move |problem: &super::snapshot::Problem| Unknown {
                collector: collector.clone(),
                subject: problem.subject.clone(),
                reason: problem.reason,
                since,
            };
            run.problems.iter().map(unknown).collect::<Vec<_>>()
        };
        Findings { found, unknown: runs.iter().flat_map(of_run).collect() }
    }
}

/// What was found in a whole fleet.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FleetFindings {
    /// Of each instance, in the order of the fleet.
    pub instances: Vec<Findings>,
    /// Of the machine that the exporter runs on.
    pub machine: Findings,
}

impl FleetFindings {
    /// What is wrong in a fleet.
    pub fn of(fleet: &Fleet) -> FleetFindings {
        FleetFindings {
            instances: fleet.instances.iter().map(|snapshot| of_instance(snapshot, fleet.taken_at)).collect(),
            machine: of_machine(fleet),
        }
    }
}

/// What is wrong with one instance at `now`.
pub fn of_instance(snapshot: &Snapshot, _now: Timestamp) -> Findings {
    Findings::of(Vec::new(), &snapshot.collectors)
}

/// What is wrong with the machine that the exporter runs on.
pub fn of_machine(fleet: &Fleet) -> Findings {
    Findings::of(Vec::new(), &fleet.machine_runs)
}
