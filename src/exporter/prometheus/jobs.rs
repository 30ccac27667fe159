//! Reading Prometheus' configuration with the files that it names, and telling which jobs scrape the exporter.
//!
//! Those that have a target at the exporter's port, or ask an address that ends in `/sd` for targets, and the one called
//! `hermes`; where there is none of these, the ones that have `hermes` in their names. A job that federates series of the
//! exporter is one, too. What is about the bridge is not.

use std::path::{Path, PathBuf};

use super::PrometheusError;
use super::raw::{RawGroup, RawJob, RawPrometheus};
use super::tree::Tree;
use crate::config_file::{ConfigError, nearest};

/// The port that the exporter listens on unless it is told otherwise.
const PORT: &str = ":10119";

/// A configuration with all that it names.
#[derive(Debug)]
pub(super) struct Configuration {
    pub(super) path: PathBuf,
    pub(super) main: RawPrometheus,
    jobs: Vec<Job>,
}

/// A scrape job, and where it stands.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) path: PathBuf,
    pub(super) raw: RawJob,
    pub(super) targets: Vec<Target>,
    /// Patterns of files of targets that fit no file, with their lines.
    pub(super) without_file: Vec<(String, u64)>,
}

/// One target, or a list of them that is asked for.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) path: PathBuf,
    pub(super) line: u64,
    /// Host and port alone: the rest of an address may be a secret.
    pub(super) address: String,
    pub(super) asks: Asks,
    pub(super) has_box: bool,
}

/// What a target asks the exporter for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Asks {
    /// All it has.
    All,
    /// What `/sd` lists.
    List,
    /// Whatever another list of targets says.
    OtherList,
    /// One instance, which the target has the name of.
    Instance(String),
    /// What is of the machine, as `targets` and `/sd` name the collectors for it.
    Machine,
    /// Some collectors, or an instance that the target is not called as.
    Part,
}

pub(super) fn read(path: &Path) -> Result<Configuration, ConfigError> {
    let mut main = parse(path)?;
    let mut jobs = Vec::new();
    for raw in std::mem::take(&mut main.scrape_configs) {
        jobs.push(Job::of(path, raw)?);
    }
    for pattern in &main.scrape_config_files {
        for file in files(path, &pattern.value) {
            for raw in parse(&file)?.scrape_configs {
                jobs.push(Job::of(&file, raw)?);
            }
        }
    }
    Ok(Configuration { path: path.to_owned(), main, jobs })
}

fn parse(path: &Path) -> Result<RawPrometheus, ConfigError> {
    RawPrometheus::of(Tree::read(path, "scrape_configs")?.top(path))
}

/// The files that a pattern fits, which goes from the folder of the file that it stands in.
fn files(beside: &Path, pattern: &str) -> Vec<PathBuf> {
    let folder = beside.parent().map(|folder| glob::Pattern::escape(&folder.to_string_lossy())).unwrap_or_default();
    let whole = Path::new(&folder).join(pattern);
    let found =
        glob::glob(&whole.to_string_lossy()).map(|found| found.flatten().filter(|file| file.is_file()).collect());
    found.unwrap_or_default()
}

impl Configuration {
    /// The jobs of the exporter: these, or those that are found out.
    pub(super) fn of_exporter(&self, named: &[String]) -> Result<Vec<&Job>, PrometheusError> {
        for name in named {
            if !self.jobs.iter().any(|job| job.name() == name) {
                let known: Vec<_> = self.jobs.iter().map(|job| job.name().to_owned()).collect();
                let nearest = nearest(name, known.iter().map(String::as_str));
                return Err(PrometheusError::NoSuchJob { path: self.path.clone(), name: name.clone(), nearest, known });
            }
        }
        let all = || self.jobs.iter();
        let found: Vec<_> = match named {
            [] => all().filter(|job| job.scrapes_exporter() || job.federates()).collect(),
            _ => all().filter(|job| named.iter().any(|name| job.name() == name)).collect(),
        };
        let is_called_so = |job: &&Job| job.name().contains("hermes") && !job.name().contains("bridge");
        Ok(if found.is_empty() { all().filter(is_called_so).collect() } else { found })
    }
}

impl Job {
    fn of(path: &Path, raw: RawJob) -> Result<Job, ConfigError> {
        let asks_for_part = raw.asks_for_part;
        let mut job = Job { path: path.to_owned(), targets: Vec::new(), without_file: Vec::new(), raw };
        let mut targets = Vec::new();
        for group in &job.raw.static_configs {
            add_targets(&mut targets, path, group, asks_for_part);
        }
        for pattern in &job.raw.target_files {
            let found = files(path, &pattern.value);
            if found.is_empty() {
                job.without_file.push((pattern.value.clone(), pattern.line));
            }
            for file in found {
                for group in Tree::read(&file, "targets")?.top(&file).items()? {
                    add_targets(&mut targets, &file, &RawGroup::of(group)?, asks_for_part);
                }
            }
        }
        for list in &job.raw.target_urls {
            let url = &list.value;
            let behind_scheme = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
            let (authority, rest) = behind_scheme.split_once('/').unwrap_or((behind_scheme, ""));
            let is_own = rest.split('?').next() == Some("sd");
            targets.push(Target {
                path: path.to_owned(),
                line: list.line,
                address: authority.rsplit('@').next().unwrap_or_default().to_owned(),
                asks: if is_own { Asks::List } else { Asks::OtherList },
                has_box: false,
            });
        }
        job.targets = targets;
        Ok(job)
    }

    pub(super) fn name(&self) -> &str {
        &self.raw.job_name.value
    }

    fn scrapes_exporter(&self) -> bool {
        let is_of_exporter = |target: &Target| target.asks == Asks::List || target.address.ends_with(PORT);
        // Who probes asks somebody else about its targets.
        let probes = self.raw.metrics_path.as_deref() == Some("/probe");
        self.name() == "hermes" || (!probes && self.targets.iter().any(is_of_exporter))
    }

    /// Whether it takes what the exporter has told another Prometheus.
    pub(super) fn federates(&self) -> bool {
        let mut matches = self.raw.matches.iter();
        self.raw.metrics_path.as_deref() == Some("/federate") && matches.any(|selector| selector.contains("hermes"))
    }
}

fn add_targets(targets: &mut Vec<Target>, path: &Path, group: &RawGroup, asks_for_part: bool) {
    let label = |name: &str| group.labels.get(name);
    let asks = match (label("__param_instance"), label("instance")) {
        (Some(asked), Some(name)) if asked == name => Asks::Instance(name.clone()),
        (Some(_), _) => Asks::Part,
        _ if asks_for_part => Asks::Part,
        _ if label("__param_collect").is_some() => Asks::Machine,
        _ => Asks::All,
    };
    targets.extend(group.targets.iter().map(|target| Target {
        path: path.to_owned(),
        line: target.line,
        address: target.value.clone(),
        asks: asks.clone(),
        has_box: label("box").is_some_and(|name| !name.is_empty()),
    }));
}
