//! From the lines of a log to its records.
//!
//! Hermes writes `YYYY-mm-dd HH:MM:SS,mmm LEVEL [session] logger: message`, the session only where there is one. A message
//! may have more lines, and a traceback follows its record: a line that does not begin so belongs to the record before it.

use serde::{Deserialize, Serialize};

/// How much a record matters, in Hermes' own words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) enum Level {
    Debug,
    Info,
    Warning,
    Error,
    Critical,
}

/// The form of what a record begins with; a `0` is any digit.
const MOMENT: &[u8] = b"0000-00-00 00:00:00,000 ";

/// The level of the record that begins with this line, where one does.
pub(super) fn level(line: &[u8]) -> Option<Level> {
    let (moment, rest) = line.split_at_checked(MOMENT.len())?;
    let fits = |(form, byte): (&u8, &u8)| if *form == b'0' { byte.is_ascii_digit() } else { form == byte };
    if !MOMENT.iter().zip(moment).all(fits) {
        return None;
    }
    match rest.split(|byte| *byte == b' ').next()? {
        b"DEBUG" => Some(Level::Debug),
        b"INFO" => Some(Level::Info),
        b"WARNING" => Some(Level::Warning),
        b"ERROR" => Some(Level::Error),
        b"CRITICAL" => Some(Level::Critical),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_record_begins_with_a_moment_and_a_level() {
        for (line, expected) in [
            ("2026-11-20 08:49:16,713 INFO gateway.run: Starting", Some(Level::Info)),
            ("2026-11-20 08:49:16,713 WARNING [20261120_a1] agent.loop: slow", Some(Level::Warning)),
            ("2026-11-20 08:49:16,713 ERROR x: ", Some(Level::Error)),
            ("2026-11-20 08:49:16,713 CRITICAL x: y", Some(Level::Critical)),
            ("2026-11-20 08:49:16,713 DEBUG x: y", Some(Level::Debug)),
            // Of something else, or of a traceback.
            ("2026-11-20 08:49:16,713 ERRORS x: y", None),
            ("2026-11-20 08:49:16.713 ERROR x: y", None),
            ("2026-11-20 08:49:16,713", None),
            (" 2026-11-20 08:49:16,713 ERROR x: y", None),
            ("Traceback (most recent call last):", None),
            ("ERROR", None),
            ("", None),
        ] {
            assert_eq!(level(line.as_bytes()), expected, "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(line in prop::collection::vec(any::<u8>(), 0..64)) {
            level(&line);
            level(&[MOMENT, &line].concat());
        }
    }
}
