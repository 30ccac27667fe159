//! Snapshots for the tests of the page: one instance at which everything is known, and what can be changed about it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::exporter::findings::{Code, Finding, Findings, FleetFindings, Severity};
use crate::exporter::snapshot::gateway::{Gateway, GatewayState, Platform, PlatformState, Supervisor};
use crate::exporter::snapshot::units::{ManagerKind, Unit, UnitState, Units};
use crate::exporter::snapshot::{Fleet, Identity, Label, Reading, Snapshot, Source};
use crate::system::time::Timestamp;

/// The moment of all samples.
pub(super) fn now() -> Timestamp {
    Timestamp::from_seconds(1_795_165_255.0).unwrap()
}

/// So many seconds before it.
pub(super) fn before(seconds: f64) -> Timestamp {
    Timestamp::from_seconds(now().seconds() - seconds).unwrap()
}

/// An instance of uma's whose gateway runs under her own systemd; everything else is absent.
pub(super) fn snapshot(name: &str) -> Snapshot {
    let connected = Platform { state: PlatformState::Connected, error_code: None };
    let gateway = Gateway {
        up: Reading::Known(true),
        state: Reading::Known(GatewayState::Running),
        start_time: Reading::Known(before(3.0 * 3600.0)),
        heartbeat: Reading::Known(before(12.0)),
        active_agents: Reading::Known(1),
        starts: Reading::Known(3),
        supervisor: Reading::Known(Supervisor::Systemd),
        platforms: Reading::Known(BTreeMap::from([(Label::new("telegram"), connected)])),
        ..Gateway::default()
    };
    let unit = Unit {
        unit: Label::new("hermes-gateway.service"),
        role: Label::new("gateway"),
        up: Reading::Known(true),
        state: Reading::Known(UnitState::Active),
        state_since: Reading::Known(before(3.0 * 3600.0)),
        is_expected: true,
        enabled: Reading::Known(true),
        restarts: Reading::Known(0),
        failures: Reading::Absent,
        start_time: Reading::Known(before(3.0 * 3600.0)),
        timer: Reading::Absent,
        managers: BTreeMap::from([(ManagerKind::User, true)]),
    };
    let identity = Identity {
        name: name.to_owned(),
        user: "uma".to_owned(),
        profile: "default".to_owned(),
        source: Source::Local,
    };
    Snapshot {
        gateway: Reading::Known(Arc::new(gateway)),
        units: Reading::Known(Arc::new(Units(vec![unit]))),
        ..Snapshot::at(now(), identity)
    }
}

/// Its gateway, to be changed.
pub(super) fn gateway(snapshot: &mut Snapshot) -> &mut Gateway {
    match &mut snapshot.gateway {
        Reading::Known(gateway) => Arc::make_mut(gateway),
        other => panic!("{other:?}"),
    }
}

/// A fleet of these, with nothing found in it yet.
pub(super) fn fleet(snapshots: Vec<Snapshot>) -> (Fleet, FleetFindings) {
    let found = FleetFindings { instances: vec![Findings::default(); snapshots.len()], machine: Findings::default() };
    (Fleet { instances: snapshots.into_iter().map(Arc::new).collect(), ..Fleet::at(now()) }, found)
}

/// Something that is wrong since an hour.
pub(super) fn finding(code: Code, severity: Severity, subject: Option<&str>, sentence: &str) -> Finding {
    Finding {
        code,
        severity,
        subject: subject.map(Label::new),
        sentence: sentence.to_owned(),
        since: Some(before(3600.0)),
    }
}
