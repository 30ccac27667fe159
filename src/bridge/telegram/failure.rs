//! What an error of the Bot API means, by its status and the words in its description.
//!
//! The words, because there is nothing else to go by: the codes say little more than 400, and lists of typed errors
//! are older than the server. What nobody knows is never taken for something that may be dropped.

use std::error::Error;
use std::time::Duration;

use serde_json::Value;

use super::{Failure, MessageId};

/// How long to wait where Telegram asks to, and does not say how long.
const UNSAID_WAIT: Duration = Duration::from_secs(5);

/// No more of an answer than this goes into messages.
const LONGEST_HEAD: usize = 200;

/// What came back for a call.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The header `Retry-After`, in seconds.
    pub retry_after: Option<u64>,
    /// The body, or as much of it as has arrived.
    pub body: &'a [u8],
}

/// The result of a call, or what its error means.
pub fn read(reply: Reply<'_>) -> Result<Value, Failure> {
    let Ok(Value::Object(mut answer)) = serde_json::from_slice::<Value>(reply.body) else {
        return unreadable(reply);
    };
    match answer.get("ok").and_then(Value::as_bool) {
        Some(true) => return Ok(answer.remove("result").unwrap_or(Value::Null)),
        Some(false) => {}
        None => return unreadable(reply),
    }
    let code = answer.get("error_code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok());
    let description = answer.get("description").and_then(Value::as_str).unwrap_or_default();
    let parameter = |name: &str| answer.get("parameters").and_then(|parameters| parameters.get(name));
    if let Some(to) = parameter("migrate_to_chat_id").and_then(Value::as_i64) {
        return Err(Failure::Migrated { to });
    }
    let retry_after = parameter("retry_after").and_then(Value::as_u64).or(reply.retry_after);
    Err(of_description(code.unwrap_or(reply.status), description, retry_after.map(Duration::from_secs)))
}

/// The number of the message that a result is about; there is one in whatever else it has that nobody understands.
pub fn message_id(result: &Value) -> Option<MessageId> {
    result.get("message_id").and_then(Value::as_i64).map(MessageId)
}

/// Makes a failure of what was told.
type Meaning = fn(String) -> Failure;

/// Descriptions by what is to be done, in the order in which they are looked for: the more particular ones first.
const MEANINGS: &[(Meaning, &[&str])] = &[
    (|_| Failure::NotModified, &["message is not modified", "message_not_modified"]),
    (
        Failure::ReplyGone,
        &[
            "message to be replied not found",
            "message to reply not found",
            "replied message not found",
            "reply message not found",
            "reply_message_id_invalid",
        ],
    ),
    (
        Failure::EditGone,
        &[
            "message to edit not found",
            "message to be edited not found",
            "message can't be edited",
            "message_id_invalid",
            "message_edit_time_expired",
            "message_author_required",
            "message identifier is not specified",
        ],
    ),
    (
        Failure::Thread,
        &[
            "message thread not found",
            "topic_closed",
            "topic_deleted",
            "topic_id_invalid",
            "message_thread_id_invalid",
            "topic is closed",
            "topic was deleted",
            "forum topic not found",
        ],
    ),
    (
        Failure::Content,
        &[
            "can't parse entities",
            "message is too long",
            "message_too_long",
            "caption is too long",
            "media_caption_too_long",
            "text is empty",
            "text must be non-empty",
            "message_empty",
            "button_data_invalid",
            "button_url_invalid",
            "button_type_invalid",
            "reply markup",
            "reply_markup",
            "inline keyboard",
            "entities_too_long",
            "entity_bounds_invalid",
        ],
    ),
    (
        Failure::Destination,
        &[
            "bot was blocked",
            "user_is_blocked",
            "bot was kicked",
            "bot is not a member",
            "user is deactivated",
            "input_user_deactivated",
            "can't initiate conversation",
            "can't send messages to bots",
            "can't send messages to the user",
            "chat not found",
            "user not found",
            "chat_id is empty",
            "peer_id_invalid",
            "channel_private",
            "group chat was deleted",
            "group chat was deactivated",
            "upgraded to a supergroup",
            "not enough rights",
            "have no rights to send",
            "need administrator rights",
            "chat_write_forbidden",
            "chat_admin_required",
            "chat_restricted",
            "chat_guest_send_forbidden",
            "_forbidden",
        ],
    ),
];

/// What an error means that the Bot API has described.
pub fn of_description(code: u16, description: &str, retry_after: Option<Duration>) -> Failure {
    let lower = description.to_lowercase();
    let told = || if description.is_empty() { format!("error {code}") } else { description.to_owned() };
    if code == 429 || lower.starts_with("too many requests") || lower.contains("flood_wait") {
        let retry_after = retry_after.or_else(|| wait_in(&lower)).unwrap_or(UNSAID_WAIT);
        return Failure::Rate { retry_after: retry_after.max(Duration::from_secs(1)) };
    }
    if code >= 500 {
        return Failure::Transient(told());
    }
    match code {
        401 => return Failure::Unauthorized(told()),
        // What is said for a token that never was one, and of methods that there are not; ours there are.
        404 if lower == "not found" || lower.is_empty() => return Failure::Unauthorized(told()),
        409 => return Failure::Conflict(told()),
        _ => {}
    }
    let known = MEANINGS.iter().find(|(_, words)| words.iter().any(|words| lower.contains(words)));
    match known {
        Some((meaning, _)) => meaning(told()),
        None if code == 403 => Failure::Destination(told()),
        None => Failure::Content(told()),
    }
}

/// The seconds in "Too Many Requests: retry after 14".
fn wait_in(lower: &str) -> Option<Duration> {
    let (_, after) = lower.split_once("retry after ")?;
    let digits = after.split(|character: char| !character.is_ascii_digit()).next()?;
    digits.parse().ok().map(Duration::from_secs)
}

/// What is no answer of the Bot API: a page of a proxy on the way there, or one that was cut off.
fn unreadable(reply: Reply<'_>) -> Result<Value, Failure> {
    let text = String::from_utf8_lossy(reply.body);
    let head: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(LONGEST_HEAD).collect();
    let told = format!("status {}: {head}", reply.status);
    match reply.status {
        200..=299 => match delivered(&text) {
            Some(MessageId(id)) => Ok(serde_json::json!({ "message_id": id })),
            None => Err(Failure::Ambiguous(told)),
        },
        429 => Err(Failure::Rate { retry_after: reply.retry_after.map_or(UNSAID_WAIT, Duration::from_secs) }),
        413 => Err(Failure::Content(told)),
        // Whatever else says this is not the Bot API, so that it knows nothing of tokens, chats and texts.
        _ => Err(Failure::Transient(told)),
    }
}

/// The number of a message that was sent, out of an answer that can not be read as a whole: it may be cut off, or garbled
/// further on. Numbers of messages within that one (which it answers, for one) are not meant.
fn delivered(text: &str) -> Option<MessageId> {
    const NAME: &str = "\"message_id\":";
    let compact: String = text.chars().filter(|character| !character.is_whitespace()).collect();
    let result = compact.strip_prefix(r#"{"ok":true,"result":{"#)?;
    let (mut depth, mut is_text, mut is_escaped) = (0_u32, false, false);
    for (place, character) in result.char_indices() {
        let rest = result.get(place..)?;
        if depth == 0 && !is_text && rest.starts_with(NAME) {
            let number = rest.get(NAME.len()..)?;
            let end = number.find(|character: char| !character.is_ascii_digit())?;
            return number.get(..end)?.parse().ok().map(MessageId);
        }
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_text = !is_text,
            '{' | '[' if !is_text => depth += 1,
            '}' | ']' if !is_text => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    None
}

/// What it means that there was no answer at all. The address of a call, in which the token is, is not told.
pub fn of_transport(error: reqwest::Error) -> Failure {
    let was_sent = !(error.is_connect() || error.is_builder());
    let error = error.without_url();
    let mut causes = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        causes.push(cause.to_string());
        source = cause.source();
    }
    // The libraries' own words for "it has failed" tell nobody anything; why it has failed comes after them.
    let says_why = |cause: &String| cause != "error sending request" && !cause.starts_with("client error (");
    let first = causes.iter().position(says_why).unwrap_or_default();
    let told = causes.split_off(first).join(": ");
    if was_sent { Failure::Ambiguous(told) } else { Failure::Transient(told) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_that_gets_nowhere_says_why_and_nothing_else() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        drop(listener);
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let failure = of_transport(client.get(url).send().await.unwrap_err());
        assert!(matches!(&failure, Failure::Transient(told) if told.starts_with("tcp connect error: ")), "{failure}");
    }

    fn read_body(status: u16, body: &str) -> Result<Value, Failure> {
        read(Reply { status, retry_after: None, body: body.as_bytes() })
    }

    #[test]
    fn every_error_is_what_is_to_be_done_about_it() {
        for (code, description, class) in [
            (
                400,
                "Bad Request: message is not modified: specified new message content and reply markup are exactly the same",
                "not_modified",
            ),
            (400, "Bad Request: message to edit not found", "edit"),
            (400, "Bad Request: message can't be edited", "edit"),
            (400, "Bad Request: MESSAGE_ID_INVALID", "edit"),
            (400, "Bad Request: message to be replied not found", "reply"),
            (400, "Bad Request: message to reply not found", "reply"),
            (400, "Bad Request: message thread not found", "thread"),
            (400, "Bad Request: TOPIC_CLOSED", "thread"),
            (400, "Bad Request: TOPIC_DELETED", "thread"),
            (400, "Bad Request: TOPIC_ID_INVALID", "thread"),
            (400, "Bad Request: chat not found", "destination"),
            (400, "Bad Request: PEER_ID_INVALID", "destination"),
            (400, "Bad Request: not enough rights to send text messages to the chat", "destination"),
            (400, "Bad Request: have no rights to send a message", "destination"),
            (400, "Bad Request: need administrator rights in the channel chat", "destination"),
            (400, "Bad Request: CHAT_WRITE_FORBIDDEN", "destination"),
            (400, "Bad Request: CHAT_SEND_PLAIN_FORBIDDEN", "destination"),
            (400, "Bad Request: group chat was upgraded to a supergroup chat", "destination"),
            (403, "Forbidden: bot was blocked by the user", "destination"),
            (403, "Forbidden: bot was kicked from the group chat", "destination"),
            (403, "Forbidden: bot was kicked from the supergroup chat", "destination"),
            (403, "Forbidden: bot is not a member of the channel chat", "destination"),
            (403, "Forbidden: user is deactivated", "destination"),
            (403, "Forbidden: bot can't initiate conversation with a user", "destination"),
            (403, "Forbidden: bot can't send messages to bots", "destination"),
            (403, "Forbidden: the group chat was deleted", "destination"),
            (403, "Forbidden: something new", "destination"),
            (400, "Bad Request: can't parse entities: Unsupported start tag \"no\" at byte offset 3", "content"),
            (400, "Bad Request: message is too long", "content"),
            (400, "Bad Request: text must be non-empty", "content"),
            (400, "Bad Request: message text is empty", "content"),
            (400, "Bad Request: BUTTON_DATA_INVALID", "content"),
            (400, "Bad Request: BUTTON_URL_INVALID", "content"),
            (400, "Bad Request: REPLY_MARKUP_TOO_LONG", "content"),
            (400, "Bad Request: reply markup is too long", "content"),
            (400, "Bad Request: object expected as reply markup", "content"),
            (400, "Bad Request: something new", "content"),
            (413, "Request Entity Too Large", "content"),
            (401, "Unauthorized", "unauthorized"),
            (404, "Not Found", "unauthorized"),
            (
                409,
                "Conflict: terminated by other getUpdates request; make sure that only one bot instance is running",
                "conflict",
            ),
            (429, "Too Many Requests: retry after 14", "rate"),
            (500, "Internal Server Error", "transient"),
            (502, "Bad Gateway", "transient"),
        ] {
            let body = serde_json::json!({ "ok": false, "error_code": code, "description": description }).to_string();
            assert_eq!(read_body(code, &body).unwrap_err().class(), class, "{code} {description}");
            let louder = of_description(code, &description.to_uppercase(), None);
            assert_eq!(louder.class(), class, "{code} {description}, in capitals");
        }
    }

    #[test]
    fn how_long_to_wait_is_told_in_one_of_three_places() {
        let wait = |body: &str, retry_after| match read(Reply { status: 429, retry_after, body: body.as_bytes() })
            .unwrap_err()
        {
            Failure::Rate { retry_after } => retry_after.as_secs(),
            other => panic!("{other:?}"),
        };
        let told = r#"{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 7","parameters":{"retry_after":30}}"#;
        assert_eq!(wait(told, Some(8)), 30);
        let words = r#"{"ok":false,"error_code":429,"description":"Too Many Requests: retry after 7"}"#;
        assert_eq!((wait(words, Some(8)), wait(words, None)), (8, 7));
        // Never at once, whatever is asked for.
        let none = r#"{"ok":false,"error_code":429,"description":"Too Many Requests","parameters":{"retry_after":0}}"#;
        assert_eq!(wait(none, None), 1);
        assert_eq!((wait("<html>", Some(9)), wait("<html>", None)), (9, 5));
    }

    #[test]
    fn a_group_that_has_become_another_says_which() {
        let body = r#"{"ok":false,"error_code":400,"description":"Bad Request: group chat was upgraded to a supergroup chat","parameters":{"migrate_to_chat_id":-1001}}"#;
        assert_eq!(read_body(400, body), Err(Failure::Migrated { to: -1001 }));
    }

    #[test]
    fn a13_what_was_delivered_is_delivered_however_strange_the_answer() {
        for body in [
            r#"{"ok":true,"result":{"message_id":57,"chat":{"type":"hologram"},"date":"today"}}"#,
            r#"{"ok": true, "result": {"message_id": 57, "from": {"id": 1, "is_b"#,
            "{\"ok\":true,\"result\":{\"message_id\":57,\"text\":\"\u{fffd}\"",
            r#"{"ok":true,"result":{"chat":{"id":5,"title":"a \"message_id\":1 }"},"reply_to_message":{"message_id":3},"message_id":57,"te"#,
        ] {
            assert_eq!(message_id(&read_body(200, body).unwrap()), Some(MessageId(57)), "{body}");
        }
        for body in [
            "",
            "<html>hello</html>",
            r#"{"ok":true,"result":{"message_id":5"#,
            r#"{"ok":true,"result":{"reply_to_message":{"message_id":3,"#,
            r#"{"fine":true}"#,
        ] {
            assert_eq!(read_body(200, body).unwrap_err().class(), "ambiguous", "{body}");
        }
    }

    #[test]
    fn a_page_of_something_on_the_way_is_trouble_on_the_way() {
        for status in [302, 400, 403, 404, 407, 408, 500, 502, 503, 504] {
            let failure = read_body(status, "<html><h1>Bad\n Gateway</h1></html>").unwrap_err();
            assert_eq!(failure, Failure::Transient(format!("status {status}: <html><h1>Bad Gateway</h1></html>")));
        }
    }
}
