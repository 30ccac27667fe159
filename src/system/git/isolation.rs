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
//! And libgit2 opens whatever the owner of a repository has put where a file belongs, or names in its configuration
//! (`include.path`, `core.excludesFile`): a FIFO, for which it would wait for ever, a device, a file that is larger than the
//! memory. There are too many such places to look at each before. So this program has an `open` of its own in the same way.
//! While a [`Guard`] lives, it gives libgit2 regular files and folders only, up to a size; for everybody else it is that of
//! the C library.
//!
//! What the unsafe code relies on: the setters write to variables of libgit2 without a lock, which is sound as long as
//! nobody reads them meanwhile. [`isolate`] does it exactly once, whoever comes second waits until it is done, and
//! everything in this program that uses libgit2 calls it first. `access` and `open` hand on what they are given to faccessat(2)
//! and openat(2), which ask the same of their arguments and answer in the same way. C declares the mode of `open` as one that
//! may be left out; on Linux it is handed over in the same register all the same, and what is in there is not looked at
//! unless a file is created.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::ffi::{CStr, c_char, c_int, c_uint};
use std::marker::PhantomData;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};
use std::sync::OnceLock;

use git2::ConfigLevel;
use rustix::fs::{FileType, OFlags};
use rustix::io::Errno;

/// Sets libgit2 up, once per process, before its first use. `false` when it refuses.
pub(super) fn isolate() -> bool {
    static ISOLATED: OnceLock<bool> = OnceLock::new();
    *ISOLATED.get_or_init(|| {
        // So that the linker has a reason to take it.
        std::hint::black_box(access as unsafe extern "C" fn(*const c_char, c_int) -> c_int);
        std::hint::black_box(open as unsafe extern "C" fn(*const c_char, c_int, c_uint) -> c_int);
        // Every object is read once and the repository closed again: a cache would be memory for nothing.
        git2::opts::enable_caching(false);
        let levels = [ConfigLevel::System, ConfigLevel::Global, ConfigLevel::XDG, ConfigLevel::ProgramData];
        // SAFETY: nobody has used libgit2 before this, and nobody does before it returns; see above.
        levels.into_iter().all(|level| unsafe { git2::opts::set_search_path(level, "") }.is_ok())
    })
}

/// The largest file that libgit2 reads while it opens a repository: its configuration, which grows in memory many times over.
pub(super) const MOST_CONFIG: u64 = 1024 * 1024;

/// The largest list of patterns, or of other folders with objects.
pub(super) const MOST_LIST: u64 = 1024 * 1024;

/// The largest of all other files, but those that libgit2 maps a piece of at a time: to compare one of a working tree, it
/// may take it whole into memory.
const MOST_BYTES: u64 = 1024 * 1024 * 1024;

const LISTS: [&[u8]; 6] =
    [b"/.gitignore", b"/.gitattributes", b"/.gitmodules", b"/info/exclude", b"/info/attributes", b"/info/alternates"];

const MAPPED: [&[u8]; 5] = [b".pack", b".idx", b"/multi-pack-index", b"/commit-graph", b".graph"];

thread_local! {
    static GUARDED: Cell<Guarded> = const { Cell::new(Guarded { guards: 0, opening: 0, is_refused: false }) };
}

#[derive(Debug, Clone, Copy)]
struct Guarded {
    /// How many guards live on this thread.
    guards: u32,
    /// How many repositories are being opened on it.
    opening: u32,
    is_refused: bool,
}

/// While one lives, libgit2 gets nothing to read on this thread that has no end.
#[derive(Debug)]
pub(super) struct Guard {
    /// It is counted on the thread that it was made on.
    stays: PhantomData<*const ()>,
}

impl Guard {
    /// Guards, and takes everything for a configuration that libgit2 reads in `opening`.
    pub(super) fn around<T>(opening: impl FnOnce() -> T) -> (Guard, T) {
        Guard::has_refused();
        let guard = Guard { stays: PhantomData };
        change(|guarded| (guarded.guards, guarded.opening) = (guarded.guards + 1, guarded.opening + 1));
        let opened = opening();
        change(|guarded| guarded.opening -= 1);
        (guard, opened)
    }

    /// Whether libgit2 was refused something on this thread since this was asked last.
    pub(super) fn has_refused() -> bool {
        let refused = GUARDED.get().is_refused;
        change(|guarded| guarded.is_refused = false);
        refused
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        change(|guarded| guarded.guards -= 1);
    }
}

fn change(how: impl FnOnce(&mut Guarded)) {
    let mut guarded = GUARDED.get();
    how(&mut guarded);
    GUARDED.set(guarded);
}

/// The largest size of the file at a path.
fn most_bytes(path: &[u8], is_opening: bool) -> u64 {
    let is_one_of = |endings: &[&[u8]]| endings.iter().any(|ending| path.ends_with(ending));
    if is_opening {
        MOST_CONFIG
    } else if is_one_of(&LISTS) {
        MOST_LIST
    } else if is_one_of(&MAPPED) {
        u64::MAX
    } else {
        MOST_BYTES
    }
}

/// The folder that relative paths begin in, and the wish to be answered for the effective user; as Linux numbers them.
const AT_FDCWD: c_int = -100;
const AT_EACCESS: c_int = 0x200;

unsafe extern "C" {
    fn faccessat(folder: c_int, path: *const c_char, mode: c_int, flags: c_int) -> c_int;
    fn openat(folder: c_int, path: *const c_char, flags: c_int, ...) -> c_int;
    fn __errno_location() -> *mut c_int;
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

/// Opens a file; for libgit2 only one that it can read to an end.
///
/// # Safety
///
/// As open(2): `path` is a string of C that is valid for the call.
#[unsafe(no_mangle)]
unsafe extern "C" fn open(path: *const c_char, flags: c_int, mode: c_uint) -> c_int {
    // A thread that ends has no guard any more.
    let guarded = GUARDED.try_with(Cell::get).ok().filter(|guarded| guarded.guards > 0);
    let Some(guarded) = guarded else {
        // SAFETY: what is asked of the caller is what openat asks.
        return unsafe { openat(AT_FDCWD, path, flags, mode) };
    };
    // SAFETY: as above.
    let opened = unsafe { openat(AT_FDCWD, path, flags | OFlags::NONBLOCK.bits() as c_int, mode) };
    if opened < 0 {
        return opened;
    }
    // SAFETY: it has just been opened, and nobody else knows of it.
    let file = unsafe { OwnedFd::from_raw_fd(opened) };
    // SAFETY: what is asked of the caller is what CStr asks.
    let most = most_bytes(unsafe { CStr::from_ptr(path) }.to_bytes(), guarded.opening > 0);
    let is_harmless = rustix::fs::fstat(&file).is_ok_and(|stat| match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => stat.st_size as u64 <= most,
        FileType::Directory => true,
        _ => false,
    });
    if is_harmless {
        return file.into_raw_fd();
    }
    drop(file);
    change(|guarded| guarded.is_refused = true);
    // SAFETY: the C library answers with the place of this thread's own error, which is valid while the thread runs.
    unsafe { *__errno_location() = Errno::FBIG.raw_os_error() };
    -1
}
