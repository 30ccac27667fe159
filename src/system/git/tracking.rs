//! Which branch of which remote says what has been pushed, and how far that is.
//!
//! git notes in a branch of its own (`refs/remotes/origin/main`) what a remote had when it was last pushed to or fetched
//! from. Nothing is asked of the remote itself.

use std::path::PathBuf;

use git2::ErrorCode;

use super::{GitError, Head, ObjectId, Repository};

/// What says how far the repository has been pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remote {
    /// There is no remote to push to.
    None,
    /// There is one, and nothing says which branch of it counts.
    Untold,
    /// This branch.
    Branch(RemoteBranch),
}

/// A branch of a remote, as it was last seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemoteBranch {
    /// The full name under which the repository notes it.
    pub name: String,
    /// Its newest commit; `None` where it has never been pushed, or is gone.
    pub commit: Option<ObjectId>,
}

/// What the configuration of the exporter names.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// The remote.
    pub remote: Option<&'a str>,
    /// The branch on it.
    pub branch: Option<&'a str>,
}

impl Repository {
    /// The branch that counts.
    ///
    /// The remote is the one that is wanted, else that of the branch's upstream, else the only one, else `origin`. The
    /// branch is the one that is wanted, else the upstream, else the one of the same name. Where no branch is checked
    /// out, it is the remote's own (`origin/HEAD`), else its only one.
    pub fn remote(&self, head: &Head, wanted: Wanted<'_>) -> Result<Remote, GitError> {
        let upstream = self.upstream(head)?;
        let remote = match (wanted.remote, &upstream) {
            (Some(remote), _) => remote.to_owned(),
            (None, Some((remote, _))) => remote.clone(),
            (None, None) => match self.likely_remote()? {
                Some(remote) => remote,
                None => return Ok(Remote::None),
            },
        };
        let of_upstream = upstream.filter(|(of, _)| *of == remote).map(|(_, branch)| branch);
        let of_same_name = head.branch.as_deref().and_then(|branch| branch.strip_prefix("refs/heads/"));
        let branch = wanted.branch.map(str::to_owned).or(of_upstream).or(of_same_name.map(str::to_owned));
        let Some(branch) = branch else {
            return self.remotes_own_branch(&remote);
        };
        let Some(name) = self.noted_as(&remote, &branch)? else {
            // Nothing that is pushed there is ever noted.
            return Ok(if wanted.remote.is_some() { Remote::Untold } else { Remote::None });
        };
        let commit = self.commit_of(&name)?;
        Ok(Remote::Branch(RemoteBranch { name, commit }))
    }

    /// Where git keeps the log of a branch.
    pub fn log_of(&self, branch: &str) -> PathBuf {
        self.inner.commondir().join("logs").join(branch)
    }

    /// The remote and the branch on it that the configuration of the repository names for the branch.
    fn upstream(&self, head: &Head) -> Result<Option<(String, String)>, GitError> {
        let Some(branch) = head.branch.as_deref().and_then(|branch| branch.strip_prefix("refs/heads/")) else {
            return Ok(None);
        };
        let failed = |error: git2::Error| self.failed(&error);
        let config = self.inner.config().and_then(|mut config| config.snapshot()).map_err(failed)?;
        let text = |key: &str| match config.get_string(&format!("branch.{branch}.{key}")) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(self.failed(&error)),
        };
        let (Some(remote), Some(merge)) = (text("remote")?, text("merge")?) else {
            return Ok(None);
        };
        // `.` is this repository itself: a branch that follows another one of its own.
        let branch = merge.strip_prefix("refs/heads/").filter(|_| remote != ".");
        Ok(branch.map(|branch| (remote.clone(), branch.to_owned())))
    }

    fn likely_remote(&self) -> Result<Option<String>, GitError> {
        let names = self.inner.remotes().map_err(|error| self.failed(&error))?;
        let names: Vec<&str> = names.iter().filter_map(|name| name.ok().flatten()).collect();
        let likely = match names.as_slice() {
            [only] => Some(*only),
            several => several.iter().copied().find(|name| *name == "origin"),
        };
        Ok(likely.map(str::to_owned))
    }

    /// Under which name the repository notes a branch of a remote; `None` where it does not.
    fn noted_as(&self, remote: &str, branch: &str) -> Result<Option<String>, GitError> {
        let usual = format!("refs/remotes/{remote}/{branch}");
        let configured = match self.inner.find_remote(remote) {
            Ok(configured) => configured,
            // It is not set up: nothing has been pushed there, unless it was taken away since.
            Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::InvalidSpec) => {
                return Ok(Some(usual));
            }
            Err(error) => return Err(self.failed(&error)),
        };
        let there = format!("refs/heads/{branch}");
        for rule in configured.refspecs() {
            if rule.direction() == git2::Direction::Fetch && rule.src_matches(&there) {
                let noted = rule.transform(&there).map_err(|error| self.failed(&error))?;
                return Ok(noted.as_str().ok().filter(|noted| !noted.is_empty()).map(str::to_owned));
            }
        }
        Ok(None)
    }

    fn remotes_own_branch(&self, remote: &str) -> Result<Remote, GitError> {
        let own = format!("refs/remotes/{remote}/HEAD");
        let (name, commit) = self.resolve(&own)?;
        if commit.is_some() {
            return Ok(Remote::Branch(RemoteBranch { name, commit }));
        }
        let pattern = format!("refs/remotes/{remote}/*");
        let references = self.inner.references_glob(&pattern).map_err(|error| self.failed(&error))?;
        let names = references.filter_map(Result::ok).filter_map(|found| found.name().ok().map(str::to_owned));
        let mut names: Vec<String> = names.filter(|name| *name != own).take(2).collect();
        match (names.pop(), names.pop()) {
            (None, _) => Ok(Remote::Branch(RemoteBranch { name: own, commit: None })),
            (Some(name), None) => {
                let commit = self.commit_of(&name)?;
                Ok(Remote::Branch(RemoteBranch { name, commit }))
            }
            (Some(_), Some(_)) => Ok(Remote::Untold),
        }
    }
}
