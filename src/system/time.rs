//! Moments in time, in the many spellings they are written in.
//!
//! A Hermes home holds times as float and integer Unix seconds, as ISO-8601 with `Z`, with `+00:00`, with a
//! configured offset, and as naive local time. All of them become a [`Timestamp`]; zero, negative and absurd
//! values become none, because in every one of those files they mean "never" or are damage.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// Seconds of the latest moment taken as real: the end of the year 9999.
const LATEST: f64 = 253_402_300_799.0;

/// A moment: seconds since the Unix epoch, later than it and before the year 10000.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(try_from = "f64", into = "f64")]
pub struct Timestamp(f64);

/// A number that is no moment: zero, negative, or absurdly far away.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("not a moment")]
pub struct NoMoment;

impl TryFrom<f64> for Timestamp {
    type Error = NoMoment;

    fn try_from(seconds: f64) -> Result<Timestamp, NoMoment> {
        Timestamp::from_seconds(seconds).ok_or(NoMoment)
    }
}

impl From<Timestamp> for f64 {
    fn from(moment: Timestamp) -> f64 {
        moment.0
    }
}

impl Timestamp {
    /// The earliest moment that is one where thousandths of a second are counted.
    pub const EARLIEST: Timestamp = Timestamp(0.001);

    /// The latest moment taken as real.
    pub const LATEST: Timestamp = Timestamp(LATEST);

    /// This moment, by the system's clock.
    pub fn now() -> Timestamp {
        Timestamp::from(SystemTime::now())
    }

    /// The moment `seconds` after the Unix epoch; `None` for zero, negative, non-finite and absurd values.
    pub fn from_seconds(seconds: f64) -> Option<Timestamp> {
        (seconds > 0.0 && seconds <= LATEST).then_some(Timestamp(seconds))
    }

    /// Reads a number of Unix seconds or an ISO-8601 date and time, as text.
    ///
    /// A time without an offset is taken in the system's time zone, which is what Hermes means by it.
    pub fn from_text(text: &str) -> Option<Timestamp> {
        let text = text.trim();
        if let Ok(seconds) = text.parse::<f64>() {
            return Timestamp::from_seconds(seconds);
        }
        let moment = match text.parse::<jiff::Timestamp>() {
            Ok(moment) => moment,
            Err(_) => {
                let local = text.parse::<jiff::civil::DateTime>().ok()?;
                local.to_zoned(jiff::tz::TimeZone::system()).ok()?.timestamp()
            }
        };
        Timestamp::from_seconds(moment.as_second() as f64 + f64::from(moment.subsec_nanosecond()) / 1e9)
    }

    /// Reads a JSON number or string, as [`Timestamp::from_text`] does.
    pub fn from_json(value: &serde_json::Value) -> Option<Timestamp> {
        match value {
            serde_json::Value::Number(number) => Timestamp::from_seconds(number.as_f64()?),
            serde_json::Value::String(text) => Timestamp::from_text(text),
            _ => None,
        }
    }

    /// Seconds since the Unix epoch.
    pub fn seconds(self) -> f64 {
        self.0
    }

    /// The later of two moments.
    pub fn later(self, other: Timestamp) -> Timestamp {
        if other.0 > self.0 { other } else { self }
    }

    /// Seconds from `earlier` to this moment; negative where `earlier` is later.
    pub fn seconds_since(self, earlier: Timestamp) -> f64 {
        self.0 - earlier.0
    }

    /// How long ago this was at `now`; zero for a moment that lies ahead.
    pub fn age_at(self, now: Timestamp) -> Duration {
        Duration::try_from_secs_f64(now.seconds_since(self)).unwrap_or(Duration::ZERO)
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        Timestamp(time.duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str) -> Option<f64> {
        Timestamp::from_text(text).map(Timestamp::seconds)
    }

    #[test]
    fn every_spelling_of_a_moment_is_the_same_moment() {
        for text in [
            "1795165255.25",
            "2026-11-20T09:00:55.25Z",
            "2026-11-20T09:00:55.250000+00:00",
            "2026-11-20T14:30:55.25+05:30",
            "2026-11-20 09:00:55.25+00:00",
            " 1795165255.25\n",
        ] {
            assert_eq!(seconds(text), Some(1_795_165_255.25), "{text}");
        }
        assert_eq!(seconds("1795165255"), Some(1_795_165_255.0));
    }

    #[test]
    fn a_naive_time_is_local() {
        let local = jiff::civil::date(2026, 11, 20).at(9, 0, 55, 0).to_zoned(jiff::tz::TimeZone::system()).unwrap();
        assert_eq!(seconds("2026-11-20T09:00:55"), Some(local.timestamp().as_second() as f64));
    }

    #[test]
    fn never_and_nonsense_are_no_time() {
        for text in ["0", "0.0", "-5", "nan", "inf", "1e300", "", "yesterday", "2026-13-40T00:00:00Z"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_read_back_is_a_moment_or_an_error() {
        let written = serde_json::to_string(&Timestamp::from_seconds(1_795_165_255.25).unwrap()).unwrap();
        assert_eq!(written, "1795165255.25");
        assert_eq!(serde_json::from_str::<Timestamp>(&written).unwrap().seconds(), 1_795_165_255.25);
        for nonsense in ["0", "-5", "1e300", "\"2026\"", "null"] {
            assert!(serde_json::from_str::<Timestamp>(nonsense).is_err(), "{nonsense}");
        }
    }

    #[test]
    fn the_age_of_a_future_moment_is_zero() {
        let now = Timestamp::from_seconds(100.0).unwrap();
        let later = Timestamp::from_seconds(160.0).unwrap();
        assert_eq!(later.age_at(now), Duration::ZERO);
        assert_eq!(now.age_at(later), Duration::from_secs(60));
    }
}
