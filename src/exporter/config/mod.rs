//! The configuration: what was typed becomes what is valid, or an error that says what would be right.
//!
//! [`raw`] is the file as typed; [`Config`] is what everything else works with, and can only be made from
//! something valid. [`mod@reference`] is the documentation of every key, checked against the code.

mod backups;
mod endpoints;
mod judging;
#[cfg(test)]
mod properties;
mod raw;
pub mod reference;
mod validate;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::collect::COLLECTORS;

use super::findings::Code;
use super::instance::Instance;
use super::reported::{Reported, in_order};
use super::snapshot::Thresholds;
use crate::config_file;
pub use crate::config_file::ConfigError;

/// A valid configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The instances to look at, with distinct homes, and names that no other has, reported ones included.
    pub instances: Vec<Instance>,
    /// The instances that are told of by reports, with distinct names and reports.
    pub reported: Vec<Reported>,
    /// How each collector is run, by its name; every collector of the table is in it.
    pub collectors: HashMap<&'static str, CollectorSettings>,
    /// What there is to know of the machine.
    pub machine: MachineSettings,
    /// The machine as an operator names it to ssh, in the commands that the page shows.
    pub ssh_host: Option<String>,
}

/// What the configuration says of the machine that the exporter runs on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MachineSettings {
    /// The limits in force for it.
    pub thresholds: Thresholds,
    /// What is not to be found of it.
    pub ignored_findings: Vec<Code>,
    /// The socket of Tailscale's daemon, where the configuration names it; else it is looked for.
    pub tailscale_socket: Option<PathBuf>,
}

/// How one collector is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CollectorSettings {
    /// Whether it is run at all.
    pub enabled: bool,
    /// How long it may take before it is given up on.
    pub timeout: Duration,
    /// How old an expensive reading may get; means nothing to a collector that keeps none.
    pub time_to_live: Duration,
}

impl Config {
    /// Reads and validates a file.
    pub fn from_file(path: &Path) -> Result<Config, ConfigError> {
        Config::from_text(path, &config_file::read(path)?)
    }

    /// Validates the text of a file; `path` is for messages.
    pub fn from_text(path: &Path, text: &str) -> Result<Config, ConfigError> {
        validate::validate(path, raw::parse(path, text)?)
    }

    /// The configuration for instances that were discovered: everything else is at its default.
    pub fn discovered(instances: Vec<Instance>) -> Config {
        Config {
            instances,
            reported: Vec::new(),
            collectors: default_collectors(),
            machine: MachineSettings::default(),
            ssh_host: None,
        }
    }

    /// The names of all instances, those that are told of by reports among them, in the order of the file.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let looked_at = self.instances.iter().enumerate().map(|(place, instance)| (place, instance.name.as_str()));
        let told_of = self.reported.iter().map(|reported| (reported.after, reported.name.as_str()));
        in_order(looked_at, told_of).into_iter()
    }

    /// Turns collectors on or off, as flags on the command line do, which win over the file.
    pub fn switch_collectors(&mut self, switches: &[(&'static str, bool)]) {
        for (name, enabled) in switches {
            if let Some(settings) = self.collectors.get_mut(name) {
                settings.enabled = *enabled;
            }
        }
    }
}

fn default_collectors() -> HashMap<&'static str, CollectorSettings> {
    let settings = |entry: &super::collect::Entry| CollectorSettings {
        enabled: true,
        timeout: entry.timeout,
        time_to_live: entry.time_to_live.unwrap_or_default(),
    };
    COLLECTORS.iter().map(|entry| (entry.name, settings(entry))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every file below tests/fixtures/config is a test: those in `valid` are accepted, each of those in
    /// `invalid` gives exactly the message in its last comment lines.
    #[test]
    fn sample_configurations() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/config");
        let files = |kind: &str| {
            let mut files: Vec<_> =
                std::fs::read_dir(root.join(kind)).unwrap().map(|entry| entry.unwrap().path()).collect();
            files.sort();
            assert!(!files.is_empty());
            files
        };
        for path in files("valid") {
            if let Err(error) = Config::from_file(&path) {
                panic!("{}: {}", path.display(), crate::error_chain::display_chain(&error));
            }
        }
        for path in files("invalid") {
            let text = std::fs::read_to_string(&path).unwrap();
            let expected: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("#> ")).collect();
            let name = path.file_name().unwrap().to_str().unwrap();
            let error = Config::from_text(Path::new(name), &text).expect_err(name);
            assert_eq!(crate::error_chain::display_chain(&error), expected.join("\n"), "{name}");
        }
    }

    #[test]
    fn a_flag_wins_over_the_file() {
        let text = "instances: []\ncollectors: {host: {enabled: false}}\n";
        let mut config = Config::from_text(Path::new("f"), text).unwrap();
        assert!(!config.collectors["host"].enabled);
        config.switch_collectors(&[("host", true), ("home", false)]);
        assert!(config.collectors["host"].enabled);
        assert!(!config.collectors["home"].enabled);
    }
}
