//! An instance that is told of by the report of its own exporter: nothing is lost by it, and its home is not touched.

use std::path::Path;
use std::sync::Arc;

use hermes_exporter::exporter::collect::background::Background;
use hermes_exporter::exporter::collect::engine::Crew;
use hermes_exporter::exporter::config::Config;
use hermes_exporter::exporter::expose::metrics::Exposition;
use hermes_exporter::exporter::snapshot::{Fleet, Source};
use hermes_exporter::web::metrics_text::Format;

use crate::homes::{Homes, look, of};

/// The samples of bheem, without what tells how it was looked at: who did, how long that took and by which limits it is
/// judged.
fn samples(fleet: &Arc<Fleet>) -> Vec<String> {
    let text = Exposition::new(Arc::clone(fleet), None).encode(Format::Text).unwrap();
    let is_of_bheem = |line: &&str| !line.starts_with('#') && line.contains("instance=\"bheem\"");
    let of_looking = ["hermes_instance_info", "hermes_collector_duration_seconds", "hermes_threshold_"];
    let lines = text.lines().filter(is_of_bheem);
    let lines = lines.filter(|line| !of_looking.iter().any(|name| line.starts_with(name)));
    lines.filter(|line| !line.contains("collector=\"report\"")).map(str::to_owned).collect()
}

#[test]
fn a_fleet_with_a_report_shows_what_one_with_two_homes_shows() {
    let homes = Homes::unpack();
    let looked_at = homes.look();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bheem.json");
    std::fs::write(&path, serde_json::to_vec(of(&looked_at, "bheem")).unwrap()).unwrap();
    // What could be read of it here would be found.
    std::fs::remove_dir_all(homes.bheem()).unwrap();

    let text = format!(
        "instances:
  - {{name: vijay, home: {}, user: root, units: []}}
  - {{name: bheem, report: {}}}
thresholds: {{disk_available: off, disk_available_critical: off}}
",
        homes.vijay().display(),
        path.display()
    );
    let config = Config::from_text(Path::new("test.yml"), &text).unwrap();
    let told = look(&Crew::new(&config, None, Background::inline()));
    let bheem = of(&told, "bheem");
    assert_eq!(bheem.identity.source, Source::Report);
    assert_eq!(bheem.report_run().unwrap().problems, []);
    let expected = samples(&looked_at);
    assert!(expected.len() > 100, "{}", expected.len());
    assert_eq!(samples(&told), expected);
}
