//! How things stand, counted out of the store: for metrics, for readiness, and for `chats`.

use std::collections::BTreeMap;

use rusqlite::Connection;

use super::{StoreError, heartbeats, moment};
use crate::bridge::alert::Labels;
use crate::bridge::card::Urgency;
use crate::bridge::config::ChatName;
use crate::system::time::Timestamp;

/// How things stand.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Overview {
    /// The chats that something waits for, or that something is known of.
    pub chats: BTreeMap<ChatName, ChatOverview>,
    /// When the oldest card was stored that is critical and that nobody knows of yet.
    pub oldest_critical: Option<Timestamp>,
    /// The heartbeats that there have been.
    pub heartbeats: Vec<Heartbeat>,
}

/// How things stand with a chat.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ChatOverview {
    /// How many cards wait, by how urgent they are, in the order of [`Urgency::ALL`].
    pub pending: [u64; Urgency::ALL.len()],
    /// How many cards that wait in other chats should have been here.
    pub diverted: u64,
    /// Since when the oldest news waits: a card that is not there yet, or an end that was not told.
    pub oldest_pending: Option<Timestamp>,
    /// What is known of it from writing to it.
    pub known: Option<KnownChat>,
}

impl ChatOverview {
    /// How many cards wait.
    pub fn all_pending(&self) -> u64 {
        self.pending.iter().sum()
    }
}

/// What is known of a chat from writing to it.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownChat {
    /// The number that the rest is known of.
    pub chat_id: i64,
    /// The topic that the rest is known of.
    pub thread: Option<i32>,
    /// Until when Telegram asks to wait; in the past where it does not.
    pub not_before: Timestamp,
    /// Why the topic can not be written to.
    pub thread_gone: Option<String>,
    /// Since when it can not be written to, and why.
    pub unreachable: Option<(Timestamp, String)>,
    /// When it is tried again.
    pub try_again: Option<Timestamp>,
}

/// A heartbeat.
#[derive(Debug, Clone, PartialEq)]
pub struct Heartbeat {
    /// What it is known by.
    pub fingerprint: String,
    /// The labels of the alert.
    pub labels: Labels,
    /// When it was last heard.
    pub last: Timestamp,
    /// Whether its absence was told, and it is not back.
    pub is_missing: bool,
}

/// Counts all of it.
pub fn read(connection: &Connection) -> Result<Overview, StoreError> {
    let mut overview = Overview::default();
    count_pending(connection, &mut overview)?;
    let known = known_chats(connection)?;
    for (name, known) in known {
        overview.chats.entry(name).or_default().known = Some(known);
    }
    overview.heartbeats = heard(connection)?;
    Ok(overview)
}

/// How many cards wait, and when the oldest of them was stored; `None` where none does.
pub fn waiting(connection: &Connection) -> Result<Option<(i64, Timestamp)>, StoreError> {
    let find = "SELECT count(*), min(created) FROM card WHERE urgency IS NOT NULL";
    let (count, oldest) = connection.query_row(find, [], |row| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?)))?;
    oldest.map(|oldest| Ok((count, moment(oldest)?))).transpose()
}

/// The chats that can not be written to, or whose topic can not, by name, each with why.
pub fn troubles(connection: &Connection) -> Result<Vec<(ChatName, String)>, StoreError> {
    let mut find = connection.prepare_cached(
        "SELECT name, coalesce(unreachable_because, thread_gone) FROM chat
         WHERE unreachable_because IS NOT NULL OR thread_gone IS NOT NULL ORDER BY name",
    )?;
    let troubles = find.query_map([], |row| Ok((ChatName::from(row.get::<_, String>(0)?.as_str()), row.get(1)?)))?;
    Ok(troubles.collect::<Result<_, _>>()?)
}

/// The groups that have become supergroups: the number that each had, and the one that it has.
pub fn migrated(connection: &Connection) -> Result<BTreeMap<i64, i64>, StoreError> {
    let mut find = connection.prepare_cached("SELECT old, new FROM migrated_chat")?;
    Ok(find.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect::<Result<_, _>>()?)
}

fn count_pending(connection: &Connection, overview: &mut Overview) -> Result<(), StoreError> {
    let mut find = connection.prepare_cached(
        "SELECT chat, urgency, count(*), min(created) FROM card WHERE urgency IS NOT NULL GROUP BY chat, urgency",
    )?;
    let mut rows = find.query([])?;
    while let Some(row) = rows.next()? {
        let chat = ChatName::from(row.get::<_, String>(0)?.as_str());
        let rank = usize::try_from(row.get::<_, i64>(1)?).unwrap_or(usize::MAX);
        let oldest = moment(row.get(3)?)?;
        let entry = overview.chats.entry(chat).or_default();
        if let Some(count) = entry.pending.get_mut(rank) {
            *count = u64::from(row.get::<_, u32>(2)?);
        }
        match Urgency::ALL.get(rank) {
            Some(Urgency::Critical) => {
                earliest(&mut entry.oldest_pending, oldest);
                earliest(&mut overview.oldest_critical, oldest);
            }
            Some(Urgency::New) => earliest(&mut entry.oldest_pending, oldest),
            // These were made long ago, as a rule, and what is to be told of them is newer.
            Some(Urgency::Resolved | Urgency::Changed) | None => {}
        }
    }
    let mut find = connection.prepare_cached(
        "SELECT card.chat, min(incident.resolved_received)
         FROM card JOIN card_incident ON card_incident.card = card.id JOIN incident ON incident.id = incident
         WHERE urgency = ?1 AND told = 'firing' AND status = 'resolved' AND resolved_received IS NOT NULL
         GROUP BY card.chat",
    )?;
    let mut rows = find.query([Urgency::Resolved.rank()])?;
    while let Some(row) = rows.next()? {
        let chat = ChatName::from(row.get::<_, String>(0)?.as_str());
        earliest(&mut overview.chats.entry(chat).or_default().oldest_pending, moment(row.get(1)?)?);
    }
    let mut find = connection.prepare_cached(
        "SELECT diverted_from, count(*) FROM card
         WHERE urgency IS NOT NULL AND diverted_from IS NOT NULL GROUP BY diverted_from",
    )?;
    let mut rows = find.query([])?;
    while let Some(row) = rows.next()? {
        let chat = ChatName::from(row.get::<_, String>(0)?.as_str());
        overview.chats.entry(chat).or_default().diverted = u64::from(row.get::<_, u32>(1)?);
    }
    Ok(())
}

fn earliest(kept: &mut Option<Timestamp>, found: Timestamp) {
    *kept = Some(kept.map_or(found, |kept| if found < kept { found } else { kept }));
}

fn known_chats(connection: &Connection) -> Result<Vec<(ChatName, KnownChat)>, StoreError> {
    let mut find = connection.prepare_cached(
        "SELECT name, chat_id, thread, not_before, thread_gone, unreachable_since, unreachable_because, try_again FROM chat",
    )?;
    let mut rows = find.query([])?;
    let mut chats = Vec::new();
    while let Some(row) = rows.next()? {
        let since = row.get::<_, Option<i64>>(5)?.map(moment).transpose()?;
        let because = row.get::<_, Option<String>>(6)?.unwrap_or_default();
        let known = KnownChat {
            chat_id: row.get(1)?,
            thread: row.get(2)?,
            not_before: moment(row.get(3)?)?,
            thread_gone: row.get(4)?,
            unreachable: since.map(|since| (since, because)),
            try_again: row.get::<_, Option<i64>>(7)?.map(moment).transpose()?,
        };
        chats.push((ChatName::from(row.get::<_, String>(0)?.as_str()), known));
    }
    Ok(chats)
}

fn heard(connection: &Connection) -> Result<Vec<Heartbeat>, StoreError> {
    let heard = heartbeats::list(connection)?.into_iter().map(|heartbeat| Heartbeat {
        is_missing: heartbeat.missing.is_some(),
        fingerprint: heartbeat.fingerprint,
        labels: heartbeat.labels,
        last: heartbeat.last,
    });
    Ok(heard.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::alert::Severity;
    use crate::bridge::card::{Content, IncidentId, Message};
    use crate::bridge::store::{Store, cards, milliseconds};

    fn at(seconds: f64) -> Timestamp {
        Timestamp::from_seconds(seconds).unwrap()
    }

    fn message(severity: Severity) -> Content {
        Content::Message(Message {
            title: "a".to_owned(),
            text: String::new(),
            severity,
            instance: None,
            is_silent: false,
        })
    }

    #[tokio::test]
    async fn what_waits_is_counted_by_chat_and_urgency() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("bridge.db")).unwrap();
        let overview = store
            .write(|connection| {
                let (root, uma) = (ChatName::from("root"), ChatName::from("uma"));
                cards::create_with(connection, &root, &message(Severity::Critical), None, at(1000.0))?;
                cards::create_with(connection, &root, &message(Severity::Info), None, at(900.0))?;
                let sent = cards::create_with(connection, &uma, &message(Severity::Info), None, at(5.0))?;
                connection.execute("UPDATE card SET sent = 1 WHERE id = ?1", [sent.0])?;
                cards::touch(connection, sent)?;
                connection.execute(
                    "INSERT INTO chat (name, chat_id, not_before, unreachable_since, unreachable_because)
                     VALUES ('uma', 7, ?1, ?1, 'blocked')",
                    [milliseconds(at(50.0))],
                )?;
                connection.execute(
                    "INSERT INTO heartbeat (fingerprint, labels, last) VALUES ('f', '{\"alertname\":\"Watchdog\"}', 60000)",
                    [],
                )?;
                read(connection)
            })
            .await
            .unwrap();
        let root = &overview.chats[&ChatName::from("root")];
        assert_eq!((root.pending, root.oldest_pending), ([1, 1, 0, 0], Some(at(900.0))));
        assert_eq!(overview.oldest_critical, Some(at(1000.0)));
        let uma = &overview.chats[&ChatName::from("uma")];
        assert_eq!((uma.pending, uma.oldest_pending), ([0, 0, 0, 1], None), "an edit is not news");
        assert_eq!(uma.known.as_ref().unwrap().unreachable, Some((at(50.0), "blocked".to_owned())));
        assert_eq!((overview.heartbeats[0].last, overview.heartbeats[0].is_missing), (at(60.0), false));
    }

    #[tokio::test]
    async fn an_end_that_was_not_told_waits_since_it_came() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("bridge.db")).unwrap();
        let overview = store
            .write(|connection| {
                // Long ago one began to fire, and one is over since then.
                connection.execute_batch(
                    "INSERT INTO incident (fingerprint, starts_at, status, alert, receiver, external_url, first_received,
                         last_received, resolved_received)
                     VALUES ('a', 1, 'resolved', '{}', '', '', 1000, 1000, 700000), ('b', 1, 'firing', '{}', '', '', 1, 1, NULL),
                         ('c', 1, 'resolved', '{}', '', '', 1000, 1000, 900000)",
                )?;
                let all = [1, 2, 3].map(IncidentId);
                let card = cards::create(connection, &ChatName::from("root"), &all, at(1.0))?;
                connection.execute("UPDATE card SET sent = 1", [])?;
                connection.execute("UPDATE card_incident SET told = 'firing'", [])?;
                cards::order(connection, card)?;
                read(connection)
            })
            .await
            .unwrap();
        let root = &overview.chats[&ChatName::from("root")];
        assert_eq!((root.pending, root.oldest_pending), ([0, 0, 1, 0], Some(at(700.0))));
        assert_eq!(overview.oldest_critical, None);
    }
}
