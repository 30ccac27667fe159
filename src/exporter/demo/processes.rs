//! The programs that the demonstration starts. None of them outlives it: they are killed when it ends, and by the kernel
//! should it be killed itself.
//!
//! The kernel does so for a process that asks for it. Programs that are not of this project do not ask; so they are
//! started by this program under a hidden command, which asks and then becomes them.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Signal, getppid, set_parent_process_death_signal};

use super::DemoError;

/// The hidden command.
const WITH_PARENT: &str = "with-parent";

/// How much of a log is shown when its program has ended.
const LAST_LINES: usize = 5;

/// What a program needs of the environment: how times are shown.
const KEPT: [&str; 3] = ["TZ", "LANG", "PATH"];

/// A program under way.
#[derive(Debug)]
pub(super) struct Process {
    name: &'static str,
    log: PathBuf,
    child: Child,
}

impl Process {
    /// Starts a program with its log, and what it prints, in files of this name in the folder.
    pub(super) fn start(
        name: &'static str,
        program: &Path,
        arguments: &[String],
        folder: &Path,
    ) -> Result<Process, DemoError> {
        let mut command = Command::new(this_program()?);
        command.arg(WITH_PARENT).arg(std::process::id().to_string()).arg(program).args(arguments);
        command.env_clear().env("HOME", folder);
        for name in KEPT {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        let failed = |source| DemoError::Start { program: program.to_owned(), source };
        command.current_dir(folder).stdout(File::create(printed(folder, name)).map_err(failed)?);
        Process::spawn(name, command, folder)
    }

    /// Starts this program as something that ends with its parent by itself.
    pub(super) fn start_own(
        name: &'static str,
        shape: impl FnOnce(&mut Command),
        folder: &Path,
    ) -> Result<Process, DemoError> {
        let mut command = Command::new(this_program()?);
        command.env_clear().stdout(Stdio::null());
        shape(&mut command);
        Process::spawn(name, command, folder)
    }

    fn spawn(name: &'static str, mut command: Command, folder: &Path) -> Result<Process, DemoError> {
        let log = folder.join(format!("{name}.log"));
        let program = PathBuf::from(command.get_program());
        let failed = |source| DemoError::Start { program, source };
        let started = File::options().create(true).append(true).open(&log).and_then(|errors| {
            // In a group of its own, so that Ctrl-C reaches the demonstration alone, which ends them in order.
            command.stdin(Stdio::null()).stderr(errors).process_group(0).spawn()
        });
        Ok(Process { name, log, child: started.map_err(failed)? })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What it has logged so far.
    pub(super) fn log(&self) -> String {
        std::fs::read(&self.log).map(|log| String::from_utf8_lossy(&log).into_owned()).unwrap_or_default()
    }

    /// An error with the end of its log where it has ended by itself.
    pub(super) fn still_runs(&mut self) -> Result<(), DemoError> {
        match self.child.try_wait() {
            Ok(Some(status)) => Err(DemoError::Ended {
                program: self.name,
                status: status.to_string(),
                last_lines: last_lines(&self.log(), LAST_LINES),
            }),
            Ok(None) | Err(_) => Ok(()),
        }
    }

    /// Kills it, and waits until it is gone.
    pub(super) fn kill(&mut self) {
        // It may have been killed already, as the introduction invites to.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The file with what a program prints.
pub(super) fn printed(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.out"))
}

/// Becomes a program that ends when the process `parent`, which has started this one, does. Returns when it could not.
pub fn run_with_parent(parent: u32, program: &Path, arguments: &[OsString]) -> DemoError {
    let failed = |source| DemoError::Start { program: program.to_owned(), source };
    if let Err(error) = end_with_parent() {
        return failed(error);
    }
    // It may have ended before the kernel was asked.
    if getppid().is_none_or(|found| u32::try_from(found.as_raw_nonzero().get()) != Ok(parent)) {
        return failed(std::io::Error::other(format!("process {parent} has ended, or has not started this one")));
    }
    failed(Command::new(program).args(arguments).exec())
}

/// Asks the kernel to end this process with its parent, also while it is stopped.
pub(super) fn end_with_parent() -> std::io::Result<()> {
    Ok(set_parent_process_death_signal(Some(Signal::KILL))?)
}

fn this_program() -> Result<PathBuf, DemoError> {
    std::env::current_exe().map_err(|source| DemoError::Start { program: "hermes-exporter".into(), source })
}

/// A program beside this one, or else on the PATH.
pub(super) fn beside_or_on_path(names: &[&str]) -> Option<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.to_owned()));
    beside.into_iter().find_map(|folder| in_folder(&folder, names)).or_else(|| on_path(names))
}

/// The first of these programs on the PATH.
pub(super) fn on_path(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).find_map(|folder| in_folder(&folder, names))
}

fn in_folder(folder: &Path, names: &[&str]) -> Option<PathBuf> {
    names.iter().map(|name| folder.join(name)).find(|path| {
        path.is_absolute()
            && path.metadata().is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
    })
}

fn last_lines(log: &str, most: usize) -> String {
    let lines: Vec<_> = log.lines().collect();
    let first = lines.len().saturating_sub(most);
    lines[first..].iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_of_a_log_are_shown() {
        assert_eq!(last_lines("1\n2\n3\n", 2), "  2\n  3");
        assert_eq!(last_lines("1\n", 2), "  1");
        assert_eq!(last_lines("", 2), "");
    }

    #[test]
    fn only_programs_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("second");
        for (name, mode) in [("first", 0o644), ("second", 0o755)] {
            let path = folder.path().join(name);
            std::fs::write(&path, "").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        }
        std::fs::create_dir(folder.path().join("third")).unwrap();
        assert_eq!(in_folder(folder.path(), &["first", "third", "second"]), Some(program));
        assert_eq!(in_folder(folder.path(), &["first", "third", "none"]), None);
        // Below the folder that tests are run in.
        assert!(Path::new("tests/run.sh").is_file());
        assert_eq!(in_folder(Path::new("tests"), &["run.sh"]), None);
    }

    #[test]
    fn a_program_is_not_started_for_a_parent_that_has_gone() {
        // Started, it would take the place of the test.
        let error = run_with_parent(std::process::id(), Path::new("/nonexistent"), &[]);
        assert!(crate::error_chain::display_chain(&error).to_string().contains("has ended"), "{error:?}");
    }
}
