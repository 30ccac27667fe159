//! What the collectors of one instance remember from look to look, as it goes from one process to the next.
//!
//! A program that looks once and ends has it kept for the next one, so that counters go on as in a program that stays. Where
//! it is kept, and when it is not to be believed, is the matter of who keeps it. What a collector remembers is its own
//! matter: what it does not understand is as good as nothing.

use std::collections::BTreeMap;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::exporter::snapshot::Snapshot;
use crate::system::time::Timestamp;

/// The largest count that is believed: a thousand of them can be summed up.
const LARGEST_COUNT: u64 = 1 << 53;

/// Memories by the names of collectors.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Memory {
    /// Since when each of those that could not tell everything could not.
    pub failing_since: BTreeMap<String, Timestamp>,
    /// What each of them has told to be kept.
    pub collectors: BTreeMap<String, Value>,
}

impl Memory {
    /// What can be known of the former process by what it has shown.
    pub fn of_shown(snapshot: &Snapshot) -> Memory {
        let failing = snapshot.collectors.iter().filter_map(|run| Some((run.collector.clone(), run.failing_since?)));
        Memory { failing_since: failing.collect(), ..Memory::default() }
    }
}

/// A memory as it is kept; nothing where that can not be told.
pub fn keep(memory: &impl Serialize) -> Option<Value> {
    serde_json::to_value(memory).ok()
}

/// A memory as it was kept.
pub fn believe<T: DeserializeOwned>(kept: Value) -> Result<T, serde_json::Error> {
    serde_json::from_value(kept)
}

/// What tells one run of the machine from the next; processes are told apart by numbers that begin anew with it. Empty where
/// the kernel does not say.
pub fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

/// Refuses counts that nothing has ever counted, which could not be counted on from.
pub fn assert_counts(counts: impl IntoIterator<Item = u64>) -> Result<(), serde_json::Error> {
    match counts.into_iter().find(|count| *count > LARGEST_COUNT) {
        Some(_) => Err(serde_json::Error::custom("a count that is none")),
        None => Ok(()),
    }
}

/// A number that is the same one when it is read again. As text it may not be, by its last bit; and a counter that falls by
/// that has fallen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Exact(pub f64);

impl From<Exact> for u64 {
    fn from(exact: Exact) -> u64 {
        exact.0.to_bits()
    }
}

impl TryFrom<u64> for Exact {
    type Error = &'static str;

    fn try_from(bits: u64) -> Result<Exact, &'static str> {
        let number = f64::from_bits(bits);
        if number.is_finite() { Ok(Exact(number)) } else { Err("no number") }
    }
}

impl From<Timestamp> for Exact {
    fn from(moment: Timestamp) -> Exact {
        Exact(moment.seconds())
    }
}

impl Exact {
    /// The moment that this many seconds are.
    pub fn moment(self) -> Option<Timestamp> {
        Timestamp::from_seconds(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_exact_number_is_the_same_when_it_was_kept(number in prop::num::f64::NORMAL) {
            let text = keep(&Exact(number)).unwrap().to_string();
            prop_assert_eq!(believe::<Exact>(serde_json::from_str(&text).unwrap()).unwrap().0, number);
        }
    }

    #[test]
    fn what_is_no_number_and_what_nobody_has_counted_is_not_believed() {
        assert!(believe::<Exact>(Value::from(f64::NAN.to_bits())).is_err());
        assert!(believe::<Exact>(Value::from(-1)).is_err());
        assert!(assert_counts([0, LARGEST_COUNT]).is_ok());
        assert!(assert_counts([0, LARGEST_COUNT + 1]).is_err());
    }
}
