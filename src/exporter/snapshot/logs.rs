//! What is known of an instance's logs: how many lines were written of each level. No text of a log is in here.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Label, Reading};

/// The logs of one instance, as far as the exporter has watched them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Logs {
    /// Lines that were written while the exporter watched, by log.
    pub lines: BTreeMap<Label, Reading<Lines>>,
    /// Those of them that tell of a rate limit (429), each once, however many logs it stands in.
    pub rate_limited: Reading<u64>,
}

/// Lines of a log by level.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
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
