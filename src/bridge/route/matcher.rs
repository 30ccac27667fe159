//! What a rule asks of labels: `instance = "vijay", severity =~ "critical|warning"`, as Alertmanager writes it.
//!
//! A label that is not there has the empty value, and a regular expression fits the whole value: both as in Alertmanager.
//! `instance` is compared as people call it: without a port, in lower case.

use std::iter::Peekable;
use std::str::CharIndices;

use regex::Regex;

use crate::bridge::alert::{INSTANCE, Labels, normal_instance};

/// The most memory that one regular expression may take when it is compiled.
const LARGEST_REGEX: usize = 1 << 20;

/// What is asked of labels; all of it must fit.
#[derive(Debug, Clone, Default)]
pub struct Matchers(Vec<Matcher>);

#[derive(Debug, Clone)]
struct Matcher {
    label: String,
    test: Test,
}

#[derive(Debug, Clone)]
enum Test {
    Equal(String),
    NotEqual(String),
    Fits(Regex),
    FitsNot(Regex),
}

/// Why a text is no matcher.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MatcherError {
    /// It is not written as matchers are.
    #[error(
        "{typed:?} is not a matcher: {problem}; write it as in instance = \"vijay\", severity =~ \"critical|warning\""
    )]
    Syntax {
        /// The text.
        typed: String,
        /// What is wrong.
        problem: String,
    },
    /// The regular expression is none.
    #[error("{pattern:?} is not a regular expression: {problem}")]
    Regex {
        /// The expression.
        pattern: String,
        /// What is wrong.
        problem: String,
    },
}

impl Matchers {
    /// Reads matchers with commas between them, in braces or not.
    pub fn parse(text: &str) -> Result<Matchers, MatcherError> {
        let inner = text.trim();
        let inner = inner.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')).unwrap_or(inner);
        let wrong = |problem: String| MatcherError::Syntax { typed: text.to_owned(), problem };
        let mut rest = inner.char_indices().peekable();
        let mut matchers = Vec::new();
        skip_space(&mut rest);
        while rest.peek().is_some() {
            let label = word(&mut rest);
            let first = label.chars().next();
            let is_name = first.is_some_and(|first| first.is_alphabetic() || first == '_')
                && label.chars().all(|character| character.is_alphanumeric() || "_.:-".contains(character));
            if !is_name {
                return Err(wrong(format!("{label:?} is not the name of a label")));
            }
            skip_space(&mut rest);
            let operator =
                operator(&mut rest).ok_or_else(|| wrong(format!("after {label} one of = != =~ !~ is missing")))?;
            skip_space(&mut rest);
            let value = value(&mut rest).map_err(|problem| wrong(problem.to_owned()))?;
            matchers.push(Matcher { test: test(&label, operator, &value)?, label });
            skip_space(&mut rest);
            match rest.next() {
                None => break,
                Some((_, ',')) => skip_space(&mut rest),
                Some((_, other)) => {
                    return Err(wrong(format!("{other:?} stands where a comma or the end was expected")));
                }
            }
        }
        Ok(Matchers(matchers))
    }

    /// Of labels, operators and values that are apart already.
    pub fn of<'a>(parts: impl Iterator<Item = (&'a str, &'a str, &'a str)>) -> Result<Matchers, MatcherError> {
        let matcher = |(label, operator, value): (&str, &str, &str)| {
            Ok(Matcher { test: test(label, operator, value)?, label: label.to_owned() })
        };
        parts.map(matcher).collect::<Result<_, _>>().map(Matchers)
    }

    /// Whether nothing is asked, so that everything fits.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All that these and others ask.
    pub fn and(mut self, others: Matchers) -> Matchers {
        self.0.extend(others.0);
        self
    }

    /// Whether the labels are what is asked for.
    pub fn fit(&self, labels: &Labels) -> bool {
        self.0.iter().all(|matcher| {
            let value = labels.get(&matcher.label).map_or("", String::as_str);
            if matcher.label == INSTANCE {
                matcher.test.fits(&normal_instance(value))
            } else {
                matcher.test.fits(value)
            }
        })
    }
}

impl Test {
    fn fits(&self, value: &str) -> bool {
        match self {
            Test::Equal(wanted) => value == wanted,
            Test::NotEqual(unwanted) => value != unwanted,
            Test::Fits(pattern) => pattern.is_match(value),
            Test::FitsNot(pattern) => !pattern.is_match(value),
        }
    }
}

type Characters<'a> = Peekable<CharIndices<'a>>;

fn skip_space(rest: &mut Characters<'_>) {
    while rest.next_if(|(_, character)| character.is_whitespace()).is_some() {}
}

fn word(rest: &mut Characters<'_>) -> String {
    let mut word = String::new();
    while let Some((_, character)) =
        rest.next_if(|(_, character)| !character.is_whitespace() && !"=!~,\"'{}".contains(*character))
    {
        word.push(character);
    }
    word
}

fn operator(rest: &mut Characters<'_>) -> Option<&'static str> {
    let (_, first) = rest.next_if(|(_, character)| "=!".contains(*character))?;
    let second = rest.next_if(|(_, character)| "=~".contains(*character)).map(|(_, character)| character);
    match (first, second) {
        ('=', None) | ('=', Some('=')) => Some("="),
        ('=', Some('~')) => Some("=~"),
        ('!', Some('=')) => Some("!="),
        ('!', Some('~')) => Some("!~"),
        _ => None,
    }
}

/// A value in quotes, with `\"`, `\\` and `\n` in it; or a bare word, which ends at a space or comma.
fn value(rest: &mut Characters<'_>) -> Result<String, &'static str> {
    let Some((_, quote)) = rest.next_if(|(_, character)| "\"'".contains(*character)) else {
        let word = word(rest);
        return if word.is_empty() { Err("a value is missing; the empty one is \"\"") } else { Ok(word) };
    };
    let mut value = String::new();
    while let Some((_, character)) = rest.next() {
        match character {
            character if character == quote => return Ok(value),
            '\\' => match rest.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, escaped)) if escaped == quote || escaped == '\\' => value.push(escaped),
                // A regular expression has backslashes of its own.
                Some((_, other)) => value.extend(['\\', other]),
                None => break,
            },
            other => value.push(other),
        }
    }
    Err("the closing quote is missing")
}

fn test(label: &str, operator: &str, value: &str) -> Result<Test, MatcherError> {
    let plain = || if label == INSTANCE { normal_instance(value) } else { value.to_owned() };
    let pattern = || {
        regex::RegexBuilder::new(&format!("^(?:{value})$"))
            .case_insensitive(label == INSTANCE)
            .dot_matches_new_line(true)
            .size_limit(LARGEST_REGEX)
            .build()
            .map_err(|error| MatcherError::Regex { pattern: value.to_owned(), problem: last_line(&error.to_string()) })
    };
    Ok(match operator {
        "=" => Test::Equal(plain()),
        "!=" => Test::NotEqual(plain()),
        "=~" => Test::Fits(pattern()?),
        _ => Test::FitsNot(pattern()?),
    })
}

/// The message itself; before it the library draws the expression with a mark below it.
fn last_line(message: &str) -> String {
    message.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn matchers_fit_as_in_alertmanager() {
        let alert =
            labels(&[("instance", "Vijay:9119"), ("severity", "critical"), ("job", "hermes"), ("odd", "a\"b\\c\nd")]);
        for (matchers, fits) in [
            ("", true),
            ("{}", true),
            ("instance = \"vijay\"", true),
            ("instance=vijay", true),
            ("instance == 'VIJAY:1'", true),
            ("instance != \"vijay\"", false),
            ("instance =~ \"vij.*\"", true),
            ("instance =~ \"ija\"", false),
            ("instance =~ \"VIJ.*\"", true),
            ("instance !~ \"b.*\"", true),
            ("instance !~ \"v.*\"", false),
            ("severity =~ \"CRIT.*\"", false),
            ("{instance=\"vijay\", severity=~\"critical|warning\",}", true),
            ("instance=\"vijay\", severity=\"warning\"", false),
            ("team = \"\"", true),
            ("team != \"\"", false),
            ("team =~ \".+\"", false),
            ("job = \"Hermes\"", false),
            (r#"odd = "a\"b\\c\nd""#, true),
            (r#"odd =~ "a\"b\\\\c\\s?.""#, true),
            ("odd =~ \".*\"", true),
        ] {
            assert_eq!(Matchers::parse(matchers).unwrap().fit(&alert), fits, "{matchers}");
        }
    }

    #[test]
    fn what_is_no_matcher_is_explained() {
        for (typed, problem) in [
            ("instance", "after instance one of = != =~ !~ is missing"),
            ("instance ! vijay", "after instance one of = != =~ !~ is missing"),
            ("= \"vijay\"", "\"\" is not the name of a label"),
            ("9 = \"vijay\"", "\"9\" is not the name of a label"),
            ("instance =", "a value is missing"),
            ("instance = \"vijay", "the closing quote is missing"),
            ("instance = \"vijay\" severity = \"x\"", "'s' stands where a comma or the end was expected"),
            ("instance =~ \"(\"", "\"(\" is not a regular expression: unclosed group"),
        ] {
            let error = Matchers::parse(typed).unwrap_err().to_string();
            assert!(error.contains(problem), "{typed}: {error}");
        }
    }
}
