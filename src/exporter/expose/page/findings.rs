//! What is wrong, by severity, each with its sentence, whose it is, since when, and where to read what to do.

use maud::{Markup, html};

use super::filter::Show;
use super::mark::Mark;
use super::summary::runbook;
use super::{Member, StatusPage, filter, times};
use crate::exporter::findings::{Finding, Severity};

/// The most findings of one severity that are listed; the filter leads to the others.
const MOST_LISTED: usize = 100;

/// The findings of the instances that are shown, and of the machine.
pub(super) fn findings(page: &StatusPage<'_>, shown: &[Member<'_>]) -> Markup {
    let has_machine = page.filter.instance.is_empty();
    let of_machine = page.findings.machine.found.iter().map(|finding| (None, finding)).filter(|_| has_machine);
    let of_members =
        shown.iter().flat_map(|member| member.findings.found.iter().map(move |finding| (Some(member.name()), finding)));
    let all: Vec<(Option<&str>, &Finding)> = of_machine.chain(of_members).collect();
    let of = |severity: Severity| -> Vec<_> {
        let is_shown = page.filter.show.has_severity(severity);
        all.iter().filter(|(_, finding)| is_shown && finding.severity == severity).copied().collect()
    };
    let groups: Vec<_> = Severity::ALL
        .into_iter()
        .rev()
        .map(|severity| (severity, of(severity)))
        .filter(|(_, found)| !found.is_empty())
        .collect();
    // Who asks for the healthy or the unknown ones has not asked for findings.
    let is_asked_for = !matches!(page.filter.show, Show::Healthy | Show::Unknown);
    html! {
        @if is_asked_for && !groups.is_empty() {
            section id="findings" aria-labelledby="findings-title" {
                h2 id="findings-title" { "Findings" }
                @for (severity, found) in &groups { (group(page, *severity, found)) }
            }
        }
    }
}

fn group(page: &StatusPage<'_>, severity: Severity, found: &[(Option<&str>, &Finding)]) -> Markup {
    let mark = Mark::from(severity);
    let is_open = severity > Severity::Info || page.filter.show == Show::Severity(severity);
    let more = found.len().saturating_sub(MOST_LISTED);
    html! {
        details class={ "group " (mark.as_str()) } id={ "findings-" (mark.as_str()) } open[is_open] data-open=(is_open) {
            summary class="chevron" { h3 { (mark.shape()) (heading(severity)) " " span class="aside" { (times::number(found.len() as u64)) } } }
            ul class="findings" {
                @for (instance, finding) in found.iter().take(MOST_LISTED) { (item(page, *instance, finding)) }
            }
            @if more > 0 {
                p class="note" { "And " (times::number(more as u64)) " more: filter by instance to see them." }
            }
        }
    }
}

fn heading(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "Critical",
        Severity::Warning => "Warnings",
        Severity::Info => "For information",
    }
}

fn item(page: &StatusPage<'_>, instance: Option<&str>, finding: &Finding) -> Markup {
    let mark = Mark::from(finding.severity);
    html! {
        li class={ "finding " (mark.as_str()) } {
            (mark.shape_and_word())
            div class="what" {
                b class="title" { (finding.code.title()) }
                p class="sentence" { (finding.sentence) }
            }
            span class="whose" {
                @match instance {
                    Some(name) => a href=(filter::of_instance(name)) { (name) },
                    None => a href="#machine" { "this machine" },
                }
            }
            span class="since" { @if let Some(since) = finding.since { "for " (times::lasting(since, page.now)) } }
            a class="runbook" href=(runbook(finding.code)) aria-label={ "Runbook: " (finding.code.title()) } { "Runbook" }
        }
    }
}
