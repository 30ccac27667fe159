//! Commands and flags, and what becomes of an error at the edge: one message, and an exit code.
//!
//! * 0: done, or ended by a signal as asked;
//! * 1: failed while running;
//! * 64: bad usage or configuration, before anything was bound or written.

mod arguments;
mod run;

use std::io::Write;
use std::process::ExitCode;

use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use super::collect::problems::display_chain;
use super::config::ConfigError;
use super::demo::DemoError;
use crate::web::listen::ListenError;
use arguments::{Arguments, LogFormat, Logging};

/// Bad usage or configuration (`EX_USAGE` of sysexits.h).
const EXIT_USAGE: u8 = 64;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The configuration is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// An address can not be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The demonstration could not be set up.
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// The metrics' path is no path.
    #[error("--web.telemetry-path {path:?} is not a path of its own; write it as in /metrics")]
    TelemetryPath {
        /// The path as typed.
        path: String,
    },
    /// A file could not be written.
    #[error("{path} could not be written")]
    Output {
        /// The file.
        path: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The operating system would not give something that is needed to run.
    #[error("{what} failed")]
    System {
        /// What was asked of it.
        what: &'static str,
        /// What it said.
        #[source]
        source: std::io::Error,
    },
}

impl CommandError {
    fn exit_code(&self) -> ExitCode {
        match self {
            CommandError::Config(_) | CommandError::TelemetryPath { .. } => ExitCode::from(EXIT_USAGE),
            CommandError::Listen(ListenError::Address { .. }) => ExitCode::from(EXIT_USAGE),
            _ => ExitCode::FAILURE,
        }
    }
}

/// The program: reads its arguments, runs, and answers with its exit code.
pub fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(error) => {
            let is_answer = !error.use_stderr();
            // Nothing can be done about a terminal that has gone.
            let _ = error.print();
            return if is_answer { ExitCode::SUCCESS } else { ExitCode::from(EXIT_USAGE) };
        }
    };
    start_logging(&arguments.logging);
    match run::run(arguments) {
        Ok(code) => code,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "hermes-exporter: {}", display_chain(&error));
            error.exit_code()
        }
    }
}

fn start_logging(logging: &Logging) {
    let level = tracing_subscriber::filter::LevelFilter::from_level(logging.level.into());
    let registry = tracing_subscriber::registry().with(level);
    let stderr = std::io::stderr;
    match logging.format {
        LogFormat::Logfmt => {
            registry.with(tracing_logfmt::builder().with_target(false).layer().with_writer(stderr)).init();
        }
        LogFormat::Json => registry
            .with(tracing_subscriber::fmt::layer().json().flatten_event(true).with_target(false).with_writer(stderr))
            .init(),
    }
}
