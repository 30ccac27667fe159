use std::sync::Arc;

use super::*;
use crate::bridge::alertmanager::pretender::Pretender;
use crate::bridge::buttons::OWN_RECEIVER;
use crate::bridge::buttons::scripted::{self, Scripted, alert, single};
use crate::bridge::config::Auth;

struct Scene {
    _folder: tempfile::TempDir,
    alertmanager: Pretender,
    service: Service,
    began: Timestamp,
    looks: Looks,
}

impl Scene {
    /// Two alerts fire, here and in an Alertmanager that has run for an hour.
    async fn new() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let service = scripted::service(folder.path(), scripted::config(folder.path()), Arc::<Scripted>::default());
        let began = Timestamp::now();
        scripted::card(&service, ["a", "b"].map(|name| alert(&[("alertname", name)], began)).into()).await;
        let scene =
            Scene { _folder: folder, alertmanager: Pretender::start().await, service, began, looks: Looks::default() };
        scene.started(-3600.0);
        scene
            .execute(
                "UPDATE incident SET fingerprint = json_extract(alert, '$.labels.alertname');
            UPDATE incident SET alert = json_set(alert, '$.fingerprint', fingerprint)",
            )
            .await;
        for name in ["a", "b"] {
            scene.fires(name, &[]);
        }
        scene
    }

    fn at(&self, seconds: f64) -> Timestamp {
        Timestamp::from_seconds(self.began.seconds() + seconds).unwrap()
    }

    fn started(&self, seconds: f64) {
        let moment = jiff::Timestamp::from_second(self.at(seconds).seconds() as i64).unwrap();
        self.alertmanager.state().started = moment.to_string();
    }

    fn fires(&self, name: &str, silences: &[&str]) {
        let silences = silences.iter().map(|id| (*id).to_owned()).collect();
        self.alertmanager.state().alerts.insert(name.to_owned(), silences);
    }

    fn is_over(&self, name: &str) {
        self.alertmanager.state().alerts.remove(name);
    }

    fn is_inhibited(&self, name: &str, by: &str) {
        self.alertmanager.state().inhibited.insert(name.to_owned(), by.to_owned());
    }

    async fn execute(&self, sql: &'static str) {
        self.service.store.write(move |connection| Ok(connection.execute_batch(sql)?)).await.unwrap();
    }

    async fn try_look(&mut self, seconds: f64) -> Result<(), LookError> {
        let (now, settings) = (self.at(seconds), self.alertmanager.settings(Auth::Open));
        self.looks.look(&self.service, &settings, now).await
    }

    async fn look(&mut self, seconds: f64) {
        self.try_look(seconds).await.unwrap();
    }

    /// What inhibits what fires.
    fn marks(&self) -> String {
        single(
            &self.service,
            "SELECT coalesce(group_concat(inhibited_by, ', ' ORDER BY id), '') FROM incident WHERE status = 'firing'",
        )
    }

    /// What fires, and the silences that it is marked with.
    fn firing(&self) -> String {
        single(
            &self.service,
            "SELECT coalesce(group_concat(fingerprint || coalesce(' ' || silence_id, ''), ', ' ORDER BY id), '')
             FROM incident WHERE status = 'firing'",
        )
    }
}

/// As a press does.
const SILENCE_A: &str =
    "UPDATE incident SET silence_id = 's', silenced_by = 'Uma', silenced_until = 9e12 WHERE fingerprint = 'a'";

#[tokio::test]
async fn what_ends_while_it_is_silenced_is_over_after_two_looks() {
    let mut scene = Scene::new().await;
    scene.execute(SILENCE_A).await;
    scene.fires("a", &["s"]);
    scene.look(60.0).await;
    scene.is_over("a");
    scene.look(120.0).await;
    // Too soon after the first look.
    scene.look(149.0).await;
    assert_eq!(scene.firing(), "a s, b");
    let before: i64 = single(&scene.service, "SELECT desired FROM card");
    scene.look(180.0).await;
    assert_eq!(scene.firing(), "b");
    assert_eq!(scene.service.metrics.counted(Count::Changes, &["resolved"]), 1);
    // The card is to tell of it, at the moment it became known.
    assert!(single::<i64>(&scene.service, "SELECT desired FROM card") > before);
    let ends_at = single::<i64>(&scene.service, "SELECT ends_at FROM incident WHERE fingerprint = 'a'");
    assert!(ends_at >= (scene.at(180.0).seconds() * 1000.0) as i64, "{ends_at}");
    scene.look(240.0).await;
    assert_eq!(scene.service.metrics.counted(Count::Changes, &["resolved"]), 1);
}

#[tokio::test]
async fn a_silence_by_anybody_counts_and_one_that_has_ended_only_until_the_alert_was_seen() {
    let mut scene = Scene::new().await;
    for name in ["a", "b"] {
        scene.fires(name, &["elsewhere"]);
    }
    scene.look(60.0).await;
    assert_eq!(scene.firing(), "a elsewhere, b elsewhere");
    // That of a is ended and a is told of again, so its end will be as well; b has ended meanwhile.
    scene.fires("a", &[]);
    scene.is_over("b");
    scene.look(120.0).await;
    assert_eq!(scene.firing(), "a, b elsewhere");
    scene.is_over("a");
    scene.look(180.0).await;
    scene.look(240.0).await;
    assert_eq!(scene.firing(), "a");
}

#[tokio::test]
async fn what_was_inhibited_waits_for_the_other_one_and_then_for_prometheus() {
    let mut scene = Scene::new().await;
    scene.is_inhibited("a", "down");
    scene.fires("down", &[]);
    scene.look(60.0).await;
    // Nothing can be seen, so it ends in Prometheus; however long that takes.
    scene.is_over("a");
    for seconds in [120.0, 600.0, 1200.0, 7200.0] {
        scene.look(seconds).await;
    }
    assert_eq!(scene.firing(), "a, b");
    scene.is_over("down");
    scene.look(7260.0).await;
    scene.look(7859.0).await;
    assert_eq!(scene.firing(), "a, b");
    scene.look(7860.0).await;
    assert_eq!(scene.firing(), "b");
    assert_eq!(scene.service.metrics.counted(Count::Changes, &["resolved"]), 1);
}

#[tokio::test]
async fn what_fires_again_after_it_was_inhibited_is_as_any_other() {
    let mut scene = Scene::new().await;
    scene.is_inhibited("a", "b");
    scene.look(60.0).await;
    scene.is_inhibited("a", "elsewhere");
    scene.look(120.0).await;
    assert_eq!(scene.marks(), "elsewhere");
    scene.alertmanager.state().inhibited.clear();
    scene.look(180.0).await;
    assert_eq!(scene.marks(), "");
    scene.is_over("a");
    scene.look(240.0).await;
    scene.look(540.0).await;
    assert_eq!(scene.firing(), "b");
}

#[tokio::test]
async fn what_is_silenced_and_inhibited_is_what_is_inhibited() {
    let mut scene = Scene::new().await;
    scene.execute(SILENCE_A).await;
    scene.fires("a", &["s"]);
    scene.is_inhibited("a", "b");
    scene.look(60.0).await;
    // The silence that the card shows stays, whatever else there is.
    scene.fires("a", &[]);
    scene.fires("down", &[]);
    scene.is_inhibited("a", "down");
    scene.look(120.0).await;
    scene.is_over("a");
    for seconds in [180.0, 240.0, 1200.0] {
        scene.look(seconds).await;
    }
    assert_eq!((scene.firing(), scene.marks()), ("a s, b".to_owned(), "down".to_owned()));
}

#[tokio::test]
async fn what_keeps_others_back_does_so_as_long_as_it_is_kept_back_itself() {
    let mut scene = Scene::new().await;
    // The gateway is down, and so a platform; then nothing can be seen of either.
    scene.is_inhibited("a", "b");
    scene.look(60.0).await;
    scene.fires("down", &[]);
    scene.is_inhibited("b", "down");
    scene.look(120.0).await;
    for name in ["a", "b"] {
        scene.is_over(name);
    }
    for seconds in [180.0, 1000.0, 7200.0] {
        scene.look(seconds).await;
    }
    assert_eq!(scene.firing(), "a, b");
    scene.is_over("down");
    scene.fires("other", &[]);
    scene.look(7260.0).await;
    scene.look(7859.0).await;
    assert_eq!(scene.firing(), "a, b");
    scene.look(7860.0).await;
    assert_eq!(scene.firing(), "");
}

#[tokio::test]
async fn what_keeps_each_other_back_ends_all_the_same() {
    let mut scene = Scene::new().await;
    scene.fires("other", &[]);
    scene.is_inhibited("a", "b");
    scene.is_inhibited("b", "a");
    scene.look(60.0).await;
    for name in ["a", "b"] {
        scene.is_over(name);
    }
    scene.look(120.0).await;
    scene.look(720.0).await;
    assert_eq!(scene.firing(), "");
}

#[tokio::test]
async fn an_end_that_was_lost_is_noticed() {
    let mut scene = Scene::new().await;
    scene.look(60.0).await;
    scene.is_over("a");
    // Within this time the end may still be told.
    scene.look(120.0).await;
    scene.look(419.0).await;
    assert_eq!(scene.firing(), "a, b");
    scene.look(420.0).await;
    assert_eq!(scene.firing(), "b");
    assert_eq!(scene.service.metrics.counted(Count::Changes, &["resolved"]), 1);
}

#[tokio::test]
async fn one_that_has_no_alerts_has_perhaps_no_prometheus() {
    let mut scene = Scene::new().await;
    scene.is_inhibited("a", "b");
    scene.look(60.0).await;
    for name in ["a", "b"] {
        scene.is_over(name);
    }
    for seconds in [120.0, 720.0, 7200.0] {
        scene.look(seconds).await;
    }
    assert_eq!(scene.firing(), "a, b");
    // What it was told of afterwards does not count for the time before.
    scene.fires("other", &[]);
    scene.look(7260.0).await;
    assert_eq!(scene.firing(), "a, b");
    scene.look(7560.0).await;
    assert_eq!(scene.firing(), "a");
}

#[tokio::test]
async fn what_was_never_there_and_what_is_the_bridges_own_stays() {
    let mut scene = Scene::new().await;
    scene.fires("other", &[]);
    scene.execute(SILENCE_A).await;
    scene
        .service
        .store
        .write(|connection| {
            let sql = "UPDATE incident SET receiver = ?1, in_alertmanager = 1 WHERE fingerprint = 'a'";
            Ok(connection.execute(sql, [OWN_RECEIVER])?)
        })
        .await
        .unwrap();
    // b was posted by hand, or by an Alertmanager that is not asked.
    for name in ["a", "b"] {
        scene.is_over(name);
    }
    for look in 1..100 {
        scene.look(60.0 * f64::from(look)).await;
    }
    assert_eq!(scene.firing(), "a s, b");
}

#[tokio::test]
async fn what_is_not_sure_changes_nothing() {
    let mut scene = Scene::new().await;
    scene.fires("other", &[]);
    scene.execute(SILENCE_A).await;
    scene.look(0.0).await;
    // It was just started, and knows nothing yet.
    scene.started(0.0);
    for name in ["a", "b"] {
        scene.is_over(name);
    }
    for seconds in [60.0, 120.0, 599.0] {
        scene.look(seconds).await;
    }
    scene.look(660.0).await;
    assert_eq!(scene.firing(), "a s, b");
    // One look that fails, and what comes next is the first one again.
    for (status, said) in [(503, "no"), (200, "{}"), (200, "[{\"status\": {\"state\": \"active\"}}]")] {
        scene.alertmanager.state().refusal = Some((0, status, said.to_owned()));
        assert!(scene.try_look(720.0).await.is_err(), "{said}");
    }
    scene.alertmanager.state().refusal = None;
    scene.look(780.0).await;
    scene.alertmanager.state().started = "soon".to_owned();
    assert!(scene.try_look(840.0).await.is_err());
    scene.started(-3600.0);
    scene.look(900.0).await;
    // They were there again in between.
    scene.fires("a", &["s"]);
    scene.fires("b", &[]);
    scene.look(960.0).await;
    for name in ["a", "b"] {
        scene.is_over(name);
    }
    scene.look(1020.0).await;
    assert_eq!(scene.firing(), "a s, b");
    // Something was heard of it after Alertmanager was asked.
    scene.execute("UPDATE incident SET last_received = 9e12").await;
    scene.look(1080.0).await;
    scene.look(1320.0).await;
    assert_eq!(scene.firing(), "a s, b");
}
