//! The task that owns the connection to one manager.
//!
//! Questions that come at the same time are asked as one: a scrape of many instances makes one list. A connection that
//! fails, or that does not answer in time, is dropped, and made anew after a pause that grows; who asks in between
//! learns the reason at once. It is made anew also while nobody asks, because only who listens can count failures.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::stream::{SelectAll, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use zbus::{Connection, MatchRule, Message, MessageStream, OwnedVariant};

use super::connect::{Reached, connect};
use super::failures::{CountedFailures, Failures, Sample};
use super::kept::{Changes, Kept};
use super::{Address, ManagerError, Places, View, Wanted, calls};

/// How long connecting, with everything that belongs to it, may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The pause after the first failure; it doubles with each further one.
const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Questions that wait at the same time; further ones wait to be let in.
const MOST_QUESTIONS: usize = 1024;

/// Signals that wait to be looked at.
const MOST_SIGNALS: NonZeroUsize = NonZeroUsize::new(4096).unwrap();

/// Who asks gets the answer this long before the deadline, so that it can still be used.
const LAST_WORD: Duration = Duration::from_millis(50);

type Outcome = Result<Arc<View>, Arc<ManagerError>>;

/// One manager, asked by whoever holds this; the task ends when nobody does.
#[derive(Debug, Clone)]
pub(super) struct Manager {
    address: Address,
    questions: mpsc::Sender<Question>,
    heard: Arc<Mutex<Heard>>,
}

#[derive(Debug)]
struct Question {
    wanted: Wanted,
    deadline: Instant,
    answer: oneshot::Sender<Outcome>,
}

impl Manager {
    /// Starts the task, which goes on from what was counted before.
    pub(super) fn start(address: Address, places: Places, counted: CountedFailures) -> Manager {
        let heard = Heard { failures: Failures::after(counted), ..Heard::default() };
        let heard = Arc::new(Mutex::new(heard));
        let (questions, asked) = mpsc::channel(MOST_QUESTIONS);
        let keeper = Keeper {
            address: address.clone(),
            places,
            state: State::Unreached { last: None, since: Instant::now(), retry: Instant::now() },
            failures_in_a_row: 0,
            heard: Arc::clone(&heard),
            kept: Kept::default(),
            started_by_timers: BTreeMap::new(),
            every_name: BTreeSet::new(),
            has_gap: true,
        };
        tokio::spawn(keeper.work(asked));
        Manager { address, questions, heard }
    }

    /// The failures that were counted so far.
    pub(super) fn counted(&self) -> CountedFailures {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).failures.counted()
    }

    /// Which manager it is, and how it is reached.
    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// What the manager says, at the latest shortly before `deadline`.
    pub(super) async fn ask(&self, wanted: Wanted, deadline: Instant) -> Outcome {
        let deadline = deadline.checked_sub(LAST_WORD).unwrap_or(deadline);
        let (answer, answered) = oneshot::channel();
        let asking = async {
            // Either fails only while the program ends.
            self.questions.send(Question { wanted, deadline, answer }).await.ok()?;
            answered.await.ok()
        };
        match tokio::time::timeout_at(deadline.into(), asking).await {
            Ok(Some(outcome)) => outcome,
            Ok(None) | Err(_) => Err(Arc::new(ManagerError::Timeout)),
        }
    }
}

#[derive(Debug)]
struct Keeper {
    address: Address,
    places: Places,
    state: State,
    /// How often connecting or asking has failed since there was last an answer.
    failures_in_a_row: u32,
    heard: Arc<Mutex<Heard>>,
    kept: Kept,
    started_by_timers: BTreeMap<String, String>,
    /// Every unit that anybody has asked for by its name.
    every_name: BTreeSet<String>,
    /// Whether signals may have been missed since units were last asked for.
    has_gap: bool,
}

#[derive(Debug)]
enum State {
    Connected(Line),
    /// Not connected; what became of the last attempt, and when the next one is made even if nobody asks.
    Unreached {
        last: Option<Outcome>,
        since: Instant,
        retry: Instant,
    },
}

/// A connection, and the task that listens to its signals until it breaks.
#[derive(Debug)]
struct Line {
    connection: Connection,
    listening: JoinHandle<()>,
}

impl Drop for Line {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

impl Keeper {
    async fn work(mut self, mut asked: mpsc::Receiver<Question>) {
        let mut questions = Vec::new();
        loop {
            let has_broken = match &mut self.state {
                State::Connected(line) => tokio::select! {
                    biased;
                    _ = &mut line.listening => true,
                    count = asked.recv_many(&mut questions, MOST_QUESTIONS) => {
                        if count == 0 {
                            return;
                        }
                        false
                    }
                },
                State::Unreached { retry, .. } => {
                    let retry = *retry;
                    tokio::select! {
                        count = asked.recv_many(&mut questions, MOST_QUESTIONS) => {
                            if count == 0 {
                                return;
                            }
                        }
                        () = tokio::time::sleep_until(retry.into()) => self.reach().await,
                    }
                    false
                }
            };
            if has_broken {
                tracing::debug!(manager = ?self.name(), "the connection to a manager has broken");
                self.lose(None);
            }
            if questions.is_empty() {
                continue;
            }
            // Those who ask at the same moment are let in together.
            tokio::task::yield_now().await;
            while let Ok(question) = asked.try_recv() {
                questions.push(question);
            }
            let outcome = self.answer(&questions).await;
            for question in questions.drain(..) {
                // An error is one who has not waited.
                let _ = question.answer.send(outcome.clone());
            }
        }
    }

    fn name(&self) -> String {
        match &self.address {
            Address::System => "system".to_owned(),
            Address::User { user, .. } => format!("user {user}"),
        }
    }

    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tries to connect; notes what became of it.
    async fn reach(&mut self) {
        let attempt = async {
            match connect(&self.address, &self.places).await? {
                Reached::Connected(connection) => {
                    let listening = listen(&connection, Arc::clone(&self.heard)).await.map_err(ManagerError::Bus)?;
                    Ok(Some(Line { connection, listening }))
                }
                Reached::NotRunning => Ok(None),
            }
        };
        let outcome = tokio::time::timeout(CONNECT_TIMEOUT, attempt).await.unwrap_or(Err(ManagerError::Timeout));
        match outcome {
            Ok(Some(line)) => {
                tracing::debug!(manager = self.name(), "connected to a manager");
                self.state = State::Connected(line);
            }
            Ok(None) => self.lose(Some(Ok(Arc::new(View::NotRunning)))),
            Err(error) => self.lose(Some(Err(Arc::new(error)))),
        }
    }

    /// Notes that there is no connection, and why. Without a reason whoever asks has the next attempt made at once.
    fn lose(&mut self, why: Option<Outcome>) {
        self.has_gap = true;
        let mut heard = self.heard();
        heard.failures.begin_gap();
        heard.changes.note_everything();
        drop(heard);
        let pause = SHORTEST_PAUSE * 2_u32.saturating_pow(self.failures_in_a_row.min(8));
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        let since = Instant::now();
        self.state = State::Unreached { last: why, since, retry: since + pause.min(LONGEST_PAUSE) };
    }

    async fn answer(&mut self, questions: &[Question]) -> Outcome {
        let mut wanted = Wanted::default();
        for question in questions {
            wanted.names.extend(question.wanted.names.iter().cloned());
            wanted.patterns.extend(question.wanted.patterns.iter().cloned());
            wanted.identities.extend(question.wanted.identities.iter().cloned());
        }
        self.every_name.extend(wanted.names.iter().cloned());
        let every_name = wanted.names.iter().chain(self.started_by_timers.values());
        self.heard().failures.want(every_name, wanted.patterns.iter());
        if let State::Unreached { last, since, retry } = &self.state {
            match last {
                // One that has been started meanwhile is not to be called missing.
                Some(Ok(_)) if since.elapsed() > SHORTEST_PAUSE => self.reach().await,
                Some(last) if Instant::now() < *retry => return last.clone(),
                _ => self.reach().await,
            }
        }
        let line = match &self.state {
            State::Connected(line) => line,
            State::Unreached { last: Some(last), .. } => return last.clone(),
            State::Unreached { last: None, .. } => return Err(Arc::new(ManagerError::Timeout)),
        };
        if self.has_gap {
            // Also what nobody asks for just now may have failed meanwhile.
            wanted.names.clone_from(&self.every_name);
        }
        let connection = line.connection.clone();
        let deadline = questions.iter().map(|question| question.deadline).max().unwrap_or_else(Instant::now);
        let changes = std::mem::take(&mut self.heard().changes);
        self.kept.forget(changes);
        let round = calls::ask(&connection, &wanted, &mut self.started_by_timers, &mut self.kept);
        let failure = match tokio::time::timeout_at(deadline.into(), round).await {
            Ok(Ok(round)) => {
                self.failures_in_a_row = 0;
                return Ok(Arc::new(self.view(round)));
            }
            Ok(Err(error)) => ManagerError::from_call(error),
            Err(_) => ManagerError::Timeout,
        };
        let failure = Arc::new(failure);
        self.lose(Some(Err(Arc::clone(&failure))));
        Err(failure)
    }

    fn view(&mut self, round: calls::Round) -> View {
        let calls::Round { mut units, matches, untold, samples } = round;
        self.has_gap = false;
        let failures = &mut self.heard.lock().unwrap_or_else(PoisonError::into_inner).failures;
        failures.want(samples.iter().map(|(name, _)| name), std::iter::empty());
        for (name, sample) in samples {
            failures.see_when_asked(&name, sample);
        }
        for unit in units.values_mut() {
            unit.failures = failures.of(&unit.name);
        }
        View::Running { units, matches, untold }
    }
}

/// What the signals of a manager have told.
#[derive(Debug, Default)]
struct Heard {
    failures: Failures,
    changes: Changes,
}

impl Heard {
    fn hear(&mut self, message: &Message) {
        let Some(unit) = unit_of(message) else {
            // One of the manager itself: its units are loaded anew, or others are enabled.
            self.changes.note_everything();
            return;
        };
        // Most are about units that nobody wants to know about, and are not even looked into.
        if self.failures.is_wanted(&unit) {
            if let Some(sample) = sample_of(message) {
                self.failures.see(&unit, sample);
            }
            self.changes.note(unit);
        }
    }
}

impl ManagerError {
    fn from_call(error: zbus::Error) -> ManagerError {
        let is_late = |error: &std::io::Error| error.kind() == std::io::ErrorKind::TimedOut;
        match &error {
            zbus::Error::InputOutput(source) if is_late(source) => ManagerError::Timeout,
            _ => ManagerError::Bus(error),
        }
    }
}

/// Starts listening to the signals of the manager; the task ends when the connection does, or when the manager is
/// another one than before.
async fn listen(connection: &Connection, heard: Arc<Mutex<Heard>>) -> zbus::Result<JoinHandle<()>> {
    let from_manager = || {
        let rule = MatchRule::builder().msg_type(zbus::message::Type::Signal);
        // At a manager's own socket there is nobody else.
        if connection.is_bus() { rule.sender("org.freedesktop.systemd1") } else { rule }
    };
    let of_manager = |member| {
        from_manager().path("/org/freedesktop/systemd1").interface("org.freedesktop.systemd1.Manager").member(member)
    };
    let rules = [
        from_manager()
            .interface("org.freedesktop.DBus.Properties")
            .member("PropertiesChanged")
            .path_namespace("/org/freedesktop/systemd1/unit"),
        of_manager("Reloading"),
        of_manager("UnitFilesChanged"),
    ];
    let mut changes = SelectAll::new();
    for rule in rules {
        changes.push(MessageStream::for_match_rule(rule.build()?, connection, Some(MOST_SIGNALS)).await?);
    }
    let successions = if connection.is_bus() {
        let successions = MatchRule::builder()
            .msg_type(zbus::message::Type::Signal)
            .sender("org.freedesktop.DBus")
            .interface("org.freedesktop.DBus")
            .member("NameOwnerChanged")
            .arg(0, "org.freedesktop.systemd1")
            .build()?;
        Some(MessageStream::for_match_rule(successions, connection, None).await?)
    } else {
        None
    };
    calls::subscribe(connection).await?;
    let closed = connection.clone();
    Ok(tokio::spawn(async move {
        let succession = async {
            match successions {
                Some(mut successions) => drop(successions.next().await),
                None => std::future::pending().await,
            }
        };
        tokio::pin!(succession);
        loop {
            tokio::select! {
                message = changes.next() => match message {
                    Some(Ok(message)) => heard.lock().unwrap_or_else(PoisonError::into_inner).hear(&message),
                    Some(Err(_)) | None => return,
                },
                () = &mut succession => return,
                () = closed.closed() => return,
            }
        }
    }))
}

/// The unit that a signal is about; `None` for one of the manager itself.
fn unit_of(message: &Message) -> Option<String> {
    let header = message.header();
    let path = header.path()?.as_str();
    path.contains("/unit/").then(|| unit_name(path))?
}

/// How a service is, by a signal of it.
fn sample_of(message: &Message) -> Option<Sample> {
    let body = message.body();
    let (_, mut changed, _): (String, std::collections::HashMap<String, OwnedVariant>, Vec<String>) =
        body.deserialize().ok()?;
    let mut take = |property: &str| changed.remove(property);
    let result = String::try_from(take("Result")?).ok()?;
    let main_start = u64::try_from(take("ExecMainStartTimestamp")?).ok()?;
    let restarts = u32::try_from(take("NRestarts")?).ok()?;
    Some(Sample { result, main_start, restarts: restarts.into() })
}

/// The name of a unit from its object: every byte but letters and digits is written as `_` and two hexadecimal digits.
fn unit_name(path: &str) -> Option<String> {
    let escaped = path.rsplit('/').next()?;
    let mut bytes = Vec::with_capacity(escaped.len());
    let mut rest = escaped.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'_' {
            let digits = [rest.next()?, rest.next()?];
            bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_objects_are_read_back() {
        let path = "/org/freedesktop/systemd1/unit/hermes_2dgateway_40uma_2eservice";
        assert_eq!(unit_name(path).as_deref(), Some("hermes-gateway@uma.service"));
        for wrong in ["/unit/a_", "/unit/a_2", "/unit/a_zz", "/unit/a_ff"] {
            assert_eq!(unit_name(wrong), None, "{wrong}");
        }
    }
}
