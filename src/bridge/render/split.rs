//! Cutting a text that is too long for one message into several, where it hurts least.

use super::LONGEST_TEXT;
use super::clean::begins_anew;
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
        .or_else(|| {
            head.char_indices().rev().take(64).map(|(at, _)| at).find(|at| rest.get(*at..).is_some_and(begins_anew))
        })
        .filter(|at| *at > 0)
        .unwrap_or(most);
    // At least one character, so that there is an end to it.
    start + place.max(rest.chars().next().map_or(1, char::len_utf8))
}
