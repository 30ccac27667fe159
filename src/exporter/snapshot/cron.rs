//! What is known of an instance's cron: its jobs, and the ticker that starts them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Label, Reading, Tally};
use crate::system::time::Timestamp;

/// The cron of one instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Cron {
    /// The jobs, by what they are called in the configuration's choice of id or name.
    pub jobs: Reading<BTreeMap<Label, Job>>,
    /// Recorded executions by status; Hermes keeps the newest thousand.
    pub executions: Reading<Tally>,
    /// When the ticker last went round.
    pub ticker_heartbeat: Reading<Timestamp>,
    /// When the ticker last went round without an error.
    pub ticker_last_success: Reading<Timestamp>,
}

/// One cron job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Job {
    /// Whether and how it will run again.
    pub state: JobState,
    /// Whether its next run should have begun, by more than the grace that Hermes itself allows.
    pub overdue: bool,
    /// When it last ran.
    pub last_run: Reading<Timestamp>,
    /// Whether the last run succeeded.
    pub last_run_success: Reading<bool>,
    /// Whether what the last run had to say was delivered; absent for a job that delivers to nobody.
    pub last_delivery_success: Reading<bool>,
    /// When it runs next.
    pub next_run: Reading<Timestamp>,
    /// How long its last finished run took, in seconds.
    pub last_duration_seconds: Reading<f64>,
}

impl Job {
    /// Whether its last run failed, or Hermes could not tell when to run it again. One that somebody has halted is not.
    pub fn is_failing(&self) -> bool {
        match self.state {
            JobState::Error => true,
            JobState::Paused => false,
            JobState::Scheduled | JobState::Completed | JobState::Other => {
                self.last_run_success == Reading::Known(false)
            }
        }
    }

    /// Whether it is overdue and meant to run at all.
    pub fn is_late(&self) -> bool {
        self.overdue && !matches!(self.state, JobState::Paused | JobState::Completed)
    }
}

/// Whether and how a job will run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// It waits for its time.
    Scheduled,
    /// Halted by somebody.
    Paused,
    /// Done for good.
    Completed,
    /// Hermes could not tell when to run it again.
    Error,
    /// A state that this version does not know.
    #[serde(other)]
    Other,
}

impl JobState {
    /// Every state, in the order in which they are shown.
    pub const ALL: [JobState; 5] =
        [JobState::Scheduled, JobState::Paused, JobState::Completed, JobState::Error, JobState::Other];

    /// The word used in labels and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::Scheduled => "scheduled",
            JobState::Paused => "paused",
            JobState::Completed => "completed",
            JobState::Error => "error",
            JobState::Other => "other",
        }
    }
}
