//! The `hermes-exporter` program, in the direction data flows through it:
//!
//! ```text
//! config -> instances -> collect (one room per collector) -> Snapshot -> findings -> expose (metrics | json | page)
//! ```
//!
//! * [`cli`]: commands and flags; parses, runs, and turns every error into a message and an exit code.
//! * [`config`]: the configuration file, from what was typed to what is valid.
//! * [`instance`]: one Hermes home to look at; [`endpoint`]: an address of it to ask; [`backup`]: what it is backed up to;
//!   [`discovery`]: finding homes without a configuration; [`reported`]: one that its own exporter's report tells of.
//! * [`collect`]: looking at a home, one collector per part of it, under a deadline.
//! * [`snapshot`]: what was seen, typed and serialisable: the centre that everything else renders.
//! * [`findings`]: what is wrong, judged from Snapshots.
//! * [`expose`]: renderings of Snapshots and findings: Prometheus metrics, JSON, the page.
//! * [`serve`]: the HTTP server around them; [`reload`]: changing the configuration under it.
//! * [`prometheus`]: whether its configuration scrapes the exporter rightly.
//! * [`demo`]: sample homes and a stand-in gateway, to try all of this without Hermes.

pub mod backup;
pub mod cli;
pub mod collect;
pub mod config;
pub mod demo;
pub mod discovery;
pub mod endpoint;
pub mod expose;
pub mod findings;
pub mod instance;
pub mod prometheus;
pub mod reload;
pub mod reported;
pub mod serve;
pub mod snapshot;
