//! Every rule: on Snapshots that have what it finds, that have not, and where it can not be told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::*;
use crate::exporter::snapshot::backups::{Artifacts, Backups, ForbiddenFiles, Repository, RepositoryState};
use crate::exporter::snapshot::credentials::{Credentials, Token};
use crate::exporter::snapshot::cron::{Cron, Job, JobState};
use crate::exporter::snapshot::endpoints::{Endpoint, EndpointKind, Endpoints, Failure, Probe, Verdict};
use crate::exporter::snapshot::exposure::{Exposure, Listener, Scope};
use crate::exporter::snapshot::gateway::{Gateway, GatewayState, Platform, PlatformState};
use crate::exporter::snapshot::guardrails::Guardrails;
use crate::exporter::snapshot::home::Home;
use crate::exporter::snapshot::inventory::{Inventory, MemoryFile, Update};
use crate::exporter::snapshot::tailscale::{Tailscale, TailscaleState};
use crate::exporter::snapshot::units::{Timer, Unit, UnitState, Units};
use crate::exporter::snapshot::{FORMAT, Identity, Problem, Reading, Tally, Threshold, Thresholds};
use Reading::{Absent, Known};
use Severity::{Critical, Info, Warning};

const UNKNOWN: Reason = Reason::Permission;
const MINUTE: f64 = 60.0;
const HOUR: f64 = 60.0 * MINUTE;
const DAY: f64 = 24.0 * HOUR;

fn unknown<T>() -> Reading<T> {
    Reading::Unknown(UNKNOWN)
}

fn now() -> Timestamp {
    ago(0.0)
}

fn ago(seconds: f64) -> Timestamp {
    Timestamp::from_seconds(1_795_000_000.0 - seconds).unwrap()
}

fn label(text: &str) -> Label {
    Label::new(text)
}

/// A fleet of one instance of which nothing is known but what `change` says.
fn fleet(change: impl FnOnce(&mut Snapshot)) -> Fleet {
    let mut snapshot = Snapshot {
        format: FORMAT,
        identity: Identity {
            name: "vijay".to_owned(),
            user: "root".to_owned(),
            profile: "default".to_owned(),
            source: Source::Local,
        },
        taken_at: now(),
        thresholds: Thresholds::default(),
        ignored_findings: Vec::new(),
        collectors: Vec::new(),
        gateway: Absent,
        sessions: Absent,
        activity: Absent,
        cron: Absent,
        credentials: Absent,
        inventory: Absent,
        home: Absent,
        units: Absent,
        endpoints: Absent,
        exposure: Absent,
        guardrails: Absent,
        backups: Absent,
        logs: Absent,
    };
    change(&mut snapshot);
    Fleet { instances: vec![Arc::new(snapshot)], ..Fleet::at(now()) }
}

fn gateway(change: impl FnOnce(&mut Gateway)) -> Fleet {
    let mut gateway = running();
    change(&mut gateway);
    fleet(|snapshot| snapshot.gateway = Known(Arc::new(gateway)))
}

fn running() -> Gateway {
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

fn down(state: GatewayState) -> Fleet {
    gateway(|gateway| (gateway.up, gateway.state, gateway.start_time) = (Known(false), Known(state), Absent))
}

fn platform(state: PlatformState) -> Fleet {
    gateway(|gateway| gateway.platforms = Known([(label("telegram"), Platform { state, error_code: None })].into()))
}

fn service(role: &str, state: Reading<UnitState>) -> Unit {
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

fn units(units: impl IntoIterator<Item = Unit>) -> Fleet {
    fleet(|snapshot| snapshot.units = Known(Arc::new(Units(units.into_iter().collect()))))
}

fn unit(role: &str, state: UnitState) -> Fleet {
    units([service(role, Known(state))])
}

/// A timer of backups, and the service that it starts.
fn timer(next_trigger: Reading<Timestamp>, last_trigger: Reading<Timestamp>, state: Reading<UnitState>) -> Fleet {
    let timer = Unit {
        unit: label("backup.timer"),
        timer: Known(Timer { last_trigger, next_trigger }),
        ..service("backup", Known(UnitState::Active))
    };
    let started = Unit { up: Known(true), ..service("backup", state) };
    units([timer, started])
}

fn due(seconds: f64) -> Fleet {
    timer(Known(ago(seconds)), Known(ago(DAY)), Known(UnitState::Inactive))
}

fn endpoint(change: impl FnOnce(&mut Endpoint)) -> Fleet {
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

fn probe(change: impl FnOnce(&mut Probe)) -> Fleet {
    endpoint(|endpoint| {
        if let Known(probe) = &mut endpoint.probe {
            change(probe);
        }
    })
}

fn certificate(left: f64) -> Fleet {
    probe(|probe| probe.certificate_expiry = Known(ago(-left)))
}

fn backups(change: impl FnOnce(&mut Backups)) -> Fleet {
    let mut backups = Backups::default();
    change(&mut backups);
    fleet(|snapshot| snapshot.backups = Known(Arc::new(backups)))
}

fn repository(change: impl FnOnce(&mut Repository)) -> Fleet {
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

fn aged(age: f64) -> Fleet {
    repository(|repository| repository.newest_pushed_commit = Known(ago(age)))
}

fn unpushed(age: f64) -> Fleet {
    repository(|repository| {
        (repository.unpushed_commits, repository.oldest_unpushed_commit) = (Known(2), Known(ago(age)));
    })
}

fn leaking(current: u64, ever: u64) -> Fleet {
    let tally = |count| Tally::capped([(label("env_file"), count)].into());
    repository(|repository| {
        repository.forbidden = Known(ForbiddenFiles { current: tally(current), ever: tally(ever) });
    })
}

fn artifacts(newest: Reading<Timestamp>) -> Reading<Artifacts> {
    Known(Artifacts {
        files: u64::from(newest.known().is_some()),
        newest,
        newest_bytes: newest.map(|_| 5_000),
        max_age_seconds: Known(8.0 * DAY),
    })
}

fn drill(newest: Reading<Timestamp>) -> Fleet {
    backups(|backups| backups.restore_drills = artifacts(newest))
}

fn bundle(newest: Reading<Timestamp>, bytes: u64) -> Fleet {
    let artifacts = artifacts(newest).map(|artifacts| Artifacts { newest_bytes: Known(bytes), ..artifacts });
    backups(|backups| backups.emergency_bundles = artifacts)
}

fn token(change: impl FnOnce(&mut Token)) -> Fleet {
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

fn expiring(left: f64) -> Fleet {
    token(|token| token.expiry = Known(ago(-left)))
}

fn cron_with(gateway: Gateway, change: impl FnOnce(&mut Cron, &mut Job)) -> Fleet {
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

fn job(change: impl FnOnce(&mut Job)) -> Fleet {
    cron_with(running(), |_, job| change(job))
}

fn ticked(age: f64) -> Fleet {
    cron_with(running(), |cron, _| cron.ticker_heartbeat = Known(ago(age)))
}

fn unknown_jobs() -> Fleet {
    cron_with(running(), |cron, _| cron.jobs = unknown())
}

fn inventory(change: impl FnOnce(&mut Inventory)) -> Fleet {
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

fn memory(file: Reading<MemoryFile>) -> Fleet {
    inventory(|inventory| {
        inventory.memory.insert(label("MEMORY.md"), file);
    })
}

fn remembered(chars: u64) -> Fleet {
    memory(Known(MemoryFile { chars, limit_chars: 1_000 }))
}

fn update(available: Reading<bool>, behind_commits: Reading<u64>) -> Fleet {
    inventory(|inventory| inventory.update = Known(Update { checked: Known(ago(HOUR)), available, behind_commits }))
}

fn disk(available: Reading<u64>) -> Fleet {
    let home = Home { bytes: Absent, filesystem_available_bytes: available, filesystem_size_bytes: Known(1_000) };
    fleet(|snapshot| snapshot.home = Known(Arc::new(home)))
}

fn listening(listeners: Reading<Vec<(u16, Scope)>>, private_listeners: Reading<bool>) -> Fleet {
    let listener = |(port, scope)| Listener { port, scope, program: label("hermes-dashboard") };
    let listeners = listeners.map(|listeners| listeners.into_iter().map(listener).collect());
    fleet(|snapshot| snapshot.exposure = Known(Arc::new(Exposure { listeners, private_listeners })))
}

fn guardrails(change: impl FnOnce(&mut Guardrails)) -> Fleet {
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

fn tailscale(change: impl FnOnce(&mut Tailscale)) -> Fleet {
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

fn key(left: f64) -> Fleet {
    tailscale(|tailscale| tailscale.key_expiry = Known(ago(-left)))
}

fn unknown_tailscale() -> Fleet {
    Fleet { tailscale: unknown(), ..Fleet::at(now()) }
}

fn reported(age: f64, source: Source) -> Fleet {
    fleet(|snapshot| (snapshot.taken_at, snapshot.identity.source) = (ago(age), source))
}

fn failing(since: Option<f64>) -> Fleet {
    fleet(|snapshot| {
        snapshot.collectors = vec![CollectorRun {
            collector: "cron".to_owned(),
            duration_seconds: 0.001,
            problems: vec![Problem { reason: UNKNOWN, subject: "cron/jobs.json".to_owned() }],
            failing_since: since.map(ago),
        }];
    })
}

/// What is found in fleets that have it, with the sentence about it; and what is not in others.
struct Case {
    code: Code,
    found: Vec<(Severity, &'static str, Fleet)>,
    not_found: Vec<Fleet>,
    unknown: Fleet,
}

fn case(code: Code) -> Case {
    let (found, not_found, unknown) = match code {
        Code::GatewayDown => (
            vec![
                (Critical, "The gateway is stopped", down(GatewayState::Stopped)),
                (Critical, "The gateway failed to start", down(GatewayState::StartupFailed)),
                (
                    Critical,
                    "The gateway does not run",
                    gateway(|gateway| {
                        (gateway.up, gateway.state) = (Known(false), unknown());
                    }),
                ),
                (
                    Critical,
                    "The gateway is still starting, for 5 min so far",
                    gateway(|gateway| {
                        (gateway.up, gateway.state) = (Known(false), Known(GatewayState::Starting));
                        gateway.start_time = Known(ago(5.0 * MINUTE));
                    }),
                ),
            ],
            vec![
                gateway(|_| ()),
                gateway(|gateway| {
                    (gateway.up, gateway.state) = (Known(false), Known(GatewayState::Starting));
                    gateway.start_time = Known(ago(30.0));
                }),
            ],
            gateway(|gateway| (gateway.up, gateway.state) = (unknown(), unknown())),
        ),
        Code::GatewayCrashed => (
            vec![(Critical, "The gateway has crashed: its process is gone", down(GatewayState::Crashed))],
            vec![gateway(|_| ())],
            fleet(|snapshot| snapshot.gateway = unknown()),
        ),
        Code::GatewayFrozen => (
            vec![(
                Critical,
                "The gateway is frozen: its process is there, and its heart last beat 10 s ago",
                down(GatewayState::Frozen),
            )],
            vec![gateway(|_| ())],
            gateway(|gateway| gateway.up = unknown()),
        ),
        Code::GatewayCrashLooping => (
            vec![(
                Critical,
                "The gateway was started 7 times within 15 min",
                gateway(|gateway| {
                    gateway.recent_starts = Known(7);
                }),
            )],
            vec![gateway(|gateway| gateway.recent_starts = Known(2))],
            gateway(|gateway| gateway.recent_starts = unknown()),
        ),
        Code::GatewayDuplicated => (
            vec![(
                Critical,
                "2 gateway processes serve this home, and get in each other's way",
                gateway(|gateway| {
                    gateway.processes = Known(2);
                }),
            )],
            vec![gateway(|gateway| gateway.processes = Known(0))],
            gateway(|gateway| gateway.processes = unknown()),
        ),
        Code::GatewayDegraded => (
            vec![(
                Warning,
                "The gateway is degraded: it is at work, and part of it fails",
                gateway(|gateway| {
                    gateway.state = Known(GatewayState::Degraded);
                }),
            )],
            vec![gateway(|_| ())],
            gateway(|gateway| gateway.state = unknown()),
        ),
        Code::PlatformDown => (
            vec![
                (Critical, "The platform \"telegram\" has failed for good", platform(PlatformState::Fatal)),
                (
                    Warning,
                    "The platform \"telegram\" has failed, and is tried again",
                    platform(PlatformState::Retrying),
                ),
                (Warning, "The platform \"telegram\" is disconnected", platform(PlatformState::Disconnected)),
                (Info, "The platform \"telegram\" is paused", platform(PlatformState::Paused)),
            ],
            [PlatformState::Connecting, PlatformState::Connected, PlatformState::Other].map(platform).into(),
            gateway(|gateway| gateway.platforms = unknown()),
        ),
        Code::UnitFailed => (
            vec![
                (
                    Critical,
                    "The unit \"gateway.service\" has failed, and nobody starts it again",
                    unit("gateway", UnitState::Failed),
                ),
                (
                    Warning,
                    "The unit \"backup.service\" can not be loaded: its file is wrong",
                    unit("backup", UnitState::LoadFailed),
                ),
                (
                    Warning,
                    "The unit \"backup.service\" is masked: it must not be started",
                    unit("backup", UnitState::Masked),
                ),
                (Warning, "There is no unit \"backup.service\"", unit("backup", UnitState::NotFound)),
                (
                    Warning,
                    "Nobody runs the unit \"backup.service\": its manager is not there",
                    unit("backup", UnitState::NoManager),
                ),
            ],
            [UnitState::NotFound, UnitState::NoManager]
                .map(|state| units([Unit { is_expected: false, ..service("gateway", Known(state)) }]))
                .into(),
            units([service("backup", unknown())]),
        ),
        Code::UnitDown => (
            vec![
                (Critical, "The unit \"gateway.service\" is down", unit("gateway", UnitState::Inactive)),
                (Warning, "The unit \"dashboard.service\" is down", unit("dashboard", UnitState::Inactive)),
                (
                    Warning,
                    "The unit \"gateway.service\" is down (coming up, or waiting to be started again)",
                    unit("gateway", UnitState::Activating),
                ),
                (
                    Warning,
                    "The unit \"gateway.service\" is down (going down)",
                    unit("gateway", UnitState::Deactivating),
                ),
            ],
            vec![
                unit("dashboard", UnitState::Active),
                // A service that a timer starts.
                units([Unit { up: Known(true), ..service("backup", Known(UnitState::Inactive)) }]),
            ],
            units([service("dashboard", unknown())]),
        ),
        Code::TimerNotFiring => (
            vec![
                (Warning, "The timer \"backup.timer\" should have fired 20 min ago", due(20.0 * MINUTE)),
                (
                    Warning,
                    "The timer \"backup.timer\" will not fire again",
                    timer(Absent, Known(ago(DAY)), Known(UnitState::Inactive)),
                ),
                (
                    Warning,
                    "The timer \"backup.timer\" has never fired, and will not",
                    timer(Absent, Absent, Known(UnitState::Inactive)),
                ),
            ],
            vec![
                due(MINUTE),
                due(-HOUR),
                // While its service is at work.
                timer(Absent, Known(ago(HOUR)), Known(UnitState::Activating)),
                timer(Known(ago(HOUR)), Known(ago(HOUR)), Known(UnitState::Active)),
                // It has only just fired.
                timer(Absent, Known(ago(MINUTE)), Known(UnitState::Inactive)),
            ],
            timer(Absent, Known(ago(DAY)), unknown()),
        ),
        Code::EndpointDown => (
            vec![
                (
                    Warning,
                    "The endpoint \"site\" is down: nobody listens there",
                    probe(|probe| probe.verdict = Verdict::Down(Failure::Refused)),
                ),
                (
                    Warning,
                    "The endpoint \"site\" is down: it answers with the status 502",
                    probe(|probe| {
                        (probe.verdict, probe.status_code) = (Verdict::Down(Failure::Status), Known(502));
                    }),
                ),
            ],
            vec![probe(|_| ())],
            endpoint(|endpoint| endpoint.probe = unknown()),
        ),
        Code::CertificateExpiring => (
            vec![
                (Warning, "The certificate of the endpoint \"site\" expires in 3 days", certificate(3.5 * DAY)),
                (Critical, "The certificate of the endpoint \"site\" expired 2 h ago", certificate(-2.5 * HOUR)),
            ],
            vec![certificate(60.0 * DAY)],
            probe(|probe| probe.certificate_expiry = unknown()),
        ),
        Code::BackupMissing => (
            vec![
                (
                    Critical,
                    "The backup \"vm\" is missing: there is nothing at its path",
                    repository(|repository| {
                        *repository = Repository { state: Known(RepositoryState::Missing), ..Repository::default() }
                    }),
                ),
                (
                    Critical,
                    "The backup \"vm\" is missing: what is at its path is no repository",
                    repository(|repository| repository.state = Known(RepositoryState::NotARepository)),
                ),
                (
                    Critical,
                    "The backup \"vm\" is empty: it has no commit",
                    repository(|repository| repository.state = Known(RepositoryState::Empty)),
                ),
            ],
            vec![repository(|_| ())],
            repository(|repository| *repository = Repository { state: unknown(), ..Repository::default() }),
        ),
        Code::BackupStale => (
            vec![
                (Warning, "The backup \"vm\" is 31 h old; it may be 26 h", aged(31.5 * HOUR)),
                (Critical, "The backup \"vm\" is 3 days old; it may be 26 h", aged(3.2 * DAY)),
            ],
            vec![
                aged(HOUR),
                repository(|repository| {
                    (repository.max_age_seconds, repository.newest_pushed_commit) = (Absent, Known(ago(DAY * 9.0)));
                }),
            ],
            repository(|repository| repository.newest_pushed_commit = unknown()),
        ),
        Code::BackupInterrupted => (
            vec![(
                Warning,
                "The backup \"vm\" is in the middle of a rebase, a merge or the like, which somebody has to finish",
                repository(|repository| repository.state = Known(RepositoryState::Interrupted)),
            )],
            vec![repository(|_| ())],
            repository(|repository| repository.state = unknown()),
        ),
        Code::BackupUnpushed => (
            vec![
                (Warning, "2 commits of \"vm\" have not been pushed for 3 h", unpushed(3.5 * HOUR)),
                (
                    Warning,
                    "1 commit of \"vm\" has not been pushed for 2 days",
                    repository(|repository| {
                        (repository.unpushed_commits, repository.oldest_unpushed_commit) =
                            (Known(1), Known(ago(2.0 * DAY)));
                    }),
                ),
            ],
            vec![unpushed(MINUTE)],
            repository(|repository| repository.oldest_unpushed_commit = unknown()),
        ),
        Code::BackupDirty => (
            vec![
                (
                    Info,
                    "The backup \"vm\" has 3 files that are not committed",
                    repository(|repository| repository.dirty_files = Known(3)),
                ),
                (
                    Info,
                    "The backup \"vm\" has 1 file that is not committed",
                    repository(|repository| repository.dirty_files = Known(1)),
                ),
            ],
            vec![repository(|_| ())],
            repository(|repository| repository.dirty_files = unknown()),
        ),
        Code::BackupLeaking => (
            vec![
                (Critical, "The backup \"vm\" has 1 file that looks like a secret or a live database", leaking(1, 2)),
                (
                    Warning,
                    "The history of the backup \"vm\" has 2 files that look like secrets or live databases",
                    leaking(0, 2),
                ),
            ],
            vec![leaking(0, 0)],
            repository(|repository| repository.forbidden = unknown()),
        ),
        Code::RestoreDrillOverdue => (
            vec![
                (Warning, "The newest restore drill is 9 days old; it may be 8 days", drill(Known(ago(9.0 * DAY)))),
                (Warning, "There is no restore drill", drill(Absent)),
            ],
            vec![drill(Known(ago(DAY))), backups(|_| ())],
            drill(unknown()),
        ),
        Code::EmergencyBundleOverdue => (
            vec![
                (
                    Warning,
                    "The newest emergency bundle is 9 days old; it may be 8 days",
                    bundle(Known(ago(9.0 * DAY)), 5),
                ),
                (Warning, "The newest emergency bundle is empty", bundle(Known(ago(DAY)), 0)),
                (Warning, "There is no emergency bundle", bundle(Absent, 5)),
            ],
            vec![bundle(Known(ago(DAY)), 5), backups(|_| ())],
            backups(|backups| backups.emergency_bundles = unknown()),
        ),
        Code::TokenMissing => (
            vec![(
                Warning,
                "The token \"google\" is not there",
                token(|token| {
                    *token = Token { is_expected: true, ..Token::MISSING };
                }),
            )],
            vec![token(|token| *token = Token { is_expected: false, ..Token::MISSING })],
            token(|token| token.present = unknown()),
        ),
        Code::TokenInvalid => (
            vec![
                (
                    Warning,
                    "The token \"google\" is not valid: it expired 2 h ago",
                    token(|token| {
                        (token.valid, token.expiry) = (Known(false), Known(ago(2.5 * HOUR)));
                    }),
                ),
                (
                    Warning,
                    "The token \"google\" is not valid",
                    token(|token| {
                        (token.valid, token.expiry) = (Known(false), Absent);
                    }),
                ),
            ],
            vec![token(|_| ())],
            token(|token| token.valid = unknown()),
        ),
        Code::TokenExpiring => (
            vec![(Warning, "The token \"google\" expires in 3 days, and can not be refreshed", expiring(3.5 * DAY))],
            vec![
                expiring(60.0 * DAY),
                token(|token| {
                    (token.refreshable, token.expiry) = (Known(true), Known(ago(-HOUR)));
                }),
            ],
            token(|token| token.expiry = unknown()),
        ),
        Code::CronTickerStale => (
            vec![(Critical, "Cron's ticker has not gone round for 10 min, and starts no jobs", ticked(10.0 * MINUTE))],
            vec![
                ticked(MINUTE),
                // The gateway has only just come up, and finds what its predecessor left.
                cron_with(Gateway { start_time: Known(ago(MINUTE)), ..running() }, |cron, _| {
                    cron.ticker_heartbeat = Known(ago(DAY));
                }),
            ],
            cron_with(running(), |cron, _| cron.ticker_heartbeat = unknown()),
        ),
        Code::CronJobFailing => (
            vec![
                (
                    Warning,
                    "The last run of the cron job \"26b5\" failed",
                    job(|job| job.last_run_success = Known(false)),
                ),
                (
                    Warning,
                    "The cron job \"26b5\" has an error: Hermes can not tell when to run it again",
                    job(|job| job.state = JobState::Error),
                ),
            ],
            vec![job(|_| ()), job(|job| (job.state, job.last_run_success) = (JobState::Paused, Known(false)))],
            job(|job| job.last_run_success = unknown()),
        ),
        Code::CronJobOverdue => (
            vec![(
                Warning,
                "The cron job \"26b5\" should have run 3 h ago",
                job(|job| {
                    (job.overdue, job.next_run) = (true, Known(ago(3.5 * HOUR)));
                }),
            )],
            [JobState::Paused, JobState::Completed]
                .map(|state| job(|job| (job.state, job.overdue) = (state, true)))
                .into(),
            unknown_jobs(),
        ),
        Code::CronDeliveryFailing => (
            vec![(
                Warning,
                "What the cron job \"26b5\" last had to say was not delivered",
                job(|job| {
                    job.last_delivery_success = Known(false);
                }),
            )],
            vec![job(|job| (job.state, job.last_delivery_success) = (JobState::Paused, Known(false)))],
            job(|job| job.last_delivery_success = unknown()),
        ),
        Code::MemoryNearLimit => (
            vec![(
                Info,
                "The memory file \"MEMORY.md\" has 950 of the 1000 characters that it may have",
                remembered(950),
            )],
            vec![remembered(100), memory(Known(MemoryFile { chars: 0, limit_chars: 0 }))],
            memory(unknown()),
        ),
        Code::UpdateAvailable => (
            vec![
                (
                    Info,
                    "There is an update of Hermes: this one is behind by 12 commits",
                    update(Known(true), Known(12)),
                ),
                (Info, "There is an update of Hermes", update(Known(true), Absent)),
            ],
            vec![update(Known(false), Known(0))],
            update(unknown(), Absent),
        ),
        Code::DiskLow => (
            vec![
                (Warning, "5.0 % of the home's filesystem is left", disk(Known(50))),
                (Critical, "1.0 % of the home's filesystem is left", disk(Known(10))),
            ],
            vec![disk(Known(500))],
            disk(unknown()),
        ),
        Code::PublicListener => (
            vec![
                (
                    Critical,
                    "\"hermes-dashboard\" listens on port 9119, where everybody may reach it",
                    listening(
                        Known(vec![(9119, Scope::Public), (9119, Scope::Loopback), (80, Scope::Tailscale)]),
                        Known(false),
                    ),
                ),
                (
                    Critical,
                    "A process of the installation listens where everybody may reach it",
                    listening(unknown(), Known(false)),
                ),
            ],
            vec![listening(Known(vec![(9119, Scope::Loopback), (80, Scope::Private)]), Known(true))],
            listening(unknown(), unknown()),
        ),
        Code::ApprovalsBypassed => (
            vec![(
                Warning,
                "Dangerous commands are run without anybody's approval",
                guardrails(|guardrails| guardrails.approvals_enforced = Known(false)),
            )],
            vec![guardrails(|_| ())],
            guardrails(|guardrails| guardrails.approvals_enforced = unknown()),
        ),
        Code::SecretsUnredacted => (
            vec![(
                Warning,
                "Secrets are not masked in logs, in the output of tools and for the model",
                guardrails(|guardrails| guardrails.secrets_redacted = Known(false)),
            )],
            vec![guardrails(|_| ())],
            guardrails(|guardrails| guardrails.secrets_redacted = unknown()),
        ),
        Code::HomeExposed => (
            vec![(
                Warning,
                "Other accounts of the machine can get into the home, or write to it",
                guardrails(|guardrails| guardrails.home_private = Known(false)),
            )],
            vec![guardrails(|_| ())],
            guardrails(|guardrails| guardrails.home_private = unknown()),
        ),
        Code::SecretsExposed => (
            vec![(
                Critical,
                "Other accounts of the machine can read or write files that hold secrets",
                guardrails(|guardrails| guardrails.secrets_private = Known(false)),
            )],
            vec![guardrails(|_| ())],
            guardrails(|guardrails| guardrails.secrets_private = unknown()),
        ),
        Code::TailscaleDown => (
            vec![
                (
                    Warning,
                    "The machine is not in its tailnet: somebody has to log in",
                    tailscale(|tailscale| tailscale.state = TailscaleState::NeedsLogin),
                ),
                (
                    Warning,
                    "The machine is not in its tailnet: it is out of touch with the server that coordinates it",
                    tailscale(|tailscale| tailscale.online = Known(false)),
                ),
            ],
            vec![tailscale(|_| ()), tailscale(|tailscale| tailscale.online = Absent)],
            unknown_tailscale(),
        ),
        Code::TailscaleKeyExpiring => (
            vec![
                (Warning, "The machine's key to its tailnet expires in 3 days", key(3.5 * DAY)),
                (Warning, "The machine's key to its tailnet expired 2 h ago", key(-2.5 * HOUR)),
            ],
            vec![key(30.0 * DAY), tailscale(|tailscale| tailscale.key_expiry = Absent)],
            tailscale(|tailscale| tailscale.key_expiry = unknown()),
        ),
        Code::ReportStale => (
            vec![(
                Warning,
                "The report of this instance is 2 h old; it may be 15 min, and what it says is what once was",
                reported(2.5 * HOUR, Source::Report),
            )],
            vec![reported(MINUTE, Source::Report)],
            // What this exporter has looked at itself is no report.
            reported(2.0 * HOUR, Source::Local),
        ),
        Code::CollectorUnknown => (
            vec![(Warning, "The collector \"cron\" could not tell everything for 2 h", failing(Some(2.5 * HOUR)))],
            vec![failing(Some(MINUTE))],
            failing(None),
        ),
    };
    Case { code, found, not_found, unknown }
}

/// Everything that is found in a fleet.
fn all(fleet: &Fleet) -> Vec<Finding> {
    let findings = FleetFindings::of(fleet);
    findings.instances.into_iter().chain([findings.machine]).flat_map(|findings| findings.found).collect()
}

#[test]
fn each_is_found_where_it_is_and_nothing_else() {
    for code in Code::ALL {
        let case = case(code);
        assert_eq!(case.code, code);
        let mut severities = BTreeSet::new();
        for (severity, sentence, fleet) in &case.found {
            let found = all(fleet);
            assert_eq!(found.len(), 1, "{code:?}: {found:?}");
            assert_eq!((found[0].code, found[0].severity, found[0].sentence.as_str()), (code, *severity, *sentence));
            severities.insert(*severity);
        }
        assert!(severities.iter().eq(code.severities()), "{code:?}: the table says {:?}", code.severities());
        for fleet in case.not_found.iter().chain([&case.unknown]) {
            assert_eq!(all(fleet), [], "{code:?}");
        }
    }
}

#[test]
fn what_is_ignored_is_not_found() {
    for code in Code::ALL {
        for (_, _, mut fleet) in case(code).found {
            for snapshot in &mut fleet.instances {
                Arc::make_mut(snapshot).ignored_findings = vec![code.label(), label("of_the_future")];
            }
            fleet.ignored_findings = vec![code.label()];
            assert_eq!(all(&fleet), [], "{code:?}");
        }
    }
}

#[test]
fn limits_are_exclusive_and_can_be_switched_off() {
    for threshold in Threshold::ALL {
        let limit = threshold.default_value();
        let (at, beyond) = match threshold {
            // The collector judges by this one: a frozen gateway is a state of its own.
            Threshold::GatewayHeartbeat => continue,
            // The collector turns these into the limit of each repository and artifact.
            Threshold::BackupAge | Threshold::RestoreDrillAge | Threshold::EmergencyBundleAge => continue,
            Threshold::GatewayStarts => {
                let started = |times| gateway(|gateway| gateway.recent_starts = Known(times));
                (started(limit as u64), started(limit as u64 + 1))
            }
            Threshold::TimerDelay => (due(limit), due(limit + 1.0)),
            Threshold::CertificateExpiry => (certificate(limit), certificate(limit - 1.0)),
            Threshold::BackupUnpushed => (unpushed(limit), unpushed(limit + 1.0)),
            Threshold::BackupDirtyFiles => {
                let dirty = |files| repository(|repository| repository.dirty_files = Known(files));
                (dirty(limit as u64), dirty(limit as u64 + 1))
            }
            Threshold::TokenExpiry => (expiring(limit), expiring(limit - 1.0)),
            Threshold::CronTicker => (ticked(limit), ticked(limit + 1.0)),
            Threshold::MemoryUsed => (remembered(900), remembered(901)),
            Threshold::DiskAvailable => (disk(Known(100)), disk(Known(99))),
            Threshold::DiskAvailableCritical => {
                let only_this = |mut fleet: Fleet| {
                    Arc::make_mut(&mut fleet.instances[0]).thresholds.set(Threshold::DiskAvailable, None);
                    fleet
                };
                (only_this(disk(Known(30))), only_this(disk(Known(29))))
            }
            Threshold::CollectorUnknown => (failing(Some(limit)), failing(Some(limit + 1.0))),
            Threshold::ReportAge => (reported(limit, Source::Report), reported(limit + 1.0, Source::Report)),
        };
        assert_eq!(all(&at), [], "{threshold:?}");
        let found = all(&beyond);
        assert_eq!(found.len(), 1, "{threshold:?}");
        assert!(found[0].code.thresholds().contains(&threshold), "{threshold:?}: {found:?}");
        let mut off = beyond;
        Arc::make_mut(&mut off.instances[0]).thresholds.set(threshold, None);
        assert_eq!(all(&off), [], "{threshold:?}");
    }
    assert_eq!(all(&aged(26.0 * HOUR)), []);
    assert_eq!(all(&aged(52.0 * HOUR))[0].severity, Warning);
    assert_eq!(all(&aged(52.0 * HOUR + 1.0))[0].severity, Critical);
    assert_eq!(all(&drill(Known(ago(8.0 * DAY)))), []);
}

#[test]
fn nothing_is_found_where_nothing_can_be_told() {
    let blind = fleet(|snapshot| {
        (snapshot.gateway, snapshot.units, snapshot.endpoints) = (unknown(), unknown(), unknown());
        (snapshot.backups, snapshot.credentials, snapshot.cron) = (unknown(), unknown(), unknown());
        (snapshot.inventory, snapshot.home, snapshot.exposure) = (unknown(), unknown(), unknown());
        (snapshot.guardrails, snapshot.sessions, snapshot.activity) = (unknown(), unknown(), unknown());
        snapshot.collectors = failing(Some(MINUTE)).instances[0].collectors.clone();
    });
    let findings = FleetFindings::of(&Fleet { tailscale: unknown(), host: unknown(), ..blind });
    assert_eq!(findings.instances[0].found, []);
    assert_eq!(findings.instances[0].health(), Health::Unknown);
    assert_eq!((findings.health(), findings.healthy()), (Health::Unknown, 0));
    assert_eq!(
        findings.instances[0].unknown,
        [Unknown {
            collector: "cron".to_owned(),
            subject: "cron/jobs.json".to_owned(),
            reason: UNKNOWN,
            since: Some(ago(MINUTE)),
        }]
    );
}

#[test]
fn what_follows_from_something_else_is_not_found_again() {
    let of_gateway = Endpoint {
        kind: EndpointKind::HermesApiServer,
        probe: Known(Probe {
            verdict: Verdict::Down(Failure::Refused),
            duration_seconds: 0.1,
            status_code: Absent,
            certificate_expiry: Absent,
            access: Absent,
        }),
    };
    let mut sick = cron_with(running(), |cron, job| {
        cron.ticker_heartbeat = Known(ago(DAY));
        (job.overdue, job.next_run) = (true, Known(ago(HOUR)));
    });
    let snapshot = Arc::make_mut(&mut sick.instances[0]);
    snapshot.endpoints = Known(Arc::new(Endpoints([(label("api"), of_gateway)].into())));
    snapshot.units = Known(Arc::new(Units(vec![service("gateway", Known(UnitState::Inactive))])));
    let of = |up: bool, state| {
        let platforms = [(label("telegram"), Platform { state: PlatformState::Retrying, error_code: None })];
        let gateway = Gateway { up: Known(up), state: Known(state), platforms: Known(platforms.into()), ..running() };
        let mut fleet = sick.clone();
        Arc::make_mut(&mut fleet.instances[0]).gateway = Known(Arc::new(gateway));
        all(&fleet).into_iter().map(|finding| finding.code).collect::<Vec<_>>()
    };
    assert_eq!(
        of(true, GatewayState::Running),
        [Code::UnitDown, Code::CronTickerStale, Code::PlatformDown, Code::EndpointDown],
        "a ticker that stands makes jobs overdue"
    );
    assert_eq!(of(false, GatewayState::Crashed), [Code::GatewayCrashed]);
    let going = gateway(|gateway| {
        gateway.state = Known(GatewayState::Draining);
        let platform = Platform { state: PlatformState::Disconnected, error_code: None };
        gateway.platforms = Known([(label("telegram"), platform)].into());
    });
    assert_eq!(all(&going), []);
}

#[test]
fn the_unit_that_hermes_would_have_made_need_not_run_the_gateway() {
    for state in UnitState::ALL {
        let of = |up: bool, is_expected| {
            let mut fleet = units([Unit { is_expected, ..service("gateway", Known(state)) }]);
            let gateway = Gateway { up: Known(up), ..running() };
            Arc::make_mut(&mut fleet.instances[0]).gateway = Known(Arc::new(gateway));
            all(&fleet).into_iter().filter(|finding| finding.subject.is_some()).count()
        };
        assert_eq!(of(true, false), 0, "{state:?}");
        let is_wrong = !state.is_at_work();
        assert_eq!(of(true, true), usize::from(is_wrong), "{state:?}");
        let says_why = matches!(state, UnitState::Failed | UnitState::LoadFailed | UnitState::Masked);
        assert_eq!(of(false, false), usize::from(says_why), "{state:?}");
    }
}

#[test]
fn a_report_is_judged_as_of_when_it_was_written() {
    let mut old = ticked(2.0 * HOUR);
    let snapshot = Arc::make_mut(&mut old.instances[0]);
    (snapshot.taken_at, snapshot.identity.source) = (ago(2.0 * HOUR), Source::Report);
    let codes: Vec<_> = all(&old).into_iter().map(|finding| finding.code).collect();
    assert_eq!(codes, [Code::ReportStale]);
}

#[test]
fn the_worst_comes_first_and_each_thing_once() {
    let twice = units([
        service("gateway", Known(UnitState::Failed)),
        Unit { role: label("other"), ..service("gateway", Known(UnitState::Failed)) },
        service("backup", Known(UnitState::Inactive)),
        service("a", Known(UnitState::Failed)),
    ]);
    let found: Vec<_> = all(&twice).into_iter().map(|finding| (finding.severity, finding.subject.unwrap())).collect();
    let expected = [(Critical, "gateway.service"), (Warning, "a.service"), (Warning, "backup.service")];
    assert_eq!(found, expected.map(|(severity, subject)| (severity, label(subject))));
}

#[test]
fn since_when_is_told_where_it_is_known() {
    let since = |fleet: Fleet| all(&fleet)[0].since;
    let crashed = |state_since| {
        gateway(|gateway| {
            (gateway.up, gateway.state) = (Known(false), Known(GatewayState::Crashed));
            gateway.state_since = state_since;
        })
    };
    assert_eq!(since(crashed(Known(ago(HOUR)))), Some(ago(HOUR)));
    assert_eq!(since(crashed(Absent)), None);
    assert_eq!(since(aged(27.0 * HOUR)), Some(ago(HOUR)), "since it is older than it may be");
    assert_eq!(since(unpushed(2.0 * HOUR)), Some(ago(2.0 * HOUR)));
    assert_eq!(since(certificate(-HOUR)), Some(ago(HOUR)));
    assert_eq!(since(ticked(HOUR)), Some(ago(HOUR)));
    assert_eq!(since(unit("backup", UnitState::Failed)), Some(ago(MINUTE)));
}
