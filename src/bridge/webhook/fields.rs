//! The fields of the payload, each of which may be missing or `null`.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

use crate::bridge::alert::Labels;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Payload {
    pub(super) version: Option<String>,
    pub(super) receiver: Option<String>,
    pub(super) group_key: Option<String>,
    pub(super) route_labels: Option<Names>,
    #[serde(rename = "externalURL")]
    pub(super) external_url: Option<String>,
    #[serde(rename = "notification_reason")]
    pub(super) notification_reason: Option<String>,
    pub(super) truncated_alerts: Option<serde_json::Number>,
    pub(super) alerts: Option<Vec<Option<PayloadAlert>>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct PayloadAlert {
    pub(super) status: Option<String>,
    pub(super) labels: Option<Names>,
    pub(super) annotations: Option<Names>,
    pub(super) starts_at: Option<String>,
    pub(super) ends_at: Option<String>,
    #[serde(rename = "generatorURL")]
    pub(super) generator_url: Option<String>,
    pub(super) fingerprint: Option<String>,
}

/// Names with values, without those whose value is `null`.
#[derive(Debug, Default)]
pub(super) struct Names(Labels);

impl From<Names> for Labels {
    fn from(names: Names) -> Self {
        names.0
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NamesVisitor)
    }
}

struct NamesVisitor;

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = Names;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("names with texts")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
        let mut names = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, Option<String>>()? {
            if let Some(value) = value {
                names.insert(name, value);
            }
        }
        Ok(Names(names))
    }
}
