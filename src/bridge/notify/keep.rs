//! Notes in the store: a message that is there once, and a progress that is one message until it has ended.

use rusqlite::Connection;

use super::request::{MOST_STEPS, Refusal, Step, Update};
use crate::bridge::card::{CardId, Content, Message, Progress, ProgressStep, StepState};
use crate::bridge::config::ChatName;
use crate::bridge::store::{StoreError, cards, notes};
use crate::system::time::Timestamp;

/// Why a note is not kept.
#[derive(Debug, thiserror::Error)]
pub(super) enum KeepError {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<rusqlite::Error> for KeepError {
    fn from(error: rusqlite::Error) -> Self {
        KeepError::Store(error.into())
    }
}

/// Keeps a message. One with the same key in the same chat becomes this one.
pub(super) fn message(
    connection: &Connection,
    chat: &ChatName,
    message: Message,
    key: Option<&str>,
    now: Timestamp,
) -> Result<CardId, KeepError> {
    let key = key.map(|key| format!("message {key}"));
    let content = Content::Message(message);
    let there = match &key {
        None => None,
        Some(key) => notes::find(connection, chat, key)?,
    };
    match there {
        None => Ok(cards::create_with(connection, chat, &content, key.as_deref(), now)?),
        Some(card) => {
            notes::replace(connection, card, &content)?;
            Ok(card)
        }
    }
}

/// Carries a progress on, or begins one where there is none that has not ended.
pub(super) fn progress(
    connection: &Connection,
    chat: &ChatName,
    update: &Update,
    instance: Option<&str>,
    now: Timestamp,
) -> Result<CardId, KeepError> {
    // An id has no line break in it, so that one id is never the beginning of another one's key.
    let key = |count: u64| format!("progress {}\n{count}", update.id);
    let last = notes::last_progress(connection, chat, &format!("progress {}\n", update.id))?;
    let mut count = 0;
    if let Some((card, last_key)) = last {
        count = last_key.rsplit('\n').next().and_then(|count| count.parse().ok()).unwrap_or(0);
        let Some(Content::Progress(before)) = cards::load(connection, card)?.map(|card| card.content) else {
            return Err(StoreError::Damaged(format!("the progress {last_key:?}")).into());
        };
        let after = applied(before.clone(), update, now)?;
        let has_ended = before.outcome.is_some();
        // Who posts an end again has not heard that it was accepted.
        let is_repeat = has_ended && update.outcome.is_some() && (update.steps.is_empty() || after == before);
        if !update.is_start && (!has_ended || is_repeat) {
            notes::replace(connection, card, &Content::Progress(after))?;
            return Ok(card);
        }
        if !has_ended {
            let broken_off = Update {
                steps: Vec::new(),
                are_all: false,
                title: None,
                outcome: Some(StepState::Failed),
                ..update.clone()
            };
            notes::replace(connection, card, &Content::Progress(applied(before, &broken_off, now)?))?;
        }
    }
    let begun = Progress {
        title: update.id.clone(),
        instance: instance.map(str::to_owned),
        steps: Vec::new(),
        outcome: None,
        began: now,
        ended: None,
        is_failure_told: false,
    };
    let content = Content::Progress(applied(begun, update, now)?);
    Ok(cards::create_with(connection, chat, &content, Some(&key(count + 1)), now)?)
}

/// A progress after what was told of it.
fn applied(mut progress: Progress, update: &Update, now: Timestamp) -> Result<Progress, Refusal> {
    if let Some(title) = update.title.as_ref().filter(|title| !title.is_empty()) {
        progress.title = title.clone();
    }
    if update.are_all {
        let before = std::mem::take(&mut progress.steps);
        progress.steps = before.into_iter().filter(|old| update.steps.iter().any(|new| new.name == old.name)).collect();
    }
    for Step { name, state, detail } in &update.steps {
        match progress.steps.iter_mut().find(|step| step.name == *name) {
            Some(step) => {
                step.state = *state;
                if let Some(detail) = detail {
                    step.detail = detail.clone();
                }
            }
            None => {
                let step =
                    ProgressStep { name: name.clone(), state: *state, detail: detail.clone().unwrap_or_default() };
                progress.steps.push(step);
            }
        }
    }
    if update.are_all {
        let place = |step: &ProgressStep| update.steps.iter().position(|new| new.name == step.name);
        progress.steps.sort_by_key(place);
    }
    if progress.steps.len() > MOST_STEPS {
        return Err(Refusal::field("step", format!("there are {MOST_STEPS} already, which is the most")));
    }
    if let Some(outcome) = update.outcome {
        // What was under way has come to what all of it has come to.
        for step in progress.steps.iter_mut().filter(|step| step.state == StepState::Running) {
            step.state = outcome;
        }
        if progress.outcome != Some(outcome) {
            progress.ended = Some(now);
        }
        progress.outcome = Some(outcome);
    }
    Ok(progress)
}
