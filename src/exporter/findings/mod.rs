//! What is wrong, judged from a Snapshot and its thresholds alone: what `check`, the page and the alert rules say.
//!
//! A [`Finding`] is something that is known to be wrong. What could not be told is [`Unknown`], and never a finding by
//! itself: nobody is woken by a file that could not be read, until that has lasted ([`Code::CollectorUnknown`]).
//!
//! * [`code`]: the table of what can be found; [`mod@reference`]: `docs/findings.md`, from the table.
//! * one file per part of a Snapshot with its rules: pure functions of what was seen and of now.
//! * [`wording`]: durations and numbers of things as people say them.
//!
//! What follows from something that is found already is not found again: a gateway that is down has no platforms, and
//! its cron jobs are not overdue.
//!
//! This is not the place for looking ([`super::collect`]) nor for showing ([`super::expose`], [`super::cli`]).

mod backups;
pub mod code;
mod credentials;
mod cron;
mod endpoints;
mod exposure;
mod gateway;
mod home;
mod inventory;
mod looking;
mod machine;
pub mod reference;
mod units;
pub mod wording;

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

pub use crate::severity::Severity;
pub use code::Code;

use super::snapshot::{CollectorRun, Fleet, Label, Reason, Snapshot};
use crate::system::time::Timestamp;

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

impl Finding {
    fn new(code: Code, severity: Severity, sentence: impl Into<String>) -> Finding {
        Finding { code, severity, subject: None, sentence: sentence.into(), since: None }
    }

    fn about(self, subject: &Label) -> Finding {
        Finding { subject: Some(subject.clone()), ..self }
    }

    fn since(self, since: Option<Timestamp>) -> Finding {
        Finding { since, ..self }
    }
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

    /// What is wrong and not to be ignored, in order, and what could not be told.
    fn of(mut found: Vec<Finding>, now: Timestamp, ignored: &[Label], runs: &[CollectorRun]) -> Findings {
        found.retain(|finding| ignored.iter().all(|ignored| ignored.as_str() != finding.code.as_str()));
        found.sort_by(|one, other| {
            (other.severity, one.code, &one.subject).cmp(&(one.severity, other.code, &other.subject))
        });
        for finding in &mut found {
            // What lies ahead was noted before the clock was set back, and tells nothing.
            finding.since = finding.since.filter(|since| *since <= now);
        }
        // A unit may be named twice, with two roles; a finding is one thing, by its code and subject.
        let mut seen = HashSet::new();
        found.retain(|finding| seen.insert((finding.code, finding.subject.clone())));
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

    /// How many instances are healthy.
    pub fn healthy(&self) -> usize {
        self.instances.iter().filter(|findings| findings.health() == Health::Healthy).count()
    }

    /// How the fleet is: as the worst of it.
    pub fn health(&self) -> Health {
        let worst = self.instances.iter().map(Findings::health).max();
        worst.unwrap_or(Health::Unknown).max(self.machine.health())
    }
}

/// The rules about one part of a Snapshot: what is wrong with it at a moment.
type Rules = fn(&Snapshot, Timestamp) -> Vec<Finding>;

/// As of when rules judge, which makes a difference where a report tells.
#[derive(Debug, Clone, Copy)]
enum AsOf {
    /// When it was seen: whether something has gone on since, nobody has looked.
    Seen,
    /// Now: what was done grows old, and what was given runs out.
    Now,
}

const RULES: [(Rules, AsOf); 9] = [
    (gateway::findings, AsOf::Seen),
    (units::findings, AsOf::Seen),
    (endpoints::findings, AsOf::Now),
    (backups::findings, AsOf::Now),
    (credentials::findings, AsOf::Now),
    (cron::findings, AsOf::Seen),
    (inventory::findings, AsOf::Now),
    (home::findings, AsOf::Now),
    (exposure::findings, AsOf::Now),
];

/// What is wrong with one instance at `now`.
pub fn of_instance(snapshot: &Snapshot, now: Timestamp) -> Findings {
    let seen_at = snapshot.told_at().unwrap_or(now);
    let judge = |(rules, as_of): &(Rules, AsOf)| match as_of {
        AsOf::Seen => rules(snapshot, seen_at),
        AsOf::Now => rules(snapshot, now),
    };
    let mut found: Vec<Finding> = RULES.iter().flat_map(judge).collect();
    found.extend(looking::stale_report(snapshot, now));
    found.extend(looking::unknown_for_long(&snapshot.collectors, &snapshot.thresholds, seen_at));
    Findings::of(found, now, &snapshot.ignored_findings, &snapshot.collectors)
}

/// What is wrong with the machine that the exporter runs on.
pub fn of_machine(fleet: &Fleet) -> Findings {
    let mut found = machine::findings(fleet);
    found.extend(looking::unknown_for_long(&fleet.machine_runs, &fleet.thresholds, fleet.taken_at));
    Findings::of(found, fleet.taken_at, &fleet.ignored_findings, &fleet.machine_runs)
}

#[cfg(test)]
mod tests;
