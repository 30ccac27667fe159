//! When a job should have begun at the latest: the time between its runs, and how much of it Hermes forgives.
//!
//! Hermes itself says when a job runs next; nothing here works that out.

use std::str::FromStr;

use chrono::FixedOffset;
use serde_json::{Map, Value};

use crate::system::time::Timestamp;

/// The least lateness that Hermes forgives, in seconds.
pub(super) const LEAST_GRACE: f64 = 120.0;

/// The most lateness that Hermes forgives, in seconds.
const MOST_GRACE: f64 = 7_200.0;

/// The longest cron expression that is worked out.
const LONGEST_EXPRESSION: usize = 200;

/// The greatest value of each field of a cron expression, seconds first.
const GREATEST: [u8; 6] = [59, 59, 23, 31, 12, 6];

/// When a job runs.
#[derive(Debug, PartialEq)]
pub(super) enum Schedule {
    /// Again and again after a time.
    Interval {
        /// The time between two runs.
        seconds: f64,
    },
    /// At the times of a cron expression.
    Cron {
        /// The expression, in the dialect of Hermes.
        expression: String,
        /// The offset that the job's times are written in.
        offset: FixedOffset,
    },
    /// Once, or in a way that is not known here.
    Other,
}

impl Schedule {
    /// Reads the schedule of a job whose next run is written as `next_run_text`.
    pub(super) fn read(
        fields: &Map<String, Value>,
        next_run_text: Option<&str>,
        next_run: Option<Timestamp>,
    ) -> Schedule {
        match (text(fields, "kind"), fields.get("minutes").and_then(Value::as_f64), text(fields, "expr")) {
            (Some("interval"), Some(minutes), _) => Schedule::Interval { seconds: minutes * 60.0 },
            (Some("cron"), _, Some(expression)) if expression.len() <= LONGEST_EXPRESSION => {
                match offset_of(next_run_text, next_run) {
                    Some(offset) => Schedule::Cron { expression: expression.to_owned(), offset },
                    None => Schedule::Other,
                }
            }
            _ => Schedule::Other,
        }
    }

    /// How late a run may be before Hermes takes it for missed: half the time between two runs, within limits.
    pub(super) fn grace_seconds(&self, now: Timestamp) -> f64 {
        let period = match self {
            Schedule::Interval { seconds } => Some(*seconds),
            Schedule::Cron { expression, offset } => cron_period(expression, *offset, now),
            Schedule::Other => None,
        };
        period.map_or(LEAST_GRACE, |seconds| (seconds / 2.0).clamp(LEAST_GRACE, MOST_GRACE))
    }
}

/// The offset in which a job's next run is written: Hermes writes it in the time zone it is configured for,
/// and an old one without an offset in the system's.
fn offset_of(next_run_text: Option<&str>, next_run: Option<Timestamp>) -> Option<FixedOffset> {
    if let Some(moment) = next_run_text.and_then(|text| chrono::DateTime::parse_from_rfc3339(text).ok()) {
        return Some(*moment.offset());
    }
    let moment = jiff::Timestamp::from_second(next_run?.seconds() as i64).ok()?;
    FixedOffset::east_opt(jiff::tz::TimeZone::system().to_offset(moment).seconds())
}

/// The seconds between the next two runs after `now`; `None` where they can not be told.
fn cron_period(expression: &str, offset: FixedOffset, now: Timestamp) -> Option<f64> {
    let now = chrono::DateTime::from_timestamp(now.seconds() as i64, 0)?.with_timezone(&offset);
    let schedule = croner::Cron::from_str(&with_seconds_first(expression)).ok()?;
    let first = schedule.find_next_occurrence(&now, false).ok()?;
    let second = schedule.find_next_occurrence(&first, false).ok()?;
    Some((second - first).num_seconds() as f64)
}

/// The expression in the dialect of the library that works it out. In Hermes' dialect a sixth field is the
/// seconds, and `5/15` stands for `5-59/15`.
fn with_seconds_first(expression: &str) -> String {
    let mut fields: Vec<&str> = expression.split_whitespace().collect();
    let greatest = match fields.get_mut(..GREATEST.len()) {
        Some(leading) => {
            leading.rotate_right(1);
            &GREATEST[..]
        }
        None => &GREATEST[1..],
    };
    let open_ended = |(place, field): (usize, &&str)| {
        let parts = field.split(',').map(|part| match (part.split_once('/'), greatest.get(place)) {
            (Some((start, step)), Some(last)) if start.parse::<u8>().is_ok() => format!("{start}-{last}/{step}"),
            _ => part.to_owned(),
        });
        parts.collect::<Vec<_>>().join(",")
    };
    fields.iter().enumerate().map(open_ended).collect::<Vec<_>>().join(" ")
}

/// The text of a field, where it has one.
pub(super) fn text<'a>(fields: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    fields.get(name)?.as_str().map(str::trim).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Friday, 20 November 2026, 09:00:55 UTC; in India 14:30:55.
    const NOW: f64 = 1_795_165_255.0;

    fn grace(schedule: &str, next_run: &str) -> f64 {
        let fields = serde_json::from_str(schedule).unwrap();
        let now = Timestamp::from_seconds(NOW).unwrap();
        Schedule::read(&fields, Some(next_run), Timestamp::from_text(next_run)).grace_seconds(now)
    }

    fn interval(minutes: &str) -> f64 {
        grace(&format!(r#"{{"kind": "interval", "minutes": {minutes}}}"#), "2026-11-20T08:00:00+00:00")
    }

    fn cron(expression: &str) -> f64 {
        grace(&format!(r#"{{"kind": "cron", "expr": "{expression}"}}"#), "2026-11-20T08:00:00+00:00")
    }

    #[test]
    fn half_the_period_is_forgiven_within_limits() {
        assert_eq!(["1", "30", "30.5", "100000"].map(interval), [120.0, 900.0, 915.0, 7_200.0]);
        assert_eq!(
            ["0", "-5", "null", "\"30\"", "1e400"].map(|odd| odd == "1e400" || interval(odd) == 120.0),
            [true; 5]
        );
        assert_eq!(cron("*/5 * * * *"), 150.0);
        assert_eq!(cron("0 * * * *"), 1_800.0);
        assert_eq!(cron("30 7 * * *"), 7_200.0);
        assert_eq!(cron("@hourly"), 1_800.0);
    }

    #[test]
    fn the_period_is_the_one_between_the_next_two_runs() {
        // Every ten minutes from 9 to 10, and hours apart otherwise.
        assert_eq!(cron("*/10 9 * * *"), 300.0);
        // In India it is past that hour, and the next two runs are tomorrow's.
        let in_india = r#"{"kind": "cron", "expr": "0,50 15 * * *"}"#;
        assert_eq!(grace(in_india, "2026-11-20T15:00:00+05:30"), 1_500.0);
        assert_eq!(grace(r#"{"kind": "cron", "expr": "0,50 9 * * *"}"#, "2026-11-20T09:00:00+00:00"), 7_200.0);
        assert_eq!(grace(r#"{"kind": "cron", "expr": "0,50 9 * * *"}"#, "2026-11-20T09:00:00+05:30"), 1_500.0);
    }

    #[test]
    fn the_dialect_of_hermes_is_understood() {
        assert_eq!(with_seconds_first("5/15 * * * *"), "5-59/15 * * * *");
        assert_eq!(with_seconds_first("0 9 * * 1-5"), "0 9 * * 1-5");
        assert_eq!(with_seconds_first("1,0/20 */2 * * * 30"), "30 1,0-59/20 */2 * * *");
        assert_eq!(with_seconds_first("0 12 1/2 * * 0 2030"), "0 0 12 1-31/2 * * 2030");
        assert_eq!(with_seconds_first("@daily"), "@daily");
        assert_eq!(cron("0/15 * * * *"), 450.0);
        assert_eq!(cron("0 * * * * 0"), 1_800.0);
    }

    #[test]
    fn what_can_not_be_worked_out_gets_the_least() {
        let long = "* ".repeat(5_000);
        for expression in ["", "* * * *", "61 * * * *", "0 0 31 2 *", "soon", "0 0 * * 9", "*/0 * * * *", &long] {
            assert_eq!(cron(expression), 120.0, "{expression}");
        }
        for schedule in [r#"{"kind": "once", "run_at": "2026-11-20T08:00:00Z"}"#, "{}", r#"{"kind": 7, "minutes": 60}"#]
        {
            assert_eq!(grace(schedule, "2026-11-20T08:00:00+00:00"), 120.0, "{schedule}");
        }
    }

    #[test]
    fn a_time_without_an_offset_is_the_systems() {
        let next_run = Timestamp::from_text("2026-11-20T08:00:00");
        let system = jiff::tz::TimeZone::system();
        let moment = jiff::Timestamp::from_second(next_run.unwrap().seconds() as i64).unwrap();
        let offset = offset_of(Some("2026-11-20T08:00:00"), next_run).unwrap();
        assert_eq!(offset.local_minus_utc(), system.to_offset(moment).seconds());
        assert_eq!(offset_of(Some("2026-11-20T08:00:00+05:30"), None).unwrap().local_minus_utc(), 19_800);
        assert_eq!(offset_of(None, None), None);
    }
}
