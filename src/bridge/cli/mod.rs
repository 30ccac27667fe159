//! Commands and flags, and what becomes of an error at the edge: one message, and an exit code.

use std::process::ExitCode;

/// The program: reads its arguments, runs, and answers with its exit code.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
