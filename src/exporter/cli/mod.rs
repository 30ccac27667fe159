//! Commands and flags, and what becomes of an error at the edge: one message, and an exit code.
//!
//! * 0: done, or ended by a signal as asked;
//! * 1: failed while running;
//! * of `check`: 0 healthy, 1 warning, 2 critical, 3 unknown, which includes that it failed while running;
//! * 64: bad usage or configuration, before anything was bound or written.

mod arguments;
mod check;
mod check_prometheus;
mod output;
mod report;
mod run;
mod state;
mod targets;

use std::path::PathBuf;
use std::process::ExitCode;

use super::config::ConfigError;
use super::demo::DemoError;
use super::prometheus::PrometheusError;
use crate::command_line::{self, EXIT_USAGE};
use crate::config_file::{instead, nearest};
use crate::logging;
use crate::web::guard::GuardError;
use crate::web::healthcheck::HealthcheckError;
use crate::web::listen::ListenError;
use arguments::Arguments;
pub use output::OutputError;

/// It could not be told how things are.
const EXIT_UNKNOWN: u8 = 3;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The configuration is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It can not be told whether Prometheus scrapes the exporter rightly.
    #[error(transparent)]
    Prometheus(#[from] PrometheusError),
    /// An address can not be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// What says who may ask can not be used.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// The program that runs is not healthy, or is not known to be.
    #[error(transparent)]
    Healthcheck(#[from] HealthcheckError),
    /// The demonstration could not be set up.
    #[error(transparent)]
    Demo(#[from] DemoError),
    /// The metrics' path is no path.
    #[error("--web.telemetry-path {path:?} is not a path of its own; write it as in /metrics")]
    TelemetryPath {
        /// The path as typed.
        path: String,
    },
    /// An instance that there is not.
    #[error("there is no instance called {name:?}; {}", instead(nearest.as_deref(), known.iter().map(String::as_str)))]
    NoSuchInstance {
        /// The name as typed.
        name: String,
        /// The name that is most like it.
        nearest: Option<String>,
        /// All that there are.
        known: Vec<String>,
    },
    /// There are several instances, and it was not said which one.
    #[error("there are several instances; say which one with --instance: {}", known.join(", "))]
    WhichInstance {
        /// All that there are.
        known: Vec<String>,
    },
    /// A name that nothing can have.
    #[error("{name:?} can not name an instance; use up to {longest} letters, digits and _ . : @ - (not first: .)")]
    InstanceName {
        /// The name as typed.
        name: String,
        /// How long it may be.
        longest: usize,
    },
    /// There is no instance to report on.
    #[error(
        "there is no Hermes home to report on; run this as the user who runs Hermes, set HERMES_HOME, or name the home in \
         a file and pass it with --config.file"
    )]
    NobodyToReport,
    /// An instance that is itself known by a report.
    #[error(
        "{name:?} is told of by the report {}, and only who looks at its home can report on it; run this as its owner",
        path.display()
    )]
    ReportOfReport {
        /// The instance.
        name: String,
        /// The report that it is known by.
        path: PathBuf,
    },
    /// Something was to be written where nothing is ever written.
    #[error("{} is in the Hermes home, where nothing is written; name a file elsewhere with {flag}", path.display())]
    FileInHome {
        /// The file.
        path: PathBuf,
        /// The flag that names it.
        flag: &'static str,
    },
    /// What is remembered, and what is shown, were to be the same file.
    #[error("{} can not be both --output and --state; name two files", path.display())]
    StateIsOutput {
        /// The file.
        path: PathBuf,
    },
    /// Two runs count from the same memory.
    #[error(
        "nothing was written: another run has written {} meanwhile, and its report stands; let only one run at a time",
        path.display()
    )]
    AnotherRun {
        /// The memory.
        path: PathBuf,
    },
    /// It was told to end before there was anything to write.
    #[error("nothing was written: ended by {signal}")]
    Stopped {
        /// By what.
        signal: &'static str,
    },
    /// A file could not be written.
    #[error(transparent)]
    Output(#[from] OutputError),
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
    fn no_such_instance(name: &str, known: Vec<String>) -> CommandError {
        let nearest = nearest(name, known.iter().map(String::as_str));
        CommandError::NoSuchInstance { name: name.to_owned(), nearest, known }
    }

    /// The exit code; `failure` where it is not the command line or the configuration that is wrong.
    fn exit_code(&self, failure: ExitCode) -> ExitCode {
        match self {
            CommandError::Config(_)
            | CommandError::Prometheus(_)
            | CommandError::Guard(GuardError::Config(_))
            | CommandError::TelemetryPath { .. }
            | CommandError::NoSuchInstance { .. }
            | CommandError::WhichInstance { .. }
            | CommandError::InstanceName { .. }
            | CommandError::FileInHome { .. }
            | CommandError::StateIsOutput { .. }
            | CommandError::ReportOfReport { .. }
            | CommandError::NobodyToReport => ExitCode::from(EXIT_USAGE),
            CommandError::Listen(error) if error.is_usage() => ExitCode::from(EXIT_USAGE),
            CommandError::Healthcheck(error) if error.is_usage() => ExitCode::from(EXIT_USAGE),
            _ => failure,
        }
    }
}

/// The commands and flags as Clap has them, for what is made from them: manual pages and completions.
pub fn command() -> clap::Command {
    <Arguments as clap::CommandFactory>::command()
}

/// The program: reads its arguments, runs, and answers with its exit code.
pub fn main() -> ExitCode {
    let arguments = match Arguments::read(std::env::args_os()) {
        Ok(arguments) => arguments,
        Err(said) => return command_line::answer(&said),
    };
    logging::start(arguments.log_level(), arguments.logging.format);
    // To who watches the exit code of a check, 1 is a warning.
    let failure = if arguments.is_check() { ExitCode::from(EXIT_UNKNOWN) } else { ExitCode::FAILURE };
    match run::run(arguments) {
        Ok(code) => code,
        Err(error) => {
            command_line::tell("hermes-exporter", &error);
            error.exit_code(failure)
        }
    }
}
