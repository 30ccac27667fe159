//! Cards in the store: making them, reading them whole, and keeping the order in which they are taken.

use rusqlite::{Connection, OptionalExtension, Row, params};

use super::{StoreError, milliseconds, moment};
use crate::bridge::alert::Status;
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
        .execute(params![chat.as_str(), kind, json.map_err(damaged)?, key, milliseconds(now)])?;
    let card = CardId(connection.last_insert_rowid());
    order(connection, card)?;
    Ok(card)
}

/// Notes that what a card is about has changed.
pub fn touch(connection: &Connection, card: CardId) -> Result<(), StoreError> {
    connection.prepare_cached("UPDATE card SET desired = desired + 1 WHERE id = ?1")?.execute([card.0])?;
    order(connection, card)
}

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
    let urgency = match load(connection, card)? {
        Some(card) => next_step(&card).map(|(_, urgency)| urgency),
        None => return Ok(()),
    };
    connection
        .prepare_cached("UPDATE card SET urgency = ?2 WHERE id = ?1")?
        .execute(params![card.0, urgency.map(rank)])?;
    Ok(())
}

fn rank(urgency: Urgency) -> i64 {
    Urgency::ALL.into_iter().position(|other| other == urgency).unwrap_or_default() as i64
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
        "message" => Content::Message(serde_json::from_str(&content).map_err(damaged)?),
        "progress" => Content::Progress(serde_json::from_str(&content).map_err(damaged)?),
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
pub const INCIDENT_COLUMNS: &str = "incident.id, alert, status, ends_at, receiver, external_url, first_received, \
     acknowledged_by, acknowledged_at, silence_id, silenced_by, silenced_until";

/// An incident out of a row with [`INCIDENT_COLUMNS`].
pub fn incident(row: &Row<'_>) -> Result<Incident, StoreError> {
    let mut alert: crate::bridge::alert::Alert =
        serde_json::from_str(&row.get::<_, String>("alert")?).map_err(damaged)?;
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
            text: serde_json::from_str(&row.get::<_, String>(3)?).map_err(damaged)?,
            keyboard: serde_json::from_str(&row.get::<_, String>(4)?).map_err(damaged)?,
        });
    }
    Ok(parts)
}

fn damaged(error: serde_json::Error) -> StoreError {
    StoreError::Damaged(error.to_string())
}
