//! Counting the failures of services from the signals of their manager, so that one that is over before anybody looks
//! is not lost.
//!
//! A signal of a service carries all its properties that announce their changes, as they are at that moment. Every
//! start sets the result back to `success`, so that a failure is a change of the result to another word. Where the
//! moments in between were not told (systemd sends one signal for several changes in a row), a new start of the main
//! process tells one failure from the one before.
//!
//! While there is no connection nothing is told. How often a service was started again by itself is known afterwards, and
//! each of these starts follows a failure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::FAILURES;

/// The most services whose failures are counted; who has more of them failing has other worries.
const MOST_SERVICES: usize = 4096;

/// The result of a failure that has left no trace but a restart.
const UNKNOWN: &str = "unknown";

/// Results that only newer versions know.
const OTHER: &str = "other";

/// How a service was at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sample {
    /// `success`, or how it failed.
    pub(super) result: String,
    /// When its main process was last started, in microseconds; tells one start from another.
    pub(super) main_start: u64,
    /// How often it was started again by itself.
    pub(super) restarts: u64,
}

impl Sample {
    fn has_failed(&self) -> bool {
        self.result != "success"
    }

    /// Whether it shows a failure, and another one than `earlier`.
    fn is_another_failure(&self, earlier: &Sample) -> bool {
        self.has_failed() && (earlier.result != self.result || earlier.main_start != self.main_start)
    }
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Service {
    last: Option<Sample>,
    by_result: BTreeMap<String, u64>,
    /// How it was when the signals ended, and how many failures were counted by then; until it is known how it was after.
    before_gap: Option<(Sample, u64)>,
}

/// What was counted of one manager, for another process to go on from.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CountedFailures(HashMap<String, Service>);

impl CountedFailures {
    /// All counts.
    pub fn counts(&self) -> impl Iterator<Item = u64> {
        self.0.values().flat_map(|service| service.by_result.values().copied())
    }
}

/// The failures of the services of one manager that somebody wants to know about.
#[derive(Debug, Default)]
pub(super) struct Failures {
    names: BTreeSet<String>,
    patterns: BTreeMap<String, glob::Pattern>,
    services: HashMap<String, Service>,
}

impl Failures {
    /// Goes on from what another process has counted. Between the two there were no signals.
    pub(super) fn after(counted: CountedFailures) -> Failures {
        let mut services = counted.0;
        services.retain(|_, service| {
            let is_known = |result: &str| FAILURES.contains(&result) || [UNKNOWN, OTHER].contains(&result);
            service.by_result.keys().all(|result| is_known(result)) && service.is_consistent()
        });
        let mut failures = Failures { services, ..Failures::default() };
        failures.begin_gap();
        failures
    }

    /// What was counted so far.
    pub(super) fn counted(&self) -> CountedFailures {
        CountedFailures(self.services.clone())
    }

    /// From now on the failures of these services are counted, too.
    pub(super) fn want<'a>(
        &mut self,
        names: impl Iterator<Item = &'a String>,
        patterns: impl Iterator<Item = &'a String>,
    ) {
        for name in names {
            if !self.names.contains(name) {
                self.names.insert(name.clone());
            }
        }
        for pattern in patterns {
            if !self.patterns.contains_key(pattern)
                && let Ok(compiled) = glob::Pattern::new(pattern)
            {
                self.patterns.insert(pattern.clone(), compiled);
            }
        }
    }

    /// Whether anybody wants to know of this service.
    pub(super) fn is_wanted(&self, unit: &str) -> bool {
        self.names.contains(unit) || self.patterns.values().any(|pattern| pattern.matches(unit))
    }

    /// Takes notice of how a service is because it has changed.
    pub(super) fn see(&mut self, unit: &str, sample: Sample) {
        let Some(service) = self.service(unit) else { return };
        let is_another = match &service.last {
            Some(last) => sample.is_another_failure(last),
            None => sample.has_failed(),
        };
        if is_another {
            service.count(&sample.result, 1);
        }
        service.last = Some(sample);
    }

    /// Takes notice of how a service is when asked. What it shows may be long past: signals tell what is new, unless there
    /// was a time without them.
    pub(super) fn see_when_asked(&mut self, unit: &str, sample: Sample) {
        let Some(service) = self.service(unit) else { return };
        if let Some((before, counted)) = service.before_gap.take() {
            let is_another = sample.is_another_failure(&before);
            // The first of the starts in between may have followed a failure that was counted before.
            let restarts = sample.restarts.saturating_sub(before.restarts).saturating_sub(before.has_failed().into());
            let failures = restarts + u64::from(is_another);
            let mut missed = failures.saturating_sub(service.total() - counted);
            let is_told = service.last.as_ref().is_some_and(|last| !sample.is_another_failure(last));
            if missed > 0 && is_another && !is_told {
                service.count(&sample.result, 1);
                missed -= 1;
            }
            service.count(UNKNOWN, missed);
        } else if service.last.is_some() {
            return;
        }
        service.last = Some(sample);
    }

    /// From now on no signals come.
    pub(super) fn begin_gap(&mut self) {
        for service in self.services.values_mut() {
            if service.before_gap.is_none()
                && let Some(last) = &service.last
            {
                service.before_gap = Some((last.clone(), service.total()));
            }
        }
    }

    /// The failures of a unit by result.
    pub(super) fn of(&self, unit: &str) -> BTreeMap<String, u64> {
        self.services.get(unit).map(|service| service.by_result.clone()).unwrap_or_default()
    }

    fn service(&mut self, unit: &str) -> Option<&mut Service> {
        if !self.services.contains_key(unit) && self.services.len() >= MOST_SERVICES {
            // Services that a pattern has brought once, and that have never failed, are not missed.
            self.services.retain(|name, service| self.names.contains(name) || !service.by_result.is_empty());
            if self.services.len() >= MOST_SERVICES {
                return None;
            }
        }
        Some(self.services.entry(unit.to_owned()).or_default())
    }
}

impl Service {
    fn count(&mut self, result: &str, failures: u64) {
        let result = if result == UNKNOWN || FAILURES.contains(&result) { result } else { OTHER };
        if failures > 0 {
            *self.by_result.entry(result.to_owned()).or_default() += failures;
        }
    }

    fn total(&self) -> u64 {
        self.by_result.values().sum()
    }

    /// Whether there are no fewer failures than there were.
    fn is_consistent(&self) -> bool {
        self.before_gap.as_ref().is_none_or(|(_, counted)| *counted <= self.total())
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
        failures.see_when_asked(UNIT, sample("success", 1, 0));
        for (result, main_start, restarts) in samples {
            failures.see(UNIT, sample(result, *main_start, *restarts));
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
        failures.see_when_asked(UNIT, sample("exit-code", 1, 4));
        failures.see(UNIT, sample("exit-code", 1, 4));
        assert_eq!(failures.of(UNIT), is(&[]));
        // One that nobody has asked for yet, and that fails now.
        failures.see("other.service", sample("signal", 1, 0));
        assert_eq!(failures.of("other.service"), is(&[("signal", 1)]));
    }

    /// What is counted of a gap: how the service was before it, the signals after it, and how it is when asked.
    fn in_a_gap(
        before: (&str, u64, u64),
        signals: &[(&str, u64, u64)],
        after: (&str, u64, u64),
    ) -> BTreeMap<String, u64> {
        let mut failures = Failures::default();
        failures.see_when_asked(UNIT, sample("success", 1, 0));
        failures.see(UNIT, sample(before.0, before.1, before.2));
        let counted = failures.of(UNIT);
        failures.begin_gap();
        for (result, main_start, restarts) in signals {
            failures.see(UNIT, sample(result, *main_start, *restarts));
        }
        failures.see_when_asked(UNIT, sample(after.0, after.1, after.2));
        let mut since = failures.of(UNIT);
        for (result, count) in counted {
            since.entry(result).and_modify(|total| *total -= count);
        }
        since.retain(|_, count| *count > 0);
        since
    }

    #[test]
    fn failures_in_a_gap_are_counted_by_the_restarts() {
        let well = ("success", 1, 2);
        assert_eq!(in_a_gap(well, &[], ("success", 1, 2)), is(&[]), "nothing has happened");
        assert_eq!(in_a_gap(well, &[], ("success", 4, 5)), is(&[("unknown", 3)]));
        // It has failed twice, and the second failure still shows.
        assert_eq!(in_a_gap(well, &[], ("signal", 3, 3)), is(&[("signal", 1), ("unknown", 1)]));
        // It had failed before, was counted, and was started again in the gap.
        assert_eq!(in_a_gap(("exit-code", 1, 2), &[], ("success", 2, 3)), is(&[]));
        assert_eq!(in_a_gap(("exit-code", 1, 2), &[], ("exit-code", 2, 3)), is(&[("exit-code", 1)]));
        assert_eq!(in_a_gap(("exit-code", 1, 2), &[], ("exit-code", 1, 2)), is(&[]), "it is the same failure");
        // Started by somebody, which sets the restarts back; and failed for good.
        assert_eq!(in_a_gap(well, &[], ("exit-code", 9, 0)), is(&[("exit-code", 1)]));
    }

    #[test]
    fn another_process_goes_on_as_after_a_gap() {
        let hand_over = |failures: &Failures| {
            let kept = serde_json::to_string(&failures.counted()).unwrap();
            Failures::after(serde_json::from_str(&kept).unwrap())
        };
        let mut failures = Failures::default();
        failures.see_when_asked(UNIT, sample("success", 1, 2));
        let mut failures = hand_over(&failures);
        failures.see_when_asked(UNIT, sample("signal", 3, 2));
        assert_eq!(failures.of(UNIT), is(&[("signal", 1)]), "not what was before anybody looked");
        // One that could not ask.
        let mut failures = hand_over(&hand_over(&failures));
        assert_eq!(failures.of(UNIT), is(&[("signal", 1)]));
        failures.see_when_asked(UNIT, sample("success", 6, 6));
        assert_eq!(failures.of(UNIT), is(&[("signal", 1), ("unknown", 3)]));
        // After the machine was started anew.
        let mut failures = hand_over(&failures);
        failures.see_when_asked(UNIT, sample("success", 9, 0));
        assert_eq!(failures.of(UNIT), is(&[("signal", 1), ("unknown", 3)]));
    }

    #[test]
    fn counts_that_can_not_be_are_not_gone_on_from() {
        let wrong = [
            r#"{"by_result": {"novelty": 1}}"#,
            r#"{"by_result": {}, "before_gap": [{"result": "success", "main_start": 1, "restarts": 0}, 5]}"#,
        ];
        for wrong in wrong {
            let counted = serde_json::from_str(&format!(r#"{{"{UNIT}": {wrong}}}"#)).unwrap();
            assert!(Failures::after(counted).services.is_empty(), "{wrong}");
        }
    }

    #[test]
    fn signals_that_come_before_the_first_question_are_not_counted_twice() {
        let well = ("success", 1, 0);
        let failing = [("exit-code", 6, 5)];
        assert_eq!(in_a_gap(well, &failing, ("exit-code", 6, 5)), is(&[("exit-code", 1), ("unknown", 5)]));
        let recovered = [("exit-code", 6, 5), ("success", 7, 6)];
        assert_eq!(in_a_gap(well, &recovered, ("success", 7, 6)), is(&[("exit-code", 1), ("unknown", 5)]));
    }

    #[test]
    fn only_what_is_wanted_is_of_interest_and_words_from_outside_are_few() {
        let mut failures = Failures::default();
        failures.want([UNIT.to_owned()].iter(), ["container@*.service".to_owned()].iter());
        assert!(failures.is_wanted(UNIT) && failures.is_wanted("container@a.service"));
        assert!(!failures.is_wanted("run-123.service"));
        failures.see(UNIT, sample(&"x".repeat(1 << 20), 1, 0));
        assert_eq!(failures.of(UNIT), is(&[("other", 1)]));
    }

    #[test]
    fn services_that_never_failed_make_room_for_others() {
        let mut failures = Failures::default();
        for number in 0..MOST_SERVICES {
            failures.see(&format!("run-{number}.service"), sample("success", 1, 0));
        }
        failures.see(UNIT, sample("signal", 1, 0));
        assert_eq!(failures.of(UNIT), is(&[("signal", 1)]));
    }
}
