//! Whether a regular expression of Prometheus matches a name: as much of their language as relabelling of names is
//! written in. A library for all of it would be a tenth of the program.

use std::iter::Peekable;
use std::str::Chars;

/// Places in a text, a bit each: behind these many of its characters.
type Places = u64;

/// Whether it matches the whole of `text`, as Prometheus asks; nothing where it is written in what is not read here.
pub(super) fn matches(expression: &str, text: &str) -> Option<bool> {
    let end = 1u64.checked_shl(u32::try_from(text.len()).ok()?)?;
    let mut left = expression.chars().peekable();
    let reached = alternatives(&mut left, text.as_bytes(), 1)?;
    // A parenthesis that nobody has opened.
    left.next().is_none().then_some(reached & end != 0)
}

fn alternatives(left: &mut Peekable<Chars>, text: &[u8], from: Places) -> Option<Places> {
    let mut reached = sequence(left, text, from)?;
    while left.next_if_eq(&'|').is_some() {
        reached |= sequence(left, text, from)?;
    }
    Some(reached)
}

fn sequence(left: &mut Peekable<Chars>, text: &[u8], mut from: Places) -> Option<Places> {
    while left.peek().is_some_and(|next| !"|)".contains(*next)) {
        let repeated = left.clone();
        let mut reached = piece(left, text, from)?;
        let repetition = left.next_if(|next| "*+?{".contains(*next));
        if matches!(repetition, Some('*' | '+')) {
            let mut before = 0;
            while before != reached {
                before = reached;
                reached |= piece(&mut repeated.clone(), text, reached)?;
            }
        }
        match repetition {
            Some('*' | '?') => reached |= from,
            Some('{') => return None,
            _ => {}
        }
        if repetition.is_some() {
            // How greedy it is makes no difference to whether it matches.
            left.next_if_eq(&'?');
        }
        from = reached;
    }
    Some(from)
}

/// One character, or a group.
fn piece(left: &mut Peekable<Chars>, text: &[u8], from: Places) -> Option<Places> {
    let behind = |fits: &dyn Fn(u8) -> bool| {
        let places = text.iter().enumerate().filter(|(place, character)| from & (1 << place) != 0 && fits(**character));
        Some(places.fold(0, |reached, (place, _)| reached | (1 << (place + 1))))
    };
    match left.next()? {
        '(' => {
            if left.next_if_eq(&'?').is_some() {
                left.next_if_eq(&':')?;
            }
            let reached = alternatives(left, text, from)?;
            left.next_if_eq(&')').map(|_| reached)
        }
        '.' => behind(&|_| true),
        '^' => Some(from & 1),
        '$' => Some(from & (1 << text.len())),
        '[' | '*' | '+' | '?' | '{' => None,
        '\\' => left
            .next_if(|next| next.is_ascii_punctuation())
            .and_then(|literal| behind(&|other| char::from(other) == literal)),
        literal => behind(&|other| char::from(other) == literal),
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn what_relabelling_of_names_is_written_in() {
        for expression in [
            "instance",
            ".*",
            ".+",
            "(instance)",
            "pod|instance",
            "(pod|inst.*)",
            "(?:in)+stance",
            "i?n?.*e",
            "^instance$",
            "(a|i)nstance(|_x)",
            "i.*?e",
            "((i|n|s|t)*a.)*ce",
            "(.*)*",
        ] {
            assert_eq!(matches(expression, "instance"), Some(true), "{expression}");
        }
        for expression in ["", "inst", "nstance", "exported_instance", "pod|node", "instance.+", "instance\\.", "i|e"] {
            assert_eq!(matches(expression, "instance"), Some(false), "{expression}");
        }
        for expression in ["[a-z]+", "\\w+", "a{2}", "(instance", "instance)", "*", "(?i)instance"] {
            assert_eq!(matches(expression, "instance"), None, "{expression}");
        }
        assert_eq!(matches("", ""), Some(true));
        assert_eq!(matches(".*", &"a".repeat(64)), None);
    }
}
