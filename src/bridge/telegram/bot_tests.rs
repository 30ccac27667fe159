//! The bot against a server that answers as it is told, over a real connection.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};

use super::*;
use crate::bridge::telegram::Button;

const TOKEN: &str = "123456:SECRET-TOKEN";

/// Answers each connection with one of these, or closes it without a word; gives what was asked.
fn server(answers: Vec<Option<(u16, &'static str)>>) -> (Url, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let (seen, requests) = channel();
    std::thread::spawn(move || {
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut buffer = [0; 65536];
            loop {
                let count = stream.read(&mut buffer).unwrap();
                request.extend_from_slice(&buffer[..count]);
                let text = String::from_utf8_lossy(&request).to_string();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                let length = head.to_lowercase().lines().find_map(|line| {
                    line.strip_prefix("content-length: ").map(|length| length.parse::<usize>().unwrap())
                });
                if body.len() >= length.unwrap_or(0) || count == 0 {
                    break;
                }
            }
            seen.send(String::from_utf8_lossy(&request).to_string()).unwrap();
            if let Some((status, body)) = answer {
                let length = body.len();
                write!(stream, "HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}")
                    .unwrap();
            }
        }
    });
    (url, requests)
}

fn bot(folder: &tempfile::TempDir, api_url: Url) -> Bot {
    let path = folder.path().join("token");
    std::fs::write(&path, TOKEN).unwrap();
    let settings =
        TelegramSettings { token: SecretFile::at(path), api_url, proxy: None, timeout: Duration::from_secs(5) };
    Bot::new(&settings).unwrap()
}

fn outgoing() -> Outgoing {
    Outgoing {
        to: Destination { chat_id: -100, thread: Some(7) },
        text: Text::Html("<b>x</b>".to_owned()),
        reply_to: Some(MessageId(3)),
        keyboard: Keyboard(vec![vec![Button { label: "Ack".to_owned(), data: "a:1".to_owned() }]]),
        is_silent: true,
    }
}

#[test]
fn what_is_sent_is_what_telegram_is_to_get() {
    let payload = serde_json::to_value(send_payload(&outgoing()).unwrap()).unwrap();
    assert_eq!(
        payload,
        json!({
            "chat_id": -100, "text": "<b>x</b>", "parse_mode": "HTML", "message_thread_id": 7,
            "link_preview_options": {"is_disabled": true}, "disable_notification": true,
            "reply_parameters": {"message_id": 3},
            "reply_markup": {"inline_keyboard": [[{"text": "Ack", "callback_data": "a:1"}]]},
        })
    );
    let mut plain = outgoing();
    plain.to.thread = None;
    plain.text = Text::Plain("x".to_owned());
    plain.reply_to = None;
    plain.keyboard = Keyboard::default();
    plain.is_silent = false;
    let payload = serde_json::to_value(send_payload(&plain).unwrap()).unwrap();
    assert_eq!(
        payload,
        json!({"chat_id": -100, "text": "x", "link_preview_options": {"is_disabled": true}, "disable_notification": false})
    );
    let payload = serde_json::to_value(edit_payload(MessageId(9), &plain).unwrap()).unwrap();
    assert_eq!(
        payload,
        json!({"chat_id": -100, "message_id": 9, "text": "x", "link_preview_options": {"is_disabled": true},
            "reply_markup": {"inline_keyboard": []}})
    );
}

#[tokio::test]
async fn a_call_brings_back_what_came_of_it_and_never_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let (url, requests) = server(vec![
        Some((200, r#"{"ok":true,"result":{"message_id":57,"chat":{"type":"hologram"}}}"#)),
        Some((502, "<html>Bad Gateway</html>")),
        None,
        Some((401, r#"{"ok":false,"error_code":401,"description":"Unauthorized"}"#)),
        Some((200, r#"{"ok":true,"result":{"message_id":58}}"#)),
    ]);
    let bot = bot(&folder, url.clone());
    assert_eq!(bot.send(&outgoing()).await, Ok(MessageId(57)));
    let request = requests.recv().unwrap();
    assert!(request.starts_with(&format!("POST /bot{TOKEN}/SendMessage HTTP/1.1\r\n")), "{request}");
    let mut failures = Vec::new();
    for class in ["transient", "ambiguous", "unauthorized"] {
        let failure = bot.send(&outgoing()).await.unwrap_err();
        assert_eq!(failure.class(), class, "{failure}");
        failures.push(failure);
    }
    // A new token is in force at once.
    std::fs::write(folder.path().join("token"), "77:NEW").unwrap();
    let document = Document { name: "alerts.txt".to_owned(), content: b"many".to_vec() };
    assert_eq!(bot.send_document(&outgoing(), &document).await, Ok(MessageId(58)));
    let request = requests.iter().last().unwrap();
    assert!(request.starts_with("POST /bot77:NEW/SendDocument "), "{request}");
    assert!(request.contains("filename=\"alerts.txt\"") && request.contains("\r\nmany\r\n"), "{request}");
    // Nobody listens any more.
    let failure = bot.send(&outgoing()).await.unwrap_err();
    assert_eq!(failure.class(), "transient", "{failure}");
    failures.push(failure);
    for failure in failures {
        assert!(!format!("{failure} {failure:?} {bot:?}").contains("SECRET"), "{failure:?}");
    }
}

#[test]
fn an_update_that_nobody_understands_is_passed_over_under_its_number() {
    let updates = json!([
        {"update_id": 1, "poll": {"odd": true}},
        {"update_id": 2, "message": {"message_id": 5, "chat": {"id": -9}, "from": {"id": 4, "first_name": "A", "last_name": "B"},
            "text": "/status", "message_thread_id": 3}},
        {"update_id": 3, "callback_query": {"id": "q", "from": {"id": 4, "username": "ab"}, "data": "d",
            "message": {"message_id": 6, "chat": {"id": -9}, "message_thread_id": 3, "is_topic_message": true}}},
        {"update_id": 4, "callback_query": {"id": "q", "from": {"id": 4, "first_name": "A"}, "data": "d",
            "message": {"odd": 1}}},
        {"update_id": 5, "message": {"message_id": 5, "chat": {"id": -9}, "photo": []}},
    ]);
    let updates: Vec<_> = updates.as_array().unwrap().iter().filter_map(update).collect();
    let at = |thread| Destination { chat_id: -9, thread };
    let user = |name: &str| User { id: 4, name: name.to_owned() };
    let press = |from, at| Event::Press { id: "q".to_owned(), from, at, data: "d".to_owned() };
    assert_eq!(
        updates,
        [
            Update { id: 1, event: Event::Other },
            Update {
                id: 2,
                event: Event::Message {
                    from: Some(user("A B")),
                    at: at(None),
                    id: MessageId(5),
                    text: "/status".to_owned()
                }
            },
            Update { id: 3, event: press(user("ab"), Some((at(Some(3)), MessageId(6)))) },
            Update { id: 4, event: press(user("A"), None) },
            Update { id: 5, event: Event::Other },
        ]
    );
}

#[test]
fn why_a_bot_may_not_write_can_be_told() {
    for (kind, chat, member, is_refused) in [
        ("supergroup", json!({}), json!({"status": "administrator"}), false),
        ("supergroup", json!({"permissions": {"can_send_messages": true}}), json!({"status": "member"}), false),
        ("supergroup", json!({"permissions": {"can_send_messages": false}}), json!({"status": "member"}), true),
        ("group", json!({}), json!({"status": "left"}), true),
        ("group", json!({}), json!({"status": "kicked"}), true),
        ("group", json!({}), json!({"status": "restricted", "can_send_messages": false}), true),
        ("channel", json!({}), json!({"status": "administrator", "can_post_messages": true}), false),
        ("channel", json!({}), json!({"status": "administrator"}), true),
    ] {
        assert_eq!(refusal(kind, &chat, &member).is_some(), is_refused, "{kind} {chat} {member}");
    }
}
