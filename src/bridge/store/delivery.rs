//! What has come of bringing cards to their chats: which card is next, what was begun, what was sent, and what is known of
//! the chats themselves.
//!
//! Nothing in here decides what is done about a failure; it is written down here what was decided.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, OptionalExtension, params};

use super::cards::{self, create_with, order};
use super::{StoreError, milliseconds, moment};
use crate::bridge::alert::Status;
use crate::bridge::card::{Card, CardId, Content, IncidentId, Level, Message, NO_FILE, Part, StepState, Urgency};
use crate::bridge::config::ChatName;
use crate::bridge::telegram::{Destination, MessageId};
use crate::system::time::Timestamp;

/// What there is to do for a chat.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Outlook {
    /// What is known of the chat.
    pub chat: ChatState,
    /// The card that is next.
    pub next: Option<Next>,
    /// When there is something to do for one that waits; none where none waits.
    pub due: Option<Timestamp>,
    /// How many cards of incidents wait for their first message, as far as they were counted.
    pub unsent: usize,
}

/// The card that is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// The card.
    pub card: CardId,
    /// Whether something critical is to be told.
    pub is_critical: bool,
    /// Whether people are notified by it; what stands in the chat is only changed otherwise.
    pub is_news: bool,
}

/// What is known of a chat from writing to it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChatState {
    /// Telegram has asked for nothing before this.
    pub not_before: Option<Timestamp>,
    /// Since when the topic is known to be gone.
    pub thread_gone: Option<Timestamp>,
    /// Why the chat can not be written to.
    pub unreachable: Option<Unreachable>,
}

/// Why a chat can not be written to.
#[derive(Debug, Clone, PartialEq)]
pub struct Unreachable {
    /// Since when.
    pub since: Timestamp,
    /// What Telegram said.
    pub because: String,
    /// When to try whether it can.
    pub try_again: Timestamp,
}

/// No more incidents than this are put onto one card: each change of one of them reads all of them.
const LARGEST_CARD: i64 = 500;

/// No more cards than this are put together in one transaction, for which others wait.
const MOST_MERGED: i64 = 2000;

/// Nothing that is put off waits for longer, in milliseconds.
const LONGEST_WAIT: i64 = 3_600_000;

const CRITICAL: i64 = Urgency::Critical.rank();
const CHANGED: i64 = Urgency::Changed.rank();

/// What there is to do for a chat, which is at `at` by the configuration. Of what waits for its first message no more than
/// one more than `enough` are counted.
pub fn outlook(
    connection: &Connection,
    chat: &ChatName,
    at: Destination,
    now: Timestamp,
    enough: usize,
) -> Result<Outlook, StoreError> {
    let (name, now) = (chat.as_str(), milliseconds(now));
    let next = connection
        .prepare_cached(
            "SELECT id, urgency FROM card WHERE chat = ?1 AND urgency IS NOT NULL AND not_before <= ?2
             ORDER BY urgency, id LIMIT 1",
        )?
        .query_row(params![name, now], |row| {
            let urgency: i64 = row.get(1)?;
            Ok(Next { card: CardId(row.get(0)?), is_critical: urgency == CRITICAL, is_news: urgency != CHANGED })
        })
        .optional()?;
    // Each of these has an index of its own: there may be a hundred thousand cards, and this is asked for each message.
    let due: Option<i64> = connection
        .prepare_cached(
            "SELECT min(not_before) FROM card
             WHERE chat = ?1 AND urgency IS NOT NULL AND not_before > 0 AND not_before > ?2",
        )?
        .query_row(params![name, now], |row| row.get(0))?;
    let due = due.map(moment).transpose()?;
    let most = i64::try_from(enough).unwrap_or(i64::MAX).saturating_add(1);
    let unsent: i64 = connection
        .prepare_cached(
            "SELECT count(*) FROM (
                 SELECT 1 FROM card INDEXED BY card_unsent
                 WHERE chat = ?1 AND urgency IS NOT NULL AND kind = 'incidents' AND sent = 0
                     AND NOT EXISTS (SELECT 1 FROM part WHERE card = card.id) LIMIT ?2)",
        )?
        .query_row(params![name, most], |row| row.get(0))?;
    Ok(Outlook { chat: chat_state(connection, chat, at)?, next, due, unsent: usize::try_from(unsent).unwrap_or(0) })
}

/// What is known of a chat; nothing, where the configuration has it somewhere else now.
pub fn chat_state(connection: &Connection, chat: &ChatName, at: Destination) -> Result<ChatState, StoreError> {
    type Columns = (i64, Option<i64>, Option<i64>, Option<String>, Option<i64>);
    let found: Option<Columns> = connection
        .prepare_cached(
            "SELECT not_before, thread_gone_at, unreachable_since, unreachable_because, try_again FROM chat
             WHERE name = ?1 AND chat_id = ?2 AND thread IS ?3",
        )?
        .query_row(params![chat.as_str(), at.chat_id, at.thread], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?))
        })
        .optional()?;
    let Some((not_before, thread_gone, since, because, try_again)) = found else {
        return Ok(ChatState::default());
    };
    let unreachable = match (since, because, try_again) {
        (Some(since), Some(because), Some(try_again)) => {
            Some(Unreachable { since: moment(since)?, because, try_again: moment(try_again)? })
        }
        _ => None,
    };
    Ok(ChatState {
        not_before: (not_before > 0).then(|| moment(not_before)).transpose()?,
        thread_gone: thread_gone.map(moment).transpose()?,
        unreachable,
    })
}

/// Makes sure that there is a row for a chat, with nothing in it where the configuration has it somewhere else now.
fn know(connection: &Connection, chat: &ChatName, at: Destination) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO chat (name, chat_id, thread) VALUES (?1, ?2, ?3)
             ON CONFLICT (name) DO UPDATE SET chat_id = ?2, thread = ?3, not_before = 0, thread_gone = NULL,
                 thread_gone_at = NULL, unreachable_since = NULL, unreachable_because = NULL, try_again = NULL
             WHERE chat_id <> ?2 OR thread IS NOT ?3",
        )?
        .execute(params![chat.as_str(), at.chat_id, at.thread])?;
    Ok(())
}

/// Nothing is to be sent to a chat before `until`, by whatever name it is known.
pub fn wait(connection: &Connection, chat: &ChatName, at: Destination, until: Timestamp) -> Result<(), StoreError> {
    know(connection, chat, at)?;
    connection
        .prepare_cached("UPDATE chat SET not_before = max(not_before, ?2) WHERE chat_id = ?1")?
        .execute(params![at.chat_id, milliseconds(until)])?;
    Ok(())
}

/// A chat's topic is gone.
pub fn lose_thread(
    connection: &Connection,
    chat: &ChatName,
    at: Destination,
    because: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    know(connection, chat, at)?;
    connection
        .prepare_cached("UPDATE chat SET thread_gone = ?2, thread_gone_at = ?3 WHERE name = ?1")?
        .execute(params![chat.as_str(), because, milliseconds(now)])?;
    Ok(())
}

/// A chat can not be written to; it is tried again at `try_again`.
pub fn lose(
    connection: &Connection,
    chat: &ChatName,
    at: Destination,
    because: &str,
    now: Timestamp,
    try_again: Timestamp,
) -> Result<(), StoreError> {
    know(connection, chat, at)?;
    connection
        .prepare_cached(
            "UPDATE chat SET unreachable_since = coalesce(unreachable_since, ?3), unreachable_because = ?2, try_again = ?4
             WHERE name = ?1",
        )?
        .execute(params![chat.as_str(), because, milliseconds(now), milliseconds(try_again)])?;
    Ok(())
}

/// A chat can be written to.
pub fn regain(connection: &Connection, chat: &ChatName) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE chat SET unreachable_since = NULL, unreachable_because = NULL, try_again = NULL
             WHERE name = ?1 AND unreachable_since IS NOT NULL",
        )?
        .execute([chat.as_str()])?;
    // What waited for that.
    connection
        .prepare_cached("UPDATE card SET not_before = 0 WHERE chat = ?1 AND urgency IS NOT NULL AND not_before > 0")?
        .execute([chat.as_str()])?;
    Ok(())
}

/// A group has become another chat.
pub fn migrate(connection: &Connection, old: i64, new: i64, now: Timestamp) -> Result<(), StoreError> {
    if old != new {
        connection
            .prepare_cached("INSERT OR REPLACE INTO migrated_chat (old, new, at) VALUES (?1, ?2, ?3)")?
            .execute(params![old, new, milliseconds(now)])?;
    }
    Ok(())
}

/// The number that a chat has now.
pub fn follow(connection: &Connection, chat_id: i64) -> Result<i64, StoreError> {
    let mut find = connection.prepare_cached("SELECT new FROM migrated_chat WHERE old = ?1")?;
    let mut now = chat_id;
    // A ring would be damage; it is left after a few rounds.
    for _ in 0..8 {
        match find.query_row([now], |row| row.get(0)).optional()? {
            Some(new) => now = new,
            None => break,
        }
    }
    Ok(now)
}

/// Notes that a call for a card is begun.
pub fn begin(connection: &Connection, card: CardId, now: Timestamp) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE card SET in_flight = ?2 WHERE id = ?1")?
        .execute(params![card.0, milliseconds(now)])?;
    Ok(())
}

/// Notes that no call for a card is under way any more.
pub fn end(connection: &Connection, card: CardId) -> Result<(), StoreError> {
    connection.prepare_cached("UPDATE card SET in_flight = NULL WHERE id = ?1")?.execute([card.0])?;
    Ok(())
}

/// Notes that a message was sent for a card, or changed.
pub fn keep_part(connection: &Connection, card: CardId, position: usize, part: &Part) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO part (card, position, chat_id, thread, message, text, keyboard)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            card.0,
            position as i64,
            part.at.chat_id,
            part.at.thread,
            part.message.0,
            serde_json::to_string(&part.text)?,
            serde_json::to_string(&part.keyboard)?,
        ])?;
    Ok(())
}

/// Forgets a card's messages from `position` on: they are gone, or somewhere where they can not be changed.
pub fn forget_parts(connection: &Connection, card: CardId, position: usize) -> Result<(), StoreError> {
    connection
        .prepare_cached("DELETE FROM part WHERE card = ?1 AND position >= ?2")?
        .execute(params![card.0, position as i64])?;
    Ok(())
}

/// Notes the file that was sent for a card.
pub fn keep_document(connection: &Connection, card: CardId, document: MessageId) -> Result<(), StoreError> {
    connection.prepare_cached("UPDATE card SET document = ?2 WHERE id = ?1")?.execute(params![card.0, document.0])?;
    Ok(())
}

/// Notes that no file is taken for a card: what would be in it is yet to be told, in messages.
pub fn refuse_file(connection: &Connection, card: CardId) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE card SET document = ?2, sent = 0, in_flight = NULL WHERE id = ?1")?
        .execute(params![card.0, NO_FILE.0])?;
    order(connection, card)
}

/// Notes that a card stands in its chat as it was when it was read into `shown`.
pub fn show(connection: &Connection, shown: &Card, now: Timestamp) -> Result<(), StoreError> {
    if shown.sent == 0 {
        if let Content::Incidents(members) = &shown.content {
            let told = members.iter().map(|member| (member.incident.id, member.incident.alert.status));
            tell(connection, shown.id, told)?;
        }
        if matches!(&shown.content, Content::Progress(progress) if progress.outcome == Some(StepState::Failed)) {
            tell_failure(connection, shown.id)?;
        }
    }
    settle(connection, shown.id, Some(shown.desired), now)
}

/// Notes that it was told that these are over (or that a progress has failed). `shown`: which change of the card counts as
/// shown by that, if any.
pub fn announce(
    connection: &Connection,
    card: CardId,
    over: &[IncidentId],
    shown: Option<u32>,
    now: Timestamp,
) -> Result<(), StoreError> {
    tell(connection, card, over.iter().map(|incident| (*incident, Status::Resolved)))?;
    if over.is_empty() {
        tell_failure(connection, card)?;
    }
    settle(connection, card, shown, now)
}

fn tell(
    connection: &Connection,
    card: CardId,
    told: impl Iterator<Item = (IncidentId, Status)>,
) -> Result<(), StoreError> {
    let mut note = connection.prepare_cached("UPDATE card_incident SET told = ?3 WHERE card = ?1 AND incident = ?2")?;
    for (incident, status) in told {
        note.execute(params![card.0, incident.0, status.as_str()])?;
    }
    Ok(())
}

fn tell_failure(connection: &Connection, card: CardId) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE card SET content = json_set(content, '$.is_failure_told', json('true'))
             WHERE id = ?1 AND kind = 'progress'",
        )?
        .execute([card.0])?;
    Ok(())
}

fn settle(connection: &Connection, card: CardId, shown: Option<u32>, now: Timestamp) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE card SET sent = max(sent, coalesce(?2, sent)), sent_at = ?3, in_flight = NULL, attempts = 0,
                 not_before = 0, last_failure = NULL
             WHERE id = ?1",
        )?
        .execute(params![card.0, shown, milliseconds(now)])?;
    order(connection, card)
}

/// What a failure means for a card.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Setback {
    /// What went wrong.
    pub failure: String,
    /// It is not tried again before this; other cards are.
    pub not_before: Option<Timestamp>,
    /// Whether it may have arrived all the same.
    pub is_uncertain: bool,
}

/// Notes that an attempt at a card has failed.
pub fn set_back(connection: &Connection, card: CardId, setback: &Setback) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE card SET in_flight = NULL, attempts = attempts + 1, last_failure = ?2, not_before = coalesce(?3, 0),
                 uncertain = uncertain + ?4
             WHERE id = ?1",
        )?
        .execute(params![card.0, setback.failure, setback.not_before.map(milliseconds), setback.is_uncertain])?;
    Ok(())
}

/// Notes that a card is sent in a lesser form from now on.
pub fn degrade(connection: &Connection, card: CardId, level: Level, because: &str) -> Result<(), StoreError> {
    let level = match level {
        Level::Html => "html",
        Level::Plain => "plain",
        Level::Line => "line",
    };
    connection
        .prepare_cached("UPDATE card SET level = ?2, last_failure = ?3 WHERE id = ?1")?
        .execute(params![card.0, level, because])?;
    Ok(())
}

/// Brings a card to another chat, as a new one there: what was sent for it stays where it is, and is forgotten.
pub fn divert(
    connection: &Connection,
    card: CardId,
    to: &ChatName,
    from: &ChatName,
    because: &str,
) -> Result<(), StoreError> {
    // There may be one there already that is known by the same key.
    connection
        .prepare_cached(
            "UPDATE card SET key = NULL WHERE id = ?1
             AND EXISTS (SELECT 1 FROM card AS other WHERE other.chat = ?2 AND other.key = card.key)",
        )?
        .execute(params![card.0, to.as_str()])?;
    connection
        .prepare_cached(
            "UPDATE card SET chat = ?2, diverted_from = coalesce(diverted_from, ?3),
                 diverted_because = coalesce(diverted_because, ?4), sent = 0, document = NULL, level = 'html', attempts = 0,
                 not_before = 0, in_flight = NULL, last_failure = ?4
             WHERE id = ?1",
        )?
        .execute(params![card.0, to.as_str(), from.as_str(), because])?;
    connection.prepare_cached("UPDATE card_incident SET told = 'nothing' WHERE card = ?1")?.execute([card.0])?;
    forget_parts(connection, card, 0)?;
    order(connection, card)
}

/// Leaves a card as it stands: nobody sees it there any more.
pub fn leave(connection: &Connection, card: CardId) -> Result<(), StoreError> {
    connection
        .prepare_cached("UPDATE card SET sent = desired, in_flight = NULL, not_before = 0 WHERE id = ?1")?
        .execute([card.0])?;
    order(connection, card)
}

/// Tells the chat that is to know of it what is wrong. `key`: what this trouble is known by; it is told once.
pub fn notice(
    connection: &Connection,
    chat: &ChatName,
    message: Message,
    key: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let is_told = connection.prepare_cached("SELECT 1 FROM card WHERE key = ?1")?.exists([key])?;
    if !is_told {
        create_with(connection, chat, &Content::Message(message), Some(key), now)?;
    }
    Ok(())
}

/// Puts a chat's cards that wait for their first message into few of them, the most urgent ones first. Cards that were
/// brought here from different chats stay apart. Gives how many have become part of another one; there may be more to do
/// where it is not 0.
pub fn merge(connection: &Connection, chat: &ChatName) -> Result<usize, StoreError> {
    let waiting: Vec<(i64, Option<String>, i64)> = connection
        .prepare_cached(
            "SELECT id, diverted_from, (SELECT count(*) FROM card_incident WHERE card = id) FROM card
             WHERE chat = ?1 AND urgency IS NOT NULL AND kind = 'incidents' AND sent = 0 AND in_flight IS NULL
                 AND NOT EXISTS (SELECT 1 FROM part WHERE card = id)
             ORDER BY urgency, id",
        )?
        .query_map([chat.as_str()], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
        .collect::<Result<_, _>>()?;
    let mut open: BTreeMap<Option<String>, (i64, i64)> = BTreeMap::new();
    let mut grown = BTreeSet::new();
    let mut merged: i64 = 0;
    for (card, from, members) in waiting {
        if merged >= MOST_MERGED {
            break;
        }
        match open.get_mut(&from) {
            Some((into, size)) if *size + members <= LARGEST_CARD => {
                join(connection, *into, *size, card)?;
                grown.insert(*into);
                *size += members;
                merged += 1;
            }
            _ => {
                open.insert(from, (card, members));
            }
        }
    }
    for card in grown {
        connection.prepare_cached("UPDATE card SET not_before = 0, attempts = 0 WHERE id = ?1")?.execute([card])?;
        cards::touch(connection, CardId(card))?;
    }
    Ok(usize::try_from(merged).unwrap_or(usize::MAX))
}

/// Puts the incidents of a card onto another one, below the `size` that are there.
fn join(connection: &Connection, into: i64, size: i64, card: i64) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO card_incident (card, incident, position)
             SELECT ?1, incident, position + ?3 FROM card_incident WHERE card = ?2",
        )?
        .execute(params![into, card, size])?;
    connection.prepare_cached("DELETE FROM card WHERE id = ?1")?.execute([card])?;
    Ok(())
}

/// Looks for calls whose outcome was never written down, because the program ended. Gives the chats of those that may
/// have brought a message nobody knows of, one for each.
///
/// Nothing that waits, waits for more than an hour from `now`: the clock may have been set back since.
pub fn recover(connection: &Connection, now: Timestamp) -> Result<Vec<ChatName>, StoreError> {
    let latest = milliseconds(now).saturating_add(LONGEST_WAIT);
    connection.execute("UPDATE chat SET not_before = ?1 WHERE not_before > ?1", [latest])?;
    connection.execute("UPDATE chat SET try_again = ?1 WHERE try_again > ?1", [latest])?;
    connection.execute(
        "UPDATE card SET not_before = ?1 WHERE urgency IS NOT NULL AND not_before > 0 AND not_before > ?1",
        [latest],
    )?;
    let chats = connection
        .prepare_cached(&format!(
            "SELECT chat FROM card WHERE in_flight IS NOT NULL AND urgency IS NOT NULL AND urgency <> {CHANGED}"
        ))?
        .query_map([], |row| Ok(ChatName::from(row.get::<_, String>(0)?.as_str())))?
        .collect::<Result<_, _>>()?;
    connection.execute(
        &format!(
            "UPDATE card SET uncertain = uncertain + (urgency IS NOT NULL AND urgency <> {CHANGED}), in_flight = NULL
             WHERE in_flight IS NOT NULL"
        ),
        [],
    )?;
    Ok(chats)
}

/// Brings what waits for a moment in line with a clock that was set back by `back`.
pub fn set_clock_back(connection: &Connection, back: std::time::Duration) -> Result<(), StoreError> {
    let back = i64::try_from(back.as_millis()).unwrap_or(i64::MAX);
    connection
        .execute("UPDATE chat SET not_before = max(not_before - ?1, 0), try_again = max(try_again - ?1, 0)", [back])?;
    connection.execute(
        "UPDATE card SET not_before = max(not_before - ?1, 0) WHERE urgency IS NOT NULL AND not_before > 0",
        [back],
    )?;
    Ok(())
}

/// The chats with something to do.
pub fn waiting_chats(connection: &Connection) -> Result<Vec<ChatName>, StoreError> {
    let chats = connection
        // From one chat to the next by the index, however many cards wait.
        .prepare_cached(
            "WITH RECURSIVE waiting (name) AS (
                 SELECT min(chat) FROM card WHERE urgency IS NOT NULL
                 UNION ALL
                 SELECT (SELECT min(chat) FROM card WHERE urgency IS NOT NULL AND chat > name) FROM waiting
                 WHERE name IS NOT NULL)
             SELECT name FROM waiting WHERE name IS NOT NULL",
        )?
        .query_map([], |row| Ok(ChatName::from(row.get::<_, String>(0)?.as_str())))?
        .collect::<Result<_, _>>()?;
    Ok(chats)
}

/// The cards of a chat with something to do, in the order in which they are taken, up to so many.
pub fn waiting_cards(connection: &Connection, chat: &ChatName, most: usize) -> Result<Vec<Next>, StoreError> {
    let cards = connection
        .prepare_cached(
            "SELECT id, urgency FROM card WHERE chat = ?1 AND urgency IS NOT NULL ORDER BY urgency, id LIMIT ?2",
        )?
        .query_map(params![chat.as_str(), most as i64], |row| {
            let urgency: i64 = row.get(1)?;
            Ok(Next { card: CardId(row.get(0)?), is_critical: urgency == CRITICAL, is_news: urgency != CHANGED })
        })?
        .collect::<Result<_, _>>()?;
    Ok(cards)
}
