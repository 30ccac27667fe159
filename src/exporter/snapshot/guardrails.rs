//! Settings that keep an agent from doing or telling what it should not.

use serde::{Deserialize, Serialize};

use super::Reading;

/// The guardrails of one instance: each is true where it is in place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Guardrails {
    /// Dangerous commands are not run without somebody's approval.
    pub approvals_enforced: Reading<bool>,
    /// What looks like a secret is masked in logs, in tool output and for the model.
    pub secrets_redacted: Reading<bool>,
    /// Ids and names of people are masked for the model.
    pub pii_redacted: Reading<bool>,
    /// The home can not be entered or listed by everybody, nor written to by anybody but its owner.
    pub home_private: Reading<bool>,
    /// The files with secrets can not be read by everybody, nor written to by anybody but their owner.
    pub secrets_private: Reading<bool>,
}

impl Guardrails {
    /// Each guardrail with the word used in labels.
    pub fn named(&self) -> [(&'static str, &Reading<bool>); 5] {
        [
            ("approvals_enforced", &self.approvals_enforced),
            ("secrets_redacted", &self.secrets_redacted),
            ("pii_redacted", &self.pii_redacted),
            ("home_private", &self.home_private),
            ("secrets_private", &self.secrets_private),
        ]
    }
}
