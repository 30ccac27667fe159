//! How many requests are answered in which time: a bucket of turns that fills up again.

use std::time::{Duration, Instant};

/// What the file allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RateLimit {
    /// After this long there is one more turn.
    pub(super) interval: Duration,
    /// As many may be taken at once.
    pub(super) burst: u32,
}

/// The turns that are left; full at first.
#[derive(Debug, Default)]
pub(super) struct Bucket {
    since: Option<(Instant, f64)>,
}

impl Bucket {
    /// Takes a turn, if there is one.
    pub(super) fn take(&mut self, limit: RateLimit, now: Instant) -> bool {
        let full = f64::from(limit.burst);
        let turns = self.since.map_or(full, |(since, left)| {
            let passed = now.saturating_duration_since(since).as_secs_f64();
            (left + passed / limit.interval.as_secs_f64()).min(full)
        });
        let is_allowed = turns >= 1.0;
        self.since = Some((now, if is_allowed { turns - 1.0 } else { turns }));
        is_allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_is_let_through_and_then_one_each_interval() {
        let limit = RateLimit { interval: Duration::from_secs(1), burst: 3 };
        let mut bucket = Bucket::default();
        let start = Instant::now();
        let mut at = |milliseconds| bucket.take(limit, start + Duration::from_millis(milliseconds));
        assert_eq!(
            [at(0), at(0), at(0), at(0), at(500), at(1000), at(1001)],
            [true, true, true, false, false, true, false]
        );
        // However long nobody asks, no more than the burst is saved.
        assert_eq!([at(90_000), at(90_000), at(90_000), at(90_000)], [true, true, true, false]);
    }

    #[test]
    fn a_smaller_limit_holds_at_once() {
        let mut bucket = Bucket::default();
        let now = Instant::now();
        assert!(bucket.take(RateLimit { interval: Duration::from_secs(1), burst: 100 }, now));
        let limit = RateLimit { interval: Duration::from_secs(1), burst: 1 };
        assert!(bucket.take(limit, now) && !bucket.take(limit, now));
    }
}
