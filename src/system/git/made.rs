//! Repositories for tests, made with libgit2.

use std::path::{Path, PathBuf};

use git2::{Oid, RepositoryInitOptions, Signature, Time};
use tempfile::TempDir;

/// A repository in a folder that goes away with the test; what it is pushed to can be beside it.
pub(crate) struct Made {
    pub(crate) folder: TempDir,
    pub(crate) repository: git2::Repository,
}

impl Made {
    /// One without a commit, whose branch is called `main`.
    pub(crate) fn empty() -> Made {
        let folder = tempfile::tempdir().unwrap();
        let repository = init(&folder.path().join("vm"), false);
        Made { folder, repository }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("vm")
    }

    /// A file of it below `.git`.
    pub(crate) fn inner(&self, name: &str) -> PathBuf {
        self.repository.path().join(name)
    }

    /// Writes these files and commits everything that is there, at this moment.
    pub(crate) fn commit(&self, files: &[(&str, &[u8])], seconds: i64) -> Oid {
        for (name, content) in files {
            let path = self.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let mut index = self.repository.index().unwrap();
        index.add_all(["*"], git2::IndexAddOption::FORCE, None).unwrap();
        index.update_all(["*"], None).unwrap();
        index.write().unwrap();
        let tree = self.repository.find_tree(index.write_tree().unwrap()).unwrap();
        let parent = self.repository.head().ok().map(|head| head.peel_to_commit().unwrap());
        self.repository
            .commit(Some("HEAD"), &by(seconds), &by(seconds), "backup", &tree, &parent.iter().collect::<Vec<_>>())
            .unwrap()
    }

    /// Adds a remote that is a bare repository beside it.
    pub(crate) fn add_remote(&self, name: &str) {
        let path = self.folder.path().join(format!("{name}.git"));
        init(&path, true);
        self.repository.remote(name, path.to_str().unwrap()).unwrap();
    }

    /// Pushes its branch, by force.
    pub(crate) fn push(&self, remote: &str) {
        let mut remote = self.repository.find_remote(remote).unwrap();
        // Who pushes is in the log, and libgit2 is kept from every other configuration.
        let mut config = self.repository.config().unwrap();
        config.set_str("user.name", "tara").unwrap();
        config.set_str("user.email", "tara@example.invalid").unwrap();
        remote.push(&["+refs/heads/main:refs/heads/main"], None).unwrap();
    }

    /// Makes a branch point to a commit.
    pub(crate) fn set(&self, branch: &str, commit: Oid) {
        self.repository.reference(branch, commit, true, "moved").unwrap();
    }

    /// The loose file of an object.
    pub(crate) fn object(&self, id: Oid) -> PathBuf {
        let name = id.to_string();
        self.inner("objects").join(&name[..2]).join(&name[2..])
    }
}

pub(crate) fn init(path: &Path, is_bare: bool) -> git2::Repository {
    assert!(super::isolate());
    let mut options = RepositoryInitOptions::new();
    options.bare(is_bare).initial_head("main").external_template(false);
    git2::Repository::init_opts(path, &options).unwrap()
}

pub(crate) fn by(seconds: i64) -> Signature<'static> {
    Signature::new("tara", "tara@example.invalid", &Time::new(seconds, 330)).unwrap()
}
