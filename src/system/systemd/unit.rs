//! One unit, as its manager describes it.

use std::collections::BTreeMap;

use crate::system::time::Timestamp;

/// One unit of one manager.
#[derive(Debug, Clone, PartialEq)]
pub struct Unit {
    /// Its own name; it may have been asked for by another one.
    pub name: String,
    /// Whether there is such a unit, and whether it could be loaded.
    pub load: LoadState,
    /// What it does.
    pub active: ActiveState,
    /// Whether it is started at boot or at login; `None` for units that are not enabled by themselves.
    pub is_enabled: Option<bool>,
    /// When it last began to be active, failed or anything else.
    pub changed: Option<Timestamp>,
    /// Since when it is active.
    pub active_since: Option<Timestamp>,
    /// What only units of its type have.
    pub kind: Kind,
    /// How often it has failed while it was watched, by the result.
    pub failures: BTreeMap<String, u64>,
}

/// What only units of some type have.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A service.
    Service {
        /// How it ended the last time: `success`, or how it failed.
        result: String,
        /// How often it was started again by itself, since it was last started by somebody.
        restarts: u64,
        /// Whose it is; `None` unless that was asked for.
        identity: Option<ServiceIdentity>,
    },
    /// A timer.
    Timer(Timer),
    /// Any other, or one that is not loaded.
    Other,
}

/// Whose a service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceIdentity {
    /// The user it runs as, by name or number; empty for the user of its manager.
    pub user: String,
    /// Its environment as far as it is written in the unit, as `KEY=value`.
    pub environment: Vec<String>,
}

/// What a timer does.
#[derive(Debug, Clone, PartialEq)]
pub struct Timer {
    /// The unit it starts.
    pub starts: String,
    /// When it did so the last time; `None` when it never has.
    pub last_trigger: Option<Timestamp>,
    /// When it will do so next; `None` when it will not.
    pub next_trigger: Option<Timestamp>,
}

/// Whether a unit could be loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LoadState {
    /// It is loaded.
    Loaded,
    /// There is none of this name.
    NotFound,
    /// It must not be started.
    Masked,
    /// Its file is wrong, or could not be read.
    Failed,
}

impl LoadState {
    pub(super) fn parse(word: &str) -> LoadState {
        match word {
            // `merged` units are other names of loaded ones; a `stub` is about to be loaded.
            "loaded" | "merged" | "stub" => LoadState::Loaded,
            "not-found" => LoadState::NotFound,
            "masked" => LoadState::Masked,
            // `bad-setting`, `error`, and what newer versions may add.
            _ => LoadState::Failed,
        }
    }
}

/// What a unit does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActiveState {
    /// At work.
    Active,
    /// At work, and reading its configuration again.
    Reloading,
    /// At work, with something being changed about it.
    Maintenance,
    /// Coming up, or waiting to be started again after a failure.
    Activating,
    /// Going down.
    Deactivating,
    /// Down.
    Inactive,
    /// Down, because it failed.
    Failed,
}

impl ActiveState {
    /// `None` for a word that this version does not know.
    pub(super) fn parse(word: &str) -> Option<ActiveState> {
        Some(match word {
            "active" => ActiveState::Active,
            "reloading" | "refreshing" => ActiveState::Reloading,
            "maintenance" => ActiveState::Maintenance,
            "activating" => ActiveState::Activating,
            "deactivating" => ActiveState::Deactivating,
            "inactive" => ActiveState::Inactive,
            "failed" => ActiveState::Failed,
            _ => return None,
        })
    }
}

/// The longest name of a unit.
const LONGEST_NAME: usize = 255;

/// The types that units have.
pub const TYPES: [&str; 11] =
    ["service", "timer", "socket", "path", "target", "mount", "automount", "swap", "slice", "scope", "device"];

/// Whether a unit may go by this name. A template may not: only its instances are units.
///
/// A manager leaves out of its answers what it does not take for a name.
pub fn is_name(name: &str) -> bool {
    let fits = |character: char| character.is_ascii_alphanumeric() || ":_.-@\\".contains(character);
    let (stem, kind) = name.rsplit_once('.').unwrap_or((name, ""));
    name.len() <= LONGEST_NAME
        && name.chars().all(fits)
        && TYPES.contains(&kind)
        && !stem.is_empty()
        && !stem.starts_with('@')
        && !stem.ends_with('@')
}

/// Whether a unit with this `UnitFileState` is started at boot; `None` for states that do not say.
pub(super) fn is_enabled(unit_file_state: &str) -> Option<bool> {
    match unit_file_state {
        "enabled" | "enabled-runtime" | "alias" => Some(true),
        "disabled" | "linked" | "linked-runtime" | "masked" | "masked-runtime" | "bad" => Some(false),
        // Started by others only, made by a program, or without a file.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_systemd_takes_for_names() {
        for name in ["hermes-gateway.service", "a@b.service", "a@b@c.timer", r"some\x2dthing.service", "-.mount"] {
            assert!(is_name(name), "{name}");
        }
        let long = format!("{}.service", "a".repeat(248));
        for name in ["", "a", "a.conf", ".service", "@x.service", "a@.service", "my bot.service", "a/b.service", &long]
        {
            assert!(!is_name(name), "{name}");
        }
    }
}
