//! What is counted of the logs of one home.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::exporter::collect::background::Background;
use crate::exporter::collect::exposure::Sockets;
use crate::exporter::collect::gateway::GatewayProcesses;
use crate::exporter::collect::programs::HermesPrograms;
use crate::exporter::collect::sample_homes;
use crate::exporter::instance::tests::instance_at;
use crate::exporter::snapshot::{Problem, Reason};
use crate::system::time::Timestamp;

struct Home {
    folder: TempDir,
    collector: LogsCollector,
    background: Background,
}

impl Home {
    fn with(logs: &[(&str, &str)]) -> Home {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("logs")).unwrap();
        let collector = LogsCollector::new(&instance_at(folder.path()));
        let home = Home { folder, collector, background: Background::inline() };
        for (log, text) in logs {
            home.append(log, text);
        }
        home
    }

    fn append(&self, log: &str, text: &str) {
        let path = self.folder.path().join(format!("logs/{log}.log"));
        OpenOptions::new().append(true).create(true).open(path).unwrap().write_all(text.as_bytes()).unwrap();
    }

    fn look(&self) -> (Reading<Arc<Logs>>, Vec<Problem>) {
        look(&self.collector, self.folder.path(), &self.background)
    }

    fn logs(&self) -> Arc<Logs> {
        let (logs, problems) = self.look();
        assert_eq!(problems, []);
        Arc::clone(logs.known().unwrap())
    }
}

fn look(collector: &LogsCollector, home: &Path, background: &Background) -> (Reading<Arc<Logs>>, Vec<Problem>) {
    let instance = instance_at(home);
    let programs = Arc::new(HermesPrograms::default());
    let gateways = GatewayProcesses::new(Arc::clone(&programs));
    let sockets = Sockets::default();
    let look = Look {
        now: Timestamp::now(),
        instance: &instance,
        gateways: &gateways,
        programs: &programs,
        sockets: &sockets,
        background,
    };
    let mut problems = Problems::default();
    let logs = collector.read(&look, &mut problems);
    (logs, problems.into_sorted())
}

fn lines(logs: &Logs, log: &str) -> Reading<Lines> {
    logs.lines[&Label::new(log)]
}

fn record(level: &str, message: &str) -> String {
    format!("2026-11-20 08:49:16,713 {level} [20261120_084916_ab12] agent.loop: {message}\n")
}

const TRACEBACK: &str = "Traceback (most recent call last):\n  File \"x.py\", line 429, in call\nValueError: 429\n";

#[test]
fn records_are_counted_by_level_from_the_first_look_on() {
    let home = Home::with(&[("agent", &record("INFO", "history")), ("errors", "")]);
    let logs = home.logs();
    assert_eq!(lines(&logs, "agent"), Reading::Known(Lines::default()));
    assert_eq!(lines(&logs, "gateway"), Reading::Absent);
    assert_eq!(logs.rate_limited, Reading::Known(0));
    home.append("agent", &[record("INFO", "a"), record("INFO", "b"), record("DEBUG", "c")].concat());
    home.append("agent", &[record("ERROR", "d"), TRACEBACK.to_owned(), record("CRITICAL", "e")].concat());
    home.append("gateway", &record("WARNING", "f"));
    let logs = home.logs();
    let expected = Lines { debug: 1, info: 2, warning: 0, error: 1, critical: 1 };
    assert_eq!(lines(&logs, "agent"), Reading::Known(expected));
    assert_eq!(lines(&logs, "gateway"), Reading::Known(Lines { warning: 1, ..Lines::default() }));
    // A log that goes away shows nothing, and goes on when it comes again.
    std::fs::remove_file(home.folder.path().join("logs/agent.log")).unwrap();
    assert_eq!(lines(&home.logs(), "agent"), Reading::Absent);
    home.append("agent", &record("WARNING", "g"));
    assert_eq!(lines(&home.logs(), "agent"), Reading::Known(Lines { warning: 1, ..expected }));
}

#[test]
fn a_rate_limit_counts_once_however_many_logs_and_lines_tell_of_it() {
    let home = Home::with(&[("agent", ""), ("errors", ""), ("gateway", "")]);
    assert_eq!(home.logs().rate_limited, Reading::Known(0));
    let told = [
        record(
            "WARNING",
            "API call failed (attempt 1/3) error_type=RateLimitError summary=HTTP 429: rate limit reached",
        ),
        record("ERROR", "Outer loop error in API call #3"),
        "Traceback (most recent call last):\nopenai.RateLimitError: Error code: 429\nand again: HTTP 429\n".to_owned(),
        record("ERROR", "gone wrong"),
        TRACEBACK.to_owned(),
    ];
    for log in ["agent", "errors", "gateway"] {
        home.append(log, &told.concat());
    }
    home.append("agent", &record("INFO", "inbound message: 'HTTP 429, am I rate limited?'"));
    home.append("agent", "HTTP 429\n");
    assert_eq!(home.logs().rate_limited, Reading::Known(2));
}

#[test]
fn a_home_without_logs_has_none_and_one_that_can_not_be_read_is_unknown() {
    let home = Home::with(&[]);
    assert_eq!(home.look(), (Reading::Absent, Vec::new()));
    std::fs::create_dir(home.folder.path().join("logs/errors.log")).unwrap();
    home.append("agent", &record("INFO", "a"));
    let (logs, problems) = home.look();
    let logs = logs.known().unwrap();
    assert_eq!(lines(logs, "agent"), Reading::Known(Lines { info: 1, ..Lines::default() }));
    assert_eq!(lines(logs, "errors"), Reading::Unknown(Reason::Unsupported));
    assert_eq!(logs.rate_limited, Reading::Unknown(Reason::Unsupported));
    assert_eq!(problems, [Problem { reason: Reason::Unsupported, subject: "logs/errors.log".to_owned() }]);
}

#[test]
fn what_hermes_has_written_is_all_records() {
    let (folder, vijay, _) = sample_homes::unpack();
    let collector = LogsCollector::new(&instance_at(&vijay));
    let background = Background::inline();
    let agent = vijay.join("logs/agent.log");
    let text = std::fs::read_to_string(&agent).unwrap();
    std::fs::remove_file(&agent).unwrap();
    look(&collector, &vijay, &background);
    std::fs::write(&agent, &text).unwrap();
    let (logs, _) = look(&collector, &vijay, &background);
    let counted = *lines(logs.known().unwrap(), "agent").known().unwrap();
    for (level, count) in counted.by_level() {
        let word = format!(" {} ", level.to_uppercase());
        assert_eq!(
            count,
            text.lines().filter(|line| line.get(23..).is_some_and(|rest| rest.starts_with(&word))).count() as u64
        );
    }
    assert!(counted.info > 0);
    drop(folder);
}

#[test]
fn another_process_counts_what_was_written_between_the_two() {
    let mut home = Home::with(&[("errors", &record("ERROR", "history"))]);
    assert_eq!(lines(&home.logs(), "errors").known().unwrap().error, 0);
    home.append("errors", &record("ERROR", "one"));
    // The record is counted, and goes on in the other one.
    home.append("errors", "what follows, begun");
    let hand_over = |home: &mut Home| {
        let kept = home.collector.remember().unwrap().to_string();
        home.collector = LogsCollector::new(&instance_at(home.folder.path()));
        home.collector.recall(Some(serde_json::from_str(&kept).unwrap())).unwrap();
    };
    hand_over(&mut home);
    assert_eq!(lines(&home.logs(), "errors").known().unwrap().error, 1);
    home.append("errors", " here: HTTP 429\n");
    home.append("errors", &record("ERROR", "two"));
    hand_over(&mut home);
    let logs = home.logs();
    assert_eq!((lines(&logs, "errors").known().unwrap().error, logs.rate_limited), (2, Reading::Known(1)));
    assert_eq!(lines(&logs, "agent"), Reading::Absent);
    // One that was not there when the other looked is read from its beginning.
    hand_over(&mut home);
    home.append("agent", &record("INFO", "first"));
    assert_eq!(lines(&home.logs(), "agent").known().unwrap().info, 1);
}

#[test]
fn a_burst_is_caught_up_with_in_the_background_and_counted_once() {
    let line = record("ERROR", &"x".repeat(1000));
    let count = 3 * BYTES_AT_ONCE / line.len() as u64;
    for background in [Background::inline(), Background::start().unwrap()] {
        let home = Home { background, ..Home::with(&[("agent", ""), ("errors", "")]) };
        home.logs();
        home.append("agent", &line.repeat(count as usize));
        home.append("errors", &line);
        let first = lines(&home.logs(), "agent").known().unwrap().error;
        assert!(first > 0 && first < count, "{first} of {count} at once");
        loop {
            let logs = home.logs();
            if lines(&logs, "agent").known().unwrap().error == count {
                break;
            }
            std::thread::yield_now();
        }
        while lock(&home.collector.watch).is_catching_up {
            std::thread::yield_now();
        }
        let logs = home.logs();
        assert_eq!(lines(&logs, "agent").known().unwrap().error, count);
        assert_eq!(lines(&logs, "errors").known().unwrap().error, 1);
    }
}

#[test]
fn no_text_of_a_log_is_kept_or_told() {
    let secret = "hunter2";
    let home = Home::with(&[("agent", ""), ("errors", "")]);
    home.logs();
    for log in ["agent", "errors"] {
        home.append(log, &[record("ERROR", secret), format!("{secret}\n")].concat());
        // Cut off in the middle, as it is kept until it goes on.
        home.append(log, &record("ERROR", secret).trim_end().replace("ERROR", secret));
    }
    let (logs, problems) = home.look();
    let told = format!("{problems:?} {:?} {}", home.collector, serde_json::to_string(logs.known().unwrap()).unwrap());
    // As a list of bytes either.
    let bytes = format!("{:?}", secret.as_bytes());
    assert!(!told.contains(secret) && !told.contains(bytes.trim_matches(['[', ']'])));
}
