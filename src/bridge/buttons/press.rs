//! What a press does: whether it counts is decided by what is in the store, then it is done, and whatever came of it is
//! written down and told to who has pressed.
//!
//! A press that counts uses up its button. Where Alertmanager fails it does not, so that it can be pressed again.

use std::collections::BTreeMap;
use std::time::Duration;

use rusqlite::Connection;
use tokio::time::Instant;

use super::OWN_RECEIVER;
use super::offer::{Action, LIFETIME, MOST_SILENCES, can_be_silenced, firing, is_silenced, shown};
use crate::bridge::alert::Alert;
use crate::bridge::alertmanager::{AlertmanagerError, Client, ListedSilence, NewSilence};
use crate::bridge::card::{Card, CardId, Content, IncidentId, Silence};
use crate::bridge::config::Config;
use crate::bridge::metrics::table::Count;
use crate::bridge::service::Service;
use crate::bridge::store::presses::{self, Pressed};
use crate::bridge::store::{StoreError, buttons, cards};
use crate::bridge::telegram::{Destination, MessageId, User};
use crate::error_chain::display_chain;
use crate::system::time::Timestamp;

/// How long Alertmanager may take with all of what a press asks for: somebody looks at the phone, and Telegram takes an
/// answer only for a short while, in which a second press of the same button has to be answered as well.
const BUDGET: Duration = Duration::from_secs(4);

/// A silence that ends at most so much earlier than the one that is to be made is the same one, where somebody has made it
/// of the same labels: what came of the press before was not known.
const RECENTLY: Duration = Duration::from_secs(300);

/// As much as Telegram shows of an answer.
const LONGEST_ANSWER: usize = 200;
/// As much as is kept of a stranger's name.
const LONGEST_NAME: usize = 100;

/// A press, as Telegram tells of it.
#[derive(Debug, Clone)]
pub(super) struct Press {
    /// Who.
    pub(super) from: User,
    /// Below which message.
    pub(super) at: Option<(Destination, MessageId)>,
    /// What the button carries.
    pub(super) data: String,
}

/// What who has pressed is told; at most 200 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    /// The text.
    pub(super) text: String,
    /// Whether it must be closed by hand, because nothing was done.
    pub(super) is_alert: bool,
}

/// Why a press does not count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error(
        "You may not do this. Your number at Telegram is {0}; whoever runs the bridge can add it to buttons.users."
    )]
    Foreign(i64),
    #[error("This button is not known.")]
    Unknown,
    #[error("The message has only just been sent; press again.")]
    TooEarly,
    #[error("This button belongs to another message.")]
    Elsewhere,
    #[error("This button was used already, by {0}.")]
    Used(String),
    #[error("This button is too old; do it in Alertmanager.")]
    Expired,
    #[error("It is over already.")]
    Over,
    #[error("{0} has taken it already.")]
    Acknowledged(String),
    #[error("{0} has silenced it already.")]
    Silenced(String),
    #[error("There is no silence any more that was made from here.")]
    NotSilenced,
    #[error("These are {0} alerts; silence them in Alertmanager, with a matcher that fits them all.")]
    TooMany(usize),
    #[error("An alert without labels can not be silenced; everything else would be, too.")]
    NoLabels,
    #[error("Alertmanager is not configured any more.")]
    NoAlertmanager,
}

impl Refusal {
    /// As it stands in metrics.
    fn class(&self) -> &'static str {
        match self {
            Refusal::Foreign(_) => "foreign",
            Refusal::Unknown => "unknown",
            Refusal::NoAlertmanager | Refusal::NoLabels | Refusal::TooMany(_) => "failed",
            _ => "stale",
        }
    }
}

/// A press that counts, with everything that is to be done.
#[derive(Debug)]
enum Job {
    Acknowledge(Vec<IncidentId>),
    Silence(Duration, Vec<(IncidentId, Alert)>),
    Undo(Vec<(IncidentId, String, Alert)>),
}

/// A press that was judged.
#[derive(Debug)]
struct Judged {
    action: Option<Action>,
    verdict: Result<(CardId, Job), Refusal>,
}

/// Whether a press counts now.
fn judge(connection: &Connection, config: &Config, press: &Press, now: Timestamp) -> Result<Judged, StoreError> {
    let refused = |action, refusal| Ok(Judged { action, verdict: Err(refusal) });
    let users = config.buttons.as_ref().map(|buttons| &buttons.users);
    let Some(users) = users.filter(|users| users.contains_key(&press.from.id)) else {
        return refused(None, Refusal::Foreign(press.from.id));
    };
    let Some(button) = buttons::find(connection, &press.data)? else {
        return refused(None, Refusal::Unknown);
    };
    let Some(action) = Action::parse(&button.action) else {
        return refused(None, Refusal::Unknown);
    };
    let pressed = press.at.map(|(at, message)| (at.chat_id, message));
    if button.bound.is_none() {
        return refused(Some(action), Refusal::TooEarly);
    }
    if pressed != button.bound {
        return refused(Some(action), Refusal::Elsewhere);
    }
    if let Some(by) = button.used {
        let name = by.and_then(|by| users.get(&by).cloned()).unwrap_or_else(|| "somebody".to_owned());
        return refused(Some(action), Refusal::Used(name));
    }
    if button.created.age_at(now) > LIFETIME {
        return refused(Some(action), Refusal::Expired);
    }
    let Some(card) = cards::load(connection, button.card)? else {
        return refused(Some(action), Refusal::Unknown);
    };
    let verdict = job(config, &card, action, now).map(|job| (card.id, job));
    Ok(Judged { action: Some(action), verdict })
}

/// What a press means, as things are now.
fn job(config: &Config, card: &Card, action: Action, now: Timestamp) -> Result<Job, Refusal> {
    let firing = firing(card);
    if firing.is_empty() {
        return Err(Refusal::Over);
    }
    match action {
        Action::Acknowledge => {
            let open: Vec<IncidentId> = firing
                .iter()
                .filter(|incident| incident.acknowledgement.is_none())
                .map(|incident| incident.id)
                .collect();
            match firing.iter().find_map(|incident| incident.acknowledgement.as_ref()) {
                Some(acknowledgement) if open.is_empty() => Err(Refusal::Acknowledged(acknowledgement.by.clone())),
                _ => Ok(Job::Acknowledge(open)),
            }
        }
        Action::Silence(length) => {
            let known: Vec<_> = firing.into_iter().filter(|incident| can_be_silenced(incident)).collect();
            let open: Vec<_> = known.iter().filter(|incident| !is_silenced(incident, now)).collect();
            if let (true, Some(silence)) = (open.is_empty(), known.iter().find_map(|it| it.silence.as_ref())) {
                return Err(Refusal::Silenced(silence.by.clone()));
            }
            if config.alertmanager.is_none() || open.is_empty() {
                return Err(Refusal::NoAlertmanager);
            }
            if open.len() > MOST_SILENCES {
                return Err(Refusal::TooMany(open.len()));
            }
            if open.iter().any(|incident| incident.alert.labels.values().all(String::is_empty)) {
                return Err(Refusal::NoLabels);
            }
            let alerts = open.into_iter().map(|incident| (incident.id, incident.alert.clone())).collect();
            Ok(Job::Silence(length, alerts))
        }
        Action::Undo => {
            let Content::Incidents(members) = &card.content else {
                return Err(Refusal::NotSilenced);
            };
            let silenced = members.iter().map(|member| &member.incident);
            let silences: Vec<_> = silenced
                .filter(|incident| is_silenced(incident, now))
                .filter_map(|incident| {
                    let silence = incident.silence.as_ref()?;
                    Some((incident.id, silence.id.clone(), incident.alert.clone()))
                })
                .collect();
            match (silences.is_empty(), &config.alertmanager) {
                (true, _) => Err(Refusal::NotSilenced),
                (false, None) => Err(Refusal::NoAlertmanager),
                (false, Some(_)) => Ok(Job::Undo(silences)),
            }
        }
    }
}

/// Does what a press asks for, where it counts; gives what is to be answered.
pub(super) async fn press(service: &Service, press: &Press) -> Answer {
    match act(service, press).await {
        Ok(answer) => answer,
        Err(error) => {
            tracing::error!(error = %display_chain(&error), "a press could not be written down");
            service.metrics.count(Count::Presses, &["unknown", "failed"]);
            failed("The bridge can not write to its store; press again later.")
        }
    }
}

async fn act(service: &Service, press: &Press) -> Result<Answer, StoreError> {
    let in_force = service.in_force();
    let (judging, asked) = (in_force.clone(), press.clone());
    let now = Timestamp::now();
    let judged = service
        .store
        .write(move |connection| {
            let judged = judge(connection, &judging.config, &asked, now)?;
            match (&judged.verdict, judged.action) {
                (Err(refusal), action) => {
                    note(connection, &asked, &judging.config, action, &format!("refused: {refusal}"), now)?;
                }
                (Ok((_, Job::Acknowledge(incidents))), action) => {
                    let by = name(&judging.config, &asked);
                    for incident in incidents {
                        presses::acknowledge(connection, *incident, &by, now)?;
                    }
                    buttons::use_up(connection, &asked.data, asked.from.id, now)?;
                    note(connection, &asked, &judging.config, action, "done", now)?;
                }
                _ => {}
            }
            Ok(judged)
        })
        .await?;
    let count = |outcome: &str| {
        service.metrics.count(Count::Presses, &[judged.action.map_or("unknown", Action::class), outcome]);
    };
    let (card, job) = match judged.verdict {
        Ok(verdict) => verdict,
        Err(refusal) => {
            let action = judged.action.map_or("unknown", Action::class);
            tracing::warn!(user = press.from.id, action, %refusal, "a press does not count");
            count(refusal.class());
            return Ok(failed(&refusal.to_string()));
        }
    };
    let (text, problem) = match job {
        Job::Acknowledge(incidents) => (counted("You have taken", incidents.len(), ""), None),
        Job::Silence(length, alerts) => silence(service, &in_force.config, press, length, alerts).await?,
        Job::Undo(silences) => undo(service, &in_force.config, press, silences).await?,
    };
    match problem {
        None => {
            tracing::info!(card = card.0, user = press.from.id, action = %judged.action.map_or("none".to_owned(), |action| action.to_string()), "a button was pressed");
            count("done");
            Ok(Answer { text: bounded(&text), is_alert: false })
        }
        Some(problem) => {
            tracing::warn!(card = card.0, user = press.from.id, problem, "a press could not be carried out");
            count("failed");
            Ok(failed(&format!("{text} {problem}")))
        }
    }
}

type Outcome = Result<(String, Option<String>), StoreError>;

/// What Alertmanager says, if it says it in time.
async fn in_time<T>(until: Instant, call: impl Future<Output = Result<T, AlertmanagerError>>) -> Result<T, String> {
    match tokio::time::timeout_at(until, call).await {
        Ok(outcome) => outcome.map_err(|error| display_chain(&error)),
        Err(_) => Err(format!("Alertmanager has taken more than {} s.", BUDGET.as_secs())),
    }
}

/// Makes a silence for each alert, up to the first that fails; those that are made stay. One that was made before, and of
/// which the answer was lost, is not made again.
async fn silence(
    service: &Service,
    config: &Config,
    press: &Press,
    length: Duration,
    alerts: Vec<(IncidentId, Alert)>,
) -> Outcome {
    let by = name(config, press);
    let created_by = format!("telegram:{} ({by})", press.from.id);
    let (now, deadline) = (Timestamp::now(), Instant::now() + BUDGET);
    let until = Timestamp::from_seconds(now.seconds() + length.as_secs_f64()).unwrap_or(Timestamp::LATEST);
    let wanted = alerts.len();
    let mut made: BTreeMap<i64, (String, Timestamp)> = BTreeMap::new();
    let make_all = async {
        let client = client(config)?;
        let listed = in_time(deadline, client.silences()).await?;
        for (incident, alert) in alerts {
            let comment = comment(&alert);
            let is_same = |silence: &&ListedSilence| {
                let earlier = silence.until.map(|end| until.seconds_since(end));
                silence.created_by == created_by
                    && silence.comment == comment
                    && silence.is_of(&alert.labels)
                    && earlier.is_some_and(|earlier| (-1.0..RECENTLY.as_secs_f64()).contains(&earlier))
            };
            let before =
                listed.iter().find(is_same).map(|silence| (silence.id.clone(), silence.until.unwrap_or(until)));
            let silence = match before {
                Some(silence) => silence,
                None => {
                    let created_by = created_by.clone();
                    let silence = NewSilence { comment, labels: alert.labels, from: now, until, created_by };
                    (in_time(deadline, client.silence(&silence)).await?, until)
                }
            };
            made.insert(incident.0, silence);
        }
        Ok(())
    };
    let problem: Option<String> = make_all.await.err();
    let done = made.len();
    let written = written(service, config, press, Action::Silence(length), problem.clone(), {
        let made = made.clone();
        move |connection| {
            for (incident, (id, until)) in made {
                presses::silence(connection, IncidentId(incident), &Silence { id, by: by.clone(), until })?;
            }
            Ok(())
        }
    })
    .await;
    if let Err(error) = written {
        // A silence that is not known here could not be undone from here either.
        if let Ok(client) = client(config) {
            for (id, _) in made.values() {
                if let Err(error) = client.expire(id).await {
                    tracing::warn!(silence = id, error = %display_chain(&error), "a silence was made that is not known here");
                }
            }
        }
        return Err(error);
    }
    Ok(match (&problem, done) {
        (None, _) => (counted("Silenced", done, &format!(" for {}", shown(length))), None),
        (Some(_), 0) => ("Nothing is silenced.".to_owned(), problem),
        (Some(_), _) => (format!("Silenced {done} of {wanted}; press again for the others."), problem),
    })
}

/// Ends the silences that were made from here, also those that are not written down because the program was ended in
/// between: what is undone is not silenced any more.
async fn undo(
    service: &Service,
    config: &Config,
    press: &Press,
    silences: Vec<(IncidentId, String, Alert)>,
) -> Outcome {
    let (wanted, deadline) = (silences.len(), Instant::now() + BUDGET);
    let mut ended = Vec::new();
    let end_all = async {
        let client = client(config)?;
        let listed = in_time(deadline, client.silences()).await?;
        for (incident, id, alert) in silences {
            let comment = comment(&alert);
            let is_from_here = |silence: &&ListedSilence| {
                silence.id != id && silence.comment == comment && silence.is_of(&alert.labels)
            };
            for other in listed.iter().filter(is_from_here) {
                in_time(deadline, client.expire(&other.id)).await?;
            }
            in_time(deadline, client.expire(&id)).await?;
            ended.push((incident, id));
        }
        Ok(())
    };
    let problem: Option<String> = end_all.await.err();
    let done = ended.len();
    written(service, config, press, Action::Undo, problem.clone(), move |connection| {
        for (incident, id) in &ended {
            presses::end_silence(connection, *incident, id)?;
        }
        Ok(())
    })
    .await?;
    Ok(match (&problem, done) {
        (None, 1) => ("The silence is ended.".to_owned(), None),
        (None, _) => (format!("{done} silences are ended."), None),
        (Some(_), 0) => ("It stays silenced.".to_owned(), problem),
        (Some(_), _) => (format!("Ended {done} of {wanted}; press again for the others."), problem),
    })
}

/// Writes down what was done, and that the button is used where all of it was.
async fn written(
    service: &Service,
    config: &Config,
    press: &Press,
    action: Action,
    problem: Option<String>,
    work: impl FnOnce(&Connection) -> Result<(), StoreError> + Send + 'static,
) -> Result<(), StoreError> {
    let (press, config) = (press.clone(), config.clone());
    let now = Timestamp::now();
    service
        .store
        .write(move |connection| {
            work(connection)?;
            let outcome = match problem {
                None => {
                    buttons::use_up(connection, &press.data, press.from.id, now)?;
                    "done".to_owned()
                }
                Some(problem) => format!("failed: {problem}"),
            };
            note(connection, &press, &config, Some(action), &outcome, now)
        })
        .await
}

fn client(config: &Config) -> Result<Client, String> {
    let settings = config.alertmanager.as_ref().ok_or_else(|| Refusal::NoAlertmanager.to_string())?;
    Client::new(settings).map_err(|error| display_chain(&error))
}

/// Keeps who has pressed what, and what came of it.
fn note(
    connection: &Connection,
    press: &Press,
    config: &Config,
    action: Option<Action>,
    outcome: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let name = name(config, press);
    let action = action.map_or_else(|| "unknown".to_owned(), |action| action.to_string());
    let pressed = Pressed { user: press.from.id, name: &name, at: press.at, action: &action, outcome };
    presses::note(connection, &pressed, now)
}

/// What people call who has pressed; strangers by what they call themselves.
fn name(config: &Config, press: &Press) -> String {
    let known = config.buttons.as_ref().and_then(|buttons| buttons.users.get(&press.from.id));
    known.cloned().unwrap_or_else(|| press.from.name.chars().take(LONGEST_NAME).collect())
}

fn comment(alert: &Alert) -> String {
    let name = match alert.label("alertname") {
        "" => "alert",
        name => name,
    };
    let whose = alert.instance().map(|instance| format!(" on {instance}")).unwrap_or_default();
    format!("{name}{whose}, from Telegram by {OWN_RECEIVER}")
}

fn counted(verb: &str, count: usize, rest: &str) -> String {
    if count == 1 { format!("{verb} it{rest}.") } else { format!("{verb} {count} alerts{rest}.") }
}

fn failed(text: &str) -> Answer {
    Answer { text: bounded(text), is_alert: true }
}

fn bounded(text: &str) -> String {
    if text.encode_utf16().count() <= LONGEST_ANSWER {
        return text.to_owned();
    }
    let mut room = LONGEST_ANSWER - 1;
    let fits = |character: &char| {
        let left = room.checked_sub(character.len_utf16());
        room = left.unwrap_or(0);
        left.is_some()
    };
    text.chars().take_while(fits).chain(['…']).collect()
}

#[cfg(test)]
mod tests;
