//! Targets for Prometheus: one group for each instance, and one for the exporter and its machine, all at one address.
//!
//! What `/sd` answers and what `hermes-exporter targets` writes; where the address comes from is their own matter.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::exporter::collect::{COLLECTORS, Scope};

/// The labels that a group has by itself, which nobody may give it another value of.
pub const OWN_LABELS: [&str; 5] =
    ["__address__", "__metrics_path__", "__param_collect", "__param_instance", "instance"];

/// One group, as Prometheus' `http_sd_configs` and `file_sd_configs` take it.
#[derive(Debug, Serialize)]
pub struct TargetGroup {
    targets: [String; 1],
    labels: BTreeMap<String, String>,
}

/// The groups of `instances` at an address; `labels` are put to each.
///
/// The label `instance` is set to the instance's name here, so that it is right even without `honor_labels`.
pub fn groups<'a>(
    instances: impl Iterator<Item = &'a str>,
    address: &str,
    path: &str,
    labels: &[(String, String)],
) -> Vec<TargetGroup> {
    let group = |own: &[(&str, &str)]| {
        let own = own.iter().copied().chain([("__metrics_path__", path)]);
        let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
        TargetGroup { targets: [address.to_owned()], labels: labels.iter().cloned().chain(own).collect() }
    };
    let of_machine: Vec<_> = machine_collectors().collect();
    instances
        .map(|name| group(&[("__param_instance", name), ("instance", name)]))
        .chain([group(&[("__param_collect", &of_machine.join(","))])])
        .collect()
}

/// The collectors that look at the machine.
pub fn machine_collectors() -> impl Iterator<Item = &'static str> {
    COLLECTORS.iter().filter(|entry| matches!(entry.scope, Scope::Machine { .. })).map(|entry| entry.name)
}
