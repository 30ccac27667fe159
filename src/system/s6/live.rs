//! The real s6, started for a test, and what its own tools say at the same moment.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::lock::LockWatch;
use super::*;

/// How long anything may take here; waited out only by a failure.
const DEADLINE: Duration = Duration::from_secs(30);

/// A scan directory with services, under an s6 of its own.
struct Scan {
    folder: tempfile::TempDir,
    svscan: Child,
}

/// The files of a service: `run`, and whatever else there is.
type Files<'a> = &'a [(&'a str, &'a str)];

const SLEEPER: (&str, &str) = ("run", "#!/bin/sh\nexec sleep 1000\n");

impl Scan {
    /// Starts s6 with one service; `None`, and a word why, where s6 is not installed.
    fn start(files: Files<'_>) -> Option<Scan> {
        let folder = tempfile::tempdir().unwrap();
        let service = folder.path().join("service");
        std::fs::create_dir(&service).unwrap();
        for (name, content) in files {
            std::fs::write(service.join(name), content).unwrap();
            rustix::fs::chmod(service.join(name), rustix::fs::Mode::RWXU).unwrap();
        }
        let mut command = Command::new("s6-svscan");
        command.arg(folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        match command.spawn() {
            Ok(svscan) => Some(Scan { folder, svscan }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                skipped();
                None
            }
            Err(error) => panic!("s6-svscan does not start: {error}"),
        }
    }

    fn service(&self) -> PathBuf {
        self.folder.path().join("service")
    }

    fn tell(&self, command: &str) {
        let mut svc = Command::new("s6-svc");
        assert!(svc.arg(command).arg(self.service()).status().unwrap().success());
    }

    /// What `s6-svstat` says: its output, or its complaint.
    fn svstat(&self) -> String {
        let output = Command::new("s6-svstat").arg(self.service()).output().unwrap();
        String::from_utf8_lossy(if output.status.success() { &output.stdout } else { &output.stderr }).into_owned()
    }

    /// Looks until the service is as it is asked for, and `s6-svstat` says so at the same moment.
    fn wait(&self, what: &str, is_it: impl Fn(&Service) -> bool, says: &[&str]) -> Service {
        let mut watch = Watch::new(self.service());
        let begun = Instant::now();
        loop {
            let seen = watch.read();
            let words = self.svstat();
            if let Ok(Some(service)) = &seen
                && is_it(service)
                && says.iter().all(|word| words.contains(word))
            {
                return service.clone();
            }
            assert!(begun.elapsed() < DEADLINE, "not {what}: {seen:?}; s6-svstat: {words}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn wait_until_up(&self) -> Run {
        let service = self.wait("up", |service| matches!(service.state, State::Up(_)), &["up (pid "]);
        match service.state {
            State::Up(run) => {
                assert!(self.svstat().starts_with(&format!("up (pid {})", run.process)), "{}", self.svstat());
                run
            }
            other => panic!("{other:?}"),
        }
    }

    /// Kills s6 as nothing should: the supervisor and what would start it again.
    fn kill_supervisors(&mut self) {
        let children = format!("/proc/{id}/task/{id}/children", id = self.svscan.id());
        let supervisors = std::fs::read_to_string(children).unwrap();
        self.svscan.kill().unwrap();
        self.svscan.wait().unwrap();
        supervisors.split_whitespace().for_each(|id| kill(id.parse().unwrap()));
    }
}

impl Drop for Scan {
    fn drop(&mut self) {
        let _ = Command::new("s6-svscanctl").arg("-t").arg(self.folder.path()).stderr(Stdio::null()).status();
        let begun = Instant::now();
        while matches!(self.svscan.try_wait(), Ok(None)) && begun.elapsed() < DEADLINE {
            std::thread::sleep(Duration::from_millis(10));
        }
        let _ = self.svscan.kill();
        let _ = self.svscan.wait();
    }
}

#[expect(clippy::print_stderr, reason = "a test that does not run says so")]
fn skipped() {
    eprintln!("s6 is not installed: nothing was tested");
}

fn kill(process: i32) {
    let process = rustix::process::Pid::from_raw(process).unwrap();
    rustix::process::kill_process(process, Signal::KILL).unwrap();
}

#[test]
fn a_service_is_up_stopped_restarted_and_killed() {
    let Some(scan) = Scan::start(&[SLEEPER]) else { return };
    let first = scan.wait_until_up();
    assert!(first.is_wanted_up && !first.is_paused);
    let up = read(&scan.service()).unwrap().unwrap();
    assert_eq!((up.deaths.total, up.last_death, up.is_down_by_default), (0, None, false));
    assert!(up.changed.unwrap().seconds_since(Timestamp::now()).abs() < 30.0);

    scan.tell("-d");
    let stopped = |service: &Service| service.state == State::Stopped;
    let service = scan.wait("stopped", stopped, &["down (signal SIGTERM)", "normally up"]);
    assert_eq!(service.last_death.unwrap().cause, Cause::Signal(15));

    scan.tell("-u");
    let second = scan.wait_until_up();
    assert_ne!(first.process, second.process);
    kill(second.process as i32);
    let service = scan.wait("started again", |service| service.deaths.total == 2, &[]);
    assert_eq!(service.last_death.unwrap().cause, Cause::Signal(9));
    let third = scan.wait_until_up();
    assert_ne!(second.process, third.process);

    scan.tell("-p");
    scan.wait("paused", |service| matches!(service.state, State::Up(Run { is_paused: true, .. })), &["paused"]);
    scan.tell("-c");
    scan.tell("-o");
    let is_let_go = |service: &Service| matches!(service.state, State::Up(Run { is_wanted_up: false, .. }));
    scan.wait("run once", is_let_go, &["up (pid ", "want down"]);
}

#[test]
fn a_service_that_is_registered_only_is_stopped() {
    let Some(scan) = Scan::start(&[SLEEPER, ("down", "")]) else { return };
    let service = scan.wait("stopped", |service| service.state == State::Stopped, &["down (exitcode 0)"]);
    assert!(service.is_down_by_default);
    assert_eq!((service.deaths.total, service.last_death), (0, None));
}

#[test]
fn a_crash_loop_backs_off_and_counts_until_somebody_ends_it() {
    let Some(scan) = Scan::start(&[("run", "#!/bin/sh\nexit 3\n")]) else { return };
    let backs_off = |service: &Service| service.state == State::BackingOff && service.deaths.total >= 2;
    let service = scan.wait("backing off", backs_off, &["down (exitcode 3)", "want up"]);
    assert_eq!(service.last_death.unwrap().cause, Cause::Exit(3));
    // Told in the middle of its back-off, so that it can be seen that it was told.
    loop {
        let service = read(&scan.service()).unwrap().unwrap();
        let since = service.changed.unwrap();
        if service.state == State::BackingOff && (0.2..0.5).contains(&Timestamp::now().seconds_since(since)) {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    scan.tell("-d");
    scan.wait("stopped", |service| service.state == State::Stopped, &["down (exitcode 3)", "normally up"]);
}

#[test]
fn a_service_that_gives_up_has_failed() {
    let Some(scan) = Scan::start(&[("run", "#!/bin/sh\nexit 78\n"), ("finish", "#!/bin/sh\nexit 125\n")]) else {
        return;
    };
    let failed = |service: &Service| service.state == State::Failed;
    let service = scan.wait("failed", failed, &["down (exitcode 78)", "normally up"]);
    assert_eq!((service.deaths.total, service.last_death.unwrap().cause), (1, Cause::Exit(78)));
}

#[test]
fn a_slow_finish_is_no_word_of_an_operator() {
    let finish = "#!/bin/sh\nsleep 0.4\nexit 125\n";
    let Some(scan) = Scan::start(&[("run", "#!/bin/sh\nexit 78\n"), ("finish", finish)]) else { return };
    scan.wait("finishing", |service| service.state == State::BackingOff && service.deaths.total == 1, &["want up"]);
    scan.wait("failed", |service| service.state == State::Failed, &["down (exitcode 78)"]);
}

#[test]
fn a_dead_supervisor_is_not_believed() {
    let Some(mut scan) = Scan::start(&[SLEEPER]) else { return };
    let run = scan.wait_until_up();
    scan.kill_supervisors();
    let unsupervised = |service: &Service| service.state == State::Unsupervised;
    let service = scan.wait("unsupervised", unsupervised, &["s6-supervise not running"]);
    assert!(service.changed.is_some());
    assert!(processes_live(run.process), "it lives on without anybody watching it");
    kill(run.process as i32);
}

#[test]
fn a_lock_that_may_not_be_opened_is_found_in_the_list_of_locks() {
    let Some(mut scan) = Scan::start(&[SLEEPER]) else { return };
    let run = scan.wait_until_up();
    let lock = scan.service().join("supervise/lock");
    let mut watch = LockWatch::default();
    assert_eq!(watch.by_the_list_of_locks(&lock).unwrap(), Supervisor::Alive);
    scan.kill_supervisors();
    scan.wait("unsupervised", |service| service.state == State::Unsupervised, &[]);
    // Nothing tells a supervisor that is gone from one in another namespace.
    assert!(matches!(watch.by_the_list_of_locks(&lock), Err(S6Error::Lock { .. })));
    assert!(matches!(LockWatch::default().by_the_list_of_locks(&lock), Err(S6Error::Lock { .. })));
    kill(run.process as i32);
}

#[test]
fn looking_changes_nothing() {
    let Some(scan) = Scan::start(&[SLEEPER]) else { return };
    scan.wait_until_up();
    let stamps = || {
        let mut stamps = Vec::new();
        for entry in walkdir::WalkDir::new(scan.folder.path()).sort_by_file_name() {
            let entry = entry.unwrap();
            stamps.push((entry.path().to_owned(), files::Stamp::of(&entry.metadata().unwrap())));
        }
        stamps
    };
    let before = stamps();
    assert!(before.len() > 5);
    for _ in 0..10 {
        read(&scan.service()).unwrap();
    }
    assert_eq!(stamps(), before);
    // And the supervisor's lock is still its own.
    let lock = scan.service().join("supervise/lock");
    assert_eq!(LockWatch::default().by_the_list_of_locks(&lock).unwrap(), Supervisor::Alive);
}

fn processes_live(process: u32) -> bool {
    Path::new(&format!("/proc/{process}")).exists()
}
