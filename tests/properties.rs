//! What holds for any input at all: nothing that is read from outside panics, and no name breaks the exposition.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use hermes_exporter::exporter::config::Config;
use hermes_exporter::exporter::expose::metrics::Exposition;
use hermes_exporter::exporter::snapshot::activity::Activity;
use hermes_exporter::exporter::snapshot::{Fleet, Label, Reading, Snapshot, Tally};
use hermes_exporter::system::time::Timestamp;
use hermes_exporter::web::metrics_text::Format;
use proptest::prelude::*;

use crate::homes::Homes;

/// One label value as the text formats write it, read back.
fn unescaped(value: &str) -> String {
    let mut read = String::new();
    let mut characters = value.chars();
    while let Some(character) = characters.next() {
        read.push(match (character, character == '\\') {
            (_, true) => match characters.next().unwrap() {
                'n' => '\n',
                other => other,
            },
            (other, false) => other,
        });
    }
    read
}

fn with_tools(snapshot: &Snapshot, names: &[String]) -> Fleet {
    let mut counts: BTreeMap<Label, u64> = BTreeMap::new();
    for name in names {
        *counts.entry(Label::new(name)).or_default() += 1;
    }
    let activity = Activity { tool_calls: Tally::capped(counts), ..Activity::default() };
    let snapshot = Snapshot { activity: Reading::Known(Arc::new(activity)), ..snapshot.clone() };
    Fleet { instances: vec![Arc::new(snapshot.clone())], ..Fleet::at(snapshot.taken_at) }
}

#[test]
fn any_name_comes_back_as_it_was_from_both_formats() {
    let seen = Homes::unpack().look();
    let names = prop::collection::vec(any::<String>(), 0..20);
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    runner
        .run(&names, |names| {
            let fleet = Arc::new(with_tools(&seen.instances[0], &names));
            let expected: Vec<_> = {
                let activity = fleet.instances[0].activity.known().unwrap();
                activity.tool_calls.iter().map(|(label, count)| (label.to_string(), count)).collect()
            };
            for format in [Format::OpenMetrics, Format::Text] {
                let text = Exposition::new(Arc::clone(&fleet), None).encode(format).unwrap();
                let prefix = "hermes_tool_calls_total{instance=\"vijay\",tool=\"";
                let found: Vec<_> = text
                    .split('\n')
                    .filter_map(|line| line.strip_prefix(prefix))
                    .map(|rest| {
                        let (value, count) = rest.rsplit_once("\"} ").unwrap();
                        (unescaped(value), count.parse::<u64>().unwrap())
                    })
                    .collect();
                prop_assert_eq!(&found, &expected);
            }
            Ok(())
        })
        .unwrap();
}

proptest! {
    #[test]
    fn no_text_makes_a_parser_panic(text in any::<String>()) {
        let _ = Config::from_text(Path::new("any.yml"), &text);
        let _ = Timestamp::from_text(&text);
        let _ = Format::of_accept(Some(&text));
        let _ = serde_json::from_str::<Snapshot>(&text);
    }

    #[test]
    fn no_configuration_of_roughly_the_right_shape_makes_it_panic(
        key in "[a-z_]{1,12}", name in any::<String>(), home in any::<String>(), duration in "[0-9]{0,25}[a-z]{0,3}",
    ) {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        let text = format!(
            "instances:\n  - name: {}\n    home: {}\n    {key}: {duration}\nthresholds: {{gateway_heartbeat: {duration}}}\n",
            quoted(&name), quoted(&home)
        );
        let _ = Config::from_text(Path::new("any.yml"), &text);
    }
}
