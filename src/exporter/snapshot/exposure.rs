//! Who can reach an instance over the network: the ports that its processes listen on.

use serde::{Deserialize, Serialize};

use super::{Label, Reading};
pub use crate::system::scope::Scope;

/// The ports that an instance's processes listen on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Exposure {
    /// Every port, by port, scope and program, each combination once; unknown where the sockets of one of its
    /// processes could not be looked at.
    pub listeners: Reading<Vec<Listener>>,
    /// Whether none of them can be reached from the internet. One that can be is enough to know that it is not so.
    pub private_listeners: Reading<bool>,
}

/// A port that is listened on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Listener {
    /// The TCP port.
    pub port: u16,
    /// From where it can be reached.
    pub scope: Scope,
    /// The program that listens: a fixed word for Hermes' own, else the file name of the executable or script.
    pub program: Label,
}
