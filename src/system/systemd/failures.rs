//! Counting the failures of services from the signals of their manager, so that one that is over before anybody looks
//! is not lost.
//!
//! A signal of a service carries all its properties that announce their changes, as they are at that moment. Every
//! start sets the result back to `success`, so that a failure is a change of the result to another word. Where the
//! moments in between were not told (systemd sends one signal for several changes in a row), a new start of the main
//! process tells one failure from the one before.

use std::collections::{BTreeMap, HashMap};

/// The most services whose failures are counted; who has more of them failing has other worries.
const MOST_SERVICES: usize = 4096;

/// The most different results of one service.
const MOST_RESULTS: usize = 32;

/// How a service was at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sample {
    /// `success`, or how it failed.
    pub(super) result: String,
    /// When its main process was last started, in microseconds; tells one start from another.
    pub(super) main_start: u64,
    /// How often it was started again by itself.
    pub(super) restarts: u64,
}

/// Where a sample comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// It was sent because something has changed.
    Signal,
    /// It was asked for; what it shows may be long past.
    Question,
}

#[derive(Debug, Default)]
struct Service {
    last: Option<Sample>,
    by_result: BTreeMap<String, u64>,
}

/// The failures of the services of one manager.
#[derive(Debug, Default)]
pub(super) struct Failures {
    services: HashMap<String, Service>,
}

impl Failures {
    /// Takes notice of how a service is.
    pub(super) fn see(&mut self, unit: &str, sample: Sample, origin: Origin) {
        if !self.services.contains_key(unit) && self.services.len() >= MOST_SERVICES {
            return;
        }
        let service = self.services.entry(unit.to_owned()).or_default();
        let has_failed = sample.result != "success";
        let is_another = match &service.last {
            Some(last) => last.result != sample.result || last.main_start != sample.main_start,
            // What was so before anybody watched is no failure between two looks.
            None => origin == Origin::Signal,
        };
        if has_failed && is_another {
            service.count(&sample.result, 1);
        }
        service.last = Some(sample);
    }

    /// Takes notice of how a service is, unless it has been seen before: then its signals tell.
    pub(super) fn see_first(&mut self, unit: &str, sample: Sample) {
        if !self.services.contains_key(unit) {
            self.see(unit, sample, Origin::Question);
        }
    }

    /// Takes notice of how a service is after a time in which no signals came.
    ///
    /// How often it was started again by itself in between is known, and each time is taken for a failure.
    pub(super) fn see_after_gap(&mut self, unit: &str, sample: Sample) {
        let missed = match self.services.get(unit).and_then(|service| service.last.as_ref()) {
            Some(last) => sample.restarts.saturating_sub(last.restarts),
            None => 0,
        };
        let has_failed = sample.result != "success";
        let result = if has_failed { sample.result.clone() } else { "unknown".to_owned() };
        self.see(unit, sample, Origin::Question);
        if let Some(service) = self.services.get_mut(unit) {
            // The failure that shows is the last of those that were missed, and is counted already.
            service.count(&result, missed.saturating_sub(u64::from(has_failed)));
        }
    }

    /// The failures of a unit by result.
    pub(super) fn of(&self, unit: &str) -> BTreeMap<String, u64> {
        self.services.get(unit).map(|service| service.by_result.clone()).unwrap_or_default()
    }
}

impl Service {
    fn count(&mut self, result: &str, failures: u64) {
        let has_room = self.by_result.len() < MOST_RESULTS || self.by_result.contains_key(result);
        if failures > 0 && has_room {
            *self.by_result.entry(result.to_owned()).or_default() += failures;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNIT: &str = "hermes-gateway.service";

    fn sample(result: &str, main_start: u64, restarts: u64) -> Sample {
        Sample { result: result.to_owned(), main_start, restarts }
    }

    fn counted(samples: &[(&str, u64, u64)]) -> BTreeMap<String, u64> {
        let mut failures = Failures::default();
        failures.see(UNIT, sample("success", 1, 0), Origin::Question);
        for (result, main_start, restarts) in samples {
            failures.see(UNIT, sample(result, *main_start, *restarts), Origin::Signal);
        }
        failures.of(UNIT)
    }

    fn is(expected: &[(&str, u64)]) -> BTreeMap<String, u64> {
        expected.iter().map(|(result, count)| ((*result).to_owned(), *count)).collect()
    }

    #[test]
    fn a_crash_and_its_restart_are_one_failure_however_many_signals_tell() {
        let told =
            [("exit-code", 1, 0), ("exit-code", 1, 0), ("exit-code", 1, 1), ("success", 2, 1), ("success", 2, 1)];
        assert_eq!(counted(&told), is(&[("exit-code", 1)]));
    }

    #[test]
    fn each_crash_of_a_loop_is_counted_also_when_the_start_between_was_not_told() {
        let told = [("exit-code", 1, 0), ("exit-code", 2, 1), ("success", 3, 2), ("exit-code", 3, 2)];
        assert_eq!(counted(&told), is(&[("exit-code", 3)]));
    }

    #[test]
    fn one_that_fails_before_its_main_process_is_counted_at_each_attempt() {
        let told =
            [("exit-code", 1, 0), ("success", 1, 1), ("exit-code", 1, 1), ("success", 1, 2), ("exit-code", 1, 2)];
        assert_eq!(counted(&told), is(&[("exit-code", 3)]));
    }

    #[test]
    fn giving_up_is_a_failure_of_its_own() {
        let told = [("exit-code", 1, 0), ("success", 2, 1), ("exit-code", 2, 1), ("start-limit-hit", 2, 1)];
        assert_eq!(counted(&told), is(&[("exit-code", 2), ("start-limit-hit", 1)]));
    }

    #[test]
    fn a_start_and_a_stop_in_order_are_no_failures() {
        assert_eq!(counted(&[("success", 1, 0), ("success", 2, 0)]), is(&[]));
    }

    #[test]
    fn what_has_failed_before_it_was_watched_is_not_counted() {
        let mut failures = Failures::default();
        failures.see(UNIT, sample("exit-code", 1, 4), Origin::Question);
        failures.see(UNIT, sample("exit-code", 1, 4), Origin::Signal);
        assert_eq!(failures.of(UNIT), is(&[]));
        // One that nobody has asked for yet, and that fails now.
        failures.see("other.service", sample("signal", 1, 0), Origin::Signal);
        assert_eq!(failures.of("other.service"), is(&[("signal", 1)]));
    }

    #[test]
    fn failures_in_a_gap_are_counted_by_the_restarts() {
        let mut failures = Failures::default();
        failures.see_after_gap(UNIT, sample("success", 1, 2));
        assert_eq!(failures.of(UNIT), is(&[]));
        failures.see_after_gap(UNIT, sample("success", 4, 5));
        assert_eq!(failures.of(UNIT), is(&[("unknown", 3)]));
        failures.see_after_gap(UNIT, sample("signal", 6, 7));
        assert_eq!(failures.of(UNIT), is(&[("signal", 2), ("unknown", 3)]));
        // Started by somebody, which sets the restarts back; and failed for good.
        failures.see_after_gap(UNIT, sample("exit-code", 9, 0));
        assert_eq!(failures.of(UNIT), is(&[("exit-code", 1), ("signal", 2), ("unknown", 3)]));
    }
}
