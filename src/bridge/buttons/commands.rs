//! What is answered to what people write to the bot.
//!
//! Anybody is told their own numbers, because that is what a configuration needs; everything else only who may press
//! buttons. Answers are short and bounded, whatever alerts say.

use std::collections::VecDeque;
use std::time::Duration;

use rusqlite::Connection;

use crate::bridge::alert::Severity;
use crate::bridge::alertmanager::{Client, ListedSilence};
use crate::bridge::card::Incident;
use crate::bridge::config::{ChatId, ChatName, Config};
use crate::bridge::metrics::table::Count;
use crate::bridge::service::{ButtonState, Service};
use crate::bridge::store::{StoreError, delivery, heartbeats, incidents, overview};
use crate::bridge::telegram::{Destination, Keyboard, Outgoing, Text, User};
use crate::error_chain::display_chain;
use crate::system::time::Timestamp;

/// The commands, as people see them when they type `/`.
pub(super) const COMMANDS: [(&str, &str); 5] = [
    ("alerts", "what fires here"),
    ("silences", "what of it is silenced"),
    ("status", "how the bridge is"),
    ("whoami", "the numbers of this chat and of you"),
    ("help", "what can be asked"),
];

/// As many lines as are read on a phone.
const MOST_LINES: usize = 20;
/// As much of one text as is shown.
const LONGEST_WORDS: usize = 160;
/// As many strangers are answered in so long; more could keep alerts waiting at Telegram's limits.
const STRANGERS: (usize, Duration) = (10, Duration::from_secs(60));

/// What can be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Command {
    Alerts,
    Silences,
    Status,
    WhoAmI,
    Help,
}

impl Command {
    fn name(self) -> &'static str {
        match self {
            Command::Alerts => "alerts",
            Command::Silences => "silences",
            Command::Status => "status",
            Command::WhoAmI => "whoami",
            Command::Help => "help",
        }
    }
}

/// Who has asked, and where.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    /// Who.
    pub(super) from: User,
    /// Where.
    pub(super) at: Destination,
}

/// The command in a text; none where it is for another bot. `/start` is what Telegram writes for who has just found the
/// bot.
pub(super) fn parse(text: &str, username: &str) -> Option<Command> {
    let word = text.split_whitespace().next()?.strip_prefix('/')?;
    let (name, bot) = word.split_once('@').unwrap_or((word, username));
    if !bot.eq_ignore_ascii_case(username) {
        return None;
    }
    match name.to_ascii_lowercase().as_str() {
        "alerts" => Some(Command::Alerts),
        "silences" => Some(Command::Silences),
        "status" => Some(Command::Status),
        "whoami" | "start" => Some(Command::WhoAmI),
        "help" => Some(Command::Help),
        _ => None,
    }
}

/// When strangers were answered.
#[derive(Debug, Default)]
pub(super) struct Strangers(VecDeque<Timestamp>);

impl Strangers {
    /// Whether one more may be answered.
    fn may_be_answered(&mut self, now: Timestamp) -> bool {
        let (most, within) = STRANGERS;
        self.0.retain(|answered| answered.age_at(now) < within);
        if self.0.len() >= most {
            return false;
        }
        self.0.push_back(now);
        true
    }
}

/// What is answered; nothing to strangers who ask for more than their numbers.
pub(super) async fn answer(
    service: &Service,
    strangers: &mut Strangers,
    asked: &Asked,
    command: Command,
) -> Option<Outgoing> {
    let in_force = service.in_force();
    let config = &in_force.config;
    let is_known = config.buttons.as_ref().is_some_and(|buttons| buttons.users.contains_key(&asked.from.id));
    let now = Timestamp::now();
    let is_allowed = is_known || (command == Command::WhoAmI && strangers.may_be_answered(now));
    service.metrics.count(Count::Commands, &[command.name(), if is_allowed { "answered" } else { "foreign" }]);
    if !is_allowed {
        tracing::info!(user = asked.from.id, command = command.name(), "a command of somebody who may not was ignored");
        return None;
    }
    let lines = match command {
        Command::WhoAmI => Ok(who_am_i(asked)),
        Command::Help => Ok(COMMANDS.iter().map(|(name, about)| format!("/{name}: {}", escaped(about))).collect()),
        Command::Silences => silences(service, config, asked.at, now).await,
        Command::Alerts => {
            let (config, at) = (config.clone(), asked.at);
            service.store.read(move |connection| alerts(connection, &config, at, now)).await
        }
        Command::Status => {
            let read = service.store.read({
                let config = config.clone();
                move |connection| status(connection, &config, now)
            });
            read.await.map(|lines| [health(service), lines].concat())
        }
    };
    let lines = lines.unwrap_or_else(|error| vec![escaped(&display_chain(&error))]);
    let to = Destination { thread: asked.at.thread.filter(|thread| *thread != 1), ..asked.at };
    Some(Outgoing {
        to,
        text: Text::Html(bounded(lines)),
        reply_to: None,
        keyboard: Keyboard::default(),
        is_silent: true,
    })
}

fn who_am_i(asked: &Asked) -> Vec<String> {
    let mut lines = vec![format!("chat_id: <code>{}</code>", asked.at.chat_id)];
    lines.extend(asked.at.thread.map(|thread| format!("thread: <code>{thread}</code>")));
    lines.push(format!("user id: <code>{}</code> ({})", asked.from.id, escaped(&asked.from.name)));
    lines
}

/// The configured chats that are at this place.
fn chats_at(connection: &Connection, config: &Config, at: Destination) -> Result<Vec<ChatName>, StoreError> {
    let mut here = Vec::new();
    for (name, chat) in &config.chats {
        let number = match &chat.id {
            ChatId::Number(number) => Some(*number),
            ChatId::File(file) => file.read().ok().and_then(|number| number.reveal().parse().ok()),
        };
        let Some(number) = number else {
            continue;
        };
        let is_here = delivery::follow(connection, number)? == at.chat_id;
        if is_here && chat.thread == at.thread.filter(|thread| *thread != 1) {
            here.push(name.clone());
        }
    }
    Ok(here)
}

fn alerts(
    connection: &Connection,
    config: &Config,
    at: Destination,
    now: Timestamp,
) -> Result<Vec<String>, StoreError> {
    let here = chats_at(connection, config, at)?;
    if here.is_empty() {
        return Ok(vec!["This chat is not configured; /whoami tells what to write.".to_owned()]);
    }
    let mut firing = incidents::firing_in(connection, &here)?;
    // The worst first, and of those the newest.
    firing.sort_by(|one, other| {
        let newest = || other.alert.starts_at.seconds().total_cmp(&one.alert.starts_at.seconds());
        other.alert.severity().cmp(&one.alert.severity()).then_with(newest)
    });
    if firing.is_empty() {
        return Ok(vec!["✅ Nothing fires here.".to_owned()]);
    }
    Ok(firing.iter().map(|incident| alert_line(incident, now)).collect())
}

fn alert_line(incident: &Incident, now: Timestamp) -> String {
    let alert = &incident.alert;
    let mark = match alert.severity() {
        Severity::Critical => "🔴",
        Severity::Warning => "🟡",
        Severity::Info => "🔵",
    };
    let mut line = format!("{mark} <b>{}</b>", escaped(alert.label("alertname")));
    if let Some(instance) = alert.instance() {
        line.push_str(&format!(" {}", escaped(&instance)));
    }
    line.push_str(&format!(", for {}", shown(alert.starts_at.age_at(now))));
    if let Some(acknowledgement) = &incident.acknowledgement {
        line.push_str(&format!(" 👀 {}", escaped(&acknowledgement.by)));
    }
    if incident.silence.as_ref().is_some_and(|silence| silence.until > now) {
        line.push_str(" 🔕");
    }
    let summary = alert.annotations.get("summary").or_else(|| alert.annotations.get("description"));
    if let Some(summary) = summary {
        line.push_str(&format!(": {}", escaped(summary)));
    }
    line
}

/// The silences of what fires here. Labels of alerts that others are told of are not for this chat, so of any other
/// silence only the number is told; but for the operations chat, where all of them are.
async fn silences(
    service: &Service,
    config: &Config,
    at: Destination,
    now: Timestamp,
) -> Result<Vec<String>, StoreError> {
    let Some(settings) = &config.alertmanager else {
        return Ok(vec!["Alertmanager is not configured.".to_owned()]);
    };
    let known = config.clone();
    let here = service.store.read(move |connection| {
        let here = chats_at(connection, &known, at)?;
        Ok((incidents::firing_in(connection, &here)?, here))
    });
    let (firing, here) = here.await?;
    if here.is_empty() {
        return Ok(vec!["This chat is not configured; /whoami tells what to write.".to_owned()]);
    }
    let listed = match Client::new(settings) {
        Ok(client) => client.silences().await,
        Err(error) => Err(error),
    };
    let all = match listed {
        Err(error) => return Ok(vec![format!("⚠️ {}", escaped(&display_chain(&error)))]),
        Ok(silences) if silences.is_empty() => return Ok(vec!["Nothing is silenced.".to_owned()]),
        Ok(silences) => silences,
    };
    let is_told = |silence: &ListedSilence| {
        here.contains(&config.operations_chat)
            || firing.iter().any(|incident| {
                let is_own = incident.silence.as_ref().is_some_and(|own| own.id == silence.id);
                is_own || silence.fits.as_ref().is_some_and(|matchers| matchers.fit(&incident.alert.labels))
            })
    };
    let (told, others): (Vec<_>, Vec<_>) = all.into_iter().partition(is_told);
    let mut lines: Vec<String> = told.iter().map(|silence| silence_line(silence, now)).collect();
    match (lines.is_empty(), others.len()) {
        (_, 0) => {}
        (true, 1) => {
            lines.push("Nothing that fires here is silenced; there is 1 silence of something else.".to_owned())
        }
        (true, count) => {
            lines.push(format!("Nothing that fires here is silenced; there are {count} silences of something else."));
        }
        // First, because it is what is left of what does not fit.
        (false, 1) => lines.insert(0, "There is 1 more, of something that does not fire here.".to_owned()),
        (false, count) => lines.insert(0, format!("There are {count} more, of what does not fire here.")),
    }
    Ok(lines)
}

fn silence_line(silence: &ListedSilence, now: Timestamp) -> String {
    let left = silence.until.map_or(Duration::ZERO, |until| now.age_at(until));
    let mut line = format!("🔕 <code>{}</code> for {}", escaped(&silence.matchers), shown(left));
    if !silence.created_by.is_empty() {
        line.push_str(&format!(", by {}", escaped(&silence.created_by)));
    }
    if !silence.comment.is_empty() {
        line.push_str(&format!(": {}", escaped(&silence.comment)));
    }
    line
}

fn health(service: &Service) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(refusal) = &*service.health.token_refused.load() {
        lines.push(format!("⚠️ Telegram refuses the token: {}", escaped(refusal)));
    }
    if let ButtonState::Disabled(reason) = &**service.health.buttons.load() {
        lines.push(format!("⚠️ Buttons can not be used: {}", escaped(reason)));
    }
    lines
}

fn status(connection: &Connection, config: &Config, now: Timestamp) -> Result<Vec<String>, StoreError> {
    let mut lines = Vec::new();
    lines.push(match overview::waiting(connection)? {
        None => "✅ Nothing is waiting.".to_owned(),
        Some((waiting, oldest)) => format!("⏳ {waiting} waiting, the oldest for {}.", shown(oldest.age_at(now))),
    });
    lines.push(format!("{} firing in all chats.", incidents::count_firing(connection)?));
    let mut heartbeats = heartbeats::list(connection)?;
    heartbeats.sort_by(|one, other| one.last.seconds().total_cmp(&other.last.seconds()));
    for heartbeat in &heartbeats {
        let mark = if heartbeat.missing.is_some() { "🔴" } else { "💓" };
        let age = shown(heartbeat.last.age_at(now));
        lines.push(match heartbeat.labels.get("alertname") {
            Some(name) => format!("{mark} {}: {age} ago", escaped(name)),
            // None was heard so far, and the moment is when the bridge began to listen for one.
            None => format!("{mark} No heartbeat in the {age} since the bridge listens for one."),
        });
    }
    for (name, because) in overview::troubles(connection)? {
        if config.chats.contains_key(&name) {
            lines.push(format!("⚠️ {}: {}", escaped(name.as_str()), escaped(&because)));
        }
    }
    Ok(lines)
}

/// A length of time in the largest unit that says enough.
fn shown(length: Duration) -> String {
    match length.as_secs() {
        seconds if seconds < 60 => format!("{seconds} s"),
        seconds if seconds < 2 * 3600 => format!("{} min", seconds / 60),
        seconds if seconds < 2 * 86_400 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

/// A text as it may stand between Telegram's tags, on one line and not too long.
fn escaped(text: &str) -> String {
    let mut characters = text.trim().chars();
    let mut escaped = String::new();
    for character in characters.by_ref().take(LONGEST_WORDS) {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            character if character.is_control() => escaped.push(' '),
            character => escaped.push(character),
        }
    }
    if characters.next().is_some() {
        escaped.push('…');
    }
    escaped
}

/// The lines that fit, and how many do not.
fn bounded(lines: Vec<String>) -> String {
    let all = lines.len();
    let mut text = String::new();
    for (place, line) in lines.iter().enumerate() {
        let length = text.encode_utf16().count() + line.encode_utf16().count();
        if place == MOST_LINES || length > crate::bridge::render::LONGEST_TEXT - 100 {
            text.push_str(&format!("\n… and {} more", all - place));
            break;
        }
        if place > 0 {
            text.push('\n');
        }
        text.push_str(line);
    }
    text
}

#[cfg(test)]
mod tests;
