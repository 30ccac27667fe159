//! The configuration file as typed: names, types and places, before anything is checked against anything else.

use std::path::Path;

use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use super::backups::{RawArtifacts, RawBackup};
use crate::config_file::{self, ByName, ConfigError, RawDuration};
use crate::exporter::instance::CronJobLabel;
use crate::exporter::snapshot::endpoints::EndpointKind;
use crate::exporter::snapshot::units::ManagerKind;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    pub(super) instances: Vec<RawInstance>,
    #[serde(default)]
    pub(super) collectors: RawCollectors,
    #[serde(default)]
    pub(super) thresholds: RawThresholds,
    #[serde(default)]
    pub(super) ignored_findings: Vec<Spanned<String>>,
    #[serde(default)]
    pub(super) env_keys: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    pub(super) expected_tokens: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    pub(super) cron_job_label: CronJobLabel,
    #[serde(default)]
    pub(super) tailscale: RawTailscale,
    #[serde(default)]
    pub(super) ssh_host: Option<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTailscale {
    #[serde(default)]
    pub(super) socket: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawInstance {
    pub(super) name: Spanned<String>,
    #[serde(default)]
    pub(super) home: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) report: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) user: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) thresholds: RawThresholds,
    #[serde(default)]
    pub(super) ignored_findings: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    pub(super) env_keys: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    pub(super) expected_tokens: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    pub(super) cron_job_label: Option<CronJobLabel>,
    #[serde(default)]
    pub(super) units: Option<Vec<RawUnit>>,
    #[serde(default)]
    pub(super) s6_scan_directory: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) endpoints: Option<Vec<RawEndpoint>>,
    #[serde(default)]
    pub(super) backups: Option<Vec<RawBackup>>,
    #[serde(default)]
    pub(super) restore_drills: Option<RawArtifacts>,
    #[serde(default)]
    pub(super) emergency_bundles: Option<RawArtifacts>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUnit {
    #[serde(default)]
    pub(super) role: Option<Spanned<String>>,
    #[serde(alias = "pattern")]
    pub(super) unit: Spanned<String>,
    #[serde(default)]
    pub(super) manager: Option<ManagerKind>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawEndpoint {
    pub(super) name: Spanned<String>,
    pub(super) url: Spanned<String>,
    pub(super) kind: EndpointKind,
    #[serde(default)]
    pub(super) timeout: Option<Spanned<RawDuration>>,
    #[serde(default)]
    pub(super) host: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) expect_status: Option<Spanned<Vec<RawStatus>>>,
    #[serde(default)]
    pub(super) ca_file: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) link: Option<Spanned<String>>,
}

/// Collectors by name.
pub(super) type RawCollectors = ByName<RawCollector>;

/// Limits by name, as typed: in what each is measured is not known to the parser.
pub(super) type RawThresholds = ByName<Spanned<String>>;

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawCollector {
    #[serde(default)]
    pub(super) enabled: Option<bool>,
    #[serde(default)]
    pub(super) timeout: Option<Spanned<RawDuration>>,
    #[serde(default)]
    pub(super) time_to_live: Option<Spanned<RawDuration>>,
}

/// A status of HTTP.
#[derive(Debug, Clone, Copy)]
pub(super) struct RawStatus(pub(super) u16);

impl<'de> Deserialize<'de> for RawStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let typed = String::deserialize(deserializer)?;
        let status = typed.parse().ok().filter(|status| (100..=599).contains(status));
        let wrong = || serde::de::Error::custom(format!("{typed:?} is not a status of HTTP, which are 100 to 599"));
        status.map(RawStatus).ok_or_else(wrong)
    }
}

impl RawInstance {
    /// The first key that is only for an instance whose home is looked at.
    pub(super) fn key_of_home(&self) -> Option<&'static str> {
        let keys = [
            ("env_keys", self.env_keys.is_some()),
            ("expected_tokens", self.expected_tokens.is_some()),
            ("cron_job_label", self.cron_job_label.is_some()),
            ("units", self.units.is_some()),
            ("s6_scan_directory", self.s6_scan_directory.is_some()),
            ("endpoints", self.endpoints.is_some()),
            ("backups", self.backups.is_some()),
            ("restore_drills", self.restore_drills.is_some()),
            ("emergency_bundles", self.emergency_bundles.is_some()),
        ];
        keys.into_iter().find(|(_, is_there)| *is_there).map(|(key, _)| key)
    }
}

/// Reads the text of a file.
pub(super) fn parse(path: &Path, text: &str) -> Result<RawConfig, ConfigError> {
    config_file::parse(path, text, "instances")
}
