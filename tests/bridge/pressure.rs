//! A lot at once, and what is done to the program meanwhile: it is ended, reloaded, given another token.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::bot_api::limits::Permitted;
use crate::bot_api::{ChatKind, Fault, Kind};
use crate::payloads::{Alert, notification};
use crate::scene::{Configuration, OPS, ROOT, Scene, UMA, wait_for};

/// How many post at once.
const SENDERS: usize = 8;

fn every(kind: Kind) -> Fault {
    Fault { chat_id: None, method: None, thread: None, times: None, seconds: None, kind }
}

fn name(number: usize) -> String {
    format!("Pressed{number:05}x")
}

fn body(number: usize) -> String {
    let instance = if number.is_multiple_of(2) { "vijay" } else { "bheem" };
    notification(&[Alert::firing(&name(number)).of(instance)]).to_string()
}

/// Posts these notifications, several at once; each has to be accepted.
async fn post_all(scene: &Scene, count: usize, body: impl Fn(usize) -> String) {
    let body = &body;
    let senders = (0..SENDERS).map(|first| async move {
        for number in (first..count).step_by(SENDERS) {
            let (status, text) = scene.post_to("/alertmanager", body(number)).await.unwrap();
            assert_eq!(status, 200, "{text}");
        }
    });
    futures_util::future::join_all(senders).await;
}

/// How often each of the first so many alerts can be read, in messages and documents of all chats.
fn told(scene: &Scene, count: usize) -> Vec<usize> {
    let mut told = vec![0; count];
    for chat in [ROOT, UMA, OPS] {
        for rest in scene.everything_in(chat).split("Pressed").skip(1) {
            let number = rest.split('x').next().and_then(|number| number.parse::<usize>().ok());
            if let Some(told) = number.and_then(|number| told.get_mut(number)) {
                *told += 1;
            }
        }
    }
    told
}

/// How many messages begin a card for each of the first so many alerts, where each has a card of its own.
fn cards(scene: &Scene, count: usize) -> Vec<usize> {
    let texts: Vec<_> = [ROOT, UMA, OPS].into_iter().flat_map(|chat| scene.texts(chat)).collect();
    (0..count).map(|number| texts.iter().filter(|text| text.contains(&format!("· {}", name(number)))).count()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_that_wait_for_telegram_are_all_told() {
    let count = 10_000;
    let scene = Scene::new();
    let bridge = scene.start(&Configuration::default());
    scene.api.fault(every(Kind::Internal));
    post_all(&scene, count, body).await;
    assert!(told(&scene, count).iter().all(|times| *times == 0));
    scene.api.clear_faults();
    let retry = || {
        let arguments = ["queue", "retry", "--config.file", "bridge.yml"];
        assert_eq!(crate::program::run(scene.folder.path(), &arguments).0, 0);
    };
    retry();
    scene.settled().await;
    let told = told(&scene, count);
    let missing: Vec<_> = (0..count).filter(|number| told[*number] == 0).collect();
    let messages = scene.api.messages(ROOT).len() + scene.api.messages(UMA).len();
    println!("{count} webhooks while Telegram was down: {messages} messages, {} alerts missing", missing.len());
    assert!(missing.is_empty(), "{missing:?}");
    assert!(messages <= 200, "nobody reads {messages} messages");
    assert!(bridge.end().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_keeps_to_the_limits_of_telegram() {
    let (count, group) = (300, -100_300_000);
    let scene = Scene::new();
    scene.chat(group, ChatKind::Supergroup);
    scene.api.permit(Permitted { is_enforced: true, ..Permitted::default() });
    let chats = format!(
        "{{root: {{chat_id: {ROOT}}}, uma: {{chat_id: {UMA}}}, group: {{chat_id: {group}}}, ops: {{chat_id: {OPS}}}}}"
    );
    let routes = "[{match: 'instance = \"vijay\"', chat: root}, {match: 'instance = \"bheem\"', chat: uma}, \
                  {match: 'instance = \"arjun\"', chat: group}]";
    let configuration = Configuration {
        limits: "{}".to_owned(),
        chats,
        routes: routes.to_owned(),
        ..Configuration::with("digest_above: 5")
    };
    let _bridge = scene.start(&configuration);
    let of = |number: usize| Alert::firing(&name(number)).of(["vijay", "bheem", "arjun"][number % 3]);
    post_all(&scene, count, |number| notification(&[of(number)]).to_string()).await;
    scene.settled().await;
    let found: String = [ROOT, UMA, group].into_iter().map(|chat| scene.everything_in(chat)).collect();
    let missing = (0..count).filter(|number| !found.contains(&name(*number))).count();
    let refused = scene.api.calls().iter().filter(|call| call.outcome.starts_with("429")).count();
    let messages: usize = [ROOT, UMA, group].into_iter().map(|chat| scene.api.messages(chat).len()).sum();
    println!(
        "{count} alerts at once for 3 chats: {messages} messages, {refused} calls refused with 429, {missing} missing"
    );
    assert_eq!(missing, 0);
    assert!(refused <= 3, "{refused} calls were refused");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_under_load_loses_and_repeats_nothing() {
    let scene = Scene::new();
    let mut bridge = scene.start(&Configuration::with("digest_above: 100000"));
    scene.api.fault(every(Kind::Slow { milliseconds: 20 }));
    let accepted = Mutex::new(0);
    let next = std::sync::atomic::AtomicUsize::new(0);
    let is_over = AtomicBool::new(false);
    // As Alertmanager does it: again and again until it is accepted.
    let send = async || {
        while !is_over.load(SeqCst) {
            let body = body(next.fetch_add(1, SeqCst));
            loop {
                match scene.post_to("/alertmanager", body.clone()).await {
                    Ok((200, _)) => break,
                    Ok((status, text)) => assert_eq!(status, 503, "{text}"),
                    Err(_) => {}
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            *accepted.lock().unwrap() += 1;
        }
    };
    let end = async {
        let mut longest = Duration::ZERO;
        for round in 1..=4 {
            wait_for("more to be accepted", async || (*accepted.lock().unwrap() >= round * 60).then_some(())).await;
            let begun = Instant::now();
            bridge.signal(Signal::TERM);
            let status = wait_for("the end", async || bridge.child.try_wait().unwrap()).await;
            longest = longest.max(begun.elapsed());
            assert!(status.success(), "{status}: {}", bridge.log());
            assert_eq!(scene.count("SELECT count(*) FROM card WHERE in_flight IS NOT NULL"), 0);
            bridge = scene.start_again();
        }
        is_over.store(true, SeqCst);
        longest
    };
    let (longest, ..) = tokio::join!(end, send(), send(), send(), send());
    scene.api.clear_faults();
    scene.settled().await;
    let count = next.load(SeqCst);
    let cards = cards(&scene, count);
    let lost = cards.iter().filter(|times| **times == 0).count();
    let twice = cards.iter().filter(|times| **times > 1).count();
    println!("4 ends under load, the longest took {longest:.2?}: {count} accepted, {lost} lost, {twice} told twice");
    assert_eq!((lost, twice), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_waits_for_no_call_that_is_never_answered() {
    let scene = Scene::new();
    // Whoever waited for this would be waiting for minutes.
    let telegram = "timeout: 10m,".to_owned();
    let bridge = scene.start(&Configuration { telegram, ..Configuration::default() });
    scene.api.fault(Fault { times: Some(1), ..every(Kind::Hang) });
    post_all(&scene, 3, body).await;
    wait_for("a call", async || (!scene.api.calls().is_empty()).then_some(())).await;
    let begun = Instant::now();
    assert!(bridge.end().success());
    let took = begun.elapsed();
    println!("an end while a call hangs took {took:.2?}");
    assert!(took < Duration::from_secs(60), "{took:?}");
    let _bridge = scene.start_again();
    scene.settled().await;
    assert_eq!(cards(&scene, 3), [1, 1, 1]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reload_under_load_fails_no_request() {
    let scene = Scene::new();
    let bridge = scene.start(&Configuration::with("digest_above: 100000"));
    let count = 800;
    let is_over = AtomicBool::new(false);
    let reload = async {
        let mut reloads = 0;
        while !is_over.load(SeqCst) {
            // Another one each time, now and then one that can not be used.
            match reloads % 3 {
                0 => scene.configure(&Configuration::with("digest_above: 100000\nlate_firing: 3m")),
                1 => scene.configure(&Configuration::with("digest_above: 100000")),
                _ => scene.write("bridge.yml", "nonsense"),
            };
            bridge.signal(Signal::HUP);
            reloads += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        reloads
    };
    let post = async {
        post_all(&scene, count, body).await;
        is_over.store(true, SeqCst);
    };
    let (reloads, ()) = tokio::join!(reload, post);
    scene.settled().await;
    let cards = cards(&scene, count);
    let (lost, twice) =
        (cards.iter().filter(|times| **times == 0).count(), cards.iter().filter(|times| **times > 1).count());
    println!("{reloads} reloads while {count} webhooks came: none failed, {lost} lost, {twice} told twice");
    assert_eq!((lost, twice), (0, 0));
    assert!(bridge.end().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_token_under_load_loses_and_repeats_nothing() {
    let scene = Scene::new();
    let bridge = scene.start(&Configuration::with("digest_above: 100000"));
    let count = 400;
    let rotate = async {
        for round in 1..=3 {
            wait_for("some to be told", async || (scene.api.messages(ROOT).len() >= round * 20).then_some(())).await;
            // The old one is refused before the new one is in the file.
            let token = format!("123456789:AArotated{round}");
            let calls = scene.api.calls().len();
            scene.api.world().tokens = [token.clone()].into();
            wait_for("a refusal", async || {
                scene.api.calls()[calls..].iter().any(|call| call.outcome.starts_with("401")).then_some(())
            })
            .await;
            scene.write("bot.token", &token);
        }
    };
    let ((), ()) = tokio::join!(rotate, post_all(&scene, count, body));
    scene.settled().await;
    let cards = cards(&scene, count);
    let (lost, twice) =
        (cards.iter().filter(|times| **times == 0).count(), cards.iter().filter(|times| **times > 1).count());
    println!("3 new tokens while {count} webhooks came: {lost} lost, {twice} told twice");
    assert_eq!((lost, twice), (0, 0));
    assert!(!(bridge.log() + &bridge.output()).contains("AArotated"));
}
