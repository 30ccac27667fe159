//! What the bridge does as a whole.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod commands;
#[path = "../bot_api/mod.rs"]
mod bot_api;
