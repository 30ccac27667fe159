//! Runs the collectors of all instances at once, and gives up on those that overrun.
//!
//! Collectors read files and databases, which blocks, so they run on threads: a few *runners* take one instance
//! after the other and ask its collectors in turn. That is cheap, and enough as long as nothing hangs. When a
//! collector overruns its timeout (a dead network filesystem, a huge store), its reading is `timeout`, the runner
//! is left to itself, and another one takes its seat and goes on with what it had not claimed. The next look finds
//! that collector still taken, says `timeout` at once, and piles nothing up behind it. What an overrunning
//! collector finds in the end is kept by the collector itself and shown at the next look.
//!
//! Network collectors wait for others and compute next to nothing; they are tasks beside the runners, one each, and are
//! simply dropped when they overrun.
//!
//! An installation that belongs to another user is read on [threads with that user's identity](crate::system::owner), where this
//! program may take it.
//!
//! An installation that is told of by a report has a [`desk`], where that is read.
//!
//! What collectors remember may go on in another process: see [`recollection`].
//!
//! A [`Crew`] is the collectors of one configuration. A look of a crew is a [`collection`]; any number of scrapes may
//! wait for the same one, each under a deadline of its own.

mod answer;
mod collection;
mod desk;
mod machine;
mod owners;
mod recollection;
mod track_record;

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use collection::Collection;
use desk::Desk;
use machine::Machine;
use owners::{Owners, Reader};
use track_record::TrackRecord;

use super::background::Background;
use super::problems::Because;
use super::programs::ProgramSearch;
use super::{COLLECTORS, Collector, Entry, NetworkCollector, Part, Scope};
use crate::exporter::config::{CollectorSettings, Config};
use crate::exporter::instance::Instance;
use crate::exporter::snapshot::{Fleet, Identity, Label, Reason, Source};
use crate::system::files;
use crate::system::systemd::Managers;
use crate::system::time::Timestamp;
use crate::system::users;

/// Looking whether a home is there takes microseconds; who has been at it for this long hangs.
const LONGEST_ENTRY: Duration = Duration::from_secs(1);

/// Which collectors and instances a look is about; an empty set means all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Collectors by name.
    pub collectors: BTreeSet<String>,
    /// Instances by name.
    pub instances: BTreeSet<String>,
}

impl Selection {
    /// Whether a look at this tells what `other` asks for.
    fn covers(&self, other: &Selection) -> bool {
        self == other || (self.collectors.is_empty() && self.instances.is_empty())
    }

    fn has_collector(&self, name: &str) -> bool {
        self.collectors.is_empty() || self.collectors.contains(name)
    }

    /// Whether there is a collector that both ask.
    fn overlaps(&self, other: &Selection) -> bool {
        fn meet(one: &BTreeSet<String>, other: &BTreeSet<String>) -> bool {
            one.is_empty() || other.is_empty() || !one.is_disjoint(other)
        }
        meet(&self.collectors, &other.collectors) && meet(&self.instances, &other.instances)
    }

    /// Whether a collector of the machine is asked. Who asks for certain instances gets these alone.
    fn asks_machine(&self, name: &str) -> bool {
        self.has_collector(name) && self.instances.is_empty()
    }

    fn has_instance(&self, name: &str) -> bool {
        self.instances.is_empty() || self.instances.contains(name)
    }
}

/// The collectors of one configuration, with what they remember from look to look.
#[derive(Debug)]
pub struct Crew {
    stations: Vec<Arc<Station>>,
    /// Those of instances that are told of by reports.
    desks: Vec<Arc<Desk>>,
    /// The names of all instances, in the order of the configuration.
    names: Vec<String>,
    machine: Machine,
    owners: Arc<Owners>,
    managers: Arc<Managers>,
    search: Arc<Mutex<ProgramSearch>>,
    most_runners: usize,
    under_way: Mutex<Vec<UnderWay>>,
}

/// A look that is not over.
#[derive(Debug, Clone)]
struct UnderWay {
    selection: Selection,
    /// Whether it is one of the crew before a reload, which nobody joins any more.
    is_former: bool,
    collection: Arc<Collection>,
}

/// One instance and its collectors.
#[derive(Debug)]
struct Station {
    instance: Instance,
    slots: Vec<Arc<Slot>>,
    /// With whose rights it is read.
    reader: Reader,
    background: Background,
    /// Since when somebody has been looking at whether the home is there; long ago, when its filesystem is dead.
    entering: Mutex<Option<Instant>>,
    /// Whose the home is: the id, and the name that was looked up for it.
    home_owner: Mutex<Option<(u32, String)>>,
}

struct Slot {
    name: &'static str,
    settings: CollectorSettings,
    unknown: fn(Reason) -> Part,
    work: Work,
    track_record: TrackRecord,
}

/// How a collector works.
enum Work {
    /// It reads what is on this machine, on a runner.
    Reads(Mutex<Box<dyn Collector>>),
    /// It asks over sockets, as a task of its own.
    Asks(tokio::sync::Mutex<Box<dyn NetworkCollector>>),
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Slot").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Station {
    /// The collectors of an instance. One whose instance and settings stand unchanged in `former` is taken over.
    fn new(
        instance: &Instance,
        settings: &HashMap<&'static str, CollectorSettings>,
        reader: Reader,
        background: &Background,
        former: Option<&Station>,
    ) -> Station {
        let slot = |entry: &Entry| {
            let settings = settings.get(entry.name).copied().filter(|settings| settings.enabled)?;
            let time_to_live = settings.time_to_live;
            let is_unchanged = |slot: &&Arc<Slot>| slot.name == entry.name && slot.settings == settings;
            if let Some(kept) = former.and_then(|former| former.slots.iter().find(is_unchanged)) {
                return Some(Arc::clone(kept));
            }
            let (unknown, work) = match entry.scope {
                Scope::Instance { build, unknown } => (unknown, Work::Reads(Mutex::new(build(instance, time_to_live)))),
                Scope::Network { build, unknown } => {
                    let collector = build(instance, time_to_live);
                    if collector.has_nothing_to_ask() {
                        return None;
                    }
                    (unknown, Work::Asks(tokio::sync::Mutex::new(collector)))
                }
                Scope::Report | Scope::Machine { .. } => return None,
            };
            Some(Arc::new(Slot { name: entry.name, settings, unknown, work, track_record: TrackRecord::default() }))
        };
        let slots = COLLECTORS.iter().filter_map(slot).collect();
        Station {
            instance: instance.clone(),
            slots,
            background: background.done_by(reader.owner().cloned()),
            reader,
            entering: Mutex::default(),
            home_owner: Mutex::default(),
        }
    }

    /// Looks whether the home is there; the error is why it can not be looked at.
    ///
    /// On a dead filesystem this never returns. Whoever comes later finds that somebody has been at it for long,
    /// and does not try.
    fn is_there(&self) -> Result<(), Reason> {
        self.guarded(|| files::exists(&self.instance.home.join("."))).and_then(|looked| match looked {
            Ok(true) => Ok(()),
            Ok(false) => Err(Reason::NotFound),
            Err(error) => Err(error.reason()),
        })
    }

    /// Looks whether the home is there, and whose it is.
    fn enter(&self) -> Result<(), Reason> {
        self.is_there()?;
        self.guarded(|| self.look_up_home_owner())
    }

    fn guarded<T>(&self, look: impl FnOnce() -> T) -> Result<T, Reason> {
        let entering = || self.entering.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let mut since = entering();
            if since.is_some_and(|since| since.elapsed() > LONGEST_ENTRY) {
                return Err(Reason::Timeout);
            }
            since.get_or_insert_with(Instant::now);
        }
        let looked = look();
        *entering() = None;
        Ok(looked)
    }

    fn identity(&self) -> Identity {
        let instance = &self.instance;
        Identity {
            name: instance.name.clone(),
            user: instance.user.clone().unwrap_or_else(|| self.name_of_home_owner()),
            profile: Label::new(instance.profile()).to_string(),
            source: Source::Local,
        }
    }

    fn name_of_home_owner(&self) -> String {
        let owner = self.home_owner.lock().unwrap_or_else(PoisonError::into_inner);
        owner.as_ref().map_or_else(String::new, |(_, name)| name.clone())
    }

    fn look_up_home_owner(&self) {
        use std::os::unix::fs::MetadataExt;
        if self.instance.user.is_some() {
            return;
        }
        let Ok(id) = std::fs::metadata(&self.instance.home).map(|metadata| metadata.uid()) else {
            return;
        };
        let mut owner = self.home_owner.lock().unwrap_or_else(PoisonError::into_inner);
        if owner.as_ref().is_none_or(|(known, _)| *known != id) {
            *owner = Some((id, users::name_of(id)));
        }
    }
}

impl Crew {
    /// The collectors that `config` asks for. Those of instances that stand unchanged in `former` are taken
    /// over with all they remember, so that counters go on.
    pub fn new(config: &Config, former: Option<&Crew>, background: Background) -> Crew {
        let owners = former.map_or_else(Arc::default, |former| Arc::clone(&former.owners));
        let managers: Arc<Managers> = former.map_or_else(Arc::default, |former| Arc::clone(&former.managers));
        managers.keep(&config.instances.iter().filter_map(Instance::user_id).collect());
        let station = |instance: &Instance| {
            let reader = owners.reader(instance);
            let kept = former.and_then(|former| {
                // Also where a user has got another id meanwhile, or has come to be, it is another one's.
                former.stations.iter().find(|station| station.instance == *instance && station.reader == reader)
            });
            Arc::new(Station::new(instance, &config.collectors, reader, &background, kept.map(Arc::as_ref)))
        };
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        let desk = |reported| {
            let kept = former.and_then(|former| former.desks.iter().find(|desk| desk.is_of(reported)));
            Arc::new(Desk::new(reported, &config.collectors, kept.map(Arc::as_ref)))
        };
        Crew {
            names: config.names().map(str::to_owned).collect(),
            stations: config.instances.iter().map(station).collect(),
            desks: config.reported.iter().map(desk).collect(),
            owners,
            managers,
            machine: Machine::new(config, former.map(|former| &former.machine)),
            search: former.map(|former| Arc::clone(&former.search)).unwrap_or_default(),
            // Twice the processors: half of the runners may wait for a disk while the others compute.
            most_runners: 2 * cores,
            // They hold collectors that were taken over, so that a look must wait for them.
            under_way: Mutex::new(former.map(Crew::looks_as_former).unwrap_or_default()),
        }
    }

    fn looks_as_former(&self) -> Vec<UnderWay> {
        let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.iter().map(|look| UnderWay { is_former: true, ..look.clone() }).collect()
    }

    /// Logs what this program may do, and what it lacks or has too much of for its instances.
    pub fn report_privileges(&self) {
        owners::report_privileges(self.stations.iter().map(|station| &station.instance));
    }

    /// The instances that it looks at itself, in the order of the configuration.
    pub fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.stations.iter().map(|station| &station.instance)
    }

    /// The names of all its instances, those that are told of by reports among them, in the order of the configuration.
    pub fn instance_names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(String::as_str)
    }

    /// What the selected collectors see, at the latest at `deadline`: what is not there by then is unknown.
    ///
    /// A look that is under way and covers the selection is shared; one that merely overlaps is waited for.
    pub async fn look(&self, selection: &Selection, deadline: Instant) -> Arc<Fleet> {
        self.look_as_of(Timestamp::now(), selection, deadline).await
    }

    /// As [`Crew::look`], with ages counted from another moment than this one.
    pub async fn look_as_of(&self, now: Timestamp, selection: &Selection, deadline: Instant) -> Arc<Fleet> {
        let collection = loop {
            let in_the_way = {
                let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
                under_way.retain(|look| !look.collection.is_over() && !look.collection.is_stuck());
                if let Some(look) = under_way.iter().find(|look| !look.is_former && look.selection.covers(selection)) {
                    break Arc::clone(&look.collection);
                }
                match under_way.iter().find(|look| look.selection.overlaps(selection)) {
                    Some(other) if Instant::now() < deadline => Arc::clone(&other.collection),
                    _ => {
                        let collection = Collection::start(self, now, selection);
                        let look = UnderWay {
                            selection: selection.clone(),
                            is_former: false,
                            collection: Arc::clone(&collection),
                        };
                        under_way.push(look);
                        break collection;
                    }
                }
            };
            // Collectors that both ask are at work there, and would seem to hang.
            in_the_way.over_or(deadline).await;
        };
        collection.fleet(selection, deadline).await
    }
}

#[cfg(test)]
mod tests;
