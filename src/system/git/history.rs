//! Commits of a repository: those of late, those that another branch lacks, and what has come since.
//!
//! libgit2 could go through a history by itself, but reads commits that it has not been kept from (see
//! [`super::objects`]), and all of them before it answers.

use std::collections::{BinaryHeap, HashMap};

use git2::Oid as ObjectId;

use super::{GitError, Repository, moment};
use crate::system::time::Timestamp;

/// The most commits that are gone through.
const MOST_COMMITS: usize = 200_000;

/// The most commits that are counted as not yet pushed: that is done while somebody waits.
const MOST_AHEAD: usize = 50_000;

/// After so many commits in a row that are too old, no younger one is looked for behind them: clocks go wrong.
const PATIENCE: usize = 16;

/// What one commit has and another has not.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Ahead {
    /// How many commits.
    pub commits: u64,
    /// When the oldest of them was made; `None` where there is none.
    pub oldest: Option<Timestamp>,
}

/// Goes from commits to those before them, the youngest first.
struct Walk<'a> {
    repository: &'a Repository,
    /// What is to be visited, by its time.
    queue: BinaryHeap<(i64, ObjectId)>,
    /// What has been reached, and whether it leads to nothing that is asked for.
    reached: HashMap<ObjectId, Mark>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Wanted,
    Unwanted,
}

impl Repository {
    /// When the commits before and at `head` were made that are not older than `since`, in Unix seconds.
    pub fn times_since(&self, head: ObjectId, since: i64) -> Result<Vec<i64>, GitError> {
        let mut walk = Walk::new(self);
        walk.reach(head, Mark::Wanted)?;
        let mut times = Vec::new();
        let mut too_old = 0;
        while let Some((seconds, _, _)) = walk.next()? {
            if seconds >= since {
                too_old = 0;
                times.push(seconds);
            } else {
                too_old += 1;
                if too_old == PATIENCE {
                    break;
                }
            }
        }
        Ok(times)
    }

    /// What `head` has and `other` has not; everything where there is no other.
    pub fn ahead(&self, head: ObjectId, other: Option<ObjectId>) -> Result<Ahead, GitError> {
        let commits = self.difference(&[head], other.as_slice(), MOST_AHEAD)?;
        let oldest = commits.iter().map(|(_, seconds)| *seconds).min();
        Ok(Ahead { commits: commits.len() as u64, oldest: oldest.map(moment) })
    }

    /// The commits that lead to `tips` and do not lead to `known`.
    pub fn commits(&self, tips: &[ObjectId], known: &[ObjectId]) -> Result<Vec<ObjectId>, GitError> {
        Ok(self.difference(tips, known, MOST_COMMITS)?.into_iter().map(|(commit, _)| commit).collect())
    }

    /// Whether everything that leads to `former` also leads to `tips`: nothing has fallen out of the history. Of
    /// commits that are not there any more it is not known, and taken for no.
    pub fn has_all_of(&self, tips: &[ObjectId], former: &[ObjectId]) -> bool {
        self.difference(former, tips, MOST_COMMITS).is_ok_and(|commits| commits.is_empty())
    }

    fn difference(&self, tips: &[ObjectId], known: &[ObjectId], most: usize) -> Result<Vec<(ObjectId, i64)>, GitError> {
        let mut walk = Walk::new(self);
        for commit in known {
            walk.reach(*commit, Mark::Unwanted)?;
        }
        for commit in tips {
            walk.reach(*commit, Mark::Wanted)?;
        }
        let mut found = Vec::new();
        let mut patience = PATIENCE;
        while patience > 0 {
            if !walk.is_anything_wanted() {
                patience -= 1;
            }
            let Some((seconds, commit, mark)) = walk.next()? else {
                break;
            };
            if mark == Mark::Wanted {
                found.push((commit, seconds));
            }
            if found.len() > most {
                return Err(self.too_much(most as u64, "commits"));
            }
        }
        // By a clock that goes wrong a commit comes before one that leads to it.
        found.retain(|(commit, _)| walk.reached.get(commit) == Some(&Mark::Wanted));
        Ok(found)
    }
}

impl<'a> Walk<'a> {
    fn new(repository: &'a Repository) -> Self {
        Walk { repository, queue: BinaryHeap::new(), reached: HashMap::new() }
    }

    fn reach(&mut self, commit: ObjectId, mark: Mark) -> Result<(), GitError> {
        let is_news = match self.reached.get(&commit) {
            None => true,
            Some(Mark::Wanted) => mark == Mark::Unwanted,
            Some(Mark::Unwanted) => false,
        };
        if is_news {
            let seconds = self.repository.find_commit(commit)?.time().seconds();
            self.reached.insert(commit, mark);
            self.queue.push((seconds, commit));
            if self.reached.len() > MOST_COMMITS {
                return Err(self.repository.too_much(MOST_COMMITS as u64, "commits"));
            }
        }
        Ok(())
    }

    fn is_anything_wanted(&self) -> bool {
        self.queue.iter().any(|(_, commit)| self.reached.get(commit) == Some(&Mark::Wanted))
    }

    /// The youngest commit that is left; those before it are left then.
    fn next(&mut self) -> Result<Option<(i64, ObjectId, Mark)>, GitError> {
        let Some((seconds, commit)) = self.queue.pop() else {
            return Ok(None);
        };
        let mark = self.reached.get(&commit).copied().unwrap_or(Mark::Unwanted);
        for parent in self.repository.find_commit(commit)?.parent_ids() {
            self.reach(parent, mark)?;
        }
        Ok(Some((seconds, commit, mark)))
    }
}
