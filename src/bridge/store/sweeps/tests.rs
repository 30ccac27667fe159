use super::*;
use crate::bridge::intake::testing::number;
use crate::bridge::store::Store;

const DAY: f64 = 86_400.0;
const NOW: f64 = 1_795_176_000.0;

fn now() -> Timestamp {
    Timestamp::from_seconds(NOW).unwrap()
}

async fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("bridge.db")).unwrap();
    (folder, store)
}

fn days_ago(days: f64) -> i64 {
    ((NOW - days * DAY) * 1000.0) as i64
}

/// An incident on a card of its own, heard of last so many days ago.
fn incident(connection: &Connection, name: &str, days: f64, status: &str, urgency: &str) -> Result<(), StoreError> {
    let at = days_ago(days);
    connection.execute_batch(&format!(
        "INSERT INTO incident (fingerprint, starts_at, status, alert, receiver, external_url, first_received, last_received)
             VALUES ('{name}', {at}, '{status}', '{{}}', '', '', {at}, {at});
         INSERT INTO card (chat, kind, created, desired, sent, sent_at, urgency, key)
             VALUES ('root', 'incidents', {at}, 1, 1, {at}, {urgency}, '{name}');
         INSERT INTO card_incident (card, incident, position, told)
             VALUES (last_insert_rowid(), (SELECT max(id) FROM incident), 0, 'resolved');
         INSERT INTO part (card, position, chat_id, message, text, keyboard)
             VALUES ((SELECT max(id) FROM card), 0, 1, 1, '', '');"
    ))?;
    Ok(())
}

fn names(connection: &Connection, query: &str) -> Result<Vec<String>, StoreError> {
    let mut find = connection.prepare(query)?;
    let rows = find.query_map([], |row| row.get(0))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

#[tokio::test]
async fn what_is_old_goes_and_what_is_still_to_be_told_stays() {
    let (_folder, store) = store().await;
    let prepare = |connection: &Connection| {
        incident(connection, "old", 31.0, "resolved", "NULL")?;
        incident(connection, "young", 29.0, "resolved", "NULL")?;
        incident(connection, "fires", 31.0, "firing", "NULL")?;
        incident(connection, "to be told", 31.0, "resolved", "2")?;
        incident(connection, "late", 31.0, "resolved", "NULL")?;
        incident(connection, "in flight", 31.0, "resolved", "NULL")?;
        incident(connection, "with a young one", 31.0, "resolved", "NULL")?;
        incident(connection, "silenced", 31.0, "resolved", "NULL")?;
        let (old, young) = (days_ago(31.0), days_ago(29.0));
        connection.execute_batch(&format!(
            "UPDATE incident SET fired_late = {young} WHERE fingerprint = 'late';
             UPDATE card SET in_flight = {young} WHERE key = 'in flight';
             UPDATE incident SET silenced_until = {young} WHERE fingerprint = 'silenced';
             INSERT INTO card_incident (card, incident, position) SELECT card.id, incident.id, 1 FROM card, incident
                 WHERE key = 'with a young one' AND fingerprint = 'young';
             INSERT INTO incident (fingerprint, starts_at, status, alert, receiver, external_url, first_received,
                     last_received) VALUES ('muted', 1, 'firing', '', '', '', {old}, {old}),
                 ('muted young', 1, 'firing', '', '', '', {old}, {young}),
                 ('muted late', 1, 'resolved', '', '', '', {old}, {old}),
                 ('missing', 1, 'firing', '', '', '', {old}, {old});
             UPDATE incident SET fired_late = {old} WHERE fingerprint = 'muted late';
             INSERT INTO heartbeat (fingerprint, labels, last, missing)
                 SELECT 'w', '', 1, id FROM incident WHERE fingerprint = 'missing';
             INSERT INTO card (chat, kind, content, key, created, sent, sent_at, urgency) VALUES
                 ('ops', 'message', '', 'message old', {old}, 1, {old}, NULL),
                 ('ops', 'message', '', 'message unsent', {old}, 0, NULL, 1),
                 ('ops', 'progress', '', 'progress long', {old}, 1, {young}, NULL);
             INSERT INTO refusal (at, reason, head) VALUES ({old}, 'old', ''), ({young}, 'young', '');
             INSERT INTO press (at, user_id, user_name, action, outcome) VALUES
                 ({old}, 1, '', 'old', ''), ({young}, 1, '', 'young', '');
             INSERT INTO button (nonce, card, action, created, used)
                 SELECT 'used', id, '', {old}, {old} FROM card WHERE key = 'fires';
             INSERT INTO button (nonce, card, action, created) SELECT 'of ' || key, id, '', {old} FROM card
                 WHERE key IN ('fires', 'old');"
        ))?;
        Ok(())
    };
    store.write(prepare).await.unwrap();
    let sweep = |connection: &Connection| delete_old(connection, Duration::from_secs(30 * 86_400), now());
    assert!(store.write(sweep).await.unwrap() > 0);
    assert_eq!(store.write(sweep).await.unwrap(), 0);
    let left = |query: &'static str| store.read_now(|connection| names(connection, query)).unwrap();
    assert_eq!(
        left("SELECT fingerprint FROM incident ORDER BY id"),
        [
            "young",
            "fires",
            "to be told",
            "late",
            "in flight",
            "with a young one",
            "silenced",
            "muted young",
            "muted late",
            "missing"
        ]
    );
    assert_eq!(
        left("SELECT key FROM card ORDER BY id"),
        [
            "young",
            "fires",
            "to be told",
            "late",
            "in flight",
            "with a young one",
            "silenced",
            "message unsent",
            "progress long"
        ]
    );
    assert_eq!(left("SELECT reason FROM refusal"), ["young"]);
    assert_eq!(left("SELECT action FROM press"), ["young"]);
    assert_eq!(left("SELECT nonce FROM button"), ["of fires"]);
    assert_eq!(store.read_now(|connection| Ok(number(connection, "SELECT count(*) FROM part"))).unwrap(), 7);
}

#[tokio::test]
async fn a_silence_that_is_over_is_forgotten_and_the_card_says_so() {
    let (_folder, store) = store().await;
    let prepare = |connection: &Connection| {
        let alert = r#"{"fingerprint":"a","status":"firing","starts_at":1.0,"ends_at":null,"labels":{},"annotations":{},"generator_url":""}"#;
        for (name, until) in [("over", NOW - 1.0), ("lasts", NOW + 1.0)] {
            incident(connection, name, 1.0, "firing", "NULL")?;
            connection.execute(
                "UPDATE incident SET silence_id = 'x', silenced_by = 'y', silenced_until = ?1, alert = ?3
                 WHERE fingerprint = ?2",
                params![(until * 1000.0) as i64, name, alert],
            )?;
        }
        Ok(connection.execute_batch("DELETE FROM part")?)
    };
    store.write(prepare).await.unwrap();
    let sweep = |connection: &Connection| clear_expired_silences(connection, now());
    assert_eq!(store.write(sweep).await.unwrap(), 1);
    assert_eq!(store.write(sweep).await.unwrap(), 0);
    let left = store
        .read_now(|connection| names(connection, "SELECT fingerprint FROM incident WHERE silenced_until IS NOT NULL"));
    assert_eq!(left.unwrap(), ["lasts"]);
    let asked_about =
        store.read_now(|connection| names(connection, "SELECT fingerprint FROM incident WHERE silence_id IS NOT NULL"));
    assert_eq!(asked_about.unwrap(), ["over", "lasts"], "whether it ended while it was silenced is not known");
    let touched =
        store.read_now(|connection| names(connection, "SELECT key FROM card WHERE desired = 2 AND urgency = 3"));
    assert_eq!(touched.unwrap(), ["over"]);
}

#[tokio::test]
async fn one_sweep_does_a_limited_amount() {
    let (_folder, store) = store().await;
    let prepare = |connection: &Connection| {
        for number in 0..MOST + 50 {
            incident(connection, &format!("{number}"), 31.0, "resolved", "NULL")?;
        }
        Ok(())
    };
    store.write(prepare).await.unwrap();
    let sweep = |connection: &Connection| delete_old(connection, Duration::from_secs(30 * 86_400), now());
    assert_eq!(store.write(sweep).await.unwrap(), 2 * MOST);
    assert_eq!(store.write(sweep).await.unwrap(), 100);
    assert_eq!(store.write(sweep).await.unwrap(), 0);
}
