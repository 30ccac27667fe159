//! `check`: what it prints and with which code it exits, for fleets that are well, ill, and out of sight.
//!
//! The program looks at homes on disk, one of them with a living stand-in for a gateway. What it prints is compared with
//! files, which `UPDATE_GOLDEN=1 cargo test` writes anew.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use hermes_exporter::exporter::expose::check::{looks::Looks, text};
use hermes_exporter::exporter::findings::FleetFindings;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::golden::assert_golden;
use crate::homes::Homes;

const HOUR: f64 = 3_600.0;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hermes-exporter"));
    command.env_clear();
    command
}

/// Half an hour more, so that it is told as so many hours however long the test takes.
fn hours_ago(hours: f64) -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() - (hours + 0.5) * HOUR
}

/// A home with one cron job, whose last run was `job_status`.
fn home(folder: &Path, name: &str, job_status: &str) -> PathBuf {
    let home = folder.join(name);
    for path in [home.clone(), home.join("cron"), home.join("state")] {
        std::fs::create_dir(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    }
    std::fs::write(home.join("config.yaml"), "model: {}\n").unwrap();
    let job = json!({
        "id": "26b563b1e794", "name": "Morning briefing", "enabled": true, "state": "scheduled",
        "schedule": {"kind": "interval", "minutes": 1440}, "last_status": job_status, "last_error": null,
        "last_run_at": hours_ago(3.0), "next_run_at": hours_ago(-20.0),
    });
    std::fs::write(home.join("cron/jobs.json"), json!({"jobs": [job]}).to_string()).unwrap();
    home
}

/// A gateway that has left everything as if it were at work.
fn crash(home: &Path) {
    // No system gives so large an id.
    let state = json!({
        "pid": 2_000_000_000, "kind": "hermes-gateway", "argv": ["hermes", "gateway", "run"], "start_time": 1,
        "gateway_state": "running", "updated_at": hours_ago(9.0), "platforms": {"telegram": {"state": "fatal"}},
    });
    std::fs::write(home.join("gateway_state.json"), state.to_string()).unwrap();
    let beat = json!({"pid": 2_000_000_000, "updated_at": hours_ago(5.0), "start_time": hours_ago(9.0)});
    std::fs::write(home.join("state/gateway.heartbeat"), beat.to_string()).unwrap();
}

/// A living gateway, ended with the test.
struct Gateway(Child);

impl Gateway {
    fn start(home: &Path) -> Gateway {
        // The stand-in runs nowhere else.
        std::fs::write(home.join(".hermes-exporter-demo"), "").unwrap();
        let mut command = program();
        command.arg0("hermes").args(["gateway", "run"]).env("HERMES_HOME", home);
        let gateway = Gateway(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
        while !home.join("state/gateway.heartbeat").exists() {
            std::thread::yield_now();
        }
        // It always has a platform that fails.
        let path = home.join("gateway_state.json");
        let mut state: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        state["platforms"].as_object_mut().unwrap().remove("discord").unwrap();
        std::fs::write(path, state.to_string()).unwrap();
        gateway
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

struct Fleet {
    folder: TempDir,
}

impl Fleet {
    /// Writes a configuration of these homes; nothing of the machine that the tests run on is judged.
    fn configure(&self, homes: &[(&str, &Path)]) {
        let instances: Vec<_> =
            homes.iter().map(|(name, home)| json!({"name": name, "home": home, "units": []})).collect();
        let config = json!({
            "instances": instances,
            "thresholds": {"disk_available": "off", "disk_available_critical": "off"},
            "collectors": {"host": {"enabled": false}, "tailscale": {"enabled": false}},
        });
        std::fs::write(self.folder.path().join("fleet.yml"), config.to_string()).unwrap();
    }

    fn check(&self, arguments: &[&str]) -> (i32, String, String) {
        let mut command = program();
        command.current_dir(self.folder.path()).args(["check", "--config.file", "fleet.yml"]).args(arguments);
        let Output { status, stdout, stderr } = command.output().unwrap();
        (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }

    /// Both outputs as in the files of this name, and the exit code.
    fn assert_golden(&self, name: &str, code: i32) {
        let (text_code, text, error) = self.check(&[]);
        assert_eq!((text_code, error.as_str()), (code, ""), "{name}: {text}");
        assert!(text.is_ascii(), "{name}: without a locale there is nothing but ASCII");
        assert_golden(&format!("check-{name}.text"), &without_moments(&text));
        let (json_code, json, error) = self.check(&["--output", "json"]);
        assert_eq!((json_code, error.as_str()), (code, ""), "{name}");
        let mut json: Value = serde_json::from_str(&json).unwrap();
        without_times(&mut json);
        assert_golden(&format!("check-{name}.json"), &format!("{json:#}\n"));
    }
}

/// The gateway has only just been started, nobody knows how many seconds ago; so the width of its column varies, too.
fn without_moments(text: &str) -> String {
    let plain = |line: &str| {
        let cells = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty());
        let cells = cells.map(|cell| if cell.starts_with("running ") { "running NOW" } else { cell });
        cells.collect::<Vec<_>>().join("  ")
    };
    // Summary, table, findings, what could not be told: with an empty line between each.
    let part = |(number, part): (usize, &str)| match number {
        1 => part.lines().map(plain).collect::<Vec<_>>().join("\n"),
        _ => part.to_owned(),
    };
    text.trim_end().split("\n\n").enumerate().map(part).collect::<Vec<_>>().join("\n\n") + "\n"
}

fn without_times(value: &mut Value) {
    match value {
        Value::Object(values) => {
            for (key, value) in values {
                if ["taken_at", "since"].contains(&key.as_str()) && value.is_number() {
                    *value = "TIME".into();
                }
                without_times(value);
            }
        }
        Value::Array(values) => values.iter_mut().for_each(without_times),
        _ => {}
    }
}

#[test]
fn fleets_that_are_well_ill_and_out_of_sight() {
    let fleet = Fleet { folder: tempfile::tempdir().unwrap() };
    let folder = fleet.folder.path();
    let (well, crashed) = (home(folder, "vijay", "ok"), home(folder, "bheem", "error"));
    crash(&crashed);
    let gateway = Gateway::start(&well);

    fleet.configure(&[("vijay", &well)]);
    fleet.assert_golden("healthy", 0);

    fleet.configure(&[("vijay", &well), ("bheem", &crashed)]);
    fleet.assert_golden("critical", 2);
    assert_eq!(fleet.check(&["vijay"]).0, 0, "the others are not asked");

    fleet.configure(&[("vijay", &well), ("gone", &folder.join("gone"))]);
    fleet.assert_golden("unknown", 3);

    let jobs = well.join("cron/jobs.json");
    let failing = std::fs::read_to_string(&jobs).unwrap().replace("\"ok\"", "\"error\"");
    std::fs::write(&jobs, failing).unwrap();
    fleet.configure(&[("vijay", &well), ("gone", &folder.join("gone"))]);
    fleet.assert_golden("warning", 1);
    drop(gateway);
    assert_eq!(fleet.check(&["vijay"]).0, 2);
}

#[test]
fn an_instance_that_is_not_there_and_a_configuration_that_is_not_valid_exit_with_64() {
    let fleet = Fleet { folder: tempfile::tempdir().unwrap() };
    let home = home(fleet.folder.path(), "vijay", "ok");
    fleet.configure(&[("vijay", &home), ("bheem", &home.join("none"))]);
    let (code, out, error) = fleet.check(&["vijay", "vijya"]);
    assert_eq!((code, out.as_str()), (64, ""));
    assert_eq!(error, "hermes-exporter: there is no instance called \"vijya\"; did you mean \"vijay\"?\n");
    let (_, _, error) = fleet.check(&["xyz"]);
    assert_eq!(error, "hermes-exporter: there is no instance called \"xyz\"; there are: vijay, bheem\n");
    for arguments in [&["--output", "xml"][..], &["--color", "perhaps"], &["--timeout", "5"]] {
        assert_eq!(fleet.check(arguments).0, 64, "{arguments:?}");
    }
    std::fs::write(fleet.folder.path().join("fleet.yml"), "instances: [{name: a, hom: /a}]").unwrap();
    assert_eq!(fleet.check(&[]).0, 64);
}

#[test]
fn what_is_ignored_is_named() {
    let fleet = Fleet { folder: tempfile::tempdir().unwrap() };
    let bheem = home(fleet.folder.path(), "bheem", "error");
    fleet.configure(&[("bheem", &bheem)]);
    let path = fleet.folder.path().join("fleet.yml");
    let config = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, config.replacen('{', "{\"ignored_findings\": [\"cron_job_failing\"], ", 1)).unwrap();
    let (code, text, _) = fleet.check(&[]);
    assert!(
        code == 0 && text.ends_with("\nIgnored, as the configuration says:\n- bheem: cron_job_failing\n"),
        "{text}"
    );
    let (_, json, _) = fleet.check(&["--output", "json"]);
    let body: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(body["ignored"], json!([{"instance": "bheem", "findings": ["cron_job_failing"]}]));
}

#[test]
fn names_from_a_home_move_no_cursor_and_begin_no_line() {
    let fleet = Fleet { folder: tempfile::tempdir().unwrap() };
    let bheem = home(fleet.folder.path(), "bheem", "error");
    let path = bheem.join("cron/jobs.json");
    let name = "a\u{1b}[31mb\u{9b}2Jc\r\nd\u{7}\u{0}e\u{202e}f";
    let jobs = std::fs::read_to_string(&path).unwrap().replace("\"26b563b1e794\"", &json!(name).to_string());
    std::fs::write(path, jobs).unwrap();
    let long = "bheem".repeat(12);
    fleet.configure(&[(&long, &bheem)]);
    let (code, text, _) = fleet.check(&[]);
    assert_eq!(code, 1);
    assert!(
        text.contains(&format!("  {long}  The last run"))
            && text.contains("\"a\u{fffd}[31mb\u{fffd}2Jc\u{fffd}\u{fffd}d\u{fffd}\u{fffd}e\u{fffd}f\""),
        "{text:?}"
    );
    assert!(
        text.lines().any(|line| line.starts_with("! warning") && line.ends_with("failed")),
        "who reads lines gets whole ones: {text}"
    );
    let (_, json, _) = fleet.check(&["--output", "json"]);
    let body: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(
        body["findings"][0]["subject"],
        json!("a\u{fffd}[31mb\u{fffd}2Jc\u{fffd}\u{fffd}d\u{fffd}\u{fffd}e\u{fffd}f"),
        "programs get what people get"
    );
}

#[test]
fn who_goes_away_is_no_matter_and_what_can_not_be_printed_is_not_healthy() {
    let fleet = Fleet { folder: tempfile::tempdir().unwrap() };
    let home = home(fleet.folder.path(), "vijay", "ok");
    fleet.configure(&[("vijay", &home)]);
    let check = |out: Stdio| {
        let mut command = program();
        command.current_dir(fleet.folder.path()).args(["check", "--config.file", "fleet.yml"]);
        let child = command.stdout(out).stderr(Stdio::piped()).spawn().unwrap();
        let output = child.wait_with_output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (reader, gone) = std::io::pipe().unwrap();
    drop(reader);
    assert_eq!(check(gone.into()), (0, String::new()));
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let (code, error) = check(full.into());
    assert_eq!(code, 3);
    assert!(error.starts_with("hermes-exporter: standard output could not be written: "), "{error}");
}

#[test]
fn without_an_instance_it_says_what_to_do_and_is_unknown() {
    let fleet = Fleet { folder: tempfile::tempdir().unwrap() };
    fleet.configure(&[]);
    let (code, out, _) = fleet.check(&[]);
    assert_eq!(code, 3);
    assert!(out.starts_with("unknown: there is no instance to look at; run this as"), "{out}");
    let (code, out, _) = fleet.check(&["--output", "json"]);
    assert_eq!((code, &serde_json::from_str::<Value>(&out).unwrap()["instances"]), (3, &0.into()));
}

#[test]
fn colors_are_for_terminals_and_symbols_for_those_who_can_show_them() {
    let fleet = Fleet { folder: tempfile::tempdir().unwrap() };
    let home = home(fleet.folder.path(), "vijay", "ok");
    crash(&home);
    fleet.configure(&[("vijay", &home)]);
    let check = |environment: &[(&str, &str)], arguments: &[&str]| {
        let mut command = program();
        command.current_dir(fleet.folder.path()).envs(environment.iter().copied());
        let output = command.args(["check", "--config.file", "fleet.yml"]).args(arguments).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(!check(&[], &[]).contains('\u{1b}'), "this is no terminal");
    assert!(check(&[("NO_COLOR", "1")], &["--color", "always"]).contains("\u{1b}[31m"));
    assert!(!check(&[], &["--color", "never"]).contains('\u{1b}'));
    assert!(check(&[("LANG", "en_IN.UTF-8")], &[]).contains("✖ critical"));
    assert!(check(&[("LANG", "en_IN.UTF-8"), ("LC_ALL", "C")], &[]).contains("X critical"));
    // What it prints need not be logged, too; who wants to know more may.
    fleet.configure(&[("gone", &home.join("gone"))]);
    assert_eq!(fleet.check(&[]).2, "");
    assert!(fleet.check(&["--log.level", "warn"]).2.contains("Something can not be told."));
}

#[test]
fn who_is_known_by_a_report_alone_is_asked_for_as_anybody_else() {
    let fleet = Fleet { folder: tempfile::tempdir().unwrap() };
    let missing = fleet.folder.path().join("bheem.json");
    let config = json!({
        "instances": [{"name": "bheem", "report": missing}],
        "collectors": {"host": {"enabled": false}, "tailscale": {"enabled": false}},
    });
    std::fs::write(fleet.folder.path().join("fleet.yml"), config.to_string()).unwrap();
    for arguments in [&[][..], &["bheem"]] {
        let (code, text, _) = fleet.check(arguments);
        assert!(code != 64 && text.contains("bheem") && !text.contains("there is no instance"), "{code}: {text}");
    }
    let (code, _, error) = fleet.check(&["vijay"]);
    assert_eq!((code, error.contains("there is no instance called \"vijay\"")), (64, true), "{error}");
}

#[test]
fn the_sample_homes_in_a_table() {
    let fleet = Homes::unpack().look();
    let found = FleetFindings::of(&fleet);
    for (name, looks) in [
        ("plain", Looks { has_colors: false, has_unicode: false, width: Some(80) }),
        ("colors", Looks { has_colors: true, has_unicode: true, width: Some(80) }),
    ] {
        let text = text(&fleet, &found, looks);
        if !looks.has_colors {
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        }
        assert_golden(&format!("check-sample-homes-{name}.text"), &text);
    }
}
