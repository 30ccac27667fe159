//! Buttons in the store: what each does, below which message it stands, and whether it was used. Which a card has, and
//! whether a press of one counts, others say.

use std::time::Duration;

use rusqlite::{Connection, OptionalExtension, params};

use super::{StoreError, milliseconds, moment};
use crate::bridge::card::CardId;
use crate::bridge::telegram::{Destination, MessageId};
use crate::system::time::Timestamp;

/// A button as it is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredButton {
    /// The card that it is for.
    pub card: CardId,
    /// What it does, as whoever offers it writes that.
    pub action: String,
    /// The chat and the message that it is below; `None` until it is known that it was sent.
    pub bound: Option<(i64, MessageId)>,
    /// When it was first offered.
    pub created: Timestamp,
    /// Whether it was used; by whom, where that is known.
    pub used: Option<Option<i64>>,
}

/// The button that is known by a nonce.
pub fn find(connection: &Connection, nonce: &str) -> Result<Option<StoredButton>, StoreError> {
    let mut find = connection
        .prepare_cached("SELECT card, action, chat_id, message, created, used, used_by FROM button WHERE nonce = ?1")?;
    let mut rows = find.query([nonce])?;
    let Some(row) = rows.next()? else {
        return Ok(None);
    };
    Ok(Some(StoredButton {
        card: CardId(row.get(0)?),
        action: row.get(1)?,
        bound: row.get::<_, Option<i64>>(2)?.zip(row.get::<_, Option<i64>>(3)?.map(MessageId)),
        created: moment(row.get(4)?)?,
        used: row.get::<_, Option<i64>>(5)?.map(|_| row.get::<_, Option<i64>>(6)).transpose()?,
    }))
}

/// The nonce of a card's newest button that does this, was not used, and is younger than `age`.
pub fn unused(
    connection: &Connection,
    card: CardId,
    action: &str,
    age: Duration,
    now: Timestamp,
) -> Result<Option<String>, StoreError> {
    let young = milliseconds(now) - age.as_millis() as i64;
    let nonce = connection
        .prepare_cached(
            "SELECT nonce FROM button WHERE card = ?1 AND action = ?2 AND used IS NULL AND created > ?3
             ORDER BY created DESC LIMIT 1",
        )?
        .query_row(params![card.0, action, young], |row| row.get(0))
        .optional()?;
    Ok(nonce)
}

/// Keeps a new button; `at` is the message that it is added to, where that is there already.
pub fn create(
    connection: &Connection,
    nonce: &str,
    card: CardId,
    action: &str,
    at: Option<(Destination, MessageId)>,
    now: Timestamp,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO button (nonce, card, action, chat_id, message, created) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![
            nonce,
            card.0,
            action,
            at.map(|(at, _)| at.chat_id),
            at.map(|(_, message)| message.0),
            milliseconds(now)
        ])?;
    Ok(())
}

/// Binds a card's buttons to the message that they are below. Called in the transaction that notes that it was sent, and
/// again when another message has taken its place.
pub fn bind(connection: &Connection, card: CardId, at: Destination, message: MessageId) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE button SET chat_id = ?2, message = ?3 WHERE card = ?1 AND used IS NULL")?
        .execute(params![card.0, at.chat_id, message.0])?;
    Ok(())
}

/// Notes who has used a button.
pub fn use_up(connection: &Connection, nonce: &str, by: i64, now: Timestamp) -> Result<(), StoreError> {
    connection.prepare_cached("UPDATE button SET used = ?2, used_by = ?3 WHERE nonce = ?1")?.execute(params![
        nonce,
        milliseconds(now),
        by
    ])?;
    Ok(())
}
