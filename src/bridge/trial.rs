//! Cards that are in no store: to see what a configuration makes of a notification, and whether its templates work.

use std::collections::BTreeMap;

use super::alert::{Alert, Labels, Notification, Status};
use super::card::Card;
use super::config::{ChatName, Config, Grouping};
use super::render::{Renderer, sample};
use super::route::route;
use crate::system::time::Timestamp;

/// The cards that a notification makes, each for its chat, if nothing was told before.
pub fn cards(config: &Config, notification: &Notification, now: Timestamp) -> Vec<Card> {
    let mut by_chat: BTreeMap<ChatName, Vec<&Alert>> = BTreeMap::new();
    for alert in &notification.alerts {
        for name in route(config, notification, alert).chats {
            let is_muted = config.chat(&name).is_some_and(|chat| chat.muted.contains(&alert.severity()));
            if !is_muted {
                by_chat.entry(name).or_default().push(alert);
            }
        }
    }
    let grouping = |name: &ChatName| config.chat(name).map(|chat| chat.grouping).unwrap_or_default();
    by_chat.iter().flat_map(|(name, alerts)| sample::cards(notification, alerts, name, grouping(name), now)).collect()
}

/// Why a template of a chat can not be used; tried on a sample of what it may meet.
pub fn template_problem(renderer: &Renderer, chat: &ChatName, now: Timestamp) -> Option<String> {
    let notification = notification(now);
    let alerts: Vec<_> = notification.alerts.iter().collect();
    [Grouping::Together, Grouping::Each]
        .into_iter()
        .flat_map(|grouping| sample::cards(&notification, &alerts, chat, grouping, now))
        .find_map(|card| renderer.card(&card, now).template_problem)
}

/// A notification as Alertmanager might send it: one alert that fires and one that is over, of two installations, with
/// what is awkward in a text.
pub fn notification(now: Timestamp) -> Notification {
    let before = |seconds: f64| Timestamp::from_seconds(now.seconds() - seconds).unwrap_or(now);
    let alert = |name: &str, instance: &str, severity: &str, status: Status, summary: &str| Alert {
        fingerprint: format!("{name}-{instance}"),
        status,
        starts_at: before(600.0),
        ends_at: (status == Status::Resolved).then(|| before(60.0)),
        labels: labels(&[("alertname", name), ("instance", instance), ("severity", severity)]),
        annotations: labels(&[
            ("summary", summary),
            ("description", "The last sign of life was 10 minutes ago."),
            ("runbook_url", "https://example.org/runbooks/sample"),
        ]),
        generator_url: "http://prometheus.example:9090/graph?g0.expr=up+%3D%3D+0".to_owned(),
    };
    Notification {
        receiver: "hermes".to_owned(),
        group_key: "{}:{alertname=\"Sample\"}".to_owned(),
        route_labels: Labels::new(),
        external_url: "http://alertmanager.example:9093".to_owned(),
        reason: None,
        truncated_alerts: 0,
        alerts: vec![
            alert("SampleGatewayDown", "vijay", "critical", Status::Firing, "x < 10% & \"<no value>\""),
            alert("SampleBackupStale", "bheem", "warning", Status::Resolved, "The backup is a day old"),
        ],
    }
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// A bridge that prints, with its store in `folder`.
#[cfg(test)]
pub(crate) fn service(folder: &std::path::Path) -> super::service::Service {
    let reloader = super::reload::Reloader::start(configuration(folder, "")).unwrap();
    super::service::Service {
        store: super::store::Store::open(&folder.join("bridge.db")).unwrap(),
        current: reloader.current(),
        metrics: Default::default(),
        health: Default::default(),
    }
}

/// A configuration file in `folder` of a bridge that prints, with two chats; `more` is added to it.
#[cfg(test)]
pub(crate) fn configuration(folder: &std::path::Path, more: &str) -> std::path::PathBuf {
    let file = folder.join("bridge.yml");
    let text = format!(
        "store: {}\ndelivery: console\nchats: {{root: {{}}, uma: {{muted: [info]}}}}\ndefault_chat: root\n\
         routes: [{{match: 'instance = \"bheem\"', chat: uma}}]\n{more}",
        folder.join("bridge.db").display()
    );
    std::fs::write(&file, text).unwrap();
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::card::Content;

    #[test]
    fn each_chat_has_its_own_alerts_and_none_that_it_mutes() {
        let folder = tempfile::tempdir().unwrap();
        let config = Config::from_file(&configuration(folder.path(), "")).unwrap();
        let now = Timestamp::now();
        let mut notification = notification(now);
        let names = |notification: &Notification| {
            let about = |card: &Card| match &card.content {
                Content::Incidents(members) => members[0].incident.alert.label("alertname").to_owned(),
                other => panic!("{other:?}"),
            };
            let cards = cards(&config, notification, now);
            cards.iter().map(|card| (card.chat.to_string(), about(card))).collect::<Vec<_>>()
        };
        let root = ("root".to_owned(), "SampleGatewayDown".to_owned());
        assert_eq!(names(&notification), [root.clone(), ("uma".to_owned(), "SampleBackupStale".to_owned())]);
        notification.alerts[1].labels.insert("severity".to_owned(), "info".to_owned());
        assert_eq!(names(&notification), [root]);
    }
}
