//! The program is killed at random moments, hundreds of times, whatever it is doing just then.
//!
//! What this can not show is what a power cut does: the kernel writes out what a killed program has written, on the disk
//! or not. That every commit waits for the disk is looked at in `store/tests.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use crate::bot_api::{Fault, Kind, Message};
use crate::payloads::{Alert, notification};
use crate::program::{Bridge, program};
use crate::scene::{Configuration, OPS, ROOT, Random, Scene, UMA, wait_for};

/// So many webhooks, two of five of them about something that is over, and so many kills.
const WEBHOOKS: usize = 1000;
const KILLS: usize = 220;

/// Posts as Alertmanager does, again and again until it is accepted; and counts.
struct Sender<'a> {
    scene: &'a Scene,
    random: &'a Mutex<Random>,
    /// The next webhook, and how many there may be until the next kill.
    next: AtomicUsize,
    permitted: AtomicUsize,
    most: usize,
    /// How many requests are not answered yet.
    under_way: AtomicUsize,
    refused: AtomicUsize,
    /// What fires and has been accepted, until it is over.
    firing: Mutex<Vec<(usize, Alert)>>,
    alerts: AtomicUsize,
    over: Mutex<BTreeSet<usize>>,
}

impl<'a> Sender<'a> {
    fn new(scene: &'a Scene, random: &'a Mutex<Random>, most: usize) -> Sender<'a> {
        Sender {
            scene,
            random,
            next: AtomicUsize::new(0),
            permitted: AtomicUsize::new(0),
            most,
            under_way: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            firing: Mutex::default(),
            alerts: AtomicUsize::new(0),
            over: Mutex::default(),
        }
    }

    async fn post(&self, body: &str) {
        loop {
            self.under_way.fetch_add(1, SeqCst);
            let answer = self.scene.post_to("/alertmanager", body.to_owned()).await;
            self.under_way.fetch_sub(1, SeqCst);
            match answer {
                Ok((200, _)) => return,
                Ok((status, text)) => {
                    assert_eq!(status, 503, "{text}");
                    self.refused.fetch_add(1, SeqCst);
                }
                Err(_) => {}
            }
            tokio::time::sleep(Duration::from_millis(5 + self.below(20))).await;
        }
    }

    fn below(&self, end: u64) -> u64 {
        self.random.lock().unwrap().below(end)
    }

    /// One of those that fire, where there is one.
    fn take_firing(&self) -> Option<(usize, Alert)> {
        let mut firing = self.firing.lock().unwrap();
        let count = firing.len() as u64;
        (count > 0).then(|| firing.swap_remove(self.below(count) as usize))
    }

    /// Sends until all is sent. `over`: how many webhooks of five tell that something is over.
    async fn send(&self, over: usize) {
        loop {
            let number = self.next.fetch_add(1, SeqCst);
            if number >= self.most {
                return;
            }
            while number >= self.permitted.load(SeqCst) {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            let known = if number % 5 < over { self.take_firing() } else { None };
            match known {
                Some((alert, firing)) => {
                    self.post(&notification(&[firing.resolved()]).to_string()).await;
                    self.over.lock().unwrap().insert(alert);
                }
                None => {
                    let alert = self.alerts.fetch_add(1, SeqCst);
                    let instance = if self.below(2) == 0 { "vijay" } else { "bheem" };
                    let firing = Alert::firing(&format!("Numbered{alert:04}x")).of(instance);
                    self.post(&notification(std::slice::from_ref(&firing)).to_string()).await;
                    self.firing.lock().unwrap().push((alert, firing));
                }
            }
        }
    }
}

/// What was going on at the kills.
#[derive(Debug, Default)]
struct Found {
    /// Requests that were not answered.
    posts: usize,
    /// Calls by what they were for.
    sends: i64,
    announcements: i64,
    edits: i64,
    /// Kills before the program served.
    before_serving: usize,
    /// How often cards were put together.
    merges: usize,
}

impl Found {
    /// Calls that may have brought a message nobody knows of.
    fn messages_in_flight(&self) -> i64 {
        self.sends + self.announcements
    }
}

/// Starts and kills it again and again, while `sender` may send a part each time. `change` may change the world before.
async fn kill_again_and_again(sender: &Sender<'_>, kills: usize, change: impl Fn(usize)) -> (Found, Bridge) {
    let scene = sender.scene;
    let mut found = Found::default();
    for kill in 0..kills {
        change(kill);
        sender.permitted.store((kill + 1) * sender.most / kills, SeqCst);
        let bridge = Bridge::spawn(program(scene.folder.path()), scene.port, &[]);
        // Some of them perhaps before it serves at all.
        if sender.below(4) > 0 {
            wait_for("the program to listen", async || bridge.log().contains("address=").then_some(())).await;
        }
        tokio::time::sleep(Duration::from_micros(sender.below(250_000))).await;
        found.posts += sender.under_way.load(SeqCst);
        let log = bridge.kill();
        found.before_serving += usize::from(!log.contains("address="));
        found.merges += log.matches("they are put together").count();
        if scene.path("bridge.db").exists() && scene.count("SELECT count(*) FROM sqlite_schema WHERE name = 'card'") > 0
        {
            let in_flight = |what| {
                scene.count(&format!("SELECT count(*) FROM card WHERE in_flight IS NOT NULL AND urgency {what}"))
            };
            found.sends += in_flight("IN (0, 1)");
            found.announcements += in_flight("= 2");
            found.edits += in_flight("= 3");
        }
    }
    sender.permitted.store(usize::MAX, SeqCst);
    (found, scene.start_again())
}

fn every(kind: Kind) -> Fault {
    Fault { chat_id: None, method: None, thread: None, times: None, seconds: None, kind }
}

/// The alerts that are named in a text.
fn named(text: &str) -> BTreeSet<usize> {
    let after = text.split("Numbered").skip(1);
    after.filter_map(|rest| rest.split_once('x')?.0.parse().ok()).collect()
}

fn excess(counts: &BTreeMap<usize, usize>) -> usize {
    counts.values().map(|count| count - 1).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a01_kill_at_random_moments() {
    let scene = Scene::new();
    scene.configure(&Configuration::with("digest_above: 100000"));
    // Long enough for kills to fall between the message and its commit.
    scene.api.fault(every(Kind::Slow { milliseconds: 15 }));
    let random = Mutex::new(Random::new());
    println!("a01: seed {}", random.lock().unwrap().0);
    let sender = Sender::new(&scene, &random, WEBHOOKS);
    let (found, bridge) = tokio::join!(
        kill_again_and_again(&sender, KILLS, |_| {}),
        sender.send(2),
        sender.send(2),
        sender.send(2),
        sender.send(2)
    )
    .0;
    scene.settled().await;

    let messages: Vec<Message> = [ROOT, UMA, OPS].into_iter().flat_map(|chat| scene.api.messages(chat)).collect();
    let (mut cards, mut answers) = (BTreeMap::new(), BTreeMap::new());
    for message in &messages {
        let counts = if message.reply_to.is_none() { &mut cards } else { &mut answers };
        named(&message.text).into_iter().for_each(|alert| *counts.entry(alert).or_default() += 1);
    }
    let alerts = sender.alerts.load(SeqCst);
    let over = sender.over.lock().unwrap();
    let lost: Vec<_> = (0..alerts).filter(|alert| !cards.contains_key(alert)).collect();
    // What the bridge believes to be the card, as against one that it was killed over.
    let known = scene.column("SELECT chat_id || ' ' || message FROM part");
    let is_known = |chat: i64, message: &Message| known.contains(&format!("{chat} {}", message.message_id));
    let mut shown = BTreeMap::new();
    for chat in [ROOT, UMA, OPS] {
        for message in scene.api.messages(chat).iter().filter(|message| is_known(chat, message)) {
            shown.extend(named(&message.text).into_iter().map(|alert| (alert, message.text.contains('✅'))));
        }
    }
    let wrong: Vec<_> = (0..alerts).filter(|alert| shown.get(alert) != Some(&over.contains(alert))).collect();
    let duplicates = excess(&cards) + excess(&answers);
    println!(
        "a01: {KILLS} kills ({} before it served), {WEBHOOKS} webhooks accepted: {alerts} alerts, {} of them over; {} answered \
         with 503, {} lost, {duplicates} duplicates, {} shown wrongly; at the kills {} requests and calls for {} messages, {} \
         answers and {} edits were under way",
        found.before_serving,
        over.len(),
        sender.refused.load(SeqCst),
        lost.len(),
        wrong.len(),
        found.posts,
        found.sends,
        found.announcements,
        found.edits,
    );
    assert_eq!(alerts + over.len(), WEBHOOKS);
    assert!(lost.is_empty(), "lost: {lost:?}");
    assert!(wrong.is_empty(), "not shown as it is: {wrong:?}");
    assert!(duplicates as i64 <= found.messages_in_flight(), "{duplicates} duplicates: {found:?}");
    assert!(found.posts > 0 && found.sends > 0, "the kills fell into no work: {found:?}");
    assert!(bridge.end().success());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a01_kill_while_cards_are_put_together() {
    let (kills, webhooks) = (60, 600);
    let scene = Scene::new();
    scene.configure(&Configuration::with("digest_above: 3"));
    let random = Mutex::new(Random::new());
    println!("a01, put together: seed {}", random.lock().unwrap().0);
    let sender = Sender::new(&scene, &random, webhooks);
    // Every other time nothing can be sent, and something to put together is left for the next one.
    let change = |kill: usize| {
        scene.api.clear_faults();
        scene.api.fault(every(if kill.is_multiple_of(2) { Kind::Internal } else { Kind::Slow { milliseconds: 20 } }));
    };
    let last = async {
        let last = kill_again_and_again(&sender, kills, change).await;
        scene.api.clear_faults();
        last
    };
    let (found, bridge) = tokio::join!(last, sender.send(0), sender.send(0), sender.send(0), sender.send(0)).0;
    // Asked for before nothing could be sent for a while.
    scene.settled().await;

    let told: BTreeSet<_> = [ROOT, UMA, OPS].into_iter().flat_map(|chat| named(&scene.everything_in(chat))).collect();
    let alerts = sender.alerts.load(SeqCst);
    let lost: Vec<_> = (0..alerts).filter(|alert| !told.contains(alert)).collect();
    let known = scene.column(
        "SELECT chat || ' ' || part.message FROM part JOIN card ON card.id = part.card
         UNION SELECT chat || ' ' || document FROM card WHERE document IS NOT NULL",
    );
    let mut duplicates = 0;
    for (name, chat) in [("root", ROOT), ("uma", UMA), ("ops", OPS)] {
        let messages = scene.api.messages(chat);
        duplicates +=
            messages.iter().filter(|message| !known.contains(&format!("{name} {}", message.message_id))).count();
    }
    println!(
        "a01, put together: {kills} kills, {webhooks} webhooks accepted, put together {} times; {} lost, {duplicates} messages that \
         the bridge does not know of; at the kills {} requests and calls for {} messages were under way",
        found.merges,
        lost.len(),
        found.posts,
        found.messages_in_flight(),
    );
    assert_eq!(alerts, webhooks);
    assert!(lost.is_empty(), "lost: {lost:?}");
    assert!(duplicates as i64 <= found.messages_in_flight(), "{duplicates} duplicates: {found:?}");
    assert!(found.merges > 0, "{found:?}");
    assert!(bridge.end().success());
}
