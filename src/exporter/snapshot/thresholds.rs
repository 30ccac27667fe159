//! The limits that an instance is judged by: one table, from which the configuration, the metrics and the documentation
//! take them, so that everybody who judges judges by the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Threshold {
    /// A gateway whose heart has not beaten for longer is frozen.
    GatewayHeartbeat,
    /// A gateway that was started more often than this within the last 15 minutes is crash-looping.
    GatewayStarts,
    /// A timer whose next run is due for longer does not fire.
    TimerDelay,
    /// A certificate that expires sooner is to be renewed.
    CertificateExpiry,
    /// A repository whose newest commit that counts is older is stale, where the repository has no limit of its own.
    BackupAge,
    /// Commits that have not reached the remote for longer are unpushed.
    BackupUnpushed,
    /// A repository with more changed files than this is dirty.
    BackupDirtyFiles,
    /// A restore drill that lies further back is overdue.
    RestoreDrillAge,
    /// An emergency bundle that is older is overdue.
    EmergencyBundleAge,
    /// A token that can not be refreshed and expires sooner is to be renewed.
    TokenExpiry,
    /// A ticker of cron that has not gone round for longer is stale.
    CronTicker,
    /// A memory file that is fuller, as a part of its limit, is nearly full.
    MemoryUsed,
    /// A filesystem with a smaller part left has little space.
    DiskAvailable,
    /// A filesystem with a smaller part left is as good as full.
    DiskAvailableCritical,
    /// A collector that could not tell something for longer is reported.
    CollectorUnknown,
    /// A self-report that is older is stale.
    ReportAge,
}

/// What a limit is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Seconds.
    Seconds,
    /// A part of a whole, from 0 to 1.
    Ratio,
    /// A number of things.
    Count,
}

const MINUTE: f64 = 60.0;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;

impl Threshold {
    /// Every limit, in the order in which they are shown and documented.
    pub const ALL: [Threshold; 16] = [
        Threshold::GatewayHeartbeat,
        Threshold::GatewayStarts,
        Threshold::TimerDelay,
        Threshold::CertificateExpiry,
        Threshold::BackupAge,
        Threshold::BackupUnpushed,
        Threshold::BackupDirtyFiles,
        Threshold::RestoreDrillAge,
        Threshold::EmergencyBundleAge,
        Threshold::TokenExpiry,
        Threshold::CronTicker,
        Threshold::MemoryUsed,
        Threshold::DiskAvailable,
        Threshold::DiskAvailableCritical,
        Threshold::CollectorUnknown,
        Threshold::ReportAge,
    ];

    /// The word used in labels, JSON and the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Threshold::GatewayHeartbeat => "gateway_heartbeat",
            Threshold::GatewayStarts => "gateway_starts",
            Threshold::TimerDelay => "timer_delay",
            Threshold::CertificateExpiry => "certificate_expiry",
            Threshold::BackupAge => "backup_age",
            Threshold::BackupUnpushed => "backup_unpushed",
            Threshold::BackupDirtyFiles => "backup_dirty_files",
            Threshold::RestoreDrillAge => "restore_drill_age",
            Threshold::EmergencyBundleAge => "emergency_bundle_age",
            Threshold::TokenExpiry => "token_expiry",
            Threshold::CronTicker => "cron_ticker",
            Threshold::MemoryUsed => "memory_used",
            Threshold::DiskAvailable => "disk_available",
            Threshold::DiskAvailableCritical => "disk_available_critical",
            Threshold::CollectorUnknown => "collector_unknown",
            Threshold::ReportAge => "report_age",
        }
    }

    /// The limit that this word names.
    pub fn named(word: &str) -> Option<Threshold> {
        Threshold::ALL.into_iter().find(|threshold| threshold.as_str() == word)
    }

    /// What it is measured in.
    pub fn measure(self) -> Measure {
        match self {
            Threshold::GatewayStarts | Threshold::BackupDirtyFiles => Measure::Count,
            Threshold::MemoryUsed | Threshold::DiskAvailable | Threshold::DiskAvailableCritical => Measure::Ratio,
            Threshold::GatewayHeartbeat
            | Threshold::TimerDelay
            | Threshold::CertificateExpiry
            | Threshold::BackupAge
            | Threshold::BackupUnpushed
            | Threshold::RestoreDrillAge
            | Threshold::EmergencyBundleAge
            | Threshold::TokenExpiry
            | Threshold::CronTicker
            | Threshold::CollectorUnknown
            | Threshold::ReportAge => Measure::Seconds,
        }
    }

    /// What is judged by it.
    pub fn meaning(self) -> &'static str {
        match self {
            Threshold::GatewayHeartbeat => "A gateway whose heart has not beaten for longer is frozen",
            Threshold::GatewayStarts => {
                "A gateway that was started more often than this within the last 15 minutes is crash-looping"
            }
            Threshold::TimerDelay => "A timer whose next run is due for longer does not fire",
            Threshold::CertificateExpiry => "A certificate that expires sooner is to be renewed",
            Threshold::BackupAge => {
                "A repository whose newest commit that counts is older is stale, where the repository has no limit of its own"
            }
            Threshold::BackupUnpushed => "Commits that have not reached the remote for longer are unpushed",
            Threshold::BackupDirtyFiles => "A repository with more changed files than this is dirty",
            Threshold::RestoreDrillAge => "A restore drill that lies further back is overdue",
            Threshold::EmergencyBundleAge => "An emergency bundle that is older is overdue",
            Threshold::TokenExpiry => "A token that can not be refreshed and expires sooner is to be renewed",
            Threshold::CronTicker => "A ticker of cron that has not gone round for longer is stale",
            Threshold::MemoryUsed => "A memory file that is fuller, as a part of its limit, is nearly full",
            Threshold::DiskAvailable => "A filesystem with a smaller part left has little space",
            Threshold::DiskAvailableCritical => "A filesystem with a smaller part left is as good as full",
            Threshold::CollectorUnknown => "A collector that could not tell something for longer is reported",
            Threshold::ReportAge => "A self-report that is older is stale",
        }
    }

    /// Whether it can be switched off.
    pub fn is_optional(self) -> bool {
        self != Threshold::GatewayHeartbeat
    }

    /// What is in force where nothing else is said.
    pub fn default_value(self) -> f64 {
        match self {
            // A heartbeat is written every 30 s: after three that are missing, the loop does not run.
            Threshold::GatewayHeartbeat => 90.0,
            Threshold::GatewayStarts => 3.0,
            Threshold::TimerDelay => 10.0 * MINUTE,
            Threshold::CertificateExpiry => 14.0 * DAY,
            // A daily backup, and two hours for one that is late.
            Threshold::BackupAge => 26.0 * HOUR,
            Threshold::BackupUnpushed => HOUR,
            Threshold::BackupDirtyFiles => 0.0,
            Threshold::RestoreDrillAge => 90.0 * DAY,
            Threshold::EmergencyBundleAge => 8.0 * DAY,
            Threshold::TokenExpiry => 7.0 * DAY,
            // The ticker goes round every minute.
            Threshold::CronTicker => 5.0 * MINUTE,
            Threshold::MemoryUsed => 0.9,
            Threshold::DiskAvailable => 0.1,
            Threshold::DiskAvailableCritical => 0.03,
            Threshold::CollectorUnknown => 15.0 * MINUTE,
            Threshold::ReportAge => 15.0 * MINUTE,
        }
    }
}

/// The limits that are in force for an instance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<String, Option<f64>>", into = "BTreeMap<String, Option<f64>>")]
pub struct Thresholds([Option<f64>; Threshold::ALL.len()]);

impl Thresholds {
    /// The limit; `None` where it is switched off, and nothing is judged by it.
    pub fn get(&self, threshold: Threshold) -> Option<f64> {
        self.0[threshold as usize]
    }

    /// The limit of a heartbeat's age, by which the collector itself tells a frozen gateway, and a living one that it can
    /// not see: it can not be switched off.
    pub fn gateway_heartbeat_seconds(&self) -> f64 {
        self.get(Threshold::GatewayHeartbeat).unwrap_or(Threshold::GatewayHeartbeat.default_value())
    }

    /// Sets the limit, or switches it off.
    pub fn set(&mut self, threshold: Threshold, value: Option<f64>) {
        self.0[threshold as usize] = value;
    }

    /// Every limit with its value.
    pub fn iter(&self) -> impl Iterator<Item = (Threshold, Option<f64>)> {
        Threshold::ALL.into_iter().map(|threshold| (threshold, self.get(threshold)))
    }
}

impl Default for Thresholds {
    fn default() -> Self {
        Thresholds(Threshold::ALL.map(|threshold| Some(threshold.default_value())))
    }
}

/// A limit that another version has and this one does not means nothing here; one that it lacks is at its default.
impl From<BTreeMap<String, Option<f64>>> for Thresholds {
    fn from(named: BTreeMap<String, Option<f64>>) -> Self {
        let mut thresholds = Thresholds::default();
        for (name, value) in named {
            if let Some(threshold) = Threshold::named(&name) {
                thresholds.set(threshold, value);
            }
        }
        thresholds
    }
}

impl From<Thresholds> for BTreeMap<String, Option<f64>> {
    fn from(thresholds: Thresholds) -> Self {
        thresholds.iter().map(|(threshold, value)| (threshold.as_str().to_owned(), value)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_limit_has_its_own_place_and_name() {
        for (place, threshold) in Threshold::ALL.into_iter().enumerate() {
            assert_eq!(threshold as usize, place);
            assert_eq!(Threshold::named(threshold.as_str()), Some(threshold));
        }
    }

    #[test]
    fn what_another_version_says_is_taken_as_far_as_it_goes() {
        let mut thresholds = Thresholds::default();
        thresholds.set(Threshold::BackupAge, None);
        thresholds.set(Threshold::CronTicker, Some(60.0));
        let json = serde_json::to_string(&thresholds).unwrap();
        assert_eq!(serde_json::from_str::<Thresholds>(&json).unwrap(), thresholds);
        let other = serde_json::from_str::<Thresholds>(r#"{"cron_ticker": 60.0, "of_the_future": 1.0}"#).unwrap();
        assert_eq!(other.get(Threshold::CronTicker), Some(60.0));
        assert_eq!(other.get(Threshold::BackupAge), Some(Threshold::BackupAge.default_value()));
    }
}
