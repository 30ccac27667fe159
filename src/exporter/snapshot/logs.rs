//! What is known of an instance's logs: how many records were written of each level. No text of a log is in here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Label, Reading};

/// The logs of one instance, as far as the exporter has watched them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Logs {
    /// Records that were written while the exporter watched, by log: `agent`, `errors` and `gateway`.
    pub lines: BTreeMap<Label, Reading<Lines>>,
    /// Warnings and errors among them that tell of a rate limit (429), each once, however many logs it stands in.
    pub rate_limited: Reading<u64>,
}

/// Records of a log by level. A record is a line that begins with a moment and a level, with the lines after it that do
/// not, such as a traceback.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Lines {
    /// For who looks for a mistake.
    pub debug: u64,
    /// What goes on.
    pub info: u64,
    /// What may need somebody.
    pub warning: u64,
    /// What has failed.
    pub error: u64,
    /// What nothing works without.
    pub critical: u64,
}

impl Lines {
    /// Each level with its count.
    pub fn by_level(self) -> [(&'static str, u64); 5] {
        [
            ("debug", self.debug),
            ("info", self.info),
            ("warning", self.warning),
            ("error", self.error),
            ("critical", self.critical),
        ]
    }
}
