//! One chat: takes its most urgent card, again and again, and waits where there is none or none may be sent.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::watch;

use super::Look;
use super::buckets::Buckets;
use super::clock::{Clock, after};
use super::plan;
use crate::bridge::buttons;
use crate::bridge::card::{Card, CardId, Step, next_step};
use crate::bridge::config::{ChatIdError, ChatName, Config, Delivery, Resolve};
use crate::bridge::metrics::table::Count;
use crate::bridge::reload::InForce;
use crate::bridge::service::{ButtonState, Service, Stop};
use crate::bridge::store::delivery::{self, Next, Setback, Unreachable};
use crate::bridge::store::{StoreError, cards};
use crate::bridge::telegram::{Destination, Keyboard, console};
use crate::error_chain::display_chain;
use crate::system::time::Timestamp;

/// A topic that was gone is tried again after this.
const THREAD_PATIENCE: Duration = Duration::from_secs(6 * 3600);

/// After something that should not be, it is tried again after this.
const TROUBLE_WAIT: Duration = Duration::from_secs(5);

/// A card that can not be understood is looked at again after this; a newer version may understand it.
const DAMAGE_WAIT: Duration = Duration::from_secs(3600);

/// For as long as this it may not be known where a chat is before its cards go elsewhere.
const ADDRESS_PATIENCE: Duration = Duration::from_secs(10);

/// No chat has this number; what is known of one whose number can not be told is known under this.
const NOWHERE: i64 = 0;

/// The longest wait for a store that does not take what has come of a call.
const LONGEST_STORE_WAIT: Duration = Duration::from_secs(30);

/// What a lane waits for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Pause {
    /// Nothing: there may be more to do.
    No,
    /// This moment; nothing may be sent before.
    Until(Timestamp),
    /// Something new, or this moment.
    Idle(Option<Timestamp>),
    /// Another token.
    Refused,
    /// Nothing ever: the chat is not configured any more.
    Ended,
}

/// One chat.
pub(super) struct Lane {
    pub(super) name: ChatName,
    pub(super) service: Service,
    pub(super) clock: Clock,
    pub(super) buckets: Arc<Mutex<Buckets>>,
    pub(super) stop: Stop,
    /// How often calls have failed since one last succeeded.
    pub(super) failures: u32,
    /// Nothing is tried before this, because of them.
    pub(super) not_before: Option<Timestamp>,
    /// Nothing is tried before this, because Telegram has asked for it.
    pub(super) asked_until: Option<Timestamp>,
    /// The last card for which a first call was made.
    pub(super) last_first: Option<CardId>,
    /// Since when it can not be told where the chat is.
    pub(super) lost_since: Option<Timestamp>,
}

/// A card for which calls are to be made.
pub(super) struct Begun {
    pub(super) in_force: Arc<InForce>,
    /// As it was when it was begun.
    pub(super) card: Card,
    pub(super) step: Step,
    pub(super) keyboard: Keyboard,
    /// Where the chat is by the configuration: what is known of it is known under this.
    pub(super) configured: Destination,
    /// Where new messages go.
    pub(super) home: Destination,
    /// Why the chat could not be written to until now.
    pub(super) unreachable: Option<Unreachable>,
}

impl Lane {
    pub(super) fn new(
        name: ChatName,
        service: Service,
        clock: Clock,
        buckets: Arc<Mutex<Buckets>>,
        stop: Stop,
    ) -> Lane {
        Lane {
            name,
            service,
            clock,
            buckets,
            stop,
            failures: 0,
            not_before: None,
            asked_until: None,
            last_first: None,
            lost_since: None,
        }
    }

    /// Delivers until the program is to end, or the chat is not configured any more.
    pub(super) async fn run(mut self, mut looking: watch::Receiver<Look>) {
        let mut wakes = self.service.store.wakes(&self.name);
        let mut round = *looking.borrow();
        let mut stop = self.stop.clone();
        while !*stop.borrow() {
            wakes.mark_unchanged();
            let now_round = *looking.borrow_and_update();
            if std::mem::replace(&mut round, now_round) != now_round {
                self.not_before = None;
                self.asked_until = None;
            }
            let pause = self.step().await.unwrap_or_else(|error| {
                tracing::error!(chat = %self.name, %error, "delivery does not get on");
                Pause::Until(after(self.clock.now(), TROUBLE_WAIT))
            });
            let (until, is_idle) = match pause {
                Pause::No => continue,
                Pause::Until(moment) => (Some(moment), false),
                Pause::Idle(moment) => (moment, true),
                Pause::Refused => (None, false),
                Pause::Ended => break,
            };
            let wait = until
                .map(|until| Duration::try_from_secs_f64(until.seconds_since(self.clock.now())).unwrap_or_default());
            tokio::select! {
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
                changed = wakes.changed(), if is_idle => if changed.is_err() { break },
                changed = looking.changed() => if changed.is_err() { break },
                _ = stop.wait_for(|stop| *stop) => {}
            }
        }
    }

    /// Does the next thing there is to do; then there may be more, or something to be waited for.
    pub(super) async fn step(&mut self) -> Result<Pause, StoreError> {
        let in_force = self.service.in_force();
        if !in_force.config.chats.contains_key(&self.name) {
            return Ok(Pause::Ended);
        }
        if self.service.health.token_refused.load().is_some() {
            return Ok(Pause::Refused);
        }
        let now = self.clock.now();
        if let Some(until) = [self.not_before, self.asked_until].into_iter().flatten().find(|until| *until > now) {
            return Ok(Pause::Until(until));
        }
        let configured = match address(&in_force.config, &self.name) {
            Ok(address) => {
                if self.lost_since.take().is_some() {
                    tracing::info!(chat = %self.name, "it is known again where the chat is");
                    let name = self.name.clone();
                    self.persist(move |connection| delivery::regain(connection, &name)).await?;
                }
                address
            }
            Err(error) => return self.do_without_address(&in_force, &error).await,
        };
        let name = self.name.clone();
        let digest_above = in_force.config.digest_above;
        let outlook = move |connection: &rusqlite::Transaction<'_>| {
            let number = delivery::follow(connection, configured.chat_id)?;
            Ok((delivery::outlook(connection, &name, configured, now, digest_above)?, number))
        };
        let (outlook, chat_id) = self.service.store.read(outlook).await?;
        if let Some(until) = outlook.chat.not_before.filter(|until| *until > now) {
            return Ok(Pause::Until(until));
        }
        let Some(next) = outlook.next else {
            return Ok(Pause::Idle(outlook.due));
        };
        if outlook.unsent > in_force.config.digest_above && self.merge().await? > 0 {
            return Ok(Pause::No);
        }
        if let Some(unreachable) = outlook.chat.unreachable.clone().filter(|chat| chat.try_again > now) {
            return self.pass_on(&in_force, next, unreachable).await;
        }
        if let Err(wait) = self.buckets().take(chat_id, next.is_critical, now) {
            // What comes in meanwhile may be more urgent, and have leave.
            return Ok(Pause::Idle(Some(after(now, wait))));
        }
        let is_thread_gone = outlook.chat.thread_gone.is_some_and(|since| since.age_at(now) < THREAD_PATIENCE);
        let thread = configured.thread.filter(|_| !is_thread_gone);
        let home = Destination { chat_id, thread };
        match self.begin(&in_force, next.card, configured, home, outlook.chat.unreachable).await? {
            Some(begun) => self.carry(begun).await,
            None => Ok(Pause::No),
        }
    }

    /// Passes on what there is for a chat of which it can not be told where it is, once that has been so for a while: the
    /// file with its number may just be being replaced.
    async fn do_without_address(&mut self, in_force: &Arc<InForce>, error: &AddressError) -> Result<Pause, StoreError> {
        let now = self.clock.now();
        let because = display_chain(error);
        if self.lost_since.is_none() {
            tracing::error!(chat = %self.name, error = because, "where the chat is can not be told");
        }
        let since = *self.lost_since.get_or_insert(now);
        if since.age_at(now) < ADDRESS_PATIENCE {
            return Ok(Pause::Until(after(now, TROUBLE_WAIT)));
        }
        // What is known under this is void as soon as there is a number.
        let thread = in_force.config.chats.get(&self.name).and_then(|chat| chat.thread);
        let nowhere = Destination { chat_id: NOWHERE, thread };
        let name = self.name.clone();
        let digest_above = in_force.config.digest_above;
        let outlook = move |connection: &rusqlite::Transaction<'_>| {
            delivery::outlook(connection, &name, nowhere, now, digest_above)
        };
        let outlook = self.service.store.read(outlook).await?;
        let look_again = after(now, TROUBLE_WAIT);
        let Some(next) = outlook.next else {
            return Ok(Pause::Idle(Some(outlook.due.filter(|due| *due < look_again).unwrap_or(look_again))));
        };
        if outlook.unsent > digest_above && self.merge().await? > 0 {
            return Ok(Pause::No);
        }
        let before = outlook.chat.unreachable;
        let unreachable = match before {
            Some(unreachable) if unreachable.try_again > now => unreachable,
            before => {
                let since = before.map(|chat| chat.since);
                let try_again = self.lose(in_force, nowhere, since, &because).await?;
                Unreachable { since: since.unwrap_or(now), because, try_again }
            }
        };
        self.pass_on(in_force, next, unreachable).await
    }

    pub(super) fn buckets(&self) -> std::sync::MutexGuard<'_, Buckets> {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts what waits for its first message into few cards. Gives how many there are less.
    async fn merge(&mut self) -> Result<usize, StoreError> {
        let name = self.name.clone();
        let merged = self.service.store.write(move |connection| delivery::merge(connection, &name)).await?;
        if merged > 0 {
            tracing::info!(chat = %self.name, cards = merged, "many cards are waiting; they are put together");
            self.service.metrics.count_many(Count::Merged, &[self.name.as_str()], merged as u64);
        }
        Ok(merged)
    }

    /// Brings a card elsewhere without trying, because the chat is known not to be writable for now.
    async fn pass_on(&mut self, in_force: &InForce, next: Next, chat: Unreachable) -> Result<Pause, StoreError> {
        if next.is_news {
            self.divert(in_force, next.card, chat.because, chat.try_again).await?;
        } else {
            let setback = Setback { failure: chat.because, not_before: Some(chat.try_again), is_uncertain: false };
            self.persist(move |connection| delivery::set_back(connection, next.card, &setback)).await?;
        }
        Ok(Pause::No)
    }

    /// Notes that calls for a card are begun. `None` where there is nothing to do for it.
    pub(super) async fn begin(
        &self,
        in_force: &Arc<InForce>,
        card: CardId,
        configured: Destination,
        home: Destination,
        unreachable: Option<Unreachable>,
    ) -> Result<Option<Begun>, StoreError> {
        let now = self.clock.now();
        let (shared, name) = (Arc::clone(in_force), self.name.clone());
        let state = self.service.health.buttons.load_full();
        let begun = self
            .service
            .store
            .write(move |connection| begin(connection, &shared.config, &state, &name, card, now))
            .await;
        match begun {
            Ok(begun) => Ok(begun.map(|(card, step, keyboard)| Begun {
                in_force: Arc::clone(in_force),
                card,
                step,
                keyboard,
                configured,
                home,
                unreachable,
            })),
            Err(StoreError::Damaged(failure)) => {
                tracing::error!(chat = %self.name, card = card.0, failure, "a card can not be understood; others go first");
                let setback = Setback { failure, not_before: Some(after(now, DAMAGE_WAIT)), is_uncertain: false };
                self.persist(move |connection| delivery::set_back(connection, card, &setback)).await?;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Brings a card to another chat; where there is none, it waits for `try_again`.
    pub(super) async fn divert(
        &self,
        in_force: &InForce,
        card: CardId,
        because: String,
        try_again: Timestamp,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let names = in_force.config.chats.keys();
        let addresses: Vec<_> =
            names.filter_map(|name| Some((name.clone(), address(&in_force.config, name).ok()?))).collect();
        let (config, from) = (in_force.config.clone(), self.name.clone());
        let diverted = self.persist(move |connection| {
            let Some(found) = cards::load(connection, card)? else { return Ok(None) };
            let mut reachable = Vec::new();
            for (name, at) in &addresses {
                let state = delivery::chat_state(connection, name, *at)?;
                if state.unreachable.is_none_or(|chat| chat.try_again <= now) {
                    reachable.push(name);
                }
            }
            let to = plan::fallback(&config, &found, |name| reachable.contains(&name));
            match &to {
                Some(to) => delivery::divert(connection, card, to, &from, &because)?,
                None => {
                    let failure = because.clone();
                    let setback = Setback { failure, not_before: Some(try_again), is_uncertain: false };
                    delivery::set_back(connection, card, &setback)?;
                }
            }
            Ok(to)
        });
        match diverted.await? {
            Some(to) => {
                tracing::warn!(chat = %self.name, %to, card = card.0, "a card goes to another chat");
                self.service.metrics.count(Count::Diverted, &[self.name.as_str()]);
            }
            None => tracing::error!(chat = %self.name, card = card.0, "there is no other chat for a card; it waits"),
        }
        Ok(())
    }

    /// Writes down what has come of a call. It has happened, so that this is not given up when the store does not take it.
    pub(super) async fn persist<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: Fn(&Connection) -> Result<T, StoreError> + Send + Sync + 'static,
    {
        let work = Arc::new(work);
        let mut wait = Duration::from_secs(1);
        loop {
            let once = Arc::clone(&work);
            match self.service.store.write(move |connection| once(connection)).await {
                Err(error @ (StoreError::Commit(_) | StoreError::Sqlite(_))) => {
                    tracing::error!(chat = %self.name, %error, "what has come of a call can not be written down yet");
                }
                outcome => return outcome,
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LONGEST_STORE_WAIT);
        }
    }
}

/// In one transaction: the card as it is, what is to be done for it, its buttons, and that this is begun.
fn begin(
    connection: &Connection,
    config: &Config,
    state: &ButtonState,
    name: &ChatName,
    id: CardId,
    now: Timestamp,
) -> Result<Option<(Card, Step, Keyboard)>, StoreError> {
    let Some(mut card) = cards::load(connection, id)?.filter(|card| card.chat == *name) else {
        return Ok(None);
    };
    let Some((step, _)) = next_step(&card) else {
        cards::order(connection, id)?;
        return Ok(None);
    };
    // A group that has become another chat has not taken its messages with it.
    let first = card.parts.first().map(|part| part.at.chat_id);
    if let Some(chat_id) = first
        && delivery::follow(connection, chat_id)? != chat_id
    {
        delivery::forget_parts(connection, id, 0)?;
        card.parts.clear();
    }
    let mode = config.chats.get(name).map(|chat| chat.resolve).unwrap_or_default();
    let keyboard = match &step {
        Step::Announce(over) if !over.is_empty() && mode == Resolve::Edit => {
            delivery::announce(connection, id, over, None, now)?;
            return Ok(None);
        }
        Step::Announce(_) => Keyboard::default(),
        Step::Send | Step::Edit => buttons::offer(connection, config, state, &card, now)?,
    };
    delivery::begin(connection, id, now)?;
    Ok(Some((card, step, keyboard)))
}

/// Why it is not known where a chat is.
#[derive(Debug, thiserror::Error)]
pub(super) enum AddressError {
    /// It is not configured.
    #[error("the chat is not configured")]
    Unknown,
    /// Its number is not known.
    #[error(transparent)]
    Number(#[from] ChatIdError),
}

/// Where a chat is by the configuration.
pub(super) fn address(config: &Config, name: &ChatName) -> Result<Destination, AddressError> {
    let chat = config.chats.get(name).ok_or(AddressError::Unknown)?;
    let chat_id = match config.delivery {
        Delivery::Console => console::chat_id(config, name),
        Delivery::Telegram => chat.id.read()?,
    };
    Ok(Destination { chat_id, thread: chat.thread })
}
