//! Everything that the server knows, and what is done to it from outside: chats, presses, messages.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::faults::Script;
use super::limits::Limits;
use super::methods::message_json;
use super::state::{Chat, ChatKind, Message};
use super::updates::Updates;

/// Everything that the server knows.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) chats: BTreeMap<i64, Chat>,
    pub(crate) script: Script,
    pub(crate) limits: Limits,
    pub(crate) updates: Updates,
    pub(crate) calls: Vec<Call>,
    /// The tokens that are accepted; any where there is none.
    pub(crate) tokens: BTreeSet<String>,
    /// What the bot has said that its commands are.
    pub(crate) commands: Value,
    /// How many messages were ever sent.
    pub(crate) messages: usize,
}

/// A call, and what came of it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Call {
    /// Milliseconds since the server was started.
    pub(crate) at: u128,
    /// In lower case.
    pub(crate) method: String,
    pub(crate) chat_id: Option<i64>,
    pub(crate) thread: Option<i64>,
    /// `ok`, or the code and description of the refusal, or the name of the fault.
    pub(crate) outcome: String,
    /// Whether it was done, whatever was answered.
    pub(crate) is_done: bool,
    /// The message that was sent or changed.
    pub(crate) message_id: Option<i64>,
    /// The text as it was sent.
    pub(crate) text: String,
}

/// A chat as it is made known.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct ChatFacts {
    pub(crate) id: i64,
    pub(crate) kind: ChatKind,
    pub(crate) title: String,
    pub(crate) topics: BTreeSet<i64>,
    pub(crate) closed_topics: BTreeSet<i64>,
    pub(crate) membership: Option<String>,
    pub(crate) migrated_to: Option<i64>,
}

/// A press, as it is asked for.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Press {
    pub(crate) chat_id: i64,
    pub(crate) message_id: i64,
    pub(crate) user_id: i64,
    pub(crate) user_name: String,
    /// The button by what stands on it, or a part of that.
    pub(crate) label: Option<String>,
    /// What the button carries, for buttons that are not there.
    pub(crate) data: Option<String>,
}

/// A message of a person.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Saying {
    pub(crate) chat_id: i64,
    pub(crate) thread: Option<i64>,
    pub(crate) user_id: i64,
    pub(crate) user_name: String,
    pub(crate) text: String,
}

impl World {
    /// A chat, new or changed; its messages stay.
    pub(crate) fn put_chat(&mut self, facts: ChatFacts) {
        let chat = self.chats.entry(facts.id).or_default();
        chat.kind = facts.kind;
        chat.title = if facts.title.is_empty() { format!("Chat {}", facts.id) } else { facts.title };
        chat.topics = facts.topics;
        chat.closed_topics = facts.closed_topics;
        chat.membership = facts.membership.unwrap_or_else(|| "member".to_owned());
        chat.migrated_to = facts.migrated_to;
    }

    /// The messages of a chat that are there, the oldest first.
    pub(crate) fn messages(&self, chat_id: i64) -> Vec<Message> {
        let chat = self.chats.get(&chat_id);
        let messages = chat.into_iter().flat_map(|chat| chat.messages.values());
        messages.filter(|message| !message.is_deleted).cloned().collect()
    }

    /// Somebody presses a button. Gives the number of the press, or says what is wrong with it.
    pub(crate) fn press(&mut self, press: &Press) -> Result<String, String> {
        let chat = self.chats.get(&press.chat_id).ok_or("no such chat")?;
        let message = chat.messages.get(&press.message_id).ok_or("no such message")?;
        let data = match (&press.data, &press.label) {
            (Some(data), _) => data.clone(),
            (None, Some(label)) => {
                let buttons = message.buttons();
                let found = buttons.iter().find(|(text, _)| text.contains(label.as_str()));
                found.map(|(_, data)| data.clone()).ok_or_else(|| format!("no button {label:?} among {buttons:?}"))?
            }
            (None, None) => return Err("neither label nor data".to_owned()),
        };
        let shown = message_json(press.chat_id, chat, message);
        let id = self.updates.press();
        let from = person(press.user_id, &press.user_name);
        let query = json!({"id": id, "from": from, "message": shown, "chat_instance": "1", "data": data});
        self.updates.push("callback_query", query);
        Ok(id)
    }

    /// Somebody writes something. Gives the number of the message.
    pub(crate) fn say(&mut self, saying: &Saying) -> Result<i64, String> {
        let chat = self.chats.get_mut(&saying.chat_id).ok_or("no such chat")?;
        chat.last_message += 1;
        let id = chat.last_message;
        let mut message = json!({
            "message_id": id,
            "date": 1_790_000_000,
            "chat": chat.json(saying.chat_id),
            "from": person(saying.user_id, &saying.user_name),
            "text": saying.text,
        });
        if saying.text.starts_with('/') {
            let length = saying.text.split_whitespace().next().unwrap_or_default().encode_utf16().count();
            message["entities"] = json!([{"type": "bot_command", "offset": 0, "length": length}]);
        }
        if let Some(thread) = saying.thread {
            message["message_thread_id"] = json!(thread);
            message["is_topic_message"] = json!(true);
        }
        self.updates.push("message", message);
        Ok(id)
    }
}

fn person(id: i64, name: &str) -> Value {
    let name = if name.is_empty() { "Somebody" } else { name };
    json!({"id": id, "is_bot": false, "first_name": name})
}
