//! The logs: how many records of each level Hermes has written, and how many tell of a rate limit. No text of a log is
//! kept.
//!
//! What counts is what is written while the exporter watches, from the first look on: what stood in a log before is
//! history, and a restart of the exporter must not look like a burst. Records are counted, not lines ([`record`]). Who goes
//! on from what another process remembers counts also what was written in between.
//!
//! Hermes writes one record into several logs: all into `agent.log` from the level that is configured, warnings and errors
//! into `errors.log`, those of the gateway into `gateway.log` as well. So rate limits ([`rate_limit`]) are looked for in
//! `errors.log` alone, where each warning and each error stands once.
//!
//! A burst that is more than a look may read is caught up with in the background.

mod rate_limit;
mod record;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::background::Job;
use super::memory;
use super::problems::{Because, Problems};
use super::{Collector, Look, Part};
use crate::exporter::instance::Instance;
use crate::exporter::snapshot::logs::{Lines, Logs};
use crate::exporter::snapshot::{Label, Reading};
use crate::system::files::FileError;
use crate::system::log_tail::{Bookmark, Follower, Progress};
use record::Level;

/// The most that one look, or one piece of background work, reads of all logs of an instance: some 10 ms.
const BYTES_AT_ONCE: u64 = 8 * 1024 * 1024;

/// A log that is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Name {
    /// What Hermes and the label `log` call it.
    label: &'static str,
    file: &'static str,
    tells_of_rate_limits: bool,
}

const NAMES: [Name; 3] = [
    Name { label: "agent", file: "logs/agent.log", tells_of_rate_limits: false },
    Name { label: "errors", file: "logs/errors.log", tells_of_rate_limits: true },
    Name { label: "gateway", file: "logs/gateway.log", tells_of_rate_limits: false },
];

/// Watches the logs of one instance.
#[derive(Debug)]
pub struct LogsCollector {
    watch: Arc<Mutex<Watch>>,
}

#[derive(Debug)]
struct Watch {
    logs: [Log; NAMES.len()],
    /// Whether background work goes on reading.
    is_catching_up: bool,
}

impl LogsCollector {
    /// A collector for this instance.
    pub fn new(instance: &Instance) -> Self {
        let logs = NAMES.map(|name| Log {
            name,
            follower: Follower::from_end(instance.path(name.file)),
            counted: Counted::default(),
        });
        LogsCollector { watch: Arc::new(Mutex::new(Watch { logs, is_catching_up: false })) }
    }

    fn read(&self, look: &Look<'_>, problems: &mut Problems) -> Reading<Arc<Logs>> {
        let mut watch = lock(&self.watch);
        let (logs, is_behind) = watch.read(problems);
        let must_catch_up = is_behind && !watch.is_catching_up;
        watch.is_catching_up |= must_catch_up;
        // A one-shot run does the work at once, and takes the lock for it.
        drop(watch);
        if must_catch_up {
            look.background.submit(catching_up(Arc::clone(&self.watch)));
        }
        if logs.lines.values().all(|lines| *lines == Reading::Absent) {
            return Reading::Absent;
        }
        Reading::Known(Arc::new(logs))
    }
}

impl Collector for LogsCollector {
    fn collect(&mut self, look: &Look<'_>, problems: &mut Problems) -> Part {
        Part::Logs(self.read(look, problems))
    }

    fn recall(&mut self, memory: Option<Value>) -> Result<(), serde_json::Error> {
        let Some(memory) = memory else { return Ok(()) };
        let mut remembered: BTreeMap<String, Remembered> = memory::believe(memory)?;
        for log in &remembered {
            log.1.counted.assert()?;
        }
        for log in &mut lock(&self.watch).logs {
            if let Some(Remembered { counted, bookmark }) = remembered.remove(log.name.label) {
                log.counted = counted;
                log.follower = Follower::from_bookmark(log.follower.path().to_owned(), bookmark);
            }
        }
        Ok(())
    }

    fn remember(&self) -> Option<Value> {
        let remembered = |log: &Log| {
            let remembered = Remembered { counted: log.counted, bookmark: log.follower.bookmark() };
            (log.name.label, remembered)
        };
        memory::keep(&lock(&self.watch).logs.iter().map(remembered).collect::<BTreeMap<_, _>>())
    }
}

/// What goes to the next process of one log.
#[derive(Serialize, Deserialize)]
struct Remembered {
    counted: Counted,
    bookmark: Bookmark,
}

/// Reads on, a piece at a time, until the end is reached.
fn catching_up(watch: Arc<Mutex<Watch>>) -> Job {
    Job::new(move || {
        let mut held = lock(&watch);
        // What is wrong is told by the next look.
        let (_, is_behind) = held.read(&mut Problems::default());
        held.is_catching_up = is_behind;
        drop(held);
        is_behind.then(|| catching_up(watch))
    })
}

fn lock(watch: &Mutex<Watch>) -> MutexGuard<'_, Watch> {
    watch.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Watch {
    /// What has been counted by now, and whether there is more to be read.
    fn read(&mut self, problems: &mut Problems) -> (Logs, bool) {
        let mut budget = BYTES_AT_ONCE;
        let (mut lines, mut rate_limited, mut is_behind) = (BTreeMap::new(), Reading::Absent, false);
        for log in &mut self.logs {
            let reading = match log.read(&mut budget) {
                Ok(Progress::Absent) => Reading::Absent,
                Ok(progress) => {
                    is_behind |= progress == Progress::Behind;
                    Reading::Known(log.counted)
                }
                Err(error) => {
                    problems.unknown::<()>(log.name.file, &error);
                    Reading::Unknown(error.reason())
                }
            };
            if log.name.tells_of_rate_limits {
                rate_limited = reading.map(|counted| counted.rate_limited);
            }
            lines.insert(Label::new(log.name.label), reading.map(|counted| counted.lines));
        }
        (Logs { lines, rate_limited }, is_behind)
    }
}

/// One log.
#[derive(Debug)]
struct Log {
    name: Name,
    follower: Follower,
    counted: Counted,
}

impl Log {
    fn read(&mut self, budget: &mut u64) -> Result<Progress, FileError> {
        let Log { name, follower, counted } = self;
        follower.read(budget, &mut |line| counted.add(line, name.tells_of_rate_limits))
    }
}

/// What has been counted of a log.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Counted {
    lines: Lines,
    rate_limited: u64,
    /// The level of the record that the next line may go on, where that may tell of a rate limit and has not yet.
    asked: Option<Level>,
}

impl Counted {
    fn assert(&self) -> Result<(), serde_json::Error> {
        let by_level = self.lines.by_level().into_iter().map(|(_, count)| count);
        memory::assert_counts(by_level.chain([self.rate_limited]))
    }

    fn add(&mut self, line: &[u8], tells_of_rate_limits: bool) {
        if let Some(level) = record::level(line) {
            let lines = &mut self.lines;
            *match level {
                Level::Debug => &mut lines.debug,
                Level::Info => &mut lines.info,
                Level::Warning => &mut lines.warning,
                Level::Error => &mut lines.error,
                Level::Critical => &mut lines.critical,
            } += 1;
            self.asked = Some(level).filter(|level| tells_of_rate_limits && *level >= Level::Warning);
        }
        if self.asked.is_some() && rate_limit::is_told_of_in(line) {
            self.rate_limited += 1;
            self.asked = None;
        }
    }
}

#[cfg(test)]
mod tests;
