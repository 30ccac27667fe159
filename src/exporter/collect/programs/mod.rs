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
mod places;

use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Instant;

pub use claimants::Claimants;
pub use command_line::{ProgramKind, file_name, looks_like_gateway, recognise, script};

use own_threads::{NoThread, OwnThreads};
use places::{Asked, LONGEST_WAIT, Place, Places, Rights};

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
    places: Arc<Places>,
}

impl Default for ProgramSearch {
    fn default() -> Self {
        ProgramSearch {
            search: Search::new(command_line::looks_like_hermes),
            homes: HashMap::new(),
            places: Arc::default(),
        }
    }
}

impl ProgramSearch {
    /// What runs now. Nothing is looked at but `/proc`: a home that somebody else's program names may be on a filesystem
    /// that does not answer.
    fn run(&mut self) -> Result<Found, Reason> {
        let processes = self.search.run().map_err(|error| error.reason())?;
        let mut homes = HashMap::with_capacity(processes.len());
        let mut programs = HashMap::with_capacity(processes.len());
        for process in processes {
            let Some(kind) = recognise(&process.command_line) else {
                continue;
            };
            let life = (process.id, process.start_ticks);
            let known = self.homes.remove(&life).filter(|(command_line, _)| *command_line == process.command_line);
            let home = known.map(|(_, home)| home).or_else(|| home_of(&process));
            if let Some(home) = &home {
                homes.insert(life, (process.command_line.clone(), home.clone()));
            }
            let user = process.user();
            programs.insert(process.id, Program { process, kind, user, home, folder: OnceLock::new() });
        }
        self.homes = homes;
        Ok(Found {
            programs,
            descent: self.search.descent(),
            are_others_hidden: processes::are_hidden(),
            places: Arc::clone(&self.places),
        })
    }
}

/// What a search has found.
#[derive(Debug)]
struct Found {
    /// By their ids.
    programs: HashMap<u32, Program>,
    descent: Descent,
    /// Whether `/proc` hides the processes of others from this program.
    are_others_hidden: bool,
    places: Arc<Places>,
}

/// A living program of Hermes.
#[derive(Debug)]
struct Program {
    process: Process,
    kind: ProgramKind,
    /// Who has started it.
    user: Option<u32>,
    /// The home that it serves, where this program may read its environment.
    home: Option<PathBuf>,
    /// What that path is, once somebody has looked at it.
    folder: OnceLock<FolderIdentity>,
}

/// The programs of one home.
#[derive(Debug, Default)]
struct OfHome<'a> {
    programs: Vec<&'a Program>,
    /// Programs that serve another home.
    of_others: HashSet<u32>,
    /// Why of a program of its owner it can not be told whether it serves this home.
    untold: Option<Reason>,
}

/// The home whose programs are asked for.
#[derive(Debug, Clone, Copy)]
struct AskedFor<'a> {
    found: &'a Found,
    home: &'a Path,
    folder: FolderIdentity,
    /// How long is waited for who looks at the homes of programs, all in all.
    until: Instant,
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
        if let Some(reason) = of_home.untold.filter(|_| of_home.programs.is_empty()) {
            return Err(reason);
        }
        Ok(of_home.programs.into_iter().map(|program| program.process.clone()).collect())
    }

    /// The processes of `home`, of an instance that is configured with `user`: its programs, and all that they have
    /// started; the error is why that can not be told.
    pub fn processes_of(&self, home: &Path, user: Option<&str>) -> Result<Vec<u32>, Reason> {
        let of_home = self.of_home(home, user, |_| true)?;
        if let Some(reason) = of_home.untold {
            return Err(reason);
        }
        let found = self.found()?;
        let mut processes: Vec<u32> = of_home.programs.iter().map(|program| program.process.id).collect();
        let mut seen: HashSet<u32> = processes.iter().copied().collect();
        let mut next = 0;
        while let Some(parent) = processes.get(next) {
            for child in found.descent.children_of(*parent) {
                if !of_home.of_others.contains(&child) && seen.insert(child) {
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
        let program = self.found().ok()?.programs.get(&id)?;
        (program.kind == ProgramKind::Gateway).then(|| program.process.clone())
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
        let asking = AskedFor { found, home, folder, until: Instant::now() + LONGEST_WAIT };
        let mut of_home = OfHome::default();
        for program in found.programs.values().filter(|program| is_wanted(program.kind)) {
            let Some(user) = program.user.filter(|user| claimants.have(Some(*user))) else {
                // Not looked at, wherever its home is.
                if program.home.as_deref().is_some_and(|other| other != home) {
                    of_home.of_others.insert(program.process.id);
                }
                continue;
            };
            let untold = match self.place_of(program, user, &asking) {
                Place::Folder(served) if served == folder => {
                    of_home.programs.push(program);
                    continue;
                }
                // In a container it may go by the same name.
                Place::Hanging if program.home.as_deref() == Some(home) => Reason::Timeout,
                // This home has just been looked at: where nobody answers is elsewhere.
                Place::Folder(_) | Place::Hanging => {
                    of_home.of_others.insert(program.process.id);
                    continue;
                }
                Place::Nothing => continue,
                // Root serves everybody's homes, and tells nobody.
                Place::Refused if !claimants.are_particularly(Some(user)) => continue,
                Place::Refused => Reason::Permission,
                Place::Late => Reason::Timeout,
            };
            // It may have ended since.
            if processes::start_ticks(program.process.id).is_some() {
                of_home.untold.get_or_insert(untold);
            }
        }
        of_home.programs.sort_unstable_by_key(|program| program.process.id);
        Ok(of_home)
    }

    /// The home that a program of `user` serves.
    fn place_of(&self, program: &Program, user: u32, asking: &AskedFor<'_>) -> Place {
        let AskedFor { found, home, folder, until } = *asking;
        let process = &program.process;
        let look = |asked: Asked<'_>| found.places.look(asked, &self.threads, until);
        if let Some(path) = &program.home {
            // One that goes by the name of this home may have been moved there since.
            let is_namesake = path == home;
            if let Some(known) = program.folder.get()
                && (!is_namesake || *known == folder)
            {
                return Place::Folder(*known);
            }
            let asked = Asked { process, user, path, rights: Rights::Own };
            let mut place = look(asked);
            if is_namesake && place != Place::Folder(folder) {
                found.places.forget(asked);
                place = look(asked);
            }
            if let Place::Folder(known) = place {
                let _ = program.folder.set(known);
            }
            if place != Place::Refused || self.threads.include_this() {
                return place;
            }
        }
        // Who asks may have other rights than this program.
        let rights = Rights::Callers(rustix::process::geteuid().as_raw());
        home_of(process).map_or(Place::Refused, |path| look(Asked { process, user, path: &path, rights }))
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

    /// A folder with a shell that others may run and not read: what `/proc` has of its process is root's.
    fn program_that_nobody_may_read() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let program = folder.path().join("sh");
        std::fs::copy("/bin/sh", &program).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o711)).unwrap();
        folder
    }

    #[test]
    fn a_home_is_served_by_its_owner_by_root_and_by_its_configured_user_and_by_nobody_else() {
        if !Privileges::of_this_process().can_take_identities() {
            return;
        }
        let (owner, stranger) = (64_103, 64_104);
        let home = tempfile::tempdir().unwrap();
        std::os::unix::fs::chown(home.path(), Some(owner), Some(owner)).unwrap();
        let program = program_that_nobody_may_read();
        let strangers =
            [Path::new("/bin/sh"), &program.path().join("sh")].map(|sh| Stand::start_as(stranger, home.path(), sh));
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
        // A home that only a stranger's program names may be anywhere, also where nobody answers.
        let search: Arc<Mutex<ProgramSearch>> = Arc::default();
        HermesPrograms::new(Arc::clone(&search)).processes_of(home.path(), None).unwrap();
        let places = Arc::clone(&search.lock().unwrap().places);
        assert!(places.have_looked_for(own.id()) && places.have_looked_for(roots.id()));
        assert!(strangers.iter().all(|stranger| !places.have_looked_for(stranger.id())));
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
        let program = program_that_nobody_may_read();
        let gateway = Stand::start_as(12_345, home.path(), &program.path().join("sh"));
        let search: Arc<Mutex<ProgramSearch>> = Arc::default();
        let look = || HermesPrograms::new(Arc::clone(&search));
        wait_for(|| Some(()).filter(|()| !look().gateways_of(home.path(), Some("12345")).unwrap().is_empty()));
        let stranger = Owner::new(Identity { user: 12_345, group: 12_345, groups: Vec::new() });
        // As if the program itself ran as the stranger.
        std::fs::set_permissions(home.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let path = home.path().to_owned();
        std::os::unix::fs::chown(&path, Some(12_345), None).unwrap();
        let asked_as_stranger = stranger.run_blocking(move || {
            let programs = HermesPrograms::default();
            let answers = (programs.gateways_of(&path, None), programs.processes_of(&path, None));
            (programs, answers)
        });
        let (programs, answers) = asked_as_stranger.unwrap();
        assert_eq!(answers, (Err(Reason::Permission), Err(Reason::Permission)));
        assert_eq!(programs.gateways_of(home.path(), None).map(|found| found.len()), Ok(1));
        assert_eq!(programs.processes_of(home.path(), None), Ok(vec![gateway.id()]));
    }
}
