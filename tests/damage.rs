//! Damaged, foreign, hostile and vanishing files: the collector they belong to says so with the right reason,
//! every other reading stands, nothing panics and nothing is written.

use std::path::{Path, PathBuf};

use hermes_exporter::exporter::expose::metrics::Exposition;
use hermes_exporter::exporter::snapshot::gateway::GatewayState;
use hermes_exporter::exporter::snapshot::{Label, Problem, Reading, Reason, Snapshot};
use hermes_exporter::web::metrics_text::Format;
use rusqlite::Connection;

use crate::homes::{Homes, look, of, problems};

/// A look after `damage` was done to vijay's home; bheem's must not suffer from it.
fn after(damage: impl FnOnce(&Path)) -> Snapshot {
    let homes = Homes::unpack();
    damage(&homes.vijay());
    let fleet = homes.look();
    for run in &of(&fleet, "bheem").collectors {
        assert_eq!(run.problems, [], "bheem's {}", run.collector);
    }
    of(&fleet, "vijay").clone()
}

/// Asserts that of all collectors just this one has this problem.
fn assert_only(snapshot: &Snapshot, collector: &str, reason: Reason, subject: &str) {
    assert_only_of(snapshot, &[collector], reason, subject);
}

/// Asserts that of all collectors just these have this problem.
fn assert_only_of(snapshot: &Snapshot, collectors: &[&str], reason: Reason, subject: &str) {
    for run in &snapshot.collectors {
        let is_expected = collectors.contains(&run.collector.as_str());
        let expected = if is_expected { vec![Problem { reason, subject: subject.to_owned() }] } else { Vec::new() };
        assert_eq!(run.problems, expected, "{}", run.collector);
    }
}

fn overwrite(path: PathBuf, content: &[u8]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

/// Cuts a file in half, as somebody who writes it in place leaves it for a moment.
fn halve(path: PathBuf) {
    let content = std::fs::read(&path).unwrap();
    std::fs::write(path, &content[..content.len() / 2]).unwrap();
}

#[test]
fn half_written_files() {
    for (file, collector) in [
        ("gateway_state.json", "gateway"),
        ("gateway.pid", "gateway"),
        ("state/gateway.heartbeat", "gateway"),
        ("cron/jobs.json", "cron"),
        ("auth.json", "credentials"),
        ("google_token.json", "credentials"),
        ("webhook_subscriptions.json", "inventory"),
        ("gateway/dead_targets.json", "inventory"),
        (".update_check", "inventory"),
    ] {
        let snapshot = after(|home| halve(home.join(file)));
        assert_only(&snapshot, collector, Reason::Parse, file);
    }
}

#[test]
fn files_of_another_shape_and_with_a_byte_order_mark() {
    for content in [&b"[]"[..], b"null", b"7", b"\"text\"", b"\x00\xff\xfe", b""] {
        let snapshot = after(|home| overwrite(home.join("webhook_subscriptions.json"), content));
        assert_only(&snapshot, "inventory", Reason::Parse, "webhook_subscriptions.json");
    }
    // Hermes reads past the mark where it reads leniently itself, and fails over it in its credentials.
    for (file, collector, expected) in [
        ("gateway_state.json", "gateway", None),
        ("cron/jobs.json", "cron", None),
        ("auth.json", "credentials", Some(Reason::Parse)),
        ("google_token.json", "credentials", Some(Reason::Parse)),
    ] {
        let snapshot = after(|home| {
            let mut content = b"\xef\xbb\xbf".to_vec();
            content.extend(std::fs::read(home.join(file)).unwrap());
            std::fs::write(home.join(file), content).unwrap();
        });
        let reasons: Vec<_> = problems(&snapshot, collector).iter().map(|problem| problem.reason).collect();
        assert_eq!(reasons, Vec::from_iter(expected), "{file}");
    }
}

#[test]
fn a_damaged_store_hides_what_is_read_from_it_and_not_its_size() {
    let snapshot = after(|home| overwrite(home.join("state.db"), &[7; 10_000]));
    for collector in ["sessions", "activity", "inventory"] {
        let problem = Problem { reason: Reason::Parse, subject: "state.db".to_owned() };
        assert_eq!(problems(&snapshot, collector), [problem], "{collector}");
    }
    for collector in ["gateway", "cron", "credentials", "home"] {
        assert_eq!(problems(&snapshot, collector), [], "{collector}");
    }
    let sessions = snapshot.sessions.known().unwrap();
    assert_eq!(sessions.database_bytes, 10_000);
    assert_eq!(sessions.active, Reading::Unknown(Reason::Parse));
    assert_eq!(sessions.counts, Reading::Unknown(Reason::Parse));
    assert_eq!(snapshot.activity, Reading::Unknown(Reason::Parse));
    // The rest of the inventory does not come from the store.
    assert!(snapshot.inventory.known().unwrap().skills.known().is_some());
}

#[test]
fn an_empty_store_and_one_torn_in_the_middle() {
    for damage in [|path: PathBuf| std::fs::write(path, b"").unwrap(), halve] {
        let snapshot = after(|home| damage(home.join("state.db")));
        assert_eq!(problems(&snapshot, "sessions")[0].reason, Reason::Parse);
        assert!(snapshot.cron.known().is_some());
    }
}

#[test]
fn a_wal_without_its_index_is_stale() {
    let snapshot = after(|home| overwrite(home.join("state.db-wal"), &[1; 5_000]));
    for collector in ["sessions", "activity", "inventory"] {
        assert_eq!(problems(&snapshot, collector)[0].reason, Reason::Stale, "{collector}");
    }
    assert_eq!(snapshot.sessions.known().unwrap().wal_bytes, 5_000);
}

#[test]
fn an_empty_wal_is_nothing_unusual() {
    let snapshot = after(|home| overwrite(home.join("state.db-wal"), b""));
    assert_eq!(problems(&snapshot, "sessions"), []);
    assert!(snapshot.sessions.known().unwrap().counts.known().is_some());
}

#[test]
fn a_store_of_another_program() {
    let snapshot = after(|home| {
        std::fs::remove_file(home.join("state.db")).unwrap();
        Connection::open(home.join("state.db")).unwrap().execute_batch("CREATE TABLE songs (title)").unwrap();
    });
    assert_eq!(problems(&snapshot, "sessions")[0].reason, Reason::Unsupported);
    assert_eq!(problems(&snapshot, "activity")[0].reason, Reason::Unsupported);
    assert_eq!(problems(&snapshot, "inventory"), [], "tables that are not there are absent");
}

#[test]
fn a_store_of_the_future() {
    let snapshot = after(|home| {
        let store = Connection::open(home.join("state.db")).unwrap();
        store
            .execute_batch(
                "UPDATE schema_version SET version = 99;
                 ALTER TABLE sessions ADD COLUMN last_activity_at REAL;
                 ALTER TABLE messages ADD COLUMN mood TEXT;
                 DROP INDEX idx_messages_session_active;
                 CREATE TABLE gateway_heartbeats (backend_id TEXT);
                 UPDATE delivery_obligations SET state = 'teleported' WHERE state = 'pending';",
            )
            .unwrap();
    });
    for run in &snapshot.collectors {
        assert_eq!(run.problems, [], "{}", run.collector);
    }
    let sessions = snapshot.sessions.known().unwrap();
    assert_eq!(sessions.schema_version, Reading::Known(99));
    assert_eq!(sessions.messages_stored, Reading::Known(5225));
    let obligations = snapshot.inventory.known().unwrap().delivery_obligations.known().unwrap();
    assert_eq!(obligations.get("teleported"), 1);
}

#[test]
fn odd_values_in_a_store_hide_nothing_but_themselves() {
    let before = after(|_| ());
    let snapshot = after(|home| {
        let store = Connection::open(home.join("state.db")).unwrap();
        store
            .execute_batch(
                "UPDATE messages SET tool_calls = x'ff' WHERE id = 100;
                 UPDATE messages SET timestamp = 'yesterday', role = x'00ff' WHERE id = 200;
                 UPDATE messages SET tool_calls = '[7, {\"function\": {\"name\": \"odd\"}}, {\"function\": 3}]' WHERE id = 5000;
                 UPDATE session_model_usage SET input_tokens = 12.5 WHERE rowid = 1;
                 UPDATE session_model_usage SET output_tokens = 'many' WHERE rowid = 2;
                 UPDATE sessions SET end_reason = 9 WHERE rowid = 1;",
            )
            .unwrap();
    });
    for run in &snapshot.collectors {
        assert_eq!(run.problems, [], "{}", run.collector);
    }
    let (was, is) = (before.sessions.known().unwrap(), snapshot.sessions.known().unwrap());
    assert_eq!(was.messages_stored, is.messages_stored);
    assert_eq!(was.model_usage.known().unwrap().len(), is.model_usage.known().unwrap().len());
    let tools = &snapshot.activity.known().unwrap().tool_calls;
    assert_eq!(tools.get("odd"), 1);
    assert!(tools.total() > 1400);
}

#[test]
fn what_is_summed_up_as_other_joins_what_is_called_so() {
    let snapshot = after(|home| {
        let store = Connection::open(home.join("state.db")).unwrap();
        let session: String = store.query_row("SELECT id FROM sessions", [], |row| row.get(0)).unwrap();
        let insert = "INSERT INTO session_model_usage (session_id, model, billing_provider, task, api_call_count) VALUES (?1, ?2, ?3, ?4, ?5)";
        store.execute(insert, rusqlite::params![session, "other", "other", "other", 1_000_000]).unwrap();
        for number in 0..150 {
            store.execute(insert, rusqlite::params![session, format!("model{number}"), "p", "", 1]).unwrap();
        }
    });
    let usage = snapshot.sessions.known().unwrap().model_usage.known().unwrap();
    let others: Vec<_> = usage.iter().filter(|usage| usage.model == Label::other()).collect();
    assert_eq!(others.len(), 1);
    assert!(others[0].api_calls > 1_000_000);
    assert_eq!(usage.iter().map(|usage| usage.api_calls).sum::<u64>(), 1_000_000 + 150 + 2437);
}

#[test]
fn a_lock_that_is_given_back_is_no_trouble_any_more() {
    let homes = Homes::unpack();
    let path = homes.vijay().join("state.db");
    let writer = Connection::open(&path).unwrap();
    writer.pragma_update(None, "journal_mode", "delete").unwrap();
    writer.pragma_update(None, "cache_size", 1).unwrap();
    let crew = homes.crew("");
    writer.execute_batch("BEGIN EXCLUSIVE; UPDATE sessions SET title = 'x' WHERE rowid = 1").unwrap();
    let fleet = look(&crew);
    assert_eq!(problems(of(&fleet, "vijay"), "sessions")[0].reason, Reason::Timeout);
    writer.execute_batch("ROLLBACK").unwrap();
    let fleet = look(&crew);
    assert_eq!(problems(of(&fleet, "vijay"), "sessions"), []);
    assert_eq!(problems(of(&fleet, "vijay"), "inventory"), []);
}

#[test]
fn a_fifo_among_the_skills_holds_up_nobody() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let snapshot = after(|home| {
        std::fs::create_dir(home.join("skills/trap")).unwrap();
        mknodat(CWD, home.join("skills/trap/SKILL.md"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    });
    assert_eq!(problems(&snapshot, "inventory"), []);
    assert_eq!(snapshot.inventory.known().unwrap().skills.known().unwrap().total(), 8);
}

#[test]
fn a_store_without_columns_that_came_later() {
    let snapshot = after(|home| {
        let store = Connection::open(home.join("state.db")).unwrap();
        store.execute_batch("ALTER TABLE sessions DROP COLUMN archived; ALTER TABLE sessions DROP COLUMN model_config; DROP TABLE session_model_usage").unwrap();
    });
    let sessions = snapshot.sessions.known().unwrap();
    assert_eq!(sessions.counts.known().unwrap().current.total(), 62);
    assert_eq!(sessions.active.known(), Some(&2));
    assert!(matches!(sessions.model_usage, Reading::Unknown(Reason::Unsupported)));
}

#[test]
fn special_files_in_place_of_ordinary_ones() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    for (file, collector) in
        [("auth.json", "credentials"), ("gateway_state.json", "gateway"), ("cron/jobs.json", "cron")]
    {
        let snapshot = after(|home| {
            std::fs::remove_file(home.join(file)).unwrap();
            mknodat(CWD, home.join(file), FileType::Fifo, Mode::RUSR, 0).unwrap();
        });
        assert_only(&snapshot, collector, Reason::Unsupported, file);
    }
    let snapshot = after(|home| {
        std::fs::remove_file(home.join("config.yaml")).unwrap();
        std::fs::create_dir(home.join("config.yaml")).unwrap();
    });
    assert_only_of(&snapshot, &["inventory", "guardrails"], Reason::Unsupported, "config.yaml");
}

#[test]
fn a_damaged_configuration_is_unknown_to_those_who_read_it() {
    let snapshot = after(|home| overwrite(home.join("config.yaml"), b"approvals: [unclosed\n"));
    assert_only_of(&snapshot, &["inventory", "guardrails"], Reason::Parse, "config.yaml");
    let guardrails = snapshot.guardrails.known().unwrap();
    assert_eq!(guardrails.approvals_enforced, Reading::Unknown(Reason::Parse));
    assert_eq!(guardrails.secrets_private, Reading::Known(true));
}

#[test]
fn a_home_that_is_not_there_and_one_that_is_empty() {
    let snapshot = after(|home| std::fs::remove_dir_all(home).unwrap());
    // Others are asked all the same.
    for run in snapshot.collectors.iter().filter(|run| run.collector != "units") {
        assert_eq!(
            run.problems,
            [Problem { reason: Reason::NotFound, subject: "home".to_owned() }],
            "{}",
            run.collector
        );
    }
    assert_eq!(snapshot.gateway, Reading::Unknown(Reason::NotFound));
    let snapshot = after(|home| {
        std::fs::remove_dir_all(home).unwrap();
        std::fs::create_dir(home).unwrap();
    });
    for run in &snapshot.collectors {
        assert_eq!(run.problems, [], "{}", run.collector);
    }
    assert_eq!((&snapshot.gateway, &snapshot.sessions), (&Reading::Absent, &Reading::Absent), "nothing is down");
    // The Google token is what people ask for: where there is none, that is known.
    assert_eq!(snapshot.credentials.known().unwrap().tokens[&Label::new("google")].present, Reading::Known(false));
}

#[test]
fn hostile_names_are_escaped_and_capped() {
    let homes = Homes::unpack();
    let store = Connection::open(homes.vijay().join("state.db")).unwrap();
    store.execute_batch("BEGIN").unwrap();
    for number in 0..10_000 {
        store
            .execute(
                "INSERT INTO sessions (id, source, started_at) VALUES (?1, ?2, 1)",
                (format!("s{number}"), format!("source{number}")),
            )
            .unwrap();
        let call = format!(r#"[{{"function": {{"name": "tool{number}"}}}}]"#);
        store
            .execute(
                "INSERT INTO messages (session_id, role, timestamp, tool_calls) VALUES ('s0', 'assistant', 1, ?1)",
                [call],
            )
            .unwrap();
    }
    let evil = "\"} 1\n# EOF\nevil{x=\"\\";
    for _ in 0..10 {
        store
            .execute("INSERT INTO sessions (id, source, started_at) VALUES (hex(randomblob(9)), ?1, 1)", [evil])
            .unwrap();
    }
    store
        .execute("INSERT INTO sessions (id, source, started_at) VALUES ('long', ?1, 1)", ["x".repeat(100_000)])
        .unwrap();
    store.execute_batch("COMMIT").unwrap();
    drop(store);
    let fleet = homes.look();
    let sessions = of(&fleet, "vijay").sessions.known().unwrap();
    let current = &sessions.counts.known().unwrap().current;
    assert_eq!(current.total(), 59 + 10_011, "none is lost");
    // A hundred with what is no word, which is counted with the others.
    assert_eq!(current.iter().count(), 100);
    assert!(current.iter().all(|(source, _)| !source.as_str().contains(['"', '\n', ' '])));
    let tools = &of(&fleet, "vijay").activity.known().unwrap().tool_calls;
    assert!(tools.iter().count() <= 101);
    for format in [Format::OpenMetrics, Format::Text] {
        let text = Exposition::new(fleet.clone(), None).encode(format).unwrap();
        assert!(text.lines().all(|line| line.starts_with('#') || line.starts_with("hermes_")), "one sample per line");
        assert_eq!(text.matches("# EOF").count(), usize::from(format == Format::OpenMetrics), "no other one");
        assert!(text.len() < 200_000);
    }
}

#[test]
fn unknown_words_for_states() {
    let snapshot = after(|home| {
        let state = r#"{"pid": 3041, "start_time": 1, "gateway_state": "hibernating", "platforms": {"x": {"state": "orbiting"}}}"#;
        overwrite(home.join("gateway_state.json"), state.as_bytes());
    });
    // There is no such process: what it did last is of no account.
    assert_eq!(snapshot.gateway.known().unwrap().state, Reading::Known(GatewayState::Crashed));
}

#[test]
fn a_heartbeat_from_the_future_of_a_dead_gateway_does_not_revive_it() {
    let snapshot = after(|home| {
        overwrite(home.join("state/gateway.heartbeat"), br#"{"pid":3041,"updated_at":"2031-01-01T00:00:00Z"}"#)
    });
    assert_eq!(snapshot.gateway.known().unwrap().up, Reading::Known(false));
}

#[test]
fn a_beat_without_a_visible_process_is_a_gateway_elsewhere() {
    let homes = Homes::unpack();
    let crew = homes.crew("");
    assert_eq!(of(&look(&crew), "vijay").gateway.known().unwrap().state, Reading::Known(GatewayState::Crashed));
    // In another PID namespace: no process to be seen, and yet the same heart beats on.
    let beat = br#"{"pid":3041,"start_time":1795147255.233391,"updated_at":1795165260.0}"#;
    overwrite(homes.vijay().join("state/gateway.heartbeat"), beat);
    let fleet = look(&crew);
    let gateway = of(&fleet, "vijay").gateway.known().unwrap();
    assert_eq!((gateway.up, gateway.state), (Reading::Known(true), Reading::Known(GatewayState::Running)));
    assert_eq!(gateway.process, Reading::Absent);
    assert!(gateway.platforms.known().is_some());
}

#[test]
fn a_sigterm_from_the_supervisor_is_no_crash() {
    let snapshot = after(|home| {
        let state = std::fs::read(crate::homes::fixture("gateway_states/after_unexpected_sigterm.json")).unwrap();
        overwrite(home.join("gateway_state.json"), &state);
        std::fs::remove_file(home.join("gateway.pid")).unwrap();
        overwrite(home.join(".clean_shutdown"), b"");
    });
    assert_eq!(snapshot.gateway.known().unwrap().state, Reading::Known(GatewayState::Stopped));
}

#[test]
fn a_planned_stop_a_kill_and_a_start_that_failed() {
    for (fixture, state) in [
        ("after_planned_stop.json", GatewayState::Stopped),
        ("after_sigkill.gateway_state.json", GatewayState::Crashed),
    ] {
        let snapshot = after(|home| {
            let content = std::fs::read(crate::homes::fixture("gateway_states").join(fixture)).unwrap();
            overwrite(home.join("gateway_state.json"), &content);
        });
        assert_eq!(snapshot.gateway.known().unwrap().state, Reading::Known(state), "{fixture}");
    }
    let snapshot = after(|home| overwrite(home.join("gateway_state.json"), br#"{"gateway_state":"startup_failed"}"#));
    assert_eq!(snapshot.gateway.known().unwrap().state, Reading::Known(GatewayState::StartupFailed));
}

#[test]
fn a_profile_uses_the_credentials_of_its_root() {
    let homes = Homes::unpack();
    let text = format!("instances:\n  - {{name: coder, home: {}}}\n", homes.vijay().join("profiles/coder").display());
    let config = hermes_exporter::exporter::config::Config::from_text(Path::new("f"), &text).unwrap();
    let background = hermes_exporter::exporter::collect::background::Background::inline();
    let fleet = look(&hermes_exporter::exporter::collect::engine::Crew::new(&config, None, background));
    let coder = of(&fleet, "coder");
    assert_eq!(coder.identity.profile, "coder");
    // Its container has registered one, which never ran.
    let gateway = coder.gateway.known().unwrap();
    assert_eq!(gateway.container_boot.known().unwrap().action, Label::new("registered"));
    assert_eq!(gateway.up, Reading::Absent, "a profile without a gateway has none that is down");
    assert_eq!(gateway.state, Reading::Absent);
    assert!(coder.credentials.known().unwrap().tokens.contains_key(&Label::new("openai-codex")));
}
