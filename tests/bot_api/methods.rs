//! The methods of the Bot API that the server knows, but for `getUpdates`, which has to wait.

use serde_json::{Value, json};

use super::entities::LONGEST_CAPTION;
use super::faults::Refusal;
use super::parameters::Parameters;
use super::state::{Chat, ChatKind, Document, Draft, Message};
use super::updates::Answer;
use super::world::World;

/// The bot's number.
pub(crate) const BOT: i64 = 123_456_789;

/// Does what was asked for.
pub(crate) fn perform(world: &mut World, method: &str, parameters: &Parameters, at: u128) -> Result<Value, Refusal> {
    match method {
        "getme" => Ok(json!({
            "id": BOT, "is_bot": true, "first_name": "Bridge", "username": "bridge_bot", "can_join_groups": true,
            "can_read_all_group_messages": false, "supports_inline_queries": false, "can_connect_to_business": false,
            "has_main_web_app": false,
        })),
        "sendmessage" | "senddocument" => send(world, method, parameters, at),
        "editmessagetext" => {
            let draft = draft(parameters, parameters.text("text").unwrap_or_default(), at, 0);
            let id = parameters.integer("message_id").unwrap_or_default();
            let (chat_id, chat) = chat_of(world, parameters)?;
            let message = chat.edit(id, draft)?;
            Ok(message_json(chat_id, chat, &message))
        }
        "deletemessage" => {
            let id = parameters.integer("message_id").unwrap_or_default();
            chat_of(world, parameters)?.1.delete(id).map(|()| json!(true))
        }
        "answercallbackquery" => {
            let answer =
                Answer { text: parameters.text("text").unwrap_or_default(), is_alert: parameters.flag("show_alert") };
            let id = parameters.text("callback_query_id").unwrap_or_default();
            world.updates.answer(&id, answer).map(|()| json!(true))
        }
        "getchat" => {
            let (id, chat) = chat_of(world, parameters)?;
            may_look(chat)?;
            let mut found = chat.json(id);
            found["accent_color_id"] = json!(0);
            found["max_reaction_count"] = json!(11);
            found["accepted_gift_types"] = json!({
                "unlimited_gifts": true, "limited_gifts": true, "unique_gifts": true, "premium_subscription": true,
            });
            if chat.kind != ChatKind::Private {
                found["permissions"] = json!({"can_send_messages": true});
            }
            Ok(found)
        }
        "getchatmember" => {
            let user = parameters.integer("user_id").unwrap_or_default();
            let (_, chat) = chat_of(world, parameters)?;
            Ok(member_json(chat, user))
        }
        "setmycommands" => {
            world.commands = parameters.object("commands").unwrap_or_default();
            Ok(json!(true))
        }
        "deletewebhook" => Ok(json!(true)),
        _ => Err(Refusal::of(404, "Not Found: method not found")),
    }
}

fn send(world: &mut World, method: &str, parameters: &Parameters, at: u128) -> Result<Value, Refusal> {
    let is_document = method == "senddocument";
    let text = parameters.text(if is_document { "caption" } else { "text" }).unwrap_or_default();
    let number = world.messages;
    let mut draft = draft(parameters, text, at, number);
    if is_document {
        let Some(file) = parameters.file("document") else {
            return Err(Refusal::bad("Bad Request: there is no document in the request"));
        };
        if file.content.is_empty() {
            return Err(Refusal::bad("Bad Request: file must be non-empty"));
        }
        // Told first by Telegram, too: what does not fit below the file is not looked at any further.
        super::entities::visible(&draft.text, draft.parse_mode.as_deref(), LONGEST_CAPTION)
            .map_err(|text| Refusal::bad(&text))?;
        let content = String::from_utf8_lossy(&file.content).into_owned();
        draft.document = Some(Document { name: file.name, content });
    } else if draft.text.trim().is_empty() {
        return Err(Refusal::bad("Bad Request: message text is empty"));
    }
    let (chat_id, chat) = chat_of(world, parameters)?;
    let message = chat.send(draft)?;
    let sent = message_json(chat_id, chat, &message);
    world.messages += 1;
    Ok(sent)
}

fn draft(parameters: &Parameters, text: String, at: u128, number: usize) -> Draft {
    let reply = parameters.object("reply_parameters").unwrap_or_default();
    Draft {
        text,
        parse_mode: parameters.text("parse_mode"),
        thread: parameters.integer("message_thread_id"),
        reply_to: reply["message_id"].as_i64().or_else(|| parameters.integer("reply_to_message_id")),
        may_reply_to_nothing: reply["allow_sending_without_reply"].as_bool().unwrap_or_default(),
        is_silent: parameters.flag("disable_notification"),
        keyboard: parameters.object("reply_markup"),
        document: None,
        at,
        number,
    }
}

fn chat_of<'a>(world: &'a mut World, parameters: &Parameters) -> Result<(i64, &'a mut Chat), Refusal> {
    let Some(id) = parameters.integer("chat_id") else {
        return Err(Refusal::bad("Bad Request: chat_id is empty"));
    };
    let chat = world.chats.get_mut(&id).ok_or_else(|| Refusal::bad("Bad Request: chat not found"))?;
    Ok((id, chat))
}

fn may_look(chat: &Chat) -> Result<(), Refusal> {
    match chat.membership.as_str() {
        "kicked" if chat.kind != ChatKind::Private => {
            Err(Refusal::of(403, &format!("Forbidden: bot was kicked from the {} chat", chat.kind.as_str())))
        }
        "left" => Err(Refusal::bad("Bad Request: chat not found")),
        _ => Ok(()),
    }
}

fn member_json(chat: &Chat, user: i64) -> Value {
    let user = json!({"id": user, "is_bot": user == BOT, "first_name": "Bridge", "username": "bridge_bot"});
    let mut member = json!({"status": chat.membership, "user": user});
    match chat.membership.as_str() {
        "kicked" => member["until_date"] = json!(0),
        "restricted" => {
            member["is_member"] = json!(true);
            member["until_date"] = json!(0);
            for right in [
                "can_send_messages",
                "can_send_audios",
                "can_send_documents",
                "can_send_photos",
                "can_send_videos",
                "can_send_video_notes",
                "can_send_voice_notes",
                "can_send_polls",
                "can_send_other_messages",
                "can_add_web_page_previews",
                "can_change_info",
                "can_invite_users",
                "can_pin_messages",
                "can_manage_topics",
            ] {
                member[right] = json!(false);
            }
        }
        "administrator" => {
            for right in [
                "can_be_edited",
                "is_anonymous",
                "can_manage_chat",
                "can_delete_messages",
                "can_manage_video_chats",
                "can_restrict_members",
                "can_promote_members",
                "can_change_info",
                "can_invite_users",
                "can_post_stories",
                "can_edit_stories",
                "can_delete_stories",
            ] {
                member[right] = json!(true);
            }
        }
        _ => {}
    }
    member
}

/// A message as the Bot API has it.
pub(crate) fn message_json(chat_id: i64, chat: &Chat, message: &Message) -> Value {
    let mut sent = json!({
        "message_id": message.message_id,
        "date": 1_790_000_000 + (message.at / 1000) as i64,
        "chat": chat.json(chat_id),
        "from": {"id": BOT, "is_bot": true, "first_name": "Bridge", "username": "bridge_bot"},
    });
    if let Some(thread) = message.thread {
        sent["message_thread_id"] = json!(thread);
        sent["is_topic_message"] = json!(true);
    }
    if message.edits > 0 {
        sent["edit_date"] = json!(1_790_000_000 + (message.at / 1000) as i64);
    }
    match &message.document {
        Some(document) => {
            sent["caption"] = json!(message.text);
            sent["document"] = json!({
                "file_id": format!("file{}", message.message_id), "file_unique_id": format!("f{}", message.message_id),
                "file_name": document.name, "file_size": document.content.len(),
            });
        }
        None => sent["text"] = json!(message.text),
    }
    if let Some(keyboard) = &message.keyboard {
        sent["reply_markup"] = keyboard.clone();
    }
    sent
}
