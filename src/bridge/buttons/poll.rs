//! Asking Telegram what was pressed and written, one update after the other.
//!
//! How far it was read is on the disk before anything is done, so that nothing is done twice. Only one may ask for a bot's
//! updates: where somebody else does, or the bot is a Hermes gateway's, buttons are off and sending goes on. It is tried
//! again now and then, so that they come back by themselves.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::commands::{self, Asked, Strangers};
use super::press::{self, Press};
use super::token_guard;
use crate::bridge::metrics::table::Count;
use crate::bridge::reload::InForce;
use crate::bridge::service::{ButtonState, Service, Stop};
use crate::bridge::store::{StoreError, facts};
use crate::bridge::telegram::{Event, Failure, Myself, Outgoing, Update};
use crate::error_chain::display_chain;

/// How long is waited for what.
#[derive(Debug, Clone)]
pub(super) struct Pace {
    /// How long Telegram is to wait for something to happen; 50 s is the most.
    pub(super) patience: Duration,
    /// How often it is seen whether the configuration has changed.
    pub(super) look: Duration,
    /// For how long it is believed whose bot it is.
    pub(super) guard: Duration,
    /// After the first failure of the network, and the most.
    pub(super) trouble: (Duration, Duration),
    /// After somebody else was found to ask, and the most.
    pub(super) conflict: (Duration, Duration),
}

impl Default for Pace {
    fn default() -> Self {
        Pace {
            patience: Duration::from_secs(25),
            look: Duration::from_secs(2),
            guard: Duration::from_secs(300),
            trouble: (Duration::from_secs(1), Duration::from_secs(60)),
            conflict: (Duration::from_secs(120), Duration::from_secs(600)),
        }
    }
}

/// Asks until the program is to end, as long as buttons are configured.
pub async fn run(service: Service, stop: Stop) {
    Poller::new(service, stop, Pace::default(), token_guard::own_homes()).run().await;
}

/// What has ended a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Woken {
    Stopped,
    Changed,
    InTime,
}

pub(super) struct Poller {
    service: Service,
    stop: Stop,
    pace: Pace,
    /// Homes that are looked into besides those that are configured.
    own_homes: Vec<PathBuf>,
    strangers: Strangers,
    /// Failures of one kind in a row.
    failures: u32,
    conflicts: u32,
    /// The bot that was told which commands there are.
    introduced: Option<i64>,
    /// What could not be looked into is told once.
    is_unreadable_told: bool,
}

impl Poller {
    pub(super) fn new(service: Service, stop: Stop, pace: Pace, own_homes: Vec<PathBuf>) -> Poller {
        Poller {
            service,
            stop,
            pace,
            own_homes,
            strangers: Strangers::default(),
            failures: 0,
            conflicts: 0,
            introduced: None,
            is_unreadable_told: false,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            let in_force = self.service.in_force();
            let woken = match self.begin(&in_force).await {
                Ok(Some(me)) => self.listen(&in_force, &me).await,
                Ok(None) => {
                    self.say(ButtonState::Off);
                    self.wait(&in_force, self.pace.guard).await
                }
                Err((reason, pause)) => {
                    self.say(ButtonState::Disabled(reason));
                    self.wait(&in_force, pause).await
                }
            };
            match woken {
                Woken::Stopped => return,
                Woken::Changed => (self.failures, self.conflicts) = (0, 0),
                Woken::InTime => {}
            }
        }
    }

    /// Who the bot is, once it is known that it is the bridge's own; none where there are no buttons. Or why it is not
    /// asked for now, and for how long.
    async fn begin(&mut self, in_force: &Arc<InForce>) -> Result<Option<Myself>, (String, Duration)> {
        let config = &in_force.config;
        let (Some(buttons), Some(telegram)) = (&config.buttons, &config.telegram) else {
            return Ok(None);
        };
        let (file, homes) = (telegram.token.clone(), [buttons.hermes_homes.clone(), self.own_homes.clone()].concat());
        let locks = token_guard::lock_folders(&homes);
        let looking = move || {
            file.read().map(|token| token_guard::look(&token, &homes, &locks)).map_err(|error| display_chain(&error))
        };
        let looked = tokio::task::spawn_blocking(looking).await.map_err(|error| error.to_string());
        let looked = looked.flatten().map_err(|reason| (reason, self.pace.trouble.1))?;
        if let Some(claim) = looked.claimed_by {
            let reason = format!("the bot is the one of {claim}; make one of its own at @BotFather");
            return Err((reason, self.pace.guard));
        }
        for error in looked.unreadable.iter().filter(|_| !self.is_unreadable_told) {
            tracing::warn!(error = %display_chain(error), "whether the bot is a Hermes gateway's can not be told for sure");
        }
        self.is_unreadable_told = !looked.unreadable.is_empty();
        let asked = tokio::select! {
            asked = in_force.telegram.me() => asked,
            _ = stopped(&mut self.stop) => return Ok(None),
        };
        match asked {
            Ok(me) => Ok(Some(me)),
            Err(failure) => {
                self.failures += 1;
                Err((failure.to_string(), backoff(self.pace.trouble, self.failures)))
            }
        }
    }

    /// Asks and acts, until something has changed or it is time to see again whose bot it is.
    async fn listen(&mut self, in_force: &Arc<InForce>, me: &Myself) -> Woken {
        let buttons_for = in_force.config.buttons.as_ref().map_or(0, |buttons| buttons.users.len());
        // Without anybody who may press there is still /whoami, which tells people what to configure.
        let working = if buttons_for == 0 { ButtonState::Off } else { ButtonState::On };
        if self.conflicts == 0 {
            self.say(working.clone());
        }
        if self.introduced != Some(me.id) {
            match in_force.telegram.set_commands(&commands::COMMANDS).await {
                Ok(()) => self.introduced = Some(me.id),
                Err(failure) => tracing::debug!(%failure, "the commands could not be made known"),
            }
        }
        let mut offset = match self
            .service
            .store
            .read({
                let bot = me.id;
                move |connection| read_to(connection, bot)
            })
            .await
        {
            Ok(offset) => offset,
            Err(error) => {
                tracing::error!(error = %display_chain(&error), "how far updates were read is not known");
                return self.wait(in_force, self.pace.trouble.1).await;
            }
        };
        let began = Instant::now();
        while began.elapsed() < self.pace.guard {
            let asked = Instant::now();
            let answer = tokio::select! {
                answer = in_force.telegram.updates(offset, self.pace.patience) => answer,
                woken = changed(&self.service, &mut self.stop, in_force, self.pace.look) => return woken,
            };
            let pause = match answer {
                Ok(updates) => {
                    (self.failures, self.conflicts) = (0, 0);
                    self.say(working.clone());
                    let is_idle = updates.is_empty();
                    if let Err(error) = self.take(in_force, me, updates, &mut offset).await {
                        tracing::error!(error = %display_chain(&error), "how far updates were read could not be written down");
                        self.pace.trouble.1
                    } else if is_idle && asked.elapsed() < self.pace.trouble.0 {
                        // Something in between answers at once; it must not be asked in a circle.
                        self.pace.trouble.0
                    } else {
                        continue;
                    }
                }
                Err(failure) => self.failed(failure),
            };
            match self.wait(in_force, pause).await {
                Woken::InTime => {}
                woken => return woken,
            }
        }
        Woken::InTime
    }

    /// What a failure means, and how long to wait.
    fn failed(&mut self, failure: Failure) -> Duration {
        match failure {
            Failure::Conflict(_) => {
                self.service.metrics.count(Count::Conflicts, &[]);
                self.conflicts += 1;
                self.say(ButtonState::Disabled(failure.to_string()));
                backoff(self.pace.conflict, self.conflicts)
            }
            Failure::Unauthorized(_) => {
                self.say(ButtonState::Disabled(failure.to_string()));
                self.pace.trouble.1
            }
            Failure::Rate { retry_after } => retry_after,
            failure => {
                self.failures += 1;
                tracing::debug!(%failure, "updates could not be asked for");
                backoff(self.pace.trouble, self.failures)
            }
        }
    }

    /// Acts on updates, after it is on the disk that they were read.
    async fn take(
        &mut self,
        in_force: &Arc<InForce>,
        me: &Myself,
        updates: Vec<Update>,
        offset: &mut i64,
    ) -> Result<(), StoreError> {
        let Some(next) = updates.iter().map(|update| update.id + 1).max() else {
            return Ok(());
        };
        let bot = me.id;
        self.service.store.write(move |connection| note_read_to(connection, bot, next)).await?;
        *offset = next;
        // Those below one message one after the other, so that what is pressed twice is done once; others need not wait for
        // an Alertmanager that takes its time.
        let mut pressed: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut written = Vec::new();
        for update in updates {
            match update.event {
                Event::Press { id, from, at, data } => {
                    let below = at.map(|(at, message)| (at.chat_id, message.0));
                    pressed.entry(below).or_default().push((id, Press { from, at, data }));
                }
                Event::Message { from: Some(from), at, text, .. } => {
                    written.extend(commands::parse(&text, &me.username).map(|command| (Asked { from, at }, command)));
                }
                Event::Message { .. } | Event::Other => {}
            }
        }
        let (service, strangers) = (&self.service, &mut self.strangers);
        let presses = pressed.into_values().map(|below_one| async move {
            for (id, press) in below_one {
                let answer = press::press(service, &press).await;
                if let Err(failure) = in_force.telegram.answer_press(&id, &answer.text, answer.is_alert).await {
                    tracing::debug!(%failure, "a press could not be answered");
                }
            }
        });
        let commands = async {
            for (asked, command) in written {
                if let Some(answer) = commands::answer(service, strangers, &asked, command).await {
                    send(in_force, answer).await;
                }
            }
        };
        tokio::join!(futures_util::future::join_all(presses), commands);
        Ok(())
    }

    fn say(&self, state: ButtonState) {
        let before = self.service.health.buttons.swap(Arc::new(state.clone()));
        match &state {
            state if *before == *state => {}
            ButtonState::Disabled(reason) => {
                tracing::warn!(reason, "buttons and commands can not be used; alerts are told all the same");
            }
            ButtonState::On => tracing::info!("buttons and commands can be used"),
            ButtonState::Unknown | ButtonState::Off => tracing::debug!("there are no buttons"),
        }
    }

    async fn wait(&mut self, in_force: &Arc<InForce>, pause: Duration) -> Woken {
        tokio::select! {
            () = tokio::time::sleep(pause) => Woken::InTime,
            woken = changed(&self.service, &mut self.stop, in_force, self.pace.look) => woken,
        }
    }
}

/// Completes when the program is to end, or another configuration is in force.
async fn changed(service: &Service, stop: &mut Stop, in_force: &Arc<InForce>, look: Duration) -> Woken {
    loop {
        tokio::select! {
            () = stopped(stop) => return Woken::Stopped,
            () = tokio::time::sleep(look) => {}
        }
        if !Arc::ptr_eq(&service.in_force(), in_force) {
            return Woken::Changed;
        }
    }
}

async fn stopped(stop: &mut Stop) {
    // An error means that the sender has gone, which is the end as well.
    let _ = stop.wait_for(|stopped| *stopped).await;
}

/// Twice as long with each failure in a row.
fn backoff((first, most): (Duration, Duration), failures: u32) -> Duration {
    first.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(most)
}

/// Answers somebody, where they have asked; a topic that can not be written to is left out.
async fn send(in_force: &InForce, mut message: Outgoing) {
    let mut outcome = in_force.telegram.send(&message).await;
    if matches!(outcome, Err(Failure::Thread(_))) {
        message.to.thread = None;
        outcome = in_force.telegram.send(&message).await;
    }
    if let Err(failure) = outcome {
        tracing::warn!(%failure, "a command could not be answered");
    }
}

fn fact(bot: i64) -> String {
    format!("updates of {bot} read to")
}

fn read_to(connection: &Connection, bot: i64) -> Result<i64, StoreError> {
    Ok(facts::read(connection, &fact(bot))?.unwrap_or(0))
}

fn note_read_to(connection: &Connection, bot: i64, next: i64) -> Result<(), StoreError> {
    facts::keep(connection, &fact(bot), next)
}

#[cfg(test)]
mod tests;
