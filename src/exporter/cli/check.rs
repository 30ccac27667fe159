//! `check`: one look, what is wrong for people or programs, and an exit code that says how bad it is.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::IsTerminal;
use std::process::ExitCode;

use super::arguments::{CheckArguments, CheckOutput, Color};
use super::run::{load_without, look_once, print};
use super::{CommandError, EXIT_UNKNOWN};
use crate::exporter::config::Config;
use crate::exporter::expose::check::looks::Looks;
use crate::exporter::expose::{check as report, findings};
use crate::exporter::findings::{FleetFindings, Health};

/// Collectors that nothing is judged by: one reads every message that is stored, the other counts from look to look.
const NOT_JUDGED: [&str; 2] = ["activity", "logs"];

/// The width of a terminal that does not tell.
const USUAL_WIDTH: usize = 80;

/// Longer lines are hard to read.
const WIDEST: usize = 120;

pub(super) fn check(arguments: &CheckArguments) -> Result<ExitCode, CommandError> {
    let mut config = load_without(&NOT_JUDGED, arguments.config_file.clone(), &arguments.collectors.0)?;
    keep_asked(&mut config, &arguments.instances)?;
    let is_anybody_there = config.names().next().is_some();
    let fleet = look_once(config, arguments.timeout)?;
    let found = FleetFindings::of(&fleet);
    match arguments.output {
        CheckOutput::Text if is_anybody_there => {
            print(&report::text(&fleet, &found, looks(arguments.color)))?;
        }
        CheckOutput::Text => print(
            "unknown: there is no instance to look at; run this as the user who runs Hermes, or name the homes in a file \
             (--config.file; `hermes-exporter discover --all-users` prints one to start from)\n",
        )?,
        CheckOutput::Json => {
            let body = findings::body(&fleet, &found, &BTreeSet::new());
            let json = serde_json::to_string_pretty(&body).map_err(|error| CommandError::System {
                what: "encoding the findings",
                source: std::io::Error::other(error),
            })?;
            print(&format!("{json}\n"))?;
        }
    }
    let health = if is_anybody_there { found.health() } else { Health::Unknown };
    Ok(exit_code(health))
}

fn exit_code(health: Health) -> ExitCode {
    match health {
        Health::Healthy => ExitCode::SUCCESS,
        Health::Warning => ExitCode::from(1),
        Health::Critical => ExitCode::from(2),
        Health::Unknown => ExitCode::from(EXIT_UNKNOWN),
    }
}

/// Leaves the instances that are named, or all where none is.
fn keep_asked(config: &mut Config, names: &[String]) -> Result<(), CommandError> {
    if let Some(name) = names.iter().find(|name| !config.names().any(|other| other == *name)) {
        let known: Vec<_> = config.names().map(str::to_owned).collect();
        return Err(CommandError::no_such_instance(name, known));
    }
    if !names.is_empty() {
        config.instances.retain(|instance| names.contains(&instance.name));
        config.reported.retain(|reported| names.contains(&reported.name));
    }
    Ok(())
}

fn looks(color: Color) -> Looks {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let is_wanted = || {
        std::io::stdout().is_terminal()
            && variable("NO_COLOR").is_none()
            && variable("TERM").is_none_or(|terminal| terminal != "dumb")
    };
    Looks {
        has_colors: match color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => is_wanted(),
        },
        has_unicode: ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(variable).is_some_and(is_utf8),
        width: rustix::termios::tcgetwinsize(std::io::stdout())
            .ok()
            .map(|size| usize::from(size.ws_col))
            .map(|columns| if columns == 0 { USUAL_WIDTH } else { columns.min(WIDEST) }),
    }
}

/// Whether a locale is one of UTF-8.
fn is_utf8(locale: OsString) -> bool {
    let locale = locale.to_string_lossy().to_ascii_lowercase();
    locale.contains("utf-8") || locale.contains("utf8")
}
