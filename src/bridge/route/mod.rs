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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::bridge::alert::Labels;
    use crate::bridge::trial;
    use crate::system::time::Timestamp;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    /// Where an alert with these labels goes by these routes, when it comes by a receiver and Alertmanager's route has given
    /// these labels; `!` stands before what no route wanted.
    fn routed(routes: &str, receiver: &str, route_labels: &[(&str, &str)], alert: &[(&str, &str)]) -> String {
        let text = format!(
            "store: /var/lib/bridge.db\ndelivery: console\nchats: {{root: {{}}, uma: {{}}, ops: {{}}}}\ndefault_chat: root\n\
             routes: [{routes}]\n"
        );
        let config = Config::from_text(Path::new("/etc/bridge.yml"), &text).unwrap();
        let mut notification = trial::notification(Timestamp::now());
        notification.receiver = receiver.to_owned();
        notification.route_labels = labels(route_labels);
        let mut of = notification.alerts.remove(0);
        of.labels = labels(alert);
        let Routed { chats, is_unrouted } = route(&config, &notification, &of);
        let names: Vec<_> = chats.iter().map(ChatName::as_str).collect();
        format!("{}{}", if is_unrouted { "!" } else { "" }, names.join(" "))
    }

    #[test]
    fn the_first_rule_that_fits_wins_unless_it_goes_on() {
        let vijay: &[_] = &[("instance", "Vijay:9119"), ("severity", "critical")];
        let by_instance = "{match: 'instance = \"vijay\"', chat: uma}";
        let all = "{chat: ops}";
        assert_eq!(routed(&format!("{by_instance}, {all}"), "", &[], vijay), "uma");
        assert_eq!(routed(&format!("{by_instance}, {all}"), "", &[], &[("instance", "bheem")]), "ops");
        assert_eq!(routed(by_instance, "", &[], &[("instance", "bheem")]), "!root");
        assert_eq!(routed("", "", &[], vijay), "!root");
        let going_on = "{match: 'instance = \"vijay\"', chat: [uma, ops], continue: true}";
        assert_eq!(routed(&format!("{going_on}, {all}, {{chat: root}}"), "", &[], vijay), "uma ops");
        assert_eq!(routed(&format!("{going_on}, {{chat: root}}"), "", &[], vijay), "uma ops root");
        // The last rule that fits may say that it goes on, where nothing follows.
        assert_eq!(routed(going_on, "", &[], vijay), "uma ops");
    }

    #[test]
    fn a_rule_may_ask_for_the_receiver_and_for_what_alertmanagers_route_says() {
        let by_receiver = "{receiver: [hook, hooks], chat: uma}";
        assert_eq!(routed(by_receiver, "hook", &[], &[]), "uma");
        assert_eq!(routed(by_receiver, "hooks", &[], &[]), "uma");
        assert_eq!(routed(by_receiver, "hoo", &[], &[]), "!root");
        let by_route = "{match_route_labels: 'team = \"uma\"', match: 'severity != \"info\"', chat: uma}";
        assert_eq!(routed(by_route, "", &[("team", "uma")], &[]), "uma");
        assert_eq!(routed(by_route, "", &[("team", "uma")], &[("severity", "info")]), "!root");
        // A label of the alert is not one of the route.
        assert_eq!(routed(by_route, "", &[], &[("team", "uma")]), "!root");
    }

    #[test]
    fn a_label_names_a_chat_and_only_one_that_there_is() {
        let by_label = "{chat_from_label: telegram}, {chat: ops}";
        assert_eq!(routed(by_label, "", &[], &[("telegram", "uma")]), "uma");
        assert_eq!(routed(by_label, "", &[("telegram", "uma")], &[]), "uma");
        assert_eq!(routed(by_label, "", &[("telegram", "ops")], &[("telegram", "uma")]), "uma");
        for strange in ["-1001", "Uma", "nobody", ""] {
            assert_eq!(routed(by_label, "", &[], &[("telegram", strange)]), "ops", "{strange}");
        }
        assert_eq!(routed(by_label, "", &[], &[]), "ops");
    }
}
