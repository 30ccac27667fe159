//! The second half of the command `check-config`: whether Prometheus scrapes the exporter rightly.

use std::path::Path;
use std::process::ExitCode;

use super::CommandError;
use super::run::print;
use crate::command_line::EXIT_USAGE;
use crate::exporter::prometheus::{self, Weight};

pub(super) fn check_prometheus(file: &Path, jobs: &[String]) -> Result<ExitCode, CommandError> {
    let verdict = prometheus::check(file, jobs)?;
    for remark in &verdict.remarks {
        print(&format!("{remark}\n"))?;
    }
    if verdict.remarks.iter().any(|remark| remark.weight == Weight::Fault) {
        return Ok(ExitCode::from(EXIT_USAGE));
    }
    let jobs: Vec<_> = verdict.jobs.iter().map(|job| format!("{job:?}")).collect();
    print(&format!("{}: scrapes the exporter rightly, by the job {}\n", file.display(), jobs.join(", ")))?;
    Ok(ExitCode::SUCCESS)
}
