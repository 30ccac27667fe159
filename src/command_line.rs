//! What the command lines of all programs here have in common: flags behind their command, printing, and exit codes.

use std::error::Error;
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, CommandFactory, FromArgMatches};

use crate::error_chain::display_chain;

/// Bad usage or configuration (`EX_USAGE` of sysexits.h).
pub(crate) const EXIT_USAGE: u8 = 64;

/// Reads the command line. What belongs to a command stands behind it; only the flags of the log may stand before it,
/// because Clap can not be told to take exactly those.
pub(crate) fn read<A: CommandFactory + FromArgMatches>(
    line: impl IntoIterator<Item = impl Into<OsString> + Clone>,
) -> Result<A, clap::Error> {
    let mut definition = A::command();
    let matches = definition.try_get_matches_from_mut(line)?;
    if let Some((command, _)) = matches.subcommand() {
        let is_typed = |id: &str| matches.value_source(id) == Some(ValueSource::CommandLine);
        let misplaced = definition.get_arguments().find(|argument| {
            let id = argument.get_id().as_str();
            !id.starts_with("log.") && matches.try_contains_id(id).unwrap_or(false) && is_typed(id)
        });
        if let Some(flag) = misplaced.and_then(Arg::get_long) {
            let program = definition.get_name();
            let text = format!("--{flag} stands before the command; write it behind: {program} {command} --{flag} ...");
            return Err(definition.error(ErrorKind::ArgumentConflict, text));
        }
    }
    A::from_arg_matches(&matches)
}

/// How long something may take, as typed: nothing is done in no time.
pub(crate) fn timeout(typed: &str) -> Result<Duration, String> {
    let timeout = humantime::parse_duration(typed).map_err(|error| error.to_string())?;
    if timeout.is_zero() { Err("nothing is done in no time; as in 30s or 1m".to_owned()) } else { Ok(timeout) }
}

/// Prints to standard output; a reader that has gone, as in `| head`, is no error.
pub(crate) fn print(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Prints what Clap has to say instead of running: help and version, or what is wrong with the command line.
pub(crate) fn answer(said: &clap::Error) -> ExitCode {
    // Nothing can be done about a terminal that has gone.
    let _ = said.print();
    if said.use_stderr() { ExitCode::from(EXIT_USAGE) } else { ExitCode::SUCCESS }
}

/// Tells on standard error why a program has failed.
pub(crate) fn tell(program: &str, error: &dyn Error) {
    let _ = writeln!(std::io::stderr(), "{program}: {}", display_chain(error));
}
