//! Commands and flags, and what becomes of an error at the edge: one message, and an exit code.
//!
//! * 0: done, or ended by a signal as asked;
//! * 1: failed while running, or Telegram says no;
//! * 64: bad usage or configuration, before anything was bound or written.

mod advice;
mod arguments;
mod chats;
mod check_config;
mod queue;
mod render;
mod run;
mod send_test;
mod table;

use std::path::PathBuf;
use std::process::ExitCode;

use super::config::{ChatName, Config, ConfigError};
use super::store::StoreError;
use super::telegram::Failure;
use super::telegram::bot::BotError;
use crate::command_line::{self, EXIT_USAGE};
use crate::config_file::{instead, nearest};
use crate::logging;
use crate::web::guard::GuardError;
use crate::web::healthcheck::HealthcheckError;
use crate::web::listen::ListenError;
use arguments::Arguments;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The configuration is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// What says who may ask can not be used.
    #[error(transparent)]
    Guard(#[from] GuardError),
    /// An address can not be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The program that runs is not healthy, or is not known to be.
    #[error(transparent)]
    Healthcheck(#[from] HealthcheckError),
    /// The store can not be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is no bot.
    #[error(transparent)]
    Bot(#[from] BotError),
    /// A chat that there is not.
    #[error("there is no chat called {name:?}; {}", instead(nearest.as_deref(), known.iter().map(String::as_str)))]
    NoSuchChat {
        /// The name as typed.
        name: String,
        /// The name that is most like it.
        nearest: Option<String>,
        /// All that there are.
        known: Vec<String>,
    },
    /// A chat's number is not known.
    #[error("the number of the chat {chat:?} is not known")]
    ChatId {
        /// The chat.
        chat: String,
        /// Why.
        #[source]
        source: super::config::ChatIdError,
    },
    /// A file could not be read.
    #[error("{} could not be read", path.display())]
    Payload {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It is no notification of Alertmanager.
    #[error("{}: {problem}", path.display())]
    NoNotification {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// A message was not sent.
    #[error("the message was not sent to {chat:?}: {failure}\n{advice}")]
    NotSent {
        /// The chat.
        chat: String,
        /// What came of it.
        failure: Failure,
        /// What to do.
        advice: String,
    },
    /// It could not be printed.
    #[error("standard output could not be written")]
    Output(#[source] std::io::Error),
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
            CommandError::Config(_)
            | CommandError::Guard(GuardError::Config(_))
            | CommandError::NoSuchChat { .. }
            | CommandError::NoNotification { .. }
            | CommandError::Payload { .. } => ExitCode::from(EXIT_USAGE),
            CommandError::Listen(error) if error.is_usage() => ExitCode::from(EXIT_USAGE),
            CommandError::Healthcheck(error) if error.is_usage() => ExitCode::from(EXIT_USAGE),
            _ => ExitCode::FAILURE,
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
    match run::run(arguments) {
        Ok(code) => code,
        Err(error) => {
            command_line::tell("hermes-alert-bridge", &error);
            error.exit_code()
        }
    }
}

fn print(text: &str) -> Result<(), CommandError> {
    command_line::print(text).map_err(CommandError::Output)
}

/// The chat of this name, as somebody typed it.
fn chat_named(config: &Config, name: &str) -> Result<ChatName, CommandError> {
    let chat = ChatName::from(name);
    if config.chats.contains_key(&chat) {
        return Ok(chat);
    }
    let known = config.chats.keys().map(ChatName::as_str);
    Err(CommandError::NoSuchChat {
        name: name.to_owned(),
        nearest: nearest(name, known.clone()),
        known: known.map(str::to_owned).collect(),
    })
}
