//! How much of a report is taken: what it may make of somebody's Prometheus, and of this program's sums.

use std::collections::HashSet;
use std::hash::Hash;

use serde_json::Value;

use crate::exporter::snapshot::exposure::Exposure;
use crate::exporter::snapshot::gateway::Gateway;
use crate::exporter::snapshot::sessions::Sessions;
use crate::exporter::snapshot::units::Units;
use crate::exporter::snapshot::{MOST_ENTRIES, Reading};

/// The most entries of one list or one map; a map that was capped when it was written has one more, for the rest.
const MOST_OF_ONE: usize = MOST_ENTRIES + 1;

/// The most values in a report after each list and map was capped. Real ones have some hundreds, and no series comes of
/// less than one, but for states, which are ten at the most for each thing.
pub(super) const MOST_VALUES: usize = 10_000;

/// The largest number that is taken: ten thousand of them still fit where they may be summed up.
const LARGEST_NUMBER: f64 = 1e15;

/// The most characters of a text, of which labels take fewer.
const LONGEST_TEXT: usize = 200;

/// A report of which every list, map, text and number is within bounds; `None` where there is too much of it altogether.
/// A number outside of them becomes null, which is understood nowhere.
pub(super) fn pruned(mut report: Value) -> Option<Value> {
    let mut left = MOST_VALUES;
    prune(&mut report, &mut left)?;
    Some(report)
}

/// The parser lets values be 128 deep, so that this ends before the stack does.
fn prune(value: &mut Value, left: &mut usize) -> Option<()> {
    match value {
        Value::Null | Value::Bool(_) => *left = left.checked_sub(1)?,
        Value::Number(number) => {
            *left = left.checked_sub(1)?;
            if !number.as_f64().is_some_and(|number| (0.0..=LARGEST_NUMBER).contains(&number)) {
                *value = Value::Null;
            }
        }
        Value::String(text) => {
            *left = left.checked_sub(1)?;
            if text.len() > LONGEST_TEXT || text.contains(char::is_control) {
                *text = harmless(text);
            }
        }
        Value::Array(values) => {
            values.truncate(MOST_OF_ONE);
            for value in values {
                prune(value, left)?;
            }
        }
        Value::Object(fields) => {
            if fields.len() > MOST_OF_ONE || fields.keys().any(|name| name.contains(char::is_control)) {
                let taken = std::mem::take(fields).into_iter().take(MOST_OF_ONE);
                *fields = taken.map(|(name, value)| (harmless(&name), value)).collect();
            }
            for value in fields.values_mut() {
                prune(value, left)?;
            }
        }
    }
    Some(())
}

fn harmless(text: &str) -> String {
    let instead = |letter: char| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter };
    text.chars().take(LONGEST_TEXT).map(instead).collect()
}

/// Has lists of things that are told apart by names, which become labels: no two may have the same.
pub(super) trait Distinct {
    /// Drops what comes again.
    fn keep_distinct(&mut self);
}

fn keep_first<T, K: Eq + Hash>(list: &mut Vec<T>, key: impl Fn(&T) -> K) {
    let mut seen = HashSet::new();
    list.retain(|entry| seen.insert(key(entry)));
}

impl Distinct for Units {
    fn keep_distinct(&mut self) {
        keep_first(&mut self.0, |unit| (unit.unit.clone(), unit.role.clone()));
    }
}

impl Distinct for Sessions {
    fn keep_distinct(&mut self) {
        if let Reading::Known(usage) = &mut self.model_usage {
            keep_first(usage, |usage| (usage.model.clone(), usage.provider.clone(), usage.task.clone()));
        }
    }
}

impl Distinct for Exposure {
    fn keep_distinct(&mut self) {
        if let Reading::Known(listeners) = &mut self.listeners {
            listeners.sort();
            listeners.dedup();
        }
    }
}

impl Distinct for Gateway {
    fn keep_distinct(&mut self) {
        if let Reading::Known(processes) = &mut self.unit_processes {
            keep_first(processes, |processes| (processes.manager.as_str(), processes.unit.clone()));
        }
    }
}
