//! From typed values to valid ones: what the configurations of all programs have in common.

use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use serde_saphyr::{Location, Spanned};

use super::RawDuration;
#[cfg(feature = "exporter")]
use super::error::nearest;
use super::error::{ConfigError, tellable};

/// The longest name of anything.
pub(crate) const LONGEST_NAME: usize = 64;

/// The longest duration that anything may have: a year.
const LONGEST_DURATION: Duration = Duration::from_secs(31_557_600);

/// Whether something can be called so, here and in labels.
pub(crate) fn is_name(name: &str) -> bool {
    let fits = |character: char| character.is_alphanumeric() || "_.:@-".contains(character);
    !name.is_empty() && !name.starts_with('.') && name.chars().all(fits) && name.chars().count() <= LONGEST_NAME
}

/// Checks values of one file, and makes errors that say where in it they stand.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Check<'a> {
    path: &'a Path,
}

impl<'a> Check<'a> {
    /// Of the values of this file.
    pub(crate) fn of(path: &'a Path) -> Check<'a> {
        Check { path }
    }

    /// A value that can not be.
    pub(crate) fn invalid(&self, at: &Location, key: &str, problem: impl Into<String>) -> ConfigError {
        ConfigError::Invalid {
            path: self.path.to_owned(),
            line: at.line().max(1),
            column: at.column().max(1),
            key: tellable(key),
            problem: tellable(&problem.into()),
        }
    }

    /// A key that is none of those that there are.
    #[cfg(feature = "exporter")]
    pub(crate) fn unknown_key(
        &self,
        typed: &Spanned<String>,
        known: impl Iterator<Item = &'static str> + Clone,
    ) -> ConfigError {
        ConfigError::UnknownKey {
            path: self.path.to_owned(),
            line: typed.referenced.line().max(1),
            column: typed.referenced.column().max(1),
            key: tellable(&typed.value),
            nearest: nearest(&typed.value, known.clone()),
            known: known.map(str::to_owned).collect(),
        }
    }

    /// A name; `of` says what of.
    pub(crate) fn name(&self, name: &Spanned<String>, of: &str) -> Result<String, ConfigError> {
        let value = &name.value;
        if !is_name(value) {
            let problem = format!(
                "{value:?} can not name {of}; use up to {LONGEST_NAME} letters, digits and _ . : @ - (not first: .)"
            );
            return Err(self.invalid(&name.referenced, "name", problem));
        }
        Ok(value.clone())
    }

    /// A path from the root; `example` is one.
    pub(crate) fn absolute_path(
        &self,
        typed: &Spanned<String>,
        key: &str,
        example: &str,
    ) -> Result<PathBuf, ConfigError> {
        let path = PathBuf::from(&typed.value);
        if !path.is_absolute() || typed.value.contains('\0') {
            let problem = format!("{:?} is not an absolute path; write it from the root, as in {example}", typed.value);
            return Err(self.invalid(&typed.referenced, key, problem));
        }
        if path.components().any(|part| part == Component::ParentDir) {
            let problem = format!("{:?} goes up again with `..`; write it as it is", typed.value);
            return Err(self.invalid(&typed.referenced, key, problem));
        }
        // Without trailing slashes and `.` one home has one name.
        Ok(path.components().collect())
    }

    /// A duration between `shortest` and a year.
    pub(crate) fn duration(
        &self,
        typed: &Spanned<RawDuration>,
        key: &str,
        shortest: Duration,
    ) -> Result<Duration, ConfigError> {
        self.in_range(typed.value, &typed.referenced, key, shortest)
    }

    /// The same, of what stands in another type.
    pub(crate) fn in_range(
        &self,
        RawDuration(duration): RawDuration,
        at: &Location,
        key: &str,
        shortest: Duration,
    ) -> Result<Duration, ConfigError> {
        if duration < shortest || duration > LONGEST_DURATION {
            let problem = format!(
                "{} is out of range; at least {}, at most {}",
                humantime::format_duration(duration),
                humantime::format_duration(shortest),
                humantime::format_duration(LONGEST_DURATION),
            );
            return Err(self.invalid(at, key, problem));
        }
        Ok(duration)
    }
}
