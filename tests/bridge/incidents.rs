//! What is a new message, what changes one, and what changes nothing.

use serde_json::Value;

use crate::payloads::{Alert, from_peer, notification};
use crate::scene::{Configuration, ROOT, Scene, UMA};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a04_fire_resolve_fire() {
    let scene = Scene::new();
    let _bridge = scene.start(&Configuration::default());
    let first = Alert::firing("Flapping");
    scene.accept(&notification(std::slice::from_ref(&first))).await;
    scene.messages(ROOT, 1).await;
    scene.settled().await;
    scene.accept(&notification(&[first.resolved()])).await;
    scene.settled().await;
    let second = first.again();
    scene.accept(&notification(std::slice::from_ref(&second))).await;
    scene.settled().await;
    let messages = scene.api.messages(ROOT);
    let cards: Vec<_> = messages.iter().filter(|message| message.reply_to.is_none()).collect();
    println!("a04: fired, resolved and fired again within the hour: {} cards", cards.len());
    assert_eq!(cards.len(), 2, "{messages:?}");
    assert!(cards[0].edits >= 1, "the first one says that it is over");
    assert_eq!(messages.len(), 3);
    assert_eq!(messages[1].reply_to, Some(messages[0].message_id), "that it is over is an answer to it");

    // A firing of the first one that comes late changes nothing.
    scene.accept(&notification(&[first])).await;
    scene.accept(&notification(std::slice::from_ref(&second))).await;
    scene.settled().await;
    assert_eq!(scene.api.messages(ROOT), messages);
    scene.accept(&notification(&[second.resolved()])).await;
    scene.settled().await;
    assert_eq!(scene.api.messages(ROOT)[3].reply_to, Some(messages[2].message_id));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a05_two_senders_are_one_message() {
    let scene = Scene::new();
    let _bridge = scene.start(&Configuration::default());
    let body = notification(&[Alert::firing("Twice"), Alert::firing("Twice").label("disk", "sdb")]);
    let other = from_peer(&body);
    let (one, two) = tokio::join!(scene.post(&body), scene.post(&other));
    assert_eq!((one.0, two.0), (200, 200), "{one:?} {two:?}");
    scene.settled().await;
    assert_eq!(scene.api.messages(ROOT).len(), 1);

    // While the store can not commit, both are told to come again; and both do.
    let store = rusqlite::Connection::open(scene.path("bridge.db")).unwrap();
    store.execute_batch("BEGIN IMMEDIATE").unwrap();
    let body = notification(&[Alert::firing("Locked")]);
    let other = from_peer(&body);
    let (one, two) = tokio::join!(scene.post(&body), scene.post(&other));
    assert_eq!((one.0, two.0), (503, 503), "{one:?} {two:?}");
    store.execute_batch("ROLLBACK").unwrap();
    for _ in 0..3 {
        scene.accept(&other).await;
        scene.accept(&body).await;
    }
    scene.settled().await;
    let about: Vec<_> = scene.texts(ROOT).into_iter().filter(|text| text.contains("Locked")).collect();
    println!("a05: 8 notifications of two senders, 2 answered with 503: {} message", about.len());
    assert_eq!(about.len(), 1);
    let resolved = |body: &Value| {
        let mut body = body.clone();
        body["status"] = "resolved".into();
        body["alerts"][0]["status"] = "resolved".into();
        body["alerts"][0]["endsAt"] = jiff::Timestamp::now().to_string().into();
        body
    };
    let over = resolved(&body);
    scene.accept(&over).await;
    scene.accept(&from_peer(&over)).await;
    // The other one lags behind.
    scene.accept(&other).await;
    scene.settled().await;
    let answers = scene.api.messages(ROOT).iter().filter(|message| message.reply_to.is_some()).count();
    assert_eq!((scene.api.messages(ROOT).len(), answers), (3, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a12_a_mixed_group_reaches_each_chat_with_its_own() {
    let scene = Scene::new();
    let _bridge = scene.start(&Configuration::default());
    let alerts: Vec<_> = (0..6)
        .map(|number| {
            let instance = ["vijay", "Bheem:9119", "vijay:10119"][number % 3];
            Alert::firing(&format!("Mixed{number}x")).of(instance)
        })
        .collect();
    scene.accept(&notification(&alerts)).await;
    scene.messages(ROOT, 1).await;
    scene.messages(UMA, 1).await;
    scene.settled().await;
    let (root, uma) = (scene.everything_in(ROOT), scene.everything_in(UMA));
    for number in 0..6 {
        let name = format!("Mixed{number}x");
        assert_eq!((root.contains(&name), uma.contains(&name)), (number % 3 != 1, number % 3 == 1), "{name}");
    }
    println!("a12: 6 alerts of two installations in one notification: 4 in one chat, 2 in the other, none in both");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_wants_goes_to_the_default_chat_and_is_counted() {
    let scene = Scene::new();
    let _bridge = scene.start(&Configuration::default());
    scene.accept(&notification(&[Alert::firing("Unrouted").of("elsewhere")])).await;
    let messages = scene.messages(ROOT, 1).await;
    assert!(messages[0].text.contains("Unrouted"));
    assert_eq!(scene.metric("hermes_alert_bridge_unrouted_total", &[]).await, 1.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resolve_is_told_as_the_chat_wants_it() {
    for (mode, messages, edited) in [("edit", 1, true), ("reply", 2, false), ("both", 2, true), ("new", 2, false)] {
        let scene = Scene::new();
        let chats = format!("{{root: {{chat_id: {ROOT}, resolve: {mode}}}, ops: {{chat_id: 1003}}}}");
        let configuration = Configuration { chats, routes: "[]".to_owned(), ..Configuration::default() };
        let _bridge = scene.start(&configuration);
        let alert = Alert::firing("Short");
        scene.accept(&notification(std::slice::from_ref(&alert))).await;
        scene.messages(ROOT, 1).await;
        scene.settled().await;
        scene.accept(&notification(&[alert.resolved()])).await;
        scene.settled().await;
        let found = scene.api.messages(ROOT);
        assert_eq!((found.len(), found[0].edits > 0), (messages, edited), "{mode}: {found:?}");
        if messages == 2 {
            assert_eq!(found[1].reply_to.is_some(), mode != "new", "{mode}");
            assert!(found[1].is_silent, "{mode}: that something is over makes no sound by itself");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_of_something_unknown_is_told_once() {
    let scene = Scene::new();
    let _bridge = scene.start(&Configuration::default());
    let alert = Alert::firing("Unknown").resolved();
    for _ in 0..3 {
        scene.accept(&notification(std::slice::from_ref(&alert))).await;
    }
    scene.settled().await;
    assert_eq!(scene.api.messages(ROOT).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_with_another_start_is_an_answer_to_what_fires() {
    let scene = Scene::new();
    let _bridge = scene.start(&Configuration::default());
    let alert = Alert::firing("Restarted");
    scene.accept(&notification(std::slice::from_ref(&alert))).await;
    scene.messages(ROOT, 1).await;
    scene.settled().await;
    // Prometheus and Alertmanager were started again; the peer was not, and says the same again.
    let end = notification(&[alert.again().resolved()]);
    for body in [&end, &from_peer(&end), &notification(&[alert.resolved()])] {
        scene.accept(body).await;
        scene.settled().await;
    }
    let messages = scene.api.messages(ROOT);
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(messages[0].edits >= 1 && messages[1].reply_to == Some(messages[0].message_id), "{messages:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_firing_that_comes_late_and_stays_is_told_after_all() {
    let scene = Scene::new();
    let _bridge = scene.start(&Configuration::with("late_firing: 1s"));
    let alert = Alert::firing("Reopened");
    scene.accept(&notification(std::slice::from_ref(&alert))).await;
    scene.messages(ROOT, 1).await;
    scene.settled().await;
    scene.accept(&notification(&[alert.resolved()])).await;
    scene.settled().await;
    scene.accept(&notification(&[alert])).await;
    let messages = scene.messages(ROOT, 3).await;
    assert!(messages[2].text.contains("Reopened") && messages[2].reply_to.is_none());
    assert_eq!(scene.metric("hermes_alert_bridge_alert_changes_total", &[("change", "reopened")]).await, 1.0);
}
