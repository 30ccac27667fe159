//! What is changed in a working tree and not committed: a look at every file, and for that expensive.

use std::collections::HashSet;

use git2::StatusOptions;

use super::trees::EntryKind;
use super::{GitError, Repository};

/// The most files of a working tree that are compared.
const MOST_FILES: usize = 1_000_000;

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
        let statuses = self.inner.statuses(Some(&mut options)).map_err(failed)?;
        Ok(Some(statuses.iter().filter(|entry| !entry.status().is_ignored()).count() as u64))
    }

    /// Goes through the folders of the newest commit, which libgit2 is about to do without care.
    fn check_what_status_reads(&self) -> Result<(), GitError> {
        let Some(head) = self.head()?.commit else {
            return Ok(());
        };
        let mut folders = vec![self.commit(head)?.folder];
        let mut seen = HashSet::new();
        while let Some(folder) = folders.pop() {
            for entry in self.entries(folder)? {
                match entry.kind {
                    EntryKind::Folder if seen.insert(entry.id) => folders.push(entry.id),
                    // Read from what is committed or staged where it is not in the working tree.
                    EntryKind::File if [".gitattributes", ".gitignore"].contains(&entry.name.as_str()) => {
                        self.check_object(entry.id)?;
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }
}
