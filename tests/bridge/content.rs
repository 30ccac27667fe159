//! Texts that others fail on.

use serde_json::Value;

use crate::bot_api::{Fault, Kind};
use crate::payloads::{Alert, notification};
use crate::scene::{Configuration, ROOT, Scene, UMA};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a06_markup_in_annotations_is_text() {
    let scene = Scene::new();
    let _bridge = scene.start(&Configuration::default());
    let hostile = "x < 10% & \"<no value>\" </b><b> &amp; &lt; <a href='";
    let alert = Alert::firing("Hostile").annotation("description", hostile).annotation("summary", hostile);
    scene.accept(&notification(&[alert.label("disk", "a<b>&\"c\"")])).await;
    let messages = scene.messages(ROOT, 1).await;
    assert_eq!(messages[0].parse_mode.as_deref(), Some("HTML"));
    assert!(messages[0].text.contains(hostile), "{}", messages[0].text);
    let refused = scene.api.calls().iter().filter(|call| call.outcome.starts_with("400")).count();
    println!("a06: delivered with its markup, {refused} refusals");
    assert_eq!(refused, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a07_a_group_of_hundreds_is_all_there() {
    let scene = Scene::new();
    let _bridge = scene.start(&Configuration::default());
    let description = "The disk is filling up; see which session writes so much. ".repeat(3);
    let alerts: Vec<_> = (0..200)
        .map(|number| {
            Alert::firing("Many").label("disk", &format!("disk{number:03}x")).annotation("description", &description)
        })
        .collect();
    let body = notification(&alerts);
    scene.accept(&body).await;
    scene.messages(ROOT, 1).await;
    scene.settled().await;
    let found = scene.everything_in(ROOT);
    let missing: Vec<_> = (0..200).filter(|number| !found.contains(&format!("disk{number:03}x"))).collect();
    let messages = scene.api.messages(ROOT);
    let documents = messages.iter().filter(|message| message.document.is_some()).count();
    println!(
        "a07: 200 alerts, {} bytes: {} messages, {documents} of them with a document; {} alerts missing",
        body.to_string().len(),
        messages.len(),
        missing.len()
    );
    assert!(missing.is_empty(), "{missing:?}");
    assert!(messages.len() <= 10, "nobody wants {} messages", messages.len());
    let refused = scene.api.calls().iter().filter(|call| call.outcome.starts_with("400")).count();
    assert_eq!(refused, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a08_a_broken_template_is_replaced() {
    for (what, template) in [
        ("that can not be read", "{{ nonsense("),
        ("that fails", "{{ 1 / 0 }}{{ missing.of.everything }}"),
        ("that says nothing", ""),
        ("with tags that Telegram does not know", "<table><tr><td>{{ title }}</td></tr></table>"),
        ("with a tag that is not closed", "<b>{% for alert in alerts %}x{% endfor %}"),
        ("that never ends", "{% for a in range(100000) %}{% for b in range(100000) %}x{% endfor %}{% endfor %}"),
    ] {
        let scene = Scene::new();
        let path = scene.write("card.html", template);
        let _bridge = scene.start(&Configuration::with(&format!("template: {}", path.display())));
        scene.accept(&notification(&[Alert::firing("Templated")])).await;
        let messages = scene.messages(ROOT, 1).await;
        assert!(messages[0].text.contains("Templated"), "{what}: {}", messages[0].text);
        let failures = scene.metric("hermes_alert_bridge_template_failures_total", &[]).await;
        println!("a08: a template {what}: delivered, {failures} failures counted");
        assert!(failures >= 1.0, "{what}");
    }
    let scene = Scene::new();
    let missing = scene.path("missing.html");
    scene.configure(&Configuration::with(&format!("template: {}", missing.display())));
    let _bridge = scene.start_again();
    scene.accept(&notification(&[Alert::firing("Templated")])).await;
    assert!(scene.messages(ROOT, 1).await[0].text.contains("Templated"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_telegram_refuses_is_sent_without_markup_and_then_as_one_line() {
    let scene = Scene::new();
    let _bridge = scene.start(&Configuration::default());
    let description = "Bad Request: can't parse entities: Unsupported start tag \"x\" at byte offset 3".to_owned();
    let fault = |times| Fault {
        chat_id: Some(ROOT),
        method: Some("sendMessage".to_owned()),
        thread: None,
        times: Some(times),
        seconds: None,
        kind: Kind::Error { code: 400, description: description.clone() },
    };
    scene.api.fault(fault(1));
    scene.accept(&notification(&[Alert::firing("Plain").annotation("description", "second line")])).await;
    let plain = &scene.messages(ROOT, 1).await[0];
    assert!(plain.parse_mode.is_none() && plain.text.contains("Plain") && plain.text.contains("second line"));
    scene.settled().await;
    scene.api.fault(fault(2));
    scene.accept(&notification(&[Alert::firing("Line").annotation("description", "second line")])).await;
    let line = &scene.messages(ROOT, 2).await[1];
    assert!(line.text.contains("Line") && line.text.lines().count() == 1, "{}", line.text);
    for level in ["plain", "line"] {
        assert!(scene.metric("hermes_alert_bridge_degraded_total", &[("level", level)]).await >= 1.0, "{level}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_recorded_bodies_are_delivered() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/alertmanager");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    assert_eq!(files.len(), 7);
    for file in files {
        let scene = Scene::new();
        let _bridge = scene.start(&Configuration::default());
        let body: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
        scene.accept(&body).await;
        scene.messages(ROOT, 1).await;
        scene.settled().await;
        let told = scene.everything_in(ROOT) + &scene.everything_in(UMA);
        for alert in body["alerts"].as_array().unwrap() {
            let name = alert["labels"]["alertname"].as_str().unwrap();
            assert!(told.contains(name), "{}: {name} is missing in\n{told}", file.display());
        }
        let refused = scene.api.calls().iter().filter(|call| call.outcome.starts_with("400")).count();
        assert_eq!(refused, 0, "{}", file.display());
        if body["truncatedAlerts"] != 0 {
            assert_eq!(scene.metric("hermes_alert_bridge_truncated_total", &[]).await, 1.0);
        }
    }
}
