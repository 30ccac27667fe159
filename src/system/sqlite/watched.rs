//! A database that is read again only when it has changed: an unchanged one costs two `stat`s.

use std::path::PathBuf;
use std::sync::Arc;

use super::{Database, DatabaseError, DatabaseStamp, Transaction};

/// A database, and what a query found in it.
#[derive(Debug)]
pub struct WatchedDatabase<T> {
    database: Database,
    seen: Option<(DatabaseStamp, Result<Arc<T>, DatabaseError>)>,
}

impl<T> WatchedDatabase<T> {
    /// Watches the database at `path`, which need not exist.
    pub fn new(path: PathBuf) -> Self {
        WatchedDatabase { database: Database::new(path), seen: None }
    }

    /// The database that is watched.
    pub fn database(&self) -> &Database {
        &self.database
    }

    /// What `query` finds now, or `None` where there is no such database. It has to be the same query every time.
    pub fn get(
        &mut self,
        query: impl FnMut(&Transaction<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<Option<Arc<T>>, DatabaseError> {
        match self.database.stamp()? {
            Some(stamp) => self.get_as_of(stamp, query),
            None => {
                self.seen = None;
                Ok(None)
            }
        }
    }

    /// As [`WatchedDatabase::get`], for who has looked at the stamp just now.
    pub fn get_as_of(
        &mut self,
        stamp: DatabaseStamp,
        query: impl FnMut(&Transaction<'_>) -> Result<T, rusqlite::Error>,
    ) -> Result<Option<Arc<T>>, DatabaseError> {
        if let Some((of, found)) = &self.seen
            && *of == stamp
        {
            return found.clone().map(Some);
        }
        self.seen = None;
        // Asked before the read: what is written during it must not find the stamp settled meanwhile.
        let is_settled = stamp.is_settled();
        let found = match self.database.read(query) {
            Ok(None) => return Ok(None),
            Ok(Some(value)) => Ok(Arc::new(value)),
            Err(error) => Err(error),
        };
        let is_lasting = found.as_ref().err().is_none_or(DatabaseError::is_lasting);
        if is_settled && is_lasting {
            self.seen = Some((stamp, found.clone()));
        }
        found.map(Some)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn database(content: &str) -> (tempfile::TempDir, WatchedDatabase<i64>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        rusqlite::Connection::open(&path).unwrap().execute_batch(content).unwrap();
        (folder, WatchedDatabase::new(path))
    }

    fn wait_until_settled(database: &Database) {
        while !database.stamp().unwrap().unwrap().is_settled() {
            std::thread::yield_now();
        }
    }

    fn rows(transaction: &Transaction<'_>) -> Result<i64, rusqlite::Error> {
        Ok(transaction.row("SELECT count(*) FROM t", [], |row| row.get(0))?.unwrap_or(0))
    }

    #[test]
    fn an_unchanged_database_is_read_once_and_a_changed_one_again() {
        let (folder, mut watched) = database("CREATE TABLE t (x)");
        wait_until_settled(watched.database());
        let reads = Cell::new(0);
        let query = |transaction: &Transaction<'_>| {
            reads.set(reads.get() + 1);
            rows(transaction)
        };
        for _ in 0..2 {
            assert_eq!(watched.get(query).unwrap().as_deref(), Some(&0));
        }
        assert_eq!(reads.get(), 1);
        rusqlite::Connection::open(folder.path().join("a.db"))
            .unwrap()
            .execute("INSERT INTO t VALUES (1)", [])
            .unwrap();
        assert_eq!(watched.get(query).unwrap().as_deref(), Some(&1));
        std::fs::remove_file(folder.path().join("a.db")).unwrap();
        assert_eq!(watched.get(query).unwrap(), None);
    }

    #[test]
    fn a_stamp_that_settles_during_the_read_is_not_trusted() {
        let (_folder, mut watched) = database("CREATE TABLE t (x)");
        let database = watched.database().clone();
        let reads = Cell::new(0);
        let slowly = |transaction: &Transaction<'_>| {
            reads.set(reads.get() + 1);
            wait_until_settled(&database);
            rows(transaction)
        };
        watched.get(slowly).unwrap();
        watched.get(slowly).unwrap();
        assert_eq!(reads.get(), 2);
    }

    #[test]
    fn a_failure_is_kept_only_where_it_lasts() {
        let (_folder, mut watched) = database("CREATE TABLE other (x)");
        wait_until_settled(watched.database());
        let reads = Cell::new(0);
        let get = |watched: &mut WatchedDatabase<i64>, is_slow: bool| {
            watched.get(|transaction| {
                reads.set(reads.get() + 1);
                let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
                let sql = if is_slow { endless } else { "SELECT count(*) FROM t" };
                Ok(transaction.row(sql, [], |row| row.get(0))?.unwrap_or(0))
            })
        };
        assert!(matches!(get(&mut watched, true), Err(DatabaseError::TooSlow { .. })));
        assert!(matches!(get(&mut watched, false), Err(DatabaseError::Schema { .. })));
        assert_eq!(reads.get(), 2, "too slow may be over by now");
        assert!(matches!(get(&mut watched, false), Err(DatabaseError::Schema { .. })));
        assert_eq!(reads.get(), 2, "the tables are what they are");
    }
}
