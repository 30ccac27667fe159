//! What Telegram makes of a text with HTML in it: the visible text, or the words with which it refuses it.
//!
//! After tdlib's parser, byte for byte where errors are concerned. It knows nothing of the bridge, whose texts it is
//! there to judge.

/// The most UTF-16 units of visible text that a message may have.
pub(crate) const LONGEST_TEXT: usize = 4096;

/// The same for what stands below a document.
pub(crate) const LONGEST_CAPTION: usize = 1024;

/// The most bytes of a text as it is sent.
pub(crate) const LONGEST_SOURCE: usize = 32 * 1024;

const TAGS: [&str; 16] = [
    "a",
    "b",
    "strong",
    "i",
    "em",
    "s",
    "strike",
    "del",
    "u",
    "ins",
    "tg-spoiler",
    "tg-emoji",
    "span",
    "pre",
    "code",
    "blockquote",
];

/// How many UTF-16 units a text has.
pub(crate) fn utf16_length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// The visible text of a message or caption, or Telegram's description of why there is none.
pub(crate) fn visible(source: &str, parse_mode: Option<&str>, longest: usize) -> Result<String, String> {
    if source.len() > LONGEST_SOURCE {
        return Err(too_long(longest));
    }
    let visible = match parse_mode.map(str::to_ascii_lowercase).as_deref() {
        None | Some("") => source.to_owned(),
        Some("html") => {
            parse_html(source).map_err(|problem| format!("Bad Request: can't parse entities: {problem}"))?
        }
        Some(_) => return Err("Bad Request: unsupported parse_mode".to_owned()),
    };
    let visible = visible.trim().to_owned();
    if utf16_length(&visible) > longest {
        return Err(too_long(longest));
    }
    Ok(visible)
}

fn too_long(longest: usize) -> String {
    if longest == LONGEST_CAPTION {
        "Bad Request: message caption is too long".to_owned()
    } else {
        "Bad Request: message is too long".to_owned()
    }
}

/// The text without its tags and with its character references replaced.
pub(crate) fn parse_html(source: &str) -> Result<String, String> {
    let bytes = source.as_bytes();
    // As C has it: what is beyond the end is a zero.
    let at = |index: usize| bytes.get(index).copied().unwrap_or(0);
    let mut visible = String::new();
    let mut open: Vec<(String, usize)> = Vec::new();
    let mut position = 0;
    while position < bytes.len() {
        match bytes[position] {
            b'&' => match reference(source, position) {
                Some((character, end)) => {
                    visible.push(character);
                    position = end;
                }
                None => {
                    visible.push('&');
                    position += 1;
                }
            },
            b'<' if at(position + 1) == b'/' => {
                position = end_tag(source, position, &mut open)?;
            }
            b'<' => {
                let (tag, end) = start_tag(source, position)?;
                open.push((tag, position));
                position = end;
            }
            _ => {
                let character = source[position..].chars().next().unwrap_or('\u{fffd}');
                visible.push(character);
                position += character.len_utf8();
            }
        }
    }
    match open.last() {
        Some((tag, begin)) => {
            Err(format!("Can't find end tag corresponding to start tag \"{tag}\" at byte offset {begin}"))
        }
        None => Ok(visible),
    }
}

fn is_space(byte: u8) -> bool {
    // tdlib counts the zero at the end among them.
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0 | 0x0b)
}

/// A start tag at `begin`: its name, and where it ends.
fn start_tag(source: &str, begin: usize) -> Result<(String, usize), String> {
    let bytes = source.as_bytes();
    let at = |index: usize| bytes.get(index).copied().unwrap_or(0);
    let skip_space = |mut index: usize| {
        while at(index) != 0 && is_space(at(index)) {
            index += 1;
        }
        index
    };
    let unclosed = || format!("Unclosed start tag at byte offset {begin}");
    let mut position = begin + 1;
    while !is_space(at(position)) && at(position) != b'>' {
        position += 1;
    }
    if at(position) == 0 {
        return Err(unclosed());
    }
    let tag = source[begin + 1..position].to_ascii_lowercase();
    if !TAGS.contains(&tag.as_str()) {
        return Err(format!("Unsupported start tag \"{tag}\" at byte offset {begin}"));
    }
    let mut is_spoiler = false;
    while at(position) != b'>' {
        position = skip_space(position);
        if at(position) == b'>' {
            break;
        }
        let name_begin = position;
        while !is_space(at(position)) && at(position) != b'=' && at(position) != b'>' {
            position += 1;
        }
        let name = &source[name_begin..position];
        if name.is_empty() {
            return Err(format!("Empty attribute name in the tag \"{tag}\" at byte offset {begin}"));
        }
        position = skip_space(position);
        if at(position) != b'=' {
            if at(position) == 0 {
                return Err(unclosed());
            }
            if tag == "blockquote" && name == "expandable" {
                continue;
            }
            let problem = "Expected equal sign in declaration of an attribute of the tag";
            return Err(format!("{problem} \"{tag}\" at byte offset {begin}"));
        }
        position = skip_space(position + 1);
        let value = match at(position) {
            0 => return Err(format!("Unclosed start tag \"{tag}\" at byte offset {begin}")),
            quote @ (b'"' | b'\'') => {
                let value_begin = position + 1;
                position = value_begin;
                while at(position) != quote && at(position) != 0 {
                    position += 1;
                }
                let value = source[value_begin..position].to_owned();
                position += usize::from(at(position) == quote);
                value
            }
            _ => {
                let value_begin = position;
                while at(position).is_ascii_alphanumeric() || matches!(at(position), b'.' | b'-') {
                    position += 1;
                }
                if !is_space(at(position)) && at(position) != b'>' {
                    return Err(format!("Unexpected end of name token at byte offset {value_begin}"));
                }
                source[value_begin..position].to_ascii_lowercase()
            }
        };
        if at(position) == 0 {
            return Err(unclosed());
        }
        is_spoiler |= tag == "span" && name == "class" && value == "tg-spoiler";
    }
    if tag == "span" && !is_spoiler {
        return Err(format!("Tag \"span\" must have class \"tg-spoiler\" at byte offset {begin}"));
    }
    Ok((tag, position + 1))
}

/// An end tag at `begin`: where it ends.
fn end_tag(source: &str, begin: usize, open: &mut Vec<(String, usize)>) -> Result<usize, String> {
    let bytes = source.as_bytes();
    let at = |index: usize| bytes.get(index).copied().unwrap_or(0);
    let Some((expected, _)) = open.last() else {
        return Err(format!("Unexpected end tag at byte offset {begin}"));
    };
    let mut position = begin + 2;
    while !is_space(at(position)) && at(position) != b'>' {
        position += 1;
    }
    let found = source[begin + 2..position].to_ascii_lowercase();
    while at(position) != 0 && is_space(at(position)) {
        position += 1;
    }
    if at(position) != b'>' {
        return Err(format!("Unclosed end tag at byte offset {begin}"));
    }
    if !found.is_empty() && found != *expected {
        return Err(format!(
            "Unmatched end tag at byte offset {begin}, expected \"</{expected}>\", found \"</{found}>\""
        ));
    }
    open.pop();
    Ok(position + 1)
}

/// The character that a reference at `begin` stands for, and where it ends; none where it stands for itself.
fn reference(source: &str, begin: usize) -> Option<(char, usize)> {
    let rest = &source[begin + 1..];
    let (code, length) = if let Some(digits) = rest.strip_prefix("#x") {
        let count = digits.bytes().take_while(u8::is_ascii_hexdigit).count();
        (u32::from_str_radix(&digits[..count], 16).ok()?, 3 + count)
    } else if let Some(digits) = rest.strip_prefix('#') {
        let count = digits.bytes().take_while(u8::is_ascii_digit).count();
        (digits[..count].parse().ok()?, 2 + count)
    } else {
        let count = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let code = match &rest[..count] {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            _ => return None,
        };
        (code as u32, 1 + count)
    };
    if code == 0 || code >= 0x10ffff || length >= 10 {
        return None;
    }
    let end = begin + length;
    let end = end + usize::from(source.as_bytes().get(end) == Some(&b';'));
    Some((char::from_u32(code).unwrap_or('\u{fffd}'), end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_telegram_takes_is_told_as_people_see_it() {
        for (source, visible) in [
            ("plain", "plain"),
            ("<b>bold</b> and <i>more</i>", "bold and more"),
            ("<B>x</b>", "x"),
            ("<b>x</>", "x"),
            ("<a href=\"https://a.example/?x=1&amp;y=2\">link</a>", "link"),
            ("<a href='x'>link</a>", "link"),
            ("<pre><code class=\"language-rust\">fn</code></pre>", "fn"),
            ("<blockquote expandable>x</blockquote>", "x"),
            ("<blockquote>x</blockquote>", "x"),
            ("<span class=\"tg-spoiler\">x</span>", "x"),
            ("a &lt; b &amp;&amp; c &gt; d &quot;e&quot;", "a < b && c > d \"e\""),
            ("&#128293;&#x1f525;", "🔥🔥"),
            ("&nbsp; &apos; & &;", "&nbsp; &apos; & &;"),
            ("&lt", "<"),
            ("R&D", "R&D"),
            ("ü > ä", "ü > ä"),
        ] {
            assert_eq!(parse_html(source).as_deref(), Ok(visible), "{source}");
        }
    }

    #[test]
    fn what_it_refuses_is_refused_in_its_words() {
        for (source, problem) in [
            ("x < 10%", "Unsupported start tag \"\" at byte offset 2"),
            ("x <10% y>", "Unsupported start tag \"10%\" at byte offset 2"),
            ("<no value>", "Unsupported start tag \"no\" at byte offset 0"),
            ("ü<br>", "Unsupported start tag \"br\" at byte offset 2"),
            ("<b>x", "Can't find end tag corresponding to start tag \"b\" at byte offset 0"),
            ("x</b>", "Unexpected end tag at byte offset 1"),
            ("<b><i>x</b></i>", "Unmatched end tag at byte offset 7, expected \"</i>\", found \"</b>\""),
            ("<b>x</b", "Unclosed end tag at byte offset 4"),
            ("<a href>x</a>", "Expected equal sign in declaration of an attribute of the tag \"a\" at byte offset 0"),
            ("<a =x>x</a>", "Empty attribute name in the tag \"a\" at byte offset 0"),
            ("<a href=x/y>x</a>", "Unexpected end of name token at byte offset 8"),
            ("<a href=\"x>x</a>", "Unclosed start tag at byte offset 0"),
            ("<span>x</span>", "Tag \"span\" must have class \"tg-spoiler\" at byte offset 0"),
            ("<b", "Unclosed start tag at byte offset 0"),
        ] {
            assert_eq!(parse_html(source), Err(problem.to_owned()), "{source}");
        }
    }

    #[test]
    fn lengths_are_of_the_visible_text_in_utf16() {
        let html = Some("HTML");
        assert!(visible(&"🔥".repeat(2048), html, LONGEST_TEXT).is_ok());
        let refusal = Err("Bad Request: message is too long".to_owned());
        assert_eq!(visible(&"🔥".repeat(2049), html, LONGEST_TEXT), refusal);
        assert!(visible(&format!("<b>{}</b>", "&lt;".repeat(4096)), html, LONGEST_TEXT).is_ok());
        assert_eq!(visible(&"x".repeat(4097), None, LONGEST_TEXT), refusal);
        assert!(
            visible(&format!("{} \n", "x".repeat(4096)), None, LONGEST_TEXT).is_ok(),
            "space at the end is cut off"
        );
        let tags = "<b></b>".repeat(LONGEST_SOURCE / 7 + 1);
        assert_eq!(visible(&tags, html, LONGEST_TEXT), refusal, "the source is too long");
        let caption = visible(&"x".repeat(1025), None, LONGEST_CAPTION);
        assert_eq!(caption, Err("Bad Request: message caption is too long".to_owned()));
        assert_eq!(visible("<b>", None, LONGEST_TEXT).as_deref(), Ok("<b>"), "without a mode it is text");
    }
}
