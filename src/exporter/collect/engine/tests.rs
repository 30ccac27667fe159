//! Looks that overrun, panic, hang or share, with collectors that do as they are told.

use super::super::problems::Problems;
use super::super::{Answering, Look, NetworkLook};
use super::*;
use crate::exporter::instance::tests::instance_at;
use crate::exporter::snapshot::{CollectorRun, Reading};
use std::sync::mpsc::{Receiver, Sender, channel};

/// A collector that answers when it is told to, and says that it has been asked.
struct Scripted {
    asked: Sender<()>,
    answer: Receiver<()>,
}

impl Collector for Scripted {
    fn collect(&mut self, _: &Look<'_>, _: &mut Problems) -> Part {
        let _ = self.asked.send(());
        // An error is a script that has no more answers: answer at once.
        let _ = self.answer.recv();
        Part::Cron(Reading::Absent)
    }
}

struct Panicking;

impl Collector for Panicking {
    fn collect(&mut self, _: &Look<'_>, _: &mut Problems) -> Part {
        panic!("a defect in a collector");
    }
}

/// A network collector that does what it is told for each look.
struct Asking(std::vec::IntoIter<Behaviour>);

enum Behaviour {
    Answer,
    Hang,
    Panic,
}

impl NetworkCollector for Asking {
    fn collect<'a>(&'a mut self, _: NetworkLook<'a>, _: &'a mut Problems) -> Answering<'a> {
        Box::pin(async move {
            match self.0.next() {
                Some(Behaviour::Hang) => std::future::pending().await,
                Some(Behaviour::Panic) => panic!("a defect in a collector"),
                Some(Behaviour::Answer) | None => Part::Cron(Reading::Absent),
            }
        })
    }
}

fn slot(name: &'static str, timeout: Duration, collector: Box<dyn Collector>) -> Arc<Slot> {
    slot_of(name, timeout, Work::Reads(Mutex::new(collector)))
}

fn asking(name: &'static str, timeout: Duration, behaviours: Vec<Behaviour>) -> Arc<Slot> {
    let collector: Box<dyn NetworkCollector> = Box::new(Asking(behaviours.into_iter()));
    slot_of(name, timeout, Work::Asks(tokio::sync::Mutex::new(collector)))
}

fn slot_of(name: &'static str, timeout: Duration, work: Work) -> Arc<Slot> {
    Arc::new(Slot {
        name,
        settings: CollectorSettings { enabled: true, timeout, time_to_live: Duration::ZERO },
        unknown: |reason| Part::Cron(Reading::Unknown(reason)),
        work,
        track_record: TrackRecord::default(),
    })
}

#[tokio::test]
async fn who_asks_others_is_dropped_when_it_overruns_and_asked_anew_at_the_next_look() {
    let home = tempfile::tempdir().unwrap();
    let (reading, _, told) = scripted("reading", LONG);
    drop(told);
    let hanging = asking("hanging", Duration::from_millis(20), vec![Behaviour::Hang, Behaviour::Answer]);
    let panicking = asking("panicking", LONG, vec![Behaviour::Panic, Behaviour::Answer]);
    let crew = crew(home.path(), vec![hanging, reading, panicking]);
    let fleet = crew.look(&Selection::default(), Instant::now() + LONG).await;
    let expected = [("hanging", vec![Reason::Timeout]), ("reading", vec![]), ("panicking", vec![Reason::Io])];
    assert_eq!(reasons(&fleet), expected);
    let fleet = crew.look(&Selection::default(), Instant::now() + LONG).await;
    assert_eq!(reasons(&fleet), [("hanging", vec![]), ("reading", vec![]), ("panicking", vec![])]);
}

#[tokio::test]
async fn what_others_say_is_told_also_where_the_home_is_gone() {
    let home = tempfile::tempdir().unwrap();
    let (reading, _, told) = scripted("reading", LONG);
    drop(told);
    let crew = crew(&home.path().join("gone"), vec![reading, asking("asking", LONG, Vec::new())]);
    let fleet = crew.look(&Selection::default(), Instant::now() + LONG).await;
    assert_eq!(reasons(&fleet), [("reading", vec![Reason::NotFound]), ("asking", vec![])]);
}

#[tokio::test]
async fn an_instance_of_another_user_is_read_with_that_users_rights() {
    use crate::system::owner::{Identity, Owner};
    use crate::system::privileges::Privileges;

    struct WhoAmI;

    impl Collector for WhoAmI {
        fn collect(&mut self, _: &Look<'_>, problems: &mut Problems) -> Part {
            problems.note(&rustix::process::geteuid().as_raw().to_string(), Reason::Stale);
            Part::Cron(Reading::Absent)
        }
    }

    if !Privileges::of_this_process().can_take_identities() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut crew = crew(home.path(), Vec::new());
    let owner = |user| Owner::new(Identity { user, group: user, groups: Vec::new() });
    // More than one share of one owner, and two owners.
    let station = |number: u32| {
        let owner = (number > 0).then(|| owner(if number < 12 { 12_345 } else { 12_346 }));
        let instance = instance_at(home.path());
        let reader = owner.map_or(Reader::Own, Reader::Owner);
        let mut station = Station::new(&instance, &HashMap::new(), reader, &Background::inline(), None);
        station.slots = vec![slot("who", LONG, Box::new(WhoAmI))];
        Arc::new(station)
    };
    crew.stations = (0..14).map(station).collect();
    let fleet = crew.look(&Selection::default(), Instant::now() + LONG).await;
    let user = |snapshot: &Arc<crate::exporter::snapshot::Snapshot>| snapshot.collectors[0].problems[0].subject.clone();
    let users: Vec<_> = fleet.instances.iter().map(user).collect();
    let own = rustix::process::geteuid().as_raw().to_string();
    let expected = [vec![own], vec!["12345".to_owned(); 11], vec!["12346".to_owned(); 2]].concat();
    assert_eq!(users, expected);
}

fn scripted(name: &'static str, timeout: Duration) -> (Arc<Slot>, Receiver<()>, Sender<()>) {
    let (asked, was_asked) = channel();
    let (tell, answer) = channel();
    (slot(name, timeout, Box::new(Scripted { asked, answer })), was_asked, tell)
}

fn crew(home: &std::path::Path, slots: Vec<Arc<Slot>>) -> Crew {
    let mut config = Config::discovered(Vec::new());
    config.switch_collectors(&COLLECTORS.map(|entry| (entry.name, false)));
    let mut crew = Crew::new(&config, None, Background::inline());
    let instance = instance_at(home);
    let mut station = Station::new(&instance, &HashMap::new(), Reader::Own, &Background::inline(), None);
    station.slots = slots;
    crew.stations = vec![Arc::new(station)];
    crew
}

const LONG: Duration = Duration::from_secs(60);

fn reasons(fleet: &Fleet) -> Vec<(&str, Vec<Reason>)> {
    let of_run = |run: &'_ CollectorRun| run.problems.iter().map(|problem| problem.reason).collect();
    fleet.instances[0].collectors.iter().map(|run| (run.collector.as_str(), of_run(run))).collect()
}

#[tokio::test]
async fn one_that_hangs_is_a_timeout_and_the_others_go_on() {
    let home = tempfile::tempdir().unwrap();
    let (hanging, was_asked, tell) = scripted("hanging", Duration::from_millis(20));
    let (after, _, told) = scripted("after", LONG);
    drop(told);
    let crew = crew(home.path(), vec![hanging, after]);
    let fleet = crew.look(&Selection::default(), Instant::now() + LONG).await;
    assert_eq!(reasons(&fleet), [("hanging", vec![Reason::Timeout]), ("after", vec![])]);
    was_asked.recv().unwrap();

    // Still at work: the next look does not wait for it, and does not ask it a second time.
    let fleet = crew.look(&Selection::default(), Instant::now() + LONG).await;
    assert_eq!(reasons(&fleet), [("hanging", vec![Reason::Timeout]), ("after", vec![])]);
    assert!(was_asked.try_recv().is_err());

    let since = fleet.instances[0].collectors[0].failing_since.unwrap();
    assert!(since < fleet.taken_at, "since the first look");
    assert_eq!(fleet.instances[0].collectors[1].failing_since, None);

    // Once it has answered it is asked again.
    drop(tell);
    loop {
        let fleet = crew.look(&Selection::default(), Instant::now() + LONG).await;
        let run = &fleet.instances[0].collectors[0];
        if run.problems.is_empty() {
            assert_eq!(run.failing_since, None);
            break;
        }
        assert_eq!(run.failing_since, Some(since));
    }
    was_asked.recv().unwrap();
}

#[tokio::test]
async fn a_deadline_answers_with_what_is_there() {
    let home = tempfile::tempdir().unwrap();
    let (first, _, told) = scripted("first", LONG);
    drop(told);
    let (slow, was_asked, tell) = scripted("slow", LONG);
    let crew = Arc::new(crew(home.path(), vec![first, slow]));
    let patient = tokio::spawn({
        let crew = Arc::clone(&crew);
        async move { crew.look(&Selection::default(), Instant::now() + LONG).await }
    });
    tokio::task::spawn_blocking(move || was_asked.recv().unwrap()).await.unwrap();
    // Shares the look that is under way, and does not wait for its end.
    let hasty = crew.look(&Selection::default(), Instant::now()).await;
    assert_eq!(reasons(&hasty), [("first", vec![]), ("slow", vec![Reason::Timeout])]);
    assert_eq!(hasty.instances[0].collectors[1].failing_since, Some(hasty.taken_at));
    drop(tell);
    assert_eq!(reasons(&patient.await.unwrap()), [("first", vec![]), ("slow", vec![])]);
}

#[tokio::test]
async fn who_joins_a_wider_look_gets_what_it_asked_for() {
    let home = tempfile::tempdir().unwrap();
    let (first, _, told) = scripted("first", LONG);
    drop(told);
    let (slow, was_asked, tell) = scripted("slow", LONG);
    let crew = Arc::new(crew(home.path(), vec![first, slow]));
    let all = tokio::spawn({
        let crew = Arc::clone(&crew);
        async move { crew.look(&Selection::default(), Instant::now() + LONG).await }
    });
    tokio::task::spawn_blocking(move || was_asked.recv().unwrap()).await.unwrap();
    let only = |name: &str| Selection { collectors: BTreeSet::from([name.to_owned()]), ..Selection::default() };
    let part = crew.look(&only("first"), Instant::now()).await;
    assert_eq!(reasons(&part), [("first", vec![])]);
    let nobody = Selection { instances: BTreeSet::from(["nobody".to_owned()]), ..Selection::default() };
    assert!(crew.look(&nobody, Instant::now()).await.instances.is_empty());
    drop(tell);
    assert_eq!(reasons(&all.await.unwrap()).len(), 2);
}

#[tokio::test]
async fn looks_at_the_same_time_are_one_look() {
    let home = tempfile::tempdir().unwrap();
    let (slow, was_asked, tell) = scripted("slow", LONG);
    let crew = Arc::new(crew(home.path(), vec![slow]));
    let look = || {
        let crew = Arc::clone(&crew);
        tokio::spawn(async move { crew.look(&Selection::default(), Instant::now() + LONG).await })
    };
    let looks: Vec<_> = (0..10).map(|_| look()).collect();
    let was_asked = tokio::task::spawn_blocking(move || was_asked.recv().map(|()| was_asked).unwrap()).await.unwrap();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    drop(tell);
    let mut fleets = Vec::new();
    for look in looks {
        fleets.push(look.await.unwrap());
    }
    assert!(fleets.iter().all(|fleet| Arc::ptr_eq(fleet, &fleets[0])));
    assert!(was_asked.try_recv().is_err(), "it was asked once");
}

#[tokio::test]
async fn a_home_on_a_dead_filesystem_is_not_entered_again() {
    let home = tempfile::tempdir().unwrap();
    let (first, was_asked, _tell) = scripted("first", LONG);
    let crew = crew(home.path(), vec![first]);
    // Somebody has been at it for a while.
    *crew.stations[0].entering.lock().unwrap() = Instant::now().checked_sub(2 * LONGEST_ENTRY);
    let fleet = crew.look(&Selection::default(), Instant::now() + LONG).await;
    assert_eq!(reasons(&fleet), [("first", vec![Reason::Timeout])]);
    assert!(was_asked.try_recv().is_err());
}

#[tokio::test]
async fn looks_that_have_nothing_in_common_do_not_wait_for_each_other() {
    let home = tempfile::tempdir().unwrap();
    let (hanging, was_asked, _tell) = scripted("hanging", LONG);
    let (other, _, told) = scripted("other", LONG);
    drop(told);
    let crew = Arc::new(crew(home.path(), vec![hanging, other]));
    let only = |name: &str| Selection { collectors: BTreeSet::from([name.to_owned()]), ..Selection::default() };
    let hung = tokio::spawn({
        let (crew, selection) = (Arc::clone(&crew), only("hanging"));
        async move { crew.look(&selection, Instant::now() + LONG).await }
    });
    tokio::task::spawn_blocking(move || was_asked.recv().unwrap()).await.unwrap();
    let fleet = crew.look(&only("other"), Instant::now() + LONG).await;
    assert_eq!(reasons(&fleet), [("other", vec![])]);
    hung.abort();
}

#[tokio::test]
async fn a_panic_is_one_unknown_reading() {
    let home = tempfile::tempdir().unwrap();
    let (after, _, told) = scripted("after", LONG);
    drop(told);
    let broken = slot("broken", LONG, Box::new(Panicking));
    let crew = crew(home.path(), vec![broken, after]);
    for _ in 0..2 {
        let fleet = crew.look(&Selection::default(), Instant::now() + LONG).await;
        assert_eq!(reasons(&fleet), [("broken", vec![Reason::Io]), ("after", vec![])]);
    }
}

#[tokio::test]
async fn a_home_that_vanishes_is_not_found_and_nothing_is_rightly_absent() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().to_owned();
    let (first, _, told) = scripted("first", LONG);
    drop(told);
    let (during, was_asked, tell) = scripted("during", LONG);
    let crew = Arc::new(crew(&path, vec![first, during]));
    let look = tokio::spawn({
        let crew = Arc::clone(&crew);
        async move { crew.look(&Selection::default(), Instant::now() + LONG).await }
    });
    tokio::task::spawn_blocking(move || was_asked.recv().unwrap()).await.unwrap();
    home.close().unwrap();
    drop(tell);
    assert_eq!(reasons(&look.await.unwrap()), [("first", vec![]), ("during", vec![Reason::NotFound])]);
}
