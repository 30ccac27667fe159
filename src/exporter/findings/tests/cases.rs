//! Each finding in fleets that have it, in such that have not, and where it can not be told.

use super::seen::*;
use crate::exporter::findings::{Code, Severity};
use crate::exporter::snapshot::backups::{Payload, RemoteBranch, Repository, RepositoryState};
use crate::exporter::snapshot::credentials::Token;
use crate::exporter::snapshot::cron::JobState;
use crate::exporter::snapshot::endpoints::{Failure, Verdict};
use crate::exporter::snapshot::exposure::Scope;
use crate::exporter::snapshot::gateway::{Gateway, GatewayState, PlatformState};
use crate::exporter::snapshot::inventory::MemoryFile;
use crate::exporter::snapshot::tailscale::TailscaleState;
use crate::exporter::snapshot::units::{Unit, UnitState};
use crate::exporter::snapshot::{Fleet, Reading, Source};
use Reading::{Absent, Known};
use Severity::{Critical, Info, Warning};

/// What is found in fleets that have it, with the sentence about it; and what is not in others.
pub(super) struct Case {
    pub(super) code: Code,
    pub(super) found: Vec<(Severity, &'static str, Fleet)>,
    pub(super) not_found: Vec<Fleet>,
    pub(super) unknown: Fleet,
}

pub(super) fn case(code: Code) -> Case {
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
                // Its process can not be seen, as that of a container.
                gateway(|gateway| {
                    (gateway.up, gateway.state) = (Known(false), Known(GatewayState::Starting));
                    (gateway.start_time, gateway.state_since) = (Absent, Known(ago(30.0)));
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
            vec![
                (
                    Critical,
                    "The gateway is frozen: its process is stopped, by a signal or a debugger",
                    down(GatewayState::Frozen),
                ),
                (
                    Critical,
                    "The gateway is frozen: its process is there, and its heart last beat 3 h ago",
                    gateway(|gateway| {
                        (gateway.up, gateway.state) = (Known(false), Known(GatewayState::Frozen));
                        gateway.heartbeat = Known(ago(3.0 * HOUR));
                    }),
                ),
            ],
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
                    "The backup \"vm\" is empty: its newest commit has no file below the payload folder",
                    repository(|repository| repository.payload = Known(Payload::default())),
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
                (Warning, "The backup \"vm\" is 31 h old; its limit is 26 h", aged(31.5 * HOUR)),
                (Critical, "The backup \"vm\" is 3 days old; its limit is 26 h", aged(3.2 * DAY)),
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
                    "Nothing of the backup \"vm\" has been pushed for 3 h: git knows no such branch of its remote",
                    repository(|repository| {
                        repository.remote_branch = Known(RemoteBranch::Missing);
                        (repository.unpushed_commits, repository.oldest_unpushed_commit) =
                            (Known(2), Known(ago(3.5 * HOUR)));
                    }),
                ),
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
                (Warning, "The newest restore drill is 9 days old; its limit is 8 days", drill(Known(ago(9.0 * DAY)))),
                (Warning, "There is no restore drill", drill(Absent)),
            ],
            vec![drill(Known(ago(DAY))), backups(|_| ())],
            drill(unknown()),
        ),
        Code::EmergencyBundleOverdue => (
            vec![
                (
                    Warning,
                    "The newest emergency bundle is 9 days old; its limit is 8 days",
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
            vec![
                (Critical, "Cron's ticker has not gone round for 10 min, and starts no jobs", ticked(10.0 * MINUTE)),
                (
                    Critical,
                    "Cron's ticker goes round and has failed for 10 min, and starts no jobs",
                    cron_with(running(), |cron, _| cron.ticker_last_success = Known(ago(10.0 * MINUTE))),
                ),
                (
                    Critical,
                    "Cron's ticker has not gone round for 10 min, and starts no jobs",
                    cron_with(served(), |cron, _| cron.ticker_heartbeat = Known(ago(10.0 * MINUTE))),
                ),
            ],
            vec![
                ticked(MINUTE),
                // Older ones leave no second mark.
                cron_with(running(), |cron, _| cron.ticker_last_success = Absent),
                // It once had a gateway of its own, and nothing is to be started in it.
                cron_with(served(), |cron, job| {
                    (cron.ticker_heartbeat, cron.ticker_last_success) = (Known(ago(DAY)), Known(ago(DAY)));
                    job.state = JobState::Paused;
                }),
                // The gateway has only just come up, and finds what its predecessor left.
                cron_with(Gateway { start_time: Known(ago(MINUTE)), ..running() }, |cron, _| {
                    cron.ticker_heartbeat = Known(ago(DAY));
                }),
            ],
            cron_with(running(), |cron, _| {
                (cron.ticker_heartbeat, cron.ticker_last_success) = (unknown(), unknown());
            }),
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
            vec![
                job(|job| (job.state, job.overdue) = (JobState::Paused, true)),
                job(|job| (job.state, job.overdue) = (JobState::Completed, true)),
                // What was due while the gateway was away is caught up with.
                cron_with(Gateway { start_time: Known(ago(MINUTE)), ..running() }, |_, job| job.overdue = true),
            ],
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
                "The report of this instance is 2 h old; its limit is 15 min, and what it says is what once was",
                reported(2.5 * HOUR, Source::Report),
            )],
            vec![reported(MINUTE, Source::Report)],
            // What this exporter has looked at itself is no report.
            reported(2.0 * HOUR, Source::Local),
        ),
        Code::CollectorUnknown => (
            vec![
                (Warning, "The collector \"cron\" could not tell everything for 2 h", failing(Some(2.5 * HOUR))),
                (Warning, "The home could not be looked at (permission) for 2 h", without_home(2.5 * HOUR)),
            ],
            vec![failing(Some(MINUTE))],
            failing(None),
        ),
    };
    Case { code, found, not_found, unknown }
}
