//! Durations and numbers of things as people say them.

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// So many seconds, cut to whole units of the largest kind that still says something: from two of them on, or where it
/// comes out even.
pub fn duration(seconds: f64) -> String {
    let (count, unit) = units(seconds);
    match unit {
        Unit::Second => format!("{count} s"),
        Unit::Minute => format!("{count} min"),
        Unit::Hour => format!("{count} h"),
        Unit::Day if count == 1 => "1 day".to_owned(),
        Unit::Day => format!("{count} days"),
    }
}

/// The same for where there is little room.
pub fn short_duration(seconds: f64) -> String {
    let (count, unit) = units(seconds);
    let unit = match unit {
        Unit::Second => "s",
        Unit::Minute => "m",
        Unit::Hour => "h",
        Unit::Day => "d",
    };
    format!("{count}{unit}")
}

/// So many things, which are called `one` where there is one.
pub fn counted(count: u64, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

#[derive(Debug, Clone, Copy)]
enum Unit {
    Second,
    Minute,
    Hour,
    Day,
}

fn units(seconds: f64) -> (u64, Unit) {
    // A float that does not fit becomes the nearest that does.
    let seconds = seconds.max(0.0) as u64;
    let is_sensible = |unit: u64| seconds >= 2 * unit || (seconds > 0 && seconds.is_multiple_of(unit));
    let kinds = [(DAY, Unit::Day), (HOUR, Unit::Hour), (MINUTE, Unit::Minute)];
    kinds
        .into_iter()
        .find(|(length, _)| is_sensible(*length))
        .map_or((seconds, Unit::Second), |(length, unit)| (seconds / length, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_in_the_largest_unit_that_says_something() {
        for (seconds, long, short) in [
            (-5.0, "0 s", "0s"),
            (0.9, "0 s", "0s"),
            (60.0, "1 min", "1m"),
            (90.0, "90 s", "90s"),
            (300.0, "5 min", "5m"),
            (3_600.0, "1 h", "1h"),
            (5_400.5, "90 min", "90m"),
            (86_400.0, "1 day", "1d"),
            (31.9 * 3_600.0, "31 h", "31h"),
            (26.0 * 3_600.0, "26 h", "26h"),
            (8.0 * 86_400.0 + 5.0, "8 days", "8d"),
        ] {
            assert_eq!((duration(seconds).as_str(), short_duration(seconds).as_str()), (long, short), "{seconds}");
        }
        assert_eq!(counted(1, "commit"), "1 commit");
        assert_eq!(counted(0, "commit"), "0 commits");
    }
}
