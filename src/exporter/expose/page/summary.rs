//! The whole fleet at a glance: its state in a few words, how many are healthy, and what can be filtered by.

use maud::{Markup, html};

use super::filter::Show;
use super::mark::Mark;
use super::{Member, StatusPage, encoded, times};
use crate::exporter::findings::{Findings, FleetFindings, Health, Severity};

/// Fewer instances than these are seen at a glance as they are.
const FEWEST_IN_A_STRIP: usize = 8;

/// More would be a wall.
const MOST_IN_A_STRIP: usize = 240;

/// The state of a fleet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct State {
    instances: u64,
    healthy: u64,
    critical: u64,
    warning: u64,
    info: u64,
    /// Things that could not be told.
    unknown: u64,
}

impl State {
    pub(super) fn of(found: &FleetFindings) -> State {
        let all = || found.instances.iter().chain([&found.machine]);
        let count = |severity| all().map(|findings| findings.count(severity)).sum();
        State {
            instances: found.instances.len() as u64,
            healthy: found.instances.iter().filter(|findings| findings.health() == Health::Healthy).count() as u64,
            critical: count(Severity::Critical),
            warning: count(Severity::Warning),
            info: count(Severity::Info),
            unknown: all().map(|findings| findings.unknown.len() as u64).sum(),
        }
    }

    pub(super) fn mark(&self) -> Mark {
        match self {
            State { critical: 1.., .. } => Mark::Critical,
            State { warning: 1.., .. } => Mark::Warning,
            State { unknown: 1.., .. } | State { instances: 0, .. } => Mark::Unknown,
            _ => Mark::Healthy,
        }
    }

    /// The worst of it, for the tab of a browser.
    pub(super) fn title(&self) -> String {
        let worst = match self.mark() {
            Mark::Critical => format!("{} critical", self.critical),
            Mark::Warning => times::count(self.warning, "warning", "warnings"),
            _ if self.instances == 0 => "no instances".to_owned(),
            Mark::Unknown => format!("{} unknown", self.unknown),
            Mark::Healthy | Mark::Info => "healthy".to_owned(),
        };
        format!("{worst} · Hermes fleet")
    }

    /// All that needs somebody, in a sentence.
    fn headline(&self) -> String {
        let parts = [
            (self.critical > 0).then(|| format!("{} critical", times::number(self.critical))),
            (self.warning > 0).then(|| times::count(self.warning, "warning", "warnings")),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        match (self.mark(), parts.is_empty()) {
            (_, false) => parts.join(", "),
            (_, true) if self.instances == 0 => "Nothing to look at".to_owned(),
            (Mark::Unknown, true) => "Nothing wrong, but not everything could be told".to_owned(),
            (_, true) => "All is well".to_owned(),
        }
    }

    fn count(&self, choice: Show) -> u64 {
        match choice {
            Show::Everything => self.instances,
            Show::Severity(Severity::Critical) => self.critical,
            Show::Severity(Severity::Warning) => self.warning,
            Show::Severity(Severity::Info) => self.info,
            Show::Unknown => self.unknown,
            Show::Healthy => self.healthy,
        }
    }
}

pub(super) fn summary(page: &StatusPage<'_>, state: &State, members: &[Member<'_>]) -> Markup {
    let mark = state.mark();
    html! {
        section class={ "summary " (mark.as_str()) } aria-labelledby="state" {
            div class="headline" {
                (mark.shape())
                h1 id="state" { (state.headline()) }
                p class="healthy-of" title="Instances of which everything could be told, and which nothing is wrong with" {
                    "healthy " b { (times::number(state.healthy)) } " of " b { (times::number(state.instances)) }
                }
            }
            @if (FEWEST_IN_A_STRIP..=MOST_IN_A_STRIP).contains(&members.len()) { (strip(members)) }
            @if !members.is_empty() { (filters(page, state)) }
            @if let Some(typed) = &page.filter.not_understood {
                p class="note" { "There is no severity “" (typed) "”, so that everything is shown." }
            }
        }
    }
}

/// Every instance as a shape that leads to it.
fn strip(members: &[Member<'_>]) -> Markup {
    html! {
        nav class="strip" aria-label="Instances, the worst first" {
            @for member in members {
                @let label = format!("{}: {}", member.name(), member.mark().as_str());
                a href=(super::filter::of_instance(member.name())) title=(label) aria-label=(label) { (member.mark().shape()) }
            }
        }
    }
}

fn filters(page: &StatusPage<'_>, state: &State) -> Markup {
    let filter = page.filter;
    let current = |show: Show| (filter.show == show).then_some("true");
    html! {
        div class="filters" {
            nav class="chips" aria-label="Filter by severity" {
                a class="chip" href=(filter.showing(Show::Everything)) aria-current=[current(Show::Everything)] { "All" }
                @for choice in Show::CHOICES {
                    @let mark = mark_of(choice);
                    a class={ "chip " (choice.as_str()) @if state.count(choice) == 0 { " none" } }
                        href=(filter.showing(choice)) aria-current=[current(choice)] title=(explained(choice)) {
                        (mark.shape()) (choice.as_str()) " " b { (times::number(state.count(choice))) }
                    }
                }
            }
            form method="get" action="/" role="search" class="search" {
                @if filter.show != Show::Everything { input type="hidden" name="severity" value=(filter.show.as_str()); }
                label for="instance-filter" class="hidden" { "Instance" }
                input id="instance-filter" type="search" name="instance" value=(filter.instance) placeholder="Instance…"
                    autocomplete="off" spellcheck="false" maxlength="100";
                button type="submit" { "Filter" }
                @if !filter.is_everything() { a class="reset" href="/" { "Show all" } }
            }
        }
    }
}

fn mark_of(choice: Show) -> Mark {
    match choice {
        Show::Severity(severity) => severity.into(),
        Show::Unknown => Mark::Unknown,
        Show::Everything | Show::Healthy => Mark::Healthy,
    }
}

fn explained(choice: Show) -> &'static str {
    match choice {
        Show::Everything => "Everything",
        Show::Severity(Severity::Critical) => {
            "Findings that somebody has to see to now, and the instances that have them"
        }
        Show::Severity(Severity::Warning) => "Findings that have a day or so, and the instances that have them",
        Show::Severity(Severity::Info) => {
            "Findings that somebody may want to know of, and the instances that have them"
        }
        Show::Unknown => "Things that could not be told, and the instances they are of",
        Show::Healthy => "Instances that are healthy",
    }
}

/// Where the findings of one thing are told: the runbook of a code.
pub(super) fn runbook(code: crate::exporter::findings::Code) -> String {
    format!("/runbooks/{}", encoded(code.as_str()))
}

/// What could not be told, by collector.
pub(super) fn count_of_unknown(findings: &Findings) -> String {
    times::count(findings.unknown.len() as u64, "reading", "readings")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(critical: u64, warning: u64, unknown: u64) -> State {
        State { instances: 2, healthy: 0, critical, warning, info: 9, unknown }
    }

    #[test]
    fn a_tab_tells_the_worst() {
        assert_eq!(state(2, 1, 1).title(), "2 critical · Hermes fleet");
        assert_eq!(state(0, 1, 1).title(), "1 warning · Hermes fleet");
        assert_eq!(state(0, 0, 3).title(), "3 unknown · Hermes fleet");
        assert_eq!(state(0, 0, 0).title(), "healthy · Hermes fleet");
        assert_eq!(State::of(&FleetFindings::default()).title(), "no instances · Hermes fleet");
    }

    #[test]
    fn what_is_wrong_comes_before_what_is_unknown() {
        assert_eq!(state(2, 3, 1).headline(), "2 critical, 3 warnings");
        assert_eq!(state(0, 0, 1).headline(), "Nothing wrong, but not everything could be told");
        assert_eq!((state(0, 0, 0).headline(), state(0, 0, 0).mark()), ("All is well".to_owned(), Mark::Healthy));
    }
}
