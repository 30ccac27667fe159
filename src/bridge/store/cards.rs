//! Cards in the store: making them, reading them whole, and keeping the order in which they are taken.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{StoreError, milliseconds, moment};
use crate::bridge::alert::{Severity, Status};
use crate::bridge::card::{
    Acknowledgement, Card, CardId, Content, Diverted, Incident, IncidentId, Level, Member, Part, Silence, Told,
    Urgency, next_step,
};
use crate::bridge::config::ChatName;
use crate::bridge::telegram::{Destination, MessageId};
use crate::system::time::Timestamp;

/// Makes a card about incidents, which are stored already.
pub fn create(
    connection: &Connection,
    chat: &ChatName,
    incidents: &[IncidentId],
    now: Timestamp,
) -> Result<CardId, StoreError> {
    connection
        .prepare_cached("INSERT INTO card (chat, kind, created) VALUES (?1, 'incidents', ?2)")?
        .execute(params![chat.as_str(), milliseconds(now)])?;
    let card = CardId(connection.last_insert_rowid());
    let mut put =
        connection.prepare_cached("INSERT INTO card_incident (card, incident, position) VALUES (?1, ?2, ?3)")?;
    for (position, incident) in incidents.iter().enumerate() {
        put.execute(params![card.0, incident.0, position as i64])?;
    }
    order(connection, card)?;
    Ok(card)
}

/// Makes a card with a message or a progress on it. `key` is what it is known by to who sends it; there may be only one
/// of it in a chat.
pub fn create_with(
    connection: &Connection,
    chat: &ChatName,
    content: &Content,
    key: Option<&str>,
    now: Timestamp,
) -> Result<CardId, StoreError> {
    let (kind, json) = match content {
        Content::Incidents(_) => return Err(StoreError::Damaged("a card of incidents is made from them".to_owned())),
        Content::Message(message) => ("message", serde_json::to_string(message)),
        Content::Progress(progress) => ("progress", serde_json::to_string(progress)),
    };
    connection
        .prepare_cached("INSERT INTO card (chat, kind, content, key, created) VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![chat.as_str(), kind, json?, key, milliseconds(now)])?;
    let card = CardId(connection.last_insert_rowid());
    order(connection, card)?;
    Ok(card)
}

/// Notes that what a card is about has changed. One that was only kept [`calm`] is no longer.
pub fn touch(connection: &Connection, card: CardId) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE card SET desired = desired + 1, not_before = iif(attempts = 0, 0, not_before) WHERE id = ?1",
        )?
        .execute([card.0])?;
    order(connection, card)
}

/// Leaves a card that is only to be changed as it is until some time after it last was: the texts of an alert may change
/// with every evaluation, or between those of two Alertmanagers, and each change is a message less for something else.
pub fn calm(connection: &Connection, card: CardId, now: Timestamp) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "UPDATE card SET not_before = min(sent_at, ?2) + ?3
             WHERE id = ?1 AND urgency = ?4 AND attempts = 0 AND sent_at IS NOT NULL",
        )?
        .execute(params![card.0, milliseconds(now), CALM, Urgency::Changed.rank()])?;
    Ok(())
}

/// How long a card is kept calm, in milliseconds.
const CALM: i64 = 30_000;

/// Notes that an incident has changed, on each card that it is on.
pub fn touch_incident(connection: &Connection, incident: IncidentId) -> Result<(), StoreError> {
    for card in cards_of(connection, incident)? {
        touch(connection, card)?;
    }
    Ok(())
}

/// The cards that an incident is on.
pub fn cards_of(connection: &Connection, incident: IncidentId) -> Result<Vec<CardId>, StoreError> {
    let mut find = connection.prepare_cached("SELECT card FROM card_incident WHERE incident = ?1")?;
    let cards = find.query_map([incident.0], |row| row.get(0).map(CardId))?.collect::<Result<_, _>>()?;
    Ok(cards)
}

/// Puts a card where it belongs in the order of its chat, by what is to be done for it; to be called after each change of
/// what [`next_step`] looks at.
pub fn order(connection: &Connection, card: CardId) -> Result<(), StoreError> {
    let urgency = match urgency_of_incidents(connection, card)? {
        Some(urgency) => urgency,
        None => match load(connection, card)? {
            Some(card) => next_step(&card).map(|(_, urgency)| urgency),
            None => return Ok(()),
        },
    };
    connection
        .prepare_cached("UPDATE card SET urgency = ?2 WHERE id = ?1")?
        .execute(params![card.0, urgency.map(Urgency::rank)])?;
    Ok(())
}

/// What [`next_step`] says of a card with incidents, without reading thousands of alerts each time that one of them is
/// over; `None` where it is no such card.
fn urgency_of_incidents(connection: &Connection, card: CardId) -> Result<Option<Option<Urgency>>, StoreError> {
    let mut find = connection.prepare_cached("SELECT desired, sent FROM card WHERE id = ?1 AND kind = 'incidents'")?;
    let found = find.query_row([card.0], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, u32>(1)?))).optional()?;
    let Some((desired, sent)) = found else {
        return Ok(None);
    };
    if sent > 0 {
        let is_over = connection
            .prepare_cached(
                "SELECT 1 FROM card_incident JOIN incident ON incident.id = incident
                 WHERE card = ?1 AND told = 'firing' AND status = 'resolved' LIMIT 1",
            )?
            .exists([card.0])?;
        let changed = (desired > sent).then_some(Urgency::Changed);
        return Ok(Some(if is_over { Some(Urgency::Resolved) } else { changed }));
    }
    let mut severities = connection.prepare_cached(
        "SELECT alert ->> '$.labels.severity' FROM card_incident JOIN incident ON incident.id = incident
         WHERE card = ?1 AND status = 'firing'",
    )?;
    let mut rows = severities.query([card.0])?;
    while let Some(row) = rows.next()? {
        let label: Option<String> = row.get(0)?;
        if Severity::of_label(label.as_deref().unwrap_or_default()) == Severity::Critical {
            return Ok(Some(Some(Urgency::Critical)));
        }
    }
    Ok(Some(Some(Urgency::New)))
}

/// A card with everything on it.
pub fn load(connection: &Connection, id: CardId) -> Result<Option<Card>, StoreError> {
    let mut find = connection.prepare_cached(
        "SELECT chat, diverted_from, diverted_because, kind, content, created, desired, sent, level, attempts, uncertain,
             document
         FROM card WHERE id = ?1",
    )?;
    let row = |row: &Row<'_>| {
        let text = |index: usize| row.get::<_, Option<String>>(index);
        let diverted = text(1)?.zip(text(2)?);
        Ok((
            Card {
                id,
                chat: ChatName::from(row.get::<_, String>(0)?.as_str()),
                diverted: diverted.map(|(from, because)| Diverted { from: ChatName::from(from.as_str()), because }),
                content: Content::Incidents(Vec::new()),
                created: Timestamp::LATEST,
                desired: row.get(6)?,
                sent: row.get(7)?,
                parts: Vec::new(),
                document: row.get::<_, Option<i64>>(11)?.map(MessageId),
                level: match row.get::<_, String>(8)?.as_str() {
                    "plain" => Level::Plain,
                    "line" => Level::Line,
                    _ => Level::Html,
                },
                attempts: row.get(9)?,
                uncertain: row.get(10)?,
            },
            row.get::<_, String>(3)?,
            text(4)?.unwrap_or_default(),
            row.get::<_, i64>(5)?,
        ))
    };
    let Some((mut card, kind, content, created)) = find.query_row([id.0], row).optional()? else {
        return Ok(None);
    };
    card.created = moment(created)?;
    card.content = match kind.as_str() {
        "message" => Content::Message(serde_json::from_str(&content)?),
        "progress" => Content::Progress(serde_json::from_str(&content)?),
        _ => Content::Incidents(members(connection, id)?),
    };
    card.parts = parts(connection, id)?;
    Ok(Some(card))
}

/// The incidents on a card, in order.
fn members(connection: &Connection, card: CardId) -> Result<Vec<Member>, StoreError> {
    let mut find = connection.prepare_cached(&format!(
        "SELECT {INCIDENT_COLUMNS}, told FROM card_incident JOIN incident ON incident.id = incident
         WHERE card = ?1 ORDER BY position"
    ))?;
    let mut rows = find.query([card.0])?;
    let mut members = Vec::new();
    while let Some(row) = rows.next()? {
        let told = match row.get::<_, String>("told")?.as_str() {
            "firing" => Told::Firing,
            "resolved" => Told::Resolved,
            _ => Told::Nothing,
        };
        members.push(Member { incident: incident(row)?, told });
    }
    Ok(members)
}

/// The columns that [`incident`] reads.
pub(super) const INCIDENT_COLUMNS: &str = "incident.id, alert, status, ends_at, receiver, external_url, first_received, \
     acknowledged_by, acknowledged_at, silence_id, silenced_by, silenced_until";

/// An incident out of a row with [`INCIDENT_COLUMNS`].
pub(super) fn incident(row: &Row<'_>) -> Result<Incident, StoreError> {
    let mut alert: crate::bridge::alert::Alert = serde_json::from_str(&row.get::<_, String>("alert")?)?;
    alert.status = if row.get::<_, String>("status")? == "firing" { Status::Firing } else { Status::Resolved };
    alert.ends_at = row.get::<_, Option<i64>>("ends_at")?.map(moment).transpose()?;
    let acknowledged = row.get::<_, Option<String>>("acknowledged_by")?;
    let acknowledged = acknowledged.zip(row.get::<_, Option<i64>>("acknowledged_at")?);
    let silence = row.get::<_, Option<String>>("silence_id")?;
    let silence = silence.zip(row.get::<_, Option<String>>("silenced_by")?);
    let silence = silence.zip(row.get::<_, Option<i64>>("silenced_until")?);
    Ok(Incident {
        id: IncidentId(row.get("id")?),
        alert,
        receiver: row.get("receiver")?,
        external_url: row.get("external_url")?,
        first_received: moment(row.get("first_received")?)?,
        acknowledgement: acknowledged
            .map(|(by, at)| Ok::<_, StoreError>(Acknowledgement { by, at: moment(at)? }))
            .transpose()?,
        silence: silence
            .map(|((id, by), until)| Ok::<_, StoreError>(Silence { id, by, until: moment(until)? }))
            .transpose()?,
    })
}

fn parts(connection: &Connection, card: CardId) -> Result<Vec<Part>, StoreError> {
    let mut find = connection.prepare_cached(
        "SELECT chat_id, thread, message, text, keyboard FROM part WHERE card = ?1 ORDER BY position",
    )?;
    let mut rows = find.query([card.0])?;
    let mut parts = Vec::new();
    while let Some(row) = rows.next()? {
        parts.push(Part {
            at: Destination { chat_id: row.get(0)?, thread: row.get(1)? },
            message: MessageId(row.get(2)?),
            text: serde_json::from_str(&row.get::<_, String>(3)?)?,
            keyboard: serde_json::from_str(&row.get::<_, String>(4)?)?,
        });
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bridge::store::Store;

    #[tokio::test]
    async fn the_order_is_by_the_next_step() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("bridge.db")).unwrap();
        let work = |connection: &Connection| {
            let mut seen = std::collections::BTreeSet::new();
            let alert = |severity: &str| {
                format!(
                    r#"{{"fingerprint":"","status":"firing","starts_at":1.0,"ends_at":null,
                        "labels":{{{severity}}},"annotations":{{}},"generator_url":""}}"#
                )
            };
            let severities = ["", r#""severity":"page""#, r#""severity":"info""#];
            let mut incidents = Vec::new();
            for (number, severity) in severities.iter().enumerate() {
                for status in ["firing", "resolved"] {
                    connection.execute(
                        "INSERT INTO incident (fingerprint, starts_at, status, alert, receiver, external_url,
                             first_received, last_received) VALUES (?1, 1, ?2, ?3, '', '', 1, 1)",
                        params![format!("{number} {status}"), status, alert(severity)],
                    )?;
                    incidents.push(IncidentId(connection.last_insert_rowid()));
                }
            }
            // Any two of these incidents, told in any way, on a card that is new, shown as it is, or behind.
            for (first, second) in incidents.iter().flat_map(|one| incidents.iter().map(move |other| (*one, *other))) {
                let members = if first == second { vec![first] } else { vec![first, second] };
                let card = create(connection, &ChatName::from("root"), &members, Timestamp::LATEST)?;
                for (desired, sent) in [(1, 0), (3, 0), (2, 2), (3, 2)] {
                    for (told_first, told_second) in
                        [("nothing", "firing"), ("firing", "resolved"), ("resolved", "nothing"), ("firing", "firing")]
                    {
                        connection.execute(
                            "UPDATE card SET desired = ?2, sent = ?3 WHERE id = ?1",
                            params![card.0, desired, sent],
                        )?;
                        connection.execute(
                            "UPDATE card_incident SET told = iif(incident = ?2, ?3, ?4) WHERE card = ?1",
                            params![card.0, first.0, told_first, told_second],
                        )?;
                        order(connection, card)?;
                        let stored: Option<i64> =
                            connection
                                .query_row("SELECT urgency FROM card WHERE id = ?1", [card.0], |row| row.get(0))?;
                        let step = load(connection, card)?.as_ref().and_then(next_step);
                        assert_eq!(stored, step.map(|(_, urgency)| urgency.rank()));
                        seen.insert(stored);
                    }
                }
            }
            // All of them, and nothing to do, have come up.
            assert_eq!(seen.len(), Urgency::ALL.len() + 1);
            Ok(())
        };
        store.write(work).await.unwrap();
    }
}
