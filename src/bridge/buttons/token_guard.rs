//! Whether the bot's token belongs to a Hermes gateway.
//!
//! Telegram gives a bot's updates to one who asks. If the bridge asked with a gateway's token, it would take messages that
//! were meant for Hermes, and Hermes would take the presses. So where a gateway has the token, the bridge does not ask.
//!
//! A gateway's token is in its home; and one that runs keeps a lock by a hash of it, on this machine, wherever it has the
//! token from: `gateway-locks/telegram-bot-token-<16 digits>.lock` in the state folder of its user.
//!
//! The values are compared, and neither kept nor shown.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::bridge::secret::Secret;
use crate::system::dotenv::{self, DOTENV};
use crate::system::files::{self, FileError};
use crate::system::processes;

/// What Hermes has its bot's token under.
const VARIABLE: &str = "TELEGRAM_BOT_TOKEN";

/// What a look into Hermes homes has shown.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// Whose bot this is.
    pub(super) claimed_by: Option<Claim>,
    /// What could not be looked into.
    pub(super) unreadable: Vec<FileError>,
}

/// Whose bot it is, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Claim {
    /// The token is in this home.
    Home(PathBuf),
    /// A gateway runs that has it.
    Running {
        /// Its process.
        process: u32,
        /// Its lock.
        lock: PathBuf,
    },
}

impl fmt::Display for Claim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Claim::Home(home) => write!(formatter, "the Hermes gateway of {}", home.display()),
            Claim::Running { process, lock } => {
                write!(formatter, "the Hermes gateway that runs as process {process}, by {}", lock.display())
            }
        }
    }
}

/// As much of a lock as is needed.
#[derive(Debug, Deserialize)]
struct Lock {
    pid: u32,
    #[serde(default)]
    start_time: Option<u64>,
}

/// Looks for a token in these homes and in their profiles, and for the lock of a gateway that runs with it.
pub(super) fn look(token: &Secret, homes: &[PathBuf], lock_folders: &[PathBuf]) -> Looked {
    let mut looked = Looked::default();
    for folder in lock_folders {
        let lock = folder.join(lock_name(token));
        match files::read(&lock) {
            Ok(content) => {
                if let Some(process) = content.as_deref().and_then(holder) {
                    looked.claimed_by = Some(Claim::Running { process, lock });
                }
            }
            Err(error) => looked.unreadable.push(error),
        }
    }
    for root in homes {
        for home in std::iter::once(root.clone()).chain(profiles(root, &mut looked)) {
            match files::read(&home.join(DOTENV)) {
                Ok(Some(content)) if has_token(&content, token) => looked.claimed_by = Some(Claim::Home(home)),
                Ok(_) => {}
                Err(error) => looked.unreadable.push(error),
            }
        }
    }
    looked
}

/// The homes that are there without being configured: that of `HERMES_HOME`, and the one in the home folder.
pub(super) fn own_homes() -> Vec<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("HERMES_HOME").into_iter().chain(variable("HOME").map(|home| home.join(".hermes"))).collect()
}

/// Where gateways may keep their locks: those of this user, and of the users whose homes these are in.
pub(super) fn lock_folders(homes: &[PathBuf]) -> Vec<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let in_state = |state: PathBuf| state.join("hermes/gateway-locks");
    let mut folders: Vec<PathBuf> = variable("HERMES_GATEWAY_LOCK_DIR").into_iter().collect();
    folders.extend(variable("XDG_STATE_HOME").map(in_state));
    folders.extend(homes.iter().filter_map(|home| home.parent()).map(|user| in_state(user.join(".local/state"))));
    folders.sort();
    folders.dedup();
    folders
}

fn lock_name(token: &Secret) -> String {
    let hash: String = Sha256::digest(token.reveal()).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("telegram-bot-token-{hash}.lock")
}

/// The process that has a lock; none where it has ended, or another one has its number by now.
fn holder(content: &[u8]) -> Option<u32> {
    let Lock { pid, start_time } = serde_json::from_slice(content).ok()?;
    let started = processes::start_ticks(pid)?;
    start_time.is_none_or(|start_time| start_time == started).then_some(pid)
}

fn profiles(root: &Path, looked: &mut Looked) -> Vec<PathBuf> {
    let folder = root.join("profiles");
    match files::entries(&folder) {
        Ok(names) => names.unwrap_or_default().iter().map(|name| folder.join(name)).collect(),
        Err(error) => {
            looked.unreadable.push(error);
            Vec::new()
        }
    }
}

/// Several assignments are possible, and which of them counts is Hermes' matter: none of them may be this token.
fn has_token(content: &[u8], token: &Secret) -> bool {
    let mut is_there = false;
    dotenv::for_each(content, |key, written| {
        is_there |= key == VARIABLE && dotenv::value(written).trim() == token.reveal();
    });
    is_there
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateways_token_is_recognised_in_a_home_and_its_profiles() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("vijay");
        let profile = root.join("profiles/uma");
        std::fs::create_dir_all(&profile).unwrap();
        let homes = [folder.path().join("nobody"), root.clone()];
        let claimed = |token: &str| look(&Secret::new(token), &homes, &[]).claimed_by;
        assert_eq!(claimed("1:a"), None);
        std::fs::write(root.join(".env"), "A=2\nexport TELEGRAM_BOT_TOKEN=\"1:a\" # the bot\n").unwrap();
        std::fs::write(profile.join(".env"), "TELEGRAM_BOT_TOKEN='2:b'\n#TELEGRAM_BOT_TOKEN=3:c\nOTHER=4:d").unwrap();
        assert_eq!(claimed("1:a"), Some(Claim::Home(root)));
        assert_eq!(claimed("2:b"), Some(Claim::Home(profile)));
        for other in ["3:c", "4:d", "1:A", "1:a2"] {
            assert_eq!(claimed(other), None, "{other}");
        }
    }

    #[test]
    fn the_token_of_a_gateway_that_runs_is_recognised_by_its_lock() {
        let folder = tempfile::tempdir().unwrap();
        let folders = lock_folders(&[folder.path().join(".hermes")]);
        let locks = folder.path().join(".local/state/hermes/gateway-locks");
        assert!(folders.contains(&locks), "{folders:?}");
        std::fs::create_dir_all(&locks).unwrap();
        let token = Secret::new("1:a");
        let lock = locks.join("telegram-bot-token-4162fddd39a3e422.lock");
        let (process, started) = (std::process::id(), processes::start_ticks(std::process::id()).unwrap());
        let claimed = || look(&token, &[], std::slice::from_ref(&locks)).claimed_by;
        assert_eq!(claimed(), None);
        let record = |pid: u32, start_time: &str| {
            format!(
                r#"{{"pid": {pid}, "kind": "hermes-gateway", "argv": ["hermes", "gateway", "run"], "start_time": {start_time},
                "scope": "telegram-bot-token", "identity_hash": "4162fddd39a3e422", "metadata": {{"platform": "telegram"}}}}"#
            )
        };
        for (content, is_held) in [
            (record(process, &started.to_string()), true),
            (record(process, "null"), true),
            (record(process, &(started + 1).to_string()), false),
            (record(u32::MAX, &started.to_string()), false),
            (String::new(), false),
        ] {
            std::fs::write(&lock, &content).unwrap();
            let claim = is_held.then(|| Claim::Running { process, lock: lock.clone() });
            assert_eq!(claimed(), claim, "{content}");
        }
        std::fs::write(&lock, record(process, "null")).unwrap();
        assert_eq!(look(&Secret::new("1:b"), &[], &[locks]).claimed_by, None);
    }

    #[test]
    fn what_can_not_be_looked_into_is_told_without_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".env")).unwrap();
        let looked = look(&Secret::new("1:a"), &[folder.path().to_owned()], &[]);
        assert!(matches!(&looked.unreadable[..], [FileError::NotRegular { .. }]), "{looked:?}");
        assert_eq!(looked.claimed_by, None);
    }
}
