//! What is known of a chat, and which of its cards are next.

use super::*;
use crate::bridge::alert::Severity;
use crate::bridge::store::Store;

fn now() -> Timestamp {
    Timestamp::from_seconds(1_795_000_000.0).unwrap()
}

async fn within<T: Send + 'static>(work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static) -> T {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("bridge.db")).unwrap();
    store.write(work).await.unwrap()
}

#[tokio::test]
async fn a_chat_that_has_moved_twice_is_followed_to_where_it_is() {
    within(|connection| {
        migrate(connection, -1, -2, now())?;
        migrate(connection, -2, -3, now())?;
        assert_eq!((follow(connection, -1)?, follow(connection, -2)?, follow(connection, 7)?), (-3, -3, 7));
        // Damage, but no reason not to come back.
        migrate(connection, -3, -1, now())?;
        follow(connection, -1).map(drop)
    })
    .await;
}

#[tokio::test]
async fn trouble_is_told_once_whichever_chat_is_to_know_of_it() {
    within(|connection| {
        let message = |title: &str| Message {
            title: title.to_owned(),
            text: String::new(),
            severity: Severity::Warning,
            instance: None,
            is_silent: false,
        };
        for (chat, title, key) in [("ops", "a", "a"), ("ops", "again", "a"), ("root", "again", "a"), ("ops", "b", "b")]
        {
            notice(connection, &ChatName::from(chat), message(title), key, now())?;
        }
        let told = connection.query_row("SELECT group_concat(content ->> '$.title') FROM card", [], |row| row.get(0));
        assert_eq!(told, Ok("a,b".to_owned()));
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn what_is_known_of_a_chat_is_known_of_its_place_alone() {
    within(|connection| {
        let (chat, later) = (ChatName::from("root"), Timestamp::from_seconds(1_795_000_060.0).unwrap());
        let at = |chat_id, thread| Destination { chat_id, thread };
        wait(connection, &chat, at(-1, Some(7)), later)?;
        lose_thread(connection, &chat, at(-1, Some(7)), "gone", now())?;
        let state = chat_state(connection, &chat, at(-1, Some(7)))?;
        assert_eq!((state.not_before, state.thread_gone), (Some(later), Some(now())));
        assert_eq!(chat_state(connection, &chat, at(-1, None))?, ChatState::default());
        assert_eq!(chat_state(connection, &chat, at(-2, Some(7)))?, ChatState::default());
        // With another place in the configuration all of it is forgotten, also for the old one.
        lose(connection, &chat, at(-2, Some(7)), "blocked", now(), later)?;
        let state = chat_state(connection, &chat, at(-2, Some(7)))?;
        assert_eq!((state.not_before, state.thread_gone, state.unreachable.is_some()), (None, None, true));
        // What was asked for a number holds for each name of it, and is never made shorter.
        let other = ChatName::from("uma");
        wait(connection, &other, at(-2, None), later)?;
        wait(connection, &other, at(-2, None), now())?;
        assert_eq!(chat_state(connection, &chat, at(-2, Some(7)))?.not_before, Some(later));
        Ok(())
    })
    .await;
}
