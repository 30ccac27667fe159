//! One instance: how it is, who it is, what is known of it, and what can be done about it.

use maud::{Markup, html};

use super::commands::{InstanceLinks, Restart, Way, restart};
use super::mark::Mark;
use super::reading::Facts;
use super::rows::rows;
use super::summary::{count_of_unknown, runbook};
use super::{Member, StatusPage, encoded, filter, ignored, times};
use crate::exporter::snapshot::gateway::PlatformState;
use crate::exporter::snapshot::{Reading, Snapshot};

/// How much of an instance is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// Everything.
    Unfolded,
    /// What is wrong; the rest unfolds.
    Brief,
    /// A line that unfolds.
    Folded,
    /// A line that leads to a page about it alone.
    Line,
}

pub(super) fn card(page: &StatusPage<'_>, member: &Member<'_>, form: Form) -> Markup {
    let mark = member.mark();
    let class = format!("card {}", mark.as_str());
    let is_open = matches!(form, Form::Unfolded | Form::Brief);
    match form {
        Form::Line => html! {
            article class=(class) id=(member.anchor()) {
                a class="head" href=(filter::of_instance(member.name())) { (head(page, member)) }
            }
        },
        Form::Folded | Form::Brief | Form::Unfolded => html! {
            article class=(class) id=(member.anchor()) aria-labelledby={ "name-" (member.place) } {
                details id={ "card-" (member.place) } open[is_open] data-open=(is_open) {
                    summary class="head chevron" { (head(page, member)) }
                    div class="inside" {
                        (identity(member.snapshot))
                        (what_is_wrong(member))
                        (ignored(&member.snapshot.ignored_findings))
                        (actions(page, member))
                        (rows(page, member, form == Form::Brief))
                    }
                }
            }
        },
    }
}

/// What is seen of it when it is folded.
fn head(page: &StatusPage<'_>, member: &Member<'_>) -> Markup {
    html! {
        h3 id={ "name-" (member.place) } { (member.name()) }
        (member.mark().badge())
        span class="digest" { (digest(page, member.snapshot)) }
    }
}

/// The four things that are asked first, and how much is not told.
fn digest(page: &StatusPage<'_>, snapshot: &Snapshot) -> Markup {
    let gateway = snapshot.gateway.as_ref();
    let platforms = gateway.and_then(|gateway| gateway.platforms.as_ref());
    let connected = platforms.map(|platforms| {
        let connected = platforms.values().filter(|platform| platform.state == PlatformState::Connected).count();
        (connected, platforms.len())
    });
    let sessions = snapshot.sessions.as_ref();
    let newest = snapshot.backups.as_ref().map(|backups| {
        backups
            .repositories
            .values()
            .filter_map(|repository| repository.backed_up_until().known().copied())
            .min_by(|one, other| one.seconds().total_cmp(&other.seconds()))
    });
    Facts::default()
        .read(
            "gateway",
            &gateway.and_then(|gateway| gateway.state),
            |state| html! { (state.as_str().replace('_', " ")) },
        )
        .read("platforms", &connected, |(connected, all)| html! { (connected) "/" (all) " platforms" })
        .read("sessions", &sessions.and_then(|sessions| sessions.active), |active| html! { (active) " active" })
        .read(
            "backup",
            &newest.and_then(Reading::from),
            |newest| html! { "backup " (times::moment(*newest, page.now)) },
        )
        .say_if(!snapshot.ignored_findings.is_empty(), html! { (snapshot.ignored_findings.len()) " ignored" })
        .in_a_row()
}

fn identity(snapshot: &Snapshot) -> Markup {
    let identity = &snapshot.identity;
    let version = snapshot.inventory.as_ref().and_then(|inventory| inventory.version.as_ref());
    let supervisor = snapshot.gateway.as_ref().and_then(|gateway| gateway.supervisor);
    let facts = Facts::default()
        .say_if(!identity.user.is_empty(), html! { "user " b { (identity.user) } })
        .say(html! { "profile " b { (identity.profile) } })
        .read("version", &version, |version| html! { "Hermes " b { (version) } })
        .read("supervisor", &supervisor, |supervisor| {
            html! {
                @match supervisor.as_str() { "none" => "started by hand", word => { "under " b { (word) } } }
            }
        });
    html! { p class="identity" { (facts.in_a_row()) } }
}

/// The findings, each leading to its runbook.
fn what_is_wrong(member: &Member<'_>) -> Markup {
    let findings = member.findings;
    html! {
        @if !findings.found.is_empty() || !findings.unknown.is_empty() {
            ul class="wrong" aria-label="What is wrong" {
                @for finding in &findings.found {
                    @let mark = Mark::from(finding.severity);
                    li {
                        a class={ "verdict " (mark.as_str()) } href=(runbook(finding.code)) title=(finding.sentence) {
                            (mark.shape_and_word()) (finding.code.title())
                            @if let Some(subject) = &finding.subject { " " i { (subject) } }
                        }
                    }
                }
                @if !findings.unknown.is_empty() {
                    li { a class="verdict unknown" href={ "#unknown-" (member.place) } {
                        (Mark::Unknown.shape()) (count_of_unknown(findings)) " unknown"
                    } }
                }
            }
        }
    }
}

/// What can be opened and pasted.
fn actions(page: &StatusPage<'_>, member: &Member<'_>) -> Markup {
    let none = InstanceLinks::default();
    let links = page.links.instances.get(member.name()).unwrap_or(&none);
    let restart = restart(links, member.snapshot);
    let commands = commands(page, links, &restart, &member.snapshot.identity.user);
    let id = |index: usize| format!("command-{}-{index}", member.place);
    html! {
        div class="actions" {
            @for door in &links.doors {
                @let is_tunnel = matches!(door.way, Way::Tunnel { .. });
                a class="button" href=(door.way.address()) rel="noreferrer noopener" target="_blank"
                    title=[is_tunnel.then_some("Leads through the tunnel: copy its command, and leave it running.")] {
                    "Open " (door.name)
                    @if is_tunnel { span class="aside" { " via tunnel" } }
                }
            }
            @for (index, command) in commands.iter().enumerate() {
                button type="button" class="copy" data-copy=(id(index)) title={ "To be run " (command.place) "." } { "Copy " (command.noun) }
            }
            a class="button" href={ "/api/v1/instances/" (encoded(member.name())) } { "JSON" }
            @if !commands.is_empty() {
                details class="commands" id={ "commands-" (member.place) } data-open="false" {
                    summary { "Commands" }
                    @for (index, command) in commands.iter().enumerate() {
                        p { (command.purpose) " " b { (command.place) } ":" }
                        pre tabindex="0" { code id=(id(index)) { (command.line) } }
                    }
                }
            }
        }
        @if restart == Restart::ByHand {
            p class="note" { "The gateway was started by hand: restart it where that was done." }
        }
    }
}

/// A command to paste.
struct Command {
    /// What it is called.
    noun: String,
    /// What it does.
    purpose: String,
    /// Where it has to be run.
    place: String,
    line: String,
}

fn commands(page: &StatusPage<'_>, links: &InstanceLinks, restart: &Restart, user: &str) -> Vec<Command> {
    let is_one = links.doors.len() == 1;
    let tunnels = links.doors.iter().filter_map(|door| {
        Some(Command {
            noun: if is_one { "tunnel".to_owned() } else { format!("{} tunnel", door.name) },
            purpose: format!("Opens the tunnel to {}, for as long as it runs; to be run", door.name),
            place: "on your computer".to_owned(),
            line: door.way.tunnel(user, &page.links.ssh_host)?,
        })
    });
    let restart = match restart {
        Restart::Command(line) => Some(Command {
            noun: "restart".to_owned(),
            purpose: "Restarts the gateway; to be run".to_owned(),
            place: format!("on {}", page.links.ssh_host),
            line: line.clone(),
        }),
        Restart::ByHand | Restart::NotKnown => None,
    };
    tunnels.chain(restart).collect()
}
