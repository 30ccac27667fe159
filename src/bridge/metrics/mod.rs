//! What the bridge counts and knows of itself.
//!
//! * [`table`]: every metric there is; the code, `docs/bridge-metrics.md` and the tests go by it.
//! * [`Metrics`]: what was counted since the program was started.
//! * [`exposition`]: all of it as text; [`mod@reference`]: what there is, for people.
//!
//! What is in the store (how much is waiting, for how long, in which chats) is read when it is asked for.

pub mod exposition;
pub mod reference;
pub mod table;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;

use table::{Count, Duration};

/// Upper bounds of durations, in seconds: from a commit on a fast disk to a call that hangs.
const BUCKETS: [f64; 12] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

type LabelValues = Vec<(&'static str, String)>;

/// What was counted since the program was started.
#[derive(Debug)]
pub struct Metrics {
    counts: Vec<Family<LabelValues, Counter>>,
    durations: Vec<Histogram>,
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics {
            counts: Count::ALL.iter().map(|_| Family::default()).collect(),
            durations: Duration::ALL.iter().map(|_| Histogram::new(BUCKETS)).collect(),
        }
    }
}

impl Metrics {
    /// Counts one more; `labels` are the values of the row's labels, in order.
    pub fn count(&self, what: Count, labels: &[&str]) {
        self.count_many(what, labels, 1);
    }

    /// Counts several more.
    pub fn count_many(&self, what: Count, labels: &[&str], by: u64) {
        let names = what.row().labels.iter().copied();
        let labels: LabelValues = names.zip(labels.iter().map(|value| (*value).to_owned())).collect();
        if let Some(family) = self.counts.get(what as usize) {
            family.get_or_create(&labels).inc_by(by);
        }
    }

    /// Notes how long something took.
    pub fn observe(&self, what: Duration, took: std::time::Duration) {
        if let Some(histogram) = self.durations.get(what as usize) {
            histogram.observe(took.as_secs_f64());
        }
    }

    /// What was counted under these labels.
    pub fn counted(&self, what: Count, labels: &[&str]) -> u64 {
        let names = what.row().labels.iter().copied();
        let labels: LabelValues = names.zip(labels.iter().map(|value| (*value).to_owned())).collect();
        self.counts.get(what as usize).and_then(|family| family.get(&labels).map(|counter| counter.get())).unwrap_or(0)
    }

    /// Writes all of it.
    pub fn encode(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (count, family) in Count::ALL.iter().zip(&self.counts) {
            let row = count.row();
            let name = row.name.trim_end_matches("_total");
            // OpenMetrics wants no family without a sample.
            if row.labels.is_empty() {
                let total = self.counted(*count, &[]);
                let mut metric = encoder.encode_descriptor(name, row.help, None, MetricType::Counter)?;
                metric.encode_counter::<LabelValues, _, u64>(&total, None)?;
            } else if !family.is_empty() {
                family.encode(encoder.encode_descriptor(name, row.help, None, MetricType::Counter)?)?;
            }
        }
        for (duration, histogram) in Duration::ALL.iter().zip(&self.durations) {
            let row = duration.row();
            let unit = prometheus_client::registry::Unit::Seconds;
            let name = row.name.trim_end_matches("_seconds");
            histogram.encode(encoder.encode_descriptor(name, row.help, Some(&unit), MetricType::Histogram)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_counted_under_its_labels() {
        let metrics = Metrics::default();
        metrics.count(Count::Webhooks, &["accepted"]);
        metrics.count_many(Count::Webhooks, &["accepted"], 2);
        assert_eq!(metrics.counted(Count::Webhooks, &["accepted"]), 3);
        assert_eq!(metrics.counted(Count::Webhooks, &["refused"]), 0);
    }

    #[test]
    fn every_row_is_where_its_number_says() {
        for (place, count) in Count::ALL.iter().enumerate() {
            assert_eq!(*count as usize, place);
            assert!(count.row().name.starts_with("hermes_alert_bridge_") && count.row().name.ends_with("_total"));
        }
        for (place, duration) in Duration::ALL.iter().enumerate() {
            assert_eq!(*duration as usize, place);
        }
    }

    /// What stands in the bridge's files, without their tests.
    fn running_code(folder: &std::path::Path, code: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if path.is_dir() && name != "tests" {
                running_code(&path, code);
            } else if name.ends_with(".rs") && !name.ends_with("tests.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                code.push_str(text.split("#[cfg(test)]\nmod tests {").next().unwrap());
            }
        }
    }

    #[test]
    fn every_metric_is_counted_or_put_somewhere() {
        let mut code = String::new();
        running_code(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/bridge"), &mut code);
        let words: std::collections::BTreeSet<&str> =
            code.split(|character: char| !(character.is_alphanumeric() || character == ':')).collect();
        let is_used = |tables: &[&str], variant: String| {
            tables.iter().any(|table| words.contains(format!("{table}::{variant}").as_str()))
        };
        for count in Count::ALL {
            assert!(is_used(&["Count"], format!("{count:?}")), "{count:?} is never counted");
        }
        for duration in Duration::ALL {
            assert!(is_used(&["Duration", "Measured"], format!("{duration:?}")), "{duration:?} is never measured");
        }
        for state in table::State::ALL {
            assert!(is_used(&["State"], format!("{state:?}")), "{state:?} is never put");
        }
    }
}
