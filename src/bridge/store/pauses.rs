//! Until when nothing is tried in a chat because calls have failed: kept so that `queue list` can show it. It is no
//! promise to anybody: after a restart it is tried at once.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};

use super::{StoreError, milliseconds, moment};
use crate::bridge::config::ChatName;
use crate::system::time::Timestamp;

const PREFIX: &str = "pause ";

/// Notes that nothing is tried in a chat until then.
pub fn begin(connection: &Connection, chat: &ChatName, until: Timestamp) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO fact (name, value) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )?
        .execute(params![format!("{PREFIX}{chat}"), milliseconds(until).to_string()])?;
    Ok(())
}

/// Ends the pause of a chat.
pub fn end(connection: &Connection, chat: &ChatName) -> Result<(), StoreError> {
    connection.prepare_cached("DELETE FROM fact WHERE name = ?1")?.execute([format!("{PREFIX}{chat}")])?;
    Ok(())
}

/// The pauses of all chats, also those that are over.
pub fn list(connection: &Connection) -> Result<BTreeMap<ChatName, Timestamp>, StoreError> {
    let mut find =
        connection.prepare_cached("SELECT substr(name, 7), value FROM fact WHERE substr(name, 1, 6) = 'pause '")?;
    let mut rows = find.query([])?;
    let mut pauses = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let until = row.get::<_, String>(1)?;
        let until = until.parse().map_err(|_| StoreError::Damaged(format!("the moment {until:?}")))?;
        pauses.insert(ChatName::from(row.get::<_, String>(0)?.as_str()), moment(until)?);
    }
    Ok(pauses)
}
