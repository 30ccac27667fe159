//! JSON that nobody would write, made of what programs do: for tests of what reads reports, and what is kept for the next one.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Anything that JSON can say, with the words and numbers that mean something here among it.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        prop_oneof![Just(0.0), Just(-1.5), Just(1e308), Just(1_795_165_255.0), Just(1e15), Just(253_402_300_799.0)]
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

/// The place in it that steps lead to, as far as there is one.
fn place<'a>(value: &'a mut Value, steps: &[usize]) -> &'a mut Value {
    let Some((step, rest)) = steps.split_first() else { return value };
    let count = value.as_object().map(Map::len).or(value.as_array().map(Vec::len)).unwrap_or_default();
    match count {
        0 => value,
        _ if value.is_object() => place(value.as_object_mut().unwrap().values_mut().nth(step % count).unwrap(), rest),
        _ => place(&mut value[step % count], rest),
    }
}

/// What is done to it.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// Something else stands there.
    Says(Value),
    /// What stands elsewhere stands there.
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

/// One change of what is said.
pub(crate) fn change() -> impl Strategy<Value = Change> {
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

/// Does that at the place that the steps lead to.
pub(crate) fn apply(json: &mut Value, steps: &[usize], change: Change, seeds: &[Value]) {
    let there = place(json, steps);
    match change {
        Change::Says(value) => *there = value,
        Change::Splice(seed, from) => *there = place(&mut seeds[seed % seeds.len()].clone(), &from).clone(),
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
pub(crate) fn written(mut text: Vec<u8>, changes: &[(u8, prop::sample::Index, u8)]) -> Vec<u8> {
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

/// One change of a text.
pub(crate) fn of_text() -> impl Strategy<Value = (u8, prop::sample::Index, u8)> {
    (any::<u8>(), any::<prop::sample::Index>(), any::<u8>())
}
