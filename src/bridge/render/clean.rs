//! Text from outside, without what could make a message say something else than it seems to: control characters,
//! changes of the writing direction, floods of characters that nobody sees.

/// The most combining marks on one character; languages need two, and floods cover the lines around them.
const MOST_MARKS: usize = 3;

/// What is put where something was cut.
pub(super) const ELLIPSIS: char = '…';

/// A text of one line: every run of white space is one space.
pub(super) fn line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in visible(text).split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

/// A text of one line with at most `units` UTF-16 units.
pub(super) fn line_up_to(text: &str, units: usize) -> String {
    cut(&line(text), units)
}

/// A text of some lines: no white space at their ends, and not more than one empty line between two others.
pub(super) fn lines(text: &str) -> String {
    let mut lines = String::with_capacity(text.len());
    let mut empty = 0;
    for line in visible(text).split('\n').map(str::trim_end) {
        if line.is_empty() {
            empty += 1;
            continue;
        }
        if !lines.is_empty() {
            lines.push_str(if empty > 0 { "\n\n" } else { "\n" });
        }
        lines.push_str(line);
        empty = 0;
    }
    lines
}

/// The text cut to `units` UTF-16 units, with a mark where it was.
pub(super) fn cut(text: &str, units: usize) -> String {
    if units_of(text) <= units {
        return text.to_owned();
    }
    let mut kept = 0;
    let mut room = units.saturating_sub(1);
    for (start, character) in text.char_indices() {
        match room.checked_sub(character.len_utf16()) {
            Some(rest) => room = rest,
            None => break,
        }
        kept = start + character.len_utf8();
    }
    while kept > 0 && !may_be_cut(text, kept) {
        kept = text.get(..kept).and_then(|head| head.char_indices().next_back()).map_or(0, |(start, _)| start);
    }
    format!("{}{ELLIPSIS}", text.get(..kept).unwrap_or_default().trim_end())
}

/// UTF-16 units: what Telegram counts.
pub(super) fn units_of(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// Whether a text can be cut at a byte without tearing a character as people see it apart: a mark belongs to what it
/// follows, and a joiner to both sides.
pub(super) fn may_be_cut(text: &str, at: usize) -> bool {
    let Some((before, after)) = text.split_at_checked(at) else { return false };
    !before.ends_with(is_joiner) && !after.starts_with(|first| is_mark(first) || is_joiner(first) || is_modifier(first))
}

/// Line ends of all kinds as `\n`, and nothing that is not seen but for what languages and emoji are joined with.
fn visible(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut marks = 0;
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        if is_mark(character) {
            marks += 1;
            if marks <= MOST_MARKS {
                kept.push(character);
            }
            continue;
        }
        marks = 0;
        match character {
            '\r' if characters.peek() == Some(&'\n') => {}
            '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => kept.push('\n'),
            '\n' | '\t' => kept.push(character),
            _ if is_joiner(character) => {
                let is_between = kept.chars().next_back().is_some_and(|last| !last.is_whitespace() && !is_joiner(last))
                    && characters.peek().is_some_and(|next| !next.is_whitespace() && !is_joiner(*next));
                if is_between {
                    kept.push(character);
                }
            }
            _ if character.is_control() || is_unseen(character) => {}
            _ => kept.push(character),
        }
    }
    kept
}

/// Without a look of its own, or with the power to turn others around.
fn is_unseen(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}'
        | '\u{3164}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}'
        | '\u{e0000}'..='\u{e0fff}')
}

/// What ties two characters to one, or keeps them apart: Persian and Indic scripts and emoji need it.
fn is_joiner(character: char) -> bool {
    matches!(character, '\u{200c}' | '\u{200d}')
}

/// What is put on the character before it.
fn is_mark(character: char) -> bool {
    matches!(character,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5bd}' | '\u{610}'..='\u{61a}'
        | '\u{64b}'..='\u{65f}' | '\u{e31}' | '\u{e34}'..='\u{e3a}' | '\u{e47}'..='\u{e4e}' | '\u{1ab0}'..='\u{1aff}'
        | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}' | '\u{fe00}'..='\u{fe0f}' | '\u{fe20}'..='\u{fe2f}')
}

/// The colours of skin.
fn is_modifier(character: char) -> bool {
    matches!(character, '\u{1f3fb}'..='\u{1f3ff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_unseen_stays() {
        assert_eq!(line("pay\u{202e}load\u{0}\u{7}\u{200b}\u{200b}\r\n two\u{2028}three"), "payload two three");
        assert_eq!(lines("a  \r\n\r\n\r\n\r\nb\u{85}c\n"), "a\n\nb\nc");
        assert_eq!(lines("\n\n  indented\n"), "  indented");
        assert_eq!(line(&"\u{200d}".repeat(500)), "");
    }

    #[test]
    fn floods_of_marks_are_dammed_and_languages_are_left_alone() {
        assert_eq!(line(&format!("a{}b", "\u{301}".repeat(100))), "a\u{301}\u{301}\u{301}b");
        for text in ["می\u{200c}خواهم", "👨\u{200d}👩\u{200d}👧", "1\u{fe0f}\u{20e3}", "ไม้", "é"] {
            assert_eq!(line(text), text);
        }
    }

    #[test]
    fn what_is_cut_says_so_and_is_not_torn() {
        assert_eq!(cut("gateway", 7), "gateway");
        assert_eq!(cut("gateway", 5), "gate…");
        assert_eq!(cut("🔴🔴🔴", 4), "🔴…");
        let family = "👨\u{200d}👩\u{200d}👧";
        for units in 9..16 {
            assert_eq!(cut(&family.repeat(2), units), format!("{family}…"), "{units}");
        }
        assert_eq!(cut("e\u{301}e\u{301}", 3), "e\u{301}…");
        assert_eq!(cut("ab\u{301}\u{301}", 3), "a…");
        assert!(units_of(&cut("👨\u{200d}👩\u{200d}👧👧👧", 9)) <= 9);
    }
}
