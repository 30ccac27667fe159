//! What is changed in a working tree and not committed: a look at every file, and for that expensive.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use git2::StatusOptions;

use super::isolation::{Guard, MOST_LIST};
use super::trees::{DEEPEST, EntryKind};
use super::{GitError, ObjectId, Repository};
use crate::system::files;

/// The most files of a working tree that are compared.
const MOST_FILES: usize = 1_000_000;

/// What has been learned of a folder.
struct Counted {
    /// How much stands in it; together with all below, once it is known.
    entries: u64,
    /// The folders in it; none any more, once they are counted.
    folders: Vec<ObjectId>,
}

impl Repository {
    /// How many files are changed, new or deleted, as `git status` counts them: a new folder counts once, and what is
    /// ignored, or changed inside of a submodule, does not. `None` where there is no working tree.
    pub fn changed_files(&self) -> Result<Option<u64>, GitError> {
        if self.inner.is_bare() {
            return Ok(None);
        }
        let failed = |error: git2::Error| self.failed(&error);
        if self.inner.index().map_err(failed)?.len() > MOST_FILES {
            return Err(self.too_much(MOST_FILES as u64, "files"));
        }
        self.check_what_status_reads()?;
        let mut options = StatusOptions::new();
        options
            .include_untracked(true)
            .recurse_untracked_dirs(false)
            .include_ignored(false)
            .exclude_submodules(true)
            // libgit2 would write what it has found out back to the index.
            .no_refresh(true)
            .update_index(false);
        Guard::has_refused();
        let statuses = self.inner.statuses(Some(&mut options)).map_err(failed)?;
        // A list of patterns that it can not open is none, to libgit2.
        if Guard::has_refused() {
            return Err(GitError::Endless { path: self.path.clone() });
        }
        Ok(Some(statuses.iter().filter(|entry| !entry.status().is_ignored()).count() as u64))
    }

    /// Goes through what libgit2 is about to read without care: lists of patterns that the configuration names, and the
    /// folders of the newest commit. There each folder is read once; libgit2 goes into it wherever it stands, and a few
    /// that stand in each other can be more files than there are atoms.
    fn check_what_status_reads(&self) -> Result<(), GitError> {
        let config =
            self.inner.config().and_then(|mut config| config.snapshot()).map_err(|error| self.failed(&error))?;
        for key in ["core.excludesfile", "core.attributesfile"] {
            if let Ok(list) = config.get_path(key)
                && files::stamp(&list).is_ok_and(|stamp| stamp.is_some_and(|stamp| stamp.size > MOST_LIST))
            {
                return Err(self.too_much(MOST_LIST, "bytes in a list of patterns"));
            }
        }
        let Some(head) = self.head()?.commit else {
            return Ok(());
        };
        let topmost = self.commit(head)?.folder;
        let mut pending = vec![(topmost, 1)];
        let mut folders: HashMap<ObjectId, Counted> = HashMap::new();
        while let Some((id, depth)) = pending.pop() {
            if depth > DEEPEST {
                return Err(self.too_much(DEEPEST as u64, "folders in each other"));
            }
            let folder = match folders.entry(id) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let folder = self.read_for_status(id)?;
                    pending.push((id, depth));
                    pending.extend(folder.folders.iter().map(|below| (*below, depth + 1)));
                    new.insert(folder);
                    continue;
                }
            };
            let below = std::mem::take(&mut folder.folders);
            let entries: u64 = below.iter().filter_map(|below| folders.get(below)).map(|below| below.entries).sum();
            if let Some(folder) = folders.get_mut(&id) {
                folder.entries += entries;
                if folder.entries > MOST_FILES as u64 {
                    return Err(self.too_much(MOST_FILES as u64, "files"));
                }
            }
        }
        Ok(())
    }

    fn read_for_status(&self, folder: ObjectId) -> Result<Counted, GitError> {
        let entries = self.entries(folder)?;
        let mut counted = Counted { entries: entries.len() as u64, folders: Vec::new() };
        for entry in entries {
            match entry.kind {
                EntryKind::Folder => counted.folders.push(entry.id),
                // Read from what is committed or staged where it is not in the working tree.
                EntryKind::File if [".gitattributes", ".gitignore"].contains(&entry.name.as_str()) => {
                    self.check_object(entry.id)?;
                }
                _ => {}
            }
        }
        Ok(counted)
    }
}
