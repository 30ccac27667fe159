//! What is wrong, as `check` and the page say it.

use crate::exporter::expose::family::{Family, Number, Sink, gauge, info};
use crate::exporter::findings::Severity;
use crate::exporter::snapshot::Label;

pub(super) static FAMILIES: &[Family] = &[
    gauge(
        "hermes_findings",
        &["severity"],
        "What is wrong, counted by severity: info, warning and critical; of the machine without an instance; where `collect` asks for a part, of what is asked for whole",
    )
    .findings(|findings, sink| {
        for severity in Severity::ALL {
            sink.sample(&[severity.as_str()], findings.count(severity).into());
        }
    }),
    info(
        "hermes_finding_info",
        &["finding", "severity", "subject"],
        "Something that is wrong: which finding, how bad, and which unit, repository, token or job it is about",
    )
    .findings(|findings, sink| {
        for finding in &findings.found {
            let subject = finding.subject.as_ref().map_or("", Label::as_str);
            sink.sample(&[finding.code.as_str(), finding.severity.as_str(), subject], Number::Whole(1));
        }
    }),
    gauge(
        "hermes_finding_ignored",
        &["finding"],
        "1 for what is not to be found, by the configuration; of the machine without an instance",
    )
    .instance(|snapshot, sink| put_ignored(&snapshot.ignored_findings, sink))
    .host(|fleet, sink| {
        // Who asks for certain instances has no room for what is of the machine: it would get the label of an instance.
        if !fleet.machine_runs.is_empty() {
            put_ignored(&fleet.ignored_findings, sink);
        }
    }),
];

fn put_ignored(ignored: &[Label], sink: &mut dyn Sink) {
    for code in ignored {
        sink.sample(&[code.as_str()], Number::Whole(1));
    }
}
