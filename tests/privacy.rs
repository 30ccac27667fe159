//! Whatever stands in the free text of a home: none of it is in a report, in the metrics, or in what is served.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hermes_exporter::exporter::collect::background::Background;
use hermes_exporter::exporter::collect::engine::Crew;
use hermes_exporter::exporter::config::Config;
use hermes_exporter::exporter::expose::metrics::Exposition;
use hermes_exporter::exporter::expose::{findings, self_report};
use hermes_exporter::exporter::findings::FleetFindings;
use hermes_exporter::exporter::snapshot::{OTHER, Reading};
use hermes_exporter::web::metrics_text::Format;
use rusqlite::Connection;
use serde_json::{Map, Value};

use crate::homes::{Homes, look, of};

/// Stands in everything that somebody wrote, and nowhere else.
const WORD: &str = "rumpelstiltskin";

/// A number of a chat or a person.
const CHAT: &str = "987654321987";

/// What somebody writes.
fn sentence() -> String {
    format!("{WORD} said: write to {WORD}@example.invalid or {CHAT}\n")
}

/// Fields of JSON whose values are words of Hermes, moments and ids.
fn is_of_hermes(field: &str) -> bool {
    const FIELDS: [&str; 12] = [
        "id",
        "state",
        "status",
        "last_status",
        "kind",
        "platform",
        "gateway_state",
        "expr",
        "ver",
        "argv",
        "deliver",
        "obtained_at",
    ];
    FIELDS.contains(&field) || field.ends_with("_at") || field.ends_with("expiry")
}

/// Puts the sentence into every value that is somebody's.
fn salt(field: &str, value: &mut Value) {
    match value {
        Value::String(text) if !is_of_hermes(field) => *text = sentence(),
        Value::Array(entries) if !is_of_hermes(field) => entries.iter_mut().for_each(|entry| salt(field, entry)),
        Value::Object(fields) => fields.iter_mut().for_each(|(name, value)| salt(name, value)),
        _ => {}
    }
}

fn change_json(path: &Path, change: impl FnOnce(&mut Map<String, Value>)) {
    let mut document: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    salt("", &mut document);
    change(document.as_object_mut().unwrap());
    std::fs::write(path, serde_json::to_vec(&document).unwrap()).unwrap();
}

/// Puts the sentence into every column of text that is somebody's, and runs `more`.
fn change_database(path: &Path, more: &str) {
    const OF_HERMES: [&str; 12] = [
        "id",
        "role",
        "source",
        "state",
        "status",
        "end_reason",
        "model",
        "billing_provider",
        "billing_mode",
        "task",
        "tool_calls",
        "session_id",
    ];
    let store = Connection::open(path).unwrap();
    store.pragma_update(None, "foreign_keys", false).unwrap();
    let names = |sql: &str| -> Vec<String> {
        store.prepare(sql).unwrap().query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    for table in names(
        "SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE TABLE%' AND name NOT LIKE '%fts%' AND name NOT LIKE 'sqlite%'",
    ) {
        let columns = names(&format!("SELECT name FROM pragma_table_info('{table}') WHERE type = 'TEXT' AND pk = 0"));
        let salted = columns.iter().filter(|column| !OF_HERMES.contains(&column.as_str()) && !column.ends_with("_at"));
        for column in salted {
            // Some of the messages are as good as all, and there are thousands.
            let sql = format!(
                "UPDATE {table} SET {column} = ?1 || rowid WHERE rowid % 50 = 1 OR (SELECT count(*) FROM {table}) < 500"
            );
            store.execute(&sql, [sentence()]).unwrap();
        }
    }
    store.execute_batch(&more.replace("SENTENCE", &sentence()).replace("WORD", WORD)).unwrap();
}

/// Puts what is somebody's into every place of a home where it may stand.
fn fill(home: &Path) {
    let place = |name: &str| home.join(name);
    let add = |name: &str, text: &str| {
        std::fs::create_dir_all(place(name).parent().unwrap()).unwrap();
        let before = std::fs::read_to_string(place(name)).unwrap_or_default();
        std::fs::write(place(name), before + text).unwrap();
    };
    for name in ["SOUL.md", "memories/MEMORY.md", "logs/agent.log", "logs/errors.log", "logs/gateway.log"] {
        add(name, &sentence());
    }
    add(".env", &format!("\nOPENAI_API_KEY={WORD}\n{WORD}_KEY=x\nTELEGRAM_HOME_CHANNEL={CHAT}\n"));
    add(&format!("skills/{WORD}/SKILL.md"), &sentence());
    add(&format!("cron/output/{WORD}.md"), &sentence());
    add("config.yaml", &format!("\nmcp_servers_of_mine:\n  - \"{WORD}\"\n"));
    add(
        "logs/container-boot.log",
        &format!("2026-11-20T08:00:00+0000 profile=default prior_state={WORD} was here action=started\n"),
    );
    add("mcp-tokens/calendar.json", &format!("{{\"access_token\": \"{WORD}\", \"expires_in\": 60}}"));
    let entry = |key: String, value: Value| move |fields: &mut Map<String, Value>| drop(fields.insert(key, value));
    let somebody =
        || serde_json::json!({"user_name": WORD, "user_id": CHAT, "platform": format!("{WORD} chat"), "secret": WORD});
    for name in ["gateway/dead_targets.json", "platforms/pairing/telegram-approved.json", "webhook_subscriptions.json"]
    {
        change_json(&place(name), entry(format!("telegram:{CHAT}:{WORD}"), somebody()));
    }
    for name in ["auth.json", "google_token.json", "cron/jobs.json", "gateway_state.json"] {
        change_json(&place(name), |_| ());
    }
    change_json(&place(".update_check"), entry("ver".to_owned(), format!("0.19 of {WORD}").into()));
    change_database(
        &place("state.db"),
        "UPDATE sessions SET end_reason = 'SENTENCE' WHERE rowid % 5 = 1;
         UPDATE sessions SET source = 'SENTENCE' WHERE rowid % 7 = 1;
         UPDATE session_model_usage SET model = '/home/WORD/models/local.gguf', billing_provider = 'SENTENCE', task = 'SENTENCE' WHERE rowid % 5 = 1;
         UPDATE delivery_obligations SET state = 'SENTENCE' WHERE rowid = 1;
         UPDATE async_delegations SET state = 'SENTENCE' WHERE rowid = 1;
         UPDATE messages SET tool_calls = json_array(json_object('function', json_object('name', 'SENTENCE', 'arguments', 'SENTENCE')))
           WHERE id = (SELECT max(id) FROM messages WHERE role = 'assistant' AND tool_calls IS NOT NULL);",
    );
    change_database(&place("cron/executions.db"), "");
    change_database(&place("kanban.db"), "UPDATE tasks SET status = 'SENTENCE' WHERE rowid = 1;");
}

fn repository(path: PathBuf) {
    use git2::{IndexAddOption, Repository, RepositoryInitOptions, Signature};
    assert!(hermes_exporter::system::git::isolate());
    let repository = Repository::init_opts(&path, RepositoryInitOptions::new().external_template(false)).unwrap();
    std::fs::create_dir(path.join(WORD)).unwrap();
    std::fs::write(path.join(WORD).join(format!("{WORD}_token.json")), WORD).unwrap();
    let mut index = repository.index().unwrap();
    index.add_all(["*"], IndexAddOption::FORCE, None).unwrap();
    let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
    let by = Signature::now(WORD, &format!("{WORD}@example.invalid")).unwrap();
    let commit = repository.commit(Some("HEAD"), &by, &by, &sentence(), &tree, &[]).unwrap();
    repository.branch(WORD, &repository.find_commit(commit).unwrap(), false).unwrap();
    repository.remote(WORD, &format!("https://{WORD}@git.example/{WORD}.git")).unwrap();
}

#[test]
fn nothing_that_somebody_wrote_leaves_a_home() {
    let homes = Homes::unpack();
    let folder = homes.vijay().parent().unwrap().to_owned();
    fill(&homes.vijay());
    repository(folder.join("vm"));
    let text = homes.config_text("").replacen(
        "units: []",
        &format!("units: [], backups: [{{name: vm, path: {}/vm}}]", folder.display()),
        1,
    );
    let config = Config::from_text(Path::new("test.yml"), &text).unwrap();
    let fleet = look(&Crew::new(&config, None, Background::inline()));
    let vijay = of(&fleet, "vijay");

    // It has been read at all.
    let sessions = vijay.sessions.known().expect("sessions").clone();
    let Reading::Known(counts) = &sessions.counts else { panic!("{:?}", sessions.counts) };
    assert!(counts.ended.get(OTHER) > 0 && counts.current.get(OTHER) > 0);
    let Reading::Known(usage) = &sessions.model_usage else { panic!("{:?}", sessions.model_usage) };
    assert!(usage.iter().any(|usage| usage.model.as_str() == "local.gguf" && usage.provider.as_str() == OTHER));
    assert!(vijay.activity.known().expect("activity").tool_calls.get(OTHER) > 0);
    for part in ["credentials", "cron", "inventory", "backup", "guardrails"] {
        let run = vijay.collectors.iter().find(|run| run.collector == part).unwrap();
        assert!(!run.lacks_home(), "{run:?}");
    }

    let found = FleetFindings::of(&fleet);
    let told = [
        self_report::json(&self_report::report(vijay.clone(), false)).unwrap(),
        serde_json::to_string(&*fleet).unwrap(),
        serde_json::to_string(&findings::body(&fleet, &found, &Default::default())).unwrap(),
        Exposition::new(Arc::clone(&fleet), None).encode(Format::Text).unwrap(),
        Exposition::new(Arc::clone(&fleet), None).encode(Format::OpenMetrics).unwrap(),
    ];
    for told in told {
        for secret in [WORD, CHAT, "example.invalid"] {
            let at = told.find(secret).map(|at| &told[at.saturating_sub(200)..(at + 100).min(told.len())]);
            assert_eq!(at, None);
        }
    }
}
