//! The `hermes-exporter` program: parses, runs, exits. Everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    hermes_exporter::exporter::cli::main()
}
