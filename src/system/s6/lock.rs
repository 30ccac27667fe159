//! Whether a supervisor lives: the lock that it holds, found out without taking it.

use std::io::ErrorKind;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::{Flock, FlockType, fcntl_getlk};

use super::S6Error;
use crate::system::files::{self, FileError};
use crate::system::processes::{self, LockKind};

/// How often `/proc/locks` is read at most for one service.
const LOCKS_INTERVAL: Duration = Duration::from_secs(10);

/// Whether a supervisor lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Supervisor {
    Alive,
    Gone,
}

/// Whether somebody holds a supervisor's lock, found out without taking it.
#[derive(Debug, Default)]
pub(super) struct LockWatch {
    /// The process that held it by `/proc/locks`, and its start time.
    holder: Option<(u32, u64)>,
    locks_read: Option<Instant>,
}

impl LockWatch {
    /// s6 locks by `fcntl`, and the kernel tells anybody who may open the file whether that is so. Unlike `/proc/locks`
    /// it tells so also from another PID namespace.
    pub(super) fn supervisor(&mut self, lock: &Path) -> Result<Supervisor, S6Error> {
        // Looked at before it is opened: opening something else may be noticed.
        match std::fs::metadata(lock) {
            Ok(metadata) if metadata.is_file() => {}
            Ok(_) => return Err(FileError::NotRegular { path: lock.to_owned() }.into()),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Supervisor::Gone),
            Err(error) => return Ok(files::absent_or_error(lock, error)?.unwrap_or(Supervisor::Gone)),
        }
        match files::open(lock) {
            Ok(Some((file, _))) => match fcntl_getlk(&file, &Flock::from(FlockType::WriteLock)) {
                Ok(Some(_)) => Ok(Supervisor::Alive),
                Ok(None) => Ok(Supervisor::Gone),
                Err(error) => Err(files::failed(lock, error.into()).into()),
            },
            Ok(None) => Ok(Supervisor::Gone),
            Err(FileError::Permission { .. }) => self.by_the_list_of_locks(lock),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) fn by_the_list_of_locks(&mut self, lock: &Path) -> Result<Supervisor, S6Error> {
        let lives = |(id, started)| {
            processes::find(id).is_ok_and(|process| process.is_some_and(|process| process.start_ticks == started))
        };
        if self.holder.is_some_and(lives) {
            return Ok(Supervisor::Alive);
        }
        self.holder = None;
        if self.locks_read.is_none_or(|read| read.elapsed() >= LOCKS_INTERVAL) {
            self.locks_read = Some(Instant::now());
            let file = files::stamp(lock)?.map(|stamp| stamp.identity());
            let held = processes::held_locks(LockKind::Range).into_iter().find(|held| Some(held.file) == file);
            let process = held.and_then(|held| processes::find(held.process).ok()?);
            self.holder = process.map(|process| (process.id, process.start_ticks));
        }
        // That it is not listed may be because its holder is in another PID namespace.
        self.holder.map(|_| Supervisor::Alive).ok_or_else(|| S6Error::Lock { path: lock.to_owned() })
    }
}
