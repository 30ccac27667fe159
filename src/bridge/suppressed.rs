//! Ends that Alertmanager keeps to itself: of an alert that is silenced, or inhibited, it does not tell that it is over, and
//! neither afterwards. So it is asked for what fires.
//!
//! An end is taken for true when the alert was suppressed before, and is not there on two looks in a row. Prometheus takes
//! a while until it has told an Alertmanager that was just started of everything, so that one is not believed yet; and
//! where it does not answer, or not what it should, nothing changes.

use std::collections::HashMap;
use std::time::Duration;

use super::alertmanager::{AlertmanagerError, Client, Hearing};
use super::card::IncidentId;
use super::config::Alertmanager;
use super::metrics::table::Count;
use super::service::{Service, Stop};
use super::store::{StoreError, suppressed};
use crate::error_chain::display_chain;
use crate::system::time::Timestamp;

/// How often Alertmanager is asked, while anything fires.
const INTERVAL: Duration = Duration::from_secs(60);
/// How long an alert has to be gone.
const GONE_FOR: Duration = Duration::from_secs(30);
/// How long Alertmanager has to run until it is believed.
const SETTLED_AFTER: Duration = Duration::from_secs(600);

/// Looks until the program is to end.
pub async fn run(service: Service, mut stop: Stop) {
    let mut looks = Looks::default();
    let mut was_good = true;
    // An error means that the sender has gone, which is the end as well.
    while tokio::time::timeout(INTERVAL, stop.wait_for(|stop| *stop)).await.is_err() {
        let Some(alertmanager) = service.in_force().config.alertmanager.clone() else {
            looks = Looks::default();
            continue;
        };
        let outcome = looks.look(&service, &alertmanager, Timestamp::now()).await;
        if let (true, Err(error)) = (was_good, &outcome) {
            tracing::warn!(error = %display_chain(error), "whether what is silenced still fires is not known");
        }
        was_good = outcome.is_ok();
    }
}

/// Why nothing is known.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error(transparent)]
    Alertmanager(#[from] AlertmanagerError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What was seen before.
#[derive(Debug, Default)]
struct Looks {
    /// Since when suppressed alerts are gone.
    gone: HashMap<IncidentId, Timestamp>,
}

impl Looks {
    /// Looks once. After a look that failed, the next one is the first again.
    async fn look(&mut self, service: &Service, settings: &Alertmanager, now: Timestamp) -> Result<(), LookError> {
        let before = std::mem::take(&mut self.gone);
        // Read before Alertmanager is asked: it knows what has come from it.
        let firing = service.store.read(|connection| suppressed::firing(connection)).await?;
        if firing.is_empty() {
            return Ok(());
        }
        let client = Client::new(settings)?;
        let alerts = client.alerts().await?;
        let is_settled = client.started().await?.age_at(now) >= SETTLED_AFTER;
        let (mut marked, mut unmarked, mut over) = (Vec::new(), Vec::new(), Vec::new());
        for known in firing {
            match alerts.get(&known.fingerprint) {
                Some(Hearing::Suppressed(by)) if !known.is_suppressed => marked.push((known.incident, by.clone())),
                Some(Hearing::Told) if known.is_suppressed && !known.is_shown => unmarked.push(known.incident),
                None if known.is_suppressed && is_settled => {
                    let since = before.get(&known.incident).copied().unwrap_or(now);
                    if since.age_at(now) >= GONE_FOR {
                        over.push(known.incident);
                    }
                    self.gone.insert(known.incident, since);
                }
                Some(_) | None => {}
            }
        }
        if marked.is_empty() && unmarked.is_empty() && over.is_empty() {
            return Ok(());
        }
        let ended = service.store.write(move |connection| {
            for (incident, by) in &marked {
                suppressed::mark(connection, *incident, by)?;
            }
            for incident in unmarked {
                suppressed::unmark(connection, incident)?;
            }
            let mut ended = Vec::new();
            for incident in over {
                ended.extend(suppressed::end(connection, incident, now, Timestamp::now().later(now))?);
            }
            Ok(ended)
        });
        for (change, count) in ended.await?.iter().flat_map(|accepted| &accepted.changes) {
            service.metrics.count_many(Count::Changes, &[change.as_str()], *count);
            tracing::info!(change = change.as_str(), "an alert is over that Alertmanager tells nobody of");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
