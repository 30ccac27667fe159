//! What moves all the time in a store, by a few row look-ups: cheap however large the store is.

use std::collections::HashMap;
use std::ops::ControlFlow;

use rusqlite::Error;

use crate::system::sqlite::{Transaction, number, text};
use crate::system::time::Timestamp;

/// How many of the newest rows are looked at for sessions in progress.
const NEWEST_MESSAGES: u32 = 200;

/// How many of the newest sessions are looked at besides: a compaction inserts rows of long ago, which can
/// push those of a session in progress out of sight.
const NEWEST_SESSIONS: u32 = 50;

/// What moves all the time.
#[derive(Debug)]
pub(super) struct Pulse {
    pub(super) schema_version: Option<u64>,
    /// Messages ever inserted, from SQLite's own sequence, which survives deletions.
    pub(super) messages_ever: Option<u64>,
    /// The newest message of the recent sessions.
    pub(super) last_message: Option<Timestamp>,
    /// The last messages of the sessions that may be active: open, not archived, not a delegated child.
    pub(super) active: Vec<Timestamp>,
}

/// Reads the pulse; sessions without a message after `since` (Unix seconds) are not active.
pub(super) fn read(transaction: &Transaction<'_>, since: f64) -> Result<Pulse, Error> {
    let unsigned =
        |row: &rusqlite::Row<'_>| Ok(number(row, 0)?.filter(|value| *value >= 0.0).map(|value| value as u64));
    let schema_version = if transaction.columns("schema_version")?.contains("version") {
        transaction.row("SELECT version FROM schema_version LIMIT 1", [], unsigned)?.flatten()
    } else {
        None
    };
    let sequence = "SELECT seq FROM sqlite_sequence WHERE name = 'messages'";
    let messages_ever = if transaction.columns("sqlite_sequence")?.contains("seq") {
        // The sequence gets its row with the first message.
        Some(transaction.row(sequence, [], unsigned)?.flatten().unwrap_or(0))
    } else {
        None
    };
    let sessions = recent_sessions(transaction)?;
    let last_message = sessions.values().copied().max_by(f64::total_cmp).and_then(Timestamp::from_seconds);
    let active = active(transaction, sessions, since)?;
    Ok(Pulse { schema_version, messages_ever, last_message, active })
}

/// The sessions that may be in progress, with the time of the last message of each.
fn recent_sessions(transaction: &Transaction<'_>) -> Result<HashMap<String, f64>, Error> {
    let by_message = format!(
        "SELECT DISTINCT session_id FROM (SELECT session_id FROM messages ORDER BY id DESC LIMIT {NEWEST_MESSAGES})"
    );
    let by_start = format!("SELECT id FROM sessions ORDER BY started_at DESC LIMIT {NEWEST_SESSIONS}");
    let mut sessions = HashMap::new();
    for sql in [by_message, by_start] {
        let _ = transaction.rows(&sql, [], |row| {
            sessions.extend(text(row, 0)?.map(|session| (session.to_owned(), 0.0)));
            Ok(ControlFlow::Continue(()))
        })?;
    }
    let last = "SELECT max(timestamp) FROM messages WHERE session_id = ?1";
    for (session, at) in &mut sessions {
        *at = transaction.row(last, [session], |row| number(row, 0))?.flatten().unwrap_or(0.0);
    }
    Ok(sessions)
}

fn active(
    transaction: &Transaction<'_>,
    mut sessions: HashMap<String, f64>,
    since: f64,
) -> Result<Vec<Timestamp>, Error> {
    sessions.retain(|_, last| *last >= since);
    if sessions.is_empty() {
        return Ok(Vec::new());
    }
    let columns = transaction.columns("sessions")?;
    let mut conditions = vec!["id = ?1", "ended_at IS NULL"];
    if columns.contains("archived") {
        conditions.push("archived = 0");
    }
    if columns.contains("model_config") {
        // A subagent's session names the one that it was delegated from.
        conditions
            .push("CASE WHEN json_valid(model_config) THEN json_extract(model_config, '$._delegate_from') END IS NULL");
    }
    let is_active = format!("SELECT 1 FROM sessions WHERE {}", conditions.join(" AND "));
    let mut active = Vec::new();
    for (session, at) in sessions {
        if transaction.row(&is_active, [session], |_| Ok(()))?.is_some() {
            active.extend(Timestamp::from_seconds(at));
        }
    }
    Ok(active)
}
