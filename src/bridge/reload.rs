//! The configuration in force, and changing it while serving.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::config::Config;
use super::render::Renderer;
use super::telegram::Telegram;

/// What follows from a configuration: changed as a whole.
#[derive(Debug)]
pub struct InForce {
    /// The configuration.
    pub config: Config,
    /// Its templates.
    pub renderer: Renderer,
    /// The way to people.
    pub telegram: Arc<dyn Telegram>,
}

/// Where everybody finds what is in force now.
pub type Current = Arc<ArcSwap<InForce>>;
