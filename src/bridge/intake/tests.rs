use std::collections::{BTreeMap, BTreeSet};

use axum::body::Body;
use proptest::prelude::*;
use tower::ServiceExt;

use super::testing::{TWO_CHATS, cards, number, service};
use super::*;
use crate::bridge::alert::{Severity, normal_instance};

async fn post_with(
    router: &Router,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> (StatusCode, String) {
    let mut request = http::Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
    let status = response.status();
    let is_unavailable = status == StatusCode::SERVICE_UNAVAILABLE;
    assert_eq!(response.headers().contains_key(RETRY_AFTER), is_unavailable, "{status}");
    let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn post(router: &Router, body: impl Into<Body>) -> (StatusCode, String) {
    post_with(router, "/alertmanager", &[], body).await
}

fn alert(name: &str, instance: &str, status: &str) -> String {
    format!(
        r#"{{"status":"{status}","labels":{{"alertname":"{name}","instance":"{instance}"}},"annotations":{{}},
            "startsAt":"2026-11-20T08:00:00Z","endsAt":"2026-11-20T08:05:00Z"}}"#
    )
}

fn notification(alerts: &[String]) -> String {
    format!(r#"{{"version":"4","receiver":"hook","alerts":[{}]}}"#, alerts.join(","))
}

fn ops_messages(service: &Service) -> Vec<String> {
    let read = service.store.read_now(|connection| {
        let mut find =
            connection.prepare("SELECT content FROM card WHERE kind = 'message' AND chat = 'ops' ORDER BY id")?;
        let rows = find.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<Vec<String>, _>>()?)
    });
    read.unwrap()
}

fn count_in_store(service: &Service, query: &str) -> i64 {
    service.store.read_now(|connection| Ok(number(connection, query))).unwrap()
}

#[tokio::test]
async fn the_recorded_bodies_are_accepted() {
    let (_folder, service) = service(TWO_CHATS);
    let router = router(service.clone());
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/alertmanager");
    let mut bodies = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let (status, text) = post(&router, std::fs::read(file.unwrap().path()).unwrap()).await;
        assert_eq!(status, StatusCode::OK, "{text}");
        bodies += 1;
    }
    assert_eq!(bodies, 7);
    assert_eq!(service.metrics.counted(Count::Webhooks, &["accepted"]), 7);
    assert_eq!(service.metrics.counted(Count::Truncated, &[]), 1);
    assert!(ops_messages(&service)[0].contains("max_alerts"));
}

/// A12.
#[tokio::test]
async fn each_chat_sees_only_its_alerts() {
    let (_folder, service) = service(TWO_CHATS);
    let router = router(service.clone());
    let body = notification(&[
        alert("A", "vijay:9119", "firing"),
        alert("B", "Bheem", "firing"),
        alert("C", "vijay", "firing"),
        alert("D", "bheem", "resolved"),
        alert("E", "elsewhere", "firing"),
    ]);
    assert_eq!(post(&router, body).await, (StatusCode::OK, "accepted, 5 alerts\n".to_owned()));
    let on_cards = service.store.read_now(|connection| Ok(cards(connection))).unwrap();
    let card =
        |chat: &str, incidents: &[&str]| (chat.to_owned(), incidents.iter().map(|one| (*one).to_owned()).collect());
    assert_eq!(
        on_cards,
        [card("root", &["A firing", "C firing", "E firing"]), card("uma", &["B firing"]), card("uma", &["D resolved"])]
    );
    for (what, labels, counted) in [
        (Count::Alerts, &["firing"][..], 4),
        (Count::Alerts, &["resolved"], 1),
        (Count::Changes, &["fired"], 4),
        (Count::Changes, &["resolved"], 1),
        (Count::Unrouted, &[], 1),
    ] {
        assert_eq!(service.metrics.counted(what, labels), counted, "{what:?} {labels:?}");
    }
}

/// A16, and beyond.
#[tokio::test]
async fn large_bodies_are_accepted_up_to_the_limit() {
    let (_folder, service) = service(TWO_CHATS);
    let router = router(service.clone());
    let of_size = |bytes: usize| {
        let body = notification(&[alert("A", "vijay", "firing")]);
        let filling = bytes - body.len();
        body.replacen(r#""annotations":{}"#, &format!(r#""annotations":{{"a":"{}"}}"#, "x".repeat(filling - 6)), 1)
    };
    let body = of_size(4 * 1024 * 1024);
    assert_eq!(body.len(), 4 * 1024 * 1024);
    assert_eq!(post(&router, body).await.0, StatusCode::OK);
    assert_eq!(post(&router, of_size(LARGEST_BODY)).await.0, StatusCode::OK);
    let (status, text) = post(&router, of_size(17 * 1024 * 1024)).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(text.contains("16 MiB"), "{text}");
    // One that says so is not waited for.
    let headers = [("content-length", "17825792")];
    assert_eq!(post_with(&router, "/alertmanager", &headers, "").await.0, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(service.metrics.counted(Count::Webhooks, &["too_large"]), 2);
    assert_eq!(ops_messages(&service).len(), 1);
}

#[tokio::test]
async fn only_who_knows_the_token_is_let_in() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let (_store, service) = service(&format!("auth: {{bearer_token_file: {}}}\n{TWO_CHATS}", file.display()));
    let router = router(service.clone());
    let body = || notification(&[alert("A", "vijay", "firing")]);
    let right = [("authorization", "Bearer right")];
    // Nobody can be told apart yet: Alertmanager is to try again.
    let (status, text) = post_with(&router, "/alertmanager", &right, body()).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("is not there"), "{text}");
    std::fs::write(&file, "right\n").unwrap();
    for _ in 0..3 {
        let (status, text) = post_with(&router, "/alertmanager", &[("authorization", "Bearer wrong")], body()).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{text}");
        assert_eq!(post(&router, "nonsense").await.0, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(ops_messages(&service).len(), 1);
    assert_eq!(count_in_store(&service, "SELECT count(*) FROM incident"), 0);
    // Whoever has no secret can not keep the disk busy.
    assert_eq!(count_in_store(&service, "SELECT count(*) FROM refusal WHERE reason = 'unauthorized'"), 1);
    assert_eq!(post_with(&router, "/alertmanager", &right, body()).await.0, StatusCode::OK);
    assert_eq!(service.metrics.counted(Count::Webhooks, &["unauthorized"]), 6);
    assert_eq!(service.metrics.counted(Count::Webhooks, &["failed"]), 1);
}

#[tokio::test]
async fn what_is_refused_is_kept_and_told_once() {
    let (_folder, service) = service(TWO_CHATS);
    let router = router(service.clone());
    let prometheus = r#"[{"labels":{"alertname":"A"},"startsAt":"2026-11-20T08:00:00Z"}]"#;
    for path in ["/alertmanager", "/api/v2/alerts", "/alertmanager/api/v2/alerts"] {
        let (status, text) = post_with(&router, path, &[("user-agent", "Prometheus/3.1.0")], prometheus).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(text.contains("prometheus.yml"), "{text}");
    }
    let (status, text) = post(&router, format!("{{\"xy\": {}", "é".repeat(3000))).await;
    assert_eq!((status, text.contains("line 1, column 8")), (StatusCode::BAD_REQUEST, true), "{text}");
    assert_eq!(ops_messages(&service).len(), 2);
    assert_eq!(service.metrics.counted(Count::Webhooks, &["refused"]), 4);
    assert_eq!(count_in_store(&service, "SELECT count(*) FROM refusal WHERE reason = 'prometheus'"), 3);
    assert_eq!(count_in_store(&service, "SELECT max(octet_length(head)) FROM refusal"), 2047);
    for _ in 0..220 {
        post(&router, "").await;
    }
    assert_eq!(count_in_store(&service, "SELECT count(*) FROM refusal"), 200);
}

#[tokio::test]
async fn a_store_that_can_not_store_is_a_503() {
    let (_folder, service) = service(TWO_CHATS);
    let router = router(service.clone());
    assert_eq!(post(&router, notification(&[alert("A", "vijay", "firing")])).await.0, StatusCode::OK);
    // The disk is full.
    let limit = "PRAGMA max_page_count = 1";
    service.store.write(move |connection| Ok(connection.query_row(limit, [], |_| Ok(()))?)).await.unwrap();
    let large = alert("B", "vijay", "firing").replace("{}", &format!(r#"{{"a":"{}"}}"#, "x".repeat(100_000)));
    let (status, text) = post(&router, notification(std::slice::from_ref(&large))).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{text}");
    assert!(text.contains("sent again") && text.contains("full"), "{text}");
    // There is room again.
    let limit = "PRAGMA max_page_count = 1000000";
    service.store.write(move |connection| Ok(connection.query_row(limit, [], |_| Ok(()))?)).await.unwrap();
    assert_eq!(post(&router, notification(&[large])).await.0, StatusCode::OK);
    assert_eq!(count_in_store(&service, "SELECT count(*) FROM incident"), 2);
    service.store.close();
    assert_eq!(post(&router, notification(&[alert("C", "vijay", "firing")])).await.0, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(service.metrics.counted(Count::Webhooks, &["failed"]), 2);
}

#[tokio::test]
async fn into_a_store_that_was_taken_away_nothing_is_accepted() {
    let (folder, service) = service(TWO_CHATS);
    let router = router(service.clone());
    std::fs::remove_file(folder.path().join("bridge.db")).unwrap();
    let (status, text) = post(&router, notification(&[alert("A", "vijay", "firing")])).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(text.contains("taken away"), "{text}");
}

#[tokio::test]
async fn a_store_that_hangs_is_a_503_before_another_alertmanager_posts() {
    const { assert!(PATIENCE.as_secs() < 15) };
    let (_folder, service) = service(TWO_CHATS);
    let (let_go, held) = std::sync::mpsc::channel::<()>();
    let hanging = service.store.clone();
    let hanging = tokio::spawn(async move { hanging.write(move |_| Ok(held.recv().is_ok())).await });
    tokio::task::yield_now().await;
    let impatient = router_with(service.clone(), Duration::from_millis(20));
    let (status, text) = post(&impatient, notification(&[alert("A", "vijay", "firing")])).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{text}");
    let_go.send(()).unwrap();
    assert!(hanging.await.unwrap().unwrap());
    // It is stored all the same, and what is sent again is a repeat.
    assert_eq!(post(&router(service.clone()), notification(&[alert("A", "vijay", "firing")])).await.0, StatusCode::OK);
    assert_eq!(service.metrics.counted(Count::Changes, &["repeated"]), 1);
    assert_eq!(count_in_store(&service, "SELECT count(*) FROM card"), 1);
}

/// What one generated alert is.
#[derive(Debug, Clone)]
struct Generated {
    name: usize,
    instance: &'static str,
    severity: &'static str,
    team: bool,
    start: u32,
    is_over: bool,
    annotation: String,
}

fn generated() -> impl Strategy<Value = Vec<Generated>> {
    let one = (
        0_usize..6,
        prop::sample::select(vec!["vijay", "VIJAY:9119", "bheem", "bheem:1", "", "arjun"]),
        prop::sample::select(vec!["critical", "warning", "info", ""]),
        any::<bool>(),
        0_u32..4,
        any::<bool>(),
        ".{0,12}",
    );
    let one = one.prop_map(|(name, instance, severity, team, start, is_over, annotation)| Generated {
        name,
        instance,
        severity,
        team,
        start,
        is_over,
        annotation,
    });
    prop::collection::vec(one, 0..8)
}

impl Generated {
    fn labels(&self) -> BTreeMap<&str, String> {
        let mut labels = BTreeMap::from([
            ("alertname", format!("Alert{}", self.name)),
            ("instance", self.instance.to_owned()),
            ("severity", self.severity.to_owned()),
        ]);
        if self.team {
            labels.insert("team", "all".to_owned());
        }
        labels
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "status": if self.is_over { "resolved" } else { "firing" },
            "labels": self.labels(),
            "annotations": {"summary": self.annotation},
            "startsAt": format!("2026-11-20T08:0{}:00Z", self.start),
            "endsAt": if self.is_over { format!("2026-11-20T08:0{}:30Z", self.start) } else { "0001-01-01T00:00:00Z".to_owned() },
        })
    }

    /// The chats that the rules below mean it for, worked out in another way than the bridge does.
    fn chats(&self) -> Vec<&'static str> {
        let chats = match (normal_instance(self.instance).as_str(), self.team) {
            ("vijay", false) => vec!["root"],
            ("vijay", true) => vec!["root", "uma"],
            ("bheem", _) => vec!["uma"],
            (_, true) => vec!["root", "uma"],
            (_, false) => vec!["root"],
        };
        let is_muted = |chat: &&str| *chat == "uma" && Severity::of_label(self.severity) == Severity::Info;
        chats.into_iter().filter(|chat| !is_muted(chat)).collect()
    }
}

const PROPERTIES: &str = r#"
delivery: console
chats:
  root: {}
  uma: {muted: [info], grouping: each}
  ops: {}
routes:
  - {match: 'instance = "vijay"', chat: root, continue: true}
  - {match: 'instance = "bheem"', chat: uma}
  - {match: 'team = "all"', chat: [root, uma]}
default_chat: root
operations_chat: ops
"#;

fn runner(cases: u32) -> proptest::test_runner::TestRunner {
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(cases) };
    proptest::test_runner::TestRunner::new(config)
}

#[test]
fn every_generated_alert_is_accounted_for() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_folder, service) = service(PROPERTIES);
    let router = router(service.clone());
    let mut round = 0_u32;
    let mut expected = BTreeSet::new();
    let mut posted = 0;
    let mut runner = runner(1000);
    let seen = std::cell::RefCell::new((&mut round, &mut expected, &mut posted));
    // Ten at a time, which share their series, so that alerts are repeated, updated and resolved.
    let outcome = runner.run(&prop::collection::vec(generated(), 10), |notifications| {
        let mut seen = seen.borrow_mut();
        *seen.0 += 1;
        let series = *seen.0;
        let posts = notifications.iter().map(|alerts| {
            let json: Vec<_> = alerts
                .iter()
                .map(|alert| {
                    let mut json = alert.json();
                    json["labels"]["series"] = series.to_string().into();
                    json
                })
                .collect();
            post(&router, serde_json::json!({"version": "4", "receiver": "hook", "alerts": json}).to_string())
        });
        for (status, text) in runtime.block_on(futures_util::future::join_all(posts)) {
            prop_assert_eq!(status, StatusCode::OK, "{}", text);
        }
        let alerts: Vec<_> = notifications.iter().flatten().collect();
        for alert in &alerts {
            let key = format!("{series} {:?} {}", alert.labels(), alert.start);
            seen.1.extend(alert.chats().into_iter().map(|chat| (chat, key.clone())));
        }
        *seen.2 += alerts.len() as u64;
        Ok(())
    });
    outcome.unwrap();
    // On exactly one card in each chat that it is for, and nowhere else; or its end is that of one that is there.
    let on_cards = count_in_store(&service, "SELECT count(*) FROM card_incident");
    let pairs = count_in_store(
        &service,
        "SELECT count(DISTINCT chat || incident) FROM card_incident JOIN card ON card.id = card",
    );
    let told = "FROM card_incident JOIN card ON card.id = card JOIN incident ON incident.id = incident";
    let as_others = count_in_store(&service, &format!("SELECT count(ended_as) {told}"));
    assert_eq!(((on_cards + as_others) as usize, pairs), (expected.len(), on_cards));
    assert!(as_others > 0);
    let mut kinds = BTreeMap::<_, usize>::new();
    for (chat, _) in &expected {
        *kinds.entry(*chat).or_default() += 1;
    }
    for (chat, incidents) in kinds {
        let query = format!("SELECT count(*) + count(ended_as) {told} WHERE chat = '{chat}'");
        assert_eq!(count_in_store(&service, &query) as usize, incidents, "{chat}");
    }
    // What was counted adds up to what was posted.
    let counted =
        |labels: &[&str]| -> u64 { labels.iter().map(|label| service.metrics.counted(Count::Changes, &[label])).sum() };
    assert_eq!(counted(&["fired", "resolved", "repeated", "late", "updated"]), posted);
    let alerts: u64 =
        ["firing", "resolved"].iter().map(|status| service.metrics.counted(Count::Alerts, &[status])).sum();
    assert_eq!(alerts, posted);
    assert_eq!(service.metrics.counted(Count::Webhooks, &["accepted"]), 10_000);
    // Nothing is left that nobody will take up.
    assert_eq!(count_in_store(&service, "SELECT count(*) FROM card WHERE urgency IS NULL"), 0);
}

#[test]
fn no_body_breaks_the_intake() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_folder, service) = service(TWO_CHATS);
    let router = router(service);
    let whole = notification(&[alert("A", "vijay", "firing"), alert("B", "bheem", "resolved")]).into_bytes();
    let pieces = prop::sample::select(vec![
        "null",
        "{}",
        "[]",
        "\"\"",
        "-1",
        "1e999",
        "\\u0000",
        "\\ud800",
        "}",
        "]",
        ",",
        "\"",
        "\u{0}",
        "4",
        "true",
        "é",
        "0001-01-01T00:00:00Z",
    ]);
    let mutated = prop::collection::vec((0..whole.len(), 0_usize..9, pieces), 1..4).prop_map({
        let whole = whole.clone();
        move |cuts| {
            let mut body = whole.clone();
            for (at, length, piece) in cuts {
                let at = at.min(body.len());
                body.splice(at..(at + length).min(body.len()), piece.bytes());
            }
            body
        }
    });
    let value = serde_json::from_slice::<serde_json::Value>(&whole).unwrap();
    let fields = prop::sample::select(vec![
        "/version",
        "/receiver",
        "/alerts",
        "/alerts/0",
        "/alerts/1",
        "/alerts/0/labels",
        "/alerts/0/labels/instance",
        "/alerts/0/annotations",
        "/alerts/0/startsAt",
        "/alerts/0/endsAt",
        "/alerts/1/status",
    ]);
    let replacement = prop_oneof![
        Just(serde_json::Value::Null),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<f64>().prop_map(serde_json::Value::from),
        ".{0,20}".prop_map(serde_json::Value::from),
        Just(serde_json::json!([])),
        Just(serde_json::json!({})),
        Just(serde_json::json!([[[{"labels": 5}]]])),
    ];
    let replaced = (fields, replacement).prop_map(move |(field, new)| {
        let mut value = value.clone();
        if let Some(place) = value.pointer_mut(field) {
            *place = new;
        }
        value.to_string().into_bytes()
    });
    let body = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        ".{0,100}".prop_map(String::into_bytes),
        mutated,
        replaced,
    ];
    // Many at a time, so that they wait for the disk together.
    let outcome = runner(100).run(&prop::collection::vec(body, 30), |bodies| {
        let posts = bodies.into_iter().map(|body| post(&router, body));
        for (status, text) in runtime.block_on(futures_util::future::join_all(posts)) {
            prop_assert!(status == StatusCode::OK || status == StatusCode::BAD_REQUEST, "{} {}", status, text);
        }
        Ok(())
    });
    outcome.unwrap();
}
