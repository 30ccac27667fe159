//! The status page: what an operator asks first, as HTML. A pure function of what was seen and found.
//!
//! It works without JavaScript; [`assets`] has the script that makes it refresh in place, and the style.
//!
//! * [`document`]: what every page here has around its content; [`mark`]: how something is, at a glance.
//! * [`filter`]: what is asked for; [`summary`]: the whole fleet at a glance; [`findings`]: what is wrong.
//! * [`card`]: one instance, and what can be done about it ([`commands`]); [`rows`]: what is known of it.
//! * [`reading`]: known, absent, unknown; [`times`]: times and amounts as people say them.
//! * [`machine`]: the machine that the exporter runs on.

pub mod assets;
mod card;
pub mod commands;
pub mod document;
pub mod filter;
mod findings;
mod machine;
mod mark;
mod reading;
mod rows;
#[cfg(test)]
mod samples;
mod summary;
#[cfg(test)]
mod tests;
mod times;

use std::cmp::Reverse;

use maud::{Markup, html};

use commands::Links;
use document::{Document, Kind};
use filter::Filter;
use mark::Mark;

use crate::exporter::findings::{Findings, FleetFindings};
use crate::exporter::snapshot::{Fleet, Label, Snapshot};
use crate::system::time::Timestamp;

/// More instances than these are shown briefly: folded, or where something is wrong, with that alone.
const MOST_UNFOLDED: usize = 6;

/// The most instances that are shown with everything that is known of them; the others, which are the healthier ones,
/// have a line and a link.
const MOST_WHOLE: usize = 60;

/// The status page.
#[derive(Debug, Clone, Copy)]
pub struct StatusPage<'a> {
    /// What was seen.
    pub fleet: &'a Fleet,
    /// What was found in it.
    pub findings: &'a FleetFindings,
    /// What can be opened and done.
    pub links: &'a Links,
    /// What is asked for.
    pub filter: &'a Filter,
    /// When the configuration in force was loaded, where a later one could not be.
    pub outdated_config_of: Option<Timestamp>,
    /// The moment that ages are counted from.
    pub now: Timestamp,
}

/// One instance, with what was found in it and its place in the configuration.
#[derive(Debug, Clone, Copy)]
struct Member<'a> {
    place: usize,
    snapshot: &'a Snapshot,
    findings: &'a Findings,
}

impl Member<'_> {
    fn name(&self) -> &str {
        &self.snapshot.identity.name
    }

    fn mark(&self) -> Mark {
        self.findings.health().into()
    }

    /// Where it is in the page.
    fn anchor(&self) -> String {
        format!("instance-{}", self.name())
    }
}

impl StatusPage<'_> {
    /// The page.
    pub fn render(&self) -> Markup {
        let members = self.members();
        let asks_for = self.filter.asks_for(members.iter().map(Member::name));
        let shown: Vec<Member<'_>> = members
            .iter()
            .filter(|member| asks_for(member.name()) && self.filter.show.has(member.findings))
            .copied()
            .collect();
        let state = summary::State::of(self.findings);
        let content = html! {
            @if let Some(loaded_at) = self.outdated_config_of { (outdated_config(loaded_at, self.now)) }
            (summary::summary(self, &state, &members))
            @if members.is_empty() {
                (nothing_to_look_at())
            } @else {
                (findings::findings(self, &shown))
                (self.instances(&shown, members.len()))
            }
            (machine::machine(self))
        };
        let document = Document {
            kind: Kind::Status { looked_at: self.fleet.taken_at },
            title: &state.title(),
            mark: state.mark(),
            telemetry_path: &self.links.telemetry_path,
        };
        document.around(&content)
    }

    /// The instances, the worst first; those that are alike in the order of the configuration.
    fn members(&self) -> Vec<Member<'_>> {
        let pairs = self.fleet.instances.iter().zip(&self.findings.instances).enumerate();
        let mut members: Vec<_> =
            pairs.map(|(place, (snapshot, findings))| Member { place, snapshot, findings }).collect();
        members.sort_by_key(|member| {
            Reverse((member.mark(), member.findings.count(crate::exporter::findings::Severity::Critical)))
        });
        members
    }

    fn instances(&self, shown: &[Member<'_>], all: usize) -> Markup {
        let is_folded = |member: &Member<'_>| shown.len() > MOST_UNFOLDED && member.mark() < Mark::Unknown;
        let (whole, lines) = shown.split_at(shown.len().min(MOST_WHOLE));
        let folded_from = whole.iter().position(is_folded).unwrap_or(whole.len());
        let (unfolded, folded) = whole.split_at(folded_from);
        html! {
            section id="instances" aria-labelledby="instances-title" {
                h2 id="instances-title" {
                    "Instances"
                    @if !self.filter.is_everything() { span class="aside" { (shown.len()) " of " (all) } }
                }
                @if shown.is_empty() {
                    p class="nothing" {
                        "No instance is like that. " a href="/" { "Show all " (times::number(all as u64)) }
                    }
                }
                @if !unfolded.is_empty() {
                    @let form = if shown.len() > MOST_UNFOLDED { card::Form::Brief } else { card::Form::Unfolded };
                    div class="cards" { @for member in unfolded { (card::card(self, member, form)) } }
                }
                @if !folded.is_empty() || !lines.is_empty() {
                    div class="lines" {
                        @for member in folded { (card::card(self, member, card::Form::Folded)) }
                        @for member in lines { (card::card(self, member, card::Form::Line)) }
                    }
                }
            }
        }
    }
}

fn outdated_config(loaded_at: Timestamp, now: Timestamp) -> Markup {
    html! {
        p id="config-failure" class="alarm" role="alert" {
            "The configuration could not be loaded; the former one is in force since " (times::at(loaded_at, now))
            ". The log says what is wrong."
        }
    }
}

/// What the configuration wants nobody to be told of, so that nothing looks better than it is.
fn ignored(codes: &[Label]) -> Markup {
    html! {
        @if !codes.is_empty() {
            p class="note" title="Not reported, as the configuration says." {
                (times::count(codes.len() as u64, "finding", "findings")) " ignored: "
                @for (index, code) in codes.iter().enumerate() { @if index > 0 { ", " } code { (code) } }
            }
        }
    }
}

fn nothing_to_look_at() -> Markup {
    html! {
        section class="panel" {
            h2 { "No Hermes home was found" }
            p { "Run " code { "hermes-exporter discover" } " as the user who runs Hermes, or "
                code { "hermes-exporter discover --all-users" } " as root. What it prints belongs in the file that "
                code { "--config.file" } " names." }
        }
    }
}

/// A name as one segment of a path, or one value of a query.
pub fn encoded(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
