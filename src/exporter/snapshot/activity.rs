//! What is known of an instance's activity: turns and tool calls, counted as messages come in.

use serde::{Deserialize, Serialize};

use super::Tally;

/// Upper bounds of the buckets of turn durations, in seconds; one more bucket takes what is longer.
pub const TURN_BUCKETS: [f64; 11] = [1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0];

/// What went on in one instance, since its first message that is still stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Activity {
    /// How long turns took: from a message of a person to the answer that calls no tool.
    pub turns: TurnDurations,
    /// Calls that the model made, by tool.
    pub tool_calls: Tally,
}

/// A histogram of turn durations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct TurnDurations {
    /// Turns per bucket of [`TURN_BUCKETS`], not cumulative, and those beyond the last bound.
    pub buckets: [u64; TURN_BUCKETS.len() + 1],
    /// The sum of all durations in seconds.
    pub sum_seconds: f64,
}

impl TurnDurations {
    /// Counts a turn of this many seconds.
    pub fn observe(&mut self, seconds: f64) {
        let bucket = TURN_BUCKETS.iter().position(|bound| seconds <= *bound).unwrap_or(TURN_BUCKETS.len());
        self.buckets[bucket] += 1;
        self.sum_seconds += seconds;
    }

    /// Turns so far.
    pub fn count(&self) -> u64 {
        self.buckets.iter().fold(0, |total, count| total.saturating_add(*count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_falls_into_the_bucket_whose_bound_it_does_not_exceed() {
        let mut turns = TurnDurations::default();
        for seconds in [0.0, 1.0, 1.5, 3600.0, 3601.0] {
            turns.observe(seconds);
        }
        assert_eq!(turns.buckets, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
        assert_eq!(turns.count(), 5);
        assert_eq!(turns.sum_seconds, 7203.5);
    }
}
