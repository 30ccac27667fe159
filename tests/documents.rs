//! Links between the documents lead somewhere: to a file that is there, and to a heading that is in it. Addresses outside of
//! the project are not asked.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Where there are documents, besides the root. Not `src`, which has pieces of documents, and not `tests`, whose homes have
/// files that Hermes wrote.
const FOLDERS: [&str; 6] = ["docs", "alerts", "dashboards", "docker", "packaging", "benches"];

/// The documents in a folder; those below it as well, where `is_deep` says so.
fn documents(folder: &Path, is_deep: bool, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() && is_deep {
            documents(&path, is_deep, found);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            found.push(path);
        }
    }
}

/// The lines that are text and not code.
fn prose(document: &str) -> Vec<String> {
    let mut is_code = false;
    let mut lines = Vec::new();
    for line in document.lines() {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            lines.push(line.to_owned());
        }
    }
    assert!(!is_code, "a block of code is not closed");
    lines
}

/// Where the links of a line lead, as they are written.
fn links(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut is_code = false;
    for (place, character) in line.char_indices() {
        is_code ^= character == '`';
        let Some(rest) = line[place..].strip_prefix("](").filter(|_| !is_code) else { continue };
        found.extend(rest.split([')', ' ']).next());
    }
    found
}

/// The anchors of a document: its headings as GitHub makes names of them.
fn anchors(document: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in prose(document) {
        let Some((marks, heading)) = line.split_once(' ') else { continue };
        if marks.is_empty() || marks.chars().any(|mark| mark != '#') {
            continue;
        }
        let shown = heading.split("](").enumerate().map(|(number, part)| match number {
            0 => part,
            _ => part.split_once(')').map_or("", |(_, rest)| rest),
        });
        let name: String = (shown.collect::<String>().trim().to_lowercase().chars())
            .filter(|character| character.is_alphanumeric() || matches!(character, ' ' | '-' | '_'))
            .map(|character| if character == ' ' { '-' } else { character })
            .collect();
        let again = (1..).map(|number| format!("{name}-{number}")).find(|name| !found.contains(name));
        found.insert(if found.contains(&name) { again.unwrap() } else { name });
    }
    found
}

#[test]
fn links_in_documents_lead_somewhere() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    documents(root, false, &mut all);
    for folder in FOLDERS {
        documents(&root.join(folder), true, &mut all);
    }
    let (mut followed, mut broken) = (0, Vec::new());
    for path in &all {
        let text = fs::read_to_string(path).unwrap();
        for line in prose(&text) {
            for link in links(&line).into_iter().filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
                followed += 1;
                let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
                let target = if file.is_empty() { path.clone() } else { path.with_file_name(file) };
                let leads_there = match fs::read_to_string(&target) {
                    Ok(text) => anchor.is_empty() || anchors(&text).contains(anchor),
                    // A picture or a folder.
                    Err(_) => anchor.is_empty() && target.exists(),
                };
                if !leads_there {
                    broken.push(format!("{}: {link}", path.strip_prefix(root).unwrap().display()));
                }
            }
        }
    }
    assert!(all.len() > 40 && followed > 100, "{} documents, {followed} links", all.len());
    assert!(broken.is_empty(), "these lead nowhere:\n{}", broken.join("\n"));
}

#[test]
fn headings_have_the_names_that_links_use() {
    let text = "# A `b` & [c d](e.md)!\n\n```sh\n# no heading\n```\n## Twice\n## Twice\n";
    let expected = ["a-b--c-d", "twice", "twice-1"];
    assert_eq!(anchors(text), expected.map(str::to_owned).into());
    assert_eq!(links("[a](b.md#c), ![d](e.png) and `[f](g)`, [h](i \"j\")"), ["b.md#c", "e.png", "i"]);
}
