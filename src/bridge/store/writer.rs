//! The one thread that writes to the store.
//!
//! What waits when a transaction is begun, and what arrives while its work is done, goes into it: so the disk is waited
//! for once for many, and one alone waits for nobody. Each piece of work has a savepoint of its own, so that one that fails
//! takes nothing with it.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use rusqlite::Connection;
use tokio::sync::{oneshot, watch};

use super::StoreError;

/// The most work in one transaction, so that the first one in it does not wait for ever.
const LARGEST_BATCH: usize = 256;

/// Something to write, and who waits for it.
trait Work: Send {
    /// Does it. `false` where nothing of it is to be kept.
    fn run(&mut self, connection: &Connection) -> bool;
    /// Tells who waits.
    fn finish(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Job<T, F> {
    work: Option<F>,
    outcome: Result<T, StoreError>,
    waiting: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, F: FnOnce(&Connection) -> Result<T, StoreError> + Send> Work for Job<T, F> {
    fn run(&mut self, connection: &Connection) -> bool {
        if let Some(work) = self.work.take() {
            self.outcome = work(connection);
        }
        self.outcome.is_ok()
    }

    fn finish(self: Box<Self>, committed: Result<(), StoreError>) {
        // Who no longer waits does not want to know.
        let _ = self.waiting.send(committed.and(self.outcome));
    }
}

/// The way to the thread that writes.
pub(super) struct Writer {
    jobs: Sender<Box<dyn Work>>,
    commits: watch::Receiver<u64>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Writer").field("commits", &*self.commits.borrow()).finish()
    }
}

impl Writer {
    /// Starts the thread. It ends with the last [`Writer`], after what was given to it is written.
    pub(super) fn start(connection: Connection) -> Writer {
        let (jobs, waiting) = channel();
        let (ticks, commits) = watch::channel(0);
        std::thread::spawn(move || write_all(&connection, &waiting, &ticks));
        Writer { jobs, commits }
    }

    pub(super) fn commits(&self) -> watch::Receiver<u64> {
        self.commits.clone()
    }

    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (waiting, done) = oneshot::channel();
        let job = Job { work: Some(work), outcome: Err(StoreError::Closed), waiting };
        self.jobs.send(Box::new(job)).map_err(|_| StoreError::Closed)?;
        done.await.map_err(|_| StoreError::Closed)?
    }
}

fn write_all(connection: &Connection, waiting: &Receiver<Box<dyn Work>>, ticks: &watch::Sender<u64>) {
    while let Ok(first) = waiting.recv() {
        let mut done = Vec::new();
        let committed = write_together(connection, first, waiting, &mut done);
        if committed.is_ok() {
            ticks.send_modify(|count| *count += 1);
        }
        for work in done {
            work.finish(committed.clone());
        }
    }
}

fn write_together(
    connection: &Connection,
    first: Box<dyn Work>,
    waiting: &Receiver<Box<dyn Work>>,
    done: &mut Vec<Box<dyn Work>>,
) -> Result<(), StoreError> {
    let failed = |error| StoreError::Commit(Arc::new(error));
    let begun = connection.execute_batch("BEGIN IMMEDIATE").map_err(failed);
    let mut next = Some(first);
    let mut outcome = begun.clone();
    while let Some(mut work) = next {
        if outcome.is_ok() {
            outcome = write_one(connection, &mut *work).map_err(failed);
        }
        done.push(work);
        next = if done.len() < LARGEST_BATCH { waiting.try_recv().ok() } else { None };
    }
    let outcome = outcome.and_then(|()| connection.execute_batch("COMMIT").map_err(failed));
    if outcome.is_err() && !connection.is_autocommit() {
        // What SQLite has rolled back by itself can not be rolled back again, and needs not be.
        let _ = connection.execute_batch("ROLLBACK");
    }
    outcome
}

fn write_one(connection: &Connection, work: &mut dyn Work) -> Result<(), rusqlite::Error> {
    connection.execute_batch("SAVEPOINT one")?;
    if !work.run(connection) {
        connection.execute_batch("ROLLBACK TO one")?;
    }
    connection.execute_batch("RELEASE one")
}
