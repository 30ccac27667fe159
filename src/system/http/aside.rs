//! Blocking work aside from the asynchronous threads, that is joined and not begun again while it goes on.
//!
//! Looking up a name or reading a file may take as long as it likes, and can not be stopped. Whoever asks again while
//! it goes on waits for the same work, so that a name server that never answers costs one thread for a name and not
//! one for each look; and all such work together is given a few threads only. What came of work that has ended while
//! nobody was waiting is told to nobody: it was true then.

use std::sync::Arc;

use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinHandle;

use super::Stage;

/// Threads that all such work together may take.
const MOST_THREADS: usize = 8;

static ROOM: std::sync::LazyLock<Arc<Semaphore>> = std::sync::LazyLock::new(|| Arc::new(Semaphore::new(MOST_THREADS)));

/// One piece of blocking work at a time.
#[derive(Debug)]
pub(super) struct Aside<T>(Mutex<Option<JoinHandle<T>>>);

impl<T: Send + 'static> Aside<T> {
    pub(super) const fn new() -> Self {
        Aside(Mutex::const_new(None))
    }

    /// The result of the work that is under way, or else of `work`; `None` when it panicked.
    ///
    /// `stage` becomes `begun` once it has begun.
    pub(super) async fn join_or(
        &self,
        stage: &mut Stage,
        begun: Stage,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        *stage = Stage::Queue;
        let mut under_way = self.0.lock().await;
        under_way.take_if(|handle| handle.is_finished());
        let handle = match &mut *under_way {
            Some(handle) => handle,
            none => {
                // Never closed.
                let room = Arc::clone(&ROOM).acquire_owned().await.ok()?;
                none.insert(tokio::task::spawn_blocking(move || {
                    let _room = room;
                    work()
                }))
            }
        };
        *stage = begun;
        let result = handle.await;
        *under_way = None;
        result.ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::sync::mpsc::{Receiver, channel};
    use std::time::Duration;

    /// Begins work that ends with a 1 when it is told to, and is given up on; answers with the stage that was reached.
    async fn give_up_on(aside: &Aside<u32>, told: Receiver<()>) -> Stage {
        let mut stage = Stage::Connect;
        let work = aside.join_or(&mut stage, Stage::Lookup, move || {
            let _ = told.recv();
            1
        });
        assert!(tokio::time::timeout(Duration::from_millis(10), work).await.is_err());
        stage
    }

    #[tokio::test]
    async fn work_that_goes_on_is_joined_and_not_begun_again() {
        let aside: Aside<u32> = Aside::new();
        let (tell, told) = channel::<()>();
        assert_eq!(give_up_on(&aside, told).await, Stage::Lookup);
        let mut stage = Stage::Connect;
        let mut second = std::pin::pin!(aside.join_or(&mut stage, Stage::Lookup, || 2));
        // It waits for the first work before that is told to end.
        assert!(second.as_mut().now_or_never().is_none());
        drop(tell);
        assert_eq!(second.await, Some(1), "the first work's result");
        let mut stage = Stage::Connect;
        assert_eq!(aside.join_or(&mut stage, Stage::Lookup, || 3).await, Some(3));
    }

    #[tokio::test]
    async fn what_ended_while_nobody_waited_is_not_told_later() {
        let aside: Aside<u32> = Aside::new();
        let (tell, told) = channel::<()>();
        give_up_on(&aside, told).await;
        drop(tell);
        while !aside.0.lock().await.as_ref().unwrap().is_finished() {
            tokio::task::yield_now().await;
        }
        let mut stage = Stage::Connect;
        assert_eq!(aside.join_or(&mut stage, Stage::Lookup, || 2).await, Some(2));
    }
}
