//! What one collector has found in one look, whatever it is of and wherever it was asked.

use std::time::Duration;

use super::track_record::TrackRecord;
use crate::exporter::collect::Part;
use crate::exporter::collect::problems::Problems;
use crate::exporter::snapshot::{CollectorRun, Problem, Reason};
use crate::system::time::Timestamp;

/// What one collector has found in one look: of an instance, or of the machine.
#[derive(Debug, Clone)]
pub(super) struct Answer<P = Part> {
    pub(super) part: P,
    pub(super) problems: Vec<Problem>,
    pub(super) took: Duration,
    /// Since when there have been problems at every look; filled where the answer is.
    failing_since: Option<Timestamp>,
}

impl<P> Answer<P> {
    /// What it has told, with what it could not.
    pub(super) fn of(part: P, problems: Problems, took: Duration) -> Answer<P> {
        Answer { part, problems: problems.into_sorted(), took, failing_since: None }
    }

    /// Where it has not answered: everything is unknown, for the reason that is noted of the subject.
    pub(super) fn none(unknown: fn(Reason) -> P, subject: &str, reason: Reason, took: Duration) -> Answer<P> {
        let problems = vec![Problem { reason, subject: subject.to_owned() }];
        Answer { part: unknown(reason), problems, took, failing_since: None }
    }

    /// The same answer, with what it means for the track record of its collector.
    pub(super) fn noted(
        self,
        track_record: &TrackRecord,
        instance: Option<&str>,
        collector: &str,
        now: Timestamp,
    ) -> Answer<P> {
        Answer { failing_since: track_record.note(instance, collector, &self.problems, now), ..self }
    }

    /// The same answer, of a collector that has not given its own yet.
    pub(super) fn provisional(self, track_record: &TrackRecord, now: Timestamp) -> Answer<P> {
        Answer { failing_since: Some(track_record.failing_since_or(now)), ..self }
    }

    pub(super) fn run_of(&self, collector: &str) -> CollectorRun {
        CollectorRun {
            collector: collector.to_owned(),
            duration_seconds: self.took.as_secs_f64(),
            problems: self.problems.clone(),
            failing_since: self.failing_since,
        }
    }
}
