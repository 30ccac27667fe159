//! Threads that have taken another user's identity, to read what is that user's with that user's rights.
//!
//! Linux keeps credentials per thread. A thread that is given the user's effective id and groups, and that has
//! given up its capabilities, opens files exactly as that user would: no ownership check of git fails, SQLite
//! finds the owner it expects, the user's D-Bus lets it in, and a link that points at somebody else's secret is
//! refused. It takes `CAP_SETUID` and `CAP_SETGID`, which root has. Root's own threads keep `CAP_SYS_PTRACE` where the
//! program has it, because nobody may look into root's processes without.
//!
//! The real and the saved user id stay those of the program, so that the user can neither signal nor trace it. This
//! keeps mistakes in, not attackers: all threads share one address space.
//!
//! These threads are never lent to anybody else, and never go back to being the program's own; a pool of threads
//! that is shared with other work (such as tokio's) must not be used for this.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Gid, Uid, getgid, getuid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, set_capabilities, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};
use tokio::sync::oneshot;

use super::privileges::TO_SEE_ROOTS_PROCESSES;

/// A thread that has had nothing to do for this long ends.
const LONGEST_IDLE: Duration = Duration::from_secs(30);

/// Why nothing could be done as another user.
#[derive(Debug, thiserror::Error)]
pub enum OwnerError {
    /// The operating system did not let a thread take the identity.
    #[error("user {user} could not be impersonated; it takes CAP_SETUID and CAP_SETGID")]
    Refused {
        /// The id of the user.
        user: u32,
        /// What the operating system said.
        #[source]
        source: Errno,
    },
    /// No thread could be started.
    #[error("no thread could be started for user {user}")]
    Thread {
        /// The id of the user.
        user: u32,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The work panicked.
    #[error("work done as user {user} panicked")]
    Panicked {
        /// The id of the user.
        user: u32,
    },
}

/// Whose rights a thread takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user id.
    pub user: u32,
    /// The primary group.
    pub group: u32,
    /// All other groups.
    pub groups: Vec<u32>,
}

impl Identity {
    /// Gives the calling thread, and no other, this identity.
    fn take(&self) -> Result<(), Errno> {
        let groups: Vec<Gid> = self.groups.iter().map(|group| Gid::from_raw(*group)).collect();
        let (real_user, real_group) = (getuid(), getgid());
        // In this order: who has given up being root may not choose groups any more.
        set_thread_groups(&groups)?;
        set_thread_res_gid(real_group, Gid::from_raw(self.group), real_group)?;
        set_thread_res_uid(real_user, Uid::from_raw(self.user), real_user)?;
        let none = CapabilitySet::empty();
        // Only root's thread: what is another user's is seen as that user sees it, and of root nothing is kept secret.
        let kept = if self.user == 0 { capabilities(None)?.permitted & TO_SEE_ROOTS_PROCESSES } else { none };
        set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable: none })
    }
}

type Job = Box<dyn FnOnce() + Send>;

/// One user's threads.
#[derive(Debug)]
pub struct Owner {
    identity: Identity,
    idle: Mutex<Vec<Idle>>,
}

/// A thread that waits for work.
#[derive(Debug)]
struct Idle {
    thread: std::thread::ThreadId,
    work: Sender<Job>,
}

impl Owner {
    /// Threads with this identity; none is started before there is work.
    pub fn new(identity: Identity) -> Arc<Owner> {
        Arc::new(Owner { identity, idle: Mutex::default() })
    }

    /// Whose threads they are.
    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Has `work` done with the user's rights.
    pub async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, OwnerError> {
        self.submit(work)?.await.unwrap_or(Err(OwnerError::Panicked { user: self.identity.user }))
    }

    /// As [`Owner::run`], for a caller that is a thread itself.
    pub fn run_blocking<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, OwnerError> {
        self.submit(work)?.blocking_recv().unwrap_or(Err(OwnerError::Panicked { user: self.identity.user }))
    }

    fn submit<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<oneshot::Receiver<Result<T, OwnerError>>, OwnerError> {
        let (answer, answered) = oneshot::channel();
        let mut job: Job = Box::new(move || drop(answer.send(Ok(work()))));
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(idle) = idle else { break };
            match idle.work.send(job) {
                Ok(()) => return Ok(answered),
                Err(unsent) => job = unsent.0,
            }
        }
        self.start_thread(job)?;
        Ok(answered)
    }

    /// Starts a thread, and waits until it has taken the identity.
    fn start_thread(self: &Arc<Self>, first: Job) -> Result<(), OwnerError> {
        let user = self.identity.user;
        let (taken, has_taken) = channel();
        let owner = Arc::clone(self);
        let thread = move || {
            let outcome = owner.identity.take();
            let has_identity = outcome.is_ok();
            let _ = taken.send(outcome);
            if has_identity {
                first();
                owner.wait_for_work();
            }
        };
        let name = format!("owner-{user}");
        std::thread::Builder::new().name(name).spawn(thread).map_err(|source| OwnerError::Thread { user, source })?;
        has_taken.recv().unwrap_or(Err(Errno::CANCELED)).map_err(|source| OwnerError::Refused { user, source })
    }

    fn wait_for_work(&self) {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let own = std::thread::current().id();
        loop {
            let (work, next) = channel::<Job>();
            idle().push(Idle { thread: own, work });
            let job = match next.recv_timeout(LONGEST_IDLE) {
                Ok(job) => Some(job),
                Err(RecvTimeoutError::Disconnected) => None,
                Err(RecvTimeoutError::Timeout) => {
                    let place = idle().iter().position(|waiting| waiting.thread == own);
                    match place.map(|place| idle().remove(place)) {
                        Some(_) => None,
                        // Somebody has taken it out in this moment, and is about to send.
                        None => next.recv().ok(),
                    }
                }
            };
            match job {
                Some(job) => job(),
                None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::privileges::Privileges;

    /// Taking an identity needs root; the end-to-end tests always have it.
    fn nobody() -> Option<Arc<Owner>> {
        let identity = Identity { user: 65_534, group: 65_534, groups: vec![65_533] };
        Privileges::of_this_process().can_take_identities().then(|| Owner::new(identity))
    }

    fn effective() -> (u32, u32, Vec<u32>) {
        let groups = rustix::process::getgroups().unwrap().into_iter().map(|group| group.as_raw()).collect();
        (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw(), groups)
    }

    #[test]
    fn work_is_done_with_the_rights_of_the_owner_and_the_program_keeps_its_own() {
        let Some(owner) = nobody() else { return };
        let before = effective();
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "of another").unwrap();
        std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        let (identity, read, capabilities) = owner
            .run_blocking(move || {
                let capabilities = rustix::thread::capabilities(None).unwrap();
                (effective(), std::fs::read(secret).map_err(|error| error.kind()), capabilities)
            })
            .unwrap();
        assert_eq!(identity, (65_534, 65_534, vec![65_533]));
        assert_eq!(read, Err(std::io::ErrorKind::PermissionDenied));
        assert!(capabilities.effective.is_empty() && capabilities.permitted.is_empty());
        assert_eq!(effective(), before);
    }

    #[test]
    fn only_roots_threads_may_look_into_every_process() {
        let kept = |user| {
            let owner = Owner::new(Identity { user, group: user, groups: Vec::new() });
            owner.run_blocking(|| capabilities(None).unwrap().effective).unwrap()
        };
        if !Privileges::of_this_process().can_take_identities() {
            return;
        }
        assert_eq!(kept(0), capabilities(None).unwrap().permitted & TO_SEE_ROOTS_PROCESSES);
        assert_eq!(kept(65_534), CapabilitySet::empty());
    }

    #[test]
    fn a_thread_is_used_again_and_one_that_is_busy_is_not_waited_for() {
        let Some(owner) = nobody() else { return };
        let thread = |owner: &Arc<Owner>| owner.run_blocking(|| std::thread::current().id()).unwrap();
        let idle = |count| {
            while owner.idle.lock().unwrap().len() != count {
                std::thread::yield_now();
            }
        };
        let first = thread(&owner);
        idle(1);
        assert_eq!(thread(&owner), first);
        idle(1);
        let (go, wait) = channel::<()>();
        let held = owner.submit(move || wait.recv().is_ok()).unwrap();
        assert_ne!(thread(&owner), first);
        go.send(()).unwrap();
        assert!(held.blocking_recv().unwrap().unwrap());
        idle(2);
    }

    #[test]
    fn a_panic_is_an_error_and_the_next_work_is_done() {
        let Some(owner) = nobody() else { return };
        let outcome = owner.run_blocking(|| panic!("a defect"));
        assert!(matches!(outcome, Err(OwnerError::Panicked { user: 65_534 })));
        assert_eq!(owner.run_blocking(|| 7).unwrap(), 7);
    }
}
