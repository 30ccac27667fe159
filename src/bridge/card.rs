//! A card: something that stands in a chat, as one message or a few, and is kept up to date there.
//!
//! What a card is about is stored; what of it has been told is stored beside it; and [`next_step`] says what there is to
//! do from the one to the other. Whatever happens in between (repeats, duplicates, a resolve before the first message
//! was sent, an outage of an hour) is no case of its own: only the newest state is ever told.

use serde::{Deserialize, Serialize};

use super::alert::{Alert, Severity, Status};
use super::config::ChatName;
use super::telegram::{Destination, Keyboard, MessageId, Text};
use crate::system::time::Timestamp;

/// A card's number in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct CardId(pub i64);

/// An incident's number in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct IncidentId(pub i64);

/// One time that an alert fired: a fingerprint and when it began.
#[derive(Debug, Clone, PartialEq)]
pub struct Incident {
    /// Its number.
    pub id: IncidentId,
    /// The newest that was told of it.
    pub alert: Alert,
    /// The receiver that it was told to.
    pub receiver: String,
    /// Where Alertmanager is reached, for people.
    pub external_url: String,
    /// When it was first told.
    pub first_received: Timestamp,
    /// Who has taken it.
    pub acknowledgement: Option<Acknowledgement>,
    /// The silence that was made from here.
    pub silence: Option<Silence>,
}

/// That somebody has taken an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// Who, as they are called in messages.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// A silence in Alertmanager that was made from a chat.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Silence {
    /// Its id in Alertmanager.
    pub id: String,
    /// Who has made it, as they are called in messages.
    pub by: String,
    /// When it ends.
    pub until: Timestamp,
}

/// The last that people were notified of about an incident in a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Told {
    /// Nothing yet.
    Nothing,
    /// That it fires.
    Firing,
    /// That it is over.
    Resolved,
}

/// An incident on a card.
#[derive(Debug, Clone, PartialEq)]
pub struct Member {
    /// The incident.
    pub incident: Incident,
    /// What people were notified of about it, here.
    pub told: Told,
}

/// What a card is about.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// Alerts; at least one.
    Incidents(Vec<Member>),
    /// A message that somebody, or the bridge itself, wants to be told.
    Message(Message),
    /// How something goes on, step by step.
    Progress(Progress),
}

/// A message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Its first line; may be empty.
    pub title: String,
    /// The rest, as plain text; may be empty.
    pub text: String,
    /// How bad it is; decides about the mark before the title, and about sound.
    pub severity: Severity,
    /// The installation that it is about.
    pub instance: Option<String>,
    /// Whether it arrives without a sound, however bad it is.
    #[serde(default)]
    pub is_silent: bool,
}

/// How something goes on, step by step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// What it is.
    pub title: String,
    /// The installation that it is about.
    pub instance: Option<String>,
    /// The steps, in order.
    pub steps: Vec<ProgressStep>,
    /// What came of all of it, once it is over.
    pub outcome: Option<StepState>,
    /// When it began.
    pub began: Timestamp,
    /// When it was over.
    pub ended: Option<Timestamp>,
    /// Whether people were notified that it has failed.
    pub is_failure_told: bool,
}

/// One step of a progress.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProgressStep {
    /// What it is.
    pub name: String,
    /// How it stands.
    pub state: StepState,
    /// A few words on it; may be empty.
    pub detail: String,
}

/// How a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepState {
    /// It comes later.
    Waiting,
    /// It is under way.
    Running,
    /// It is done.
    Done,
    /// It was not needed.
    Skipped,
    /// It has failed.
    Failed,
}

/// How much of a card's form Telegram has taken: each refusal of the content goes one further.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// With markup.
    #[default]
    Html,
    /// The same without.
    Plain,
    /// One line, without buttons.
    Line,
}

/// A message that was sent for a card.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// Where it is.
    pub at: Destination,
    /// Its number there.
    pub message: MessageId,
    /// What it says.
    pub text: Text,
    /// What can be pressed below it.
    pub keyboard: Keyboard,
}

/// A card.
#[derive(Debug, Clone, PartialEq)]
pub struct Card {
    /// Its number; smaller ones are older.
    pub id: CardId,
    /// Where it is, or is to be.
    pub chat: ChatName,
    /// Where it should have been, where it could not be brought there, and why.
    pub diverted: Option<Diverted>,
    /// What it is about.
    pub content: Content,
    /// When it was made.
    pub created: Timestamp,
    /// How often what it is about has changed.
    pub desired: u32,
    /// Which of these changes it shows; 0 as long as nothing was sent.
    pub sent: u32,
    /// The messages that were sent for it, the first one first.
    pub parts: Vec<Part>,
    /// The file that was sent with it.
    pub document: Option<MessageId>,
    /// In which form it is sent.
    pub level: Level,
    /// How often sending was tried in vain since it last succeeded; waiting as Telegram asked is no attempt.
    pub attempts: u32,
    /// Calls for it of which it is not known whether they have arrived.
    pub uncertain: u32,
}

/// Stands for a file that Telegram has not taken.
pub const NO_FILE: MessageId = MessageId(0);

impl Card {
    /// Whether Telegram has not taken the file that belongs to it.
    pub fn is_file_refused(&self) -> bool {
        self.document == Some(NO_FILE)
    }
}

/// That a card is not where it should have been.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diverted {
    /// Where it should have been.
    pub from: ChatName,
    /// Why it is not.
    pub because: String,
}

/// What is to be done next for a card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It is not in the chat yet.
    Send,
    /// It is to be told that these are over; or, of a progress, that it has failed.
    Announce(Vec<IncidentId>),
    /// What stands in the chat is no longer true.
    Edit,
}

/// In which order a chat's cards are taken; within one of these the oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Urgency {
    /// Something critical fires, and nobody knows yet.
    Critical,
    /// Something else that nobody knows yet.
    New,
    /// Something is over.
    Resolved,
    /// Something that was told has changed.
    Changed,
}

impl Urgency {
    /// All of them, the most urgent first.
    pub const ALL: [Urgency; 4] = [Urgency::Critical, Urgency::New, Urgency::Resolved, Urgency::Changed];

    /// As it stands in the store, where the smallest goes first.
    pub const fn rank(self) -> i64 {
        self as i64
    }

    /// As it stands in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Urgency::Critical => "critical",
            Urgency::New => "new",
            Urgency::Resolved => "resolved",
            Urgency::Changed => "changed",
        }
    }
}

/// What is to be done next for a card, and how urgent it is; `None` where it shows what it should.
pub fn next_step(card: &Card) -> Option<(Step, Urgency)> {
    if card.sent == 0 {
        let is_critical = match &card.content {
            Content::Incidents(members) => members.iter().any(|Member { incident: Incident { alert, .. }, .. }| {
                alert.status == Status::Firing && alert.severity() == Severity::Critical
            }),
            Content::Message(message) => message.severity == Severity::Critical,
            Content::Progress(_) => false,
        };
        return Some((Step::Send, if is_critical { Urgency::Critical } else { Urgency::New }));
    }
    let over = match &card.content {
        Content::Incidents(members) => members
            .iter()
            .filter(|member| member.told == Told::Firing && member.incident.alert.status == Status::Resolved)
            .map(|member| member.incident.id)
            .collect(),
        _ => Vec::new(),
    };
    let has_failed = matches!(&card.content, Content::Progress(progress)
        if progress.outcome == Some(StepState::Failed) && !progress.is_failure_told);
    if !over.is_empty() || has_failed {
        return Some((Step::Announce(over), Urgency::Resolved));
    }
    (card.desired > card.sent).then_some((Step::Edit, Urgency::Changed))
}
