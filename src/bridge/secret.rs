//! Secrets: read from files anew each time they are needed, so that one that was changed is in force at once; and never
//! shown.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::system::files::{self, FileError};

/// More than any token or password has.
const LONGEST_SECRET: usize = 4096;

/// Text that is not shown to anybody, not even in a log for debugging.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// What must not be shown.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// The text, for where it is needed.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(..)")
    }
}

/// A file with a secret in it and nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SecretFile(PathBuf);

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The file could not be read.
    #[error("{} could not be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: FileError,
    },
    /// There is no such file.
    #[error("{} is not there; it is to have one line with the secret in it", path.display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// There is nothing in it, or several lines.
    #[error("{} must have one line with the secret in it, and nothing else", path.display())]
    Content {
        /// The file.
        path: PathBuf,
    },
}

impl SecretFile {
    /// The file at this path.
    pub fn at(path: impl Into<PathBuf>) -> SecretFile {
        SecretFile(path.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What is in it now, without the space around it.
    pub fn read(&self) -> Result<Secret, SecretError> {
        let content = files::read(&self.0).map_err(|source| SecretError::Read { path: self.0.clone(), source })?;
        let content = content.ok_or_else(|| SecretError::Missing { path: self.0.clone() })?;
        let text = str::from_utf8(&content).map(str::trim).unwrap_or_default();
        if text.is_empty() || text.len() > LONGEST_SECRET || text.contains(char::is_control) {
            return Err(SecretError::Content { path: self.0.clone() });
        }
        Ok(Secret::new(text))
    }
}
