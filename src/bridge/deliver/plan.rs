//! What the next call for a card is, from what stands in the chat and what should.

use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;

use crate::bridge::alert::{Severity, Status};
use crate::bridge::card::{Card, Content, Level, StepState};
use crate::bridge::config::{Chat, ChatName, Config, SilentHours};
use crate::bridge::render::Rendered;
use crate::bridge::telegram::{Keyboard, Text};
use crate::system::time::Timestamp;

/// A chat that could not be written to is tried again after this at first, and at the most.
const FIRST_TRY: Duration = Duration::from_secs(60);
const LONGEST_TRY: Duration = Duration::from_secs(3600);

/// One call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    /// The message at this place is not there yet.
    Send(usize),
    /// It says something else.
    Edit(usize),
    /// It is one too many.
    Delete(usize),
    /// The file is not there yet.
    Document,
}

/// The texts of a card's messages, in the form that Telegram has not refused yet.
pub(super) fn texts(rendered: &Rendered, level: Level) -> Vec<Text> {
    let line = || vec![Text::Plain(rendered.line.clone())];
    match level {
        _ if rendered.parts.is_empty() => line(),
        Level::Html => rendered.parts.iter().map(|form| Text::Html(form.html.clone())).collect(),
        Level::Plain => rendered.parts.iter().map(|form| Text::Plain(form.plain.clone())).collect(),
        Level::Line => line(),
    }
}

/// What is told in further messages where no file is taken. One line has none.
pub(super) fn instead(rendered: &Rendered, level: Level) -> Vec<Text> {
    match level {
        Level::Html => rendered.instead.iter().map(|form| Text::Html(form.html.clone())).collect(),
        Level::Plain => rendered.instead.iter().map(|form| Text::Plain(form.plain.clone())).collect(),
        Level::Line => Vec::new(),
    }
}

/// The buttons below the message at a place.
pub(super) fn keyboard_at(position: usize, level: Level, keyboard: &Keyboard) -> Keyboard {
    if position == 0 && level != Level::Line { keyboard.clone() } else { Keyboard::default() }
}

/// The next call that makes what stands in the chat what it should be; none where it is.
///
/// What is missing comes first, so that people know everything as soon as can be.
pub(super) fn next_operation(
    card: &Card,
    texts: &[Text],
    keyboard: &Keyboard,
    has_document: bool,
) -> Option<Operation> {
    if card.parts.len() < texts.len() {
        return Some(Operation::Send(card.parts.len()));
    }
    if has_document && card.document.is_none() {
        return Some(Operation::Document);
    }
    let differs = card.parts.iter().zip(texts).enumerate().position(|(position, (part, text))| {
        part.text != *text || part.keyboard != keyboard_at(position, card.level, keyboard)
    });
    match differs {
        Some(position) => Some(Operation::Edit(position)),
        None if card.parts.len() > texts.len() => Some(Operation::Delete(card.parts.len() - 1)),
        None => None,
    }
}

/// How loud a card is when it is new; none where it tells of nothing that is wrong now.
fn loudness(card: &Card) -> Option<Severity> {
    match &card.content {
        Content::Incidents(members) => {
            let firing = members.iter().filter(|member| member.incident.alert.status == Status::Firing);
            firing.map(|member| member.incident.alert.severity()).max()
        }
        Content::Message(message) => Some(message.severity),
        Content::Progress(progress) if progress.outcome == Some(StepState::Failed) => Some(Severity::Warning),
        Content::Progress(_) => Some(Severity::Info),
    }
}

/// Whether a card's first message arrives without a sound.
pub(super) fn is_silent(card: &Card, chat: &Chat, now: Timestamp) -> bool {
    if matches!(&card.content, Content::Message(message) if message.is_silent) {
        return true;
    }
    match loudness(card) {
        None => true,
        Some(severity) => is_silent_for(severity, chat, now),
    }
}

/// Whether an announcement arrives without a sound.
pub(super) fn is_announcement_silent(card: &Card, chat: &Chat, now: Timestamp) -> bool {
    let severity = match &card.content {
        Content::Progress(_) => return is_silent_for(Severity::Warning, chat, now),
        Content::Incidents(members) => members.iter().map(|member| member.incident.alert.severity()).max(),
        Content::Message(message) => Some(message.severity),
    };
    !chat.resolve_sound || is_silent_for(severity.unwrap_or(Severity::Warning), chat, now)
}

fn is_silent_for(severity: Severity, chat: &Chat, now: Timestamp) -> bool {
    let is_night = chat.silent_hours.as_ref().is_some_and(|hours| {
        !hours.except.contains(&severity) && local_time(chat, now).is_some_and(|time| is_within(hours, time))
    });
    is_night || chat.silent.contains(&severity)
}

fn local_time(chat: &Chat, now: Timestamp) -> Option<Time> {
    let zone = chat.timezone.clone().unwrap_or_else(TimeZone::system);
    let moment = jiff::Timestamp::from_second(now.seconds() as i64).ok()?;
    Some(moment.to_zoned(zone).time())
}

fn is_within(hours: &SilentHours, time: Time) -> bool {
    if hours.from <= hours.to { hours.from <= time && time < hours.to } else { time >= hours.from || time < hours.to }
}

/// Where a card goes whose chat can not be written to: the first of these chats that it has not been to, and that
/// `is_reachable`.
pub(super) fn fallback(config: &Config, card: &Card, is_reachable: impl Fn(&ChatName) -> bool) -> Option<ChatName> {
    let own = config.chats.get(&card.chat).and_then(|chat| chat.fallback.as_ref());
    let candidates = own.into_iter().chain([&config.operations_chat, &config.default_chat]);
    let origin = card.diverted.as_ref().map(|diverted| &diverted.from);
    candidates
        .filter(|name| **name != card.chat && Some(*name) != origin && config.chats.contains_key(*name))
        .find(|name| is_reachable(name))
        .cloned()
}

/// How long a chat that can not be written to since `since` is left alone: as long as it has been so, within limits.
pub(super) fn patience(since: Timestamp, now: Timestamp) -> Duration {
    since.age_at(now).clamp(FIRST_TRY, LONGEST_TRY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silent_hours_may_go_over_midnight() {
        let time = |hour| jiff::civil::time(hour, 0, 0, 0);
        let hours = |from, to| SilentHours { from: time(from), to: time(to), except: Vec::new() };
        for (from, to, hour, is_inside) in [
            (22, 7, 21, false),
            (22, 7, 22, true),
            (22, 7, 3, true),
            (22, 7, 7, false),
            (1, 5, 0, false),
            (1, 5, 1, true),
            (1, 5, 5, false),
        ] {
            assert_eq!(is_within(&hours(from, to), time(hour)), is_inside, "{from} to {to} at {hour}");
        }
    }

    #[test]
    fn a_lost_chat_is_left_alone_for_as_long_as_it_was_lost_up_to_an_hour() {
        let at = |seconds: f64| Timestamp::from_seconds(1_795_000_000.0 + seconds).unwrap();
        for (lost, patience_seconds) in [(0.0, 60), (61.0, 61), (600.0, 600), (90_000.0, 3600)] {
            assert_eq!(patience(at(0.0), at(lost)).as_secs(), patience_seconds);
        }
    }
}
