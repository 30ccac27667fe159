//! What the bridge does as a whole, with a Bot API server that fails as it is told to.
//!
//! * [`serving`]: where it listens and where it does not.
//! * [`scene`]: where a test plays; [`program`]: the program, started, killed and started again.
//! * [`payloads`]: what Alertmanager posts; [`alertmanager`]: its API, for silences; [`proxies`]: ways to Telegram.
//! * [`kills`]: killed at random moments. [`never_lost`]: outages, a full disk: what was accepted is delivered.
//! * [`pressure`]: a lot at once, and what is done to the program meanwhile.
//! * [`intake`]: what is accepted and what is not, and how fast.
//! * [`incidents`]: what is a new message, and what changes nothing.
//! * [`content`]: texts that others fail on.
//! * [`destinations`]: chats that wait, move, close or go away.
//! * [`people`]: buttons, commands, messages from scripts.
//! * [`heartbeats`]: the watchdog.
//! * [`commands`]: exit codes and texts.
//! * [`operating`]: proxies, secrets, reload, commands.
//! * [`serving`]: where it listens and where it does not.
//!
//! Tests called after `a01` to `a17` print the figure that they are about.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "../bot_api/mod.rs"]
mod bot_api;

mod alertmanager;
mod commands;
mod content;
mod destinations;
mod heartbeats;
mod incidents;
mod intake;
mod kills;
mod never_lost;
mod operating;
mod payloads;
mod people;
mod pressure;
mod program;
mod proxies;
mod scene;
mod serving;
