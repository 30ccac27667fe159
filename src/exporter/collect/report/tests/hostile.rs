//! Reports of whoever means harm, or of a program that is broken: they make no more than so much, and nothing of them is
//! believed that can not be.

use serde_json::{Value, json};

use super::*;

#[test]
fn a_bomb_of_labels_makes_no_more_than_so_many_series() {
    let many = |count: usize, value: &dyn Fn(usize) -> Value| -> Value {
        (0..count).map(|number| (format!("n{number}"), value(number))).collect::<serde_json::Map<_, _>>().into()
    };
    // One mebibyte of different names in one place: capped, and shown.
    let mut flat = report();
    flat["activity"]["known"]["tool_calls"] = many(60_000, &|number| json!(number));
    assert!(serde_json::to_vec(&flat).unwrap().len() < MOST_BYTES as usize);
    let (snapshot, problems) = read_json(&flat);
    assert_eq!((snapshot.activity.known().unwrap().tool_calls.iter().count(), problems), (limits_of_one(), vec![]));
    assert!(shown(snapshot).lines().count() < 1_000);

    // In as many places as there are: too much altogether.
    let nested = || many(300, &|_| many(150, &|number| json!(number)));
    let mut everywhere = report();
    everywhere["credentials"]["known"]["pools"]["known"] = nested();
    let (snapshot, problems) = read_json(&everywhere);
    assert_eq!(problems, problem("size of the report", Reason::Unsupported));
    assert!(shown(snapshot).lines().count() < 100);

    // Just not too much.
    let mut most = report();
    most["credentials"]["known"]["pools"]["known"] = many(70, &|_| many(101, &|number| json!(number)));
    let unit =
        |number: usize| json!({"unit": format!("u{number}"), "role": "", "state": {"known": "active"}, "managers": {}});
    most["units"]["known"] = (0..101).map(unit).collect();
    let job = |number: usize| json!({"state": "error", "overdue": false, "last_run": {"known": number}});
    most["cron"]["known"]["jobs"]["known"] = many(101, &job);
    most["gateway"]["known"]["platforms"]["known"] = many(101, &|_| json!({"state": "fatal", "error_code": "e"}));
    let (snapshot, problems) = read_json(&most);
    assert_eq!(problems, []);
    let series = shown(snapshot).lines().filter(|line| !line.starts_with('#')).count();
    assert!((7_000..MOST_SERIES).contains(&series), "{series}");
}

fn limits_of_one() -> usize {
    crate::exporter::snapshot::MOST_ENTRIES + 1
}

#[test]
fn things_that_come_twice_and_numbers_that_can_not_be_harm_nothing() {
    let twice = |report: &mut Value, pointer: &str| {
        let list = report.pointer_mut(pointer).unwrap().as_array_mut().unwrap();
        let again = list.clone();
        list.extend(again);
    };
    let mut report = report();
    twice(&mut report, "/units/known");
    twice(&mut report, "/sessions/known/model_usage/known");
    twice(&mut report, "/exposure/known/listeners/known");
    twice(&mut report, "/gateway/known/unit_processes/known");
    twice(&mut report, "/collectors");
    let long = "x".repeat(150);
    report["activity"]["known"]["tool_calls"] =
        json!({format!("{long}1"): 1, format!("{long}2"): 2, "a\u{0}\u{1b}[2J": 1e15});
    report["sessions"]["known"]["database_bytes"] = json!(u64::MAX);
    report["gateway"]["known"]["processes"] = json!({"known": -1});
    report["gateway"]["known"]["starts"] = json!({"known": 1e308});
    report["gateway"]["known"]["state_since"] = json!({"known": 1e15});
    let (snapshot, problems) = read_json(&report);
    assert_eq!(problems, []);
    assert_eq!(snapshot.units.known().unwrap().0.len(), 2);
    assert_eq!(snapshot.exposure.known().unwrap().listeners.known().unwrap().len(), 1);
    assert!(matches!(snapshot.sessions, Reading::Unknown(Reason::Unsupported)), "a size that no file has");
    let gateway = snapshot.gateway.known().unwrap();
    assert_eq!(gateway.unit_processes.known().unwrap().len(), 1);
    for reading in [gateway.processes, gateway.starts] {
        assert_eq!(reading, Reading::Unknown(Reason::Unsupported));
    }
    assert_eq!(gateway.state_since, Reading::Unknown(Reason::Unsupported));
    assert!(!shown(snapshot).contains('\u{1b}'));
}
