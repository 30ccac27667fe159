//! What every part of the serving bridge works with.

use std::sync::Arc;

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::watch;

use super::metrics::Metrics;
use super::reload::{Current, InForce};
use super::store::Store;

/// What every part of the serving bridge works with; clones are the same one.
#[derive(Debug, Clone)]
pub struct Service {
    /// Everything that must not be lost.
    pub store: Store,
    /// What is in force.
    pub current: Current,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// How the bridge itself is.
    pub health: Arc<Health>,
}

impl Service {
    /// What is in force now.
    pub fn in_force(&self) -> Arc<InForce> {
        self.current.load_full()
    }
}

/// Turns true when the program is to end.
pub type Stop = watch::Receiver<bool>;

/// How the bridge itself is, beyond what is in the store.
#[derive(Debug, Default)]
pub struct Health {
    /// What Telegram said when it refused the token; none while it is accepted.
    pub token_refused: ArcSwapOption<String>,
    /// Whether buttons and commands can be used.
    pub buttons: ArcSwap<ButtonState>,
}

/// Whether buttons and commands can be used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ButtonState {
    /// That is being found out, since the start of the program.
    #[default]
    Unknown,
    /// None are configured, or nobody may press them.
    Off,
    /// They can.
    On,
    /// Not now, for this reason: most often somebody else asks for this bot's updates.
    Disabled(String),
}
