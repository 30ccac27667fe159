use std::sync::Arc;

use super::*;
use crate::bridge::alertmanager::pretender::Pretender;
use crate::bridge::buttons::scripted::{self, alert};
use crate::bridge::config::Auth;

const HERE: Destination = Destination { chat_id: -100, thread: Some(7) };

async fn asked(service: &Service, user: i64, at: Destination, command: Command) -> Option<Outgoing> {
    let from = User { id: user, name: "<U&>".to_owned() };
    answer(service, &mut Strangers::default(), &Asked { from, at }, command).await
}

async fn text(service: &Service, at: Destination, command: Command) -> String {
    asked(service, 7, at, command).await.unwrap().text.source().to_owned()
}

#[test]
fn commands_for_other_bots_are_none() {
    for (text, command) in [
        ("/alerts", Some(Command::Alerts)),
        ("/alerts@Bridge_Bot now", Some(Command::Alerts)),
        ("/Silences", Some(Command::Silences)),
        ("/start", Some(Command::WhoAmI)),
        ("/alerts@other_bot", None),
        ("/alerts@", None),
        ("/mute", None),
        ("alerts", None),
        ("see /alerts", None),
        ("/", None),
        ("", None),
    ] {
        assert_eq!(parse(text, "bridge_bot"), command, "{text}");
    }
}

#[tokio::test]
async fn strangers_are_told_their_own_numbers_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let service = scripted::service(folder.path(), scripted::config(folder.path()), Arc::default());
    let told = asked(&service, 666, HERE, Command::WhoAmI).await.unwrap();
    let numbers = "chat_id: <code>-100</code>\nthread: <code>7</code>\nuser id: <code>666</code> (&lt;U&amp;&gt;)";
    assert_eq!(told.text, Text::Html(numbers.to_owned()));
    assert_eq!(told.to, HERE);
    for command in [Command::Alerts, Command::Silences, Command::Status, Command::Help] {
        assert_eq!(asked(&service, 666, HERE, command).await, None);
    }
    assert_eq!(service.metrics.counted(Count::Commands, &["status", "foreign"]), 1);
    assert_eq!(service.metrics.counted(Count::Commands, &["whoami", "answered"]), 1);

    let (mut strangers, mut answered) = (Strangers::default(), 0);
    for _ in 0..30 {
        let asked = Asked { from: User { id: 666, name: String::new() }, at: HERE };
        answered += usize::from(answer(&service, &mut strangers, &asked, Command::WhoAmI).await.is_some());
    }
    assert_eq!(answered, 10);
    let asked = Asked { from: User { id: 7, name: String::new() }, at: HERE };
    assert!(answer(&service, &mut strangers, &asked, Command::WhoAmI).await.is_some());
}

#[tokio::test]
async fn the_alerts_of_a_chat_are_listed_in_it_and_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let service = scripted::service(folder.path(), scripted::config(folder.path()), Arc::default());
    assert_eq!(text(&service, HERE, Command::Alerts).await, "✅ Nothing fires here.");
    let now = Timestamp::now();
    let hour_ago = Timestamp::from_seconds(now.seconds() - 3600.0).unwrap();
    let over = alert(&[("alertname", "Over")], now);
    let mild = alert(&[("alertname", "Slow<"), ("instance", "Vijay:1")], hour_ago);
    let bad = alert(&[("alertname", "Down"), ("severity", "critical")], hour_ago);
    scripted::card(&service, vec![over, mild.clone(), bad]).await;
    // The same incident on a second card is one line all the same.
    let sql = "UPDATE incident SET status = 'resolved' WHERE id = 1;
        UPDATE incident SET acknowledged_by = 'Uma', acknowledged_at = 1 WHERE id = 3;
        INSERT INTO card (chat, kind, created) VALUES ('root', 'incidents', 1);
        INSERT INTO card_incident VALUES (2, 2, 0, 'firing');";
    service.store.write(move |connection| Ok(connection.execute_batch(sql)?)).await.unwrap();
    let summary = "x &lt; 10% &amp; \"&lt;no value&gt;\"";
    let expected =
        format!("🔴 <b>Down</b>, for 60 min 👀 Uma: {summary}\n🟡 <b>Slow&lt;</b> vijay, for 60 min: {summary}");
    assert_eq!(text(&service, HERE, Command::Alerts).await, expected);
    let uma = Destination { chat_id: 55, thread: None };
    assert_eq!(text(&service, uma, Command::Alerts).await, "✅ Nothing fires here.");
    for elsewhere in [Destination { chat_id: -100, thread: None }, Destination { chat_id: 7, thread: None }] {
        assert!(text(&service, elsewhere, Command::Alerts).await.starts_with("This chat is not configured"));
    }
    // A group that has become another one is the same chat.
    let sql = "INSERT INTO migrated_chat VALUES (-100, -1005, 1)";
    service.store.write(move |connection| Ok(connection.execute_batch(sql)?)).await.unwrap();
    let moved = Destination { chat_id: -1005, thread: Some(7) };
    assert_eq!(text(&service, moved, Command::Alerts).await, expected);
}

#[tokio::test]
async fn however_many_alerts_there_are_the_answer_is_one_message() {
    let folder = tempfile::tempdir().unwrap();
    let service = scripted::service(folder.path(), scripted::config(folder.path()), Arc::default());
    let many = (0..300).map(|number| {
        let mut alert = alert(&[("alertname", &number.to_string())], Timestamp::now());
        alert.annotations.insert("summary".to_owned(), "&".repeat(1000));
        alert
    });
    scripted::card(&service, many.collect()).await;
    let told = text(&service, HERE, Command::Alerts).await;
    assert!(told.encode_utf16().count() <= crate::bridge::render::LONGEST_TEXT, "{}", told.len());
    assert!(told.contains("\n… and 29"), "{told}");
}

#[tokio::test]
async fn silences_are_those_of_alertmanager() {
    let folder = tempfile::tempdir().unwrap();
    let alertmanager = Pretender::start().await;
    let mut config = scripted::config(folder.path());
    config.alertmanager = Some(alertmanager.settings(Auth::Open));
    let service = scripted::service(folder.path(), config, Arc::default());
    assert_eq!(text(&service, HERE, Command::Silences).await, "Nothing is silenced.");
    let later = jiff::Timestamp::now().as_second() + 7230;
    let silence = serde_json::json!({
        "id": "a", "status": {"state": "active"}, "createdBy": "uma", "comment": "<b>",
        "matchers": [{"name": "instance", "value": "v.*", "isRegex": true}],
        "endsAt": jiff::Timestamp::from_second(later).unwrap().to_string(),
    });
    alertmanager.state().silences.insert("a".to_owned(), silence);
    let line = "🔕 <code>{instance=~\"v.*\"}</code> for 2 h, by uma: &lt;b&gt;";
    assert_eq!(text(&service, HERE, Command::Silences).await, line);
    alertmanager.state().refusal = Some((0, 401, String::new()));
    assert!(text(&service, HERE, Command::Silences).await.starts_with("⚠️ Alertmanager refuses the login (401)"));
}

#[tokio::test]
async fn a_chat_hears_of_the_silences_of_its_own_alerts_and_only_how_many_others_there_are() {
    let folder = tempfile::tempdir().unwrap();
    let alertmanager = Pretender::start().await;
    let mut config = scripted::config(folder.path());
    config.alertmanager = Some(alertmanager.settings(Auth::Open));
    config.operations_chat = ChatName::from("uma");
    let service = scripted::service(folder.path(), config, Arc::default());
    scripted::card(&service, vec![alert(&[("alertname", "Down"), ("team", "a")], Timestamp::now())]).await;
    let silence = |id: &str, team: &str| {
        let matchers = serde_json::json!([{"name": "team", "value": team, "isRegex": true}]);
        let silence = serde_json::json!({
            "id": id, "status": {"state": "active"}, "endsAt": "2099-01-01T00:00:00Z", "matchers": matchers,
        });
        alertmanager.state().silences.insert(id.to_owned(), silence);
    };
    silence("1", "secret");
    let nothing = "Nothing that fires here is silenced; there is 1 silence of something else.";
    assert_eq!(text(&service, HERE, Command::Silences).await, nothing);
    silence("2", "[ab]");
    silence("3", "b");
    silence("4", "(no regular expression");
    let told = text(&service, HERE, Command::Silences).await;
    let lines: Vec<&str> = told.lines().collect();
    assert!(lines.len() == 2 && lines[1].starts_with("🔕 <code>{team=~\"[ab]\"}</code>"), "{told}");
    assert_eq!(lines[0], "There are 3 more, of what does not fire here.");
    let operations = Destination { chat_id: 55, thread: None };
    assert_eq!(text(&service, operations, Command::Silences).await.lines().count(), 4);
    let elsewhere = Destination { chat_id: 7, thread: None };
    assert!(text(&service, elsewhere, Command::Silences).await.starts_with("This chat is not configured"));
}

#[tokio::test]
async fn the_status_says_what_is_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let service = scripted::service(folder.path(), scripted::config(folder.path()), Arc::default());
    assert_eq!(text(&service, HERE, Command::Status).await, "✅ Nothing is waiting.\n0 firing in all chats.");
    scripted::card(&service, vec![alert(&[("alertname", "Down")], Timestamp::now())]).await;
    let minute_ago = (Timestamp::now().seconds() - 65.0) * 1000.0;
    let sql = format!(
        "INSERT INTO heartbeat VALUES ('a', '{{\"alertname\": \"Watchdog\"}}', {minute_ago:.0}, NULL);
        INSERT INTO chat (name, chat_id, unreachable_because) VALUES ('uma', 55, 'bot was blocked'), ('old', 1, 'gone');
        INSERT INTO chat (name, chat_id, thread_gone) VALUES ('root', 1, 'TOPIC_CLOSED');"
    );
    service.store.write(move |connection| Ok(connection.execute_batch(&sql)?)).await.unwrap();
    service.health.buttons.store(Arc::new(ButtonState::Disabled("somebody else".to_owned())));
    let told = text(&service, HERE, Command::Status).await;
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines[0], "⚠️ Buttons can not be used: somebody else");
    assert!(lines[1].starts_with("⏳ 1 waiting, the oldest for "), "{told}");
    let rest = ["1 firing in all chats.", "💓 Watchdog: 65 s ago", "⚠️ root: TOPIC_CLOSED", "⚠️ uma: bot was blocked"];
    assert_eq!(lines[2..], rest.map(|line| line.replace("65 s", "1 min")));
}
