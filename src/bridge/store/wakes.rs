//! Waking who waits for something to do for a chat, and nobody else: with hundreds of chats, each of which would look after
//! every commit, they would do nothing else.
//!
//! Which chats there is something new for is noted by triggers, in a table of the one connection that writes.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::watch;

use super::StoreError;
use crate::bridge::config::ChatName;

/// What notes the chats. It is not on the disk, and goes with the connection. `OR IGNORE` would not do: inside a trigger it
/// gives way to what the statement outside says of conflicts, and an upsert there makes it an error.
const NOTES: &str = "
    PRAGMA temp_store = MEMORY;
    CREATE TEMP TABLE woken (chat TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
    CREATE TEMP TRIGGER woken_by_new AFTER INSERT ON main.card
        BEGIN INSERT INTO woken SELECT NEW.chat WHERE NOT EXISTS (SELECT 1 FROM woken WHERE chat = NEW.chat); END;
    CREATE TEMP TRIGGER woken_by_change AFTER UPDATE OF chat, urgency, not_before, desired ON main.card
        BEGIN INSERT INTO woken SELECT NEW.chat WHERE NOT EXISTS (SELECT 1 FROM woken WHERE chat = NEW.chat); END;
    CREATE TEMP TRIGGER woken_by_chat AFTER UPDATE ON main.chat
        BEGIN INSERT INTO woken SELECT NEW.name WHERE NOT EXISTS (SELECT 1 FROM woken WHERE chat = NEW.name); END;";

/// Has a connection note the chats that it changes something for.
pub(super) fn note(connection: &Connection) -> Result<(), StoreError> {
    Ok(connection.execute_batch(NOTES)?)
}

/// Who waits, by chat.
#[derive(Debug, Default)]
pub(super) struct Wakes {
    waiting: Mutex<HashMap<ChatName, watch::Sender<u64>>>,
}

impl Wakes {
    /// Ticks when there may be something to do for a chat.
    pub(super) fn of(&self, chat: &ChatName) -> watch::Receiver<u64> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.entry(chat.clone()).or_default().subscribe()
    }

    /// Ticks for all of them.
    pub(super) fn all(&self) {
        for ticks in self.waiting.lock().unwrap_or_else(PoisonError::into_inner).values() {
            ticks.send_modify(|count| *count += 1);
        }
    }

    /// Ticks for the chats that were noted since the last time.
    pub(super) fn tell(&self, connection: &Connection) {
        match noted(connection) {
            Ok(chats) => {
                let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                for ticks in chats.iter().filter_map(|chat| waiting.get(chat)) {
                    ticks.send_modify(|count| *count += 1);
                }
            }
            Err(error) => {
                tracing::error!(%error, "which chats there is something for can not be told; all of them are looked at");
                self.all();
            }
        }
    }
}

fn noted(connection: &Connection) -> Result<Vec<ChatName>, rusqlite::Error> {
    let mut find = connection.prepare_cached("SELECT chat FROM woken")?;
    let chats =
        find.query_map([], |row| Ok(ChatName::from(row.get_ref(0)?.as_str()?)))?.collect::<Result<Vec<_>, _>>()?;
    if !chats.is_empty() {
        connection.prepare_cached("DELETE FROM woken")?.execute([])?;
    }
    Ok(chats)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::alert::Severity;
    use crate::bridge::card::{Content, Message};
    use crate::bridge::store::{Store, cards};
    use crate::system::time::Timestamp;

    #[tokio::test]
    async fn only_the_chat_that_there_is_something_for_is_woken() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("bridge.db")).unwrap();
        let [mut root, mut uma] = ["root", "uma"].map(|name| store.wakes(&ChatName::from(name)));
        let woken = |ticks: &mut watch::Receiver<u64>| {
            let is_woken = ticks.has_changed().unwrap();
            ticks.mark_unchanged();
            is_woken
        };
        let now = Timestamp::now();
        let made = store.write(move |connection| {
            let message = Message {
                title: "a".to_owned(),
                text: String::new(),
                severity: Severity::Info,
                instance: None,
                is_silent: false,
            };
            cards::create_with(connection, &ChatName::from("root"), &Content::Message(message), None, now)
        });
        let card = made.await.unwrap();
        assert_eq!((woken(&mut root), woken(&mut uma)), (true, false));
        let begin = move |connection: &Connection| crate::bridge::store::delivery::begin(connection, card, now);
        store.write(begin).await.unwrap();
        store.write(|connection| Ok(connection.execute("INSERT INTO fact VALUES ('a', 'b')", [])?)).await.unwrap();
        assert_eq!((woken(&mut root), woken(&mut uma)), (false, false), "there is nothing new to do");
        let to = ChatName::from("uma");
        let divert = move |connection: &Connection| {
            crate::bridge::store::delivery::divert(connection, card, &to, &ChatName::from("root"), "gone")
        };
        store.write(divert).await.unwrap();
        assert_eq!((woken(&mut root), woken(&mut uma)), (false, true));
        let failed = store.write(move |connection| {
            cards::touch(connection, card)?;
            Err::<(), _>(StoreError::Damaged(String::new()))
        });
        assert!(failed.await.is_err());
        assert_eq!((woken(&mut root), woken(&mut uma)), (false, false), "what is taken back is nothing new");
        store.wake_all();
        assert_eq!((woken(&mut root), woken(&mut uma)), (true, true));
    }
}
