//! Configurations that nobody would write, made of ones that somebody did: for tests of what reads them.
//!
//! A change is four numbers, so that a case that fails becomes a small one. What has to hold for it is each reader's matter.

use std::path::Path;

use proptest::prelude::*;

/// The kind of a change, where it is, what is taken for it, and from where that is.
type Change = (u8, u32, u32, u32);

/// What may be at any place of a file: all that YAML has, and what is at the borders of texts and numbers.
const ODD: &[&str] = &[
    "",
    "~",
    "null",
    "true",
    "no",
    "0",
    "-1",
    "-0",
    "1e308",
    ".inf",
    ".nan",
    "0x7fffffffffffffff",
    "18446744073709551616",
    "99999999999999999999999999999999999999s",
    "584554051223y 1ns",
    "1ns",
    "\"\"",
    "''",
    "\"",
    "'",
    "[]",
    "{}",
    "[",
    "]",
    "{",
    "}",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "{a: {a: {a: {a: {a: {a: {a: ",
    "- ",
    "- - - - - - ",
    "? ",
    ": ",
    "? ? ? ",
    "&a ",
    "*a",
    "&a *a",
    "<<: *a",
    "<<: [*a, *a]",
    "<<: {name: x}",
    "!!binary aGk=",
    "!!str ",
    "!!null x",
    "!!set {a}",
    "!!python/object/apply:os.system [id]",
    "!unknown ",
    "!<tag:x> ",
    "%YAML 9.9\n---\n",
    "%TAG ! x:\n---\n",
    "\n---\n",
    "\n...\n",
    "---",
    "...",
    "|\n",
    ">-\n",
    "|9\n",
    "|+\n\n\n",
    "#",
    "# ",
    "\t",
    "\r",
    "\r\n",
    "\n",
    "\n\n",
    " ",
    "        ",
    "\u{feff}",
    "\u{0}",
    "\u{1b}[2J",
    "\u{7f}",
    "\u{85}",
    "\u{2028}",
    "\u{202e}",
    "\u{2066}",
    "\u{200d}",
    "\u{1f980}",
    "\u{fffd}",
    "\u{e000}",
    "\u{10ffff}",
    "\"\\u0000\"",
    "\"\\ud800\"",
    "\"\\udc00\\ud800\"",
    "\"\\U0011ffff\"",
    "\"\\x1b[2J\"",
    "\"\\n\\n\"",
    "\"\\",
    "/",
    "/../..",
    "/\u{0}",
    "//////",
    "http://[::1",
    "http://a:b@c:99999/",
    "https://é.example/%zz",
    "Sun..Mon 25:00-3:00",
    "Europe/Nowhere",
    "@",
    "`",
    "%",
    "{{ x }}",
    "(",
    "(?P<",
    "a{99999}",
    "((((((((((a*)*)*)*)*)*)*)*)*)*",
    "9223372036854775808",
    "-100999999999999",
    ",",
    ", ,",
    "=",
    "name",
    "instances",
    "home",
];

/// All files of these kinds in folders of samples, in the order of their names.
pub(crate) fn samples(folders: &[&str]) -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let of = |folder: &&str| {
        let entries = std::fs::read_dir(root.join(folder)).unwrap();
        let mut files: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()).collect();
        files.sort();
        files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect::<Vec<_>>()
    };
    folders.iter().flat_map(of).collect()
}

/// How often each property is tried: more, and longer, with PROPTEST_CASES.
pub(crate) fn cases(usually: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(usually);
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// One of the samples with a few changes.
pub(crate) fn mutated(samples: Vec<String>) -> impl Strategy<Value = String> {
    let changes = prop::collection::vec((0..KINDS, any::<u32>(), any::<u32>(), any::<u32>()), 1..8);
    (0..samples.len(), changes).prop_map(move |(first, changes)| {
        changes.into_iter().fold(samples[first].clone(), |text, change| changed(text, &samples, change))
    })
}

const KINDS: u8 = 16;

fn changed(text: String, samples: &[String], (kind, place, what, from): Change) -> String {
    let odd = ODD[what as usize % ODD.len()];
    let other = &samples[from as usize % samples.len()];
    let mut lines: Vec<String> = text.split('\n').map(str::to_owned).collect();
    let line = place as usize % lines.len();
    match kind {
        0 => {
            let mut bytes = text.into_bytes();
            if !bytes.is_empty() {
                let place = place as usize % bytes.len();
                bytes[place] = what as u8;
            }
            return String::from_utf8_lossy(&bytes).into_owned();
        }
        1 => return inserted(&text, place, odd),
        2 => return inserted(&text, place, piece(other, what)),
        3 => return text.chars().take(place as usize % (text.len() + 1)).collect(),
        4 => lines[line] = with_value(&lines[line], odd),
        5 => {
            let value = picked(other, what).split_once(": ").map_or("", |(_, value)| value).to_owned();
            lines[line] = with_value(&lines[line], &value);
        }
        6 => lines.insert(line, odd.to_owned()),
        7 => lines.insert(line, picked(other, what).to_owned()),
        8 => {
            let again = lines[line].clone();
            (0..what % 4).for_each(|_| lines.insert(line, again.clone()));
        }
        9 => drop(lines.remove(line)),
        10 => {
            let width = what as usize % 9;
            lines[line] = format!("{}{}", " ".repeat(width), lines[line].trim_start());
        }
        // A whole file below one line of another.
        11 => {
            let width = what as usize % 9;
            let below: Vec<_> = other.split('\n').map(|line| format!("{}{line}", " ".repeat(width))).collect();
            lines.splice(line..line, below);
        }
        12 => {
            let value = lines[line].split_once(": ").map_or("x", |(_, value)| value).to_owned();
            lines[line] = with_value(&lines[line], &format!("&a {value}"));
            let below = (line + 1 + what as usize) % lines.len();
            lines[below] = with_value(&lines[below], "*a");
        }
        13 => {
            let laughs = (0..from % 12).map(|level| format!("&l{} [{}]", level + 1, format!("*l{level},").repeat(10)));
            let bomb = std::iter::once("&l0 x".to_owned()).chain(laughs).collect::<Vec<_>>().join(", ");
            lines[line] = with_value(&lines[line], &format!("[{bomb}]"));
        }
        14 => {
            let many = (what as usize % 3_000) + 1;
            let unit = if odd.is_empty() { "x" } else { odd };
            lines[line] = with_value(&lines[line], &unit.repeat(many));
        }
        _ => {
            let text = lines.join(if what % 2 == 0 { "\r\n" } else { "\r" });
            return if from % 2 == 0 { format!("\u{feff}{text}") } else { text };
        }
    }
    lines.join("\n")
}

fn picked(text: &str, what: u32) -> &str {
    let count = text.split('\n').count();
    text.split('\n').nth(what as usize % count).unwrap_or_default()
}

fn piece(text: &str, what: u32) -> &str {
    let start = text.floor_char_boundary(what as usize % (text.len() + 1));
    let end = text.floor_char_boundary((start + 1 + (what >> 16) as usize % 60).min(text.len()));
    &text[start..end]
}

fn inserted(text: &str, place: u32, what: &str) -> String {
    let place = text.floor_char_boundary(place as usize % (text.len() + 1));
    format!("{}{what}{}", &text[..place], &text[place..])
}

/// The line with another value behind its key.
fn with_value(line: &str, value: &str) -> String {
    match line.split_once(": ").or_else(|| line.strip_suffix(':').map(|key| (key, ""))) {
        Some((key, _)) => format!("{key}: {value}"),
        None => format!("{line}{value}"),
    }
}

/// What holds for every refusal: it says which file and which line of it, on a few lines that harm no terminal.
pub(crate) fn assert_tells_where(error: &super::ConfigError, path: &Path, text: &str) -> String {
    let said = crate::error_chain::display_chain(error);
    let place = said.strip_prefix(&format!("{}:", path.display()));
    let line = place.and_then(|place| place.split(':').next()?.parse::<usize>().ok());
    let lines = text.replace("\r\n", "\n").split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']).count();
    assert!(line.is_some_and(|line| (1..=lines + 1).contains(&line)), "{said}");
    assert!(said.len() < 6_000, "{} bytes: {said}", said.len());
    assert!(said.chars().all(|letter| letter == '\n' || !letter.is_control()), "{said:?}");
    said
}
