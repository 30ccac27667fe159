//! From what was typed to what is valid: everything that types alone do not check.

use std::collections::HashMap;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde_saphyr::{Location, Spanned};

use super::error::{ConfigError, nearest};
use super::raw::{RawCollector, RawConfig, RawDuration, RawInstance, RawThresholds};
use super::{CollectorSettings, Config, default_collectors, default_thresholds};
use crate::exporter::collect::{COLLECTORS, entry};
use crate::exporter::instance::Instance;
use crate::exporter::snapshot::Thresholds;

/// The longest name of an instance.
const LONGEST_NAME: usize = 64;

/// The longest duration that anything may have: a year.
const LONGEST_DURATION: Duration = Duration::from_secs(31_557_600);

/// The shortest time after which a collector is given up on.
const SHORTEST_TIMEOUT: Duration = Duration::from_millis(10);

pub(super) fn validate(path: &Path, raw: RawConfig) -> Result<Config, ConfigError> {
    let check = Check { path };
    let thresholds = check.thresholds(&raw.thresholds, default_thresholds())?;
    let env_keys = check.env_keys(raw.env_keys.as_deref())?;
    let collectors = check.collectors(&raw.collectors.0)?;
    let mut instances: Vec<Instance> = Vec::with_capacity(raw.instances.len());
    let mut lines: HashMap<String, u64> = HashMap::new();
    for typed in &raw.instances {
        let instance = Instance {
            name: check.name(&typed.name)?,
            home: check.home(&typed.home)?,
            user: typed.user.as_ref().map(|user| check.user(user)).transpose()?,
            env_keys: check.env_keys(typed.env_keys.as_deref())?.or_else(|| env_keys.clone()),
            cron_job_label: typed.cron_job_label.unwrap_or(raw.cron_job_label),
            thresholds: check.thresholds(&typed.thresholds, thresholds)?,
        };
        check.is_unlike(&instance, &instances, typed, &lines)?;
        lines.insert(instance.name.clone(), typed.name.referenced.line());
        instances.push(instance);
    }
    Ok(Config { instances, collectors })
}

struct Check<'a> {
    path: &'a Path,
}

impl Check<'_> {
    fn invalid(&self, at: &Location, key: &str, problem: impl Into<String>) -> ConfigError {
        ConfigError::Invalid {
            path: self.path.to_owned(),
            line: at.line().max(1),
            column: at.column().max(1),
            key: key.to_owned(),
            problem: problem.into(),
        }
    }

    fn name(&self, name: &Spanned<String>) -> Result<String, ConfigError> {
        let fits = |character: char| character.is_alphanumeric() || "_.:@-".contains(character);
        let value = &name.value;
        let is_name = !value.is_empty() && !value.starts_with('.') && value.chars().all(fits);
        if !is_name || value.chars().count() > LONGEST_NAME {
            let problem = format!(
                "{value:?} can not name an instance; use up to {LONGEST_NAME} letters, digits and _ . : @ - (not first: .)"
            );
            return Err(self.invalid(&name.referenced, "name", problem));
        }
        Ok(value.clone())
    }

    fn home(&self, home: &Spanned<String>) -> Result<PathBuf, ConfigError> {
        let path = PathBuf::from(&home.value);
        if !path.is_absolute() || home.value.contains('\0') {
            let problem =
                format!("{:?} is not an absolute path; write it from the root, as in /root/.hermes", home.value);
            return Err(self.invalid(&home.referenced, "home", problem));
        }
        if path.components().any(|part| part == Component::ParentDir) {
            let problem = format!("{:?} goes up again with `..`; write it as it is", home.value);
            return Err(self.invalid(&home.referenced, "home", problem));
        }
        // Without trailing slashes and `.` one home has one name.
        Ok(path.components().collect())
    }

    fn user(&self, user: &Spanned<String>) -> Result<String, ConfigError> {
        if user.value.is_empty() || user.value.chars().any(|character| character.is_control() || character == ':') {
            return Err(self.invalid(&user.referenced, "user", format!("{:?} is not a user name", user.value)));
        }
        Ok(user.value.clone())
    }

    fn env_keys(&self, keys: Option<&[Spanned<String>]>) -> Result<Option<Vec<String>>, ConfigError> {
        let Some(keys) = keys else {
            return Ok(None);
        };
        let mut valid = Vec::new();
        for key in keys {
            let fits = |character: char| character.is_ascii_alphanumeric() || character == '_';
            if key.value.is_empty() || !key.value.chars().all(fits) {
                let problem =
                    format!("{:?} is not the name of an environment variable, as in TELEGRAM_BOT_TOKEN", key.value);
                return Err(self.invalid(&key.referenced, "env_keys", problem));
            }
            if !valid.contains(&key.value) {
                valid.push(key.value.clone());
            }
        }
        Ok(Some(valid))
    }

    fn is_unlike(
        &self,
        instance: &Instance,
        others: &[Instance],
        typed: &RawInstance,
        lines: &HashMap<String, u64>,
    ) -> Result<(), ConfigError> {
        if let Some(line) = lines.get(&instance.name) {
            let problem =
                format!("there is already an instance called {:?} in line {line}; names are unique", instance.name);
            return Err(self.invalid(&typed.name.referenced, "name", problem));
        }
        if let Some(other) = others.iter().find(|other| other.home == instance.home) {
            let problem = format!("{:?} is already the home of {:?}", instance.home, other.name);
            return Err(self.invalid(&typed.home.referenced, "home", problem));
        }
        Ok(())
    }

    fn collectors(
        &self,
        typed: &[(Spanned<String>, RawCollector)],
    ) -> Result<HashMap<&'static str, CollectorSettings>, ConfigError> {
        let mut collectors = default_collectors();
        for (name, raw) in typed {
            let Some(entry) = entry(&name.value) else {
                let names = || COLLECTORS.iter().map(|entry| entry.name);
                return Err(ConfigError::UnknownKey {
                    path: self.path.to_owned(),
                    line: name.referenced.line().max(1),
                    column: name.referenced.column().max(1),
                    key: name.value.clone(),
                    nearest: nearest(&name.value, names()),
                    known: names().map(str::to_owned).collect(),
                });
            };
            let Some(settings) = collectors.get_mut(entry.name) else {
                continue;
            };
            settings.enabled = raw.enabled.unwrap_or(settings.enabled);
            if let Some(timeout) = &raw.timeout {
                settings.timeout = self.duration(timeout, "timeout", SHORTEST_TIMEOUT)?;
            }
            if let Some(time_to_live) = &raw.time_to_live {
                if entry.time_to_live.is_none() {
                    let problem =
                        format!("the {} collector keeps nothing: each of its readings is made anew", entry.name);
                    return Err(self.invalid(&time_to_live.referenced, "time_to_live", problem));
                }
                settings.time_to_live = self.duration(time_to_live, "time_to_live", Duration::from_secs(1))?;
            }
        }
        Ok(collectors)
    }

    fn thresholds(&self, raw: &RawThresholds, otherwise: Thresholds) -> Result<Thresholds, ConfigError> {
        let mut thresholds = otherwise;
        if let Some(limit) = &raw.gateway_heartbeat {
            let limit = self.duration(limit, "gateway_heartbeat", Duration::from_secs(1))?;
            thresholds.gateway_heartbeat_seconds = limit.as_secs_f64();
        }
        Ok(thresholds)
    }

    fn duration(&self, typed: &Spanned<RawDuration>, key: &str, shortest: Duration) -> Result<Duration, ConfigError> {
        let RawDuration(duration) = typed.value;
        if duration < shortest || duration > LONGEST_DURATION {
            let problem = format!(
                "{} is out of range; at least {}, at most {}",
                humantime::format_duration(duration),
                humantime::format_duration(shortest),
                humantime::format_duration(LONGEST_DURATION),
            );
            return Err(self.invalid(&typed.referenced, key, problem));
        }
        Ok(duration)
    }
}
