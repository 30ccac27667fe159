//! What is known of an instance's gateway: the process that people talk to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Label, Reading};
use crate::system::time::Timestamp;

/// How long ago a start is recent: a quarter of an hour.
pub const RECENT_SECONDS: f64 = 900.0;

/// The gateway of one instance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Gateway {
    /// Whether it is alive and makes progress.
    pub up: Reading<bool>,
    /// What it does, or how it ended.
    pub state: Reading<GatewayState>,
    /// Since when it has been down, crashed, frozen or coming up, as far as what it left behind tells; absent while it
    /// is up.
    #[serde(default)]
    pub state_since: Reading<Timestamp>,
    /// When the running process was started.
    pub start_time: Reading<Timestamp>,
    /// Its event loop's last sign of life.
    pub heartbeat: Reading<Timestamp>,
    /// Agents at work.
    pub active_agents: Reading<u64>,
    /// Whether somebody has asked it to restart.
    pub restart_requested: Reading<bool>,
    /// Starts that its log of starts has shown so far; never falls while the exporter runs.
    pub starts: Reading<u64>,
    /// Starts within [`RECENT_SECONDS`] before the look.
    #[serde(default)]
    pub recent_starts: Reading<u64>,
    /// Living gateway processes that serve this home.
    pub processes: Reading<u64>,
    /// The same, with one that only the home's files speak of, by what runs them.
    #[serde(default)]
    pub unit_processes: Reading<Vec<UnitProcesses>>,
    /// What the process uses.
    pub process: Reading<GatewayProcess>,
    /// Who starts it again when it ends; known from the living process.
    pub supervisor: Reading<Supervisor>,
    /// The messaging platforms, by name; absent when the process is dead, because what is written of them
    /// then is what once was.
    pub platforms: Reading<BTreeMap<Label, Platform>>,
    /// Profiles that it serves, its own among them; absent where it serves only its own.
    #[serde(default)]
    pub served_profiles: Reading<u64>,
    /// The profile whose gateway serves this one, where this one needs none of its own.
    #[serde(default)]
    pub served_by: Reading<Label>,
    /// What was done with it when its container was last started; absent outside of containers.
    #[serde(default)]
    pub container_boot: Reading<ContainerBoot>,
}

/// Gateway processes that are run by one unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct UnitProcesses {
    /// What runs them.
    pub manager: Manager,
    /// The name of the unit or the service; empty where nothing runs them.
    pub unit: Label,
    /// How many there are.
    pub processes: u64,
}

/// What runs a process, and starts it again when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Manager {
    /// The systemd of the machine.
    System,
    /// The systemd of a user.
    User,
    /// s6.
    S6,
    /// Nothing: it was started by hand, or by something else.
    None,
}

impl Manager {
    /// The word used in labels and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Manager::System => "system",
            Manager::User => "user",
            Manager::S6 => "s6",
            Manager::None => "none",
        }
    }
}

/// What a container did with a gateway when it was started.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ContainerBoot {
    /// When.
    pub at: Timestamp,
    /// Whether it was started or only registered.
    pub action: Label,
    /// What the gateway was meant to do before, `none` where that was not known.
    pub prior_state: Label,
}

/// What a gateway does, or how it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum GatewayState {
    /// Coming up.
    Starting,
    /// At work.
    Running,
    /// At work, with part of it failing.
    Degraded,
    /// Finishing what it does before it stops.
    Draining,
    /// Going down.
    Stopping,
    /// Ended in order.
    Stopped,
    /// Gave up while coming up.
    StartupFailed,
    /// Its file says it is at work, and there is no such process.
    Crashed,
    /// The process is there, and its event loop does not run.
    Frozen,
    /// A state that this version does not know.
    #[serde(other)]
    Other,
}

impl GatewayState {
    /// Every state, in the order in which they are shown.
    pub const ALL: [GatewayState; 10] = [
        GatewayState::Starting,
        GatewayState::Running,
        GatewayState::Degraded,
        GatewayState::Draining,
        GatewayState::Stopping,
        GatewayState::Stopped,
        GatewayState::StartupFailed,
        GatewayState::Crashed,
        GatewayState::Frozen,
        GatewayState::Other,
    ];

    /// The word used in labels and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            GatewayState::Starting => "starting",
            GatewayState::Running => "running",
            GatewayState::Degraded => "degraded",
            GatewayState::Draining => "draining",
            GatewayState::Stopping => "stopping",
            GatewayState::Stopped => "stopped",
            GatewayState::StartupFailed => "startup_failed",
            GatewayState::Crashed => "crashed",
            GatewayState::Frozen => "frozen",
            GatewayState::Other => "other",
        }
    }
}

/// What a gateway process uses.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct GatewayProcess {
    /// Resident memory in bytes.
    pub memory_bytes: u64,
    /// Processor time since its start in seconds.
    pub cpu_seconds: f64,
    /// Open file descriptors.
    pub open_fds: Reading<u64>,
    /// Threads.
    pub threads: u64,
}

/// Who starts the gateway again when it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Supervisor {
    /// A systemd service.
    Systemd,
    /// s6.
    S6,
    /// Nobody: it was started by hand.
    None,
}

impl Supervisor {
    /// The word used in labels and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Supervisor::Systemd => "systemd",
            Supervisor::S6 => "s6",
            Supervisor::None => "none",
        }
    }
}

/// One messaging platform of a living gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Platform {
    /// How it stands with the platform.
    pub state: PlatformState,
    /// The code of its last error, where there is one.
    pub error_code: Option<Label>,
}

/// How a gateway stands with a platform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PlatformState {
    /// Coming up.
    Connecting,
    /// At work.
    Connected,
    /// Failed, and trying again.
    Retrying,
    /// Halted by somebody.
    Paused,
    /// Left in order.
    Disconnected,
    /// Failed for good.
    Fatal,
    /// A state that this version does not know.
    #[serde(other)]
    Other,
}

impl PlatformState {
    /// Every state, in the order in which they are shown.
    pub const ALL: [PlatformState; 7] = [
        PlatformState::Connecting,
        PlatformState::Connected,
        PlatformState::Retrying,
        PlatformState::Paused,
        PlatformState::Disconnected,
        PlatformState::Fatal,
        PlatformState::Other,
    ];

    /// The word used in labels and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            PlatformState::Connecting => "connecting",
            PlatformState::Connected => "connected",
            PlatformState::Retrying => "retrying",
            PlatformState::Paused => "paused",
            PlatformState::Disconnected => "disconnected",
            PlatformState::Fatal => "fatal",
            PlatformState::Other => "other",
        }
    }
}
