//! `config.yaml` of a Hermes home, as far as every collector reads it alike: as Hermes does, so that what stands there
//! twice counts as it stands last, and a bare `off` is false. What it means is the collectors' own matter.
//! The file may hold secrets: nothing of it is kept here.

use serde_json::Value;

use crate::system::files::ParseFault;

/// The name of the file in a home.
pub(super) const CONFIG: &str = "config.yaml";

/// The whole file; null where it is empty.
pub(super) fn parse(content: &[u8]) -> Result<Value, ParseFault> {
    let text = std::str::from_utf8(content).map_err(|_| ParseFault::SOMEWHERE)?;
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    let options = serde_saphyr::options! { duplicate_keys: serde_saphyr::DuplicateKeyPolicy::LastWins };
    let config: Value = serde_saphyr::from_str_with_options(text, options).map_err(|error| {
        error.location().map_or(ParseFault::SOMEWHERE, |location| ParseFault {
            line: location.line() as usize,
            column: location.column() as usize,
        })
    })?;
    if config.is_object() || config.is_null() { Ok(config) } else { Err(ParseFault::SOMEWHERE) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn damage_is_located_and_not_quoted() {
        let fault = parse(b"a: 1\nsecret: [unclosed\n").unwrap_err();
        assert!(fault.line >= 2, "{fault:?}");
        assert!(parse(b"- a list\n").is_err());
        assert!(parse(b"\xff").is_err());
    }

    #[test]
    fn an_empty_file_is_a_configuration() {
        for content in ["", " \n", "# nothing\n"] {
            assert_eq!(parse(content.as_bytes()).unwrap(), Value::Null, "{content:?}");
        }
    }

    #[test]
    fn words_that_are_switches_are_read_as_such_unless_they_are_quoted() {
        let config = parse(b"a: off\nb: 'off'\nc: No\nd: \"no\"\ne: ON\nf: true\ng: ~\nh: 1\ni: manual\n").unwrap();
        let expected = json!({
            "a": false, "b": "off", "c": false, "d": "no", "e": true, "f": true, "g": null, "h": 1, "i": "manual"
        });
        assert_eq!(config, expected);
    }

    #[test]
    fn the_last_of_two_counts() {
        assert_eq!(parse(b"a: {b: 1}\na: {b: 2}\n").unwrap(), json!({"a": {"b": 2}}));
    }
}
