//! Work that is too long for a scrape: the first pass over a long history, the size of a large home.
//!
//! One thread does it, off the scrape path, one piece at a time (and another one when it hangs); a long job puts its next piece back at the
//! end of the queue, so that a thousand homes take turns. A one-shot run has no later: there the work is done
//! at once, where it is asked for.

use std::collections::VecDeque;
use std::panic::AssertUnwindSafe;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::error_chain::display_chain;
use crate::system::owner::Owner;

/// A piece of work that takes longer hangs, and another thread goes on with the rest.
const LONGEST_PIECE: Duration = Duration::from_secs(60);

/// The most threads; so many pieces of work may hang before everything stands still.
const MOST_THREADS: usize = 16;

/// One piece of work. A job that is not finished answers with its next piece.
pub struct Job(Box<dyn FnOnce() -> Option<Job> + Send>);

impl Job {
    /// A job, or the next piece of one.
    pub fn new(work: impl FnOnce() -> Option<Job> + Send + 'static) -> Job {
        Job(Box::new(work))
    }

    /// The same job, done with the rights of `owner`.
    fn done_by(self, owner: Arc<Owner>) -> Job {
        Job::new(move || {
            let Job(work) = self;
            match owner.run_blocking(work) {
                Ok(next) => next.map(|next| next.done_by(owner)),
                Err(error) => {
                    tracing::error!(
                        error = display_chain(&error),
                        "Background work could not be done as its owner; what it was to find stays unknown."
                    );
                    None
                }
            }
        })
    }
}

/// Where such work is sent.
#[derive(Debug, Clone)]
pub struct Background {
    queue: Option<Arc<Queue>>,
    /// With whose rights it is done, where not with the program's own.
    owner: Option<Arc<Owner>>,
}

#[derive(Debug)]
struct Queue {
    state: Mutex<State>,
    arrival: Condvar,
    /// Has another thread started, by one that has the program's own identity: threads inherit theirs from who starts them,
    /// and work is sent by threads that have taken another user's.
    wish: Sender<()>,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<Job>,
    /// When each thread began its piece of work; `None` for one that waits.
    at_work: Vec<Option<Instant>>,
}

impl Background {
    /// Work is done on a thread of its own, for the life of the program.
    pub fn start() -> std::io::Result<Background> {
        let (wish, wishes) = channel();
        let queue = Arc::new(Queue { state: Mutex::default(), arrival: Condvar::default(), wish });
        queue.start_thread(&mut queue.state())?;
        let starting = Arc::downgrade(&queue);
        std::thread::Builder::new().name("background-starter".to_owned()).spawn(move || {
            while let (Ok(()), Some(queue)) = (wishes.recv(), starting.upgrade()) {
                if let Err(error) = queue.start_thread(&mut queue.state()) {
                    tracing::error!(%error, "No thread could be started for background work.");
                }
            }
        })?;
        Ok(Background { queue: Some(queue), owner: None })
    }

    /// Work is done at once by whoever asks for it.
    pub fn inline() -> Background {
        Background { queue: None, owner: None }
    }

    /// The same queue, for work that is done with the rights of `owner`.
    pub fn done_by(&self, owner: Option<Arc<Owner>>) -> Background {
        Background { queue: self.queue.clone(), owner }
    }

    /// Whether work is done at once.
    pub fn is_inline(&self) -> bool {
        self.queue.is_none()
    }

    /// Has the work done.
    pub fn submit(&self, job: Job) {
        let Some(queue) = &self.queue else {
            let mut left = Some(job);
            while let Some(Job(work)) = left {
                left = work();
            }
            return;
        };
        let job = match &self.owner {
            Some(owner) => job.done_by(Arc::clone(owner)),
            None => job,
        };
        let mut state = queue.state();
        state.waiting.push_back(job);
        let hangs = |began: &Option<Instant>| began.is_some_and(|began| began.elapsed() > LONGEST_PIECE);
        if state.at_work.iter().all(hangs) && state.at_work.len() < MOST_THREADS {
            tracing::warn!("Background work hangs; another thread goes on with the rest.");
            // An error is the end of the program.
            let _ = queue.wish.send(());
        }
        drop(state);
        queue.arrival.notify_one();
    }
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn start_thread(self: &Arc<Self>, state: &mut State) -> std::io::Result<()> {
        let number = state.at_work.len();
        let queue = Arc::clone(self);
        std::thread::Builder::new().name("background".to_owned()).spawn(move || queue.work(number))?;
        state.at_work.push(None);
        Ok(())
    }

    fn work(&self, number: usize) {
        loop {
            let mut state = self.state();
            let Job(work) = loop {
                match state.waiting.pop_front() {
                    Some(job) => break job,
                    None => state = self.arrival.wait(state).unwrap_or_else(PoisonError::into_inner),
                }
            };
            state.at_work[number] = Some(Instant::now());
            drop(state);
            // A panic is a defect of one job; those of the other homes go on.
            let next = std::panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
                tracing::error!("Background work panicked; what it was to find stays unknown. Please report it.");
                None
            });
            let mut state = self.state();
            state.at_work[number] = None;
            state.waiting.extend(next);
        }
    }
}

impl std::fmt::Debug for Job {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Job")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn countdown(name: &'static str, left: u32, done: Sender<String>) -> Job {
        Job::new(move || {
            done.send(format!("{name}{left}")).unwrap();
            (left > 1).then(|| countdown(name, left - 1, done))
        })
    }

    #[test]
    fn jobs_take_turns_piece_by_piece() {
        let background = Background::start().unwrap();
        let (done, results) = channel();
        let (go, wait) = channel::<()>();
        // Holds the thread until both jobs are queued.
        background.submit(Job::new(move || {
            wait.recv().unwrap();
            None
        }));
        background.submit(countdown("a", 2, done.clone()));
        background.submit(countdown("b", 2, done));
        go.send(()).unwrap();
        let order: Vec<_> = results.iter().collect();
        assert_eq!(order.len(), 4);
        assert_eq!(order.iter().filter(|piece| piece.starts_with('a')).collect::<Vec<_>>(), ["a2", "a1"]);
        assert!(
            order.iter().position(|piece| piece == "b2") < order.iter().position(|piece| piece == "a1"),
            "{order:?}"
        );
    }

    /// Threads inherit the identity of who starts them, and an instance's work is sent by threads of its owner.
    #[test]
    fn another_thread_has_the_programs_own_identity_whoever_is_in_need_of_it() {
        use crate::system::owner::{Identity, Owner};
        use crate::system::privileges::Privileges;
        if !Privileges::of_this_process().can_take_identities() {
            return;
        }
        let background = Background::start().unwrap();
        let queue = background.queue.clone().unwrap();
        let (go, wait) = channel::<()>();
        let (begun, has_begun) = channel();
        background.submit(Job::new(move || {
            begun.send(()).unwrap();
            let _ = wait.recv();
            None
        }));
        has_begun.recv().unwrap();
        // As if it had been at it for long.
        queue.state().at_work[0] = Instant::now().checked_sub(2 * LONGEST_PIECE);
        let (done, results) = channel();
        let owner = Owner::new(Identity { user: 12_345, group: 12_345, groups: Vec::new() });
        let work = Job::new(move || {
            done.send(rustix::process::geteuid().as_raw()).unwrap();
            None
        });
        owner.run_blocking(move || background.submit(work)).unwrap();
        assert_eq!(results.recv().unwrap(), rustix::process::geteuid().as_raw());
        drop(go);
    }

    #[test]
    fn a_panic_is_not_the_end_of_the_others() {
        let background = Background::start().unwrap();
        background.submit(Job::new(|| panic!("a defect in a job")));
        let (done, results) = channel();
        background.submit(countdown("a", 1, done));
        assert_eq!(results.recv().unwrap(), "a1");
    }

    #[test]
    fn inline_work_is_finished_when_submit_returns() {
        let (done, results) = channel();
        Background::inline().submit(countdown("a", 3, done));
        assert_eq!(results.try_iter().count(), 3);
    }
}
