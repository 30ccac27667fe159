//! What is accepted and what is not, and how fast.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::bot_api::{Fault, Kind};
use crate::payloads::{Alert, notification};
use crate::scene::{Configuration, ROOT, Scene, percentile};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a11_accepting_is_fast() {
    let scene = Scene::new();
    // What is sent meanwhile takes its time, and has no say in it.
    let kind = Kind::Slow { milliseconds: 50 };
    scene.api.fault(Fault { chat_id: None, method: None, thread: None, times: None, seconds: None, kind });
    let _bridge = scene.start(&Configuration::with("digest_above: 100000"));
    let body = |round: &str, number: usize| notification(&[Alert::firing(&format!("{round}{number}x"))]).to_string();
    let post = async |body: String| {
        let begun = Instant::now();
        let (status, text) = scene.post_to("/alertmanager", body).await.unwrap();
        assert_eq!(status, 200, "{text}");
        begun.elapsed()
    };
    let per_second = 200;
    let begin = tokio::time::Instant::now();
    let paced = (0..per_second * 5).map(|number| {
        let (post, body) = (&post, body("Paced", number));
        async move {
            tokio::time::sleep_until(begin + Duration::from_secs_f64(number as f64 / per_second as f64)).await;
            post(body).await
        }
    });
    let paced = futures_util::future::join_all(paced).await;
    let begun = Instant::now();
    let count = 2000;
    let full = (0..16).map(|connection| {
        let (post, body) = (&post, &body);
        async move {
            let mut took = Vec::new();
            for number in (connection..count).step_by(16) {
                took.push(post(body("Full", number)).await);
            }
            took
        }
    });
    let full = futures_util::future::join_all(full).await.concat();
    let elapsed = begun.elapsed();
    let figures = |took: &[Duration]| {
        let (p50, p99, most) = (percentile(took, 0.5), percentile(took, 0.99), percentile(took, 1.0));
        format!("p50 {p50:.2?}, p99 {p99:.2?}, at most {most:.2?}")
    };
    // What takes longer than ten seconds is no 200. Anything less is for reading: the machine may have more to do.
    println!("a11: at {per_second} per second: {}", figures(&paced));
    println!("a11: 16 at once: {}, {:.0} per second", figures(&full), count as f64 / elapsed.as_secs_f64());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a16_a_body_of_four_mebibytes() {
    let scene = Scene::new();
    let _bridge = scene.start(&Configuration::default());
    let description = "x".repeat(500);
    let alerts: Vec<_> = (0..5200)
        .map(|number| {
            Alert::firing("Large").label("disk", &format!("disk{number:04}x")).annotation("description", &description)
        })
        .collect();
    let body = notification(&alerts).to_string();
    assert!(body.len() >= 4 << 20, "{}", body.len());
    let (status, text) = scene.post_to("/alertmanager", body.clone()).await.unwrap();
    assert_eq!(status, 200, "{text}");
    scene.messages(ROOT, 1).await;
    scene.settled().await;
    let found = scene.everything_in(ROOT);
    // Not by looking for each of them: a text this large is read once.
    let told: BTreeSet<&str> = found.split("disk").filter_map(|rest| rest.get(..5)).collect();
    let missing = (0..5200).filter(|number| !told.contains(format!("{number:04}x").as_str())).count();
    println!(
        "a16: {} bytes: {status}; {} messages, {missing} alerts missing",
        body.len(),
        scene.api.messages(ROOT).len()
    );
    assert_eq!(missing, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_from_alertmanager_is_told_what_to_do() {
    let scene = Scene::new();
    let _bridge = scene.start(&Configuration::default());
    let alert = json!({
        "labels": {"alertname": "Raw"}, "annotations": {}, "startsAt": "2026-11-20T08:00:00Z",
        "endsAt": "2026-11-20T09:00:00Z", "generatorURL": "",
    });
    for (what, body) in [
        ("broken", "{\"alerts\": [".to_owned()),
        ("nothing", String::new()),
        ("an array of Prometheus", json!([alert]).to_string()),
        ("a payload of one's own", json!({"text": "hello"}).to_string()),
        ("another version", json!({"version": "3", "alerts": [], "receiver": "x"}).to_string()),
    ] {
        let (status, text) = scene.post_to("/alertmanager", body).await.unwrap();
        assert_eq!(status, 400, "{what}: {text}");
        assert!(text.len() > 20, "{what}: it says what is wrong: {text}");
    }
    let (_, text) = scene.post_to("/alertmanager", json!([alert]).to_string()).await.unwrap();
    assert!(text.contains("Prometheus") && text.contains("Alertmanager"), "{text}");
    let refused = scene.metric("hermes_alert_bridge_webhooks_total", &[("outcome", "refused")]).await;
    assert_eq!(refused, 6.0);
    let (status, _) = scene.post_to("/alertmanager", "x".repeat((16 << 20) + 1)).await.unwrap_or((413, String::new()));
    assert_eq!(status, 413);
    // It goes on.
    scene.accept(&notification(&[Alert::firing("Right")])).await;
    scene.messages(ROOT, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_knows_the_secret_is_listened_to_and_it_may_change() {
    let scene = Scene::new();
    let token = scene.write("webhook.token", "first-secret\n");
    let _bridge = scene.start(&Configuration::with(&format!("auth: {{bearer_token_file: {}}}", token.display())));
    let body = notification(&[Alert::firing("Guarded")]).to_string();
    let post = async |path: &str, header: Option<&str>| {
        let mut request = scene.client.post(scene.url(path)).body(body.clone());
        request = request.header("content-type", "application/json");
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        request.send().await.unwrap().status().as_u16()
    };
    for header in
        [None, Some("Bearer wrong"), Some("Bearer first-secre"), Some("Basic Zmlyc3Qtc2VjcmV0"), Some("Bearer ")]
    {
        for path in ["/alertmanager", "/notify", "/-/reload"] {
            assert_eq!(post(path, header).await, 401, "{path} {header:?}");
        }
    }
    assert_eq!(post("/alertmanager", Some("Bearer first-secret")).await, 200);
    scene.write("webhook.token", "second-secret");
    assert_eq!(post("/alertmanager", Some("Bearer first-secret")).await, 401);
    assert_eq!(post("/alertmanager", Some("Bearer second-secret")).await, 200);
    // A secret that is not there is nobody's fault who asks: Alertmanager is to come again.
    std::fs::remove_file(token).unwrap();
    assert_eq!(post("/alertmanager", Some("Bearer second-secret")).await, 503);
    assert_eq!(scene.get("/-/healthy").await.0, 200);

    let scene = Scene::new();
    let password = scene.write("webhook.password", "pass:word");
    let auth = format!("auth: {{username: alertmanager, password_file: {}}}", password.display());
    let _bridge = scene.start(&Configuration::with(&auth));
    for (name, password, expected) in
        [("alertmanager", "pass:word", 200), ("alertmanager", "pass", 401), ("other", "pass:word", 401)]
    {
        let request = scene.client.post(scene.url("/alertmanager")).basic_auth(name, Some(password));
        let request = request.header("content-type", "application/json").body(body.clone());
        assert_eq!(request.send().await.unwrap().status().as_u16(), expected, "{name} {password}");
    }
}
