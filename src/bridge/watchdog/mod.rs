//! Heartbeats: alerts that always fire, so that their absence shows that Prometheus, Alertmanager or the way from there is
//! broken. Each of them (each fingerprint) is watched apart.
//!
//! An absence is an incident like others, told in the operations chat and over when the heart beats again. What is
//! known is in the store; time during which the bridge itself was not there is nobody's absence.

use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::alert::{Alert, Labels, Status};
use super::buttons::OWN_RECEIVER;
use super::card::{Content, Message};
use super::config::{ChatName, Watchdog};
use super::service::{Service, Stop};
use super::store::heartbeats::{self, Heartbeat};
use super::store::{StoreError, cards, incidents, intake};
use crate::error_chain::display_chain;
use crate::system::time::Timestamp;

/// The name of the alert.
pub const ALERT_NAME: &str = "HermesAlertHeartbeatMissing";

/// After so long an absence nobody waits any more, where another heart beats.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(7 * 86_400);

/// How often it is looked, at most and at least.
const LOOKS: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// What stands for a heartbeat that never came.
const NEVER: &str = "";

/// Notes that a heart has beaten. Called in the transaction in which the alert has arrived.
pub fn beat(connection: &Connection, alert: &Alert, now: Timestamp) -> Result<(), StoreError> {
    if alert.status == Status::Resolved {
        return Ok(());
    }
    heartbeats::hear(connection, &alert.fingerprint, &alert.labels, now)
}

/// Whether there is a heartbeat, and none is missing.
pub fn is_beating(connection: &Connection, watchdog: &Watchdog, now: Timestamp) -> Result<bool, StoreError> {
    let hearts = heartbeats::list(connection)?;
    let is_fresh = |heart: &Heartbeat| heart.last.age_at(now) <= watchdog.max_silence;
    let mut watched = hearts.iter().filter(|heart| watchdog.matchers.fit(&heart.labels)).peekable();
    Ok(watched.peek().is_some() && watched.all(is_fresh))
}

/// Watches until the program is to end.
pub async fn run(service: Service, mut stop: Stop) {
    let mut since: Option<Timestamp> = None;
    let mut looked = Instant::now();
    let mut looked_at = Timestamp::now();
    loop {
        let in_force = service.in_force();
        let (watchdog, chat) = (in_force.config.watchdog.clone(), in_force.config.operations_chat.clone());
        let now = Timestamp::now();
        let pause = watchdog.as_ref().map_or(LOOKS.1, |watchdog| (watchdog.max_silence / 10).clamp(LOOKS.0, LOOKS.1));
        // A machine that has slept, or a clock that was set, is like a bridge that was not there.
        let passed = now.seconds_since(looked_at);
        let was_away =
            !(-1.0..=pause.as_secs_f64() + 60.0).contains(&passed) || looked.elapsed() > pause * 10 + LOOKS.1;
        (looked, looked_at) = (Instant::now(), now);
        since = watchdog.as_ref().map(|_| since.filter(|_| !was_away).unwrap_or(now));
        let outcome =
            service.store.write(move |connection| look(connection, watchdog.as_ref().zip(since), &chat, now)).await;
        if let Err(error) = outcome {
            tracing::error!(error = %display_chain(&error), "heartbeats could not be looked at");
        }
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            // An error means that the sender has gone, which is the end as well.
            _ = stop.wait_for(|stopped| *stopped) => return,
        }
    }
}

/// Tells what has changed: absences that have begun and those that are over. `watched` is the heartbeat that is wanted,
/// and since when it is watched without a break.
fn look(
    connection: &Connection,
    watched: Option<(&Watchdog, Timestamp)>,
    chat: &ChatName,
    now: Timestamp,
) -> Result<(), StoreError> {
    heartbeats::set_clock_back(connection, now)?;
    let hearts = heartbeats::list(connection)?;
    let is_wanted = |heart: &Heartbeat| {
        watched.is_some_and(|(watchdog, _)| heart.fingerprint == NEVER || watchdog.matchers.fit(&heart.labels))
    };
    for heart in hearts.iter().filter(|heart| !is_wanted(heart)) {
        over(connection, heart, "It is not watched any more.", chat, now)?;
        heartbeats::forget(connection, &heart.fingerprint)?;
    }
    let Some((watchdog, since)) = watched else {
        return Ok(());
    };
    let is_fresh = |heart: &Heartbeat| heart.fingerprint != NEVER && heart.last.age_at(now) <= watchdog.max_silence;
    let hearts: Vec<Heartbeat> = hearts.into_iter().filter(is_wanted).collect();
    let does_any_beat = hearts.iter().any(is_fresh);
    for heart in &hearts {
        let is_known = heart.fingerprint != NEVER;
        match heart.missing {
            Some(_) if is_fresh(heart) => over(connection, heart, "The heartbeat is back.", chat, now)?,
            None if is_fresh(heart) => {}
            // Some heartbeat has come meanwhile.
            _ if !is_known && hearts.len() > 1 => {
                over(connection, heart, "There is a heartbeat now.", chat, now)?;
                heartbeats::forget(connection, &heart.fingerprint)?;
            }
            Some(_) if is_known && does_any_beat && heart.last.age_at(now) > FORGOTTEN_AFTER => {
                over(connection, heart, "It has been missing for 7 days and is not waited for any more.", chat, now)?;
                heartbeats::forget(connection, &heart.fingerprint)?;
                last_word(connection, heart, chat, now)?;
            }
            None if is_known && since.later(heart.last).age_at(now) > watchdog.max_silence => {
                let last = Some(heart.last);
                missing(connection, &heart.fingerprint, &heart.labels, last, watchdog, chat, now)?;
            }
            _ => {}
        }
    }
    if hearts.is_empty() && since.age_at(now) > watchdog.max_silence {
        heartbeats::hear(connection, NEVER, &Labels::new(), since)?;
        missing(connection, NEVER, &Labels::new(), None, watchdog, chat, now)?;
    }
    Ok(())
}

/// Tells that a heartbeat is missing.
fn missing(
    connection: &Connection,
    fingerprint: &str,
    heart: &Labels,
    last: Option<Timestamp>,
    watchdog: &Watchdog,
    chat: &ChatName,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut labels = heart.clone();
    if let Some(name) = labels.insert("alertname".to_owned(), ALERT_NAME.to_owned()) {
        labels.insert("heartbeat".to_owned(), name);
    }
    labels.insert("severity".to_owned(), "critical".to_owned());
    let silence = humantime::format_duration(Duration::from_secs(watchdog.max_silence.as_secs()));
    let summary = match last {
        Some(_) => format!("No heartbeat from Alertmanager for more than {silence}"),
        None => format!("No heartbeat from Alertmanager within {silence} of watching for it"),
    };
    let description = "An alert that always fires does not arrive any more, so other alerts may not arrive either. \
        See whether Prometheus runs and evaluates its rules, whether Alertmanager runs, whether its route for this alert \
        leads to the bridge with a repeat_interval that is shorter than watchdog.max_silence, and what Alertmanager logs of \
        its notifications.";
    let annotations = [("summary", summary.as_str()), ("description", description)];
    let alert = Alert {
        fingerprint: format!("heartbeat {fingerprint}"),
        status: Status::Firing,
        starts_at: now,
        ends_at: None,
        labels,
        annotations: annotations.map(|(name, text)| (name.to_owned(), text.to_owned())).into(),
        generator_url: String::new(),
    };
    intake::tell(connection, &alert, OWN_RECEIVER, "", std::slice::from_ref(chat), now)?;
    heartbeats::miss(connection, fingerprint, &alert.fingerprint)?;
    tracing::warn!(summary, "a heartbeat is missing");
    Ok(())
}

/// Tells that an absence is over, where there is one.
fn over(
    connection: &Connection,
    heart: &Heartbeat,
    because: &str,
    chat: &ChatName,
    now: Timestamp,
) -> Result<(), StoreError> {
    let Some(id) = heart.missing else {
        return Ok(());
    };
    if let Some(incident) = incidents::load(connection, id)? {
        let mut alert = incident.alert;
        alert.status = Status::Resolved;
        alert.ends_at = Some(now);
        alert.annotations.insert("description".to_owned(), because.to_owned());
        intake::tell(connection, &alert, OWN_RECEIVER, "", std::slice::from_ref(chat), now)?;
    }
    heartbeats::regain(connection, &heart.fingerprint)?;
    tracing::info!(because, "a heartbeat is missing no more");
    Ok(())
}

fn last_word(connection: &Connection, heart: &Heartbeat, chat: &ChatName, now: Timestamp) -> Result<(), StoreError> {
    let labels: Vec<String> = heart.labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    let message = Message {
        title: "A heartbeat is not waited for any more".to_owned(),
        text: format!("It has been missing for 7 days, while others beat: {{{}}}", labels.join(", ")),
        severity: super::alert::Severity::Warning,
        instance: heart.labels.get(super::alert::INSTANCE).map(|value| super::alert::normal_instance(value)),
        is_silent: false,
    };
    cards::create_with(connection, chat, &Content::Message(message), None, now)?;
    Ok(())
}

#[cfg(test)]
mod tests;
