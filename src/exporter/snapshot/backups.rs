//! What is known of an instance's backups: the repositories it is backed up to, and the proofs that they can be used.
//!
//! No names of files, commits or remotes: what a repository holds is nobody else's business.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Label, Reading, Tally};
use crate::system::time::Timestamp;

/// The backups of one instance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Backups {
    /// The configured repositories, by name.
    pub repositories: BTreeMap<Label, Repository>,
    /// Rehearsals of a restore, by the marks they leave; absent where none are configured.
    pub restore_drills: Reading<Artifacts>,
    /// Bundles for an emergency; absent where none are configured.
    pub emergency_bundles: Reading<Artifacts>,
}

impl Backups {
    /// Whether nothing that looks like a secret or a live database is committed anywhere; one that is is enough to know.
    pub fn are_clean_of_secrets(&self) -> Reading<bool> {
        let mut verdict = Reading::Absent;
        for repository in self.repositories.values() {
            match (repository.forbidden.as_ref().map(|forbidden| forbidden.is_clean()), verdict) {
                (Reading::Known(false), _) => return Reading::Known(false),
                (Reading::Unknown(reason), _) => verdict = Reading::Unknown(reason),
                (Reading::Known(true), Reading::Absent) => verdict = Reading::Known(true),
                (Reading::Known(true) | Reading::Absent, _) => {}
            }
        }
        verdict
    }
}

/// One repository of git that an instance is backed up to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Repository {
    /// What is there; a repository that is configured and missing is known.
    pub state: Reading<RepositoryState>,
    /// The limit of its age in seconds; absent where it is not judged by its age.
    pub max_age_seconds: Reading<f64>,
    /// When its newest commit was made; absent where it has none.
    pub newest_commit: Reading<Timestamp>,
    /// Whether the branch that it is pushed to is there, as far as this repository knows; absent where there is no remote
    /// to reach.
    #[serde(default)]
    pub remote_branch: Reading<RemoteBranch>,
    /// When the newest commit was made that has reached the remote: the newest one here where all have, else the one that
    /// the branch there was last seen at, also where other commits than these have been made here since. Absent where none
    /// has, or there is no remote to reach.
    pub newest_pushed_commit: Reading<Timestamp>,
    /// When something was last pushed from here; absent where that was never, or is not recorded.
    pub last_push: Reading<Timestamp>,
    /// Commits that have not reached the remote, which are all where nothing has; absent where there is no remote to
    /// reach.
    pub unpushed_commits: Reading<u64>,
    /// When the oldest of these was made; absent where there is none.
    pub oldest_unpushed_commit: Reading<Timestamp>,
    /// Files that are changed, new or deleted and not committed, a new folder counted once; absent where there is no
    /// working tree, or where they are not to be looked for.
    pub dirty_files: Reading<u64>,
    /// Commits of late.
    pub commits: Reading<RecentCommits>,
    /// What would be restored; absent where the configuration names no folder for it.
    pub payload: Reading<Payload>,
    /// What should not have been committed.
    pub forbidden: Reading<ForbiddenFiles>,
}

impl Repository {
    /// Up to when the instance is backed up: the newest commit that has reached the remote, where there is one to reach,
    /// else the newest commit. Where nothing has reached the remote, nothing is safe that was ever committed: then it is
    /// the moment of the first commit, from which on something was waiting.
    pub fn backed_up_until(&self) -> Reading<Timestamp> {
        match (self.newest_pushed_commit, self.remote_branch) {
            (Reading::Absent, Reading::Known(RemoteBranch::Missing)) => self.oldest_unpushed_commit,
            (Reading::Absent, Reading::Unknown(reason)) => Reading::Unknown(reason),
            (Reading::Absent, _) => self.newest_commit,
            (known_or_unknown, _) => known_or_unknown,
        }
    }
}

/// Whether the branch that a repository is pushed to is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RemoteBranch {
    /// It was there when the remote was last heard of.
    Present,
    /// It was never pushed, or it is gone.
    Missing,
}

/// What is at the path of a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum RepositoryState {
    /// A repository with commits, with or without a working tree.
    Ready,
    /// A repository without a commit.
    Empty,
    /// A repository in the middle of a rebase, a merge or the like, which commits nothing until somebody ends it.
    Interrupted,
    /// Something that is not a repository.
    NotARepository,
    /// Nothing.
    Missing,
}

impl RepositoryState {
    /// Every state, in the order in which they are shown.
    pub const ALL: [RepositoryState; 5] = [
        RepositoryState::Ready,
        RepositoryState::Empty,
        RepositoryState::Interrupted,
        RepositoryState::NotARepository,
        RepositoryState::Missing,
    ];

    /// The word used in labels and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            RepositoryState::Ready => "ready",
            RepositoryState::Empty => "empty",
            RepositoryState::Interrupted => "interrupted",
            RepositoryState::NotARepository => "not_a_repository",
            RepositoryState::Missing => "missing",
        }
    }
}

/// Commits of late.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RecentCommits {
    /// Of the last 24 hours.
    pub day: u64,
    /// Of the last 7 days.
    pub week: u64,
    /// Of the last 30 days.
    pub month: u64,
}

/// What the newest commit has below the folder that is restored from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Payload {
    /// Files.
    pub files: u64,
    /// Their sizes, summed up, in bytes.
    pub bytes: u64,
}

/// Committed files that look like secrets or live databases.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ForbiddenFiles {
    /// In the newest commit, by what they look like.
    pub current: Tally,
    /// In any commit, by what they look like: what has been pushed once is out, also when it is deleted.
    pub ever: Tally,
}

impl ForbiddenFiles {
    /// Whether there is none, and never was.
    pub fn is_clean(&self) -> bool {
        self.current.iter().chain(self.ever.iter()).all(|(_, count)| count == 0)
    }
}

/// Files that match a pattern, of which the newest counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Artifacts {
    /// How many there are.
    pub files: u64,
    /// When the newest was written; absent where there is none.
    pub newest: Reading<Timestamp>,
    /// The size of the newest in bytes; absent where there is none.
    pub newest_bytes: Reading<u64>,
    /// The limit of its age in seconds; absent where it is not judged by its age.
    pub max_age_seconds: Reading<f64>,
}
