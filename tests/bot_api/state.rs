//! Chats with their topics, members and messages, and what may be done to them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::entities::{LONGEST_CAPTION, LONGEST_TEXT, visible};
use super::faults::Refusal;

/// What a chat is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ChatKind {
    /// With one person.
    #[default]
    Private,
    /// A small group.
    Group,
    /// A large one.
    Supergroup,
    /// One with topics.
    Forum,
}

impl ChatKind {
    /// As the Bot API has it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            ChatKind::Private => "private",
            ChatKind::Group => "group",
            ChatKind::Supergroup | ChatKind::Forum => "supergroup",
        }
    }
}

/// A chat.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chat {
    pub(crate) kind: ChatKind,
    pub(crate) title: String,
    pub(crate) topics: BTreeSet<i64>,
    pub(crate) closed_topics: BTreeSet<i64>,
    /// What the bot is in it: `member`, `administrator`, `left`, `kicked`, `restricted`.
    pub(crate) membership: String,
    pub(crate) messages: BTreeMap<i64, Message>,
    pub(crate) last_message: i64,
    pub(crate) migrated_to: Option<i64>,
}

/// A message as it stands in its chat.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Message {
    pub(crate) message_id: i64,
    /// The text as it was sent.
    pub(crate) source: String,
    pub(crate) parse_mode: Option<String>,
    /// The text as people see it.
    pub(crate) text: String,
    pub(crate) reply_to: Option<i64>,
    pub(crate) thread: Option<i64>,
    pub(crate) is_silent: bool,
    pub(crate) keyboard: Option<Value>,
    pub(crate) edits: u32,
    pub(crate) document: Option<Document>,
    pub(crate) is_deleted: bool,
    /// Milliseconds since the server was started.
    pub(crate) at: u128,
    /// Its place among all messages of all chats.
    pub(crate) number: usize,
}

impl Message {
    /// What can be pressed: labels with their data.
    pub(crate) fn buttons(&self) -> Vec<(String, String)> {
        let rows = self.keyboard.as_ref().and_then(|keyboard| keyboard["inline_keyboard"].as_array().cloned());
        let buttons = rows.unwrap_or_default().into_iter().flat_map(|row| row.as_array().cloned().unwrap_or_default());
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        buttons.map(|button| (text(&button["text"]), text(&button["callback_data"]))).collect()
    }
}

/// A file below a message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Document {
    pub(crate) name: String,
    /// What is in it, as text.
    pub(crate) content: String,
}

/// A message to be sent, as it was asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draft {
    pub(crate) text: String,
    pub(crate) parse_mode: Option<String>,
    pub(crate) thread: Option<i64>,
    pub(crate) reply_to: Option<i64>,
    pub(crate) may_reply_to_nothing: bool,
    pub(crate) is_silent: bool,
    pub(crate) keyboard: Option<Value>,
    pub(crate) document: Option<Document>,
    pub(crate) at: u128,
    pub(crate) number: usize,
}

impl Chat {
    /// Why nothing may be written here at all.
    fn refusal(&self) -> Option<Refusal> {
        if let Some(to) = self.migrated_to {
            return super::faults::Kind::Migrate { to }.refusal();
        }
        let is_private = self.kind == ChatKind::Private;
        match self.membership.as_str() {
            "kicked" if is_private => Some(Refusal::of(403, "Forbidden: bot was blocked by the user")),
            "kicked" => {
                Some(Refusal::of(403, &format!("Forbidden: bot was kicked from the {} chat", self.kind.as_str())))
            }
            "left" if is_private => Some(Refusal::of(403, "Forbidden: bot can't initiate conversation with a user")),
            "left" => {
                Some(Refusal::of(403, &format!("Forbidden: bot is not a member of the {} chat", self.kind.as_str())))
            }
            "restricted" => Some(Refusal::bad("Bad Request: not enough rights to send text messages to the chat")),
            _ => None,
        }
    }

    /// Sends a message.
    pub(crate) fn send(&mut self, draft: Draft) -> Result<Message, Refusal> {
        let longest = if draft.document.is_some() { LONGEST_CAPTION } else { LONGEST_TEXT };
        let text = visible(&draft.text, draft.parse_mode.as_deref(), longest).map_err(|text| Refusal::bad(&text))?;
        if text.is_empty() && draft.document.is_none() {
            return Err(Refusal::bad("Bad Request: message text is empty"));
        }
        let keyboard = checked_keyboard(draft.keyboard.as_ref())?;
        if let Some(refusal) = self.refusal() {
            return Err(refusal);
        }
        if let Some(thread) = draft.thread {
            // The general topic is listed as 1, and is not to be named.
            if thread == 1 || !self.topics.contains(&thread) {
                return Err(Refusal::bad("Bad Request: message thread not found"));
            }
            if self.closed_topics.contains(&thread) {
                return Err(Refusal::bad("Bad Request: TOPIC_CLOSED"));
            }
        }
        let is_there = |id: &i64| self.messages.get(id).is_some_and(|message| !message.is_deleted);
        let reply_to = draft.reply_to.filter(is_there);
        if draft.reply_to.is_some() && reply_to.is_none() && !draft.may_reply_to_nothing {
            return Err(Refusal::bad("Bad Request: message to be replied not found"));
        }
        self.last_message += 1;
        let message = Message {
            message_id: self.last_message,
            source: draft.text,
            parse_mode: draft.parse_mode,
            text,
            reply_to,
            thread: draft.thread,
            is_silent: draft.is_silent,
            keyboard,
            edits: 0,
            document: draft.document,
            is_deleted: false,
            at: draft.at,
            number: draft.number,
        };
        self.messages.insert(message.message_id, message.clone());
        Ok(message)
    }

    /// Gives a message another text and keyboard.
    pub(crate) fn edit(&mut self, id: i64, draft: Draft) -> Result<Message, Refusal> {
        let text =
            visible(&draft.text, draft.parse_mode.as_deref(), LONGEST_TEXT).map_err(|text| Refusal::bad(&text))?;
        if text.is_empty() {
            return Err(Refusal::bad("Bad Request: message text is empty"));
        }
        let keyboard = checked_keyboard(draft.keyboard.as_ref())?;
        if let Some(refusal) = self.refusal() {
            return Err(refusal);
        }
        let Some(message) = self.messages.get_mut(&id).filter(|message| !message.is_deleted) else {
            return Err(Refusal::bad("Bad Request: message to edit not found"));
        };
        if message.document.is_some() {
            return Err(Refusal::bad("Bad Request: there is no text in the message to edit"));
        }
        let is_same_form = message.source == draft.text && message.parse_mode == draft.parse_mode;
        if is_same_form && message.keyboard == keyboard {
            let description = "Bad Request: message is not modified: specified new message content and reply markup are \
                 exactly the same as a current content and reply markup of the message";
            return Err(Refusal::bad(description));
        }
        message.source = draft.text;
        message.parse_mode = draft.parse_mode;
        message.text = text;
        message.keyboard = keyboard;
        message.edits += 1;
        Ok(message.clone())
    }

    /// Takes a message back.
    pub(crate) fn delete(&mut self, id: i64) -> Result<(), Refusal> {
        match self.messages.get_mut(&id) {
            Some(message) if !message.is_deleted => {
                message.is_deleted = true;
                Ok(())
            }
            _ => Err(Refusal::bad("Bad Request: message to delete not found")),
        }
    }

    /// The chat as the Bot API has it, inside messages.
    pub(crate) fn json(&self, id: i64) -> Value {
        let mut chat = json!({"id": id, "type": self.kind.as_str()});
        let name = if self.kind == ChatKind::Private { "first_name" } else { "title" };
        chat[name] = json!(self.title);
        if self.kind == ChatKind::Forum {
            chat["is_forum"] = json!(true);
        }
        chat
    }
}

/// A keyboard that Telegram takes; none where there is nothing on it.
fn checked_keyboard(markup: Option<&Value>) -> Result<Option<Value>, Refusal> {
    let Some(markup) = markup.filter(|markup| !markup.is_null()) else {
        return Ok(None);
    };
    let Some(rows) = markup["inline_keyboard"].as_array() else {
        return Err(Refusal::bad("Bad Request: object expected as reply markup"));
    };
    let mut count = 0;
    for row in rows {
        let Some(row) = row.as_array() else {
            return Err(Refusal::bad("Bad Request: can't parse inline keyboard: expected an Array of buttons"));
        };
        for button in row {
            count += 1;
            if button["text"].as_str().is_none_or(|text| text.trim().is_empty()) {
                return Err(Refusal::bad(
                    "Bad Request: can't parse inline keyboard button: text buttons are unallowed in the inline keyboard",
                ));
            }
            let has_data = match &button["callback_data"] {
                Value::String(data) if (1..=64).contains(&data.len()) => true,
                Value::Null => false,
                _ => return Err(Refusal::bad("Bad Request: BUTTON_DATA_INVALID")),
            };
            if !has_data && !button["url"].is_string() {
                return Err(Refusal::bad(
                    "Bad Request: can't parse inline keyboard button: text buttons are unallowed in the inline keyboard",
                ));
            }
        }
    }
    Ok((count > 0).then(|| markup.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(kind: ChatKind) -> Chat {
        Chat { kind, membership: "member".to_owned(), ..Chat::default() }
    }

    fn draft(text: &str) -> Draft {
        Draft { text: text.to_owned(), ..Draft::default() }
    }

    fn keyboard(data: &str) -> Option<Value> {
        Some(json!({"inline_keyboard": [[{"text": "Ack", "callback_data": data}]]}))
    }

    fn said<T: std::fmt::Debug>(outcome: Result<T, Refusal>) -> String {
        outcome.unwrap_err().description
    }

    #[test]
    fn messages_are_numbered_edited_and_deleted() {
        let mut chat = chat(ChatKind::Private);
        assert_eq!(chat.send(draft("a")).unwrap().message_id, 1);
        assert_eq!(chat.send(draft("b")).unwrap().message_id, 2);
        assert!(said(chat.edit(1, draft("a"))).starts_with("Bad Request: message is not modified"));
        assert_eq!(chat.edit(1, draft("c")).unwrap().edits, 1);
        let pressable = Draft { keyboard: keyboard("x"), ..draft("c") };
        assert_eq!(chat.edit(1, pressable.clone()).unwrap().edits, 2, "another keyboard is a change");
        assert!(said(chat.edit(1, pressable)).starts_with("Bad Request: message is not modified"));
        assert_eq!(said(chat.edit(3, draft("a"))), "Bad Request: message to edit not found");
        assert_eq!(chat.delete(1), Ok(()));
        assert_eq!(said(chat.delete(1)), "Bad Request: message to delete not found");
        assert_eq!(said(chat.edit(1, draft("x"))), "Bad Request: message to edit not found");
        let reply = Draft { reply_to: Some(1), ..draft("r") };
        assert_eq!(said(chat.send(reply.clone())), "Bad Request: message to be replied not found");
        let reply = Draft { may_reply_to_nothing: true, ..reply };
        assert_eq!(chat.send(reply).unwrap().reply_to, None);
        let blank = Draft { parse_mode: Some("HTML".to_owned()), ..draft(" <b> </b>") };
        assert_eq!(said(chat.send(blank)), "Bad Request: message text is empty");
    }

    #[test]
    fn topics_are_there_or_not_and_the_general_one_is_not_to_be_named() {
        let mut chat = chat(ChatKind::Forum);
        chat.topics = BTreeSet::from([1, 7, 9]);
        chat.closed_topics.insert(9);
        let to = |thread| Draft { thread: Some(thread), ..draft("x") };
        assert_eq!(chat.send(to(7)).unwrap().thread, Some(7));
        for gone in [1, 8] {
            assert_eq!(said(chat.send(to(gone))), "Bad Request: message thread not found");
        }
        assert_eq!(said(chat.send(to(9))), "Bad Request: TOPIC_CLOSED");
    }

    #[test]
    fn what_can_not_be_pressed_is_refused() {
        let mut chat = chat(ChatKind::Private);
        for bad in [String::new(), "x".repeat(65), "ü".repeat(33)] {
            let draft = Draft { keyboard: keyboard(&bad), ..draft("x") };
            assert_eq!(said(chat.send(draft)), "Bad Request: BUTTON_DATA_INVALID");
        }
        let sent = chat.send(Draft { keyboard: keyboard(&"x".repeat(64)), ..draft("x") }).unwrap();
        assert_eq!(sent.buttons(), [("Ack".to_owned(), "x".repeat(64))]);
        let empty = Some(json!({"inline_keyboard": []}));
        assert_eq!(chat.send(Draft { keyboard: empty, ..draft("x") }).unwrap().keyboard, None);
    }

    #[test]
    fn a_chat_that_the_bot_is_not_in_says_so() {
        for (kind, membership, description) in [
            (ChatKind::Private, "kicked", "Forbidden: bot was blocked by the user"),
            (ChatKind::Private, "left", "Forbidden: bot can't initiate conversation with a user"),
            (ChatKind::Group, "kicked", "Forbidden: bot was kicked from the group chat"),
            (ChatKind::Supergroup, "left", "Forbidden: bot is not a member of the supergroup chat"),
        ] {
            let mut chat = Chat { membership: membership.to_owned(), ..chat(kind) };
            assert_eq!(said(chat.send(draft("x"))), description);
        }
        let mut chat = Chat { migrated_to: Some(-1009), ..chat(ChatKind::Group) };
        let refusal = chat.send(draft("x")).unwrap_err();
        assert_eq!(refusal.parameters, Some(json!({"migrate_to_chat_id": -1009})));
    }
}
