use std::sync::Arc;

use super::*;
use crate::bridge::buttons::scripted::{self, alert, single};
use crate::bridge::route::Matchers;
use crate::bridge::store::moment;

const START: f64 = 1_800_000_000.0;
const DAY: f64 = 86_400.0;

struct Scene {
    _folder: tempfile::TempDir,
    service: Service,
    /// When watching began.
    since: f64,
}

impl Scene {
    fn new() -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let service = scripted::service(folder.path(), scripted::config(folder.path()), Arc::default());
        Scene { _folder: folder, service, since: START }
    }

    async fn beat(&self, cluster: &'static str, at: f64) {
        let mut beat = alert(&[("alertname", "Watchdog"), ("cluster", cluster)], moment(1_000).unwrap());
        beat.fingerprint = cluster.to_owned();
        let now = Timestamp::from_seconds(START + at).unwrap();
        self.service.store.write(move |connection| super::beat(connection, &beat, now)).await.unwrap();
    }

    async fn look_with(&self, watchdog: Option<Watchdog>, at: f64) {
        let (now, since) = (Timestamp::from_seconds(START + at).unwrap(), Timestamp::from_seconds(self.since).unwrap());
        let work = move |connection: &Connection| {
            look(connection, watchdog.as_ref().map(|watchdog| (watchdog, since)), &ChatName::from("root"), now)
        };
        self.service.store.write(work).await.unwrap();
    }

    async fn look(&self, at: f64) -> Vec<String> {
        self.look_with(self.service.in_force().config.watchdog.clone(), at).await;
        self.incidents()
    }

    /// Which absences there were, and how they stand.
    fn incidents(&self) -> Vec<String> {
        let read = |connection: &rusqlite::Transaction<'_>| {
            let mut find = connection.prepare("SELECT fingerprint || ' ' || status FROM incident ORDER BY id")?;
            let found = find.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
            Ok(found)
        };
        self.service.store.read_now(read).unwrap()
    }

    fn cards(&self) -> i64 {
        single(&self.service, "SELECT count(*) FROM card")
    }
}

/// A17: the heartbeat stops, and it is told; it comes back, and that is told.
#[tokio::test]
async fn a17_a_heartbeat_that_stops_is_told_once_until_it_is_back() {
    let scene = Scene::new();
    for minute in 0..10 {
        scene.beat("a", f64::from(minute) * 60.0).await;
        assert_eq!(scene.look(f64::from(minute) * 60.0 + 1.0).await, [""; 0]);
    }
    assert_eq!(scene.look(540.0 + 300.0).await, [""; 0]);
    for _ in 0..3 {
        assert_eq!(scene.look(540.0 + 301.0).await, ["heartbeat a firing"]);
    }
    assert_eq!(scene.cards(), 1);
    let told: String = single(&scene.service, "SELECT alert FROM incident");
    let told: Alert = serde_json::from_str(&told).unwrap();
    let labels = [("alertname", ALERT_NAME), ("cluster", "a"), ("heartbeat", "Watchdog"), ("severity", "critical")];
    assert_eq!(told.labels, scripted::labels(&labels));
    assert_eq!(told.annotations["summary"], "No heartbeat from Alertmanager for more than 5m");
    assert_eq!(single::<String>(&scene.service, "SELECT chat FROM card"), "root");
    scene.beat("a", 1000.0).await;
    assert_eq!(scene.look(1001.0).await, ["heartbeat a resolved"]);
    // The next absence is another incident.
    assert_eq!(scene.look(1400.0).await, ["heartbeat a resolved", "heartbeat a firing"]);
    assert_eq!(scene.cards(), 2);
}

#[tokio::test]
async fn a_clock_that_was_set_back_does_not_hide_an_absence() {
    let mut scene = Scene::new();
    scene.beat("a", DAY).await;
    assert_eq!(scene.look(DAY + 1.0).await, [""; 0]);
    // It was a day ahead, which is noticed while it looks.
    scene.since += 100.0;
    assert_eq!(scene.look(100.0).await, [""; 0]);
    assert_eq!(scene.look(400.0).await, [""; 0]);
    assert_eq!(scene.look(401.0).await, ["heartbeat a firing"]);
    // The same where it is set back while hearts beat.
    scene.beat("a", DAY).await;
    scene.beat("a", 500.0).await;
    assert_eq!(scene.look(501.0).await, ["heartbeat a resolved"]);
    assert_eq!(scene.look(801.0).await, ["heartbeat a resolved", "heartbeat a firing"]);
}

#[tokio::test]
async fn a_heartbeat_that_never_came_is_missed_after_a_while() {
    let scene = Scene::new();
    assert_eq!(scene.look(299.0).await, [""; 0]);
    assert_eq!(scene.look(301.0).await, ["heartbeat  firing"]);
    assert_eq!(scene.look(302.0).await, ["heartbeat  firing"]);
    scene.beat("a", 303.0).await;
    assert_eq!(scene.look(304.0).await, ["heartbeat  resolved"]);
    assert_eq!(single::<i64>(&scene.service, "SELECT count(*) FROM heartbeat"), 1);
}

#[tokio::test]
async fn time_in_which_the_bridge_was_not_there_is_no_absence() {
    let mut scene = Scene::new();
    scene.beat("a", 0.0).await;
    scene.look(1.0).await;
    scene.since = START + 3600.0;
    assert_eq!(scene.look(3601.0).await, [""; 0]);
    assert_eq!(scene.look(3600.0 + 299.0).await, [""; 0]);
    assert_eq!(scene.look(3600.0 + 301.0).await, ["heartbeat a firing"]);
    // What is missing stays so over a restart.
    scene.since = START + 7200.0;
    assert_eq!(scene.look(7201.0).await, ["heartbeat a firing"]);
    assert_eq!(scene.look(7600.0).await, ["heartbeat a firing"]);
}

#[tokio::test]
async fn each_heartbeat_is_watched_apart_and_forgotten_after_a_week() {
    let scene = Scene::new();
    scene.beat("a", 0.0).await;
    scene.beat("b", 0.0).await;
    scene.look(1.0).await;
    scene.beat("b", 400.0).await;
    assert_eq!(scene.look(401.0).await, ["heartbeat a firing"]);
    assert_eq!(scene.cards(), 1);
    let week = 7.0 * DAY;
    scene.beat("b", week - 5.0).await;
    assert_eq!(scene.look(week - 1.0).await, ["heartbeat a firing"]);
    assert_eq!(scene.look(week + 1.0).await, ["heartbeat a resolved"]);
    assert_eq!(scene.cards(), 2);
    assert_eq!(single::<String>(&scene.service, "SELECT fingerprint FROM heartbeat"), "b");
    let word: String = single(&scene.service, "SELECT content FROM card WHERE kind = 'message'");
    assert!(
        word.contains(
            "It has been missing for 7 days, while others beat: {alertname=\\\"Watchdog\\\", cluster=\\\"a\\\"}"
        ),
        "{word}"
    );
    // The last one is waited for as long as one is wanted.
    assert_eq!(scene.look(3.0 * week).await, ["heartbeat a resolved", "heartbeat b firing"]);
    assert_eq!(scene.look(9.0 * week).await, ["heartbeat a resolved", "heartbeat b firing"]);
}

#[tokio::test]
async fn what_is_not_watched_any_more_is_not_missing() {
    let scene = Scene::new();
    scene.beat("a", 0.0).await;
    assert_eq!(scene.look(400.0).await, ["heartbeat a firing"]);
    let other =
        Watchdog { matchers: Matchers::parse("cluster = \"b\"").unwrap(), max_silence: Duration::from_secs(300) };
    scene.look_with(Some(other), 401.0).await;
    assert_eq!(scene.incidents(), ["heartbeat a resolved", "heartbeat  firing"]);
    scene.look_with(None, 402.0).await;
    assert_eq!(scene.incidents(), ["heartbeat a resolved", "heartbeat  resolved"]);
    assert_eq!(single::<i64>(&scene.service, "SELECT count(*) FROM heartbeat"), 0);
}

#[tokio::test]
async fn the_end_of_an_alert_is_no_heartbeat() {
    let scene = Scene::new();
    let mut end = alert(&[("alertname", "Watchdog")], Timestamp::now());
    end.status = Status::Resolved;
    scene.service.store.write(move |connection| beat(connection, &end, Timestamp::now())).await.unwrap();
    assert_eq!(single::<i64>(&scene.service, "SELECT count(*) FROM heartbeat"), 0);
}

#[tokio::test]
async fn a_missing_heartbeat_is_told_while_serving() {
    let scene = Scene::new();
    let mut config = scene.service.in_force().config.clone();
    config.watchdog.as_mut().unwrap().max_silence = Duration::from_millis(5);
    scene.service.current.store(Arc::new(scripted::in_force(config, Arc::default())));
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let watching = tokio::spawn(run(scene.service.clone(), stopped));
    while scene.incidents() != ["heartbeat  firing"] {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.send_replace(true);
    watching.await.unwrap();
}
