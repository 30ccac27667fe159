//! File modes: whether other accounts can look into a home, or read its secrets.
//!
//! Hermes makes a home 0700 and its secrets 0600; with `HERMES_MANAGED` it leaves 0750 and 0640 to whoever manages it,
//! so that a group may read. What it never makes is what is looked for here: anything that everybody may do, and
//! writing by anybody but the owner. Hermes itself leaves `state.db` and its logs readable: those are as private as
//! the home.

use std::path::Path;

use crate::system::access::{Modes, READ, Rights, WRITE};
use crate::system::files::{self, FileError};

/// Files with secrets, by their place in a home: those that Hermes writes for its own eyes alone.
const SECRETS: [&str; 9] = [
    ".env",
    ".op.env",
    "auth.json",
    "config.yaml",
    "google_token.json",
    "google_client_secret.json",
    "google_oauth_pending.json",
    ".anthropic_oauth.json",
    "webhook_subscriptions.json",
];

/// The folder of the tokens of MCP servers, one file each.
const MCP_TOKENS: &str = "mcp-tokens";

/// The most tokens that are looked at.
const MOST_TOKENS: usize = 1_000;

/// Whether nobody but its owner may write to the home, and not everybody may list or enter it.
pub(super) fn is_home_private(modes: &mut Modes, home: &Path) -> Result<Option<bool>, FileError> {
    let is_private = |rights: Rights| rights.others == 0 && rights.group & WRITE == 0;
    Ok(modes.rights(home)?.map(is_private))
}

/// Whether nobody but their owner may write to the files with secrets, and not everybody may read them.
pub(super) fn are_secrets_private(modes: &mut Modes, home: &Path) -> Result<bool, FileError> {
    let tokens = home.join(MCP_TOKENS);
    let names = files::entries(&tokens)?.unwrap_or_default();
    let tokens = names.iter().filter(|name| name.ends_with(".json")).take(MOST_TOKENS).map(|name| tokens.join(name));
    for file in SECRETS.iter().map(|name| home.join(name)).chain(tokens) {
        if let Some(rights) = modes.rights(&file)?
            && (rights.others & (READ | WRITE) != 0 || rights.group & WRITE != 0)
        {
            return Ok(false);
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::path::PathBuf;
    use tempfile::TempDir;

    fn set(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A home of the given mode in a folder that everybody may enter.
    fn home(mode: u32) -> (TempDir, PathBuf) {
        let base = tempfile::tempdir().unwrap();
        set(base.path(), 0o755);
        let home = base.path().join("home");
        std::fs::create_dir(&home).unwrap();
        set(&home, mode);
        (base, home)
    }

    #[test]
    fn homes_by_their_mode() {
        for (mode, is_private) in [
            (0o700, true),
            (0o750, true),
            (0o2750, true),
            (0o770, false),
            (0o2770, false),
            (0o701, false),
            (0o704, false),
            (0o755, false),
            (0o777, false),
        ] {
            let (_base, home) = home(mode);
            assert_eq!(is_home_private(&mut Modes::default(), &home).unwrap(), Some(is_private), "{mode:o}");
        }
        let (base, home) = home(0o755);
        set(base.path(), 0o700);
        assert_eq!(is_home_private(&mut Modes::default(), &home).unwrap(), Some(true), "nobody gets that far");
    }

    #[test]
    fn secrets_by_their_mode() {
        for name in SECRETS.into_iter().chain(["mcp-tokens/calendar.json"]) {
            let (base, home) = home(0o755);
            assert!(are_secrets_private(&mut Modes::default(), &home).unwrap(), "there are none");
            let file = home.join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, "").unwrap();
            for (mode, is_private) in [(0o600, true), (0o640, true), (0o660, false), (0o644, false), (0o602, false)] {
                set(&file, mode);
                assert_eq!(are_secrets_private(&mut Modes::default(), &home).unwrap(), is_private, "{name} {mode:o}");
            }
            set(&home, 0o700);
            assert!(are_secrets_private(&mut Modes::default(), &home).unwrap(), "{name} in a private home");
            drop(base);
        }
    }

    #[test]
    fn what_hermes_leaves_readable_is_no_secret_of_its_own() {
        let (_base, home) = home(0o755);
        for name in ["state.db", "SOUL.md", "gateway.pid", "auth.lock"] {
            std::fs::write(home.join(name), "").unwrap();
            set(&home.join(name), 0o644);
        }
        assert!(are_secrets_private(&mut Modes::default(), &home).unwrap());
    }
}
