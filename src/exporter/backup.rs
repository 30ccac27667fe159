//! What an installation is backed up to, as the validated configuration describes it.

use std::path::PathBuf;
use std::time::Duration;

use glob::Pattern;

use super::instance::Instance;
use super::snapshot::Threshold;

/// The most repositories of one instance.
pub const MOST_BACKUPS: usize = 64;

/// One repository of git that is a backup.
#[derive(Debug, Clone, PartialEq)]
pub struct Backup {
    /// Its name: the value of the `repo` label, unique in the instance.
    pub name: String,
    /// Where it is: the folder with its working tree, or a bare repository itself.
    pub path: PathBuf,
    /// The remote that it is pushed to; else it is told by the repository's own configuration.
    pub remote: Option<String>,
    /// The branch on that remote; else it is told by the repository's own configuration.
    pub branch: Option<String>,
    /// The folder in it that is restored from, without slashes at its ends; empty for all of it.
    pub payload: Option<String>,
    /// How old it may get.
    pub max_age: MaxAge,
    /// What else must not be committed, besides what looks like a secret or a live database.
    pub forbidden: Vec<Pattern>,
    /// What may be committed in spite of what it looks like.
    pub allowed: Vec<Pattern>,
    /// Whether its working tree is looked through for what is not committed.
    pub changes: Changes,
}

/// Whether a working tree is looked through for what is not committed: that takes a look at every file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Changes {
    /// They are looked for.
    #[default]
    Sought,
    /// They are not.
    Ignored,
}

/// Files that are proof of something: of a restore that was rehearsed, or of a bundle that was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Artifacts {
    /// Which files: a shell pattern, from the root.
    pub pattern: String,
    /// How old the newest may get.
    pub max_age: MaxAge,
}

/// How old something may get.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MaxAge {
    /// As old as the instance's threshold says.
    #[default]
    OfInstance,
    /// As old as this.
    Limit(Duration),
    /// It is not judged by its age.
    Off,
}

impl MaxAge {
    /// The limit in seconds, where there is one.
    pub fn seconds(self, instance: &Instance, threshold: Threshold) -> Option<f64> {
        match self {
            MaxAge::OfInstance => instance.thresholds.get(threshold),
            MaxAge::Limit(limit) => Some(limit.as_secs_f64()),
            MaxAge::Off => None,
        }
    }
}
