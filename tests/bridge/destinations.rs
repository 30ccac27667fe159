//! Chats that ask to wait, move, lose a topic or go away.

use crate::bot_api::{ChatFacts, ChatKind, Fault, Kind};
use crate::payloads::{Alert, notification};
use crate::scene::{Configuration, OPS, ROOT, Scene, UMA, wait_for};

fn once(chat_id: i64, kind: Kind) -> Fault {
    Fault { chat_id: Some(chat_id), method: None, thread: None, times: Some(1), seconds: None, kind }
}

/// When the first call about a chat was done that was made after this moment.
fn done_at(scene: &Scene, chat_id: i64) -> Option<u128> {
    scene.api.calls().into_iter().find(|call| call.chat_id == Some(chat_id) && call.is_done).map(|call| call.at)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a02_retry_after_of_one_chat_does_not_hold_up_another() {
    let scene = Scene::new();
    let bridge = scene.start(&Configuration::default());
    scene.api.fault(once(ROOT, Kind::Rate { retry_after: 3 }));
    scene.accept(&notification(&[Alert::firing("Held")])).await;
    let refused = wait_for("the call that is refused", async || scene.api.calls().first().map(|call| call.at)).await;
    scene.accept(&notification(&[Alert::firing("Free").of("bheem")])).await;
    scene.messages(UMA, 1).await;
    scene.messages(ROOT, 1).await;
    let (held, free) = (done_at(&scene, ROOT).unwrap(), done_at(&scene, UMA).unwrap());
    println!("a02: one chat waits {} ms for its 3 s, the other one {} ms", held - refused, free - refused);
    assert!(held - refused >= 3000, "{}", held - refused);
    assert!(free < held);
    scene.settled().await;

    // What was asked for is kept when the program is not.
    scene.api.fault(once(ROOT, Kind::Rate { retry_after: 4 }));
    let calls = scene.api.calls().len();
    scene.accept(&notification(&[Alert::firing("Kept")])).await;
    let refused = wait_for("the call that is refused", async || scene.api.calls().get(calls).map(|call| call.at)).await;
    let is_noted = async || (scene.count("SELECT count(*) FROM card WHERE in_flight IS NOT NULL") == 0).then_some(());
    wait_for("the refusal to be written down", is_noted).await;
    bridge.kill();
    let _bridge = scene.start_again();
    scene.accept(&notification(&[Alert::firing("Other").of("bheem")])).await;
    scene.messages(UMA, 2).await;
    scene.messages(ROOT, 2).await;
    let after = scene.api.calls()[calls + 1..].iter().find(|call| call.chat_id == Some(ROOT)).unwrap().at;
    println!("a02: over a restart it waits {} ms for its 4 s", after - refused);
    assert!(after - refused >= 4000, "{}", after - refused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a09_a_group_that_has_moved_is_followed_for_ever() {
    let (old, new) = (-4200, -100_420_000);
    let scene = Scene::new();
    scene.chat(new, ChatKind::Supergroup);
    scene.chat(old, ChatKind::Group);
    let chats = format!("{{root: {{chat_id: {old}}}, ops: {{chat_id: {OPS}}}}}");
    let configuration = Configuration { chats, routes: "[]".to_owned(), ..Configuration::default() };
    let bridge = scene.start(&configuration);
    scene.accept(&notification(&[Alert::firing("Before")])).await;
    scene.messages(old, 1).await;
    scene.settled().await;
    scene.api.chat(ChatFacts { id: old, kind: ChatKind::Group, migrated_to: Some(new), ..ChatFacts::default() });
    scene.accept(&notification(&[Alert::firing("Moved")])).await;
    assert!(scene.messages(new, 1).await[0].text.contains("Moved"));
    scene.settled().await;
    assert_eq!(scene.metric("hermes_alert_bridge_migrated_total", &[]).await, 1.0);
    assert!(!scene.texts(OPS).is_empty(), "the operators are told that the configuration is out of date");
    bridge.kill();
    let before = scene.api.calls().len();
    let _bridge = scene.start_again();
    scene.accept(&notification(&[Alert::firing("After")])).await;
    scene.messages(new, 2).await;
    let asked = scene.api.calls()[before..].iter().filter(|call| call.chat_id == Some(old)).count();
    println!("a09: followed at once; {asked} calls to the old number after a restart");
    assert_eq!(asked, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a10_a_topic_that_is_gone_and_the_general_one() {
    let forum = -100_770_000;
    let with_topics = |topics: &[i64], closed: &[i64]| ChatFacts {
        id: forum,
        kind: ChatKind::Forum,
        topics: topics.iter().copied().collect(),
        closed_topics: closed.iter().copied().collect(),
        ..ChatFacts::default()
    };
    let scene = Scene::new();
    scene.api.chat(with_topics(&[7], &[]));
    let chats = |thread| format!("{{root: {{chat_id: {forum}, thread: {thread}}}, ops: {{chat_id: {OPS}}}}}");
    let configuration = Configuration { chats: chats(7), routes: "[]".to_owned(), ..Configuration::default() };
    let bridge = scene.start(&configuration);
    scene.accept(&notification(&[Alert::firing("InTopic")])).await;
    assert_eq!(scene.messages(forum, 1).await[0].thread, Some(7));
    scene.settled().await;
    scene.api.chat(with_topics(&[], &[]));
    scene.accept(&notification(&[Alert::firing("TopicGone")])).await;
    let messages = scene.messages(forum, 2).await;
    assert_eq!(messages[1].thread, None);
    scene.messages(OPS, 1).await;
    scene.settled().await;
    let before = scene.api.calls().len();
    scene.accept(&notification(&[Alert::firing("StillGone")])).await;
    scene.messages(forum, 3).await;
    scene.settled().await;
    let refused = scene.api.calls()[before..].iter().filter(|call| call.outcome.starts_with("400")).count();
    let notices = scene.api.messages(OPS).len();
    println!("a10: a topic that is gone: delivered, {notices} notice, then {refused} calls in vain");
    assert_eq!((refused, notices), (0, 1));
    assert!(bridge.end().success());

    // Closed is as good as gone.
    let scene = Scene::new();
    scene.api.chat(with_topics(&[7], &[7]));
    let _bridge = scene.start(&configuration);
    scene.accept(&notification(&[Alert::firing("TopicClosed")])).await;
    assert_eq!(scene.messages(forum, 1).await[0].thread, None);

    // The general topic is listed as 1, and refused as such.
    let scene = Scene::new();
    scene.api.chat(with_topics(&[7], &[]));
    let _bridge = scene.start(&Configuration { chats: chats(1), ..configuration });
    scene.accept(&notification(&[Alert::firing("General")])).await;
    assert_eq!(scene.messages(forum, 1).await[0].thread, None);
    let refused = scene.api.calls().iter().filter(|call| call.outcome.starts_with("400")).count();
    println!("a10: the general topic: delivered, {refused} refusals");
    assert_eq!(refused, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_that_can_not_be_written_to_is_stood_in_for() {
    for membership in ["kicked", "left", "restricted"] {
        let scene = Scene::new();
        let refused = ChatFacts { id: UMA, membership: Some(membership.to_owned()), ..ChatFacts::default() };
        scene.api.chat(refused);
        let _bridge = scene.start(&Configuration::default());
        scene.accept(&notification(&[Alert::firing("Diverted").of("bheem")])).await;
        // The operators' chat stands in for one that names no other.
        let told = wait_for("the alert in another chat", async || {
            scene.texts(OPS).into_iter().find(|text| text.contains("Diverted"))
        })
        .await;
        assert!(told.contains("uma"), "{told}");
        wait_for("that to be counted", async || {
            let count = scene.metric("hermes_alert_bridge_diverted_total", &[("chat", "uma")]).await;
            (count >= 1.0).then_some(())
        })
        .await;
        scene.accept(&notification(&[Alert::firing("Own")])).await;
        assert!(scene.messages(ROOT, 1).await[0].text.contains("Own"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fallback_of_its_own_comes_before_the_default() {
    let scene = Scene::new();
    scene.api.chat(ChatFacts { id: UMA, membership: Some("kicked".to_owned()), ..ChatFacts::default() });
    let chats = format!(
        "{{root: {{chat_id: {ROOT}}}, uma: {{chat_id: {UMA}, fallback: second}}, second: {{chat_id: 1009}}, ops: {{chat_id: {OPS}}}}}"
    );
    scene.chat(1009, ChatKind::Private);
    let _bridge = scene.start(&Configuration { chats, ..Configuration::default() });
    scene.accept(&notification(&[Alert::firing("Diverted").of("bheem")])).await;
    assert!(scene.messages(1009, 1).await[0].text.contains("Diverted"));
    scene.settled().await;
    assert!(!scene.everything_in(ROOT).contains("Diverted"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_to_be_answered_or_changed_and_is_gone_is_said_anew() {
    let scene = Scene::new();
    let _bridge = scene.start(&Configuration::default());
    let alert = Alert::firing("Deleted");
    scene.accept(&notification(std::slice::from_ref(&alert))).await;
    let sent = scene.messages(ROOT, 1).await[0].message_id;
    scene.settled().await;
    scene.api.world().chats.get_mut(&ROOT).unwrap().delete(sent).unwrap();
    scene.accept(&notification(&[alert.resolved()])).await;
    scene.settled().await;
    let messages = scene.api.messages(ROOT);
    assert!(!messages.is_empty() && messages.iter().all(|message| message.text.contains("Deleted")), "{messages:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_refused_stops_sending_and_not_accepting() {
    let scene = Scene::new();
    scene.api.world().tokens = ["1:other".to_owned()].into();
    let bridge = scene.start(&Configuration::default());
    for number in 0..3 {
        scene.accept(&notification(&[Alert::firing(&format!("Queued{number}x"))])).await;
    }
    wait_for("the program to say that it is not ready", async || {
        let (status, _) = scene.get("/-/ready").await;
        (status == 503).then_some(())
    })
    .await;
    assert_eq!(scene.get("/-/healthy").await.0, 200);
    // The right one is put into the file: nothing has to be started again.
    scene.api.world().tokens = ["123456789:AAnew".to_owned()].into();
    scene.write("bot.token", "123456789:AAnew");
    scene.messages(ROOT, 3).await;
    scene.settled().await;
    wait_for("the program to be ready", async || (scene.get("/-/ready").await.0 == 200).then_some(())).await;
    assert!(!(bridge.log() + &bridge.output()).contains("AAnew"));
}
