//! Configuration files of all programs here: reading YAML, and errors that say where, what, and what would be right.
//!
//! What may stand in a file is each program's own matter.

mod check;
mod error;
pub mod reference;

use std::fmt;
use std::marker::PhantomData;
use std::path::Path;
use std::time::Duration;

use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::Spanned;

pub(crate) use check::Check;
#[cfg(feature = "exporter")]
pub(crate) use check::{LONGEST_NAME, is_name};
pub use error::ConfigError;
pub(crate) use error::{instead, nearest};

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

/// Reads the text of a file.
///
/// `needed` is the key that it can not do without, for a file that is empty.
pub(crate) fn parse<T: DeserializeOwned>(path: &Path, text: &str, needed: &str) -> Result<T, ConfigError> {
    let is_content = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('#');
    if !text.lines().any(is_content) {
        let message = format!("the file is empty; it needs at least `{needed}`");
        return Err(ConfigError::Syntax { path: path.to_owned(), line: 1, column: 1, message });
    }
    serde_saphyr::from_str(text).map_err(|error| explain(path, &error))
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
            key: field.clone(),
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
            ConfigError::Syntax { path, line, column, message }
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
        other if other.starts_with("cannot deserialize null") => "a value is missing here".to_owned(),
        other if other.contains("found a tab") || other.starts_with("tabs disallowed") => {
            "there is a tab in or after this line; YAML is indented with spaces".to_owned()
        }
        other => other.to_owned(),
    }
}
