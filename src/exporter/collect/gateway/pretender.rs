//! A process that looks like a gateway, for tests.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::exporter::collect::programs::looks_like_gateway;
use crate::system::processes;

/// A process with the arguments of a gateway: `cat`, waiting for a FIFO called `gateway`.
pub(super) struct Pretender {
    child: Child,
    _folder: tempfile::TempDir,
}

impl Pretender {
    /// Starts one that serves `home`, and has nothing else in its environment.
    pub(super) fn start(home: &Path) -> Pretender {
        Pretender::start_with(home, &[])
    }

    /// Starts one with more in its environment.
    pub(super) fn start_with(home: &Path, environment: &[(&str, &str)]) -> Pretender {
        let own = rustix::process::geteuid().as_raw();
        Pretender::start_with_as(own, home, environment)
    }

    /// Starts one as another user.
    pub(super) fn start_as(user: u32, home: &Path) -> Pretender {
        Pretender::start_with_as(user, home, &[])
    }

    fn start_with_as(user: u32, home: &Path, environment: &[(&str, &str)]) -> Pretender {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("gateway");
        mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).unwrap();
        for path in [folder.path(), &fifo] {
            std::os::unix::fs::chown(path, Some(user), None).unwrap();
        }
        let mut command = Command::new("cat");
        command.arg0("hermes").args(["gateway", "run"]).current_dir(folder.path()).uid(user);
        command.env_clear().env("HERMES_HOME", home).envs(environment.iter().copied());
        let child = command.spawn().unwrap();
        while !processes::find(child.id()).unwrap().is_some_and(|process| looks_like_gateway(&process.command_line)) {
            std::thread::yield_now();
        }
        Pretender { child, _folder: folder }
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn start_ticks(&self) -> u64 {
        processes::find(self.id()).unwrap().unwrap().start_ticks
    }
}

impl Drop for Pretender {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
