//! What presses have changed: who has taken an incident, which silence was made for it, and the list of what was pressed.

use rusqlite::{Connection, params};

use super::{StoreError, cards, milliseconds};
use crate::bridge::card::{IncidentId, Silence};
use crate::bridge::telegram::{Destination, MessageId};
use crate::system::time::Timestamp;

/// A press, and what came of it.
#[derive(Debug, Clone, Copy)]
pub struct Pressed<'a> {
    /// The number of who has pressed.
    pub user: i64,
    /// What they are called.
    pub name: &'a str,
    /// Below which message.
    pub at: Option<(Destination, MessageId)>,
    /// What the button does.
    pub action: &'a str,
    /// What came of it.
    pub outcome: &'a str,
}

/// Keeps who has pressed what, and what came of it.
pub fn note(connection: &Connection, pressed: &Pressed<'_>, now: Timestamp) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO press (at, user_id, user_name, chat_id, message, action, outcome)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            milliseconds(now),
            pressed.user,
            pressed.name,
            pressed.at.map(|(at, _)| at.chat_id),
            pressed.at.map(|(_, message)| message.0),
            pressed.action,
            pressed.outcome,
        ])?;
    Ok(())
}

/// Notes who has taken an incident, and has its cards say so.
pub fn acknowledge(connection: &Connection, incident: IncidentId, by: &str, now: Timestamp) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE incident SET acknowledged_by = ?2, acknowledged_at = ?3 WHERE id = ?1")?
        .execute(params![incident.0, by, milliseconds(now)])?;
    cards::touch_incident(connection, incident)
}

/// Notes the silence that was made for an incident, and has its cards say so.
pub fn silence(connection: &Connection, incident: IncidentId, silence: &Silence) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE incident SET silence_id = ?2, silenced_by = ?3, silenced_until = ?4 WHERE id = ?1")?
        .execute(params![incident.0, silence.id, silence.by, milliseconds(silence.until)])?;
    cards::touch_incident(connection, incident)
}

/// Notes that the silence of an incident is over, where it is still the one with this id, and has its cards say so.
pub fn end_silence(connection: &Connection, incident: IncidentId, id: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            // The id stays until it is known that the alert has not ended meanwhile.
            "UPDATE incident SET silenced_by = NULL, silenced_until = NULL WHERE id = ?1 AND silence_id = ?2",
        )?
        .execute(params![incident.0, id])?;
    cards::touch_incident(connection, incident)
}
