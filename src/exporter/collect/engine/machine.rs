//! The collectors of the machine: one of each for the whole fleet, each a task of its own in every look.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use super::Selection;
use super::answer::Answer;
use super::track_record::TrackRecord;
use crate::exporter::collect::problems::Problems;
use crate::exporter::collect::{COLLECTORS, Entry, MachineCollector, MachinePart, Scope};
use crate::exporter::config::{Config, MachineSettings};
use crate::exporter::snapshot::{Fleet, Reason};
use crate::system::time::Timestamp;

/// The collectors of the machine, with what they remember from look to look.
#[derive(Debug)]
pub(super) struct Machine {
    settings: MachineSettings,
    slots: Vec<Arc<Slot>>,
}

struct Slot {
    name: &'static str,
    timeout: Duration,
    unknown: fn(Reason) -> MachinePart,
    collector: Arc<tokio::sync::Mutex<Box<dyn MachineCollector>>>,
    /// Goes on with the collector.
    track_record: Arc<TrackRecord>,
}

impl std::fmt::Debug for Slot {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Slot").field("name", &self.name).finish_non_exhaustive()
    }
}

impl Machine {
    /// The collectors that `config` asks for. Those of `former` go on, unless a setting that they were made for has
    /// changed.
    pub(super) fn new(config: &Config, former: Option<&Machine>) -> Machine {
        let slot = |entry: &Entry| {
            let settings = config.collectors.get(entry.name).filter(|settings| settings.enabled)?;
            let Scope::Machine { build, is_same, unknown } = entry.scope else {
                return None;
            };
            let kept = former
                .filter(|former| is_same(&former.settings, &config.machine))
                .and_then(|former| former.slots.iter().find(|slot| slot.name == entry.name));
            Some(Arc::new(Slot {
                name: entry.name,
                timeout: settings.timeout,
                unknown,
                collector: match kept {
                    Some(kept) => Arc::clone(&kept.collector),
                    None => Arc::new(tokio::sync::Mutex::new(build(&config.machine))),
                },
                track_record: kept.map(|kept| Arc::clone(&kept.track_record)).unwrap_or_default(),
            }))
        };
        Machine { settings: config.machine.clone(), slots: COLLECTORS.iter().filter_map(slot).collect() }
    }

    /// What there is to know of the machine.
    pub(super) fn settings(&self) -> &MachineSettings {
        &self.settings
    }

    /// What a look at `selection` has to fill.
    pub(super) fn cells(&self, now: Timestamp, selection: &Selection) -> Vec<Cell> {
        let asked = self.slots.iter().filter(|slot| selection.asks_machine(slot.name));
        asked.map(|slot| Cell { now, slot: Arc::clone(slot), answer: OnceLock::new() }).collect()
    }
}

/// What one collector of the machine has found in one look.
#[derive(Debug)]
pub(super) struct Cell {
    /// The moment of the look.
    now: Timestamp,
    slot: Arc<Slot>,
    answer: OnceLock<Answer<MachinePart>>,
}

impl Cell {
    /// Asks the collector, and keeps its answer.
    pub(super) async fn fill(&self) {
        let started = Instant::now();
        let slot = Arc::clone(&self.slot);
        // In a task of its own, so that a panic ends there.
        let asked = tokio::spawn(async move { slot.ask(started).await }).await;
        let answer = asked.unwrap_or_else(|_| {
            tracing::error!(
                collector = self.slot.name,
                "A collector panicked; its readings are unknown. Please report it."
            );
            self.slot.unanswered(Reason::Io, started.elapsed())
        });
        let _ = self.answer.set(answer.noted(&self.slot.track_record, None, self.slot.name, self.now));
    }

    /// Puts what has been found into `fleet`, if `selection` asks for it.
    pub(super) fn put_into(&self, fleet: &mut Fleet, selection: &Selection) {
        if !selection.asks_machine(self.slot.name) {
            return;
        }
        let late = || {
            let unanswered = self.slot.unanswered(Reason::Timeout, Duration::ZERO);
            unanswered.provisional(&self.slot.track_record, self.now)
        };
        let answer = self.answer.get().cloned().unwrap_or_else(late);
        fleet.machine_runs.push(answer.run_of(self.slot.name));
        answer.part.put_into(fleet);
    }
}

impl Slot {
    async fn ask(&self, started: Instant) -> Answer<MachinePart> {
        let deadline = started + self.timeout;
        let mut problems = Problems::default();
        // Nobody holds it for longer than this, because who overruns is dropped.
        let answer = async { self.collector.lock().await.collect(deadline, &mut problems).await };
        let part = tokio::time::timeout_at(deadline.into(), answer).await;
        match part {
            Ok(part) => Answer::of(part, problems, started.elapsed()),
            Err(_) => self.unanswered(Reason::Timeout, started.elapsed()),
        }
    }

    fn unanswered(&self, reason: Reason, took: Duration) -> Answer<MachinePart> {
        Answer::none(self.unknown, self.name, reason, took)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporter::collect::MachineAnswering;
    use crate::exporter::snapshot::{Problem, Reading};
    use std::collections::BTreeSet;
    use std::path::PathBuf;

    #[derive(Debug, Clone, Copy)]
    enum Scripted {
        Answers,
        Hangs,
        Panics,
    }

    impl MachineCollector for Scripted {
        fn collect<'a>(&'a mut self, _: Instant, _: &'a mut Problems) -> MachineAnswering<'a> {
            Box::pin(async move {
                match self {
                    Scripted::Answers => MachinePart::Host(Reading::Absent),
                    Scripted::Hangs => std::future::pending().await,
                    Scripted::Panics => panic!("a defect in a collector"),
                }
            })
        }
    }

    fn machine(collector: Scripted) -> Machine {
        let slot = Slot {
            name: "host",
            timeout: Duration::from_millis(20),
            unknown: |reason| MachinePart::Host(Reading::Unknown(reason)),
            collector: Arc::new(tokio::sync::Mutex::new(Box::new(collector))),
            track_record: Arc::default(),
        };
        Machine { settings: MachineSettings::default(), slots: vec![Arc::new(slot)] }
    }

    async fn look(machine: &Machine) -> Fleet {
        let selection = Selection::default();
        let mut fleet = Fleet::at(Timestamp::now());
        for cell in machine.cells(fleet.taken_at, &selection) {
            cell.fill().await;
            cell.put_into(&mut fleet, &selection);
        }
        fleet
    }

    #[tokio::test]
    async fn who_does_not_answer_is_unknown_and_is_asked_again() {
        for (collector, reading) in [
            (Scripted::Answers, Reading::Absent),
            (Scripted::Hangs, Reading::Unknown(Reason::Timeout)),
            (Scripted::Panics, Reading::Unknown(Reason::Io)),
        ] {
            let machine = machine(collector);
            let mut first = None;
            for _ in 0..2 {
                let fleet = look(&machine).await;
                assert_eq!(fleet.host, reading, "{collector:?}");
                assert_eq!(fleet.machine_runs.len(), 1);
                assert_eq!(fleet.machine_runs[0].problems.is_empty(), reading == Reading::Absent);
                let since = *first.get_or_insert(fleet.taken_at);
                assert_eq!(fleet.machine_runs[0].failing_since, (reading != Reading::Absent).then_some(since));
            }
        }
    }

    #[tokio::test]
    async fn a_look_that_does_not_wait_finds_a_timeout() {
        let (machine, selection) = (machine(Scripted::Answers), Selection::default());
        let mut fleet = Fleet::at(Timestamp::now());
        machine.cells(Timestamp::now(), &selection)[0].put_into(&mut fleet, &selection);
        assert_eq!(fleet.host, Reading::Unknown(Reason::Timeout));
        let of_an_instance = Selection { instances: BTreeSet::from(["a".to_owned()]), ..Selection::default() };
        assert!(machine.cells(Timestamp::now(), &of_an_instance).is_empty());
    }

    #[test]
    fn collectors_go_on_after_a_reload_unless_their_settings_have_changed() {
        let mut config = Config::discovered(Vec::new());
        let former = Machine::new(&config, None);
        let kept = |machine: &Machine| -> Vec<&str> {
            let slots = former.slots.iter().zip(&machine.slots);
            let is_kept = |(former, slot): &(&Arc<Slot>, &Arc<Slot>)| Arc::ptr_eq(&former.collector, &slot.collector);
            slots.filter(is_kept).map(|(_, slot)| slot.name).collect()
        };
        assert_eq!(kept(&Machine::new(&config, Some(&former))), ["host", "tailscale"]);
        config.machine.tailscale_socket = Some(PathBuf::from("/elsewhere"));
        assert_eq!(kept(&Machine::new(&config, Some(&former))), ["host"]);
        config.switch_collectors(&[("host", false), ("tailscale", false)]);
        assert!(Machine::new(&config, Some(&former)).slots.is_empty());
    }

    #[test]
    fn a_collector_goes_on_failing_after_a_reload() {
        let mut config = Config::discovered(Vec::new());
        let former = Machine::new(&config, None);
        let problem = Problem { reason: Reason::Timeout, subject: "host".to_owned() };
        let (long_ago, now) = (Timestamp::from_seconds(1.0).unwrap(), Timestamp::now());
        former.slots[0].track_record.note(None, "host", &[problem], long_ago);
        config.collectors.get_mut("host").unwrap().timeout *= 2;
        let machine = Machine::new(&config, Some(&former));
        assert_eq!(machine.slots[0].track_record.failing_since_or(now), long_ago);
    }
}
