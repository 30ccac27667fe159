//! What is known of an instance's furniture: memory, skills, servers, pairings, tasks, deliveries, update.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Label, Reading, Tally};
use crate::system::time::Timestamp;

/// The furniture of one instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Inventory {
    /// The version of Hermes that last checked for an update.
    pub version: Reading<Label>,
    /// The version of the configuration's form.
    pub config_version: Reading<u64>,
    /// Memory files, by name.
    pub memory: BTreeMap<Label, Reading<MemoryFile>>,
    /// Skills: `enabled` and `disabled`.
    pub skills: Reading<Tally>,
    /// MCP servers: `enabled` and `disabled`.
    pub mcp_servers: Reading<Tally>,
    /// Webhook subscriptions: `enabled` and `disabled`.
    pub webhooks: Reading<Tally>,
    /// Paired users: by platform, then `approved` and `pending`.
    pub paired_users: Reading<BTreeMap<Label, Tally>>,
    /// Kanban tasks: by board, then by status.
    pub kanban_tasks: Reading<BTreeMap<Label, Tally>>,
    /// Replies that Hermes owes somebody, by state.
    pub delivery_obligations: Reading<Tally>,
    /// Background delegations, by state.
    pub delegations: Reading<Tally>,
    /// Chats that can not be reached any more, by platform.
    pub dead_targets: Reading<Tally>,
    /// What the last check for an update said.
    pub update: Reading<Update>,
}

/// One memory file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct MemoryFile {
    /// Its length in characters, which is what Hermes limits.
    pub chars: u64,
    /// The most that Hermes lets it have.
    pub limit_chars: u64,
}

/// What a check for an update said.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Update {
    /// When it was made.
    pub checked: Reading<Timestamp>,
    /// Whether there is something newer.
    pub available: Reading<bool>,
    /// By how many commits or releases this one is behind, where that could be counted.
    pub behind_commits: Reading<u64>,
}
