//! The Bot API as the rest of the bridge sees it: a few calls, and failures by what is to be done about them.
//!
//! * [`bot`]: the calls over the network, by teloxide-core.
//! * [`console`]: prints instead of sending, for trying things out.
//! * [`unavailable`]: stands in for a bot that there is not.
//! * [`failure`]: what an error of the Bot API means.
//!
//! Nothing in here decides what is sent, when, or what becomes of a failure.

pub mod bot;
pub mod console;
pub mod failure;
pub mod unavailable;

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// The outcome of a call, once it is there.
pub type Call<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + Send + 'a>>;

/// What the bridge asks of Telegram.
pub trait Telegram: Send + Sync + fmt::Debug {
    /// Sends a message.
    fn send<'a>(&'a self, message: &'a Outgoing) -> Call<'a, MessageId>;

    /// The same for one that was sent before without an answer in time: waits longer for the answer.
    fn send_again<'a>(&'a self, message: &'a Outgoing) -> Call<'a, MessageId> {
        self.send(message)
    }

    /// Gives a message that was sent another text and other buttons. [`Failure::NotModified`] where it has them already.
    fn edit<'a>(&'a self, message: MessageId, content: &'a Outgoing) -> Call<'a, ()>;

    /// Sends a file, with `message.text` as its caption.
    fn send_document<'a>(&'a self, message: &'a Outgoing, document: &'a Document) -> Call<'a, MessageId>;

    /// Takes a message back, which Telegram allows for two days.
    fn delete<'a>(&'a self, to: Destination, message: MessageId) -> Call<'a, ()>;

    /// Tells who has pressed a button what came of it; at most 200 characters.
    fn answer_press<'a>(&'a self, press: &'a str, text: &'a str, is_alert: bool) -> Call<'a, ()>;

    /// What has happened since `offset`, waiting up to `patience` for something. One may ask at a time: a second one
    /// gets [`Failure::Conflict`].
    fn updates(&self, offset: i64, patience: Duration) -> Call<'_, Vec<Update>>;

    /// Who the bot is.
    fn me(&self) -> Call<'_, Myself>;

    /// Whether the bot may write to a chat, without writing to it.
    fn chat(&self, chat_id: i64) -> Call<'_, ChatFacts>;

    /// Makes known which commands there are.
    fn set_commands<'a>(&'a self, commands: &'a [(&'a str, &'a str)]) -> Call<'a, ()>;
}

/// A message's number in its chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MessageId(pub i64);

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Destination {
    /// The chat's number; those of groups are negative.
    pub chat_id: i64,
    /// The topic of a forum. Its general topic has none: Telegram refuses the 1 that it is listed with.
    pub thread: Option<i32>,
}

/// A text, and whether there is markup in it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Text {
    /// With Telegram's HTML.
    Html(String),
    /// As it stands.
    Plain(String),
}

impl Text {
    /// The text as it is sent.
    pub fn source(&self) -> &str {
        match self {
            Text::Html(text) | Text::Plain(text) => text,
        }
    }
}

/// A message to be sent, or what one is to become. Link previews are always off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Where it goes.
    pub to: Destination,
    /// What it says.
    pub text: Text,
    /// The message that it answers. One that is gone is an error of its own.
    pub reply_to: Option<MessageId>,
    /// What can be pressed.
    pub keyboard: Keyboard,
    /// Whether it arrives without a sound.
    pub is_silent: bool,
}

/// Rows of buttons below a message; none where it is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Keyboard(pub Vec<Vec<Button>>);

/// A button that tells the bot when it is pressed.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Button {
    /// What stands on it.
    pub label: String,
    /// What the bot is told: 1 to 64 bytes.
    pub data: String,
}

/// A file to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// Its name.
    pub name: String,
    /// What is in it.
    pub content: Vec<u8>,
}

/// Who a bot is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Myself {
    /// Its number, which is also the first part of its token.
    pub id: i64,
    /// Its name, without the `@`.
    pub username: String,
}

/// What there is to know of a chat before writing to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatFacts {
    /// What people call it.
    pub title: String,
    /// What it is: `private`, `group`, `supergroup`, `channel`.
    pub kind: String,
    /// Whether it has topics.
    pub is_forum: bool,
    /// Why the bot may not write to it, where that can be told.
    pub refusal: Option<String>,
}

/// Something that has happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Update {
    /// Its number; the next question is for the one after it.
    pub id: i64,
    /// What it was.
    pub event: Event,
}

/// What people can do that the bridge reacts to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Someone has pressed a button.
    Press {
        /// What it is answered by.
        id: String,
        /// Who.
        from: User,
        /// The chat and the message that the button is below; none for messages that are too old.
        at: Option<(Destination, MessageId)>,
        /// What the button carries.
        data: String,
    },
    /// Someone has written a text.
    Message {
        /// Who; none for channels.
        from: Option<User>,
        /// Where.
        at: Destination,
        /// Its number there.
        id: MessageId,
        /// What.
        text: String,
    },
    /// Anything else.
    Other,
}

/// A person, or another bot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The number that never changes.
    pub id: i64,
    /// What they call themselves.
    pub name: String,
}

/// Why a call was not done, by what is to be done about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Too much was sent; to be tried again after this time, and not before.
    #[error("Telegram asks to wait {} s", retry_after.as_secs())]
    Rate {
        /// How long.
        retry_after: Duration,
    },
    /// Telegram, or the way there, is in trouble; nothing has arrived. To be tried again.
    #[error("Telegram can not be reached: {0}")]
    Transient(String),
    /// It may have arrived or not.
    #[error("whether it has arrived is not known: {0}")]
    Ambiguous(String),
    /// The group has become a supergroup, with another number.
    #[error("the chat is now {to}")]
    Migrated {
        /// The new number.
        to: i64,
    },
    /// The text, its markup or the buttons are refused.
    #[error("the content is refused: {0}")]
    Content(String),
    /// The topic is gone or closed.
    #[error("the topic can not be written to: {0}")]
    Thread(String),
    /// The message that was to be answered is gone.
    #[error("the message to be answered is gone: {0}")]
    ReplyGone(String),
    /// The message has this text already.
    #[error("the message is like that already")]
    NotModified,
    /// The message that was to be changed is gone, or may not be changed.
    #[error("the message can not be changed: {0}")]
    EditGone(String),
    /// The bot may not write to the chat.
    #[error("the chat can not be written to: {0}")]
    Destination(String),
    /// The token is wrong or was withdrawn.
    #[error("the token is refused: {0}")]
    Unauthorized(String),
    /// Somebody else asks for this bot's updates.
    #[error("somebody else asks for the updates of this bot: {0}")]
    Conflict(String),
}

impl Failure {
    /// The class as metrics have it.
    pub fn class(&self) -> &'static str {
        match self {
            Failure::Rate { .. } => "rate",
            Failure::Transient(_) => "transient",
            Failure::Ambiguous(_) => "ambiguous",
            Failure::Migrated { .. } => "migrated",
            Failure::Content(_) => "content",
            Failure::Thread(_) => "thread",
            Failure::ReplyGone(_) => "reply",
            Failure::NotModified => "not_modified",
            Failure::EditGone(_) => "edit",
            Failure::Destination(_) => "destination",
            Failure::Unauthorized(_) => "unauthorized",
            Failure::Conflict(_) => "conflict",
        }
    }
}
