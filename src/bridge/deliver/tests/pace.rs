//! When messages are sent, and in which order.

use super::*;
use crate::bridge::deliver::outcome::LETS_OTHERS_GO_AT;

#[tokio::test]
async fn a2_a_chat_that_has_to_wait_keeps_no_other_waiting_not_even_after_a_restart() {
    let mut world = World::new();
    world.telegram.fail(ROOT, [Failure::Rate { retry_after: Duration::from_secs(30) }]);
    let (card, _) = world.fire("root", "A", "critical").await;
    world.fire("uma", "B", "critical").await;
    world.settle().await;
    assert_eq!(world.telegram.take_asked().len(), 2, "one failed, and one arrived");
    let Pause::Until(until) = world.settle_one("root").await else { panic!() };
    assert_eq!(until, after_seconds(&world, 30.0));
    assert_eq!(world.card(card).await.attempts, 0, "waiting as asked is no attempt");
    world.pass(20.0);
    let mut world = world.restart(CONFIG).await;
    world.fire("uma", "C", "warning").await;
    world.settle().await;
    assert_eq!(world.telegram.take_sent().len(), 1);
    world.run_for(9).await;
    assert!(world.telegram.take_asked().is_empty(), "not before the 30 s are over");
    world.run_for(2).await;
    assert_eq!(texts(&world.telegram.take_sent(), ROOT).len(), 1);
    assert_eq!(world.counted(Count::Uncertain, &["root"]), 0);
}

#[tokio::test]
async fn a3_after_an_hour_without_telegram_everything_arrives_in_order_and_in_its_newest_state() {
    let mut world = World::with(&CONFIG.replace("digest_above: 4", "digest_above: 100"));
    world.telegram.set_down(Some(transient()));
    let mut fired = Vec::new();
    for number in 0..12 {
        fired.push(world.fire("uma", &format!("Alert{number:02}"), "warning").await);
        for _ in 0..5 {
            world.update(fired[number].1, &format!("state {number}")).await;
        }
        world.run_in_strides(300, 5).await;
    }
    world.resolve(fired[3].1).await;
    let calls = world.telegram.take_asked().len();
    assert!((15..40).contains(&calls), "{calls} calls in an hour");
    world.telegram.set_down(None);
    world.run_in_strides(320, 5).await;
    let asked = world.telegram.take_asked();
    let sent: Vec<_> = asked
        .iter()
        .map(|asked| match asked {
            Asked::Send(_, sent) => sent.text.source().to_owned(),
            other => panic!("nothing but one message each: {other:?}"),
        })
        .collect();
    assert_eq!(sent.len(), 12);
    for (number, text) in sent.iter().enumerate() {
        assert!(text.contains(&format!("Alert{number:02}")), "{number}: {text}");
    }
    for (card, _) in fired {
        let card = world.card(card).await;
        assert_eq!((card.sent, card.attempts), (card.desired, 0));
    }
}

#[tokio::test]
async fn one_card_that_never_succeeds_lets_the_others_go() {
    let mut world = World::new();
    world.telegram.fail(UMA, (0..LETS_OTHERS_GO_AT).map(|_| transient()));
    world.fire("uma", "Poison", "critical").await;
    world.fire("uma", "Other", "warning").await;
    world.run_in_strides(7000, 10).await;
    let sent = world.telegram.take_sent();
    assert!(texts(&sent, UMA)[0].contains("Other"), "{sent:?}");
    assert!(texts(&sent, UMA)[1].contains("Poison"), "{sent:?}");
}

#[tokio::test]
async fn more_than_a_few_waiting_cards_become_one() {
    let mut world = World::new();
    world.telegram.set_down(Some(transient()));
    let mut incidents = Vec::new();
    for number in 0..8 {
        incidents.push(world.fire("uma", &format!("Alert{number:02}"), "warning").await.1);
    }
    world.settle().await;
    world.telegram.set_down(None);
    world.run_for(10).await;
    let sent = world.telegram.take_sent();
    assert_eq!(sent.len(), 1);
    for number in 0..8 {
        assert!(sent[0].1.contains(&format!("Alert{number:02}")), "{number} is missing in {}", sent[0].1);
    }
    assert_eq!(world.counted(Count::Merged, &["uma"]), 7);
    for incident in incidents {
        world.resolve(incident).await;
    }
    world.run_for(5).await;
    assert_eq!(world.telegram.take_asked().len(), 2, "one announcement, and one edit");
}

#[tokio::test]
async fn a_storm_of_changes_is_one_edit() {
    let mut world = World::new();
    let (_, incident) = world.fire("uma", "A", "warning").await;
    world.run_for(1).await;
    world.telegram.take_asked();
    for number in 0..50 {
        world.update(incident, &format!("{number}")).await;
    }
    world.run_for(5).await;
    let asked = world.telegram.take_asked();
    assert!(matches!(&asked[..], [Asked::Edit(_, edit)] if edit.text.source().contains("49")), "{asked:?}");
    world.update(incident, "49").await;
    world.run_for(5).await;
    assert!(world.telegram.take_asked().is_empty(), "what would be the same is not sent");
}

#[tokio::test]
async fn what_is_critical_goes_first() {
    let mut world = World::with(&CONFIG.replace("digest_above: 4", "digest_above: 100"));
    let (_, over) = world.fire("uma", "Old", "warning").await;
    world.run_for(5).await;
    world.telegram.take_asked();
    for number in 0..4 {
        world.fire("uma", &format!("Minor{number}"), "warning").await;
    }
    world.resolve(over).await;
    world.fire("uma", "Major", "critical").await;
    world.run_for(20).await;
    let sent = world.telegram.take_sent();
    assert!(sent[0].1.contains("Major") && sent[1].1.contains("Minor0") && sent[5].1.contains("Old"), "{sent:?}");
}

#[tokio::test]
async fn lanes_run_by_themselves_from_a_commit_until_the_end() {
    let world = World::new();
    let (stop, stopping) = watch::channel(false);
    let running = tokio::spawn(run(world.service.clone(), stopping));
    world.fire("uma", "A", "warning").await;
    world
        .write(|connection| {
            let message = Message {
                title: String::new(),
                text: "hello".to_owned(),
                severity: Severity::Info,
                instance: None,
                is_silent: false,
            };
            store::cards::create_with(
                connection,
                &ChatName::from("ops"),
                &Content::Message(message),
                None,
                Timestamp::now(),
            )
        })
        .await;
    let mut commits = world.service.store.commits();
    while world
        .service
        .store
        .read(|connection| {
            Ok(connection.query_row("SELECT count(*) FROM card WHERE sent = 1", [], |row| row.get::<_, i64>(0))?)
        })
        .await
        .unwrap()
        < 2
    {
        commits.changed().await.unwrap();
    }
    stop.send_replace(true);
    running.await.unwrap();
    assert_eq!(world.telegram.take_sent().len(), 2);
}

#[tokio::test]
async fn what_is_critical_does_not_wait_for_what_is_not() {
    let mut world = World::with(&CONFIG.replace("digest_above: 4", "digest_above: 100"));
    for number in 0..30 {
        world.fire("root", &format!("Minor{number}"), "warning").await;
    }
    world.run_for(30).await;
    assert_eq!(world.telegram.take_sent().len(), 16, "a group gets no more in a minute");
    assert!(
        matches!(world.settle_one("root").await, Pause::Idle(Some(_))),
        "more urgent ones are looked for meanwhile"
    );
    world.fire("root", "Major", "critical").await;
    world.settle().await;
    assert!(world.telegram.take_sent()[0].1.contains("Major"));
}

#[tokio::test]
async fn hundreds_of_waiting_cards_become_a_few_of_a_size_that_can_be_handled() {
    let mut world = World::new();
    for number in 0..1100 {
        world.fire("uma", &format!("Alert{number}"), "warning").await;
    }
    let chat = ChatName::from("uma");
    assert_eq!(world.write(move |connection| delivery::merge(connection, &chat)).await, 1097);
    let sizes = world.write(|connection| {
        let mut find = connection.prepare("SELECT count(*) FROM card_incident GROUP BY card ORDER BY card")?;
        Ok(find.query_map([], |row| row.get::<_, i64>(0))?.collect::<Result<Vec<_>, _>>()?)
    });
    assert_eq!(sizes.await, [500, 500, 100]);
    world.settle_one("uma").await;
}
