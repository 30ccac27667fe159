//! Ends of alerts that Alertmanager does not tell of. So it is asked for what fires, and what fires here and is not there
//! any more is over; when, that depends on why nobody may have been told:
//!
//! * Of an alert that is silenced it does not tell that it is over, and neither afterwards. One that was silenced is over
//!   when it is gone on two looks in a row.
//! * Nor does it where another alert inhibits it. But the other one often says that nothing can be seen, as that the
//!   exporter is down, and then an alert also goes because nobody knows any more. So what was inhibited is not over while
//!   the other one is there; afterwards Prometheus first gets the time that it needs to let it fire again.
//! * And it may lose an end for good: killed before it has written down whom it has told of what, or started again
//!   together with Prometheus. What was there before is over when it is gone for longer than an end takes to be told. What
//!   was never there has come in another way, from another Alertmanager or from somebody's hand, and is left alone.
//!
//! Prometheus takes a while until it has told an Alertmanager that was just started of everything, so that one is not
//! believed yet. One that has no alert at all may have no Prometheus any more, so it only counts for what is silenced.
//! Where it does not answer, or not what it should, nothing changes.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::alertmanager::{AlertmanagerError, Client, Hearing};
use super::card::IncidentId;
use super::config::Alertmanager;
use super::metrics::table::Count;
use super::service::{Service, Stop};
use super::store::StoreError;
use super::store::ends::{self, Firing};
use crate::error_chain::display_chain;
use crate::system::time::Timestamp;

/// How often Alertmanager is asked, while anything fires.
const INTERVAL: Duration = Duration::from_secs(60);
/// How long an alert has to be gone that was silenced: until the second look.
const SILENCED_GONE_FOR: Duration = Duration::from_secs(30);
/// How long one has to be gone that was inhibited, once the alert is gone that did so: the longest `for` of a rule about an
/// instance is 5 minutes, and it is scraped, evaluated and sent to Alertmanager in not much more than one.
const INHIBITED_GONE_FOR: Duration = Duration::from_secs(600);
/// How long one has to be gone of which an end should have come: Alertmanager tells it within its `group_interval`, a
/// minute as shipped, and 5 minutes where nothing is said.
const LOST_GONE_FOR: Duration = Duration::from_secs(300);
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
            tracing::warn!(error = %display_chain(error), "whether what fires here still does is not known");
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
    /// Since when alerts are gone whose end is not known.
    gone: HashMap<IncidentId, Timestamp>,
}

impl Looks {
    /// Looks once. After a look that failed, the next one is the first again.
    async fn look(&mut self, service: &Service, settings: &Alertmanager, now: Timestamp) -> Result<(), LookError> {
        let before = std::mem::take(&mut self.gone);
        // Read before Alertmanager is asked: it knows what has come from it.
        let firing = service.store.read(|connection| ends::firing(connection)).await?;
        if firing.is_empty() {
            return Ok(());
        }
        let client = Client::new(settings)?;
        let alerts = client.alerts().await?;
        let is_settled = client.started().await?.age_at(now) >= SETTLED_AFTER;
        let in_force = in_force(&firing, &alerts);
        let (mut found, mut over) = (Vec::new(), Vec::new());
        for known in &firing {
            if let Some(hearing) = alerts.get(&known.fingerprint) {
                if is_news(known, hearing) {
                    found.push((known.incident, hearing.clone()));
                }
                continue;
            }
            let is_held = known.inhibited_by.as_deref().is_some_and(|other| in_force.contains(other));
            let Some(patience) = patience(known, !alerts.is_empty()).filter(|_| is_settled && !is_held) else {
                continue;
            };
            let since = before.get(&known.incident).copied().unwrap_or(now);
            if since.age_at(now) >= patience {
                over.push(known.incident);
            }
            self.gone.insert(known.incident, since);
        }
        if found.is_empty() && over.is_empty() {
            return Ok(());
        }
        let ended = service.store.write(move |connection| {
            for (incident, Hearing { silenced_by, inhibited_by }) in &found {
                ends::found(connection, *incident, silenced_by.as_deref(), inhibited_by.as_deref())?;
            }
            let mut ended = Vec::new();
            for incident in over {
                ended.extend(ends::end(connection, incident, now, Timestamp::now().later(now))?);
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

/// Whether the store does not know this of it yet.
fn is_news(known: &Firing, hearing: &Hearing) -> bool {
    let is_silenced = hearing.silenced_by.is_some();
    !known.was_found
        || known.inhibited_by != hearing.inhibited_by
        || (is_silenced && !known.is_silenced)
        || (!is_silenced && known.is_silenced && !known.is_shown)
}

/// How long an alert has to be gone until it is over; none where that says nothing. `has_alerts` is whether Alertmanager
/// has any.
fn patience(known: &Firing, has_alerts: bool) -> Option<Duration> {
    match known {
        Firing { inhibited_by: Some(_), .. } => has_alerts.then_some(INHIBITED_GONE_FOR),
        Firing { is_silenced: true, .. } => Some(SILENCED_GONE_FOR),
        Firing { was_found: true, .. } => has_alerts.then_some(LOST_GONE_FOR),
        _ => None,
    }
}

/// The fingerprints of alerts that keep others back: those in Alertmanager, and those that are gone from there while one
/// of these keeps them back. That a gateway is down is not known any more when the exporter is, and what it has kept back
/// is no more over than before.
fn in_force<'a>(firing: &'a [Firing], alerts: &'a HashMap<String, Hearing>) -> HashSet<&'a str> {
    let mut in_force: HashSet<&str> = alerts.keys().map(String::as_str).collect();
    loop {
        let held = firing.iter().filter(|known| {
            !in_force.contains(known.fingerprint.as_str())
                && known.inhibited_by.as_deref().is_some_and(|other| in_force.contains(other))
        });
        let held: Vec<&str> = held.map(|known| known.fingerprint.as_str()).collect();
        if held.is_empty() {
            return in_force;
        }
        in_force.extend(held);
    }
}

#[cfg(test)]
mod tests;
