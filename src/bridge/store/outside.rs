//! Noticing what other processes (`queue retry`, `queue drop`) commit, so that who waits for commits is woken for these
//! as well.

use std::time::Duration;

use super::{Store, StoreError};
use crate::bridge::service::{Service, Stop};

/// How often it is looked; a look reads one page that is in memory.
const PAUSE: Duration = Duration::from_secs(1);

/// Looks for commits of other processes until `stop`.
pub async fn run(service: Service, mut stop: Stop) {
    let mut watch = Watch::default();
    // It is the end as well when nobody can say stop any more.
    while tokio::time::timeout(PAUSE, stop.wait_for(|stop| *stop)).await.is_err() {
        if let Err(error) = watch.look(&service.store).await {
            tracing::warn!(
                error = crate::error_chain::display_chain(&error),
                "The store could not be watched for changes by other processes."
            );
            watch = Watch::default();
        }
    }
}

#[derive(Debug, Default)]
struct Watch {
    /// The version of the store is told by one connection in relation to what that one has seen.
    reader: Option<rusqlite::Connection>,
    version: Option<i64>,
}

impl Watch {
    /// Looks once, and says whether there was something new. The own writer is another connection, too: its commits are
    /// told once more, which wakes who waits for nothing.
    async fn look(&mut self, store: &Store) -> Result<bool, StoreError> {
        if self.reader.is_none() {
            self.reader = Some(store.reader()?);
        }
        let version = match &self.reader {
            Some(reader) => reader.pragma_query_value(None, "data_version", |row| row.get::<_, i64>(0))?,
            None => return Ok(false),
        };
        let is_new = self.version.replace(version).is_some_and(|former| former != version);
        if is_new {
            // Writes nothing, and so is no change itself; but it is a commit, and told as one.
            store.write(|_| Ok(())).await?;
            store.wake_all();
        }
        Ok(is_new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_commit_of_another_process_ticks_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bridge.db");
        let store = Store::open(&path).unwrap();
        let mut watch = Watch::default();
        assert!(!watch.look(&store).await.unwrap());
        let other = rusqlite::Connection::open(&path).unwrap();
        other.execute("INSERT INTO fact (name, value) VALUES ('a', 'b')", []).unwrap();
        let before = *store.commits().borrow();
        assert!(watch.look(&store).await.unwrap());
        assert!(*store.commits().borrow() > before);
        assert!(!watch.look(&store).await.unwrap(), "its own tick is no change");
    }
}
