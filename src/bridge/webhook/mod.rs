//! Reading what Alertmanager posts, version 4 of its payload, as 0.25 to 0.34 write it.
//!
//! * [`refusal`]: what else arrives here, and what is said about it.
//!
//! Fields that newer versions have added may be missing, unknown ones are ignored, and `null` is as good as nothing. What
//! can be made sense of is accepted: a request that is refused is one that Alertmanager does not send again.

mod fields;
mod fingerprint;
pub mod refusal;

#[cfg(test)]
mod tests;

pub use fingerprint::fingerprint;
pub use refusal::Refusal;

use super::alert::{Alert, Notification, Status};
use crate::system::time::Timestamp;
use fields::{Payload, PayloadAlert};

/// The version of the payload that this is.
const VERSION: &str = "4";

/// Reads the body of a request that came at `now`. `sender` is what it says that it comes from, in `User-Agent`; it only
/// decides what is said about a body that is refused.
pub fn read(body: &[u8], sender: &str, now: Timestamp) -> Result<Notification, Refusal> {
    let payload: Payload = serde_json::from_slice(body).map_err(|error| refusal::of(body, sender, &error))?;
    match payload.version.as_deref() {
        Some(VERSION) => {}
        Some(version) => return Err(Refusal::Version { found: version.chars().take(40).collect() }),
        None => return Err(refusal::of_stranger(sender)),
    }
    Ok(Notification {
        receiver: payload.receiver.unwrap_or_default(),
        group_key: payload.group_key.unwrap_or_default(),
        route_labels: payload.route_labels.unwrap_or_default().into(),
        external_url: payload.external_url.unwrap_or_default(),
        reason: payload.notification_reason.filter(|reason| !reason.is_empty()),
        truncated_alerts: payload.truncated_alerts.and_then(|number| number.as_u64()).unwrap_or(0),
        alerts: payload.alerts.unwrap_or_default().into_iter().flatten().map(|alert| read_alert(alert, now)).collect(),
    })
}

fn read_alert(alert: PayloadAlert, now: Timestamp) -> Alert {
    let labels = alert.labels.unwrap_or_default().into();
    let starts_at = alert.starts_at.and_then(|text| Timestamp::from_text(&text));
    // The year 1 stands for "not yet", which no Timestamp can be.
    let ends_at = alert.ends_at.and_then(|text| Timestamp::from_text(&text));
    let status = match alert.status.as_deref() {
        Some("firing") => Status::Firing,
        Some("resolved") => Status::Resolved,
        _ if ends_at.is_some_and(|ends_at| ends_at.seconds() <= now.seconds()) => Status::Resolved,
        _ => Status::Firing,
    };
    let starts_at = starts_at.unwrap_or(UNKNOWN_START);
    Alert {
        fingerprint: alert.fingerprint.filter(|known| !known.is_empty()).unwrap_or_else(|| fingerprint(&labels)),
        status,
        starts_at,
        ends_at: match status {
            Status::Firing => None,
            Status::Resolved => Some(ends_at.unwrap_or(now).later(starts_at)),
        },
        labels,
        annotations: alert.annotations.unwrap_or_default().into(),
        generator_url: alert.generator_url.unwrap_or_default(),
    }
}

/// The start of an alert that does not say when it began, or says something that is no time. Where it is stored, the start
/// that is known of it by then takes its place.
pub const UNKNOWN_START: Timestamp = Timestamp::EARLIEST;
