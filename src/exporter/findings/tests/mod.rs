//! Every rule, and what holds for all of them.
//!
//! * [`cases`]: the table of what each finds.
//! * [`seen`]: the Snapshots that it is made from.

mod cases;
mod seen;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::*;
use crate::exporter::snapshot::endpoints::{Endpoint, EndpointKind, Endpoints, Failure, Probe, Verdict};
use crate::exporter::snapshot::gateway::{Gateway, GatewayState, Platform, PlatformState};
use crate::exporter::snapshot::units::{Unit, UnitState, Units};
use crate::exporter::snapshot::{Reading, Source, Threshold};
use Reading::{Absent, Known};
use Severity::{Critical, Warning};
use cases::case;
use seen::*;

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
fn what_goes_on_is_judged_as_of_when_a_report_was_written() {
    let written = |mut fleet: Fleet, age: f64| {
        let run = reported(MINUTE, Source::Report).instances[0].collectors.clone();
        let snapshot = Arc::make_mut(&mut fleet.instances[0]);
        (snapshot.taken_at, snapshot.identity.source, snapshot.collectors) = (ago(age), Source::Report, run);
        all(&fleet).into_iter().map(|finding| finding.code).collect::<Vec<_>>()
    };
    // Nobody has looked since whether the timer has fired, and whether the ticker has gone round.
    assert_eq!(written(due(14.0 * MINUTE), 5.0 * MINUTE), []);
    assert_eq!(written(due(14.0 * MINUTE), 3.0 * MINUTE), [Code::TimerNotFiring]);
    assert_eq!(written(ticked(6.0 * MINUTE), 2.0 * MINUTE), []);
    assert_eq!(written(ticked(6.0 * MINUTE), 0.5 * MINUTE), [Code::CronTickerStale]);
}

#[test]
fn what_a_report_says_grows_old_as_of_now() {
    let mut report = aged(25.9 * HOUR);
    let run = reported(MINUTE, Source::Report).instances[0].collectors.clone();
    let snapshot = Arc::make_mut(&mut report.instances[0]);
    (snapshot.taken_at, snapshot.identity.source, snapshot.collectors) = (ago(0.2 * HOUR), Source::Report, run);
    assert_eq!(all(&report), []);
    report.taken_at = ago(-0.2 * HOUR);
    assert_eq!(all(&report).into_iter().map(|finding| finding.code).next(), Some(Code::BackupStale));
}

#[test]
fn a_report_that_is_missing_broken_or_stale_is_told_apart() {
    let found = |fleet: &Fleet| -> Vec<_> {
        all(fleet).into_iter().map(|finding| (finding.code, finding.severity, finding.sentence)).collect()
    };
    for (reason, how) in [
        (Reason::NotFound, "is not there (not_found)"),
        (Reason::Parse, "is broken (parse)"),
        (Reason::Permission, "may not be read, or is a file of somebody else (permission)"),
        (Reason::Unsupported, "is none that is read: too large, no regular file, or of another instance (unsupported)"),
        (Reason::Timeout, "could not be read (timeout)"),
    ] {
        let sentence = format!("The report of this instance {how} for 2 h");
        assert_eq!(found(&without_report(reason, 2.0 * HOUR)), [(Code::CollectorUnknown, Warning, sentence)]);
        assert_eq!(found(&without_report(reason, MINUTE)), []);
    }
    // That it is stale is said once.
    let codes: Vec<_> = all(&reported(3.0 * HOUR, Source::Report)).into_iter().map(|finding| finding.code).collect();
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
    let ahead = Unit { state_since: Known(ago(-HOUR)), ..service("backup", Known(UnitState::Failed)) };
    assert_eq!(since(units([ahead])), None, "the clock was set back");
}
