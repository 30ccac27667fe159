//! What is sent for a card, and what is changed.

use super::*;
use crate::bridge::render::{Form, Rendered};

#[tokio::test]
async fn a_card_is_sent_announced_and_edited() {
    let mut world = World::new();
    let (card, incident) = world.fire("uma", "DiskFull", "critical").await;
    world.run_for(1).await;
    let [Asked::Send(first, message)] = &world.telegram.take_asked()[..] else { panic!() };
    assert!(message.text.source().contains("DiskFull") && !message.is_silent && message.reply_to.is_none());
    let shown = world.card(card).await;
    assert_eq!((shown.sent, shown.desired, shown.parts.len(), shown.attempts), (1, 1, 1, 0));
    world.resolve(incident).await;
    world.run_for(3).await;
    let asked = world.telegram.take_asked();
    let [Asked::Send(_, answer), Asked::Edit(edited, edit)] = &asked[..] else { panic!("{asked:?}") };
    assert_eq!((answer.reply_to, answer.is_silent, edited), (Some(*first), true, first));
    assert_ne!(edit.text, message.text);
    let shown = world.card(card).await;
    assert_eq!(shown.sent, shown.desired);
    let Content::Incidents(members) = shown.content else { panic!() };
    assert_eq!(members[0].told, Told::Resolved);
    assert_eq!(world.settle_one("uma").await, Pause::Idle(None));
    assert_eq!(world.counted(Count::Sent, &["uma", "announcement"]), 1);
}

#[tokio::test]
async fn each_way_to_tell_the_end_is_kept_to() {
    for (mode, announcements, edits, is_answer) in
        [("edit", 0, 1, false), ("reply", 1, 0, true), ("both", 1, 1, true), ("new", 1, 0, false)]
    {
        let mut world = World::with(&CONFIG.replace("fallback: root", &format!("fallback: root, resolve: {mode}")));
        let (card, incident) = world.fire("uma", "DiskFull", "warning").await;
        world.run_for(1).await;
        world.telegram.take_asked();
        world.resolve(incident).await;
        world.run_for(3).await;
        let asked = world.telegram.take_asked();
        let sent: Vec<_> = asked
            .iter()
            .filter_map(|asked| match asked {
                Asked::Send(_, sent) => Some(sent),
                _ => None,
            })
            .collect();
        assert_eq!((sent.len(), asked.len() - sent.len()), (announcements, edits), "{mode}");
        assert_eq!(sent.iter().any(|sent| sent.reply_to.is_some()), is_answer, "{mode}");
        let shown = world.card(card).await;
        assert_eq!(shown.sent, shown.desired, "{mode}");
    }
}

#[tokio::test]
async fn a_call_that_was_under_way_when_the_program_ended_is_made_again_and_counted() {
    let world = World::new();
    let (card, _) = world.fire("uma", "A", "warning").await;
    let now = world.now();
    world.write(move |connection| delivery::begin(connection, card, now)).await;
    let mut world = world.restart(CONFIG).await;
    assert_eq!(world.counted(Count::Uncertain, &["uma"]), 1);
    world.run_for(1).await;
    assert_eq!(world.telegram.take_sent().len(), 1);
    assert_eq!(world.card(card).await.uncertain, 1);
    let world = world.restart(CONFIG).await;
    assert_eq!(world.counted(Count::Uncertain, &["uma"]), 0);
}

#[tokio::test]
async fn a_progress_that_has_failed_is_announced_once() {
    let mut world = World::new();
    let mut progress = Progress {
        title: "Backup".to_owned(),
        instance: None,
        steps: Vec::new(),
        outcome: None,
        began: world.now(),
        ended: None,
        is_failure_told: false,
    };
    let (content, now) = (Content::Progress(progress.clone()), world.now());
    let card = world
        .write(move |connection| {
            store::cards::create_with(connection, &ChatName::from("uma"), &content, Some("b"), now)
        })
        .await;
    world.run_for(1).await;
    progress.outcome = Some(StepState::Failed);
    let json = serde_json::to_string(&progress).unwrap();
    world
        .write(move |connection| {
            connection.execute("UPDATE card SET content = ?2 WHERE id = ?1", rusqlite::params![card.0, json])?;
            store::cards::touch(connection, card)
        })
        .await;
    world.telegram.take_asked();
    world.run_for(5).await;
    let asked = world.telegram.take_asked();
    let [Asked::Send(_, answer), Asked::Edit(..)] = &asked[..] else { panic!("{asked:?}") };
    assert!(answer.reply_to.is_some() && !answer.is_silent);
    assert!(matches!(world.card(card).await.content, Content::Progress(progress) if progress.is_failure_told));
    world.run_for(5).await;
    assert!(world.telegram.take_asked().is_empty());
}

#[tokio::test]
async fn cards_of_a_chat_that_is_gone_go_to_the_default_chat() {
    let world = World::new();
    let (card, _) = world.fire("uma", "A", "warning").await;
    let config = CONFIG.replace("  uma: {chat_id: 200, fallback: root}\n", "");
    let mut world = world.restart(&config).await;
    adopt(&world.service).await.unwrap();
    world.settle_one("root").await;
    let sent = world.telegram.take_sent();
    assert!(sent.len() == 1 && sent[0].0 == ROOT && sent[0].1.contains("not configured"), "{sent:?}");
    assert_eq!(world.card(card).await.diverted.unwrap().from.as_str(), "uma");
}

#[tokio::test]
async fn what_makes_no_sound_makes_none() {
    let mut world = World::with(&CONFIG.replace(
        "fallback: root",
        "fallback: root, timezone: Asia/Kolkata, silent_hours: {from: '22:00', to: '07:00'}",
    ));
    let silent = |world: &World| match &world.telegram.take_asked()[..] {
        [Asked::Send(_, sent)] => sent.is_silent,
        other => panic!("{other:?}"),
    };
    // It is 16:36 in Kolkata.
    for (name, severity, hours, is_silent) in [
        ("A", "warning", 0.0, false),
        ("B", "info", 0.0, true),
        ("C", "warning", 6.0, true),
        ("D", "critical", 0.0, false),
        ("E", "warning", 10.0, false),
    ] {
        world.pass(hours * 3600.0);
        world.fire("uma", name, severity).await;
        world.run_for(2).await;
        assert_eq!(silent(&world), is_silent, "{name}");
    }
    for is_silent in [true, false] {
        let (title, text) = ("hello".to_owned(), String::new());
        let content =
            Content::Message(Message { title, text, severity: Severity::Critical, instance: None, is_silent });
        let now = Timestamp::now();
        world
            .write(move |connection| store::cards::create_with(connection, &ChatName::from("uma"), &content, None, now))
            .await;
        world.run_for(2).await;
        assert_eq!(silent(&world), is_silent);
    }
}

#[tokio::test]
async fn what_is_over_before_anybody_knew_is_told_without_a_sound() {
    let mut world = World::new();
    let (_, incident) = world.fire("uma", "A", "critical").await;
    world.resolve(incident).await;
    world.run_for(2).await;
    let asked = world.telegram.take_asked();
    assert!(matches!(&asked[..], [Asked::Send(_, sent)] if sent.is_silent), "{asked:?}");
}

#[tokio::test]
async fn what_stands_in_a_chat_that_is_gone_is_left_as_it_is() {
    let mut world = World::new();
    let (card, incident) = world.fire("uma", "A", "warning").await;
    world.run_for(1).await;
    world.telegram.take_asked();
    world.update(incident, "worse").await;
    let mut world = world.restart(&CONFIG.replace("  uma: {chat_id: 200, fallback: root}\n", "")).await;
    adopt(&world.service).await.unwrap();
    world.settle_one("root").await;
    assert_eq!(world.telegram.take_asked(), []);
    let card = world.card(card).await;
    assert_eq!((card.chat.as_str(), card.sent), ("uma", card.desired));
}

/// Makes the calls for a card that is to look like this, until there are no more.
async fn show(world: &mut World, card: CardId, parts: &[&str], document: Option<&str>) {
    let in_force = world.service.in_force();
    let at = Destination { chat_id: UMA, thread: None };
    let form = |text: &&str| Form { html: format!("<i>{text}</i>"), plain: (*text).to_owned() };
    let document = document.map(|name| Document { name: name.to_owned(), content: b"all".to_vec() });
    for _ in 0..20 {
        let lane = world.lanes.iter_mut().find(|lane| lane.name.as_str() == "uma").unwrap();
        let Some(begun) = lane.begin(&in_force, card, at, at, None).await.unwrap() else { return };
        let parts = parts.iter().map(form).collect();
        let rendered = Rendered {
            parts,
            line: "line".to_owned(),
            document: document.clone(),
            instead: Vec::new(),
            template_problem: None,
        };
        lane.carry_rendered(begun, rendered).await.unwrap();
        world.pass(60.0);
    }
    panic!("the card never stands as it should");
}

/// What was asked, as short as can be: `+` sent, `~` changed, `-` taken back, `!` failed, with the message.
fn short(asked: Vec<Asked>) -> Vec<String> {
    let answer = |outgoing: &Outgoing| outgoing.reply_to.map(|to| format!(" to {}", to.0)).unwrap_or_default();
    asked
        .iter()
        .map(|asked| match asked {
            Asked::Send(id, sent) => format!("+{} {}{}", id.0, sent.text.source(), answer(sent)),
            Asked::Edit(id, edit) => format!("~{} {}", id.0, edit.text.source()),
            Asked::Delete(_, id) => format!("-{}", id.0),
            Asked::Failed(_) => "!".to_owned(),
        })
        .collect()
}

#[tokio::test]
async fn a_card_of_several_messages_is_kept_as_it_should_be() {
    let mut world = World::new();
    let (card, incident) = world.fire("uma", "A", "warning").await;
    // Five are more than there is leave for at once.
    show(&mut world, card, &["a", "b", "c", "d", "e"], Some("all.txt")).await;
    let asked = short(world.telegram.take_asked());
    let sent =
        ["+1 <i>a</i>", "+2 <i>b</i> to 1", "+3 <i>c</i> to 1", "+4 <i>d</i> to 1", "+5 <i>e</i> to 1", "+6  to 1"];
    assert_eq!(asked, sent, "each once, and the file once");
    world.update(incident, "x").await;
    show(&mut world, card, &["a", "B", "c"], Some("all.txt")).await;
    assert_eq!(short(world.telegram.take_asked()), ["~2 <i>B</i>", "-5", "-4"]);
    assert_eq!(world.card(card).await.parts.len(), 3);
    // The second one was removed by somebody.
    world.telegram.edit_failures.lock().unwrap().push_back(Failure::EditGone("gone".to_owned()));
    world.update(incident, "y").await;
    show(&mut world, card, &["a", "b", "c"], None).await;
    assert_eq!(short(world.telegram.take_asked()), ["+7 <i>b</i> to 1", "+8 <i>c</i> to 1"]);
    // The markup is refused, and then everything but one line.
    world.telegram.edit_failures.lock().unwrap().extend(["1", "2"].map(|why| Failure::Content(why.to_owned())));
    world.update(incident, "z").await;
    show(&mut world, card, &["A", "b", "c"], None).await;
    assert_eq!(short(world.telegram.take_asked()), ["~1 line", "-8", "-7"]);
}

#[tokio::test]
async fn what_was_sent_before_a_failure_is_not_sent_again() {
    let mut world = World::new();
    let (card, _) = world.fire("uma", "A", "warning").await;
    world.telegram.fail_at(3, transient());
    show(&mut world, card, &["a", "b", "c"], None).await;
    let asked = short(world.telegram.take_asked());
    assert_eq!(asked, ["+1 <i>a</i>", "+2 <i>b</i> to 1", "!", "+3 <i>c</i> to 1"]);
    let shown = world.card(card).await;
    assert_eq!((shown.parts.len(), shown.sent, shown.attempts), (3, 1, 0));
}
