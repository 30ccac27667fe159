//! The services and timers that a supervisor runs for an instance: systemd's managers are asked over D-Bus, s6's
//! files are read.
//!
//! * [`s6`]: from what s6 says to units.
//! * [`systemd`]: from what managers say to one unit, also where two of them know it.
//!
//! What is not told here: whether the process that a unit runs makes progress; that is the `gateway` collector's.

mod s6;
mod systemd;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::memory;
use super::problems::{Because, Problems};
use super::{Answering, NetworkCollector, NetworkLook, Part};
use crate::exporter::instance::{Instance, UnitName, UnitSpec};
use crate::exporter::snapshot::units::{ManagerKind, Unit, Units};
use crate::exporter::snapshot::{Label, Reading, Reason};
use crate::system::s6::DeathCounter;
use crate::system::systemd::{Address, CountedFailures, ManagerError, Managers, View, Wanted};
use crate::system::users;
use systemd::{Asked, Manager, Whose};

/// Units that need not be there and are not are looked for again after this long: a manager looks through its folders
/// for each name that it does not know.
const ABSENT_FOR: Duration = Duration::from_secs(60);

/// The most units of one instance.
const MOST_UNITS: usize = 1000;

/// Looks at the units of one instance.
#[derive(Debug)]
pub struct UnitsCollector {
    /// The id of the instance's user; `None` where there is no user of that name.
    user: Option<u32>,
    /// What a unit may call this user: by name and by number.
    user_names: Vec<String>,
    specs: Vec<UnitSpec>,
    s6: Arc<Mutex<s6::Services>>,
    has_s6: bool,
    /// What was counted of services by a process before this one, for where somebody is still reading them at its end.
    s6_before: BTreeMap<String, DeathCounter>,
    /// When it was last found that there is none of the units, all of which need not be there.
    absent_since: Option<Instant>,
}

impl UnitsCollector {
    /// A collector for this instance.
    pub fn new(instance: &Instance) -> Self {
        let s6 = s6::Services::new(instance);
        let is_systemds = |spec: &&UnitSpec| spec.manager != Some(ManagerKind::S6);
        let user = instance.user_id();
        let name = instance.user.clone().or_else(|| user.map(users::name_of));
        UnitsCollector {
            user,
            user_names: name.into_iter().chain(user.map(|user| user.to_string())).collect(),
            specs: instance.units.iter().filter(is_systemds).cloned().collect(),
            has_s6: !s6.is_empty(),
            s6: Arc::new(Mutex::new(s6)),
            s6_before: BTreeMap::new(),
            absent_since: None,
        }
    }

    async fn units(&mut self, look: NetworkLook<'_>, problems: &mut Problems) -> Reading<Arc<Units>> {
        let is_known_absent = self.absent_since.is_some_and(|since| since.elapsed() < ABSENT_FOR);
        if self.specs.is_empty() && !self.has_s6 || is_known_absent {
            return Reading::Absent;
        }
        let (services, system, user) = tokio::join!(
            self.services(look),
            self.ask(look, ManagerKind::System, Some(Address::System)),
            self.ask(
                look,
                ManagerKind::User,
                self.user.map(|user| Address::User { user, owner: look.owner.cloned() }),
            ),
        );
        let managers = [user, system];
        let is_anything_expected = self.specs.iter().any(|spec| spec.is_expected);
        for manager in &managers {
            if let Asked::Failed(error) = &manager.asked {
                // Where nobody has named a unit, a machine without systemd is as good as any.
                if is_anything_expected || !matches!(**error, ManagerError::NoSystemd { .. }) {
                    problems.unknown::<()>(manager.kind.as_str(), &**error);
                }
            }
            if matches!(manager.asked, Asked::NoUser) && is_anything_expected {
                problems.note("user", Reason::NotFound);
            }
        }
        let mut units: BTreeMap<(Label, Label), Unit> = BTreeMap::new();
        match services {
            Ok((services, found)) => {
                units.extend(services.into_iter().map(|unit| ((unit.unit.clone(), unit.role.clone()), unit)));
                problems.include(found);
            }
            Err(reason) => problems.note("s6", reason),
        }
        let whose = Whose { home: &look.instance.home, user: self.user, names: &self.user_names };
        let by_timers = systemd::started_by_timers(&self.specs, &managers);
        for spec in &self.specs {
            for unit in systemd::units(spec, &whose, &by_timers, &managers) {
                if let Reading::Unknown(reason) = unit.state {
                    problems.note("units", reason);
                }
                if units.len() < MOST_UNITS {
                    units.entry((unit.unit.clone(), unit.role.clone())).or_insert(unit);
                }
            }
        }
        if units.is_empty() && !is_anything_expected && !self.has_s6 {
            let failure = managers.iter().find_map(|manager| match &manager.asked {
                Asked::Failed(error) if !matches!(**error, ManagerError::NoSystemd { .. }) => Some(error.reason()),
                _ => None,
            });
            if let Some(reason) = failure {
                return Reading::Unknown(reason);
            }
            self.absent_since = Some(Instant::now());
            return Reading::Absent;
        }
        Reading::Known(Arc::new(Units(units.into_values().collect())))
    }

    /// The units under s6, whose files are read where reading may block.
    async fn services(&self, look: NetworkLook<'_>) -> Result<(Vec<Unit>, Problems), Reason> {
        if !self.has_s6 {
            return Ok((Vec::new(), Problems::default()));
        }
        let services = Arc::clone(&self.s6);
        let read = move || {
            let mut problems = Problems::default();
            let mut services = match services.try_lock() {
                Ok(services) => services,
                // Nothing in there is left half-done by a panic.
                Err(TryLockError::Poisoned(services)) => services.into_inner(),
                // Somebody has been at it since an earlier look.
                Err(TryLockError::WouldBlock) => return Err(Reason::Timeout),
            };
            Ok((services.read(&mut problems), problems))
        };
        match look.owner {
            Some(owner) => owner.run(read).await.map_err(|error| error.reason())?,
            None => tokio::task::spawn_blocking(read).await.map_err(|_| Reason::Io)?,
        }
    }

    /// Asks a manager for what is looked for in it.
    async fn ask(&self, look: NetworkLook<'_>, kind: ManagerKind, address: Option<Address>) -> Manager {
        let mut wanted = Wanted::default();
        for spec in self.specs.iter().filter(|spec| spec.manager.is_none_or(|manager| manager == kind)) {
            let (UnitName::Named(words) | UnitName::Pattern(words)) = &spec.unit;
            match &spec.unit {
                UnitName::Named(_) => wanted.names.insert(words.clone()),
                UnitName::Pattern(_) => wanted.patterns.insert(words.clone()),
            };
            if spec.manager.is_none() {
                wanted.identities.insert(words.clone());
            }
        }
        let asked = match address {
            _ if wanted == Wanted::default() => Asked::Nothing,
            None => Asked::NoUser,
            Some(address) => match look.managers.ask(&address, &wanted, look.deadline).await {
                Ok(view) => match &*view {
                    View::NotRunning => Asked::NotRunning { is_usual: self.user == Some(0) },
                    View::Running { .. } => Asked::Said(view),
                },
                Err(error) => Asked::Failed(error),
            },
        };
        Manager { kind, asked }
    }
}

impl NetworkCollector for UnitsCollector {
    fn collect<'a>(&'a mut self, look: NetworkLook<'a>, problems: &'a mut Problems) -> Answering<'a> {
        Box::pin(async move { Part::Units(self.units(look, problems).await) })
    }

    fn recall(&mut self, memory: Option<Value>, managers: &Managers) -> Result<(), serde_json::Error> {
        let Some(memory) = memory else { return Ok(()) };
        let Remembered { system, user, s6 } = memory::believe(memory)?;
        let deaths = s6.values().map(|counter| counter.counted());
        let deaths = deaths.flat_map(|deaths| [deaths.total, deaths.by_exit_code, deaths.by_signal]);
        memory::assert_counts(system.counts().chain(user.counts()).chain(deaths))?;
        managers.recall(None, system);
        if self.user.is_some() {
            managers.recall(self.user, user);
        }
        self.s6_before.clone_from(&s6);
        self.s6.lock().unwrap_or_else(PoisonError::into_inner).recall(s6);
        Ok(())
    }

    fn remember(&self, managers: &Managers) -> Option<Value> {
        memory::keep(&Remembered {
            system: managers.counted(None),
            user: self.user.map(|user| managers.counted(Some(user))).unwrap_or_default(),
            s6: self.s6.try_lock().map_or_else(|_| self.s6_before.clone(), |services| services.remember()),
        })
    }
}

/// What goes to the next process: what was counted of systemd's units, and of s6's.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    system: CountedFailures,
    user: CountedFailures,
    s6: BTreeMap<String, DeathCounter>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporter::instance::generated_units;
    use crate::exporter::instance::tests::instance_at;
    use crate::system::systemd::Places;
    use crate::system::time::Timestamp;

    /// A machine with systemd and without a bus.
    fn managers(folder: &std::path::Path) -> Managers {
        std::fs::create_dir_all(folder.join("systemd/system")).unwrap();
        let place = |name: &str| folder.join(name);
        Managers::at(Places { system_bus: place("bus"), systemd: place("systemd"), users: place("users") })
    }

    async fn look(collector: &mut UnitsCollector, instance: &Instance, managers: &Managers) -> (Part, usize) {
        let mut problems = Problems::default();
        let look = NetworkLook {
            now: Timestamp::now(),
            instance,
            owner: None,
            managers,
            deadline: Instant::now() + Duration::from_secs(60),
        };
        let part = collector.collect(look, &mut problems).await;
        (part, problems.into_sorted().len())
    }

    #[tokio::test]
    async fn a_manager_that_fails_is_no_reason_to_call_units_absent_now_or_later() {
        let folder = tempfile::tempdir().unwrap();
        let managers = managers(folder.path());
        let mut instance = instance_at(folder.path());
        instance.units = generated_units(&instance.home, false);
        let mut collector = UnitsCollector::new(&instance);
        for _ in 0..2 {
            let found = look(&mut collector, &instance, &managers).await;
            assert_eq!(found, (Part::Units(Reading::Unknown(Reason::Bus)), 1));
        }
    }

    #[tokio::test]
    async fn services_that_somebody_is_still_reading_are_a_timeout() {
        let folder = tempfile::tempdir().unwrap();
        let managers = managers(folder.path());
        let mut instance = instance_at(folder.path());
        instance.s6_scan_directory = folder.path().to_owned();
        instance.units = generated_units(&instance.home, true);
        let mut collector = UnitsCollector::new(&instance);
        let services = Arc::clone(&collector.s6);
        let (taken, has_taken) = std::sync::mpsc::channel();
        let (leave, may_leave) = std::sync::mpsc::channel::<()>();
        let somebody = std::thread::spawn(move || {
            let _held = services.lock().unwrap();
            taken.send(()).unwrap();
            let _ = may_leave.recv();
        });
        has_taken.recv().unwrap();
        let (_, problems) = look(&mut collector, &instance, &managers).await;
        assert_eq!(problems, 1);
        drop(leave);
        somebody.join().unwrap();
        assert_eq!(look(&mut collector, &instance, &managers).await.1, 0);
    }
}
