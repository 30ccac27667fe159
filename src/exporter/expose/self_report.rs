//! A self-report: the Snapshot of one instance as its owner leaves it for somebody else's exporter to read.
//!
//! It is what one look of a process that ends with it can tell. What is counted from look to look is absent, because a
//! counter that is new each time never moves; what is remembered from look to look is taken from the report before.
//! `docs/reports.md` is for its readers, `docs/report.schema.json` its form.

use std::sync::Arc;

use crate::exporter::snapshot::units::ManagerKind;
use crate::exporter::snapshot::{FORMAT, Reading, Snapshot, Source, Threshold};

/// Collectors that are not asked for a report unless the command line says so: one reads every message that is stored, each
/// time, and the other counts from look to look.
pub const NOT_REPORTED: [&str; 2] = ["activity", "logs"];

/// The report that a look gives; `former` is the one that was written before.
pub fn report(mut snapshot: Snapshot, former: Option<&Snapshot>) -> Snapshot {
    snapshot.identity.source = Source::Report;
    if let Reading::Known(units) = &mut snapshot.units {
        // The count of s6 itself is one of all times, and only s6 has one.
        let counted = |unit: &crate::exporter::snapshot::units::Unit| unit.managers.contains_key(&ManagerKind::S6);
        for unit in Arc::make_mut(units).0.iter_mut().filter(|unit| !counted(unit)) {
            unit.failures = Reading::Absent;
        }
    }
    if let Some(former) = former.filter(|former| is_before(former, &snapshot)) {
        for run in snapshot.collectors.iter_mut().filter(|run| run.failing_since.is_some()) {
            let before = former.collectors.iter().find(|before| before.collector == run.collector);
            run.failing_since = before.and_then(|before| before.failing_since).or(run.failing_since);
        }
    }
    snapshot
}

/// Whether a report is of the same instance, and not so old that nothing is known of the time between.
fn is_before(former: &Snapshot, snapshot: &Snapshot) -> bool {
    let limit = snapshot.thresholds.get(Threshold::ReportAge).unwrap_or(Threshold::ReportAge.default_value());
    let age = snapshot.taken_at.seconds_since(former.taken_at);
    former.format == FORMAT && former.identity.name == snapshot.identity.name && (0.0..=limit).contains(&age)
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

    /// Since when cron fails in the report of a look at 1000, after `former`.
    fn since(former: Option<Snapshot>) -> f64 {
        report(look("bheem", 1_000.0, Some(1_000.0)), former.as_ref()).collectors[0].failing_since.unwrap().seconds()
    }

    #[test]
    fn since_when_something_fails_is_known_from_the_report_before() {
        assert_eq!(since(None), 1_000.0);
        assert_eq!(since(Some(look("bheem", 940.0, Some(100.0)))), 100.0);
        assert_eq!(since(Some(look("bheem", 940.0, None))), 1_000.0, "it worked in between");
        assert_eq!(since(Some(look("bheem", 50.0, Some(10.0)))), 1_000.0, "nobody looked in between");
        assert_eq!(since(Some(look("bheem", 1_060.0, Some(100.0)))), 1_000.0, "the clock was set back");
        assert_eq!(since(Some(look("vijay", 940.0, Some(100.0)))), 1_000.0, "another instance");
        let mended = report(look("bheem", 1_000.0, None), Some(&look("bheem", 940.0, Some(100.0))));
        assert_eq!(mended.collectors[0].failing_since, None);
    }

    #[test]
    fn a_report_says_that_it_is_one() {
        assert_eq!(report(look("bheem", 1.0, None), None).identity.source, Source::Report);
    }
}
