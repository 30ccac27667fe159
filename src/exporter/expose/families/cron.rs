//! Cron jobs and their ticker.

use super::{put, put_state, put_tally};
use crate::exporter::expose::family::{Family, gauge};
use crate::exporter::snapshot::cron::{Job, JobState};
use crate::exporter::snapshot::{Reading, Snapshot};

pub(super) static FAMILIES: &[Family] = &[
    gauge("hermes_cron_jobs", &["state"], "Cron jobs by state; error: Hermes could not tell when to run it again")
        .instance(|snapshot, sink| {
            let jobs = snapshot.cron.known().and_then(|cron| cron.jobs.known());
            for state in JobState::ALL.into_iter().filter(|_| jobs.is_some()) {
                let count = jobs.map_or(0, |jobs| jobs.values().filter(|job| job.state == state).count());
                sink.sample(&[state.as_str()], (count as u64).into());
            }
        }),
    gauge(
        "hermes_cron_jobs_overdue",
        &[],
        "Cron jobs whose next run should have begun, by more than the grace that Hermes itself allows",
    )
    .instance(|snapshot, sink| {
        if let Some(jobs) = snapshot.cron.known().and_then(|cron| cron.jobs.known()) {
            sink.sample(&[], (jobs.values().filter(|job| job.overdue).count() as u64).into());
        }
    }),
    gauge("hermes_cron_job_state", &["cron_job", "state"], "1 for the state of the cron job").instance(
        |snapshot, sink| {
            of_jobs(snapshot, |name, job| {
                put_state(sink, &[name], JobState::ALL.into_iter().map(|state| (state.as_str(), state == job.state)));
            });
        },
    ),
    gauge("hermes_cron_job_overdue", &["cron_job"], "1 when the cron job's next run should have begun")
        .instance(|snapshot, sink| of_jobs(snapshot, |name, job| sink.sample(&[name], job.overdue.into()))),
    gauge("hermes_cron_job_last_run_timestamp_seconds", &["cron_job"], "When the cron job last ran")
        .instance(|snapshot, sink| of_jobs(snapshot, |name, job| put(sink, &[name], &job.last_run))),
    gauge("hermes_cron_job_last_run_success", &["cron_job"], "1 when the cron job's last run succeeded")
        .instance(|snapshot, sink| of_jobs(snapshot, |name, job| put(sink, &[name], &job.last_run_success))),
    gauge(
        "hermes_cron_job_last_delivery_success",
        &["cron_job"],
        "1 when what the cron job's last run had to say was delivered",
    )
    .instance(|snapshot, sink| of_jobs(snapshot, |name, job| put(sink, &[name], &job.last_delivery_success))),
    gauge(
        "hermes_cron_job_next_run_timestamp_seconds",
        &["cron_job"],
        "When the cron job runs next; stays in the past for a paused one",
    )
    .instance(|snapshot, sink| of_jobs(snapshot, |name, job| put(sink, &[name], &job.next_run))),
    gauge("hermes_cron_job_last_duration_seconds", &["cron_job"], "How long the cron job's last finished run took")
        .instance(|snapshot, sink| of_jobs(snapshot, |name, job| put(sink, &[name], &job.last_duration_seconds))),
    gauge(
        "hermes_cron_executions",
        &["status"],
        "Recorded runs of cron jobs by status; Hermes keeps the newest thousand",
    )
    .instance(|snapshot, sink| {
        if let Reading::Known(cron) = &snapshot.cron {
            put_tally(sink, &cron.executions);
        }
    }),
    gauge(
        "hermes_cron_ticker_heartbeat_timestamp_seconds",
        &[],
        "When cron's ticker last went round, which it does every minute",
    )
    .instance(|snapshot, sink| {
        if let Reading::Known(cron) = &snapshot.cron {
            put(sink, &[], &cron.ticker_heartbeat);
        }
    }),
    gauge(
        "hermes_cron_ticker_last_success_timestamp_seconds",
        &[],
        "When cron's ticker last went round without an error",
    )
    .instance(|snapshot, sink| {
        if let Reading::Known(cron) = &snapshot.cron {
            put(sink, &[], &cron.ticker_last_success);
        }
    }),
];

fn of_jobs(snapshot: &Snapshot, mut put: impl FnMut(&str, &Job)) {
    if let Reading::Known(cron) = &snapshot.cron {
        for (name, job) in cron.jobs.known().into_iter().flatten() {
            put(name.as_str(), job);
        }
    }
}
