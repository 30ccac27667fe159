//! Turns and tool calls: what the messages tell beyond their number.
//!
//! A cursor stands on `messages.id` and goes on over the rows that are new, each of which is read once. The
//! first pass, over everything that is stored, may be millions of rows: what does not fit into [`AT_ONCE`] goes
//! on in the background, in short transactions with as long a pause after each, and nothing is shown before it
//! is through, because a counter that climbs through years of history in a minute looks like a storm. Where the next process
//! goes on from what this one remembers, it goes on there.
//!
//! A turn begins with a person's message, the last one before the answer, and ends with the first answer that
//! calls no tool. When Hermes rewrites a transcript (compaction), the rewritten rows are new rows and count again.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::background::Job;
use super::memory::{self, Exact};
use super::problems::{Because, Problems};
use super::sessions::STORE;
use super::{Collector, Look, Part};
use crate::exporter::instance::Instance;
use crate::exporter::snapshot::activity::{Activity, TURN_BUCKETS, TurnDurations};
use crate::exporter::snapshot::{Label, Reading, Reason, Tally};
use crate::system::sqlite::{Database, DatabaseError, DatabaseStamp, Transaction, number, text};

/// How much of a look may be spent on rows that are behind; the rest is done in the background.
const AT_ONCE: Duration = Duration::from_millis(100);

/// The same where there is one look, and the next process goes on.
const IN_ONE_PROCESS: Duration = Duration::from_secs(2);

/// How long one transaction goes on.
const ONE_STRETCH: Duration = Duration::from_millis(50);

/// The most turns that are followed at once; beyond it those begun longest ago are forgotten.
const MOST_OPEN_TURNS: usize = 10_000;

/// The longest name of a session that goes to the next process; Hermes' own have some thirty letters.
const LONGEST_SESSION: usize = 200;

/// Follows the messages of one instance.
#[derive(Debug)]
pub struct ActivityCollector {
    store: Database,
    follower: Arc<Mutex<Follower>>,
    /// How much of a look may be spent where another process goes on with what this one leaves.
    has_successor: Option<Duration>,
}

/// How far the messages have been followed.
#[derive(Debug, Default)]
struct Follower {
    progress: Progress,
    /// The state of the store that has been followed to its end.
    followed: Option<DatabaseStamp>,
    is_at_work: bool,
    shown: Option<Arc<Activity>>,
    failure: Option<Reason>,
}

#[derive(Debug, Clone, Default)]
struct Progress {
    /// The last row that was read.
    cursor: i64,
    counts: Activity,
    /// When the turn in progress began, by session.
    open_turns: HashMap<String, f64>,
}

impl ActivityCollector {
    /// A collector for this instance.
    pub fn new(instance: &Instance) -> Self {
        ActivityCollector { store: Database::new(instance.path(STORE)), follower: Arc::default(), has_successor: None }
    }

    fn activity(&mut self, look: &Look<'_>, problems: &mut Problems) -> Reading<Arc<Activity>> {
        let stamp = match self.store.stamp() {
            Ok(Some(stamp)) => stamp,
            Ok(None) => return Reading::Absent,
            Err(error) => return problems.unknown(STORE, &error),
        };
        let mut follower = lock(&self.follower);
        if follower.followed != Some(stamp) && !follower.is_at_work {
            let is_only_look = look.background.is_inline();
            let most = match (is_only_look, self.has_successor) {
                (true, most) => most,
                (false, _) => Some(AT_ONCE),
            };
            let until = most.map(|most| Instant::now() + most);
            if follower.follow(&self.store, until).is_break() && !is_only_look {
                follower.is_at_work = true;
                look.background.submit(in_background(self.store.clone(), Arc::clone(&self.follower)));
            }
        }
        match (&follower.shown, follower.failure) {
            (_, Some(reason)) => {
                problems.note(STORE, reason);
                Reading::Unknown(reason)
            }
            (Some(activity), None) => Reading::Known(Arc::clone(activity)),
            (None, None) => {
                problems.note("the first pass over the stored messages", Reason::Timeout);
                Reading::Unknown(Reason::Timeout)
            }
        }
    }
}

impl Collector for ActivityCollector {
    fn collect(&mut self, look: &Look<'_>, problems: &mut Problems) -> Part {
        Part::Activity(self.activity(look, problems))
    }

    fn recall(&mut self, memory: Option<Value>) -> Result<(), serde_json::Error> {
        self.has_successor = Some(IN_ONE_PROCESS);
        if let Some(memory) = memory {
            *lock(&self.follower) = memory::believe::<Remembered>(memory)?.into_follower()?;
        }
        Ok(())
    }

    fn remember(&self) -> Option<Value> {
        memory::keep(&Remembered::of(&lock(&self.follower)))
    }
}

/// What goes to the next process: all but what is of one look.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    cursor: i64,
    turns: [u64; TURN_BUCKETS.len() + 1],
    turns_seconds: Exact,
    tool_calls: Tally,
    open_turns: HashMap<String, Exact>,
    /// Whether the first pass is, so that counts may be shown.
    is_through: bool,
    followed: Option<DatabaseStamp>,
}

fn kept_turns(open_turns: &HashMap<String, f64>) -> HashMap<String, Exact> {
    let kept = open_turns.iter().filter(|(session, _)| session.len() <= LONGEST_SESSION);
    kept.map(|(session, began)| (session.clone(), Exact(*began))).collect()
}

impl Remembered {
    fn of(follower: &Follower) -> Remembered {
        let Follower { progress: Progress { cursor, counts, open_turns }, .. } = follower;
        Remembered {
            cursor: *cursor,
            turns: counts.turns.buckets,
            turns_seconds: Exact(counts.turns.sum_seconds),
            tool_calls: counts.tool_calls.clone(),
            open_turns: kept_turns(open_turns),
            is_through: follower.shown.is_some(),
            followed: follower.followed,
        }
    }

    fn into_follower(self) -> Result<Follower, serde_json::Error> {
        let tool_calls = self.tool_calls.iter().map(|(_, count)| count);
        memory::assert_counts(self.turns.into_iter().chain(tool_calls))?;
        let turns = TurnDurations { buckets: self.turns, sum_seconds: self.turns_seconds.0.max(0.0) };
        let counts = Activity { turns, tool_calls: self.tool_calls };
        let shown = self.is_through.then(|| Arc::new(counts.clone()));
        let open_turns = self.open_turns.into_iter().map(|(session, began)| (session, began.0)).collect();
        let progress = Progress { cursor: self.cursor, counts, open_turns };
        Ok(Follower { progress, followed: self.followed, shown, ..Follower::default() })
    }
}

fn lock(follower: &Mutex<Follower>) -> MutexGuard<'_, Follower> {
    follower.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One transaction of a pass that is too long for a look, and the job to go on with.
fn in_background(store: Database, follower: Arc<Mutex<Follower>>) -> Job {
    Job::new(move || {
        let started = Instant::now();
        let from = lock(&follower).progress.clone();
        let stretched = stretch(&store, &from);
        if lock(&follower).accept(stretched).is_continue() {
            lock(&follower).is_at_work = false;
            return None;
        }
        // Half of the time belongs to whoever else needs the disk and the store.
        std::thread::sleep(started.elapsed());
        Some(in_background(store, follower))
    })
}

impl Follower {
    /// Goes on until the end or `until`; `Continue` when there is nothing more to be done now.
    fn follow(&mut self, store: &Database, until: Option<Instant>) -> ControlFlow<()> {
        while self.accept(stretch(store, &self.progress)).is_break() {
            if until.is_some_and(|until| Instant::now() >= until) {
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }

    /// Takes over what one transaction gave; `Break` when there is more to read.
    fn accept(&mut self, stretched: Result<Option<Stretched>, DatabaseError>) -> ControlFlow<()> {
        self.failure = None;
        let (progress, ended, stamp) = match stretched {
            Ok(Some(stretched)) => stretched,
            Ok(None) => return ControlFlow::Continue(()),
            Err(error) => {
                tracing::debug!(
                    error = crate::error_chain::display_chain(&error),
                    "the messages could not be followed"
                );
                self.failure = Some(error.reason());
                return ControlFlow::Continue(());
            }
        };
        let has_news = progress.cursor != self.progress.cursor;
        let is_through = ended.is_continue();
        self.progress = progress;
        if (is_through && self.shown.is_none()) || (has_news && (is_through || self.shown.is_some())) {
            self.shown = Some(Arc::new(self.progress.counts.clone()));
        }
        if is_through {
            self.followed = stamp;
        }
        ended
    }
}

/// How far it came, whether that was the end, and the stamp before, where a later change would show in it.
type Stretched = (Progress, ControlFlow<()>, Option<DatabaseStamp>);

/// Follows the messages for the length of one transaction. `None` where there is no store.
fn stretch(store: &Database, from: &Progress) -> Result<Option<Stretched>, DatabaseError> {
    // Before the read, so that what is written during it shows as a change afterwards.
    let Some(stamp) = store.stamp()? else {
        return Ok(None);
    };
    let stamp = Some(stamp).filter(DatabaseStamp::is_settled);
    let stretched = store.read(|transaction| {
        // A read may be repeated, so each attempt starts from the same place.
        let mut progress = from.clone();
        let ended = progress.read_on(transaction, Instant::now() + ONE_STRETCH)?;
        Ok((progress, ended))
    })?;
    Ok(stretched.map(|(progress, ended)| (progress, ended, stamp)))
}

impl Progress {
    fn read_on(&mut self, transaction: &Transaction<'_>, until: Instant) -> Result<ControlFlow<()>, rusqlite::Error> {
        let newest = "SELECT max(id) FROM messages";
        let newest: i64 = transaction.row(newest, [], |row| row.get::<_, Option<i64>>(0))?.flatten().unwrap_or(0);
        if newest < self.cursor {
            // An older copy of the store was put in place: its messages have been counted before.
            self.cursor = newest;
            self.open_turns.clear();
        }
        let sql = "SELECT id, session_id, role, timestamp, tool_calls FROM messages WHERE id > ?1 ORDER BY id";
        let ended = transaction.rows(sql, [self.cursor], |row| {
            self.cursor = row.get(0)?;
            // A row that is not what it should be is passed over: it must not stop those behind it.
            let session = text(row, 1)?.unwrap_or_default();
            match (text(row, 2)?, number(row, 3)?) {
                (Some("user"), Some(at)) => self.turn_begins(session, at),
                (Some("assistant"), at) => match (text(row, 4)?, at) {
                    (None | Some("" | "[]" | "null"), Some(at)) => self.turn_ends(session, at),
                    (None, None) => {}
                    (Some(calls), _) => self.tools_are_called(calls),
                },
                _ => {}
            }
            Ok(if Instant::now() < until { ControlFlow::Continue(()) } else { ControlFlow::Break(()) })
        })?;
        self.forget_oldest_turns();
        Ok(ended)
    }

    fn turn_begins(&mut self, session: &str, at: f64) {
        // A message that comes before the answer interrupts the agent, which begins anew.
        self.open_turns.insert(session.to_owned(), at);
    }

    fn turn_ends(&mut self, session: &str, at: f64) {
        if let Some(began) = self.open_turns.remove(session) {
            self.counts.turns.observe((at - began).max(0.0));
        }
    }

    fn tools_are_called(&mut self, calls: &str) {
        for call in serde_json::from_str::<Vec<Value>>(calls).unwrap_or_default() {
            if let Some(name) = call.pointer("/function/name").and_then(Value::as_str) {
                self.counts.tool_calls.add(Label::word(name).as_str(), 1);
            }
        }
    }

    fn forget_oldest_turns(&mut self) {
        if self.open_turns.len() > MOST_OPEN_TURNS {
            let mut began: Vec<f64> = self.open_turns.values().copied().collect();
            let (_, limit, _) = began.select_nth_unstable_by(MOST_OPEN_TURNS, |a, b| b.total_cmp(a));
            let limit = *limit;
            self.open_turns.retain(|_, at| *at > limit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporter::collect::background::Background;
    use crate::exporter::collect::exposure::Sockets;
    use crate::exporter::collect::gateway::GatewayProcesses;
    use crate::exporter::collect::programs::HermesPrograms;
    use crate::exporter::instance::tests::instance_at;
    use crate::exporter::snapshot::Problem;
    use crate::system::time::Timestamp;
    use proptest::prelude::*;
    use rusqlite::{Connection, params};

    struct Home(tempfile::TempDir);

    impl Home {
        fn new() -> Home {
            let home = Home(tempfile::tempdir().unwrap());
            let messages = "CREATE TABLE messages (id INTEGER PRIMARY KEY AUTOINCREMENT, session_id TEXT, role TEXT, \
                            timestamp REAL, tool_calls TEXT)";
            home.store().execute(messages, []).unwrap();
            home
        }

        fn store(&self) -> Connection {
            Connection::open(self.0.path().join(STORE)).unwrap()
        }

        fn write(&self, store: &Connection, message: Message) {
            let (role, calls) = match message.kind {
                0 => ("user", None),
                1 => ("assistant", Some(r#"[{"function": {"name": "terminal"}}]"#)),
                _ => ("assistant", None),
            };
            let row = params![format!("session {}", message.session), role, message.at, calls];
            let insert = "INSERT INTO messages (session_id, role, timestamp, tool_calls) VALUES (?1, ?2, ?3, ?4)";
            store.execute(insert, row).unwrap();
        }

        fn collector(&self) -> ActivityCollector {
            ActivityCollector::new(&instance_at(self.0.path()))
        }

        fn look(&self, collector: &mut ActivityCollector) -> (Reading<Arc<Activity>>, Vec<Problem>) {
            let programs = Arc::new(HermesPrograms::default());
            let look = Look {
                now: Timestamp::now(),
                instance: &instance_at(self.0.path()),
                gateways: &GatewayProcesses::new(Arc::clone(&programs)),
                programs: &programs,
                sockets: &Sockets::default(),
                background: &Background::inline(),
            };
            let mut problems = Problems::default();
            let activity = collector.activity(&look, &mut problems);
            (activity, problems.into_sorted())
        }
    }

    /// One that goes on from what another one has left, as it is written.
    fn successor(home: &Home, collector: &ActivityCollector) -> ActivityCollector {
        let kept = collector.remember().unwrap().to_string();
        let mut successor = home.collector();
        successor.recall(Some(serde_json::from_str(&kept).unwrap())).unwrap();
        successor
    }

    #[derive(Debug, Clone, Copy)]
    struct Message {
        session: u8,
        kind: u8,
        at: f64,
        /// Whether a process ends after it, and another one goes on.
        is_last: bool,
    }

    fn message() -> impl Strategy<Value = Message> {
        let fields = (0..3_u8, 0..3_u8, 0.0..1e10, prop::bool::weighted(0.3));
        fields.prop_map(|(session, kind, at, is_last)| Message { session, kind, at, is_last })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn a_history_in_any_pieces_gives_the_counts_of_the_whole(messages in prop::collection::vec(message(), 1..40)) {
            let home = Home::new();
            let store = home.store();
            store.execute_batch("PRAGMA synchronous = off").unwrap();
            let mut collector = home.collector();
            collector.recall(None).unwrap();
            let mut turns = 0;
            for message in messages {
                home.write(&store, message);
                if message.is_last {
                    collector = successor(&home, &collector);
                    let (activity, _) = home.look(&mut collector);
                    let now = activity.known().unwrap().turns.count();
                    prop_assert!(turns <= now);
                    turns = now;
                }
            }
            collector = successor(&home, &collector);
            let in_pieces = home.look(&mut collector);
            prop_assert_eq!(in_pieces, home.look(&mut home.collector()));
        }
    }

    #[test]
    fn a_long_history_is_gone_through_by_several_processes_and_shown_at_its_end() {
        let home = Home::new();
        let rows: u32 = 300_000;
        let many = "WITH RECURSIVE number(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM number WHERE n < ?1)
                    INSERT INTO messages (session_id, role, timestamp)
                    SELECT 'a', iif(n % 2, 'user', 'assistant'), n FROM number";
        home.store().execute(many, [rows]).unwrap();
        let mut collector = home.collector();
        collector.recall(None).unwrap();
        let mut processes = 0;
        let activity = loop {
            // As long as one transaction, which is the least.
            collector.has_successor = Some(Duration::ZERO);
            processes += 1;
            match home.look(&mut collector) {
                (Reading::Known(activity), _) => break activity,
                (reading, problems) => {
                    assert_eq!((reading, problems.len()), (Reading::Unknown(Reason::Timeout), 1));
                    let cursor = lock(&collector.follower).progress.cursor;
                    collector = successor(&home, &collector);
                    assert_eq!(lock(&collector.follower).progress.cursor, cursor);
                }
            }
        };
        assert!(processes > 1);
        assert_eq!(activity.turns.count(), u64::from(rows / 2));
    }

    #[test]
    fn an_unchanged_store_is_not_opened_by_the_next_process() {
        let home = Home::new();
        home.write(&home.store(), Message { session: 0, kind: 1, at: 1.0, is_last: false });
        let path = home.0.path().join(STORE);
        let mut collector = home.collector();
        collector.recall(None).unwrap();
        // Until its stamp has settled.
        while lock(&collector.follower).followed.is_none() {
            home.look(&mut collector);
        }
        let mut next = successor(&home, &collector);
        let followed = lock(&next.follower).followed;
        assert!(followed.is_some() && followed == Database::new(path).stamp().unwrap());
        // What would be read is not.
        lock(&next.follower).progress.cursor = 0;
        assert_eq!(home.look(&mut next).0.known().unwrap().tool_calls.get("terminal"), 1);
    }

    #[test]
    fn a_memory_that_can_not_be_is_an_error_and_begins_anew() {
        let home = Home::new();
        let mut collector = home.collector();
        collector.recall(None).unwrap();
        home.look(&mut collector);
        let kept = collector.remember().unwrap();
        for (field, wrong) in [("/cursor", Value::Null), ("/turns/3", u64::MAX.into()), ("/turns_seconds", (-1).into())]
        {
            let mut memory = kept.clone();
            *memory.pointer_mut(field).unwrap() = wrong;
            assert!(home.collector().recall(Some(memory)).is_err(), "{field}");
        }
    }
}
