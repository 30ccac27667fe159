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
    use std::collections::HashSet;
    use std::sync::Arc;

    use super::*;
    use crate::exporter::expose::family::Kind;
    use crate::exporter::expose::metrics::Exposition;
    use crate::exporter::snapshot::units::{Unit, UnitState, Units};
    use crate::exporter::snapshot::{CollectorRun, Fleet, Identity, Problem, Reason, Snapshot, Source};
    use crate::system::time::Timestamp;
    use crate::web::metrics_text::Format;

    fn now() -> Timestamp {
        Timestamp::from_seconds(1_795_000_000.0).unwrap()
    }

    fn fleet(change: impl FnOnce(&mut Snapshot)) -> Fleet {
        let (name, user, profile) = ("vijay".to_owned(), "root".to_owned(), "default".to_owned());
        let mut snapshot = Snapshot::at(now(), Identity { name, user, profile, source: Source::Local });
        change(&mut snapshot);
        Fleet { instances: vec![Arc::new(snapshot)], ..Fleet::at(now()) }
    }

    /// A run of a collector that could not tell this, for ten minutes.
    fn run(collector: &str, lacking: &[&str]) -> CollectorRun {
        let problem = |subject: &&str| Problem { reason: Reason::Permission, subject: (*subject).to_owned() };
        let failing_since = (!lacking.is_empty()).then(|| Timestamp::from_seconds(1_794_999_400.0).unwrap());
        let problems = lacking.iter().map(problem).collect();
        CollectorRun { collector: collector.to_owned(), duration_seconds: 0.0, problems, failing_since }
    }

    /// The samples of a family, without its name.
    fn samples(fleet: Fleet, family: &str) -> Vec<String> {
        let text = Exposition::new(Arc::new(fleet), None).encode(Format::Text).unwrap();
        text.lines().filter_map(|line| line.strip_prefix(family)?.strip_prefix('{')).map(str::to_owned).collect()
    }

    #[test]
    fn a_collector_says_since_when_it_lacks_something_and_whether_that_is_the_home_alone() {
        let runs = [
            run("well", &[]),
            run("alone", &[CollectorRun::HOME]),
            run("both", &[CollectorRun::HOME, "cron/jobs.json"]),
            run("other", &["cron/jobs.json", CollectorRun::HOME]),
        ];
        let of = |family| samples(fleet(|snapshot| snapshot.collectors = runs.to_vec()), family);
        assert_eq!(
            of("hermes_collector_without_home"),
            ["alone", "both", "other"]
                .map(|name| format!("instance=\"vijay\",collector=\"{name}\"}} {}", u8::from(name == "alone")))
        );
        let since = of("hermes_collector_failing_since_timestamp_seconds");
        assert_eq!(since.len(), 3);
        assert!(since.iter().all(|sample| sample.ends_with("} 1794999400") || sample.ends_with("} 1794999400.0")));
        let of_machine = Fleet { machine_runs: vec![run("tailscale", &["tailscaled"])], ..Fleet::at(now()) };
        assert_eq!(samples(of_machine, "hermes_collector_failing_since_timestamp_seconds").len(), 1);
        assert!(!run("well", &[]).lacks_home());
    }

    #[test]
    fn the_limits_of_the_machine_are_said_where_it_is_looked_at() {
        let looked_at = Fleet { machine_runs: vec![run("tailscale", &[])], ..Fleet::at(now()) };
        let mut found = samples(looked_at, "hermes_threshold_seconds");
        found.sort();
        assert!(found[0].starts_with("threshold=\"collector_unknown\"} "), "{found:?}");
        assert!(found[1].starts_with("threshold=\"token_expiry\"} ") && found.len() == 2, "{found:?}");
        assert_eq!(samples(Fleet::at(now()), "hermes_threshold_seconds"), [""; 0]);
    }

    #[test]
    fn a_unit_is_expected_where_it_is_configured() {
        let unit = |name: &str, is_expected| Unit {
            unit: Label::new(name),
            role: Label::new("gateway"),
            is_expected,
            up: Reading::Known(true),
            state: Reading::Known(UnitState::Active),
            state_since: Reading::Absent,
            enabled: Reading::Absent,
            restarts: Reading::Absent,
            failures: Reading::Absent,
            start_time: Reading::Absent,
            timer: Reading::Absent,
            managers: BTreeMap::new(),
        };
        let units = Units(vec![unit("a", true), unit("b", false)]);
        assert_eq!(
            samples(fleet(|snapshot| snapshot.units = Reading::Known(Arc::new(units))), "hermes_unit_expected"),
            ["instance=\"vijay\",unit=\"a\",role=\"gateway\"} 1", "instance=\"vijay\",unit=\"b\",role=\"gateway\"} 0"]
        );
    }

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
