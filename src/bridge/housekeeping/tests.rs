use tokio::sync::watch;

use super::*;
use crate::bridge::intake::testing::{TWO_CHATS, number, service};

#[tokio::test]
async fn it_keeps_house_until_it_is_to_stop() {
    let (_folder, service) = service(TWO_CHATS);
    let prepare = |connection: &rusqlite::Connection| {
        let alert = r#"{"fingerprint":"a","status":"firing","starts_at":1.0,"ends_at":null,"labels":{},"annotations":{},"generator_url":""}"#;
        let recently = (Timestamp::now().seconds() * 1000.0) as i64;
        // One that has fired late for long, on a card; and one so old that it is to go.
        connection.execute_batch(&format!(
            "INSERT INTO incident (fingerprint, starts_at, status, alert, receiver, external_url, first_received,
                     last_received, fired_late)
                 VALUES ('a', 1000, 'resolved', '{alert}', '', '', 1, {recently}, 1),
                     ('b', 1000, 'resolved', '{alert}', '', '', 1, 1, NULL);
             INSERT INTO card (chat, kind, created) VALUES ('uma', 'incidents', {recently});
             INSERT INTO card_incident (card, incident, position) VALUES (1, 1, 0);"
        ))?;
        Ok(())
    };
    service.store.write(prepare).await.unwrap();
    let (stop, stopped) = watch::channel(false);
    let mut commits = service.store.commits();
    let house = tokio::spawn(run(service.clone(), stopped));
    let is_done = |service: &Service| {
        let query = "SELECT (SELECT count(*) FROM card WHERE chat = 'uma') = 2
            AND (SELECT count(*) FROM incident WHERE fingerprint = 'b') = 0";
        service.store.read_now(|connection| Ok(number(connection, query))).unwrap() == 1
    };
    while !is_done(&service) {
        commits.changed().await.unwrap();
    }
    assert_eq!(service.metrics.counted(Count::Changes, &["reopened"]), 1);
    stop.send(true).unwrap();
    house.await.unwrap();
}

#[tokio::test]
async fn more_than_one_sweep_does_is_done_all_the_same() {
    let (_folder, service) = service(TWO_CHATS);
    let many = 2 * sweeps::MOST + 1;
    let prepare = move |connection: &rusqlite::Connection| {
        for incident in 0..many {
            connection.execute(
                "INSERT INTO incident (fingerprint, starts_at, status, alert, receiver, external_url, first_received,
                     last_received, fired_late) VALUES (?1, 1000, 'resolved', '{}', '', '', 1, 1, 1)",
                [incident.to_string()],
            )?;
        }
        Ok(())
    };
    service.store.write(prepare).await.unwrap();
    sweep(&service).await.unwrap();
    assert_eq!(service.metrics.counted(Count::Changes, &["reopened"]), many as u64);
}
