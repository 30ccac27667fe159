//! s6: what a service directory says of the service that `s6-supervise` keeps in it.
//!
//! Everything is in `supervise/`, which `s6-supervise` writes: `status` (how things are), `death_tally` (the last
//! deaths) and `lock`, which it holds as long as it lives. Nothing is asked over its FIFOs: they are never opened,
//! and nothing is created, locked or changed.
//!
//! * `status` goes on saying what it said when its writer died. Whether anybody still writes it only the lock tells.
//! * Neither file says who ended a service: see [`State::Failed`] for how that is judged, and where it is wrong.
//! * `death_tally` keeps the newest 100 deaths, or as many as the service's `max-death-tally` says, at most 4096; a new
//!   supervisor begins with an empty one. A [`Watch`] goes on counting over both.
//!
//! * [`status`]: the two files as bytes.
//! * [`lock`]: whether there is a supervisor.
//!
//! This is not for telling a supervisor to do something, nor for the logs that s6 keeps.

#[cfg(test)]
mod live;
mod lock;
mod status;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::files::{self, FileError};
use super::time::Timestamp;
use lock::{LockWatch, Supervisor};
use status::{DEATH, Status};

/// A status that was written this much later than it would have to be was written anew.
///
/// File systems stamp times with the granularity of the kernel's tick (up to 10 ms).
const WRITTEN_ANEW: Duration = Duration::from_millis(50);

/// Why a service could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum S6Error {
    /// One of its files could not be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The status has a length that no s6 writes.
    #[error("{} has {length} bytes; a status of s6 has 35 or 43", path.display())]
    Length {
        /// The status.
        path: PathBuf,
        /// How many bytes it has.
        length: usize,
    },
    /// The status has the right length, and what is in it can not be.
    #[error("{} is no status of s6", path.display())]
    Content {
        /// The status.
        path: PathBuf,
    },
    /// The lock may not be looked at, and `/proc/locks` does not have it, so that it can not be told whether there is a
    /// supervisor.
    #[error("no permission to see whether a supervisor holds {}", path.display())]
    Lock {
        /// The lock.
        path: PathBuf,
    },
}

/// A service that s6 knows, or has known.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// How it stands with the service.
    pub state: State,
    /// When it last came up or went down; where there is no supervisor, the last time that one wrote of.
    pub changed: Option<Timestamp>,
    /// Its deaths. [`read`] counts those in the tally, a [`Watch`] all that it has seen.
    pub deaths: Deaths,
    /// The newest death that is known of.
    pub last_death: Option<Death>,
    /// Whether it is left down when its supervisor is started: there is a file called `down`.
    pub is_down_by_default: bool,
}

/// How it stands with a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its process is there.
    Up(Run),
    /// Down and wanted up: it is started again within a second, or within ten where `run` can not be executed. Also
    /// while `finish` tidies up after it.
    BackingOff,
    /// Down and not wanted up, and nobody seems to have asked for that: `finish` has ended with 125, which is how a
    /// service says that starting it again will not help.
    ///
    /// s6 does not record who has cleared its wish. So a service that is down and not wanted up has failed when its
    /// process ended with an exit code other than 0, or by a signal that the kernel sends for a fault (SIGSEGV,
    /// SIGABRT and the like); it was stopped when it ended with 0 or by any other signal (an exit code above 128 is how
    /// a shell tells of a signal), or when the supervisor has written its status again after it went down, which it does
    /// when it is told `s6-svc -d` then.
    ///
    /// So this is wrong about a service that answers an operator's SIGTERM with an exit code of its own, or that is told
    /// to stay down within 50 ms of a crash; and [`State::Stopped`] is wrong about one that was killed and whose
    /// `finish` then gave up.
    Failed,
    /// Down and not wanted up, by an operator's word, or since it was registered.
    Stopped,
    /// There is no supervisor. What else is said of the service is what was so when there was one; its process may
    /// live on without anybody watching it.
    Unsupervised,
}

/// A process that is supervised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Its id, in the PID namespace of its supervisor.
    pub process: u32,
    /// What is known of its readiness to serve.
    pub readiness: Readiness,
    /// Whether an operator has halted it (`s6-svc -p`).
    pub is_paused: bool,
    /// Whether it is started again when it ends. It is not after `s6-svc -o`, and while it is being stopped.
    pub is_wanted_up: bool,
}

/// Whether a process has said that it is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// It has said so.
    Ready,
    /// It has not: it is not ready yet, or is of a kind that never says.
    Unsaid,
}

/// Deaths of a service, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deaths {
    /// All of them.
    pub total: u64,
    /// Those with an exit code other than 0.
    pub by_exit_code: u64,
    /// Those by a signal, but for those that a process is asked to end by: SIGHUP, SIGINT, SIGPIPE and SIGTERM.
    pub by_signal: u64,
}

impl Deaths {
    fn add(&mut self, cause: Cause) {
        let asked_to = [Signal::HUP, Signal::INT, Signal::PIPE, Signal::TERM];
        self.total += 1;
        match cause {
            Cause::Exit(0) => {}
            Cause::Exit(_) => self.by_exit_code += 1,
            Cause::Signal(signal) if asked_to.iter().any(|asked| asked.as_raw() == i32::from(signal)) => {}
            Cause::Signal(_) => self.by_signal += 1,
        }
    }
}

/// One death of a service.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Death {
    /// When, where that is known.
    pub at: Option<Timestamp>,
    /// How its process ended.
    pub cause: Cause,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// By itself, with this exit code.
    Exit(u8),
    /// By a signal of this number.
    Signal(u8),
}

impl Cause {
    fn of(wait_status: u16) -> Cause {
        match wait_status & 0x7f {
            0 => Cause::Exit((wait_status >> 8) as u8),
            signal => Cause::Signal(signal as u8),
        }
    }

    /// Whether a process ends like this that is stopped in order, or killed by somebody.
    fn may_be_asked_for(self) -> bool {
        let signal = match self {
            Cause::Exit(0) => return true,
            Cause::Exit(code) if code > 128 => code - 128,
            Cause::Exit(_) => return false,
            Cause::Signal(signal) => signal,
        };
        let faults = [
            Signal::ILL,
            Signal::TRAP,
            Signal::ABORT,
            Signal::BUS,
            Signal::FPE,
            Signal::SEGV,
            Signal::XCPU,
            Signal::XFSZ,
            Signal::SYS,
        ];
        signal <= 64 && !faults.iter().any(|fault| fault.as_raw() == i32::from(signal))
    }
}

/// What s6 says of the service in `directory`, or `None` where there is no such directory.
pub fn read(directory: &Path) -> Result<Option<Service>, S6Error> {
    Watch::new(directory.to_owned()).read()
}

/// Looks at one service again and again: goes on counting its deaths when s6 drops the oldest or begins anew.
#[derive(Debug)]
pub struct Watch {
    directory: PathBuf,
    counter: DeathCounter,
    lock: LockWatch,
}

impl Watch {
    /// Watches the service in `directory`, which need not exist.
    pub fn new(directory: PathBuf) -> Watch {
        Watch { directory, counter: DeathCounter::default(), lock: LockWatch::default() }
    }

    /// Goes on from what another process has counted.
    pub fn go_on_from(&mut self, counter: DeathCounter) {
        self.counter = counter;
    }

    /// What it has counted, for another process to go on from.
    pub fn counter(&self) -> DeathCounter {
        self.counter
    }

    /// What s6 says of the service now, or `None` where there is no such directory.
    pub fn read(&mut self) -> Result<Option<Service>, S6Error> {
        match std::fs::metadata(&self.directory) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => return Ok(None),
            Err(error) => return Ok(files::absent_or_error(&self.directory, error)?),
        }
        let supervisor = self.lock.supervisor(&self.directory.join("supervise/lock"))?;
        Ok(Some(self.service(supervisor)?))
    }

    fn service(&mut self, supervisor: Supervisor) -> Result<Service, S6Error> {
        let path = self.directory.join("supervise/status");
        let parse = |content: Vec<u8>| Status::parse(&content, &path);
        let status = match supervisor {
            Supervisor::Alive => files::read(&path)?.map(parse).transpose()?,
            // What it has left behind need not be whole.
            Supervisor::Gone => files::read(&path).ok().flatten().and_then(|content| parse(content).ok()),
        };
        let tally = status::tally(&files::read(&self.directory.join("supervise/death_tally"))?.unwrap_or_default());
        let state = match (supervisor, &status) {
            (Supervisor::Gone, _) => State::Unsupervised,
            // It takes the lock before it writes its first status.
            (Supervisor::Alive, None) => State::BackingOff,
            (Supervisor::Alive, Some(status)) => match status.run() {
                Some(run) => State::Up(run),
                None if status.is_wanted_up() => State::BackingOff,
                None if tally.is_empty() && status.wait_status == 0 => State::Stopped,
                None if Cause::of(status.wait_status).may_be_asked_for() => State::Stopped,
                None if self.was_told_when_down(status)? => State::Stopped,
                None => State::Failed,
            },
        };
        let last_death = match tally.last() {
            Some(record) => Some(Death::of(record)),
            // A service may ask for no tally; the status of a supervisor that has seen no death has a 0.
            None => status.filter(|status| status.wait_status != 0).map(|status| Death {
                at: status.run().is_none().then_some(status.changed),
                cause: Cause::of(status.wait_status),
            }),
        };
        Ok(Service {
            state,
            changed: status.map(|status| status.changed),
            deaths: self.counter.count(&tally),
            last_death,
            is_down_by_default: files::exists(&self.directory.join("down"))?,
        })
    }

    /// Whether the supervisor has written its status again after the service went down.
    ///
    /// It writes the tally when the process has ended and the status when `finish` has, and in the status it says how
    /// long that took. Only differences are compared: s6 counts its times from the moment it was started, and the
    /// files' times are by a clock that may be set.
    fn was_told_when_down(&self, status: &Status) -> Result<bool, S6Error> {
        let written = |name: &str| -> Result<Option<Timestamp>, S6Error> {
            let path = self.directory.join("supervise").join(name);
            match std::fs::metadata(&path).and_then(|metadata| metadata.modified()) {
                Ok(time) => Ok(Some(Timestamp::from(time))),
                Err(error) => Ok(files::absent_or_error(&path, error)?),
            }
        };
        let (Some(tally), Some(last)) = (written("death_tally")?, written("status")?) else {
            return Ok(false);
        };
        let took = status.ready.seconds_since(status.changed);
        Ok(last.seconds_since(tally) > took + WRITTEN_ANEW.as_secs_f64())
    }
}

/// Counts deaths in a tally that keeps only the newest.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub struct DeathCounter {
    counted: Deaths,
    last: Option<[u8; DEATH]>,
}

impl DeathCounter {
    /// The deaths that it has counted.
    pub fn counted(&self) -> Deaths {
        self.counted
    }

    fn count(&mut self, tally: &[[u8; DEATH]]) -> Deaths {
        // Where the last one that was counted is not there, all of them have come since.
        let known = tally.iter().rposition(|record| Some(*record) == self.last).map_or(0, |place| place + 1);
        for record in tally.iter().skip(known) {
            self.counted.add(Death::of(record).cause);
        }
        self.last = tally.last().copied().or(self.last);
        self.counted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::time::SystemTime;

    /// A service directory with recorded files of s6, and the words of `s6-svstat` about it.
    struct Recorded {
        folder: tempfile::TempDir,
        words: String,
    }

    const RECORDED: [&str; 7] = [
        "crash_loop",
        "exit78_permanent",
        "killed_backoff",
        "registered_down",
        "restarted",
        "stopped_by_operator",
        "up",
    ];

    impl Recorded {
        fn unpack(name: &str) -> Recorded {
            let file = |kind: &str| {
                let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hermes-0.19.0/s6");
                std::fs::read(fixtures.join(format!("{name}.{kind}"))).unwrap()
            };
            let folder = tempfile::tempdir().unwrap();
            let recorded = Recorded { folder, words: String::from_utf8(file("svstat.txt")).unwrap() };
            std::fs::create_dir(recorded.path("supervise")).unwrap();
            std::fs::write(recorded.path("supervise/status"), file("status")).unwrap();
            std::fs::write(recorded.path("supervise/death_tally"), file("death_tally")).unwrap();
            recorded.set_written("death_tally", 0);
            recorded.set_written("status", 0);
            recorded
        }

        fn path(&self, relative: &str) -> PathBuf {
            self.folder.path().join(relative)
        }

        /// Makes a file look written so many milliseconds after a moment that is the same for all.
        fn set_written(&self, name: &str, milliseconds: u64) {
            let time =
                SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_164_942) + Duration::from_millis(milliseconds);
            File::open(self.path("supervise").join(name)).unwrap().set_modified(time).unwrap();
        }

        fn service(&self, supervisor: Supervisor) -> Result<Service, S6Error> {
            Watch::new(self.folder.path().to_owned()).service(supervisor)
        }

        fn state(&self) -> State {
            self.service(Supervisor::Alive).unwrap().state
        }

        /// What stands in s6 2.13's longer form of the same status.
        fn lengthen(&self) {
            let status = std::fs::read(self.path("supervise/status")).unwrap();
            let longer = [&status[..32], &77_u64.to_be_bytes(), &status[32..]].concat();
            assert_eq!(longer.len(), 43);
            std::fs::write(self.path("supervise/status"), longer).unwrap();
            self.set_written("status", 0);
        }
    }

    /// The words of `s6-svstat` that follow from what was read.
    fn words(service: &Service) -> String {
        let cause = match service.last_death.map(|death| death.cause) {
            None => "exitcode 0".to_owned(),
            Some(Cause::Exit(code)) => format!("exitcode {code}"),
            Some(Cause::Signal(9)) => "signal SIGKILL".to_owned(),
            Some(Cause::Signal(15)) => "signal SIGTERM".to_owned(),
            Some(Cause::Signal(other)) => panic!("signal {other}"),
        };
        match service.state {
            State::Up(run) => format!("up (pid {})", run.process),
            State::BackingOff => format!("down ({cause}), want up"),
            State::Failed | State::Stopped => format!("down ({cause})"),
            State::Unsupervised => "s6-supervise not running".to_owned(),
        }
    }

    /// The first line of `s6-svstat`, without how long it is so and what it says of the markers.
    fn gist(line: &str) -> String {
        let line = line.lines().next().unwrap();
        let end = line.find(')').unwrap() + 1;
        let want_up = if line.contains("want up") { ", want up" } else { "" };
        format!("{}{want_up}", &line[..end])
    }

    #[test]
    fn every_recorded_service_is_as_s6_svstat_says() {
        for name in RECORDED {
            let recorded = Recorded::unpack(name);
            let service = recorded.service(Supervisor::Alive).unwrap();
            assert_eq!(words(&service), gist(&recorded.words), "{name}");
            // The last line has the file's own time.
            let written = recorded.words.trim().rsplit_once("mtime_epoch=").unwrap().1.parse::<f64>().unwrap();
            let changed = service.changed.unwrap().seconds();
            assert!((changed - written).abs() < 1.5, "{name}: {changed} {written}");
            recorded.lengthen();
            assert_eq!(recorded.service(Supervisor::Alive).unwrap(), service, "{name} as s6 2.13 writes it");
        }
    }

    #[test]
    fn a_failure_for_good_is_told_from_a_stop() {
        let state = |name| Recorded::unpack(name).state();
        assert_eq!(state("crash_loop"), State::BackingOff);
        assert_eq!(state("killed_backoff"), State::BackingOff);
        assert_eq!(state("exit78_permanent"), State::Failed);
        assert_eq!(state("stopped_by_operator"), State::Stopped);
        assert_eq!(state("registered_down"), State::Stopped);
        let run = Run { process: 24742, readiness: Readiness::Unsaid, is_paused: false, is_wanted_up: true };
        assert_eq!(state("up"), State::Up(run));
        assert_eq!(state("restarted"), State::Up(Run { process: 25050, ..run }));
    }

    #[test]
    fn a_crashed_service_that_is_told_to_stay_down_is_stopped() {
        let recorded = Recorded::unpack("exit78_permanent");
        // `finish` took 5 ms, and the clock of files ticks coarsely.
        recorded.set_written("status", 15);
        assert_eq!(recorded.state(), State::Failed);
        recorded.set_written("status", 700);
        assert_eq!(recorded.state(), State::Stopped);
    }

    #[test]
    fn deaths_are_counted_and_the_last_is_told() {
        let died = |name| {
            let service = Recorded::unpack(name).service(Supervisor::Alive).unwrap();
            (service.deaths.total, service.last_death.map(|death| death.cause))
        };
        let all = Recorded::unpack("crash_loop").service(Supervisor::Alive).unwrap().deaths;
        assert_eq!(all, Deaths { total: 6, by_exit_code: 4, by_signal: 1 }, "one was asked for by SIGTERM");
        assert_eq!(died("up"), (0, None));
        assert_eq!(died("killed_backoff"), (1, Some(Cause::Signal(9))));
        assert_eq!(died("stopped_by_operator"), (2, Some(Cause::Signal(15))));
        assert_eq!(died("exit78_permanent"), (3, Some(Cause::Exit(78))));
        assert_eq!(died("crash_loop"), (6, Some(Cause::Exit(3))));
        let crash_loop = Recorded::unpack("crash_loop").service(Supervisor::Alive).unwrap();
        assert_eq!(crash_loop.last_death.unwrap().at, crash_loop.changed);
    }

    #[test]
    fn a_service_without_a_tally_has_the_death_of_its_status() {
        let recorded = Recorded::unpack("exit78_permanent");
        std::fs::remove_file(recorded.path("supervise/death_tally")).unwrap();
        let service = recorded.service(Supervisor::Alive).unwrap();
        assert_eq!(service.state, State::Failed);
        assert_eq!(service.last_death, Some(Death { at: service.changed, cause: Cause::Exit(78) }));
        assert_eq!(service.deaths, Deaths::default());
    }

    #[test]
    fn while_finish_runs_the_service_is_not_up() {
        let recorded = Recorded::unpack("up");
        let mut status = std::fs::read(recorded.path("supervise/status")).unwrap();
        status[34] |= 2;
        std::fs::write(recorded.path("supervise/status"), status).unwrap();
        assert_eq!(recorded.state(), State::BackingOff);
    }

    #[test]
    fn without_a_supervisor_its_files_are_history() {
        for name in RECORDED {
            let recorded = Recorded::unpack(name);
            let service = recorded.service(Supervisor::Gone).unwrap();
            assert_eq!(service.state, State::Unsupervised, "{name}");
            assert!(service.changed.is_some());
            std::fs::write(recorded.path("supervise/status"), "damaged").unwrap();
            assert_eq!(recorded.service(Supervisor::Gone).unwrap().changed, None);
            assert!(matches!(recorded.service(Supervisor::Alive), Err(S6Error::Length { length: 7, .. })));
        }
    }

    #[test]
    fn what_is_not_there_and_what_was_never_supervised() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(read(&folder.path().join("nothing")).unwrap(), None);
        std::fs::write(folder.path().join("file"), "").unwrap();
        assert_eq!(read(&folder.path().join("file")).unwrap(), None);
        std::fs::write(folder.path().join("down"), "").unwrap();
        let service = read(folder.path()).unwrap().unwrap();
        assert_eq!((service.state, service.changed, service.deaths.total), (State::Unsupervised, None, 0));
        assert!(service.is_down_by_default);
    }

    #[test]
    fn deaths_go_on_counting_when_s6_drops_the_oldest_or_begins_anew() {
        let mut counter = DeathCounter::default();
        let mut count =
            |deaths: &[u8]| counter.count(&deaths.iter().map(|death| [*death; DEATH]).collect::<Vec<_>>()).total;
        assert_eq!(count(&[1, 2]), 2);
        assert_eq!(count(&[1, 2, 3]), 3);
        assert_eq!(count(&[2, 3, 4]), 4);
        assert_eq!(count(&[]), 4, "a new supervisor");
        assert_eq!(count(&[5]), 5);
        let kept = serde_json::to_string(&counter).unwrap();
        let mut next: DeathCounter = serde_json::from_str(&kept).unwrap();
        assert_eq!(next.count(&[[5; DEATH], [6; DEATH]]).total, 6, "in another process");
    }

    #[test]
    fn signals_of_faults_are_nobodys_wish() {
        for wait_status in [0x0000, 0x000f, 0x0009, 0x0002, 0x8f00, 0x8900] {
            assert!(Cause::of(wait_status).may_be_asked_for(), "{wait_status:x}");
        }
        // Exit 1 and 78, SIGSEGV with a core, SIGABRT, a shell's word for SIGSEGV, exit 255.
        for wait_status in [0x0100, 0x4e00, 0x008b, 0x0006, 0x8b00, 0xff00] {
            assert!(!Cause::of(wait_status).may_be_asked_for(), "{wait_status:x}");
        }
    }
}
