//! What time alone changes, and what is deleted when it is old enough. Never anything that is still to be told.
//!
//! Each of these does a limited amount and says how much it was, so that nobody waits long for the writer.

use std::time::Duration;

use rusqlite::{Connection, params};

use super::{StoreError, cards, intake, milliseconds};
use crate::bridge::card::IncidentId;
use crate::system::time::Timestamp;

/// How much one sweep does.
pub const MOST: usize = 200;

fn before(now: Timestamp, age: Duration) -> i64 {
    milliseconds(now).saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX))
}

fn incidents(connection: &Connection, query: &str, bound: i64) -> Result<Vec<IncidentId>, StoreError> {
    let mut find = connection.prepare_cached(query)?;
    let found = find.query_map(params![bound, MOST as i64], |row| row.get(0).map(IncidentId))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// Takes what fired after it was over, and was not resolved again for as long as `patience`, for something new. Gives how
/// many were reopened, and how many were looked at.
pub fn reopen_late_firings(
    connection: &Connection,
    patience: Duration,
    now: Timestamp,
) -> Result<(u64, usize), StoreError> {
    let due = incidents(
        connection,
        "SELECT id FROM incident WHERE fired_late <= ?1 ORDER BY fired_late LIMIT ?2",
        before(now, patience),
    )?;
    let mut reopened = 0;
    for incident in &due {
        let accepted = intake::reopen(connection, *incident, now)?;
        reopened += accepted.changes.get(&intake::Change::Reopened).copied().unwrap_or(0);
    }
    Ok((reopened, due.len()))
}

/// Forgets silences that are over, and has the cards say so. The id stays with what fires, because its end may have come
/// while it was silenced; see [`ends`](super::ends).
pub fn clear_expired_silences(connection: &Connection, now: Timestamp) -> Result<usize, StoreError> {
    let due = incidents(
        connection,
        "SELECT id FROM incident WHERE silenced_until <= ?1 ORDER BY silenced_until LIMIT ?2",
        milliseconds(now),
    )?;
    for incident in &due {
        connection
            .prepare_cached(
                "UPDATE incident SET silence_id = CASE status WHEN 'firing' THEN silence_id END, silenced_by = NULL,
                     silenced_until = NULL WHERE id = ?1",
            )?
            .execute([incident.0])?;
        cards::touch_incident(connection, *incident)?;
    }
    Ok(due.len())
}

/// What is kept for a while, and goes in this order: an incident only after the cards that tell of it.
const OLD: &[(&str, &str)] = &[
    (
        "card",
        "SELECT id FROM card WHERE kind = 'incidents' AND urgency IS NULL AND in_flight IS NULL AND created < ?1
             AND NOT EXISTS (
                 SELECT 1 FROM card_incident JOIN incident ON incident.id = incident
                 WHERE card = card.id
                     AND (status = 'firing' OR fired_late IS NOT NULL OR last_received >= ?1 OR silenced_until IS NOT NULL))
         LIMIT ?2",
    ),
    (
        "card",
        "SELECT id FROM card WHERE kind != 'incidents' AND urgency IS NULL AND in_flight IS NULL AND created < ?1
             AND coalesce(sent_at, 0) < ?1 LIMIT ?2",
    ),
    // One that fires and that nobody is told of may go as well: where every chat mutes it, its end may never come.
    (
        "incident",
        "SELECT id FROM incident WHERE last_received < ?1 AND fired_late IS NULL
             AND NOT EXISTS (SELECT 1 FROM card_incident WHERE incident = incident.id)
             AND NOT EXISTS (SELECT 1 FROM heartbeat WHERE missing = incident.id) LIMIT ?2",
    ),
    ("refusal", "SELECT id FROM refusal WHERE at < ?1 LIMIT ?2"),
    ("press", "SELECT id FROM press WHERE at < ?1 LIMIT ?2"),
    ("button", "SELECT nonce FROM button WHERE used < ?1 LIMIT ?2"),
];

/// Deletes what is over, told, and older than `retention`. Gives how much it was; there may be more where it is not 0.
pub fn delete_old(connection: &Connection, retention: Duration, now: Timestamp) -> Result<usize, StoreError> {
    let mut deleted = 0;
    for (table, old) in OLD {
        deleted += connection
            .prepare_cached(&format!(
                "DELETE FROM {table} WHERE {} IN ({old})",
                if *table == "button" { "nonce" } else { "id" }
            ))?
            .execute(params![before(now, retention), MOST as i64])?;
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests;
