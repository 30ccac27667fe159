//! What is known of an instance's units: the services and timers that a supervisor runs for it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Label, Reading};
use crate::system::time::Timestamp;

/// The units of one instance, by name and role.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct Units(pub Vec<Unit>);

/// One unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Unit {
    /// Its name.
    pub unit: Label,
    /// What it is for: gateway, dashboard, backup and so on.
    pub role: Label,
    /// Whether somebody has configured it; else it is one that Hermes would have made, and need not be there.
    #[serde(default)]
    pub is_expected: bool,
    /// Whether it is at work; for a service that a timer starts, whether it has not failed.
    pub up: Reading<bool>,
    /// What it does.
    pub state: Reading<UnitState>,
    /// Since when it is in that state, by its supervisor's word; absent where there is no such unit.
    #[serde(default)]
    pub state_since: Reading<Timestamp>,
    /// Whether it is started at boot or at login; absent for units that are not enabled by themselves.
    pub enabled: Reading<bool>,
    /// How often its supervisor has started it again; begins anew when somebody starts it.
    pub restarts: Reading<u64>,
    /// How often it has failed while the exporter watched, by the supervisor's word for it.
    pub failures: Reading<BTreeMap<Label, u64>>,
    /// When it was started; absent while it is down.
    pub start_time: Reading<Timestamp>,
    /// What only timers have.
    pub timer: Reading<Timer>,
    /// The supervisors that know it, and whether it is at work in each: in more than one, they fight.
    pub managers: BTreeMap<ManagerKind, bool>,
}

/// What only timers have.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Timer {
    /// When it last started its service; absent when it never has.
    pub last_trigger: Reading<Timestamp>,
    /// When it will do so next; absent when it will not.
    pub next_trigger: Reading<Timestamp>,
}

/// A supervisor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum ManagerKind {
    /// The system's systemd.
    System,
    /// The systemd of the instance's user.
    User,
    /// s6.
    S6,
}

impl ManagerKind {
    /// The word used in labels, JSON and the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            ManagerKind::System => "system",
            ManagerKind::User => "user",
            ManagerKind::S6 => "s6",
        }
    }
}

/// What a unit does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum UnitState {
    /// At work.
    Active,
    /// At work, and reading its configuration again.
    Reloading,
    /// Down, in order.
    Inactive,
    /// Down, because it failed, and nobody starts it again.
    Failed,
    /// Coming up, or waiting to be started again after a failure.
    Activating,
    /// Going down.
    Deactivating,
    /// At work, with something being changed about it.
    Maintenance,
    /// There is no such unit.
    NotFound,
    /// Its file is wrong.
    LoadFailed,
    /// It must not be started.
    Masked,
    /// Its supervisor does not run: a user who is not logged in and does not linger, or a dead s6-supervise.
    NoManager,
}

impl UnitState {
    /// Every state, in the order in which they are shown.
    pub const ALL: [UnitState; 11] = [
        UnitState::Active,
        UnitState::Reloading,
        UnitState::Inactive,
        UnitState::Failed,
        UnitState::Activating,
        UnitState::Deactivating,
        UnitState::Maintenance,
        UnitState::NotFound,
        UnitState::LoadFailed,
        UnitState::Masked,
        UnitState::NoManager,
    ];

    /// The word used in labels and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            UnitState::Active => "active",
            UnitState::Reloading => "reloading",
            UnitState::Inactive => "inactive",
            UnitState::Failed => "failed",
            UnitState::Activating => "activating",
            UnitState::Deactivating => "deactivating",
            UnitState::Maintenance => "maintenance",
            UnitState::NotFound => "not-found",
            UnitState::LoadFailed => "load-failed",
            UnitState::Masked => "masked",
            UnitState::NoManager => "no-manager",
        }
    }

    /// Whether a unit in this state is at work.
    pub fn is_at_work(self) -> bool {
        matches!(self, UnitState::Active | UnitState::Reloading | UnitState::Maintenance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_is_the_same_word_in_labels_and_in_json() {
        for state in UnitState::ALL {
            assert_eq!(serde_json::to_string(&state).unwrap(), format!("\"{}\"", state.as_str()));
        }
        for manager in [ManagerKind::System, ManagerKind::User, ManagerKind::S6] {
            assert_eq!(serde_json::to_string(&manager).unwrap(), format!("\"{}\"", manager.as_str()));
        }
    }
}
