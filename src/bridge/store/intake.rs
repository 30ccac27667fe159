//! What an accepted notification changes: incidents, and the cards that tell of them.
//!
//! Nothing here goes by the group that Alertmanager has made, or by what was told before: an alert is looked up by its
//! fingerprint and when it began, and what is new of it is noted. So what is told twice changes nothing the second time.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use rusqlite::{Connection, OptionalExtension, params};

use super::{StoreError, cards, milliseconds, moment, notices};
use crate::bridge::alert::{Alert, Notification, Severity, Status};
use crate::bridge::card::{CardId, IncidentId, Message};
use crate::bridge::config::{ChatName, Config, Grouping};
use crate::bridge::route::route;
use crate::bridge::watchdog;
use crate::bridge::webhook::UNKNOWN_START;
use crate::system::time::Timestamp;

/// A notification, and where its alerts go: everything that can be found out before the store is needed.
#[derive(Debug)]
pub struct Arrival {
    receiver: String,
    external_url: String,
    alerts: Vec<(Alert, For)>,
    truncated_alerts: u64,
    operations_chat: ChatName,
}

/// Who an alert is for.
#[derive(Debug)]
enum For {
    /// Nobody: it is the heartbeat that is watched.
    Watchdog,
    /// These chats.
    Chats {
        /// Who is told of it.
        told: Vec<(ChatName, Grouping)>,
        /// Who does not want alerts of its severity.
        muted: Vec<ChatName>,
        /// Whether no route wanted it.
        is_unrouted: bool,
    },
}

impl Arrival {
    /// Finds out where the alerts of a notification go.
    pub fn of(config: &Config, mut notification: Notification) -> Arrival {
        let alerts = std::mem::take(&mut notification.alerts).into_iter().map(|alert| {
            let who = who(config, &notification, &alert);
            (alert, who)
        });
        Arrival {
            alerts: alerts.collect(),
            receiver: std::mem::take(&mut notification.receiver),
            external_url: std::mem::take(&mut notification.external_url),
            truncated_alerts: notification.truncated_alerts,
            operations_chat: config.operations_chat.clone(),
        }
    }
}

fn who(config: &Config, notification: &Notification, alert: &Alert) -> For {
    if config.watchdog.as_ref().is_some_and(|watchdog| watchdog.matchers.fit(&alert.labels)) {
        return For::Watchdog;
    }
    let routed = route(config, notification, alert);
    let severity = alert.severity();
    let (mut told, mut muted) = (Vec::new(), Vec::new());
    for name in routed.chats {
        match config.chat(&name) {
            Some(chat) if chat.muted.contains(&severity) => muted.push(name),
            chat => told.push((name, chat.map(|chat| chat.grouping).unwrap_or_default())),
        }
    }
    For::Chats { told, muted, is_unrouted: routed.is_unrouted }
}

/// What a notification has meant, for the counters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Accepted {
    /// How many alerts fire, repeats included.
    pub firing: u64,
    /// How many are over, repeats included.
    pub resolved: u64,
    /// What each of them meant, and what followed from it.
    pub changes: BTreeMap<Change, u64>,
    /// How many new ones no route wanted.
    pub unrouted: u64,
    /// How many new ones a chat was not told of, because it mutes their severity.
    pub muted: BTreeMap<ChatName, u64>,
    /// How many Alertmanager has cut off.
    pub truncated: u64,
}

/// What an alert has meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Change {
    /// It fires, and nobody knew.
    Fired,
    /// It is over.
    Resolved,
    /// Nothing that was not known.
    Repeated,
    /// It fires after it was over; perhaps somebody was slow.
    Late,
    /// It says something else than before.
    Updated,
    /// It is the heartbeat.
    Heartbeat,
    /// It fired after it was over, and was not just late.
    Reopened,
    /// It must be over, because the same series has begun to fire anew, or has ended, since.
    Replaced,
}

impl Change {
    /// As it stands in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Change::Fired => "fired",
            Change::Resolved => "resolved",
            Change::Repeated => "repeated",
            Change::Late => "late",
            Change::Updated => "updated",
            Change::Heartbeat => "heartbeat",
            Change::Reopened => "reopened",
            Change::Replaced => "replaced",
        }
    }
}

/// Stores what a notification says. To be called in a transaction of its own.
pub fn accept(connection: &Connection, arrival: &Arrival, now: Timestamp) -> Result<Accepted, StoreError> {
    let mut batch = Batch::new(connection, &arrival.receiver, &arrival.external_url, now);
    for (alert, who) in &arrival.alerts {
        match alert.status {
            Status::Firing => batch.accepted.firing += 1,
            Status::Resolved => batch.accepted.resolved += 1,
        }
        match who {
            For::Watchdog => {
                watchdog::beat(connection, alert, now)?;
                batch.count(Change::Heartbeat);
            }
            For::Chats { told, muted, is_unrouted } => {
                let is_new = batch.take(alert, told)?;
                if is_new {
                    batch.accepted.unrouted += u64::from(*is_unrouted);
                    for chat in muted {
                        *batch.accepted.muted.entry(chat.clone()).or_default() += 1;
                    }
                }
            }
        }
    }
    let mut accepted = batch.finish()?;
    accepted.truncated = arrival.truncated_alerts;
    if arrival.truncated_alerts > 0 {
        let message = truncated(&arrival.receiver, arrival.truncated_alerts);
        notices::tell_once(connection, &arrival.operations_chat, "truncated", message, now)?;
    }
    Ok(accepted)
}

/// Stores what one alert says, for these chats; a card of its own in each that has none of it yet.
pub fn tell(
    connection: &Connection,
    alert: &Alert,
    receiver: &str,
    external_url: &str,
    chats: &[ChatName],
    now: Timestamp,
) -> Result<Accepted, StoreError> {
    let mut batch = Batch::new(connection, receiver, external_url, now);
    let chats: Vec<_> = chats.iter().map(|chat| (chat.clone(), Grouping::Each)).collect();
    batch.take(alert, &chats)?;
    batch.finish()
}

/// Takes an incident that fired after it was over, and was not just late, for one that has begun anew: in the chats that
/// were told of it. Where the series has begun to fire with another start since, there is nothing to tell.
pub(super) fn reopen(connection: &Connection, incident: IncidentId, now: Timestamp) -> Result<Accepted, StoreError> {
    let mut batch = Batch::new(connection, "", "", now);
    connection.prepare_cached("UPDATE incident SET fired_late = NULL WHERE id = ?1")?.execute([incident.0])?;
    let again = connection
        .prepare_cached(
            "INSERT INTO incident (fingerprint, starts_at, round, status, alert, receiver, external_url, first_received,
                 last_received)
             SELECT fingerprint, starts_at, round + 1, 'firing', alert, receiver, external_url, ?2, ?2
             FROM incident AS old
             WHERE id = ?1 AND status = 'resolved' AND NOT EXISTS (
                 SELECT 1 FROM incident WHERE fingerprint = old.fingerprint
                     AND (starts_at > old.starts_at OR (starts_at = old.starts_at AND round > old.round)))",
        )?
        .execute(params![incident.0, milliseconds(now)])?;
    if again > 0 {
        let again = IncidentId(connection.last_insert_rowid());
        batch.count(Change::Reopened);
        for chat in batch.chats_of(incident)?.into_iter().collect::<BTreeSet<_>>() {
            cards::create(connection, &chat, &[again], now)?;
        }
    }
    batch.finish()
}

fn truncated(receiver: &str, alerts: u64) -> Message {
    let (alerts, verb) = if alerts == 1 { ("1 alert".to_owned(), "was") } else { (format!("{alerts} alerts"), "were") };
    Message {
        title: format!("{alerts} {verb} cut off by Alertmanager"),
        text: format!(
            "Nobody was told of them. The receiver {receiver:?} has max_alerts in its webhook_configs; remove it, or write \
             max_alerts: 0. A card here takes any number."
        ),
        severity: Severity::Warning,
        instance: None,
        is_silent: false,
    }
}

/// An incident as far as it matters for what comes next.
struct Known {
    id: IncidentId,
    status: Status,
    alert: String,
}

/// What is gathered while alerts that came together are stored, so that each card is made and touched once.
struct Batch<'a> {
    connection: &'a Connection,
    receiver: &'a str,
    external_url: &'a str,
    now: Timestamp,
    /// Cards to be made, for a chat and for what fires or is over.
    together: Vec<(ChatName, Status, Vec<IncidentId>)>,
    /// What has a place on one of them, or on a card that was made here.
    placed: HashSet<(ChatName, IncidentId)>,
    touched: BTreeSet<CardId>,
    /// Cards of which only texts are others.
    updated: BTreeSet<CardId>,
    accepted: Accepted,
}

impl<'a> Batch<'a> {
    fn new(connection: &'a Connection, receiver: &'a str, external_url: &'a str, now: Timestamp) -> Batch<'a> {
        Batch {
            connection,
            receiver,
            external_url,
            now,
            together: Vec::new(),
            placed: HashSet::new(),
            touched: BTreeSet::new(),
            updated: BTreeSet::new(),
            accepted: Accepted::default(),
        }
    }

    fn count(&mut self, change: Change) {
        *self.accepted.changes.entry(change).or_default() += 1;
    }

    /// Stores an alert. Says whether there is a new incident.
    fn take(&mut self, alert: &Alert, chats: &[(ChatName, Grouping)]) -> Result<bool, StoreError> {
        let dated;
        let (mut alert, mut known) = (alert, self.known(alert)?);
        if known.is_none()
            && let Some(starts_at) = self.other_start(alert)?
        {
            dated = Alert { starts_at, ..alert.clone() };
            (alert, known) = (&dated, self.known(&dated)?);
        }
        let Some(known) = known else {
            let id = self.insert(alert)?;
            self.replace_others(alert, id)?;
            self.count(if alert.status == Status::Firing { Change::Fired } else { Change::Resolved });
            for (chat, grouping) in chats {
                self.place(chat, *grouping, id, alert.status)?;
            }
            return Ok(true);
        };
        match (known.status, alert.status) {
            (Status::Firing, Status::Firing) => self.repeat(&known, alert)?,
            (Status::Resolved, Status::Resolved) => self.note(known.id, "fired_late = NULL")?,
            (Status::Firing, Status::Resolved) => {
                self.resolve(known.id, alert)?;
                self.replace_others(alert, known.id)?;
            }
            (Status::Resolved, Status::Firing) => {
                self.note(known.id, "fired_late = coalesce(fired_late, ?2)")?;
                self.count(Change::Late);
                return Ok(false);
            }
        }
        if known.status == Status::Resolved {
            self.count(Change::Repeated);
        }
        // It may have come by another receiver before, or under other routes: who was not told then is told now.
        let already = self.chats_of(known.id)?;
        for (chat, grouping) in chats.iter().filter(|(chat, _)| !already.contains(chat)) {
            self.place(chat, *grouping, known.id, alert.status)?;
        }
        Ok(false)
    }

    /// The start that an alert is known by, which is not known by the one that it says.
    ///
    /// Started again, Prometheus gives what still fires a new start, and an Alertmanager that was started again as well
    /// tells the end with this one alone. So an end whose start nobody knows is that of what began before, and fires: of a
    /// series there is one alert, so that one is over in any case. What began later may be a new time that it fires, of
    /// which a late end of an older one says nothing.
    fn other_start(&self, alert: &Alert) -> Result<Option<Timestamp>, StoreError> {
        if alert.starts_at == UNKNOWN_START {
            return self.undated_start(alert).map(Some);
        }
        let starts_at = milliseconds(alert.starts_at);
        let one = |query: &str| -> Result<Option<(i64, i64)>, StoreError> {
            let mut find = self.connection.prepare_cached(query)?;
            Ok(find
                .query_row(params![alert.fingerprint, starts_at], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?)
        };
        let ended = "SELECT id, starts_at FROM incident WHERE fingerprint = ?1 AND ended_as = ?2 LIMIT 1";
        if let Some((_, known)) = one(ended)? {
            return moment(known).map(Some);
        }
        if alert.status == Status::Firing {
            return Ok(None);
        }
        let fires = "SELECT id, starts_at FROM incident WHERE fingerprint = ?1 AND starts_at < ?2 AND status = 'firing'
             ORDER BY starts_at DESC, round DESC LIMIT 1";
        let Some((incident, known)) = one(fires)? else {
            return Ok(None);
        };
        // Told again, by the other Alertmanager of a pair, it is to be recognised.
        self.connection
            .prepare_cached("UPDATE incident SET ended_as = ?2 WHERE id = ?1")?
            .execute(params![incident, starts_at])?;
        moment(known).map(Some)
    }

    /// The start that is known of an alert that does not say when it began; or else now.
    fn undated_start(&self, alert: &Alert) -> Result<Timestamp, StoreError> {
        let mut find = self.connection.prepare_cached(
            "SELECT starts_at FROM incident WHERE fingerprint = ?1 AND (status = 'firing' OR status = ?2)
             ORDER BY starts_at DESC, round DESC LIMIT 1",
        )?;
        let known: Option<i64> =
            find.query_row(params![alert.fingerprint, alert.status.as_str()], |row| row.get(0)).optional()?;
        Ok(known.map(moment).transpose()?.unwrap_or(self.now))
    }

    fn known(&self, alert: &Alert) -> Result<Option<Known>, StoreError> {
        let mut find = self.connection.prepare_cached(
            "SELECT id, status, alert FROM incident WHERE fingerprint = ?1 AND starts_at = ?2 ORDER BY round DESC LIMIT 1",
        )?;
        let known = find.query_row(params![alert.fingerprint, milliseconds(alert.starts_at)], |row| {
            let is_firing = row.get_ref(1)?.as_str()? == Status::Firing.as_str();
            Ok(Known {
                id: IncidentId(row.get(0)?),
                status: if is_firing { Status::Firing } else { Status::Resolved },
                alert: row.get(2)?,
            })
        });
        Ok(known.optional()?)
    }

    fn insert(&self, alert: &Alert) -> Result<IncidentId, StoreError> {
        let now = milliseconds(self.now);
        let resolved_received = (alert.status == Status::Resolved).then_some(now);
        self.connection
            .prepare_cached(
                "INSERT INTO incident (fingerprint, starts_at, status, ends_at, alert, receiver, external_url,
                     first_received, last_received, resolved_received)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, ?9)",
            )?
            .execute(params![
                alert.fingerprint,
                milliseconds(alert.starts_at),
                alert.status.as_str(),
                alert.ends_at.map(milliseconds),
                json(alert)?,
                self.receiver,
                self.external_url,
                now,
                resolved_received,
            ])?;
        Ok(IncidentId(self.connection.last_insert_rowid()))
    }

    /// Notes that an incident was told of again. `change` sets what else there is to set; `?2` is now.
    fn note(&self, incident: IncidentId, change: &str) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(&format!(
                "UPDATE incident SET notifications = notifications + 1, last_received = ?2, {change} WHERE id = ?1"
            ))?
            .execute(params![incident.0, milliseconds(self.now)])?;
        Ok(())
    }

    fn repeat(&mut self, known: &Known, alert: &Alert) -> Result<(), StoreError> {
        self.note(known.id, "fired_late = NULL")?;
        let json = json(alert)?;
        if json == known.alert {
            self.count(Change::Repeated);
            return Ok(());
        }
        let before: Alert = serde_json::from_str(&known.alert)?;
        // Each Prometheus of a pair has its own `generatorURL`; the first one that came is as good as the other.
        if before.annotations == alert.annotations && before.labels == alert.labels {
            self.count(Change::Repeated);
            return Ok(());
        }
        self.connection
            .prepare_cached("UPDATE incident SET alert = ?2 WHERE id = ?1")?
            .execute(params![known.id.0, json])?;
        self.count(Change::Updated);
        self.updated.extend(cards::cards_of(self.connection, known.id)?);
        Ok(())
    }

    fn resolve(&mut self, incident: IncidentId, alert: &Alert) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "UPDATE incident SET status = 'resolved', ends_at = ?3, alert = ?4, resolved_received = ?2,
                     last_received = ?2, notifications = notifications + 1, fired_late = NULL
                 WHERE id = ?1",
            )?
            .execute(params![incident.0, milliseconds(self.now), alert.ends_at.map(milliseconds), json(alert)?])?;
        self.count(Change::Resolved);
        self.touched.extend(cards::cards_of(self.connection, incident)?);
        Ok(())
    }

    /// Ends what else fires of the series: Alertmanager knows of one alert per series, so what began before this one did,
    /// or before this one was over, is over. It may never say so, as when it was restarted together with Prometheus.
    ///
    /// That is shown, but nobody is notified of it.
    fn replace_others(&mut self, alert: &Alert, incident: IncidentId) -> Result<(), StoreError> {
        let over_by = milliseconds(alert.ends_at.unwrap_or(alert.starts_at));
        let mut find = self.connection.prepare_cached(
            "SELECT id FROM incident WHERE fingerprint = ?1 AND starts_at < ?2 AND status = 'firing' AND id != ?3",
        )?;
        let others =
            find.query_map(params![alert.fingerprint, over_by, incident.0], |row| row.get(0).map(IncidentId))?;
        for other in others.collect::<Result<Vec<_>, _>>()? {
            self.connection
                .prepare_cached(
                    "UPDATE incident SET status = 'resolved', ends_at = ?2, resolved_received = ?3 WHERE id = ?1",
                )?
                .execute(params![other.0, over_by, milliseconds(self.now)])?;
            self.connection
                .prepare_cached("UPDATE card_incident SET told = 'resolved' WHERE incident = ?1 AND told = 'firing'")?
                .execute([other.0])?;
            self.count(Change::Replaced);
            self.touched.extend(cards::cards_of(self.connection, other)?);
        }
        Ok(())
    }

    /// The chats that an incident is told in, or would be if they could be written to.
    fn chats_of(&self, incident: IncidentId) -> Result<Vec<ChatName>, StoreError> {
        let mut find = self.connection.prepare_cached(
            "SELECT coalesce(diverted_from, chat) FROM card_incident JOIN card ON card.id = card WHERE incident = ?1",
        )?;
        let mut rows = find.query([incident.0])?;
        let mut chats = Vec::new();
        while let Some(row) = rows.next()? {
            chats.push(ChatName::from(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?));
        }
        Ok(chats)
    }

    /// Gives an incident a place in a chat that has none for it.
    fn place(
        &mut self,
        chat: &ChatName,
        grouping: Grouping,
        incident: IncidentId,
        status: Status,
    ) -> Result<(), StoreError> {
        if !self.placed.insert((chat.clone(), incident)) {
            return Ok(());
        }
        if grouping == Grouping::Each {
            cards::create(self.connection, chat, &[incident], self.now)?;
            return Ok(());
        }
        match self.together.iter_mut().find(|(other, kind, _)| other == chat && *kind == status) {
            Some((_, _, incidents)) => incidents.push(incident),
            None => self.together.push((chat.clone(), status, vec![incident])),
        }
        Ok(())
    }

    fn finish(self) -> Result<Accepted, StoreError> {
        for (chat, _, incidents) in &self.together {
            cards::create(self.connection, chat, incidents, self.now)?;
        }
        for card in &self.touched {
            cards::touch(self.connection, *card)?;
        }
        for card in self.updated.difference(&self.touched) {
            cards::touch(self.connection, *card)?;
            cards::calm(self.connection, *card, self.now)?;
        }
        Ok(self.accepted)
    }
}

fn json(alert: &Alert) -> Result<String, StoreError> {
    Ok(serde_json::to_string(alert)?)
}

#[cfg(test)]
mod tests;
