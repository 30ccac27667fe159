//! What is known of the ends of alerts from looks into Alertmanager, because it does not tell of every end.
//!
//! Three columns of `incident` are about that. `silence_id` comes with a silence that was made from here, which the card
//! shows while there is `silenced_until`, or from a look; it goes when another look shows the alert firing without one.
//! `inhibited_by` is what the last look that found the alert has said of it. `in_alertmanager` is set by the first look
//! that finds it, and stays.

use rusqlite::{Connection, OptionalExtension, params};

use super::{StoreError, cards, intake, milliseconds};
use crate::bridge::alert::Status;
use crate::bridge::buttons::OWN_RECEIVER;
use crate::bridge::card::IncidentId;
use crate::system::time::Timestamp;

/// An incident that fires, as far as the store knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firing {
    /// Which.
    pub incident: IncidentId,
    /// What Alertmanager knows its alert by.
    pub fingerprint: String,
    /// Whether it was silenced when it was last found.
    pub is_silenced: bool,
    /// Whether a card shows that it is silenced.
    pub is_shown: bool,
    /// The fingerprint of the alert because of which nobody was told of it when it was last found.
    pub inhibited_by: Option<String>,
    /// Whether a look has found it, at any time.
    pub was_found: bool,
}

/// What fires, but for the bridge's own alerts, of which Alertmanager knows nothing.
pub fn firing(connection: &Connection) -> Result<Vec<Firing>, StoreError> {
    let mut find = connection.prepare_cached(
        "SELECT id, fingerprint, silence_id IS NOT NULL, silenced_until IS NOT NULL, inhibited_by, in_alertmanager
         FROM incident WHERE status = 'firing' AND receiver != ?1",
    )?;
    let rows = find.query_map([OWN_RECEIVER], |row| {
        Ok(Firing {
            incident: IncidentId(row.get(0)?),
            fingerprint: row.get(1)?,
            is_silenced: row.get(2)?,
            is_shown: row.get(3)?,
            inhibited_by: row.get(4)?,
            was_found: row.get(5)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Notes that a look has found an incident, and what keeps Alertmanager from telling of it. The silence that a card shows
/// stays the one that it is.
pub fn found(
    connection: &Connection,
    incident: IncidentId,
    silenced_by: Option<&str>,
    inhibited_by: Option<&str>,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE incident SET in_alertmanager = 1, inhibited_by = ?3, silence_id = CASE
                 WHEN silenced_until IS NOT NULL OR ?2 IS NOT NULL THEN coalesce(silence_id, ?2) END
             WHERE id = ?1",
        )?
        .execute(params![incident.0, silenced_by, inhibited_by])?;
    Ok(())
}

/// Ends an incident, as a notification of its end would. Nothing, where it is over, or where something was heard of it
/// after `asked`, which is when Alertmanager was asked.
pub fn end(
    connection: &Connection,
    incident: IncidentId,
    asked: Timestamp,
    now: Timestamp,
) -> Result<Option<intake::Accepted>, StoreError> {
    let found = connection
        .prepare_cached(&format!(
            "SELECT {} FROM incident WHERE id = ?1 AND status = 'firing' AND last_received <= ?2",
            cards::INCIDENT_COLUMNS
        ))?
        .query_row(params![incident.0, milliseconds(asked)], |row| Ok(cards::incident(row)))
        .optional()?;
    let Some(incident) = found.transpose()? else {
        return Ok(None);
    };
    let mut alert = incident.alert;
    alert.status = Status::Resolved;
    alert.ends_at = Some(now);
    intake::tell(connection, &alert, &incident.receiver, &incident.external_url, &[], now).map(Some)
}
