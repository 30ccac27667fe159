//! The server as it is called.

use std::time::Duration;

use serde_json::{Value, json};

use super::{BotApi, ChatFacts, ChatKind, Fault, Kind, Press, Saying};

fn server() -> BotApi {
    let server = BotApi::start();
    server.chat(ChatFacts { id: 5, ..ChatFacts::default() });
    let topics = [7].into();
    server.chat(ChatFacts { id: -1005, kind: ChatKind::Forum, topics, ..ChatFacts::default() });
    server
}

fn fault(kind: Kind) -> Fault {
    Fault { chat_id: None, method: None, thread: None, times: Some(1), seconds: None, kind }
}

async fn call(server: &BotApi, method: &str, parameters: Value) -> (u16, Value) {
    let url = format!("{}/bot123:abc/{method}", server.url());
    let response = reqwest::Client::new().post(url).json(&parameters).send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn a_message_is_there_as_it_was_sent() {
    let server = server();
    let parameters = json!({
        "chat_id": -1005, "text": "<b>x &lt; 1</b>", "parse_mode": "HTML", "message_thread_id": 7,
        "disable_notification": true,
        "reply_markup": {"inline_keyboard": [[{"text": "Ack", "callback_data": "a"}]]},
    });
    let (status, answer) = call(&server, "SendMessage", parameters).await;
    assert_eq!((status, &answer["result"]["message_id"], &answer["result"]["text"]), (200, &json!(1), &json!("x < 1")));
    let (status, answer) = call(&server, "sendmessage", json!({"chat_id": 6, "text": "x"})).await;
    let refused = json!({"ok": false, "error_code": 400, "description": "Bad Request: chat not found"});
    assert_eq!((status, answer), (400, refused));
    let messages = server.messages(-1005);
    assert_eq!(messages.len(), 1);
    assert_eq!((messages[0].text.as_str(), messages[0].thread, messages[0].is_silent), ("x < 1", Some(7), true));
    let outcomes: Vec<_> = server.calls().into_iter().map(|call| (call.method, call.outcome, call.is_done)).collect();
    let expected = [("ok", true), ("400 Bad Request: chat not found", false)];
    assert_eq!(outcomes, expected.map(|(outcome, done)| ("sendmessage".to_owned(), outcome.to_owned(), done)));
}

#[tokio::test]
async fn faults_act_before_or_after_it_is_done() {
    let server = server();
    let hello = json!({"chat_id": 5, "text": "hello"});
    server.fault(fault(Kind::Rate { retry_after: 7 }));
    let url = format!("{}/bot1:a/sendMessage", server.url());
    let client = reqwest::Client::builder().timeout(Duration::from_millis(500)).build().unwrap();
    let response = client.post(&url).json(&hello).send().await.unwrap();
    assert_eq!(response.headers()["retry-after"], "7");
    let expected = json!({
        "ok": false, "error_code": 429, "description": "Too Many Requests: retry after 7", "parameters": {"retry_after": 7},
    });
    assert_eq!(response.json::<Value>().await.unwrap(), expected);
    for (kind, sent) in [(Kind::Drop, 0), (Kind::DropAfter, 1), (Kind::Hang, 1), (Kind::HangAfter, 2)] {
        server.fault(fault(kind.clone()));
        let outcome = client.post(&url).json(&hello).send().await;
        assert!(outcome.is_err(), "{kind:?}");
        assert_eq!(server.messages(5).len(), sent, "{kind:?}");
    }
    server.fault(fault(Kind::BadGateway));
    let response = client.post(&url).json(&hello).send().await.unwrap();
    assert_eq!(response.status(), 502);
    assert!(response.text().await.unwrap().starts_with("<html>"));
    server.fault(fault(Kind::OddEnum));
    let answer = call(&server, "sendMessage", hello.clone()).await.1;
    assert_eq!((&answer["ok"], &answer["result"]["message_id"]), (&json!(true), &json!(3)));
    assert_eq!(answer["result"]["chat"]["type"], "galaxy");
    server.fault(fault(Kind::Truncated));
    let text = client.post(&url).json(&hello).send().await.unwrap().text().await.unwrap();
    assert!(text.starts_with(r#"{"ok":true,"result":{"message_id":4,"#), "{text}");
    assert!(serde_json::from_str::<Value>(&text).is_err());
    assert_eq!(call(&server, "sendMessage", hello).await.0, 200);
}

#[tokio::test]
async fn a_token_that_is_not_known_is_refused() {
    let server = server();
    server.world().tokens = ["9:z".to_owned()].into();
    let (status, answer) = call(&server, "getMe", json!({})).await;
    assert_eq!((status, &answer["description"]), (401, &json!("Unauthorized")));
    server.world().tokens = ["123:abc".to_owned()].into();
    assert_eq!(call(&server, "getMe", json!({})).await.1["result"]["is_bot"], true);
    for method in ["getChat", "getChatMember"] {
        assert_eq!(call(&server, method, json!({"chat_id": -1005, "user_id": 1})).await.0, 200, "{method}");
    }
}

#[tokio::test]
async fn presses_and_messages_come_with_the_long_poll_and_a_second_poller_ends_the_first() {
    let server = server();
    let keyboard = json!({"inline_keyboard": [[{"text": "Ack", "callback_data": "a1"}]]});
    call(&server, "sendMessage", json!({"chat_id": 5, "text": "x", "reply_markup": keyboard})).await;
    let ask = |offset: i64| call(&server, "getUpdates", json!({"offset": offset, "timeout": 20}));
    let press = async {
        let label = Some("Ack".to_owned());
        server.press(&Press { chat_id: 5, message_id: 1, user_id: 77, label, ..Press::default() })
    };
    let ((_, answer), press) = tokio::join!(ask(0), press);
    let query = &answer["result"][0]["callback_query"];
    assert_eq!(
        (&query["data"], &query["from"]["id"], &query["message"]["message_id"]),
        (&json!("a1"), &json!(77), &json!(1))
    );
    assert_eq!(query["id"], json!(press));
    let done = json!({"callback_query_id": press, "text": "done"});
    assert_eq!(call(&server, "answerCallbackQuery", done.clone()).await.0, 200);
    assert_eq!(server.answer_of(&press).unwrap().text, "done");
    let (status, answer) = call(&server, "answerCallbackQuery", done).await;
    assert_eq!(status, 400);
    assert!(answer["description"].as_str().unwrap().starts_with("Bad Request: query is too old"));

    let pollers = server.world().updates.pollers();
    let first = ask(2);
    let second = async {
        while server.world().updates.pollers() == pollers {
            tokio::task::yield_now().await;
        }
        call(&server, "getUpdates", json!({"offset": 2, "timeout": 0})).await
    };
    let ((status, answer), (second, _)) = tokio::join!(first, second);
    assert_eq!((status, second), (409, 200));
    assert!(answer["description"].as_str().unwrap().starts_with("Conflict: terminated by other getUpdates request"));
    let said = Saying { chat_id: 5, user_id: 77, text: "/alerts".to_owned(), ..Saying::default() };
    server.say(&said);
    assert_eq!(ask(2).await.1["result"][0]["message"]["text"], "/alerts");
    server.poll_elsewhere(true);
    assert_eq!(ask(3).await.0, 409);
}

#[tokio::test]
async fn everything_can_be_done_over_http() {
    let server = server();
    let client = reqwest::Client::new();
    let at = |path: &str| format!("{}/control/{path}", server.url());
    let post = async |path: &str, body: Value| {
        let response = client.post(at(path)).json(&body).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        response.json::<Value>().await.unwrap()
    };
    let get = async |path: &str| client.get(at(path)).send().await.unwrap().json::<Value>().await.unwrap();
    post("chats", json!([{"id": 8}, {"id": -9, "kind": "group", "migrated_to": -1009}])).await;
    post("faults", json!({"kind": "internal", "times": 1, "chat_id": 8})).await;
    assert_eq!(call(&server, "sendMessage", json!({"chat_id": 8, "text": "x"})).await.0, 500);
    assert_eq!(call(&server, "sendMessage", json!({"chat_id": 8, "text": "x"})).await.0, 200);
    assert_eq!(
        call(&server, "sendMessage", json!({"chat_id": -9, "text": "x"})).await.1["parameters"]["migrate_to_chat_id"],
        -1009
    );
    let messages = get("chats/8/messages").await;
    assert_eq!((&messages[0]["text"], &messages[0]["edits"]), (&json!("x"), &json!(0)));
    let press = post("press", json!({"chat_id": 8, "message_id": 1, "user_id": 4, "data": "zz"})).await;
    assert_eq!(get(&format!("press/{}", press["id"].as_str().unwrap())).await, Value::Null);
    assert_eq!(get("calls").await.as_array().unwrap().len(), 3);
    assert_eq!(client.delete(at("everything")).send().await.unwrap().status(), 200);
    assert_eq!(get("calls").await, json!([]));
    assert_eq!(client.get(at("nonsense")).send().await.unwrap().status(), 404);
}
