//! What is known of the machine the exporter runs on, for those who run no node_exporter beside it.

use serde::{Deserialize, Serialize};

use super::Reading;
use crate::system::time::Timestamp;

/// The machine.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Host {
    /// Processors.
    pub cpus: u64,
    /// The part of all processor time that was used since the last look; absent at the first.
    pub cpu_usage_ratio: Reading<f64>,
    /// Memory in bytes.
    pub memory_size_bytes: u64,
    /// Memory that programs can still get, in bytes.
    pub memory_available_bytes: u64,
    /// Swap in bytes.
    pub swap_size_bytes: u64,
    /// Swap that is not used, in bytes.
    pub swap_free_bytes: u64,
    /// Load over one, five and fifteen minutes.
    pub load: Reading<[f64; 3]>,
    /// When it was started.
    pub boot_time: Reading<Timestamp>,
    /// How long it has been up, in seconds.
    pub uptime_seconds: Reading<u64>,
}
