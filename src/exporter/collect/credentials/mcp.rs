//! `mcp-tokens/`: what MCP servers granted, one file per server.
//!
//! Beside `<server>.json` lie files of other kinds (`.client.json`, `.meta.json`, temporary ones). Hermes
//! makes server names fit for files, so that no name has a dot, and every other file has one more.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use super::field::{self, Field, Moment, Seconds, Secret};
use super::grant::{Grant, unreadable};
use crate::exporter::collect::problems::{Because, Problems};
use crate::exporter::snapshot::credentials::Token;
use crate::exporter::snapshot::{Label, Reason};
use crate::system::files::{self, ParseFault, Watched};
use crate::system::time::Timestamp;

const SUBJECT: &str = "mcp-tokens";

/// The most servers whose tokens are read.
const MOST_SERVERS: usize = 100;

/// What a file says.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stored {
    grant: Grant,
    /// How long after it was written the access expires; old files say only that.
    lifetime_seconds: Option<f64>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct File {
    access_token: Field<Secret>,
    refresh_token: Field<Secret>,
    expires_at: Field<Moment>,
    expires_in: Field<Seconds>,
}

fn parse(content: &[u8]) -> Result<Stored, ParseFault> {
    let file: File = field::document(content)?;
    let grant = Grant {
        has_access: file.access_token.0.is_present,
        has_refresh: file.refresh_token.0.is_present,
        expiry: file.expires_at.0.0,
        is_withdrawn: false,
    };
    Ok(Stored { grant, lifetime_seconds: file.expires_in.0.0 })
}

/// The folder and the files that were read from it.
#[derive(Debug)]
pub(super) struct McpTokens {
    folder: PathBuf,
    files: BTreeMap<String, Watched<Stored>>,
}

impl McpTokens {
    pub(super) fn new(folder: PathBuf) -> Self {
        McpTokens { folder, files: BTreeMap::new() }
    }

    /// The tokens at `now`, by `mcp:` and the server's name; and why there may be more of them.
    pub(super) fn read(&mut self, now: Timestamp, problems: &mut Problems) -> (Vec<(Label, Token)>, Option<Reason>) {
        let names = match files::entries(&self.folder) {
            Ok(names) => names.unwrap_or_default(),
            Err(error) => {
                problems.unknown::<()>(SUBJECT, &error);
                return (Vec::new(), Some(error.reason()));
            }
        };
        let mut servers: Vec<&str> = names.iter().filter_map(|name| server_of(name)).collect();
        let mut unread = None;
        if servers.len() > MOST_SERVERS {
            servers.truncate(MOST_SERVERS);
            problems.note(SUBJECT, Reason::Unsupported);
            unread = Some(Reason::Unsupported);
        }
        self.files.retain(|server, _| servers.contains(&server.as_str()));
        let mut tokens = Vec::new();
        for server in servers {
            let file = self
                .files
                .entry(server.to_owned())
                .or_insert_with(|| Watched::new(self.folder.join(format!("{server}.json"))));
            let token = match file.get(parse).map(|stored| stored.copied()) {
                Ok(Some(stored)) => Grant { expiry: expiry(&stored, file), ..stored.grant }.at(now),
                // It went away after the folder was listed.
                Ok(None) => continue,
                Err(error) => {
                    problems.unknown::<()>(SUBJECT, &error);
                    unreadable(true, error.reason())
                }
            };
            tokens.push((Label::new(&format!("mcp:{server}")), token));
        }
        (tokens, unread)
    }
}

fn server_of(name: &str) -> Option<&str> {
    name.strip_suffix(".json").filter(|server| !server.is_empty() && !server.contains('.'))
}

fn expiry(stored: &Stored, file: &Watched<Stored>) -> Option<Timestamp> {
    if stored.grant.expiry.is_some() {
        return stored.grant.expiry;
    }
    let written = std::fs::metadata(file.path()).and_then(|metadata| metadata.modified()).ok()?;
    Timestamp::from_seconds(Timestamp::from(written).seconds() + stored.lifetime_seconds?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporter::snapshot::{Problem, Reading};
    use std::time::{Duration, SystemTime};
    use tempfile::TempDir;

    const NOW: f64 = 1_795_165_255.0;

    fn folder_with(files: &[(&str, &str)]) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, content) in files {
            std::fs::write(folder.path().join(name), content).unwrap();
        }
        folder
    }

    fn look(tokens: &mut McpTokens) -> (BTreeMap<String, Token>, Vec<Problem>) {
        let mut problems = Problems::default();
        let (found, _) = tokens.read(Timestamp::from_seconds(NOW).unwrap(), &mut problems);
        let found = found.into_iter().map(|(label, token)| (label.to_string(), token)).collect();
        (found, problems.into_sorted())
    }

    fn noted(reason: Reason) -> Vec<Problem> {
        vec![Problem { reason, subject: SUBJECT.to_owned() }]
    }

    #[test]
    fn only_token_files_are_servers() {
        let token = r#"{"access_token": "a", "refresh_token": "r", "expires_at": 1795165000.5, "scope": "x"}"#;
        let folder = folder_with(&[
            ("calendar.json", token),
            ("calendar.client.json", r#"{"client_secret": "s"}"#),
            ("calendar.meta.json", "{}"),
            (".calendar.json.tmp", "{"),
            (".json", "{"),
            ("notes.txt", "{"),
        ]);
        let (tokens, problems) = look(&mut McpTokens::new(folder.path().to_owned()));
        assert_eq!(tokens.keys().collect::<Vec<_>>(), ["mcp:calendar"]);
        assert_eq!(tokens["mcp:calendar"].valid, Reading::Known(true));
        assert_eq!(tokens["mcp:calendar"].expiry, Timestamp::from_seconds(1_795_165_000.5).into());
        assert_eq!(problems, []);
    }

    #[test]
    fn an_old_file_expires_from_when_it_was_written() {
        let folder = folder_with(&[("old.json", r#"{"access_token": "a", "expires_in": 3600}"#)]);
        let written = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_160_000);
        let file = std::fs::File::options().write(true).open(folder.path().join("old.json")).unwrap();
        file.set_modified(written).unwrap();
        let (tokens, _) = look(&mut McpTokens::new(folder.path().to_owned()));
        assert_eq!(tokens["mcp:old"].expiry, Timestamp::from_seconds(1_795_163_600.0).into());
        assert_eq!(tokens["mcp:old"].valid, Reading::Known(false));
    }

    #[test]
    fn one_damaged_file_leaves_the_others() {
        let folder =
            folder_with(&[("bad.json", "{\"access_token\": \"hunter2"), ("good.json", r#"{"access_token": "a"}"#)]);
        let (tokens, problems) = look(&mut McpTokens::new(folder.path().to_owned()));
        assert_eq!(tokens["mcp:bad"], unreadable(true, Reason::Parse));
        assert_eq!(tokens["mcp:good"].valid, Reading::Known(true));
        assert_eq!(problems, noted(Reason::Parse));
    }

    #[test]
    fn a_server_that_is_gone_is_forgotten() {
        let folder = folder_with(&[("a.json", "{}"), ("b.json", "{}")]);
        let mut tokens = McpTokens::new(folder.path().to_owned());
        look(&mut tokens);
        std::fs::remove_file(folder.path().join("a.json")).unwrap();
        assert_eq!(look(&mut tokens).0.into_keys().collect::<Vec<_>>(), ["mcp:b"]);
        assert_eq!(tokens.files.len(), 1);
        folder.close().unwrap();
        assert_eq!(look(&mut tokens), (BTreeMap::new(), vec![]));
    }

    #[test]
    fn a_flood_of_servers_is_cut_and_that_is_noted() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..=MOST_SERVERS {
            std::fs::write(folder.path().join(format!("{number:04}.json")), "{}").unwrap();
        }
        let (tokens, problems) = look(&mut McpTokens::new(folder.path().to_owned()));
        assert_eq!((tokens.len(), problems), (MOST_SERVERS, noted(Reason::Unsupported)));
        assert!(!tokens.contains_key("mcp:0100"));
    }

    #[test]
    fn what_is_not_readable_as_a_folder_is_told() {
        let folder = folder_with(&[("file", "")]);
        assert_eq!(look(&mut McpTokens::new(folder.path().join("file"))), (BTreeMap::new(), vec![]));
        std::fs::create_dir(folder.path().join("a.json")).unwrap();
        let (tokens, problems) = look(&mut McpTokens::new(folder.path().to_owned()));
        assert_eq!((tokens["mcp:a"], problems), (unreadable(true, Reason::Unsupported), noted(Reason::Unsupported)));
    }
}
