//! The time that lanes go by: the system's, or one that tests set.

use std::time::Duration;

use crate::system::time::Timestamp;

/// The time that lanes go by.
#[derive(Debug, Clone)]
pub(super) enum Clock {
    /// The system's.
    System,
    /// One that stands still until it is moved, in milliseconds.
    #[cfg(test)]
    Manual(std::sync::Arc<std::sync::atomic::AtomicI64>),
}

impl Clock {
    pub(super) fn now(&self) -> Timestamp {
        match self {
            Clock::System => Timestamp::now(),
            #[cfg(test)]
            Clock::Manual(milliseconds) => {
                let milliseconds = milliseconds.load(std::sync::atomic::Ordering::SeqCst);
                Timestamp::from_seconds(milliseconds as f64 / 1000.0).unwrap_or(Timestamp::LATEST)
            }
        }
    }
}

/// The moment that is `wait` after another one.
pub(super) fn after(moment: Timestamp, wait: Duration) -> Timestamp {
    Timestamp::from_seconds(moment.seconds() + wait.as_secs_f64()).unwrap_or(Timestamp::LATEST)
}
