//! Threads with the program's own rights, for work that is asked for on [a thread with another
//! user's](crate::system::owner).
//!
//! A new thread has the rights of the one that starts it. So they are started from the program's runtime, and not lent to
//! anything else: what hangs takes nobody's place there.

use rustix::process::{Uid, geteuid};
use tokio::runtime::Handle;

/// Starts threads that have the rights of whoever made this.
#[derive(Debug, Clone)]
pub(super) struct OwnThreads {
    user: Uid,
    runtime: Option<Handle>,
}

/// No thread could be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoThread;

impl Default for OwnThreads {
    /// Made on a thread with the program's own rights; outside a runtime there is nobody else's.
    fn default() -> Self {
        OwnThreads { user: geteuid(), runtime: Handle::try_current().ok() }
    }
}

impl OwnThreads {
    /// Whether the calling thread has the program's own rights.
    pub(super) fn include_this(&self) -> bool {
        geteuid() == self.user
    }

    /// Has `work` done on a thread of its own with the program's rights, wherever it is called. Where that fails, `work`
    /// is called with the error instead.
    pub(super) fn start(&self, work: impl FnOnce(Result<(), NoThread>) + Send + 'static) {
        if self.include_this() {
            start_here(work);
            return;
        }
        match &self.runtime {
            Some(runtime) => drop(runtime.spawn(async move { start_here(work) })),
            None => work(Err(NoThread)),
        }
    }
}

/// Has `work` done on a thread of its own with the rights of the calling one.
pub(super) fn start_here(work: impl FnOnce(Result<(), NoThread>) + Send + 'static) {
    // Kept here as well, because a thread that can not be started takes with it what it was given.
    let work = std::sync::Arc::new(std::sync::Mutex::new(Some(work)));
    let take = |work: &std::sync::Mutex<Option<_>>| work.lock().ok().and_then(|mut work| work.take());
    let given = std::sync::Arc::clone(&work);
    let thread = move || {
        if let Some(work) = take(&given) {
            work(Ok(()));
        }
    };
    if std::thread::Builder::new().name("look-up".to_owned()).spawn(thread).is_err()
        && let Some(work) = take(&work)
    {
        work(Err(NoThread));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::owner::{Identity, Owner};
    use crate::system::privileges::Privileges;
    use std::sync::mpsc::channel;

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn what_is_asked_on_anothers_thread_is_done_with_the_programs_rights() {
        if !Privileges::of_this_process().can_take_identities() {
            return;
        }
        let threads = OwnThreads::default();
        let owner = Owner::new(Identity { user: 64_103, group: 64_103, groups: Vec::new() });
        let ask = move || {
            let (answer, answered) = channel();
            let of_here = answer.clone();
            threads.start(move |outcome| answer.send((outcome, geteuid().as_raw())).unwrap());
            let own = answered.recv().unwrap();
            start_here(move |outcome| of_here.send((outcome, geteuid().as_raw())).unwrap());
            (threads.include_this(), own, answered.recv().unwrap())
        };
        let own = (Ok(()), geteuid().as_raw());
        assert_eq!(owner.run(ask.clone()).await.unwrap(), (false, own, (Ok(()), 64_103)));
        assert_eq!(ask(), (true, own, own));
    }
}
