//! A bridge that sends nothing, for tests of what it takes in.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use rusqlite::Connection;
use tempfile::TempDir;

use crate::bridge::config::Config;
use crate::bridge::reload::InForce;
use crate::bridge::render::Renderer;
use crate::bridge::service::Service;
use crate::bridge::store::Store;
use crate::bridge::telegram::{
    Call, ChatFacts, Destination, Document, Failure, MessageId, Myself, Outgoing, Telegram, Update,
};

/// Two people, an operations chat, and what is between them.
pub(in crate::bridge) const TWO_CHATS: &str = r#"
delivery: console
chats:
  root: {}
  uma: {}
  ops: {}
routes:
  - {match: 'instance = "vijay"', chat: root}
  - {match: 'instance = "bheem"', chat: uma}
  - {match: 'team = "all"', chat: [root, uma]}
default_chat: root
operations_chat: ops
"#;

/// A configuration; `text` is all of it but the store.
pub(in crate::bridge) fn config(folder: &Path, text: &str) -> Config {
    let text = format!("store: {}\n{text}", folder.join("bridge.db").display());
    Config::from_text(Path::new("bridge.yml"), &text).unwrap()
}

/// A bridge with this configuration, and the folder that its store is in.
pub(in crate::bridge) fn service(text: &str) -> (TempDir, Service) {
    let folder = tempfile::tempdir().unwrap();
    let config = config(folder.path(), text);
    let store = Store::open(&config.store).unwrap();
    let renderer = Renderer::new(&config);
    let in_force = InForce { config, renderer, telegram: Arc::new(Nobody) };
    let current = Arc::new(ArcSwap::from_pointee(in_force));
    (folder, Service { store, current, metrics: Arc::default(), health: Arc::default() })
}

/// What stands on cards, by chat: for each card what its incidents are, and whether they fire.
pub(in crate::bridge) fn cards(connection: &Connection) -> Vec<(String, Vec<String>)> {
    let mut find = connection
        .prepare(
            "SELECT coalesce(chat, ''), (SELECT group_concat(
                 json_extract(alert, '$.labels.alertname') || ' ' || status, ', ' ORDER BY position)
                 FROM card_incident JOIN incident ON incident.id = incident WHERE card = card.id)
             FROM card WHERE kind = 'incidents' ORDER BY id",
        )
        .unwrap();
    let rows =
        find.query_map([], |row| Ok((row.get(0)?, row.get::<_, String>(1)?.split(", ").map(str::to_owned).collect())));
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

/// A number out of the store.
pub(in crate::bridge) fn number(connection: &Connection, query: &str) -> i64 {
    connection.query_row(query, [], |row| row.get(0)).unwrap()
}

/// Nobody is reached.
#[derive(Debug)]
struct Nobody;

impl Nobody {
    fn fails<T>(&self) -> Call<'_, T>
    where
        T: Send,
    {
        Box::pin(async { Err(Failure::Transient("nobody is there".to_owned())) })
    }
}

impl Telegram for Nobody {
    fn send<'a>(&'a self, _message: &'a Outgoing) -> Call<'a, MessageId> {
        self.fails()
    }
    fn edit<'a>(&'a self, _message: MessageId, _content: &'a Outgoing) -> Call<'a, ()> {
        self.fails()
    }
    fn send_document<'a>(&'a self, _message: &'a Outgoing, _document: &'a Document) -> Call<'a, MessageId> {
        self.fails()
    }
    fn delete<'a>(&'a self, _to: Destination, _message: MessageId) -> Call<'a, ()> {
        self.fails()
    }
    fn answer_press<'a>(&'a self, _press: &'a str, _text: &'a str, _is_alert: bool) -> Call<'a, ()> {
        self.fails()
    }
    fn updates(&self, _offset: i64, _patience: Duration) -> Call<'_, Vec<Update>> {
        self.fails()
    }
    fn me(&self) -> Call<'_, Myself> {
        self.fails()
    }
    fn chat(&self, _chat_id: i64) -> Call<'_, ChatFacts> {
        self.fails()
    }
    fn set_commands<'a>(&'a self, _commands: &'a [(&'a str, &'a str)]) -> Call<'a, ()> {
        self.fails()
    }
}
