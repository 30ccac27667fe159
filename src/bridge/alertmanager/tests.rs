use super::pretender::Pretender;
use super::*;
use crate::bridge::secret::SecretFile;

fn moment(text: &str) -> Timestamp {
    Timestamp::from_text(text).unwrap()
}

fn silence(labels: &[(&str, &str)]) -> NewSilence {
    NewSilence {
        labels: labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        from: moment("2026-11-20T10:00:00Z"),
        until: moment("2026-11-20T11:00:00.5Z"),
        created_by: "telegram:7 (Uma)".to_owned(),
        comment: "Down on vijay".to_owned(),
    }
}

#[tokio::test]
async fn a_silence_is_made_listed_and_ended() {
    let alertmanager = Pretender::start().await;
    let client = Client::new(&alertmanager.settings(Auth::Open)).unwrap();
    let id =
        client.silence(&silence(&[("alertname", "Down"), ("instance", "vijay:9119"), ("empty", "")])).await.unwrap();
    {
        let state = alertmanager.state();
        let made = &state.silences[&id];
        assert_eq!(
            made["matchers"],
            json!([
                {"name": "alertname", "value": "Down", "isRegex": false, "isEqual": true},
                {"name": "instance", "value": "vijay:9119", "isRegex": false, "isEqual": true},
            ])
        );
        assert_eq!(
            (&made["startsAt"], &made["endsAt"]),
            (&json!("2026-11-20T10:00:00Z"), &json!("2026-11-20T11:00:00.5Z"))
        );
        assert_eq!((&made["createdBy"], &made["comment"]), (&json!("telegram:7 (Uma)"), &json!("Down on vijay")));
    }
    let listed = client.silences().await.unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].matchers, r#"{alertname="Down", instance="vijay:9119"}"#);
    assert_eq!(listed[0].until, Some(moment("2026-11-20T11:00:00.5Z")));
    for _ in 0..2 {
        client.expire(&id).await.unwrap();
        assert!(client.silences().await.unwrap().is_empty());
    }
    client.expire("silence-of-old").await.unwrap();
    // Thus 0.25 says it.
    alertmanager.state().refusal = Some((0, 500, "\"silence not found\"\n".to_owned()));
    client.expire("silence-of-old").await.unwrap();
    alertmanager.state().refusal = None;
    assert_eq!(client.status().await.unwrap(), "0.25.0");
}

#[tokio::test]
async fn it_says_what_fires_and_since_when_it_runs() {
    let alertmanager = Pretender::start().await;
    let client = Client::new(&alertmanager.settings(Auth::Open)).unwrap();
    alertmanager.state().alerts = [("a", vec!["silence-1"]), ("b", vec![]), ("c", vec![]), ("d", vec!["silence-1"])]
        .map(|(fingerprint, silences)| (fingerprint.to_owned(), silences.into_iter().map(str::to_owned).collect()))
        .into();
    alertmanager.state().inhibited = ["c", "d"].map(|fingerprint| (fingerprint.to_owned(), "b".to_owned())).into();
    alertmanager.state().started = "2026-11-20T10:00:00.123Z".to_owned();
    let alerts = client.alerts().await.unwrap();
    let heard = |fingerprint: &str| {
        let Hearing { silenced_by, inhibited_by } = alerts.get(fingerprint).unwrap();
        (silenced_by.as_deref(), inhibited_by.as_deref())
    };
    assert_eq!((heard("a"), heard("b")), ((Some("silence-1"), None), (None, None)));
    assert_eq!((heard("c"), heard("d")), ((None, Some("b")), (Some("silence-1"), Some("b"))));
    assert_eq!(alerts.len(), 4);
    assert_eq!(client.started().await.unwrap(), moment("2026-11-20T10:00:00.123Z"));
    alertmanager.state().started.clear();
    assert!(matches!(client.started().await, Err(AlertmanagerError::Answer(_))));
}

#[tokio::test]
async fn nothing_is_silenced_that_has_no_labels() {
    let alertmanager = Pretender::start().await;
    let client = Client::new(&alertmanager.settings(Auth::Open)).unwrap();
    for labels in [&[][..], &[("alertname", "")][..]] {
        assert!(matches!(client.silence(&silence(labels)).await, Err(AlertmanagerError::NoLabels)));
    }
    assert!(alertmanager.state().silences.is_empty());
}

#[tokio::test]
async fn the_login_is_read_anew_for_each_request() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let alertmanager = Pretender::start().await;
    let client = Client::new(&alertmanager.settings(Auth::Bearer(SecretFile::at(&file)))).unwrap();
    assert!(matches!(client.silences().await, Err(AlertmanagerError::Secret(_))));
    for token in ["one", "two"] {
        std::fs::write(&file, token).unwrap();
        client.silences().await.unwrap();
    }
    let basic = Auth::Basic { username: "bridge".to_owned(), password: SecretFile::at(&file) };
    Client::new(&alertmanager.settings(basic)).unwrap().silences().await.unwrap();
    assert_eq!(alertmanager.state().authorization, ["Bearer one", "Bearer two", "Basic YnJpZGdlOnR3bw=="]);
}

#[tokio::test]
async fn what_goes_wrong_says_what_to_do() {
    let alertmanager = Pretender::start().await;
    let client = Client::new(&alertmanager.settings(Auth::Open)).unwrap();
    for (status, said, text) in [
        (401, "", "Alertmanager refuses the login (401); see alertmanager.auth"),
        (400, r#"{"code": 601, "message": "bad"}"#, "Alertmanager refuses (400): bad"),
        (500, "\"the disk is full\"\n", "Alertmanager refuses (500): the disk is full"),
        (200, "<html>", "Alertmanager's answer can not be understood: expected value at line 1 column 1"),
    ] {
        alertmanager.state().refusal = Some((0, status, said.to_owned()));
        assert_eq!(client.silence(&silence(&[("a", "b")])).await.unwrap_err().to_string(), text);
    }
    let elsewhere = Alertmanager { url: "http://127.0.0.1:1/".parse().unwrap(), auth: Auth::Open };
    let error = Client::new(&elsewhere).unwrap().status().await.unwrap_err();
    assert!(error.to_string().starts_with("Alertmanager does not answer at http://127.0.0.1:1/"), "{error}");
    let mut lost = alertmanager.settings(Auth::Open);
    lost.url.set_path("/wrong");
    let error = Client::new(&lost).unwrap().silences().await.unwrap_err();
    assert!(matches!(error, AlertmanagerError::NoApi { .. }), "{error}");
    // What is not Alertmanager knows nothing of a silence either.
    let error = Client::new(&lost).unwrap().expire("silence-1").await.unwrap_err();
    assert!(matches!(error, AlertmanagerError::NoApi { .. }), "{error}");
}
