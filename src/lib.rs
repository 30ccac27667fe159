//! Watches Hermes agents: reads Hermes homes without touching them and says what it saw.
//!
//! The rooms, in the direction data flows:
//!
//! * [`exporter`]: the `hermes-exporter` program: configuration, instances, collectors, the Snapshot, and
//!   what is served from it.
//! * [`system`]: the outside world as the exporter meets it: files, processes, SQLite databases, users, time.
//! * [`web`]: what any HTTP server here needs: listening, shutting down.

pub mod exporter;
pub mod system;
pub mod web;
