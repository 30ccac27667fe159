//! The cards that a notification would make if nothing was known yet: for showing what would be sent, without a store.

use crate::bridge::alert::{Alert, Notification};
use crate::bridge::card::{Card, CardId, Content, Incident, IncidentId, Level, Member, Told};
use crate::bridge::config::{ChatName, Grouping};
use crate::system::time::Timestamp;

/// The cards in a chat of what a notification says of these alerts, which are those that the chat is told of.
pub fn cards(
    notification: &Notification,
    alerts: &[&Alert],
    chat: &ChatName,
    grouping: Grouping,
    now: Timestamp,
) -> Vec<Card> {
    let member = |index: usize, alert: &Alert| Member {
        incident: Incident {
            id: IncidentId(index as i64 + 1),
            alert: alert.clone(),
            receiver: notification.receiver.clone(),
            external_url: notification.external_url.clone(),
            first_received: now,
            acknowledgement: None,
            silence: None,
        },
        told: Told::Nothing,
    };
    let members: Vec<_> = alerts.iter().enumerate().map(|(index, alert)| member(index, alert)).collect();
    let groups = match grouping {
        Grouping::Together if members.is_empty() => Vec::new(),
        Grouping::Together => vec![members],
        Grouping::Each => members.into_iter().map(|member| vec![member]).collect(),
    };
    let card = |(index, members)| card(index as i64 + 1, chat, Content::Incidents(members), now);
    groups.into_iter().enumerate().map(card).collect()
}

/// A card that nothing was sent of.
pub fn card(number: i64, chat: &ChatName, content: Content, now: Timestamp) -> Card {
    Card {
        id: CardId(number),
        chat: chat.clone(),
        diverted: None,
        content,
        created: now,
        desired: 1,
        sent: 0,
        parts: Vec::new(),
        document: None,
        level: Level::Html,
        attempts: 0,
        uncertain: 0,
    }
}
