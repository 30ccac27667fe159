//! Which buttons a card has, and what they are known by.
//!
//! A button carries a nonce and nothing else: what it does, for which card and below which message is in the store. What is
//! offered already and still fits is offered again under the same nonce, so that a card that has not changed is not edited.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rusqlite::Connection;

use super::OWN_RECEIVER;
use crate::bridge::alert::Status;
use crate::bridge::card::{Card, Content, Incident, Level};
use crate::bridge::config::Config;
use crate::bridge::service::ButtonState;
use crate::bridge::store::{StoreError, buttons};
use crate::bridge::telegram::{Button, Keyboard};
use crate::system::time::Timestamp;

/// How long a button can be pressed. A card that is changed in the second half of that gets a new one.
pub(super) const LIFETIME: Duration = Duration::from_secs(30 * 86_400);

/// More alerts than that are silenced in Alertmanager itself, with a matcher that fits them all.
pub(super) const MOST_SILENCES: usize = 50;

/// More labels in a row than that are cut off on a phone.
const BUTTONS_IN_A_ROW: usize = 4;

/// What a button does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// Somebody takes it.
    Acknowledge,
    /// Nothing is to be heard of it for so long.
    Silence(Duration),
    /// The silences that were made here are ended.
    Undo,
}

impl Action {
    /// As it stands in the store.
    pub(super) fn parse(text: &str) -> Option<Action> {
        match text.split_once(' ') {
            None if text == "ack" => Some(Action::Acknowledge),
            None if text == "undo" => Some(Action::Undo),
            Some(("silence", seconds)) => {
                seconds.parse().ok().map(|seconds| Action::Silence(Duration::from_secs(seconds)))
            }
            _ => None,
        }
    }

    /// As it stands in metrics.
    pub(super) fn class(self) -> &'static str {
        match self {
            Action::Acknowledge => "ack",
            Action::Silence(_) => "silence",
            Action::Undo => "undo",
        }
    }

    fn label(self, is_first: bool) -> String {
        match self {
            Action::Acknowledge => "👀 Ack".to_owned(),
            Action::Silence(length) if is_first => format!("🔕 {}", shown(length)),
            Action::Silence(length) => shown(length),
            Action::Undo => "↩ Undo silence".to_owned(),
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Silence(length) => write!(formatter, "silence {}", length.as_secs()),
            other => formatter.write_str(other.class()),
        }
    }
}

/// A length of time as it stands on a button.
pub(super) fn shown(length: Duration) -> String {
    match length.as_secs() {
        seconds if seconds % 86_400 == 0 && seconds > 86_400 => format!("{} d", seconds / 86_400),
        seconds if seconds % 3600 == 0 => format!("{} h", seconds / 3600),
        seconds => format!("{} min", seconds / 60),
    }
}

/// The incidents on a card that fire.
pub(super) fn firing(card: &Card) -> Vec<&Incident> {
    match &card.content {
        Content::Incidents(members) => members
            .iter()
            .map(|member| &member.incident)
            .filter(|incident| incident.alert.status == Status::Firing)
            .collect(),
        _ => Vec::new(),
    }
}

/// Whether a silence that was made from here holds.
pub(super) fn is_silenced(incident: &Incident, now: Timestamp) -> bool {
    incident.silence.as_ref().is_some_and(|silence| silence.until > now)
}

/// Whether Alertmanager knows it; the bridge's own alerts it does not.
pub(super) fn can_be_silenced(incident: &Incident) -> bool {
    incident.receiver != OWN_RECEIVER
}

/// What can be done with a card, in rows.
fn actions(config: &Config, card: &Card, now: Timestamp) -> Vec<Vec<Action>> {
    let firing = firing(card);
    let mut rows = Vec::new();
    if firing.iter().any(|incident| incident.acknowledgement.is_none()) {
        rows.push(vec![Action::Acknowledge]);
    }
    let Some(buttons) = config.buttons.as_ref().filter(|_| config.alertmanager.is_some()) else {
        return rows;
    };
    let open = firing.iter().filter(|incident| can_be_silenced(incident) && !is_silenced(incident, now)).count();
    if (1..=MOST_SILENCES).contains(&open) {
        let silences: Vec<Action> = buttons.silences.iter().copied().map(Action::Silence).collect();
        rows.extend(silences.chunks(BUTTONS_IN_A_ROW).map(<[Action]>::to_vec));
    }
    if firing.iter().any(|incident| is_silenced(incident, now)) {
        rows.push(vec![Action::Undo]);
    }
    rows
}

/// The buttons below a card as it is now; those that are there already and still fit stay. Called in the transaction that
/// is committed before the card is sent or edited.
pub fn offer(
    connection: &Connection,
    config: &Config,
    state: &ButtonState,
    card: &Card,
    now: Timestamp,
) -> Result<Keyboard, StoreError> {
    let may_press = config.buttons.as_ref().is_some_and(|buttons| !buttons.users.is_empty());
    let is_wanted = config.chat(&card.chat).is_some_and(|chat| chat.buttons);
    // What is told while it is being found out, after a restart in the middle of an incident, is not changed again soon.
    let can_press = matches!(state, ButtonState::On | ButtonState::Unknown);
    if !can_press || !may_press || !is_wanted || card.level == Level::Line {
        return Ok(Keyboard::default());
    }
    let mut rows = Vec::new();
    for row in actions(config, card, now) {
        let buttons = row.iter().enumerate().map(|(place, action)| {
            let data = nonce(connection, card, *action, now)?;
            Ok(Button { label: action.label(place == 0), data })
        });
        rows.push(buttons.collect::<Result<Vec<_>, StoreError>>()?);
    }
    Ok(Keyboard(rows))
}

/// What a button is known by: as until now, or else something that nobody can guess. One that is added to a message is
/// bound to it at once.
fn nonce(connection: &Connection, card: &Card, action: Action, now: Timestamp) -> Result<String, StoreError> {
    let action = action.to_string();
    if let Some(nonce) = buttons::unused(connection, card.id, &action, LIFETIME / 2, now)? {
        return Ok(nonce);
    }
    let mut random = [0; 16];
    getrandom::fill(&mut random)
        .map_err(|error| StoreError::Damaged(format!("there are no random numbers: {error}")))?;
    let nonce = URL_SAFE_NO_PAD.encode(random);
    let at = card.parts.first().map(|part| (part.at, part.message));
    buttons::create(connection, &nonce, card.id, &action, at, now)?;
    Ok(nonce)
}
