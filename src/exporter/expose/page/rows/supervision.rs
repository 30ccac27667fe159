//! Rows about what keeps an instance going: units and timers, what the logs say, room on the disk.

use maud::{Markup, html};

use super::super::reading::{Facts, reading, unknown};
use super::super::times;
use super::{Look, RowKind, chip, things};
use crate::exporter::snapshot::Reading;
use crate::exporter::snapshot::logs::{Lines, Logs};
use crate::exporter::snapshot::units::Unit;

pub(super) fn units(look: Look<'_>) -> Markup {
    reading(&look.snapshot.units, |units| {
        html! {
            @if units.0.is_empty() { (super::super::reading::absent()) }
            @for unit in &units.0 { div class="line" { (of_unit(look, unit)) } }
        }
    })
}

fn of_unit(look: Look<'_>, unit: &Unit) -> Markup {
    let name = unit.unit.as_str();
    let state = match &unit.state {
        Reading::Known(state) => html! { (state.as_str().replace('-', " ")) },
        Reading::Absent => html! {},
        Reading::Unknown(reason) => unknown("", *reason),
    };
    // A timer does nothing itself; it has its runs.
    let start = if unit.timer == Reading::Absent { unit.start_time } else { Reading::Absent };
    let next = |timer: &crate::exporter::snapshot::units::Timer| {
        html! {
            @match timer.next_trigger {
                Reading::Known(next) => { "next run " (times::moment(next, look.now)) },
                Reading::Absent => "no next run",
                Reading::Unknown(reason) => (unknown("next run", reason)),
            }
            @if let Reading::Known(last) = timer.last_trigger { ", last " (times::moment(last, look.now)) }
        }
    };
    let restarts = unit.restarts.known().copied().unwrap_or_default();
    let failures: u64 = unit.failures.known().map_or(0, |failures| failures.values().sum());
    Facts::default()
        .say(chip(name, state, look.of_subject(RowKind::Units, name), unit.up == Reading::Known(true)))
        .say_if(unit.role.as_str() != "other", unit.role.as_str())
        .read("timer", &unit.timer, next)
        .read("start", &start, |start| html! { "for " (times::lasting(*start, look.now)) })
        .say_if(restarts > 0, times::count(restarts, "restart", "restarts"))
        .say_if(failures > 0, times::count(failures, "failure", "failures"))
        .say_if(unit.managers.len() > 1, "known to more than one supervisor")
        .in_a_row()
}

pub(super) fn logs(look: Look<'_>) -> Markup {
    reading(&look.snapshot.logs, |logs| of_logs(logs))
}

fn of_logs(logs: &Logs) -> Markup {
    let of_log = |(name, lines): (&crate::exporter::snapshot::Label, &Reading<Lines>)| match lines {
        Reading::Known(lines) => {
            let wrong = lines.error + lines.critical;
            let words = [
                (wrong > 0).then(|| times::count(wrong, "error", "errors")),
                (lines.warning > 0).then(|| times::count(lines.warning, "warning", "warnings")),
            ];
            let words: Vec<_> = words.into_iter().flatten().collect();
            let word = if words.is_empty() { "quiet".to_owned() } else { words.join(", ") };
            Some(chip(name.as_str(), word, None, false))
        }
        Reading::Absent => None,
        Reading::Unknown(reason) => Some(unknown(name.as_str(), *reason)),
    };
    let logs_with_lines: Vec<_> = logs.lines.iter().filter_map(of_log).collect();
    Facts::default()
        .say_if(!logs_with_lines.is_empty(), things(logs_with_lines))
        .read("rate limits", &logs.rate_limited, |limited| html! { (times::number(*limited)) " rate limited" })
        .in_a_row()
}

pub(super) fn disk(look: Look<'_>) -> Markup {
    reading(&look.snapshot.home, |home| {
        let space = match (home.filesystem_available_bytes, home.filesystem_size_bytes) {
            (Reading::Known(available), Reading::Known(size)) => Reading::Known((available, size)),
            (Reading::Unknown(reason), _) | (_, Reading::Unknown(reason)) => Reading::Unknown(reason),
            _ => Reading::Absent,
        };
        Facts::default()
            .read("home", &home.bytes, |bytes| html! { "home " (times::bytes(*bytes)) })
            .read("space", &space, |(available, size)| {
                html! {
                    (gauge(1.0 - *available as f64 / (*size).max(1) as f64))
                    (times::bytes(*available)) " of " (times::bytes(*size)) " free"
                }
            })
            .in_a_row()
    })
}

/// How full something is, as a bar; what it says stands beside it in words.
fn gauge(part: f64) -> Markup {
    let width = format!("{:.0}", (part * 100.0).clamp(0.0, 100.0));
    html! {
        svg class="gauge" viewBox="0 0 100 8" preserveAspectRatio="none" aria-hidden="true" {
            rect class="all" width="100" height="8" {}
            rect class="used" width=(width) height="8" {}
        }
    }
}
