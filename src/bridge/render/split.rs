//! Cutting a text that is too long for one message into several, where it hurts least.

use super::LONGEST_TEXT;
use super::clean::may_be_cut;
use super::html::Markup;

/// The most bytes that Telegram takes with the markup still in it, less a reserve.
const MOST_BYTES: usize = 32_000;

/// How many spans of a message Telegram marks; the rest it leaves unmarked.
const MOST_SPANS: usize = 100;

/// What a mark like `(12/34)` and its line break may need.
const RESERVE: usize = 24;

/// The messages that a text becomes: one as it is, or several with `(1/3)` at their ends.
pub(super) fn split(markup: &Markup) -> Vec<Markup> {
    let whole = trimmed(markup, 0, markup.text.len());
    if fits(&whole, LONGEST_TEXT) {
        return vec![whole];
    }
    let mut parts = Vec::new();
    let mut start = whole.text.len() - whole.text.trim_start_matches('\n').len();
    while start < whole.text.len() {
        let mut budget = LONGEST_TEXT - RESERVE;
        let (end, part) = loop {
            let end = end_of_part(&whole, start, budget);
            let part = trimmed(&whole, start, end);
            if fits(&part, LONGEST_TEXT - RESERVE) {
                break (end, part);
            }
            // Only the markup of a short text can be too long: then it goes without.
            if budget < 64 {
                break (end, Markup { spans: Vec::new(), ..part });
            }
            budget /= 2;
        };
        if !part.is_blank() {
            parts.push(part);
        }
        let rest = whole.text.get(end..).unwrap_or_default();
        start = whole.text.len() - rest.trim_start_matches('\n').len();
    }
    let count = parts.len();
    for (index, part) in parts.iter_mut().enumerate() {
        part.text.push_str(&format!("\n({}/{count})", index + 1));
    }
    parts
}

fn fits(markup: &Markup, units: usize) -> bool {
    markup.units() <= units && markup.spans.len() <= MOST_SPANS && markup.html().len() <= MOST_BYTES
}

/// A piece without white space at its end, which Telegram takes away, and without empty lines at its beginning.
fn trimmed(markup: &Markup, start: usize, end: usize) -> Markup {
    let text = markup.text.get(start..end).unwrap_or_default();
    let leading = text.len() - text.trim_start_matches('\n').len();
    markup.piece(start + leading..start + text.trim_end().len().max(leading))
}

/// Where a part that begins at `start` ends: at an empty line if there is one in its second half, else at the end of a
/// line, of a word, or of a character.
fn end_of_part(markup: &Markup, start: usize, budget: usize) -> usize {
    let rest = markup.text.get(start..).unwrap_or_default();
    let mut room = budget;
    let mut most = rest.len();
    for (at, character) in rest.char_indices() {
        match room.checked_sub(character.len_utf16()) {
            Some(less) => room = less,
            None => {
                most = at;
                break;
            }
        }
    }
    let spans = markup.spans.iter().filter(|span| span.range.end > start);
    if let Some(one_too_many) = spans.skip(MOST_SPANS).map(|span| span.range.start).next()
        && one_too_many > start
    {
        most = most.min(one_too_many - start);
    }
    if most == rest.len() {
        return start + most;
    }
    let head = rest.get(..most).unwrap_or_default();
    let is_late = |at: &usize| *at >= most / 2;
    let line_end = |pattern: &str| rest.get(..(most + 1).min(rest.len())).unwrap_or(head).rfind(pattern);
    let place = head
        .rfind("\n\n")
        .filter(is_late)
        .or_else(|| line_end("\n").filter(is_late))
        .or_else(|| head.rfind(' ').filter(is_late).map(|at| at + 1))
        .or_else(|| head.char_indices().rev().take(64).map(|(at, _)| at).find(|at| may_be_cut(rest, *at)))
        .filter(|at| *at > 0)
        .unwrap_or(most);
    // At least one character, so that there is an end to it.
    start + place.max(rest.chars().next().map_or(1, char::len_utf8))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(html: &str) -> Vec<Markup> {
        let parts = split(&Markup::parse(html).unwrap());
        for part in &parts {
            assert!(fits(part, LONGEST_TEXT), "{} units, {} spans", part.units(), part.spans.len());
        }
        parts
    }

    #[test]
    fn what_is_seen_as_one_character_is_not_torn() {
        let family = "👨\u{200d}👩\u{200d}👧";
        for before in 0..12 {
            let parts = parts(&format!("{}{}", "x".repeat(4050 + before), family.repeat(8)));
            assert_eq!(parts.len(), 2);
            let (first, _) = parts[0].text.rsplit_once('\n').unwrap();
            let last = first.trim_start_matches('x');
            assert!(last.replace(family, "").is_empty(), "{before}: {last}");
            assert!(parts[1].text.starts_with(family), "{before}");
        }
    }

    #[test]
    fn no_part_has_more_marks_or_bytes_than_telegram_takes() {
        assert_eq!(parts(&"<b>x</b> ".repeat(MOST_SPANS)).len(), 1);
        let marked = parts(&"<b>x</b> ".repeat(2 * MOST_SPANS + 1));
        assert_eq!(marked.iter().map(|part| part.spans.len()).collect::<Vec<_>>(), [100, 100, 1]);
        // A short text, whose links alone are too much.
        let link = format!("<a href=\"https://example.org/{}\">label</a>\n", "a".repeat(2000));
        let linked = parts(&link.repeat(40));
        assert!(linked.len() > 1);
        assert_eq!(linked.iter().map(|part| part.spans.len()).sum::<usize>(), 40);
        // One link that is too long for any message: its label is still told.
        let endless = parts(&format!("<a href=\"https://example.org/{}\">label</a>", "a".repeat(40_000)));
        assert_eq!((endless[0].spans.len(), endless[0].text.starts_with("label")), (0, true));
    }
}
