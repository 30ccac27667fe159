//! One Hermes installation to look at, as the validated configuration describes it.

use std::path::{Path, PathBuf};

use super::backup::{Artifacts, Backup};
use super::endpoint::Endpoint;
use super::findings::Code;
use super::snapshot::Thresholds;
use super::snapshot::units::ManagerKind;
use crate::system::{systemd, users};

/// One Hermes installation.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// Its name: the value of the `instance` label, unique in the fleet.
    pub name: String,
    /// Its Hermes home, as an absolute path.
    pub home: PathBuf,
    /// The user it belongs to, where the configuration says; else the owner of the home is looked up.
    pub user: Option<String>,
    /// The keys of `.env` to report; where none are named, the well-known ones that the file has.
    pub env_keys: Option<Vec<String>>,
    /// The tokens that must be there, where the configuration names them; else those that somebody has set up.
    pub expected_tokens: Option<Vec<String>>,
    /// What a cron job is called in labels.
    pub cron_job_label: CronJobLabel,
    /// The limits in force.
    pub thresholds: Thresholds,
    /// What is not to be found of it.
    pub ignored_findings: Vec<Code>,
    /// The units that a supervisor runs for it.
    pub units: Vec<UnitSpec>,
    /// The folder in which s6 has its services.
    pub s6_scan_directory: PathBuf,
    /// The addresses that are asked whether they answer, with distinct names.
    pub endpoints: Vec<Endpoint>,
    /// The repositories that it is backed up to, with distinct names.
    pub backups: Vec<Backup>,
    /// The marks that rehearsals of a restore leave.
    pub restore_drills: Option<Artifacts>,
    /// The bundles that are made for an emergency.
    pub emergency_bundles: Option<Artifacts>,
}

/// A unit, or several by a pattern, to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitSpec {
    /// What it is for.
    pub role: String,
    /// Which it is.
    pub unit: UnitName,
    /// The supervisor that has it; without one it is looked for in the system's manager and in that of the user.
    pub manager: Option<ManagerKind>,
    /// Whether somebody has named it; else it is one that Hermes would have made, and need not be there.
    pub is_expected: bool,
}

/// Which unit it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UnitName {
    /// The one with this name.
    Named(String),
    /// All those that match this shell pattern.
    Pattern(String),
}

/// The units that Hermes makes for a home by itself: under s6 where that is process 1, else for systemd.
pub fn generated_units(home: &Path, is_s6: bool) -> Vec<UnitSpec> {
    let profile = profile_of(home);
    let name = match (is_s6, profile) {
        (true, profile) => format!("gateway-{}", profile.unwrap_or("default")),
        (false, None) => "hermes-gateway.service".to_owned(),
        (false, Some(profile)) => format!("hermes-gateway-{profile}.service"),
    };
    // A folder among the profiles may be called anything; only those with names that Hermes gives have units.
    if !is_s6 && !systemd::is_name(&name) {
        return Vec::new();
    }
    vec![UnitSpec {
        role: "gateway".to_owned(),
        unit: UnitName::Named(name),
        manager: is_s6.then_some(ManagerKind::S6),
        is_expected: false,
    }]
}

/// Where the official container has the services of s6.
pub const S6_SCAN_DIRECTORY: &str = "/run/service";

/// What a cron job is called in labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CronJobLabel {
    /// Its id: says nothing about anybody.
    #[default]
    Id,
    /// Its name, which a person gave it and may say something about them.
    Name,
}

impl Instance {
    /// The path of something in the home.
    pub fn path(&self, relative: &str) -> PathBuf {
        self.home.join(relative)
    }

    /// The id of the user it belongs to: the one that it was configured with, else the one this program runs as. `None`
    /// where there is no user of that name.
    pub fn user_id(&self) -> Option<u32> {
        match &self.user {
            Some(name) => users::named(name).map(|user| user.id),
            None => Some(rustix::process::geteuid().as_raw()),
        }
    }

    /// The profile that the home holds: `<root>/profiles/<name>` is a profile, everything else is `default`.
    pub fn profile(&self) -> &str {
        profile_of(&self.home).unwrap_or("default")
    }

    /// The home that a profile belongs to; for a root home itself `None`.
    pub fn root_home(&self) -> Option<&Path> {
        profile_of(&self.home)?;
        self.home.parent()?.parent()
    }
}

fn profile_of(home: &Path) -> Option<&str> {
    let is_profile = home.parent()?.file_name()? == "profiles";
    is_profile.then(|| home.file_name()?.to_str()).flatten()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An instance with the defaults of the configuration.
    pub(crate) fn instance_at(home: &Path) -> Instance {
        Instance {
            name: "test".to_owned(),
            home: home.to_owned(),
            user: None,
            env_keys: None,
            expected_tokens: None,
            cron_job_label: CronJobLabel::Id,
            thresholds: Thresholds::default(),
            ignored_findings: Vec::new(),
            units: Vec::new(),
            s6_scan_directory: S6_SCAN_DIRECTORY.into(),
            endpoints: Vec::new(),
            backups: Vec::new(),
            restore_drills: None,
            emergency_bundles: None,
        }
    }

    #[test]
    fn units_are_named_as_hermes_names_them() {
        let name = |home: &str, is_s6| match &generated_units(Path::new(home), is_s6)[0].unit {
            UnitName::Named(name) => name.clone(),
            UnitName::Pattern(pattern) => panic!("{pattern}"),
        };
        assert_eq!(name("/root/.hermes", false), "hermes-gateway.service");
        assert_eq!(name("/root/.hermes/profiles/coder", false), "hermes-gateway-coder.service");
        assert!(generated_units(Path::new("/root/.hermes/profiles/my bot"), false).is_empty());
        assert_eq!(name("/opt/data", true), "gateway-default");
        assert_eq!(name("/opt/data/profiles/coder", true), "gateway-coder");
    }

    #[test]
    fn a_profile_is_known_by_its_place() {
        let profile = instance_at(Path::new("/srv/hermes/profiles/coder"));
        assert_eq!(profile.profile(), "coder");
        assert_eq!(profile.root_home(), Some(Path::new("/srv/hermes")));
        let root = instance_at(Path::new("/srv/hermes/vijay"));
        assert_eq!(root.profile(), "default");
        assert_eq!(root.root_home(), None);
    }
}
