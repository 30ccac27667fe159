//! What is wrong with the looking itself: a report that nobody renews, a collector that fails for long.

use super::wording::duration;
use super::{Code, Finding, Severity};
use crate::exporter::snapshot::{CollectorRun, Label, Reason, Snapshot, Source, Threshold, Thresholds};
use crate::system::time::Timestamp;

/// A report that is older than it may be.
pub(super) fn stale_report(snapshot: &Snapshot, now: Timestamp) -> Option<Finding> {
    let limit = snapshot.thresholds.get(Threshold::ReportAge)?;
    let age = now.seconds_since(snapshot.told_at()?);
    let sentence = format!(
        "The report of this instance is {} old; its limit is {}, and what it says is what once was",
        duration(age),
        duration(limit)
    );
    (snapshot.identity.source == Source::Report && age > limit)
        .then(|| Finding::new(Code::ReportStale, Severity::Warning, sentence).since(Some(snapshot.taken_at)))
}

/// Collectors that could not tell everything for long. A home that can not be looked at is one thing that is wrong, however
/// many collectors it stops.
pub(super) fn unknown_for_long(runs: &[CollectorRun], thresholds: &Thresholds, now: Timestamp) -> Vec<Finding> {
    let Some(limit) = thresholds.get(Threshold::CollectorUnknown) else {
        return Vec::new();
    };
    let for_long = |run: &&CollectorRun| run.failing_since.is_some_and(|since| now.seconds_since(since) > limit);
    let (without_home, others): (Vec<_>, Vec<_>) = runs.iter().filter(for_long).partition(|run| run.lacks_home());
    let finding = |run: &CollectorRun, subject: &str, what: String| {
        let age = run.failing_since.map_or(0.0, |since| now.seconds_since(since));
        let sentence = format!("{what} for {}", duration(age));
        let finding = Finding::new(Code::CollectorUnknown, Severity::Warning, sentence);
        finding.about(&Label::new(subject)).since(run.failing_since)
    };
    let of_home = without_home.first().map(|run| {
        let reason = run.problems.first().map_or("", |problem| problem.reason.as_str());
        finding(run, CollectorRun::HOME, format!("The home could not be looked at ({reason})"))
    });
    let of_run = |run: &CollectorRun| {
        let what = if run.collector == CollectorRun::REPORT {
            without_report(run)
        } else {
            format!("The collector \"{}\" could not tell everything", run.collector)
        };
        finding(run, &run.collector, what)
    };
    of_home.into_iter().chain(others.into_iter().map(of_run)).collect()
}

/// What is the matter with a report that says nothing of its instance.
fn without_report(run: &CollectorRun) -> String {
    let Some(problem) = run.problems.first() else {
        return "The report of this instance could not be read".to_owned();
    };
    let how = match problem.reason {
        Reason::NotFound => "is not there",
        Reason::Parse => "is broken",
        Reason::Permission => "may not be read, or is a file of somebody else",
        Reason::Unsupported => "is none that is read: too large, no regular file, or of another instance",
        _ => "could not be read",
    };
    format!("The report of this instance {how} ({})", problem.reason.as_str())
}
