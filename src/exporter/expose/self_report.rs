//! A self-report: the Snapshot of one instance as its owner leaves it for somebody else's exporter to read.
//!
//! It is what one look of a process that ends with it can tell. What is counted from look to look is in it where what
//! collectors remember is kept for the next process, and else is absent, because a counter that is new each time never moves.
//! `docs/reports.md` is for its readers, `docs/report.schema.json` its form.

use std::sync::Arc;

use crate::exporter::collect::memory::Memory;
use crate::exporter::snapshot::units::ManagerKind;
use crate::exporter::snapshot::{Problem, Reading, Reason, Snapshot, Source, Threshold, Thresholds};
use crate::system::time::Timestamp;

/// Collectors that are not asked for a report unless the command line says so, or what they remember is kept: one reads every
/// message that is stored, each time, and the other counts from look to look.
pub const NOT_REPORTED: [&str; 2] = ["activity", "logs"];

/// The report that a look gives, by who remembers what was counted or does not.
pub fn report(mut snapshot: Snapshot, is_remembered: bool) -> Snapshot {
    snapshot.identity.source = Source::Report;
    if !is_remembered {
        leave_failures_out(&mut snapshot);
    }
    snapshot
}

fn leave_failures_out(snapshot: &mut Snapshot) {
    if let Reading::Known(units) = &mut snapshot.units {
        // The count of s6 itself is one of all times, and only s6 has one.
        let counted = |unit: &crate::exporter::snapshot::units::Unit| unit.managers.contains_key(&ManagerKind::S6);
        for unit in Arc::make_mut(units).0.iter_mut().filter(|unit| !counted(unit)) {
            unit.failures = Reading::Absent;
        }
    }
}

/// Takes out of a report what was counted and could not be kept: the next one could show less.
pub fn forget_counts(report: &mut Snapshot) {
    leave_failures_out(report);
    for (collector, is_known) in
        [("activity", unknown_if_known(&mut report.activity)), ("logs", unknown_if_known(&mut report.logs))]
    {
        if let Some(run) = report.collectors.iter_mut().find(|run| is_known && run.collector == collector) {
            run.problems.push(Problem { reason: Reason::Io, subject: "state".to_owned() });
            run.failing_since = run.failing_since.or(Some(report.taken_at));
        }
    }
}

fn unknown_if_known<T>(reading: &mut Reading<T>) -> bool {
    let is_known = matches!(reading, Reading::Known(_));
    if is_known {
        *reading = Reading::Unknown(Reason::Io);
    }
    is_known
}

/// What is remembered at `now` of what was at another moment: since when something fails only where that is not so long ago
/// that nothing is known of the time between.
pub fn as_of(now: Timestamp, thresholds: Thresholds, then: Timestamp, mut memory: Memory) -> Memory {
    let limit = thresholds.get(Threshold::ReportAge).unwrap_or(Threshold::ReportAge.default_value());
    if !(0.0..=limit).contains(&now.seconds_since(then)) {
        memory.failing_since.clear();
    }
    memory
}

/// A report as it is written.
pub fn json(report: &Snapshot) -> Result<String, serde_json::Error> {
    serde_json::to_string(report).map(|json| json + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporter::snapshot::{CollectorRun, Identity, Problem, Reason};
    use crate::system::time::Timestamp;

    fn at(seconds: f64) -> Timestamp {
        Timestamp::from_seconds(seconds).unwrap()
    }

    fn look(name: &str, now: f64, failing_since: Option<f64>) -> Snapshot {
        let identity =
            Identity { name: name.into(), user: "uma".into(), profile: "default".into(), source: Source::Local };
        let mut snapshot = Snapshot::at(at(now), identity);
        snapshot.collectors.push(CollectorRun {
            collector: "cron".into(),
            duration_seconds: 0.1,
            problems: failing_since
                .map(|_| Problem { reason: Reason::Parse, subject: "cron/jobs.json".into() })
                .into_iter()
                .collect(),
            failing_since: failing_since.map(at),
        });
        snapshot
    }

    #[test]
    fn since_when_something_fails_is_remembered_unless_nobody_has_looked_for_long() {
        let since = |then: f64| {
            let memory = Memory::of_shown(&look("bheem", then, Some(10.0)));
            as_of(at(1_000.0), Thresholds::default(), at(then), memory).failing_since.get("cron").copied()
        };
        assert_eq!(since(940.0), Some(at(10.0)));
        assert_eq!(since(1_000.0), Some(at(10.0)));
        assert_eq!(since(50.0), None, "nobody looked in between");
        assert_eq!(since(1_060.0), None, "the clock was set back");
        assert_eq!(Memory::of_shown(&look("bheem", 940.0, None)), Memory::default());
    }

    #[test]
    fn what_was_counted_and_not_kept_is_not_told() {
        let mut snapshot = look("bheem", 1.0, None);
        for collector in ["activity", "logs"] {
            snapshot.collectors.push(CollectorRun { collector: collector.into(), ..snapshot.collectors[0].clone() });
        }
        snapshot.activity = Reading::Known(Arc::default());
        let mut report = report(snapshot, true);
        forget_counts(&mut report);
        assert_eq!((report.activity, report.logs), (Reading::Unknown(Reason::Io), Reading::Absent));
        let problems: Vec<_> = report.collectors.iter().map(|run| run.problems.len()).collect();
        assert_eq!(problems, [0, 1, 0]);
        assert_eq!(report.collectors[1].failing_since, Some(at(1.0)));
    }

    #[test]
    fn a_report_says_that_it_is_one() {
        assert_eq!(report(look("bheem", 1.0, None), false).identity.source, Source::Report);
    }
}
