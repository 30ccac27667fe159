//! A Bot API server to test against: it judges what it is sent as Telegram does, and fails when it is told to.
//!
//! * [`server`]: routes, and the record of every call; [`control`]: the same for tests in other languages.
//! * [`parameters`], [`methods`]: what a call brings along, and what is done.
//! * [`state`]: chats with their messages; [`world`]: everything together, and what people do.
//! * [`entities`]: Telegram's HTML and lengths. [`updates`]: long polling and presses.
//! * [`faults`], [`limits`]: what goes wrong, scripted or because too much was sent.
//!
//! It shares nothing with the bridge, so that both can not be wrong in the same way.

#![allow(dead_code, unused_imports, reason = "a program and the tests use different parts of it")]

pub(crate) mod control;
pub(crate) mod entities;
pub(crate) mod faults;
pub(crate) mod limits;
pub(crate) mod methods;
pub(crate) mod parameters;
pub(crate) mod server;
pub(crate) mod state;
#[cfg(test)]
mod tests;
pub(crate) mod updates;
pub(crate) mod world;

pub(crate) use faults::{Fault, Kind};
pub(crate) use server::BotApi;
pub(crate) use state::{ChatKind, Message};
pub(crate) use world::{Call, ChatFacts, Press, Saying};
