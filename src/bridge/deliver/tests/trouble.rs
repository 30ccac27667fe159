//! What becomes of messages that Telegram does not take.

use super::*;

#[tokio::test]
async fn what_may_have_arrived_is_sent_again_and_counted() {
    let mut world = World::new();
    world.telegram.fail(UMA, [Failure::Ambiguous("cut off".to_owned())]);
    let (card, _) = world.fire("uma", "A", "warning").await;
    world.run_for(3).await;
    assert_eq!(world.telegram.take_sent().len(), 0);
    world.run_for(4).await;
    assert_eq!(world.telegram.take_sent().len(), 1);
    assert_eq!((world.card(card).await.uncertain, world.counted(Count::Uncertain, &["uma"])), (1, 1));
}

#[tokio::test]
async fn a_refused_token_stops_everything_until_it_is_accepted() {
    let mut world = World::new();
    world.telegram.set_down(Some(Failure::Unauthorized("Unauthorized".to_owned())));
    let (card, _) = world.fire("uma", "A", "warning").await;
    world.fire("root", "B", "warning").await;
    world.settle().await;
    world.run_for(100).await;
    assert_eq!(world.telegram.take_asked().len(), 1, "not even the other chat is tried");
    assert!(world.service.health.token_refused.load().is_some());
    assert_eq!(world.card(card).await.attempts, 0);
    let in_force = world.service.in_force();
    let mut probe = Probe::default();
    assert!(!probe.is_token_back(&world.service, &in_force).await);
    world.telegram.set_down(None);
    assert!(!probe.is_token_back(&world.service, &in_force).await, "it is not asked all the time");
    // Another token than the one that was tried.
    probe.tried = probe.tried.map(|(at, _)| (at, Some(Secret::new("other"))));
    assert!(probe.is_token_back(&world.service, &in_force).await);
    world.run_for(2).await;
    assert_eq!(world.telegram.take_sent().len(), 2);
}

#[tokio::test]
async fn a_chat_that_can_not_be_written_to_is_replaced_until_it_can() {
    let mut world = World::new();
    world.telegram.fail(UMA, (0..2).map(|_| Failure::Destination("Forbidden: bot was blocked by the user".to_owned())));
    let (card, _) = world.fire("uma", "A", "critical").await;
    world.run_for(5).await;
    let asked = world.telegram.take_asked();
    assert_eq!(asked.iter().filter(|asked| **asked == Asked::Failed(UMA)).count(), 1);
    let sent: Vec<_> = asked
        .iter()
        .filter_map(|asked| match asked {
            Asked::Send(_, sent) => Some(sent),
            _ => None,
        })
        .collect();
    assert!(sent.iter().any(|sent| sent.to.chat_id == ROOT && sent.text.source().contains("blocked")), "{sent:?}");
    assert!(sent.iter().any(|sent| sent.to.chat_id == OPS), "who looks after the bridge is told");
    assert_eq!(sent.len(), 2);
    let shown = world.card(card).await;
    assert_eq!((shown.chat.as_str(), shown.diverted.unwrap().from.as_str()), ("root", "uma"));
    // Later ones go there without trying.
    world.fire("uma", "B", "critical").await;
    world.run_for(3).await;
    assert_eq!(world.telegram.take_sent().iter().map(|(chat, _)| *chat).collect::<Vec<_>>(), [ROOT]);
    // It is tried again after a minute, in vain, and then after two.
    world.run_for(60).await;
    world.fire("uma", "C", "critical").await;
    world.run_for(3).await;
    let asked = world.telegram.take_asked();
    assert_eq!(asked.iter().filter(|asked| **asked == Asked::Failed(UMA)).count(), 1);
    assert_eq!(asked.len(), 2, "the same trouble is not told again: {asked:?}");
    world.run_for(80).await;
    world.fire("uma", "D", "critical").await;
    world.run_for(3).await;
    assert_eq!(world.telegram.take_sent().iter().map(|(chat, _)| *chat).collect::<Vec<_>>(), [UMA]);
    world.fire("uma", "E", "critical").await;
    world.run_for(3).await;
    assert_eq!(world.telegram.take_sent().iter().map(|(chat, _)| *chat).collect::<Vec<_>>(), [UMA]);
    assert_eq!(world.counted(Count::Diverted, &["uma"]), 3);
}

#[tokio::test]
async fn where_there_is_no_other_chat_a_card_waits() {
    let config = "{store: /tmp/x.db, telegram: {token_file: /tmp/x}, chats: {ops: {chat_id: 300}, root: {chat_id: -100}, uma: {chat_id: 200}}, default_chat: uma}";
    let mut world = World::with(config);
    world.telegram.fail(UMA, (0..3).map(|_| Failure::Destination("Bad Request: chat not found".to_owned())));
    let (card, _) = world.fire("uma", "DiskFull", "critical").await;
    world.run_for(10).await;
    assert_eq!(world.telegram.take_sent(), []);
    world.run_in_strides(400, 5).await;
    let sent = world.telegram.take_sent();
    assert!(sent.iter().all(|(chat, _)| *chat == UMA) && sent.iter().any(|(_, text)| text.contains("DiskFull")));
    assert_eq!(world.card(card).await.sent, 1);
}

#[tokio::test]
async fn a9_a_group_with_another_number_is_followed_also_after_a_restart() {
    let mut world = World::new();
    let (_, incident) = world.fire("root", "A", "warning").await;
    world.run_for(1).await;
    world.telegram.take_asked();
    world.telegram.fail(ROOT, [Failure::Migrated { to: -1009 }]);
    world.fire("root", "B", "warning").await;
    world.run_for(4).await;
    let sent = world.telegram.take_sent();
    assert_eq!((texts(&sent, -1009).len(), texts(&sent, OPS).len(), sent.len()), (1, 1, 2));
    let mut world = world.restart(CONFIG).await;
    world.resolve(incident).await;
    world.fire("root", "C", "warning").await;
    world.run_for(5).await;
    let asked = world.telegram.take_asked();
    assert!(
        asked
            .iter()
            .all(|asked| matches!(asked, Asked::Send(_, sent) if sent.to.chat_id == -1009 && sent.reply_to.is_none())),
        "{asked:?}"
    );
    assert_eq!(asked.len(), 3, "one new, one over, and the old one anew");
}

#[tokio::test]
async fn a10_without_its_topic_a_chat_gets_its_messages_all_the_same() {
    let mut world = World::new();
    world.telegram.fail(ROOT, [Failure::Thread("Bad Request: message thread not found".to_owned())]);
    world.fire("root", "A", "warning").await;
    world.fire("root", "B", "warning").await;
    world.run_for(3).await;
    let asked = world.telegram.take_asked();
    let threads = |asked: &[Asked]| -> Vec<_> {
        asked
            .iter()
            .filter_map(|asked| match asked {
                Asked::Send(_, sent) if sent.to.chat_id == ROOT => Some(sent.to.thread),
                _ => None,
            })
            .collect()
    };
    assert_eq!(threads(&asked), [None, None]);
    assert!(asked.iter().any(|asked| matches!(asked, Asked::Send(_, sent) if sent.to.chat_id == OPS)));
    world.pass(6.0 * 3600.0);
    world.fire("root", "C", "warning").await;
    world.run_for(3).await;
    assert_eq!(threads(&world.telegram.take_asked()), [Some(7)], "it is tried again");
}

#[tokio::test]
async fn what_telegram_refuses_is_sent_in_a_lesser_form_and_at_last_elsewhere() {
    let mut world = World::new();
    let refuse = || Failure::Content("Bad Request: can't parse entities".to_owned());
    world.telegram.fail(UMA, [refuse()]);
    let (plain, _) = world.fire("uma", "A", "warning").await;
    world.run_for(1).await;
    let asked = world.telegram.take_asked();
    assert!(
        matches!(&asked[..], [Asked::Failed(UMA), Asked::Send(_, Outgoing { text: Text::Plain(_), .. })]),
        "{asked:?}"
    );
    assert_eq!(world.card(plain).await.level, Level::Plain);
    world.telegram.fail(UMA, [refuse(), refuse()]);
    let (line, _) = world.fire("uma", "B", "warning").await;
    world.run_for(5).await;
    assert_eq!(world.card(line).await.level, Level::Line);
    world.telegram.take_asked();
    world.telegram.fail(UMA, [refuse(), refuse(), refuse()]);
    let (elsewhere, _) = world.fire("uma", "Charlie", "warning").await;
    world.run_for(5).await;
    assert_eq!(world.card(elsewhere).await.chat.as_str(), "root");
    assert!(texts(&world.telegram.take_sent(), ROOT)[0].contains("Charlie"));
    world.fire("uma", "D", "warning").await;
    world.run_for(5).await;
    assert_eq!(texts(&world.telegram.take_sent(), UMA).len(), 1, "the chat itself is as good as before");
    assert_eq!(world.counted(Count::Degraded, &["uma", "plain"]), 3);
    assert_eq!(world.counted(Count::Degraded, &["uma", "line"]), 2);
}

#[tokio::test]
async fn answers_and_edits_whose_message_is_gone_are_messages_of_their_own() {
    let mut world = World::new();
    let (card, incident) = world.fire("uma", "A", "warning").await;
    world.run_for(1).await;
    world.telegram.take_asked();
    world.telegram.fail(UMA, [Failure::ReplyGone("gone".to_owned())]);
    world.telegram.edit_failures.lock().unwrap().push_back(Failure::EditGone("gone".to_owned()));
    world.resolve(incident).await;
    world.run_for(5).await;
    let asked = world.telegram.take_asked();
    let [Asked::Failed(UMA), Asked::Send(_, answer), Asked::Send(again, _)] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!(answer.reply_to, None);
    assert_eq!(world.card(card).await.parts[0].message, *again);
    assert_eq!(world.settle_one("uma").await, Pause::Idle(None));
}

#[tokio::test]
async fn a_pause_after_failures_is_shown_until_somebody_asks_to_end_it() {
    let mut world = World::new();
    world.telegram.set_down(Some(transient()));
    let (card, _) = world.fire("uma", "A", "warning").await;
    world.run_for(60).await;
    world.telegram.set_down(None);
    world.settle().await;
    assert_eq!(world.telegram.take_sent().len(), 0, "it pauses");
    let waiting = world.write(|connection| store::queue::list(connection, None)).await;
    assert!(waiting[0].not_before.unwrap() > world.now(), "{waiting:?}");
    world.write(move |connection| store::queue::retry(connection, &store::queue::Which::These(vec![card]))).await;
    let waiting = world.write(|connection| store::queue::list(connection, None)).await;
    assert_eq!(waiting[0].not_before, None);
}

#[tokio::test]
async fn nobody_ends_what_telegram_asks_to_wait() {
    let mut world = World::new();
    world.telegram.fail(UMA, [Failure::Rate { retry_after: Duration::from_secs(30) }]);
    world.fire("uma", "A", "warning").await;
    world.settle().await;
    world.write(move |connection| store::queue::retry(connection, &store::queue::Which::All)).await;
    world.run_for(29).await;
    assert_eq!(world.telegram.take_sent().len(), 0);
    world.run_for(4).await;
    assert_eq!(world.telegram.take_sent().len(), 1);
}
