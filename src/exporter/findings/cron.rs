//! What is wrong with cron: its ticker and its jobs.

use super::wording::duration;
use super::{Code, Finding, Severity, gateway};
use crate::exporter::snapshot::cron::{Cron, Job, JobState};
use crate::exporter::snapshot::{Label, Reading, Snapshot, Threshold};
use crate::system::time::Timestamp;

/// How long a gateway that comes up may take to catch up with the jobs that were due while it was away.
const CATCHING_UP_SECONDS: f64 = 300.0;

pub(super) fn findings(snapshot: &Snapshot, now: Timestamp) -> Vec<Finding> {
    let Reading::Known(cron) = &snapshot.cron else {
        return Vec::new();
    };
    let mut found = Vec::from_iter(stale_ticker(snapshot, cron, now));
    // Without a gateway, or with a ticker that stands, every job is overdue in the end.
    let is_ticking = found.is_empty() && gateway::is_up(snapshot) != Some(false) && !has_just_come_up(snapshot, now);
    for (name, job) in cron.jobs.known().into_iter().flatten() {
        found.extend(failing(name, job));
        found.extend(undelivered(name, job));
        found.extend(overdue(name, job, now).filter(|_| is_ticking));
    }
    found
}

fn has_just_come_up(snapshot: &Snapshot, now: Timestamp) -> bool {
    let started = snapshot.gateway.known().and_then(|gateway| gateway.start_time.known().copied());
    started.is_some_and(|started| now.seconds_since(started) <= CATCHING_UP_SECONDS)
}

fn stale_ticker(snapshot: &Snapshot, cron: &Cron, now: Timestamp) -> Option<Finding> {
    let limit = snapshot.thresholds.get(Threshold::CronTicker)?;
    let gateway = snapshot.gateway.known().filter(|gateway| gateway.up == Reading::Known(true))?;
    // The gateway of another profile has a ticker for its own jobs alone.
    if matches!(gateway.served_by, Reading::Known(_)) && !has_waiting_jobs(cron) {
        return None;
    }
    // One that has just been started finds the marks that its predecessor left.
    let is_stale = |mark: &Timestamp| {
        let began = gateway.start_time.known().copied().unwrap_or(*mark).later(*mark);
        now.seconds_since(began) > limit
    };
    let stale = |mark: &Reading<Timestamp>| mark.known().copied().filter(is_stale);
    let (last, how) = match (stale(&cron.ticker_heartbeat), stale(&cron.ticker_last_success)) {
        (Some(last), _) => (last, "has not gone round"),
        (None, Some(last)) => (last, "goes round and has failed"),
        (None, None) => return None,
    };
    let sentence = format!("Cron's ticker {how} for {}, and starts no jobs", duration(now.seconds_since(last)));
    Some(Finding::new(Code::CronTickerStale, Severity::Critical, sentence).since(Some(last)))
}

fn has_waiting_jobs(cron: &Cron) -> bool {
    cron.jobs.known().into_iter().flatten().any(|(_, job)| job.state == JobState::Scheduled)
}

fn failing(name: &Label, job: &Job) -> Option<Finding> {
    let sentence = if job.state == JobState::Error {
        format!("The cron job \"{name}\" has an error: Hermes can not tell when to run it again")
    } else {
        format!("The last run of the cron job \"{name}\" failed")
    };
    let finding = Finding::new(Code::CronJobFailing, Severity::Warning, sentence).about(name);
    job.is_failing().then(|| finding.since(job.last_run.known().copied()))
}

fn undelivered(name: &Label, job: &Job) -> Option<Finding> {
    let sentence = format!("What the cron job \"{name}\" last had to say was not delivered");
    let is_failing = job.state != JobState::Paused && job.last_delivery_success == Reading::Known(false);
    let finding = Finding::new(Code::CronDeliveryFailing, Severity::Warning, sentence).about(name);
    is_failing.then(|| finding.since(job.last_run.known().copied()))
}

fn overdue(name: &Label, job: &Job, now: Timestamp) -> Option<Finding> {
    if !job.is_late() {
        return None;
    }
    let due = job.next_run.known().copied();
    let sentence = match due {
        Some(due) => {
            format!("The cron job \"{name}\" should have run {} ago", duration(now.seconds_since(due)))
        }
        None => format!("The cron job \"{name}\" should have run"),
    };
    Some(Finding::new(Code::CronJobOverdue, Severity::Warning, sentence).about(name).since(due))
}
