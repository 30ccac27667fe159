//! Which chats an alert is for: ordered rules, the first that fits wins unless it says `continue`.
//!
//! * [`matcher`]: what a rule asks of labels, written as Alertmanager writes it.
//!
//! Per alert, never per notification: a group may hold alerts of several installations.

pub mod matcher;

pub use matcher::Matchers;

use super::alert::{Alert, Notification};
use super::config::{ChatName, Config};

/// One rule.
#[derive(Debug, Clone)]
pub struct Route {
    /// What it asks of the alert's labels.
    pub matchers: Matchers,
    /// What it asks of the labels that Alertmanager's route has given.
    pub route_matchers: Matchers,
    /// The receivers in Alertmanager's configuration that it is for; all where there is none.
    pub receivers: Vec<String>,
    /// Where to.
    pub target: Target,
    /// Whether the rules after it are asked as well.
    pub continues: bool,
}

/// Where a rule sends an alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// To these chats.
    Chats(Vec<ChatName>),
    /// To the chat that is named by this label of the alert, or else of its route; one that names none does not fit.
    Label(String),
}

/// Where an alert goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Routed {
    /// The chats, each once, in the order of the rules.
    pub chats: Vec<ChatName>,
    /// Whether no rule has wanted it, so that it goes to the default chat.
    pub is_unrouted: bool,
}

/// Where an alert of a notification goes.
pub fn route(config: &Config, notification: &Notification, alert: &Alert) -> Routed {
    let mut chats: Vec<ChatName> = Vec::new();
    for rule in &config.routes {
        let is_for_receiver = rule.receivers.is_empty() || rule.receivers.contains(&notification.receiver);
        if !is_for_receiver || !rule.matchers.fit(&alert.labels) || !rule.route_matchers.fit(&notification.route_labels)
        {
            continue;
        }
        let wanted: Vec<ChatName> = match &rule.target {
            Target::Chats(names) => names.clone(),
            Target::Label(label) => {
                let value = alert.labels.get(label).or_else(|| notification.route_labels.get(label));
                let named = value.map(|value| ChatName::from(value.as_str()));
                match named.filter(|name| config.chats.contains_key(name)) {
                    Some(name) => vec![name],
                    None => continue,
                }
            }
        };
        wanted.into_iter().for_each(|name| {
            if !chats.contains(&name) {
                chats.push(name);
            }
        });
        if !rule.continues {
            break;
        }
    }
    if chats.is_empty() {
        return Routed { chats: vec![config.default_chat.clone()], is_unrouted: true };
    }
    Routed { chats, is_unrouted: false }
}
