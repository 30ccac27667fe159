//! Processes: whether the one that a record speaks of still runs, and which ones match a description.
//!
//! A process id alone proves nothing, because ids are reused. A process is identified by its id together with
//! its start time in clock ticks since boot (field 22 of `/proc/<pid>/stat`), which no two lives of an id share.
//!
//! What is not visible here is not gone: under `hidepid`, and from inside another PID namespace, `/proc` leaves
//! processes out. [`are_hidden`] tells the first; the second shows only in what the process leaves behind.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use procfs::ProcError;

use super::time::Timestamp;

/// How long after its start a process that did not match is looked at again: between `fork` and `exec` it still
/// has its parent's command line.
const UNDECIDED: Duration = Duration::from_secs(10);

/// How often every process is looked at afresh, in case an id was reused between two looks.
const FULL_SEARCH_INTERVAL: Duration = Duration::from_secs(300);

/// Why a process could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// `/proc` refused.
    #[error("no permission to look at process {id}")]
    Permission {
        /// The process id; 0 for the list of processes.
        id: u32,
    },
    /// Any other failure of `/proc`.
    #[error("looking at process {id} failed")]
    Proc {
        /// The process id; 0 for the list of processes.
        id: u32,
        /// What the kernel or the parser said.
        #[source]
        source: Box<ProcError>,
    },
}

/// Whether a process can make progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activity {
    /// Running, sleeping or waiting.
    Scheduled,
    /// Stopped by a signal (SIGSTOP, SIGTSTP).
    Stopped,
}

/// A living process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// The process id.
    pub id: u32,
    /// Clock ticks between boot and its start: field 22 of `/proc/<pid>/stat`.
    pub start_ticks: u64,
    /// Whether it can make progress.
    pub activity: Activity,
    /// Its arguments, the program first.
    pub command_line: Vec<String>,
    /// The process that started it, or has inherited it.
    pub parent: u32,
    /// Resident memory in bytes, when it was looked at.
    memory_bytes: u64,
    /// Processor time since its start in clock ticks, when it was looked at.
    cpu_ticks: u64,
    /// Threads, when it was looked at.
    threads: u64,
}

/// The process with this id, or `None` where there is none, or only a zombie.
pub fn find(id: u32) -> Result<Option<Process>, ProcessError> {
    let described = || {
        let process = procfs::process::Process::new(i32::try_from(id).unwrap_or(i32::MAX))?;
        Ok((process.stat()?, process.cmdline()?))
    };
    match described() {
        Ok((stat, _)) if matches!(stat.state, 'Z' | 'X' | 'x') => Ok(None),
        Ok((stat, command_line)) => Ok(Some(Process {
            id,
            start_ticks: stat.starttime,
            activity: if stat.state == 'T' { Activity::Stopped } else { Activity::Scheduled },
            command_line,
            parent: u32::try_from(stat.ppid).unwrap_or(0),
            memory_bytes: stat.rss * rustix::param::page_size() as u64,
            cpu_ticks: stat.utime + stat.stime,
            threads: u64::try_from(stat.num_threads).unwrap_or(0),
        })),
        Err(ProcError::NotFound(_)) => Ok(None),
        // ESRCH: it ended between the open and the read.
        Err(ProcError::Io(error, _)) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {
            Ok(None)
        }
        Err(ProcError::PermissionDenied(_)) => Err(ProcessError::Permission { id }),
        Err(source) => Err(ProcessError::Proc { id, source: Box::new(source) }),
    }
}

/// When the process with this id was started, in clock ticks since boot; `None` where there is none, or only a zombie.
pub fn start_ticks(id: u32) -> Option<u64> {
    let content = super::files::read(Path::new(&format!("/proc/{id}/stat"))).ok()??;
    // The name in parentheses may hold anything, parentheses too.
    let rest = content.get(content.iter().rposition(|byte| *byte == b')')? + 1..)?;
    let mut fields = std::str::from_utf8(rest).ok()?.split_ascii_whitespace();
    let state = fields.next()?;
    if matches!(state, "Z" | "X" | "x") {
        return None;
    }
    // The state is field 3, the start time field 22.
    fields.nth(18)?.parse().ok()
}

/// Whether `/proc` hides the processes of others (`hidepid`). Process 1 is always there.
pub fn are_hidden() -> bool {
    !Path::new("/proc/1").exists()
}

/// Whether this is a container whose first process is s6.
pub fn is_supervised_by_s6() -> bool {
    let name = super::files::read(Path::new("/proc/1/comm")).ok().flatten().unwrap_or_default();
    name.trim_ascii_end() == b"s6-svscan"
}

impl Process {
    /// How long ago it was started.
    pub fn age(&self) -> Duration {
        let uptime = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let uptime = uptime.tv_sec as f64 + uptime.tv_nsec as f64 / 1e9;
        Duration::try_from_secs_f64(uptime - seconds(self.start_ticks)).unwrap_or_default()
    }

    /// What it uses: everything but the open files as of the moment in which it was identified, so that it can not be
    /// what another process with the same id uses.
    pub fn usage(&self) -> Usage {
        let open_fds = procfs::process::Process::new(i32::try_from(self.id).unwrap_or(i32::MAX));
        Usage {
            memory_bytes: self.memory_bytes,
            cpu_seconds: seconds(self.cpu_ticks),
            open_fds: open_fds.and_then(|process| process.fd_count()).ok().map(|count| count as u64),
            threads: self.threads,
            start_time: Timestamp::from_seconds(boot_time() + seconds(self.start_ticks)),
        }
    }

    /// The environment it was started with; `None` where that may not be read.
    pub fn environment(&self) -> Option<HashMap<OsString, OsString>> {
        procfs::process::Process::new(i32::try_from(self.id).ok()?).ok()?.environ().ok()
    }

    /// The value of a variable in its environment; `None` where it is not set or may not be read.
    pub fn environment_variable(&self, name: &str) -> Option<OsString> {
        self.environment()?.remove(OsStr::new(name))
    }

    /// The values of variables in its environment, as it was started with; `None` for one that is not set, and for all
    /// of a process that has ended.
    pub fn environment_variables<const COUNT: usize>(
        &self,
        names: [&str; COUNT],
    ) -> Result<[Option<OsString>; COUNT], ProcessError> {
        let id = self.id;
        let described =
            || procfs::process::Process::new(i32::try_from(id).unwrap_or(i32::MAX)).and_then(|found| found.environ());
        let mut environment = match described() {
            Ok(environment) => environment,
            Err(ProcError::NotFound(_)) => HashMap::new(),
            Err(ProcError::Io(error, _)) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {
                HashMap::new()
            }
            Err(ProcError::PermissionDenied(_)) => return Err(ProcessError::Permission { id }),
            Err(source) => return Err(ProcessError::Proc { id, source: Box::new(source) }),
        };
        Ok(names.map(|name| environment.remove(OsStr::new(name))))
    }

    /// The file it was started from; `None` where it may not be read.
    pub fn executable(&self) -> Option<PathBuf> {
        std::fs::read_link(format!("/proc/{}/exe", self.id)).ok()
    }

    /// Where to find what this process knows as `path`: it may have another root and other mounts than the caller. Takes
    /// the right to look into the process.
    pub fn path_as_seen(&self, path: &Path) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root", self.id)).join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The user who has started it, or whom it has become for good: the real user id. `None` where it has ended or is
    /// hidden.
    ///
    /// Whose its folder in `/proc` is says less: that of a process that does not let itself be looked into is root's. And
    /// a program that is set-user-ID runs with its owner's rights at once, with arguments and an environment that
    /// somebody else has chosen.
    pub fn user(&self) -> Option<u32> {
        let content = super::files::read(Path::new(&format!("/proc/{}/status", self.id))).ok()??;
        let line = content.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Uid:"))?;
        std::str::from_utf8(line).ok()?.split_ascii_whitespace().next()?.parse().ok()
    }

    /// The name of its parent's program, cut to 15 characters by the kernel.
    pub fn parent_name(&self) -> Option<String> {
        let content = super::files::read(Path::new(&format!("/proc/{}/comm", self.parent))).ok().flatten()?;
        Some(String::from_utf8_lossy(&content).trim_end().to_owned())
    }
}

/// What a process uses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// Resident memory in bytes.
    pub memory_bytes: u64,
    /// Processor time since its start, user and system, in seconds.
    pub cpu_seconds: f64,
    /// Open file descriptors; `None` where another user's may not be counted.
    pub open_fds: Option<u64>,
    /// Threads.
    pub threads: u64,
    /// When it was started.
    pub start_time: Option<Timestamp>,
}

fn seconds(ticks: u64) -> f64 {
    ticks as f64 / rustix::param::clock_ticks_per_second() as f64
}

/// When this machine was started, in Unix seconds. Found out once, so that times that are counted from it do not
/// waver as the clock is adjusted.
fn boot_time() -> f64 {
    use rustix::time::{ClockId, clock_gettime};
    static BOOT_TIME: OnceLock<f64> = OnceLock::new();
    *BOOT_TIME.get_or_init(|| {
        let (now, uptime) = (clock_gettime(ClockId::Realtime), clock_gettime(ClockId::Boottime));
        let seconds = (now.tv_sec - uptime.tv_sec) as f64 + (now.tv_nsec - uptime.tv_nsec) as f64 / 1e9;
        // Start times are told in hundredths.
        (seconds * 100.0).round() / 100.0
    })
}

/// Finds the processes whose command line matches, without reading every command line at every look.
#[derive(Debug)]
pub struct Search {
    matches: fn(&[String]) -> bool,
    seen: HashMap<u32, Seen>,
    last_full: Option<Instant>,
    /// The newest process id at the last search.
    newest: Option<u32>,
    descent: Descent,
}

/// A process that has been looked at.
#[derive(Debug, Clone, Copy)]
struct Seen {
    verdict: Verdict,
    /// The process that had started it, or had inherited it, when it was looked at.
    parent: u32,
}

#[derive(Debug, Clone, Copy)]
enum Verdict {
    /// It matched.
    Matching,
    /// It did not match, and may still run another program until then.
    Undecided { until: Instant },
    /// It does not match.
    Other,
}

impl Search {
    /// A search for processes whose arguments satisfy `matches`.
    pub fn new(matches: fn(&[String]) -> bool) -> Self {
        Search { matches, seen: HashMap::new(), last_full: None, newest: None, descent: Descent::default() }
    }

    fn is_anyone_undecided(&self) -> bool {
        self.seen.values().any(|seen| matches!(seen.verdict, Verdict::Undecided { .. }))
    }

    /// The matching processes that live now.
    pub fn run(&mut self) -> Result<Vec<Process>, ProcessError> {
        let now = Instant::now();
        let newest = newest_id();
        if newest.is_some() && newest == self.newest && self.last_full.is_some() && !self.is_anyone_undecided() {
            // Nobody was started since: only those that matched have to be looked at.
            let matching =
                self.seen.iter().filter(|(_, seen)| matches!(seen.verdict, Verdict::Matching)).map(|(id, _)| *id);
            let living = matching.filter_map(|id| find(id).ok().flatten());
            return Ok(living.filter(|process| (self.matches)(&process.command_line)).collect());
        }
        self.newest = newest;
        if self.last_full.is_none_or(|last| now.duration_since(last) > FULL_SEARCH_INTERVAL) {
            self.seen.clear();
            self.last_full = Some(now);
        }
        let mut seen = HashMap::with_capacity(self.seen.len());
        let mut found = Vec::new();
        for id in process_ids()? {
            let known = self.seen.get(&id).copied();
            if let Some(other @ Seen { verdict: Verdict::Other, .. }) = known {
                seen.insert(id, other);
                continue;
            }
            let Some(process) = find(id).ok().flatten() else {
                continue;
            };
            let parent = process.parent;
            let verdict = match known.map(|known| known.verdict) {
                _ if (self.matches)(&process.command_line) => {
                    found.push(process);
                    Verdict::Matching
                }
                Some(Verdict::Undecided { until }) if now >= until => Verdict::Other,
                Some(Verdict::Undecided { until }) => Verdict::Undecided { until },
                _ => match UNDECIDED.checked_sub(process.age()) {
                    Some(left) => Verdict::Undecided { until: now + left },
                    None => Verdict::Other,
                },
            };
            seen.insert(id, Seen { verdict, parent });
        }
        self.descent = Descent::of(&mut seen);
        self.seen = seen;
        Ok(found)
    }

    /// Who has started or inherited whom, as of the last run.
    pub fn descent(&self) -> Descent {
        self.descent.clone()
    }
}

/// Who has started or inherited whom.
#[derive(Debug, Clone, Default)]
pub struct Descent {
    /// Parent and child, in order.
    pairs: Arc<[(u32, u32)]>,
}

impl Descent {
    fn of(seen: &mut HashMap<u32, Seen>) -> Descent {
        let mut pairs: Vec<(u32, u32)> = seen.iter().map(|(id, seen)| (seen.parent, *id)).collect();
        pairs.sort_unstable();
        // Somebody else has inherited those whose parent has gone: they are looked at again.
        let families = pairs.chunk_by_mut(|one, other| one.0 == other.0);
        let orphaned = families
            .filter(|family| family.first().is_some_and(|(parent, _)| *parent != 0 && !seen.contains_key(parent)));
        let mut is_anyone_adopted = false;
        for (parent, id) in orphaned.flatten() {
            if let Some(process) = find(*id).ok().flatten() {
                *parent = process.parent;
                is_anyone_adopted = true;
            }
        }
        if is_anyone_adopted {
            for (parent, id) in &pairs {
                if let Some(seen) = seen.get_mut(id) {
                    seen.parent = *parent;
                }
            }
            pairs.sort_unstable();
        }
        Descent { pairs: pairs.into() }
    }

    /// The processes that this one has started or inherited.
    pub fn children_of(&self, parent: u32) -> impl Iterator<Item = u32> {
        let first = self.pairs.partition_point(|(other, _)| *other < parent);
        let rest = self.pairs.get(first..).unwrap_or_default().iter();
        rest.take_while(move |(other, _)| *other == parent).map(|(_, child)| *child)
    }
}

/// The id that was given out last: the last field of `/proc/loadavg`.
fn newest_id() -> Option<u32> {
    let content = super::files::read(Path::new("/proc/loadavg")).ok()??;
    String::from_utf8(content).ok()?.split_whitespace().next_back()?.parse().ok()
}

fn process_ids() -> Result<Vec<u32>, ProcessError> {
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::PermissionDenied => ProcessError::Permission { id: 0 },
        _ => ProcessError::Proc { id: 0, source: Box::new(ProcError::Io(error, Some("/proc".into()))) },
    };
    let mut ids = Vec::new();
    for entry in std::fs::read_dir("/proc").map_err(failed)? {
        ids.extend(entry.map_err(failed)?.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
    }
    Ok(ids)
}

/// A lock that somebody holds on a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldLock {
    /// Device and inode of the locked file. Some filesystems (btrfs, overlays) show programs another device than
    /// they show here.
    pub file: (u64, u64),
    /// The process that holds it.
    pub process: u32,
}

/// How a file is locked. The two kinds know nothing of each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockKind {
    /// The whole file, by `flock`.
    WholeFile,
    /// A range of bytes, by `fcntl`.
    Range,
}

/// Every lock of a kind that is held, by `/proc/locks`; none where that can not be read. Locks that are held from
/// outside this PID namespace do not show.
///
/// Only looking: trying a lock oneself could make its rightful owner fail to get it. It makes the kernel wait for
/// every processor, which takes 10 ms and more on an idle machine.
pub fn held_locks(kind: LockKind) -> Vec<HeldLock> {
    use procfs::{Current, LockType};
    let Ok(locks) = procfs::Locks::current() else {
        return Vec::new();
    };
    let is_asked_for = |found: &LockType| match kind {
        LockKind::WholeFile => *found == LockType::FLock,
        LockKind::Range => matches!(found, LockType::Posix | LockType::ODF),
    };
    let held = locks.0.into_iter().filter(|lock| is_asked_for(&lock.lock_type));
    let named = held.filter_map(|lock| {
        let file = (rustix::fs::makedev(lock.devmaj, lock.devmin), lock.inode);
        Some(HeldLock { file, process: u32::try_from(lock.pid?).ok()? })
    });
    named.filter(|lock| lock.process > 0).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Child, Command};

    struct Sleeper(Child);

    impl Sleeper {
        fn start() -> Sleeper {
            Sleeper(Command::new("sleep").arg("60.125").spawn().unwrap())
        }

        /// The child, once it is past its `exec`.
        fn process(&self) -> Process {
            loop {
                if let Some(process) = find(self.0.id()).unwrap()
                    && process.command_line == ["sleep", "60.125"]
                {
                    return process;
                }
                std::thread::yield_now();
            }
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    fn is_sleeper(command_line: &[String]) -> bool {
        command_line == ["sleep", "60.125"]
    }

    #[test]
    fn a_process_is_found_stopped_and_gone() {
        let mut sleeper = Sleeper::start();
        let process = sleeper.process();
        assert!(process.start_ticks > 0);
        assert_eq!(process.activity, Activity::Scheduled);
        assert_eq!(process.user(), Some(rustix::process::getuid().as_raw()));
        let id = rustix::process::Pid::from_child(&sleeper.0);
        rustix::process::kill_process(id, rustix::process::Signal::STOP).unwrap();
        while find(process.id).unwrap().unwrap().activity != Activity::Stopped {
            std::thread::yield_now();
        }
        sleeper.0.kill().unwrap();
        // A zombie until it is waited for: not alive all the same.
        while find(process.id).unwrap().is_some() {
            std::thread::yield_now();
        }
        sleeper.0.wait().unwrap();
        assert_eq!(find(process.id).unwrap(), None);
    }

    #[test]
    fn usage_is_that_of_the_process() {
        let before = Timestamp::now();
        let own = find(std::process::id()).unwrap().unwrap().usage();
        assert!(own.memory_bytes > 100_000);
        assert!(own.open_fds.unwrap() >= 3);
        assert!(own.threads >= 2);
        let sleeper = Sleeper::start();
        let other = sleeper.process().usage();
        assert_eq!(other.threads, 1);
        // Ticks are hundredths of a second.
        assert!(other.start_time.unwrap().seconds_since(before) > -0.05);
        assert!(other.start_time.unwrap().seconds_since(Timestamp::now()) < 0.05);
        assert!(own.start_time <= other.start_time);
    }

    #[test]
    fn a_search_finds_what_comes_and_drops_what_goes() {
        let mut search = Search::new(is_sleeper);
        search.run().unwrap();
        let sleeper = Sleeper::start();
        let id = sleeper.process().id;
        assert!(search.run().unwrap().iter().any(|process| process.id == id));
        drop(sleeper);
        assert!(!search.run().unwrap().iter().any(|process| process.id == id));
    }

    #[test]
    fn a_search_knows_who_has_started_whom() {
        let mut search = Search::new(is_sleeper);
        let sleeper = Sleeper::start();
        let process = sleeper.process();
        search.run().unwrap();
        assert!(search.descent().children_of(std::process::id()).any(|id| id == process.id));
        assert_eq!(start_ticks(process.id), Some(process.start_ticks));
        drop(sleeper);
        assert_eq!(start_ticks(process.id), None);
    }

    #[test]
    fn an_orphan_is_known_by_who_has_inherited_it() {
        // The shell ends as soon as it has started the sleeper.
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 60.25 >/dev/null & echo $!"]).stdout(std::process::Stdio::piped());
        let mut shell = command.spawn().unwrap();
        let mut search = Search::new(is_sleeper);
        let (parent, mut line) = (shell.id(), String::new());
        use std::io::BufRead;
        std::io::BufReader::new(shell.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let id: u32 = line.trim().parse().unwrap();
        search.run().unwrap();
        // As if it had been seen while the shell was still there.
        search.seen.insert(id, Seen { verdict: Verdict::Other, parent });
        shell.wait_with_output().unwrap();
        search.newest = None;
        search.run().unwrap();
        let inherited_by = find(id).unwrap().unwrap().parent;
        assert_ne!(inherited_by, parent);
        assert!(search.descent().children_of(inherited_by).any(|child| child == id));
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(id as i32).unwrap(),
            rustix::process::Signal::KILL,
        )
        .unwrap();
    }

    #[test]
    fn the_holder_of_a_lock_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = std::fs::File::create(folder.path().join("lock")).unwrap();
        let identity = crate::system::files::Stamp::of(&file.metadata().unwrap()).identity();
        let held =
            || held_locks(LockKind::WholeFile).into_iter().filter(|lock| lock.file == identity).collect::<Vec<_>>();
        assert_eq!(held(), []);
        file.lock().unwrap();
        assert_eq!(held(), [HeldLock { file: identity, process: std::process::id() }]);
    }
}
