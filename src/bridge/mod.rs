//! The `hermes-alert-bridge` program, in the direction data flows through it:
//!
//! ```text
//! webhook -> store (one transaction) -> 200        store -> card -> render -> deliver -> telegram
//! ```
//!
//! * [`cli`]: commands and flags; parses, runs, and turns every error into a message and an exit code.
//! * [`config`]: the configuration file, from what was typed to what is valid.
//! * [`alert`]: what Alertmanager tells, as everything else here sees it; [`webhook`]: reading that from a request.
//! * [`intake`]: the requests themselves, from who may make them ([`auth`]) to the answer; [`body`]: reading them
//!   within bounds.
//! * [`route`]: which chats an alert is for.
//! * [`store`]: the one file in which everything is that must not be lost.
//! * [`card`]: what stands in a chat, what should stand there, and the next step from one to the other.
//! * [`render`]: from what a card is about to texts that Telegram takes.
//! * [`telegram`]: the Bot API as the rest of the bridge sees it, and what its errors mean.
//! * [`buttons`]: what can be done from a chat; [`notify`]: messages and progress from scripts; [`watchdog`]: heartbeats.
//! * [`housekeeping`]: what time alone changes, and what is deleted when it is old.
//! * [`ends`]: ends of alerts that Alertmanager does not tell of.
//! * [`alertmanager`]: silences and alerts in Alertmanager; [`ping`]: showing somebody else that the bridge is there.
//! * [`service`]: what all of these work with while serving; [`reload`]: changing the configuration under them.
//! * [`tasks`]: what runs beside the server; [`serve`]: the server; [`readiness`]: whether all of it does what it is for.
//! * [`trial`]: trying a configuration on a notification without storing or sending anything.
//! * [`deliver`]: bringing chats from what they show to what they should, at the pace that Telegram allows.

pub mod alert;
pub mod alertmanager;
pub mod auth;
pub mod body;
pub mod buttons;
pub mod card;
pub mod cli;
pub mod config;
pub mod deliver;
pub mod ends;
pub mod housekeeping;
pub mod intake;
pub mod metrics;
pub mod notify;
pub mod ping;
pub mod readiness;
pub mod reload;
pub mod render;
pub mod route;
pub mod secret;
pub mod serve;
pub mod service;
pub mod store;
pub mod tasks;
pub mod telegram;
pub mod trial;
pub mod watchdog;
pub mod webhook;
