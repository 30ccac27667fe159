//! What the bridge itself has to say to those who look after it, and the requests that it has refused.

use rusqlite::{Connection, params};

use super::{StoreError, cards, facts, milliseconds};
use crate::bridge::card::{Content, Message};
use crate::bridge::config::ChatName;
use crate::system::time::Timestamp;

/// For how long a reason is not given again, in milliseconds.
const QUIET: i64 = 3_600_000;

/// How many refused requests are kept.
const MOST_REFUSALS: i64 = 200;

/// How much of a refused request is kept, in bytes.
pub const LONGEST_HEAD: usize = 2048;

/// Puts a message into a chat, unless one for the same reason was put there (or into another chat) within the hour. Says
/// whether it did.
pub fn tell_once(
    connection: &Connection,
    chat: &ChatName,
    reason: &str,
    message: Message,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let name = format!("notice:{reason}");
    let last = facts::read(connection, &name)?;
    let now_milliseconds = milliseconds(now);
    // One that lies ahead is from before the clock was set back.
    if last.is_some_and(|last| last <= now_milliseconds && now_milliseconds - last < QUIET) {
        return Ok(false);
    }
    facts::keep(connection, &name, now_milliseconds)?;
    cards::create_with(connection, chat, &Content::Message(message), None, now)?;
    Ok(true)
}

/// Keeps the beginning of a request that was refused.
pub fn keep_refusal(connection: &Connection, reason: &str, body: &[u8], now: Timestamp) -> Result<(), StoreError> {
    let mut head = String::from_utf8_lossy(&body[..body.len().min(LONGEST_HEAD)]).into_owned();
    head.truncate(head.floor_char_boundary(LONGEST_HEAD));
    connection.prepare_cached("INSERT INTO refusal (at, reason, head) VALUES (?1, ?2, ?3)")?.execute(params![
        milliseconds(now),
        reason,
        head
    ])?;
    connection
        .prepare_cached("DELETE FROM refusal WHERE id <= (SELECT max(id) FROM refusal) - ?1")?
        .execute([MOST_REFUSALS])?;
    Ok(())
}
