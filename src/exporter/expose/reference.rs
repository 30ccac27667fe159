//! `docs/metrics.md`, made from the table of families so that it can not drift.

use super::families;
use super::family::{Family, Kind};

/// The reference as Markdown: the content of `docs/metrics.md`.
pub fn markdown() -> String {
    let mut text = String::from(include_str!("reference.md"));
    type Belongs = fn(&Family) -> bool;
    let kinds: [(&str, Belongs); 3] = [
        ("Of each instance, with the label `instance`", Family::is_of_instances),
        ("Of the machine, without `instance`", |family| !family.is_of_instances() && family.of_exporter.is_none()),
        ("Of the exporter itself, without `instance`", |family| family.of_exporter.is_some()),
    ];
    for (title, belongs) in kinds {
        text.push_str(&format!("\n## {title}\n\n| metric | kind | labels | meaning |\n|---|---|---|---|\n"));
        for family in families::all().filter(|family| belongs(family)) {
            let kind = match family.kind {
                Kind::Gauge => "gauge",
                Kind::Counter => "counter",
                Kind::Histogram => "histogram",
                Kind::Info => "info",
            };
            let labels: Vec<_> = family.labels.iter().map(|label| format!("`{label}`")).collect();
            text.push_str(&format!("| `{}` | {kind} | {} | {} |\n", family.name, labels.join(", "), family.help));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_document_is_up_to_date() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/metrics.md");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, markdown()).unwrap();
        }
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text == markdown(), "docs/metrics.md is stale: run UPDATE_GOLDEN=1 cargo test");
    }
}
