//! The columns of the table: what stands in them for an instance.

use anstyle::Style;

use super::looks::Looks;
use super::short_name;
use crate::exporter::findings::wording::short_duration;
use crate::exporter::findings::{Code, Findings};
use crate::exporter::snapshot::backups::RepositoryState;
use crate::exporter::snapshot::endpoints::{EndpointKind, Verdict};
use crate::exporter::snapshot::gateway::PlatformState;
use crate::exporter::snapshot::{Reading, Snapshot};
use crate::system::time::Timestamp;

/// A text and how it looks.
#[derive(Debug)]
pub(super) struct Cell {
    pub(super) text: String,
    pub(super) style: Style,
}

impl Cell {
    pub(super) fn plain(text: &str) -> Cell {
        Cell { text: text.to_owned(), style: Style::new() }
    }

    pub(super) fn width(&self) -> usize {
        self.text.chars().count()
    }
}

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Instance,
    Health,
    Gateway,
    Platforms,
    Message,
    Cron,
    Backup,
    Tokens,
    Dashboard,
}

impl Column {
    pub(super) const ALL: [Column; 9] = [
        Column::Instance,
        Column::Health,
        Column::Gateway,
        Column::Platforms,
        Column::Message,
        Column::Cron,
        Column::Backup,
        Column::Tokens,
        Column::Dashboard,
    ];

    /// Short, so that all of them fit side by side.
    pub(super) fn title(self) -> &'static str {
        match self {
            Column::Instance => "INSTANCE",
            Column::Health => "HEALTH",
            Column::Gateway => "GATEWAY",
            Column::Platforms => "PLATFORMS",
            Column::Message => "MESSAGE",
            Column::Cron => "CRON",
            Column::Backup => "BACKUP",
            Column::Tokens => "TOKENS",
            Column::Dashboard => "DASH",
        }
    }

    pub(super) fn cell(self, snapshot: &Snapshot, findings: &Findings, now: Timestamp, looks: Looks) -> Cell {
        let (reading, is_wrong): (Reading<String>, &dyn Fn(Code) -> bool) = match self {
            Column::Instance => return Cell::plain(&short_name(&looks.harmless(&snapshot.identity.name), looks)),
            Column::Health => {
                let health = findings.health();
                return Cell { text: health.as_str().to_owned(), style: looks.of_health(health) };
            }
            Column::Gateway => (gateway(snapshot, now), &|code| code.as_str().starts_with("gateway_")),
            Column::Platforms => (platforms(snapshot), &|code| code == Code::PlatformDown),
            Column::Message => (last_message(snapshot, now), &|_| false),
            Column::Cron => (cron(snapshot, findings), &|code| code.as_str().starts_with("cron_")),
            Column::Backup => (backup(snapshot, now), &|code| code.as_str().starts_with("backup_")),
            Column::Tokens => (tokens(snapshot), &|code| code.as_str().starts_with("token_")),
            Column::Dashboard => (dashboard(snapshot), &|code| code == Code::EndpointDown),
        };
        match reading {
            Reading::Known(text) => {
                let worst = findings.found.iter().filter(|finding| is_wrong(finding.code)).map(|found| found.severity);
                let style = worst.max().map_or(Style::new(), |severity| looks.of_severity(severity));
                Cell { text, style }
            }
            Reading::Absent => Cell { text: looks.absent().to_owned(), style: looks.of_asides() },
            Reading::Unknown(_) => Cell { text: looks.unknown().to_owned(), style: looks.of_unknown() },
        }
    }
}

fn age(moment: Timestamp, now: Timestamp) -> String {
    short_duration(now.seconds_since(moment))
}

/// What it does, and for how long it has been up or down.
fn gateway(snapshot: &Snapshot, now: Timestamp) -> Reading<String> {
    snapshot.gateway.as_ref().and_then(|gateway| {
        let is_up = gateway.up == Reading::Known(true);
        let since = if is_up { gateway.start_time } else { gateway.state_since };
        gateway.state.map(|state| {
            let state = state.as_str().replace('_', " ");
            match since {
                Reading::Known(since) => format!("{state} {}", age(since, now)),
                Reading::Absent | Reading::Unknown(_) => state,
            }
        })
    })
}

/// How many of them are connected.
fn platforms(snapshot: &Snapshot) -> Reading<String> {
    snapshot.gateway.as_ref().and_then(|gateway| {
        gateway.platforms.as_ref().map(|platforms| {
            let connected = platforms.values().filter(|platform| platform.state == PlatformState::Connected).count();
            format!("{connected}/{}", platforms.len())
        })
    })
}

fn last_message(snapshot: &Snapshot, now: Timestamp) -> Reading<String> {
    snapshot.sessions.as_ref().and_then(|sessions| sessions.last_message.map(|last| age(last, now)))
}

/// How many jobs are in order.
fn cron(snapshot: &Snapshot, findings: &Findings) -> Reading<String> {
    let is_about = |name| {
        let jobs = [Code::CronJobFailing, Code::CronJobOverdue, Code::CronDeliveryFailing];
        findings.found.iter().any(|finding| jobs.contains(&finding.code) && finding.subject.as_ref() == Some(name))
    };
    snapshot.cron.as_ref().and_then(|cron| {
        cron.jobs.as_ref().and_then(|jobs| {
            let in_order = jobs.keys().filter(|name| !is_about(name)).count();
            if jobs.is_empty() { Reading::Absent } else { Reading::Known(format!("{in_order}/{}", jobs.len())) }
        })
    })
}

/// The age of the oldest backup, or what is wrong with one that has none.
fn backup(snapshot: &Snapshot, now: Timestamp) -> Reading<String> {
    snapshot.backups.as_ref().and_then(|backups| {
        let mut oldest: Reading<Timestamp> = Reading::Absent;
        for repository in backups.repositories.values() {
            match repository.state {
                Reading::Known(RepositoryState::Missing | RepositoryState::NotARepository) => {
                    return Reading::Known("missing".to_owned());
                }
                Reading::Known(RepositoryState::Empty) => return Reading::Known("empty".to_owned()),
                _ => {}
            }
            oldest = match (oldest, repository.backed_up_until()) {
                (Reading::Known(one), Reading::Known(other)) if other > one => Reading::Known(one),
                (_, Reading::Known(other)) => Reading::Known(other),
                (Reading::Absent, Reading::Unknown(reason)) => Reading::Unknown(reason),
                (so_far, _) => so_far,
            };
        }
        oldest.map(|until| age(until, now))
    })
}

/// How many work, of those that are there or should be.
fn tokens(snapshot: &Snapshot) -> Reading<String> {
    snapshot.credentials.as_ref().and_then(|credentials| {
        let counts = credentials
            .tokens
            .values()
            .filter(|token| token.is_expected || !matches!(token.present, Reading::Known(false) | Reading::Absent));
        let (working, all) = counts.fold((0, 0), |(working, all), token| {
            (working + usize::from(token.valid == Reading::Known(true)), all + 1)
        });
        if all == 0 { Reading::Absent } else { Reading::Known(format!("{working}/{all}")) }
    })
}

fn dashboard(snapshot: &Snapshot) -> Reading<String> {
    snapshot.endpoints.as_ref().and_then(|endpoints| {
        let mut verdict = Reading::Absent;
        let dashboards = endpoints.0.values().filter(|endpoint| endpoint.kind == EndpointKind::HermesDashboard);
        for probe in dashboards.map(|endpoint| endpoint.probe) {
            match (probe, verdict) {
                (Reading::Known(probe), _) if probe.verdict != Verdict::Up => {
                    return Reading::Known("down".to_owned());
                }
                (Reading::Unknown(reason), _) => verdict = Reading::Unknown(reason),
                (Reading::Known(_), Reading::Absent) => verdict = Reading::Known("up"),
                _ => {}
            }
        }
        verdict.map(str::to_owned)
    })
}
