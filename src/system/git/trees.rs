//! Folders and files of a commit, as it has them: not those of a working tree.

use git2::{ObjectType, Oid as ObjectId};

use super::{GitError, Repository};

/// What stands in a folder of a commit.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Its name; what is not UTF-8 in it is replaced.
    pub name: String,
    /// What it is called by in the repository.
    pub id: ObjectId,
    /// What it is.
    pub kind: EntryKind,
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryKind {
    /// A file with content.
    File,
    /// A folder.
    Folder,
    /// A link, which has no content of its own, or another repository.
    Other,
}

/// What a commit consists of.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Its topmost folder.
    pub folder: ObjectId,
    /// Those of the commits before it.
    pub former_folders: Vec<ObjectId>,
}

/// How deep folders are gone into: one that stands in itself a thousand times is a trap.
pub const DEEPEST: usize = 128;

const TYPE_OF_FILE: i32 = 0o170_000;
const REGULAR: i32 = 0o100_000;
const FOLDER: i32 = 0o040_000;

impl Repository {
    /// What a commit consists of.
    pub fn commit(&self, commit: ObjectId) -> Result<Commit, GitError> {
        let found = self.find_commit(commit)?;
        let mut former_folders = Vec::new();
        // Where a history has been cut off (a shallow clone), libgit2 leaves the parents out that are not there.
        for parent in found.parent_ids() {
            let before = self.find_commit(parent)?;
            former_folders.push(before.tree_id());
        }
        Ok(Commit { folder: found.tree_id(), former_folders })
    }

    /// What stands in a folder.
    pub fn entries(&self, folder: ObjectId) -> Result<Vec<Entry>, GitError> {
        let tree = self.find_tree(folder)?;
        let describe = |entry: git2::TreeEntry<'_>| Entry {
            name: String::from_utf8_lossy(entry.name_bytes()).into_owned(),
            id: entry.id(),
            kind: match entry.filemode_raw() & TYPE_OF_FILE {
                REGULAR => EntryKind::File,
                FOLDER => EntryKind::Folder,
                _ => EntryKind::Other,
            },
        };
        Ok(tree.iter().map(describe).collect())
    }

    /// The size of a file in bytes.
    pub fn size(&self, file: ObjectId) -> Result<u64, GitError> {
        // Unlike a whole object, a header is not read for ever.
        let header = || self.inner.odb()?.read_header(file);
        let (size, kind) = header().map_err(|error: git2::Error| self.failed(&error))?;
        if kind != ObjectType::Blob {
            let (class, code) = (git2::ErrorClass::Object, git2::ErrorCode::GenericError);
            return Err(GitError::Damaged { path: self.path.clone(), class, code });
        }
        Ok(size as u64)
    }

    /// The content of a file; `None` for one that is larger than `most`.
    pub fn content(&self, file: ObjectId, most: u64) -> Result<Option<Vec<u8>>, GitError> {
        if self.size(file)? > most {
            return Ok(None);
        }
        let blob = self.find_blob(file)?;
        Ok(Some(blob.content().to_vec()))
    }
}
