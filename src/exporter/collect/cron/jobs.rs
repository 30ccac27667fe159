//! `cron/jobs.json`: from what it says of each job to what is so at a given moment.
//!
//! The file is also edited by hand and by older and newer versions of Hermes, so that no field is relied on:
//! one of another type counts as missing. Prompts, error texts and delivery targets are not kept.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde_json::{Map, Value};

use super::schedule::{LEAST_GRACE, Schedule, text};
use crate::exporter::instance::CronJobLabel;
use crate::exporter::snapshot::cron::{Job, JobState};
use crate::exporter::snapshot::{Label, Reading};
use crate::system::files::ParseFault;
use crate::system::time::Timestamp;

/// How long Hermes takes a run that it has claimed for one under way, in seconds; it says so again every minute or so.
const LONGEST_CLAIM: f64 = 1_800.0;

/// The most jobs that are shown.
const MOST_JOBS: usize = 1_000;

/// What the file says.
#[derive(Debug, PartialEq)]
pub(super) struct JobsFile {
    pub(super) jobs: BTreeMap<Label, StoredJob>,
    /// Whether an entry was no job: not an object, without an id, or with the id of one before it.
    pub(super) has_damaged_entries: bool,
    /// Whether there are more than are shown.
    pub(super) has_too_many_jobs: bool,
}

/// What the file says of one job.
#[derive(Debug, PartialEq)]
pub(super) struct StoredJob {
    pub(super) id: String,
    state: JobState,
    schedule: Schedule,
    next_run: Option<Timestamp>,
    /// When the run under way was last said to be. Hermes claims those that run once alone, and leaves their next run where
    /// it was until they are done; of others it moves the next run before it begins.
    claimed: Option<Timestamp>,
    last_run: Option<Timestamp>,
    last_run_success: Reading<bool>,
    last_delivery_success: Reading<bool>,
}

/// Reads the file; a job is called by its id, or by its name where `called` asks for it and no other job has it.
pub(super) fn parse(content: &[u8], called: CronJobLabel) -> Result<JobsFile, ParseFault> {
    // Windows editors put a byte order mark first, and Hermes reads over it.
    let content = content.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(content);
    let document = serde_json::from_slice(content)
        .or_else(|fault| serde_json::from_slice(&mended(content)).map_err(|_| ParseFault::from(fault)))?;
    let entries = match document {
        Value::Array(entries) => entries,
        Value::Object(mut fields) => match fields.remove("jobs") {
            Some(Value::Array(entries)) => entries,
            None => Vec::new(),
            Some(_) => return Err(ParseFault::SOMEWHERE),
        },
        _ => return Err(ParseFault::SOMEWHERE),
    };

    let total = entries.len();
    let mut ids = HashSet::new();
    let mut named = HashMap::new();
    let mut found = Vec::new();
    for entry in &entries {
        let Some((fields, id)) = entry.as_object().and_then(|fields| Some((fields, text(fields, "id")?))) else {
            continue;
        };
        if ids.insert(Label::new(id)) {
            let name = text(fields, "name").map(Label::new);
            if let Some(name) = &name {
                *named.entry(name.clone()).or_insert(0_usize) += 1;
            }
            found.push((name, StoredJob::read(id, fields)));
        }
    }
    let has_damaged_entries = found.len() < total;
    let label = |name: Option<Label>, job: &StoredJob| match (called, name) {
        (CronJobLabel::Name, Some(name)) if named.get(&name) == Some(&1) && !ids.contains(&name) => name,
        _ => Label::new(&job.id),
    };
    let mut jobs: BTreeMap<Label, StoredJob> = found.into_iter().map(|(name, job)| (label(name, &job), job)).collect();
    let has_too_many_jobs = jobs.len() > MOST_JOBS;
    while jobs.len() > MOST_JOBS {
        jobs.pop_last();
    }
    Ok(JobsFile { jobs, has_damaged_entries, has_too_many_jobs })
}

/// The content with what Python's JSON reader lets pass and others do not made harmless: raw control
/// characters in strings, and escaped halves of surrogate pairs.
fn mended(content: &[u8]) -> Vec<u8> {
    let mut mended: Vec<u8> = content.iter().map(|&byte| if byte < b' ' { b' ' } else { byte }).collect();
    let mut at = 0;
    while let Some(escape) = mended.get_mut(at..) {
        at += match escape {
            [] => break,
            [b'\\', b'u', digits @ ..] => {
                if let [b'd' | b'D', b'8'..=b'9' | b'a'..=b'f' | b'A'..=b'F', ..] = digits
                    && let Some(digits) = digits.get_mut(..4)
                {
                    digits.copy_from_slice(b"fffd");
                }
                2
            }
            [b'\\', ..] => 2,
            _ => 1,
        };
    }
    mended
}

impl StoredJob {
    fn read(id: &str, fields: &Map<String, Value>) -> StoredJob {
        let is_enabled = fields.get("enabled").and_then(Value::as_bool).unwrap_or(true);
        let state = match text(fields, "state") {
            None | Some("scheduled") if is_enabled => JobState::Scheduled,
            None | Some("scheduled" | "paused") => JobState::Paused,
            Some("completed") => JobState::Completed,
            Some("error") => JobState::Error,
            Some(_) => JobState::Other,
        };
        let moment = |name: &str| fields.get(name).and_then(Timestamp::from_json);
        let next_run = moment("next_run_at");
        let last_run = moment("last_run_at");
        let last_status = text(fields, "last_status");
        let has_run = last_run.is_some() || last_status.is_some();
        let delivery_failed = last_status == Some("delivery_failed")
            || fields.get("last_delivery_error").is_some_and(|error| !error.is_null());
        let schedule = match fields.get("schedule") {
            Some(Value::Object(schedule)) => Schedule::read(schedule, text(fields, "next_run_at"), next_run),
            _ => Schedule::Other,
        };
        let claim = fields.get("run_claim").filter(|_| schedule == Schedule::Other);
        StoredJob {
            id: id.to_owned(),
            state,
            schedule,
            next_run,
            claimed: claim.and_then(|claim| claim.get("at")).and_then(Timestamp::from_json),
            last_run,
            // A run whose outcome could not be delivered did what it was to do.
            last_run_success: last_status.map(|status| matches!(status, "ok" | "delivery_failed")).into(),
            last_delivery_success: (has_run && delivers(fields)).then_some(!delivery_failed).into(),
        }
    }

    /// The job as it is at `now`.
    pub(super) fn at(&self, now: Timestamp, last_duration_seconds: Reading<f64>) -> Job {
        // Hermes leaves the next run of a halted job where it was, so that it lies ever further in the past.
        let next_run = self.next_run.filter(|_| !matches!(self.state, JobState::Paused | JobState::Completed));
        let lateness = next_run.map(|next_run| now.seconds_since(next_run));
        let is_at_work = self.claimed.is_some_and(|claimed| (0.0..LONGEST_CLAIM).contains(&now.seconds_since(claimed)));
        let overdue = self.state == JobState::Scheduled
            && !is_at_work
            && lateness.is_some_and(|lateness| lateness > LEAST_GRACE && lateness > self.schedule.grace_seconds(now));
        Job {
            state: self.state,
            overdue,
            last_run: self.last_run.into(),
            last_run_success: self.last_run_success,
            last_delivery_success: self.last_delivery_success,
            next_run: next_run.into(),
            last_duration_seconds,
        }
    }
}

/// Whether the job delivers to anybody. Older versions of Hermes stored a list.
fn delivers(job: &Map<String, Value>) -> bool {
    let is_somebody = |target: &str| !matches!(target.trim(), "" | "local");
    match job.get("deliver") {
        Some(Value::String(target)) => is_somebody(target),
        Some(Value::Array(targets)) => targets.iter().filter_map(Value::as_str).any(is_somebody),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: f64 = 1_795_165_255.0;

    fn file(content: &str) -> JobsFile {
        parse(content.as_bytes(), CronJobLabel::Id).unwrap()
    }

    /// The job that `fields` make, as it is now.
    fn job(fields: &str) -> Job {
        let file = file(&format!(r#"[{{"id": "a", {fields}}}]"#));
        file.jobs[&Label::new("a")].at(Timestamp::from_seconds(NOW).unwrap(), Reading::Absent)
    }

    fn labels(content: &str, called: CronJobLabel) -> Vec<String> {
        parse(content.as_bytes(), called).unwrap().jobs.keys().map(Label::to_string).collect()
    }

    #[test]
    fn the_jobs_are_found_in_every_shape_that_hermes_reads() {
        for content in [
            r#"{"jobs": [{"id": "a"}], "updated_at": "2026-11-20T09:00:55+00:00"}"#,
            r#"[{"id": "a"}]"#,
            "\u{feff}{\"jobs\": [{\"id\": \"a\"}]}",
            "{\"jobs\": [{\"id\": \"a\", \"prompt\": \"one\ttwo\nthree \u{1}\"}]}",
            r#"{"jobs": [{"id": "a", "prompt": "half an emoji \ud83d, a whole one \ud83d\ude00, none \\ud83d"}]}"#,
        ] {
            let file = file(content);
            assert_eq!(file.jobs.keys().map(Label::as_str).collect::<Vec<_>>(), ["a"], "{content}");
            assert!(!file.has_damaged_entries, "{content}");
        }
        assert!(file("{}").jobs.is_empty());
    }

    #[test]
    fn what_is_no_list_of_jobs_is_refused() {
        for content in
            ["", "{\"jobs\": [{\"id\": \"a\"", "null", "7", "\"jobs\"", r#"{"jobs": {}}"#, r#"{"jobs": null}"#]
        {
            assert!(parse(content.as_bytes(), CronJobLabel::Id).is_err(), "{content}");
        }
        assert!(parse(b"[{\"id\": \"\xff\"}]", CronJobLabel::Id).is_err());
        let place = parse(b"{\n \"jobs\": oops}", CronJobLabel::Id);
        assert_eq!(place, Err(ParseFault { line: 2, column: 10 }));
    }

    #[test]
    fn entries_without_an_identity_of_their_own_are_left_out() {
        for entry in ["7", "null", "[]", "{}", r#"{"id": 7}"#, r#"{"id": " "}"#, r#"{"id": "a", "name": "again"}"#] {
            let file = file(&format!(r#"[{{"id": "a"}}, {entry}]"#));
            assert_eq!((file.jobs.len(), file.has_damaged_entries), (1, true), "{entry}");
        }
    }

    #[test]
    fn a_state_is_told_as_hermes_tells_it() {
        for (fields, state) in [
            (r#""state": "scheduled", "enabled": true"#, JobState::Scheduled),
            (r#""state": "scheduled""#, JobState::Scheduled),
            (r#""state": "scheduled", "enabled": false"#, JobState::Paused),
            (r#""enabled": true"#, JobState::Scheduled),
            (r#""state": null, "enabled": "yes""#, JobState::Scheduled),
            (r#""state": " ", "enabled": false"#, JobState::Paused),
            (r#""state": "paused", "enabled": false"#, JobState::Paused),
            (r#""state": "completed", "enabled": false"#, JobState::Completed),
            (r#""state": "error", "enabled": true"#, JobState::Error),
            (r#""state": "hibernating""#, JobState::Other),
            (r#""state": ["scheduled"]"#, JobState::Scheduled),
        ] {
            assert_eq!(job(fields).state, state, "{fields}");
        }
    }

    #[test]
    fn only_a_job_that_waits_for_its_time_is_overdue() {
        let next = r#""next_run_at": "2026-11-20T06:00:00+00:00", "schedule": {"kind": "interval", "minutes": 30}"#;
        assert!(job(next).overdue);
        for state in ["paused", "completed", "error", "hibernating"] {
            assert!(!job(&format!(r#"{next}, "state": "{state}""#)).overdue, "{state}");
        }
        assert!(!job(&format!(r#"{next}, "enabled": false"#)).overdue);
        assert_eq!(job(&format!(r#"{next}, "state": "paused""#)).next_run, Reading::Absent);
    }

    #[test]
    fn a_next_run_that_never_was_or_lies_ahead_is_not_overdue() {
        for next in ["null", "0", "\"\"", "\"soon\"", "true", "\"2031-01-01T00:00:00+00:00\"", "99999999999999"] {
            assert!(!job(&format!(r#""next_run_at": {next}"#)).overdue, "{next}");
        }
        assert!(!job(&format!(r#""next_run_at": {}"#, NOW - 119.0)).overdue);
        assert!(job(&format!(r#""next_run_at": {}"#, NOW - 121.0)).overdue);
        assert!(job(&format!(r#""next_run_at": {}, "schedule": "daily""#, NOW - 121.0)).overdue);
    }

    #[test]
    fn a_one_shot_that_is_at_work_is_not_overdue() {
        let claimed = |ago: f64, kind: &str| {
            let at = jiff::Timestamp::from_second((NOW - ago) as i64).unwrap();
            let claim = format!(r#""run_claim": {{"at": "{at}", "by": "host:7"}}"#);
            let schedule = format!(r#""schedule": {{"kind": "{kind}", "minutes": 30}}"#);
            job(&format!(r#""next_run_at": {}, {schedule}, {claim}"#, NOW - 7_200.0)).overdue
        };
        assert!(!claimed(0.0, "once") && !claimed(1_799.0, "once"));
        assert!(claimed(1_800.0, "once"), "whoever was at it is gone");
        assert!(claimed(-60.0, "once"), "the clock was set back");
        assert!(claimed(60.0, "interval"), "Hermes claims no others");
        for claim in ["null", "7", "{}", r#"{"at": "soon"}"#] {
            assert!(job(&format!(r#""next_run_at": {}, "run_claim": {claim}"#, NOW - 7_200.0)).overdue, "{claim}");
        }
    }

    #[test]
    fn the_outcome_of_the_last_run_and_of_its_delivery_are_two_things() {
        let outcome = |fields: &str| {
            let job = job(&format!(r#""last_run_at": "2026-11-20T08:00:00+00:00", "deliver": "telegram", {fields}"#));
            (job.last_run_success, job.last_delivery_success)
        };
        let (yes, no) = (Reading::Known(true), Reading::Known(false));
        assert_eq!(outcome(r#""last_status": "ok", "last_delivery_error": null"#), (yes, yes));
        assert_eq!(outcome(r#""last_status": "ok", "last_delivery_error": "timed out""#), (yes, no));
        assert_eq!(outcome(r#""last_status": "delivery_failed""#), (yes, no));
        assert_eq!(outcome(r#""last_status": "error""#), (no, yes));
        assert_eq!(outcome(r#""last_status": "blocked_config""#), (no, yes));
        assert_eq!(outcome(r#""last_status": "something new""#), (no, yes));
        assert_eq!(outcome(r#""last_status": null"#), (Reading::Absent, yes));
        assert_eq!(outcome(r#""last_status": 1"#), (Reading::Absent, yes));
    }

    #[test]
    fn a_job_that_delivers_to_nobody_or_never_ran_has_no_delivery() {
        let delivery = |fields: &str| job(fields).last_delivery_success;
        let ran = r#""last_status": "ok", "last_delivery_error": "left from before""#;
        for deliver in ["\"local\"", "null", "\"\"", "7", "[]", "[\"local\"]"] {
            assert_eq!(delivery(&format!(r#"{ran}, "deliver": {deliver}"#)), Reading::Absent, "{deliver}");
        }
        assert_eq!(delivery(ran), Reading::Absent);
        assert_eq!(delivery(r#""deliver": "telegram""#), Reading::Absent);
        for deliver in ["\"origin\"", "[\"local\", \"telegram\"]", "\"local,telegram\""] {
            assert_eq!(delivery(&format!(r#"{ran}, "deliver": {deliver}"#)), Reading::Known(false), "{deliver}");
        }
    }

    #[test]
    fn times_are_read_in_every_spelling_and_nonsense_is_none() {
        let moment = Timestamp::from_seconds(1_795_161_600.0);
        for spelling in ["1795161600", "\"2026-11-20T13:30:00+05:30\"", "\"2026-11-20T08:00:00Z\""] {
            assert_eq!(job(&format!(r#""last_run_at": {spelling}"#)).last_run, moment.into(), "{spelling}");
        }
        for nonsense in ["0", "-1", "{}", "\"never\"", "null"] {
            assert_eq!(job(&format!(r#""last_run_at": {nonsense}"#)).last_run, Reading::Absent, "{nonsense}");
        }
    }

    #[test]
    fn a_name_is_a_label_only_where_it_tells_the_jobs_apart() {
        let jobs = r#"[{"id": "1", "name": "Briefing"}, {"id": "2", "name": " "}, {"id": "3"},
                       {"id": "4", "name": "Twin"}, {"id": "5", "name": "Twin"}, {"id": "6", "name": "1"}]"#;
        assert_eq!(labels(jobs, CronJobLabel::Id), ["1", "2", "3", "4", "5", "6"]);
        assert_eq!(labels(jobs, CronJobLabel::Name), ["2", "3", "4", "5", "6", "Briefing"]);
    }

    #[test]
    fn hostile_names_are_cut_and_two_that_are_cut_alike_stay_two_jobs() {
        let long = "x".repeat(5_000);
        let jobs = format!(r#"[{{"id": "1", "name": "{long}1"}}, {{"id": "2", "name": "{long}2"}}]"#);
        assert_eq!(labels(&jobs, CronJobLabel::Name), ["1", "2"]);
        let one = format!(r#"[{{"id": "1", "name": "{long}"}}]"#);
        assert_eq!(labels(&one, CronJobLabel::Name)[0].chars().count(), 100);
    }
}
