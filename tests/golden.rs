//! The whole exposition of the sample homes against files, which `UPDATE_GOLDEN=1 cargo test` writes anew.

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use hermes_exporter::exporter::expose::check::looks::Looks;
use hermes_exporter::exporter::expose::family::ExporterFacts;
use hermes_exporter::exporter::expose::findings::body;
use hermes_exporter::exporter::expose::metrics::Exposition;
use hermes_exporter::exporter::expose::{check, families};
use hermes_exporter::exporter::findings::FleetFindings;
use hermes_exporter::web::metrics_text::Format;

use crate::homes::Homes;

/// Samples that are never the same twice.
const CHANGING: [&str; 4] =
    ["hermes_collector_duration_seconds{", "hermes_home_filesystem_", "hermes_host_", "hermes_exporter_build_info"];

fn exposition(format: Format) -> String {
    let fleet = Homes::unpack().look();
    Exposition::new(fleet, Some(ExporterFacts { service: None })).encode(format).unwrap()
}

fn check_exposition(name: &str, format: Format) {
    let text: String = exposition(format)
        .lines()
        .map(|line| match CHANGING.iter().find(|prefix| line.starts_with(**prefix)) {
            // The version stands in the label.
            Some(prefix) if prefix.ends_with("info") => format!("{prefix} CHANGING\n"),
            Some(_) => format!("{} CHANGING\n", line.rsplit_once(' ').unwrap().0),
            None => format!("{line}\n"),
        })
        .collect();
    assert_golden(name, &text);
}

/// A text as in the file of this name.
pub(crate) fn assert_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let golden = std::fs::read_to_string(&path).unwrap_or_default();
    for (number, (golden, now)) in golden.lines().zip(text.lines()).enumerate() {
        assert_eq!(now, golden, "tests/golden/{name}, line {}", number + 1);
    }
    assert_eq!(text.lines().count(), golden.lines().count(), "tests/golden/{name} has another length");
}

#[test]
fn openmetrics() {
    check_exposition("sample-homes.openmetrics", Format::OpenMetrics);
}

#[test]
fn text() {
    check_exposition("sample-homes.text", Format::Text);
}

#[test]
fn findings() {
    let fleet = Homes::unpack().look();
    let found = FleetFindings::of(&fleet);
    let json = serde_json::to_string_pretty(&body(&fleet, &found, &BTreeSet::new())).unwrap();
    assert_golden("sample-homes.findings.json", &format!("{json}\n"));
}

#[test]
fn families_and_label_sets_are_unique_and_of_the_table() {
    let text = exposition(Format::Text);
    let mut families = HashSet::new();
    let mut series = HashSet::new();
    for line in text.lines() {
        if let Some(typed) = line.strip_prefix("# TYPE ") {
            let name = typed.split(' ').next().unwrap();
            assert!(families.insert(name), "{name} is described twice");
            assert!(families::all().any(|family| family.name == name), "{name} is not in the table");
        } else if !line.starts_with('#') {
            let labelled = line.rsplit_once(' ').unwrap().0;
            assert!(series.insert(labelled), "{labelled} stands twice");
        }
    }
    assert!(families.len() > 60);
}

#[test]
fn nothing_personal_or_secret_is_exposed() {
    let fleet = Homes::unpack().look();
    let found = FleetFindings::of(&fleet);
    let looks = Looks { has_colors: false, has_unicode: true, width: Some(80) };
    let told =
        serde_json::to_string(&body(&fleet, &found, &BTreeSet::new())).unwrap() + &check::text(&fleet, &found, looks);
    let json = serde_json::to_string(&*fleet).unwrap();
    let text = Exposition::new(fleet, None).encode(Format::Text).unwrap();
    for secret in [
        "FAKE",
        "not-a-secret",
        "100000001",
        "100000009",
        "-100200300",
        "Stranger",
        "Friend",
        "Vijay",
        "Morning briefing",
        "Summarise",
        "work key",
        "sha256",
        "Improper token",
        "rate limit exceeded",
        "client_id",
        "Asia/Kolkata",
    ] {
        assert!(!json.contains(secret), "{secret} is in the JSON");
        assert!(!text.contains(secret), "{secret} is in the metrics");
        assert!(!told.contains(secret), "{secret} is in what is found");
    }
}
