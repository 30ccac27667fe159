//! Cron: the jobs of an instance, how they fared, and the ticker that starts them.
//!
//! * `jobs`: `cron/jobs.json`, from what it says to what is so at a given moment.
//! * `schedule`: how late a job may be.
//! * `executions`: `cron/executions.db`, the record of runs.
//!
//! A job's file keeps its parsed form until it changes; what depends on the time is told anew at each look.
//! This is not the place for cron sessions in the store, which are sessions like any other, nor for the
//! `.lock` files beside these: they are there whether or not anything holds them.

mod executions;
mod jobs;
mod schedule;

use std::sync::Arc;

use executions::{Executions, Recorded};
use jobs::JobsFile;

use super::problems::Problems;
use super::{Collector, Look, Part};
use crate::exporter::instance::{CronJobLabel, Instance};
use crate::exporter::snapshot::cron::Cron;
use crate::exporter::snapshot::{Reading, Reason};
use crate::system::files::{ParseFault, Watched};
use crate::system::time::Timestamp;

const JOBS: &str = "cron/jobs.json";
const EXECUTIONS: &str = "cron/executions.db";
const TICKER_HEARTBEAT: &str = "cron/ticker_heartbeat";
const TICKER_LAST_SUCCESS: &str = "cron/ticker_last_success";

/// Reads the cron of one instance.
#[derive(Debug)]
pub struct CronCollector {
    called: CronJobLabel,
    jobs: Watched<JobsFile>,
    executions: Executions,
    ticker_heartbeat: Watched<Option<Timestamp>>,
    ticker_last_success: Watched<Option<Timestamp>>,
}

impl CronCollector {
    /// A collector for `instance`.
    pub fn new(instance: &Instance) -> Self {
        CronCollector {
            called: instance.cron_job_label,
            jobs: Watched::new(instance.path(JOBS)),
            executions: Executions::new(instance.path(EXECUTIONS)),
            ticker_heartbeat: Watched::new(instance.path(TICKER_HEARTBEAT)),
            ticker_last_success: Watched::new(instance.path(TICKER_LAST_SUCCESS)),
        }
    }

    fn read(&mut self, now: Timestamp, problems: &mut Problems) -> Cron {
        let executions = problems.reading(EXECUTIONS, self.executions.read());
        let called = self.called;
        let jobs = match self.jobs.get(|content| jobs::parse(content, called)) {
            Ok(None) => Reading::Absent,
            Ok(Some(file)) => {
                if file.has_damaged_entries {
                    problems.note(JOBS, Reason::Parse);
                }
                if file.has_too_many_jobs {
                    problems.note(JOBS, Reason::Unsupported);
                }
                let seen = |job: &jobs::StoredJob| job.at(now, last_duration(&executions, &job.id));
                Reading::Known(file.jobs.iter().map(|(label, job)| (label.clone(), seen(job))).collect())
            }
            Err(error) => problems.unknown(JOBS, &error),
        };
        Cron {
            jobs,
            executions: executions.map(|recorded| recorded.by_status.clone()),
            ticker_heartbeat: ticked(&mut self.ticker_heartbeat, TICKER_HEARTBEAT, problems),
            ticker_last_success: ticked(&mut self.ticker_last_success, TICKER_LAST_SUCCESS, problems),
        }
    }
}

impl Collector for CronCollector {
    fn collect(&mut self, look: &Look<'_>, problems: &mut Problems) -> Part {
        Part::Cron(Reading::Known(Arc::new(self.read(look.now, problems))))
    }
}

fn last_duration(executions: &Reading<Arc<Recorded>>, job_id: &str) -> Reading<f64> {
    executions.clone().and_then(|recorded| recorded.last_durations.get(job_id).copied().into())
}

fn ticked(file: &mut Watched<Option<Timestamp>>, subject: &str, problems: &mut Problems) -> Reading<Timestamp> {
    let moment = file.get(parse_tick).map(|found| found.copied().flatten());
    problems.reading(subject, moment)
}

/// One number of Unix seconds as text; zero is "never".
fn parse_tick(content: &[u8]) -> Result<Option<Timestamp>, ParseFault> {
    let text = std::str::from_utf8(content).map_err(|_| ParseFault::SOMEWHERE)?;
    let seconds = text.trim().parse::<f64>().map_err(|_| ParseFault::SOMEWHERE)?;
    match Timestamp::from_seconds(seconds) {
        None if seconds != 0.0 => Err(ParseFault::SOMEWHERE),
        moment => Ok(moment),
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample_homes;
    use super::*;
    use crate::exporter::instance::tests::instance_at;
    use crate::exporter::snapshot::cron::{Job, JobState};
    use crate::exporter::snapshot::{Label, Problem};
    use std::path::Path;
    use tempfile::TempDir;

    const NOW: f64 = 1_795_165_255.233391;

    fn home_with(files: &[(&str, &str)]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("cron")).unwrap();
        for (name, content) in files {
            std::fs::write(folder.path().join("cron").join(name), content).unwrap();
        }
        folder
    }

    fn look_at(home: &Path) -> (Cron, Vec<Problem>) {
        let mut problems = Problems::default();
        let now = Timestamp::from_seconds(NOW).unwrap();
        let cron = CronCollector::new(&instance_at(home)).read(now, &mut problems);
        (cron, problems.into_sorted())
    }

    fn problem(reason: Reason, subject: &str) -> Problem {
        Problem { reason, subject: subject.to_owned() }
    }

    fn job<'a>(cron: &'a Cron, label: &str) -> &'a Job {
        &cron.jobs.known().unwrap()[&Label::new(label)]
    }

    #[test]
    fn a_busy_home_is_read_as_hermes_wrote_it() {
        let (_folder, vijay, _) = sample_homes::unpack();
        let (cron, problems) = look_at(&vijay);
        assert_eq!(problems, []);
        let states = |wanted: JobState| cron.jobs.known().unwrap().values().filter(|job| job.state == wanted).count();
        assert_eq!(JobState::ALL.map(states), [5, 1, 0, 1, 0]);
        let overdue: Vec<_> = cron.jobs.known().unwrap().iter().filter(|(_, job)| job.overdue).collect();
        assert_eq!(overdue.len(), 1);
        assert_eq!(overdue[0].0.as_str(), "67a9b05c7dfb", "three hours late, with a grace of two");

        let briefing = job(&cron, "26b563b1e794");
        assert_eq!(briefing.last_run, Timestamp::from_text("2026-11-20T02:01:15.148119Z").into());
        assert_eq!(briefing.next_run, Timestamp::from_text("2026-11-21T02:00:00Z").into());
        assert_eq!(briefing.last_run_success, Reading::Known(true));
        assert_eq!(briefing.last_delivery_success, Reading::Known(true));
        assert!((briefing.last_duration_seconds.known().unwrap() - 40.0).abs() < 1e-3);

        let triage = job(&cron, "1333bc1cfe6c");
        assert_eq!(triage.last_run_success, Reading::Known(true));
        assert_eq!(triage.last_delivery_success, Reading::Known(false));
        assert_eq!(job(&cron, "6977a41b730b").last_run_success, Reading::Known(false));
        assert_eq!(job(&cron, "542861cd55e7").state, JobState::Paused);
        let unplannable = job(&cron, "1570bc621832");
        assert_eq!(unplannable.state, JobState::Error);
        assert_eq!((unplannable.last_run_success, unplannable.next_run), (Reading::Known(true), Reading::Absent));
        let never_ran = job(&cron, "41bc858eb0b4");
        assert_eq!(never_ran.last_run, Reading::Absent);
        assert_eq!((never_ran.last_run_success, never_ran.last_delivery_success), (Reading::Absent, Reading::Absent));
        assert_eq!(never_ran.last_duration_seconds, Reading::Absent);

        let executions = cron.executions.known().unwrap();
        let counts: Vec<_> = executions.iter().map(|(status, count)| (status.as_str(), count)).collect();
        assert_eq!(counts, [("claimed", 0), ("completed", 36), ("failed", 1), ("running", 1), ("unknown", 1)]);
        assert_eq!(cron.ticker_heartbeat, Timestamp::from_seconds(NOW - 25.0).into());
        assert_eq!(cron.ticker_last_success, Timestamp::from_seconds(NOW - 25.0).into());
    }

    #[test]
    fn a_home_whose_gateway_stopped_has_overdue_jobs() {
        let (_folder, _, bheem) = sample_homes::unpack();
        let (cron, problems) = look_at(&bheem);
        assert_eq!(problems, []);
        assert!(cron.jobs.known().unwrap().values().all(|job| job.overdue));
        assert_eq!(job(&cron, "eeca8c285efc").last_run_success, Reading::Known(false));
        let executions = cron.executions.known().unwrap();
        assert_eq!((executions.get("completed"), executions.get("failed"), executions.total()), (3, 1, 4));
        assert_eq!(cron.ticker_heartbeat, Timestamp::from_seconds(NOW - 93_600.0).into());
    }

    #[test]
    fn a_home_without_cron_has_nothing_to_say_and_no_problem() {
        let folder = tempfile::tempdir().unwrap();
        let nothing = Cron {
            jobs: Reading::Absent,
            executions: Reading::Absent,
            ticker_heartbeat: Reading::Absent,
            ticker_last_success: Reading::Absent,
        };
        assert_eq!(look_at(folder.path()), (nothing, vec![]));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_damaged_file_takes_nothing_else_with_it() {
        let (_folder, vijay, _) = sample_homes::unpack();
        let cron_folder = vijay.join("cron");
        let whole = std::fs::read(cron_folder.join("jobs.json")).unwrap();
        std::fs::write(cron_folder.join("jobs.json"), &whole[..whole.len() / 2]).unwrap();
        std::fs::write(cron_folder.join("ticker_heartbeat"), "17951652").unwrap();
        std::fs::write(cron_folder.join("ticker_last_success"), "").unwrap();
        let (cron, problems) = look_at(&vijay);
        assert_eq!(cron.jobs, Reading::Unknown(Reason::Parse));
        assert_eq!(cron.executions.known().unwrap().get("completed"), 36);
        assert!(cron.ticker_heartbeat.known().is_some());
        assert_eq!(cron.ticker_last_success, Reading::Unknown(Reason::Parse));
        assert_eq!(problems, [problem(Reason::Parse, JOBS), problem(Reason::Parse, TICKER_LAST_SUCCESS)]);
    }

    #[test]
    fn without_a_sound_record_of_runs_only_durations_are_unknown() {
        let (_folder, vijay, _) = sample_homes::unpack();
        std::fs::write(vijay.join("cron/executions.db"), "no database at all").unwrap();
        let (cron, problems) = look_at(&vijay);
        assert_eq!(cron.executions, Reading::Unknown(Reason::Parse));
        assert_eq!(problems, [problem(Reason::Parse, EXECUTIONS)]);
        assert_eq!(job(&cron, "26b563b1e794").last_duration_seconds, Reading::Unknown(Reason::Parse));
        assert_eq!(job(&cron, "26b563b1e794").last_run_success, Reading::Known(true));
    }

    #[test]
    fn folders_in_place_of_files_are_unsupported() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["jobs.json", "ticker_heartbeat"] {
            std::fs::create_dir_all(folder.path().join("cron").join(name)).unwrap();
        }
        let (cron, problems) = look_at(folder.path());
        assert_eq!(cron.jobs, Reading::Unknown(Reason::Unsupported));
        assert_eq!(cron.ticker_heartbeat, Reading::Unknown(Reason::Unsupported));
        assert_eq!(problems.len(), 2);
    }

    #[test]
    fn one_bad_entry_is_noted_and_the_others_are_shown() {
        let home = home_with(&[("jobs.json", r#"[{"id": "good"}, "bad", {"name": "no id"}, {"id": "fine"}]"#)]);
        let (cron, problems) = look_at(home.path());
        assert_eq!(cron.jobs.known().unwrap().len(), 2);
        assert_eq!(problems, [problem(Reason::Parse, JOBS)]);
    }

    #[test]
    fn jobs_beyond_the_most_are_left_out_and_that_is_noted() {
        let jobs: Vec<_> = (0..1_001).rev().map(|n| format!(r#"{{"id": "{n:04}"}}"#)).collect();
        let home = home_with(&[("jobs.json", &format!("[{}]", jobs.join(",")))]);
        let (cron, problems) = look_at(home.path());
        let jobs = cron.jobs.known().unwrap();
        assert_eq!((jobs.len(), jobs.contains_key(&Label::new("1000"))), (1_000, false));
        assert_eq!(problems, [problem(Reason::Unsupported, JOBS)]);
    }

    #[test]
    fn time_alone_makes_a_job_overdue() {
        let (_folder, vijay, _) = sample_homes::unpack();
        let mut collector = CronCollector::new(&instance_at(&vijay));
        let mut late = |seconds: f64| {
            let now = Timestamp::from_seconds(NOW + seconds).unwrap();
            let cron = collector.read(now, &mut Problems::default());
            job(&cron, "1333bc1cfe6c").overdue
        };
        // Due 580 s from now, every 30 minutes, so that 15 minutes are granted.
        assert_eq!([0.0, 580.0 + 890.0, 580.0 + 910.0].map(&mut late), [false, false, true]);
    }

    #[test]
    fn a_tick_is_a_number_of_seconds_and_nothing_else() {
        let moment = Timestamp::from_seconds(1_795_165_230.5);
        assert_eq!(parse_tick(b"1795165230.5\n"), Ok(moment));
        assert_eq!(parse_tick(b"0"), Ok(None));
        for garbage in [&b"soon"[..], b"", b"nan", b"-3", b"1e300", b"\xff\xfe"] {
            assert_eq!(parse_tick(garbage), Err(ParseFault::SOMEWHERE), "{garbage:?}");
        }
    }
}
