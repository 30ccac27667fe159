//! Which process is the gateway of a home: by what its files claim, by its lock, and by a search.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::records::ProcessRecord;
use crate::exporter::collect::Look;
use crate::exporter::collect::problems::Because;
use crate::exporter::collect::programs::{Claimants, HermesPrograms, looks_like_gateway};
use crate::exporter::snapshot::Reason;
use crate::system::files::{self, Stamp};
use crate::system::processes::{self, HeldLock, LockKind, Process};
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

/// The gateway processes on this machine, the homes they serve and the locks they hold; found out once per look, when
/// first asked.
#[derive(Debug)]
pub struct GatewayProcesses {
    programs: Arc<HermesPrograms>,
    locks: OnceLock<Vec<HeldLock>>,
}

impl GatewayProcesses {
    /// The gateways among `programs`.
    pub fn new(programs: Arc<HermesPrograms>) -> Self {
        GatewayProcesses { programs, locks: OnceLock::new() }
    }

    /// The living gateway processes that serve `home`, of an instance that is configured with `user`; the error is why
    /// that can not be told.
    pub fn of_home(&self, home: &Path, user: Option<&str>) -> Result<Vec<Process>, Reason> {
        self.programs.gateways_of(home, user)
    }

    /// The processes that hold a lock on this file.
    fn lock_holders(&self, file: &Stamp) -> impl Iterator<Item = u32> {
        let locks = self.locks.get_or_init(|| processes::held_locks(LockKind::WholeFile));
        locks.iter().filter(move |lock| lock.file == file.identity()).map(|lock| lock.process)
    }
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
    // The id alone may have become anybody's since.
    let is_sure = |process: &Process, claim: &ProcessRecord| {
        claim.start_ticks.is_some() || lock.claimants(look).is_some_and(|claimants| claimants.have_process(process))
    };
    for claim in claims.iter().chain([&lock.holder]).flatten() {
        let claimed = match processes::find(claim.id) {
            // Hidden from its user, who reads this home, and not from this program.
            Ok(None) if processes::are_hidden() => Ok(look.programs.gateway(claim.id)),
            visible => visible,
        };
        match claimed {
            Ok(Some(process)) if is_the_one(&process, claim) && is_sure(&process, claim) => {
                return Liveness::Alive(process);
            }
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
    if look.programs.are_hidden() { Liveness::Unknown(Reason::Permission) } else { Liveness::Dead }
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

    /// Whose processes are believed to serve the home that the lock is in.
    fn claimants<'a>(&self, look: &Look<'a>) -> Option<Claimants<'a>> {
        Some(Claimants::of(self.path.parent()?, look.instance.user.as_deref()))
    }

    /// Looks once, and then when there is a new heartbeat: without one nothing has come alive.
    fn look(&mut self, look: &Look<'_>, fresh_beat: Option<Timestamp>) -> Option<Process> {
        if self.looked_for.is_some_and(|beat| beat == fresh_beat || fresh_beat.is_none()) {
            return None;
        }
        self.looked_for = Some(fresh_beat);
        let file = files::stamp(&self.path).ok()??;
        let mut holders = look.gateways.lock_holders(&file).filter_map(|id| processes::find(id).ok()?);
        // Whoever may read a file may lock it.
        let claimants = self.claimants(look)?;
        let is_believed =
            |process: &Process| looks_like_gateway(&process.command_line) && claimants.have_process(process);
        let holder = holders.find(is_believed)?;
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
        let sockets = crate::exporter::collect::exposure::Sockets::default();
        let see = |lock: &mut LockWatch, locks: Vec<HeldLock>, beat: Option<f64>| {
            let programs = Arc::new(HermesPrograms::default());
            let gateways = GatewayProcesses::new(Arc::clone(&programs));
            gateways.locks.set(locks).unwrap();
            let now = Timestamp::now();
            let look = Look {
                now,
                instance: &instance,
                gateways: &gateways,
                programs: &programs,
                sockets: &sockets,
                background: &background,
            };
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

    #[test]
    fn neither_a_lock_nor_a_reused_id_makes_a_strangers_process_the_gateway() {
        if !crate::system::privileges::Privileges::of_this_process().can_take_identities() {
            return;
        }
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("gateway.lock"), "").unwrap();
        let file = files::stamp(&home.path().join("gateway.lock")).unwrap().unwrap().identity();
        let stranger = Pretender::start_as(64_104, home.path());
        let claims = [Some(ProcessRecord { id: stranger.id(), start_ticks: None })];
        let background = crate::exporter::collect::background::Background::inline();
        let sockets = crate::exporter::collect::exposure::Sockets::default();
        let see = |user: Option<&str>, claims: &[Option<ProcessRecord>]| {
            let mut instance = crate::exporter::instance::tests::instance_at(home.path());
            instance.user = user.map(str::to_owned);
            let programs = Arc::new(HermesPrograms::default());
            let gateways = GatewayProcesses::new(Arc::clone(&programs));
            gateways.locks.set(vec![HeldLock { file, process: stranger.id() }]).unwrap();
            let look = Look {
                now: Timestamp::now(),
                instance: &instance,
                gateways: &gateways,
                programs: &programs,
                sockets: &sockets,
                background: &background,
            };
            let mut lock = LockWatch::new(home.path().join("gateway.lock"));
            liveness(&look, claims, &mut lock, None, &Ok(Vec::new()))
        };
        assert!(matches!(see(None, &claims), Liveness::Dead));
        assert!(matches!(see(None, &[]), Liveness::Dead));
        assert!(matches!(see(Some("64104"), &claims), Liveness::Alive(_)));
        assert!(matches!(see(Some("64104"), &[]), Liveness::Alive(_)));
    }
}
