//! Prometheus' configuration as typed, as far as it matters here; everything else in it is passed over, secrets too.

use std::collections::HashMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_saphyr::Spanned;

use crate::config_file::RawDuration;

/// A list that may be left empty.
pub(super) type RawList<T> = Option<Vec<T>>;

#[derive(Debug, Default, Deserialize)]
pub(super) struct RawPrometheus {
    #[serde(default)]
    pub(super) global: Option<RawGlobal>,
    #[serde(default)]
    pub(super) scrape_configs: RawList<RawJob>,
    #[serde(default)]
    pub(super) scrape_config_files: RawList<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct RawGlobal {
    #[serde(default)]
    pub(super) scrape_interval: Option<RawDuration>,
    #[serde(default)]
    pub(super) scrape_timeout: Option<RawDuration>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawJob {
    pub(super) job_name: Spanned<String>,
    #[serde(default)]
    pub(super) honor_labels: Option<Spanned<bool>>,
    #[serde(default)]
    pub(super) scrape_interval: Option<Spanned<RawDuration>>,
    #[serde(default)]
    pub(super) scrape_timeout: Option<Spanned<RawDuration>>,
    #[serde(default)]
    pub(super) metrics_path: Option<String>,
    #[serde(default)]
    pub(super) params: Option<RawParams>,
    #[serde(default)]
    pub(super) static_configs: RawList<RawGroup>,
    #[serde(default)]
    pub(super) file_sd_configs: RawList<RawFiles>,
    #[serde(default)]
    pub(super) http_sd_configs: RawList<RawUrl>,
    #[serde(default)]
    pub(super) relabel_configs: RawList<RawRelabel>,
    #[serde(default)]
    pub(super) metric_relabel_configs: RawList<RawRelabel>,
}

/// What is asked of the exporter; that it is a part is all that is to be known.
#[derive(Debug, Deserialize)]
pub(super) struct RawParams {
    #[serde(default)]
    pub(super) instance: Option<IgnoredAny>,
    #[serde(default)]
    pub(super) collect: Option<IgnoredAny>,
    #[serde(default, rename = "collect[]")]
    pub(super) collect_list: Option<IgnoredAny>,
    #[serde(default, rename = "match[]")]
    pub(super) matches: RawList<String>,
}

/// Targets with their labels, also as a file of targets has them.
#[derive(Debug, Deserialize)]
pub(super) struct RawGroup {
    #[serde(default)]
    pub(super) targets: RawList<Spanned<String>>,
    #[serde(default)]
    pub(super) labels: Option<HashMap<String, String>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawFiles {
    pub(super) files: Vec<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawUrl {
    pub(super) url: Spanned<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct RawRelabel {
    #[serde(default)]
    pub(super) source_labels: RawList<String>,
    #[serde(default)]
    pub(super) regex: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) target_label: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) replacement: Option<String>,
    #[serde(default)]
    pub(super) action: Option<Spanned<String>>,
}
