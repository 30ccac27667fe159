//! The one thread that writes to the store.
//!
//! What waits when a transaction is begun, and what arrives while its work is done, goes into it: so the disk is waited
//! for once for many, and one alone waits for nobody. Each piece of work has a savepoint of its own, so that one that fails
//! takes nothing with it; not even one that panics.

use std::fmt;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use tokio::sync::{oneshot, watch};

use super::StoreError;
use super::wakes::Wakes;

/// The most work in one transaction, so that the first one in it does not wait for ever.
const LARGEST_BATCH: usize = 256;

/// How long work is added to a transaction, for the same reason: a piece of it may be a thousand alerts.
const LONGEST_BATCH: Duration = Duration::from_millis(20);

/// Something to write, and who waits for it.
trait Work: Send {
    /// Does it. On an error nothing of it is to be kept.
    fn run(&mut self, connection: &Connection) -> Result<(), StoreError>;
    /// Tells who waits.
    fn finish(self: Box<Self>, committed: Result<(), StoreError>);
}

struct Job<T, F> {
    work: Option<F>,
    outcome: Result<T, StoreError>,
    waiting: oneshot::Sender<Result<T, StoreError>>,
}

impl<T: Send, F: FnOnce(&Connection) -> Result<T, StoreError> + Send> Work for Job<T, F> {
    fn run(&mut self, connection: &Connection) -> Result<(), StoreError> {
        if let Some(work) = self.work.take() {
            self.outcome = work(connection);
        }
        self.outcome.as_ref().map(|_| ()).map_err(Clone::clone)
    }

    fn finish(self: Box<Self>, committed: Result<(), StoreError>) {
        // Who no longer waits does not want to know.
        let _ = self.waiting.send(committed.and(self.outcome));
    }
}

/// The way to the thread that writes.
pub(super) struct Writer {
    /// None once the store is closed.
    jobs: Mutex<Option<Sender<Box<dyn Work>>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    commits: watch::Receiver<u64>,
    wakes: Arc<Wakes>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Writer").field("commits", &*self.commits.borrow()).finish_non_exhaustive()
    }
}

impl Writer {
    /// Starts the thread. It keeps `lock` for as long as it may write.
    pub(super) fn start(connection: Connection, lock: Option<File>) -> Writer {
        let (jobs, waiting) = channel();
        let (ticks, commits) = watch::channel(0);
        let wakes = Arc::new(Wakes::default());
        let waker = Arc::clone(&wakes);
        let thread = std::thread::spawn(move || {
            write_all(&connection, &waiting, &ticks, &waker);
            drop(connection);
            drop(lock);
        });
        Writer { jobs: Mutex::new(Some(jobs)), thread: Mutex::new(Some(thread)), commits, wakes }
    }

    pub(super) fn commits(&self) -> watch::Receiver<u64> {
        self.commits.clone()
    }

    pub(super) fn wakes(&self) -> &Wakes {
        &self.wakes
    }

    pub(super) async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    {
        let (waiting, done) = oneshot::channel();
        // What is never overwritten is the outcome of work that has panicked.
        let job = Job { work: Some(work), outcome: Err(StoreError::Panicked), waiting };
        match &*self.jobs.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(jobs) => jobs.send(Box::new(job)).map_err(|_| StoreError::Closed)?,
            None => return Err(StoreError::Closed),
        }
        done.await.map_err(|_| StoreError::Closed)?
    }

    /// Takes no more work, and waits until what was taken is on the disk.
    pub(super) fn close(&self) {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The last one to have the store may be a piece of work, whose thread can not wait for itself.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            let _ = thread.join();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

fn write_all(connection: &Connection, waiting: &Receiver<Box<dyn Work>>, ticks: &watch::Sender<u64>, wakes: &Wakes) {
    while let Ok(first) = waiting.recv() {
        let mut done = Vec::new();
        let committed = write_together(connection, first, waiting, &mut done);
        if committed.is_ok() {
            wakes.tell(connection);
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
    let mut outcome = connection.execute_batch("BEGIN IMMEDIATE").map_err(failed);
    let begun = Instant::now();
    let mut next = Some(first);
    while let Some(mut work) = next {
        if outcome.is_ok() {
            outcome = write_one(connection, &mut *work);
        }
        done.push(work);
        let has_room = done.len() < LARGEST_BATCH && begun.elapsed() < LONGEST_BATCH;
        next = if has_room { waiting.try_recv().ok() } else { None };
    }
    let outcome = outcome.and_then(|()| connection.execute_batch("COMMIT").map_err(failed));
    if outcome.is_err() && !connection.is_autocommit() {
        // What SQLite has rolled back by itself can not be rolled back again, and needs not be.
        let _ = connection.execute_batch("ROLLBACK");
    }
    outcome
}

/// Does one piece of work. An error is one of the whole transaction; that of the work itself goes to who waits for it.
fn write_one(connection: &Connection, work: &mut dyn Work) -> Result<(), StoreError> {
    let failed = |error| StoreError::Commit(Arc::new(error));
    connection.execute_batch("SAVEPOINT one").map_err(failed)?;
    // The statements of work that panics are finished when it is unwound, and the savepoint takes back what they did.
    let outcome = catch_unwind(AssertUnwindSafe(|| work.run(connection))).unwrap_or(Err(StoreError::Panicked));
    // On a full or broken disk SQLite takes back the whole transaction, with what others have done in it.
    match outcome {
        Err(StoreError::Sqlite(source)) if connection.is_autocommit() => return Err(StoreError::Commit(source)),
        Err(_) => connection.execute_batch("ROLLBACK TO one").map_err(failed)?,
        Ok(()) => {}
    }
    connection.execute_batch("RELEASE one").map_err(failed)
}

#[cfg(test)]
mod tests;
