//! `docs/findings.md`, made from the table of findings so that it can not drift.

use super::{Code, Severity};
use crate::exporter::snapshot::Threshold;

/// The reference as Markdown: the content of `docs/findings.md`.
pub fn markdown() -> String {
    let mut text = String::from(include_str!("reference.md"));
    text.push_str("\n## All of them\n\n| finding | when | severity | thresholds |\n|---|---|---|---|\n");
    for code in Code::ALL {
        let severities: Vec<_> = code.severities().iter().copied().map(Severity::as_str).collect();
        let thresholds: Vec<_> =
            code.thresholds().iter().map(|threshold: &Threshold| format!("`{}`", threshold.as_str())).collect();
        text.push_str(&format!(
            "| [`{}`]({}): {} | {} | {} | {} |\n",
            code.as_str(),
            code.runbook(),
            code.title(),
            code.when(),
            severities.join(", "),
            thresholds.join(", "),
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_document_is_up_to_date() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/findings.md");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, markdown()).unwrap();
        }
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text == markdown(), "docs/findings.md is stale: run UPDATE_GOLDEN=1 cargo test");
    }
}
