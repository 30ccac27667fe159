//! Names that come from outside, made fit for a label: short, and few.
//!
//! Sources, tools, models, jobs and so on are named by users and plugins. One mistake of theirs must not fill
//! somebody's Prometheus, so a [`Label`] is cut to a length, and a [`Tally`] keeps the largest entries and sums
//! up the rest. Nor may it steer who reads it: what is not to be seen is shown as U+FFFD. Where a program writes one
//! of its own words, [`Label::word`] takes a word and no sentence.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest label value in characters; a longer one is cut and ends in `…`.
pub(super) const LONGEST: usize = 100;

/// The most entries of one tally; the smaller ones beyond it become [`OTHER`].
pub const MOST_ENTRIES: usize = 100;

/// The label that sums up what is beyond a cap, and names that are not known.
pub const OTHER: &str = "other";

/// A name from outside, cut to a length that a label may have.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "String")]
pub struct Label(Box<str>);

impl Label {
    /// The name as a label.
    pub fn new(name: &str) -> Label {
        let is_long = name.char_indices().nth(LONGEST).is_some();
        if !is_long && !name.contains(is_hidden) {
            return Label(name.into());
        }
        let shown = name.chars().map(|character| if is_hidden(character) { '\u{fffd}' } else { character });
        if is_long { Label(shown.take(LONGEST - 1).chain(['…']).collect()) } else { Label(shown.collect()) }
    }

    /// A word of a program, such as a status or a code. What is none is [`OTHER`]: where a program should have written one
    /// of its words, a sentence may say anything about anybody.
    pub fn word(word: &str) -> Label {
        let is_of_words = |character: char| character.is_ascii_alphanumeric() || "_-.:/+".contains(character);
        if word.chars().all(is_of_words) { Label::new(word) } else { Label::other() }
    }

    /// The label's value.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The label that stands for everything beyond a cap.
    pub fn other() -> Label {
        Label(OTHER.into())
    }
}

/// Whether a character is not seen where it stands: it controls a terminal, or turns the direction of what is around it.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

impl From<String> for Label {
    fn from(name: String) -> Self {
        Label::new(&name)
    }
}

impl fmt::Display for Label {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Counts by name: at most [`MOST_ENTRIES`] names, the rest summed up as `other`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Tally(BTreeMap<Label, u64>);

impl Tally {
    /// A tally that shows each of `names`, at zero until something is counted.
    pub fn of_known(names: &[&str]) -> Tally {
        Tally(names.iter().map(|name| (Label::new(name), 0)).collect())
    }

    /// Caps counts that were made freely: the largest stay, ties by name.
    pub fn capped(counts: BTreeMap<Label, u64>) -> Tally {
        Tally(cap(counts, |count| *count, |total, count| *total += count))
    }

    /// Counts `count` more under `name`; a name beyond the cap counts as `other`.
    pub fn add(&mut self, name: &str, count: u64) {
        let label = Label::new(name);
        let label = if self.0.contains_key(&label) || self.0.len() < MOST_ENTRIES { label } else { Label::other() };
        *self.0.entry(label).or_default() += count;
    }

    /// The entries, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&Label, u64)> {
        self.0.iter().map(|(label, count)| (label, *count))
    }

    /// The count under `name`; zero where there is none.
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(&Label::new(name)).copied().unwrap_or_default()
    }

    /// The sum of all counts.
    pub fn total(&self) -> u64 {
        self.0.values().fold(0, |total, count| total.saturating_add(*count))
    }
}

/// Keeps the [`MOST_ENTRIES`] entries of the greatest `weight` and folds the others into one under `other`.
pub fn cap<V>(entries: BTreeMap<Label, V>, weight: impl Fn(&V) -> u64, fold: impl Fn(&mut V, V)) -> BTreeMap<Label, V> {
    if entries.len() <= MOST_ENTRIES {
        return entries;
    }
    let mut entries: Vec<_> = entries.into_iter().collect();
    // Stable, so that entries of one weight stay in the order of their names.
    entries.sort_by_key(|(_, value)| std::cmp::Reverse(weight(value)));
    let rest = entries.split_off(MOST_ENTRIES);
    let mut kept: BTreeMap<Label, V> = entries.into_iter().collect();
    for (_, value) in rest {
        match kept.get_mut(&Label::other()) {
            Some(total) => fold(total, value),
            None => {
                kept.insert(Label::other(), value);
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_between_characters() {
        let label = Label::new(&"ä".repeat(5_000));
        assert_eq!(label.as_str().chars().count(), LONGEST);
        assert!(label.as_str().ends_with('…'));
        assert_eq!(Label::new(&"ä".repeat(LONGEST)).as_str(), "ä".repeat(LONGEST));
    }

    #[test]
    fn what_is_not_seen_is_shown_as_such() {
        assert_eq!(Label::new("a\u{1b}[2Jb\nc\u{202e}d").as_str(), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}d");
        assert_eq!(Label::new(&"\u{7}".repeat(200)).as_str().chars().count(), LONGEST);
        assert_eq!(Label::new("आगरा 🪔").as_str(), "आगरा 🪔");
    }

    #[test]
    fn a_sentence_is_no_word() {
        for word in ["", "session_reset", "exit-code", "openrouter/x:free", "0.19.0+git"] {
            assert_eq!(Label::word(word).as_str(), word);
        }
        for sentence in ["chat of uma", "uma@example.com", "a\nb", "\"a\""] {
            assert_eq!(Label::word(sentence), Label::other(), "{sentence}");
        }
    }

    #[test]
    fn ten_thousand_names_become_a_hundred_and_the_rest() {
        let counts = (0..10_000_u64).map(|n| (Label::new(&format!("n{n:05}")), n)).collect();
        let tally = Tally::capped(counts);
        assert_eq!(tally.iter().count(), MOST_ENTRIES + 1);
        assert_eq!(tally.get("n09999"), 9_999);
        assert_eq!(tally.get("n00001"), 0);
        assert_eq!(tally.total(), (0..10_000).sum::<u64>());
    }

    #[test]
    fn a_growing_tally_never_moves_a_count_from_one_name_to_another() {
        let mut tally = Tally::default();
        for n in 0..10_000 {
            tally.add(&format!("n{n}"), 1);
        }
        tally.add("n0", 1);
        tally.add("n9999", 1);
        assert_eq!(tally.get("n0"), 2);
        assert_eq!(tally.get("other"), 10_000 - MOST_ENTRIES as u64 + 1);
    }
}
