//! What holds for any report, whoever has written it: real ones with changes, and bytes of any kind.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

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

/// Anything that JSON can say, with the words and numbers that mean something here among it.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop_oneof![Just(0.0), Just(-1.5), Just(1e308), Just(NOW), Just(1e15), Just(253_402_300_799.0)]
            .prop_map(Value::from),
        prop::sample::select(vec![
            "absent",
            "known",
            "unknown",
            "stale",
            "running",
            "starting",
            "active",
            "other",
            "\u{0}\u{7f}"
        ])
        .prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            inner.clone().prop_map(|value| json!({"known": value})),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z\u{0}\\\\\"\n]{0,5}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A place in a report, by chance, and another value for it.
fn replace(value: &mut Value, steps: &[usize], with: Value) {
    match (value, steps) {
        (Value::Object(fields), [step, rest @ ..]) if !fields.is_empty() => {
            let count = fields.len();
            fields.values_mut().nth(step % count).into_iter().for_each(|inner| replace(inner, rest, with.clone()));
        }
        (Value::Array(values), [step, rest @ ..]) if !values.is_empty() => {
            let count = values.len();
            replace(&mut values[step % count], rest, with);
        }
        (value, _) => *value = with,
    }
}

/// The place in a report that steps lead to, as far as there is one.
fn place<'a>(value: &'a mut Value, steps: &[usize]) -> &'a mut Value {
    let Some((step, rest)) = steps.split_first() else { return value };
    let count = value.as_object().map(Map::len).or(value.as_array().map(Vec::len)).unwrap_or_default();
    match count {
        0 => value,
        _ if value.is_object() => place(value.as_object_mut().unwrap().values_mut().nth(step % count).unwrap(), rest),
        _ => place(&mut value[step % count], rest),
    }
}

/// What is done to a report.
#[derive(Debug, Clone)]
enum Change {
    /// Something else stands there.
    Says(Value),
    /// What stands elsewhere in a report stands there.
    Splice(usize, Vec<usize>),
    /// The same again, so often, or by so many names.
    Again(usize, String),
    /// So much further down.
    Deep(usize),
    /// What is known there is of this kind.
    Known(Value),
    /// A name of a field is another one.
    Renamed(usize, String),
}

fn change() -> impl Strategy<Value = Change> {
    let steps = || prop::collection::vec(any::<usize>(), 0..9);
    prop_oneof![
        anything().prop_map(Change::Says),
        (0..2_usize, steps()).prop_map(|(seed, steps)| Change::Splice(seed, steps)),
        (1..300_usize, odd_text()).prop_map(|(count, name)| Change::Again(count, name)),
        (1..140_usize).prop_map(Change::Deep),
        anything().prop_map(Change::Known),
        (any::<usize>(), odd_text()).prop_map(|(place, name)| Change::Renamed(place, name)),
    ]
}

/// Texts that mean something to who shows them: to terminals, pages, labels and people.
fn odd_text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,12}",
        prop::sample::select(vec![
            "\n",
            "\"",
            "\\",
            "\\n",
            "{",
            "}",
            "\u{0}",
            "\u{1b}[2J",
            "\u{202e}",
            "\u{2028}",
            "\u{feff}",
            "\u{85}",
            "\u{ad}",
            "</script><script>",
            "<!--",
            "&amp;",
            "%00",
            "# EOF",
            "le",
            "+Inf",
            "__name__",
            "instance",
            "quantile",
            "e\u{301}",
            "\u{e9}",
            "\u{10ffff}",
            "\u{e0001}",
            "other",
            "\u{fffd}"
        ])
        .prop_map(str::to_owned),
        (1..400_usize).prop_map(|count| "\u{1f980}".repeat(count)),
        (100..300_usize, 0..3_u8).prop_map(|(count, end)| format!("{}{end}", "x".repeat(count))),
    ]
}

fn apply(report: &mut Value, steps: &[usize], change: Change, seeds: &[Value]) {
    let there = place(report, steps);
    match change {
        Change::Says(value) => *there = value,
        Change::Splice(seed, from) => *there = place(&mut seeds[seed].clone(), &from).clone(),
        Change::Again(count, name) => match there {
            Value::Array(values) => {
                let first = values.first().cloned().unwrap_or_default();
                values.extend(std::iter::repeat_n(first, count));
            }
            Value::Object(fields) => {
                let first = fields.values().next().cloned().unwrap_or_default();
                fields.extend((0..count).map(|number| (format!("{name}{number}"), first.clone())));
            }
            Value::String(text) => *text = name,
            value => *value = json!([value, name]),
        },
        Change::Deep(count) => {
            for _ in 0..count {
                *there = json!({"known": there.take()});
            }
        }
        Change::Known(value) => *there = json!({"known": value}),
        Change::Renamed(step, name) => {
            if let Value::Object(fields) = there
                && !fields.is_empty()
            {
                let former = fields.keys().nth(step % fields.len()).unwrap().clone();
                let value = fields.remove(&former).unwrap();
                fields.insert(name, value);
            }
        }
    }
}

/// What only its text can have: fields twice, bytes and escapes that there are not, numbers of any length, an end too early.
fn written(mut text: Vec<u8>, changes: &[(u8, prop::sample::Index, u8)]) -> Vec<u8> {
    let pieces: [&[u8]; 14] = [
        b"\\ud800",
        b"\\udc00\\ud800",
        b"\\u0000",
        b"\\",
        b"\"",
        b"1e999",
        b"-0",
        b"0.1e-400",
        b"[[[[[[[[",
        b"\xff",
        b"\xef\xbb\xbf",
        b"NaN",
        b"99999999999999999999999999",
        b"/**/",
    ];
    for (kind, index, what) in changes {
        let at = index.index(text.len() + 1);
        match kind % 5 {
            0 => drop(text.splice(at..at, pieces[usize::from(*what) % pieces.len()].iter().copied())),
            1 => text.truncate(at),
            2 => text.get_mut(at).into_iter().for_each(|byte| *byte = *what),
            3 => {
                // A field again, with what is behind another one: the last of both counts.
                let fields: Vec<_> = (0..text.len()).filter(|at| text[*at] == b'{').collect();
                if let Some(begin) = fields.get(usize::from(*what) % fields.len().max(1)) {
                    let behind = &text[begin + 1..];
                    let end = behind.iter().position(|byte| *byte == b':').map_or(0, |end| end + 1);
                    let again = [&behind[..end], b"{\"known\": 5},"].concat();
                    let at = fields[index.index(fields.len())] + 1;
                    text.splice(at..at, again);
                }
            }
            _ => {
                let end = (at + usize::from(*what)).min(text.len());
                drop(text.drain(at..end));
            }
        }
    }
    text
}

fn of_text() -> impl Strategy<Value = (u8, prop::sample::Index, u8)> {
    (any::<u8>(), any::<prop::sample::Index>(), any::<u8>())
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
