//! Which process is the gateway of a home: by what its files claim, by its lock, and by a search.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::records::ProcessRecord;
use crate::exporter::collect::Look;
use crate::exporter::collect::problems::Because;
use crate::exporter::snapshot::Reason;
use crate::system::files::{self, Stamp};
use crate::system::processes::{self, HeldLock, LockKind, Process, Search};
use crate::system::time::Timestamp;

/// Whether the gateway's process lives.
#[derive(Debug)]
pub(super) enum Liveness {
    /// It is this one.
    Alive(Process),
    /// There is none.
    Dead,
    /// None is visible, and yet its heart beats: it runs in another PID namespace.
    Elsewhere,
    /// It can not be told.
    Unknown(Reason),
}

impl Liveness {
    /// Whether there is a process, visible or not.
    pub(super) fn is_there(&self) -> bool {
        matches!(self, Liveness::Alive(_) | Liveness::Elsewhere)
    }

    /// Whether the process that lives is not the one that a record speaks of, but its successor. Start times are
    /// the same in every PID namespace; ids are not.
    pub(super) fn is_another_than(&self, recorded: Option<ProcessRecord>) -> bool {
        match (self, recorded.and_then(|record| record.start_ticks)) {
            (Liveness::Alive(process), Some(start_ticks)) => process.start_ticks != start_ticks,
            _ => false,
        }
    }
}

/// Whether these arguments are those of a Hermes gateway at work.
///
/// Hermes starts it as `hermes gateway [run]`, `python -m hermes_cli.main gateway run`, `hermes-gateway` or
/// `gateway/run.py`; `gateway restart` stays in the process it restarts into. A profile may be chosen anywhere
/// by `-p NAME` or `--profile NAME`; other subcommands of `gateway` only manage.
pub fn looks_like_gateway(command_line: &[String]) -> bool {
    let Some(entry) = program(command_line) else {
        return false;
    };
    let is_dedicated = |program: &str| file_name(program) == "hermes-gateway" || program.ends_with("gateway/run.py");
    let is_hermes = |program: &str| {
        file_name(program) == "hermes" || program == "hermes_cli.main" || program.ends_with("hermes_cli/main.py")
    };
    let (program, arguments) = (command_line[entry].as_str(), &command_line[entry + 1..]);
    if !is_hermes(program) {
        return is_dedicated(program);
    }
    let arguments = without_profile(arguments);
    match arguments.iter().position(|argument| *argument == "gateway") {
        Some(at) => matches!(arguments.get(at + 1).copied(), None | Some("run" | "restart")),
        None => false,
    }
}

/// The place of the program that is run: the first argument, or what a Python interpreter is given to run.
fn program(command_line: &[String]) -> Option<usize> {
    if !file_name(command_line.first()?).starts_with("python") {
        return Some(0);
    }
    let mut place = 1;
    loop {
        match command_line.get(place)?.as_str() {
            // These take a value of their own.
            "-X" | "-W" => place += 2,
            // A program on the command line is none of Hermes'.
            "-c" => return None,
            option if option.starts_with('-') => place += 1,
            _ => return Some(place),
        }
    }
}

fn file_name(argument: &str) -> &str {
    argument.rsplit('/').next().unwrap_or(argument)
}

fn without_profile(arguments: &[String]) -> Vec<&str> {
    let mut rest = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-p" | "--profile" => drop(arguments.next()),
            other if other.starts_with("--profile=") || other.starts_with("-p=") => {}
            other => rest.push(other),
        }
    }
    rest
}

fn profile_argument(command_line: &[String]) -> Option<&str> {
    let mut arguments = command_line.iter();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-p" | "--profile" => return arguments.next().map(String::as_str),
            other => {
                if let Some(name) = other.strip_prefix("--profile=").or_else(|| other.strip_prefix("-p=")) {
                    return Some(name);
                }
            }
        }
    }
    None
}

/// What a search for gateway processes has found.
#[derive(Debug, Default)]
struct Found {
    by_home: HashMap<FolderIdentity, Vec<Process>>,
    /// Gateways whose environment could not be read, by their user, any of whose homes they may serve.
    unreadable: HashMap<u32, Vec<Process>>,
}

/// Device and inode: the same folder under any name.
type FolderIdentity = (u64, u64);

/// The gateway processes on this machine and the homes they serve; found out once per look, when first asked.
#[derive(Debug)]
pub struct GatewayProcesses {
    search: Arc<Mutex<Search>>,
    found: OnceLock<Result<Found, Reason>>,
    locks: OnceLock<Vec<HeldLock>>,
}

impl GatewayProcesses {
    /// A look that uses `search`, which remembers what it has seen before.
    pub fn new(search: Arc<Mutex<Search>>) -> Self {
        GatewayProcesses { search, found: OnceLock::new(), locks: OnceLock::new() }
    }

    /// The living gateway processes that serve `home`; the error is why that can not be told.
    pub(super) fn of_home(&self, home: &Path) -> Result<Vec<Process>, Reason> {
        let found = self.found.get_or_init(|| {
            let mut search = self.search.lock().unwrap_or_else(PoisonError::into_inner);
            let processes = search.run().map_err(|error| error.reason())?;
            let mut found = Found::default();
            for process in processes {
                match home_of(&process) {
                    Some(home) => {
                        if let Some(home) = folder_identity(&home) {
                            found.by_home.entry(home).or_default().push(process);
                        }
                    }
                    None => {
                        if let Some(user) = process.user().filter(|_| still_lives(&process)) {
                            found.unreadable.entry(user).or_default().push(process);
                        }
                    }
                }
            }
            Ok(found)
        });
        let found = found.as_ref().map_err(|reason| *reason)?;
        let Ok(metadata) = std::fs::metadata(home) else {
            return Ok(Vec::new());
        };
        let folder = (metadata.dev(), metadata.ino());
        if let Some(processes) = found.by_home.get(&folder) {
            return Ok(processes.clone());
        }
        let mut serving = Vec::new();
        for process in found.unreadable.get(&metadata.uid()).into_iter().flatten() {
            // Whoever has searched may have had other rights than who asks.
            match home_of(process) {
                Some(served) if folder_identity(&served) == Some(folder) => serving.push(process.clone()),
                None if still_lives(process) => return Err(Reason::Permission),
                _ => {}
            }
        }
        Ok(serving)
    }
}

impl GatewayProcesses {
    /// The processes that hold a lock on this file.
    fn lock_holders(&self, file: &Stamp) -> impl Iterator<Item = u32> {
        let locks = self.locks.get_or_init(|| processes::held_locks(LockKind::WholeFile));
        locks.iter().filter(move |lock| lock.file == file.identity()).map(|lock| lock.process)
    }
}

/// Whether a process that was found has not ended since: one that ends has no environment any more, and refuses nobody.
fn still_lives(process: &Process) -> bool {
    let now = processes::find(process.id).ok().flatten();
    now.is_some_and(|now| now.start_ticks == process.start_ticks)
}

/// The home a gateway process serves, as far as its environment may be read.
fn home_of(process: &Process) -> Option<PathBuf> {
    let base = match process.environment_variable("HERMES_HOME") {
        Some(home) if !home.is_empty() => PathBuf::from(home),
        _ => PathBuf::from(process.environment_variable("HOME")?).join(".hermes"),
    };
    Some(match profile_argument(&process.command_line) {
        None => base,
        Some(profile) => {
            let is_profile = base.parent().and_then(Path::file_name).is_some_and(|parent| parent == "profiles");
            let root = if is_profile { base.parent()?.parent()?.to_owned() } else { base };
            if profile == "default" { root } else { root.join("profiles").join(profile) }
        }
    })
}

fn folder_identity(path: &Path) -> Option<FolderIdentity> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Whether the process that the home's files claim lives: the one with that id, that start time and the
/// arguments of a gateway; else the holder of the gateway's lock, which is how a gateway in a container is
/// found from its host; else one that a search has found for this home.
pub(super) fn liveness(
    look: &Look<'_>,
    claims: &[Option<ProcessRecord>],
    lock: &mut LockWatch,
    fresh_beat: Option<Timestamp>,
    serving: &Result<Vec<Process>, Reason>,
) -> Liveness {
    let mut refused = None;
    for claim in claims.iter().chain([&lock.holder]).flatten() {
        match processes::find(claim.id) {
            Ok(Some(process)) if is_the_one(&process, claim) => return Liveness::Alive(process),
            Ok(_) => {}
            Err(error) => refused = Some(error.reason()),
        }
    }
    if let Some(process) = lock.look(look, fresh_beat) {
        return Liveness::Alive(process);
    }
    match serving {
        Ok(serving) => {
            if let Some(process) = serving.first() {
                return Liveness::Alive(process.clone());
            }
        }
        Err(reason) => refused = Some(*reason),
    }
    if let Some(reason) = refused {
        return Liveness::Unknown(reason);
    }
    if processes::are_hidden() { Liveness::Unknown(Reason::Permission) } else { Liveness::Dead }
}

/// Who holds the gateway's lock, found out as rarely as can be: reading `/proc/locks` makes the kernel wait for
/// every processor, which takes 10 ms and more on an idle machine.
#[derive(Debug)]
pub(super) struct LockWatch {
    /// The gateway's lock.
    path: PathBuf,
    /// Whether it has been found out at all, and the fresh heartbeat there was then.
    looked_for: Option<Option<Timestamp>>,
    holder: Option<ProcessRecord>,
}

impl LockWatch {
    pub(super) fn new(path: PathBuf) -> Self {
        LockWatch { path, looked_for: None, holder: None }
    }

    /// Looks once, and then when there is a new heartbeat: without one nothing has come alive.
    fn look(&mut self, look: &Look<'_>, fresh_beat: Option<Timestamp>) -> Option<Process> {
        if self.looked_for.is_some_and(|beat| beat == fresh_beat || fresh_beat.is_none()) {
            return None;
        }
        self.looked_for = Some(fresh_beat);
        let file = files::stamp(&self.path).ok()??;
        let mut holders = look.gateways.lock_holders(&file).filter_map(|id| processes::find(id).ok()?);
        let holder = holders.find(|process| looks_like_gateway(&process.command_line))?;
        self.holder = Some(ProcessRecord { id: holder.id, start_ticks: Some(holder.start_ticks) });
        Some(holder)
    }
}

fn is_the_one(process: &Process, claim: &ProcessRecord) -> bool {
    claim.start_ticks.is_none_or(|ticks| ticks == process.start_ticks) && looks_like_gateway(&process.command_line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporter::collect::gateway::pretender::Pretender;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn command_lines_of_gateways() {
        for line in [
            "hermes gateway run",
            "hermes gateway",
            "/usr/bin/python3 /opt/hermes/venv/bin/hermes gateway run --replace",
            "python -m hermes_cli.main gateway run",
            "python3.11 -X dev -W ignore -u /usr/bin/hermes gateway run",
            "/opt/venv/bin/python /opt/venv/lib/python3.11/site-packages/hermes_cli/main.py -p coder gateway run",
            "hermes gateway restart",
            "hermes --profile=gateway gateway run",
            "hermes -p gateway gateway",
            "python gateway/run.py",
            "/usr/local/bin/hermes-gateway",
        ] {
            assert!(looks_like_gateway(&words(line)), "{line}");
        }
    }

    #[test]
    fn command_lines_of_others() {
        for line in [
            "hermes gateway status",
            "hermes gateway stop",
            "hermes -p gateway status",
            "hermes dashboard",
            "python -m tui_gateway",
            "vim /srv/hermes gateway run",
            "grep -r gateway run",
            "tail -f hermes/gateway.log",
            "nginx: worker process",
            "python -c hermes gateway run",
        ] {
            assert!(!looks_like_gateway(&words(line)), "{line}");
        }
        assert!(!looks_like_gateway(&[]));
    }

    #[test]
    fn a_reused_id_is_not_the_gateway() {
        let process = processes::find(std::process::id()).unwrap().unwrap();
        let mut gateway = process.clone();
        gateway.command_line = words("hermes gateway run");
        let claim = |start_ticks| ProcessRecord { id: process.id, start_ticks };
        assert!(is_the_one(&gateway, &claim(Some(process.start_ticks))));
        assert!(is_the_one(&gateway, &claim(None)));
        assert!(!is_the_one(&gateway, &claim(Some(process.start_ticks + 1))));
        assert!(!is_the_one(&process, &claim(Some(process.start_ticks))), "another program");
    }

    #[test]
    fn a_gateway_with_another_id_in_its_own_namespace_is_found_by_its_lock() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("gateway.lock"), "").unwrap();
        let instance = crate::exporter::instance::tests::instance_at(home.path());
        let file = files::stamp(&home.path().join("gateway.lock")).unwrap().unwrap().identity();
        let pretender = Pretender::start(Path::new("/nonexistent"));
        let background = crate::exporter::collect::background::Background::inline();
        // Process 1 is no gateway, and the id the gateway has in its container is somebody else's here.
        let claims = [Some(ProcessRecord { id: 1, start_ticks: None })];
        let see = |lock: &mut LockWatch, locks: Vec<HeldLock>, beat: Option<f64>| {
            let gateways = GatewayProcesses::new(Arc::new(Mutex::new(Search::new(looks_like_gateway))));
            gateways.locks.set(locks).unwrap();
            let now = Timestamp::now();
            let look = Look { now, instance: &instance, gateways: &gateways, background: &background };
            liveness(&look, &claims, lock, beat.and_then(Timestamp::from_seconds), &Ok(Vec::new()))
        };
        let elsewhere = (file.0 + 1, file.1);
        let held = vec![HeldLock { file, process: 1 }, HeldLock { file, process: pretender.id() }];
        let mut lock = LockWatch::new(home.path().join("gateway.lock"));
        let of_another_device = vec![HeldLock { file: elsewhere, process: pretender.id() }];
        assert!(matches!(see(&mut lock, of_another_device, None), Liveness::Dead));
        assert!(matches!(see(&mut lock, held.clone(), None), Liveness::Dead), "looked already, and no heart beats");
        assert!(matches!(see(&mut lock, held, Some(100.0)), Liveness::Alive(_)));
        // Found once, it is looked for no more; and when it has gone, it is dead.
        assert!(matches!(see(&mut lock, Vec::new(), Some(100.0)), Liveness::Alive(_)));
        drop(pretender);
        assert!(matches!(see(&mut lock, Vec::new(), Some(100.0)), Liveness::Dead));
    }
}
