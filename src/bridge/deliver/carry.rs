//! The calls for one card: one after the other, each with what has come of it written down before the next.

use std::time::Instant;

use super::clock::after;
use super::lane::{Begun, Lane, Pause};
use super::outcome::Verb;
use super::plan::{self, Operation};
use crate::bridge::buttons;
use crate::bridge::card::{Card, Content, Part, Step};
use crate::bridge::config::Resolve;
use crate::bridge::metrics::table::{Count, Duration};
use crate::bridge::render::Rendered;
use crate::bridge::store::queue::subject;
use crate::bridge::store::{StoreError, delivery};
use crate::bridge::telegram::{Document, Failure, Keyboard, MessageId, Outgoing, Text};
use crate::system::time::Timestamp;

/// A card with more alerts than this is not rendered where others wait for the same thread.
const MOST_AT_ONCE: usize = 10;

/// How far the calls for a card have come.
pub(super) struct Progress {
    pub(super) begun: Begun,
    rendered: Rendered,
    /// How many messages of an announcement were sent.
    announced: usize,
    /// Whether it is known that the topic can not be written to.
    pub(super) is_thread_gone: bool,
    /// Whether it is known that the message to be answered is gone.
    pub(super) is_reply_gone: bool,
}

/// A call that is to be made.
pub(super) struct Attempt {
    pub(super) operation: Operation,
    pub(super) outgoing: Outgoing,
    pub(super) verb: Verb,
}

/// How it goes on after a call.
pub(super) enum Onward {
    /// With the next call.
    Next,
    /// With the next call, at once: it belongs to the one that was made.
    AtOnce,
    /// Not for this card.
    Leave(Pause),
}

/// Whether the next call may be made.
enum Leave {
    /// There is leave already.
    Given,
    /// It is made at once, with leave or without.
    Taken,
    /// There has to be leave.
    Asked,
}

impl Lane {
    /// Makes the calls for a card; there is leave for the first one.
    pub(super) async fn carry(&mut self, begun: Begun) -> Result<Pause, StoreError> {
        let now = self.clock.now();
        let (begun, rendered) = render(begun, now).await?;
        let card = &begun.card;
        if let Some(problem) = &rendered.template_problem {
            tracing::error!(chat = %self.name, problem, "the template has failed; the shipped one is used");
            self.service.metrics.count(Count::TemplateFailures, &[self.name.as_str()]);
        }
        if card.sent == 0
            && card.parts.is_empty()
            && card.attempts == 0
            && card.uncertain == 0
            && card.diverted.is_none()
            && self.last_first != Some(card.id)
        {
            // After a wait that Telegram has asked for, the same call is made again.
            self.last_first = Some(card.id);
            self.service.metrics.observe(Duration::FirstCall, card.created.age_at(now));
        }
        self.carry_rendered(begun, rendered).await
    }

    /// The same, with what the card is to look like.
    pub(super) async fn carry_rendered(&mut self, begun: Begun, rendered: Rendered) -> Result<Pause, StoreError> {
        let mut progress = Progress { begun, rendered, announced: 0, is_thread_gone: false, is_reply_gone: false };
        let mut leave = Leave::Given;
        loop {
            let Some(attempt) = self.next_attempt(&progress) else {
                self.finish(&progress).await?;
                return Ok(Pause::No);
            };
            let refused = match leave {
                Leave::Given => None,
                Leave::Taken => {
                    self.buckets().take_anyway(attempt.outgoing.to.chat_id, self.clock.now());
                    None
                }
                Leave::Asked => self.ask_leave(&progress, &attempt),
            };
            if let Some(pause) = refused {
                let card = progress.begun.card.id;
                self.persist(move |connection| delivery::end(connection, card)).await?;
                return Ok(pause);
            }
            let onward = match self.call(&progress, &attempt).await {
                Ok(message) => self.succeed(&mut progress, attempt, message).await?,
                Err(failure) => self.mend(&mut progress, attempt, failure).await?,
            };
            leave = match onward {
                Onward::Next => Leave::Asked,
                Onward::AtOnce => Leave::Taken,
                Onward::Leave(pause) => return Ok(pause),
            };
        }
    }

    /// Why the next call is not made now.
    fn ask_leave(&self, progress: &Progress, attempt: &Attempt) -> Option<Pause> {
        if *self.stop.borrow() {
            return Some(Pause::No);
        }
        let now = self.clock.now();
        let leave = self.buckets().take(attempt.outgoing.to.chat_id, progress.is_critical(), now);
        leave.err().map(|wait| Pause::Idle(Some(after(now, wait))))
    }

    /// The next call for a card; none where there is none.
    fn next_attempt(&self, progress: &Progress) -> Option<Attempt> {
        let Begun { in_force, card, step, keyboard, configured, home, .. } = &progress.begun;
        let chat = in_force.config.chats.get(&self.name)?;
        let texts = progress.texts();
        let now = self.clock.now();
        let first = card.parts.first();
        let answer = first.map(|part| part.message).filter(|_| !progress.is_reply_gone);
        let mut to = first.map_or(*home, |part| part.at);
        let is_known_gone = home.thread.is_none() && to.thread == configured.thread;
        if progress.is_thread_gone || is_known_gone {
            to.thread = None;
        }
        if let Step::Announce(over) = step {
            let text = texts.into_iter().nth(progress.announced)?;
            // A message of its own is no answer.
            let is_answer = chat.resolve != Resolve::New || over.is_empty();
            let is_silent = progress.announced > 0 || plan::is_announcement_silent(card, chat, now);
            let reply_to = answer.filter(|_| is_answer);
            let outgoing = Outgoing { to, text, reply_to, keyboard: Keyboard::default(), is_silent };
            return Some(Attempt { operation: Operation::Send(progress.announced), outgoing, verb: Verb::Send });
        }
        let has_document = progress.document().is_some();
        let operation = plan::next_operation(card, &texts, keyboard, has_document)?;
        let text = |position: usize| texts.get(position).cloned().unwrap_or_else(|| Text::Plain(String::new()));
        let (verb, outgoing) = match operation {
            Operation::Send(position) => {
                let is_news = *step == Step::Send && position == 0;
                let is_silent = !is_news || plan::is_silent(card, chat, now);
                let keyboard = plan::keyboard_at(position, card.level, keyboard);
                (Verb::Send, Outgoing { to, text: text(position), reply_to: answer, keyboard, is_silent })
            }
            Operation::Edit(position) => {
                let to = card.parts.get(position).map_or(to, |part| part.at);
                let keyboard = plan::keyboard_at(position, card.level, keyboard);
                (Verb::Edit, Outgoing { to, text: text(position), reply_to: None, keyboard, is_silent: true })
            }
            Operation::Delete(position) => {
                let to = card.parts.get(position).map_or(to, |part| part.at);
                let (text, keyboard) = (Text::Plain(String::new()), Keyboard::default());
                (Verb::Delete, Outgoing { to, text, reply_to: None, keyboard, is_silent: true })
            }
            Operation::Document => {
                let (text, keyboard) = (Text::Plain(String::new()), Keyboard::default());
                (Verb::Document, Outgoing { to, text, reply_to: answer, keyboard, is_silent: true })
            }
        };
        Some(Attempt { operation, outgoing, verb })
    }

    async fn call(&self, progress: &Progress, attempt: &Attempt) -> Result<Option<MessageId>, Failure> {
        let Begun { in_force, card, .. } = &progress.begun;
        let (telegram, outgoing) = (&in_force.telegram, &attempt.outgoing);
        let message = |position: usize| card.parts.get(position).map_or(MessageId(0), |part| part.message);
        let began = Instant::now();
        let (method, outcome) = match attempt.operation {
            Operation::Send(_) if card.uncertain > 0 => ("sendMessage", telegram.send_again(outgoing).await.map(Some)),
            Operation::Send(_) => ("sendMessage", telegram.send(outgoing).await.map(Some)),
            Operation::Edit(position) => {
                ("editMessageText", telegram.edit(message(position), outgoing).await.map(|()| None))
            }
            Operation::Delete(position) => {
                ("deleteMessage", telegram.delete(outgoing.to, message(position)).await.map(|()| None))
            }
            Operation::Document => match progress.document() {
                Some(document) => ("sendDocument", telegram.send_document(outgoing, document).await.map(Some)),
                None => return Ok(None),
            },
        };
        self.service.metrics.count(Count::Calls, &[method]);
        self.service.metrics.observe(Duration::Call, began.elapsed());
        outcome
    }

    /// Writes down that a call has succeeded.
    pub(super) async fn succeed(
        &mut self,
        progress: &mut Progress,
        attempt: Attempt,
        message: Option<MessageId>,
    ) -> Result<Onward, StoreError> {
        let Attempt { operation, outgoing, verb } = attempt;
        let is_announcement = progress.is_announcement();
        let kind = match verb {
            Verb::Send if is_announcement => "announcement",
            Verb::Send => "message",
            Verb::Edit => "edit",
            Verb::Document => "document",
            Verb::Delete => "",
        };
        if !kind.is_empty() {
            self.service.metrics.count(Count::Sent, &[self.name.as_str(), kind]);
        }
        self.failures = 0;
        if progress.begun.unreachable.take().is_some() && outgoing.to.chat_id == progress.begun.home.chat_id {
            tracing::info!(chat = %self.name, "the chat can be written to again");
            let name = self.name.clone();
            self.persist(move |connection| delivery::regain(connection, &name)).await?;
        }
        if is_announcement {
            progress.announced += 1;
            return Ok(Onward::AtOnce);
        }
        let card = &mut progress.begun.card;
        let id = card.id;
        match operation {
            Operation::Send(position) | Operation::Edit(position) => {
                let old = card.parts.get(position).map(|part| part.message);
                let Some(message) = message.or(old) else { return Ok(Onward::Next) };
                let part = Part { at: outgoing.to, message, text: outgoing.text, keyboard: outgoing.keyboard };
                match card.parts.get_mut(position) {
                    Some(old) => *old = part.clone(),
                    None => card.parts.push(part.clone()),
                }
                let shown = self.next_attempt(progress).is_none().then(|| progress.begun.card.clone());
                let now = self.clock.now();
                let is_done = shown.is_some();
                self.persist(move |connection| {
                    delivery::keep_part(connection, id, position, &part)?;
                    if position == 0 {
                        buttons::bind(connection, id, part.at, part.message)?;
                    }
                    shown.as_ref().map_or(Ok(()), |shown| delivery::show(connection, shown, now))
                })
                .await?;
                return Ok(if is_done { Onward::Leave(Pause::No) } else { Onward::Next });
            }
            Operation::Delete(position) => {
                card.parts.truncate(position);
                self.persist(move |connection| delivery::forget_parts(connection, id, position)).await?;
            }
            Operation::Document => {
                let document = message.unwrap_or(MessageId(0));
                card.document = Some(document);
                self.persist(move |connection| delivery::keep_document(connection, id, document)).await?;
            }
        }
        Ok(Onward::Next)
    }

    /// Writes down that there is nothing more to do for the card as it was.
    async fn finish(&self, progress: &Progress) -> Result<(), StoreError> {
        let Begun { in_force, card, step, .. } = &progress.begun;
        let now = self.clock.now();
        let shown = card.clone();
        match step {
            Step::Announce(over) => {
                let mode = in_force.config.chats.get(&self.name).map(|chat| chat.resolve).unwrap_or_default();
                let stays = !over.is_empty() && matches!(mode, Resolve::Reply | Resolve::New);
                let (over, desired) = (over.clone(), stays.then_some(card.desired));
                self.persist(move |connection| delivery::announce(connection, shown.id, &over, desired, now)).await
            }
            Step::Send | Step::Edit => self.persist(move |connection| delivery::show(connection, &shown, now)).await,
        }
    }
}

/// Renders a card, where it takes long not in the way of others. Should rendering panic, there is still the line: one card
/// does not keep its chat waiting for ever.
async fn render(begun: Begun, now: Timestamp) -> Result<(Begun, Rendered), StoreError> {
    let is_large = matches!(&begun.card.content, Content::Incidents(members) if members.len() > MOST_AT_ONCE);
    let work = move || {
        let Begun { in_force, card, step, .. } = &begun;
        let made = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| match step {
            Step::Send | Step::Edit => in_force.renderer.card(card, now),
            Step::Announce(over) => in_force.renderer.announcement(card, over, now),
        }));
        let rendered = made.unwrap_or_else(|_| bare(card));
        (begun, rendered)
    };
    if !is_large {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Closed)
}

/// What is told of a card where rendering has panicked.
fn bare(card: &Card) -> Rendered {
    tracing::error!(card = card.id.0, "a card could not be rendered, which should never be; it is told in one line");
    Rendered {
        parts: Vec::new(),
        line: format!("{} (what it is could not be written; look in Alertmanager)", subject(card)),
        document: None,
        instead: Vec::new(),
        template_problem: None,
    }
}

impl Progress {
    pub(super) fn is_announcement(&self) -> bool {
        matches!(self.begun.step, Step::Announce(_))
    }

    fn is_critical(&self) -> bool {
        let urgency = crate::bridge::card::next_step(&self.begun.card).map(|(_, urgency)| urgency);
        urgency == Some(crate::bridge::card::Urgency::Critical)
    }

    fn texts(&self) -> Vec<Text> {
        let card = &self.begun.card;
        let mut texts = plan::texts(&self.rendered, card.level);
        if card.sent > 0 && card.is_file_refused() && !self.rendered.instead.is_empty() {
            // As a file would, these stay as they were.
            let there = card.parts.iter().skip(texts.len()).map(|part| part.text.clone());
            texts.extend(there.collect::<Vec<_>>());
        } else {
            texts.extend(plan::instead(&self.rendered, card.level));
        }
        texts
    }

    /// The file that belongs to the card. There is no markup in it that could be refused, so that one line has it, too.
    fn document(&self) -> Option<&Document> {
        let is_possible = !matches!(self.begun.card.content, Content::Progress(_));
        self.rendered.document.as_ref().filter(|_| is_possible)
    }
}
