//! What is known of an instance's credentials: whether they are there and would work, and nothing of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Label, Reading, Tally};
use crate::system::time::Timestamp;

/// The credentials of one instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Credentials {
    /// Tokens by name: `google`, `anthropic`, a provider's id, or `mcp:` and a server's name.
    pub tokens: BTreeMap<Label, Token>,
    /// Entries of the credential pools: by provider, then by status.
    pub pools: Reading<BTreeMap<Label, Tally>>,
    /// Whether a key of `.env` is set to something, by name.
    pub env_keys: Reading<BTreeMap<Label, bool>>,
}

/// One token.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Token {
    /// Whether somebody counts on it: the configuration names it, or somebody has set it up.
    #[serde(default)]
    pub is_expected: bool,
    /// Whether there is one.
    pub present: Reading<bool>,
    /// Whether it would work now: not expired, or to be refreshed when it is used.
    pub valid: Reading<bool>,
    /// Whether it can be refreshed without a person.
    pub refreshable: Reading<bool>,
    /// When its access expires; for a refreshable token a moment in the past is normal.
    pub expiry: Reading<Timestamp>,
    /// How many permissions it carries, where it says.
    pub scopes: Reading<u64>,
}

impl Token {
    /// A token that is not there.
    pub const MISSING: Token = Token {
        is_expected: false,
        present: Reading::Known(false),
        valid: Reading::Absent,
        refreshable: Reading::Absent,
        expiry: Reading::Absent,
        scopes: Reading::Absent,
    };
}
