//! Configuration files of all programs here: reading YAML, and errors that say where, what, and what would be right.
//!
//! What may stand in a file is each program's own matter.

mod check;
mod error;
#[cfg(test)]
pub(crate) mod mutation;
pub mod reference;

use std::fmt;
use std::marker::PhantomData;
use std::path::Path;
use std::time::Duration;

use rustix::io::Errno;
use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

pub(crate) use check::Check;
#[cfg(feature = "exporter")]
pub(crate) use check::{LONGEST_NAME, is_name};
pub use error::ConfigError;
pub(crate) use error::{instead, nearest};

use crate::system::files::{self, FileError};
use error::tellable;

/// The most bytes of a configuration that are read. One of Prometheus with a thousand targets has a tenth.
const LARGEST: u64 = 2 * 1024 * 1024;

/// A duration as people write it: `90s`, `5m`, `1h 30m`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RawDuration(pub(crate) Duration);

impl<'de> Deserialize<'de> for RawDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let typed = String::deserialize(deserializer)?;
        let wrong = |_| serde::de::Error::custom(format!("{typed:?} is not a duration; write it as in 90s, 5m or 26h"));
        humantime::parse_duration(&typed).map(RawDuration).map_err(wrong)
    }
}

/// Values by name, with the place of each name: which names there are is not known to the parser.
#[derive(Debug)]
pub(crate) struct ByName<V>(pub(crate) Vec<(Spanned<String>, V)>);

impl<V> Default for ByName<V> {
    fn default() -> Self {
        ByName(Vec::new())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for ByName<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<V>(PhantomData<V>);

        impl<'de, V: Deserialize<'de>> Visitor<'de> for Entries<V> {
            type Value = ByName<V>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a map from names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(ByName(entries))
            }
        }

        deserializer.deserialize_map(Entries(PhantomData))
    }
}

/// The text of the file at `path`.
///
/// A FIFO would be waited for, and an endless device or a file that is large by mistake would take all memory: also while
/// serving, when the configuration is read again.
pub(crate) fn read(path: &Path) -> Result<String, ConfigError> {
    let failed = |source| ConfigError::Read { path: path.to_owned(), source };
    let content = match files::read_up_to(path, LARGEST) {
        Ok(Some(content)) => content,
        Ok(None) => return Err(failed(Errno::NOENT.into())),
        Err(FileError::Permission { .. }) => return Err(failed(Errno::ACCESS.into())),
        Err(error) => return Err(failed(std::io::Error::other(error))),
    };
    String::from_utf8(content).map_err(|_| failed(std::io::Error::other("it is not text in UTF-8")))
}

/// How much may be within each other: more than any configuration has, and less than a thread's stack takes.
const DEEPEST: usize = 24;

/// Understands the text of a file.
///
/// `needed` is the key that it can not do without, for a file that is empty.
pub(crate) fn parse<T: DeserializeOwned>(path: &Path, text: &str, needed: &str) -> Result<T, ConfigError> {
    let is_content = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    if !text.lines().any(is_content) {
        let message = format!("the file is empty; it needs at least `{needed}`");
        return Err(ConfigError::Syntax { path: path.to_owned(), line: 1, column: 1, message });
    }
    let options = serde_saphyr::options! { budget: serde_saphyr::budget! { max_depth: DEEPEST } };
    serde_saphyr::from_str_with_options(text, options).map_err(|error| explain(path, &error))
}

fn explain(path: &Path, error: &serde_saphyr::Error) -> ConfigError {
    let error = error.without_snippet();
    let (line, column) = error.location().map_or((1, 1), |location| (location.line().max(1), location.column().max(1)));
    let path = path.to_owned();
    match error {
        serde_saphyr::Error::SerdeUnknownField { field, expected, .. } => ConfigError::UnknownKey {
            path,
            line,
            column,
            key: tellable(field),
            nearest: nearest(field, expected.iter().copied()),
            known: expected.iter().map(|key| (*key).to_owned()).collect(),
        },
        serde_saphyr::Error::SerdeMissingField { field, .. } => {
            ConfigError::Syntax { path, line, column, message: format!("the key `{field}` is missing") }
        }
        other => {
            let message = other.to_string();
            // The parser's own message repeats the place.
            let message = in_plain_words(message.split(" at line ").next().unwrap_or("not valid YAML"));
            ConfigError::Syntax { path, line, column, message: tellable(&message) }
        }
    }
}

/// What the parser says, in the words of who writes the file: what is expected there, and how it is written.
fn in_plain_words(message: &str) -> String {
    let variants = message.strip_prefix("unknown variant `").and_then(|rest| rest.split_once("`, expected one of "));
    if let Some((typed, known)) = variants {
        let nearest = nearest(typed, known.split(", ")).map(|word| format!("; did you mean `{word}`?"));
        return format!("`{typed}` is none of {known}{}", nearest.unwrap_or_default());
    }
    let duplicate = message.strip_prefix("duplicate mapping key: ").and_then(|rest| rest.split(',').next());
    if let Some(key) = duplicate {
        return format!("the key `{key}` is there twice");
    }
    match message {
        "expected sequence start" => "a list is expected here, as in [one, two]".to_owned(),
        "expected mapping start" => "keys and values are expected here, as in {key: value}".to_owned(),
        "expected string scalar" => "a single text is expected here".to_owned(),
        "externally tagged enum expected scalar or mapping" => "a single word is expected here".to_owned(),
        "invalid i64" | "invalid i32" | "invalid u32" => "a whole number is expected here".to_owned(),
        "invalid boolean" => "`true` or `false` is expected here".to_owned(),
        "duplicate field `unit`" => "`unit` and `pattern` are two names of one key; write one of them".to_owned(),
        other if other.starts_with("multiple YAML documents") => {
            "one document is expected, and with `---` a second one begins here".to_owned()
        }
        "recursion limit exceeded" => "there is too much within each other here".to_owned(),
        other if other.starts_with("budget breached") => {
            "there is more in the file, or more within each other, than is understood of one".to_owned()
        }
        other if other.starts_with("cannot deserialize null") => "a value is missing here".to_owned(),
        other if other.contains("found a tab") || other.starts_with("tabs disallowed") => {
            "there is a tab in or after this line; YAML is indented with spaces".to_owned()
        }
        other => other.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error_chain::display_chain;

    /// A FIFO was waited for until somebody wrote to it, and /dev/zero was read until there was no memory.
    #[test]
    fn what_is_no_regular_file_of_a_modest_size_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let said = |path: &Path| {
            let error = display_chain(&read(path).unwrap_err());
            error.replace(&format!("{}/", folder.path().display()), "")
        };
        let mode = rustix::fs::Mode::RUSR;
        rustix::fs::mknodat(rustix::fs::CWD, at("fifo"), rustix::fs::FileType::Fifo, mode, 0).unwrap();
        std::fs::File::create(at("large")).unwrap().set_len(LARGEST + 1).unwrap();
        std::fs::write(at("latin"), b"name: J\xfcrgen").unwrap();
        let begin = |name: &str| format!("the configuration {name} could not be read: ");
        assert_eq!(said(&at("fifo")), begin("fifo") + "fifo is not a regular file");
        assert_eq!(said(Path::new("/dev/zero")), begin("/dev/zero") + "/dev/zero is not a regular file");
        let large = format!("large has {} bytes, more than the {LARGEST} that are read", LARGEST + 1);
        assert_eq!(said(&at("large")), begin("large") + &large);
        assert_eq!(said(&at("nothing")), begin("nothing") + "No such file or directory (os error 2)");
        assert_eq!(said(&at("latin")), begin("latin") + "it is not text in UTF-8");
        std::fs::write(at("good"), "name: uma").unwrap();
        std::os::unix::fs::symlink(at("good"), at("link")).unwrap();
        assert_eq!(read(&at("link")).unwrap(), "name: uma", "as mounted configurations are");
    }

    /// A message had all of a text of megabytes in it, and what a terminal takes as a command.
    #[test]
    fn what_is_wrong_is_told_briefly_and_harms_no_terminal() {
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        struct File {
            #[allow(dead_code, reason = "only whether it can be read matters")]
            known: RawDuration,
        }
        let said = |text: &str| parse::<File>(Path::new("f"), text, "known").unwrap_err().to_string();
        let long = said(&format!("known: {}", "x".repeat(1_000_000)));
        assert!(long.starts_with("f:1:8: \"xxx") && long.ends_with("xxx ...") && long.len() < 1_100, "{long}");
        assert!(said(&format!("? {}\n: 1", "x".repeat(1_000_000))).len() < 1_200);
        assert_eq!(said("\"\\e[2Jx\": 1"), "f:1:1: unknown key `\u{fffd}[2Jx`; it may be one of: known");
        assert_eq!(said(&"[".repeat(10_000)).lines().count(), 1);
    }
}
