//! `cron/executions.db`: what Hermes recorded of the runs of its jobs.
//!
//! The database is opened only when its files have changed since it was last read. Nothing is read of why a
//! run failed: that is a text, and may say anything.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use rusqlite::types::ValueRef;

use crate::exporter::snapshot::{Label, OTHER, Tally};
use crate::system::sqlite::{DatabaseError, Transaction, WatchedDatabase};
use crate::system::time::Timestamp;

/// The statuses that Hermes 0.19 knows, shown at zero where there are none.
const STATUSES: [&str; 5] = ["claimed", "running", "completed", "failed", "unknown"];

/// What is recorded of the runs.
#[derive(Debug)]
pub(super) struct Recorded {
    /// Runs by status.
    pub(super) by_status: Tally,
    /// Seconds that the last finished run of a job took, by the job's id.
    pub(super) last_durations: HashMap<String, f64>,
}

/// The record of runs, read again when it has changed.
#[derive(Debug)]
pub(super) struct Executions(WatchedDatabase<Recorded>);

impl Executions {
    pub(super) fn new(path: PathBuf) -> Self {
        Executions(WatchedDatabase::new(path))
    }

    /// What is recorded now, or `None` where there is no record.
    pub(super) fn read(&mut self) -> Result<Option<Arc<Recorded>>, DatabaseError> {
        self.0.get(query)
    }
}

fn query(transaction: &Transaction<'_>) -> Result<Recorded, rusqlite::Error> {
    let mut by_status = Tally::of_known(&STATUSES);
    let count = "SELECT status, count(*) FROM executions GROUP BY status ORDER BY count(*) DESC LIMIT 1000";
    let _ = transaction.rows(count, [], |row| {
        by_status
            .add(Label::word(text(row.get_ref(0)?).unwrap_or(OTHER)).as_str(), row.get::<_, i64>(1)?.unsigned_abs());
        Ok(ControlFlow::Continue(()))
    })?;

    let columns = transaction.columns("executions")?;
    let mut newest: HashMap<String, (Timestamp, f64)> = HashMap::new();
    if ["job_id", "started_at", "finished_at"].iter().all(|name| columns.contains(*name)) {
        // A run that was cut off gets the status `unknown` when Hermes next starts, and that moment as its end.
        let finished = "SELECT job_id, started_at, finished_at FROM executions
                        WHERE started_at IS NOT NULL AND finished_at IS NOT NULL
                          AND status NOT IN ('claimed', 'running', 'unknown')
                        ORDER BY finished_at DESC LIMIT 5000";
        let _ = transaction.rows(finished, [], |row| {
            let run = (text(row.get_ref(0)?), moment(row.get_ref(1)?), moment(row.get_ref(2)?));
            if let (Some(job_id), Some(started), Some(finished)) = run
                && newest.get(job_id).is_none_or(|(latest, _)| *latest < finished)
            {
                newest.insert(job_id.to_owned(), (finished, finished.seconds_since(started)));
            }
            Ok(ControlFlow::Continue(()))
        })?;
    }
    // A clock that was set back during the run leaves a length that is none.
    let last_durations =
        newest.into_iter().filter(|(_, (_, seconds))| *seconds >= 0.0).map(|(id, (_, seconds))| (id, seconds));
    Ok(Recorded { by_status, last_durations: last_durations.collect() })
}

fn text(value: ValueRef<'_>) -> Option<&str> {
    value.as_str().ok()
}

fn moment(value: ValueRef<'_>) -> Option<Timestamp> {
    match value {
        ValueRef::Integer(seconds) => Timestamp::from_seconds(seconds as f64),
        ValueRef::Real(seconds) => Timestamp::from_seconds(seconds),
        _ => Timestamp::from_text(text(value)?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rusqlite::Connection;
    use tempfile::TempDir;

    const COLUMNS: &str = "job_id TEXT, status TEXT, claimed_at TEXT, started_at TEXT, finished_at TEXT";

    fn record(columns: &str, rows: &[&str]) -> (TempDir, Executions, Connection) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("executions.db");
        let writer = Connection::open(&path).unwrap();
        writer.execute_batch(&format!("CREATE TABLE executions ({columns})")).unwrap();
        for row in rows {
            writer.execute_batch(&format!("INSERT INTO executions VALUES ({row})")).unwrap();
        }
        (folder, Executions::new(path), writer)
    }

    fn settle(executions: &Executions) {
        while !executions.0.database().stamp().unwrap().unwrap().is_settled() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn the_newest_finished_run_counts_whatever_offset_it_is_written_in() {
        let (_folder, mut executions, _writer) = record(
            COLUMNS,
            &[
                "'a', 'completed', '1', '2026-11-20T09:00:00+05:30', '2026-11-20T09:00:40+05:30'",
                "'a', 'failed', '2', '2026-11-20T08:00:00+00:00', '2026-11-20T08:00:07.500000+00:00'",
                "'a', 'running', '3', '2026-11-20T08:30:00+00:00', NULL",
                "'b', 'unknown', '4', '2026-11-20T08:00:00+00:00', '2026-11-20T18:00:00+00:00'",
                "'c', 'completed', '5', '2026-11-20T08:00:10+00:00', '2026-11-20T08:00:00+00:00'",
                "'d', 'completed', '6', 'lately', '2026-11-20T08:00:00+00:00'",
                "'e', 'completed', '7', 1795165200, 1795165203.5",
            ],
        );
        let recorded = executions.read().unwrap().unwrap();
        assert_eq!(recorded.last_durations, HashMap::from([("a".to_owned(), 7.5), ("e".to_owned(), 3.5)]));
        assert_eq!(recorded.by_status.get("completed"), 4);
        assert_eq!(recorded.by_status.get("claimed"), 0);
        assert_eq!(recorded.by_status.total(), 7);
    }

    #[test]
    fn a_status_from_the_future_is_counted_as_it_comes() {
        let (_folder, mut executions, _writer) = record(
            COLUMNS,
            &["'a', 'handoff_pending', '1', NULL, NULL", "'a', NULL, '1', NULL, NULL", "'a', x'FF', '1', NULL, NULL"],
        );
        let recorded = executions.read().unwrap().unwrap();
        assert_eq!(recorded.by_status.get("handoff_pending"), 1);
        assert_eq!(recorded.by_status.get("other"), 2);
    }

    #[test]
    fn columns_that_are_missing_cost_only_what_they_hold() {
        let (_folder, mut executions, _writer) = record("status TEXT, job_id TEXT", &["'completed', 'a'"]);
        let recorded = executions.read().unwrap().unwrap();
        assert_eq!(recorded.by_status.get("completed"), 1);
        assert!(recorded.last_durations.is_empty());
        let (_folder, mut executions, _writer) = record("job_id TEXT", &[]);
        assert!(matches!(executions.read(), Err(DatabaseError::Schema { .. })));
    }

    #[test]
    fn an_unchanged_record_is_not_opened_and_a_changed_one_is() {
        let (_folder, mut executions, writer) = record(COLUMNS, &["'a', 'failed', '1', NULL, NULL"]);
        settle(&executions);
        let first = executions.read().unwrap().unwrap();
        assert!(Arc::ptr_eq(&executions.read().unwrap().unwrap(), &first), "it was kept");
        writer.execute_batch("INSERT INTO executions VALUES ('a', 'failed', '2', NULL, NULL)").unwrap();
        assert_eq!(executions.read().unwrap().unwrap().by_status.get("failed"), 2);
    }

    #[test]
    fn a_record_that_was_just_written_is_read_again() {
        let (folder, mut executions, _writer) = record(COLUMNS, &[]);
        let file = std::fs::File::options().write(true).open(folder.path().join("executions.db")).unwrap();
        // Again where this machine was too slow to read it soon enough.
        loop {
            file.set_modified(std::time::SystemTime::now()).unwrap();
            let first = executions.read().unwrap().unwrap();
            let second = executions.read().unwrap().unwrap();
            if !executions.0.database().stamp().unwrap().unwrap().is_settled() {
                assert!(!Arc::ptr_eq(&first, &second));
                break;
            }
        }
    }

    #[test]
    fn no_record_is_none_and_leaves_no_file() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Executions::new(folder.path().join("executions.db")).read().unwrap().is_none());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
