//! Incidents in the store, read for those who ask for one or for what fires. On their cards [`super::cards`] reads them.

use rusqlite::{Connection, OptionalExtension};

use super::StoreError;
use super::cards::{INCIDENT_COLUMNS, incident};
use crate::bridge::card::{Incident, IncidentId};
use crate::bridge::config::ChatName;

/// An incident, where there still is one of this number.
pub fn load(connection: &Connection, id: IncidentId) -> Result<Option<Incident>, StoreError> {
    let mut find = connection.prepare_cached(&format!("SELECT {INCIDENT_COLUMNS} FROM incident WHERE id = ?1"))?;
    find.query_row([id.0], |row| Ok(incident(row))).optional()?.transpose()
}

/// What fires of that which is told in these chats, each once.
pub fn firing_in(connection: &Connection, chats: &[ChatName]) -> Result<Vec<Incident>, StoreError> {
    let mut firing: Vec<Incident> = Vec::new();
    let mut find = connection.prepare_cached(&format!(
        "SELECT DISTINCT {INCIDENT_COLUMNS} FROM card JOIN card_incident ON card = card.id
             JOIN incident ON incident.id = incident
         WHERE chat = ?1 AND incident.status = 'firing'"
    ))?;
    for chat in chats {
        let mut rows = find.query([chat.as_str()])?;
        while let Some(row) = rows.next()? {
            let incident = incident(row)?;
            if !firing.iter().any(|other| other.id == incident.id) {
                firing.push(incident);
            }
        }
    }
    Ok(firing)
}

/// How many fire, whichever chats they are told in.
pub fn count_firing(connection: &Connection) -> Result<i64, StoreError> {
    Ok(connection.query_row("SELECT count(*) FROM incident WHERE status = 'firing'", [], |row| row.get(0))?)
}
