//! What is wrong with the filesystem that an instance lives on.

use super::{Code, Finding, Severity};
use crate::exporter::snapshot::{Reading, Snapshot, Threshold};
use crate::system::time::Timestamp;

pub(super) fn findings(snapshot: &Snapshot, _: Timestamp) -> Vec<Finding> {
    let Reading::Known(home) = &snapshot.home else {
        return Vec::new();
    };
    let (Reading::Known(available), Reading::Known(size @ 1..)) =
        (home.filesystem_available_bytes, home.filesystem_size_bytes)
    else {
        return Vec::new();
    };
    let left = available as f64 / size as f64;
    let is_below = |threshold| snapshot.thresholds.get(threshold).is_some_and(|limit| left < limit);
    let severity = if is_below(Threshold::DiskAvailableCritical) {
        Severity::Critical
    } else if is_below(Threshold::DiskAvailable) {
        Severity::Warning
    } else {
        return Vec::new();
    };
    let sentence = format!("{:.1} % of the home's filesystem is left", left * 100.0);
    vec![Finding::new(Code::DiskLow, severity, sentence)]
}
