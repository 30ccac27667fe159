//! What follows from the time that has passed since a report was written.
//!
//! Moments stay what they were, those at which something was to happen among them, and their ages are counted by whoever
//! shows them. Here is what a report says as a fact and time alone may have changed: who was alive may have died since, and
//! what was due may be late by now.

use std::sync::Arc;

use crate::exporter::snapshot::credentials::{Credentials, Token};
use crate::exporter::snapshot::cron::{Cron, JobState};
use crate::exporter::snapshot::gateway::{Gateway, GatewayState};
use crate::exporter::snapshot::{Reading, Reason, Snapshot};
use crate::system::time::Timestamp;

/// How late a job may be without being overdue. Hermes allows more to jobs that run seldom or are at work, which a report
/// does not tell, but for one that was later than this already and not overdue.
const GRACE_SECONDS: f64 = 120.0;

/// Makes the Snapshot say what it can say at `now`.
pub(super) fn bring_to(snapshot: &mut Snapshot, now: Timestamp) {
    let taken_at = snapshot.taken_at;
    let limit = snapshot.thresholds.gateway_heartbeat_seconds();
    if let Reading::Known(gateway) = &mut snapshot.gateway
        && may_have_changed(gateway, taken_at, now, limit)
    {
        forget(Arc::make_mut(gateway));
    }
    // So long ago that nobody knows whether the gateway is alive, nobody knows either whether it has started its jobs.
    let is_up = snapshot.gateway.known().is_some_and(|gateway| gateway.up == Reading::Known(true));
    if let Reading::Known(cron) = &mut snapshot.cron
        && is_up
    {
        bring_cron_to(cron, taken_at, now);
    }
    if let Reading::Known(credentials) = &mut snapshot.credentials {
        bring_credentials_to(credentials, now);
    }
}

/// Whether a gateway that was alive or coming up may not be so any more.
fn may_have_changed(gateway: &Gateway, taken_at: Timestamp, now: Timestamp, limit: f64) -> bool {
    let is_long_ago = |moment: Timestamp| now.seconds_since(moment) > limit;
    match gateway.up {
        // One without a heartbeat of its own, or with one that is yet to come, was seen when the report was written.
        Reading::Known(true) => {
            let seen = gateway.heartbeat.known().filter(|beat| **beat <= taken_at);
            is_long_ago(seen.copied().unwrap_or(taken_at))
        }
        // It has come up since, or it has failed to.
        Reading::Known(false) => {
            gateway.state == Reading::Known(GatewayState::Starting)
                && is_long_ago(gateway.start_time.known().copied().unwrap_or(taken_at))
        }
        Reading::Absent | Reading::Unknown(_) => false,
    }
}

/// Leaves of a gateway what is history.
fn forget(gateway: &mut Gateway) {
    gateway.up = Reading::Unknown(Reason::Stale);
    gateway.state = Reading::Unknown(Reason::Stale);
    gateway.active_agents = Reading::Unknown(Reason::Stale);
    gateway.platforms = Reading::Unknown(Reason::Stale);
    gateway.process = Reading::Unknown(Reason::Stale);
}

fn bring_cron_to(cron: &mut Arc<Cron>, taken_at: Timestamp, now: Timestamp) {
    let is_late = |next_run: &Timestamp| {
        // What was not due yet may have been done since.
        (0.0..=GRACE_SECONDS).contains(&taken_at.seconds_since(*next_run))
            && now.seconds_since(*next_run) > GRACE_SECONDS
    };
    let Reading::Known(jobs) = &cron.jobs else { return };
    let is_overdue = |job: &crate::exporter::snapshot::cron::Job| {
        !job.overdue && job.state == JobState::Scheduled && job.next_run.known().is_some_and(is_late)
    };
    if !jobs.values().any(is_overdue) {
        return;
    }
    if let Reading::Known(jobs) = &mut Arc::make_mut(cron).jobs {
        for job in jobs.values_mut() {
            job.overdue |= is_overdue(job);
        }
    }
}

fn bring_credentials_to(credentials: &mut Arc<Credentials>, now: Timestamp) {
    // One that can be refreshed is renewed when it is used.
    let has_expired = |token: &Token| {
        token.valid == Reading::Known(true)
            && matches!(token.refreshable, Reading::Known(false))
            && token.expiry.known().is_some_and(|expiry| *expiry <= now)
    };
    if !credentials.tokens.values().any(has_expired) {
        return;
    }
    for token in Arc::make_mut(credentials).tokens.values_mut() {
        if has_expired(token) {
            token.valid = Reading::Known(false);
        }
    }
}
