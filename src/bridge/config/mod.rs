//! The configuration: what was typed becomes what is valid, or an error that says what would be right.
//!
//! [`raw`] is the file as typed; [`Config`] is what everything else works with, and can only be made from
//! something valid. [`advice`] is what is valid and yet hardly meant; [`mod@reference`] the documentation of every key, checked
//! against the code.

pub mod advice;
#[cfg(test)]
mod properties;
mod raw;
pub mod reference;
mod validate;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::alert::Severity;
use super::route::{Matchers, Route};
use super::secret::{SecretError, SecretFile};
use crate::config_file;
pub use crate::config_file::ConfigError;

/// A valid configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file in which everything is kept.
    pub store: PathBuf,
    /// Who may tell the bridge of alerts.
    pub auth: Auth,
    /// How messages are brought to people.
    pub delivery: Delivery,
    /// How Telegram is reached; there is none with `delivery: console`.
    pub telegram: Option<TelegramSettings>,
    /// How fast messages may be sent.
    pub limits: Limits,
    /// The chats, by the names that everything else here knows them by.
    pub chats: BTreeMap<ChatName, Chat>,
    /// Which alerts go where, in order.
    pub routes: Vec<Route>,
    /// Where alerts go that no route wants.
    pub default_chat: ChatName,
    /// Who is told what is wrong with the bridge and what it watches.
    pub operations_chat: ChatName,
    /// The template of cards that is used instead of the shipped one.
    pub template: Option<PathBuf>,
    /// Where links in messages lead.
    pub links: Links,
    /// The heartbeat whose absence is told.
    pub watchdog: Option<Watchdog>,
    /// A URL that is asked for now and then, so that somebody notices when the bridge is gone.
    pub ping: Option<Ping>,
    /// Alertmanager, for silences.
    pub alertmanager: Option<Alertmanager>,
    /// What can be done from chats; none without.
    pub buttons: Option<Buttons>,
    /// How long what is over is kept.
    pub retention: Duration,
    /// For how long after a resolve a firing of the same incident is taken for one that came late. Then, if it was not
    /// resolved again, it is told as a new one.
    pub late_firing: Duration,
    /// As many cards may wait for their first message in a chat before they are put together.
    pub digest_above: usize,
}

impl Config {
    /// Reads and validates a file.
    pub fn from_file(path: &Path) -> Result<Config, ConfigError> {
        Config::from_text(path, &config_file::read(path)?)
    }

    /// Validates the text of a file; `path` is for messages.
    pub fn from_text(path: &Path, text: &str) -> Result<Config, ConfigError> {
        validate::validate(path, raw::parse(path, text)?)
    }

    /// The chat of this name; where a chat is no more that something was stored for, the default one.
    pub fn chat(&self, name: &ChatName) -> Option<&Chat> {
        self.chats.get(name).or_else(|| self.chats.get(&self.default_chat))
    }
}

/// What a chat is called in the configuration, in metrics and in the store.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChatName(Arc<str>);

impl ChatName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ChatName {
    fn from(name: &str) -> Self {
        ChatName(name.into())
    }
}

impl fmt::Display for ChatName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Who may tell the bridge of alerts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Auth {
    /// Whoever reaches it.
    Open,
    /// Who knows the token.
    Bearer(SecretFile),
    /// Who knows name and password.
    Basic {
        /// The name.
        username: String,
        /// The password.
        password: SecretFile,
    },
}

/// How messages are brought to people.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Delivery {
    /// By Telegram.
    #[default]
    Telegram,
    /// They are printed to standard output, for trying things out.
    Console,
}

/// How Telegram is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TelegramSettings {
    /// The bot's token.
    pub token: SecretFile,
    /// Where the Bot API is; `https://api.telegram.org` unless one has a server of one's own.
    pub api_url: reqwest::Url,
    /// A proxy on the way there: `http://`, `https://`, `socks5://` or `socks5h://`. Only known when it is needed, because
    /// there may be a password in it.
    pub proxy: Option<Proxy>,
    /// How long a call may take.
    pub timeout: Duration,
}

/// A proxy, by its URL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proxy {
    /// One without a password.
    Url(reqwest::Url),
    /// One whose URL is in a file.
    File(SecretFile),
}

/// How fast messages may be sent. What Telegram says it permits, less a reserve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// The pause between two messages to one chat, on average; a few may come at once.
    pub chat_interval: Duration,
    /// Messages per minute to a group.
    pub group_per_minute: u32,
    /// Messages per second to all chats together.
    pub bot_per_second: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { chat_interval: Duration::from_secs(1), group_per_minute: 18, bot_per_second: 25 }
    }
}

/// A chat.
#[derive(Debug, Clone, PartialEq)]
pub struct Chat {
    /// Its number at Telegram; 0 with `delivery: console`, where none is needed.
    pub id: ChatId,
    /// The topic in it; none for the general one.
    pub thread: Option<i32>,
    /// Where its messages go when it can not be written to.
    pub fallback: Option<ChatName>,
    /// The template of its cards.
    pub template: Option<PathBuf>,
    /// In which times are shown; the system's where it is none.
    pub timezone: Option<jiff::tz::TimeZone>,
    /// What is not told here at all.
    pub muted: Vec<Severity>,
    /// What arrives without a sound.
    pub silent: Vec<Severity>,
    /// When everything arrives without a sound.
    pub silent_hours: Option<SilentHours>,
    /// How it is told that an alert is over.
    pub resolve: Resolve,
    /// Whether that arrives with a sound.
    pub resolve_sound: bool,
    /// Whether alerts that begin to fire together are one message.
    pub grouping: Grouping,
    /// Whether there are buttons below cards here, where there are any at all.
    pub buttons: bool,
}

/// A chat's number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChatId {
    /// As it stands in the configuration.
    Number(i64),
    /// In a file, for who does not want it in the configuration.
    File(SecretFile),
}

/// Why a chat's number is not known.
#[derive(Debug, thiserror::Error)]
pub enum ChatIdError {
    /// The file with it can not be read.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// There is no number in it.
    #[error("{} has no chat's number in it, as in -1001234567890", path.display())]
    NoNumber {
        /// The file.
        path: PathBuf,
    },
}

impl ChatId {
    /// The number as it is now; a file is read anew.
    pub fn read(&self) -> Result<i64, ChatIdError> {
        match self {
            ChatId::Number(number) => Ok(*number),
            ChatId::File(file) => match file.read()?.reveal().parse() {
                Ok(number) if number != 0 => Ok(number),
                _ => Err(ChatIdError::NoNumber { path: file.path().to_owned() }),
            },
        }
    }
}

/// How it is told that an alert is over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resolve {
    /// Its message says so from then on; nobody is notified.
    Edit,
    /// A short answer to its message; the message itself stays as it was.
    Reply,
    /// Both.
    #[default]
    Both,
    /// A message of its own.
    New,
}

/// Whether alerts that begin to fire together are one message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grouping {
    /// What one notification brings anew for a chat is one message.
    #[default]
    Together,
    /// Each alert is a message.
    Each,
}

/// A part of the day, perhaps over midnight.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SilentHours {
    /// When it begins.
    pub from: jiff::civil::Time,
    /// When it is over.
    pub to: jiff::civil::Time,
    /// What is heard all the same.
    pub except: Vec<Severity>,
}

/// Where links in messages lead. Where nothing is set they are as Alertmanager and Prometheus have them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Links {
    /// Alertmanager, as people reach it.
    pub alertmanager: Option<reqwest::Url>,
    /// Prometheus, as people reach it.
    pub prometheus: Option<reqwest::Url>,
    /// The dashboard of an instance; `{instance}` in it stands for its name.
    pub dashboard: Option<String>,
    /// What serves runbooks, as people reach it: what is before `/runbooks/` in `runbook_url`.
    pub runbooks: Option<reqwest::Url>,
}

/// A heartbeat whose absence is told.
#[derive(Debug, Clone)]
pub struct Watchdog {
    /// The alert that always fires.
    pub matchers: Matchers,
    /// How long there may be none.
    pub max_silence: Duration,
}

/// A URL that is asked for now and then.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ping {
    /// The URL, which is secret at most services of this kind.
    pub url: SecretFile,
    /// How often.
    pub interval: Duration,
}

/// How Alertmanager is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alertmanager {
    /// Where it is, without `/api/v2`.
    pub url: reqwest::Url,
    /// How to log in there.
    pub auth: Auth,
}

/// What can be done from chats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Buttons {
    /// Who may press, and what they are called in messages, by the number that Telegram knows them by.
    pub users: BTreeMap<i64, String>,
    /// For how long alerts can be silenced.
    pub silences: Vec<Duration>,
    /// Hermes homes whose bots are not this one; their `.env` is looked into.
    pub hermes_homes: Vec<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error_chain::display_chain;

    /// Every file below tests/fixtures/bridge-config is a test: those in `valid` are accepted, with the advice in their
    /// last comment lines, and each of those in `invalid` gives exactly the message in these.
    #[test]
    fn sample_configurations() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/bridge-config");
        let files = |kind: &str| {
            let mut files: Vec<_> =
                std::fs::read_dir(root.join(kind)).unwrap().map(|entry| entry.unwrap().path()).collect();
            files.sort();
            assert!(!files.is_empty());
            files
        };
        for path in files("valid").into_iter().chain(files("invalid")) {
            let is_valid = path.parent().unwrap().ends_with("valid");
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.file_name().unwrap().to_str().unwrap();
            let said = match Config::from_text(Path::new(name), &text) {
                Ok(config) if is_valid => advice::advice(&config).join("\n"),
                Err(error) if !is_valid => display_chain(&error),
                Ok(_) => panic!("{name} is valid"),
                Err(error) => panic!("{}", display_chain(&error)),
            };
            let without: String =
                text.lines().filter(|line| !line.starts_with("#> ")).map(|line| format!("{line}\n")).collect();
            let golden = without + &said.lines().map(|line| format!("#> {line}\n")).collect::<String>();
            if std::env::var_os("UPDATE_GOLDEN").is_some() {
                std::fs::write(&path, golden).unwrap();
            } else {
                assert_eq!(golden, text, "{name}");
            }
        }
    }

    #[test]
    fn a_number_in_a_file_is_read_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("root.chat");
        let id = ChatId::File(SecretFile::at(&path));
        assert!(id.read().unwrap_err().to_string().contains("root.chat is not there"));
        std::fs::write(&path, "-1001234567890\n").unwrap();
        assert_eq!(id.read().unwrap(), -1001234567890);
        for wrong in ["0\n", "root\n"] {
            std::fs::write(&path, wrong).unwrap();
            assert!(id.read().unwrap_err().to_string().contains("has no chat's number in it"), "{wrong}");
        }
    }
}
