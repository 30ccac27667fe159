//! Doing what was decided about a call that failed.

use std::sync::Arc;
use std::time::Duration;

use super::carry::{Attempt, Onward, Progress};
use super::clock::after;
use super::lane::{Begun, Lane, Pause};
use super::outcome::{Action, Circumstances, backoff, decide};
use super::plan::{self, Operation};
use crate::bridge::alert::Severity;
use crate::bridge::card::{Level, Message};
use crate::bridge::metrics::table::Count;
use crate::bridge::reload::InForce;
use crate::bridge::store::delivery::{self, Setback};
use crate::bridge::store::{StoreError, milliseconds, pauses};
use crate::bridge::telegram::{Destination, Failure};
use crate::system::time::Timestamp;

impl Lane {
    /// Does what is to be done about a call that failed, and writes it down.
    pub(super) async fn mend(
        &mut self,
        progress: &mut Progress,
        attempt: Attempt,
        failure: Failure,
    ) -> Result<Onward, StoreError> {
        let Begun { card, configured, home, .. } = &progress.begun;
        let (id, configured, home) = (card.id, *configured, *home);
        let to = attempt.outgoing.to;
        let action = decide(
            &failure,
            Circumstances {
                verb: attempt.verb,
                level: card.level,
                has_thread: to.thread.is_some(),
                has_reply: attempt.outgoing.reply_to.is_some(),
                attempts: card.attempts,
                uncertain: card.uncertain,
                failures: self.failures,
                chance: chance(),
            },
        );
        if action != Action::Done {
            tracing::warn!(chat = %self.name, card = id.0, class = failure.class(), %failure, "a call has failed");
            self.service.metrics.count(Count::Failed, &[self.name.as_str(), failure.class()]);
        }
        let now = self.clock.now();
        let told = said(&failure);
        match action {
            Action::Done => self.succeed(progress, attempt, None).await,
            Action::Wait(wait) => {
                let (name, until) = (self.name.clone(), after(now, wait));
                self.persist(move |connection| {
                    delivery::wait(connection, &name, configured, until)?;
                    delivery::end(connection, id)
                })
                .await?;
                // The chat may be another one than the configured, of which nothing is kept.
                self.asked_until = Some(until);
                Ok(Onward::Leave(Pause::Until(until)))
            }
            Action::Retry { wait, is_uncertain } => {
                self.failures = self.failures.saturating_add(1);
                let until = after(now, wait);
                self.not_before = Some(until);
                let name = self.name.clone();
                self.persist(move |connection| pauses::begin(connection, &name, until)).await?;
                self.set_back(progress, told, None, is_uncertain).await?;
                Ok(Onward::Leave(Pause::Until(until)))
            }
            Action::LetOthersGo { wait, is_uncertain } => {
                self.set_back(progress, told, Some(after(now, wait)), is_uncertain).await?;
                if is_uncertain {
                    // The trouble may be with the way there, and then each of the others would be there twice as well.
                    self.failures = self.failures.saturating_add(1);
                    self.not_before = Some(after(now, backoff(self.failures, chance())));
                }
                Ok(Onward::Leave(Pause::No))
            }
            Action::Follow(number) => self.follow(progress, to, number).await,
            Action::WithoutThread => {
                progress.is_thread_gone = true;
                if to == home {
                    self.lose_thread(progress, &told).await?;
                }
                Ok(Onward::AtOnce)
            }
            Action::WithoutReply => {
                progress.is_reply_gone = true;
                Ok(Onward::AtOnce)
            }
            Action::Replace => {
                let position = match attempt.operation {
                    Operation::Edit(position) => position,
                    _ => 0,
                };
                progress.begun.card.parts.truncate(position);
                self.persist(move |connection| delivery::forget_parts(connection, id, position)).await?;
                Ok(Onward::AtOnce)
            }
            Action::Degrade(level) => {
                progress.begun.card.level = level;
                let word = if level == Level::Plain { "plain" } else { "line" };
                self.service.metrics.count(Count::Degraded, &[self.name.as_str(), word]);
                self.persist(move |connection| delivery::degrade(connection, id, level, &told)).await?;
                Ok(Onward::AtOnce)
            }
            Action::Elsewhere { .. } | Action::Park if to.chat_id != home.chat_id => {
                // It stands in a chat that this name no longer means; what is to be told is told in the one it means.
                let is_change = action == Action::Park;
                progress.begun.card.parts.clear();
                self.persist(move |connection| {
                    delivery::forget_parts(connection, id, 0)?;
                    if is_change { delivery::leave(connection, id) } else { delivery::end(connection, id) }
                })
                .await?;
                Ok(Onward::Leave(Pause::No))
            }
            Action::Elsewhere { is_chat_lost: true } => {
                let try_again = self.lose_chat(progress, &told).await?;
                self.divert(&progress.begun.in_force, id, told, try_again).await?;
                Ok(Onward::Leave(Pause::No))
            }
            Action::Elsewhere { is_chat_lost: false } => {
                self.tell(
                    &progress.begun.in_force,
                    format!("refused {}", id.0),
                    format!("Telegram refuses a message for the chat {} in every form: {told}", self.name),
                )
                .await?;
                let try_again = after(now, Duration::from_secs(300));
                self.divert(&progress.begun.in_force, id, told, try_again).await?;
                Ok(Onward::Leave(Pause::No))
            }
            Action::Park => {
                let try_again = self.lose_chat(progress, &told).await?;
                self.set_back(progress, told, Some(try_again), false).await?;
                Ok(Onward::Leave(Pause::No))
            }
            Action::StopAll => {
                tracing::error!(%failure, "nothing can be delivered until there is another token");
                self.service.health.token_refused.store(Some(Arc::new(told)));
                self.persist(move |connection| delivery::end(connection, id)).await?;
                Ok(Onward::Leave(Pause::Refused))
            }
            Action::GiveUp => self.give_up(progress, attempt.operation).await,
        }
    }

    async fn set_back(
        &self,
        progress: &Progress,
        failure: String,
        not_before: Option<Timestamp>,
        is_uncertain: bool,
    ) -> Result<(), StoreError> {
        if is_uncertain {
            self.service.metrics.count(Count::Uncertain, &[self.name.as_str()]);
        }
        let id = progress.begun.card.id;
        let setback = Setback { failure, not_before, is_uncertain };
        self.persist(move |connection| delivery::set_back(connection, id, &setback)).await
    }

    /// Tells in messages what no file is taken for, or leaves a message that is one too many.
    async fn give_up(&self, progress: &mut Progress, operation: Operation) -> Result<Onward, StoreError> {
        let id = progress.begun.card.id;
        match operation {
            Operation::Delete(position) => {
                progress.begun.card.parts.truncate(position);
                self.persist(move |connection| delivery::forget_parts(connection, id, position)).await?;
            }
            _ => {
                tracing::warn!(chat = %self.name, card = id.0, "no file is taken; what would be in it is told in messages");
                self.persist(move |connection| delivery::refuse_file(connection, id)).await?;
                return Ok(Onward::Leave(Pause::No));
            }
        }
        Ok(Onward::Next)
    }

    /// The group has become another chat.
    async fn follow(&self, progress: &Progress, old: Destination, new: i64) -> Result<Onward, StoreError> {
        tracing::warn!(chat = %self.name, old = old.chat_id, new, "the chat has another number; it is followed");
        self.service.metrics.count(Count::Migrated, &[self.name.as_str()]);
        let (id, now, old) = (progress.begun.card.id, self.clock.now(), old.chat_id);
        self.persist(move |connection| {
            delivery::migrate(connection, old, new, now)?;
            delivery::end(connection, id)
        })
        .await?;
        let text = format!(
            "The chat {} was {old} and is now {new}. It is followed; the configuration should have the new number.",
            self.name
        );
        self.tell(&progress.begun.in_force, format!("migrated {old} {new}"), text).await?;
        Ok(Onward::Leave(Pause::No))
    }

    /// The topic is gone: until it is tried again, messages go to the chat without it.
    async fn lose_thread(&self, progress: &Progress, because: &str) -> Result<(), StoreError> {
        let (name, at, now) = (self.name.clone(), progress.begun.configured, self.clock.now());
        let reason = because.to_owned();
        self.persist(move |connection| delivery::lose_thread(connection, &name, at, &reason, now)).await?;
        let thread = at.thread.unwrap_or_default();
        let text = format!(
            "The topic {thread} of the chat {} can not be written to ({because}). Its messages are in the chat without it.",
            self.name
        );
        self.tell(&progress.begun.in_force, format!("thread {} {thread}", self.name), text).await
    }

    /// The chat can not be written to. Gives when it is tried again.
    async fn lose_chat(&self, progress: &Progress, because: &str) -> Result<Timestamp, StoreError> {
        let Begun { in_force, configured, unreachable, .. } = &progress.begun;
        self.lose(in_force, *configured, unreachable.as_ref().map(|chat| chat.since), because).await
    }

    /// The same for a chat that is at `at` by the configuration, and could not be written to `before`.
    pub(super) async fn lose(
        &self,
        in_force: &InForce,
        at: Destination,
        before: Option<Timestamp>,
        because: &str,
    ) -> Result<Timestamp, StoreError> {
        let now = self.clock.now();
        let since = before.unwrap_or(now);
        let try_again = after(now, plan::patience(since, now));
        let (name, reason) = (self.name.clone(), because.to_owned());
        self.persist(move |connection| delivery::lose(connection, &name, at, &reason, now, try_again)).await?;
        if before.is_none() {
            let text = format!(
                "The chat {} can not be written to: {because}. Its messages go to another chat until it can.",
                self.name
            );
            self.tell(in_force, format!("unreachable {} {}", self.name, milliseconds(since)), text).await?;
        }
        Ok(try_again)
    }

    /// Tells who looks after the bridge what is wrong, once.
    async fn tell(&self, in_force: &InForce, key: String, text: String) -> Result<(), StoreError> {
        let chat = in_force.config.operations_chat.clone();
        let now = self.clock.now();
        self.persist(move |connection| {
            let message = Message {
                title: "hermes-alert-bridge".to_owned(),
                text: text.clone(),
                severity: Severity::Warning,
                instance: None,
                is_silent: false,
            };
            delivery::notice(connection, &chat, message, &key, now)
        })
        .await
    }
}

/// What Telegram said, where it is known what is meant by it.
fn said(failure: &Failure) -> String {
    match failure {
        Failure::Destination(text) | Failure::Thread(text) | Failure::Content(text) | Failure::Unauthorized(text) => {
            text.clone()
        }
        other => other.to_string(),
    }
}

/// Something from 0 to 1.
fn chance() -> f64 {
    let mut byte = [0];
    // Without chance everybody comes back at once, which does no harm.
    getrandom::fill(&mut byte).map_or(0.0, |()| f64::from(byte[0]) / 255.0)
}
