//! What is wrong with the gateway and its platforms.

use super::wording::{counted, duration};
use super::{Code, Finding, Severity};
use crate::exporter::snapshot::gateway::{Gateway, GatewayState, Platform, PlatformState};
use crate::exporter::snapshot::{Label, Reading, Snapshot, Threshold};
use crate::system::time::Timestamp;

/// Whether the gateway is up; `None` where there is none, or where that can not be told.
pub(super) fn is_up(snapshot: &Snapshot) -> Option<bool> {
    snapshot.gateway.known().and_then(|gateway| gateway.up.known().copied())
}

pub(super) fn findings(snapshot: &Snapshot, now: Timestamp) -> Vec<Finding> {
    let Reading::Known(gateway) = &snapshot.gateway else {
        return Vec::new();
    };
    let mut found = Vec::from_iter(down(snapshot, gateway, now));
    if let (Some(starts), Reading::Known(recent)) =
        (snapshot.thresholds.get(Threshold::GatewayStarts), gateway.recent_starts)
        && recent as f64 > starts
    {
        let sentence = format!("The gateway was started {} within 15 min", counted(recent, "time"));
        found.push(Finding::new(Code::GatewayCrashLooping, Severity::Critical, sentence));
    }
    if let Reading::Known(processes @ 2..) = gateway.processes {
        let sentence = format!("{processes} gateway processes serve this home, and get in each other's way");
        found.push(Finding::new(Code::GatewayDuplicated, Severity::Critical, sentence));
    }
    // What a gateway that is down last said of itself and its platforms is what once was.
    if is_up(snapshot) != Some(false) {
        if gateway.state == Reading::Known(GatewayState::Degraded) {
            let sentence = "The gateway is degraded: it is at work, and part of it fails";
            found.push(Finding::new(Code::GatewayDegraded, Severity::Warning, sentence));
        }
        let platforms = gateway.platforms.known().into_iter().flatten();
        found.extend(platforms.filter_map(|(name, platform)| platform_down(gateway, name, platform)));
    }
    found
}

fn down(snapshot: &Snapshot, gateway: &Gateway, now: Timestamp) -> Option<Finding> {
    if gateway.up != Reading::Known(false) {
        return None;
    }
    let ago = |moment: &Reading<Timestamp>| moment.known().map(|moment| now.seconds_since(*moment));
    let (code, sentence) = match gateway.state.known() {
        Some(GatewayState::Crashed) => {
            (Code::GatewayCrashed, "The gateway has crashed: its process is gone".to_owned())
        }
        Some(GatewayState::Frozen) => {
            let since = ago(&gateway.heartbeat).filter(|age| *age > 0.0);
            let sentence = match since {
                // Before its heartbeat is missed, it is known by the state of its process.
                Some(age) if age <= snapshot.thresholds.gateway_heartbeat_seconds() => {
                    "The gateway is frozen: its process is stopped, by a signal or a debugger".to_owned()
                }
                Some(age) => {
                    format!(
                        "The gateway is frozen: its process is there, and its heart last beat {} ago",
                        duration(age)
                    )
                }
                None => "The gateway is frozen: its process is there, and does nothing".to_owned(),
            };
            (Code::GatewayFrozen, sentence)
        }
        Some(GatewayState::Starting) => {
            // A start takes its time, and after a heartbeat's limit it should be over.
            let age = ago(&gateway.start_time).or_else(|| ago(&gateway.state_since));
            if age.is_some_and(|age| age <= snapshot.thresholds.gateway_heartbeat_seconds()) {
                return None;
            }
            let since = age.map(|age| format!(", for {} so far", duration(age))).unwrap_or_default();
            (Code::GatewayDown, format!("The gateway is still starting{since}"))
        }
        Some(GatewayState::Stopped) => (Code::GatewayDown, "The gateway is stopped".to_owned()),
        Some(GatewayState::StartupFailed) => (Code::GatewayDown, "The gateway failed to start".to_owned()),
        _ => (Code::GatewayDown, "The gateway does not run".to_owned()),
    };
    Some(Finding::new(code, Severity::Critical, sentence).since(gateway.state_since.known().copied()))
}

fn platform_down(gateway: &Gateway, name: &Label, platform: &Platform) -> Option<Finding> {
    // One that comes up or goes down connects and leaves its platforms in order.
    let is_settled = !matches!(
        gateway.state,
        Reading::Known(GatewayState::Starting | GatewayState::Draining | GatewayState::Stopping)
    );
    let (severity, how) = match platform.state {
        PlatformState::Fatal => (Severity::Critical, "has failed for good"),
        PlatformState::Retrying => (Severity::Warning, "has failed, and is tried again"),
        PlatformState::Disconnected if is_settled => (Severity::Warning, "is disconnected"),
        PlatformState::Paused => (Severity::Info, "is paused"),
        PlatformState::Disconnected | PlatformState::Connecting | PlatformState::Connected | PlatformState::Other => {
            return None;
        }
    };
    let code = platform.error_code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
    Some(Finding::new(Code::PlatformDown, severity, format!("The platform \"{name}\" {how}{code}")).about(name))
}
