//! The sample homes against `expected.json`: numbers that were counted independently, by SQL and by hand.

use std::collections::BTreeMap;

use hermes_exporter::exporter::snapshot::cron::JobState;
use hermes_exporter::exporter::snapshot::gateway::GatewayState;
use hermes_exporter::exporter::snapshot::{Label, Reading, Snapshot, Tally};
use hermes_exporter::system::time::Timestamp;
use serde_json::Value;

use crate::homes::{Homes, fixture, of};

fn expected(name: &str) -> Value {
    let text = std::fs::read_to_string(fixture("expected.json")).unwrap();
    let mut value: Value = serde_json::from_str(&text).unwrap();
    value["homes"][name].take()
}

fn counts(value: &Value) -> BTreeMap<String, u64> {
    let entries = value.as_object().into_iter().flatten();
    entries.filter(|(name, _)| *name != "None").map(|(name, count)| (name.clone(), count.as_u64().unwrap())).collect()
}

fn tally(tally: &Tally) -> BTreeMap<String, u64> {
    tally.iter().filter(|(_, count)| *count > 0).map(|(label, count)| (label.to_string(), count)).collect()
}

fn known<T: Clone>(reading: &Reading<T>) -> T {
    reading.known().expect("a known reading").clone()
}

fn check(name: &str, snapshot: &Snapshot) {
    let expected = expected(name);
    for run in &snapshot.collectors {
        assert_eq!(run.problems, [], "{name} {}", run.collector);
    }

    let sessions = known(&snapshot.sessions);
    let counted = known(&sessions.counts);
    assert_eq!(tally(&counted.current), counts(&expected["sessions_by_source_not_archived"]));
    assert_eq!(counted.archived.total(), expected["sessions_archived"]);
    assert_eq!(counted.current.total() + counted.archived.total(), expected["sessions_rows"]);
    assert_eq!(counted.open, expected["sessions_open_not_archived"]);
    assert_eq!(tally(&counted.ended), counts(&expected["sessions_by_end_reason"]));
    assert_eq!(known(&sessions.active), expected["sessions_active_5m (/api/status)"]);
    assert_eq!(known(&sessions.messages_stored), expected["messages_rows"]);
    assert_eq!(known(&sessions.messages_ever), expected["messages_seq"]);
    assert_eq!(known(&sessions.schema_version), expected["schema_version"]);
    assert_eq!(sessions.database_bytes, expected["state_db_bytes"]);
    let usage = known(&sessions.model_usage);
    let rows = expected["usage_table_by_model_task"].as_array().unwrap();
    assert_eq!(usage.len(), rows.len());
    for (usage, row) in usage.iter().zip(rows) {
        assert_eq!(usage.model.as_str(), row["model"]);
        assert_eq!(usage.provider.as_str(), row["provider"]);
        assert_eq!(usage.task.as_str(), row["task"]);
        assert_eq!(
            (usage.tokens.input, usage.tokens.output),
            (row["input"].as_u64().unwrap(), row["output"].as_u64().unwrap())
        );
        assert_eq!(usage.api_calls, row["api_calls"]);
        assert!((usage.cost_usd.unwrap() - row["cost"].as_f64().unwrap()).abs() < 1e-9);
    }

    let activity = known(&snapshot.activity);
    assert_eq!(tally(&activity.tool_calls), counts(&expected["tool_calls_by_name_json (assistant rows)"]));
    assert!(
        activity.turns.count() > 0 && activity.turns.count() <= expected["messages_by_role"]["user"].as_u64().unwrap()
    );

    let cron = known(&snapshot.cron);
    let jobs = known(&cron.jobs);
    let rows = expected["cron_jobs"].as_array().unwrap();
    assert_eq!(jobs.len(), rows.len());
    for row in rows {
        let job = &jobs[&Label::new(row["id"].as_str().unwrap())];
        assert_eq!(job.state.as_str(), row["state"]);
        assert_eq!(job.last_run, Timestamp::from_json(&row["last_run_at"]).into());
        let success = row["last_status"].as_str().map(|status| status == "ok");
        assert_eq!(job.last_run_success, success.into());
        if job.state == JobState::Scheduled {
            assert_eq!(job.next_run, Timestamp::from_json(&row["next_run_at"]).into());
        }
        if !row["last_delivery_error"].is_null() {
            assert_eq!(job.last_delivery_success, Reading::Known(false));
        }
    }
    assert_eq!(tally(&known(&cron.executions)), counts(&expected["cron_executions_by_status"]));
    let heartbeat_age = snapshot.taken_at.seconds_since(known(&cron.ticker_heartbeat));
    assert!((heartbeat_age - expected["ticker_heartbeat_age_s"].as_f64().unwrap()).abs() < 0.001);

    let credentials = known(&snapshot.credentials);
    let google = &credentials.tokens[&Label::new("google")];
    assert_eq!(google.present, expected["google_token_present"].as_bool().into());
    for provider in expected["auth_providers"].as_array().unwrap() {
        assert!(credentials.tokens.contains_key(&Label::new(provider.as_str().unwrap())));
    }
    let pools = known(&credentials.pools);
    for (provider, statuses) in expected["pool"].as_object().unwrap() {
        let statuses = statuses.as_array().unwrap();
        let pool = &pools[&Label::new(provider)];
        assert_eq!(pool.total(), statuses.len() as u64);
        assert_eq!(pool.get("exhausted"), statuses.iter().filter(|status| *status == "exhausted").count() as u64);
    }

    let inventory = known(&snapshot.inventory);
    for (file, chars) in expected["memory_chars"].as_object().unwrap() {
        assert_eq!(known(&inventory.memory[&Label::new(file)]).chars, *chars);
    }
    assert_eq!(known(&inventory.skills).total(), expected["skill_md_files"]);
    match &inventory.delivery_obligations {
        Reading::Known(obligations) => assert_eq!(tally(obligations), counts(&expected["delivery_obligations"])),
        other => assert!(*other == Reading::Absent && expected["delivery_obligations"].is_null()),
    }
    assert_eq!(tally(&known(&inventory.delegations)), counts(&expected["async_delegations"]));
}

#[test]
fn vijay() {
    let fleet = Homes::unpack().look();
    let snapshot = of(&fleet, "vijay");
    check("vijay", snapshot);
    let gateway = known(&snapshot.gateway);
    // Its file says running and its platforms connected; the process is that of another machine.
    assert_eq!(gateway.state, Reading::Known(GatewayState::Crashed));
    assert_eq!(gateway.up, Reading::Known(false));
    assert_eq!(gateway.platforms, Reading::Absent);
    let cron = known(&snapshot.cron);
    let overdue: Vec<_> =
        known(&cron.jobs).into_iter().filter(|(_, job)| job.overdue).map(|(label, _)| label).collect();
    assert_eq!(overdue, [Label::new("67a9b05c7dfb")]);
    let google = known(&snapshot.credentials).tokens[&Label::new("google")];
    assert_eq!(
        (google.valid, google.refreshable, google.scopes),
        (Reading::Known(true), Reading::Known(true), Reading::Known(8))
    );
    assert_eq!(google.expiry, Timestamp::from_text("2026-11-20T09:40:55.123456Z").into());
    let inventory = known(&snapshot.inventory);
    assert_eq!(known(&inventory.paired_users)[&Label::new("telegram")].get("pending"), 1);
}

#[test]
fn bheem() {
    let fleet = Homes::unpack().look();
    let snapshot = of(&fleet, "bheem");
    check("bheem", snapshot);
    assert_eq!(known(&snapshot.gateway).state, Reading::Known(GatewayState::Stopped));
    let nous = known(&snapshot.credentials).tokens[&Label::new("nous")];
    assert_eq!((nous.present, nous.valid), (Reading::Known(false), Reading::Known(false)));
}

#[test]
fn a_snapshot_survives_being_written_and_read_back() {
    for snapshot in &Homes::unpack().look().instances {
        let json = serde_json::to_string(snapshot).unwrap();
        let back: Snapshot = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), json);
    }
}
