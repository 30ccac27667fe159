//! A SQLite file layer that can not create, write or delete: one of the two modules with unsafe code.
//!
//! SQLite's own `mode=ro` is not enough. When a reader opens a WAL database in the moment its owner has closed
//! it and taken the `-wal` file away, SQLite creates that file anew, owned by the reader, and the owner can be
//! locked out of its own database. No check before the open can exclude that moment, so the open itself must
//! not be able to create. This layer is SQLite's default one with some functions replaced:
//!
//! * `xOpen` asks for reading only and never for creation, whatever SQLite wanted;
//! * `xDelete` refuses (SQLite deletes a `-wal` beside an empty database, for one);
//! * `fchown` and `fchmod` below it do nothing, because SQLite as root changes even what it only reads.
//!
//! The `-shm` file does not pass through `xOpen`; for that one the caller sets the URI parameter
//! `readonly_shm=1`, with which SQLite opens it for reading and does not create it either.
//!
//! What the unsafe code relies on: SQLite calls a registered layer's functions with pointers valid for that
//! call, and a layer must live as long as the process, which a leaked allocation does. The replaced
//! functions hand SQLite's pointers through untouched to the layer they came from, which is reached through
//! `pAppData`, as SQLite's documentation of shims describes.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::OnceLock;

use rusqlite::ffi;

/// The name under which the layer is registered.
pub(super) const NAME: &CStr = c"hermes-readonly";

/// Registers the layer, once per process. `false` when SQLite has no default layer or refuses another one.
pub(super) fn register() -> bool {
    static REGISTERED: OnceLock<bool> = OnceLock::new();
    *REGISTERED.get_or_init(|| {
        // SAFETY: a null name asks for the default layer; the answer is null or valid for the process's life.
        let inner = unsafe { ffi::sqlite3_vfs_find(std::ptr::null()) };
        if inner.is_null() {
            return false;
        }
        if !leave_owner_and_mode_alone(inner) {
            return false;
        }
        // SAFETY: `inner` is not null, and SQLite never changes a registered layer but for its `pNext`.
        let mut layer = unsafe { *inner };
        layer.zName = NAME.as_ptr();
        layer.pAppData = inner.cast::<c_void>();
        layer.pNext = std::ptr::null_mut();
        layer.xOpen = Some(open_for_reading);
        layer.xDelete = Some(refuse_to_delete);
        let layer = Box::leak(Box::new(layer));
        // SAFETY: the leaked layer is valid for ever, and 0 leaves SQLite's default layer the default.
        unsafe { ffi::sqlite3_vfs_register(layer, 0) == ffi::SQLITE_OK }
    })
}

/// Replaces `fchown` and `fchmod` in SQLite's default layer, for the whole process.
///
/// Running as root, SQLite gives every `-wal` and `-shm` that it opens to the owner of the database, even if it is
/// theirs already and is opened for reading: that moves the file's status-change time. Both calls matter only for
/// files that SQLite itself creates.
fn leave_owner_and_mode_alone(inner: *mut ffi::sqlite3_vfs) -> bool {
    type Fchown = unsafe extern "C" fn(c_int, u32, u32) -> c_int;
    type Fchmod = unsafe extern "C" fn(c_int, u32) -> c_int;
    type AnyCall = unsafe extern "C" fn();
    // SAFETY: `inner` is SQLite's default layer. SQLite casts what it is given back to the type of the named call
    // before it calls it, and these are the types of fchown(2) and fchmod(2).
    unsafe {
        let Some(replace) = (*inner).xSetSystemCall else {
            return false;
        };
        let chown = std::mem::transmute::<Fchown, AnyCall>(keep_owner);
        let chmod = std::mem::transmute::<Fchmod, AnyCall>(keep_mode);
        replace(inner, c"fchown".as_ptr(), Some(chown)) == ffi::SQLITE_OK
            && replace(inner, c"fchmod".as_ptr(), Some(chmod)) == ffi::SQLITE_OK
    }
}

unsafe extern "C" fn keep_owner(_: c_int, _: u32, _: u32) -> c_int {
    0
}

unsafe extern "C" fn keep_mode(_: c_int, _: u32) -> c_int {
    0
}

/// SQLite's `xOpen`, less every wish to write or create.
unsafe extern "C" fn open_for_reading(
    layer: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    flags_out: *mut c_int,
) -> c_int {
    let unwanted = ffi::SQLITE_OPEN_READWRITE
        | ffi::SQLITE_OPEN_CREATE
        | ffi::SQLITE_OPEN_DELETEONCLOSE
        | ffi::SQLITE_OPEN_EXCLUSIVE;
    let flags = (flags & !unwanted) | ffi::SQLITE_OPEN_READONLY;
    // SAFETY: SQLite calls this with the layer registered above, whose `pAppData` is the default layer; all
    // other pointers are SQLite's own and are handed on unchanged.
    unsafe {
        let inner = (*layer).pAppData.cast::<ffi::sqlite3_vfs>();
        match (*inner).xOpen {
            Some(open) => open(inner, name, file, flags, flags_out),
            None => ffi::SQLITE_CANTOPEN,
        }
    }
}

/// SQLite's `xDelete`: nothing of somebody else's is deleted here.
unsafe extern "C" fn refuse_to_delete(_: *mut ffi::sqlite3_vfs, _: *const c_char, _: c_int) -> c_int {
    ffi::SQLITE_IOERR_DELETE
}
