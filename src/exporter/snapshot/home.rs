//! What is known of the folder an instance lives in.

use serde::{Deserialize, Serialize};

use super::Reading;

/// The home of one instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Home {
    /// The sum of the sizes of its files in bytes.
    pub bytes: Reading<u64>,
    /// Bytes that its owner can still write to the filesystem.
    pub filesystem_available_bytes: Reading<u64>,
    /// Size of the filesystem in bytes.
    pub filesystem_size_bytes: Reading<u64>,
}
