//! Reports of every kind, and what is told of each; those that mean harm are in `hostile`.

mod hostile;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::SystemTime;

use serde_json::{Value, json};

use super::*;
use crate::exporter::expose::check::{self, looks::Looks};
use crate::exporter::expose::findings::body;
use crate::exporter::expose::metrics::Exposition;
use crate::exporter::expose::page::{StatusPage, commands::Links, filter::Filter};
use crate::exporter::findings::FleetFindings;
use crate::exporter::snapshot::gateway::GatewayState;
use crate::exporter::snapshot::{Fleet, Problem, Thresholds};
use crate::web::metrics_text::Format;

/// The most series that one report can make, with those that every instance has.
pub(super) const MOST_SERIES: usize = 12_000;

pub(super) const NOW: f64 = 1_795_165_255.0;

pub(super) fn at(ago: f64) -> Timestamp {
    Timestamp::from_seconds(NOW - ago).unwrap()
}

pub(super) fn reported(report: &Path) -> Reported {
    Reported {
        name: "bheem".to_owned(),
        report: report.to_owned(),
        user: None,
        thresholds: Thresholds::default(),
        ignored_findings: Vec::new(),
        after: 0,
    }
}

/// What is told where the file has this content, and its problems.
pub(super) fn read(content: &[u8]) -> (Snapshot, Vec<Problem>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bheem.json");
    std::fs::write(&path, content).unwrap();
    look(&mut ReportReader::new(&reported(&path)))
}

pub(super) fn look(reader: &mut ReportReader) -> (Snapshot, Vec<Problem>) {
    let mut problems = Problems::default();
    let snapshot = reader.read(at(0.0), &mut problems);
    (snapshot, problems.into_sorted())
}

fn read_json(report: &Value) -> (Snapshot, Vec<Problem>) {
    read(&serde_json::to_vec(report).unwrap())
}

fn problem(subject: &str, reason: Reason) -> Vec<Problem> {
    vec![Problem { reason, subject: subject.to_owned() }]
}

/// A report of everything that there is, a minute old.
pub(super) fn report() -> Value {
    let moment = |ago: f64| json!({"known": NOW - ago});
    json!({
        "format": 1,
        "identity": {"name": "bheem", "user": "root", "profile": "coder", "source": "local"},
        "taken_at": NOW - 60.0,
        "thresholds": {"gateway_heartbeat": 1e9, "report_age": 1e9},
        "ignored_findings": ["report_stale"],
        "collectors": [
            {"collector": "gateway", "duration_seconds": 0.01, "problems": [], "failing_since": null},
            {"collector": "cron", "duration_seconds": 0.01, "problems": [{"reason": "parse", "subject": "cron/jobs.json"}],
             "failing_since": NOW - 60.0},
            {"collector": "sessions", "duration_seconds": 0.01, "problems": []},
            {"collector": "units", "duration_seconds": 0.01, "problems": []},
        ],
        "gateway": {"known": {
            "up": {"known": true}, "state": {"known": "running"}, "state_since": "absent", "start_time": moment(86_400.0),
            "heartbeat": moment(65.0), "active_agents": {"known": 2}, "restart_requested": {"known": false},
            "starts": {"known": 3}, "recent_starts": {"known": 0}, "processes": {"known": 1},
            "unit_processes": {"known": [{"manager": "user", "unit": "hermes-gateway.service", "processes": 1}]},
            "process": {"known": {"memory_bytes": 1_000_000, "cpu_seconds": 3.5, "open_fds": {"known": 20}, "threads": 4}},
            "supervisor": {"known": "systemd"},
            "platforms": {"known": {"telegram": {"state": "connected", "error_code": null}}},
            "served_profiles": "absent", "served_by": "absent", "container_boot": "absent",
        }},
        "sessions": {"known": {
            "database_bytes": 4096, "wal_bytes": 0, "schema_version": {"known": 12}, "active": {"known": 1},
            "messages_ever": {"known": 90}, "messages_stored": {"known": 80}, "last_message": moment(100.0),
            "counts": {"known": {"current": {"telegram": 4}, "archived": {}, "open": 1, "ended": {"timeout": 3}}},
            "model_usage": {"known": [{"model": "m", "provider": "p", "task": "", "tokens": {"input": 1, "output": 2,
                "cache_read": 3, "cache_write": 4, "reasoning": 5}, "api_calls": 6, "cost_usd": 0.5}]},
        }},
        "activity": {"known": {"turns": {"buckets": [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2], "sum_seconds": 9.5},
            "tool_calls": {"terminal": 4}}},
        "cron": {"known": {
            "jobs": {"known": {"a1": {"state": "scheduled", "overdue": false, "last_run": moment(4_000.0),
                "last_run_success": {"known": true}, "last_delivery_success": "absent", "next_run": moment(-600.0),
                "last_duration_seconds": {"known": 2.5}}}},
            "executions": {"known": {"success": 12}}, "ticker_heartbeat": moment(70.0), "ticker_last_success": moment(70.0),
        }},
        "credentials": {"known": {"tokens": {"google": {"is_expected": true, "present": {"known": true},
            "valid": {"known": true}, "refreshable": {"known": false}, "expiry": moment(-86_400.0), "scopes": {"known": 3}}},
            "pools": {"known": {"openai": {"active": 2}}}, "env_keys": {"known": {"TELEGRAM_BOT_TOKEN": true}}}},
        "inventory": {"known": {"version": {"known": "0.19.0"}, "config_version": {"known": 5},
            "memory": {"MEMORY.md": {"known": {"chars": 10, "limit_chars": 100}}}, "skills": {"known": {"enabled": 3}},
            "mcp_servers": "absent", "webhooks": "absent", "paired_users": {"known": {"telegram": {"approved": 1}}},
            "kanban_tasks": {"known": {"default": {"todo": 2}}}, "delivery_obligations": "absent", "delegations": "absent",
            "dead_targets": "absent", "update": {"known": {"checked": moment(600.0), "available": {"known": false},
            "behind_commits": {"known": 0}}}}},
        "home": {"known": {"bytes": {"known": 1000}, "filesystem_available_bytes": {"known": 500},
            "filesystem_size_bytes": {"known": 1000}}},
        "units": {"known": [
            {"unit": "hermes-gateway.service", "role": "gateway", "is_expected": true, "up": {"known": true},
             "state": {"known": "active"}, "state_since": moment(86_400.0), "enabled": {"known": true},
             "restarts": {"known": 0}, "failures": {"known": {"exit-code": 1}}, "start_time": moment(86_400.0),
             "timer": "absent", "managers": {"user": true}},
            {"unit": "backup.timer", "role": "backup", "is_expected": true, "up": {"known": true},
             "state": {"known": "active"}, "state_since": moment(86_400.0), "enabled": {"known": true},
             "restarts": "absent", "failures": "absent", "start_time": "absent",
             "timer": {"known": {"last_trigger": moment(90_000.0), "next_trigger": moment(30.0)}}, "managers": {"user": true}}]},
        "endpoints": {"known": {"dashboard": {"kind": "hermes-dashboard", "probe": {"known": {"verdict": "up",
            "duration_seconds": 0.01, "status_code": {"known": 401}, "certificate_expiry": "absent", "access": {"known": "open"}}}}}},
        "exposure": {"known": {"listeners": {"known": [{"port": 9119, "scope": "loopback", "program": "dashboard"}]},
            "private_listeners": {"known": true}}},
        "guardrails": {"known": {"approvals_enforced": {"known": true}, "secrets_redacted": {"known": true},
            "pii_redacted": {"known": true}, "home_private": {"known": true}, "secrets_private": {"known": true}}},
        "backups": {"known": {"repositories": {"vm": {"state": {"known": "ready"}, "max_age_seconds": {"known": 93_600.0},
            "newest_commit": moment(3_600.0), "remote_branch": {"known": "present"}, "newest_pushed_commit": moment(3_600.0),
            "last_push": moment(3_600.0), "unpushed_commits": {"known": 0}, "oldest_unpushed_commit": "absent",
            "dirty_files": {"known": 0}, "commits": {"known": {"day": 1, "week": 7, "month": 30}},
            "payload": {"known": {"files": 10, "bytes": 1000}}, "forbidden": {"known": {"current": {}, "ever": {"key": 0}}}}},
            "restore_drills": {"known": {"files": 1, "newest": moment(86_400.0), "newest_bytes": {"known": 10},
            "max_age_seconds": {"known": 8e6}}}, "emergency_bundles": "absent"}},
        "logs": {"known": {"lines": {"agent": {"known": {"debug": 0, "info": 5, "warning": 1, "error": 0, "critical": 0}}},
            "rate_limited": {"known": 0}}},
    })
}

/// Everything that is made of a Snapshot: nothing of it may panic, whatever a report says.
pub(super) fn shown(snapshot: Snapshot) -> String {
    let mut fleet = Fleet { instances: vec![Arc::new(snapshot)], ..Fleet::at(at(0.0)) };
    if let Some(snapshot) = fleet.instances.first_mut().map(Arc::make_mut) {
        snapshot.collectors.push(CollectorRun {
            collector: CollectorRun::REPORT.to_owned(),
            duration_seconds: 0.001,
            problems: Vec::new(),
            failing_since: None,
        });
    }
    let findings = FleetFindings::of(&fleet);
    let (links, filter) = (Links::default(), Filter::default());
    let now = fleet.taken_at;
    let page = StatusPage {
        fleet: &fleet,
        findings: &findings,
        links: &links,
        filter: &filter,
        outdated_config_of: None,
        now,
    };
    assert!(page.render().into_string().contains("bheem"));
    assert!(serde_json::to_string(&fleet).unwrap().contains("bheem"));
    assert!(serde_json::to_string(&body(&fleet, &findings, &BTreeSet::new())).is_ok());
    for width in [None, Some(20), Some(80)] {
        let looks = Looks { has_colors: width.is_some(), has_unicode: true, width };
        assert!(check::text(&fleet, &findings, looks).contains("bheem"));
    }
    let fleet = Arc::new(fleet);
    let openmetrics = Exposition::new(Arc::clone(&fleet), None).encode(Format::OpenMetrics).unwrap();
    let text = Exposition::new(fleet, None).encode(Format::Text).unwrap();
    let samples = strictly_read(openmetrics.strip_suffix("# EOF\n").unwrap());
    assert_eq!(samples, strictly_read(&text), "both formats say the same");
    text
}

/// The series of an exposition, which is read as strictly as anybody may read it: every line is one of its grammar, every
/// family comes once, every series once, and values are numbers that there are.
fn strictly_read(text: &str) -> usize {
    let (mut families, mut series) = (HashSet::new(), HashSet::new());
    let mut family = String::new();
    assert!(text.is_empty() || text.ends_with('\n'));
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let (kind, rest) = comment.split_once(' ').unwrap();
            let (name, said) = rest.split_once(' ').unwrap();
            assert!(matches!(kind, "HELP" | "TYPE" | "UNIT") && is_label_name(name), "{line}");
            assert!(families.insert((kind.to_owned(), name.to_owned())), "twice: {line}");
            assert!(kind != "TYPE" || matches!(said, "gauge" | "counter" | "histogram" | "info" | "unknown"), "{line}");
            name.trim_end_matches("_total").clone_into(&mut family);
            continue;
        }
        let end = line.find(['{', ' ']).unwrap();
        let (name, rest) = line.split_at(end);
        assert!(is_label_name(name) && name.starts_with(family.as_str()), "{line} in {family}");
        let (labels, value) = labels(rest);
        assert!(value.strip_prefix(' ').unwrap().parse::<f64>().is_ok_and(f64::is_finite), "{line}");
        let count = labels.len();
        let labels: BTreeMap<_, _> = labels.into_iter().collect();
        assert!(labels.len() == count && labels.keys().all(|name| is_label_name(name)), "{line}");
        assert!(series.insert((name.to_owned(), labels)), "twice: {line}");
    }
    series.len()
}

fn is_label_name(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && letters.all(|letter| letter.is_ascii_alphanumeric() || letter == '_')
}

/// Labels at the beginning of a text, and what is behind them.
fn labels(text: &str) -> (Vec<(String, String)>, &str) {
    let Some(mut rest) = text.strip_prefix('{') else { return (Vec::new(), text) };
    let mut labels = Vec::new();
    loop {
        let (name, behind) = rest.split_once("=\"").unwrap();
        let mut value = String::new();
        let mut letters = behind.char_indices();
        let end = loop {
            match letters.next().unwrap() {
                (end, '"') => break end,
                (_, '\\') => match letters.next().unwrap().1 {
                    'n' => value.push('\n'),
                    escaped @ ('"' | '\\') => value.push(escaped),
                    other => panic!("there is no escape {other:?}"),
                },
                (_, letter) => value.push(letter),
            }
        };
        labels.push((name.to_owned(), value));
        match behind[end + 1..].strip_prefix(',') {
            Some(more) => rest = more,
            None => return (labels, behind[end + 1..].strip_prefix('}').unwrap()),
        }
    }
}

fn has(text: &str, sample: &str) -> bool {
    text.lines().any(|line| line == sample)
}

#[test]
fn a_report_is_the_snapshot_of_its_instance() {
    let (snapshot, problems) = read_json(&report());
    assert_eq!(problems, []);
    assert_eq!(snapshot.identity.source, Source::Report);
    assert_eq!(snapshot.identity.profile, "coder");
    assert_eq!(snapshot.identity.user, users::name_of(rustix::process::geteuid().as_raw()), "whose file it is");
    assert_eq!(snapshot.thresholds, Thresholds::default(), "those of who reads");
    assert!(snapshot.ignored_findings.is_empty());
    assert_eq!(snapshot.taken_at, at(60.0));
    let unknown = serde_json::to_string(&snapshot).unwrap().matches("\"unknown\":").count();
    assert_eq!(unknown, 0, "{snapshot:?}");
    let text = shown(snapshot);
    for sample in [
        "hermes_gateway_up{instance=\"bheem\"} 1",
        "hermes_backup_age_seconds{instance=\"bheem\",repo=\"vm\"} 3600.0",
        "hermes_collector_success{instance=\"bheem\",collector=\"cron\"} 0",
        "hermes_snapshot_timestamp_seconds{instance=\"bheem\"} 1795165195.0",
    ] {
        assert!(has(&text, sample), "{sample}");
    }
    assert!(text.contains(r#"profile="coder",supervisor="systemd",version="0.19.0",source="report"} 1"#));
}

#[test]
fn an_unchanged_report_is_parsed_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bheem.json");
    std::fs::write(&path, serde_json::to_vec(&report()).unwrap()).unwrap();
    while !Stamp::of(&path.metadata().unwrap()).is_settled_at(SystemTime::now()) {
        std::thread::yield_now();
    }
    let mut reader = ReportReader::new(&reported(&path));
    let (first, second) = (reader.read_file().unwrap(), reader.read_file().unwrap());
    assert!(Arc::ptr_eq(&first, &second));
    std::fs::write(folder.path().join("new"), serde_json::to_vec(&report()).unwrap()).unwrap();
    std::fs::rename(folder.path().join("new"), &path).unwrap();
    assert!(!Arc::ptr_eq(&first, &reader.read_file().unwrap()));
}

#[test]
fn missing_stale_and_broken_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let mut reader = ReportReader::new(&reported(&folder.path().join("nothing")));
    let (missing, problems) = look(&mut reader);
    assert_eq!(problems, problem("report", Reason::NotFound));
    assert_eq!(missing.gateway, Reading::Unknown(Reason::NotFound));

    let mut old = report();
    old["taken_at"] = json!(NOW - 901.0);
    let (stale, problems) = read_json(&old);
    assert_eq!(problems, problem("report", Reason::Stale));
    assert_eq!(stale.taken_at, at(901.0));
    assert_eq!((stale.gateway, stale.cron), (Reading::Unknown(Reason::Stale), Reading::Unknown(Reason::Stale)));
    assert_eq!(stale.collectors, [], "what its collectors can tell now nobody knows");
    old["taken_at"] = json!(NOW - 899.0);
    assert_eq!(read_json(&old).1, []);

    let whole = serde_json::to_vec(&report()).unwrap();
    let nul = [b"\0".repeat(100), whole.clone()].concat();
    let deep = ["[".repeat(400_000), "]".repeat(400_000)].concat();
    let in_field = format!(r#"{{"format": 1, "taken_at": {}"#, "{\"a\":".repeat(150_000));
    for content in [
        b"".as_slice(),
        b"null",
        b"[]",
        b"{}",
        b"\xff\xfe",
        &nul,
        &whole[..whole.len() / 2],
        deep.as_bytes(),
        in_field.as_bytes(),
    ] {
        let (snapshot, problems) = read(content);
        assert_eq!(problems, problem("report", Reason::Parse));
        assert_eq!(snapshot.gateway, Reading::Unknown(Reason::Parse));
    }
    for (field, value) in [
        ("format", json!("1")),
        ("format", json!(0)),
        ("format", json!(-1)),
        ("format", Value::Null),
        ("taken_at", json!(0)),
        ("taken_at", json!(-1)),
        ("taken_at", json!(1e300)),
        ("taken_at", json!("2026-11-20")),
        ("identity", json!("bheem")),
        ("identity", json!({"name": 7})),
    ] {
        let mut broken = report();
        broken[field] = value.clone();
        assert_eq!(read_json(&broken).1, problem("report", Reason::Parse), "{field}: {value}");
    }
}

#[test]
fn a_clock_may_be_a_little_ahead() {
    let mut ahead = report();
    ahead["taken_at"] = json!(NOW + 299.0);
    let (snapshot, problems) = read_json(&ahead);
    assert_eq!((snapshot.taken_at, problems), (at(0.0), vec![]));
    ahead["taken_at"] = json!(NOW + 301.0);
    assert_eq!(read_json(&ahead).1, problem("time of the report", Reason::Parse));
}

#[test]
fn what_is_no_regular_file_of_a_modest_size_is_not_read() {
    let folder = tempfile::tempdir().unwrap();
    let of = |path: &Path| look(&mut ReportReader::new(&reported(path))).1;
    let fifo = folder.path().join("fifo");
    let mode = rustix::fs::Mode::RUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let link = folder.path().join("link");
    std::fs::write(folder.path().join("good"), serde_json::to_vec(&report()).unwrap()).unwrap();
    symlink(folder.path().join("good"), &link).unwrap();
    let large = folder.path().join("large");
    std::fs::File::create(&large).unwrap().set_len(MOST_BYTES + 1).unwrap();
    let endless = Path::new("/dev/zero");
    for path in [folder.path(), &fifo, &link, &large, endless, Path::new("/dev/null")] {
        assert_eq!(of(path), problem("report", Reason::Unsupported), "{}", path.display());
    }
    assert_eq!(of(&folder.path().join("good")), []);
    assert_eq!(of(&folder.path().join("good/below")), problem("report", Reason::NotFound));
}

#[test]
fn a_report_of_somebody_else_or_of_another_instance_does_not_count() {
    let mut other = report();
    other["identity"]["name"] = json!("vijay");
    let (snapshot, problems) = read_json(&other);
    assert_eq!(problems, problem("name in the report", Reason::Unsupported));
    assert_eq!(snapshot.identity.name, "bheem");

    if !rustix::process::geteuid().is_root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bheem.json");
    std::fs::write(&path, serde_json::to_vec(&report()).unwrap()).unwrap();
    let owned_by = |owner: u32, user: Option<&str>| {
        std::os::unix::fs::chown(&path, Some(owner), None).unwrap();
        let reported = Reported { user: user.map(str::to_owned), ..reported(&path) };
        let (snapshot, problems) = look(&mut ReportReader::new(&reported));
        (snapshot.identity.user, problems)
    };
    let somebody_elses = problem("owner of the report", Reason::Permission);
    assert_eq!(owned_by(12_345, None), ("12345".to_owned(), vec![]));
    assert_eq!(owned_by(12_345, Some("12345")), ("12345".to_owned(), vec![]));
    assert_eq!(owned_by(0, Some("12345")), ("12345".to_owned(), vec![]), "root may write any");
    assert_eq!(owned_by(12_346, Some("12345")), ("12345".to_owned(), somebody_elses.clone()));
    assert_eq!(
        owned_by(12_346, Some("nobody-of-this-name")),
        ("nobody-of-this-name".to_owned(), somebody_elses.clone())
    );
    assert_eq!(owned_by(12_346, Some("root")), ("root".to_owned(), somebody_elses));

    // A file that is given away counts no longer, also where its content is known.
    std::os::unix::fs::chown(&path, Some(12_345), None).unwrap();
    while !Stamp::of(&path.metadata().unwrap()).is_settled_at(SystemTime::now()) {
        std::thread::yield_now();
    }
    let mut reader = ReportReader::new(&Reported { user: Some("12345".to_owned()), ..reported(&path) });
    assert_eq!(look(&mut reader).1, []);
    std::os::unix::fs::chown(&path, Some(12_346), None).unwrap();
    assert_eq!(look(&mut reader).1, problem("owner of the report", Reason::Permission));
}

#[test]
fn an_older_and_a_newer_report_are_read_as_far_as_they_go() {
    let mut older = report();
    older.as_object_mut().unwrap().remove("logs");
    older["gateway"]["known"].as_object_mut().unwrap().remove("active_agents");
    let mut newer = report();
    newer["format"] = json!(7);
    newer["dreams"] = json!({"known": {"nightmares": 3}});
    newer["gateway"]["known"]["state"] = json!({"known": "hibernating"});
    newer["gateway"]["known"]["active_agents"] = json!({"known": {"at_work": 1}});
    newer["gateway"]["known"]["platforms"]["known"]["telegram"]["state"] = json!("hovering");
    newer["units"] = json!({"known": {"by_name": {}}});
    newer["collectors"][0]["problems"] = json!([{"reason": "eclipse", "subject": "moon"}]);
    newer["collectors"]
        .as_array_mut()
        .unwrap()
        .push(json!({"collector": "dreams", "duration_seconds": 1, "problems": []}));
    let unsupported = Reading::Unknown(Reason::Unsupported);
    for (report, is_new) in [(older, false), (newer, true)] {
        let (snapshot, problems) = read_json(&report);
        assert_eq!(problems, []);
        let gateway = snapshot.gateway.known().unwrap();
        assert_eq!((gateway.up, gateway.active_agents), (Reading::Known(true), unsupported));
        assert_eq!(snapshot.sessions.known().unwrap().messages_ever, Reading::Known(90));
        let run = &snapshot.collectors[0];
        assert_eq!((run.collector.as_str(), run.problems[0].reason), ("gateway", Reason::Unsupported));
        assert!(snapshot.collectors.iter().all(|run| run.collector != "dreams"));
        if is_new {
            assert_eq!(gateway.state, Reading::Known(GatewayState::Other));
            assert!(matches!(snapshot.units, Reading::Unknown(Reason::Unsupported)));
            let run = snapshot.collectors.iter().find(|run| run.collector == "units").unwrap();
            assert_eq!(run.problems, problem("report", Reason::Unsupported));
        } else {
            assert_eq!(snapshot.logs, Reading::Absent);
        }
        shown(snapshot);
    }
}

#[test]
fn what_is_not_understood_is_told_also_where_no_collector_is() {
    let mut report = report();
    report.as_object_mut().unwrap().remove("collectors");
    report["units"] = json!({"known": 7});
    let (snapshot, _) = read_json(&report);
    let runs: Vec<_> = snapshot.collectors.into_iter().map(|run| (run.collector, run.problems)).collect();
    assert_eq!(runs, [("units".to_owned(), problem("report", Reason::Unsupported))]);
}

/// It stood behind all others, and at its place once the same was reported again.
#[test]
fn also_a_collector_of_which_only_that_is_known_has_its_place() {
    let mut report = report();
    report["backups"] = json!({"known": 7});
    let names = |snapshot: Snapshot| -> Vec<_> { snapshot.collectors.into_iter().map(|run| run.collector).collect() };
    let expected = ["gateway", "units", "cron", "backup", "sessions"];
    assert_eq!(names(read_json(&report).0), expected);
}

#[test]
fn what_time_alone_has_changed_is_told_as_of_now() {
    let after = |passed: f64, change: &dyn Fn(&mut Value)| {
        let mut report = report();
        change(&mut report);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bheem.json");
        std::fs::write(&path, serde_json::to_vec(&report).unwrap()).unwrap();
        ReportReader::new(&reported(&path)).read(at(-passed), &mut Problems::default())
    };
    let stale = Reading::Unknown(Reason::Stale);
    let up = |snapshot: &Snapshot| snapshot.gateway.known().unwrap().up;
    let overdue =
        |snapshot: &Snapshot| snapshot.cron.known().unwrap().jobs.known().unwrap().values().next().unwrap().overdue;
    // Its heart beat 65 seconds ago, and the limit is 90.
    assert_eq!(up(&after(25.0, &|_| {})), Reading::Known(true));
    let later = after(26.0, &|_| {});
    let gateway = later.gateway.known().unwrap();
    assert_eq!((gateway.up, gateway.active_agents), (stale, Reading::Unknown(Reason::Stale)));
    assert_eq!(gateway.platforms, Reading::Unknown(Reason::Stale));
    assert_eq!(gateway.start_time, Reading::Known(at(86_400.0)), "history stays");
    let down = |report: &mut Value| {
        report["gateway"]["known"]["up"] = json!({"known": false});
        report["gateway"]["known"]["state"] = json!({"known": "crashed"});
    };
    assert_eq!(up(&after(600.0, &down)), Reading::Known(false), "who was down when that was written");
    let starting = |report: &mut Value| {
        down(report);
        report["gateway"]["known"]["state"] = json!({"known": "starting"});
        report["gateway"]["known"]["start_time"] = json!({"known": NOW - 70.0});
    };
    assert_eq!(up(&after(0.0, &starting)), Reading::Known(false));
    assert_eq!(up(&after(600.0, &starting)), stale);

    let due = |report: &mut Value| {
        report["cron"]["known"]["jobs"]["known"]["a1"]["next_run"] = json!({"known": NOW - 110.0});
    };
    assert!(!overdue(&after(0.0, &due)));
    assert!(overdue(&after(20.0, &due)));
    assert!(!overdue(&after(600.0, &due)), "by then the gateway may have started it, and nobody knows");
    let unseen = |report: &mut Value| {
        due(report);
        report["gateway"] = json!({"unknown": "permission"});
    };
    assert!(!overdue(&after(20.0, &unseen)), "nobody knows of the gateway");
    let late = |report: &mut Value| {
        report["cron"]["known"]["jobs"]["known"]["a1"]["next_run"] = json!({"known": NOW - 600.0});
    };
    assert!(!overdue(&after(0.0, &late)) && !overdue(&after(20.0, &late)), "who saw it late says that this is allowed");
    let to_come = |report: &mut Value| report["gateway"]["known"]["heartbeat"] = json!({"known": NOW + 1e6});
    assert_eq!(up(&after(0.0, &to_come)), Reading::Known(true));
    assert_eq!(up(&after(600.0, &to_come)), stale, "no heart beats before its time");
    let timer = |snapshot: &Snapshot| {
        let units = &snapshot.units.known().unwrap().0;
        units.iter().find_map(|unit| unit.timer.known()).unwrap().next_trigger
    };
    assert_eq!(timer(&after(600.0, &|_| {})), Reading::Known(at(30.0)), "when it was to fire is what was seen");
    let valid = |snapshot: &Snapshot| snapshot.credentials.known().unwrap().tokens.values().next().unwrap().valid;
    let expiring = |report: &mut Value| {
        report["credentials"]["known"]["tokens"]["google"]["expiry"] = json!({"known": NOW + 100.0});
    };
    assert_eq!(valid(&after(0.0, &expiring)), Reading::Known(true));
    assert_eq!(valid(&after(101.0, &expiring)), Reading::Known(false));
}

#[test]
fn a_collector_fails_since_the_first_of_reports_that_all_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bheem.json");
    let mut reader = ReportReader::new(&reported(&path));
    let mut failing_since = |ago: f64, problems: Value| {
        let mut report = report();
        report["taken_at"] = json!(NOW - ago);
        report["collectors"][1]["failing_since"] = json!(NOW - ago);
        report["collectors"][1]["problems"] = problems;
        std::fs::write(&path, serde_json::to_vec(&report).unwrap()).unwrap();
        let runs = look(&mut reader).0.collectors;
        runs.into_iter().find(|run| run.collector == "cron").unwrap().failing_since
    };
    let fails = || json!([{"reason": "io", "subject": "cron/jobs.json"}]);
    assert_eq!(failing_since(300.0, fails()), Some(at(300.0)));
    assert_eq!(failing_since(240.0, fails()), Some(at(300.0)), "who writes it does not know of the one before");
    assert_eq!(failing_since(180.0, json!([])), None);
    assert_eq!(failing_since(120.0, fails()), Some(at(120.0)));
}
