//! What can be done from a chat: buttons below cards, and commands.
//!
//! * [`offer()`] and [`bind`]: which buttons a card has.
//! * `press`: what a press does.
//! * `commands`: what is answered to what people write.
//! * `poll`: asking Telegram what was pressed and written.
//! * `token_guard`: not asking with a bot that is a Hermes gateway's.
//!
//! Nothing in here is needed for telling people of alerts: where it does not work, that goes on.

mod commands;
mod offer;
mod poll;
mod press;
#[cfg(test)]
pub(super) mod scripted;
mod token_guard;

pub use crate::bridge::store::buttons::bind;
pub use offer::offer;
pub use poll::run;

/// The receiver of incidents that are the bridge's own: Alertmanager knows nothing of them, so they can not be silenced.
pub const OWN_RECEIVER: &str = "hermes-alert-bridge";
