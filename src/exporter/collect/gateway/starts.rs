//! How often a gateway was started, from its own log of starts.

use serde::{Deserialize, Serialize};

use crate::exporter::collect::memory::{self, Exact};
use crate::exporter::snapshot::gateway::RECENT_SECONDS;
use crate::system::time::Timestamp;

/// How many of `starts` are recent at `now`. One that lies ahead was written before the clock was set back, and nobody
/// knows when it was.
pub(super) fn recent(starts: &[Timestamp], now: Timestamp) -> u64 {
    let is_recent = |start: &&Timestamp| (0.0..=RECENT_SECONDS).contains(&now.seconds_since(**start));
    starts.iter().filter(is_recent).count() as u64
}

/// Counts starts from a log that keeps only the newest: the count goes on when old lines are dropped.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct StartCounter {
    counted: u64,
    last: Option<Exact>,
}

impl StartCounter {
    /// That it is one that can go on.
    pub(super) fn assert(&self) -> Result<(), serde_json::Error> {
        memory::assert_counts([self.counted])
    }

    pub(super) fn count(&mut self, starts: &[Timestamp]) -> u64 {
        // By its place in the log, not by its time: clocks are set.
        let known =
            starts.iter().rposition(|start| Some(Exact::from(*start)) == self.last).map_or(0, |place| place + 1);
        self.counted += (starts.len() - known) as u64;
        self.last = starts.last().copied().map(Exact::from).or(self.last);
        self.counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recent_starts_are_those_of_the_last_quarter_of_an_hour_and_none_that_lies_ahead() {
        let at = |seconds: f64| Timestamp::from_seconds(seconds).unwrap();
        let starts = [100.0, 1_000.0, 1_001.0, 1_900.0, 1_900.5, 5_000.0].map(at);
        assert_eq!(recent(&starts, at(1_900.0)), 3);
        assert_eq!(recent(&starts, at(2_000.0)), 2);
        assert_eq!(recent(&starts, at(4_000.0)), 0);
        assert_eq!(recent(&[], at(1.0)), 0);
    }

    #[test]
    fn starts_go_on_counting_when_the_log_drops_its_oldest_lines() {
        let mut counter = StartCounter::default();
        let mut count = |starts: &[f64]| {
            // Each time in another process.
            counter =
                memory::believe(serde_json::from_str(&memory::keep(&counter).unwrap().to_string()).unwrap()).unwrap();
            counter.count(&starts.iter().filter_map(|start| Timestamp::from_seconds(*start)).collect::<Vec<_>>())
        };
        assert_eq!(count(&[100.0, 200.0]), 2);
        assert_eq!(count(&[100.0, 200.0, 300.0]), 3);
        assert_eq!(count(&[200.0, 300.0, 400.0]), 4);
        assert_eq!(count(&[]), 4);
        // A clock that was set back.
        assert_eq!(count(&[300.0, 400.0, 50.0]), 5);
        assert_eq!(count(&[400.0, 50.0, 60.0]), 6);
    }
}
