//! Lanes against a Telegram that does as it is told, by a clock that is moved by hand: a step at a time, so that nothing
//! depends on how fast anything is.

mod bounds;
mod cards;
mod pace;
mod trouble;

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use futures_util::FutureExt;

use super::lane::Pause;
use super::*;
use crate::bridge::alert::{Alert, Labels, Severity, Status};
use crate::bridge::card::{Card, CardId, Content, IncidentId, Level, Message, Progress, StepState, Told};
use crate::bridge::render::Renderer;
use crate::bridge::service::Health;
use crate::bridge::store::{self, Store, milliseconds};
use crate::bridge::telegram::{
    Call, ChatFacts, Destination, Document, MessageId, Myself, Outgoing, Telegram, Text, Update,
};
use crate::system::time::Timestamp;

const ROOT: i64 = -100;
const UMA: i64 = 200;
const OPS: i64 = 300;

const CONFIG: &str = r#"
store: /tmp/unused.db
telegram: {token_file: /tmp/unused.token}
chats:
  root: {chat_id: -100, thread: 7}
  uma: {chat_id: 200, fallback: root}
  ops: {chat_id: 300}
default_chat: root
operations_chat: ops
digest_above: 4
"#;

/// What was asked of Telegram.
#[derive(Debug, Clone, PartialEq)]
enum Asked {
    Send(MessageId, Outgoing),
    Edit(MessageId, Outgoing),
    Delete(Destination, MessageId),
    Failed(i64),
}

/// A Telegram that fails as it is told to.
#[derive(Debug, Default)]
struct Script {
    /// Failures to come for a chat, before it works again.
    failures: Mutex<Vec<(i64, VecDeque<Failure>)>>,
    edit_failures: Mutex<VecDeque<Failure>>,
    asked: Mutex<Vec<Asked>>,
    is_down: Mutex<Option<Failure>>,
    /// What fails is the call of this number, counted down.
    countdown: Mutex<Option<(u32, Failure)>>,
    sent: AtomicI64,
}

impl Script {
    fn fail(&self, chat_id: i64, failures: impl IntoIterator<Item = Failure>) {
        self.failures.lock().unwrap().push((chat_id, failures.into_iter().collect()));
    }

    fn fail_at(&self, call: u32, failure: Failure) {
        *self.countdown.lock().unwrap() = Some((call, failure));
    }

    fn set_down(&self, failure: Option<Failure>) {
        *self.is_down.lock().unwrap() = failure;
    }

    fn outcome(&self, to: Destination) -> Result<(), Failure> {
        let down = self.is_down.lock().unwrap().clone();
        let mut failures = self.failures.lock().unwrap();
        let next = failures.iter_mut().filter(|(chat, _)| *chat == to.chat_id).find_map(|(_, list)| list.pop_front());
        let mut countdown = self.countdown.lock().unwrap();
        let now = match countdown.take() {
            Some((1, failure)) => Some(failure),
            Some((calls, failure)) => {
                *countdown = Some((calls - 1, failure));
                None
            }
            None => None,
        };
        match down.or(next).or(now) {
            Some(failure) => {
                self.asked.lock().unwrap().push(Asked::Failed(to.chat_id));
                Err(failure)
            }
            None => Ok(()),
        }
    }

    fn take_asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    /// The texts of the messages that have arrived, with where.
    fn take_sent(&self) -> Vec<(i64, String)> {
        let asked = self.take_asked();
        asked
            .into_iter()
            .filter_map(|asked| match asked {
                Asked::Send(_, outgoing) => Some((outgoing.to.chat_id, outgoing.text.source().to_owned())),
                _ => None,
            })
            .collect()
    }
}

impl Telegram for Script {
    fn send<'a>(&'a self, message: &'a Outgoing) -> Call<'a, MessageId> {
        async move {
            self.outcome(message.to)?;
            let id = MessageId(self.sent.fetch_add(1, Ordering::SeqCst) + 1);
            self.asked.lock().unwrap().push(Asked::Send(id, message.clone()));
            Ok(id)
        }
        .boxed()
    }

    fn edit<'a>(&'a self, message: MessageId, content: &'a Outgoing) -> Call<'a, ()> {
        async move {
            self.outcome(content.to)?;
            if let Some(failure) = self.edit_failures.lock().unwrap().pop_front() {
                return Err(failure);
            }
            self.asked.lock().unwrap().push(Asked::Edit(message, content.clone()));
            Ok(())
        }
        .boxed()
    }

    fn send_document<'a>(&'a self, message: &'a Outgoing, _document: &'a Document) -> Call<'a, MessageId> {
        self.send(message)
    }

    fn delete<'a>(&'a self, to: Destination, message: MessageId) -> Call<'a, ()> {
        self.asked.lock().unwrap().push(Asked::Delete(to, message));
        async { Ok(()) }.boxed()
    }

    fn answer_press<'a>(&'a self, _press: &'a str, _text: &'a str, _is_alert: bool) -> Call<'a, ()> {
        async { Ok(()) }.boxed()
    }

    fn updates(&self, _offset: i64, _patience: Duration) -> Call<'_, Vec<Update>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn me(&self) -> Call<'_, Myself> {
        let down = self.is_down.lock().unwrap().clone();
        async { down.map_or(Ok(Myself { id: 1, username: "bridge".to_owned() }), Err) }.boxed()
    }

    fn chat(&self, _chat_id: i64) -> Call<'_, ChatFacts> {
        async { Err(Failure::Destination("no".to_owned())) }.boxed()
    }

    fn set_commands<'a>(&'a self, _commands: &'a [(&'a str, &'a str)]) -> Call<'a, ()> {
        async { Ok(()) }.boxed()
    }
}

/// A bridge with nothing but its store and its lanes.
struct World {
    folder: tempfile::TempDir,
    service: Service,
    telegram: Arc<Script>,
    time: Arc<AtomicI64>,
    lanes: Vec<Lane>,
    _stop: watch::Sender<bool>,
}

impl World {
    fn new() -> World {
        World::with(CONFIG)
    }

    fn with(config: &str) -> World {
        let folder = tempfile::tempdir().unwrap();
        let time = Arc::new(AtomicI64::new(1_795_000_000_000));
        let telegram = Arc::new(Script::default());
        World::open(folder, config, telegram, time)
    }

    fn open(folder: tempfile::TempDir, config: &str, telegram: Arc<Script>, time: Arc<AtomicI64>) -> World {
        let config = Config::from_text(Path::new("bridge.yml"), config).unwrap();
        let store = Store::open(&folder.path().join("bridge.db")).unwrap();
        let renderer = Renderer::new(&config);
        let names: Vec<_> = config.chats.keys().cloned().collect();
        let limits = config.limits;
        let in_force = InForce { config, renderer, telegram: telegram.clone() };
        let service = Service {
            store,
            current: Arc::new(arc_swap::ArcSwap::from_pointee(in_force)),
            metrics: Arc::default(),
            health: Arc::new(Health::default()),
        };
        let clock = Clock::Manual(time.clone());
        let buckets = Arc::new(Mutex::new(Buckets::new(limits, clock.now())));
        let (_stop, stopping) = watch::channel(false);
        let lane = |name| Lane::new(name, service.clone(), clock.clone(), Arc::clone(&buckets), stopping.clone());
        let lanes = names.into_iter().map(lane).collect();
        World { folder, service, telegram, time, lanes, _stop }
    }

    /// The same after the program was ended and started.
    async fn restart(self, config: &str) -> World {
        let World { folder, service, telegram, time, .. } = self;
        service.store.close();
        drop(service);
        let world = World::open(folder, config, telegram, time);
        recover(&world.service, world.now()).await;
        world
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.time.load(Ordering::SeqCst) as f64 / 1000.0).unwrap()
    }

    fn pass(&self, seconds: f64) {
        self.time.fetch_add((seconds * 1000.0) as i64, Ordering::SeqCst);
    }

    async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&rusqlite::Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> T {
        self.service.store.write(work).await.unwrap()
    }

    /// An alert begins to fire.
    async fn fire(&self, chat: &str, name: &str, severity: &str) -> (CardId, IncidentId) {
        let now = self.now();
        let labels = [("alertname", name), ("severity", severity), ("instance", "vijay")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let alert = Alert {
            fingerprint: name.to_owned(),
            status: Status::Firing,
            starts_at: now,
            ends_at: None,
            labels: Labels::from(labels),
            annotations: Labels::new(),
            generator_url: String::new(),
        };
        let chat = ChatName::from(chat);
        self.write(move |connection| {
            let json = serde_json::to_string(&alert).unwrap();
            connection.execute(
                "INSERT INTO incident (fingerprint, starts_at, status, alert, receiver, external_url, first_received, last_received)
                 VALUES (?1, ?2, 'firing', ?3, 'bridge', '', ?2, ?2)",
                rusqlite::params![alert.fingerprint, milliseconds(now), json],
            )?;
            let incident = IncidentId(connection.last_insert_rowid());
            Ok((store::cards::create(connection, &chat, &[incident], now)?, incident))
        })
        .await
    }

    async fn resolve(&self, incident: IncidentId) {
        let now = milliseconds(self.now());
        self.write(move |connection| {
            connection
                .execute("UPDATE incident SET status = 'resolved', ends_at = ?2 WHERE id = ?1", [incident.0, now])?;
            store::cards::touch_incident(connection, incident)
        })
        .await;
    }

    /// The alert's summary is another one.
    async fn update(&self, incident: IncidentId, summary: &str) {
        let summary = summary.to_owned();
        self.write(move |connection| {
            connection.execute(
                "UPDATE incident SET alert = json_set(alert, '$.annotations.summary', ?2) WHERE id = ?1",
                rusqlite::params![incident.0, summary],
            )?;
            store::cards::touch_incident(connection, incident)
        })
        .await;
    }

    async fn card(&self, id: CardId) -> Card {
        self.write(move |connection| Ok(store::cards::load(connection, id)?.unwrap())).await
    }

    /// Steps a lane until it waits.
    async fn settle_one(&mut self, chat: &str) -> Pause {
        let lane = self.lanes.iter_mut().find(|lane| lane.name.as_str() == chat).unwrap();
        for _ in 0..500 {
            match lane.step().await.unwrap() {
                Pause::No => {}
                pause => return pause,
            }
        }
        panic!("the lane of {chat} never rests");
    }

    /// Steps all lanes until all of them wait, twice, because one may give to another.
    async fn settle(&mut self) {
        for _ in 0..2 {
            for chat in ["ops", "root", "uma"] {
                self.settle_one(chat).await;
            }
        }
    }

    /// Lets time pass, a second at a time.
    async fn run_for(&mut self, seconds: u32) {
        self.run_in_strides(seconds, 1).await;
    }

    /// Lets time pass, as many seconds at a time.
    async fn run_in_strides(&mut self, seconds: u32, stride: u32) {
        for _ in 0..seconds / stride {
            self.settle().await;
            self.pass(f64::from(stride));
        }
        self.settle().await;
    }

    fn counted(&self, count: Count, labels: &[&str]) -> u64 {
        self.service.metrics.counted(count, labels)
    }
}

fn texts(sent: &[(i64, String)], chat_id: i64) -> Vec<&str> {
    sent.iter().filter(|(chat, _)| *chat == chat_id).map(|(_, text)| text.as_str()).collect()
}

fn transient() -> Failure {
    Failure::Transient("status 502: <html>".to_owned())
}

fn after_seconds(world: &World, seconds: f64) -> Timestamp {
    Timestamp::from_seconds(world.now().seconds() + seconds).unwrap()
}
