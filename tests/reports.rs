//! Self-reports: the program that writes them, and that they are of the published form.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use hermes_exporter::exporter::expose::self_report;
use hermes_exporter::exporter::snapshot::{Reading, Snapshot};
use serde_json::Value;

use crate::golden::assert_golden;
use crate::homes::{Homes, of};

fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hermes-exporter"));
    command.env_clear().env("HOME", folder).env("TMPDIR", folder).current_dir(folder).arg("report").args(arguments);
    command
}

fn run(folder: &Path, arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = program(folder, arguments).output().unwrap();
    (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// The sample homes with their configuration, and the folder they are in.
fn homes() -> (Homes, std::path::PathBuf) {
    let homes = Homes::unpack();
    let folder = homes.vijay().parent().unwrap().to_owned();
    std::fs::write(folder.join("two.yml"), homes.config_text("")).unwrap();
    (homes, folder)
}

/// The schema as it is published.
fn schema() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/report.schema.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// What is wrong with a value by a schema, by as much of JSON Schema as the published one makes use of.
fn fault(value: &Value, schema: &Value, root: &Value, at: &str) -> Option<String> {
    const KNOWN: [&str; 19] = [
        "$id",
        "$schema",
        "$defs",
        "title",
        "description",
        "default",
        "format",
        "$ref",
        "oneOf",
        "anyOf",
        "const",
        "enum",
        "type",
        "minimum",
        "maximum",
        "maxLength",
        "properties",
        "required",
        "additionalProperties",
    ];
    const OF_LISTS: [&str; 3] = ["items", "minItems", "maxItems"];
    let schema = match schema {
        Value::Bool(true) => return None,
        Value::Bool(false) => return Some(format!("{at} may not be there")),
        schema => schema.as_object().unwrap(),
    };
    let unknown = schema.keys().find(|key| !KNOWN.contains(&key.as_str()) && !OF_LISTS.contains(&key.as_str()));
    assert_eq!(unknown, None, "a word of JSON Schema that is not looked at here");
    if let Some(reference) = schema.get("$ref").and_then(Value::as_str) {
        let place = root.pointer(reference.strip_prefix('#').unwrap()).expect(reference);
        if let Some(fault) = fault(value, place, root, at) {
            return Some(fault);
        }
    }
    for (word, fits) in [("oneOf", 1..=1), ("anyOf", 1..=usize::MAX)] {
        if let Some(choices) = schema.get(word).and_then(Value::as_array) {
            let faults: Vec<_> = choices.iter().filter_map(|choice| fault(value, choice, root, at)).collect();
            if !fits.contains(&(choices.len() - faults.len())) {
                return Some(format!("{at} is none of {word}: {faults:?}"));
            }
        }
    }
    if schema.get("const").is_some_and(|only| only != value) {
        return Some(format!("{at} is {value}"));
    }
    if schema.get("enum").and_then(Value::as_array).is_some_and(|all| !all.contains(value)) {
        return Some(format!("{at} is {value}"));
    }
    let is_of = |kind: &Value| match kind.as_str().unwrap() {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        other => panic!("{other}"),
    };
    let fits = match schema.get("type") {
        None => true,
        Some(Value::Array(kinds)) => kinds.iter().any(is_of),
        Some(kind) => is_of(kind),
    };
    if !fits {
        return Some(format!("{at} is {value}"));
    }
    let limit = |word: &str| schema.get(word).and_then(Value::as_f64);
    if let Some(number) = value.as_f64()
        && (limit("minimum").is_some_and(|least| number < least) || limit("maximum").is_some_and(|most| number > most))
    {
        return Some(format!("{at} is {number}"));
    }
    if let Some(text) = value.as_str()
        && limit("maxLength").is_some_and(|most| text.chars().count() as f64 > most)
    {
        return Some(format!("{at} is too long"));
    }
    if let Some(list) = value.as_array() {
        let length = list.len() as f64;
        if limit("minItems").is_some_and(|least| length < least) || limit("maxItems").is_some_and(|most| length > most)
        {
            return Some(format!("{at} has {length} entries"));
        }
        let items = schema.get("items").into_iter();
        let mut each =
            items.flat_map(|items| list.iter().enumerate().map(move |(number, entry)| (number, entry, items)));
        return each.find_map(|(number, entry, items)| fault(entry, items, root, &format!("{at}/{number}")));
    }
    let fields = value.as_object()?;
    let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    if let Some(missing) = required.map(|name| name.as_str().unwrap()).find(|name| !fields.contains_key(*name)) {
        return Some(format!("{at}/{missing} is missing"));
    }
    fields.iter().find_map(|(name, field)| {
        let named = schema.get("properties").and_then(|properties| properties.get(name));
        fault(field, named.or_else(|| schema.get("additionalProperties"))?, root, &format!("{at}/{name}"))
    })
}

fn report_of(homes: &Homes, name: &str) -> Snapshot {
    self_report::report(of(&homes.look(), name).clone(), false)
}

#[test]
fn the_report_of_a_sample_home_is_as_in_the_file() {
    let mut report = serde_json::to_value(report_of(&Homes::unpack(), "vijay")).unwrap();
    for run in report["collectors"].as_array_mut().unwrap() {
        run["duration_seconds"] = 0.into();
    }
    for changing in ["filesystem_available_bytes", "filesystem_size_bytes"] {
        report["home"]["known"][changing] = "CHANGING".into();
    }
    assert_golden("report.json", &(serde_json::to_string_pretty(&report).unwrap() + "\n"));
}

#[test]
fn a_report_is_of_the_published_form() {
    let (homes, folder) = homes();
    let schema = schema();
    for name in ["vijay", "bheem"] {
        let report = serde_json::to_value(report_of(&homes, name)).unwrap();
        assert_eq!(fault(&report, &schema, &schema, name), None);
        let (code, text, error) = run(&folder, &["--config.file", "two.yml", "--instance", name]);
        assert_eq!((code, error.as_str()), (0, ""));
        assert_eq!(fault(&serde_json::from_str(&text).unwrap(), &schema, &schema, name), None);
    }
    let damaged = |pointer: &str, value: Value| {
        let mut report = serde_json::to_value(report_of(&homes, "vijay")).unwrap();
        *report.pointer_mut(pointer).expect(pointer) = value;
        fault(&report, &schema, &schema, "")
    };
    assert!(damaged("/format", 2.into()).is_some());
    assert!(damaged("/gateway/known/up", "down".into()).is_some());
    assert!(damaged("/sessions/known/counts/known/current", serde_json::json!({"telegram": -1})).is_some());
    assert!(damaged("/identity", serde_json::json!({"name": "vijay"})).is_some());
    assert!(damaged("/collectors/0", serde_json::json!({})).is_some());
}

#[test]
fn a_report_of_a_home_without_configuration_is_called_as_it_is_asked_for() {
    let (homes, folder) = homes();
    let home = folder.join(".hermes");
    std::fs::rename(homes.bheem(), &home).unwrap();
    let (code, out, error) = run(&folder, &["--instance", "bheem", "--output", "bheem.json"]);
    assert_eq!((code, out.as_str(), error.as_str()), (0, "", ""));
    let file = folder.join("bheem.json");
    assert_eq!(std::fs::metadata(&file).unwrap().mode() & 0o7777, 0o644);
    let report: Snapshot = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(report.identity.name, "bheem");
    // One reads every message each time, the other counts from look to look.
    assert_eq!((&report.activity, &report.logs), (&Reading::Absent, &Reading::Absent));
    assert!(
        !report
            .collectors
            .iter()
            .any(|run| ["activity", "logs", "host", "tailscale"].contains(&run.collector.as_str()))
    );
    assert!(report.sessions.known().is_some());

    let (_, out, _) = run(&folder, &["--collector.activity"]);
    let asked: Snapshot = serde_json::from_str(&out).unwrap();
    assert!(asked.activity.known().is_some_and(|activity| activity.turns.count() > 0));
}

#[test]
fn a_home_that_is_not_there_is_reported_as_such_and_for_how_long() {
    let (_homes, folder) = homes();
    std::fs::write(folder.join("gone.yml"), "instances: [{name: gone, home: /no/such/home, units: []}]\n").unwrap();
    let written = || {
        assert_eq!(run(&folder, &["--config.file", "gone.yml", "--output", "gone.json"]).0, 0);
        let report: Snapshot = serde_json::from_slice(&std::fs::read(folder.join("gone.json")).unwrap()).unwrap();
        let cron = report.collectors.iter().find(|run| run.collector == "cron").unwrap();
        assert!(cron.lacks_home());
        cron.failing_since.unwrap()
    };
    let first = written();
    assert_eq!(written(), first, "the report before says since when");
}

#[test]
fn bad_usage_says_what_there_is_and_exits_with_64() {
    let (_homes, folder) = homes();
    for (arguments, message) in [
        (&["--config.file", "two.yml"][..], "there are several instances; say which one with --instance: vijay, bheem"),
        (
            &["--config.file", "two.yml", "--instance", "behem"],
            "there is no instance called \"behem\"; did you mean \"bheem\"?",
        ),
        (&["--instance", "bheem"], "there is no Hermes home to report on; run this as the user who runs Hermes"),
    ] {
        let (code, out, error) = run(&folder, arguments);
        assert_eq!((code, out.as_str()), (64, ""), "{error}");
        assert!(error.starts_with(&format!("hermes-exporter: {message}")), "{error}");
    }
}

#[test]
fn who_knows_an_instance_by_its_report_can_not_report_on_it() {
    let folder = tempfile::tempdir().unwrap();
    let text = "instances: [{name: bheem, report: /var/lib/bheem.json}, {name: vijay, home: /nowhere}]";
    std::fs::write(folder.path().join("both.yml"), text).unwrap();
    let (code, _, error) = run(folder.path(), &["--config.file", "both.yml", "--instance", "bheem"]);
    assert_eq!(code, 64);
    assert!(error.contains("\"bheem\" is told of by the report /var/lib/bheem.json, and only who looks"), "{error}");
    // It is no instance to choose from either.
    let (code, report, _) = run(folder.path(), &["--config.file", "both.yml"]);
    assert!(code == 0 && report.contains("\"vijay\""), "{report}");
}

#[test]
fn a_report_that_can_not_be_written_loses_nothing_and_leaves_nothing() {
    let (_homes, folder) = homes();
    let reports = folder.join("reports");
    std::fs::create_dir(&reports).unwrap();
    std::fs::create_dir(reports.join("folder")).unwrap();
    std::os::unix::fs::symlink(folder.join("two.yml"), reports.join("link")).unwrap();
    for (file, message) in [
        ("reports/folder", "it is a folder, and only a file is replaced"),
        ("reports/link", "it is a symbolic link, and only a file is replaced"),
        ("reports/no/bheem.json", "No such file or directory"),
    ] {
        let (code, out, error) = run(&folder, &["--config.file", "two.yml", "--instance", "bheem", "--output", file]);
        assert_eq!((code, out.as_str()), (1, ""), "{error}");
        assert!(error.starts_with(&format!("hermes-exporter: {file} could not be written: {message}")), "{error}");
    }
    assert_eq!(std::fs::read_dir(&reports).unwrap().count(), 2);
}

#[test]
fn a_reader_never_sees_half_a_report() {
    let (_homes, folder) = homes();
    let file = folder.join("bheem.json");
    let arguments = ["--config.file", "two.yml", "--instance", "bheem", "--output", "bheem.json"];
    assert_eq!(run(&folder, &arguments).0, 0);
    let is_over = AtomicBool::new(false);
    let reads = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !is_over.load(Ordering::Relaxed) {
                serde_json::from_slice::<Snapshot>(&std::fs::read(&file).unwrap()).unwrap();
                reads += 1;
            }
            reads
        });
        for _ in 0..10 {
            assert_eq!(run(&folder, &arguments).0, 0);
        }
        is_over.store(true, Ordering::Relaxed);
        reader.join().unwrap()
    });
    assert!(reads > 0);
}

#[test]
fn in_a_folder_for_all_a_user_writes_and_replaces_only_what_is_theirs() {
    // Only root can be somebody else.
    if !rustix::process::geteuid().is_root() {
        return;
    }
    use std::os::unix::process::CommandExt;
    let (homes, folder) = homes();
    let (reports, somebody) = (folder.join("reports"), 54_321);
    std::fs::create_dir(&reports).unwrap();
    let mode = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    // Everybody may add a file, and nobody may list them.
    mode(&reports, 0o1733);
    mode(&folder, 0o755);
    let home = folder.join("somebody");
    std::fs::create_dir(&home).unwrap();
    std::fs::rename(homes.bheem(), home.join(".hermes")).unwrap();
    assert!(Command::new("chown").arg("-R").arg(somebody.to_string()).arg(&home).status().unwrap().success());
    // Where it was built may be a folder that nobody else can enter.
    let binary = folder.join("hermes-exporter");
    let built = env!("CARGO_BIN_EXE_hermes-exporter");
    std::fs::hard_link(built, &binary).or_else(|_| std::fs::copy(built, &binary).map(drop)).unwrap();
    let write = |file: &str| {
        let output = format!("{}/{file}", reports.display());
        let mut command = Command::new(&binary);
        command.env_clear().env("HOME", &home).env("TMPDIR", &home).current_dir(&home);
        command
            .args(["report", "--instance", "bheem", "--output", &output])
            .uid(somebody)
            .gid(somebody)
            .stdin(Stdio::null());
        let output = command.output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    for _ in 0..2 {
        assert_eq!(write("bheem.json"), (0, String::new()));
    }
    let metadata = std::fs::metadata(reports.join("bheem.json")).unwrap();
    assert_eq!((metadata.uid(), metadata.mode() & 0o7777), (somebody, 0o644));

    std::fs::write(reports.join("vijay.json"), "of root").unwrap();
    let (code, error) = write("vijay.json");
    assert_eq!(code, 1);
    assert!(
        error.contains("vijay.json could not be written: it belongs to root, and in this folder nobody may"),
        "{error}"
    );
    assert_eq!(std::fs::read_to_string(reports.join("vijay.json")).unwrap(), "of root");
    assert_eq!(std::fs::read_dir(&reports).unwrap().count(), 2);
}
