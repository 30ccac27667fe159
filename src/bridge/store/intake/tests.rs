use super::*;
use crate::bridge::alert::Labels;
use crate::bridge::card::{Content, Step, Urgency, next_step};
use crate::bridge::intake::testing::{TWO_CHATS, cards as on_cards, config, number};
use crate::bridge::store::{Store, sweeps};

/// A store with a configuration, at a moment.
struct Bridge {
    store: Store,
    config: Config,
    now: f64,
    _folder: tempfile::TempDir,
}

const NOON: f64 = 1_795_176_000.0;

fn time(seconds: f64) -> Timestamp {
    Timestamp::from_seconds(seconds).unwrap()
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// An alert that began so many seconds after noon.
fn firing(name: &str, instance: &str, start: f64) -> Alert {
    let labels = labels(&[("alertname", name), ("instance", instance)]);
    Alert {
        fingerprint: crate::bridge::webhook::fingerprint(&labels),
        status: Status::Firing,
        starts_at: time(NOON + start),
        ends_at: None,
        labels,
        annotations: Labels::new(),
        generator_url: "http://prometheus-1/graph".to_owned(),
    }
}

/// And ended so many seconds after noon.
fn over(alert: &Alert, end: f64) -> Alert {
    Alert { status: Status::Resolved, ends_at: Some(time(NOON + end)), ..alert.clone() }
}

impl Bridge {
    fn new(text: &str) -> Bridge {
        let folder = tempfile::tempdir().unwrap();
        let config = config(folder.path(), text);
        Bridge { store: Store::open(&config.store).unwrap(), config, now: NOON + 10.0, _folder: folder }
    }

    fn write<T: Send + 'static>(&self, work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(self.store.write(work)).unwrap()
    }

    fn post_to(&self, receiver: &str, external_url: &str, alerts: &[Alert]) -> Vec<(Change, u64)> {
        self.accept(receiver, external_url, alerts).changes.into_iter().collect()
    }

    fn accept(&self, receiver: &str, external_url: &str, alerts: &[Alert]) -> Accepted {
        let notification = Notification {
            receiver: receiver.to_owned(),
            group_key: "{}".to_owned(),
            route_labels: Labels::new(),
            external_url: external_url.to_owned(),
            reason: None,
            truncated_alerts: 0,
            alerts: alerts.to_vec(),
        };
        let arrival = Arrival::of(&self.config, notification);
        let now = time(self.now);
        self.write(move |connection| accept(connection, &arrival, now))
    }

    fn post(&self, alerts: &[Alert]) -> Vec<(Change, u64)> {
        self.post_to("hook", "http://alertmanager-1", alerts)
    }

    fn cards(&self) -> Vec<(String, Vec<String>)> {
        self.store.read_now(|connection| Ok(on_cards(connection))).unwrap()
    }

    fn card(&self, id: i64) -> crate::bridge::card::Card {
        self.store.read_now(|connection| cards::load(connection, CardId(id))).unwrap().unwrap()
    }

    fn number(&self, query: &str) -> i64 {
        self.store.read_now(|connection| Ok(number(connection, query))).unwrap()
    }

    /// As if everything had been brought to people.
    fn deliver(&self) {
        self.write(|connection| {
            connection.execute_batch(
                "UPDATE card SET sent = desired, urgency = NULL;
                 UPDATE card_incident SET told = (SELECT status FROM incident WHERE id = incident);",
            )?;
            Ok(())
        });
    }

    fn sweep(&self) -> u64 {
        let (patience, now) = (self.config.late_firing, time(self.now));
        self.write(move |connection| sweeps::reopen_late_firings(connection, patience, now)).0
    }
}

fn card(chat: &str, incidents: &[&str]) -> (String, Vec<String>) {
    (chat.to_owned(), incidents.iter().map(|one| (*one).to_owned()).collect())
}

#[test]
fn a_repeat_changes_nothing() {
    let bridge = Bridge::new(TWO_CHATS);
    let alert = firing("A", "vijay", 0.0);
    assert_eq!(bridge.post(std::slice::from_ref(&alert)), [(Change::Fired, 1)]);
    bridge.deliver();
    assert_eq!(bridge.post(std::slice::from_ref(&alert)), [(Change::Repeated, 1)]);
    // Twice in one notification is a repeat, too.
    assert_eq!(bridge.post(&[alert.clone(), alert.clone()]), [(Change::Repeated, 2)]);
    assert_eq!(bridge.cards(), [card("root", &["A firing"])]);
    assert_eq!(next_step(&bridge.card(1)), None);
    assert_eq!(bridge.number("SELECT urgency IS NULL FROM card"), 1);
    assert_eq!(bridge.number("SELECT notifications FROM incident"), 4);
}

#[test]
fn what_is_there_twice_in_a_notification_is_on_one_card() {
    let bridge = Bridge::new(TWO_CHATS);
    let alert = firing("A", "vijay", 0.0);
    let changes = bridge.post(&[alert.clone(), alert.clone(), over(&alert, 60.0)]);
    assert_eq!(changes, [(Change::Fired, 1), (Change::Resolved, 1), (Change::Repeated, 1)]);
    assert_eq!(bridge.cards(), [card("root", &["A resolved"])]);
}

#[test]
fn what_the_other_one_of_a_pair_says_changes_nothing() {
    let bridge = Bridge::new(TWO_CHATS);
    let alert = firing("A", "vijay", 0.0);
    bridge.post(std::slice::from_ref(&alert));
    bridge.deliver();
    let other = Alert { generator_url: "http://prometheus-2/graph".to_owned(), ..alert.clone() };
    assert_eq!(bridge.post_to("hook", "http://alertmanager-2", &[other]), [(Change::Repeated, 1)]);
    assert_eq!(next_step(&bridge.card(1)), None);
    let Content::Incidents(members) = bridge.card(1).content else { panic!("no incidents") };
    assert_eq!(members[0].incident.external_url, "http://alertmanager-1");
    assert_eq!(members[0].incident.alert, alert);
    // Nor when it is over.
    assert_eq!(bridge.post(&[over(&alert, 60.0)]), [(Change::Resolved, 1)]);
    bridge.deliver();
    assert_eq!(bridge.post_to("hook", "http://alertmanager-2", &[over(&alert, 60.0)]), [(Change::Repeated, 1)]);
    assert_eq!((bridge.cards().len(), next_step(&bridge.card(1))), (1, None));
}

/// A4.
#[test]
fn what_fires_again_is_told_again() {
    let bridge = Bridge::new(TWO_CHATS);
    let first = firing("A", "vijay", 0.0);
    let second = firing("A", "vijay", 300.0);
    bridge.post(std::slice::from_ref(&first));
    bridge.deliver();
    bridge.post(&[over(&first, 60.0)]);
    assert_eq!(next_step(&bridge.card(1)), Some((Step::Announce(vec![IncidentId(1)]), Urgency::Resolved)));
    bridge.deliver();
    assert_eq!(bridge.post(&[second]), [(Change::Fired, 1)]);
    assert_eq!(bridge.cards(), [card("root", &["A resolved"]), card("root", &["A firing"])]);
    assert_eq!(next_step(&bridge.card(1)), None);
    assert_eq!(next_step(&bridge.card(2)), Some((Step::Send, Urgency::New)));
}

#[test]
fn a_late_firing_is_ignored_until_nobody_takes_it_back() {
    let mut bridge = Bridge::new(TWO_CHATS);
    let alert = firing("A", "vijay", 0.0);
    bridge.post(std::slice::from_ref(&alert));
    bridge.post(&[over(&alert, 60.0)]);
    bridge.deliver();
    // The peer was slow, and then tells the end as well.
    bridge.now += 1.0;
    assert_eq!(bridge.post(std::slice::from_ref(&alert)), [(Change::Late, 1)]);
    assert_eq!(next_step(&bridge.card(1)), None);
    assert_eq!(bridge.post(&[over(&alert, 60.0)]), [(Change::Repeated, 1)]);
    bridge.now += 3600.0;
    assert_eq!((bridge.sweep(), bridge.cards().len()), (0, 1));
    // This one is true.
    assert_eq!(bridge.post(std::slice::from_ref(&alert)), [(Change::Late, 1)]);
    bridge.now += 200.0;
    assert_eq!(bridge.post(std::slice::from_ref(&alert)), [(Change::Late, 1)]);
    assert_eq!((bridge.sweep(), bridge.cards().len()), (0, 1));
    bridge.now += 200.0;
    assert_eq!((bridge.sweep(), bridge.sweep()), (1, 0));
    assert_eq!(bridge.cards(), [card("root", &["A resolved"]), card("root", &["A firing"])]);
    assert_eq!(bridge.number("SELECT round FROM incident WHERE status = 'firing'"), 2);
    // From then on it is as any other.
    assert_eq!(bridge.post(std::slice::from_ref(&alert)), [(Change::Repeated, 1)]);
    assert_eq!(bridge.post(&[over(&alert, 4000.0)]), [(Change::Resolved, 1)]);
    assert_eq!(bridge.cards(), [card("root", &["A resolved"]), card("root", &["A resolved"])]);
    let Content::Incidents(members) = bridge.card(1).content else { panic!("no incidents") };
    assert_eq!(members[0].incident.alert.ends_at, Some(time(NOON + 60.0)));
}

#[test]
fn a_late_firing_of_something_that_fires_anew_is_nothing() {
    let mut bridge = Bridge::new(TWO_CHATS);
    let alert = firing("A", "vijay", 0.0);
    bridge.post(&[over(&alert, 60.0)]);
    bridge.post(std::slice::from_ref(&alert));
    bridge.post(&[firing("A", "vijay", 120.0)]);
    bridge.now += 3600.0;
    assert_eq!((bridge.sweep(), bridge.number("SELECT count(*) FROM incident WHERE fired_late IS NOT NULL")), (0, 0));
    assert_eq!(bridge.cards(), [card("root", &["A resolved"]), card("root", &["A firing"])]);
}

/// A12.
#[test]
fn a_mixed_group_reaches_each_chat_with_its_own_alone() {
    let bridge = Bridge::new(TWO_CHATS);
    let both = Alert { labels: labels(&[("alertname", "C"), ("team", "all")]), ..firing("C", "", 0.0) };
    bridge.post(&[firing("A", "vijay:9119", 0.0), firing("B", "BHEEM", 0.0), both]);
    assert_eq!(bridge.cards(), [card("root", &["A firing", "C firing"]), card("uma", &["B firing", "C firing"])]);
}

#[test]
fn the_end_of_something_unknown_is_told_apart_from_what_fires() {
    let bridge = Bridge::new(TWO_CHATS);
    let changes = bridge.post(&[over(&firing("A", "vijay", 0.0), 60.0), firing("B", "vijay", 0.0)]);
    assert_eq!(changes, [(Change::Fired, 1), (Change::Resolved, 1)]);
    assert_eq!(bridge.cards(), [card("root", &["A resolved"]), card("root", &["B firing"])]);
    let Content::Incidents(members) = bridge.card(1).content else { panic!("no incidents") };
    assert_eq!(members[0].incident.alert.ends_at, Some(time(NOON + 60.0)));
}

#[test]
fn what_is_said_otherwise_is_told_otherwise() {
    let bridge = Bridge::new(TWO_CHATS);
    let before = firing("A", "vijay", 0.0);
    bridge.post(std::slice::from_ref(&before));
    bridge.deliver();
    let after = Alert { annotations: labels(&[("summary", "worse")]), ..before.clone() };
    assert_eq!(bridge.post(std::slice::from_ref(&after)), [(Change::Updated, 1)]);
    assert_eq!(next_step(&bridge.card(1)), Some((Step::Edit, Urgency::Changed)));
    let Content::Incidents(members) = bridge.card(1).content else { panic!("no incidents") };
    assert_eq!(members[0].incident.alert, after);
    bridge.deliver();
    assert_eq!(bridge.post(&[after]), [(Change::Repeated, 1)]);
    assert_eq!(next_step(&bridge.card(1)), None);
}

#[test]
fn a_text_that_changes_all_the_time_is_not_told_all_the_time() {
    let mut bridge = Bridge::new(TWO_CHATS);
    let before = firing("A", "vijay", 0.0);
    bridge.post(std::slice::from_ref(&before));
    bridge.deliver();
    let saying = |text: &str| Alert { annotations: labels(&[("description", text)]), ..before.clone() };
    let due = |bridge: &Bridge| bridge.number("SELECT not_before FROM card") - milliseconds(time(bridge.now));
    let sent_at = milliseconds(time(bridge.now));
    bridge.write(move |connection| Ok(connection.execute("UPDATE card SET sent_at = ?1", [sent_at])?));
    bridge.now += 10.0;
    bridge.post(&[saying("value is 1")]);
    bridge.post(&[saying("value is 2")]);
    assert_eq!(due(&bridge), 20_000, "not within half a minute");
    // That it is over waits for nothing.
    bridge.post(&[over(&saying("value is 2"), 30.0)]);
    assert!(due(&bridge) <= 0);
    assert!(matches!(next_step(&bridge.card(1)), Some((Step::Announce(_), Urgency::Resolved))));
}

#[test]
fn one_card_each_where_that_is_wanted_and_none_where_it_is_muted() {
    let text = TWO_CHATS.replace("uma: {}", "uma: {grouping: each, muted: [info, critical]}");
    let bridge = Bridge::new(&text);
    let with = |name: &str, severity: &str| Alert {
        labels: labels(&[("alertname", name), ("team", "all"), ("severity", severity)]),
        ..firing(name, severity, 0.0)
    };
    let alerts = [with("A", "warning"), with("B", "info"), with("C", ""), with("D", "page")];
    let accepted = bridge.accept("hook", "", &alerts);
    assert_eq!(accepted.muted, BTreeMap::from([(ChatName::from("uma"), 2)]));
    assert_eq!((accepted.firing, accepted.unrouted), (4, 0));
    assert_eq!(
        bridge.cards(),
        [
            card("uma", &["A firing"]),
            card("uma", &["C firing"]),
            card("root", &["A firing", "B firing", "C firing", "D firing"]),
        ]
    );
    // What is counted is what was not told, not how often that was so.
    assert_eq!(bridge.accept("hook", "", &alerts).muted, BTreeMap::new());
    assert_eq!(next_step(&bridge.card(3)), Some((Step::Send, Urgency::Critical)));
}

#[test]
fn another_receiver_brings_an_alert_to_another_chat() {
    let text = r#"
delivery: console
chats: {root: {}, uma: {}}
routes:
  - {receiver: to-uma, chat: uma}
default_chat: root
"#;
    let bridge = Bridge::new(text);
    let alert = firing("A", "vijay", 0.0);
    bridge.post_to("to-root", "", std::slice::from_ref(&alert));
    assert_eq!(bridge.post_to("to-uma", "", std::slice::from_ref(&alert)), [(Change::Repeated, 1)]);
    assert_eq!(bridge.cards(), [card("root", &["A firing"]), card("uma", &["A firing"])]);
    bridge.post_to("to-uma", "", std::slice::from_ref(&alert));
    bridge.deliver();
    bridge.post_to("to-root", "", &[over(&alert, 60.0)]);
    assert_eq!(bridge.cards(), [card("root", &["A resolved"]), card("uma", &["A resolved"])]);
    assert_eq!(bridge.number("SELECT count(*) FROM card WHERE urgency = 2"), 2);
}

#[test]
fn an_alert_without_a_start_has_the_one_that_is_known() {
    let bridge = Bridge::new(TWO_CHATS);
    let undated = Alert { starts_at: UNKNOWN_START, ..firing("A", "vijay", 0.0) };
    assert_eq!(bridge.post(std::slice::from_ref(&undated)), [(Change::Fired, 1)]);
    assert_eq!(bridge.post(std::slice::from_ref(&undated)), [(Change::Repeated, 1)]);
    assert_eq!(bridge.post(&[over(&undated, 60.0)]), [(Change::Resolved, 1)]);
    assert_eq!(bridge.post(&[over(&undated, 60.0)]), [(Change::Repeated, 1)]);
    let Content::Incidents(members) = bridge.card(1).content else { panic!("no incidents") };
    assert_eq!((members.len(), members[0].incident.alert.starts_at), (1, time(bridge.now)));
}

#[test]
fn a_series_that_fires_anew_ends_what_was_never_resolved() {
    let bridge = Bridge::new(TWO_CHATS);
    bridge.post(&[firing("A", "vijay", 0.0), firing("B", "vijay", 0.0)]);
    bridge.deliver();
    // Everything was restarted: the end of the first one is told by nobody.
    assert_eq!(bridge.post(&[firing("A", "vijay", 600.0)]), [(Change::Fired, 1), (Change::Replaced, 1)]);
    assert_eq!(bridge.cards(), [card("root", &["A resolved", "B firing"]), card("root", &["A firing"])]);
    // The message is put right, but there is nothing to be notified of.
    assert_eq!(next_step(&bridge.card(1)), Some((Step::Edit, Urgency::Changed)));
    // What is over by the end of another one.
    bridge.post(&[firing("A", "vijay", 500.0)]);
    assert_eq!(
        bridge.post(&[over(&firing("A", "vijay", 600.0), 700.0)]),
        [(Change::Resolved, 1), (Change::Replaced, 1)]
    );
    assert_eq!(bridge.number("SELECT count(*) FROM incident WHERE status = 'firing'"), 1);
}

#[test]
fn an_end_with_another_start_is_that_of_what_fires_since_before() {
    let mut bridge = Bridge::new(TWO_CHATS);
    let alert = firing("A", "vijay", 0.0);
    bridge.post(std::slice::from_ref(&alert));
    bridge.deliver();
    // Both were started again, and the peer lags behind.
    let again = firing("A", "vijay", 300.0);
    assert_eq!(bridge.post(&[over(&again, 400.0)]), [(Change::Resolved, 1)]);
    assert_eq!(bridge.cards(), [card("root", &["A resolved"])]);
    assert_eq!(next_step(&bridge.card(1)), Some((Step::Announce(vec![IncidentId(1)]), Urgency::Resolved)));
    let Content::Incidents(members) = bridge.card(1).content else { panic!("no incidents") };
    let ended = &members[0].incident.alert;
    assert_eq!((ended.starts_at, ended.ends_at), (alert.starts_at, Some(time(NOON + 400.0))));
    bridge.deliver();
    assert_eq!(bridge.post(&[over(&again, 400.0)]), [(Change::Repeated, 1)]);
    assert_eq!(bridge.post(std::slice::from_ref(&again)), [(Change::Late, 1)]);
    assert_eq!(bridge.post(&[over(&again, 400.0), over(&alert, 400.0)]), [(Change::Repeated, 2)]);
    assert_eq!((bridge.cards().len(), next_step(&bridge.card(1))), (1, None));
    // Where it was no peer, it fires again, and ends as any other.
    bridge.post(std::slice::from_ref(&again));
    bridge.now += 3600.0;
    assert_eq!(bridge.sweep(), 1);
    assert_eq!(bridge.post(std::slice::from_ref(&again)), [(Change::Repeated, 1)]);
    assert_eq!(bridge.post(&[over(&again, 500.0)]), [(Change::Resolved, 1)]);
    assert_eq!(bridge.cards(), [card("root", &["A resolved"]), card("root", &["A resolved"])]);
}

#[test]
fn an_end_with_another_start_ends_nothing_that_began_later() {
    let bridge = Bridge::new(TWO_CHATS);
    bridge.post(&[firing("A", "vijay", 300.0)]);
    bridge.deliver();
    // Of an older time, of which nobody was told.
    for change in [Change::Resolved, Change::Repeated] {
        assert_eq!(bridge.post(&[over(&firing("A", "vijay", 0.0), 200.0)]), [(change, 1)]);
    }
    assert_eq!(bridge.cards(), [card("root", &["A firing"]), card("root", &["A resolved"])]);
    assert_eq!(next_step(&bridge.card(1)), None);
    // Another series is another matter; and where nothing fires, it is told apart, as before.
    assert_eq!(bridge.post(&[over(&firing("A", "bheem", 400.0), 500.0)]), [(Change::Resolved, 1)]);
    assert_eq!(bridge.post(&[over(&firing("A", "vijay", 300.0), 350.0)]), [(Change::Resolved, 1)]);
    assert_eq!(bridge.post(&[over(&firing("A", "vijay", 400.0), 500.0)]), [(Change::Resolved, 1)]);
    assert_eq!(bridge.cards().len(), 4);
}

#[test]
fn what_was_told_in_the_wrong_order_ends_with_what_came_after_it() {
    let bridge = Bridge::new(TWO_CHATS);
    // The peer that was slow tells of the first time after the second one is known.
    bridge.post(&[firing("A", "vijay", 300.0)]);
    assert_eq!(bridge.post(&[firing("A", "vijay", 0.0)]), [(Change::Fired, 1)]);
    bridge.deliver();
    let end = over(&firing("A", "vijay", 300.0), 400.0);
    assert_eq!(bridge.post(&[end]), [(Change::Resolved, 1), (Change::Replaced, 1)]);
    assert_eq!(bridge.number("SELECT count(*) FROM incident WHERE status = 'firing'"), 0);
}

#[test]
fn what_was_brought_to_another_chat_is_known_in_its_own() {
    let bridge = Bridge::new(TWO_CHATS);
    let alert = firing("A", "vijay", 0.0);
    bridge.post(std::slice::from_ref(&alert));
    bridge.write(|connection| {
        let (to, from) = (ChatName::from("ops"), ChatName::from("root"));
        crate::bridge::store::delivery::divert(connection, CardId(1), &to, &from, "blocked")
    });
    assert_eq!(bridge.post(&[alert]), [(Change::Repeated, 1)]);
    assert_eq!(bridge.cards(), [card("ops", &["A firing"])]);
}

#[test]
fn a_thousand_alerts_on_one_card_are_resolved_together() {
    let bridge = Bridge::new(TWO_CHATS);
    let alerts: Vec<_> = (0..1000).map(|number| firing(&format!("A{number}"), "vijay", 0.0)).collect();
    bridge.post(&alerts);
    bridge.deliver();
    let ends: Vec<_> = alerts.iter().map(|alert| over(alert, 60.0)).collect();
    assert_eq!(bridge.post(&ends), [(Change::Resolved, 1000)]);
    let card = bridge.card(1);
    assert_eq!((card.desired, bridge.cards().len()), (2, 1));
    let Some((Step::Announce(over), _)) = next_step(&card) else { panic!("nothing to announce") };
    assert_eq!(over.len(), 1000);
}

#[test]
fn one_alert_can_be_told_to_chats_that_are_named() {
    let bridge = Bridge::new(TWO_CHATS);
    let alert = firing("A", "vijay", 0.0);
    let chats = [ChatName::from("ops"), ChatName::from("uma")];
    let say = |alert: Alert| {
        let (chats, now) = (chats.clone(), time(bridge.now));
        bridge.write(move |connection| tell(connection, &alert, "watchdog", "", &chats, now))
    };
    assert_eq!(say(alert.clone()).changes, BTreeMap::from([(Change::Fired, 1)]));
    assert_eq!(say(alert.clone()).changes, BTreeMap::from([(Change::Repeated, 1)]));
    assert_eq!(say(over(&alert, 60.0)).changes, BTreeMap::from([(Change::Resolved, 1)]));
    assert_eq!(bridge.cards(), [card("ops", &["A resolved"]), card("uma", &["A resolved"])]);
}

#[test]
fn the_heartbeat_is_told_to_nobody() {
    let bridge = Bridge::new(&format!("watchdog: {{match: 'alertname = Watchdog', max_silence: 5m}}\n{TWO_CHATS}"));
    let changes = bridge.post(&[firing("Watchdog", "vijay", 0.0), firing("A", "vijay", 0.0)]);
    assert_eq!(changes, [(Change::Fired, 1), (Change::Heartbeat, 1)]);
    assert_eq!(bridge.cards(), [card("root", &["A firing"])]);
}

#[test]
fn what_was_cut_off_is_told_once_an_hour() {
    let bridge = Bridge::new(TWO_CHATS);
    let say = |now: f64| {
        bridge.write(move |connection| {
            notices::tell_once(connection, &ChatName::from("ops"), "truncated", truncated("hook", 3), time(now))
        })
    };
    assert!(say(NOON) && !say(NOON + 3599.0) && say(NOON + 3600.0));
    // The clock was set back.
    assert!(say(NOON) && !say(NOON + 1.0));
    assert_eq!(bridge.number("SELECT count(*) FROM card WHERE kind = 'message' AND chat = 'ops'"), 3);
}
