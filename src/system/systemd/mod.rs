//! What systemd says of its units: of the system's manager, and of any user's.
//!
//! There is one manager for the system and one for every user who is logged in or lingers; a unit of the same name may
//! be in several. [`Managers`] holds one connection to each that is asked for, and keeps it: [`manager`] is the task
//! that owns it, [`connect`] is how a manager is reached, [`calls`] what it is asked, [`kept`] what need not be asked
//! again, [`failures`] what is counted from the signals that it sends in between.
//!
//! Nothing is ever changed: only `ListUnitsByNames`, `ListUnitsByPatterns`, `Subscribe` and `Get` are called, which
//! the policy of the bus allows to every user. A user's own manager would also obey, and is not told anything.

mod calls;
mod connect;
mod failures;
mod kept;
mod manager;
mod private_socket;
mod unit;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::owner::{Owner, OwnerError};
use manager::Manager;

pub use failures::CountedFailures;
pub use unit::{ActiveState, Kind, LoadState, ServiceIdentity, TYPES, Timer, Unit, is_name};

/// Results of a service that are failures, as systemd spells them. More may come with newer versions.
pub const FAILURES: [&str; 9] =
    ["exit-code", "signal", "core-dump", "timeout", "watchdog", "oom-kill", "start-limit-hit", "resources", "protocol"];

/// Why a manager could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum ManagerError {
    /// This system was not started by systemd.
    #[error("{} does not exist: this system is not run by systemd", path.display())]
    NoSystemd {
        /// The folder that systemd makes when it starts.
        path: PathBuf,
    },
    /// There is neither a bus nor a socket of the manager's own.
    #[error("there is no D-Bus at {}", path.display())]
    NoBus {
        /// Where the bus was looked for.
        path: PathBuf,
    },
    /// The operating system, or the bus, lets nobody in but the user whose manager it is.
    #[error("{} may not be used by user {user}", path.display())]
    Permission {
        /// The socket.
        path: PathBuf,
        /// The id of the user who has tried.
        user: u32,
    },
    /// The socket could not be connected to.
    #[error("connecting to {} failed", path.display())]
    Connect {
        /// The socket.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The owner's identity could not be taken.
    #[error("the manager could not be asked as its owner")]
    Owner(#[from] OwnerError),
    /// It did not answer in time.
    #[error("the manager did not answer in time")]
    Timeout,
    /// D-Bus or the manager answered with an error, or with what is none of the answers it may give.
    #[error("talking to the manager over D-Bus failed")]
    Bus(#[source] zbus::Error),
}

/// One of the managers of this machine.
#[derive(Debug, Clone)]
pub enum Address {
    /// The system's.
    System,
    /// A user's.
    User {
        /// The id of the user.
        user: u32,
        /// Threads with the user's identity, where that is not the program's own user and may be taken.
        owner: Option<Arc<Owner>>,
    },
}

/// Where the sockets of managers are.
#[derive(Debug, Clone)]
pub struct Places {
    /// The system's bus.
    pub system_bus: PathBuf,
    /// The folder that systemd makes when it starts, with the socket of the system's manager.
    pub systemd: PathBuf,
    /// The folder in which every user has one of their own.
    pub users: PathBuf,
}

impl Default for Places {
    /// Where systemd and D-Bus put them; the system's bus also where `DBUS_SYSTEM_BUS_ADDRESS` says.
    fn default() -> Self {
        let address = std::env::var("DBUS_SYSTEM_BUS_ADDRESS").unwrap_or_default();
        let path = address.strip_prefix("unix:path=").and_then(|path| path.split([',', ';']).next());
        Places {
            system_bus: path.unwrap_or("/run/dbus/system_bus_socket").into(),
            systemd: "/run/systemd".into(),
            users: "/run/user".into(),
        }
    }
}

/// The units somebody wants to know about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Units by their full names, whether they are loaded or not.
    pub names: BTreeSet<String>,
    /// Loaded units by shell patterns.
    pub patterns: BTreeSet<String>,
    /// Those of the names and patterns of which also is to be told whose they are.
    pub identities: BTreeSet<String>,
}

/// What a manager said.
#[derive(Debug, Clone, PartialEq)]
pub enum View {
    /// There is no such manager: its user is not logged in and does not linger.
    NotRunning,
    /// It is running, and these are its units.
    Running {
        /// Units by the names they were asked for, and those that match patterns by their own.
        units: HashMap<String, Unit>,
        /// The names of the units that match each pattern.
        matches: HashMap<String, Vec<String>>,
        /// The units that are there, and of which could not be told how they are.
        untold: BTreeSet<String>,
    },
}

/// The connections to the managers of this machine.
#[derive(Debug, Default)]
pub struct Managers {
    places: Places,
    /// The system's under `None`, users' under their ids.
    managers: Mutex<HashMap<Option<u32>, Manager>>,
    /// What was counted by a process before this one, of managers that have not been asked yet.
    counted_before: Mutex<HashMap<Option<u32>, CountedFailures>>,
}

impl Address {
    fn key(&self) -> Option<u32> {
        match self {
            Address::System => None,
            Address::User { user, .. } => Some(*user),
        }
    }

    /// Whether both are the same manager, reached with the same rights.
    fn is(&self, other: &Address) -> bool {
        match (self, other) {
            (Address::System, Address::System) => true,
            (Address::User { user, owner }, Address::User { user: other_user, owner: other_owner }) => {
                let identity = |owner: &Option<Arc<Owner>>| owner.as_ref().map(|owner| owner.identity().clone());
                user == other_user && identity(owner) == identity(other_owner)
            }
            (Address::System, Address::User { .. }) | (Address::User { .. }, Address::System) => false,
        }
    }
}

impl Managers {
    /// Managers whose sockets are elsewhere than usual.
    pub fn at(places: Places) -> Managers {
        Managers { places, ..Managers::default() }
    }

    /// Goes on from the failures that another process has counted of a user's manager, or of the system's. To be called
    /// before that is asked.
    pub fn recall(&self, user: Option<u32>, counted: CountedFailures) {
        self.counted_before.lock().unwrap_or_else(PoisonError::into_inner).insert(user, counted);
    }

    /// The failures that were counted of a user's manager, or of the system's.
    pub fn counted(&self, user: Option<u32>) -> CountedFailures {
        let managers = self.managers.lock().unwrap_or_else(PoisonError::into_inner);
        match managers.get(&user) {
            Some(manager) => manager.counted(),
            None => {
                let before = self.counted_before.lock().unwrap_or_else(PoisonError::into_inner);
                before.get(&user).cloned().unwrap_or_default()
            }
        }
    }

    /// What the manager at `address` says of the wanted units, at the latest at `deadline`.
    pub async fn ask(
        &self,
        address: &Address,
        wanted: &Wanted,
        deadline: Instant,
    ) -> Result<Arc<View>, Arc<ManagerError>> {
        let manager = {
            let mut managers = self.managers.lock().unwrap_or_else(PoisonError::into_inner);
            let start = || {
                let mut before = self.counted_before.lock().unwrap_or_else(PoisonError::into_inner);
                let counted = before.remove(&address.key()).unwrap_or_default();
                Manager::start(address.clone(), self.places.clone(), counted)
            };
            let manager = managers.entry(address.key()).or_insert_with(start);
            if !manager.address().is(address) {
                *manager = start();
            }
            manager.clone()
        };
        manager.ask(wanted.clone(), deadline).await
    }

    /// Lets go of all managers but those of these users; the system's is kept.
    pub fn keep(&self, users: &BTreeSet<u32>) {
        let mut managers = self.managers.lock().unwrap_or_else(PoisonError::into_inner);
        managers.retain(|user, _| user.is_none_or(|user| users.contains(&user)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixListener;
    use std::time::Duration;

    /// The sockets of a machine of the test's own.
    struct Machine {
        folder: tempfile::TempDir,
    }

    impl Machine {
        fn new() -> Machine {
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(folder.path().join("systemd/system")).unwrap();
            std::fs::create_dir(folder.path().join("users")).unwrap();
            Machine { folder }
        }

        fn places(&self) -> Places {
            let path = |name: &str| self.folder.path().join(name);
            Places { system_bus: path("bus"), systemd: path("systemd"), users: path("users") }
        }

        /// A bus that does this with everybody who connects.
        fn bus(&self, serve: impl Fn(std::os::unix::net::UnixStream) + Send + 'static) {
            let listener = UnixListener::bind(self.places().system_bus).unwrap();
            std::thread::spawn(move || listener.incoming().map_while(Result::ok).for_each(serve));
        }

        async fn ask(&self, address: &Address, patience: Duration) -> Result<Arc<View>, Arc<ManagerError>> {
            Managers::at(self.places()).ask(address, &wanted(), Instant::now() + patience).await
        }
    }

    fn wanted() -> Wanted {
        Wanted { names: BTreeSet::from(["hermes-gateway.service".to_owned()]), ..Wanted::default() }
    }

    const LONG: Duration = Duration::from_secs(60);

    fn open_files() -> usize {
        std::fs::read_dir("/proc/self/fd").unwrap().count()
    }

    #[tokio::test]
    async fn without_systemd_without_a_bus_and_without_a_manager_are_three_answers() {
        let machine = Machine::new();
        let refused = machine.ask(&Address::System, LONG).await.unwrap_err();
        assert!(matches!(*refused, ManagerError::NoBus { .. }), "{refused}");
        let user = Address::User { user: 1001, owner: None };
        assert_eq!(*machine.ask(&user, LONG).await.unwrap(), View::NotRunning);
        // What a manager leaves behind, or one that is just coming up.
        std::fs::create_dir(machine.places().users.join("1001")).unwrap();
        assert_eq!(*machine.ask(&user, LONG).await.unwrap(), View::NotRunning);
        std::fs::remove_dir(machine.places().systemd.join("system")).unwrap();
        for address in [Address::System, user] {
            let refused = machine.ask(&address, LONG).await.unwrap_err();
            assert!(matches!(*refused, ManagerError::NoSystemd { .. }), "{refused}");
        }
    }

    #[tokio::test]
    async fn managers_that_nobody_is_configured_for_any_more_are_let_go() {
        let machine = Machine::new();
        let managers = Managers::at(machine.places());
        for address in [Address::System, Address::User { user: 1001, owner: None }] {
            let _ = managers.ask(&address, &wanted(), Instant::now() + LONG).await;
        }
        managers.keep(&BTreeSet::from([1001]));
        assert_eq!(managers.managers.lock().unwrap().len(), 2);
        managers.keep(&BTreeSet::new());
        assert_eq!(managers.managers.lock().unwrap().keys().collect::<Vec<_>>(), [&None], "the system's stays");
    }

    #[tokio::test]
    async fn a_bus_that_says_nothing_is_given_up_on_before_the_deadline() {
        let machine = Machine::new();
        let (held, holding) = std::sync::mpsc::channel();
        machine.bus(move |stream| held.send(stream).unwrap());
        let refused = machine.ask(&Address::System, Duration::from_millis(200)).await.unwrap_err();
        assert!(matches!(*refused, ManagerError::Timeout), "{refused}");
        drop(holding);
    }

    #[tokio::test]
    async fn a_bus_that_answers_garbage_or_hangs_up_is_an_error() {
        for answer in ["", "HTTP/1.1 400 Bad Request\r\n\r\n", "OK\r\n", "REJECTED EXTERNAL\r\n"] {
            let machine = Machine::new();
            machine.bus(move |mut stream| drop(std::io::Write::write_all(&mut stream, answer.as_bytes())));
            let refused = machine.ask(&Address::System, LONG).await.unwrap_err();
            assert!(matches!(*refused, ManagerError::Bus(_)), "{answer:?}: {refused}");
        }
    }

    #[tokio::test]
    async fn whoever_asks_while_a_manager_is_not_reached_learns_why_at_once() {
        let machine = Machine::new();
        let (attempt, attempts) = std::sync::mpsc::channel();
        machine.bus(move |_| attempt.send(()).unwrap());
        let managers = Managers::at(machine.places());
        for _ in 0..1000 {
            let refused = managers.ask(&Address::System, &wanted(), Instant::now() + LONG).await.unwrap_err();
            assert!(matches!(*refused, ManagerError::Bus(_)), "{refused}");
        }
        let attempts = attempts.try_iter().count();
        assert!(attempts < 10, "{attempts} attempts");
    }

    #[tokio::test]
    async fn attempts_that_fail_leave_nothing_open() {
        let machine = Machine::new();
        machine.bus(|mut stream| drop(std::io::Write::write_all(&mut stream, b"garbage\r\n")));
        // The first opens what stays open.
        let _ = machine.ask(&Address::System, LONG).await;
        let before = open_files();
        for _ in 0..200 {
            let _ = machine.ask(&Address::System, LONG).await;
        }
        // Other tests open files at the same time; a leak would show two hundred.
        assert!(open_files() < before + 100, "{before} before, {} after", open_files());
    }
}
