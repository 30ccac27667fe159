//! From backups as typed to backups that are valid.

use std::collections::HashMap;
use std::time::Duration;

use glob::Pattern;
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

use crate::config_file::{Check, ConfigError, RawDuration};
use crate::exporter::backup::{Artifacts, Backup, Changes, MOST_BACKUPS, MaxAge};
use crate::system::git;

/// What may follow a pattern to mean everything below, at whatever depth.
const ANY_DEPTH: &str = "**";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawBackup {
    name: Spanned<String>,
    path: Spanned<String>,
    #[serde(default)]
    remote: Option<Spanned<String>>,
    #[serde(default)]
    branch: Option<Spanned<String>>,
    #[serde(default)]
    payload: Option<Spanned<String>>,
    #[serde(default)]
    max_age: Option<Spanned<RawMaxAge>>,
    #[serde(default)]
    forbidden: Vec<Spanned<String>>,
    #[serde(default)]
    allowed: Vec<Spanned<String>>,
    #[serde(default)]
    dirty: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawArtifacts {
    pattern: Spanned<String>,
    #[serde(default)]
    max_age: Option<Spanned<RawMaxAge>>,
}

/// A duration, or `off`.
#[derive(Debug, Clone, Copy)]
enum RawMaxAge {
    Off,
    Limit(RawDuration),
}

impl<'de> Deserialize<'de> for RawMaxAge {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let typed = String::deserialize(deserializer)?;
        if typed == "off" {
            return Ok(RawMaxAge::Off);
        }
        let wrong = |_| {
            serde::de::Error::custom(format!(
                "{typed:?} is not a duration; write it as in 26h or 8d, or `off` for none"
            ))
        };
        humantime::parse_duration(&typed).map(RawDuration).map(RawMaxAge::Limit).map_err(wrong)
    }
}

impl Check<'_> {
    /// The backups of one instance.
    pub(super) fn backups(&self, typed: &[RawBackup]) -> Result<Vec<Backup>, ConfigError> {
        let mut lines: HashMap<&str, u64> = HashMap::new();
        let mut backups = Vec::with_capacity(typed.len());
        for raw in typed {
            let name = self.name(&raw.name, "a backup")?;
            if let Some(line) = lines.insert(&raw.name.value, raw.name.referenced.line()) {
                let problem = format!(
                    "there is already a backup called {name:?} in line {line}; names are unique in an instance"
                );
                return Err(self.invalid(&raw.name.referenced, "name", problem));
            }
            if backups.len() == MOST_BACKUPS {
                let problem = format!("more than {MOST_BACKUPS} backups; an instance may have {MOST_BACKUPS}");
                return Err(self.invalid(&raw.name.referenced, "backups", problem));
            }
            backups.push(Backup {
                name,
                path: self.absolute_path(&raw.path, "path", "/root/repos/vm_backup")?,
                remote: raw.remote.as_ref().map(|remote| self.remote(remote)).transpose()?,
                branch: raw.branch.as_ref().map(|branch| self.branch(branch)).transpose()?,
                payload: raw.payload.as_ref().map(|payload| self.payload(payload)).transpose()?,
                max_age: self.max_age(raw.max_age.as_ref())?,
                forbidden: self.patterns(&raw.forbidden, "forbidden")?,
                allowed: self.patterns(&raw.allowed, "allowed")?,
                changes: if raw.dirty == Some(false) { Changes::Ignored } else { Changes::Sought },
            });
        }
        Ok(backups)
    }

    /// The files that are proof of something; `example` is a pattern for them.
    pub(super) fn artifacts(
        &self,
        typed: Option<&RawArtifacts>,
        example: &str,
    ) -> Result<Option<Artifacts>, ConfigError> {
        let Some(raw) = typed else {
            return Ok(None);
        };
        let wrong = |problem: String| Err(self.invalid(&raw.pattern.referenced, "pattern", problem));
        let pattern = &raw.pattern.value;
        self.absolute_path(&raw.pattern, "pattern", example)?;
        if let Err(error) = Pattern::new(pattern) {
            return wrong(format!("{pattern:?} is not a shell pattern: {}; write it as in {example}", error.msg));
        }
        if pattern.contains(ANY_DEPTH) {
            return wrong(format!(
                "{pattern:?} would look through everything below; write one `*` for each folder, as in {example}"
            ));
        }
        Ok(Some(Artifacts { pattern: pattern.clone(), max_age: self.max_age(raw.max_age.as_ref())? }))
    }

    fn max_age(&self, typed: Option<&Spanned<RawMaxAge>>) -> Result<MaxAge, ConfigError> {
        let Some(typed) = typed else {
            return Ok(MaxAge::OfInstance);
        };
        match typed.value {
            RawMaxAge::Off => Ok(MaxAge::Off),
            RawMaxAge::Limit(limit) => {
                let limit = self.in_range(limit, &typed.referenced, "max_age", Duration::from_secs(1))?;
                Ok(MaxAge::Limit(limit))
            }
        }
    }

    fn remote(&self, typed: &Spanned<String>) -> Result<String, ConfigError> {
        if git::is_remote_name(&typed.value) {
            return Ok(typed.value.clone());
        }
        // Not repeated in the message: an address may have a password in it.
        let problem = "this is not the name of a remote; write it as `git remote` lists it, as in origin";
        Err(self.invalid(&typed.referenced, "remote", problem))
    }

    fn branch(&self, typed: &Spanned<String>) -> Result<String, ConfigError> {
        if git::is_branch_name(&typed.value) && !typed.value.starts_with("refs/") {
            return Ok(typed.value.clone());
        }
        let problem =
            format!("{:?} is not the name of a branch; write it as the remote has it, as in main", typed.value);
        Err(self.invalid(&typed.referenced, "branch", problem))
    }

    fn payload(&self, typed: &Spanned<String>) -> Result<String, ConfigError> {
        let parts: Vec<&str> = typed.value.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        if typed.value.is_empty() || typed.value.starts_with('/') || parts.contains(&"..") {
            let problem = format!(
                "{:?} is not a folder in the repository; write it from there, as in hermes_persistent_backup, or `.` for all of it",
                typed.value
            );
            return Err(self.invalid(&typed.referenced, "payload", problem));
        }
        Ok(parts.join("/"))
    }

    fn patterns(&self, typed: &[Spanned<String>], key: &str) -> Result<Vec<Pattern>, ConfigError> {
        let mut patterns = Vec::with_capacity(typed.len());
        for one in typed {
            let invalid = |problem: String| self.invalid(&one.referenced, key, problem);
            if one.value.is_empty() || one.value.starts_with('/') {
                let problem = format!(
                    "{:?} matches nothing; write a file's name or its path in the repository, as in *.kdbx or notes/private/*",
                    one.value
                );
                return Err(invalid(problem));
            }
            patterns.push(Pattern::new(&one.value).map_err(|error| {
                invalid(format!("{:?} is not a shell pattern: {}; write it as in *.kdbx", one.value, error.msg))
            })?);
        }
        Ok(patterns)
    }
}
