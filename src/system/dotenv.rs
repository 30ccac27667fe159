//! `.env` of a Hermes home, line by line, as Hermes reads it. Its values are secrets: whoever reads it looks at those of
//! the keys they want and drops the rest.

/// The name of the file in a home.
pub const DOTENV: &str = ".env";

/// Calls `take` with each key and what stands behind its `=`, in order; a comment counts as a key that nobody wants.
pub fn for_each(content: &[u8], mut take: impl FnMut(&str, &str)) {
    let content = content.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(content);
    for line in content.split(|byte| matches!(byte, b'\n' | b'\r')) {
        let line = String::from_utf8_lossy(line);
        let line = line.trim();
        let line = line.strip_prefix("export ").unwrap_or(line);
        if let Some((key, value)) = line.split_once('=') {
            take(key.trim(), value);
        }
    }
}

/// The value that is meant by what stands behind the `=`: without quotes and comment.
pub fn value(written: &str) -> &str {
    let text = written.trim();
    match text.chars().next() {
        Some(quote @ ('"' | '\'')) => text.split(quote).nth(1).unwrap_or_default(),
        // Without the space it would be a value that begins with a `#`.
        Some('#') if written.starts_with(char::is_whitespace) => "",
        _ => {
            let is_comment = |(place, _): &(usize, &str)| text[..*place].ends_with(char::is_whitespace);
            let comment = text.match_indices('#').find(is_comment);
            comment.map_or(text, |(place, _)| text[..place].trim_end())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_without_quotes_and_comments() {
        for (written, expected) in [
            ("v", "v"),
            ("  v  ", "v"),
            ("\"v w\" # why", "v w"),
            ("'v'", "v"),
            ("v # why", "v"),
            ("v\t#why", "v"),
            ("v#no comment", "v#no comment"),
            ("#v", "#v"),
            (" # why", ""),
            ("", ""),
            ("\"\"", ""),
            ("ä #ö", "ä"),
        ] {
            assert_eq!(value(written), expected, "{written:?}");
        }
    }

    #[test]
    fn every_assignment_is_given_in_order() {
        let mut found = Vec::new();
        for_each(b"\xEF\xBB\xBFA=1\nno assignment\n# C=3\n\nexport B = 2\r\nA=4", |key, value| {
            found.push((key.to_owned(), value.trim().to_owned()));
        });
        let pairs: Vec<_> = found.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("A", "1"), ("# C", "3"), ("B", "2"), ("A", "4")]);
    }
}
