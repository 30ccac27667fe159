//! Snapshots in which all is well but for what a test changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::exporter::findings::{CollectorRun, Label, Reason, Snapshot};
use crate::exporter::snapshot::backups::{Artifacts, Backups, ForbiddenFiles, Repository, RepositoryState};
use crate::exporter::snapshot::credentials::{Credentials, Token};
use crate::exporter::snapshot::cron::{Cron, Job, JobState};
use crate::exporter::snapshot::endpoints::{Endpoint, EndpointKind, Endpoints, Probe, Verdict};
use crate::exporter::snapshot::exposure::{Exposure, Listener, Scope};
use crate::exporter::snapshot::gateway::{Gateway, GatewayState, Platform, PlatformState};
use crate::exporter::snapshot::guardrails::Guardrails;
use crate::exporter::snapshot::home::Home;
use crate::exporter::snapshot::inventory::{Inventory, MemoryFile, Update};
use crate::exporter::snapshot::tailscale::{Tailscale, TailscaleState};
use crate::exporter::snapshot::units::{Timer, Unit, UnitState, Units};
use crate::exporter::snapshot::{Fleet, Identity, Problem, Reading, Source, Tally};
use crate::system::time::Timestamp;
use Reading::{Absent, Known};

pub(super) const UNKNOWN: Reason = Reason::Permission;
pub(super) const MINUTE: f64 = 60.0;
pub(super) const HOUR: f64 = 60.0 * MINUTE;
pub(super) const DAY: f64 = 24.0 * HOUR;

pub(super) fn unknown<T>() -> Reading<T> {
    Reading::Unknown(UNKNOWN)
}

pub(super) fn now() -> Timestamp {
    ago(0.0)
}

pub(super) fn ago(seconds: f64) -> Timestamp {
    Timestamp::from_seconds(1_795_000_000.0 - seconds).unwrap()
}

pub(super) fn label(text: &str) -> Label {
    Label::new(text)
}

/// A fleet of one instance of which nothing is known but what `change` says.
pub(super) fn fleet(change: impl FnOnce(&mut Snapshot)) -> Fleet {
    let identity = Identity {
        name: "vijay".to_owned(),
        user: "root".to_owned(),
        profile: "default".to_owned(),
        source: Source::Local,
    };
    let mut snapshot = Snapshot::at(now(), identity);
    change(&mut snapshot);
    Fleet { instances: vec![Arc::new(snapshot)], ..Fleet::at(now()) }
}

pub(super) fn gateway(change: impl FnOnce(&mut Gateway)) -> Fleet {
    let mut gateway = running();
    change(&mut gateway);
    fleet(|snapshot| snapshot.gateway = Known(Arc::new(gateway)))
}

pub(super) fn running() -> Gateway {
    Gateway {
        up: Known(true),
        state: Known(GatewayState::Running),
        start_time: Known(ago(DAY)),
        heartbeat: Known(ago(10.0)),
        processes: Known(1),
        recent_starts: Known(1),
        ..Gateway::default()
    }
}

/// The gateway of another profile that serves this one, too.
pub(super) fn served() -> Gateway {
    Gateway { served_by: Known(label("default")), ..running() }
}

pub(super) fn down(state: GatewayState) -> Fleet {
    gateway(|gateway| (gateway.up, gateway.state, gateway.start_time) = (Known(false), Known(state), Absent))
}

pub(super) fn platform(state: PlatformState) -> Fleet {
    gateway(|gateway| gateway.platforms = Known([(label("telegram"), Platform { state, error_code: None })].into()))
}

pub(super) fn service(role: &str, state: Reading<UnitState>) -> Unit {
    let up = state.map(|state| state.is_at_work());
    Unit {
        unit: label(&format!("{role}.service")),
        role: label(role),
        up,
        state,
        enabled: Absent,
        restarts: Absent,
        failures: Absent,
        start_time: Absent,
        timer: Absent,
        managers: BTreeMap::new(),
        is_expected: true,
        state_since: Known(ago(MINUTE)),
    }
}

pub(super) fn units(units: impl IntoIterator<Item = Unit>) -> Fleet {
    fleet(|snapshot| snapshot.units = Known(Arc::new(Units(units.into_iter().collect()))))
}

pub(super) fn unit(role: &str, state: UnitState) -> Fleet {
    units([service(role, Known(state))])
}

/// A timer of backups, and the service that it starts.
pub(super) fn timer(
    next_trigger: Reading<Timestamp>,
    last_trigger: Reading<Timestamp>,
    state: Reading<UnitState>,
) -> Fleet {
    let timer = Unit {
        unit: label("backup.timer"),
        timer: Known(Timer { last_trigger, next_trigger }),
        ..service("backup", Known(UnitState::Active))
    };
    let started = Unit { up: Known(true), ..service("backup", state) };
    units([timer, started])
}

pub(super) fn due(seconds: f64) -> Fleet {
    timer(Known(ago(seconds)), Known(ago(DAY)), Known(UnitState::Inactive))
}

pub(super) fn endpoint(change: impl FnOnce(&mut Endpoint)) -> Fleet {
    let probe = Probe {
        verdict: Verdict::Up,
        duration_seconds: 0.01,
        status_code: Known(200),
        certificate_expiry: Known(ago(-90.0 * DAY)),
        access: Absent,
    };
    let mut endpoint = Endpoint { kind: EndpointKind::Http, probe: Known(probe) };
    change(&mut endpoint);
    fleet(|snapshot| snapshot.endpoints = Known(Arc::new(Endpoints([(label("site"), endpoint)].into()))))
}

pub(super) fn probe(change: impl FnOnce(&mut Probe)) -> Fleet {
    endpoint(|endpoint| {
        if let Known(probe) = &mut endpoint.probe {
            change(probe);
        }
    })
}

pub(super) fn certificate(left: f64) -> Fleet {
    probe(|probe| probe.certificate_expiry = Known(ago(-left)))
}

pub(super) fn backups(change: impl FnOnce(&mut Backups)) -> Fleet {
    let mut backups = Backups::default();
    change(&mut backups);
    fleet(|snapshot| snapshot.backups = Known(Arc::new(backups)))
}

pub(super) fn repository(change: impl FnOnce(&mut Repository)) -> Fleet {
    let mut repository = Repository {
        state: Known(RepositoryState::Ready),
        max_age_seconds: Known(26.0 * HOUR),
        newest_commit: Known(ago(HOUR)),
        newest_pushed_commit: Known(ago(HOUR)),
        unpushed_commits: Known(0),
        dirty_files: Known(0),
        forbidden: Known(ForbiddenFiles::default()),
        ..Repository::default()
    };
    change(&mut repository);
    backups(|backups| {
        backups.repositories.insert(label("vm"), repository);
    })
}

pub(super) fn aged(age: f64) -> Fleet {
    repository(|repository| repository.newest_pushed_commit = Known(ago(age)))
}

pub(super) fn unpushed(age: f64) -> Fleet {
    repository(|repository| {
        (repository.unpushed_commits, repository.oldest_unpushed_commit) = (Known(2), Known(ago(age)));
    })
}

pub(super) fn leaking(current: u64, ever: u64) -> Fleet {
    let tally = |count| Tally::capped([(label("env_file"), count)].into());
    repository(|repository| {
        repository.forbidden = Known(ForbiddenFiles { current: tally(current), ever: tally(ever) });
    })
}

pub(super) fn artifacts(newest: Reading<Timestamp>) -> Reading<Artifacts> {
    Known(Artifacts {
        files: u64::from(newest.known().is_some()),
        newest,
        newest_bytes: newest.map(|_| 5_000),
        max_age_seconds: Known(8.0 * DAY),
    })
}

pub(super) fn drill(newest: Reading<Timestamp>) -> Fleet {
    backups(|backups| backups.restore_drills = artifacts(newest))
}

pub(super) fn bundle(newest: Reading<Timestamp>, bytes: u64) -> Fleet {
    let artifacts = artifacts(newest).map(|artifacts| Artifacts { newest_bytes: Known(bytes), ..artifacts });
    backups(|backups| backups.emergency_bundles = artifacts)
}

pub(super) fn token(change: impl FnOnce(&mut Token)) -> Fleet {
    let mut token = Token {
        present: Known(true),
        valid: Known(true),
        refreshable: Known(false),
        expiry: Known(ago(-90.0 * DAY)),
        is_expected: true,
        ..Token::MISSING
    };
    change(&mut token);
    let credentials = Credentials { tokens: [(label("google"), token)].into(), pools: Absent, env_keys: Absent };
    fleet(|snapshot| snapshot.credentials = Known(Arc::new(credentials)))
}

pub(super) fn expiring(left: f64) -> Fleet {
    token(|token| token.expiry = Known(ago(-left)))
}

pub(super) fn cron_with(gateway: Gateway, change: impl FnOnce(&mut Cron, &mut Job)) -> Fleet {
    let mut job = Job {
        state: JobState::Scheduled,
        overdue: false,
        last_run: Known(ago(HOUR)),
        last_run_success: Known(true),
        last_delivery_success: Known(true),
        next_run: Known(ago(-HOUR)),
        last_duration_seconds: Absent,
    };
    let mut cron = Cron {
        jobs: Absent,
        executions: Absent,
        ticker_heartbeat: Known(ago(30.0)),
        ticker_last_success: Known(ago(30.0)),
    };
    change(&mut cron, &mut job);
    if cron.jobs == Absent {
        cron.jobs = Known([(label("26b5"), job)].into());
    }
    fleet(|snapshot| {
        (snapshot.gateway, snapshot.cron) = (Known(Arc::new(gateway)), Known(Arc::new(cron)));
    })
}

pub(super) fn job(change: impl FnOnce(&mut Job)) -> Fleet {
    cron_with(running(), |_, job| change(job))
}

pub(super) fn ticked(age: f64) -> Fleet {
    cron_with(running(), |cron, _| cron.ticker_heartbeat = Known(ago(age)))
}

pub(super) fn unknown_jobs() -> Fleet {
    cron_with(running(), |cron, _| cron.jobs = unknown())
}

pub(super) fn inventory(change: impl FnOnce(&mut Inventory)) -> Fleet {
    let mut inventory = Inventory {
        version: Absent,
        config_version: Absent,
        memory: BTreeMap::new(),
        skills: Absent,
        mcp_servers: Absent,
        webhooks: Absent,
        paired_users: Absent,
        kanban_tasks: Absent,
        delivery_obligations: Absent,
        delegations: Absent,
        dead_targets: Absent,
        update: Absent,
    };
    change(&mut inventory);
    fleet(|snapshot| snapshot.inventory = Known(Arc::new(inventory)))
}

pub(super) fn memory(file: Reading<MemoryFile>) -> Fleet {
    inventory(|inventory| {
        inventory.memory.insert(label("MEMORY.md"), file);
    })
}

pub(super) fn remembered(chars: u64) -> Fleet {
    memory(Known(MemoryFile { chars, limit_chars: 1_000 }))
}

pub(super) fn update(available: Reading<bool>, behind_commits: Reading<u64>) -> Fleet {
    inventory(|inventory| inventory.update = Known(Update { checked: Known(ago(HOUR)), available, behind_commits }))
}

pub(super) fn disk(available: Reading<u64>) -> Fleet {
    let home = Home { bytes: Absent, filesystem_available_bytes: available, filesystem_size_bytes: Known(1_000) };
    fleet(|snapshot| snapshot.home = Known(Arc::new(home)))
}

pub(super) fn listening(listeners: Reading<Vec<(u16, Scope)>>, private_listeners: Reading<bool>) -> Fleet {
    let listener = |(port, scope)| Listener { port, scope, program: label("hermes-dashboard") };
    let listeners = listeners.map(|listeners| listeners.into_iter().map(listener).collect());
    fleet(|snapshot| snapshot.exposure = Known(Arc::new(Exposure { listeners, private_listeners })))
}

pub(super) fn guardrails(change: impl FnOnce(&mut Guardrails)) -> Fleet {
    let mut guardrails = Guardrails {
        approvals_enforced: Known(true),
        secrets_redacted: Known(true),
        // As Hermes comes.
        pii_redacted: Known(false),
        home_private: Known(true),
        secrets_private: Known(true),
    };
    change(&mut guardrails);
    fleet(|snapshot| snapshot.guardrails = Known(Arc::new(guardrails)))
}

pub(super) fn tailscale(change: impl FnOnce(&mut Tailscale)) -> Fleet {
    let mut tailscale = Tailscale {
        state: TailscaleState::Running,
        online: Known(true),
        version: Absent,
        key_expiry: Known(ago(-90.0 * DAY)),
        health_warnings: Known(0),
        addresses: Vec::new(),
    };
    change(&mut tailscale);
    Fleet { tailscale: Known(Arc::new(tailscale)), ..Fleet::at(now()) }
}

pub(super) fn key(left: f64) -> Fleet {
    tailscale(|tailscale| tailscale.key_expiry = Known(ago(-left)))
}

pub(super) fn unknown_tailscale() -> Fleet {
    Fleet { tailscale: unknown(), ..Fleet::at(now()) }
}

pub(super) fn reported(age: f64, source: Source) -> Fleet {
    fleet(|snapshot| {
        (snapshot.taken_at, snapshot.identity.source) = (ago(age), source);
        let run = |reason| vec![Problem { reason, subject: "report".to_owned() }];
        snapshot.collectors = vec![CollectorRun {
            collector: "report".to_owned(),
            duration_seconds: 0.001,
            problems: if age > HOUR { run(Reason::Stale) } else { Vec::new() },
            failing_since: (age > HOUR).then(|| ago(age)),
        }];
    })
}

/// An instance whose report could not be read for so long.
pub(super) fn without_report(reason: Reason, since: f64) -> Fleet {
    fleet(|snapshot| {
        snapshot.identity.source = Source::Report;
        snapshot.collectors = vec![CollectorRun {
            collector: "report".to_owned(),
            duration_seconds: 0.001,
            problems: vec![Problem { reason, subject: "report".to_owned() }],
            failing_since: Some(ago(since)),
        }];
    })
}

pub(super) fn failing(since: Option<f64>) -> Fleet {
    fleet(|snapshot| {
        snapshot.collectors = vec![CollectorRun {
            collector: "cron".to_owned(),
            duration_seconds: 0.001,
            problems: vec![Problem { reason: UNKNOWN, subject: "cron/jobs.json".to_owned() }],
            failing_since: since.map(ago),
        }];
    })
}

/// A home that could not be looked at since then, which every collector says.
pub(super) fn without_home(since: f64) -> Fleet {
    let run = |collector: &str| CollectorRun {
        collector: collector.to_owned(),
        duration_seconds: 0.001,
        problems: vec![Problem { reason: UNKNOWN, subject: "home".to_owned() }],
        failing_since: Some(ago(since)),
    };
    fleet(|snapshot| snapshot.collectors = ["gateway", "cron", "home"].map(run).to_vec())
}
