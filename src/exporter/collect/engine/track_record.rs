//! How a collector fares from look to look: since when it fails, and what the log says of that.

use std::sync::{Mutex, PoisonError};

use crate::exporter::snapshot::Problem;
use crate::system::time::Timestamp;

/// The track record of one collector.
#[derive(Debug, Default)]
pub(super) struct TrackRecord(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// What it could not tell the last time.
    problems: Vec<Problem>,
    /// Since when there has been something at every look.
    failing_since: Option<Timestamp>,
}

impl TrackRecord {
    /// Notes how a look went, and answers with the moment since which there have been problems at every look. Says so in
    /// the log when the collector begins to fail, fails for another reason, or recovers: what changes and not what stays.
    pub(super) fn note(
        &self,
        instance: Option<&str>,
        collector: &str,
        problems: &[Problem],
        now: Timestamp,
    ) -> Option<Timestamp> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.failing_since = (!problems.is_empty()).then(|| state.since_or(now));
        if state.problems != problems {
            if problems.is_empty() {
                tracing::info!(instance, collector, "Everything can be told again.");
            }
            for problem in problems {
                let (subject, reason) = (&problem.subject, problem.reason.as_str());
                tracing::warn!(instance, collector, subject, reason, "Something can not be told.");
            }
            state.problems = problems.to_vec();
        }
        state.failing_since
    }

    /// Goes on from since when it was failing in another process.
    pub(super) fn recall(&self, failing_since: Option<Timestamp>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).failing_since = failing_since;
    }

    /// Since when it has been failing.
    pub(super) fn failing_since(&self) -> Option<Timestamp> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).failing_since
    }

    /// Since when it has been failing, or `now` where it was well at the last look.
    pub(super) fn failing_since_or(&self, now: Timestamp) -> Timestamp {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).since_or(now)
    }
}

impl State {
    fn since_or(&self, now: Timestamp) -> Timestamp {
        // A moment that lies ahead was noted before the clock was set back.
        self.failing_since.filter(|since| *since < now).unwrap_or(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporter::snapshot::Reason;

    fn at(seconds: f64) -> Timestamp {
        Timestamp::from_seconds(seconds).unwrap()
    }

    #[test]
    fn it_fails_since_the_first_of_looks_that_all_had_problems() {
        let track_record = TrackRecord::default();
        let problem = |reason| vec![Problem { reason, subject: "a".to_owned() }];
        let (io, timeout) = (problem(Reason::Io), problem(Reason::Timeout));
        let note = |problems: &[Problem], now| track_record.note(None, "a", problems, at(now)).map(Timestamp::seconds);
        assert_eq!(note(&[], 1.0), None);
        assert_eq!(track_record.failing_since_or(at(2.0)), at(2.0), "not answered yet, and nothing was wrong before");
        assert_eq!(note(&io, 2.0), Some(2.0));
        assert_eq!(note(&timeout, 3.0), Some(2.0), "for another reason");
        assert_eq!(track_record.failing_since_or(at(4.0)), at(2.0));
        assert_eq!(note(&[], 4.0), None);
        assert_eq!(note(&io, 5.0), Some(5.0));
        assert_eq!(note(&io, 1.0), Some(1.0), "the clock was set back");
    }
}
