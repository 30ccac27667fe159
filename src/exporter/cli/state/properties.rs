//! What holds for any file of what is remembered: a report is written all the same, and no counter of it is absurd.

use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::Value;

use super::*;
use crate::config_file::mutation::cases;
use crate::exporter::collect::COLLECTORS;
use crate::exporter::collect::background::Background;
use crate::exporter::collect::engine::{Crew, Selection};
use crate::exporter::collect::report::mutation::{apply, change, of_text, written};
use crate::exporter::config::Config;
use crate::exporter::expose::metrics::Exposition;
use crate::exporter::expose::self_report;
use crate::exporter::snapshot::{Fleet, Snapshot};
use crate::web::metrics_text::Format;

/// Collectors that remember something.
const REMEMBERING: [&str; 4] = ["activity", "logs", "gateway", "guardrails"];

/// The most that a counter can be, and then some: what is believed was counted, and what was seen since.
const MOST: f64 = 1e17;

struct Trial {
    folder: tempfile::TempDir,
    config: Config,
}

impl Trial {
    fn new() -> Trial {
        let folder = tempfile::tempdir().unwrap();
        let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hermes-0.19.0/homes.tar.gz");
        let archive = flate2::read::GzDecoder::new(std::fs::File::open(archive).unwrap());
        tar::Archive::new(archive).unpack(folder.path()).unwrap();
        let home = folder.path().join("home-vijay");
        let text = format!("instances: [{{name: vijay, home: {}, user: root, units: []}}]", home.display());
        let mut config = Config::from_text(Path::new("test.yml"), &text).unwrap();
        let switches = COLLECTORS.iter().map(|entry| (entry.name, REMEMBERING.contains(&entry.name)));
        config.switch_collectors(&switches.collect::<Vec<_>>());
        Trial { folder, config }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("vijay.state")
    }

    /// What one run of `report` does, by what is remembered; the report.
    fn report(&self) -> Snapshot {
        let instance = &self.config.instances[0];
        let mut state = StateFile::of(&self.path(), instance).unwrap();
        let now = Timestamp::from_seconds(1_795_165_255.0).unwrap();
        let before = state.read().map(|(at, memory)| self_report::as_of(now, instance.thresholds, at, memory));
        let before = before.unwrap_or_default();
        let crew = Crew::new(&self.config, None, Background::inline());
        crew.recall("vijay", &before);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let deadline = Instant::now() + Duration::from_secs(600);
        let fleet = runtime.block_on(crew.look_as_of(now, &Selection::default(), deadline));
        let report = self_report::report(Snapshot::clone(&fleet.instances[0]), true);
        match state.write(now, crew.remember("vijay", before)) {
            Ok(()) => report,
            // What is no state any more begins nothing, and is left as it is.
            Err(CommandError::Output(OutputError::AnotherKind { .. })) => {
                let mut report = report;
                self_report::forget_counts(&mut report);
                report
            }
            Err(error) => panic!("{error}"),
        }
    }
}

/// Counters by their series.
fn counters(report: Snapshot) -> Vec<(String, f64)> {
    let fleet = Fleet { instances: vec![Arc::new(report.clone())], ..Fleet::at(report.taken_at) };
    let text = Exposition::new(Arc::new(fleet), None).encode(Format::Text).unwrap();
    let is_counter = |series: &str| {
        let name = series.split('{').next().unwrap();
        ["_total", "_count", "_sum", "_bucket"].iter().any(|end| name.ends_with(end))
    };
    let samples = text.lines().filter(|line| !line.starts_with('#')).map(|line| line.rsplit_once(' ').unwrap());
    let counters = samples.filter(|(series, _)| is_counter(series));
    counters.map(|(series, value)| (series.to_owned(), value.parse().unwrap())).collect()
}

#[test]
fn no_state_stops_a_report_or_makes_its_counters_absurd() {
    let trial = Trial::new();
    let first = counters(trial.report());
    assert!(first.len() > 20, "{first:?}");
    assert_eq!(counters(trial.report()), first, "by a state that is good");
    let seed = std::fs::read(trial.path()).unwrap();
    let seeds = vec![serde_json::from_slice::<Value>(&seed).unwrap()];
    let changes = prop::collection::vec((prop::collection::vec(any::<usize>(), 0..9), change()), 0..5);
    let texts = (changes, prop::collection::vec(of_text(), 0..3)).prop_map(|(changes, of_text)| {
        let mut changed = seeds[0].clone();
        for (steps, change) in changes {
            apply(&mut changed, &steps, change, &seeds);
        }
        written(serde_json::to_vec(&changed).unwrap(), &of_text)
    });
    let run = |text: Vec<u8>| {
        std::fs::write(trial.path(), &text).unwrap();
        let (one, next) = (counters(trial.report()), counters(trial.report()));
        for (series, value) in &one {
            prop_assert!((0.0..MOST).contains(value), "{} {}", series, value);
            let later = next.iter().find(|(other, _)| other == series).map(|(_, value)| *value);
            // A state that was taken is one that can be gone on from.
            prop_assert!(later.is_some_and(|later| later >= *value), "{} {} {:?}", series, value, later);
        }
        Ok(())
    };
    if let Err(error) = TestRunner::new(cases(12)).run(&texts, run) {
        panic!("{error}");
    }
}
