//! What is said of every instance: what it is, when and how it was looked at, and by which limits it is judged.

use super::put;
use crate::exporter::expose::family::{Family, Number, Sink, gauge, info};
use crate::exporter::snapshot::Snapshot;
use crate::exporter::snapshot::thresholds::Measure;
use crate::exporter::snapshot::{CollectorRun, Label, Threshold};

pub(super) static FAMILIES: &[Family] = &[
    info(
        "hermes_instance_info",
        &["user", "profile", "supervisor", "version", "source"],
        "An installation: whose it is, its Hermes profile, who restarts its gateway, its Hermes version, and how it is looked at",
    )
    .instance(|snapshot, sink| {
        let supervisor = snapshot.gateway.known().and_then(|gateway| gateway.supervisor.known().copied());
        let version = snapshot.inventory.known().and_then(|inventory| inventory.version.known());
        let identity = &snapshot.identity;
        let labels = [
            identity.user.as_str(),
            identity.profile.as_str(),
            supervisor.map_or("", |supervisor| supervisor.as_str()),
            version.map_or("", Label::as_str),
            identity.source.as_str(),
        ];
        sink.sample(&labels, Number::Whole(1));
    }),
    gauge(
        "hermes_snapshot_timestamp_seconds",
        &[],
        "When the instance was looked at, for one that is told of by a report when that was written; none while the report can not be read",
    )
    .instance(|snapshot, sink| {
        if let Some(told_at) = snapshot.told_at() {
            sink.sample(&[], told_at.into());
        }
    }),
    gauge(
        "hermes_collector_success",
        &["collector"],
        "1 when a collector could tell everything it looks at, 0 when something is unknown",
    )
    .instance(|snapshot, sink| snapshot.collectors.iter().for_each(|run| put_success(run, sink)))
    .host(|fleet, sink| fleet.machine_runs.iter().for_each(|run| put_success(run, sink))),
    gauge("hermes_collector_duration_seconds", &["collector"], "How long a collector took")
        .instance(|snapshot, sink| snapshot.collectors.iter().for_each(|run| put_duration(run, sink)))
        .host(|fleet, sink| fleet.machine_runs.iter().for_each(|run| put_duration(run, sink))),
    info(
        "hermes_collector_failure_info",
        &["collector", "reason"],
        "Why something is unknown: timeout, permission, not_found, parse, io, bus, http, stale or unsupported",
    )
    .instance(|snapshot, sink| snapshot.collectors.iter().for_each(|run| put_failures(run, sink)))
    .host(|fleet, sink| fleet.machine_runs.iter().for_each(|run| put_failures(run, sink))),
    gauge(
        "hermes_collector_failing_since_timestamp_seconds",
        &["collector"],
        "Since when a collector can not tell everything, as far as the exporter has watched",
    )
    .instance(|snapshot, sink| snapshot.collectors.iter().for_each(|run| put_failing_since(run, sink)))
    .host(|fleet, sink| fleet.machine_runs.iter().for_each(|run| put_failing_since(run, sink))),
    gauge(
        "hermes_collector_without_home",
        &["collector"],
        "Of a collector that could not tell everything, 1 when all that it lacks is the home itself",
    )
    .instance(|snapshot, sink| {
        for run in snapshot.collectors.iter().filter(|run| !run.problems.is_empty()) {
            sink.sample(&[&run.collector], run.lacks_home().into());
        }
    }),
    gauge(
        "hermes_threshold_seconds",
        &["threshold"],
        "The limit in force for the instance, or without one for the machine; none where it is switched off",
    )
    .instance(|snapshot, sink| put_thresholds(snapshot, Measure::Seconds, sink))
    .host(|fleet, sink| {
        if !fleet.machine_runs.is_empty() {
            for threshold in OF_MACHINE {
                if let Some(limit) = fleet.thresholds.get(threshold) {
                    sink.sample(&[threshold.as_str()], limit.into());
                }
            }
        }
    }),
    gauge("hermes_threshold_ratio", &["threshold"], "The limit in force for the instance, as a part of a whole; none where it is switched off")
        .instance(|snapshot, sink| put_thresholds(snapshot, Measure::Ratio, sink)),
    gauge("hermes_threshold_count", &["threshold"], "The limit in force for the instance, as a number of things; none where it is switched off")
        .instance(|snapshot, sink| put_thresholds(snapshot, Measure::Count, sink)),
];

/// The limits that the machine is judged by.
const OF_MACHINE: [Threshold; 2] = [Threshold::TokenExpiry, Threshold::CollectorUnknown];

fn put_success(run: &CollectorRun, sink: &mut dyn Sink) {
    sink.sample(&[&run.collector], run.problems.is_empty().into());
}

fn put_failing_since(run: &CollectorRun, sink: &mut dyn Sink) {
    if let Some(since) = run.failing_since {
        sink.sample(&[&run.collector], since.into());
    }
}

fn put_duration(run: &CollectorRun, sink: &mut dyn Sink) {
    sink.sample(&[&run.collector], run.duration_seconds.into());
}

fn put_failures(run: &CollectorRun, sink: &mut dyn Sink) {
    let mut reasons: Vec<_> = run.problems.iter().map(|problem| problem.reason).collect();
    reasons.sort_unstable();
    reasons.dedup();
    for reason in reasons {
        sink.sample(&[&run.collector, reason.as_str()], Number::Whole(1));
    }
}

fn put_thresholds(snapshot: &Snapshot, measure: Measure, sink: &mut dyn Sink) {
    for (threshold, limit) in snapshot.thresholds.iter().filter(|(threshold, _)| threshold.measure() == measure) {
        put(sink, &[threshold.as_str()], &limit.into());
    }
}
