//! Bringing chats from what they show to what they should, at the pace that Telegram allows.
//!
//! * `lane`: one chat; takes its most urgent card, again and again. One at a time, so that what comes later stands below.
//! * `carry`: the calls for one card; `plan`: which ones these are, and how loud.
//! * `outcome`: what is done about a call that failed; `remedy`: doing it.
//! * `buckets`: how fast may be sent. `clock`: the time that all of this goes by.
//!
//! In here: that there is a lane for each chat of the configuration in force, that what was stored for another chat goes to
//! the default one, and that the token is tried again once Telegram has refused it.

mod buckets;
mod carry;
mod clock;
mod lane;
mod outcome;
mod plan;
mod remedy;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;

use super::config::{ChatName, Config};
use super::metrics::table::Count;
use super::reload::InForce;
use super::secret::Secret;
use super::service::{Service, Stop};
use super::store::{StoreError, delivery, queue};
use super::telegram::Failure;
use crate::system::time::Timestamp;
use buckets::Buckets;
use clock::Clock;
use lane::Lane;

/// How often it is looked whether the configuration or the token has changed.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// A clock that is set back by less than this is left alone: it is being brought in line.
const LEAST_SET_BACK: Duration = Duration::from_secs(3);

/// No more cards than this go to the default chat in one transaction, for which others wait.
const MOST_ADOPTED: usize = 200;

/// How often a token that was refused is tried.
const PROBE_INTERVAL: Duration = Duration::from_secs(30);

/// How long calls that are under way may take once the program is to end.
const LAST_CALLS: Duration = Duration::from_secs(10);

/// Delivers until `stop`; then finishes the calls that are under way. The rest stays in the store.
pub async fn run(service: Service, mut stop: Stop) {
    let clock = Clock::System;
    recover(&service, clock.now()).await;
    let limits = service.in_force().config.limits;
    let buckets = Arc::new(Mutex::new(Buckets::new(limits, clock.now())));
    let (look, looking) = watch::channel(0);
    let mut lanes = Lanes {
        service: service.clone(),
        clock: clock.clone(),
        buckets,
        looking,
        stop: stop.clone(),
        running: JoinSet::new(),
        names: HashMap::new(),
    };
    let mut in_force = service.in_force();
    let mut probe = Probe::default();
    let mut pulse = Pulse::new(clock.now());
    let mut retries = asked_retries(&service).await;
    lanes.follow(&in_force.config);
    loop {
        if let Err(error) = adopt(&service).await {
            tracing::error!(%error, "cards of chats that are not configured any more could not be looked for");
        }
        // Often enough for what is looked for: the configuration, the token, and cards of other chats.
        tokio::select! {
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
            _ = stop.wait_for(|stop| *stop) => break,
        }
        if let Some(back) = pulse.set_back(clock.now(), Instant::now()) {
            set_clock_back(&service, back).await;
            look.send_modify(|round| *round += 1);
        }
        let asked = asked_retries(&service).await;
        if asked.is_some() && std::mem::replace(&mut retries, asked) != asked {
            look.send_modify(|round| *round += 1);
        }
        let now_in_force = service.in_force();
        if !Arc::ptr_eq(&in_force, &now_in_force) {
            in_force = now_in_force;
            lanes.change(&in_force.config);
            // There may be another bot; if it is refused, too, that is noticed at once.
            service.health.token_refused.store(None);
            look.send_modify(|_| ());
        }
        lanes.follow(&in_force.config);
        if probe.is_token_back(&service, &in_force).await {
            look.send_modify(|_| ());
        }
    }
    lanes.finish().await;
}

/// How often lanes were told to forget what they wait for after failures; what is sent with no more than a look is the
/// same number.
type Look = u64;

/// How often `queue retry` was asked for; `None` where that can not be told.
async fn asked_retries(service: &Service) -> Option<i64> {
    service.store.read(|connection| queue::retries(connection)).await.ok()
}

/// Notices a clock that is set back: what is not to be done before a moment would wait for as much longer.
struct Pulse {
    clock: Timestamp,
    steady: Instant,
}

impl Pulse {
    fn new(clock: Timestamp) -> Pulse {
        Pulse { clock, steady: Instant::now() }
    }

    /// By how much the clock was set back since it was last asked, if it was.
    fn set_back(&mut self, clock: Timestamp, steady: Instant) -> Option<Duration> {
        let passed = steady.saturating_duration_since(self.steady).as_secs_f64();
        let back = passed - clock.seconds_since(self.clock);
        (self.clock, self.steady) = (clock, steady);
        Duration::try_from_secs_f64(back).ok().filter(|back| *back >= LEAST_SET_BACK)
    }
}

async fn set_clock_back(service: &Service, back: Duration) {
    tracing::warn!(seconds = back.as_secs(), "the clock was set back; what waits for a moment waits as long as before");
    if let Err(error) = service.store.write(move |connection| delivery::set_clock_back(connection, back)).await {
        tracing::error!(%error, "what waits could not be brought in line with the clock");
    }
}

/// Looks for calls that were under way when the program last ended.
async fn recover(service: &Service, now: Timestamp) {
    match service.store.write(move |connection| delivery::recover(connection, now)).await {
        Ok(chats) => {
            for chat in chats {
                tracing::warn!(%chat, "a message may be there twice: the program ended while it was sent");
                service.metrics.count(Count::Uncertain, &[chat.as_str()]);
            }
        }
        Err(error) => tracing::error!(%error, "what was under way when the program ended could not be looked for"),
    }
}

/// Brings the cards of chats that are not configured any more to the default chat.
async fn adopt(service: &Service) -> Result<(), StoreError> {
    let waiting = service.store.read(|connection| delivery::waiting_chats(connection)).await?;
    let in_force = service.in_force();
    for gone in waiting.into_iter().filter(|name| !in_force.config.chats.contains_key(name)) {
        let to = in_force.config.default_chat.clone();
        let from = gone.clone();
        let brought = service.store.write(move |connection| {
            let because = format!("the chat {from} is not configured any more");
            let mut brought = 0;
            for next in delivery::waiting_cards(connection, &from, MOST_ADOPTED)? {
                if next.is_news {
                    delivery::divert(connection, next.card, &to, &from, &because)?;
                    brought += 1;
                } else {
                    delivery::leave(connection, next.card)?;
                }
            }
            Ok(brought)
        });
        let brought = brought.await?;
        tracing::warn!(chat = %gone, cards = brought, "the chat is not configured any more; its cards go to the default chat");
        service.metrics.count_many(Count::Diverted, &[gone.as_str()], brought);
    }
    Ok(())
}

/// The lanes that are running.
struct Lanes {
    service: Service,
    clock: Clock,
    buckets: Arc<Mutex<Buckets>>,
    looking: watch::Receiver<Look>,
    stop: Stop,
    running: JoinSet<()>,
    names: HashMap<Id, ChatName>,
}

impl Lanes {
    /// Starts a lane for each chat that has none. Those of chats that are gone end by themselves.
    fn follow(&mut self, config: &Config) {
        while let Some(ended) = self.running.try_join_next_with_id() {
            let id = match &ended {
                Ok((id, ())) => *id,
                Err(error) => error.id(),
            };
            if let (Some(chat), Err(error)) = (self.names.remove(&id), ended) {
                tracing::error!(%chat, %error, "delivery to a chat has failed; it is begun anew");
            }
        }
        for name in config.chats.keys() {
            if self.names.values().any(|running| running == name) {
                continue;
            }
            let lane = Lane::new(
                name.clone(),
                self.service.clone(),
                self.clock.clone(),
                Arc::clone(&self.buckets),
                self.stop.clone(),
            );
            let handle = self.running.spawn(lane.run(self.looking.clone()));
            self.names.insert(handle.id(), name.clone());
        }
    }

    fn change(&self, config: &Config) {
        self.buckets.lock().unwrap_or_else(PoisonError::into_inner).change(config.limits, self.clock.now());
    }

    /// Waits for the calls that are under way.
    async fn finish(mut self) {
        let all = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(LAST_CALLS, all).await.is_err() {
            tracing::warn!("calls of the Bot API are still under way; what becomes of them will not be known");
            self.running.abort_all();
        }
    }
}

/// Tries a token that was refused.
#[derive(Default)]
struct Probe {
    tried: Option<(Instant, Option<Secret>)>,
}

impl Probe {
    /// Whether a token that was refused is accepted again. Asks Telegram now and then, and when there is another one.
    async fn is_token_back(&mut self, service: &Service, in_force: &InForce) -> bool {
        if service.health.token_refused.load().is_none() {
            self.tried = None;
            return false;
        }
        let token = in_force.config.telegram.as_ref().and_then(|telegram| telegram.token.read().ok());
        let is_time = match &self.tried {
            Some((at, tried)) => at.elapsed() >= PROBE_INTERVAL || *tried != token,
            // It has just been refused, by the token that there is, or the one before.
            None => false,
        };
        if self.tried.is_none() || is_time {
            self.tried = Some((Instant::now(), token));
        }
        if !is_time {
            return false;
        }
        match in_force.telegram.me().await {
            Ok(me) => {
                tracing::info!(bot = %me.username, "the token is accepted again; delivery goes on");
                service.health.token_refused.store(None);
                true
            }
            Err(Failure::Unauthorized(failure)) => {
                tracing::error!(failure, "nothing can be delivered until there is another token");
                service.health.token_refused.store(Some(Arc::new(failure)));
                false
            }
            Err(failure) => {
                tracing::warn!(%failure, "whether the token is accepted again can not be asked");
                false
            }
        }
    }
}
