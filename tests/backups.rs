//! Backups through the whole program: what is committed is counted, and nothing of it is ever told.

use std::path::Path;
use std::sync::Arc;

use git2::{IndexAddOption, Repository, RepositoryInitOptions, Signature, Time};
use hermes_exporter::exporter::collect::background::Background;
use hermes_exporter::exporter::collect::engine::Crew;
use hermes_exporter::exporter::config::Config;
use hermes_exporter::exporter::expose::metrics::Exposition;
use hermes_exporter::exporter::snapshot::Reading;
use hermes_exporter::system::git;
use hermes_exporter::web::metrics_text::Format;

use crate::homes::{MADE_AT, look};

/// Stands in the path, the name and the content of a secret, and nowhere else.
const WORD: &str = "rumpelstiltskin";

fn made(path: &Path, files: &[(&str, &str)]) {
    assert!(git::isolate());
    let mut options = RepositoryInitOptions::new();
    options.initial_head("main").external_template(false);
    let repository = Repository::init_opts(path, &options).unwrap();
    for (name, content) in files {
        let file = path.join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
    }
    let mut index = repository.index().unwrap();
    index.add_all(["*"], IndexAddOption::FORCE, None).unwrap();
    index.write().unwrap();
    let tree = repository.find_tree(index.write_tree().unwrap()).unwrap();
    let by = Signature::new(WORD, "x@example.invalid", &Time::new(MADE_AT as i64 - 3_600, 0)).unwrap();
    repository.commit(Some("HEAD"), &by, &by, WORD, &tree, &[]).unwrap();
    repository.remote(WORD, &format!("https://{WORD}@git.example/x.git")).unwrap();
}

#[test]
fn a_committed_secret_trips_the_guardrail_and_is_told_nowhere() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vm");
    made(&path, &[("data/a.md", "fine"), (&format!("{WORD}/{WORD}_token.json"), WORD), (".env", WORD)]);
    let text = format!(
        "instances:\n  - {{name: vijay, home: {folder}, units: [], backups: [{{name: vm, path: {folder}/vm, payload: data}}], restore_drills: {{pattern: {folder}/vm/data/*.md}}}}\ntailscale: {{socket: {folder}/none}}\n",
        folder = folder.path().display()
    );
    let config = Config::from_text(Path::new("test.yml"), &text).unwrap();
    let fleet = look(&Crew::new(&config, None, Background::inline()));
    let Reading::Known(backups) = &fleet.instances[0].backups else { panic!("{:?}", fleet.instances[0].backups) };
    assert_eq!(backups.are_clean_of_secrets(), Reading::Known(false));
    let json = serde_json::to_string(&*fleet).unwrap();
    let metrics = Exposition::new(Arc::clone(&fleet), None).encode(Format::Text).unwrap();
    for told in [&json, &metrics] {
        assert!(!told.contains(WORD), "{told}");
    }
    for line in [
        "hermes_guardrail_ok{instance=\"vijay\",guardrail=\"backup_clean_of_secrets\"} 0",
        "hermes_backup_forbidden_files{instance=\"vijay\",repo=\"vm\"} 2",
        "hermes_backup_forbidden_files_ever{instance=\"vijay\",repo=\"vm\",kind=\"token\"} 1",
        "hermes_backup_forbidden_files_ever{instance=\"vijay\",repo=\"vm\",kind=\"database\"} 0",
        "hermes_backup_state{instance=\"vijay\",repo=\"vm\",state=\"ready\"} 1",
        "hermes_backup_unpushed_commits{instance=\"vijay\",repo=\"vm\"} 1",
        "hermes_backup_payload_files{instance=\"vijay\",repo=\"vm\"} 1",
        "hermes_backup_payload_bytes{instance=\"vijay\",repo=\"vm\"} 4",
        "hermes_backup_dirty_files{instance=\"vijay\",repo=\"vm\"} 0",
        "hermes_backup_commits{instance=\"vijay\",repo=\"vm\",window=\"24h\"} 1",
        "hermes_backup_max_age_seconds{instance=\"vijay\",repo=\"vm\"} 93600",
        "hermes_restore_drills{instance=\"vijay\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line || found == format!("{line}.0")), "{line}\n{metrics}");
    }
}
