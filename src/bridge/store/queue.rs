//! What waits to be brought to people, card by card, and what an operator may do about it.

use rusqlite::{Connection, OptionalExtension};

use super::{StoreError, cards, facts, moment, pauses};
use crate::bridge::card::{Card, CardId, Content, Incident, Member, Step, next_step};
use crate::bridge::config::ChatName;
use crate::system::time::Timestamp;

/// The fact that has how often it was asked for a retry.
const RETRIES: &str = "queue retries";

/// A card that waits.
#[derive(Debug, Clone, PartialEq)]
pub struct Waiting {
    /// The card.
    pub card: Card,
    /// What is to be done for it.
    pub step: Step,
    /// When it is tried again, where that is not at once.
    pub not_before: Option<Timestamp>,
    /// Whether it is being sent right now.
    pub is_in_flight: bool,
    /// What came of the last attempt.
    pub last_failure: Option<String>,
}

/// What came of dropping a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dropped {
    /// It is gone, and nobody is told.
    Gone,
    /// What stands in the chat stays as it is, and is taken for true.
    LeftAsItIs,
    /// It is being sent right now.
    InFlight,
    /// There is none of this number, or it does not wait.
    NotWaiting,
}

/// Everything that waits, in the order in which it is taken; of one chat, or of all.
pub fn list(connection: &Connection, chat: Option<&ChatName>) -> Result<Vec<Waiting>, StoreError> {
    let mut find = connection.prepare_cached(
        "SELECT id, max(not_before, coalesce((SELECT max(not_before) FROM chat WHERE name = card.chat), 0)),
             in_flight IS NOT NULL, last_failure FROM card
         WHERE urgency IS NOT NULL AND (?1 IS NULL OR chat = ?1) ORDER BY chat, urgency, id",
    )?;
    let pauses = pauses::list(connection)?;
    let mut rows = find.query([chat.map(ChatName::as_str)])?;
    let mut waiting = Vec::new();
    while let Some(row) = rows.next()? {
        let Some(card) = cards::load(connection, CardId(row.get(0)?))? else { continue };
        let Some((step, _)) = next_step(&card) else { continue };
        let own = match row.get(1)? {
            0 => None,
            milliseconds => Some(moment(milliseconds)?),
        };
        let of_chat = pauses.get(&card.chat).copied();
        waiting.push(Waiting {
            not_before: own.into_iter().chain(of_chat).max_by(|one, other| one.seconds().total_cmp(&other.seconds())),
            card,
            step,
            is_in_flight: row.get(2)?,
            last_failure: row.get(3)?,
        });
    }
    Ok(waiting)
}

/// Which cards are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// Everything that waits.
    All,
    /// What waits for a chat.
    Of(ChatName),
    /// These.
    These(Vec<CardId>),
}

/// Lets what waits be tried at once, as if it never had been; also chats that are not tried because they could not be
/// written to, or after failures. How long Telegram itself has asked to wait stays: what is sent before makes it longer.
/// Gives the number of cards.
pub fn retry(connection: &Connection, which: &Which) -> Result<usize, StoreError> {
    const AT_ONCE: &str = "UPDATE card SET not_before = 0, attempts = 0 WHERE urgency IS NOT NULL";
    const CHATS_AT_ONCE: &str = "UPDATE chat SET try_again = 0 WHERE try_again IS NOT NULL";
    // All lanes forget what they wait for after failures when this grows.
    pauses::end_all(connection)?;
    facts::keep(connection, RETRIES, retries(connection)?.saturating_add(1))?;
    match which {
        Which::All => {
            connection.execute(CHATS_AT_ONCE, [])?;
            Ok(connection.execute(AT_ONCE, [])?)
        }
        Which::Of(chat) => {
            connection.execute(&format!("{CHATS_AT_ONCE} AND name = ?1"), [chat.as_str()])?;
            Ok(connection.execute(&format!("{AT_ONCE} AND chat = ?1"), [chat.as_str()])?)
        }
        Which::These(cards) => {
            let mut changed = 0;
            for card in cards {
                changed += connection.execute(&format!("{AT_ONCE} AND id = ?1"), [card.0])?;
            }
            Ok(changed)
        }
    }
}

/// How often it was asked for [`retry`].
pub fn retries(connection: &Connection) -> Result<i64, StoreError> {
    Ok(facts::read(connection, RETRIES)?.unwrap_or(0))
}

/// Takes a card out of the queue: one that is not in its chat yet is forgotten, and of one that is there nothing more is
/// told.
pub fn drop_card(connection: &Connection, card: CardId) -> Result<Dropped, StoreError> {
    let found = connection
        .query_row(
            "SELECT in_flight IS NOT NULL, sent FROM card WHERE id = ?1 AND urgency IS NOT NULL",
            [card.0],
            |row| Ok((row.get::<_, bool>(0)?, row.get::<_, i64>(1)?)),
        )
        .optional()?;
    match found {
        None => Ok(Dropped::NotWaiting),
        Some((true, _)) => Ok(Dropped::InFlight),
        Some((false, 0)) => {
            connection.execute("DELETE FROM card WHERE id = ?1", [card.0])?;
            Ok(Dropped::Gone)
        }
        Some((false, _)) => {
            connection.execute(
                "UPDATE card_incident SET told = 'resolved' WHERE card = ?1 AND told = 'firing'
                     AND (SELECT status FROM incident WHERE id = incident) = 'resolved'",
                [card.0],
            )?;
            connection
                .execute("UPDATE card SET sent = desired, attempts = 0, not_before = 0 WHERE id = ?1", [card.0])?;
            cards::order(connection, card)?;
            Ok(Dropped::LeftAsItIs)
        }
    }
}

/// A few words on what a card is about.
pub fn subject(card: &Card) -> String {
    match &card.content {
        Content::Incidents(members) => {
            let Some(Member { incident: Incident { alert, .. }, .. }) = members.first() else {
                return "nothing".to_owned();
            };
            let about = alert.instance().map(|instance| format!(" on {instance}")).unwrap_or_default();
            let more = match members.len() - 1 {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            let name = match alert.label("alertname") {
                "" => "an alert",
                name => name,
            };
            format!("{name}{about}{more}")
        }
        Content::Message(message) if message.title.is_empty() => "a message".to_owned(),
        Content::Message(message) => message.title.clone(),
        Content::Progress(progress) => progress.title.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::alert::Severity;
    use crate::bridge::card::Message;
    use crate::bridge::store::Store;

    fn message(title: &str) -> Content {
        let (title, text) = (title.to_owned(), String::new());
        Content::Message(Message { title, text, severity: Severity::Warning, instance: None, is_silent: false })
    }

    async fn within<T: Send + 'static>(work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static) -> T {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("bridge.db")).unwrap();
        store.write(work).await.unwrap()
    }

    #[tokio::test]
    async fn a_retry_is_for_those_that_are_meant() {
        within(|connection| {
            let now = Timestamp::from_seconds(100.0).unwrap();
            for chat in ["root", "uma"] {
                cards::create_with(connection, &ChatName::from(chat), &message(chat), None, now)?;
            }
            connection.execute("UPDATE card SET not_before = 9000, attempts = 7, last_failure = 'no'", [])?;
            connection.execute("INSERT INTO chat (name, chat_id, try_again) VALUES ('uma', 1, 9000)", [])?;
            assert_eq!(retry(connection, &Which::Of(ChatName::from("uma")))?, 1);
            let listed = list(connection, None)?;
            assert_eq!((listed[0].card.attempts, listed[0].not_before.is_some()), (7, true));
            assert_eq!((listed[1].card.attempts, listed[1].not_before), (0, None));
            assert_eq!(subject(&listed[1].card), "uma");
            assert_eq!(listed[1].last_failure.as_deref(), Some("no"));
            let try_again = connection.query_row("SELECT try_again FROM chat", [], |row| row.get::<_, i64>(0))?;
            assert_eq!(try_again, 0);
            assert_eq!(retry(connection, &Which::These(vec![listed[0].card.id, CardId(99)]))?, 1);
            assert_eq!(list(connection, Some(&ChatName::from("root")))?[0].card.attempts, 0);
            assert_eq!(retry(connection, &Which::All)?, 2);
            assert_eq!(retries(connection)?, 3, "who waits after failures can see it");
            Ok(())
        })
        .await;
    }

    #[tokio::test]
    async fn what_is_dropped_is_not_told_and_what_stands_there_stays() {
        within(|connection| {
            let now = Timestamp::from_seconds(100.0).unwrap();
            let chat = ChatName::from("root");
            let make = |title: &str| cards::create_with(connection, &chat, &message(title), None, now);
            let (unsent, sent, flying) = (make("unsent")?, make("sent")?, make("flying")?);
            connection.execute("UPDATE card SET sent = 1 WHERE id = ?1", [sent.0])?;
            cards::touch(connection, sent)?;
            connection.execute("UPDATE card SET in_flight = 1 WHERE id = ?1", [flying.0])?;
            assert_eq!(drop_card(connection, unsent)?, Dropped::Gone);
            assert_eq!(drop_card(connection, unsent)?, Dropped::NotWaiting);
            assert_eq!(drop_card(connection, sent)?, Dropped::LeftAsItIs);
            assert_eq!(drop_card(connection, flying)?, Dropped::InFlight);
            let left: Vec<_> = list(connection, None)?.into_iter().map(|waiting| waiting.card.id).collect();
            assert_eq!(left, [flying]);
            assert!(cards::load(connection, sent)?.is_some());
            Ok(())
        })
        .await;
    }
}
