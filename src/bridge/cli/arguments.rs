//! The command line as typed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::command_line;
use crate::logging::{LogLevel, Logging};
use crate::web::arguments::WebArguments;
use crate::web::healthcheck::HealthcheckArguments;

/// Brings alerts from Alertmanager to the right Telegram chat, and loses none.
#[derive(Debug, Parser)]
#[command(name = "hermes-alert-bridge", version)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) serve: ServeArguments,
    #[command(flatten)]
    pub(super) logging: Logging,
}

impl Arguments {
    /// Reads the command line.
    pub(super) fn read(line: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> Result<Arguments, clap::Error> {
        command_line::read(line)
    }

    /// The least important that is logged. What goes wrong in a command is in what it prints.
    pub(super) fn log_level(&self) -> LogLevel {
        let is_serving = matches!(self.command, None | Some(Command::Serve(_)));
        let otherwise = if is_serving { LogLevel::Info } else { LogLevel::Error };
        self.logging.level.unwrap_or(otherwise)
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Take alerts over HTTP and bring them to people; what is done without a command
    Serve(ServeArguments),
    /// Say whether a configuration file is valid, and whether what it names can be used: exit code 0, or 64 where something is wrong, or 1 where Telegram says no
    CheckConfig(CheckConfigArguments),
    /// Print what each chat would be sent for a notification of Alertmanager
    Render(RenderArguments),
    /// Send a message to a chat, past the queue, to see whether it arrives
    SendTest(SendTestArguments),
    /// What waits to be sent, and doing something about it; also while the bridge serves
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Print how things stand with each chat
    Chats(ConfigFile),
    /// Ask the bridge that runs here whether it is healthy: exit code 0, or 1 with what is wrong; for a container's HEALTHCHECK
    Healthcheck(HealthcheckArguments<10120>),
}

/// Where the configuration is.
#[derive(Debug, Clone, Args)]
pub(super) struct ConfigFile {
    /// The configuration file
    #[arg(long = "config.file", value_name = "FILE", default_value = "/etc/hermes-alert-bridge/bridge.yml")]
    pub(super) config_file: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct ServeArguments {
    #[command(flatten)]
    pub(super) config: ConfigFile,
    #[command(flatten)]
    pub(super) web: WebArguments<10120>,
}

#[derive(Debug, Args)]
pub(super) struct CheckConfigArguments {
    /// The configuration file
    pub(super) file: PathBuf,
    /// Also ask Telegram who the bot is, and whether it may write to each chat; nothing is sent
    #[arg(long)]
    pub(super) online: bool,
}

#[derive(Debug, Args)]
pub(super) struct RenderArguments {
    #[command(flatten)]
    pub(super) config: ConfigFile,
    /// The body of a request of Alertmanager, as JSON; `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub(super) payload: PathBuf,
    /// What this chat would get alone
    #[arg(long, value_name = "NAME")]
    pub(super) chat: Option<String>,
    /// In which form
    #[arg(long, value_enum, default_value = "text")]
    pub(super) format: RenderFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum RenderFormat {
    /// As it is read
    Text,
    /// As it is sent
    Html,
    /// For programs
    Json,
}

#[derive(Debug, Args)]
pub(super) struct SendTestArguments {
    #[command(flatten)]
    pub(super) config: ConfigFile,
    /// The chat, as the configuration calls it
    #[arg(long, value_name = "NAME")]
    pub(super) chat: String,
    /// What to send
    #[arg(long, value_name = "TEXT")]
    pub(super) text: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(super) enum QueueCommand {
    /// Print what waits, in the order in which it is sent
    List {
        #[command(flatten)]
        config: ConfigFile,
        /// What waits for this chat alone
        #[arg(long, value_name = "NAME")]
        chat: Option<String>,
    },
    /// Try again at once what waits: all of it, that for a chat, or these; not before Telegram itself allows it
    Retry {
        #[command(flatten)]
        config: ConfigFile,
        /// What waits for this chat
        #[arg(long, value_name = "NAME", conflicts_with = "ids")]
        chat: Option<String>,
        /// These, by their numbers in `queue list`
        #[arg(value_name = "ID")]
        ids: Vec<i64>,
    },
    /// Forget what waits: nobody will be told
    Drop {
        #[command(flatten)]
        config: ConfigFile,
        /// These, by their numbers in `queue list`
        #[arg(value_name = "ID", required = true)]
        ids: Vec<i64>,
        /// Do it; without this it is only said what would be
        #[arg(long)]
        yes: bool,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn serving_is_the_default_and_has_the_same_flags() {
        for line in [
            "hermes-alert-bridge --config.file a --web.listen-address 127.0.0.1:1 --web.listen-address [::1]:1",
            "hermes-alert-bridge serve --config.file=a --web.listen-address=127.0.0.1:1 --web.listen-address=[::1]:1",
        ] {
            let arguments = Arguments::read(line.split(' ')).unwrap();
            assert!(matches!(arguments.log_level(), LogLevel::Info));
            let serve = match arguments.command {
                None => arguments.serve,
                Some(Command::Serve(serve)) => serve,
                other => panic!("{other:?}"),
            };
            assert_eq!(serve.config.config_file, PathBuf::from("a"));
            assert_eq!(serve.web.listen_addresses, ["127.0.0.1:1", "[::1]:1"]);
        }
    }

    #[test]
    fn flags_stand_behind_the_command_and_a_chat_or_numbers_are_meant() {
        for line in [
            "hermes-alert-bridge --config.file a chats",
            "hermes-alert-bridge queue retry --chat root 7",
            "hermes-alert-bridge queue drop --yes",
            "hermes-alert-bridge render",
        ] {
            assert!(Arguments::read(line.split(' ')).is_err(), "{line}");
        }
        for line in
            ["hermes-alert-bridge --log.level debug chats --config.file a", "hermes-alert-bridge queue retry 7 8"]
        {
            assert!(Arguments::read(line.split(' ')).is_ok(), "{line}");
        }
    }
}
