//! Whether the bot's token belongs to a Hermes gateway.
//!
//! Telegram gives a bot's updates to one who asks. If the bridge asked with a gateway's token, it would take messages that
//! were meant for Hermes, and Hermes would take the presses. So where a gateway has the token, the bridge does not ask.
//!
//! The values are compared, and neither kept nor shown.

use std::path::{Path, PathBuf};

use crate::bridge::secret::Secret;
use crate::system::dotenv::{self, DOTENV};
use crate::system::files::{self, FileError};

/// What Hermes has its bot's token under.
const VARIABLE: &str = "TELEGRAM_BOT_TOKEN";

/// What a look into Hermes homes has shown.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// The home whose bot this is.
    pub(super) claimed_by: Option<PathBuf>,
    /// What could not be looked into.
    pub(super) unreadable: Vec<FileError>,
}

/// Looks for a token in these homes, and in their profiles.
pub(super) fn look(token: &Secret, homes: &[PathBuf]) -> Looked {
    let mut looked = Looked::default();
    for root in homes {
        for home in std::iter::once(root.clone()).chain(profiles(root, &mut looked)) {
            match files::read(&home.join(DOTENV)) {
                Ok(Some(content)) if has_token(&content, token) => looked.claimed_by = Some(home),
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
        let claimed = |token: &str| look(&Secret::new(token), &homes).claimed_by;
        assert_eq!(claimed("1:a"), None);
        std::fs::write(root.join(".env"), "A=2\nexport TELEGRAM_BOT_TOKEN=\"1:a\" # the bot\n").unwrap();
        std::fs::write(profile.join(".env"), "TELEGRAM_BOT_TOKEN='2:b'\n#TELEGRAM_BOT_TOKEN=3:c\nOTHER=4:d").unwrap();
        assert_eq!(claimed("1:a"), Some(root));
        assert_eq!(claimed("2:b"), Some(profile));
        for other in ["3:c", "4:d", "1:A", "1:a2"] {
            assert_eq!(claimed(other), None, "{other}");
        }
    }

    #[test]
    fn what_can_not_be_looked_into_is_told_without_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(".env")).unwrap();
        let looked = look(&Secret::new("1:a"), &[folder.path().to_owned()]);
        assert!(matches!(&looked.unreadable[..], [FileError::NotRegular { .. }]), "{looked:?}");
        assert_eq!(looked.claimed_by, None);
    }
}
