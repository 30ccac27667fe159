//! What is known of the Tailscale of the machine the exporter runs on.
//!
//! Nothing that says who somebody is: no names of machines, of people or of the tailnet.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Label, Reading};
use crate::system::time::Timestamp;

/// The machine's place in its tailnet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tailscale {
    /// What its daemon is at.
    pub state: TailscaleState,
    /// Whether it is in touch with the server that coordinates the tailnet; absent where the daemon does not say.
    pub online: Reading<bool>,
    /// The version of its daemon; absent where that does not run.
    pub version: Reading<Label>,
    /// When the machine has to log in again; absent where its key does not expire.
    pub key_expiry: Reading<Timestamp>,
    /// Warnings of the daemon about itself; absent where that does not run.
    pub health_warnings: Reading<u64>,
    /// The machine's addresses in the tailnet.
    pub addresses: Vec<IpAddr>,
}

impl Tailscale {
    /// Whether the machine is in its tailnet: the daemon runs, and does not say that it is out of touch.
    pub fn is_up(&self) -> bool {
        self.state == TailscaleState::Running && self.online != Reading::Known(false)
    }
}

/// What Tailscale's daemon is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TailscaleState {
    /// It is connected, or connects whenever there is a network.
    Running,
    /// It is about to connect.
    Starting,
    /// It was told to be off.
    Stopped,
    /// Somebody has to log in.
    NeedsLogin,
    /// An administrator of the tailnet has to let the machine in.
    NeedsMachineAuth,
    /// It has just been started.
    NoState,
    /// It says something that is not known here.
    Other,
    /// There is no daemon, although the configuration says where it is.
    NotThere,
}

impl TailscaleState {
    /// Every state, in the order in which they are shown.
    pub const ALL: [TailscaleState; 8] = [
        TailscaleState::Running,
        TailscaleState::Starting,
        TailscaleState::Stopped,
        TailscaleState::NeedsLogin,
        TailscaleState::NeedsMachineAuth,
        TailscaleState::NoState,
        TailscaleState::Other,
        TailscaleState::NotThere,
    ];

    /// The word used in labels and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            TailscaleState::Running => "running",
            TailscaleState::Starting => "starting",
            TailscaleState::Stopped => "stopped",
            TailscaleState::NeedsLogin => "needs_login",
            TailscaleState::NeedsMachineAuth => "needs_machine_auth",
            TailscaleState::NoState => "no_state",
            TailscaleState::Other => "other",
            TailscaleState::NotThere => "not_there",
        }
    }
}
