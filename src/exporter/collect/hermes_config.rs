//! `config.yaml` of a Hermes home, as far as every collector reads it alike. What it means is the collectors' own matter.
//! The file may hold secrets: nothing of it is kept here.

use serde_json::Value;

use crate::system::files::ParseFault;

/// The whole file; null where it is empty.
pub(super) fn parse(content: &[u8]) -> Result<Value, ParseFault> {
    let text = std::str::from_utf8(content).map_err(|_| ParseFault::SOMEWHERE)?;
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    let config: Value = serde_saphyr::from_str(text).map_err(|error| {
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
}
