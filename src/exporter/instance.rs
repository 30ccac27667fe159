//! One Hermes installation to look at, as the validated configuration describes it.

use std::path::{Path, PathBuf};

use super::snapshot::Thresholds;

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
    /// What a cron job is called in labels.
    pub cron_job_label: CronJobLabel,
    /// The limits in force.
    pub thresholds: Thresholds,
}

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
            cron_job_label: CronJobLabel::Id,
            thresholds: Thresholds { gateway_heartbeat_seconds: 90.0 },
        }
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
