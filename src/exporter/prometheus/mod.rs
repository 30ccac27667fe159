//! Whether Prometheus, by its own configuration, scrapes the exporter so that instances keep their names, no alert comes
//! twice, and rules and dashboards see what they look for. Whether the rest of it is valid is `promtool check config`'s.
//!
//! * [`tree`]: a file of it; [`raw`]: the configuration as typed, as far as it matters here;
//! * [`jobs`]: reading it with the files that it names, and which jobs scrape the exporter;
//! * [`judge`]: what is wrong with one of them; [`regex`]: whether a regular expression of theirs matches a name.

mod jobs;
mod judge;
#[cfg(test)]
mod properties;
mod raw;
mod regex;
mod tree;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::config_file::{ConfigError, instead};

/// Why it can not be told.
#[derive(Debug, thiserror::Error)]
pub enum PrometheusError {
    /// The configuration, or a file that it names, can not be read as one.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A job that there is not.
    #[error("{}: there is no scrape job called {name:?}; {}", path.display(), instead(nearest.as_deref(), known.iter().map(String::as_str)))]
    NoSuchJob {
        /// The configuration.
        path: PathBuf,
        /// The name as typed.
        name: String,
        /// The name that is most like it.
        nearest: Option<String>,
        /// All that there are.
        known: Vec<String>,
    },
}

/// How much a remark weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weight {
    /// Something is told wrongly, or not at all.
    Fault,
    /// It works, and not everything that was made for it does.
    Note,
}

/// Something about the configuration that somebody should know.
#[derive(Debug)]
pub struct Remark {
    /// The file.
    pub path: PathBuf,
    /// The line, from 1.
    pub line: u64,
    /// How much it weighs.
    pub weight: Weight,
    /// The scrape job that it is about.
    pub job: Option<String>,
    /// What it is, and what would be right.
    pub text: String,
}

impl fmt::Display for Remark {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let weight = if self.weight == Weight::Fault { "fault" } else { "note" };
        write!(formatter, "{}:{}: {weight}: ", self.path.display(), self.line)?;
        if let Some(job) = &self.job {
            write!(formatter, "job {job:?}: ")?;
        }
        formatter.write_str(&self.text)
    }
}

/// What there is to say of a configuration of Prometheus.
#[derive(Debug)]
pub struct Verdict {
    /// The jobs that bring what the exporter says.
    pub jobs: Vec<String>,
    /// What is wrong with them, in their order.
    pub remarks: Vec<Remark>,
}

/// Judges a configuration; `named` are the jobs that scrape the exporter, where it is not to be found out.
pub fn check(path: &Path, named: &[String]) -> Result<Verdict, PrometheusError> {
    let configuration = jobs::read(path)?;
    let jobs = configuration.of_exporter(named)?;
    Ok(Verdict {
        remarks: judge::judge(&configuration, &jobs),
        jobs: jobs.iter().map(|job| job.name().to_owned()).collect(),
    })
}
