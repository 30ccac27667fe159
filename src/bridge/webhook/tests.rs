use super::*;
use crate::bridge::alert::Labels;

fn fixture(name: &str) -> Vec<u8> {
    std::fs::read(format!("{}/tests/fixtures/alertmanager/{name}.json", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_text("2026-11-20T09:00:00Z").unwrap()
}

fn read_text(text: &str) -> Result<Notification, Refusal> {
    read(text.as_bytes(), "", now())
}

fn only_alert(fields: &str) -> Alert {
    let text = format!(r#"{{"version":"4","alerts":[{{"labels":{{"alertname":"Down"}}{fields}}}]}}"#);
    read_text(&text).unwrap().alerts.remove(0)
}

#[test]
fn the_recorded_bodies_are_what_they_were() {
    for (name, firing, resolved, truncated) in [
        ("firing_group_by_all", 1, 0, 0),
        ("firing_group_of_2", 2, 0, 0),
        ("firing_single", 1, 0, 0),
        ("mixed_firing_and_resolved", 1, 1, 0),
        ("resolved_group_of_2", 0, 2, 0),
        ("resolved_single", 0, 1, 0),
        ("truncated_max_alerts_1", 1, 0, 1),
    ] {
        let notification = read(&fixture(name), "Alertmanager/0.25.0", now()).unwrap();
        let count = |status| notification.alerts.iter().filter(|alert| alert.status == status).count();
        assert_eq!((count(Status::Firing), count(Status::Resolved)), (firing, resolved), "{name}");
        assert_eq!(notification.truncated_alerts, truncated, "{name}");
        assert_eq!(notification.external_url, "http://prometheus.example:19093", "{name}");
        assert!(notification.group_key.contains("alertname=\"UnitDown\""), "{name}");
        for alert in &notification.alerts {
            assert_eq!(alert.fingerprint, fingerprint(&alert.labels), "{name}");
            assert_eq!(alert.ends_at.is_none(), alert.status == Status::Firing, "{name}");
            assert_eq!(alert.label("severity"), "critical");
            assert!(alert.starts_at.seconds() > 1.79e9 && alert.generator_url.contains("demo_up"), "{name}");
        }
    }
}

#[test]
fn what_newer_versions_say_is_read_and_what_nobody_knows_is_ignored() {
    let text = r#"{"version":"4","notification_reason":"new alerts added","routeLabels":{"telegram":"uma"},
        "groupLabels":{"a":"b"},"receiver":"hook","future":{"deep":[1,2,{"x":null}]},"alerts":[]}"#;
    let notification = read_text(text).unwrap();
    assert_eq!(notification.reason.as_deref(), Some("new alerts added"));
    assert_eq!(notification.route_labels.get("telegram").map(String::as_str), Some("uma"));
    assert_eq!(notification.receiver, "hook");
}

#[test]
fn null_is_as_good_as_nothing() {
    let text = r#"{"version":"4","receiver":null,"groupKey":null,"routeLabels":null,"groupLabels":null,
        "externalURL":null,"truncatedAlerts":null,"notification_reason":null,"alerts":null}"#;
    assert_eq!(read_text(text).unwrap().alerts, []);
    assert_eq!(read_text(r#"{"version":"4"}"#).unwrap(), read_text(text).unwrap());
    let text = r#"{"version":"4","alerts":[null,{"status":null,"labels":null,"annotations":{"summary":null,"a":"b"},
        "startsAt":null,"endsAt":null,"generatorURL":null,"fingerprint":null}]}"#;
    let alert = read_text(text).unwrap().alerts.remove(0);
    assert_eq!(alert.annotations, Labels::from([("a".to_owned(), "b".to_owned())]));
    assert_eq!((alert.status, alert.starts_at, alert.ends_at), (Status::Firing, UNKNOWN_START, None));
    assert_eq!(alert.fingerprint, fingerprint(&Labels::new()));
}

#[test]
fn a_missing_fingerprint_is_computed() {
    assert_eq!(only_alert("").fingerprint, only_alert(r#","fingerprint":"","startsAt":"x""#).fingerprint);
    assert_eq!(only_alert(r#","fingerprint":"abc""#).fingerprint, "abc");
}

#[test]
fn times_are_what_they_mean() {
    let alert =
        only_alert(r#","status":"firing","startsAt":"2026-11-20T14:00:00.5+05:30","endsAt":"2026-11-20T09:00:00Z""#);
    assert_eq!(alert.starts_at, Timestamp::from_text("2026-11-20T08:30:00.5Z").unwrap());
    assert_eq!(alert.ends_at, None);
    for (fields, ends_at) in [
        (r#""endsAt":"2026-11-20T08:59:00Z""#, "2026-11-20T08:59:00Z"),
        (r#""endsAt":"0001-01-01T00:00:00Z""#, "2026-11-20T09:00:00Z"),
        (r#""endsAt":"soon""#, "2026-11-20T09:00:00Z"),
        // Before it began.
        (r#""startsAt":"2026-11-20T08:00:00Z","endsAt":"2026-11-20T07:00:00Z""#, "2026-11-20T08:00:00Z"),
    ] {
        let alert = only_alert(&format!(r#","status":"resolved",{fields}"#));
        assert_eq!(alert.ends_at, Timestamp::from_text(ends_at), "{fields}");
    }
    for starts_at in ["0001-01-01T00:00:00Z", "yesterday", "", "-3", "99999-01-01T00:00:00Z"] {
        assert_eq!(only_alert(&format!(r#","startsAt":"{starts_at}""#)).starts_at, UNKNOWN_START, "{starts_at}");
    }
}

#[test]
fn a_status_that_nobody_knows_follows_from_the_end() {
    assert_eq!(only_alert(r#","status":"suppressed""#).status, Status::Firing);
    assert_eq!(only_alert(r#","endsAt":"2026-11-20T08:59:00Z""#).status, Status::Resolved);
    assert_eq!(only_alert(r#","endsAt":"2026-11-20T09:04:00Z""#).status, Status::Firing);
}

#[test]
fn what_is_something_else_is_called_what_it_is() {
    let prometheus = r#"[{"labels":{"alertname":"Down"},"annotations":{},"startsAt":"2026-11-20T08:00:00Z",
        "endsAt":"2026-11-20T08:04:00Z","generatorURL":"http://x/graph"}]"#;
    for (body, sender, reason) in [
        ("", "", "empty"),
        (" \n", "Alertmanager/0.34.0", "empty"),
        (prometheus, "Prometheus/3.0", "prometheus"),
        ("[]", "", "prometheus"),
        (r#"{"text":"x"}"#, "Alertmanager/0.34.0", "custom_payload"),
        (r#""text""#, "Alertmanager/0.34.0", "custom_payload"),
        (r#"{"text":"x"}"#, "curl/8.0", "other_json"),
        ("[1,2]", "", "other_json"),
        ("null", "", "other_json"),
        (r#"{"version":"5","alerts":[]}"#, "", "version"),
        (r#"{"version":3,"alerts":[]}"#, "", "version"),
        (r#"{"version":"4","alerts":{}}"#, "", "field"),
        (r#"{"version":"4","alerts":[{"labels":{"a":5}}]}"#, "", "field"),
        (r#"{"version":"4","alerts":[{"labels":{"a":5}}"#, "", "broken_json"),
        (r#"{"version":"4","#, "", "broken_json"),
        ("\u{feff}{}", "", "broken_json"),
    ] {
        let refusal = read(body.as_bytes(), sender, now()).unwrap_err();
        assert_eq!(refusal.reason(), reason, "{body} {refusal}");
    }
}

#[test]
fn broken_json_is_broken_at_a_place() {
    let refusal = read_text("{\"version\": \"4\",\n  \"alerts\": [}").unwrap_err();
    assert_eq!(refusal.to_string(), "the body is not JSON: expected value (line 2, column 14)");
    let refusal = read_text(r#"{"version":"4","alerts":[{"labels":{"a":5}}]}"#).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "the payload has a field that Alertmanager does not write like that: \
         invalid type: integer `5`, expected a string at line 1 column 41"
    );
}
