//! `docs/bridge-metrics.md`, made from the table so that it can not drift.

use super::table::{Count, Duration, Row, State};

/// The reference as Markdown: the content of `docs/bridge-metrics.md`.
pub fn markdown() -> String {
    let mut text = String::from(include_str!("reference.md"));
    let states = State::ALL.iter().map(|state| state.row());
    section(&mut text, "What is so now", states);
    section(&mut text, "What was counted since the bridge was started", Count::ALL.iter().map(|count| count.row()));
    section(&mut text, "What was measured", Duration::ALL.iter().map(|duration| duration.row()));
    text
}

fn section(text: &mut String, title: &str, rows: impl Iterator<Item = Row>) {
    text.push_str(&format!("\n## {title}\n\n| metric | kind | labels | meaning |\n|---|---|---|---|\n"));
    for row in rows {
        let kind = match row.name {
            name if name.ends_with("_total") => "counter",
            name if name.ends_with("_info") => "info",
            _ if Duration::ALL.iter().any(|duration| duration.row() == row) => "histogram",
            _ => "gauge",
        };
        let labels: Vec<_> = row.labels.iter().map(|label| format!("`{label}`")).collect();
        text.push_str(&format!("| `{}` | {kind} | {} | {} |\n", row.name, labels.join(", "), row.help));
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn the_document_is_up_to_date() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/bridge-metrics.md");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, markdown()).unwrap();
        }
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text == markdown(), "docs/bridge-metrics.md is stale: run UPDATE_GOLDEN=1 cargo test");
    }
}
