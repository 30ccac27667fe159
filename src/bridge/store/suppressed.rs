//! What is known of alerts of which Alertmanager tells nobody now: of those it does not tell the end either.
//!
//! `incident.silence_id` marks them. It comes with a silence that was made from here, which the card shows while there is
//! `silenced_until`, or from a look into Alertmanager; and goes when another look shows the alert firing and told of.

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
    /// Whether it is marked.
    pub is_suppressed: bool,
    /// Whether a card shows that it is silenced.
    pub is_shown: bool,
}

/// What fires, but for the bridge's own alerts, of which Alertmanager knows nothing.
pub fn firing(connection: &Connection) -> Result<Vec<Firing>, StoreError> {
    let mut find = connection.prepare_cached(
        "SELECT id, fingerprint, silence_id IS NOT NULL, silenced_until IS NOT NULL FROM incident
         WHERE status = 'firing' AND receiver != ?1",
    )?;
    let rows = find.query_map([OWN_RECEIVER], |row| {
        Ok(Firing {
            incident: IncidentId(row.get(0)?),
            fingerprint: row.get(1)?,
            is_suppressed: row.get(2)?,
            is_shown: row.get(3)?,
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Marks an incident, where it is not marked yet.
pub fn mark(connection: &Connection, incident: IncidentId, by: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE incident SET silence_id = ?2 WHERE id = ?1 AND silence_id IS NULL")?
        .execute(params![incident.0, by])?;
    Ok(())
}

/// Takes the mark away, unless a card shows a silence.
pub fn unmark(connection: &Connection, incident: IncidentId) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE incident SET silence_id = NULL WHERE id = ?1 AND silenced_until IS NULL")?
        .execute([incident.0])?;
    Ok(())
}

/// Ends a marked incident, as a notification of its end would. Nothing, where it is not marked any more, is over, or where
/// something was heard of it after `asked`, which is when Alertmanager was asked.
pub fn end(
    connection: &Connection,
    incident: IncidentId,
    asked: Timestamp,
    now: Timestamp,
) -> Result<Option<intake::Accepted>, StoreError> {
    let found = connection
        .prepare_cached(&format!(
            "SELECT {} FROM incident WHERE id = ?1 AND status = 'firing' AND silence_id IS NOT NULL
                 AND last_received <= ?2",
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
