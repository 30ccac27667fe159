//! `report --state`, run after run as a timer does: what is counted goes on, and is told by who reads the reports.

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hermes_exporter::exporter::collect::background::Background;
use hermes_exporter::exporter::collect::engine::{Crew, Selection};
use hermes_exporter::exporter::config::Config;
use hermes_exporter::exporter::expose::metrics::Exposition;
use hermes_exporter::exporter::snapshot::Fleet;
use hermes_exporter::web::metrics_text::Format;
use serde_json::Value;

use crate::homes::Homes;

/// bheem, her reports and what is kept between them.
struct Runs {
    homes: Homes,
    folder: tempfile::TempDir,
}

/// The turns, calls of the terminal, errors in errors.log and rate limits that are told.
type Counts = [Option<u64>; 4];

impl Runs {
    fn new() -> Runs {
        let runs = Runs { homes: Homes::unpack(), folder: tempfile::tempdir().unwrap() };
        runs.configure(&runs.homes.bheem());
        runs
    }

    fn configure(&self, home: &Path) {
        let text = format!("instances: [{{name: bheem, home: {}, units: []}}]\n", home.display());
        std::fs::write(self.path("config.yml"), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, more: &[&str]) -> (i32, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hermes-exporter"));
        command.env_clear().env("HOME", self.folder.path()).current_dir(self.folder.path());
        command.args(["report", "--config.file", "config.yml"]).args(more);
        let Output { status, stderr, .. } = command.output().unwrap();
        (status.code().unwrap(), String::from_utf8(stderr).unwrap())
    }

    /// One run in a row of them, which must say nothing.
    fn report(&self) -> Counts {
        assert_eq!(self.run(&["--output", "bheem.json", "--state", "state.json"]), (0, String::new()));
        self.told()
    }

    /// What an exporter tells that reads the report.
    fn told(&self) -> Counts {
        let text = format!("instances: [{{name: bheem, report: {}}}]\n", self.path("bheem.json").display());
        let config = Config::from_text(Path::new("test.yml"), &text).unwrap();
        let crew = Crew::new(&config, None, Background::inline());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let soon = Instant::now() + Duration::from_secs(60);
        let fleet: Arc<Fleet> = runtime.block_on(crew.look(&Selection::default(), soon));
        let text = Exposition::new(fleet, None).encode(Format::Text).unwrap();
        let sample = |name: &str, labels: &[&str]| {
            let is_it = |line: &&str| line.starts_with(name) && labels.iter().all(|label| line.contains(label));
            let mut found = text.lines().filter(is_it);
            let value = found.next()?.rsplit_once(' ')?.1.parse().unwrap();
            assert_eq!(found.next(), None, "{name}");
            Some(value)
        };
        [
            sample("hermes_turns_total", &[]),
            sample("hermes_tool_calls_total", &["tool=\"terminal\""]),
            sample("hermes_log_lines_total", &["log=\"errors\"", "level=\"error\""]),
            sample("hermes_rate_limited_total", &[]),
        ]
    }

    fn collectors(&self) -> Vec<Value> {
        let report: Value = serde_json::from_slice(&std::fs::read(self.path("bheem.json")).unwrap()).unwrap();
        report["collectors"].as_array().unwrap().clone()
    }

    /// A turn with one call, as Hermes stores it; the answer, with the call before it, comes only when it is told to.
    fn ask(&self) {
        self.store("INSERT INTO messages (session_id, role, content, timestamp) SELECT id, 'user', 'x', 1795165300 FROM sessions LIMIT 1");
    }

    fn answer(&self) {
        let calls = r#"'[{"function": {"name": "terminal"}}]'"#;
        self.store(&format!("INSERT INTO messages (session_id, role, tool_calls, timestamp) SELECT id, 'assistant', {calls}, 1795165301 FROM sessions LIMIT 1"));
        self.store("INSERT INTO messages (session_id, role, content, timestamp) SELECT id, 'assistant', 'y', 1795165302 FROM sessions LIMIT 1");
    }

    fn store(&self, sql: &str) {
        let store = rusqlite::Connection::open(self.homes.bheem().join("state.db")).unwrap();
        assert_eq!(store.execute(sql, []).unwrap(), 1);
    }

    fn log(&self, records: &[&str]) {
        let path = self.homes.bheem().join("logs/errors.log");
        let mut log = std::fs::File::options().append(true).create(true).open(path).unwrap();
        for record in records {
            writeln!(log, "2026-11-20 08:49:16,713 {record}").unwrap();
        }
    }

    fn rotate(&self) {
        let log = |name: &str| self.homes.bheem().join("logs").join(name);
        std::fs::rename(log("errors.log"), log("errors.log.1")).unwrap();
    }
}

fn plus(counts: Counts, more: [u64; 4]) -> Counts {
    std::array::from_fn(|place| counts[place].map(|count| count + more[place]))
}

#[test]
fn counters_of_a_reported_instance_go_on_from_run_to_run() {
    let runs = Runs::new();
    let first = runs.report();
    assert_eq!(first, [Some(173), Some(52), Some(0), Some(0)], "what is stored, and what is written from now on");
    assert_eq!(runs.report(), first, "nothing is counted twice");
    let mode = std::fs::metadata(runs.path("state.json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o7777, 0o600, "it is nobody else's");
    runs.ask();
    runs.log(&["ERROR x: y", "WARNING x: HTTP 429: slow"]);
    let second = runs.report();
    assert_eq!(second, plus(first, [0, 0, 1, 1]), "the turn is not over");
    runs.answer();
    runs.log(&["ERROR x: last of the old"]);
    runs.rotate();
    runs.log(&["ERROR x: first of the new"]);
    assert_eq!(runs.report(), plus(second, [1, 1, 2, 0]));
    // Without what was kept they are left out, as ever.
    assert_eq!(runs.run(&["--output", "bheem.json"]), (0, String::new()));
    assert_eq!(runs.told(), [None; 4]);
    assert_eq!(runs.report(), plus(second, [1, 1, 2, 0]));
}

#[test]
fn a_run_that_has_kept_and_could_not_show_is_made_up_for_by_the_next() {
    let runs = Runs::new();
    let first = runs.report();
    runs.ask();
    runs.answer();
    runs.log(&["ERROR x: y"]);
    // As when it is killed between the two.
    let (code, message) = runs.run(&["--output", "no/such/folder.json", "--state", "state.json"]);
    assert_eq!((code, message.contains("no/such/folder.json could not be written")), (1, true), "{message}");
    // What it has counted is not to be read a second time.
    runs.rotate();
    std::fs::remove_file(runs.homes.bheem().join("logs/errors.log.1")).unwrap();
    runs.log(&[]);
    assert_eq!(runs.report(), plus(first, [1, 1, 1, 0]));
}

#[test]
fn what_can_not_be_used_is_as_good_as_nothing_and_is_said_once() {
    let runs = Runs::new();
    let first = runs.report();
    runs.log(&["ERROR x: y"]);
    let second = runs.report();
    assert_eq!(second, plus(first, [0, 0, 1, 0]));
    let kept = std::fs::read_to_string(runs.path("state.json")).unwrap();
    let changed = |field: &str, value: Value| {
        let mut state: Value = serde_json::from_str(&kept).unwrap();
        *state.pointer_mut(field).unwrap() = value;
        state.to_string()
    };
    for (state, said) in [
        (String::new(), "does not parse"),
        ("\0".repeat(600), "does not parse"),
        (kept[..kept.len() / 2].to_owned(), "does not parse"),
        (" ".repeat(9 * 1024 * 1024), "more than the 8388608 that are read"),
        (changed("/format", 2.into()), "it is of format 2, and not 1"),
        (changed("/instance", "vijay".into()), "it is of the instance \\\"vijay\\\" in"),
        (changed("/home", "/elsewhere".into()), "in /elsewhere"),
    ] {
        std::fs::write(runs.path("state.json"), state).unwrap();
        let (code, message) = runs.run(&["--output", "bheem.json", "--state", "state.json"]);
        assert_eq!((code, message.lines().count(), message.contains(said)), (0, 1, true), "{message}");
        assert_eq!(runs.told(), first, "{said}: begun anew");
        assert_eq!(runs.report(), first);
    }
    // One collector does not understand its own, and the others do.
    for (field, wrong) in [
        ("/memory/collectors/logs", 7.into()),
        ("/memory/collectors/logs/errors/counted/rate_limited", u64::MAX.into()),
    ] {
        std::fs::write(runs.path("state.json"), changed(field, wrong)).unwrap();
        let (code, message) = runs.run(&["--output", "bheem.json", "--state", "state.json"]);
        assert_eq!((code, message.lines().count(), message.contains("collector=logs")), (0, 1, true), "{message}");
        assert_eq!(runs.told(), first);
    }
    // A file that never was one is somebody's.
    let large = format!("{}\n", "remember the milk\n".repeat(600_000));
    for others in ["[]", "chats: {root: {chat_id: 7}}\n", "SQLite format 3", "{\"format\": 1, \"taken_at\": 7}", &large]
    {
        std::fs::write(runs.path("state.json"), others).unwrap();
        let (code, message) = runs.run(&["--output", "bheem.json", "--state", "state.json"]);
        assert_eq!((code, message.contains("something else in it than what --state keeps")), (1, true), "{message}");
        assert!(std::fs::read_to_string(runs.path("state.json")).unwrap() == others);
        assert_eq!(runs.told(), [None; 4]);
    }
    // What stands there for another reason is neither read nor replaced, and nothing is told that would not go on.
    let place = |name: &str| runs.path(name);
    std::fs::write(place("target"), &kept).unwrap();
    symlink(place("target"), place("link")).unwrap();
    std::fs::create_dir(place("folder")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, place("pipe"), rustix::fs::Mode::RWXU).unwrap();
    for name in ["link", "folder", "pipe"] {
        let (code, message) = runs.run(&["--output", "bheem.json", "--state", name]);
        assert_eq!((code, message.contains("only a file is replaced")), (1, true), "{message}");
        assert_eq!(runs.told(), [None; 4]);
        let has_failed = |run: &Value| run["collector"] == "logs" && run["problems"][0]["reason"] == "io";
        assert!(runs.collectors().iter().any(has_failed), "the report is there, and says so");
    }
    assert_eq!(std::fs::read_to_string(place("target")).unwrap(), kept);
}

#[test]
fn nothing_is_kept_in_the_home_nor_where_the_report_is() {
    let runs = Runs::new();
    let home = runs.homes.bheem();
    symlink(home.join("logs"), runs.path("elsewhere")).unwrap();
    for state in [home.join("state.json"), home.join("logs/state.json"), runs.path("elsewhere/state.json")] {
        let (code, message) = runs.run(&["--output", "bheem.json", "--state", state.to_str().unwrap()]);
        assert_eq!((code, message.contains("is in the Hermes home")), (64, true), "{message}");
        assert!(!state.exists() && !runs.path("bheem.json").exists());
    }
    let (code, message) = runs.run(&["--output", "bheem.json", "--state", "bheem.json"]);
    assert_eq!((code, message.contains("can not be both --output and --state")), (64, true), "{message}");
}

#[test]
fn since_when_something_fails_goes_on_with_and_without_what_is_kept() {
    let runs = Runs::new();
    std::fs::write(runs.homes.bheem().join("cron/jobs.json"), "damaged").unwrap();
    let since = |more: &[&str]| {
        assert_eq!(runs.run(more), (0, String::new()));
        let cron = runs.collectors().into_iter().find(|run| run["collector"] == "cron").unwrap();
        cron["failing_since"].as_f64().unwrap()
    };
    let without = since(&["--output", "bheem.json"]);
    assert_eq!(since(&["--output", "bheem.json"]), without);
    let kept = since(&["--output", "bheem.json", "--state", "state.json"]);
    assert_eq!(kept, without, "known from the report before");
    std::fs::remove_file(runs.path("bheem.json")).unwrap();
    assert_eq!(since(&["--output", "bheem.json", "--state", "state.json"]), without);
}
