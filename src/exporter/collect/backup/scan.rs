//! What the commits of a repository have in them: the payload of the newest, and what should not be in any.
//!
//! A scan begins when the repository has moved, and goes on from where the last one ended: of new commits only what they
//! have changed is looked at. When commits have fallen out of the history (it was rewritten), what was found in them is
//! forgotten and everything is looked at anew. What does not fit into [`AT_ONCE`] goes on in the background, and what
//! was found before is shown until it is through; a one-shot run gives up after [`AT_MOST`].

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::forbidden::Rules;
use super::walks::{HistoryWalk, Step, TreeWalk};
use crate::exporter::backup::Backup;
use crate::exporter::collect::Look;
use crate::exporter::collect::background::Job;
use crate::exporter::collect::problems::{Because, Problems};
use crate::exporter::snapshot::backups::{ForbiddenFiles, Payload};
use crate::exporter::snapshot::{Reading, Reason};
use crate::system::git::{GitError, ObjectId, Place, Repository};

/// How much of a look may be spent on it; the rest is done in the background.
const AT_ONCE: Duration = Duration::from_millis(100);

/// How much of a one-shot run may be: there is no later, and a look that takes much longer tells nothing at all.
const AT_MOST: Duration = Duration::from_secs(15);

/// How long one piece of it takes.
const ONE_STRETCH: Duration = Duration::from_millis(50);

/// A scan of which nothing has been heard for longer has died.
const LONGEST_SILENCE: Duration = Duration::from_secs(300);

/// Where a repository has been scanned up to: its newest commit, and that of the branch that it is pushed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tips {
    pub(super) head: Option<ObjectId>,
    pub(super) remote: Option<ObjectId>,
}

impl Tips {
    fn commits(&self) -> Vec<ObjectId> {
        self.head.into_iter().chain(self.remote).collect()
    }
}

/// Follows the commits of one repository.
#[derive(Debug)]
pub(super) struct Scan {
    path: PathBuf,
    payload_path: Option<String>,
    rules: Arc<Rules>,
    /// After so long, what could not be read is tried again.
    retry_after: Duration,
    /// How much of a look may be spent on it.
    pub(super) at_once: Duration,
    /// How much of a one-shot run.
    pub(super) at_most: Duration,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// When the last scan ended, and what it found.
    done: Option<(Instant, Outcome)>,
    /// When the one under way was last heard of.
    at_work: Option<Instant>,
}

/// What a scan has found, and where the next one goes on from.
#[derive(Debug)]
struct Outcome {
    tips: Tips,
    tree: TreeWalk,
    history: HistoryWalk,
    failure: Option<Reason>,
}

/// A scan under way.
#[derive(Debug)]
struct Work {
    outcome: Outcome,
    is_tree_done: bool,
}

impl Scan {
    /// Of the repository that `backup` names.
    pub(super) fn new(backup: &Backup, retry_after: Duration) -> Scan {
        let rules = Rules { forbidden: backup.forbidden.clone(), allowed: backup.allowed.clone() };
        Scan {
            path: backup.path.clone(),
            payload_path: backup.payload.clone(),
            rules: Arc::new(rules),
            retry_after,
            at_once: AT_ONCE,
            at_most: AT_MOST,
            state: Arc::default(),
        }
    }

    /// What is in the commits that lead to `tips`.
    pub(super) fn get(
        &self,
        look: &Look<'_>,
        repository: &Repository,
        tips: Tips,
        problems: &mut Problems,
    ) -> (Reading<Payload>, Reading<ForbiddenFiles>) {
        let mut state = lock(&self.state);
        let is_good = state.done.as_ref().is_some_and(|(ended, outcome)| {
            outcome.tips == tips && (outcome.failure.is_none() || ended.elapsed() < self.retry_after)
        });
        if !is_good && state.at_work.is_none_or(|heard| heard.elapsed() > LONGEST_SILENCE) {
            let until = Instant::now() + if look.background.is_inline() { self.at_most } else { self.at_once };
            let started = Work::start(repository, tips, state.done.as_ref().map(|(_, last)| last), &self.payload_path);
            match started {
                Err(error) => {
                    let reading = problems.unknown("commits", &error);
                    return (self.payload_of(reading), reading.map(|()| ForbiddenFiles::default()));
                }
                Ok(work) => match work.stretch(repository, &self.rules, until) {
                    Ok(outcome) => state.done = Some((Instant::now(), outcome)),
                    Err(work) if look.background.is_inline() => {
                        let outcome = Outcome { failure: Some(Reason::Timeout), ..work.outcome };
                        state.done = Some((Instant::now(), outcome));
                    }
                    Err(work) => {
                        state.at_work = Some(Instant::now());
                        let (path, rules, state) =
                            (self.path.clone(), Arc::clone(&self.rules), Arc::clone(&self.state));
                        look.background.submit(in_background(path, rules, state, work));
                    }
                },
            }
        }
        match &state.done {
            None => {
                problems.note("the first pass over the commits", Reason::Timeout);
                let reading = Reading::Unknown(Reason::Timeout);
                (self.payload_of(reading), reading.map(|()| ForbiddenFiles::default()))
            }
            Some((_, outcome)) => {
                if let Some(reason) = outcome.failure {
                    problems.note("commits", reason);
                }
                (self.payload_of(outcome.payload()), outcome.forbidden())
            }
        }
    }

    /// Absent where no folder is named that is restored from.
    fn payload_of<T>(&self, reading: Reading<T>) -> Reading<Payload>
    where
        Payload: From<T>,
    {
        if self.payload_path.is_some() { reading.map(Payload::from) } else { Reading::Absent }
    }
}

impl From<()> for Payload {
    fn from((): ()) -> Payload {
        Payload::default()
    }
}

impl Outcome {
    fn payload(&self) -> Reading<Payload> {
        self.failure.map_or(Reading::Known(self.tree.payload.1), Reading::Unknown)
    }

    /// Where something could not be read, what was found all the same is known to be there.
    fn forbidden(&self) -> Reading<ForbiddenFiles> {
        let found = ForbiddenFiles { current: self.tree.forbidden.clone(), ever: self.history.tally() };
        match self.failure {
            Some(reason) if found.is_clean() => Reading::Unknown(reason),
            _ => Reading::Known(found),
        }
    }
}

impl Work {
    /// What is to be done to come from where the last scan ended to `tips`.
    fn start(
        repository: &Repository,
        tips: Tips,
        last: Option<&Outcome>,
        payload_path: &Option<String>,
    ) -> Result<Work, GitError> {
        let folder = tips.head.map(|head| repository.commit(head)).transpose()?.map(|commit| commit.folder);
        let last = last.filter(|last| last.failure.is_none());
        let former = last.and_then(|last| Some((last.tree.payload.0?, last.tree.payload.1)));
        let (wanted, scanned) = (tips.commits(), last.map(|last| last.tips.commits()));
        let history = match (last, scanned) {
            (Some(last), Some(scanned)) if repository.has_all_of(&wanted, &scanned) => {
                HistoryWalk::new(repository.commits(&wanted, &scanned)?, last.history.found.clone())
            }
            _ => HistoryWalk::new(repository.commits(&wanted, &[])?, Default::default()),
        };
        let tree = TreeWalk::new(folder, payload_path.clone(), former);
        Ok(Work { outcome: Outcome { tips, tree, history, failure: None }, is_tree_done: false })
    }

    /// Goes on until it is done, or gives back what is left.
    fn stretch(mut self, repository: &Repository, rules: &Rules, until: Instant) -> Result<Outcome, Box<Work>> {
        loop {
            let step = if self.is_tree_done {
                self.outcome.history.step(repository, rules)
            } else {
                self.outcome.tree.step(repository, rules)
            };
            match step {
                Ok(Step::More) => {}
                Ok(Step::Done) if self.is_tree_done => return Ok(self.outcome),
                Ok(Step::Done) => self.is_tree_done = true,
                Err(error) => return Ok(self.failed(&error)),
            }
            if Instant::now() >= until {
                return Err(Box::new(self));
            }
        }
    }

    fn failed(mut self, error: &GitError) -> Outcome {
        let mut noted = Problems::default();
        noted.unknown::<()>("commits", error);
        self.outcome.failure = Some(error.reason());
        self.outcome
    }
}

/// One piece of a scan that is too long for a look, and the job to go on with.
fn in_background(path: PathBuf, rules: Arc<Rules>, state: Arc<Mutex<State>>, work: Box<Work>) -> Job {
    Job::new(move || {
        let until = Instant::now() + ONE_STRETCH;
        let outcome = match Repository::open(&path) {
            Ok(Place::Repository(repository)) => work.stretch(&repository, &rules, until),
            // It is gone in this moment; the next look says so.
            Ok(Place::Missing | Place::NotARepository) => {
                lock(&state).at_work = None;
                return None;
            }
            Err(error) => Ok(work.failed(&error)),
        };
        match outcome {
            Ok(outcome) => {
                let mut state = lock(&state);
                state.done = Some((Instant::now(), outcome));
                state.at_work = None;
                None
            }
            Err(work) => {
                lock(&state).at_work = Some(Instant::now());
                Some(in_background(path, rules, state, work))
            }
        }
    })
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
