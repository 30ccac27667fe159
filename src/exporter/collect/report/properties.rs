//! What holds for any report, whoever has written it: real ones with changes, and bytes of any kind.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::mutation::{apply, change, of_text, written};
use super::tests::{MOST_SERIES, NOW, at, look, report, reported, shown};
use super::*;
use crate::config_file::mutation::cases;

/// What a report of another instance has in it, and nothing else here.
const FOREIGN: &str = "of_somebody_else";

/// Whatever a report says: what is told of it can be shown, names nobody else, and is the same when it is told again.
fn harmless(content: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bheem.json");
    std::fs::write(&path, content).unwrap();
    let mut reader = ReportReader::new(&reported(&path));
    let (snapshot, problems) = look(&mut reader);
    assert_eq!((snapshot.identity.name.as_str(), snapshot.identity.source), ("bheem", Source::Report));
    assert!(look(&mut reader) == (snapshot.clone(), problems.clone()), "again by the same reader");
    let by_another = look(&mut ReportReader::new(&reported(&path)));
    assert!(by_another == (snapshot.clone(), problems.clone()), "by another reader");

    assert!(snapshot.taken_at <= at(0.0));
    if let [problem] = problems.as_slice() {
        // Nothing of a report that does not count is told, be it half.
        let blank = Snapshot { collectors: Vec::new(), ..snapshot.clone() };
        assert!(all_unknown(blank, problem.reason) == snapshot, "{problem:?}");
    } else {
        assert_eq!(problems, []);
        assert_tells_the_same_when_it_is_reported_again(&snapshot, &path);
    }
    let text = shown(snapshot);
    assert!(text.lines().count() < 2 * MOST_SERIES);
    assert!(text.lines().filter(|line| line.contains("instance=")).all(|line| line.contains("instance=\"bheem\"")));
    assert!(!text.contains(FOREIGN));
}

/// What was believed once is believed again, and becomes no more and no less by that.
fn assert_tells_the_same_when_it_is_reported_again(snapshot: &Snapshot, path: &std::path::Path) {
    std::fs::write(path, serde_json::to_vec(snapshot).unwrap()).unwrap();
    let (again, problems) = look(&mut ReportReader::new(&reported(path)));
    assert_eq!(problems, []);
    let json = |snapshot: &Snapshot| serde_json::to_value(snapshot).unwrap();
    assert_eq!(difference(&json(snapshot), &json(&again)), None);
}

/// What is not the same, but for the last bits of a number, which are lost where it is written down.
fn difference(one: &Value, other: &Value) -> Option<String> {
    let of = |name: &str, one: &Value, other: &Value| difference(one, other).map(|it| format!("{name}/{it}"));
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            let (one, other) = (one.as_f64()?, other.as_f64()?);
            ((one - other).abs() > one.abs() * 1e-12).then(|| format!("{one} {other}"))
        }
        (Value::Object(one), Value::Object(other)) if one.keys().eq(other.keys()) => {
            one.iter().find_map(|(name, value)| of(name, value, &other[name]))
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            one.iter().zip(other).enumerate().find_map(|(place, (one, other))| of(&place.to_string(), one, other))
        }
        _ => (one != other).then(|| format!("{one} {other}")),
    }
}

/// Real reports: of a sample home, and one of everything that there is.
fn seeds() -> Vec<Value> {
    let golden = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/report.json");
    let mut golden: Value = serde_json::from_slice(&std::fs::read(golden).unwrap()).unwrap();
    golden["identity"]["name"] = json!("bheem");
    golden["taken_at"] = json!(NOW - 60.0);
    vec![report(), golden]
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn any_bytes_are_harmless(content in prop::collection::vec(any::<u8>(), 0..2_000)) {
        harmless(&content);
    }

    #[test]
    fn a_report_whose_text_is_wrong_is_harmless(seed in 0..2_usize, changes in prop::collection::vec(of_text(), 1..8)) {
        harmless(&written(serde_json::to_vec(&seeds()[seed]).unwrap(), &changes));
    }

    #[test]
    fn a_report_that_says_anything_is_harmless(
        seed in 0..2_usize,
        changes in prop::collection::vec((prop::collection::vec(any::<usize>(), 0..9), change()), 1..8),
        of_text in prop::collection::vec(of_text(), 0..2),
    ) {
        let seeds = seeds();
        let mut changed = seeds[seed].clone();
        for (steps, change) in changes {
            apply(&mut changed, &steps, change, &seeds);
        }
        harmless(&written(serde_json::to_vec(&changed).unwrap(), &of_text));
    }

    #[test]
    fn of_a_report_of_another_instance_or_another_time_nothing_is_told(
        steps in prop::collection::vec(any::<usize>(), 1..9),
        change in change(),
        (name, ago) in prop_oneof![
            ("[a-zA-Z\u{e9}\u{0} ]{0,8}", 60.0..61.0), Just(("bheem".to_owned(), 1e6)), Just(("bheem".to_owned(), -301.0)),
            Just(("bheem\u{0}".to_owned(), 60.0)), Just((" bheem".to_owned(), 60.0)), Just(("Bheem".to_owned(), 60.0)),
            Just(("bheem".repeat(100), 60.0)), Just(("bheem\u{200d}".to_owned(), 60.0)),
        ],
    ) {
        let mut changed = report();
        apply(&mut changed, &steps, change, &seeds());
        if !changed["activity"]["known"].is_object() {
            changed["activity"] = report()["activity"].take();
        }
        changed["activity"]["known"]["tool_calls"] = json!({FOREIGN: 5});
        // Whose it is stays known of a report of its own that is too old.
        let profile = if ago > 900.0 { "coder" } else { FOREIGN };
        changed["identity"] = json!({"name": name, "user": FOREIGN, "profile": profile});
        changed["taken_at"] = json!(NOW - ago);
        if name != "bheem" || ago != 60.0 {
            harmless(&serde_json::to_vec(&changed).unwrap());
        }
    }
}
