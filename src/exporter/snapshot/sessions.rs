//! What is known of an instance's sessions: the store `state.db`, counted.

use serde::{Deserialize, Serialize};

use super::{Label, Reading, Tally};
use crate::system::time::Timestamp;

/// The session store of one instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Sessions {
    /// Size of the database's main file in bytes.
    pub database_bytes: u64,
    /// Size of its write-ahead log in bytes; 0 where there is none.
    pub wal_bytes: u64,
    /// The version of its schema, as it says itself.
    pub schema_version: Reading<u64>,
    /// Sessions in progress: open, not archived, not a delegated child, with a message in the last five minutes.
    pub active: Reading<u64>,
    /// Messages ever inserted; never falls.
    pub messages_ever: Reading<u64>,
    /// Messages that are stored now.
    pub messages_stored: Reading<u64>,
    /// When the newest message was written.
    pub last_message: Reading<Timestamp>,
    /// Sessions, counted.
    pub counts: Reading<SessionCounts>,
    /// What the models used, as summed up by Hermes.
    pub model_usage: Reading<Vec<ModelUsage>>,
}

/// The rows of the sessions table, counted in several ways.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SessionCounts {
    /// Sessions that are not archived, by source.
    pub current: Tally,
    /// Archived sessions, by source.
    pub archived: Tally,
    /// Sessions that have not ended and are not archived. Many of them are merely abandoned.
    pub open: u64,
    /// Ended sessions, by the reason they ended for.
    pub ended: Tally,
}

/// What one model used for one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ModelUsage {
    /// The model.
    pub model: Label,
    /// Who served it.
    pub provider: Label,
    /// What for: empty for the conversation itself, else an auxiliary task such as `compression`.
    pub task: Label,
    /// Tokens, by kind.
    pub tokens: Tokens,
    /// Calls.
    pub api_calls: u64,
    /// Cost in US dollars: what was billed where that is known, else the estimate; `None` where there is neither.
    pub cost_usd: Option<f64>,
}

/// Tokens by kind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Tokens {
    /// Read by the model.
    pub input: u64,
    /// Written by the model.
    pub output: u64,
    /// Read from the provider's cache.
    pub cache_read: u64,
    /// Written to the provider's cache.
    pub cache_write: u64,
    /// Spent on reasoning.
    pub reasoning: u64,
}

impl Tokens {
    /// Both together.
    pub fn plus(self, other: Tokens) -> Tokens {
        Tokens {
            input: self.input.saturating_add(other.input),
            output: self.output.saturating_add(other.output),
            cache_read: self.cache_read.saturating_add(other.cache_read),
            cache_write: self.cache_write.saturating_add(other.cache_write),
            reasoning: self.reasoning.saturating_add(other.reasoning),
        }
    }

    /// Each kind with its count.
    pub fn by_kind(self) -> [(&'static str, u64); 5] {
        [
            ("input", self.input),
            ("output", self.output),
            ("cache_read", self.cache_read),
            ("cache_write", self.cache_write),
            ("reasoning", self.reasoning),
        ]
    }
}
