//! What is wrong with the looking itself: a report that nobody renews, a collector that fails for long.

use super::wording::duration;
use super::{Code, Finding, Severity};
use crate::exporter::snapshot::{CollectorRun, Label, Snapshot, Source, Threshold, Thresholds};
use crate::system::time::Timestamp;

/// A report that is older than it may be.
pub(super) fn stale_report(snapshot: &Snapshot, now: Timestamp) -> Option<Finding> {
    let limit = snapshot.thresholds.get(Threshold::ReportAge)?;
    let age = now.seconds_since(snapshot.taken_at);
    let sentence = format!(
        "The report of this instance is {} old; it may be {}, and what it says is what once was",
        duration(age),
        duration(limit)
    );
    (snapshot.identity.source == Source::Report && age > limit)
        .then(|| Finding::new(Code::ReportStale, Severity::Warning, sentence).since(Some(snapshot.taken_at)))
}

/// Collectors that could not tell everything for long.
pub(super) fn unknown_for_long(runs: &[CollectorRun], thresholds: &Thresholds, now: Timestamp) -> Vec<Finding> {
    let Some(limit) = thresholds.get(Threshold::CollectorUnknown) else {
        return Vec::new();
    };
    let of_run = |run: &CollectorRun| {
        let since = run.failing_since?;
        let age = now.seconds_since(since);
        let sentence = format!("The collector \"{}\" could not tell everything for {}", run.collector, duration(age));
        let finding = Finding::new(Code::CollectorUnknown, Severity::Warning, sentence);
        (age > limit).then(|| finding.about(&Label::new(&run.collector)).since(Some(since)))
    };
    runs.iter().filter_map(of_run).collect()
}
