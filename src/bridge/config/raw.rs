//! The configuration file as typed: names, types and places, before anything is checked against anything else.

use std::fmt;
use std::path::Path;

use serde::de::{SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_saphyr::{Location, Spanned};

use super::{Delivery, Grouping, Resolve};
use crate::bridge::alert::Severity;
use crate::config_file::{self, ByName, ConfigError, RawDuration};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawConfig {
    pub(super) store: Spanned<String>,
    #[serde(default)]
    pub(super) auth: Option<Spanned<RawAuth>>,
    #[serde(default)]
    pub(super) delivery: Delivery,
    #[serde(default)]
    pub(super) telegram: Option<RawTelegram>,
    pub(super) chats: ByName<RawChat>,
    #[serde(default)]
    pub(super) routes: Vec<Spanned<RawRoute>>,
    pub(super) default_chat: Spanned<String>,
    #[serde(default)]
    pub(super) operations_chat: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) template: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) timezone: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) links: RawLinks,
    #[serde(default)]
    pub(super) watchdog: Option<RawWatchdog>,
    #[serde(default)]
    pub(super) ping: Option<RawPing>,
    #[serde(default)]
    pub(super) alertmanager: Option<RawAlertmanager>,
    #[serde(default)]
    pub(super) buttons: Option<RawButtons>,
    #[serde(default)]
    pub(super) retention: Option<Spanned<RawDuration>>,
    #[serde(default)]
    pub(super) late_firing: Option<Spanned<RawDuration>>,
    #[serde(default)]
    pub(super) digest_above: Option<Spanned<u32>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAuth {
    #[serde(default)]
    pub(super) bearer_token_file: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) username: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) password_file: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTelegram {
    pub(super) token_file: Spanned<String>,
    #[serde(default)]
    pub(super) api_url: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) proxy: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) proxy_file: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) timeout: Option<Spanned<RawDuration>>,
    #[serde(default)]
    pub(super) limits: RawLimits,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLimits {
    #[serde(default)]
    pub(super) chat_interval: Option<Spanned<RawDuration>>,
    #[serde(default)]
    pub(super) group_per_minute: Option<Spanned<u32>>,
    #[serde(default)]
    pub(super) bot_per_second: Option<Spanned<u32>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawChat {
    #[serde(default)]
    pub(super) chat_id: Option<Spanned<i64>>,
    #[serde(default)]
    pub(super) chat_id_file: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) thread: Option<Spanned<i32>>,
    #[serde(default)]
    pub(super) fallback: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) template: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) timezone: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) muted: Vec<Severity>,
    #[serde(default)]
    pub(super) silent: Option<Vec<Severity>>,
    #[serde(default)]
    pub(super) silent_hours: Option<RawSilentHours>,
    #[serde(default)]
    pub(super) resolve: Resolve,
    #[serde(default)]
    pub(super) resolve_sound: bool,
    #[serde(default)]
    pub(super) grouping: Grouping,
    #[serde(default)]
    pub(super) buttons: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawSilentHours {
    pub(super) from: Spanned<String>,
    pub(super) to: Spanned<String>,
    #[serde(default)]
    pub(super) except: Option<Vec<Severity>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawRoute {
    #[serde(default, rename = "match")]
    pub(super) matchers: Option<Spanned<OneOrMore>>,
    #[serde(default)]
    pub(super) match_route_labels: Option<Spanned<OneOrMore>>,
    #[serde(default)]
    pub(super) receiver: Option<Spanned<OneOrMore>>,
    #[serde(default)]
    pub(super) chat: Option<Spanned<OneOrMore>>,
    #[serde(default)]
    pub(super) chat_from_label: Option<Spanned<String>>,
    #[serde(default, rename = "continue")]
    pub(super) continues: bool,
}

/// A text, or a list of them.
#[derive(Debug)]
pub(super) struct OneOrMore(Vec<Typed>);

#[derive(Debug)]
struct Typed {
    value: String,
    /// None where it is the only one, which stands where the whole does.
    at: Option<Location>,
}

impl<'de> Deserialize<'de> for OneOrMore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Texts;

        impl<'de> Visitor<'de> for Texts {
            type Value = OneOrMore;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a text, or a list of them")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(OneOrMore(vec![Typed { value: text.to_owned(), at: None }]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut texts = Vec::new();
                while let Some(Spanned { value, referenced, .. }) = list.next_element::<Spanned<String>>()? {
                    texts.push(Typed { value, at: Some(referenced) });
                }
                Ok(OneOrMore(texts))
            }
        }

        deserializer.deserialize_any(Texts)
    }
}

/// The texts, each with where it stands.
pub(super) fn texts(typed: &Spanned<OneOrMore>) -> impl Iterator<Item = (&str, Location)> {
    typed.value.0.iter().map(|one| (one.value.as_str(), one.at.unwrap_or(typed.referenced)))
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawLinks {
    #[serde(default)]
    pub(super) alertmanager: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) prometheus: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) dashboard: Option<Spanned<String>>,
    #[serde(default)]
    pub(super) runbooks: Option<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawWatchdog {
    #[serde(rename = "match")]
    pub(super) matchers: Spanned<String>,
    pub(super) max_silence: Spanned<RawDuration>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawPing {
    pub(super) url_file: Spanned<String>,
    #[serde(default)]
    pub(super) interval: Option<Spanned<RawDuration>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawAlertmanager {
    pub(super) url: Spanned<String>,
    #[serde(default)]
    pub(super) auth: Option<Spanned<RawAuth>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawButtons {
    pub(super) users: Vec<RawUser>,
    #[serde(default)]
    pub(super) silences: Option<Vec<Spanned<RawDuration>>>,
    #[serde(default)]
    pub(super) hermes_homes: Vec<Spanned<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawUser {
    pub(super) id: Spanned<i64>,
    pub(super) name: Spanned<String>,
}

/// Reads the text of a file.
pub(super) fn parse(path: &Path, text: &str) -> Result<RawConfig, ConfigError> {
    config_file::parse(path, text, "store, chats and default_chat")
}
