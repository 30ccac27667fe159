//! Rows about what people talk to: the gateway, its platforms, and the addresses that should answer.

use maud::{Markup, html};

use super::super::reading::{Facts, reading, unknown};
use super::super::times;
use super::{Look, RowKind, chip, things};
use crate::exporter::findings::Code;
use crate::exporter::snapshot::Reading;
use crate::exporter::snapshot::endpoints::{Access, Endpoint, Verdict};
use crate::exporter::snapshot::gateway::{Gateway, GatewayState, PlatformState};

/// What is wrong with a gateway as such.
const OF_GATEWAY: [Code; 6] = [
    Code::GatewayDown,
    Code::GatewayCrashed,
    Code::GatewayFrozen,
    Code::GatewayCrashLooping,
    Code::GatewayDuplicated,
    Code::GatewayDegraded,
];

pub(super) fn gateway(look: Look<'_>) -> Markup {
    let update = look.snapshot.inventory.as_ref().and_then(|inventory| inventory.update.as_ref().map(|update| *update));
    html! {
        (reading(&look.snapshot.gateway, |gateway| of_gateway(look, gateway)))
        @if let Reading::Known(update) = update && update.available == Reading::Known(true) {
            div class="under" {
                "an update is available"
                @if let Reading::Known(behind) = update.behind_commits { ", " (times::number(behind)) " behind" }
            }
        }
    }
}

fn of_gateway(look: Look<'_>, gateway: &Gateway) -> Markup {
    let state = |state: &GatewayState| {
        let is_well = *state == GatewayState::Running;
        chip(&state.as_str().replace('_', " "), "", look.of_codes(&OF_GATEWAY), is_well)
    };
    let processes = gateway.processes.known().copied().unwrap_or_default();
    Facts::default()
        .read("state", &gateway.state, state)
        .read("start", &gateway.start_time, |start| html! { "for " (times::lasting(*start, look.now)) })
        .read("heartbeat", &gateway.heartbeat, |beat| html! { "heartbeat " (times::moment(*beat, look.now)) })
        .read(
            "agents",
            &gateway.active_agents,
            |agents| html! { (times::count(*agents, "agent", "agents")) " at work" },
        )
        .read("process", &gateway.process, |process| html! { (times::bytes(process.memory_bytes)) })
        .read("starts", &gateway.starts, |starts| html! { (times::count(*starts, "start", "starts")) })
        .say_if(processes > 1, times::count(processes, "process", "processes"))
        .say_if(gateway.restart_requested == Reading::Known(true), "restart requested")
        .read(
            "profiles",
            &gateway.served_profiles,
            |profiles| html! { "serves " (times::count(*profiles, "profile", "profiles")) },
        )
        .read("", &gateway.served_by, |profile| html! { "served by " b { (profile) } })
        .in_a_row()
}

pub(super) fn platforms(look: Look<'_>) -> Markup {
    let platforms = look.snapshot.gateway.as_ref().and_then(|gateway| gateway.platforms.as_ref());
    reading(&platforms, |platforms| {
        let of_platform =
            |(name, platform): (&crate::exporter::snapshot::Label, &crate::exporter::snapshot::gateway::Platform)| {
                let word = html! {
                    (platform.state.as_str())
                    @if let Some(code) = &platform.error_code { " · " (code.as_str().replace('_', " ")) }
                };
                let mark = look.of_subject(RowKind::Platforms, name.as_str());
                chip(name.as_str(), word, mark, platform.state == PlatformState::Connected)
            };
        things(platforms.iter().map(of_platform).collect())
    })
}

pub(super) fn endpoints(look: Look<'_>) -> Markup {
    reading(&look.snapshot.endpoints, |endpoints| {
        things(endpoints.0.iter().map(|(name, endpoint)| of_endpoint(look, name.as_str(), endpoint)).collect())
    })
}

fn of_endpoint(look: Look<'_>, name: &str, endpoint: &Endpoint) -> Markup {
    let probe = match &endpoint.probe {
        Reading::Known(probe) => probe,
        Reading::Absent => return chip(name, "not asked", None, false),
        Reading::Unknown(reason) => return unknown(name, *reason),
    };
    let word = html! {
        @match probe.verdict {
            Verdict::Up => "up",
            Verdict::Down(failure) => { "down · " (failure.as_str().replace('_', " ")) },
        }
        @if let (Verdict::Down(_), Reading::Known(status)) = (probe.verdict, probe.status_code) { " " (status) }
        " · " (times::taken(probe.duration_seconds))
        @match probe.access {
            Reading::Known(Access::Open) => " · open",
            Reading::Known(Access::Login) => " · login",
            Reading::Absent | Reading::Unknown(_) => "",
        }
        @if let Reading::Known(expiry) = probe.certificate_expiry { " · certificate expires " (times::moment(expiry, look.now)) }
    };
    chip(name, word, look.of_subject(RowKind::Endpoints, name), probe.verdict == Verdict::Up)
}
