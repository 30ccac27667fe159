//! The findings there can be: the table that the page, the check, the alert rules and the runbooks have in common.

use serde::{Deserialize, Serialize};

use super::Severity::{self, Critical, Info, Warning};
use crate::exporter::snapshot::{Label, Threshold};

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

/// What there is to say of a finding.
#[derive(Debug)]
struct Facts {
    word: &'static str,
    title: &'static str,
    when: &'static str,
    severities: &'static [Severity],
    thresholds: &'static [Threshold],
}

// In the order of `Code`.
static FACTS: [Facts; Code::ALL.len()] = [
    Facts {
        word: "gateway_down",
        title: "Gateway down",
        when: "the gateway is not up: it was stopped, failed to start, or does not get past starting",
        severities: &[Critical],
        thresholds: &[],
    },
    Facts {
        word: "gateway_crashed",
        title: "Gateway crashed",
        when: "the gateway's files say that it is at work, and its process is gone",
        severities: &[Critical],
        thresholds: &[],
    },
    Facts {
        word: "gateway_frozen",
        title: "Gateway frozen",
        when: "the gateway's process is there, and its heart has not beaten for longer than the limit",
        severities: &[Critical],
        thresholds: &[Threshold::GatewayHeartbeat],
    },
    Facts {
        word: "gateway_crash_looping",
        title: "Gateway crash-looping",
        when: "the gateway was started more often than the limit within 15 minutes",
        severities: &[Critical],
        thresholds: &[Threshold::GatewayStarts],
    },
    Facts {
        word: "gateway_duplicated",
        title: "More than one gateway",
        when: "more than one gateway process serves the home",
        severities: &[Critical],
        thresholds: &[],
    },
    Facts {
        word: "gateway_degraded",
        title: "Gateway degraded",
        when: "the gateway is up, and says that part of it fails",
        severities: &[Warning],
        thresholds: &[],
    },
    Facts {
        word: "platform_down",
        title: "Platform down",
        when: "a platform of a living gateway has failed for good (critical), is retrying or disconnected (warning), or was paused by somebody (info)",
        severities: &[Info, Warning, Critical],
        thresholds: &[],
    },
    Facts {
        word: "unit_failed",
        title: "Unit failed",
        when: "a unit has failed, can not be loaded, is masked, or was named and is not there or has no manager; critical for the role `gateway`",
        severities: &[Warning, Critical],
        thresholds: &[],
    },
    Facts {
        word: "unit_down",
        title: "Unit down",
        when: "a unit is down without having failed; critical for the role `gateway`, unless it is on its way up or down",
        severities: &[Warning, Critical],
        thresholds: &[],
    },
    Facts {
        word: "timer_not_firing",
        title: "Timer not firing",
        when: "the next run of an active timer is due for longer than the limit, or there is none, and its service is not at work",
        severities: &[Warning],
        thresholds: &[Threshold::TimerDelay],
    },
    Facts {
        word: "endpoint_down",
        title: "Endpoint down",
        when: "an endpoint does not answer as it should",
        severities: &[Warning],
        thresholds: &[],
    },
    Facts {
        word: "certificate_expiring",
        title: "Certificate expiring",
        when: "the certificate of an endpoint expires within the limit (warning), or has expired (critical)",
        severities: &[Warning, Critical],
        thresholds: &[Threshold::CertificateExpiry],
    },
    Facts {
        word: "backup_missing",
        title: "Backup missing",
        when: "a repository that is configured is not there, is no repository, has no commit, or has no file below its payload folder",
        severities: &[Critical],
        thresholds: &[],
    },
    Facts {
        word: "backup_stale",
        title: "Backup stale",
        when: "the newest commit that counts is older than the limit of its repository; critical at twice the limit",
        severities: &[Warning, Critical],
        thresholds: &[Threshold::BackupAge],
    },
    Facts {
        word: "backup_interrupted",
        title: "Backup interrupted",
        when: "a repository is in the middle of a rebase, a merge or the like",
        severities: &[Warning],
        thresholds: &[],
    },
    Facts {
        word: "backup_unpushed",
        title: "Backup not pushed",
        when: "the oldest commit that has not reached the remote is older than the limit",
        severities: &[Warning],
        thresholds: &[Threshold::BackupUnpushed],
    },
    Facts {
        word: "backup_dirty",
        title: "Backup has uncommitted changes",
        when: "a repository has more uncommitted files than the limit",
        severities: &[Info],
        thresholds: &[Threshold::BackupDirtyFiles],
    },
    Facts {
        word: "backup_leaking",
        title: "Secrets in the backup",
        when: "files that look like secrets or live databases are committed now (critical), or were at some time (warning)",
        severities: &[Warning, Critical],
        thresholds: &[],
    },
    Facts {
        word: "restore_drill_overdue",
        title: "Restore drill overdue",
        when: "the newest restore drill is older than the limit, or there is none",
        severities: &[Warning],
        thresholds: &[Threshold::RestoreDrillAge],
    },
    Facts {
        word: "emergency_bundle_overdue",
        title: "Emergency bundle overdue",
        when: "the newest emergency bundle is older than the limit or empty, or there is none",
        severities: &[Warning],
        thresholds: &[Threshold::EmergencyBundleAge],
    },
    Facts {
        word: "token_missing",
        title: "Token missing",
        when: "a token that should be there is not",
        severities: &[Warning],
        thresholds: &[],
    },
    Facts {
        word: "token_invalid",
        title: "Token invalid",
        when: "a token is there and would not work: it has expired, and can not be refreshed",
        severities: &[Warning],
        thresholds: &[],
    },
    Facts {
        word: "token_expiring",
        title: "Token expiring",
        when: "a token that can not be refreshed expires within the limit",
        severities: &[Warning],
        thresholds: &[Threshold::TokenExpiry],
    },
    Facts {
        word: "cron_ticker_stale",
        title: "Cron ticker stale",
        when: "cron's ticker has not gone round, or not without an error, for longer than the limit, while the gateway is up",
        severities: &[Critical],
        thresholds: &[Threshold::CronTicker],
    },
    Facts {
        word: "cron_job_failing",
        title: "Cron job failing",
        when: "the last run of a cron job that is not paused failed, or Hermes can not tell when to run it again",
        severities: &[Warning],
        thresholds: &[],
    },
    Facts {
        word: "cron_job_overdue",
        title: "Cron job overdue",
        when: "a cron job's next run should have begun, and the gateway is not down, has not just come up, and its ticker is not stale",
        severities: &[Warning],
        thresholds: &[],
    },
    Facts {
        word: "cron_delivery_failing",
        title: "Cron delivery failing",
        when: "what the last run of a cron job that is not paused had to say was not delivered",
        severities: &[Warning],
        thresholds: &[],
    },
    Facts {
        word: "memory_near_limit",
        title: "Memory file nearly full",
        when: "a memory file is fuller than the limit, as a part of what Hermes lets it have",
        severities: &[Info],
        thresholds: &[Threshold::MemoryUsed],
    },
    Facts {
        word: "update_available",
        title: "Update available",
        when: "Hermes has found that there is a newer Hermes",
        severities: &[Info],
        thresholds: &[],
    },
    Facts {
        word: "disk_low",
        title: "Disk nearly full",
        when: "a smaller part of the home's filesystem is left than the limit",
        severities: &[Warning, Critical],
        thresholds: &[Threshold::DiskAvailable, Threshold::DiskAvailableCritical],
    },
    Facts {
        word: "public_listener",
        title: "Listening in public",
        when: "a process of the installation listens where everybody may reach it",
        severities: &[Critical],
        thresholds: &[],
    },
    Facts {
        word: "approvals_bypassed",
        title: "Approvals bypassed",
        when: "dangerous commands are run without anybody's approval",
        severities: &[Warning],
        thresholds: &[],
    },
    Facts {
        word: "secrets_unredacted",
        title: "Secrets not redacted",
        when: "what looks like a secret is not masked",
        severities: &[Warning],
        thresholds: &[],
    },
    Facts {
        word: "home_exposed",
        title: "Home open to others",
        when: "other accounts can get into the home, or a group can write to it",
        severities: &[Warning],
        thresholds: &[],
    },
    Facts {
        word: "secrets_exposed",
        title: "Secret files open to others",
        when: "other accounts can read the files that hold secrets, or write to them",
        severities: &[Critical],
        thresholds: &[],
    },
    Facts {
        word: "tailscale_down",
        title: "Tailscale down",
        when: "the machine is not in its tailnet",
        severities: &[Warning],
        thresholds: &[],
    },
    Facts {
        word: "tailscale_key_expiring",
        title: "Tailscale key expiring",
        when: "the machine has to log in to its tailnet again within the limit, or had to already",
        severities: &[Warning],
        thresholds: &[Threshold::TokenExpiry],
    },
    Facts {
        word: "report_stale",
        title: "Report stale",
        when: "the self-report of an instance is older than the limit",
        severities: &[Warning],
        thresholds: &[Threshold::ReportAge],
    },
    Facts {
        word: "collector_unknown",
        title: "Something can not be told",
        when: "a collector could not tell everything for longer than the limit",
        severities: &[Warning],
        thresholds: &[Threshold::CollectorUnknown],
    },
];

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
        self.facts().word
    }

    /// The word as a label.
    pub fn label(self) -> Label {
        Label::new(self.as_str())
    }

    /// The finding that this word names.
    pub fn named(word: &str) -> Option<Code> {
        Code::ALL.into_iter().find(|code| code.as_str() == word)
    }

    /// What it is, in a few words.
    pub fn title(self) -> &'static str {
        self.facts().title
    }

    /// When it is found.
    pub fn when(self) -> &'static str {
        self.facts().when
    }

    /// How bad it can be, the least first.
    pub fn severities(self) -> &'static [Severity] {
        self.facts().severities
    }

    /// The limits that it is judged by; with each of them switched off, it is not found.
    pub fn thresholds(self) -> &'static [Threshold] {
        self.facts().thresholds
    }

    /// What to do about it, as a file below `docs`.
    pub fn runbook(self) -> String {
        format!("runbooks/{}.md", self.as_str())
    }

    fn facts(self) -> &'static Facts {
        &FACTS[self as usize]
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
            assert!(!code.severities().is_empty() && code.severities().is_sorted(), "{code:?}");
        }
    }
}
