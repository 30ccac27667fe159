//! What the exporter does as a whole, on homes that Hermes itself has made.
//!
//! * [`homes`]: unpacks the sample homes and looks at them; used by the others.
//! * [`golden`]: the whole exposition of the sample homes, in both formats, against files.
//! * [`expected`]: the numbers of the sample homes against those counted independently by SQL.
//! * [`damage`]: damaged, foreign, hostile and vanishing files: one reading is unknown, the others go on.
//! * [`backups`]: repositories that homes are backed up to, and that nothing of them is told.
//! * [`untouched`]: looking leaves no trace in a home.
//! * [`properties`]: what holds for any input at all.
//! * [`reported`]: an instance that is told of by its own exporter's report loses nothing by it.
//! * [`reports`]: an instance that is told of by its own exporter's report loses nothing by it.
//! * [`report_runs`]: what is counted goes on from one report to the next.
//! * [`http`]: routes, formats, filters, reload.
//! * [`logs`]: a million records of a log, counted through rotation.
//! * [`privacy`]: nothing that somebody wrote leaves a home.
//! * [`reports`]: self-reports: what is written, where, and of which form.
//! * [`commands`]: the program: commands, exit codes, signals.
//! * [`serving`]: where the program listens and where it does not, and what systemd is told.
//! * [`demo`]: the demonstration: its incident, and that nothing of it is left.
//! * [`check`]: what `check` prints, and with which code it exits.
//! * [`alerts`]: the alert rules against the findings, the metrics, the runbooks and their own tests.
//! * `manuals`: manual pages and completions are what the commands and flags of both programs say.
//! * [`scrape_jobs`]: what `check-config --prometheus` says, also of what is shipped and documented.
//! * [`documents`]: links between the documents lead somewhere.
//!
//! Tests against the real Hermes, a real Prometheus and so on are in `tests/end_to_end`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod alerts;
mod backups;
mod check;
mod commands;
mod damage;
mod demo;
mod documents;
mod expected;
mod golden;
mod homes;
mod http;
mod logs;
#[cfg(feature = "bridge")]
mod manuals;
mod privacy;
mod properties;
mod report_runs;
mod reported;
mod reports;
mod scrape_jobs;
mod serving;
mod untouched;
