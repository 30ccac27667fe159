//! Prometheus' configuration as typed, as far as it matters here; everything else in it is passed over, secrets too.

use std::collections::HashMap;
use std::time::Duration;

use super::tree::{At, Place};
use crate::config_file::ConfigError;

#[derive(Debug)]
pub(super) struct RawPrometheus {
    pub(super) scrape_interval: Option<At<Duration>>,
    pub(super) scrape_timeout: Option<At<Duration>>,
    pub(super) scrape_configs: Vec<RawJob>,
    pub(super) scrape_config_files: Vec<At<String>>,
}

#[derive(Debug)]
pub(super) struct RawJob {
    pub(super) job_name: At<String>,
    pub(super) honor_labels: Option<At<bool>>,
    pub(super) scrape_interval: Option<At<Duration>>,
    pub(super) scrape_timeout: Option<At<Duration>>,
    pub(super) metrics_path: Option<String>,
    /// Whether the exporter is asked for a part of what it has.
    pub(super) asks_for_part: bool,
    /// What of another Prometheus is asked for.
    pub(super) matches: Vec<String>,
    pub(super) static_configs: Vec<RawGroup>,
    /// The patterns of files of targets.
    pub(super) target_files: Vec<At<String>>,
    /// The addresses that are asked for targets.
    pub(super) target_urls: Vec<At<String>>,
    pub(super) relabel_configs: Vec<RawRelabel>,
    pub(super) metric_relabel_configs: Vec<RawRelabel>,
}

/// Targets with their labels, also as a file of targets has them.
#[derive(Debug)]
pub(super) struct RawGroup {
    pub(super) targets: Vec<At<String>>,
    pub(super) labels: HashMap<String, String>,
}

#[derive(Debug)]
pub(super) struct RawRelabel {
    pub(super) source_labels: Vec<String>,
    pub(super) regex: Option<At<String>>,
    pub(super) target_label: Option<At<String>>,
    pub(super) replacement: Option<String>,
    pub(super) action: Option<At<String>>,
}

/// A duration as Prometheus writes it.
fn duration(place: Place<'_>) -> Result<At<Duration>, ConfigError> {
    let typed = place.text()?.value;
    let expected = format!("{typed:?} is not a duration; write it as in 90s, 5m or 26h");
    place.parsed(&expected, |text| humantime::parse_duration(text).ok())
}

/// A text of which the line is of no account.
fn plain(place: Place<'_>) -> Result<String, ConfigError> {
    Ok(place.text()?.value)
}

impl RawPrometheus {
    pub(super) fn of(top: Place<'_>) -> Result<RawPrometheus, ConfigError> {
        let global = |key| top.key("global")?.map_or(Ok(None), |global| global.value(key, duration));
        Ok(RawPrometheus {
            scrape_interval: global("scrape_interval")?,
            scrape_timeout: global("scrape_timeout")?,
            scrape_configs: top.list("scrape_configs", RawJob::of)?,
            scrape_config_files: top.list("scrape_config_files", Place::text)?,
        })
    }
}

impl RawJob {
    fn of(job: Place<'_>) -> Result<RawJob, ConfigError> {
        let params = job.key("params")?;
        let asks_for = |name: &str| params.map_or(Ok(None), |params| params.key(name));
        let files = job.list("file_sd_configs", |files| {
            files.needed("files")?.items()?.map(Place::text).collect::<Result<Vec<_>, _>>()
        })?;
        Ok(RawJob {
            job_name: job.needed("job_name")?.text()?,
            honor_labels: job.value("honor_labels", Place::truth)?,
            scrape_interval: job.value("scrape_interval", duration)?,
            scrape_timeout: job.value("scrape_timeout", duration)?,
            metrics_path: job.value("metrics_path", plain)?,
            asks_for_part: ["instance", "collect", "collect[]"]
                .iter()
                .try_fold(false, |asks, name| Ok::<_, ConfigError>(asks || asks_for(name)?.is_some()))?,
            matches: params.map_or(Ok(Vec::new()), |params| params.list("match[]", plain))?,
            static_configs: job.list("static_configs", RawGroup::of)?,
            target_files: files.into_iter().flatten().collect(),
            target_urls: job.list("http_sd_configs", |list| list.needed("url")?.text())?,
            relabel_configs: job.list("relabel_configs", RawRelabel::of)?,
            metric_relabel_configs: job.list("metric_relabel_configs", RawRelabel::of)?,
        })
    }
}

impl RawGroup {
    pub(super) fn of(group: Place<'_>) -> Result<RawGroup, ConfigError> {
        let labels = group.value("labels", |labels| {
            labels.entries()?.map(|(name, value)| Ok((name.to_owned(), plain(value)?))).collect()
        })?;
        Ok(RawGroup { targets: group.list("targets", Place::text)?, labels: labels.unwrap_or_default() })
    }
}

impl RawRelabel {
    fn of(rule: Place<'_>) -> Result<RawRelabel, ConfigError> {
        Ok(RawRelabel {
            source_labels: rule.list("source_labels", plain)?,
            regex: rule.value("regex", Place::text)?,
            target_label: rule.value("target_label", Place::text)?,
            replacement: rule.value("replacement", plain)?,
            action: rule.value("action", Place::text)?,
        })
    }
}
