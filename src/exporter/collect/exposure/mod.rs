//! Exposure: on which ports an instance's processes listen, and from where these can be reached.
//!
//! An instance's processes are Hermes' programs for its home and everything they have started (see
//! [`super::programs`]), and what runs in the units that the configuration names, such as a web chat; another program of
//! the same user that holds a port is none of the instance's business.
//!
//! What is cheap is asked at every look: which sockets listen, once for each network namespace. What a process has
//! open is read again only when the listening sockets have changed, or the process is new; and now and then, because
//! one process may hand a socket to another.
//!
//! Whether a firewall stands in front of a port, or a proxy leads to it, can not be seen from here.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::problems::{Because, Problems};
use super::programs::{self, ProgramKind};
use super::{Collector, Look, Part};
use crate::exporter::instance::{Instance, UnitName, UnitSpec};
use crate::exporter::snapshot::exposure::{Exposure, Listener, Scope};
use crate::exporter::snapshot::units::ManagerKind;
use crate::exporter::snapshot::{Label, MOST_ENTRIES, Reading, Reason};
use crate::system::scope::scope;
use crate::system::sockets::{self, ListeningSocket, NetworkNamespace, SocketError};
use crate::system::{control_group, processes};

/// How often a process's open files are read again though nothing seems to have changed.
const READ_AGAIN: Duration = Duration::from_secs(60);

/// The listening sockets of each network namespace; found out once per look, when first asked.
#[derive(Debug, Default)]
pub struct Sockets {
    listening: Mutex<HashMap<NetworkNamespace, Arc<[ListeningSocket]>>>,
}

impl Sockets {
    /// The sockets that listen in `namespace`, in a stable order, by a process that is in it; `None` where that process
    /// has ended.
    fn listening_in(
        &self,
        namespace: NetworkNamespace,
        process: u32,
    ) -> Result<Option<Arc<[ListeningSocket]>>, SocketError> {
        let mut listening = self.listening.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = listening.get(&namespace) {
            return Ok(Some(Arc::clone(found)));
        }
        let Some(mut found) = sockets::listening_in(namespace, process)? else {
            return Ok(None);
        };
        found.sort_unstable();
        let found: Arc<[ListeningSocket]> = found.into();
        listening.insert(namespace, Arc::clone(&found));
        Ok(Some(found))
    }
}

/// Looks at the ports of one instance.
#[derive(Debug, Default)]
pub struct ExposureCollector {
    /// The units whose processes are the instance's.
    units: Vec<(String, control_group::Owner)>,
    /// What each living process was seen to hold: by process id and start time.
    holders: HashMap<(u32, u64), Holder>,
}

#[derive(Debug)]
struct Holder {
    namespace: NetworkNamespace,
    /// The listening sockets of its namespace when its open files were read.
    listening: Arc<[ListeningSocket]>,
    read: Instant,
    listeners: Vec<Listener>,
}

impl ExposureCollector {
    /// A collector for this instance.
    pub fn new(instance: &Instance) -> Self {
        let user = instance.user_id();
        let unit = |spec: &UnitSpec| {
            let UnitName::Named(name) = &spec.unit else { return None };
            let of = match (spec.manager, user) {
                (Some(ManagerKind::S6), _) => return None,
                // Where nobody says, root's are the system's, and everybody else's their own.
                (Some(ManagerKind::System), _) | (None, Some(0)) => control_group::Owner::System,
                (Some(ManagerKind::User) | None, user) => control_group::Owner::User(user?),
            };
            Some((name.clone(), of))
        };
        let named = instance.units.iter().filter(|spec| spec.is_expected);
        ExposureCollector { units: named.filter_map(unit).collect(), holders: HashMap::new() }
    }

    fn exposure(&mut self, look: &Look<'_>, problems: &mut Problems) -> Exposure {
        let mut refused = None;
        let processes = processes_of(look, &self.units).unwrap_or_else(|reason| {
            problems.note("processes", reason);
            refused = Some(reason);
            Vec::new()
        });
        let mut former = std::mem::take(&mut self.holders);
        let mut listeners = BTreeSet::new();
        for id in processes {
            let Some(start_ticks) = processes::start_ticks(id) else {
                if processes::are_hidden() {
                    // It may only be hidden from who reads this home.
                    problems.note("sockets", Reason::Permission);
                    refused = Some(Reason::Permission);
                }
                continue;
            };
            let life = (id, start_ticks);
            match holder(id, former.remove(&life), look.sockets) {
                Ok(Some(holder)) => {
                    listeners.extend(holder.listeners.iter().cloned());
                    self.holders.insert(life, holder);
                }
                Ok(None) => {}
                Err(error) => {
                    let Reading::Unknown(reason) = problems.unknown::<()>("sockets", &error) else { continue };
                    refused = Some(reason);
                }
            }
        }
        let is_public = listeners.iter().any(|listener| listener.scope == Scope::Public);
        let told = |value| refused.map_or(Reading::Known(value), Reading::Unknown);
        Exposure {
            private_listeners: if is_public { Reading::Known(false) } else { told(true) },
            listeners: refused.map_or_else(|| Reading::Known(capped(listeners)), Reading::Unknown),
        }
    }
}

impl Collector for ExposureCollector {
    fn collect(&mut self, look: &Look<'_>, problems: &mut Problems) -> Part {
        Part::Exposure(Reading::Known(Arc::new(self.exposure(look, problems))))
    }
}

/// The processes of the instance: those of its home, and those in the control groups of `units`.
fn processes_of(look: &Look<'_>, units: &[(String, control_group::Owner)]) -> Result<Vec<u32>, Reason> {
    let of_home = look.programs.processes_of(&look.instance.home, look.instance.user.as_deref())?;
    if of_home.is_empty() && look.programs.are_hidden() {
        return Err(Reason::Permission);
    }
    let mut processes: HashSet<u32> = of_home.into_iter().collect();
    for (unit, of) in units {
        processes.extend(control_group::processes_in(unit, *of).map_err(|error| error.reason())?);
    }
    Ok(processes.into_iter().collect())
}

/// What a process holds, read anew where `former` does not tell; `None` where it has ended.
fn holder(id: u32, former: Option<Holder>, sockets: &Sockets) -> Result<Option<Holder>, SocketError> {
    if let Some(former) = former
        && former.read.elapsed() < READ_AGAIN
        && let Some(listening) = sockets.listening_in(former.namespace, id)?
        && listening == former.listening
    {
        return Ok(Some(former));
    }
    let Some(namespace) = sockets::namespace_of(id)? else {
        return Ok(None);
    };
    let Some(listening) = sockets.listening_in(namespace, id)? else {
        return Ok(None);
    };
    let Some(held) = sockets::held_by(id)? else {
        return Ok(None);
    };
    let mut own = listening.iter().filter(|socket| held.contains(&socket.inode)).peekable();
    let mut listeners = Vec::new();
    if own.peek().is_some() {
        let program = program(id);
        let listener = |socket: &ListeningSocket| Listener {
            port: socket.port,
            scope: scope(socket.address),
            program: program.clone(),
        };
        listeners.extend(own.map(listener));
    }
    Ok(Some(Holder { namespace, listening, read: Instant::now(), listeners }))
}

/// What a process is called: a fixed word for one of Hermes' own, else the file name of the script or executable.
/// Nothing else is taken from its arguments, which may hold anything.
fn program(id: u32) -> Label {
    let Ok(Some(process)) = processes::find(id) else {
        return Label::other();
    };
    if let Some(kind) = programs::recognise(&process.command_line) {
        return Label::new(ProgramKind::as_str(kind));
    }
    let executable = process.executable();
    let name = executable.as_deref().and_then(|path| path.file_name()?.to_str());
    // An update of the executable leaves the old one behind without a name.
    let Some(name) = name.map(|name| name.strip_suffix(" (deleted)").unwrap_or(name)) else {
        return Label::other();
    };
    Label::new(programs::script(name, &process.command_line).unwrap_or(name))
}

/// The listeners, at most [`MOST_ENTRIES`]: those that most of the world can reach stay.
fn capped(listeners: BTreeSet<Listener>) -> Vec<Listener> {
    let mut listeners: Vec<Listener> = listeners.into_iter().collect();
    listeners.sort_by_key(|listener| std::cmp::Reverse(listener.scope));
    listeners.truncate(MOST_ENTRIES);
    listeners.sort_unstable();
    listeners
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporter::collect::background::Background;
    use crate::exporter::collect::gateway::GatewayProcesses;
    use crate::exporter::collect::programs::{HermesPrograms, ProgramSearch};
    use crate::exporter::instance::tests::instance_at;
    use crate::exporter::snapshot::Problem;
    use crate::system::time::Timestamp;
    use std::os::fd::AsFd;
    use std::path::Path;
    use std::process::{Child, Command, Stdio};

    /// A shell with the name and arguments of a Hermes program, that waits for commands, with a socket as its output.
    struct Stand(Child);

    impl Stand {
        fn start(home: &Path, subcommand: &str, output: Stdio) -> Stand {
            use std::os::unix::process::CommandExt;
            let mut command = Command::new("sh");
            command.arg0("hermes").args(["-s", subcommand]).env("HERMES_HOME", home);
            Stand(command.stdin(Stdio::piped()).stdout(output).spawn().unwrap())
        }
    }

    impl Drop for Stand {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    struct Eyes {
        collector: ExposureCollector,
        search: Arc<Mutex<ProgramSearch>>,
        instance: Instance,
    }

    impl Eyes {
        fn on(home: &Path) -> Eyes {
            let instance = instance_at(home);
            Eyes { collector: ExposureCollector::new(&instance), search: Arc::default(), instance }
        }

        fn look(&mut self) -> (Exposure, Vec<Problem>) {
            let programs = Arc::new(HermesPrograms::new(Arc::clone(&self.search)));
            let look = Look {
                now: Timestamp::now(),
                instance: &self.instance,
                gateways: &GatewayProcesses::new(Arc::clone(&programs)),
                programs: &programs,
                sockets: &Sockets::default(),
                background: &Background::inline(),
            };
            let mut problems = Problems::default();
            let exposure = self.collector.exposure(&look, &mut problems);
            (exposure, problems.into_sorted())
        }

        /// The scopes and programs of the listeners on `port`, once there are `count`.
        fn wait_for(&mut self, port: u16, count: usize) -> Vec<(Scope, String)> {
            loop {
                let (exposure, problems) = self.look();
                assert_eq!(problems, []);
                let listeners = exposure.listeners.known().unwrap();
                let of_port = listeners.iter().filter(|listener| listener.port == port);
                let found: Vec<_> =
                    of_port.map(|listener| (listener.scope, listener.program.as_str().to_owned())).collect();
                if found.len() == count {
                    return found;
                }
                std::thread::yield_now();
            }
        }
    }

    fn listening_on(address: &str) -> (std::net::TcpListener, u16) {
        let listener = std::net::TcpListener::bind(address).unwrap();
        let port = listener.local_addr().unwrap().port();
        (listener, port)
    }

    fn duplicate(listener: &std::net::TcpListener) -> Stdio {
        Stdio::from(listener.as_fd().try_clone_to_owned().unwrap())
    }

    #[test]
    fn what_a_program_of_the_home_holds_is_seen_and_what_others_hold_is_not() {
        let home = tempfile::tempdir().unwrap();
        let mut eyes = Eyes::on(home.path());
        let nothing = Exposure { listeners: Reading::Known(Vec::new()), private_listeners: Reading::Known(true) };
        assert_eq!(eyes.look(), (nothing.clone(), vec![]));

        let (listener, port) = listening_on("127.0.0.1:0");
        // This very process holds it too, and is no program of Hermes.
        assert_eq!(eyes.look(), (nothing.clone(), vec![]));
        let dashboard = Stand::start(home.path(), "dashboard", duplicate(&listener));
        assert_eq!(eyes.wait_for(port, 1), [(Scope::Loopback, "dashboard".to_owned())]);
        assert_eq!(eyes.look().0.private_listeners, Reading::Known(true));
        // Read once, it is remembered; and forgotten with the process.
        assert_eq!(eyes.wait_for(port, 1).len(), 1);
        drop(dashboard);
        assert_eq!(eyes.look(), (nothing, vec![]));
    }

    #[test]
    fn a_process_that_lives_on_without_a_port_is_read_again() {
        use std::io::Write;
        let home = tempfile::tempdir().unwrap();
        let mut eyes = Eyes::on(home.path());
        let (listener, port) = listening_on("127.0.0.1:0");
        let mut gateway = Stand::start(home.path(), "gateway", duplicate(&listener));
        assert_eq!(eyes.wait_for(port, 1), [(Scope::Loopback, "gateway".to_owned())]);
        drop(listener);
        assert_eq!(eyes.wait_for(port, 1), [(Scope::Loopback, "gateway".to_owned())]);
        gateway.0.stdin.as_mut().unwrap().write_all(b"exec 1>&-\n").unwrap();
        assert_eq!(eyes.wait_for(port, 0), []);
    }

    #[test]
    fn one_public_port_is_enough() {
        let home = tempfile::tempdir().unwrap();
        let mut eyes = Eyes::on(home.path());
        let (local, local_port) = listening_on("127.0.0.1:0");
        let _gateway = Stand::start(home.path(), "gateway", duplicate(&local));
        eyes.wait_for(local_port, 1);
        let (everywhere, port) = listening_on("[::]:0");
        let _dashboard = Stand::start(home.path(), "dashboard", duplicate(&everywhere));
        assert_eq!(eyes.wait_for(port, 1), [(Scope::Public, "dashboard".to_owned())]);
        assert_eq!(eyes.look().0.private_listeners, Reading::Known(false));
    }

    #[test]
    fn a_program_of_another_home_is_not_this_ones() {
        let (home, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (listener, port) = listening_on("127.0.0.1:0");
        let _gateway = Stand::start(other.path(), "gateway", duplicate(&listener));
        Eyes::on(other.path()).wait_for(port, 1);
        assert_eq!(Eyes::on(home.path()).look().0.listeners, Reading::Known(Vec::new()));
    }

    #[test]
    fn beyond_the_cap_the_most_exposed_stay() {
        let listener = |port, scope| Listener { port, scope, program: Label::new("x") };
        let many = (1..=200).map(|port| listener(port, if port > 150 { Scope::Public } else { Scope::Loopback }));
        let kept = capped(many.collect());
        assert_eq!(kept.len(), MOST_ENTRIES);
        assert_eq!(kept.iter().filter(|listener| listener.scope == Scope::Public).count(), 50);
        assert!(kept.is_sorted());
    }
}
