//! One repository, as it is at this look: where it stands, how far it is pushed, and how old that is.
//!
//! * It is *missing* where nothing is at its path, and *not a repository* where something else is, a folder inside of
//!   another repository included. It is *empty* where its branch has no commit, and *interrupted* in the middle of a
//!   rebase, a merge, a bisection or the like. Everything else is *ready*: a bare one, and one that stands on no branch.
//! * What has been *pushed* is what the repository has noted of the remote (see [`crate::system::git::tracking`]). A
//!   remote that is there, without the branch that counts, is known: nothing has been pushed, or it is gone, and every
//!   commit is unpushed. Where another history was pushed there by force, the newest commit of that one has reached the
//!   remote, and those that are only here have not. Where the remote has what is here and more, somebody else has pushed,
//!   which makes no backup of here any younger: the newest commit here counts.
//! * Where several branches of the remote could count and nothing says which, it is unknown (`not_found`).
//! * The *last push* is the last one from here that git has logged; a fetch is none.
//! * Times of commits are by the clock of who made them.

use std::sync::Arc;
use std::time::Duration;

use super::scan::{Scan, Tips};
use crate::exporter::backup::{Backup, Changes};
use crate::exporter::collect::Look;
use crate::exporter::collect::kept::{Freshness, Kept};
use crate::exporter::collect::problems::{Because, Problems};
use crate::exporter::instance::Instance;
use crate::exporter::snapshot::backups::{RecentCommits, RemoteBranch, Repository as Seen, RepositoryState};
use crate::exporter::snapshot::{Reading, Reason, Threshold};
use crate::system::files::{Stamp, Watched};
use crate::system::git::history::Ahead;
use crate::system::git::tracking::{self, Remote, Wanted};
use crate::system::git::{GitError, Head, ObjectId, Place, Repository, reflog};
use crate::system::time::Timestamp;

const DAY: i64 = 24 * 3_600;

/// Watches one repository.
#[derive(Debug)]
pub(super) struct WatchedRepository {
    backup: Arc<Backup>,
    max_age: Option<f64>,
    time_to_live: Duration,
    scan: Scan,
    recent: Option<Recent>,
    /// What was counted last as not pushed, of which commit against which.
    ahead: Option<((ObjectId, Option<ObjectId>), Ahead)>,
    push_log: Option<Watched<Option<Timestamp>>>,
    changes: Kept<FoundChanges>,
}

/// When the commits of late were made.
#[derive(Debug)]
struct Recent {
    head: ObjectId,
    since: i64,
    times: Vec<i64>,
}

/// How many files were changed, and what is staged and committed then.
#[derive(Debug, Clone)]
struct FoundChanges {
    files: Result<Option<u64>, Reason>,
    state: (Option<ObjectId>, Option<Stamp>),
}

impl WatchedRepository {
    /// The repository that `backup` names; its working tree is looked through again after `time_to_live`.
    pub(super) fn new(backup: Backup, instance: &Instance, time_to_live: Duration) -> Self {
        WatchedRepository {
            max_age: backup.max_age.seconds(instance, Threshold::BackupAge),
            scan: Scan::new(&backup, time_to_live),
            backup: Arc::new(backup),
            time_to_live,
            recent: None,
            ahead: None,
            push_log: None,
            changes: Kept::new(),
        }
    }

    #[cfg(test)]
    pub(super) fn scan_nothing_at_once(&mut self) {
        (self.scan.at_once, self.scan.at_most) = (Duration::ZERO, Duration::ZERO);
    }

    /// How it is now.
    pub(super) fn look(&mut self, look: &Look<'_>, problems: &mut Problems) -> Seen {
        let seen = Seen { max_age_seconds: self.max_age.into(), ..Seen::default() };
        let repository = match Repository::open(&self.backup.path) {
            Ok(Place::Repository(repository)) => repository,
            Ok(Place::Missing) => return Seen { state: Reading::Known(RepositoryState::Missing), ..seen },
            Ok(Place::NotARepository) => {
                return Seen { state: Reading::Known(RepositoryState::NotARepository), ..seen };
            }
            Err(error) => return nothing_known(seen, &self.backup, problems.unknown("repository", &error)),
        };
        match repository.head() {
            Ok(head) => self.look_into(&repository, &head, seen, look, problems),
            Err(error) => nothing_known(seen, &self.backup, problems.unknown("repository", &error)),
        }
    }

    fn look_into(
        &mut self,
        repository: &Repository,
        head: &Head,
        seen: Seen,
        look: &Look<'_>,
        problems: &mut Problems,
    ) -> Seen {
        let state = match head.commit {
            _ if repository.is_interrupted() => RepositoryState::Interrupted,
            None => RepositoryState::Empty,
            Some(_) => RepositoryState::Ready,
        };
        let time_of = |commit: Option<ObjectId>| commit.map(|commit| repository.time_of(commit)).transpose();
        let mut seen = Seen {
            state: Reading::Known(state),
            newest_commit: problems.reading("newest commit", time_of(head.commit)),
            commits: problems.reading("commits of late", self.recent(repository, head.commit, look.now).map(Some)),
            dirty_files: self.changed_files(repository, head, look, problems),
            ..seen
        };
        let remote = self.look_at_remote(repository, head, &mut seen, problems);
        let tips = Tips { head: head.commit, remote };
        (seen.payload, seen.forbidden) = self.scan.get(look, repository, tips, problems);
        seen
    }

    /// How far it is pushed; the answer is the newest commit there.
    fn look_at_remote(
        &mut self,
        repository: &Repository,
        head: &Head,
        seen: &mut Seen,
        problems: &mut Problems,
    ) -> Option<ObjectId> {
        let wanted = Wanted { remote: self.backup.remote.as_deref(), branch: self.backup.branch.as_deref() };
        let branch = match repository.remote(head, wanted) {
            Ok(Remote::Branch(branch)) => branch,
            Ok(Remote::None) => return None,
            Ok(Remote::Untold) => {
                problems.note("which branch of the remote counts", Reason::NotFound);
                nothing_known_of_remote(seen, Reason::NotFound);
                return None;
            }
            Err(error) => {
                problems.unknown::<()>("remote", &error);
                nothing_known_of_remote(seen, error.reason());
                return None;
            }
        };
        let is_there = if branch.commit.is_some() { RemoteBranch::Present } else { RemoteBranch::Missing };
        seen.remote_branch = Reading::Known(is_there);
        seen.last_push = self.last_push(repository, &branch, problems);
        let ahead = problems.reading("unpushed commits", self.ahead(repository, head.commit, branch.commit).map(Some));
        let is_all_there = ahead.known().is_some_and(|ahead| ahead.commits == 0);
        let reached = branch.commit.map(|commit| head.commit.filter(|_| is_all_there).unwrap_or(commit));
        let pushed = reached.map(|commit| repository.time_of(commit)).transpose();
        seen.newest_pushed_commit = problems.reading("newest pushed commit", pushed);
        seen.unpushed_commits = ahead.map(|ahead| ahead.commits);
        seen.oldest_unpushed_commit = ahead.and_then(|ahead| ahead.oldest.into());
        branch.commit
    }

    fn last_push(
        &mut self,
        repository: &Repository,
        branch: &tracking::RemoteBranch,
        problems: &mut Problems,
    ) -> Reading<Timestamp> {
        let path = repository.log_of(&branch.name);
        let log = self.push_log.take().filter(|log| log.path() == path);
        let log = self.push_log.insert(log.unwrap_or_else(|| Watched::tail(path, reflog::MOST_READ)));
        let read = problems.reading(
            "last push",
            log.get(|lines| Ok(reflog::last_push(lines))).map_err(|fault| repository.part(fault)),
        );
        read.and_then(|time| (*time).into())
    }

    fn ahead(
        &mut self,
        repository: &Repository,
        head: Option<ObjectId>,
        pushed: Option<ObjectId>,
    ) -> Result<Ahead, GitError> {
        let Some(head) = head else {
            return Ok(Ahead::default());
        };
        if let Some((of, ahead)) = &self.ahead
            && *of == (head, pushed)
        {
            return Ok(*ahead);
        }
        let ahead = repository.ahead(head, pushed)?;
        self.ahead = Some(((head, pushed), ahead));
        Ok(ahead)
    }

    fn recent(
        &mut self,
        repository: &Repository,
        head: Option<ObjectId>,
        now: Timestamp,
    ) -> Result<RecentCommits, GitError> {
        let Some(head) = head else {
            return Ok(RecentCommits::default());
        };
        let now = now.seconds() as i64;
        let since = now - 30 * DAY;
        let kept = self.recent.take().filter(|recent| recent.head == head && recent.since <= since);
        let recent = match kept {
            Some(recent) => recent,
            None => Recent { head, since, times: repository.times_since(head, since)? },
        };
        let count = |days: i64| recent.times.iter().filter(|time| **time >= now - days * DAY).count() as u64;
        let counts = RecentCommits { day: count(1), week: count(7), month: count(30) };
        self.recent = Some(recent);
        Ok(counts)
    }

    fn changed_files(
        &mut self,
        repository: &Repository,
        head: &Head,
        look: &Look<'_>,
        problems: &mut Problems,
    ) -> Reading<u64> {
        if self.backup.changes == Changes::Ignored || repository.is_bare() {
            return Reading::Absent;
        }
        let stamp = match repository.index_stamp() {
            Ok(stamp) => stamp,
            Err(error) => return problems.unknown("changed files", &error),
        };
        let state = (head.commit, stamp);
        let judge = |found: &FoundChanges, age| match Freshness::by_age(age, self.time_to_live) {
            // Something has been staged or committed since.
            Freshness::Good if found.state != state => Freshness::Old,
            freshness => freshness,
        };
        let backup = Arc::clone(&self.backup);
        let kept = self.changes.get(judge, look.background, move || FoundChanges { files: changes(&backup), state });
        match kept.map_or(Err(Reason::Timeout), |found| found.files) {
            Ok(files) => files.into(),
            Err(reason) => {
                problems.note("changed files", reason);
                Reading::Unknown(reason)
            }
        }
    }
}

fn changes(backup: &Backup) -> Result<Option<u64>, Reason> {
    let counted = || match Repository::open(&backup.path)? {
        Place::Repository(repository) => repository.changed_files(),
        // The next look says so.
        Place::Missing | Place::NotARepository => Ok(None),
    };
    counted().map_err(|error: GitError| {
        Problems::default().unknown::<()>("changed files", &error);
        error.reason()
    })
}

/// What is known of a repository that could not be looked into.
fn nothing_known(seen: Seen, backup: &Backup, reading: Reading<()>) -> Seen {
    let Reading::Unknown(reason) = reading else {
        return seen;
    };
    let mut seen = Seen {
        state: Reading::Unknown(reason),
        newest_commit: Reading::Unknown(reason),
        commits: Reading::Unknown(reason),
        dirty_files: if backup.changes == Changes::Ignored { Reading::Absent } else { Reading::Unknown(reason) },
        payload: if backup.payload.is_some() { Reading::Unknown(reason) } else { Reading::Absent },
        forbidden: Reading::Unknown(reason),
        ..seen
    };
    nothing_known_of_remote(&mut seen, reason);
    seen
}

fn nothing_known_of_remote(seen: &mut Seen, reason: Reason) {
    seen.remote_branch = Reading::Unknown(reason);
    seen.newest_pushed_commit = Reading::Unknown(reason);
    seen.last_push = Reading::Unknown(reason);
    seen.unpushed_commits = Reading::Unknown(reason);
    seen.oldest_unpushed_commit = Reading::Unknown(reason);
}
