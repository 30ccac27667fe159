//! Findings as JSON: what `/api/v1/findings` answers and `check --output json` prints.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde::Serialize;

use crate::exporter::findings::{Findings, FleetFindings, Health, Severity};
use crate::exporter::snapshot::{Fleet, Label, Reason};
use crate::system::time::Timestamp;

/// What was found in a fleet.
#[derive(Debug, Serialize)]
pub struct Body<'a> {
    taken_at: Timestamp,
    instances: usize,
    healthy: usize,
    health: Vec<HealthOf<'a>>,
    findings: Vec<FindingOf<'a>>,
    unknown: Vec<UnknownOf<'a>>,
    ignored: Vec<IgnoredOf<'a>>,
}

/// `instance` is `None` for the machine, here and below.
#[derive(Debug, Serialize)]
struct HealthOf<'a> {
    instance: Option<&'a str>,
    health: Health,
}

#[derive(Debug, Serialize)]
struct FindingOf<'a> {
    instance: Option<&'a str>,
    finding: &'static str,
    severity: Severity,
    subject: Option<&'a Label>,
    sentence: &'a str,
    since: Option<Timestamp>,
    /// The path of its page on this server.
    runbook: String,
}

/// What is not looked for, by the configuration.
#[derive(Debug, Serialize)]
struct IgnoredOf<'a> {
    instance: Option<&'a str>,
    findings: &'a [Label],
}

#[derive(Debug, Serialize)]
struct UnknownOf<'a> {
    instance: Option<&'a str>,
    collector: &'a str,
    subject: &'a str,
    reason: Reason,
    since: Option<Timestamp>,
}

/// What was found in `fleet`, of these severities; of all where none is named.
pub fn body<'a>(fleet: &'a Fleet, found: &'a FleetFindings, severities: &BTreeSet<Severity>) -> Body<'a> {
    let parts: Vec<_> = of_each(fleet, found).collect();
    let is_wanted = |severity| severities.is_empty() || severities.contains(&severity);
    let mut findings = Vec::new();
    for (instance, part) in &parts {
        for finding in part.found.iter().filter(|finding| is_wanted(finding.severity)) {
            findings.push(FindingOf {
                instance: *instance,
                finding: finding.code.as_str(),
                severity: finding.severity,
                subject: finding.subject.as_ref(),
                sentence: &finding.sentence,
                since: finding.since,
                runbook: format!("/runbooks/{}", finding.code.as_str()),
            });
        }
    }
    // Stable: within a severity they stay in the order of the fleet.
    findings.sort_by_key(|finding| Reverse(finding.severity));
    let unknown = parts.iter().flat_map(|(instance, part)| {
        part.unknown.iter().map(|unknown| UnknownOf {
            instance: *instance,
            collector: &unknown.collector,
            subject: &unknown.subject,
            reason: unknown.reason,
            since: unknown.since,
        })
    });
    Body {
        taken_at: fleet.taken_at,
        instances: fleet.instances.len(),
        healthy: found.healthy(),
        health: parts.iter().map(|(instance, part)| HealthOf { instance: *instance, health: part.health() }).collect(),
        findings,
        unknown: unknown.collect(),
        ignored: ignored(fleet).map(|(instance, findings)| IgnoredOf { instance, findings }).collect(),
    }
}

/// What is not looked for, with the name of each instance where something is ignored; `None` for the machine.
pub(super) fn ignored(fleet: &Fleet) -> impl Iterator<Item = (Option<&str>, &[Label])> {
    let of_instances =
        fleet.instances.iter().map(|snapshot| (Some(&*snapshot.identity.name), &*snapshot.ignored_findings));
    let of_machine = (!fleet.machine_runs.is_empty()).then_some((None, &*fleet.ignored_findings));
    of_instances.chain(of_machine).filter(|(_, findings)| !findings.is_empty())
}

/// What was found, with the name of each instance; `None` for the machine, where it was looked at.
pub(super) fn of_each<'a>(
    fleet: &'a Fleet,
    found: &'a FleetFindings,
) -> impl Iterator<Item = (Option<&'a str>, &'a Findings)> {
    let names = fleet.instances.iter().map(|snapshot| Some(snapshot.identity.name.as_str()));
    let machine = (!fleet.machine_runs.is_empty()).then_some((None, &found.machine));
    names.zip(&found.instances).chain(machine)
}
