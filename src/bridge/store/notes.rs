//! Notes of scripts in the store: finding the card that one has made already, and giving it other content.

use rusqlite::{Connection, OptionalExtension, params};

use super::{StoreError, cards};
use crate::bridge::card::{CardId, Content};
use crate::bridge::config::ChatName;

/// The newest card with this key that was made for a chat, wherever it was brought to.
pub fn find(connection: &Connection, chat: &ChatName, key: &str) -> Result<Option<CardId>, StoreError> {
    let found = connection
        .prepare_cached(
            "SELECT id FROM card WHERE key = ?2 AND (chat = ?1 OR diverted_from = ?1) ORDER BY id DESC LIMIT 1",
        )?
        .query_row(params![chat.as_str(), key], |row| row.get(0).map(CardId))
        .optional()?;
    Ok(found)
}

/// The newest progress that was made for a chat and whose key begins like this, and its key.
pub fn last_progress(
    connection: &Connection,
    chat: &ChatName,
    beginning: &str,
) -> Result<Option<(CardId, String)>, StoreError> {
    let found = connection
        .prepare_cached(
            "SELECT id, key FROM card WHERE kind = 'progress' AND (chat = ?1 OR diverted_from = ?1)
                 AND substr(key, 1, length(?2)) = ?2 ORDER BY id DESC LIMIT 1",
        )?
        .query_row(params![chat.as_str(), beginning], |row| Ok((CardId(row.get(0)?), row.get(1)?)))
        .optional()?;
    Ok(found)
}

/// Gives a card other content, where it is another one.
pub fn replace(connection: &Connection, card: CardId, content: &Content) -> Result<(), StoreError> {
    let json = match content {
        Content::Message(message) => serde_json::to_string(message),
        Content::Progress(progress) => serde_json::to_string(progress),
        Content::Incidents(_) => return Ok(()),
    };
    let json = json?;
    let changed = connection
        .prepare_cached("UPDATE card SET content = ?2 WHERE id = ?1 AND content IS NOT ?2")?
        .execute(params![card.0, json])?;
    if changed > 0 { cards::touch(connection, card) } else { Ok(()) }
}
