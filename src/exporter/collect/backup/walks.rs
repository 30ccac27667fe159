//! Going through the folders of a commit and through the commits of a history, a piece at a time: each step is short, and
//! what is left stands in lists, so that the repository can be closed between two of them.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::forbidden::{Kind, Rules, is_confirmed, is_confirmed_unread};
use crate::exporter::snapshot::Tally;
use crate::exporter::snapshot::backups::Payload;
use crate::system::git::trees::{DEEPEST, EntryKind};
use crate::system::git::{GitError, ObjectId, Repository};

/// The most entries of one commit.
const MOST_ENTRIES: u64 = 5_000_000;

/// The most entries of the folders that commits have changed, of a whole history.
const MOST_CHANGES: u64 = 100_000_000;

/// How many files are asked for their size in one step.
const SIZES_PER_STEP: usize = 256;

/// The largest file that is read to see whether it is what it looks like.
const MOST_CONTENT: u64 = 32 * 1024 * 1024;

/// The most different paths that are counted.
const MOST_PATHS: usize = 100_000;

/// Whether there is more to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// There is.
    More,
    /// It is done.
    Done,
}

/// What one commit has in it.
#[derive(Debug)]
pub(super) struct TreeWalk {
    pending: Vec<Folder>,
    /// Files of the payload whose sizes are not known yet.
    sizes: Vec<ObjectId>,
    entries: u64,
    payload_path: Option<String>,
    former: Option<(ObjectId, Payload)>,
    /// The folder that is restored from, as the commit has it, and what is in it.
    pub(super) payload: (Option<ObjectId>, Payload),
    /// Which files should not be there.
    pub(super) forbidden: Tally,
}

#[derive(Debug)]
struct Folder {
    path: String,
    depth: usize,
    id: ObjectId,
    is_payload: bool,
}

impl TreeWalk {
    /// Through the topmost folder of a commit, if there is a commit. `former` is the payload as it was counted before.
    pub(super) fn new(
        folder: Option<ObjectId>,
        payload_path: Option<String>,
        former: Option<(ObjectId, Payload)>,
    ) -> TreeWalk {
        let mut walk = TreeWalk {
            pending: Vec::new(),
            sizes: Vec::new(),
            entries: 0,
            payload_path,
            former,
            payload: (None, Payload::default()),
            forbidden: empty_tally(),
        };
        if let Some(id) = folder {
            walk.enter(String::new(), 0, id, false);
        }
        walk
    }

    /// Goes one step further.
    pub(super) fn step(&mut self, repository: &Repository, rules: &Rules) -> Result<Step, GitError> {
        if !self.sizes.is_empty() {
            for file in self.sizes.split_off(self.sizes.len().saturating_sub(SIZES_PER_STEP)) {
                self.payload.1.bytes += repository.size(file)?;
            }
            return Ok(Step::More);
        }
        let Some(folder) = self.pending.pop() else {
            return Ok(Step::Done);
        };
        if folder.depth > DEEPEST {
            return Err(repository.too_much(DEEPEST as u64, "folders in each other"));
        }
        let entries = repository.entries(folder.id)?;
        self.entries += entries.len() as u64;
        if self.entries > MOST_ENTRIES {
            return Err(repository.too_much(MOST_ENTRIES, "files"));
        }
        for entry in entries {
            let path = joined(&folder.path, &entry.name);
            match entry.kind {
                EntryKind::Folder => self.enter(path, folder.depth + 1, entry.id, folder.is_payload),
                EntryKind::File => {
                    if folder.is_payload || self.payload_path.as_ref() == Some(&path) {
                        self.payload.1.files += 1;
                        self.sizes.push(entry.id);
                    }
                    if let Some(kind) = leak(repository, rules, &path, entry.id)? {
                        self.forbidden.add(kind.as_str(), 1);
                    }
                }
                EntryKind::Other => {}
            }
        }
        Ok(Step::More)
    }

    fn enter(&mut self, path: String, depth: usize, id: ObjectId, is_in_payload: bool) {
        let mut is_payload = is_in_payload;
        if self.payload_path.as_ref() == Some(&path) {
            self.payload.0 = Some(id);
            match self.former {
                Some((former, counted)) if former == id => self.payload.1 = counted,
                _ => is_payload = true,
            }
        }
        self.pending.push(Folder { path, depth, id, is_payload });
    }
}

/// What should not be there in any commit of a history: of every commit only what it has changed is looked at.
#[derive(Debug)]
pub(super) struct HistoryWalk {
    commits: Vec<ObjectId>,
    pending: Vec<Changed>,
    entries: u64,
    /// What a path looked like, by a hash of it: the paths themselves are nobody's business.
    pub(super) found: HashMap<u64, Kind>,
}

/// A folder that is not as it was before.
#[derive(Debug)]
struct Changed {
    path: String,
    depth: usize,
    id: ObjectId,
    /// As the commits before had it.
    former: Vec<ObjectId>,
}

impl HistoryWalk {
    /// Through `commits`, in any order; `found` is what was found before.
    pub(super) fn new(commits: Vec<ObjectId>, found: HashMap<u64, Kind>) -> HistoryWalk {
        HistoryWalk { commits, pending: Vec::new(), entries: 0, found }
    }

    /// Goes one step further.
    pub(super) fn step(&mut self, repository: &Repository, rules: &Rules) -> Result<Step, GitError> {
        let folder = match self.pending.pop() {
            Some(folder) => folder,
            None => {
                let Some(commit) = self.commits.pop() else {
                    return Ok(Step::Done);
                };
                let commit = repository.commit(commit)?;
                if commit.former_folders.contains(&commit.folder) {
                    return Ok(Step::More);
                }
                Changed { path: String::new(), depth: 0, id: commit.folder, former: commit.former_folders }
            }
        };
        if folder.depth > DEEPEST {
            return Err(repository.too_much(DEEPEST as u64, "folders in each other"));
        }
        let mut before: HashMap<String, Vec<ObjectId>> = HashMap::new();
        for former in folder.former {
            for entry in repository.entries(former)? {
                self.entries += 1;
                before.entry(entry.name).or_default().push(entry.id);
            }
        }
        for entry in repository.entries(folder.id)? {
            self.entries += 1;
            let former = before.remove(&entry.name).unwrap_or_default();
            if former.contains(&entry.id) {
                continue;
            }
            let path = joined(&folder.path, &entry.name);
            match entry.kind {
                EntryKind::Folder => {
                    // What was a file has no folder to compare with.
                    let former = former.into_iter().filter(|id| repository.entries(*id).is_ok()).collect();
                    self.pending.push(Changed { path, depth: folder.depth + 1, id: entry.id, former });
                }
                EntryKind::File => {
                    if let Some(kind) = leak(repository, rules, &path, entry.id)? {
                        self.note(&path, kind);
                    }
                }
                EntryKind::Other => {}
            }
        }
        if self.entries > MOST_CHANGES {
            return Err(repository.too_much(MOST_CHANGES, "changes"));
        }
        Ok(Step::More)
    }

    fn note(&mut self, path: &str, kind: Kind) {
        let mut hasher = DefaultHasher::new();
        path.hash(&mut hasher);
        if self.found.len() < MOST_PATHS {
            self.found.insert(hasher.finish(), kind);
        }
    }

    /// How many different paths were found, by kind.
    pub(super) fn tally(&self) -> Tally {
        let mut tally = empty_tally();
        for kind in self.found.values() {
            tally.add(kind.as_str(), 1);
        }
        tally
    }
}

/// Every kind at zero.
fn empty_tally() -> Tally {
    Tally::of_known(&Kind::ALL.map(Kind::as_str))
}

fn joined(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

/// What a file is that should not be there.
fn leak(repository: &Repository, rules: &Rules, path: &str, file: ObjectId) -> Result<Option<Kind>, GitError> {
    let Some(kind) = rules.suspect(path) else {
        return Ok(None);
    };
    let is_it = match repository.content(file, MOST_CONTENT)? {
        Some(content) => is_confirmed(kind, path, &content),
        None => is_confirmed_unread(kind, path),
    };
    Ok(is_it.then_some(kind))
}
