//! Which of Hermes' programs run on this machine, which home each of them serves, and what they have started.
//!
//! A program is recognised by its arguments; its home follows from its environment and `-p NAME`. What it has started
//! belongs to the same home, unless that is a program of Hermes for another one: a gateway also starts workers for
//! other profiles. A process whose ancestors have ended belongs to nobody any more.
//!
//! The search is always made with this program's own rights, whoever asks first: `/proc` shows others less (`hidepid`).
//! What it may not read, who asks tries with theirs.
//!
//! Whether a gateway is *up* is not judged here: see [`super::gateway`].

mod claimants;
mod command_line;
mod own_threads;

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

pub use claimants::Claimants;
pub use command_line::{ProgramKind, file_name, looks_like_gateway, recognise, script};

use own_threads::{NoThread, OwnThreads};

use super::problems::Because;
use crate::exporter::snapshot::Reason;
use crate::system::processes::{self, Descent, Process, Search};

/// The most processes of one home that are looked at.
pub const MOST_PROCESSES: usize = 4_096;

/// The search for Hermes' programs, with what it remembers from look to look.
#[derive(Debug)]
pub struct ProgramSearch {
    search: Search,
    /// The homes of living programs: their environment does not change.
    homes: HashMap<(u32, u64), (Vec<String>, PathBuf)>,
}

impl Default for ProgramSearch {
    fn default() -> Self {
        ProgramSearch { search: Search::new(command_line::looks_like_hermes), homes: HashMap::new() }
    }
}

impl ProgramSearch {
    fn run(&mut self) -> Result<Found, Reason> {
        let processes = self.search.run().map_err(|error| error.reason())?;
        let mut homes = HashMap::with_capacity(processes.len());
        let descent = self.search.descent();
        let mut found = Found { descent, are_others_hidden: processes::are_hidden(), ..Found::default() };
        for process in processes {
            let Some(kind) = recognise(&process.command_line) else {
                continue;
            };
            let life = (process.id, process.start_ticks);
            let known = self.homes.remove(&life).filter(|(command_line, _)| *command_line == process.command_line);
            let home = known.map(|(_, home)| home).or_else(|| home_of(&process));
            let folder = home.as_deref().map_or(Err(Refused), |home| folder_as_seen(&process, home));
            if let Some(home) = home {
                homes.insert(life, (process.command_line.clone(), home));
            }
            match folder {
                Ok(Some(folder)) => {
                    found.served.insert(process.id, folder);
                    let user = process.user();
                    found.by_home.entry(folder).or_default().push(Program { process, kind, user });
                }
                Ok(None) => {}
                Err(Refused) => {
                    if let Some(user) = process.user() {
                        found.unreadable.entry(user).or_default().push(Program { process, kind, user: Some(user) });
                    }
                }
            }
        }
        self.homes = homes;
        Ok(found)
    }
}

/// What a search has found, with the rights of whoever has made it.
#[derive(Debug, Default)]
struct Found {
    by_home: HashMap<FolderIdentity, Vec<Program>>,
    /// The home that each program serves.
    served: HashMap<u32, FolderIdentity>,
    /// Programs whose environment could not be read, by their user, any of whose homes they may serve.
    unreadable: HashMap<u32, Vec<Program>>,
    descent: Descent,
    /// Whether `/proc` hides the processes of others from it.
    are_others_hidden: bool,
}

/// A living program of Hermes.
#[derive(Debug)]
struct Program {
    process: Process,
    kind: ProgramKind,
    /// Who has started it.
    user: Option<u32>,
}

/// The programs of one home.
#[derive(Debug, Default)]
struct OfHome<'a> {
    programs: Vec<&'a Program>,
    /// Programs of its owner whose environment may not be read, so that they may serve it or not.
    is_any_unreadable: bool,
}

/// Device and inode: the same folder under any name.
type FolderIdentity = (u64, u64);

/// Hermes' programs on this machine and the homes they serve; found out once per look, when first asked.
#[derive(Debug, Default)]
pub struct HermesPrograms {
    search: Arc<Mutex<ProgramSearch>>,
    found: Arc<OnceLock<Result<Found, Reason>>>,
    threads: OwnThreads,
}

impl HermesPrograms {
    /// A look that uses `search`, which remembers what it has seen before. Made on a thread with the program's own
    /// rights.
    pub fn new(search: Arc<Mutex<ProgramSearch>>) -> Self {
        HermesPrograms { search, ..HermesPrograms::default() }
    }

    /// The living gateways that serve `home`, of an instance that is configured with `user`; the error is why that can
    /// not be told.
    pub fn gateways_of(&self, home: &Path, user: Option<&str>) -> Result<Vec<Process>, Reason> {
        let of_home = self.of_home(home, user, |kind| kind == ProgramKind::Gateway)?;
        if of_home.programs.is_empty() && of_home.is_any_unreadable {
            return Err(Reason::Permission);
        }
        Ok(of_home.programs.into_iter().map(|program| program.process.clone()).collect())
    }

    /// The processes of `home`, of an instance that is configured with `user`: its programs, and all that they have
    /// started; the error is why that can not be told.
    pub fn processes_of(&self, home: &Path, user: Option<&str>) -> Result<Vec<u32>, Reason> {
        let of_home = self.of_home(home, user, |_| true)?;
        if of_home.is_any_unreadable {
            return Err(Reason::Permission);
        }
        let found = self.found()?;
        let own = folder_identity(home);
        let mut processes: Vec<u32> = of_home.programs.iter().map(|program| program.process.id).collect();
        let mut seen: HashSet<u32> = processes.iter().copied().collect();
        let mut next = 0;
        while let Some(parent) = processes.get(next) {
            for child in found.descent.children_of(*parent) {
                let is_anothers = found.served.get(&child).is_some_and(|home| Some(*home) != own);
                if !is_anothers && seen.insert(child) {
                    processes.push(child);
                }
            }
            next += 1;
            if processes.len() > MOST_PROCESSES {
                return Err(Reason::Unsupported);
            }
        }
        Ok(processes)
    }

    /// Whether `/proc` hides processes from this program. It may hide them from the calling thread all the same.
    pub fn are_hidden(&self) -> bool {
        self.found().map_or_else(|_| processes::are_hidden(), |found| found.are_others_hidden)
    }

    /// The living gateway with this id, also where it is hidden from the calling thread.
    pub fn gateway(&self, id: u32) -> Option<Process> {
        let found = self.found().ok()?;
        let programs = found.by_home.values().chain(found.unreadable.values()).flatten();
        let mut gateways = programs.filter(|program| program.kind == ProgramKind::Gateway);
        gateways.find(|program| program.process.id == id).map(|program| program.process.clone())
    }

    fn of_home(
        &self,
        home: &Path,
        user: Option<&str>,
        is_wanted: fn(ProgramKind) -> bool,
    ) -> Result<OfHome<'_>, Reason> {
        let found = self.found()?;
        let Ok(metadata) = std::fs::metadata(home) else {
            return Ok(OfHome::default());
        };
        let folder = (metadata.dev(), metadata.ino());
        let claimants = Claimants::new(Some(metadata.uid()), user);
        let is_wanted = |program: &&Program| is_wanted(program.kind) && claimants.have(program.user);
        let programs = found.by_home.get(&folder).into_iter().flatten().filter(is_wanted).collect();
        let mut of_home = OfHome { programs, is_any_unreadable: false };
        for program in found.unreadable.get(&metadata.uid()).into_iter().flatten().filter(is_wanted) {
            // Whoever has searched may have had other rights than who asks.
            match home_of(&program.process).map_or(Err(Refused), |home| folder_as_seen(&program.process, &home)) {
                Ok(served) if served == Some(folder) => of_home.programs.push(program),
                Ok(_) => {}
                // It may have ended since.
                Err(Refused) => of_home.is_any_unreadable |= processes::start_ticks(program.process.id).is_some(),
            }
        }
        Ok(of_home)
    }

    fn found(&self) -> Result<&Found, Reason> {
        let found = if self.threads.include_this() {
            self.found.get_or_init(|| search_now(&self.search))
        } else {
            if self.found.get().is_none() {
                let (search, found) = (Arc::clone(&self.search), Arc::clone(&self.found));
                self.threads.start(move |thread| {
                    found.get_or_init(|| thread.map_or_else(|NoThread| Err(Reason::Io), |()| search_now(&search)));
                });
            }
            self.found.wait()
        };
        found.as_ref().map_err(|reason| *reason)
    }
}

fn search_now(search: &Mutex<ProgramSearch>) -> Result<Found, Reason> {
    let run = || search.lock().unwrap_or_else(PoisonError::into_inner).run();
    // Others wait for it, who would wait for ever.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).unwrap_or_else(|_| {
        tracing::error!("The search for Hermes' programs panicked. Please report it.");
        Err(Reason::Io)
    })
}

/// The home a program serves, as far as its environment may be read.
fn home_of(process: &Process) -> Option<PathBuf> {
    let base = match process.environment_variable("HERMES_HOME") {
        Some(home) if !home.is_empty() => PathBuf::from(home),
        _ => PathBuf::from(process.environment_variable("HOME")?).join(".hermes"),
    };
    let home = match command_line::profile_argument(&process.command_line) {
        None => base,
        Some(profile) => {
            let is_profile = base.parent().and_then(Path::file_name).is_some_and(|parent| parent == "profiles");
            let root = if is_profile { base.parent()?.parent()?.to_owned() } else { base };
            if profile == "default" { root } else { root.join("profiles").join(profile) }
        }
    };
    Some(home)
}

/// It may not be looked at.
#[derive(Debug, Clone, Copy)]
struct Refused;

/// The folder that a program means by `path`; `None` where there is none. In a container the same path is another
/// folder than here.
fn folder_as_seen(process: &Process, path: &Path) -> Result<Option<FolderIdentity>, Refused> {
    match std::fs::metadata(process.path_as_seen(path)) {
        Ok(metadata) => Ok(Some((metadata.dev(), metadata.ino()))),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Err(Refused),
        Err(_) => Ok(None),
    }
}

fn folder_identity(path: &Path) -> Option<FolderIdentity> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::owner::{Identity, Owner};
    use crate::system::privileges::Privileges;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command, Stdio};

    /// A shell with the name and arguments of a Hermes program, with all that it starts.
    struct Stand(Child);

    impl Stand {
        fn start(home: &Path, script: &str, subcommand: &str) -> Stand {
            Stand::spawn(Stand::command(Path::new("sh"), home, script, subcommand))
        }

        fn start_as(user: u32, home: &Path, program: &Path) -> Stand {
            let mut command = Stand::command(program, home, "read line", "gateway");
            command.uid(user).gid(user).current_dir("/");
            Stand::spawn(command)
        }

        fn command(program: &Path, home: &Path, script: &str, subcommand: &str) -> Command {
            let mut command = Command::new(program);
            command.arg0("hermes").args(["-c", script, subcommand]).env("HERMES_HOME", home);
            command
        }

        fn spawn(mut command: Command) -> Stand {
            Stand(command.stdin(Stdio::piped()).process_group(0).spawn().unwrap())
        }

        fn id(&self) -> u32 {
            self.0.id()
        }
    }

    impl Drop for Stand {
        fn drop(&mut self) {
            let group = rustix::process::Pid::from_child(&self.0);
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            let _ = self.0.wait();
        }
    }

    fn wait_for<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
        loop {
            match attempt() {
                Some(found) => return found,
                None => std::thread::yield_now(),
            }
        }
    }

    #[test]
    fn what_a_program_has_started_is_of_its_home_unless_it_serves_another() {
        let (home, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        // A worker for the other home, under the name of Hermes.
        let worker = other.path().join("hermes");
        std::os::unix::fs::symlink("/bin/sh", &worker).unwrap();
        let script = format!(
            "sleep 60.5 & HERMES_HOME={} {} -c 'sleep 60.5; :' dashboard & wait",
            other.path().display(),
            worker.display()
        );
        let gateway = Stand::start(home.path(), &script, "gateway");
        let search: Arc<Mutex<ProgramSearch>> = Arc::default();
        let look = || HermesPrograms::new(Arc::clone(&search));
        let names = |home: &Path| {
            let processes = look().processes_of(home, None).unwrap();
            let find = |id: &u32| processes::find(*id).ok().flatten().map(|process| process.command_line);
            let mut names: Vec<String> =
                processes.iter().filter_map(find).filter_map(|words| words.first().cloned()).collect();
            names.sort();
            names
        };
        let worker = worker.display().to_string();
        wait_for(|| Some(()).filter(|()| names(other.path()) == [&worker, "sleep"]));
        wait_for(|| Some(()).filter(|()| names(home.path()).iter().any(|name| name == "sleep")));
        assert_eq!(names(home.path()), ["hermes", "sleep"]);
        assert_eq!(look().gateways_of(other.path(), None).unwrap(), [], "a dashboard is no gateway");
        drop(gateway);
        assert_eq!(look().processes_of(home.path(), None).unwrap(), [] as [u32; 0]);
    }

    #[test]
    fn a_home_is_served_by_its_owner_by_root_and_by_its_configured_user_and_by_nobody_else() {
        if !Privileges::of_this_process().can_take_identities() {
            return;
        }
        let (owner, stranger) = (64_103, 64_104);
        let home = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(home.path(), Some(owner), Some(owner)).unwrap();
        // One that may be run and not read: what /proc has of its process is root's.
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let program = folder.path().join("sh");
        std::fs::copy("/bin/sh", &program).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o711)).unwrap();
        let strangers = [Path::new("/bin/sh"), &program].map(|sh| Stand::start_as(stranger, home.path(), sh));
        let own = Stand::start_as(owner, home.path(), Path::new("/bin/sh"));
        let roots = Stand::start_as(0, home.path(), Path::new("/bin/sh"));
        let search: Arc<Mutex<ProgramSearch>> = Arc::default();
        let gateways = |user: Option<&str>| {
            let found = HermesPrograms::new(Arc::clone(&search)).gateways_of(home.path(), user).unwrap();
            let mut found: Vec<u32> = found.iter().map(|process| process.id).collect();
            found.sort_unstable();
            found
        };
        let sorted = |mut ids: Vec<u32>| {
            ids.sort_unstable();
            ids
        };
        let all = sorted(strangers.iter().chain([&own, &roots]).map(Stand::id).collect());
        wait_for(|| Some(()).filter(|()| gateways(Some("64104")) == all));
        assert_eq!(gateways(None), sorted(vec![own.id(), roots.id()]));
        assert_eq!(HermesPrograms::new(Arc::clone(&search)).processes_of(home.path(), None).unwrap().len(), 2);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn whoever_asks_first_the_search_is_made_with_the_programs_rights() {
        if !Privileges::of_this_process().can_take_identities() {
            return;
        }
        let home = tempfile::tempdir().unwrap();
        let gateway = Stand::start(home.path(), "read line", "gateway");
        let search: Arc<Mutex<ProgramSearch>> = Arc::default();
        let look = || Arc::new(HermesPrograms::new(Arc::clone(&search)));
        let own = || wait_for(|| Some(()).filter(|()| !look().gateways_of(home.path(), None).unwrap().is_empty()));
        tokio::task::block_in_place(own);
        // The home may be seen by everybody, and the gateway's environment may not.
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let stranger = Owner::new(Identity { user: 12_345, group: 12_345, groups: Vec::new() });
        for search in [Arc::clone(&search), Arc::default()] {
            let programs = Arc::new(HermesPrograms::new(search));
            let path = home.path().to_owned();
            let ask = move || {
                (programs.gateways_of(&path, None).map(|found| found.len()), programs.processes_of(&path, None))
            };
            let seen = (Ok(1), Ok(vec![gateway.id()]));
            assert_eq!(stranger.run(ask.clone()).await.unwrap(), seen);
            assert_eq!(tokio::task::block_in_place(ask), seen);
        }
    }

    #[test]
    fn what_the_program_may_not_read_who_asks_tries() {
        if !Privileges::of_this_process().can_take_identities() {
            return;
        }
        let home = tempfile::tempdir().unwrap();
        let gateway = Stand::start(home.path(), "read line", "gateway");
        let search: Arc<Mutex<ProgramSearch>> = Arc::default();
        let look = || HermesPrograms::new(Arc::clone(&search));
        wait_for(|| Some(()).filter(|()| !look().gateways_of(home.path(), None).unwrap().is_empty()));
        let stranger = Owner::new(Identity { user: 12_345, group: 12_345, groups: Vec::new() });
        // As if the program itself ran as the stranger; the home is known to the search, and may not be followed.
        let path = home.path().to_owned();
        let asked_as_stranger = stranger.run_blocking(move || {
            let programs = HermesPrograms::new(search);
            let answers = (programs.gateways_of(&path, None), programs.processes_of(&path, None));
            (programs, answers)
        });
        let (programs, answers) = asked_as_stranger.unwrap();
        assert_eq!(answers, (Err(Reason::Permission), Err(Reason::Permission)));
        assert_eq!(programs.gateways_of(home.path(), None).map(|found| found.len()), Ok(1));
        assert_eq!(programs.processes_of(home.path(), None), Ok(vec![gateway.id()]));
    }
}
