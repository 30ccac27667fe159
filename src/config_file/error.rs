//! What can be wrong with a configuration: where it is, what it is, and what would be right.

use std::path::PathBuf;

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("the configuration {} could not be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// It is not YAML, or a value has the wrong type.
    #[error("{}:{line}:{column}: {message}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: u64,
        /// What the parser says.
        message: String,
    },
    /// A key that there is not.
    #[error("{}:{line}:{column}: unknown key `{key}`{}", path.display(), suggestion(nearest.as_deref(), known))]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: u64,
        /// The key as typed.
        key: String,
        /// The right key that is most like it.
        nearest: Option<String>,
        /// All keys that may stand there.
        known: Vec<String>,
    },
    /// A value that can not be.
    #[error("{}:{line}:{column}: {key}: {problem}", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: u64,
        /// The column, from 1.
        column: u64,
        /// The key whose value it is.
        key: String,
        /// What is wrong with it, and what would be right.
        problem: String,
    },
}

fn suggestion(nearest: Option<&str>, known: &[String]) -> String {
    match nearest {
        Some(nearest) => format!("; did you mean `{nearest}`?"),
        None => format!("; it may be one of: {}", known.join(", ")),
    }
}

/// What quotes a file, as it can be told: on a terminal it does nothing but stand there, and it is no longer than somebody
/// reads.
pub(super) fn tellable(text: &str) -> String {
    /// The longest messages that are meant so have half of it.
    const LONGEST: usize = 1_000;
    let is_harmless = |letter: char| letter == '\n' || !letter.is_control();
    let harmless = |letter| if is_harmless(letter) { letter } else { char::REPLACEMENT_CHARACTER };
    let mut told: String = text.chars().take(LONGEST).map(harmless).collect();
    if text.chars().nth(LONGEST).is_some() {
        told.push_str(" ...");
    }
    told
}

/// The word out of `known` that is most like what was typed, if any is like it at all.
pub(crate) fn nearest<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    /// Below this two words are not taken as one misspelt; found by trying typical slips.
    const LIKENESS: f64 = 0.75;
    /// No longer word is a misspelt one, and comparing takes the time of both lengths.
    const LONGEST: usize = 200;
    if typed.len() > LONGEST {
        return None;
    }
    known
        .into_iter()
        .map(|word| (strsim::jaro_winkler(typed, word), word))
        .filter(|(likeness, _)| *likeness >= LIKENESS)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, word)| word.to_owned())
}

/// What a name that there is not could have been meant as: the nearest one, or all of them.
pub(crate) fn instead<'a>(nearest: Option<&str>, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<_> = known.into_iter().collect();
    match nearest {
        Some(nearest) => format!("did you mean {nearest:?}?"),
        None if known.is_empty() => "there is none at all".to_owned(),
        None => format!("there are: {}", known.join(", ")),
    }
}
