//! Reading somebody else's git repository without leaving a trace, and without running anything of its configuration.
//!
//! libgit2 reads it, in this process: no `git` is started, so that no hook, filter or `core.fsmonitor` of the repository
//! runs. It is opened anew for every look, which takes a fraction of a millisecond; nothing of it stays open. Whatever
//! libgit2 would wait for, or take whole into memory, is looked at before.
//!
//! * [`history`]: commits, and which of them another branch has.
//! * [`isolation`]: no configuration but the repository's own.
//! * [`objects`]: only objects that libgit2 can read to an end.
//! * [`reflog`]: when something was pushed.
//! * [`status`]: what is changed in the working tree.
//! * [`tracking`]: which branch of which remote says what has been pushed.
//! * [`trees`]: folders and files of a commit.
//!
//! libgit2 checks that the repository belongs to the user that the thread acts as, and that stays on. What it says in
//! an error is not kept: it quotes names and ids from the repository.

pub mod history;
mod isolation;
#[cfg(test)]
pub(crate) mod made;
mod objects;
pub mod reflog;
pub mod status;
pub mod tracking;
pub mod trees;

use std::ffi::OsStr;
use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

pub use git2::Oid as ObjectId;
use git2::{ErrorClass, ErrorCode, RepositoryOpenFlags, RepositoryState};

use super::files::{self, FileError, Stamp};
use super::time::Timestamp;
use isolation::Guard;

/// The largest file of a repository that libgit2 takes whole into memory: its index, or a list of its branches.
const SIZE_LIMIT: u64 = 256 * 1024 * 1024;

/// How many names that stand for another name are followed to a commit; git itself follows five.
const MOST_SYMBOLIC: usize = 5;

/// Why something could not be read from a repository.
#[derive(Debug, Clone, thiserror::Error)]
pub enum GitError {
    /// The kernel refused.
    #[error("no permission to read the repository {}", path.display())]
    Permission {
        /// The repository.
        path: PathBuf,
    },
    /// It belongs to another user than the one it is read as.
    #[error("the repository {} belongs to another user", path.display())]
    Owner {
        /// The repository.
        path: PathBuf,
    },
    /// A file of it could not be read, or is none.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is of a version, or has an extension, that libgit2 does not know.
    #[error("the repository {} is of a kind that is not supported", path.display())]
    Unsupported {
        /// The repository.
        path: PathBuf,
    },
    /// There is more of something than is read.
    #[error("the repository {} has more than {most} {of}", path.display())]
    TooMuch {
        /// The repository.
        path: PathBuf,
        /// The most that are read.
        most: u64,
        /// What there is too much of.
        of: &'static str,
    },
    /// Something in it is missing or makes no sense.
    #[error("the repository {} is damaged ({class:?}, {code:?})", path.display())]
    Damaged {
        /// The repository.
        path: PathBuf,
        /// Which part of libgit2 says so.
        class: ErrorClass,
        /// What it says.
        code: ErrorCode,
    },
    /// A file of it, or that it names, is none that libgit2 can read to an end, or too large.
    #[error("the repository {} has something for a file that is none, or is too large", path.display())]
    Endless {
        /// The repository.
        path: PathBuf,
    },
    /// A branch or an object of it could not be read; their names are nobody else's business.
    #[error("a branch or an object of the repository {} could not be read", path.display())]
    Part {
        /// The repository.
        path: PathBuf,
        /// What is wrong with its file.
        fault: FileError,
    },
    /// The operating system failed.
    #[error("reading the repository {} failed", path.display())]
    Io {
        /// The repository.
        path: PathBuf,
    },
    /// libgit2 could not be kept from the configuration of others, and is not used.
    #[error("libgit2 could not be set up")]
    Isolation,
}

/// What is at a path.
#[derive(Debug)]
pub enum Place {
    /// Nothing.
    Missing,
    /// Something that is not a repository.
    NotARepository,
    /// A repository.
    Repository(Box<Repository>),
}

/// An open repository.
pub struct Repository {
    inner: git2::Repository,
    path: PathBuf,
    _guard: Guard,
}

/// Where a repository stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The commit; `None` where nothing has been committed.
    pub commit: Option<ObjectId>,
    /// The full name of the branch; `None` where none is checked out.
    pub branch: Option<String>,
}

/// Keeps libgit2 from every configuration but a repository's own. Whoever uses libgit2 without [`Repository`] calls it
/// first.
pub fn isolate() -> bool {
    isolation::isolate()
}

/// Whether a remote can have this name.
pub fn is_remote_name(name: &str) -> bool {
    isolate() && git2::Remote::is_valid_name(name)
}

/// Whether a branch can have this name.
pub fn is_branch_name(name: &str) -> bool {
    isolate() && git2::Reference::is_valid_name(&format!("refs/heads/{name}"))
}

impl Repository {
    /// Opens what is at `path`, and nowhere above it: a folder inside of a repository is not one.
    pub fn open(path: &Path) -> Result<Place, GitError> {
        if !isolate() {
            return Err(GitError::Isolation);
        }
        if metadata(path)?.is_none() {
            return Ok(Place::Missing);
        }
        let Some(folder) = git_folder(path)? else {
            return Ok(Place::NotARepository);
        };
        let common = match linked(&folder, "commondir", "")? {
            Some(common) => common,
            None => folder.clone(),
        };
        for name in ["HEAD", "index", "config.worktree"] {
            check_file(&folder.join(name))?;
        }
        for name in ["config", "packed-refs", "shallow", "objects/info/alternates"] {
            check_file(&common.join(name))?;
        }
        // libgit2 takes an object that it may not look for as one that is missing.
        for name in ["objects", "objects/pack", "refs"] {
            check_folder(&common.join(name))?;
        }
        let (guard, opened) = Guard::around(|| {
            git2::Repository::open_ext(path, RepositoryOpenFlags::NO_SEARCH, std::iter::empty::<&OsStr>())
        });
        match opened {
            Ok(inner) => Ok(Place::Repository(Box::new(Repository { inner, path: path.to_owned(), _guard: guard }))),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(Place::NotARepository),
            Err(error) => Err(explain(path, &error)),
        }
    }

    /// Whether it has no working tree.
    pub fn is_bare(&self) -> bool {
        self.inner.is_bare()
    }

    /// Whether it is in the middle of a rebase, a merge or the like.
    pub fn is_interrupted(&self) -> bool {
        self.inner.state() != RepositoryState::Clean
    }

    /// Where it stands.
    pub fn head(&self) -> Result<Head, GitError> {
        let head = self.inner.find_reference("HEAD").map_err(|error| self.failed(&error))?;
        match head.symbolic_target() {
            Ok(Some(branch)) => Ok(Head { commit: self.commit_of(branch)?, branch: Some(branch.to_owned()) }),
            _ => Ok(Head { commit: head.target(), branch: self.branch_of_rebase() }),
        }
    }

    /// The branch that is being rebased: during it none is checked out.
    fn branch_of_rebase(&self) -> Option<String> {
        let name = |folder: &str| files::read(&self.inner.path().join(folder).join("head-name")).ok().flatten();
        let content = name("rebase-merge").or_else(|| name("rebase-apply"))?;
        let branch = String::from_utf8(content).ok()?.trim().to_owned();
        branch.starts_with("refs/heads/").then_some(branch)
    }

    /// The commit that a name of a branch leads to; `None` where there is no such branch.
    pub fn commit_of(&self, name: &str) -> Result<Option<ObjectId>, GitError> {
        Ok(self.resolve(name)?.1)
    }

    /// The name of the branch that a name leads to in the end, and its commit.
    fn resolve(&self, name: &str) -> Result<(String, Option<ObjectId>), GitError> {
        let mut name = name.to_owned();
        for _ in 0..MOST_SYMBOLIC {
            check_file_or_folder(&self.inner.commondir().join(&name)).map_err(|fault| self.part(fault))?;
            let next = match self.inner.find_reference(&name) {
                Ok(reference) => match reference.symbolic_target() {
                    Ok(Some(next)) => next.to_owned(),
                    _ => return Ok((name, reference.target())),
                },
                Err(error) if error.code() == ErrorCode::NotFound => return Ok((name, None)),
                Err(error) => return Err(self.failed(&error)),
            };
            name = next;
        }
        Err(GitError::Damaged { path: self.path.clone(), class: ErrorClass::Reference, code: ErrorCode::GenericError })
    }

    /// What tells one state of what is staged from the next; `None` where nothing ever was.
    pub fn index_stamp(&self) -> Result<Option<Stamp>, GitError> {
        Ok(files::stamp(&self.inner.path().join("index"))?)
    }

    /// When a commit was made, by the clock of who made it.
    pub fn time_of(&self, commit: ObjectId) -> Result<Timestamp, GitError> {
        Ok(moment(self.find_commit(commit)?.time().seconds()))
    }

    /// The error of something that there is too much of to be read.
    pub fn too_much(&self, most: u64, of: &'static str) -> GitError {
        GitError::TooMuch { path: self.path.clone(), most, of }
    }

    /// The error of a file whose name is not for anybody else, in a log neither.
    pub fn part(&self, fault: FileError) -> GitError {
        GitError::Part { path: self.path.clone(), fault }
    }

    fn failed(&self, error: &git2::Error) -> GitError {
        explain(&self.path, error)
    }
}

/// The moment that a commit names; one before 1970 is the first that there is.
fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds.max(1) as f64).unwrap_or(Timestamp::LATEST)
}

fn explain(path: &Path, error: &git2::Error) -> GitError {
    let path = path.to_owned();
    // libgit2 hands on the system's error in words only.
    let message = error.message();
    match (error.code(), error.class()) {
        _ if Guard::has_refused() => GitError::Endless { path },
        (ErrorCode::Owner, _) => GitError::Owner { path },
        _ if message.contains("Permission denied") => GitError::Permission { path },
        // Of an index: one that is split or sparse.
        (_, ErrorClass::Repository | ErrorClass::Index)
            if message.starts_with("unsupported ") || message.starts_with("unknown object format") =>
        {
            GitError::Unsupported { path }
        }
        (_, ErrorClass::Os | ErrorClass::NoMemory | ErrorClass::Filesystem) => GitError::Io { path },
        (code, class) => GitError::Damaged { path, class, code },
    }
}

fn metadata(path: &Path) -> Result<Option<Metadata>, FileError> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) => files::absent_or_error(path, error),
    }
}

/// The folder with the branches and objects of a repository; `None` where there is no repository.
fn git_folder(path: &Path) -> Result<Option<PathBuf>, FileError> {
    let inner = path.join(".git");
    match metadata(&inner)? {
        Some(metadata) if metadata.is_dir() => Ok(Some(inner)),
        Some(_) => linked(path, ".git", "gitdir: "),
        None => Ok(metadata(&path.join("HEAD"))?.map(|_| path.to_owned())),
    }
}

/// Where a file of one line leads, from its folder; `None` where there is no such file.
fn linked(folder: &Path, name: &str, prefix: &str) -> Result<Option<PathBuf>, FileError> {
    let Some(content) = files::read(&folder.join(name))? else {
        return Ok(None);
    };
    let target = content.strip_prefix(prefix.as_bytes()).map(<[u8]>::trim_ascii_end);
    Ok(target.map(|target| folder.join(OsStr::from_bytes(target))))
}

/// Refuses what libgit2 would wait for, or what is too large for it to be taken into memory.
fn check_file(path: &Path) -> Result<(), FileError> {
    match metadata(path)? {
        Some(metadata) if !metadata.is_file() => Err(FileError::NotRegular { path: path.to_owned() }),
        Some(metadata) if metadata.len() > SIZE_LIMIT => {
            Err(FileError::TooLarge { path: path.to_owned(), size: metadata.len(), most: SIZE_LIMIT })
        }
        _ => Ok(()),
    }
}

fn check_file_or_folder(path: &Path) -> Result<(), FileError> {
    match metadata(path)? {
        Some(metadata) if metadata.is_dir() => Ok(()),
        _ => check_file(path),
    }
}

fn check_folder(path: &Path) -> Result<(), FileError> {
    match std::fs::read_dir(path) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Err(FileError::Permission { path: path.to_owned() })
        }
        _ => Ok(()),
    }
}

impl std::fmt::Debug for Repository {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Repository").field("path", &self.path).finish_non_exhaustive()
    }
}
