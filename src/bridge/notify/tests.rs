use std::sync::Arc;

use axum::body::Body as HttpBody;
use http::Request;
use tower::ServiceExt;

use super::*;
use crate::bridge::buttons::scripted;
use crate::bridge::card::{Content, Progress, StepState};
use crate::bridge::config::Auth;
use crate::bridge::secret::SecretFile;

struct Scene {
    folder: tempfile::TempDir,
    service: Service,
}

impl Scene {
    fn new() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let service = scripted::service(folder.path(), scripted::config(folder.path()), Arc::default());
        Scene { folder, service }
    }

    async fn ask(&self, request: Request<HttpBody>) -> (u16, String) {
        let answer = router(self.service.clone()).oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        let body = axum::body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn post(&self, uri: &str, body: impl ToString) -> (u16, String) {
        let body = body.to_string();
        let kind = if uri.contains('?') { "application/x-www-form-urlencoded" } else { "application/json" };
        self.ask(Request::post(uri).header("content-type", kind).body(body.into()).unwrap()).await
    }

    /// The number of the card that it became.
    async fn card(&self, body: serde_json::Value) -> i64 {
        let (status, answer) = self.post("/notify", &body).await;
        assert_eq!(status, 200, "{answer}");
        serde_json::from_str::<serde_json::Value>(&answer).unwrap()["card"].as_i64().unwrap()
    }

    fn progress(&self, card: i64) -> Progress {
        match scripted::load(&self.service, CardId(card)).content {
            Content::Progress(progress) => progress,
            other => panic!("{other:?}"),
        }
    }

    fn cards(&self) -> i64 {
        scripted::single(&self.service, "SELECT count(*) FROM card")
    }

    fn lines(&self, card: i64) -> Vec<String> {
        let steps = self.progress(card).steps;
        steps.iter().map(|step| format!("{} {:?} {}", step.name, step.state, step.detail)).collect()
    }
}

#[tokio::test]
async fn a_note_goes_where_alerts_of_its_instance_go() {
    let scene = Scene::new();
    assert_eq!(
        scene.post("/notify?instance=Vijay:1", "backup done").await,
        (200, r#"{"card":1,"chat":"root"}"#.to_owned())
    );
    let Content::Message(message) = scripted::load(&scene.service, CardId(1)).content else { unreachable!() };
    assert_eq!((message.text.as_str(), message.instance.as_deref()), ("backup done", Some("vijay")));
    // uma mutes what is only worth knowing, unless it is written to by name.
    assert_eq!(scene.post("/notify?instance=bheem", "a").await, (200, r#"{"card":null,"chat":null}"#.to_owned()));
    let told = scene.post("/notify?instance=bheem&severity=critical&title=Full", "a").await;
    assert_eq!(told.1, r#"{"card":2,"chat":"uma"}"#);
    assert_eq!(scene.post("/notify?chat=uma", "a").await.1, r#"{"card":3,"chat":"uma"}"#);
    let told = scene.post("/notify?instance=both&severity=warning", "a").await;
    assert_eq!(told.1, r#"{"also":[{"card":5,"chat":"uma"}],"card":4,"chat":"root"}"#);
    assert_eq!(scene.post("/notify?instance=new", "a").await.1, r#"{"card":6,"chat":"root"}"#);
    let refused = scene.post("/notify?chat=rot", "a").await;
    assert_eq!(refused, (400, "chat: there is no chat called \"rot\"; did you mean \"root\"?\n".to_owned()));
    assert_eq!(scene.service.metrics.counted(Count::Notes, &["accepted"]), 6);
    assert_eq!(scene.service.metrics.counted(Count::Notes, &["refused"]), 1);
}

#[tokio::test]
async fn a_key_is_one_message_which_becomes_what_was_said_last() {
    let scene = Scene::new();
    let note = |text: &str| json!({"chat": "root", "text": text, "key": "disk"});
    let card = scene.card(note("80 %")).await;
    assert_eq!(scene.card(note("80 %")).await, card);
    assert_eq!(scripted::single::<i64>(&scene.service, "SELECT desired FROM card"), 1);
    assert_eq!(scene.card(note("90 %")).await, card);
    assert_eq!(scripted::single::<i64>(&scene.service, "SELECT desired FROM card"), 2);
    // Where the chat could not be written to, it is still the same message.
    let sql = "UPDATE card SET chat = 'uma', diverted_from = 'root', diverted_because = 'blocked'";
    scene.service.store.write(move |connection| Ok(connection.execute_batch(sql)?)).await.unwrap();
    assert_eq!(scene.card(note("95 %")).await, card);
    assert_ne!(scene.card(json!({"chat": "root", "text": "95 %"})).await, card);
}

#[tokio::test]
async fn a_progress_is_one_message_until_it_has_ended() {
    let scene = Scene::new();
    let step = |step: &str, state: &str| json!({"instance": "vijay", "progress": "backup", "title": "Backup of vijay", "step": step, "state": state});
    let first = scene.card(step("Stop", "running")).await;
    assert_eq!(scene.card(step("Stop", "done")).await, first);
    let mut push = step("Push", "running");
    push["detail"] = json!("3 of 12 GB");
    assert_eq!(scene.card(push).await, first);
    assert_eq!(scene.lines(first), ["Stop Done ", "Push Running 3 of 12 GB"]);
    assert_eq!(scene.card(json!({"chat": "root", "progress": "backup", "outcome": "done"})).await, first);
    // What was under way is done as well; and an end that is told again changes nothing.
    assert_eq!(scene.lines(first), ["Stop Done ", "Push Done 3 of 12 GB"]);
    let ended = scene.progress(first);
    assert_eq!((ended.outcome, ended.title.as_str()), (Some(StepState::Done), "Backup of vijay"));
    assert_eq!(scene.card(json!({"chat": "root", "progress": "backup", "outcome": "done"})).await, first);
    assert_eq!(scene.progress(first), ended);
    // The next night.
    let second = scene.card(step("Stop", "running")).await;
    assert_ne!(second, first);
    assert_eq!(scene.lines(second), ["Stop Running "]);
    // It was broken off, and nobody has said so.
    let third =
        scene.card(json!({"chat": "root", "progress": "backup", "start": true, "steps": ["Stop", "Push"]})).await;
    assert_eq!(scene.progress(second).outcome, Some(StepState::Failed));
    assert_eq!(scene.lines(second), ["Stop Failed "]);
    assert_eq!(scene.lines(third), ["Stop Waiting ", "Push Waiting "]);
    let keys: String = scripted::single(&scene.service, "SELECT group_concat(key, ';') FROM card");
    assert_eq!(keys, "progress backup\n1;progress backup\n2;progress backup\n3");
    // Another id that begins alike is another one.
    assert_ne!(scene.card(json!({"chat": "root", "progress": "back", "step": "Stop"})).await, third);
    assert_eq!(scene.cards(), 4);
}

#[tokio::test]
async fn all_steps_can_be_told_at_once_and_there_are_not_too_many() {
    let scene = Scene::new();
    let steps = |steps: serde_json::Value| json!({"chat": "root", "progress": "backup", "steps": steps});
    let card = scene.card(steps(json!(["A", {"name": "B", "state": "running", "detail": "b"}]))).await;
    assert_eq!(scene.card(steps(json!([{"name": "C"}, {"name": "B", "state": "done"}]))).await, card);
    assert_eq!(scene.lines(card), ["C Waiting ", "B Done b"]);
    for number in 0..48 {
        scene.card(json!({"chat": "root", "progress": "backup", "step": number.to_string()})).await;
    }
    let (status, text) = scene.post("/notify", json!({"chat": "root", "progress": "backup", "step": "more"})).await;
    assert_eq!((status, text.as_str()), (400, "step: there are 50 already, which is the most\n"));
    assert_eq!(scene.lines(card).len(), 50);
}

#[tokio::test]
async fn who_does_not_know_the_token_is_not_heard() {
    let scene = Scene::new();
    let file = scene.folder.path().join("webhook");
    let mut config = scene.service.in_force().config.clone();
    config.auth = Auth::Bearer(SecretFile::at(&file));
    scene.service.current.store(Arc::new(scripted::in_force(config, Arc::default())));
    assert_eq!(scene.post("/notify?chat=root", "a").await.0, 503);
    std::fs::write(&file, "known").unwrap();
    assert_eq!(scene.post("/notify?chat=root", "a").await.0, 401);
    let request = Request::post("/notify?chat=root").header("authorization", "Bearer known").body("a".into()).unwrap();
    assert_eq!(scene.ask(request).await.0, 200);
    assert_eq!(scene.cards(), 1);
    for (outcome, count) in [("failed", 1), ("unauthorized", 1), ("accepted", 1)] {
        assert_eq!(scene.service.metrics.counted(Count::Notes, &[outcome]), count, "{outcome}");
    }
    let large = Request::post("/notify?chat=root").header("authorization", "Bearer known");
    assert_eq!(scene.ask(large.body("a".repeat(300_000).into()).unwrap()).await.0, 413);
}

#[tokio::test]
async fn what_one_chat_refuses_no_chat_is_told() {
    let scene = Scene::new();
    let step =
        |to: &str, name: &str| json!({to: if to == "chat" { "uma" } else { "both" }, "progress": "p", "step": name});
    for number in 0..50 {
        scene.card(step("chat", &number.to_string())).await;
    }
    // Where there is no such progress yet, it would be begun.
    let (status, text) = scene.post("/notify", step("instance", "one more")).await;
    assert_eq!((status, text.as_str()), (400, "step: there are 50 already, which is the most\n"));
    assert_eq!(scene.cards(), 1);
    // What comes next is kept as ever.
    assert_eq!(scene.post("/notify?chat=root", "a").await.0, 200);
    assert_eq!(scene.cards(), 2);
}

#[tokio::test]
async fn nothing_is_taken_into_a_store_that_was_taken_away() {
    let scene = Scene::new();
    assert_eq!(scene.post("/notify?chat=root", "a").await.0, 200);
    std::fs::remove_file(scene.service.store.path()).unwrap();
    assert_eq!(scene.post("/notify?chat=root", "a").await.0, 503);
    assert_eq!(scene.service.metrics.counted(Count::Notes, &["failed"]), 1);
}
