//! The machine that the exporter runs on, and its place in the tailnet: a strip, for those who have no other page for it.

use maud::{Markup, html};

use super::reading::{Facts, reading};
use super::rows::unknown_readings;
use super::{StatusPage, ignored, times};
use crate::exporter::snapshot::host::Host;
use crate::exporter::snapshot::tailscale::Tailscale;

pub(super) fn machine(page: &StatusPage<'_>) -> Markup {
    let fleet = page.fleet;
    html! {
        section id="machine" class="machine" aria-labelledby="machine-title" {
            h2 id="machine-title" { "This machine" }
            dl class="rows" {
                div class="row" { dt { "Host" } dd { (reading(&fleet.host, |host| of_host(page, host))) } }
                div class="row" { dt { "Tailscale" } dd { (reading(&fleet.tailscale, |tailscale| of_tailscale(page, tailscale))) } }
                @if !page.findings.machine.unknown.is_empty() { (unknown_readings(&page.findings.machine, page.now)) }
            }
            (ignored(&fleet.ignored_findings))
        }
    }
}

fn of_host(page: &StatusPage<'_>, host: &Host) -> Markup {
    let used = host.memory_size_bytes.saturating_sub(host.memory_available_bytes);
    Facts::default()
        .read("processor", &host.cpu_usage_ratio, |ratio| html! { "processor " (percent(*ratio)) " of " (times::count(host.cpus, "core", "cores")) })
        .read("load", &host.load, |[one, five, fifteen]| html! { "load " (format!("{one:.2} {five:.2} {fifteen:.2}")) })
        .say(html! { "memory " (times::bytes(used)) " of " (times::bytes(host.memory_size_bytes)) })
        .say_if(host.swap_size_bytes > 0, html! { "swap " (times::bytes(host.swap_size_bytes.saturating_sub(host.swap_free_bytes))) " of " (times::bytes(host.swap_size_bytes)) })
        .read("boot", &host.boot_time, |boot| html! { "up for " (times::lasting(*boot, page.now)) })
        .in_a_row()
}

fn of_tailscale(page: &StatusPage<'_>, tailscale: &Tailscale) -> Markup {
    let warnings = tailscale.health_warnings.known().copied().unwrap_or_default();
    Facts::default()
        .say(html! { b { (tailscale.state.as_str().replace('_', " ")) } })
        .read("connection", &tailscale.online, |online| html! { (if *online { "online" } else { "out of touch" }) })
        .read("version", &tailscale.version, |version| html! { "version " (version) })
        .read("key", &tailscale.key_expiry, |expiry| html! { "key expires " (times::moment(*expiry, page.now)) })
        .say_if(warnings > 0, times::count(warnings, "warning of its own", "warnings of its own"))
        .say_if(
            !tailscale.addresses.is_empty(),
            html! {
                @for (index, address) in tailscale.addresses.iter().enumerate() { @if index > 0 { ", " } (address) }
            },
        )
        .in_a_row()
}

fn percent(ratio: f64) -> String {
    format!("{:.0} %", ratio * 100.0)
}
