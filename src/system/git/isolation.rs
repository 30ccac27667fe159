//! Keeps libgit2 from everything but the repository that it is given: one of the two modules with unsafe code.
//!
//! By itself libgit2 reads `/etc/gitconfig`, `~/.gitconfig` and their like. They belong to whoever the program runs as,
//! not to whoever owns the repository; they could lift the check of its owner (`safe.directory`); and where the home can
//! not be looked into, a repository could not even be opened. So the folders in which they are looked for are set to
//! none.
//!
//! And libgit2 asks with access(2) whether a file is there, which answers for the real user of a thread. The threads that
//! read what is another user's have only taken that user's effective identity (see [`crate::system::owner`]), so that to
//! them every object of a closed folder would be missing. This program therefore has an `access` of its own, which the
//! linker takes before that of the C library: the same question, answered for the effective user, who is the one that
//! opens the file then. Where both are the same user, nothing differs.
//!
//! What the unsafe code relies on: the setters write to variables of libgit2 without a lock, which is sound as long as
//! nobody reads them meanwhile. [`isolate`] does it exactly once, whoever comes second waits until it is done, and
//! everything in this program that uses libgit2 calls it first. `access` hands on what it is given to faccessat(2), which
//! asks the same of its arguments and answers in the same way.

#![allow(unsafe_code)]

use std::ffi::{c_char, c_int};
use std::sync::OnceLock;

use git2::ConfigLevel;

/// Sets libgit2 up, once per process, before its first use. `false` when it refuses.
pub(super) fn isolate() -> bool {
    static ISOLATED: OnceLock<bool> = OnceLock::new();
    *ISOLATED.get_or_init(|| {
        // So that the linker has a reason to take it.
        std::hint::black_box(access as unsafe extern "C" fn(*const c_char, c_int) -> c_int);
        // Every object is read once and the repository closed again: a cache would be memory for nothing.
        git2::opts::enable_caching(false);
        let levels = [ConfigLevel::System, ConfigLevel::Global, ConfigLevel::XDG, ConfigLevel::ProgramData];
        // SAFETY: nobody has used libgit2 before this, and nobody does before it returns; see above.
        levels.into_iter().all(|level| unsafe { git2::opts::set_search_path(level, "") }.is_ok())
    })
}

/// The folder that relative paths begin in, and the wish to be answered for the effective user; as Linux numbers them.
const AT_FDCWD: c_int = -100;
const AT_EACCESS: c_int = 0x200;

unsafe extern "C" {
    fn faccessat(folder: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int;
}

/// Whether the effective user may do this with a file.
///
/// # Safety
///
/// As access(2): `path` is a string of C that is valid for the call.
#[unsafe(no_mangle)]
unsafe extern "C" fn access(path: *const c_char, mode: c_int) -> c_int {
    // SAFETY: what is asked of the caller is what faccessat asks.
    unsafe { faccessat(AT_FDCWD, path, mode, AT_EACCESS) }
}
