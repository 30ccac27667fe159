//! What `check` prints for people: a summary, a line per instance, what is wrong, and what could not be told.
//!
//! * [`cells`]: what stands in the columns of an instance's line.
//! * [`looks`]: colours and symbols, and doing without them.

mod cells;
pub mod looks;

use std::cmp::Reverse;
use std::collections::BTreeMap;

use cells::{Cell, Column};
use looks::Looks;

use super::findings::of_each;
use crate::exporter::findings::wording::{counted, duration};
use crate::exporter::findings::{Finding, FleetFindings, Severity};
use crate::exporter::snapshot::{Fleet, Label, Reason};
use crate::system::time::Timestamp;

/// The longest that a name may be in the table; below it, names stand in full.
const LONGEST_NAME: usize = 18;

/// Between two columns.
const GAP: &str = "  ";

/// What the machine is called; no instance can have this name.
const MACHINE: &str = "(machine)";

/// Everything, in lines.
pub fn text(fleet: &Fleet, found: &FleetFindings, looks: Looks) -> String {
    let mut text = summary(fleet, found, looks);
    text.push_str("\n\n");
    text.push_str(&table(fleet, found, looks));
    let findings = findings(fleet, found, looks);
    if !findings.is_empty() {
        text.push('\n');
        text.push_str(&findings);
        text.push_str("\n`hermes-exporter runbook NAME` prints what to do.\n");
    }
    let unknown = unknown(fleet, found, looks);
    if !unknown.is_empty() {
        text.push_str("\nCould not be told:\n");
        text.push_str(&unknown);
    }
    let ignored = ignored(fleet, looks);
    if !ignored.is_empty() {
        text.push_str("\nIgnored, as the configuration says:\n");
        text.push_str(&ignored);
    }
    text
}

/// The whole in one line, as programs that watch many things show it.
fn summary(fleet: &Fleet, found: &FleetFindings, looks: Looks) -> String {
    let parts = || of_each(fleet, found).map(|(_, findings)| findings);
    let health = found.health();
    let count = |severity| parts().map(|part| part.count(severity)).sum::<u64>();
    let findings: u64 = Severity::ALL.into_iter().map(count).sum();
    let of_severity = |severity: Severity| Some((count(severity), severity)).filter(|(count, _)| *count > 0);
    let by_severity: Vec<_> = Severity::ALL
        .into_iter()
        .rev()
        .filter_map(of_severity)
        .map(|(count, severity)| format!("{count} {}", severity.as_str()))
        .collect();
    let by_severity = by_severity.join(", ");
    let unknown: u64 = parts().map(|part| part.unknown.len() as u64).sum();
    let (healthy, all) = (found.healthy(), fleet.instances.len());
    let mut line = format!(
        "{}: {healthy} of {} healthy, {}",
        looks.painted(health.as_str(), looks.of_health(health)),
        counted(all as u64, "instance"),
        if findings == 0 {
            "no findings".to_owned()
        } else {
            format!("{} ({by_severity})", counted(findings, "finding"))
        },
    );
    if unknown > 0 {
        line.push_str(&format!(", {} unknown", counted(unknown, "reading")));
    }
    line
}

fn table(fleet: &Fleet, found: &FleetFindings, looks: Looks) -> String {
    let mut lines = vec![Column::ALL.map(|column| Cell::plain(column.title()))];
    for (snapshot, findings) in fleet.instances.iter().zip(&found.instances) {
        lines.push(Column::ALL.map(|column| column.cell(snapshot, findings, fleet.taken_at, looks)));
    }
    let width = |column: usize| lines.iter().map(|line| line[column].width()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..Column::ALL.len()).map(width).collect();
    let mut text = String::new();
    for (number, line) in lines.iter().enumerate() {
        let mut padding = String::new();
        for (cell, width) in line.iter().zip(&widths) {
            text.push_str(&padding);
            let style = if number == 0 { looks.of_titles() } else { cell.style };
            text.push_str(&looks.painted(&cell.text, style));
            padding = " ".repeat(width - cell.width()) + GAP;
        }
        text.push('\n');
    }
    text
}

fn findings(fleet: &Fleet, found: &FleetFindings, looks: Looks) -> String {
    let mut all: Vec<(String, &Finding)> = Vec::new();
    for (name, findings) in of_each(fleet, found) {
        let name = looks.harmless(name.unwrap_or(MACHINE));
        all.extend(findings.found.iter().map(|finding| (name.clone(), finding)));
    }
    // Stable: within a severity they stay in the order of the fleet.
    all.sort_by_key(|(_, finding)| Reverse(finding.severity));
    let severities = all.iter().map(|(_, finding)| finding.severity.as_str().len()).max().unwrap_or_default();
    let names = all.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default().min(LONGEST_NAME);
    let mut text = String::new();
    for (name, finding) in all {
        let severity = format!("{} {:severities$}", looks.symbol(finding.severity), finding.severity.as_str());
        let style = looks.of_severity(finding.severity);
        let indent = severity.chars().count() + names + 2 * GAP.len();
        let sentence = broken(&looks.harmless(&finding.sentence), indent, looks.width);
        // Below a name that is longer than its column.
        let sentence = if name.chars().count() > names && looks.width.is_some() {
            format!("\n{}{sentence}", " ".repeat(indent))
        } else {
            GAP.to_owned() + &sentence
        };
        text.push_str(&format!("{}{GAP}{name:names$}{sentence}\n", looks.painted(&severity, style)));
        let since = finding.since.map(|since| format!("for {}, ", ago(since, fleet.taken_at))).unwrap_or_default();
        let more = format!("{since}runbook {}", finding.code.as_str());
        text.push_str(&format!("{}{}\n", " ".repeat(indent), looks.painted(&more, looks.of_asides())));
    }
    text
}

/// One line for each thing and reason, with all the collectors that needed it.
fn unknown(fleet: &Fleet, found: &FleetFindings, looks: Looks) -> String {
    let mut text = String::new();
    for (name, findings) in of_each(fleet, found) {
        let mut by_subject: BTreeMap<(&str, Reason), Vec<&str>> = BTreeMap::new();
        for unknown in &findings.unknown {
            by_subject.entry((&unknown.subject, unknown.reason)).or_default().push(&unknown.collector);
        }
        for ((subject, reason), collectors) in by_subject {
            let symbol = looks.painted(looks.unknown(), looks.of_unknown());
            let start = format!("{}: {subject}: {}", name.unwrap_or(MACHINE), reason.as_str());
            let line = if collectors == [subject] { start } else { format!("{start} ({})", collectors.join(", ")) };
            text.push_str(&format!("{symbol} {}\n", broken(&looks.harmless(&line), 2, looks.width)));
        }
    }
    text
}

/// What is not looked for, so that nobody takes it for well.
fn ignored(fleet: &Fleet, looks: Looks) -> String {
    let mut text = String::new();
    for (name, findings) in super::findings::ignored(fleet) {
        let findings: Vec<_> = findings.iter().map(Label::as_str).collect();
        let line = format!("{}: {}", name.unwrap_or(MACHINE), findings.join(", "));
        text.push_str(&format!("- {}\n", broken(&looks.harmless(&line), 2, looks.width)));
    }
    text
}

fn ago(moment: Timestamp, now: Timestamp) -> String {
    duration(now.seconds_since(moment))
}

/// A text in lines that end before `width`, all but the first indented.
fn broken(text: &str, indent: usize, width: Option<usize>) -> String {
    let Some(width) = width else {
        return text.to_owned();
    };
    let room = width.saturating_sub(indent).max(30);
    let mut broken = String::new();
    let mut left = room;
    for word in text.split(' ') {
        let length = word.chars().count();
        if broken.is_empty() {
            left = room.saturating_sub(length);
        } else if length < left {
            broken.push(' ');
            left -= length + 1;
        } else {
            broken.push('\n');
            broken.push_str(&" ".repeat(indent));
            left = room.saturating_sub(length);
        }
        broken.push_str(word);
    }
    broken
}

/// A name that fits into the table.
fn short_name(name: &str, looks: Looks) -> String {
    if name.chars().count() <= LONGEST_NAME {
        return name.to_owned();
    }
    let end = looks.ellipsis();
    name.chars().take(LONGEST_NAME - end.chars().count()).collect::<String>() + end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_are_broken_between_words() {
        let text = "word ".repeat(30);
        let broken = broken(text.trim_end(), 20, Some(80));
        assert_eq!(broken.split_whitespace().count(), 30);
        assert!(broken.lines().all(|line| line.len() <= 80), "{broken}");
        assert!(broken.lines().skip(1).all(|line| line.starts_with(&" ".repeat(20)) && !line.ends_with(' ')));
        let long = "a".repeat(200);
        assert_eq!(super::broken(&format!("{long} b"), 70, Some(80)), format!("{long}\n{}b", " ".repeat(70)));
    }
}
