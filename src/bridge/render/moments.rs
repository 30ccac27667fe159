//! Times and durations as people read them in a chat.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::system::time::Timestamp;

/// A moment, as templates have it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Moment {
    /// `14:05`, or `19 Nov 14:05` where the day is not plain from the message itself.
    pub(super) short: String,
    /// `2026-11-20 14:05:09`.
    pub(super) full: String,
    /// Unix seconds.
    pub(super) unix: i64,
}

/// How moments are written in one message.
#[derive(Debug, Clone)]
pub(super) struct Clock {
    zone: TimeZone,
    /// The day that needs no saying: the one that the message was made on and is read on. A message of another day has
    /// none, because it stands below that day in the chat and is about this one.
    plain_day: Option<Date>,
    year: i16,
}

impl Clock {
    /// For a message that was made at `created` and is written at `now`.
    pub(super) fn new(zone: TimeZone, created: Timestamp, now: Timestamp) -> Clock {
        let today = zoned(&zone, now).date();
        let plain_day = (zoned(&zone, created).date() == today).then_some(today);
        Clock { zone, plain_day, year: today.year() }
    }

    /// A moment as it is written.
    pub(super) fn moment(&self, moment: Timestamp) -> Moment {
        let local = zoned(&self.zone, moment);
        let short = if self.plain_day == Some(local.date()) {
            local.strftime("%H:%M")
        } else if local.year() == self.year {
            local.strftime("%-d %b %H:%M")
        } else {
            local.strftime("%-d %b %Y %H:%M")
        };
        Moment {
            short: short.to_string(),
            full: local.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            unix: local.timestamp().as_second(),
        }
    }
}

fn zoned(zone: &TimeZone, moment: Timestamp) -> jiff::Zoned {
    let moment = jiff::Timestamp::from_second(moment.seconds() as i64).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    moment.to_zoned(zone.clone())
}

/// How long something took: its two largest units, `45 s`, `12 min`, `2 h 5 min`, `3 d 4 h`.
pub(super) fn lasted(from: Timestamp, to: Timestamp) -> String {
    let seconds = from.age_at(to).as_secs();
    let two = |large: u64, large_unit: &str, small: u64, small_unit: &str| match small {
        0 => format!("{large} {large_unit}"),
        _ => format!("{large} {large_unit} {small} {small_unit}"),
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min", seconds / 60),
        3600..86_400 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_text(text).unwrap()
    }

    #[test]
    fn the_day_is_said_where_the_message_does_not_say_it() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let short = |created: &str, now: &str, moment: &str| {
            Clock::new(berlin.clone(), at(created), at(now)).moment(at(moment)).short
        };
        let (noon, later) = ("2026-11-20T12:00:00Z", "2026-11-20T13:05:00Z");
        assert_eq!(short(noon, later, "2026-11-20T11:05:09Z"), "12:05");
        assert_eq!(short(noon, later, "2026-11-19T11:05:09Z"), "19 Nov 12:05");
        assert_eq!(short(noon, later, "2025-11-19T11:05:09Z"), "19 Nov 2025 12:05");
        // Changed on the day after: it stands below the day before, so both days are said.
        assert_eq!(short(noon, "2026-11-21T08:00:00Z", "2026-11-20T11:05:09Z"), "20 Nov 12:05");
        assert_eq!(short(noon, "2026-11-21T08:00:00Z", "2026-11-21T07:05:09Z"), "21 Nov 08:05");
        // Midnight in the chat, not in UTC.
        assert_eq!(short(noon, later, "2026-11-19T23:30:00Z"), "00:30");
    }

    #[test]
    fn how_long_it_took_is_said_in_two_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3599, "59 min"),
            (3600, "1 h"),
            (7500, "2 h 5 min"),
            (86_400, "1 d"),
            (273_600, "3 d 4 h"),
        ] {
            let from = Timestamp::from_seconds(1000.0).unwrap();
            let to = Timestamp::from_seconds(1000.0 + f64::from(seconds)).unwrap();
            assert_eq!(lasted(from, to), text);
        }
        assert_eq!(lasted(at("2026-11-20T12:00:00Z"), at("2026-11-20T11:00:00Z")), "0 s");
    }
}
