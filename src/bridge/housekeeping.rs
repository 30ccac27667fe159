//! What time alone changes: late firings that were none, silences that are over, and what is old enough to be deleted.

use std::time::Duration;

use super::metrics::table::Count;
use super::service::{Service, Stop};
use super::store::intake::Change;
use super::store::{StoreError, sweeps};
use crate::error_chain::display_chain;
use crate::system::time::Timestamp;

/// How often what is due is looked for.
const INTERVAL: Duration = Duration::from_secs(10);

/// Every how many of these what is old is looked for: each hour.
const INTERVALS_PER_CLEANING: u64 = 360;

/// Keeps house until the program is to end.
pub async fn run(service: Service, mut stop: Stop) {
    let mut interval = tokio::time::interval(INTERVAL);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut count: u64 = 0;
    loop {
        tokio::select! {
            // Without anybody to say that it is to end it ends, too.
            _ = stop.wait_for(|stop| *stop) => return,
            _ = interval.tick() => {}
        }
        if let Err(error) = sweep(&service).await {
            tracing::warn!("what is due could not be done: {}", display_chain(&error));
        }
        if count.is_multiple_of(INTERVALS_PER_CLEANING)
            && let Err(error) = clean(&service).await
        {
            tracing::warn!("what is old could not be deleted: {}", display_chain(&error));
        }
        count += 1;
    }
}

/// Does what is due.
pub async fn sweep(service: &Service) -> Result<(), StoreError> {
    let late_firing = service.in_force().config.late_firing;
    loop {
        let now = Timestamp::now();
        let (reopened, late) =
            service.store.write(move |connection| sweeps::reopen_late_firings(connection, late_firing, now)).await?;
        service.metrics.count_many(Count::Changes, &[Change::Reopened.as_str()], reopened);
        let silences = service.store.write(move |connection| sweeps::clear_expired_silences(connection, now)).await?;
        if late.max(silences) < sweeps::MOST {
            return Ok(());
        }
    }
}

/// Deletes what is old, a little at a time, so that alerts that arrive meanwhile do not wait.
pub async fn clean(service: &Service) -> Result<(), StoreError> {
    let retention = service.in_force().config.retention;
    let now = Timestamp::now();
    let mut deleted = 0;
    loop {
        let more = service.store.write(move |connection| sweeps::delete_old(connection, retention, now)).await?;
        deleted += more;
        if more == 0 {
            break;
        }
    }
    if deleted > 0 {
        tracing::info!(deleted, "deleted what was older than the retention");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
