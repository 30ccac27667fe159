//! Heartbeats in the store: when each was last heard, and which incident tells of its absence. What an absence is, others
//! say.

use rusqlite::{Connection, params};

use super::{StoreError, milliseconds, moment};
use crate::bridge::alert::Labels;
use crate::bridge::card::IncidentId;
use crate::system::time::Timestamp;

/// A heartbeat as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct Heartbeat {
    /// What it is known by.
    pub fingerprint: String,
    /// The labels of the alert.
    pub labels: Labels,
    /// When it was last heard.
    pub last: Timestamp,
    /// The incident that tells of its absence.
    pub missing: Option<IncidentId>,
}

/// Notes when a heartbeat was last heard, and with which labels.
pub fn hear(connection: &Connection, fingerprint: &str, labels: &Labels, at: Timestamp) -> Result<(), StoreError> {
    let labels = serde_json::to_string(labels)?;
    connection
        .prepare_cached(
            "INSERT INTO heartbeat (fingerprint, labels, last) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET labels = excluded.labels, last = excluded.last",
        )?
        .execute(params![fingerprint, labels, milliseconds(at)])?;
    Ok(())
}

/// The heartbeats that there have been, by fingerprint.
pub fn list(connection: &Connection) -> Result<Vec<Heartbeat>, StoreError> {
    let mut find =
        connection.prepare_cached("SELECT fingerprint, labels, last, missing FROM heartbeat ORDER BY fingerprint")?;
    let mut rows = find.query([])?;
    let mut heartbeats = Vec::new();
    while let Some(row) = rows.next()? {
        heartbeats.push(Heartbeat {
            fingerprint: row.get(0)?,
            labels: serde_json::from_str(&row.get::<_, String>(1)?)?,
            last: moment(row.get(2)?)?,
            missing: row.get::<_, Option<i64>>(3)?.map(IncidentId),
        });
    }
    Ok(heartbeats)
}

/// The clock was set back: what was heard by a time that is yet to come was heard before now, at the latest.
pub fn set_clock_back(connection: &Connection, now: Timestamp) -> Result<(), StoreError> {
    connection.prepare_cached("UPDATE heartbeat SET last = ?1 WHERE last > ?1")?.execute([milliseconds(now)])?;
    Ok(())
}

/// Notes that the newest incident with the fingerprint `told_as` tells of the absence of a heartbeat.
pub fn miss(connection: &Connection, fingerprint: &str, told_as: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE heartbeat SET missing = (SELECT max(id) FROM incident WHERE fingerprint = ?2) WHERE fingerprint = ?1",
        )?
        .execute(params![fingerprint, told_as])?;
    Ok(())
}

/// Notes that the absence of a heartbeat is over.
pub fn regain(connection: &Connection, fingerprint: &str) -> Result<(), StoreError> {
    connection.prepare_cached("UPDATE heartbeat SET missing = NULL WHERE fingerprint = ?1")?.execute([fingerprint])?;
    Ok(())
}

/// Waits for a heartbeat no more.
pub fn forget(connection: &Connection, fingerprint: &str) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM heartbeat WHERE fingerprint = ?1")?.execute([fingerprint])?;
    Ok(())
}
