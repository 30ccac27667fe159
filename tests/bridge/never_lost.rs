//! What was accepted is delivered, whatever happens in between. Kills are in `kills`.

use std::sync::Arc;

use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::bot_api::{Fault, Kind};
use crate::payloads::{Alert, notification};
use crate::program::{Bridge, program};
use crate::scene::{Configuration, ROOT, Scene, wait_for};

fn every(kind: Kind) -> Fault {
    Fault { chat_id: None, method: None, thread: None, times: None, seconds: None, kind }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a03_telegram_down() {
    let scene = Scene::new();
    let configuration = Configuration { telegram: "timeout: 1s,".to_owned(), ..Configuration::default() };
    let bridge = scene.start(&configuration);
    let early = Alert::firing("Early");
    scene.accept(&notification(std::slice::from_ref(&early))).await;
    scene.messages(ROOT, 1).await;
    scene.settled().await;

    scene.api.fault(Fault { times: Some(1), chat_id: Some(ROOT), ..every(Kind::Hang) });
    scene.api.fault(Fault { times: Some(1), ..every(Kind::Drop) });
    scene.api.fault(every(Kind::BadGateway));
    let alerts: Vec<_> = (0..20).map(|number| Alert::firing(&format!("Down{number:02}x"))).collect();
    let mut webhooks = 0;
    for alert in &alerts {
        scene.accept(&notification(std::slice::from_ref(alert))).await;
        webhooks += 1;
    }
    // Half of them are over before anybody could be told, and one has flapped.
    for alert in &alerts[10..] {
        scene.accept(&notification(&[alert.resolved()])).await;
        webhooks += 1;
    }
    scene.accept(&notification(&[early.resolved()])).await;
    for _ in 0..20 {
        scene.accept(&notification(&alerts[..1])).await;
        webhooks += 1;
    }
    let failed = async || {
        let calls = scene.api.calls();
        (calls.iter().filter(|call| call.outcome == "bad_gateway").count() >= 2).then_some(())
    };
    wait_for("calls that fail", failed).await;
    assert_eq!(scene.api.messages(ROOT).len(), 1);
    scene.api.clear_faults();
    scene.settled().await;

    let messages = scene.api.messages(ROOT);
    let of = |message: &crate::bot_api::Message| {
        message.text.split("Down").nth(1).and_then(|rest| rest.split('x').next()?.parse::<usize>().ok())
    };
    let order: Vec<_> = messages.iter().filter(|message| message.reply_to.is_none()).filter_map(of).collect();
    assert_eq!(order, (0..20).collect::<Vec<_>>(), "each once, in the order in which they came");
    let answers: Vec<_> = messages.iter().filter(|message| message.reply_to.is_some()).collect();
    assert_eq!(answers.len(), 1, "only the alert that was told before is told to be over: {answers:?}");
    println!("a03: {webhooks} webhooks while Telegram was down, all answered with 200; {} messages", order.len());
    assert!(bridge.end().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a13_odd_answers() {
    let scene = Scene::new();
    let _bridge = scene.start(&Configuration::default());
    for (kind, name) in [(Kind::OddEnum, "Odd"), (Kind::Truncated, "Truncated")] {
        let before = scene.api.messages(ROOT).len();
        scene.api.fault(Fault { times: Some(1), chat_id: Some(ROOT), ..every(kind) });
        let alert = Alert::firing(name);
        scene.accept(&notification(std::slice::from_ref(&alert))).await;
        scene.messages(ROOT, before + 1).await;
        scene.settled().await;
        // What it was told the number of, it can answer.
        scene.accept(&notification(&[alert.resolved()])).await;
        scene.settled().await;
        let messages = scene.api.messages(ROOT);
        assert_eq!(messages.len(), before + 2, "{messages:?}");
        assert_eq!(messages[before + 1].reply_to, Some(messages[before].message_id));
    }
    let uncertain = scene.metric("hermes_alert_bridge_uncertain_total", &[]).await;
    println!("a13: 2 answers that can not be read, 0 messages sent again, {uncertain} uncertain");
    assert_eq!(uncertain, 0.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_have_arrived_is_sent_once_more_and_counted() {
    let scene = Scene::new();
    let _bridge = scene.start(&Configuration { telegram: "timeout: 1s,".to_owned(), ..Configuration::default() });
    for (kind, name) in [(Kind::DropAfter, "Dropped"), (Kind::HangAfter, "Hanging")] {
        scene.api.fault(Fault { times: Some(1), chat_id: Some(ROOT), ..every(kind) });
        scene.accept(&notification(&[Alert::firing(name)])).await;
        scene.messages(ROOT, 1).await;
        scene.settled().await;
    }
    let texts = scene.texts(ROOT);
    for name in ["Dropped", "Hanging"] {
        let count = texts.iter().filter(|text| text.contains(name)).count();
        assert!((1..=2).contains(&count), "{name}: {texts:?}");
    }
    assert_eq!(scene.metric("hermes_alert_bridge_uncertain_total", &[]).await, 2.0);
}

/// Starts the program so that a limit for its files is to it what a full disk is.
fn start_with_a_disk_that_can_be_full(scene: &Scene) -> Bridge {
    // Without the trap the kernel ends a program that writes too much; so it is told, as by a full disk.
    let real = program(scene.folder.path());
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(real.get_program());
    command.env_clear().envs(real.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.current_dir(scene.folder.path());
    let bridge = Bridge::spawn(command, scene.port, &[]);
    bridge.wait_for_log("address=");
    bridge
}

/// From now on its files may have so many bytes.
fn limit(bridge: &Bridge, current: Option<u64>) {
    prlimit(Some(Pid::from_child(&bridge.child)), Resource::Fsize, Rlimit { current, maximum: None }).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_while_the_disk_was_full_is_not_sent_again() {
    let scene = Scene::new();
    scene.configure(&Configuration::default());
    let bridge = start_with_a_disk_that_can_be_full(&scene);
    // So long that the disk is full before what has come of the call is written down.
    scene.api.fault(Fault { times: Some(1), ..every(Kind::Slow { milliseconds: 1500 }) });
    scene.accept(&notification(&[Alert::firing("Sent")])).await;
    scene.messages(ROOT, 1).await;
    limit(&bridge, Some(1));
    bridge.wait_for_log("can not be written down yet");
    let (status, text) = scene.post(&notification(&[Alert::firing("Refused")])).await;
    assert_eq!(status, 503, "{text}");
    limit(&bridge, None);
    scene.settled().await;
    scene.accept(&notification(&[Alert::firing("Later")])).await;
    scene.messages(ROOT, 2).await;
    scene.settled().await;
    let texts = scene.texts(ROOT);
    println!("disk full after a message was sent: {} messages", texts.len());
    assert!(texts.len() == 2 && texts[1].contains("Later"), "{texts:?}");
    assert!(bridge.end().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_is_told_with_503_and_loses_nothing() {
    let scene = Scene::new();
    scene.configure(&Configuration::default());
    let bridge = start_with_a_disk_that_can_be_full(&scene);
    scene.accept(&notification(&[Alert::firing("Before")])).await;
    scene.messages(ROOT, 1).await;
    scene.settled().await;

    let most = std::fs::metadata(scene.path("bridge.db-wal")).unwrap().len();
    limit(&bridge, Some(most));
    let mut refused = 0;
    let full = notification(&[Alert::firing("Full").annotation("description", &"x".repeat(100_000))]);
    for _ in 0..3 {
        let (status, text) = scene.post(&full).await;
        assert_eq!(status, 503, "{text}");
        refused += 1;
    }
    assert_eq!(scene.get("/-/healthy").await.0, 200, "it lives on");
    limit(&bridge, None);
    let again = wait_for("the disk to have room", async || {
        let (status, _) = scene.post(&full).await;
        (status == 200).then_some(())
    });
    again.await;
    let texts = scene.messages(ROOT, 2).await;
    println!("disk full: {refused} webhooks answered with 503, then {} messages", texts.len());
    assert!(scene.everything_in(ROOT).contains("Full"));
    assert_eq!(scene.metric("hermes_alert_bridge_webhooks_total", &[("outcome", "failed")]).await, 3.0);
    assert!(bridge.end().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_in_order_finishes_what_is_under_way_and_leaves_the_rest_for_later() {
    let scene = Scene::new();
    let bridge = scene.start(&Configuration::default());
    scene.api.fault(every(Kind::Slow { milliseconds: 300 }));
    for number in 0..10 {
        scene.accept(&notification(&[Alert::firing(&format!("Left{number}x"))])).await;
    }
    wait_for("a call", async || (!scene.api.calls().is_empty()).then_some(())).await;
    assert!(bridge.end().success());
    assert_eq!(scene.count("SELECT count(*) FROM card WHERE in_flight IS NOT NULL"), 0);
    scene.api.clear_faults();
    let _bridge = scene.start_again();
    scene.settled().await;
    assert_eq!(scene.api.messages(ROOT).len(), 10, "each once: {:?}", scene.texts(ROOT));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn at_the_limits_of_telegram_everything_arrives_and_nothing_is_refused() {
    let scene = Scene::new();
    let permitted = crate::bot_api::limits::Permitted { is_enforced: true, ..Default::default() };
    scene.api.permit(permitted);
    let limits = "{}".to_owned();
    let _bridge = scene.start(&Configuration { limits, ..Configuration::with("digest_above: 100") });
    let scene = Arc::new(scene);
    for number in 0..8 {
        scene.accept(&notification(&[Alert::firing(&format!("Paced{number}x"))])).await;
    }
    scene.settled().await;
    assert_eq!(scene.api.messages(ROOT).len(), 8);
    let refused = scene.api.calls().iter().filter(|call| call.outcome.starts_with("429")).count();
    println!("limits: 8 messages, {refused} refused");
    assert_eq!(refused, 0, "the bridge keeps the limits by itself");
}
