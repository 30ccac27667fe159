//! Rows about what an instance does: its sessions, its cron, what it remembers.

use maud::{Markup, html};

use super::super::reading::{Facts, reading, unknown};
use super::super::times;
use super::{Look, RowKind, chip, things};
use crate::exporter::findings::Code;
use crate::exporter::snapshot::cron::{Cron, Job, JobState};
use crate::exporter::snapshot::{Label, Reading};

pub(super) fn sessions(look: Look<'_>) -> Markup {
    reading(&look.snapshot.sessions, |sessions| {
        Facts::default()
            .read("active", &sessions.active, |active| html! { b { (times::number(*active)) } " active" })
            .read("sessions", &sessions.counts, |counts| {
                html! { (times::count(counts.current.total(), "session", "sessions")) }
            })
            .read(
                "messages",
                &sessions.messages_stored,
                |stored| html! { (times::count(*stored, "message", "messages")) },
            )
            .read("last message", &sessions.last_message, |last| html! { "last " (times::moment(*last, look.now)) })
            .in_a_row()
    })
}

/// The most jobs that are named; those with something wrong come first.
const MOST_JOBS: usize = 8;

pub(super) fn cron(look: Look<'_>) -> Markup {
    reading(&look.snapshot.cron, |cron| {
        html! {
            (of_cron(look, cron))
            @if let Reading::Known(jobs) = &cron.jobs {
                @let marked: Vec<_> = jobs.iter().filter_map(|(name, job)| Some((name, job, look.of_subject(RowKind::Cron, name.as_str())?))).collect();
                @if !marked.is_empty() {
                    div class="under" {
                        (things(marked.iter().take(MOST_JOBS).map(|(name, job, mark)| chip(name.as_str(), wrong_with(job), Some(*mark), false)).collect()))
                        @if marked.len() > MOST_JOBS { " and " (marked.len() - MOST_JOBS) " more" }
                    }
                }
            }
        }
    })
}

fn of_cron(look: Look<'_>, cron: &Cron) -> Markup {
    let ticker = |beat: &crate::system::time::Timestamp| match look.of_codes(&[Code::CronTickerStale]) {
        Some(mark) => chip("ticker", times::moment(*beat, look.now), Some(mark), false),
        None => html! { "ticker " (times::moment(*beat, look.now)) },
    };
    let count = |is_counted: &dyn Fn(&Job) -> bool| {
        cron.jobs.known().map_or(0, |jobs| jobs.values().filter(|job| is_counted(job)).count() as u64)
    };
    let overdue = count(&Job::is_late);
    let failing = count(&Job::is_failing);
    let paused = count(&|job| job.state == JobState::Paused);
    let next = cron.jobs.known().and_then(|jobs| {
        let next = jobs.values().filter_map(|job| job.next_run.known().copied());
        next.filter(|next| next.seconds() > look.now.seconds())
            .min_by(|one, other| one.seconds().total_cmp(&other.seconds()))
    });
    Facts::default()
        .read("jobs", &cron.jobs, |jobs| html! { (times::count(jobs.len() as u64, "job", "jobs")) })
        .say_if(overdue > 0, html! { b { (overdue) } " overdue" })
        .say_if(failing > 0, html! { b { (failing) } " failing" })
        .say_if(paused > 0, html! { (paused) " paused" })
        .read("next run", &Reading::from(next), |next| html! { "next " (times::moment(*next, look.now)) })
        .read("ticker", &cron.ticker_heartbeat, ticker)
        .in_a_row()
}

fn wrong_with(job: &Job) -> String {
    let parts = [
        job.is_late().then_some("overdue"),
        (job.last_run_success == Reading::Known(false)).then_some("last run failed"),
        (job.last_delivery_success == Reading::Known(false)).then_some("not delivered"),
        (job.state == JobState::Error).then_some("has no next run"),
    ];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

pub(super) fn memory(look: Look<'_>) -> Markup {
    reading(&look.snapshot.inventory, |inventory| {
        let of_file = |(name, file): (&Label, &Reading<crate::exporter::snapshot::inventory::MemoryFile>)| match file {
            Reading::Known(file) => {
                let used = file.chars as f64 / file.limit_chars.max(1) as f64;
                let mark = look.of_subject(RowKind::Memory, name.as_str());
                Some(chip(name.as_str(), format!("{:.0} % full", used * 100.0), mark, false))
            }
            Reading::Absent => None,
            Reading::Unknown(reason) => Some(unknown(name.as_str(), *reason)),
        };
        let enabled = |one: &'static str, many: &'static str| move |tally: &crate::exporter::snapshot::Tally| html! { (times::count(tally.get("enabled"), one, many)) };
        let files: Vec<_> = inventory.memory.iter().filter_map(of_file).collect();
        let facts = Facts::default()
            .say_if(!files.is_empty(), html! { span class="things" { @for file in &files { (file) " " } } })
            .read("skills", &inventory.skills, enabled("skill", "skills"))
            .read("MCP servers", &inventory.mcp_servers, enabled("MCP server", "MCP servers"));
        facts.in_a_row()
    })
}
