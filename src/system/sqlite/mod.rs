//! Reading somebody else's live SQLite database without leaving a trace and without blocking anybody.
//!
//! The owner of the database may write, checkpoint, close or crash at any moment. The rules here follow from
//! that, and from what SQLite does in each case (established by experiment, which the tests below repeat):
//!
//! | beside the database | how it is read |
//! |---|---|
//! | no `-wal`, or an empty one | `immutable=1`: no locks, no files; the stamps are compared afterwards, and a change means reading again |
//! | a `-wal` with content, and a `-shm` | read-only through both: sees every commit, and takes shared locks for the length of one short transaction |
//! | a `-wal` with content, no `-shm` | refused as [`DatabaseError::WalWithoutIndex`]: without its index the WAL can not be read, and without the WAL the database is stale |
//! | a `-journal` with content | read-only with locks: somebody writes in rollback mode |
//!
//! Two things make it impossible, not just unlikely, that a file is created: the [`readonly_vfs`] through
//! which everything is opened, and `readonly_shm=1`. A transaction ends by itself after [`LONGEST_TRANSACTION`],
//! because a reader keeps the owner from truncating its WAL. Connections do not outlive one [`Database::read`]:
//! the owner's last close then still removes its `-wal` and `-shm`.

mod readonly_vfs;
mod watched;

pub use watched::WatchedDatabase;

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use serde::{Deserialize, Serialize};

use super::files::{self, FileError, Stamp};

/// After this long a read transaction is ended, and the read fails with [`DatabaseError::TooSlow`].
pub const LONGEST_TRANSACTION: Duration = Duration::from_millis(150);

/// How long SQLite waits for a lock that somebody else holds.
const LOCK_PATIENCE: Duration = Duration::from_millis(100);

/// How often a read is repeated when the database changes under it.
const ATTEMPTS: u32 = 4;

/// How many virtual machine steps SQLite takes between two looks at the clock; about a tenth of a millisecond.
const STEPS_BETWEEN_CLOCK_READS: i32 = 2_000;

/// Why a database could not be read. A database that is not there is no error: [`Database::read`] answers `None`.
#[derive(Debug, Clone, thiserror::Error)]
pub enum DatabaseError {
    /// The database or a file beside it could not be looked at.
    #[error(transparent)]
    File(#[from] FileError),
    /// A `-wal` with content, but no `-shm`: left by a crash, or a copy of a live database.
    #[error("{} has a write-ahead log without its index", path.display())]
    WalWithoutIndex {
        /// The database.
        path: PathBuf,
    },
    /// Not a SQLite database, or a damaged one.
    #[error("{} is not a sound SQLite database", path.display())]
    Corrupt {
        /// The database.
        path: PathBuf,
    },
    /// Somebody holds a lock that excludes readers.
    #[error("{} is locked", path.display())]
    Locked {
        /// The database.
        path: PathBuf,
    },
    /// A transaction took longer than [`LONGEST_TRANSACTION`].
    #[error("reading {} took too long", path.display())]
    TooSlow {
        /// The database.
        path: PathBuf,
    },
    /// It changed under every attempt to read it.
    #[error("{} changed while it was read, {ATTEMPTS} times", path.display())]
    Changing {
        /// The database.
        path: PathBuf,
    },
    /// A table or column is not what is expected of it: another program's database, or a future one.
    #[error("{} does not have the tables that are expected", path.display())]
    Schema {
        /// The database.
        path: PathBuf,
    },
    /// Any other failure of SQLite.
    #[error("SQLite could not read {}", path.display())]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What SQLite said.
        #[source]
        source: Arc<rusqlite::Error>,
    },
}

impl DatabaseError {
    /// Whether it stays as it is until the database changes. Everything else may be over at the next look.
    pub fn is_lasting(&self) -> bool {
        matches!(self, DatabaseError::Corrupt { .. } | DatabaseError::Schema { .. })
    }
}

/// What tells one state of a database from the next without opening it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseStamp {
    /// The main file.
    pub database: Stamp,
    /// The write-ahead log, where there is one.
    pub wal: Option<Stamp>,
}

impl DatabaseStamp {
    /// Size of the write-ahead log in bytes; 0 where there is none.
    pub fn wal_bytes(&self) -> u64 {
        self.wal.map_or(0, |stamp| stamp.size)
    }

    /// Whether both files were last changed long enough ago that another change would show.
    pub fn is_settled(&self) -> bool {
        let now = SystemTime::now();
        self.database.is_settled_at(now) && self.wal.is_none_or(|wal| wal.is_settled_at(now))
    }

    /// Whether this is the same file as in `other`, whatever was written to it in between.
    pub fn is_same_file(&self, other: &DatabaseStamp) -> bool {
        self.database.identity() == other.database.identity()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    /// The file as it lies there, without locks: right as long as it does not change.
    Immutable,
    /// Through the write-ahead log or the rollback protocol, with shared locks.
    Shared,
}

/// A database of another program.
#[derive(Debug, Clone)]
pub struct Database {
    path: PathBuf,
}

impl Database {
    /// The database at `path`, which need not exist.
    pub fn new(path: PathBuf) -> Database {
        Database { path }
    }

    /// The state of the files now, or `None` where there is no such database.
    pub fn stamp(&self) -> Result<Option<DatabaseStamp>, DatabaseError> {
        let Some(database) = files::stamp(&self.path)? else {
            return Ok(None);
        };
        Ok(Some(DatabaseStamp { database, wal: files::stamp(&self.beside("-wal"))? }))
    }

    /// How a database in this state is to be read.
    fn access(&self, stamp: &DatabaseStamp) -> Result<Access, DatabaseError> {
        if files::stamp(&self.beside("-journal"))?.is_some_and(|journal| journal.size > 0) {
            return Ok(Access::Shared);
        }
        if stamp.wal_bytes() == 0 {
            return Ok(Access::Immutable);
        }
        if files::exists(&self.beside("-shm"))? {
            return Ok(Access::Shared);
        }
        Err(DatabaseError::WalWithoutIndex { path: self.path.clone() })
    }

    /// Runs `query` in one read transaction and gives its answer, or `None` where there is no such database.
    ///
    /// The query may run several times: when the database changes under it, what it answered is dropped.
    pub fn read<T>(
        &self,
        mut query: impl FnMut(&Transaction<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<Option<T>, DatabaseError> {
        for _ in 0..ATTEMPTS {
            let Some(before) = self.stamp()? else {
                return Ok(None);
            };
            if before.database.size == 0 {
                // SQLite takes an empty file for an empty database and deletes a `-wal` beside it.
                return Err(DatabaseError::Corrupt { path: self.path.clone() });
            }
            let access = match self.access(&before) {
                // Between looking at the -wal and at the -shm their owner may have made or removed both.
                Err(_) if self.stamp()?.is_none_or(|now| now != before) => continue,
                access => access?,
            };
            let answer = self.read_once(access, &mut query);
            let undisturbed = self.stamp()?.is_some_and(|after| match access {
                // Somebody who has begun to write in rollback mode may have written already.
                Access::Immutable => after == before && self.access(&after).is_ok_and(|now| now == access),
                Access::Shared => after.is_same_file(&before),
            });
            match answer {
                Ok(answer) if undisturbed => return Ok(Some(answer)),
                Err(error) if undisturbed => return Err(self.error(error)),
                _ => {}
            }
        }
        Err(DatabaseError::Changing { path: self.path.clone() })
    }

    fn read_once<T>(
        &self,
        access: Access,
        query: &mut impl FnMut(&Transaction<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<T, rusqlite::Error> {
        let mut connection = self.open(access)?;
        let started = Instant::now();
        connection
            .progress_handler(STEPS_BETWEEN_CLOCK_READS, Some(move || started.elapsed() > LONGEST_TRANSACTION))?;
        // Rolled back when dropped; it has changed nothing.
        let transaction = connection.unchecked_transaction()?;
        query(&Transaction { connection: &transaction })
    }

    fn open(&self, access: Access) -> Result<Connection, rusqlite::Error> {
        if !readonly_vfs::register() {
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_MISUSE),
                Some("the read-only file layer could not be registered".to_owned()),
            ));
        }
        let mut uri = String::from("file:");
        for &byte in self.path.as_os_str().as_bytes() {
            match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' | b'~' => {
                    uri.push(char::from(byte))
                }
                _ => uri.push_str(&format!("%{byte:02X}")),
            }
        }
        uri.push_str(match access {
            Access::Immutable => "?immutable=1",
            Access::Shared => "?mode=ro&readonly_shm=1",
        });
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        let connection = Connection::open_with_flags_and_vfs(uri, flags, readonly_vfs::NAME)?;
        connection.busy_timeout(LOCK_PATIENCE)?;
        connection.pragma_update(None, "query_only", true)?;
        Ok(connection)
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(suffix);
        name.into()
    }

    fn error(&self, error: rusqlite::Error) -> DatabaseError {
        let path = self.path.clone();
        match error.sqlite_error_code() {
            Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => DatabaseError::Corrupt { path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => DatabaseError::Locked { path },
            Some(ErrorCode::OperationInterrupted) => DatabaseError::TooSlow { path },
            Some(ErrorCode::PermissionDenied) => DatabaseError::File(FileError::Permission { path }),
            Some(ErrorCode::CannotOpen) => match std::fs::File::open(&path) {
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                    DatabaseError::File(FileError::Permission { path })
                }
                _ => DatabaseError::Sqlite { path, source: Arc::new(error) },
            },
            // SQLITE_ERROR while preparing: no such table, no such column.
            Some(ErrorCode::Unknown) => DatabaseError::Schema { path },
            Some(_) => DatabaseError::Sqlite { path, source: Arc::new(error) },
            // A value of another type than asked for.
            None => DatabaseError::Schema { path },
        }
    }
}

/// The text of a column; `None` where it is anything else, or not UTF-8.
///
/// SQLite's columns are only nominally typed: any row may hold anything, and one odd value must not hide the rest.
pub fn text<'a>(row: &'a rusqlite::Row<'_>, column: usize) -> Result<Option<&'a str>, rusqlite::Error> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(text) => std::str::from_utf8(text).ok(),
        _ => None,
    })
}

/// The number in a column, also one that is written as text; `None` where it is none.
pub fn number(row: &rusqlite::Row<'_>, column: usize) -> Result<Option<f64>, rusqlite::Error> {
    Ok(match row.get_ref(column)? {
        ValueRef::Integer(value) => Some(value as f64),
        ValueRef::Real(value) => Some(value),
        ValueRef::Text(text) => std::str::from_utf8(text).ok().and_then(|text| text.trim().parse().ok()),
        _ => None,
    }
    .filter(|value: &f64| value.is_finite()))
}

/// The count in a column; 0 where it is none, or negative.
pub fn count(row: &rusqlite::Row<'_>, column: usize) -> Result<u64, rusqlite::Error> {
    Ok(match row.get_ref(column)? {
        ValueRef::Integer(value) => u64::try_from(value).unwrap_or(0),
        // `as` ends at the bounds of the type.
        _ => number(row, column)?.unwrap_or(0.0) as u64,
    })
}

/// One short read transaction.
#[derive(Debug)]
pub struct Transaction<'a> {
    connection: &'a Connection,
}

impl Transaction<'_> {
    /// The columns of a table; empty where there is no such table.
    pub fn columns(&self, table: &str) -> Result<HashSet<String>, rusqlite::Error> {
        let mut statement = self.connection.prepare("SELECT name FROM pragma_table_info(?1)")?;
        let names = statement.query_map([table], |row| row.get(0))?;
        names.collect()
    }

    /// The single row that `sql` gives, or `None` where it gives none.
    pub fn row<T>(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        read: impl FnOnce(&rusqlite::Row<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<Option<T>, rusqlite::Error> {
        match self.connection.query_row(sql, parameters, read) {
            Ok(value) => Ok(Some(value)),
            Err(rusqlite::Error::QueryReturnedNoRows) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The rows that `sql` gives, handed to `each` one by one until it breaks off. `Break` when it did.
    pub fn rows(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        mut each: impl FnMut(&rusqlite::Row<'_>) -> Result<ControlFlow<()>, rusqlite::Error>,
    ) -> Result<ControlFlow<()>, rusqlite::Error> {
        let mut statement = self.connection.prepare(sql)?;
        let mut rows = statement.query(parameters)?;
        while let Some(row) = rows.next()? {
            if each(row)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::{Hash, Hasher};
    use std::path::Path;
    use tempfile::TempDir;

    /// A folder with a WAL database `a.db` of `rows` rows, and the connection that keeps it open.
    fn wal_database(rows: u32) -> (TempDir, Database, Connection) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let writer = Connection::open(&path).unwrap();
        writer.pragma_update(None, "journal_mode", "wal").unwrap();
        writer.execute_batch("CREATE TABLE t (x INTEGER)").unwrap();
        for x in 0..rows {
            writer.execute("INSERT INTO t VALUES (?1)", [x]).unwrap();
        }
        (folder, Database::new(path), writer)
    }

    fn rows_in(database: &Database) -> Result<Option<i64>, DatabaseError> {
        database
            .read(|transaction| transaction.row("SELECT count(*) FROM t", [], |row| row.get(0)))
            .map(Option::flatten)
    }

    fn names(folder: &Path) -> Vec<String> {
        files::entries(folder).unwrap().unwrap()
    }

    /// Names, sizes and content hashes.
    fn listing(folder: &Path) -> Vec<(String, usize, u64)> {
        let describe = |name: String| {
            let content = std::fs::read(folder.join(&name)).unwrap();
            let mut hasher = std::hash::DefaultHasher::new();
            content.hash(&mut hasher);
            (name, content.len(), hasher.finish())
        };
        names(folder).into_iter().map(describe).collect()
    }

    fn copy(from: &Path, names: &[&str]) -> TempDir {
        let to = tempfile::tempdir().unwrap();
        for name in names {
            std::fs::copy(from.join(name), to.path().join(name)).unwrap();
        }
        to
    }

    #[test]
    fn commits_in_the_wal_are_seen_while_the_owner_has_it_open() {
        let (folder, database, writer) = wal_database(3);
        assert_eq!(rows_in(&database).unwrap(), Some(3));
        writer.execute("INSERT INTO t VALUES (9)", []).unwrap();
        // Within one process SQLite shares the index, so that its read marks may move here; from another
        // process it is mapped read-only.
        let untouched = |files: Vec<(String, usize, u64)>| {
            files.into_iter().filter(|(name, ..)| name != "a.db-shm").collect::<Vec<_>>()
        };
        let before = untouched(listing(folder.path()));
        assert_eq!(rows_in(&database).unwrap(), Some(4));
        assert_eq!(untouched(listing(folder.path())), before);
    }

    #[test]
    fn a_closed_database_is_read_and_no_file_appears() {
        let (folder, database, writer) = wal_database(3);
        drop(writer);
        let before = listing(folder.path());
        assert_eq!(before.len(), 1, "the owner's close removes -wal and -shm");
        assert_eq!(rows_in(&database).unwrap(), Some(3));
        assert_eq!(listing(folder.path()), before);
    }

    #[test]
    fn the_file_layer_refuses_to_create_what_mode_ro_would_create() {
        let (folder, database, writer) = wal_database(3);
        drop(writer);
        // What happens when the owner closes between the look and the open.
        let outcome = database
            .open(Access::Shared)
            .and_then(|connection| connection.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)));
        assert!(outcome.is_err());
        assert_eq!(listing(folder.path()).len(), 1);
    }

    #[test]
    fn what_a_killed_owner_left_is_read_through_its_wal_and_stays() {
        let (folder, _, writer) = wal_database(3);
        let copy = copy(folder.path(), &["a.db", "a.db-wal", "a.db-shm"]);
        drop(writer);
        let database = Database::new(copy.path().join("a.db"));
        let before = listing(copy.path());
        assert_eq!(before.len(), 3);
        assert_eq!(rows_in(&database).unwrap(), Some(3));
        assert_eq!(listing(copy.path()), before);
    }

    #[test]
    fn a_wal_without_its_index_is_stale_not_wrong() {
        let (folder, _, writer) = wal_database(3);
        let copy = copy(folder.path(), &["a.db", "a.db-wal"]);
        drop(writer);
        let outcome = rows_in(&Database::new(copy.path().join("a.db")));
        assert!(matches!(outcome, Err(DatabaseError::WalWithoutIndex { .. })), "{outcome:?}");
        assert_eq!(listing(copy.path()).len(), 2);
    }

    #[test]
    fn an_empty_wal_is_no_wal() {
        let (folder, database, writer) = wal_database(3);
        drop(writer);
        std::fs::write(folder.path().join("a.db-wal"), b"").unwrap();
        assert_eq!(rows_in(&database).unwrap(), Some(3));
        assert_eq!(listing(folder.path()).len(), 2);
    }

    #[test]
    fn an_empty_database_keeps_the_wal_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.db"), b"").unwrap();
        std::fs::write(folder.path().join("a.db-wal"), b"left").unwrap();
        std::fs::write(folder.path().join("a.db-shm"), b"left").unwrap();
        let outcome = rows_in(&Database::new(folder.path().join("a.db")));
        assert!(matches!(outcome, Err(DatabaseError::Corrupt { .. })), "{outcome:?}");
        assert_eq!(listing(folder.path()).len(), 3);
    }

    #[test]
    fn a_locked_rollback_database_is_reported_as_locked() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let writer = Connection::open(&path).unwrap();
        writer.pragma_update(None, "cache_size", 1).unwrap();
        writer.execute_batch("CREATE TABLE t (x INTEGER); BEGIN EXCLUSIVE; INSERT INTO t VALUES (1)").unwrap();
        let outcome = rows_in(&Database::new(path));
        assert!(matches!(outcome, Err(DatabaseError::Locked { .. })), "{outcome:?}");
    }

    #[test]
    fn a_foreign_file_is_corrupt_and_a_foreign_schema_is_named_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        std::fs::write(&path, "not a database, though long enough to hold a header of one".repeat(50)).unwrap();
        assert!(matches!(rows_in(&Database::new(path)), Err(DatabaseError::Corrupt { .. })));
        let other = folder.path().join("b.db");
        Connection::open(&other).unwrap().execute_batch("CREATE TABLE other (y)").unwrap();
        assert!(matches!(rows_in(&Database::new(other)), Err(DatabaseError::Schema { .. })));
    }

    #[test]
    fn a_slow_query_is_ended() {
        let (_folder, database, _writer) = wal_database(1);
        let outcome = database.read(|transaction| {
            transaction.row(
                "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
                [],
                |row| row.get::<_, i64>(0),
            )
        });
        assert!(matches!(outcome, Err(DatabaseError::TooSlow { .. })), "{outcome:?}");
    }

    #[test]
    fn odd_values_are_none_and_hide_nothing() {
        let (_folder, database, writer) = wal_database(0);
        writer.execute_batch("INSERT INTO t VALUES (x'ff00'), ('many'), ('7'), (2.5), (-3), (NULL)").unwrap();
        let mut found = Vec::new();
        database
            .read(|transaction| {
                transaction.rows("SELECT x FROM t ORDER BY rowid", [], |row| {
                    found.push((text(row, 0)?.map(str::to_owned), number(row, 0)?, count(row, 0)?));
                    Ok(ControlFlow::Continue(()))
                })
            })
            .unwrap();
        assert_eq!(found[0], (None, None, 0));
        assert_eq!(found[1], (Some("many".to_owned()), None, 0));
        // The column is an INTEGER, so that SQLite itself makes a number of this text.
        assert_eq!(found[2], (None, Some(7.0), 7));
        assert_eq!(found[3], (None, Some(2.5), 2));
        assert_eq!(found[4], (None, Some(-3.0), 0));
        assert_eq!(found[5], (None, None, 0));
    }

    #[test]
    fn odd_characters_in_the_path_are_no_uri_syntax() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a?mode=rwc#%41 ö.db");
        Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
        assert_eq!(rows_in(&Database::new(path)).unwrap(), Some(0));
        assert_eq!(listing(folder.path()).len(), 1);
    }

    #[test]
    fn a_database_that_is_not_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(rows_in(&Database::new(folder.path().join("a.db"))).unwrap(), None);
        assert_eq!(listing(folder.path()).len(), 0);
    }
}
