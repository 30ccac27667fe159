//! Sessions, messages and model usage, counted in `state.db`.
//!
//! The store of a busy home has millions of messages, and a gateway writes to it all the time, so what is read
//! depends on what has changed:
//!
//! * nothing is read as long as the files are unchanged;
//! * on a change, a few row look-ups tell what moves all the time ([`pulse`]);
//! * everything that takes a scan ([`census`]) is counted anew at once where that is quick, and in the background
//!   at most a hundredth of the time where it is not: a census that takes 300 ms is at most 30 s old.
//!
//! Columns are looked for, never assumed: the version number in the store can lag behind its real columns.

mod census;
mod pulse;

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::kept::{Freshness, Kept};
use super::problems::{Because, Problems};
use super::{Collector, Look, Part};
use crate::exporter::instance::Instance;
use crate::exporter::snapshot::sessions::Sessions;
use crate::exporter::snapshot::{Reading, Reason};
use crate::system::sqlite::{DatabaseError, DatabaseStamp, WatchedDatabase};
use crate::system::time::Timestamp;
use census::Census;
use pulse::Pulse;

/// The store, and what a problem with it is called.
pub(super) const STORE: &str = "state.db";

/// A session is active when its last message is younger than this; Hermes' own dashboard uses the same.
const ACTIVE_SECONDS: f64 = 300.0;

/// A census that took no longer than this is made at every change.
const QUICK: Duration = Duration::from_millis(5);

/// A slower one is kept for this many times as long as it took.
const KEPT_FOR_TIMES: u32 = 100;

/// Counts the sessions of one instance.
#[derive(Debug)]
pub struct SessionsCollector {
    longest_kept: Duration,
    pulse: WatchedDatabase<Pulse>,
    census: Kept<Counted>,
}

/// A census, what it is of, and what it cost.
#[derive(Debug, Clone)]
struct Counted {
    /// The store before it was counted; `None` where a change in the same instant would not have shown.
    of: Option<DatabaseStamp>,
    census: Result<Arc<Census>, Reason>,
    took: Duration,
    /// Whether part of it failed in a way that may be over by now.
    is_passing: bool,
}

impl SessionsCollector {
    /// A collector for this instance; a slow census is at most `longest_kept` old.
    pub fn new(instance: &Instance, longest_kept: Duration) -> Self {
        SessionsCollector { longest_kept, pulse: WatchedDatabase::new(instance.path(STORE)), census: Kept::new() }
    }

    fn sessions(&mut self, look: &Look<'_>, problems: &mut Problems) -> Reading<Arc<Sessions>> {
        let stamp = match self.pulse.database().stamp() {
            Ok(Some(stamp)) => stamp,
            Ok(None) => return Reading::Absent,
            Err(error) => return problems.unknown(STORE, &error),
        };
        let pulse = self.pulse(stamp, look.now);
        let census = self.census(stamp, look);
        for reason in [pulse.as_ref().err(), census.as_ref().err()].into_iter().flatten() {
            problems.note(STORE, *reason);
        }
        let (pulse, census) = (of(&pulse), of(&census));
        if let Some(census) = census.known() {
            for reason in census.failures() {
                problems.note(STORE, reason);
            }
        }
        Reading::Known(Arc::new(Sessions {
            database_bytes: stamp.database.size,
            wal_bytes: stamp.wal_bytes(),
            schema_version: pulse.and_then(|pulse| pulse.schema_version.into()),
            active: pulse.map(|pulse| {
                pulse.active.iter().filter(|last| look.now.seconds_since(**last) < ACTIVE_SECONDS).count() as u64
            }),
            messages_ever: pulse.and_then(|pulse| pulse.messages_ever.into()),
            messages_stored: census.and_then(|census| {
                let since = pulse.known().and_then(|pulse| pulse.messages_ever).unwrap_or(census.messages_ever);
                census.messages.map(|counted| counted + since.saturating_sub(census.messages_ever))
            }),
            last_message: pulse.and_then(|pulse| {
                let of_all = census.known().and_then(|census| census.last_message);
                [pulse.last_message, of_all].into_iter().flatten().reduce(Timestamp::later).into()
            }),
            counts: census.and_then(|census| census.sessions.clone()),
            model_usage: census.and_then(|census| census.model_usage.clone()),
        }))
    }

    /// What moves all the time; read again when the store has changed.
    fn pulse(&mut self, stamp: DatabaseStamp, now: Timestamp) -> Result<Arc<Pulse>, Reason> {
        let since = now.seconds() - ACTIVE_SECONDS;
        match self.pulse.get_as_of(stamp, |transaction| pulse::read(transaction, since)) {
            Ok(pulse) => pulse.ok_or(Reason::NotFound),
            Err(error) => Err(reason_of(&error)),
        }
    }

    /// What takes a scan; made again as often as its cost allows.
    fn census(&self, stamp: DatabaseStamp, look: &Look<'_>) -> Result<Arc<Census>, Reason> {
        let judge = |counted: &Counted, age: Duration| {
            if counted.of == Some(stamp) {
                Freshness::Good
            } else if counted.took <= QUICK || counted.is_passing {
                Freshness::Wrong
            } else {
                Freshness::by_age(age, (counted.took * KEPT_FOR_TIMES).min(self.longest_kept))
            }
        };
        let store = self.pulse.database().clone();
        let counted = self.census.get(judge, look.background, move || {
            let started = Instant::now();
            let of = store.stamp().ok().flatten().filter(DatabaseStamp::is_settled);
            let taken = census::take(&store);
            let is_lasting = taken.as_ref().map_or_else(DatabaseError::is_lasting, |census| census.is_lasting);
            let census = taken.map(Arc::new).map_err(|error| reason_of(&error));
            Counted { of: of.filter(|_| is_lasting), census, took: started.elapsed(), is_passing: !is_lasting }
        });
        counted.map_or(Err(Reason::Timeout), |counted| counted.census)
    }
}

impl Collector for SessionsCollector {
    fn collect(&mut self, look: &Look<'_>, problems: &mut Problems) -> Part {
        Part::Sessions(self.sessions(look, problems))
    }
}

fn reason_of(error: &DatabaseError) -> Reason {
    tracing::debug!(error = crate::error_chain::display_chain(error), "the store could not be read");
    error.reason()
}

fn of<T>(result: &Result<Arc<T>, Reason>) -> Reading<&T> {
    match result {
        Ok(value) => Reading::Known(value),
        Err(reason) => Reading::Unknown(*reason),
    }
}
