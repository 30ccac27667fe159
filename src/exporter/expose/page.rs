//! The first page for people: which instances there are, and where to read about them.

use maud::{DOCTYPE, Markup, html};

use crate::exporter::snapshot::{Fleet, Reading, Snapshot};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4rem .8rem .4rem 0;border-bottom:1px solid #8884}\
code{font-family:ui-monospace,monospace}.unknown{opacity:.7;font-style:italic}:root{color-scheme:light dark}";

/// The page's style as a `Content-Security-Policy` may allow it, and nothing else.
pub const CONTENT_SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The page.
pub fn page(fleet: &Fleet, telemetry_path: &str) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "hermes-exporter" }
                style { (maud::PreEscaped(STYLE)) }
            }
            body {
                h1 { "hermes-exporter" }
                p { "Version " (env!("CARGO_PKG_VERSION")) ", looking at " (fleet.instances.len()) " "
                    (if fleet.instances.len() == 1 { "instance" } else { "instances" }) "." }
                @if fleet.instances.is_empty() {
                    p { "No Hermes home was found. Run " code { "hermes-exporter discover" } " as the user who runs Hermes, or "
                        "name the homes in a file and start with " code { "--config.file" } "." }
                } @else {
                    table {
                        thead { tr { th { "Instance" } th { "User" } th { "Profile" } th { "Gateway" } th { "Collectors" } } }
                        tbody {
                            @for snapshot in &fleet.instances {
                                tr {
                                    td { a href={ "/api/v1/instances/" (encoded(&snapshot.identity.name)) } { (snapshot.identity.name) } }
                                    td { (snapshot.identity.user) }
                                    td { (snapshot.identity.profile) }
                                    td { (gateway(snapshot)) }
                                    td { (collectors(snapshot)) }
                                }
                            }
                        }
                    }
                }
                ul {
                    li { a href=(telemetry_path) { "Metrics" } }
                    li { a href="/api/v1/instances" { "Snapshots as JSON" } }
                    li { a href="/sd" { "Targets for Prometheus" } }
                    li { a href="/-/healthy" { "Health" } " and " a href="/-/ready" { "readiness" } }
                }
            }
        }
    }
}

fn gateway(snapshot: &Snapshot) -> Markup {
    let state = match &snapshot.gateway {
        Reading::Known(gateway) => gateway.state,
        Reading::Absent => Reading::Absent,
        Reading::Unknown(reason) => Reading::Unknown(*reason),
    };
    match state {
        Reading::Known(state) => html! { (state.as_str()) },
        Reading::Absent => html! { "none" },
        Reading::Unknown(reason) => html! { span class="unknown" { "unknown: " (reason.as_str()) } },
    }
}

fn collectors(snapshot: &Snapshot) -> Markup {
    let failing: Vec<_> = snapshot.collectors.iter().filter(|run| !run.problems.is_empty()).collect();
    html! {
        @if failing.is_empty() {
            (snapshot.collectors.len()) " of " (snapshot.collectors.len())
        } @else {
            @for run in &failing {
                div class="unknown" {
                    (run.collector) ": "
                    @for (index, problem) in run.problems.iter().enumerate() {
                        @if index > 0 { ", " }
                        (problem.subject) " (" (problem.reason.as_str()) ")"
                    }
                }
            }
        }
    }
}

/// A name as one segment of a path.
pub fn encoded(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
