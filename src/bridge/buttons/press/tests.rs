use std::sync::Arc;

use super::*;
use crate::bridge::alertmanager::pretender::Pretender;
use crate::bridge::buttons::offer::offer;
use crate::bridge::buttons::scripted::{self, Scripted, alert, incident, load, single};
use crate::bridge::buttons::{OWN_RECEIVER, bind};
use crate::bridge::config::{Auth, ChatName};
use crate::bridge::service::ButtonState;
use crate::bridge::telegram::Keyboard;

const AT: Destination = Destination { chat_id: -100, thread: Some(7) };
const MESSAGE: MessageId = MessageId(31);

struct Scene {
    folder: tempfile::TempDir,
    alertmanager: Pretender,
    service: Service,
    card: CardId,
}

impl Scene {
    async fn of(alerts: usize) -> Scene {
        let folder = tempfile::tempdir().unwrap();
        let alertmanager = Pretender::start().await;
        let mut config = scripted::config(folder.path());
        config.alertmanager = Some(alertmanager.settings(Auth::Open));
        let service = scripted::service(folder.path(), config, Arc::default());
        let instances: Vec<String> = (0..alerts).map(|number| format!("vijay{number}")).collect();
        let alerts = instances.iter().map(|name| alert(&[("alertname", "Down"), ("instance", name)], Timestamp::now()));
        let card = scripted::card(&service, alerts.collect()).await;
        let scene = Scene { folder, alertmanager, service, card };
        scene.offer().await;
        scene.bind(MESSAGE).await;
        scene
    }

    /// The same store, after the program was ended and started.
    fn restarted(self) -> Scene {
        let mut config = scripted::config(self.folder.path());
        config.alertmanager = Some(self.alertmanager.settings(Auth::Open));
        drop(self.service);
        let service = scripted::service(self.folder.path(), config, Arc::new(Scripted::default()));
        Scene { service, ..self }
    }

    async fn offer(&self) -> Keyboard {
        self.offer_at(Timestamp::now()).await
    }

    async fn offer_at(&self, now: Timestamp) -> Keyboard {
        let (card, in_force) = (load(&self.service, self.card), self.service.in_force());
        let work = move |connection: &Connection| offer(connection, &in_force.config, &ButtonState::On, &card, now);
        self.service.store.write(work).await.unwrap()
    }

    /// Notes that the card was sent.
    async fn bind(&self, message: MessageId) {
        let card = self.card;
        let work = move |connection: &Connection| {
            let sql = "INSERT INTO part VALUES (?1, 0, -100, 7, ?2, '{\"plain\": \"Down\"}', '[]')";
            connection.execute(sql, [card.0, message.0])?;
            bind(connection, card, AT, message)
        };
        self.service.store.write(work).await.unwrap();
    }

    async fn labels(&self) -> Vec<Vec<String>> {
        let keyboard = self.offer().await;
        keyboard.0.into_iter().map(|row| row.into_iter().map(|button| button.label).collect()).collect()
    }

    async fn data(&self, label: &str) -> String {
        let keyboard = self.offer().await;
        keyboard.0.into_iter().flatten().find(|button| button.label == label).unwrap().data
    }

    async fn press(&self, user: i64, message: MessageId, data: &str) -> Answer {
        let from = User { id: user, name: "<stranger>".to_owned() };
        press(&self.service, &Press { from, at: Some((AT, message)), data: data.to_owned() }).await
    }

    async fn execute(&self, sql: &'static str) {
        self.service.store.write(move |connection| Ok(connection.execute_batch(sql)?)).await.unwrap();
    }

    fn silenced(&self) -> usize {
        let state = self.alertmanager.state();
        state.silences.values().filter(|silence| silence["status"]["state"] == "active").count()
    }
}

fn rows(rows: &[&[&str]]) -> Vec<Vec<String>> {
    rows.iter().map(|row| row.iter().map(|label| (*label).to_owned()).collect()).collect()
}

#[tokio::test]
async fn a_card_has_the_buttons_that_fit_its_state_and_keeps_them() {
    let scene = Scene::of(2).await;
    let before = scene.offer().await;
    assert_eq!(scene.labels().await, rows(&[&["👀 Ack"], &["🔕 1 h", "4 h", "24 h"]]));
    assert_eq!(scene.offer().await, before);
    assert!(before.0.iter().flatten().all(|button| button.data.len() == 22), "{before:?}");
    // In the second half of their life they are made anew.
    let later = Timestamp::from_seconds(Timestamp::now().seconds() + 16.0 * 86_400.0).unwrap();
    assert_ne!(scene.offer_at(later).await, before);
    assert!(!scene.press(7, MESSAGE, &scene.data("👀 Ack").await).await.is_alert);
    assert_eq!(scene.labels().await, rows(&[&["🔕 1 h", "4 h", "24 h"]]));
    assert!(!scene.press(7, MESSAGE, &scene.data("4 h").await).await.is_alert);
    assert_eq!(scene.labels().await, rows(&[&["↩ Undo silence"]]));
    scene.execute("UPDATE incident SET silenced_until = 1000 WHERE id = 1").await;
    assert_eq!(scene.labels().await, rows(&[&["🔕 1 h", "4 h", "24 h"], &["↩ Undo silence"]]));
    scene.execute("UPDATE incident SET status = 'resolved'").await;
    assert_eq!(scene.labels().await, rows(&[]));
}

#[tokio::test]
async fn where_buttons_are_not_wanted_or_of_no_use_there_are_none() {
    let scene = Scene::of(1).await;
    let in_force = scene.service.in_force();
    let offered = async |config: &Config, state: ButtonState, card: Card| {
        let config = config.clone();
        let work = move |connection: &Connection| offer(connection, &config, &state, &card, Timestamp::now());
        scene.service.store.write(work).await.unwrap().0.len()
    };
    let card = || load(&scene.service, scene.card);
    let off = [ButtonState::Off, ButtonState::Disabled("taken".to_owned())];
    // What is sent in the first moments after a start keeps what it was sent with.
    for state in [ButtonState::On, ButtonState::Unknown] {
        assert_eq!(offered(&in_force.config, state, card()).await, 2);
    }
    for state in off {
        assert_eq!(offered(&in_force.config, state, card()).await, 0);
    }
    let line = Card { level: crate::bridge::card::Level::Line, ..card() };
    assert_eq!(offered(&in_force.config, ButtonState::On, line).await, 0);
    let mut without = in_force.config.clone();
    without.alertmanager = None;
    assert_eq!(offered(&without, ButtonState::On, card()).await, 1);
    without.buttons.as_mut().unwrap().users.clear();
    assert_eq!(offered(&without, ButtonState::On, card()).await, 0);
    let mut quiet = in_force.config.clone();
    quiet.chats.get_mut(&ChatName::from("root")).unwrap().buttons = false;
    assert_eq!(offered(&quiet, ButtonState::On, card()).await, 0);
    // Alertmanager knows nothing of the bridge's own alerts.
    scene.execute("UPDATE incident SET receiver = 'hermes-alert-bridge'").await;
    assert_eq!(OWN_RECEIVER, "hermes-alert-bridge");
    assert_eq!(scene.labels().await, rows(&[&["👀 Ack"]]));
}

#[tokio::test]
async fn an_acknowledgement_is_kept_and_shown_on_every_card() {
    let scene = Scene::of(2).await;
    let desired: i64 = single(&scene.service, "SELECT desired FROM card");
    let data = scene.data("👀 Ack").await;
    let answer = scene.press(7, MESSAGE, &data).await;
    assert_eq!(answer, Answer { text: "You have taken 2 alerts.".to_owned(), is_alert: false });
    let Content::Incidents(members) = load(&scene.service, scene.card).content else { unreachable!() };
    assert!(members.iter().all(|member| member.incident.acknowledgement.as_ref().unwrap().by == "Uma"));
    assert!(single::<i64>(&scene.service, "SELECT desired FROM card") > desired);
    assert_eq!(scene.press(8, MESSAGE, &data).await.text, "This button was used already, by Uma.");
    assert_eq!(scene.service.metrics.counted(Count::Presses, &["ack", "done"]), 1);
    assert_eq!(scene.service.metrics.counted(Count::Presses, &["ack", "stale"]), 1);
}

#[tokio::test]
async fn silences_have_exactly_the_labels_of_each_alert_and_can_be_undone() {
    let scene = Scene::of(2).await;
    let answer = scene.press(7, MESSAGE, &scene.data("🔕 1 h").await).await;
    assert_eq!(answer, Answer { text: "Silenced 2 alerts for 1 h.".to_owned(), is_alert: false });
    {
        let state = scene.alertmanager.state();
        assert_eq!(state.silences.len(), 2);
        let silence = &state.silences["silence-2"];
        let names: Vec<_> = silence["matchers"].as_array().unwrap().iter().map(|matcher| &matcher["value"]).collect();
        assert_eq!(names, ["Down", "vijay1"]);
        assert_eq!(silence["createdBy"], "telegram:7 (Uma)");
        assert_eq!(silence["comment"], "Down on vijay1, from Telegram by hermes-alert-bridge");
    }
    assert_eq!(single::<String>(&scene.service, "SELECT silence_id FROM incident WHERE id = 2"), "silence-2");
    let undo = scene.data("↩ Undo silence").await;
    assert_eq!(scene.press(8, MESSAGE, &undo).await.text, "2 silences are ended.");
    // Whether an alert has ended while it was silenced is still to be asked.
    let marked = "SELECT count(*) FROM incident WHERE silence_id IS NOT NULL AND silenced_until IS NULL";
    assert_eq!(single::<i64>(&scene.service, marked), 2);
    assert_eq!(scene.silenced(), 0);
    assert_eq!(scene.labels().await[1], ["🔕 1 h", "4 h", "24 h"]);
    // A button that was used is not offered again.
    assert_eq!(single::<i64>(&scene.service, "SELECT count(*) FROM button WHERE action = 'silence 3600'"), 2);
}

#[tokio::test]
async fn where_alertmanager_fails_it_is_told_and_the_button_can_be_pressed_again() {
    let scene = Scene::of(3).await;
    let data = scene.data("🔕 1 h").await;
    scene.alertmanager.state().refusal = Some((0, 500, "the disk is full".to_owned()));
    let answer = scene.press(7, MESSAGE, &data).await;
    assert_eq!(answer.text, "Nothing is silenced. Alertmanager refuses (500): the disk is full");
    assert!(answer.is_alert);
    assert_eq!(scene.data("🔕 1 h").await, data);
    scene.alertmanager.state().refusal = Some((3, 500, "the disk is full".to_owned()));
    let answer = scene.press(7, MESSAGE, &data).await;
    assert!(answer.text.starts_with("Silenced 1 of 3; press again for the others."), "{answer:?}");
    assert_eq!(scene.labels().await.len(), 3);
    scene.alertmanager.state().refusal = None;
    assert_eq!(scene.press(7, MESSAGE, &data).await.text, "Silenced 2 alerts for 1 h.");
    assert_eq!(scene.silenced(), 3);
    assert_eq!(scene.service.metrics.counted(Count::Presses, &["silence", "failed"]), 2);
    scene.alertmanager.state().refusal = Some((0, 401, String::new()));
    let undo = scene.data("↩ Undo silence").await;
    assert!(scene.press(7, MESSAGE, &undo).await.text.starts_with("It stays silenced. Alertmanager refuses the login"));
}

#[tokio::test]
async fn a_silence_of_which_the_answer_was_lost_is_neither_made_twice_nor_left_behind() {
    let scene = Scene::of(1).await;
    let data = scene.data("🔕 1 h").await;
    // The program was ended after Alertmanager had made it, and before that was written down.
    let forget =
        "UPDATE button SET used = NULL, used_by = NULL; UPDATE incident SET silence_id = NULL, silenced_until = NULL";
    assert!(!scene.press(7, MESSAGE, &data).await.is_alert);
    scene.execute(forget).await;
    assert!(!scene.press(7, MESSAGE, &data).await.is_alert);
    assert_eq!(scene.silenced(), 1);
    // Another one is made where it is for longer, or by somebody else; and all of them end together.
    scene.execute(forget).await;
    let longer = scene.data("4 h").await;
    assert!(!scene.press(7, MESSAGE, &longer).await.is_alert);
    scene.execute(forget).await;
    assert!(!scene.press(8, MESSAGE, &longer).await.is_alert);
    assert_eq!(scene.silenced(), 3);
    let foreign = {
        let mut state = scene.alertmanager.state();
        let mut foreign = state.silences["silence-1"].clone();
        foreign["id"] = serde_json::json!("foreign");
        foreign["comment"] = serde_json::json!("planned");
        state.silences.insert("foreign".to_owned(), foreign);
        "foreign"
    };
    assert_eq!(scene.press(7, MESSAGE, &scene.data("↩ Undo silence").await).await.text, "The silence is ended.");
    assert_eq!(scene.silenced(), 1);
    assert_eq!(scene.alertmanager.state().silences[foreign]["status"]["state"], "active");
}

#[tokio::test]
async fn an_undo_of_what_is_gone_is_done_and_one_without_alertmanager_is_not() {
    let scene = Scene::of(1).await;
    assert!(!scene.press(7, MESSAGE, &scene.data("🔕 1 h").await).await.is_alert);
    let undo = scene.data("↩ Undo silence").await;
    // Something else answers where Alertmanager was.
    scene.alertmanager.state().refusal = Some((0, 404, "<html>not here</html>".to_owned()));
    let answer = scene.press(7, MESSAGE, &undo).await;
    assert!(answer.is_alert && answer.text.starts_with("It stays silenced. there is no API"), "{answer:?}");
    {
        let mut state = scene.alertmanager.state();
        state.refusal = None;
        state.silences.clear();
    }
    assert_eq!(scene.press(7, MESSAGE, &undo).await.text, "The silence is ended.");
}

#[tokio::test]
async fn odd_labels_are_silenced_as_they_are() {
    let scene = Scene::of(1).await;
    let odd = [("alertname", "a\n\"b\\ é💥"), ("instance", "x"), ("empty", ""), ("space", " ")];
    let labels = serde_json::to_string(&scripted::labels(&odd)).unwrap();
    let work = move |connection: &Connection| {
        Ok(connection.execute("UPDATE incident SET alert = json_set(alert, '$.labels', json(?1))", [labels])?)
    };
    scene.service.store.write(work).await.unwrap();
    assert!(!scene.press(7, MESSAGE, &scene.data("🔕 1 h").await).await.is_alert);
    let made = scene.alertmanager.state().silences["silence-1"]["matchers"].clone();
    let made: Vec<_> = made.as_array().unwrap().iter().map(|matcher| matcher["value"].as_str().unwrap()).collect();
    assert_eq!(made, ["a\n\"b\\ é💥", "x", " "]);
    assert_eq!(scene.press(7, MESSAGE, &scene.data("↩ Undo silence").await).await.text, "The silence is ended.");
    assert_eq!(scene.silenced(), 0);
}

#[tokio::test]
async fn who_is_no_more_on_the_list_may_press_no_more() {
    let scene = Scene::of(1).await;
    let data = scene.data("👀 Ack").await;
    let mut config = scene.service.in_force().config.clone();
    config.buttons.as_mut().unwrap().users.remove(&7);
    scene.service.current.store(Arc::new(scripted::in_force(config, Arc::default())));
    assert!(scene.press(7, MESSAGE, &data).await.text.starts_with("You may not do this."));
    assert!(!scene.press(8, MESSAGE, &data).await.is_alert);
}

#[tokio::test]
async fn nobody_waits_for_an_alertmanager_that_hangs() {
    let now = Instant::now();
    assert!(in_time(now, std::future::pending::<Result<(), _>>()).await.unwrap_err().contains("more than 4 s"));
    assert_eq!(in_time(now + BUDGET, async { Ok(7) }).await, Ok(7));
}

#[tokio::test]
async fn nothing_is_silenced_that_would_silence_everything() {
    let scene = Scene::of(1).await;
    scene.execute("UPDATE incident SET alert = json_set(alert, '$.labels', json('{}'))").await;
    let answer = scene.press(7, MESSAGE, &scene.data("🔕 1 h").await).await;
    assert!(answer.is_alert && answer.text.starts_with("An alert without labels"), "{answer:?}");
    assert!(scene.alertmanager.state().silences.is_empty());
}

#[tokio::test]
async fn more_alerts_than_can_be_silenced_one_by_one_have_no_such_button() {
    let scene = Scene::of(50).await;
    let data = scene.data("🔕 1 h").await;
    scene
        .service
        .store
        .write({
            let card = scene.card;
            move |connection| {
                let id = incident(connection, &alert(&[("alertname", "One more")], Timestamp::now()), "hermes");
                connection.execute("INSERT INTO card_incident VALUES (?1, ?2, 50, 'nothing')", [card.0, id.0])?;
                Ok(())
            }
        })
        .await
        .unwrap();
    assert_eq!(scene.labels().await, rows(&[&["👀 Ack"]]));
    assert!(scene.press(7, MESSAGE, &data).await.text.starts_with("These are 51 alerts"));
    assert!(scene.alertmanager.state().silences.is_empty());
}

/// A14: stale, foreign and replayed presses are refused, answered and written down, and a restart changes nothing.
#[tokio::test]
async fn a14_presses_that_do_not_count_change_nothing_and_are_kept() {
    let mut scene = Scene::of(1).await;
    let (ack, silence) = (scene.data("👀 Ack").await, scene.data("🔕 1 h").await);
    for is_restarted in [false, true] {
        if is_restarted {
            scene = scene.restarted();
        }
        for (user, message, data, text) in [
            (666, MESSAGE, ack.as_str(), "You may not do this. Your number at Telegram is 666"),
            (7, MESSAGE, "AAAAAAAAAAAAAAAAAAAAAA", "This button is not known."),
            (7, MESSAGE, "ea:once:1", "This button is not known."),
            (7, MESSAGE, "' OR 1 --", "This button is not known."),
            (7, MessageId(32), ack.as_str(), "This button belongs to another message."),
            (7, MessageId(32), silence.as_str(), "This button belongs to another message."),
        ] {
            let answer = scene.press(user, message, data).await;
            assert!(answer.text.starts_with(text) && answer.is_alert, "{answer:?}");
            assert!(answer.text.encode_utf16().count() <= 200);
        }
        let nowhere = Press { from: User { id: 7, name: String::new() }, at: None, data: ack.clone() };
        assert!(press(&scene.service, &nowhere).await.is_alert);
        let elsewhere = Destination { chat_id: -666, thread: None };
        let elsewhere = Press { at: Some((elsewhere, MESSAGE)), ..nowhere };
        assert_eq!(press(&scene.service, &elsewhere).await.text, "This button belongs to another message.");
        assert_eq!(single::<Option<String>>(&scene.service, "SELECT acknowledged_by FROM incident"), None);
        assert_eq!(scene.silenced(), 0);
    }
    assert_eq!(single::<i64>(&scene.service, "SELECT count(*) FROM press WHERE outcome LIKE 'refused: %'"), 16);
    assert_eq!(single::<String>(&scene.service, "SELECT user_name FROM press WHERE user_id = 666"), "<stranger>");
    assert_eq!(scene.service.metrics.counted(Count::Presses, &["unknown", "foreign"]), 1);
    assert_eq!(scene.service.metrics.counted(Count::Presses, &["unknown", "unknown"]), 3);

    // Replayed, before and after a restart.
    assert!(!scene.press(7, MESSAGE, &silence).await.is_alert);
    for is_restarted in [false, true] {
        if is_restarted {
            scene = scene.restarted();
        }
        assert_eq!(scene.press(8, MESSAGE, &silence).await.text, "This button was used already, by Uma.");
        assert_eq!(scene.alertmanager.state().silences.len(), 1);
    }
    // What others have done meanwhile, or what is over, is not done again.
    scene.execute("UPDATE incident SET acknowledged_by = 'Root', acknowledged_at = 1000").await;
    assert_eq!(scene.press(7, MESSAGE, &ack).await.text, "Root has taken it already.");
    scene.execute("UPDATE incident SET status = 'resolved'").await;
    assert_eq!(scene.press(7, MESSAGE, &ack).await.text, "It is over already.");
    scene.execute("UPDATE button SET created = 1000").await;
    assert_eq!(scene.press(7, MESSAGE, &ack).await.text, "This button is too old; do it in Alertmanager.");
    scene.execute("UPDATE button SET chat_id = NULL").await;
    assert_eq!(scene.press(7, MESSAGE, &ack).await.text, "The message has only just been sent; press again.");
}

#[test]
fn an_answer_is_as_long_as_telegram_takes() {
    assert_eq!(bounded("short"), "short");
    let long = bounded(&"😀".repeat(150));
    assert_eq!(long.encode_utf16().count(), 199);
    assert!(long.ends_with("😀…"));
    assert_eq!(bounded(&"a".repeat(200)).len(), 200);
}
