//! The store: one SQLite file in which everything is that must not be lost.
//!
//! * `writer`: the one thread that writes; what arrives together is committed together, and a commit is on the disk
//!   before anybody is told of it (WAL, `synchronous = FULL`).
//! * [`cards`]: cards, their incidents and messages; [`delivery`]: what has come of bringing them to chats.
//! * [`incidents`]: what fires; [`intake`]: what an accepted notification changes.
//! * [`notes`]: what scripts have put into a chat.
//! * [`notices`]: what the bridge itself has to say, and refused requests.
//! * [`ends`]: what is known of ends that Alertmanager does not tell of.
//! * [`sweeps`]: what time alone changes, and what is deleted.
//! * [`buttons`]: what can be pressed; [`presses`]: what was, and what that has changed.
//! * [`heartbeats`]: when each was last heard.
//! * [`overview`]: how things stand, counted; [`queue`]: what waits, card by card.
//! * [`facts`]: single numbers that need no table; [`pauses`]: those that say until when a chat is left alone.
//! * [`outside`]: what other processes commit.
//!
//! Whoever is waiting for work to do subscribes to [`Store::commits`]. What the rows mean is in `schema.sql`.

pub mod buttons;
pub mod cards;
pub mod delivery;
pub mod ends;
pub mod facts;
pub mod heartbeats;
pub mod incidents;
pub mod intake;
pub mod notes;
pub mod notices;
pub mod outside;
pub mod overview;
pub mod pauses;
pub mod presses;
pub mod queue;
pub mod sweeps;
mod wakes;
mod writer;

#[cfg(test)]
mod tests;

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Transaction};
use rustix::fs::{FlockOperation, flock};
use tokio::sync::watch;

use super::config::ChatName;
use crate::system::time::Timestamp;
use writer::Writer;

/// The version of `schema.sql`; each change of it needs a step in [`prepare`].
const SCHEMA_VERSION: i64 = 2;

/// Marks the file as one of ours: "HABr".
const APPLICATION_ID: i64 = 0x4841_4272;

/// How long another process (`queue drop`) may hold the file.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the file of changes that are committed but not yet in the store itself is cut to, in bytes, once they are.
const LARGEST_LOG: i64 = 16 * 1024 * 1024;

/// In the store are names and addresses of machines: its owner's alone.
const OWNER_ONLY: u32 = 0o600;

/// Why something is not stored, or can not be told.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// The file can not be opened.
    #[error("the store {} could not be opened; its folder must be there, and belong to who runs the bridge", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: Arc<rusqlite::Error>,
    },
    /// It is some other program's database.
    #[error("{} is not a store of hermes-alert-bridge", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// A newer version of this program has written it.
    #[error("the store {} has version {found}, and this program knows only up to {SCHEMA_VERSION}; use the newer one", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// The file that says whose it is can not be used.
    #[error("the store could not be claimed with {}; its folder must be there, and belong to who runs the bridge", path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: Arc<std::io::Error>,
    },
    /// Another bridge has it.
    #[error("the store {} is in use by another hermes-alert-bridge", path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// SQLite refuses.
    #[error("the store refuses")]
    Sqlite(#[source] Arc<rusqlite::Error>),
    /// It was not committed: the disk is full or broken.
    #[error("the store could not commit")]
    Commit(#[source] Arc<rusqlite::Error>),
    /// What stands in it is not what this program writes.
    #[error("the store has something in it that can not be understood: {0}")]
    Damaged(String),
    /// The file is not where it was, so that what is written into it is lost with this program.
    #[error("the store {} was taken away, or replaced, while the bridge serves from it; start the bridge anew", path.display())]
    TakenAway {
        /// The file.
        path: PathBuf,
    },
    /// A piece of work has panicked; nothing of it was kept.
    #[error("a change of the store has failed in a way that it never should")]
    Panicked,
    /// The program is ending.
    #[error("the store is closed")]
    Closed,
}

impl From<serde_json::Error> for StoreError {
    fn from(error: serde_json::Error) -> Self {
        StoreError::Damaged(error.to_string())
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        StoreError::Sqlite(Arc::new(error))
    }
}

/// The store; clones are the same one.
#[derive(Debug, Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// The device and the number of the file.
    identity: Option<(u64, u64)>,
    writer: Writer,
    readers: Mutex<Vec<Connection>>,
}

impl Store {
    /// Opens the file, or makes it, for the one bridge that serves from it.
    pub fn open(path: &Path) -> Result<Store, StoreError> {
        Store::open_with(path, Some(claim(path)?))
    }

    /// Opens the file, or makes it, beside a bridge that may be serving from it: for a look, or a change by hand.
    pub fn open_beside(path: &Path) -> Result<Store, StoreError> {
        Store::open_with(path, None)
    }

    fn open_with(path: &Path, lock: Option<File>) -> Result<Store, StoreError> {
        let cannot = |source| StoreError::Open { path: path.to_owned(), source: Arc::new(source) };
        // SQLite takes the mode of the file for those that it puts beside it. Why it can not be made, SQLite says better.
        let _ = OpenOptions::new().write(true).create_new(true).mode(OWNER_ONLY).open(path);
        let connection = Connection::open(path).map_err(cannot)?;
        prepare(path, &connection)?;
        wakes::note(&connection)?;
        let writer = Writer::start(connection, lock);
        let identity = identity(path);
        Ok(Store { inner: Arc::new(Inner { path: path.to_owned(), identity, writer, readers: Mutex::default() }) })
    }

    /// Takes no more changes, and waits until those that were taken are on the disk.
    pub fn close(&self) {
        self.inner.readers.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.inner.writer.close();
    }

    /// Whether the file is where it was: into one that was taken away nothing may be accepted, although it can be written
    /// to. What is in it can still be brought to people.
    pub fn check_place(&self) -> Result<(), StoreError> {
        if identity(&self.inner.path) == self.inner.identity {
            Ok(())
        } else {
            Err(StoreError::TakenAway { path: self.inner.path.clone() })
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Ticks with every commit after which there may be something else to do for a chat.
    pub fn wakes(&self, chat: &ChatName) -> watch::Receiver<u64> {
        self.inner.writer.wakes().of(chat)
    }

    /// Ticks for every chat: another process may have changed anything.
    pub fn wake_all(&self) {
        self.inner.writer.wakes().all();
    }

    /// Ticks with every commit.
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.inner.writer.commits()
    }

    /// Does `work` in a transaction. What it gives comes back when it is on the disk; on an error nothing of it is.
    ///
    /// `work` may share the transaction with others', and must not commit anything itself.
    pub async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        self.inner.writer.write(work).await
    }

    /// Reads what was committed last. Not for use where one must not block.
    pub fn read_now<T>(&self, work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let idle = self.inner.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.reader()?,
        };
        let outcome = work(&connection.transaction()?);
        self.inner.readers.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
        outcome
    }

    /// Reads what was committed last.
    pub async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let store = self.clone();
        tokio::task::spawn_blocking(move || store.read_now(work)).await.map_err(|_| StoreError::Closed)?
    }

    fn reader(&self) -> Result<Connection, StoreError> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.inner.path, flags)?;
        connection.busy_timeout(PATIENCE)?;
        Ok(connection)
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.dev(), file.ino()))
}

/// Claims the store for this program, for as long as the file is open; the kernel gives it back when the program ends, in
/// whatever way.
fn claim(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let lock_path = PathBuf::from(name);
    let failed = |source: std::io::Error| StoreError::Lock { path: lock_path.clone(), source: Arc::new(source) };
    let options = OpenOptions::new().write(true).create(true).truncate(false).mode(OWNER_ONLY).open(&lock_path);
    let lock = options.map_err(failed)?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(lock),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(StoreError::InUse { path: path.to_owned() }),
        Err(error) => Err(failed(error.into())),
    }
}

/// Settings, and the tables where there are none yet.
fn prepare(path: &Path, connection: &Connection) -> Result<(), StoreError> {
    let cannot = |source| StoreError::Open { path: path.to_owned(), source: Arc::new(source) };
    connection.busy_timeout(PATIENCE)?;
    connection.set_prepared_statement_cache_capacity(64);
    let number = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let cannot_read = |source: rusqlite::Error| match source.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => StoreError::Foreign { path: path.to_owned() },
        _ => cannot(source),
    };
    let (application, version) =
        (number("application_id").map_err(cannot_read)?, number("user_version").map_err(cannot)?);
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(cannot)?;
    if application != APPLICATION_ID && (application != 0 || tables > 0) {
        return Err(StoreError::Foreign { path: path.to_owned() });
    }
    if version > SCHEMA_VERSION {
        return Err(StoreError::Newer { path: path.to_owned(), found: version });
    }
    connection.pragma_update(None, "journal_mode", "WAL").map_err(cannot)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "journal_size_limit", LARGEST_LOG)?;
    if version == 1 {
        connection.execute_batch(
            "BEGIN IMMEDIATE;
             ALTER TABLE incident ADD COLUMN inhibited_by TEXT;
             ALTER TABLE incident ADD COLUMN in_alertmanager INTEGER NOT NULL DEFAULT 0;
             ALTER TABLE incident ADD COLUMN ended_as INTEGER;
             PRAGMA user_version = 2;
             COMMIT;",
        )?;
    }
    if version == 0 {
        connection.execute_batch(&format!(
            "BEGIN IMMEDIATE;\n{}\nPRAGMA application_id = {APPLICATION_ID};\nPRAGMA user_version = {SCHEMA_VERSION};\nCOMMIT;",
            include_str!("schema.sql")
        ))?;
    }
    Ok(())
}

/// A moment as the store has it.
pub fn milliseconds(moment: Timestamp) -> i64 {
    (moment.seconds() * 1000.0).round() as i64
}

/// A moment out of the store.
pub fn moment(milliseconds: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_seconds(milliseconds as f64 / 1000.0)
        .ok_or_else(|| StoreError::Damaged(format!("the time {milliseconds}")))
}
