use tokio::sync::watch;

use super::*;
use crate::bridge::buttons::scripted::{self, Scripted, alert, load};
use crate::bridge::buttons::{bind, offer};
use crate::bridge::telegram::{Destination, MessageId, User};
use crate::system::time::Timestamp;

const AT: Destination = Destination { chat_id: -100, thread: Some(7) };

fn quick() -> Pace {
    let moment = Duration::from_millis(5);
    Pace { look: moment, trouble: (moment, moment), conflict: (moment, moment), ..Pace::default() }
}

struct Scene {
    folder: tempfile::TempDir,
    telegram: Arc<Scripted>,
    service: Service,
    stop: watch::Sender<bool>,
    polling: Option<tokio::task::JoinHandle<()>>,
}

impl Scene {
    fn new() -> Scene {
        let (folder, telegram) = (tempfile::tempdir().unwrap(), Arc::new(Scripted::default()));
        let service = scripted::service(folder.path(), scripted::config(folder.path()), telegram.clone());
        let (stop, _) = watch::channel(false);
        Scene { folder, telegram, service, stop, polling: None }
    }

    fn start(&mut self, pace: Pace) {
        self.stop.send_replace(false);
        let poller = Poller::new(self.service.clone(), self.stop.subscribe(), pace, Vec::new());
        self.polling = Some(tokio::spawn(poller.run()));
    }

    async fn end(&mut self) {
        self.stop.send_replace(true);
        self.polling.take().unwrap().await.unwrap();
    }

    async fn until(&self, is_so: impl Fn(&Scene) -> bool) {
        while !is_so(self) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    fn state(&self) -> ButtonState {
        (**self.service.health.buttons.load()).clone()
    }
}

fn press(id: i64, data: &str) -> Update {
    let from = User { id: 7, name: "Uma".to_owned() };
    let event = Event::Press { id: format!("press {id}"), from, at: Some((AT, MessageId(31))), data: data.to_owned() };
    Update { id, event }
}

fn message(id: i64, text: &str) -> Update {
    let from = Some(User { id: 7, name: "Uma".to_owned() });
    Update { id, event: Event::Message { from, at: AT, id: MessageId(id), text: text.to_owned() } }
}

async fn ack_button(scene: &Scene) -> String {
    let card = scripted::card(&scene.service, vec![alert(&[("alertname", "Down")], Timestamp::now())]).await;
    let (loaded, in_force) = (load(&scene.service, card), scene.service.in_force());
    let work = move |connection: &Connection| {
        let keyboard = offer(connection, &in_force.config, &ButtonState::On, &loaded, Timestamp::now())?;
        bind(connection, card, AT, MessageId(31))?;
        Ok(keyboard)
    };
    scene.service.store.write(work).await.unwrap().0[0][0].data.clone()
}

#[tokio::test]
async fn what_is_pressed_and_written_is_answered_once() {
    let mut scene = Scene::new();
    let data = ack_button(&scene).await;
    scene.telegram.script(Ok(vec![press(10, &data), message(11, "/whoami"), message(12, "hello")]));
    scene.start(quick());
    scene.until(|scene| scene.telegram.offsets.lock().unwrap().ends_with(&[13])).await;
    assert_eq!(scene.state(), ButtonState::On);
    let told = [("press 10".to_owned(), "You have taken it.".to_owned(), false)];
    assert_eq!(*scene.telegram.told.lock().unwrap(), told);
    assert_eq!(scene.telegram.sent.lock().unwrap().len(), 1);
    assert_eq!(scene.telegram.sent.lock().unwrap()[0].to, AT);
    scene.end().await;
    // After a restart it goes on where it was, and a replayed press is refused.
    scene.telegram.offsets.lock().unwrap().clear();
    scene.telegram.script(Ok(vec![press(13, &data)]));
    scene.start(quick());
    scene.until(|scene| scene.telegram.told.lock().unwrap().len() == 2).await;
    assert_eq!(scene.telegram.offsets.lock().unwrap()[0], 13);
    assert!(scene.telegram.told.lock().unwrap()[1].1.starts_with("This button was used already"));
    scene.end().await;
}

/// A15: where somebody else asks for the bot's updates, buttons are off and come back when that is over.
#[tokio::test]
async fn a15_somebody_else_who_polls_turns_buttons_off_and_nothing_else() {
    let mut scene = Scene::new();
    for _ in 0..3 {
        scene.telegram.script(Err(Failure::Conflict("terminated by other getUpdates request".to_owned())));
    }
    scene.start(quick());
    scene.until(|scene| scene.service.metrics.counted(Count::Conflicts, &[]) == 3).await;
    let ButtonState::Disabled(reason) = scene.state() else { panic!("{:?}", scene.state()) };
    assert!(reason.contains("terminated by other getUpdates request"), "{reason}");
    // Asking again is not enough: buttons are back when it was answered.
    scene.until(|scene| scene.telegram.offsets.lock().unwrap().len() == 4).await;
    assert!(matches!(scene.state(), ButtonState::Disabled(_)));
    scene.telegram.script(Ok(vec![message(1, "hello")]));
    scene.until(|scene| scene.state() == ButtonState::On).await;
    assert_eq!(scene.service.health.token_refused.load().as_deref(), None);
    scene.end().await;
}

#[tokio::test]
async fn trouble_on_the_way_is_waited_out() {
    let mut scene = Scene::new();
    scene.telegram.script(Err(Failure::Transient("502".to_owned())));
    scene.telegram.script(Err(Failure::Rate { retry_after: Duration::from_millis(3) }));
    scene.telegram.script(Ok(Vec::new()));
    scene.telegram.script(Ok(vec![message(5, "/help")]));
    scene.start(quick());
    scene.until(|scene| scene.telegram.sent.lock().unwrap().len() == 1).await;
    assert_eq!(scene.state(), ButtonState::On);
    scene.end().await;
    let pace = (Duration::from_secs(1), Duration::from_secs(60));
    assert_eq!([1, 2, 3, 7, 1000].map(|failures| backoff(pace, failures).as_secs()), [1, 2, 4, 60, 60]);
}

#[tokio::test]
async fn the_bot_of_a_hermes_gateway_is_never_asked() {
    let mut scene = Scene::new();
    let home = scene.folder.path().join("home");
    std::fs::create_dir(&home).unwrap();
    std::fs::write(home.join(".env"), "TELEGRAM_BOT_TOKEN=42:secret\n").unwrap();
    let mut config = scene.service.in_force().config.clone();
    config.buttons.as_mut().unwrap().hermes_homes = vec![home.clone()];
    scene.service.current.store(Arc::new(scripted::in_force(config, scene.telegram.clone())));
    scene.start(Pace { guard: Duration::from_millis(5), ..quick() });
    scene.until(|scene| matches!(scene.state(), ButtonState::Disabled(_))).await;
    let ButtonState::Disabled(reason) = scene.state() else { unreachable!() };
    assert!(reason.contains(&*home.to_string_lossy()) && !reason.contains("secret"), "{reason}");
    assert!(scene.telegram.offsets.lock().unwrap().is_empty());
    // The bridge has got a bot of its own.
    std::fs::write(scene.folder.path().join("token"), "43:other").unwrap();
    scene.until(|scene| scene.state() == ButtonState::On).await;
    scene.end().await;
}

#[tokio::test]
async fn buttons_come_and_go_with_the_configuration() {
    let mut scene = Scene::new();
    let with = scene.service.in_force().config.clone();
    let mut without = with.clone();
    without.buttons = None;
    scene.start(quick());
    scene.until(|scene| scene.state() == ButtonState::On).await;
    scene.service.current.store(Arc::new(scripted::in_force(without, scene.telegram.clone())));
    scene.until(|scene| scene.state() == ButtonState::Off).await;
    let mut nobody = with;
    nobody.buttons.as_mut().unwrap().users.clear();
    scene.service.current.store(Arc::new(scripted::in_force(nobody, scene.telegram.clone())));
    // Nobody may press, but everybody may ask for their number.
    scene.telegram.script(Ok(vec![message(1, "/whoami")]));
    scene.until(|scene| scene.telegram.sent.lock().unwrap().len() == 1).await;
    assert_eq!(scene.state(), ButtonState::Off);
    scene.end().await;
}
