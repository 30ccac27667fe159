//! What keeps trouble from becoming more than it is: copies, lost files, numbers that can not be read, clocks.

use super::*;
use crate::bridge::store::queue;

fn sent(asked: &[Asked]) -> Vec<&Outgoing> {
    asked
        .iter()
        .filter_map(|asked| match asked {
            Asked::Send(_, sent) => Some(sent),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn what_no_file_is_taken_for_is_told_in_messages() {
    let mut world = World::new();
    let mut incidents = Vec::new();
    for number in 0..60 {
        incidents.push(world.fire("uma", &format!("Alert{number:02}x"), "warning").await.1);
    }
    let refused = "Bad Request: not enough rights to send documents to the chat";
    // The summary, and then the file.
    world.telegram.fail_at(2, Failure::Destination(refused.to_owned()));
    world.run_for(60).await;
    let asked = world.telegram.take_asked();
    let texts: Vec<_> = sent(&asked).iter().map(|sent| sent.text.source()).collect();
    for number in 0..60 {
        let name = format!("Alert{number:02}x");
        assert!(texts[1..].iter().any(|text| text.contains(&name)), "{name} is missing");
    }
    assert!(sent(&asked)[1..].iter().all(|sent| sent.is_silent && sent.to.chat_id == UMA), "{asked:?}");
    let Some(Asked::Edit(_, edit)) = asked.last() else { panic!("{:?}", asked.last()) };
    assert!(edit.text.source().contains("messages below") && !edit.text.source().contains("file"), "{edit:?}");
    // Later the first message is kept up to date, and the others are left alone, as a file would be.
    world.resolve(incidents[3]).await;
    world.run_for(60).await;
    let asked = world.telegram.take_asked();
    assert!(matches!(&asked[..], [Asked::Send(..), Asked::Edit(..)]), "{asked:?}");
}

#[tokio::test]
async fn where_answers_come_too_late_a_chat_is_not_flooded_with_copies() {
    let mut world = World::new();
    world.telegram.set_down(Some(Failure::Ambiguous("no answer within 30 s".to_owned())));
    let (card, _) = world.fire("uma", "A", "critical").await;
    world.run_in_strides(60, 1).await;
    assert_eq!(world.telegram.take_asked().len(), 3, "two more soon");
    world.run_in_strides(2 * 3600, 30).await;
    let copies = world.telegram.take_asked().len();
    assert!((3..=5).contains(&copies), "{copies} in two hours");
    world.telegram.set_down(None);
    world.run_in_strides(3700, 30).await;
    assert_eq!(world.telegram.take_sent().len(), 1);
    assert_eq!(world.card(card).await.sent, 1);
}

#[tokio::test]
async fn a_chat_whose_number_can_not_be_read_is_replaced_until_it_can() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("uma.id");
    let config = CONFIG.replace("uma: {chat_id: 200,", &format!("uma: {{chat_id_file: {},", file.to_str().unwrap()));
    let mut world = World::with(&config);
    world.fire("uma", "DiskFull", "critical").await;
    world.run_for(5).await;
    assert_eq!(world.telegram.take_sent(), [], "the file may just be being replaced");
    world.run_for(20).await;
    let arrived = world.telegram.take_sent();
    assert!(
        texts(&arrived, ROOT)[0].contains("DiskFull") && texts(&arrived, ROOT)[0].contains("uma.id"),
        "{arrived:?}"
    );
    assert_eq!((texts(&arrived, OPS).len(), arrived.len()), (1, 2), "who looks after the bridge is told once");
    world.fire("uma", "Later", "critical").await;
    world.run_for(100).await;
    world.fire("uma", "Latest", "critical").await;
    world.run_for(100).await;
    let arrived = world.telegram.take_sent();
    assert_eq!((texts(&arrived, ROOT).len(), arrived.len()), (2, 2), "{arrived:?}");
    std::fs::write(&file, "200\n").unwrap();
    world.fire("uma", "Back", "critical").await;
    world.run_for(10).await;
    assert_eq!(texts(&world.telegram.take_sent(), UMA).len(), 1);
}

#[tokio::test]
async fn a_lane_forgets_what_it_waits_for_when_it_is_told_to_and_not_when_it_is_woken() {
    let mut world = World::new();
    world.telegram.set_down(Some(transient()));
    world.fire("uma", "A", "critical").await;
    let at = world.lanes.iter().position(|lane| lane.name.as_str() == "uma").unwrap();
    let lane = world.lanes.remove(at);
    let (look, looking) = watch::channel(0);
    let running = tokio::spawn(lane.run(looking));
    let failed = async |world: &World, times: usize| {
        while world.telegram.asked.lock().unwrap().len() < times {
            tokio::task::yield_now().await;
        }
    };
    failed(&world, 1).await;
    // Its clock stands still, so that its wait is never over.
    look.send_modify(|_| ());
    look.send_modify(|round| *round += 1);
    failed(&world, 2).await;
    assert_eq!(world.telegram.take_asked().len(), 2);
    running.abort();
}

#[tokio::test]
async fn a_retry_by_hand_is_noticed() {
    let world = World::new();
    let before = asked_retries(&world.service).await;
    assert_eq!(before, Some(0));
    world.write(|connection| queue::retry(connection, &queue::Which::Of(ChatName::from("uma")))).await;
    assert_eq!(asked_retries(&world.service).await, Some(1));
}

#[tokio::test]
async fn a_clock_that_is_set_back_keeps_nothing_waiting_for_longer() {
    let mut world = World::new();
    world.telegram.fail(UMA, [Failure::Rate { retry_after: Duration::from_secs(30) }]);
    world.fire("uma", "A", "critical").await;
    world.settle().await;
    let mut pulse = Pulse::new(world.now());
    let began = pulse.steady;
    let after = |seconds| began + Duration::from_secs(seconds);
    assert_eq!(pulse.set_back(after_seconds(&world, 1.0), after(1)), None);
    assert_eq!(pulse.set_back(after_seconds(&world, 86_400.0), after(2)), None, "nothing is late because of that");
    assert_eq!(pulse.set_back(after_seconds(&world, 86_399.5), after(3)), None, "it is being brought in line");
    let back = pulse.set_back(after_seconds(&world, 86_400.5 - 3600.0), after(4)).unwrap();
    assert_eq!(back.as_secs(), 3600);
    world.pass(-3600.0);
    set_clock_back(&world.service, back).await;
    for lane in &mut world.lanes {
        (lane.not_before, lane.asked_until) = (None, None);
    }
    world.run_for(29).await;
    assert_eq!(world.telegram.take_sent(), []);
    world.run_for(3).await;
    assert_eq!(world.telegram.take_sent().len(), 1);
    // And where the program was not there to see it.
    world.telegram.fail(UMA, [Failure::Rate { retry_after: Duration::from_secs(30) }]);
    world.fire("uma", "B", "critical").await;
    world.settle().await;
    world.telegram.take_asked();
    world.pass(-86_400.0);
    let mut world = world.restart(CONFIG).await;
    world.run_in_strides(3700, 50).await;
    assert_eq!(world.telegram.take_sent().len(), 1);
}

#[tokio::test]
async fn what_is_critical_is_on_the_first_of_the_cards_that_many_are_put_onto() {
    let world = World::new();
    for number in 0..520 {
        world.fire("uma", &format!("Alert{number}"), if number > 510 { "critical" } else { "warning" }).await;
    }
    let chat = ChatName::from("uma");
    world.write(move |connection| delivery::merge(connection, &chat)).await;
    let critical = world.write(|connection| {
        Ok(connection.query_row("SELECT count(*) FROM card WHERE urgency = 0", [], |row| row.get::<_, i64>(0))?)
    });
    assert_eq!(critical.await, 1);
}
