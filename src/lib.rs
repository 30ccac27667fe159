//! Watches Hermes agents: reads Hermes homes without touching them and says what it saw; and brings alerts about them
//! to the people they are for.
//!
//! The rooms, in the direction data flows:
//!
//! * [`exporter`]: the `hermes-exporter` program: configuration, instances, collectors, the Snapshot, and
//!   what is served from it.
//! * [`bridge`]: the `hermes-alert-bridge` program: Alertmanager's webhook, the store, cards, and their way to Telegram.
//! * [`system`]: the outside world as the programs meet it: files, processes, SQLite databases, users, time.
//! * [`web`]: what any HTTP server here needs: listening, shutting down.
//! * [`config_file`], [`command_line`], [`logging`], [`error_chain`]: what all programs do alike: reading configuration
//!   files and flags, logging, telling an error.
//! * [`severity`]: how bad something is, in the words of findings and alerts.
//!
//! Each program is a feature, `exporter` and `bridge`, and builds without what only the other one needs.

#[cfg(feature = "bridge")]
pub mod bridge;
mod command_line;
pub mod config_file;
pub mod error_chain;
#[cfg(feature = "exporter")]
pub mod exporter;
mod logging;
pub mod severity;
pub mod system;
pub mod web;
