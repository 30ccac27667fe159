//! The shipped alert rules, in a hurry: what they wait for in minutes they wait for in seconds here.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use serde::Deserialize;

use super::DemoError;
use crate::exporter::findings::Code;

/// The files as they are shipped.
pub(super) const SHIPPED: [(&str, &str); 3] = [
    ("findings.yml", include_str!("../../../alerts/rules/findings.yml")),
    ("watching.yml", include_str!("../../../alerts/rules/watching.yml")),
    ("recording.yml", include_str!("../../../alerts/rules/recording.yml")),
];

/// Where the rules say that the exporter serves.
const SHIPPED_EXPORTER: &str = "http://127.0.0.1:10119/";

/// What the rules' waiting times are divided by.
const HURRY: u32 = 60;

/// A file of rules as the demonstration uses it.
pub(super) fn in_a_hurry(shipped: &str, exporter: SocketAddr) -> String {
    shorten(shipped).replace(SHIPPED_EXPORTER, &format!("http://{exporter}/"))
}

/// Makes minutes seconds in each `for` and `keep_firing_for`; what is left of less than a second is one. Nothing else is changed: the intervals of groups and the ranges in expressions have a meaning of their own.
fn shorten(rules: &str) -> String {
    let mut shortened = String::with_capacity(rules.len());
    for line in rules.split_inclusive('\n') {
        match shortened_line(line) {
            Some(line) => shortened.push_str(&line),
            None => shortened.push_str(line),
        }
    }
    shortened
}

fn shortened_line(line: &str) -> Option<String> {
    let (key, value) = line.split_once(':')?;
    if !matches!(key.trim_start().trim_start_matches("- "), "for" | "keep_firing_for") {
        return None;
    }
    // A comment may follow.
    let typed = value.split_whitespace().next()?;
    let short = hurried(duration(typed)?);
    Some(format!("{key}:{}", value.replacen(typed, &format!("{}s", short.as_secs()), 1)))
}

/// A wait here: in whole seconds, and none only where there was none.
fn hurried(wait: Duration) -> Duration {
    let short = wait / HURRY;
    Duration::from_secs(short.as_secs() + u64::from(short.subsec_nanos() > 0))
}

/// A duration as Prometheus writes it, as in `1h30m`.
fn duration(typed: &str) -> Option<Duration> {
    humantime::parse_duration(typed).ok()
}

#[derive(Debug, Deserialize)]
struct File {
    groups: Vec<Group>,
}

#[derive(Debug, Deserialize)]
struct Group {
    rules: Vec<Rule>,
}

/// What is used of a rule.
#[derive(Debug, Clone, Deserialize)]
struct Rule {
    alert: Option<String>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

/// What the shipped rules tell of a finding in one instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Alert {
    /// The alert's name.
    pub(super) name: String,
    /// Its severity.
    pub(super) severity: String,
    /// Its other texts, as they would arrive: summary, description, runbook_url.
    pub(super) annotations: BTreeMap<String, String>,
}

impl Alert {
    /// The alert about a finding in an instance. What an annotation takes from Prometheus itself is left out.
    pub(super) fn about(code: Code, instance: &str, exporter: SocketAddr) -> Result<Alert, DemoError> {
        let is_it = |rule: &Rule| rule.labels.get("finding").is_some_and(|finding| finding == code.as_str());
        let rule = SHIPPED
            .into_iter()
            .filter_map(|(_, text)| serde_saphyr::from_str::<File>(&in_a_hurry(text, exporter)).ok())
            .flat_map(|file| file.groups)
            .flat_map(|group| group.rules)
            .find(|rule| rule.alert.is_some() && is_it(rule));
        let Some(Rule { alert: Some(name), labels, annotations }) = rule else {
            return Err(DemoError::NoRule { finding: code.as_str() });
        };
        let annotations = annotations
            .into_iter()
            .map(|(name, text)| (name, text.replace("{{ $labels.instance }}", instance).trim_end().to_owned()))
            .filter(|(_, text)| !text.contains("{{"))
            .collect();
        Ok(Alert { name, severity: labels.get("severity").cloned().unwrap_or_default(), annotations })
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const EXPORTER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7);

    #[test]
    fn minutes_become_seconds() {
        let shipped = "groups:
  - name: a
    interval: 1m
    rules:
      - alert: A
        expr: rate(x[5m]) > 1  # for: 5m
        for: 5m
        keep_firing_for: 1h30m  # a while
        labels: {severity: info}
        annotations: {summary: 'wait for: 5m', runbook_url: http://127.0.0.1:10119/runbooks/a}
      - for: 10s
        alert: B
        expr: vector(1)
      - alert: C
        expr: vector(1)
        for: 0s
";
        let expected = "groups:
  - name: a
    interval: 1m
    rules:
      - alert: A
        expr: rate(x[5m]) > 1  # for: 5m
        for: 5s
        keep_firing_for: 90s  # a while
        labels: {severity: info}
        annotations: {summary: 'wait for: 5m', runbook_url: http://127.0.0.1:7/runbooks/a}
      - for: 1s
        alert: B
        expr: vector(1)
      - alert: C
        expr: vector(1)
        for: 0s
";
        assert_eq!(in_a_hurry(shipped, EXPORTER), expected);
    }

    #[test]
    fn durations_are_read_as_prometheus_writes_them() {
        for (typed, milliseconds) in [
            ("5ms", 5),
            ("2s", 2_000),
            ("3m", 180_000),
            ("1h30m", 5_400_000),
            ("1d", 86_400_000),
            ("1w2d", 777_600_000),
        ] {
            assert_eq!(duration(typed), Some(Duration::from_millis(milliseconds)), "{typed}");
        }
        for wrong in ["5", "m", "5x", "99999999999999999h", "-1s"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
        for (wait, here) in [(0, 0), (1, 1), (60, 1), (61, 2), (120, 2)] {
            assert_eq!(hurried(Duration::from_secs(wait)), Duration::from_secs(here), "{wait} s");
        }
    }

    #[derive(Debug, Deserialize)]
    struct Waits {
        groups: Vec<WaitsOfGroup>,
    }

    #[derive(Debug, Deserialize)]
    struct WaitsOfGroup {
        rules: Vec<WaitsOfRule>,
    }

    #[derive(Debug, Deserialize)]
    struct WaitsOfRule {
        r#for: Option<String>,
        keep_firing_for: Option<String>,
    }

    fn waits(text: &str) -> Vec<Duration> {
        let file: Waits = serde_saphyr::from_str(text).unwrap();
        let rules = file.groups.into_iter().flat_map(|group| group.rules);
        rules
            .flat_map(|rule| [rule.r#for, rule.keep_firing_for])
            .flatten()
            .map(|wait| duration(&wait).unwrap())
            .collect()
    }

    #[test]
    fn every_shipped_rule_is_in_a_hurry() {
        let mut waiting = 0;
        for (name, text) in SHIPPED {
            let (before, after) = (waits(text), waits(&in_a_hurry(text, EXPORTER)));
            let expected: Vec<_> = before.into_iter().map(hurried).collect();
            assert_eq!(after, expected, "{name}");
            waiting += after.len();
        }
        assert!(waiting > 0);
    }

    #[test]
    fn what_is_told_of_a_crash_is_in_the_shipped_rules() {
        let alert = Alert::about(Code::GatewayCrashed, "bheem", EXPORTER).unwrap();
        assert_eq!((alert.name.as_str(), alert.severity.as_str()), ("HermesGatewayCrashed", "critical"));
        assert_eq!(alert.annotations["runbook_url"], "http://127.0.0.1:7/runbooks/gateway_crashed");
        assert!(alert.annotations["summary"].contains("bheem"), "{alert:?}");
    }
}
