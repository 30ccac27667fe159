//! Until when nothing is tried in a chat because calls have failed: kept so that `queue list` can show it. It is no
//! promise to anybody: after a restart it is tried at once.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::{StoreError, facts, milliseconds, moment};
use crate::bridge::config::ChatName;
use crate::system::time::Timestamp;

const PREFIX: &str = "pause ";

/// Notes that nothing is tried in a chat until then.
pub fn begin(connection: &Connection, chat: &ChatName, until: Timestamp) -> Result<(), StoreError> {
    facts::keep(connection, &format!("{PREFIX}{chat}"), milliseconds(until))
}

/// Ends all pauses.
pub fn end_all(connection: &Connection) -> Result<(), StoreError> {
    facts::forget_all(connection, PREFIX)
}

/// The pauses of all chats, also those that are over.
pub fn list(connection: &Connection) -> Result<BTreeMap<ChatName, Timestamp>, StoreError> {
    let pauses = facts::list(connection, PREFIX)?.into_iter();
    pauses.map(|(chat, until)| Ok((ChatName::from(chat.as_str()), moment(until)?))).collect()
}
