//! What is known of one instance, a row per part of it, each marked by what was found wrong with it.
//!
//! The page judges nothing by itself: a row or a chip is coloured by the findings that are about it.

mod gateway;
mod safety;
mod supervision;
mod work;

use maud::{Markup, html};

use super::mark::Mark;
use super::reading::explained;
use super::{Member, StatusPage, times};
use crate::exporter::findings::{Code, Findings};
use crate::system::time::Timestamp;

/// The rows, in the order in which they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RowKind {
    Gateway,
    Platforms,
    Endpoints,
    Sessions,
    Cron,
    Backup,
    Tokens,
    Units,
    Exposure,
    Guardrails,
    Memory,
    Logs,
    Disk,
    /// What could not be told.
    Unknown,
}

/// The row that a finding is about.
fn row_of(code: Code) -> RowKind {
    match code {
        Code::GatewayDown
        | Code::GatewayCrashed
        | Code::GatewayFrozen
        | Code::GatewayCrashLooping
        | Code::GatewayDuplicated
        | Code::GatewayDegraded
        | Code::UpdateAvailable => RowKind::Gateway,
        Code::PlatformDown => RowKind::Platforms,
        Code::UnitFailed | Code::UnitDown | Code::TimerNotFiring => RowKind::Units,
        Code::EndpointDown | Code::CertificateExpiring => RowKind::Endpoints,
        Code::BackupMissing
        | Code::BackupStale
        | Code::BackupInterrupted
        | Code::BackupUnpushed
        | Code::BackupDirty
        | Code::BackupLeaking
        | Code::RestoreDrillOverdue
        | Code::EmergencyBundleOverdue => RowKind::Backup,
        Code::TokenMissing | Code::TokenInvalid | Code::TokenExpiring => RowKind::Tokens,
        Code::CronTickerStale | Code::CronJobFailing | Code::CronJobOverdue | Code::CronDeliveryFailing => {
            RowKind::Cron
        }
        Code::MemoryNearLimit => RowKind::Memory,
        Code::DiskLow => RowKind::Disk,
        Code::PublicListener => RowKind::Exposure,
        Code::ApprovalsBypassed | Code::SecretsUnredacted | Code::HomeExposed | Code::SecretsExposed => {
            RowKind::Guardrails
        }
        Code::ReportStale | Code::CollectorUnknown | Code::TailscaleDown | Code::TailscaleKeyExpiring => {
            RowKind::Unknown
        }
    }
}

/// What a row is made from: the Snapshot, what was found, and the moment.
#[derive(Clone, Copy)]
struct Look<'a> {
    snapshot: &'a crate::exporter::snapshot::Snapshot,
    findings: &'a Findings,
    now: Timestamp,
}

impl Look<'_> {
    /// The worst that was found of a row.
    fn of_row(&self, kind: RowKind) -> Option<Mark> {
        self.findings
            .found
            .iter()
            .filter(|finding| row_of(finding.code) == kind)
            .map(|finding| finding.severity.into())
            .max()
    }

    /// The worst that was found of one thing in a row.
    fn of_subject(&self, kind: RowKind, subject: &str) -> Option<Mark> {
        let is_of_it = |finding: &&crate::exporter::findings::Finding| {
            row_of(finding.code) == kind && finding.subject.as_ref().is_some_and(|label| label.as_str() == subject)
        };
        self.findings.found.iter().filter(is_of_it).map(|finding| finding.severity.into()).max()
    }

    /// The worst of certain findings, whatever they are about.
    fn of_codes(&self, codes: &[Code]) -> Option<Mark> {
        let findings = self.findings.found.iter();
        findings.filter(|finding| codes.contains(&finding.code)).map(|finding| finding.severity.into()).max()
    }
}

/// All that is known of an instance; `briefly` folds what nothing is wrong with.
pub(super) fn rows(page: &StatusPage<'_>, member: &Member<'_>, briefly: bool) -> Markup {
    let look = Look { snapshot: member.snapshot, findings: member.findings, now: page.now };
    let rows = [
        (RowKind::Gateway, "Gateway", gateway::gateway(look)),
        (RowKind::Platforms, "Platforms", gateway::platforms(look)),
        (RowKind::Endpoints, "Endpoints", gateway::endpoints(look)),
        (RowKind::Sessions, "Sessions", work::sessions(look)),
        (RowKind::Cron, "Cron", work::cron(look)),
        (RowKind::Backup, "Backup", safety::backup(look)),
        (RowKind::Tokens, "Tokens", safety::tokens(look)),
        (RowKind::Units, "Units", supervision::units(look)),
        (RowKind::Exposure, "Exposure", safety::exposure(look)),
        (RowKind::Guardrails, "Guardrails", safety::guardrails(look)),
        (RowKind::Memory, "Memory", work::memory(look)),
        (RowKind::Logs, "Logs", supervision::logs(look)),
        (RowKind::Disk, "Disk", supervision::disk(look)),
    ];
    let (shown, others): (Vec<_>, Vec<_>) =
        rows.iter().partition(|(kind, ..)| !briefly || look.of_row(*kind).is_some());
    html! {
        dl class="rows" {
            @for (kind, label, value) in shown { (row(look.of_row(*kind), label, value)) }
            @if !member.findings.unknown.is_empty() {
                div class="row unknown-row" id={ "unknown-" (member.place) } { (could_not_be_told(member.findings, page.now)) }
            }
        }
        @if !others.is_empty() {
            details class="others" id={ "others-" (member.place) } data-open="false" {
                summary class="chevron" { "Everything else that is known" }
                dl class="rows" { @for (_, label, value) in others { (row(None, label, value)) } }
            }
        }
    }
}

fn row(mark: Option<Mark>, label: &str, value: &Markup) -> Markup {
    html! {
        div class={ "row" @if let Some(mark) = mark { " " (mark.as_str()) } } {
            dt { @if let Some(mark) = mark { (mark.shape_and_word()) } (label) }
            dd { (value) }
        }
    }
}

/// What could not be told, and why, as a row.
pub(super) fn unknown_readings(findings: &Findings, now: Timestamp) -> Markup {
    html! { div class="row unknown-row" { (could_not_be_told(findings, now)) } }
}

fn could_not_be_told(findings: &Findings, now: Timestamp) -> Markup {
    html! {
        dt { (Mark::Unknown.shape()) "Unknown" }
        dd {
            ul class="plain" {
                @for unknown in &findings.unknown {
                    li {
                        b { (unknown.collector) } " " (unknown.subject) " "
                        span class="unknown" { (unknown.reason.as_str().replace('_', " ")) }
                        span class="why" { " " (explained(unknown.reason)) }
                        @if let Some(since) = unknown.since { span class="why" { " For " (times::lasting(since, now)) "." } }
                    }
                }
            }
        }
    }
}

/// A thing among others with a word about it: in the colour of what was found, else quiet; `is_well` shows that it works.
fn chip(name: &str, word: impl maud::Render, mark: Option<Mark>, is_well: bool) -> Markup {
    let class = mark.map_or(if is_well { "well" } else { "quiet" }, Mark::as_str);
    html! {
        span class={ "thing " (class) } {
            @if let Some(mark) = mark { (mark.shape_and_word()) }
            b { (name) } " " (word)
        }
    }
}

/// Things side by side; a dash where there is none.
fn things(things: Vec<Markup>) -> Markup {
    html! { @if things.is_empty() { (super::reading::absent()) } @else { span class="things" { @for thing in &things { (thing) " " } } } }
}
