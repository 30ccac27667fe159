//! What Alertmanager posts: alerts, and notifications of them.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

/// An alert.
#[derive(Debug, Clone)]
pub(crate) struct Alert {
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    starts_at: Timestamp,
    ends_at: Option<Timestamp>,
}

impl Alert {
    /// One of this name that fires since a minute ago, on vijay.
    pub(crate) fn firing(name: &str) -> Alert {
        let alert = Alert {
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            starts_at: Timestamp::now() - SignedDuration::from_mins(1),
            ends_at: None,
        };
        alert
            .label("alertname", name)
            .label("instance", "vijay")
            .label("severity", "warning")
            .annotation("summary", &format!("{name} is wrong"))
    }

    /// With this label.
    pub(crate) fn label(mut self, name: &str, value: &str) -> Alert {
        self.labels.insert(name.to_owned(), value.to_owned());
        self
    }

    /// With this annotation.
    pub(crate) fn annotation(mut self, name: &str, value: &str) -> Alert {
        self.annotations.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Of this installation.
    pub(crate) fn of(self, instance: &str) -> Alert {
        self.label("instance", instance)
    }

    /// The same, over now.
    pub(crate) fn resolved(&self) -> Alert {
        Alert { ends_at: Some(Timestamp::now()), ..self.clone() }
    }

    /// The same, firing anew.
    pub(crate) fn again(&self) -> Alert {
        Alert { starts_at: Timestamp::now(), ends_at: None, ..self.clone() }
    }

    /// A hash of the labels, as it is for Alertmanager, though not the same one.
    fn fingerprint(&self) -> String {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for byte in self.labels.iter().flat_map(|(name, value)| format!("{name}\0{value}\0").into_bytes()) {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
        format!("{hash:016x}")
    }

    fn json(&self) -> Value {
        json!({
            "status": if self.ends_at.is_some() { "resolved" } else { "firing" },
            "labels": self.labels,
            "annotations": self.annotations,
            "startsAt": self.starts_at.to_string(),
            "endsAt": self.ends_at.map_or("0001-01-01T00:00:00Z".to_owned(), |moment| moment.to_string()),
            "generatorURL": "http://prometheus.example:9090/graph?g0.expr=up+%3D%3D+0&g0.tab=1",
            "fingerprint": self.fingerprint(),
        })
    }
}

/// One POST of Alertmanager.
pub(crate) fn notification(alerts: &[Alert]) -> Value {
    let fires = alerts.iter().any(|alert| alert.ends_at.is_none());
    let common = |name: &str| {
        let first = alerts.first().and_then(|alert| alert.labels.get(name));
        first.filter(|value| alerts.iter().all(|alert| alert.labels.get(name) == Some(value)))
    };
    let names = ["alertname", "instance", "severity"];
    let common: BTreeMap<&str, &String> =
        names.into_iter().filter_map(|name| common(name).map(|value| (name, value))).collect();
    let name = common.get("alertname").map_or("", |name| name.as_str());
    json!({
        "receiver": "hook",
        "status": if fires { "firing" } else { "resolved" },
        "alerts": alerts.iter().map(Alert::json).collect::<Vec<_>>(),
        "groupLabels": {"alertname": name},
        "commonLabels": common,
        "commonAnnotations": {},
        "externalURL": "http://alertmanager.example:9093",
        "version": "4",
        "groupKey": format!("{{}}:{{alertname={name:?}}}"),
        "truncatedAlerts": 0,
    })
}

/// The same, from another one of a cluster.
pub(crate) fn from_peer(notification: &Value) -> Value {
    let mut other = notification.clone();
    other["externalURL"] = json!("http://other.example:9093");
    other
}
