//! What people and scripts do: buttons, commands, messages, progress.

use serde_json::json;

use crate::alertmanager::Alertmanager;
use crate::bot_api::{Message, Press, Saying};
use crate::payloads::{Alert, notification};
use crate::scene::{Configuration, ROOT, Scene, UMA, wait_for};

/// Who may press.
const MAHESH: i64 = 555;
const STRANGER: i64 = 666;

fn with_buttons(alertmanager: &Alertmanager) -> Configuration {
    let url = &alertmanager.url;
    Configuration::with(&format!(
        "alertmanager: {{url: '{url}'}}\nbuttons: {{users: [{{id: {MAHESH}, name: Mahesh}}], silences: [1h, 4h, 24h]}}"
    ))
}

fn press_of(message: &Message, chat_id: i64, user_id: i64, label: &str) -> Press {
    let label = Some(label.to_owned());
    Press { chat_id, message_id: message.message_id, user_id, user_name: "Mahesh".to_owned(), label, data: None }
}

async fn answered(scene: &Scene, press: &Press) -> String {
    let id = scene.api.press(press);
    wait_for("the press to be answered", async || scene.api.answer_of(&id)).await.text
}

/// The first message of a chat as soon as it has a button.
async fn with_button(scene: &Scene, chat_id: i64, label: &str) -> Message {
    wait_for(&format!("a button {label:?}"), async || {
        let messages = scene.api.messages(chat_id);
        messages.into_iter().find(|message| message.buttons().iter().any(|(text, _)| text.contains(label)))
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a14_presses_that_are_stale_foreign_or_replayed_do_nothing() {
    let alertmanager = Alertmanager::start().await;
    let scene = Scene::new();
    let bridge = scene.start(&with_buttons(&alertmanager));
    scene.accept(&notification(&[Alert::firing("Pressed")])).await;
    scene.accept(&notification(&[Alert::firing("Other").of("bheem")])).await;
    let card = with_button(&scene, ROOT, "Ack").await;
    let other = with_button(&scene, UMA, "Ack").await;
    scene.settled().await;
    let data = card.buttons().into_iter().find(|(label, _)| label.contains("Ack")).unwrap().1;
    let acknowledged = || scene.count("SELECT count(*) FROM incident WHERE acknowledged_by IS NOT NULL");

    let foreign = answered(&scene, &press_of(&card, ROOT, STRANGER, "Ack")).await;
    let with = |message: &Message, chat_id, data: &str| Press {
        chat_id,
        message_id: message.message_id,
        user_id: MAHESH,
        data: Some(data.to_owned()),
        ..Press::default()
    };
    let elsewhere = answered(&scene, &with(&other, UMA, &data)).await;
    let invented = answered(&scene, &with(&card, ROOT, "ea:once:1")).await;
    assert_eq!(acknowledged(), 0, "foreign {foreign:?}, elsewhere {elsewhere:?}, invented {invented:?}");

    bridge.kill();
    let _bridge = scene.start_again();
    let done = answered(&scene, &with(&card, ROOT, &data)).await;
    wait_for("the acknowledgement", async || (acknowledged() == 1).then_some(())).await;
    scene.settled().await;
    assert!(scene.texts(ROOT)[0].contains("Mahesh"), "{:?}", scene.texts(ROOT));
    let replayed = answered(&scene, &with(&card, ROOT, &data)).await;
    let presses = scene.count("SELECT count(*) FROM press");
    println!(
        "a14: foreign {foreign:?}, elsewhere {elsewhere:?}, invented {invented:?}, after a restart {done:?}, replayed {replayed:?}; {presses} presses are on record"
    );
    assert_eq!(presses, 5);
    assert_eq!(acknowledged(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a15_a_token_that_is_polled_elsewhere() {
    let alertmanager = Alertmanager::start().await;
    let scene = Scene::new();
    scene.api.poll_elsewhere(true);
    let _bridge = scene.start(&with_buttons(&alertmanager));
    wait_for("the conflict to be counted", async || {
        let conflicts = scene.metric("hermes_alert_bridge_polling_conflicts_total", &[]).await;
        (conflicts >= 1.0).then_some(())
    })
    .await;
    scene.accept(&notification(&[Alert::firing("Conflict")])).await;
    let messages = scene.messages(ROOT, 1).await;
    scene.settled().await;
    let conflicts = scene.metric("hermes_alert_bridge_polling_conflicts_total", &[]).await;
    println!("a15: polled elsewhere: delivered, {conflicts} conflicts, buttons: {:?}", messages[0].buttons());
    assert!(messages[0].text.contains("Conflict") && messages[0].buttons().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_a_hermes_gateway_has_is_not_polled() {
    let alertmanager = Alertmanager::start().await;
    let scene = Scene::new();
    let home = scene.path("hermes");
    std::fs::create_dir(&home).unwrap();
    std::fs::write(home.join(".env"), format!("TELEGRAM_BOT_TOKEN={}\n", crate::scene::TOKEN)).unwrap();
    let mut configuration = with_buttons(&alertmanager);
    let homes = format!(", hermes_homes: [{}]}}", home.display());
    configuration.more = configuration.more.trim_end_matches('}').to_owned() + &homes;
    let _bridge = scene.start(&configuration);
    scene.accept(&notification(&[Alert::firing("Shared")])).await;
    let messages = scene.messages(ROOT, 1).await;
    scene.settled().await;
    assert!(messages[0].buttons().is_empty());
    assert!(!scene.api.calls().iter().any(|call| call.method == "getupdates"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silences_are_made_and_ended_in_alertmanager() {
    let alertmanager = Alertmanager::start().await;
    let scene = Scene::new();
    let _bridge = scene.start(&with_buttons(&alertmanager));
    scene.accept(&notification(&[Alert::firing("Loud").label("disk", "s\"da")])).await;
    let card = with_button(&scene, ROOT, "🔕").await;
    scene.settled().await;
    answered(&scene, &press_of(&card, ROOT, MAHESH, "🔕")).await;
    let silences = wait_for("a silence", async || Some(alertmanager.silences()).filter(|made| !made.is_empty())).await;
    let matchers = silences[0]["matchers"].as_array().unwrap();
    let has = |name: &str, value: &str| {
        matchers
            .iter()
            .any(|matcher| matcher["name"] == name && matcher["value"] == value && matcher["isRegex"] == false)
    };
    assert!(has("alertname", "Loud") && has("disk", "s\"da") && has("instance", "vijay"), "{matchers:?}");
    let moment = |name: &str| silences[0][name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    assert_eq!((moment("endsAt") - moment("startsAt")).total(jiff::Unit::Minute).unwrap().round(), 60.0);
    assert!(silences[0]["createdBy"].as_str().unwrap().contains("Mahesh"), "{}", silences[0]["createdBy"]);

    let card = with_button(&scene, ROOT, "Undo").await;
    scene.settled().await;
    answered(&scene, &press_of(&card, ROOT, MAHESH, "Undo")).await;
    wait_for("the silence to be ended", async || {
        (alertmanager.silences()[0]["status"]["state"] == "expired").then_some(())
    })
    .await;
    with_button(&scene, ROOT, "🔕").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_are_answered_to_who_may_ask() {
    let alertmanager = Alertmanager::start().await;
    let scene = Scene::new();
    let _bridge = scene.start(&with_buttons(&alertmanager));
    scene.accept(&notification(&[Alert::firing("Listed")])).await;
    scene.messages(ROOT, 1).await;
    scene.settled().await;
    let mut count = 1;
    for (command, expected) in [("/alerts", "Listed"), ("/silences", ""), ("/status", ""), ("/whoami", "1001")] {
        let text = command.to_owned();
        scene.api.say(&Saying { chat_id: ROOT, user_id: MAHESH, text, ..Saying::default() });
        count += 1;
        let answer = scene.messages(ROOT, count).await.pop().unwrap();
        assert!(answer.text.contains(expected), "{command}: {}", answer.text);
    }
    let text = "/alerts".to_owned();
    scene.api.say(&Saying { chat_id: ROOT, user_id: STRANGER, text, ..Saying::default() });
    wait_for("the refusal to be counted", async || {
        let foreign = scene.metric("hermes_alert_bridge_commands_total", &[("outcome", "foreign")]).await;
        (foreign == 1.0).then_some(())
    })
    .await;
    scene.settled().await;
    assert!(!scene.texts(ROOT)[count..].iter().any(|text| text.contains("Listed")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_message_of_a_script_reaches_the_chat_of_its_instance() {
    let scene = Scene::new();
    let _bridge = scene.start(&Configuration::default());
    let notify = async |body: serde_json::Value| scene.post_to("/notify", body.to_string()).await.unwrap();
    let (status, text) = notify(json!({"chat": "uma", "title": "Backup", "text": "a < b & c"})).await;
    assert_eq!(status, 200, "{text}");
    let message = &scene.messages(UMA, 1).await[0];
    assert!(message.text.contains("Backup") && message.text.contains("a < b & c"), "{}", message.text);
    let (status, text) = notify(json!({"instance": "Bheem:9119", "text": "by instance"})).await;
    assert_eq!(status, 200, "{text}");
    assert!(scene.messages(UMA, 2).await[1].text.contains("by instance"));
    for body in [json!({"chat": "nobody", "text": "x"}), json!({}), json!([]), json!({"chat": "uma"})] {
        assert_eq!(notify(body.clone()).await.0, 400, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_progress_is_one_message_that_grows() {
    let scene = Scene::new();
    let _bridge = scene.start(&Configuration::default());
    let step = |name: &str, state: &str| json!({"name": name, "state": state});
    let notify = async |steps: serde_json::Value, more: serde_json::Value| {
        let mut body = json!({"chat": "root", "title": "Nightly backup", "progress": "backup-1", "steps": steps});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, text) = scene.post_to("/notify", body.to_string()).await.unwrap();
        assert_eq!(status, 200, "{text}");
    };
    notify(json!([step("Dump", "running"), step("Copy", "waiting")]), json!({})).await;
    let first = scene.messages(ROOT, 1).await.remove(0);
    assert!(first.text.contains("1️⃣") && first.text.contains("Dump"), "{}", first.text);
    scene.settled().await;
    notify(json!([step("Dump", "done"), step("Copy", "running"), step("Verify", "waiting")]), json!({})).await;
    scene.settled().await;
    notify(json!([step("Dump", "done"), step("Copy", "done"), step("Verify", "done")]), json!({"outcome": "done"}))
        .await;
    scene.settled().await;
    let messages = scene.api.messages(ROOT);
    assert_eq!(messages.len(), 1, "{messages:?}");
    assert!(messages[0].edits >= 2 && messages[0].text.contains("3️⃣"), "{messages:?}");
}
