//! The watchdog: an alert that always fires, and what is told when it does not.

use crate::payloads::{Alert, notification};
use crate::scene::{Configuration, OPS, ROOT, Scene};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a17_a_watchdog_that_stops_is_told() {
    let scene = Scene::new();
    let bridge = scene.start(&Configuration::with("watchdog: {match: 'alertname = \"Watchdog\"', max_silence: 2s}"));
    let beat = notification(&[Alert::firing("Watchdog")]);
    let mut begun = std::time::Instant::now();
    for _ in 0..3 {
        begun = std::time::Instant::now();
        scene.accept(&beat).await;
    }
    let told = scene.messages(OPS, 1).await;
    println!("a17: a heartbeat every 2 s at most: its absence was told {:.1?} after the last one", begun.elapsed());
    assert!(begun.elapsed().as_secs_f64() >= 2.0, "not before its time");
    assert!(told[0].text.contains("Watchdog"), "{}", told[0].text);
    scene.settled().await;
    assert_eq!(scene.api.messages(ROOT).len(), 0, "a heartbeat is not told itself");

    // It is back, which is told as any other end is.
    scene.accept(&beat).await;
    let messages = scene.messages(OPS, 2).await;
    assert_eq!(messages[1].reply_to, Some(messages[0].message_id));
    // A kill before that is written down would have it told once more.
    scene.settled().await;

    // Over a restart it is still waited for.
    bridge.kill();
    let _bridge = scene.start_again();
    let messages = scene.messages(OPS, 3).await;
    assert!(messages[2].text.contains("Watchdog") && messages[2].reply_to.is_none());
}
