//! What follows from the time that has passed since a report was written.
//!
//! Moments stay what they were, and their ages are counted by whoever shows them. Here is what a report says as a fact and
//! time alone may have changed: who was alive may have died since, and what was due may have been done.

use std::sync::Arc;

use crate::exporter::snapshot::credentials::{Credentials, Token};
use crate::exporter::snapshot::cron::{Cron, JobState};
use crate::exporter::snapshot::gateway::{Gateway, GatewayState};
use crate::exporter::snapshot::units::Units;
use crate::exporter::snapshot::{Reading, Reason, Snapshot};
use crate::system::time::Timestamp;

/// How late a job may be without being overdue. Hermes allows more to jobs that run seldom, which a report does not tell;
/// but a report that was written after all of that says itself that the job is overdue.
const GRACE_SECONDS: f64 = 120.0;

/// Makes the Snapshot say what it can say at `now`.
pub(super) fn bring_to(snapshot: &mut Snapshot, now: Timestamp) {
    let taken_at = snapshot.taken_at;
    let limit = snapshot.thresholds.gateway_heartbeat_seconds();
    let mut is_gateway_known = true;
    if let Reading::Known(gateway) = &mut snapshot.gateway
        && may_have_changed(gateway, taken_at, now, limit)
    {
        forget(Arc::make_mut(gateway));
        is_gateway_known = false;
    }
    if let Reading::Known(cron) = &mut snapshot.cron {
        // Of a gateway of which nothing is known by now, nobody knows whether it has started its jobs.
        bring_cron_to(cron, if is_gateway_known { now } else { taken_at });
    }
    if let Reading::Known(credentials) = &mut snapshot.credentials {
        bring_credentials_to(credentials, now);
    }
    if let Reading::Known(units) = &mut snapshot.units {
        bring_units_to(units, taken_at, now);
    }
}

/// Whether a gateway that was alive or coming up may not be so any more.
fn may_have_changed(gateway: &Gateway, taken_at: Timestamp, now: Timestamp, limit: f64) -> bool {
    let is_long_ago = |moment: Timestamp| now.seconds_since(moment) > limit;
    match gateway.up {
        // One without a heartbeat of its own was seen when the report was written.
        Reading::Known(true) => is_long_ago(gateway.heartbeat.known().copied().unwrap_or(taken_at)),
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

fn bring_cron_to(cron: &mut Arc<Cron>, now: Timestamp) {
    let is_late = |next_run: &Timestamp| now.seconds_since(*next_run) > GRACE_SECONDS;
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

/// A timer that has been due since the report was written has fired or not: nobody knows.
fn bring_units_to(units: &mut Arc<Units>, taken_at: Timestamp, now: Timestamp) {
    let was_due = |next: &Timestamp| *next >= taken_at && *next <= now;
    let is_of_past = |unit: &crate::exporter::snapshot::units::Unit| {
        unit.timer.known().and_then(|timer| timer.next_trigger.known()).is_some_and(was_due)
    };
    if !units.0.iter().any(is_of_past) {
        return;
    }
    for unit in &mut Arc::make_mut(units).0 {
        if let Reading::Known(timer) = &mut unit.timer
            && timer.next_trigger.known().is_some_and(was_due)
        {
            timer.next_trigger = Reading::Unknown(Reason::Stale);
        }
    }
}
