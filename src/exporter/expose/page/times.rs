//! Times, durations and amounts as people say them, with the exact moment beside them.

use maud::{Markup, html};

use crate::exporter::findings::wording::duration;
use crate::system::time::Timestamp;

/// A moment by its distance from `now`: `3 min ago`, `in 2 h`.
pub(super) fn moment(at: Timestamp, now: Timestamp) -> Markup {
    let seconds = now.seconds_since(at);
    let words = if seconds.abs() < 1.0 {
        "just now".to_owned()
    } else if seconds > 0.0 {
        format!("{} ago", duration(seconds))
    } else {
        format!("in {}", duration(-seconds))
    };
    time(at, &words)
}

/// How long something has lasted that began at `at`: `3 min`.
pub(super) fn lasting(at: Timestamp, now: Timestamp) -> Markup {
    time(at, &duration(at.age_at(now).as_secs_f64()))
}

/// The time of a day, in UTC.
pub(super) fn clock(at: Timestamp) -> Markup {
    let exact = exact(at);
    let of_day = exact.split(['T', 'Z']).nth(1).unwrap_or_default().to_owned();
    time(at, &format!("{of_day} UTC"))
}

/// A moment by date and time of day, in UTC, and by its distance from `now`.
pub(super) fn at(at: Timestamp, now: Timestamp) -> Markup {
    let exact = exact(at).replace('T', " ").replace('Z', " UTC");
    html! { (time(at, &exact)) " (" (moment(at, now)) ")" }
}

fn time(at: Timestamp, words: &str) -> Markup {
    let exact = exact(at);
    html! { time datetime=(exact) title=(exact.replace('T', " ").replace('Z', " UTC")) { (words) } }
}

/// The moment to the second, as HTML wants it.
fn exact(at: Timestamp) -> String {
    jiff::Timestamp::from_second(at.seconds() as i64).map(|moment| moment.to_string()).unwrap_or_default()
}

/// How long an answer took, which is most often less than a second.
pub(super) fn taken(seconds: f64) -> String {
    if seconds < 1.0 { format!("{} ms", (seconds.max(0.0) * 1e3).round()) } else { duration(seconds) }
}

/// An amount of bytes with at most three digits.
pub(super) fn bytes(amount: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if amount < 1024 {
        return format!("{amount} B");
    }
    let mut scaled = amount as f64;
    let mut unit = "";
    for larger in UNITS {
        scaled /= 1024.0;
        unit = larger;
        if scaled < 999.5 {
            break;
        }
    }
    if scaled < 9.95 { format!("{scaled:.1} {unit}") } else { format!("{scaled:.0} {unit}") }
}

/// A whole number, its thousands apart.
pub(super) fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number of things: `1 agent`, `5,225 messages`.
pub(super) fn count(value: u64, one: &str, many: &str) -> String {
    format!("{} {}", number(value), if value == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_takes_milliseconds() {
        for (seconds, words) in [(-1.0, "0 ms"), (0.0123, "12 ms"), (1.0, "1 s"), (300.0, "5 min")] {
            assert_eq!(taken(seconds), words);
        }
    }

    #[test]
    fn a_moment_carries_its_exact_time_in_both_directions() {
        let at = |seconds| Timestamp::from_seconds(seconds).unwrap();
        let now = at(1_795_165_255.9);
        assert_eq!(
            moment(at(1_795_165_075.2), now).into_string(),
            r#"<time datetime="2026-11-20T08:57:55Z" title="2026-11-20 08:57:55 UTC">3 min ago</time>"#
        );
        assert!(moment(at(1_795_172_455.9), now).into_string().ends_with(">in 2 h</time>"));
        assert!(moment(now, now).into_string().ends_with(">just now</time>"));
        assert!(clock(now).into_string().ends_with(">09:00:55 UTC</time>"));
        assert!(lasting(at(1_795_172_455.9), now).into_string().ends_with(">0 s</time>"));
    }

    #[test]
    fn amounts_are_short() {
        for (amount, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (10_200, "10 KiB"),
            (1_048_575, "1.0 MiB"),
            (222_298_112, "212 MiB"),
            (u64::MAX, "16384 PiB"),
        ] {
            assert_eq!(bytes(amount), text);
        }
        for (value, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(number(value), text);
        }
        assert_eq!((count(1, "job", "jobs"), count(0, "job", "jobs")), ("1 job".to_owned(), "0 jobs".to_owned()));
    }
}
