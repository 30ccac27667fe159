//! A Telegram that does as it is told, and what tests of the parts that people see begin with.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use arc_swap::ArcSwap;
use rusqlite::{Connection, params};
use tokio::sync::Notify;

use crate::bridge::alert::{Alert, Labels, Status};
use crate::bridge::card::{Card, CardId, IncidentId};
use crate::bridge::config::{ChatName, Config};
use crate::bridge::metrics::Metrics;
use crate::bridge::reload::InForce;
use crate::bridge::render::Renderer;
use crate::bridge::service::Service;
use crate::bridge::store::{Store, cards, milliseconds};
use crate::bridge::telegram::{
    Call, ChatFacts, Destination, Document, Failure, MessageId, Myself, Outgoing, Telegram, Update,
};
use crate::system::time::Timestamp;

/// Gives the updates that it was given, one answer after the other, and then nothing happens any more.
#[derive(Debug, Default)]
pub(in crate::bridge) struct Scripted {
    pub(in crate::bridge) answers: Mutex<VecDeque<Result<Vec<Update>, Failure>>>,
    pub(in crate::bridge) offsets: Mutex<Vec<i64>>,
    pub(in crate::bridge) told: Mutex<Vec<(String, String, bool)>>,
    pub(in crate::bridge) sent: Mutex<Vec<Outgoing>>,
    pub(in crate::bridge) something: Notify,
}

impl Scripted {
    pub(in crate::bridge) fn script(&self, answer: Result<Vec<Update>, Failure>) {
        self.answers.lock().unwrap().push_back(answer);
        self.something.notify_waiters();
    }
}

impl Telegram for Scripted {
    fn send<'a>(&'a self, message: &'a Outgoing) -> Call<'a, MessageId> {
        self.sent.lock().unwrap().push(message.clone());
        Box::pin(async { Ok(MessageId(1000)) })
    }

    fn edit<'a>(&'a self, _: MessageId, _: &'a Outgoing) -> Call<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn send_document<'a>(&'a self, _: &'a Outgoing, _: &'a Document) -> Call<'a, MessageId> {
        Box::pin(async { Ok(MessageId(1001)) })
    }

    fn delete<'a>(&'a self, _: Destination, _: MessageId) -> Call<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn answer_press<'a>(&'a self, press: &'a str, text: &'a str, is_alert: bool) -> Call<'a, ()> {
        self.told.lock().unwrap().push((press.to_owned(), text.to_owned(), is_alert));
        Box::pin(async { Ok(()) })
    }

    fn updates(&self, offset: i64, _: Duration) -> Call<'_, Vec<Update>> {
        self.offsets.lock().unwrap().push(offset);
        Box::pin(async {
            loop {
                let waiting = self.something.notified();
                if let Some(answer) = self.answers.lock().unwrap().pop_front() {
                    return answer;
                }
                waiting.await;
            }
        })
    }

    fn me(&self) -> Call<'_, Myself> {
        Box::pin(async { Ok(Myself { id: 42, username: "bridge_bot".to_owned() }) })
    }

    fn chat(&self, _: i64) -> Call<'_, ChatFacts> {
        Box::pin(async { Err(Failure::Destination("not asked for".to_owned())) })
    }

    fn set_commands<'a>(&'a self, _: &'a [(&'a str, &'a str)]) -> Call<'a, ()> {
        Box::pin(async { Ok(()) })
    }
}

/// A configuration with two chats, two people and a heartbeat.
pub(in crate::bridge) fn config(folder: &Path) -> Config {
    std::fs::write(folder.join("token"), "42:secret").unwrap();
    let text = r#"
store: FOLDER/bridge.db
telegram: {token_file: FOLDER/token}
chats:
  root: {chat_id: -100, thread: 7}
  uma: {chat_id: 55, muted: [info]}
routes:
  - {match: 'instance = "vijay"', chat: root}
  - {match: 'instance = "bheem"', chat: uma}
  - {match: 'instance = "both"', chat: [root, uma]}
default_chat: root
watchdog: {match: 'alertname = "Watchdog"', max_silence: 5m}
buttons:
  users: [{id: 7, name: Uma}, {id: 8, name: Root}]
"#;
    let text = text.replace("FOLDER", folder.to_str().unwrap());
    Config::from_text(&folder.join("bridge.yml"), &text).unwrap()
}

/// A service on a store in this folder.
pub(in crate::bridge) fn service(folder: &Path, config: Config, telegram: Arc<Scripted>) -> Service {
    Service {
        store: Store::open(&folder.join("bridge.db")).unwrap(),
        current: Arc::new(ArcSwap::from_pointee(in_force(config, telegram))),
        metrics: Arc::new(Metrics::default()),
        health: Arc::default(),
    }
}

pub(in crate::bridge) fn in_force(config: Config, telegram: Arc<Scripted>) -> InForce {
    InForce { renderer: Renderer::new(&config), config, telegram }
}

pub(in crate::bridge) fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// An alert that fires since `now`.
pub(in crate::bridge) fn alert(pairs: &[(&str, &str)], now: Timestamp) -> Alert {
    Alert {
        fingerprint: format!("{pairs:?}"),
        status: Status::Firing,
        starts_at: now,
        ends_at: None,
        labels: labels(pairs),
        annotations: labels(&[("summary", "x < 10% & \"<no value>\"")]),
        generator_url: String::new(),
    }
}

/// Puts an incident into the store, as the intake does.
pub(in crate::bridge) fn incident(connection: &Connection, alert: &Alert, receiver: &str) -> IncidentId {
    connection
        .execute(
            "INSERT INTO incident (fingerprint, starts_at, status, alert, receiver, external_url, first_received, last_received)
             VALUES (?1, ?2, ?3, ?4, ?5, '', ?2, ?2)",
            params![
                alert.fingerprint,
                milliseconds(alert.starts_at),
                alert.status.as_str(),
                serde_json::to_string(alert).unwrap(),
                receiver
            ],
        )
        .unwrap();
    IncidentId(connection.last_insert_rowid())
}

/// Puts a card about these into the store, in the chat `root`.
pub(in crate::bridge) async fn card(service: &Service, alerts: Vec<Alert>) -> CardId {
    let work = move |connection: &Connection| {
        let incidents: Vec<IncidentId> = alerts.iter().map(|alert| incident(connection, alert, "hermes")).collect();
        cards::create(connection, &ChatName::from("root"), &incidents, Timestamp::now())
    };
    service.store.write(work).await.unwrap()
}

pub(in crate::bridge) fn load(service: &Service, card: CardId) -> Card {
    service.store.read_now(|connection| Ok(cards::load(connection, card)?.unwrap())).unwrap()
}

/// What is in the first column of the first row.
pub(in crate::bridge) fn single<T: rusqlite::types::FromSql>(service: &Service, sql: &str) -> T {
    service.store.read_now(|connection| Ok(connection.query_row(sql, [], |row| row.get(0))?)).unwrap()
}
