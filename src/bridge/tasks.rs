//! The parts of the bridge that run beside its HTTP server: started together, started again when one ends that should not,
//! and ended together.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::{JoinError, JoinSet};

use super::metrics::table::Count;
use super::service::{Service, Stop};

/// What a task does until it is told to stop.
pub type Run = Box<dyn Fn(Service, Stop) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send>;

/// A task by its name.
pub struct Task {
    name: &'static str,
    run: Run,
}

impl Task {
    /// What is to run.
    pub fn new<F>(name: &'static str, run: impl Fn(Service, Stop) -> F + Send + 'static) -> Task
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Task { name, run: Box::new(move |service, stop| Box::pin(run(service, stop))) }
    }
}

impl fmt::Debug for Task {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Task").field(&self.name).finish()
    }
}

/// How long a task waits until it is started again.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The first time.
    pub shortest: Duration,
    /// At most, after it has doubled each time.
    pub longest: Duration,
    /// After it has run for so long, it is well again.
    pub steady: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Patience { shortest: Duration::from_secs(1), longest: Duration::from_secs(60), steady: Duration::from_secs(10) }
    }
}

/// Which tasks are not well, and why.
#[derive(Debug, Clone, Default)]
pub struct TasksDown(Arc<Mutex<BTreeMap<&'static str, String>>>);

impl TasksDown {
    /// Each with why.
    pub fn list(&self) -> Vec<(&'static str, String)> {
        let down = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        down.iter().map(|(name, why)| (*name, why.clone())).collect()
    }

    pub(super) fn is_down(&self, name: &'static str, why: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name, why);
    }

    fn is_up(&self, name: &'static str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

/// The tasks that were started.
#[derive(Debug)]
pub struct Tasks {
    running: JoinSet<()>,
    down: TasksDown,
}

impl Tasks {
    /// Starts these.
    pub fn start(tasks: Vec<Task>, service: &Service, stop: &Stop, patience: Patience) -> Tasks {
        let down = TasksDown::default();
        let mut running = JoinSet::new();
        for task in tasks {
            running.spawn(keep(task, service.clone(), stop.clone(), patience, down.clone()));
        }
        Tasks { running, down }
    }

    /// Which of them are not well.
    pub fn down(&self) -> TasksDown {
        self.down.clone()
    }

    /// Waits until all have ended, which they were told by the [`Stop`] that they were started with; after `deadline`
    /// they are cut off. Gives whether they ended by themselves.
    pub async fn finish(mut self, deadline: Duration) -> bool {
        let ended = async { while self.running.join_next().await.is_some() {} };
        let is_in_time = tokio::time::timeout(deadline, ended).await.is_ok();
        self.running.shutdown().await;
        is_in_time
    }
}

/// Runs a task, and starts it again as long as nobody says stop.
async fn keep(task: Task, service: Service, mut stop: Stop, patience: Patience, down: TasksDown) {
    let mut pause = patience.shortest;
    loop {
        // In a task of its own, so that a panic ends that one alone; in a set, so that it ends with this one.
        let mut running = JoinSet::new();
        running.spawn((task.run)(service.clone(), stop.clone()));
        let ended = match tokio::time::timeout(patience.steady, running.join_next()).await {
            Ok(ended) => ended,
            Err(_) => {
                down.is_up(task.name);
                pause = patience.shortest;
                running.join_next().await
            }
        };
        if *stop.borrow() {
            return;
        }
        let why = reason(ended);
        tracing::error!(task = task.name, why, "A part of the bridge has ended; it is started again.");
        service.metrics.count(Count::TaskRestarts, &[task.name]);
        down.is_down(task.name, why);
        // It is the end as well when nobody can say stop any more.
        if tokio::time::timeout(pause, stop.wait_for(|stop| *stop)).await.is_ok() {
            return;
        }
        pause = (pause * 2).min(patience.longest);
    }
}

fn reason(ended: Option<Result<(), JoinError>>) -> String {
    match ended {
        Some(Err(error)) => match error.try_into_panic() {
            Ok(panic) => {
                let text = panic.downcast_ref::<String>().map(String::as_str);
                let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
                format!("it panicked: {}", text.unwrap_or("nobody knows why"))
            }
            Err(_) => "it was cut off".to_owned(),
        },
        Some(Ok(())) | None => "it ended before it was told to".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::watch;

    use super::*;
    use crate::bridge::trial;

    const AT_ONCE: Patience = Patience {
        shortest: Duration::from_millis(1),
        longest: Duration::from_millis(2),
        steady: Duration::from_secs(600),
    };

    #[tokio::test]
    async fn what_panics_or_ends_is_told_and_started_again() {
        let folder = tempfile::tempdir().unwrap();
        let service = trial::service(folder.path());
        let (stopping, stop) = watch::channel(false);
        let starts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&starts);
        let (third, mut is_third) = watch::channel(false);
        let task = Task::new("deliver", move |_, mut stop: Stop| {
            let (start, third) = (counted.fetch_add(1, Ordering::SeqCst), third.clone());
            async move {
                match start {
                    0 => panic!("a broken lane"),
                    1 => {}
                    _ => {
                        third.send_replace(true);
                        let _ = stop.wait_for(|stop| *stop).await;
                    }
                }
            }
        });
        let tasks = Tasks::start(vec![task], &service, &stop, AT_ONCE);
        is_third.wait_for(|third| *third).await.unwrap();
        assert_eq!(service.metrics.counted(Count::TaskRestarts, &["deliver"]), 2);
        assert_eq!(tasks.down().list(), [("deliver", "it ended before it was told to".to_owned())]);
        stopping.send_replace(true);
        assert!(tasks.finish(Duration::from_secs(60)).await);
        assert_eq!(starts.load(Ordering::SeqCst), 3, "what was told to stop is not started again");
    }

    #[tokio::test]
    async fn what_has_run_for_a_while_is_well_again() {
        let folder = tempfile::tempdir().unwrap();
        let service = trial::service(folder.path());
        let (stopping, stop) = watch::channel(false);
        let starts = Arc::new(AtomicUsize::new(0));
        let task = Task::new("ping", move |_, mut stop: Stop| {
            let start = starts.fetch_add(1, Ordering::SeqCst);
            async move {
                if start > 0 {
                    let _ = stop.wait_for(|stop| *stop).await;
                }
            }
        });
        let patience = Patience { steady: Duration::from_millis(1), ..AT_ONCE };
        let tasks = Tasks::start(vec![task], &service, &stop, patience);
        while service.metrics.counted(Count::TaskRestarts, &["ping"]) == 0 || !tasks.down().list().is_empty() {
            tokio::task::yield_now().await;
        }
        stopping.send_replace(true);
        assert!(tasks.finish(Duration::from_secs(60)).await);
    }

    #[tokio::test]
    async fn what_does_not_stop_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let service = trial::service(folder.path());
        let (_stopping, stop) = watch::channel(true);
        let task = Task::new("buttons", |_, _| std::future::pending());
        let tasks = Tasks::start(vec![task], &service, &stop, AT_ONCE);
        assert!(!tasks.finish(Duration::from_millis(1)).await);
    }
}
