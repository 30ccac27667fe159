//! The table of every metric: name, kind, labels, help, and how its samples follow from a Snapshot; one file per part.
//!
//! The names are a contract with dashboards, alert rules and other people's queries. A reading that is absent
//! or unknown has no sample; a thing that is configured and missing is known, and is 0.

mod backups;
mod credentials;
mod cron;
mod endpoints;
mod exporter;
mod exposure;
mod findings;
mod gateway;
mod home;
mod host;
mod instance;
mod inventory;
mod logs;
mod sessions;
mod tailscale;
mod units;

use std::collections::BTreeMap;

use super::family::{Family, Number, Sink};
use crate::exporter::snapshot::{Label, Reading, Tally};

/// The parts, in the order in which they are exposed and documented.
static PARTS: &[&[Family]] = &[
    instance::FAMILIES,
    findings::FAMILIES,
    gateway::FAMILIES,
    units::FAMILIES,
    sessions::FAMILIES,
    cron::FAMILIES,
    credentials::FAMILIES,
    backups::FAMILIES,
    inventory::FAMILIES,
    home::FAMILIES,
    endpoints::FAMILIES,
    exposure::FAMILIES,
    logs::FAMILIES,
    host::FAMILIES,
    tailscale::FAMILIES,
    exporter::FAMILIES,
];

/// Every family, in the order in which it is exposed and documented.
pub fn all() -> impl Iterator<Item = &'static Family> {
    PARTS.iter().copied().flatten()
}

/// A sample of a reading, where it is known.
fn put<T: Copy + Into<Number>>(sink: &mut dyn Sink, labels: &[&str], reading: &Reading<T>) {
    if let Reading::Known(value) = reading {
        sink.sample(labels, (*value).into());
    }
}

/// A 0 or 1 for each of the things that something can be.
fn put_state(sink: &mut dyn Sink, labels: &[&str], states: impl Iterator<Item = (&'static str, bool)>) {
    let mut with_state: Vec<&str> = labels.to_vec();
    with_state.push("");
    for (state, is_it) in states {
        if let Some(last) = with_state.last_mut() {
            *last = state;
        }
        sink.sample(&with_state, is_it.into());
    }
}

fn put_tally(sink: &mut dyn Sink, reading: &Reading<Tally>) {
    for (label, count) in reading.known().into_iter().flat_map(Tally::iter) {
        sink.sample(&[label.as_str()], count.into());
    }
}

fn put_tallies(sink: &mut dyn Sink, reading: &Reading<BTreeMap<Label, Tally>>) {
    for (outer, tally) in reading.known().into_iter().flatten() {
        for (inner, count) in tally.iter() {
            sink.sample(&[outer.as_str(), inner.as_str()], count.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporter::expose::family::Kind;
    use std::collections::HashSet;

    #[test]
    fn names_and_labels_are_what_prometheus_expects_of_them() {
        let mut names = HashSet::new();
        for family in all() {
            assert!(names.insert(family.name), "{} stands twice", family.name);
            assert!(family.name.starts_with("hermes_") || family.name.starts_with("process_"));
            assert_eq!(family.name.ends_with("_total"), family.kind == Kind::Counter, "{}", family.name);
            assert_eq!(family.name.ends_with("_info"), family.kind == Kind::Info, "{}", family.name);
            assert!(
                !family.help.ends_with('.') && !family.help.contains('\n') && !family.help.is_empty(),
                "{}",
                family.name
            );
            for label in family.labels {
                // These are Prometheus' own, or are taken by convention.
                assert!(
                    !["instance", "job", "le", "type", "service", "env"].contains(label),
                    "{} {label}",
                    family.name
                );
            }
            let sources = [
                family.of_instance.is_some(),
                family.of_findings.is_some(),
                family.of_host.is_some(),
                family.of_exporter.is_some(),
            ];
            assert!(sources.contains(&true), "{} has no samples", family.name);
        }
    }
}
