//! What is wrong with the units that a supervisor runs for an instance.

use super::wording::duration;
use super::{Code, Finding, Severity, gateway};
use crate::exporter::snapshot::units::{Timer, Unit, UnitState, Units};
use crate::exporter::snapshot::{Reading, Snapshot, Threshold};
use crate::system::time::Timestamp;

/// The role of units that run a gateway.
const GATEWAY: &str = "gateway";

pub(super) fn findings(snapshot: &Snapshot, now: Timestamp) -> Vec<Finding> {
    let Reading::Known(units) = &snapshot.units else {
        return Vec::new();
    };
    let is_gateway_up = gateway::is_up(snapshot) == Some(true);
    let of_unit = |unit: &Unit| {
        // The gateway may well be run by something else than the unit that Hermes would have made.
        if is_gateway_up && is_of_gateway(unit) && !unit.is_expected {
            return None;
        }
        let wrong = failed(unit).or_else(|| down(snapshot, unit));
        wrong.or_else(|| not_firing(units, unit, snapshot.thresholds.get(Threshold::TimerDelay)?, now))
    };
    units.0.iter().filter_map(of_unit).collect()
}

fn is_of_gateway(unit: &Unit) -> bool {
    unit.role.as_str() == GATEWAY
}

fn severity(unit: &Unit) -> Severity {
    if is_of_gateway(unit) { Severity::Critical } else { Severity::Warning }
}

fn failed(unit: &Unit) -> Option<Finding> {
    let name = &unit.unit;
    let sentence = match unit.state.known()? {
        UnitState::Failed => format!("The unit \"{name}\" has failed, and nobody starts it again"),
        UnitState::LoadFailed => format!("The unit \"{name}\" can not be loaded: its file is wrong"),
        UnitState::Masked => format!("The unit \"{name}\" is masked: it must not be started"),
        UnitState::NotFound if unit.is_expected => format!("There is no unit \"{name}\""),
        UnitState::NoManager if unit.is_expected => {
            format!("Nobody runs the unit \"{name}\": its manager is not there")
        }
        _ => return None,
    };
    let finding = Finding::new(Code::UnitFailed, severity(unit), sentence).about(name);
    Some(finding.since(unit.state_since.known().copied()))
}

fn down(snapshot: &Snapshot, unit: &Unit) -> Option<Finding> {
    if unit.up != Reading::Known(false) {
        return None;
    }
    let (name, state) = (&unit.unit, unit.state.known());
    // Without somebody who has named it, it need not be there.
    if !unit.is_expected && matches!(state, Some(UnitState::NotFound | UnitState::NoManager)) {
        return None;
    }
    // That the gateway is down is said already.
    if is_of_gateway(unit) && gateway::is_up(snapshot) == Some(false) {
        return None;
    }
    let (severity, how) = match state {
        Some(UnitState::Activating) => (Severity::Warning, " (coming up, or waiting to be started again)"),
        Some(UnitState::Deactivating) => (Severity::Warning, " (going down)"),
        _ => (severity(unit), ""),
    };
    let finding = Finding::new(Code::UnitDown, severity, format!("The unit \"{name}\" is down{how}")).about(name);
    Some(finding.since(unit.state_since.known().copied()))
}

fn not_firing(units: &Units, unit: &Unit, limit: f64, now: Timestamp) -> Option<Finding> {
    let timer = unit.timer.known().filter(|_| unit.up == Reading::Known(true))?;
    let finding = |sentence: String, since| {
        let finding = Finding::new(Code::TimerNotFiring, Severity::Warning, sentence).about(&unit.unit).since(since);
        // While its service runs, a timer has no next run, or still the one that the service was started at.
        (!may_be_running(units, unit)).then_some(finding)
    };
    let is_late = |moment: &Timestamp| now.seconds_since(*moment) > limit;
    match timer {
        Timer { next_trigger: Reading::Known(next), .. } if is_late(next) => {
            let late = duration(now.seconds_since(*next));
            finding(format!("The timer \"{}\" should have fired {late} ago", unit.unit), Some(*next))
        }
        // One that has just fired may not have its next run yet.
        Timer { next_trigger: Reading::Absent, last_trigger: Reading::Absent } => {
            finding(format!("The timer \"{}\" has never fired, and will not", unit.unit), None)
        }
        Timer { next_trigger: Reading::Absent, last_trigger: Reading::Known(last) } if is_late(last) => {
            finding(format!("The timer \"{}\" will not fire again", unit.unit), None)
        }
        _ => None,
    }
}

/// Whether a service that the timer may have started is at work, or may be: those that it starts are shown under its role.
fn may_be_running(units: &Units, timer: &Unit) -> bool {
    let is_service = |unit: &&Unit| unit.role == timer.role && !matches!(unit.timer, Reading::Known(_));
    units.0.iter().filter(is_service).any(|service| match &service.state {
        Reading::Known(state) => state.is_at_work() || matches!(state, UnitState::Activating | UnitState::Deactivating),
        Reading::Absent | Reading::Unknown(_) => true,
    })
}
