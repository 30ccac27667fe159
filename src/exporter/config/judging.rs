//! By what an instance is judged: from limits and findings as typed to such as there are.

use std::time::Duration;

use serde_saphyr::Spanned;

use super::raw::RawThresholds;
use crate::config_file::{Check, ConfigError, RawDuration, nearest};
use crate::exporter::findings::Code;
use crate::exporter::snapshot::thresholds::Measure;
use crate::exporter::snapshot::{Threshold, Thresholds};

/// What switches a limit off.
const OFF: &str = "off";

impl Check<'_> {
    /// The limits as typed, and `otherwise` where nothing is.
    pub(super) fn thresholds(&self, typed: &RawThresholds, otherwise: Thresholds) -> Result<Thresholds, ConfigError> {
        let mut thresholds = otherwise;
        for (name, limit) in &typed.0 {
            let Some(threshold) = Threshold::named(&name.value) else {
                return Err(self.unknown_key(name, Threshold::ALL.into_iter().map(Threshold::as_str)));
            };
            thresholds.set(threshold, self.limit(threshold, limit)?);
        }
        Ok(thresholds)
    }

    fn limit(&self, threshold: Threshold, typed: &Spanned<String>) -> Result<Option<f64>, ConfigError> {
        let text = typed.value.trim();
        let wrong = |problem: String| self.invalid(&typed.referenced, threshold.as_str(), problem);
        if text == OFF {
            let problem = "it can not be switched off: without it a frozen gateway would seem to be up";
            return if threshold.is_optional() { Ok(None) } else { Err(wrong(problem.to_owned())) };
        }
        let or_off = if threshold.is_optional() { ", or `off`" } else { "" };
        let value = match threshold.measure() {
            Measure::Seconds => {
                let not_one = |_| wrong(format!("{text:?} is not a duration; write it as in 90s, 5m or 26h{or_off}"));
                let duration = humantime::parse_duration(text).map_err(not_one)?;
                let shortest = Duration::from_secs(1);
                self.in_range(RawDuration(duration), &typed.referenced, threshold.as_str(), shortest)?.as_secs_f64()
            }
            Measure::Ratio => ratio(text).ok_or_else(|| {
                wrong(format!("{text:?} is not a part of a whole; write it as in 0.1 or 10%{or_off}"))
            })?,
            Measure::Count => text
                .parse::<u32>()
                .map(f64::from)
                .map_err(|_| wrong(format!("{text:?} is not a number of things; write it as in 0 or 3{or_off}")))?,
        };
        Ok(Some(value))
    }

    /// The findings that are not to be made.
    pub(super) fn ignored_findings(&self, typed: &[Spanned<String>]) -> Result<Vec<Code>, ConfigError> {
        let mut ignored = Vec::with_capacity(typed.len());
        for name in typed {
            let Some(code) = Code::named(&name.value) else {
                let names = Code::ALL.into_iter().map(Code::as_str);
                let nearest = match nearest(&name.value, names) {
                    Some(nearest) => format!("; did you mean `{nearest}`?"),
                    None => "; docs/findings.md lists them".to_owned(),
                };
                let problem = format!("there is no finding called {:?}{nearest}", name.value);
                return Err(self.invalid(&name.referenced, "ignored_findings", problem));
            };
            if !ignored.contains(&code) {
                ignored.push(code);
            }
        }
        ignored.sort_unstable();
        Ok(ignored)
    }
}

fn ratio(text: &str) -> Option<f64> {
    let ratio = match text.strip_suffix('%') {
        Some(percent) => percent.trim_end().parse::<f64>().ok()? / 100.0,
        None => text.parse().ok()?,
    };
    (0.0..=1.0).contains(&ratio).then_some(ratio)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporter::config::Config;
    use std::path::Path;

    fn config(text: &str) -> Config {
        Config::from_text(Path::new("f"), text).unwrap()
    }

    #[test]
    fn each_limit_is_written_in_what_it_is_measured_in() {
        let config = config(
            "thresholds: {backup_age: 2d, gateway_starts: 5, memory_used: 80%, disk_available: 0.2, cron_ticker: off}
instances:
  - {name: a, home: /a, thresholds: {backup_age: off, cron_ticker: 10m, disk_available_critical: 0}}
",
        );
        let (fleet, instance) = (&config.machine.thresholds, &config.instances[0].thresholds);
        for (threshold, of_fleet, of_instance) in [
            (Threshold::BackupAge, Some(172_800.0), None),
            (Threshold::GatewayStarts, Some(5.0), Some(5.0)),
            (Threshold::MemoryUsed, Some(0.8), Some(0.8)),
            (Threshold::DiskAvailable, Some(0.2), Some(0.2)),
            (Threshold::DiskAvailableCritical, Some(0.03), Some(0.0)),
            (Threshold::CronTicker, None, Some(600.0)),
            (Threshold::ReportAge, Some(900.0), Some(900.0)),
        ] {
            assert_eq!((fleet.get(threshold), instance.get(threshold)), (of_fleet, of_instance), "{threshold:?}");
        }
    }

    #[test]
    fn every_limit_can_be_set_and_each_that_is_optional_switched_off() {
        for threshold in Threshold::ALL {
            let name = threshold.as_str();
            let (value, expected) = match threshold.measure() {
                Measure::Seconds => ("1h", 3600.0),
                Measure::Ratio => ("50%", 0.5),
                Measure::Count => ("7", 7.0),
            };
            let set =
                |value| Config::from_text(Path::new("f"), &format!("instances: []\nthresholds: {{{name}: {value}}}"));
            assert_eq!(set(value).unwrap().machine.thresholds.get(threshold), Some(expected), "{name}");
            match set("off") {
                Ok(config) => assert!(threshold.is_optional() && config.machine.thresholds.get(threshold).is_none()),
                Err(_) => assert!(!threshold.is_optional(), "{name}"),
            }
            assert!(set("nonsense").is_err() && set("-1").is_err(), "{name}");
        }
    }

    #[test]
    fn what_an_instance_ignores_stands_instead_of_what_the_fleet_does() {
        let config = config(
            "ignored_findings: [tailscale_down, backup_dirty, backup_dirty]
instances:
  - {name: a, home: /a}
  - {name: b, home: /b, ignored_findings: [update_available]}
  - {name: c, home: /c, ignored_findings: []}
",
        );
        let fleet = [Code::BackupDirty, Code::TailscaleDown];
        assert_eq!(config.machine.ignored_findings, fleet);
        assert_eq!(config.instances[0].ignored_findings, fleet);
        assert_eq!(config.instances[1].ignored_findings, [Code::UpdateAvailable]);
        assert!(config.instances[2].ignored_findings.is_empty());
    }
}
