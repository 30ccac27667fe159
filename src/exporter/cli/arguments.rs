//! The command line as typed.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Args, FromArgMatches, Parser, Subcommand, ValueEnum};

use super::targets::TargetsArguments;
use crate::command_line::{self, timeout};
use crate::exporter::collect::COLLECTORS;
use crate::exporter::expose::runbooks::Runbook;
use crate::logging::{LogLevel, Logging};
use crate::web::arguments::WebArguments;
use crate::web::healthcheck::HealthcheckArguments;

/// Watches Hermes agents: reads Hermes homes without touching them and serves what it sees to Prometheus.
#[derive(Debug, Parser)]
#[command(name = "hermes-exporter", version)]
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

    /// Whether the exit code says how things are.
    pub(super) fn is_check(&self) -> bool {
        matches!(self.command, Some(Command::Check(_)))
    }

    /// The least important that is logged. What can not be told is in what `check` prints and `report` writes, and what goes
    /// on in what `demo` prints.
    pub(super) fn log_level(&self) -> LogLevel {
        let otherwise = match self.command {
            Some(Command::Check(_) | Command::Demo(_) | Command::Report(_)) => LogLevel::Error,
            _ => LogLevel::Info,
        };
        self.logging.level.unwrap_or(otherwise)
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Serve metrics, JSON and a page over HTTP; what is done without a command
    Serve(ServeArguments),
    /// Look once and say what is wrong: exit code 0 healthy, 1 warning, 2 critical, 3 unknown, 64 bad usage or configuration
    Check(CheckArguments),
    /// Print what to do about a finding or an alert, or without a name the list of all
    Runbook {
        /// The finding's name, as `check` and the page give it, or the end of an alert's runbook_url
        #[arg(value_parser = PossibleValuesParser::new(Runbook::all().map(|runbook| runbook.name)), hide_possible_values = true)]
        name: Option<String>,
    },
    /// Print the metrics once, or write them to a file for node_exporter's textfile collector
    Scrape(ScrapeArguments),
    /// Look once at one instance, and write down what is seen for another exporter to read
    Report(ReportArguments),
    /// Print the Hermes homes that are found, as a configuration file to start from
    Discover(DiscoverArguments),
    /// Say whether a configuration file is valid, and what is wrong where it is not; also of how Prometheus scrapes
    CheckConfig {
        /// The configuration file
        #[arg(required_unless_present_any = ["prometheus", "jobs"])]
        file: Option<PathBuf>,
        /// Say also whether this configuration of Prometheus scrapes the exporter rightly
        #[arg(long, value_name = "FILE")]
        prometheus: Option<PathBuf>,
        /// The scrape job of the exporter, where neither its name nor its targets tell; may be given several times
        #[arg(long = "job", value_name = "NAME", requires = "prometheus")]
        jobs: Vec<String>,
    },
    /// Print what Prometheus is to scrape, one target per instance, or write it to a file for its file_sd_configs
    Targets(TargetsArguments),
    /// Ask the exporter that runs here whether it is healthy: exit code 0, or 1 with what is wrong; for a container's HEALTHCHECK
    Healthcheck(HealthcheckArguments<10119>),
    /// Play an incident in sample homes, through Prometheus and the bridge to a chat, to try everything without Hermes
    Demo(DemoArguments),
    /// The stand-in for a gateway that `demo` starts; its arguments are those of the real one
    #[command(hide = true)]
    Gateway {
        #[arg(hide = true, value_parser = ["run"])]
        run: String,
    },
    /// What `demo` starts other programs with: they end when the process that has started them does
    #[command(hide = true)]
    WithParent {
        #[arg(hide = true)]
        parent: u32,
        #[arg(hide = true)]
        program: PathBuf,
        #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

#[derive(Debug, Args)]
pub(super) struct ServeArguments {
    /// Look at what this file names, instead of at the homes that are found
    #[arg(long = "config.file", value_name = "FILE")]
    pub(super) config_file: Option<PathBuf>,
    #[command(flatten)]
    pub(super) web: WebArguments<10119>,
    /// Serve the metrics under this path
    #[arg(long = "web.telemetry-path", value_name = "PATH", default_value = "/metrics")]
    pub(super) telemetry_path: String,
    #[command(flatten)]
    pub(super) collectors: CollectorSwitches,
}

#[derive(Debug, Args)]
pub(super) struct ScrapeArguments {
    /// Look at what this file names, instead of at the homes that are found
    #[arg(long = "config.file", value_name = "FILE")]
    pub(super) config_file: Option<PathBuf>,
    /// The format; a textfile collector reads `text`
    #[arg(long, value_enum, default_value = "text")]
    pub(super) format: ScrapeFormat,
    /// Write to this file, atomically, instead of to standard output
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Give up on what takes longer
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = timeout)]
    pub(super) timeout: Duration,
    #[command(flatten)]
    pub(super) collectors: CollectorSwitches,
}

#[derive(Debug, Args)]
pub(super) struct ReportArguments {
    /// The instance; where no file names any and one home is found, it is called so. Not needed where there is but one
    #[arg(long, value_name = "NAME")]
    pub(super) instance: Option<String>,
    /// Write to this file, atomically and readable by all, instead of to standard output
    #[arg(long, value_name = "FILE")]
    pub(super) output: Option<PathBuf>,
    /// Keep in this file, readable by nobody else, what has to be known in the next run so that counters go on: turns, tool
    /// calls, records of logs and failures of units. Without it these are left out, because a counter that is new each time
    /// never moves. Not in the Hermes home
    #[arg(long, value_name = "FILE")]
    pub(super) state: Option<PathBuf>,
    /// Look at what this file names, instead of at the homes that are found
    #[arg(long = "config.file", value_name = "FILE")]
    pub(super) config_file: Option<PathBuf>,
    /// Give up on what takes longer
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = timeout)]
    pub(super) timeout: Duration,
    #[command(flatten)]
    pub(super) collectors: CollectorSwitches,
}

#[derive(Debug, Args)]
pub(super) struct CheckArguments {
    /// Look at these instances alone
    #[arg(value_name = "INSTANCE")]
    pub(super) instances: Vec<String>,
    /// Look at what this file names, instead of at the homes that are found
    #[arg(long = "config.file", value_name = "FILE")]
    pub(super) config_file: Option<PathBuf>,
    /// For people, or for programs
    #[arg(long, value_enum, default_value = "text")]
    pub(super) output: CheckOutput,
    /// Whether there are colours; `auto`: on a terminal, unless NO_COLOR is set
    #[arg(long, value_name = "WHEN", value_enum, default_value = "auto")]
    pub(super) color: Color,
    /// Give up on what takes longer
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = timeout)]
    pub(super) timeout: Duration,
    #[command(flatten)]
    pub(super) collectors: CollectorSwitches,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum CheckOutput {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum ScrapeFormat {
    Text,
    Openmetrics,
}

#[derive(Debug, Args)]
pub(super) struct DiscoverArguments {
    /// Also propose the homes of other users, as far as they can be seen; they are not looked into
    #[arg(long)]
    pub(super) all_users: bool,
}

#[derive(Debug, Args)]
pub(super) struct DemoArguments {
    /// Listen on this address; everything else chooses free ones
    #[arg(long = "web.listen-address", value_name = "HOST:PORT", default_value = "127.0.0.1:10119")]
    pub(super) listen_addresses: Vec<String>,
    /// Start everything, and let nothing happen
    #[arg(long)]
    pub(super) no_incident: bool,
}

/// `--collector.<name>` and `--no-collector.<name>` for every row of the table of collectors; the last one wins.
#[derive(Debug, Default)]
pub(super) struct CollectorSwitches(pub(super) Vec<(&'static str, bool)>);

impl Args for CollectorSwitches {
    fn augment_args(command: clap::Command) -> clap::Command {
        // Clap keeps names for the life of the program, and so does the table.
        COLLECTORS.iter().fold(command, |command, entry| {
            let (on, off) = flags(entry.name);
            let switch = |flag: &'static str, help: String| {
                Arg::new(flag).long(flag).help(help).action(ArgAction::SetTrue).help_heading("Collectors")
            };
            command
                .arg(switch(on, format!("Read {} (default)", entry.reads)).overrides_with(off))
                .arg(switch(off, format!("Do not run the {} collector", entry.name)).overrides_with(on))
        })
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for CollectorSwitches {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let switch = |entry: &'static crate::exporter::collect::Entry| {
            let (on, off) = flags(entry.name);
            match (matches.get_flag(on), matches.get_flag(off)) {
                (true, _) => Some((entry.name, true)),
                (_, true) => Some((entry.name, false)),
                (false, false) => None,
            }
        };
        Ok(CollectorSwitches(COLLECTORS.iter().filter_map(switch).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn flags(collector: &'static str) -> (&'static str, &'static str) {
    use std::collections::HashMap;
    use std::sync::OnceLock;
    static FLAGS: OnceLock<HashMap<&str, (String, String)>> = OnceLock::new();
    let flags = FLAGS.get_or_init(|| {
        let both = |name: &'static str| (name, (format!("collector.{name}"), format!("no-collector.{name}")));
        COLLECTORS.iter().map(|entry| both(entry.name)).collect()
    });
    flags.get(collector).map_or(("", ""), |(on, off)| (on, off))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Arguments::command().debug_assert();
    }

    fn serve(line: &str) -> ServeArguments {
        let arguments = Arguments::read(line.split(' ')).unwrap();
        match arguments.command {
            None => arguments.serve,
            Some(Command::Serve(serve)) => serve,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn serving_is_the_default_and_has_the_same_flags() {
        for line in [
            "hermes-exporter --config.file a --web.listen-address 127.0.0.1:1 --web.listen-address [::1]:1 --no-collector.host",
            "hermes-exporter serve --config.file=a --web.listen-address=127.0.0.1:1 --web.listen-address=[::1]:1 --no-collector.host",
        ] {
            let serve = serve(line);
            assert_eq!(serve.config_file.as_deref(), Some(std::path::Path::new("a")));
            assert_eq!(serve.web.listen_addresses, ["127.0.0.1:1", "[::1]:1"]);
            assert_eq!(serve.collectors.0, [("host", false)]);
        }
    }

    #[test]
    fn flags_of_the_log_may_stand_anywhere_and_others_only_behind_the_command() {
        for line in ["hermes-exporter --log.level debug scrape", "hermes-exporter scrape --log.level debug"] {
            assert!(matches!(Arguments::read(line.split(' ')).unwrap().log_level(), LogLevel::Debug));
        }
        for line in [
            "hermes-exporter --config.file a scrape",
            "hermes-exporter --no-collector.host discover",
            "hermes-exporter --web.listen-address 127.0.0.1:1 serve",
        ] {
            let error = Arguments::read(line.split(' ')).unwrap_err();
            assert!(error.to_string().contains("write it behind: hermes-exporter "), "{error}");
        }
    }

    #[test]
    fn the_last_switch_wins() {
        assert_eq!(serve("hermes-exporter --no-collector.home --collector.home").collectors.0, [("home", true)]);
        assert!(serve("hermes-exporter").collectors.0.is_empty());
    }
}
