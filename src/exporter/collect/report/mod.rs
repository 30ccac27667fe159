//! The report of one instance: a Snapshot that the instance's own exporter has written down, read as far as it can be
//! believed.
//!
//! Whoever writes it may be anybody: another version, a program that is broken, or somebody who means harm. So it is
//! opened without following or waiting for anything, read up to a size, and counts for the instance that the
//! configuration says and for no other.
//!
//! * [`form`]: from bytes to a Snapshot, whatever version has written them.
//! * [`limits`]: how much of a report is taken.
//! * [`by_now`]: what follows from the time that has passed since it was written.
//!
//! This is not for writing reports ([`crate::exporter::cli`]), nor for when they are read ([`super::engine`]).

mod by_now;
mod form;
mod limits;
#[cfg(test)]
pub(crate) mod mutation;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::sync::Arc;

use super::problems::{Because, Problems};
use crate::error_chain::display_chain;
use crate::exporter::reported::Reported;
use crate::exporter::snapshot::{CollectorRun, Identity, Label, Reading, Reason, Snapshot, Source, Threshold};
use crate::system::files::{self, FileError, ParseFault, Stamp};
use crate::system::time::Timestamp;
use crate::system::users;
use form::Told;

/// The most bytes of a report that are read; a larger one is refused. The largest of a real instance has a tenth.
pub const MOST_BYTES: u64 = 1024 * 1024;

/// How far ahead of this clock a report may be from: clocks differ.
const MOST_AHEAD_SECONDS: f64 = 300.0;

/// Why a report can not be read, or not be believed.
#[derive(Debug, Clone, thiserror::Error)]
enum ReportError {
    /// There is no such file.
    #[error("there is no report at {}", path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
    },
    /// It can not be read, is no regular file, is too large, or is no JSON.
    #[error(transparent)]
    File(#[from] FileError),
    /// It belongs to somebody else than the instance.
    #[error("{} belongs to user {owner}, and not to {user:?}", path.display())]
    Owner {
        /// The report.
        path: PathBuf,
        /// The id of whoever has written it.
        owner: u32,
        /// Who should have.
        user: String,
    },
    /// It has more in it than any instance.
    #[error("{} has more than {} values", path.display(), limits::MOST_VALUES)]
    TooMuch {
        /// The report.
        path: PathBuf,
    },
    /// It is JSON, and no report: a part that every version writes is not there.
    #[error("{} is no report: it has no {lacks}", path.display())]
    Form {
        /// The report.
        path: PathBuf,
        /// What is not there, or not understood.
        lacks: &'static str,
    },
    /// It is about another instance.
    #[error("{} is the report of another instance", path.display())]
    Name {
        /// The report.
        path: PathBuf,
    },
    /// It is from the future.
    #[error("{} is from {seconds:.0} s ahead of this clock", path.display())]
    Ahead {
        /// The report.
        path: PathBuf,
        /// How far ahead.
        seconds: f64,
    },
}

impl ReportError {
    /// What about the report it is: a fixed name.
    fn subject(&self) -> &'static str {
        match self {
            ReportError::Missing { .. } | ReportError::File(_) | ReportError::Form { .. } => CollectorRun::REPORT,
            ReportError::Owner { .. } => "owner of the report",
            ReportError::TooMuch { .. } => "size of the report",
            ReportError::Name { .. } => "name in the report",
            ReportError::Ahead { .. } => "time of the report",
        }
    }
}

impl Because for ReportError {
    fn reason(&self) -> Reason {
        match self {
            ReportError::Missing { .. } => Reason::NotFound,
            ReportError::File(error) => error.reason(),
            ReportError::Owner { .. } => Reason::Permission,
            ReportError::TooMuch { .. } | ReportError::Name { .. } => Reason::Unsupported,
            ReportError::Form { .. } | ReportError::Ahead { .. } => Reason::Parse,
        }
    }
}

/// Whose an instance is, as far as that was ever known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Whose {
    /// The user; nothing while nobody knows.
    pub user: String,
    /// The profile.
    pub profile: String,
}

impl Whose {
    /// As the configuration says.
    pub fn of(reported: &Reported) -> Whose {
        Whose { user: reported.user.clone().unwrap_or_default(), profile: "default".to_owned() }
    }
}

/// An instance of which nothing has been asked.
pub fn blank(reported: &Reported, whose: &Whose, at: Timestamp) -> Snapshot {
    let Whose { user, profile } = whose.clone();
    let identity = Identity { name: reported.name.clone(), user, profile, source: Source::Report };
    Snapshot {
        thresholds: reported.thresholds,
        ignored_findings: reported.ignored_findings.iter().map(|code| code.label()).collect(),
        ..Snapshot::at(at, identity)
    }
}

/// The same instance where everything is unknown, for one reason.
pub fn all_unknown(blank: Snapshot, reason: Reason) -> Snapshot {
    Snapshot {
        gateway: Reading::Unknown(reason),
        sessions: Reading::Unknown(reason),
        activity: Reading::Unknown(reason),
        cron: Reading::Unknown(reason),
        credentials: Reading::Unknown(reason),
        inventory: Reading::Unknown(reason),
        home: Reading::Unknown(reason),
        units: Reading::Unknown(reason),
        endpoints: Reading::Unknown(reason),
        exposure: Reading::Unknown(reason),
        guardrails: Reading::Unknown(reason),
        backups: Reading::Unknown(reason),
        logs: Reading::Unknown(reason),
        ..blank
    }
}

/// Reads the report of one instance, again and again.
#[derive(Debug)]
pub struct ReportReader {
    reported: Reported,
    kept: Option<Kept>,
    whose: Whose,
    /// Since when collectors of the instance have failed in every report: who writes them begins anew each time, and can
    /// not know.
    failing: HashMap<String, Timestamp>,
}

/// What one content of the file says, and the stamp that it had.
#[derive(Debug)]
struct Kept {
    stamp: Stamp,
    told: Arc<Told>,
}

impl ReportReader {
    /// Of this instance.
    pub fn new(reported: &Reported) -> ReportReader {
        ReportReader { whose: Whose::of(reported), reported: reported.clone(), kept: None, failing: HashMap::new() }
    }

    /// What the report says, as of now. What can not be told is unknown in it and noted.
    pub fn read(&mut self, now: Timestamp, problems: &mut Problems) -> Snapshot {
        let told = match self.told(now) {
            Ok(told) => told,
            Err(error) => {
                tracing::debug!(instance = self.reported.name, error = display_chain(&error), "a report was not read");
                problems.note(error.subject(), error.reason());
                return all_unknown(self.blank(now), error.reason());
            }
        };
        // A clock that is a little ahead is one that is right.
        let taken_at = if told.taken_at > now { now } else { told.taken_at };
        let limit = self.reported.thresholds.get(Threshold::ReportAge);
        if limit.is_some_and(|limit| now.seconds_since(taken_at) > limit) {
            problems.note(CollectorRun::REPORT, Reason::Stale);
            return all_unknown(self.blank(taken_at), Reason::Stale);
        }
        let mut snapshot = Snapshot { taken_at, ..told.snapshot(self.blank(taken_at)) };
        self.remember_failures(&mut snapshot.collectors, taken_at);
        by_now::bring_to(&mut snapshot, now);
        snapshot
    }

    fn blank(&self, at: Timestamp) -> Snapshot {
        blank(&self.reported, &self.whose, at)
    }

    fn told(&mut self, now: Timestamp) -> Result<Arc<Told>, ReportError> {
        let told = self.read_file()?;
        let ahead = told.taken_at.seconds_since(now);
        if ahead > MOST_AHEAD_SECONDS {
            return Err(ReportError::Ahead { path: self.reported.report.clone(), seconds: ahead });
        }
        self.whose.profile.clone_from(&told.profile);
        Ok(told)
    }

    fn read_file(&mut self) -> Result<Arc<Told>, ReportError> {
        let path = &self.reported.report;
        let former = self.kept.take();
        let Some((mut file, metadata)) = files::open_no_link(path)? else {
            return Err(ReportError::Missing { path: path.clone() });
        };
        // Owner and mode are in the stamp too, by the time at which they were last changed.
        if let Some(kept) = former.filter(|kept| kept.stamp == Stamp::of(&metadata)) {
            return Ok(Arc::clone(&self.kept.insert(kept).told));
        }
        let owner = metadata.uid();
        if !self.reported.may_be_of(owner) {
            let user = self.reported.user.clone().unwrap_or_default();
            return Err(ReportError::Owner { path: path.clone(), owner, user });
        }
        let stamp = files::settled(&metadata);
        let content = files::read_at_most(path, &mut file, &metadata, MOST_BYTES)?;
        let told = Arc::new(self.parse(&content)?);
        if self.reported.user.is_none() {
            self.whose.user = users::name_of(owner);
        }
        self.kept = stamp.map(|stamp| Kept { stamp, told: Arc::clone(&told) });
        Ok(told)
    }

    fn parse(&self, content: &[u8]) -> Result<Told, ReportError> {
        let path = || self.reported.report.clone();
        let report = serde_json::from_slice(content).map_err(|error| ParseFault::from(error).of(&path()))?;
        let report = limits::pruned(report).ok_or_else(|| ReportError::TooMuch { path: path() })?;
        let told = form::read(report).map_err(|form::Lacks(lacks)| ReportError::Form { path: path(), lacks })?;
        if told.name != self.reported.name {
            return Err(ReportError::Name { path: path() });
        }
        Ok(told)
    }

    fn remember_failures(&mut self, runs: &mut [CollectorRun], taken_at: Timestamp) {
        let failing = runs.iter().filter(|run| !run.problems.is_empty());
        let since = |run: &CollectorRun| {
            let told = run.failing_since.filter(|since| *since <= taken_at).unwrap_or(taken_at);
            let seen = self.failing.get(&run.collector).copied().unwrap_or(told);
            (run.collector.clone(), if seen < told { seen } else { told })
        };
        self.failing = failing.map(since).collect();
        for run in runs {
            run.failing_since = self.failing.get(&run.collector).copied();
        }
    }
}

/// What whoever writes the configuration should know of a report, where it is not there, or not good as it is now.
pub fn note(reported: &Reported) -> Option<String> {
    if let Some(user) = &reported.user
        && users::named(user).is_none()
    {
        return Some(format!("there is no user {user:?} here, whose file the report of {:?} has to be", reported.name));
    }
    let error = ReportReader::new(reported).told(Timestamp::now()).err()?;
    Some(format!("of {:?} nothing would be told: {}", reported.name, display_chain(&error)))
}

/// A profile is a name of a folder, and stands in a label.
fn profile(typed: &str) -> String {
    if typed.is_empty() { "default".to_owned() } else { Label::new(typed).as_str().to_owned() }
}
