//! Commits of a repository: those of late, those that another branch lacks, and what has come since.

use git2::Oid as ObjectId;

use super::{GitError, Repository, moment};
use crate::system::time::Timestamp;

/// The most commits that are listed or counted.
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

impl Repository {
    /// When the commits before and at `head` were made that are not older than `since`, in Unix seconds.
    pub fn times_since(&self, head: ObjectId, since: i64) -> Result<Vec<i64>, GitError> {
        let mut times = Vec::new();
        let mut too_old = 0;
        for commit in self.walk(&[head], &[])? {
            let commit = commit.map_err(|error| self.failed(&error))?;
            let found = self.inner.find_commit(commit).map_err(|error| self.object_failed(commit, &error))?;
            let seconds = found.time().seconds();
            if seconds >= since {
                too_old = 0;
                times.push(seconds);
            } else {
                too_old += 1;
                if too_old == PATIENCE {
                    break;
                }
            }
            if times.len() > MOST_COMMITS {
                return Err(self.too_much(MOST_COMMITS as u64, "commits of late"));
            }
        }
        Ok(times)
    }

    /// What `head` has and `other` has not; everything where there is no other.
    pub fn ahead(&self, head: ObjectId, other: Option<ObjectId>) -> Result<Ahead, GitError> {
        let mut ahead = Ahead::default();
        for commit in self.walk(&[head], other.as_slice())? {
            let commit = commit.map_err(|error| self.failed(&error))?;
            let found = self.inner.find_commit(commit).map_err(|error| self.object_failed(commit, &error))?;
            let made = moment(found.time().seconds());
            ahead.commits += 1;
            ahead.oldest = ahead.oldest.filter(|oldest| *oldest <= made).or(Some(made));
            if ahead.commits > MOST_AHEAD as u64 {
                return Err(self.too_much(MOST_AHEAD as u64, "commits that are not pushed"));
            }
        }
        Ok(ahead)
    }

    /// The commits that lead to `tips` and do not lead to `known`.
    pub fn commits(&self, tips: &[ObjectId], known: &[ObjectId]) -> Result<Vec<ObjectId>, GitError> {
        let mut commits = Vec::new();
        for commit in self.walk(tips, known)? {
            commits.push(commit.map_err(|error| self.failed(&error))?);
            if commits.len() > MOST_COMMITS {
                return Err(self.too_much(MOST_COMMITS as u64, "commits"));
            }
        }
        Ok(commits)
    }

    /// Whether everything that leads to `former` also leads to `tips`: nothing has fallen out of the history. Of
    /// commits that are not there any more it is not known, and taken for no.
    pub fn has_all_of(&self, tips: &[ObjectId], former: &[ObjectId]) -> bool {
        let is_there = |commit: &ObjectId| self.inner.find_commit(*commit).is_ok();
        former.iter().all(is_there) && self.walk(former, tips).is_ok_and(|mut walk| walk.next().is_none())
    }

    fn walk(&self, tips: &[ObjectId], known: &[ObjectId]) -> Result<git2::Revwalk<'_>, GitError> {
        let walk = || {
            let mut walk = self.inner.revwalk()?;
            for tip in tips {
                walk.push(*tip)?;
            }
            for commit in known {
                walk.hide(*commit)?;
            }
            Ok(walk)
        };
        walk().map_err(|error: git2::Error| self.failed(&error))
    }
}
