//! The findings there can be: the table that the page, the check, the alert rules and the runbooks have in common.

use serde::{Deserialize, Serialize};

/// What can be found. The word for it names its runbook, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "each is described by `Code::title`")]
pub enum Code {
    GatewayDown,
    GatewayCrashed,
    GatewayFrozen,
    GatewayCrashLooping,
    GatewayDuplicated,
    GatewayDegraded,
    PlatformDown,
    UnitFailed,
    UnitDown,
    TimerNotFiring,
    EndpointDown,
    CertificateExpiring,
    BackupMissing,
    BackupStale,
    BackupInterrupted,
    BackupUnpushed,
    BackupDirty,
    BackupLeaking,
    RestoreDrillOverdue,
    EmergencyBundleOverdue,
    TokenMissing,
    TokenInvalid,
    TokenExpiring,
    CronTickerStale,
    CronJobFailing,
    CronJobOverdue,
    CronDeliveryFailing,
    MemoryNearLimit,
    UpdateAvailable,
    DiskLow,
    PublicListener,
    ApprovalsBypassed,
    SecretsUnredacted,
    HomeExposed,
    SecretsExposed,
    TailscaleDown,
    TailscaleKeyExpiring,
    ReportStale,
    CollectorUnknown,
}

impl Code {
    /// Every finding, in the order in which they are shown and documented.
    pub const ALL: [Code; 39] = [
        Code::GatewayDown,
        Code::GatewayCrashed,
        Code::GatewayFrozen,
        Code::GatewayCrashLooping,
        Code::GatewayDuplicated,
        Code::GatewayDegraded,
        Code::PlatformDown,
        Code::UnitFailed,
        Code::UnitDown,
        Code::TimerNotFiring,
        Code::EndpointDown,
        Code::CertificateExpiring,
        Code::BackupMissing,
        Code::BackupStale,
        Code::BackupInterrupted,
        Code::BackupUnpushed,
        Code::BackupDirty,
        Code::BackupLeaking,
        Code::RestoreDrillOverdue,
        Code::EmergencyBundleOverdue,
        Code::TokenMissing,
        Code::TokenInvalid,
        Code::TokenExpiring,
        Code::CronTickerStale,
        Code::CronJobFailing,
        Code::CronJobOverdue,
        Code::CronDeliveryFailing,
        Code::MemoryNearLimit,
        Code::UpdateAvailable,
        Code::DiskLow,
        Code::PublicListener,
        Code::ApprovalsBypassed,
        Code::SecretsUnredacted,
        Code::HomeExposed,
        Code::SecretsExposed,
        Code::TailscaleDown,
        Code::TailscaleKeyExpiring,
        Code::ReportStale,
        Code::CollectorUnknown,
    ];

    /// The word used in labels, JSON and the configuration; also the name of its runbook.
    pub fn as_str(self) -> &'static str {
        match self {
            Code::GatewayDown => "gateway_down",
            Code::GatewayCrashed => "gateway_crashed",
            Code::GatewayFrozen => "gateway_frozen",
            Code::GatewayCrashLooping => "gateway_crash_looping",
            Code::GatewayDuplicated => "gateway_duplicated",
            Code::GatewayDegraded => "gateway_degraded",
            Code::PlatformDown => "platform_down",
            Code::UnitFailed => "unit_failed",
            Code::UnitDown => "unit_down",
            Code::TimerNotFiring => "timer_not_firing",
            Code::EndpointDown => "endpoint_down",
            Code::CertificateExpiring => "certificate_expiring",
            Code::BackupMissing => "backup_missing",
            Code::BackupStale => "backup_stale",
            Code::BackupInterrupted => "backup_interrupted",
            Code::BackupUnpushed => "backup_unpushed",
            Code::BackupDirty => "backup_dirty",
            Code::BackupLeaking => "backup_leaking",
            Code::RestoreDrillOverdue => "restore_drill_overdue",
            Code::EmergencyBundleOverdue => "emergency_bundle_overdue",
            Code::TokenMissing => "token_missing",
            Code::TokenInvalid => "token_invalid",
            Code::TokenExpiring => "token_expiring",
            Code::CronTickerStale => "cron_ticker_stale",
            Code::CronJobFailing => "cron_job_failing",
            Code::CronJobOverdue => "cron_job_overdue",
            Code::CronDeliveryFailing => "cron_delivery_failing",
            Code::MemoryNearLimit => "memory_near_limit",
            Code::UpdateAvailable => "update_available",
            Code::DiskLow => "disk_low",
            Code::PublicListener => "public_listener",
            Code::ApprovalsBypassed => "approvals_bypassed",
            Code::SecretsUnredacted => "secrets_unredacted",
            Code::HomeExposed => "home_exposed",
            Code::SecretsExposed => "secrets_exposed",
            Code::TailscaleDown => "tailscale_down",
            Code::TailscaleKeyExpiring => "tailscale_key_expiring",
            Code::ReportStale => "report_stale",
            Code::CollectorUnknown => "collector_unknown",
        }
    }

    /// The finding that this word names.
    pub fn named(word: &str) -> Option<Code> {
        Code::ALL.into_iter().find(|code| code.as_str() == word)
    }

    /// What it is, in a few words.
    pub fn title(self) -> &'static str {
        match self {
            Code::GatewayDown => "Gateway down",
            Code::GatewayCrashed => "Gateway crashed",
            Code::GatewayFrozen => "Gateway frozen",
            Code::GatewayCrashLooping => "Gateway crash-looping",
            Code::GatewayDuplicated => "More than one gateway",
            Code::GatewayDegraded => "Gateway degraded",
            Code::PlatformDown => "Platform down",
            Code::UnitFailed => "Unit failed",
            Code::UnitDown => "Unit down",
            Code::TimerNotFiring => "Timer not firing",
            Code::EndpointDown => "Endpoint down",
            Code::CertificateExpiring => "Certificate expiring",
            Code::BackupMissing => "Backup missing",
            Code::BackupStale => "Backup stale",
            Code::BackupInterrupted => "Backup interrupted",
            Code::BackupUnpushed => "Backup not pushed",
            Code::BackupDirty => "Backup has uncommitted changes",
            Code::BackupLeaking => "Secrets in the backup",
            Code::RestoreDrillOverdue => "Restore drill overdue",
            Code::EmergencyBundleOverdue => "Emergency bundle overdue",
            Code::TokenMissing => "Token missing",
            Code::TokenInvalid => "Token invalid",
            Code::TokenExpiring => "Token expiring",
            Code::CronTickerStale => "Cron ticker stale",
            Code::CronJobFailing => "Cron job failing",
            Code::CronJobOverdue => "Cron job overdue",
            Code::CronDeliveryFailing => "Cron delivery failing",
            Code::MemoryNearLimit => "Memory file nearly full",
            Code::UpdateAvailable => "Update available",
            Code::DiskLow => "Disk nearly full",
            Code::PublicListener => "Listening in public",
            Code::ApprovalsBypassed => "Approvals bypassed",
            Code::SecretsUnredacted => "Secrets not redacted",
            Code::HomeExposed => "Home open to others",
            Code::SecretsExposed => "Secret files open to others",
            Code::TailscaleDown => "Tailscale down",
            Code::TailscaleKeyExpiring => "Tailscale key expiring",
            Code::ReportStale => "Report stale",
            Code::CollectorUnknown => "Something can not be told",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_the_same_word_in_labels_in_json_and_in_the_configuration() {
        for (place, code) in Code::ALL.into_iter().enumerate() {
            assert_eq!(code as usize, place);
            assert_eq!(serde_json::to_string(&code).unwrap(), format!("\"{}\"", code.as_str()));
            assert_eq!(Code::named(code.as_str()), Some(code));
        }
    }
}
