//! The `hermes-alert-bridge` program: parses, runs, exits. Everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    hermes_exporter::bridge::cli::main()
}
