//! Keeps libgit2 from everything but the repository that it is given: one of the two modules with unsafe code.
//!
//! By itself libgit2 reads `/etc/gitconfig`, `~/.gitconfig` and their like. They belong to whoever the program runs as,
//! not to whoever owns the repository; they could lift the check of its owner (`safe.directory`); and where the home can
//! not be looked into, a repository could not even be opened. So the folders in which they are looked for are set to
//! none.
//!
//! What the unsafe code relies on: the setters write to variables of libgit2 without a lock, which is sound as long as
//! nobody reads them meanwhile. [`isolate`] does it exactly once, whoever comes second waits until it is done, and
//! everything in this program that uses libgit2 calls it first.

#![allow(unsafe_code)]

use std::sync::OnceLock;

use git2::ConfigLevel;

/// Sets libgit2 up, once per process, before its first use. `false` when it refuses.
pub(super) fn isolate() -> bool {
    static ISOLATED: OnceLock<bool> = OnceLock::new();
    *ISOLATED.get_or_init(|| {
        // Every object is read once and the repository closed again: a cache would be memory for nothing.
        git2::opts::enable_caching(false);
        let levels = [ConfigLevel::System, ConfigLevel::Global, ConfigLevel::XDG, ConfigLevel::ProgramData];
        // SAFETY: nobody has used libgit2 before this, and nobody does before it returns; see above.
        levels.into_iter().all(|level| unsafe { git2::opts::set_search_path(level, "") }.is_ok())
    })
}
