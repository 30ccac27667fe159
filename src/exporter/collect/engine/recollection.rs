//! Has collectors go on from what they remembered in a process before this one, and asks them for it again.

use std::sync::TryLockError;

use serde_json::Value;

use super::{Crew, Slot, Station, Work};
use crate::exporter::collect::memory::Memory;
use crate::system::systemd::Managers;

impl Crew {
    /// Goes on from since when collectors of an instance were failing. To be called before the first look.
    pub fn recall_failures(&self, instance: &str, memory: &Memory) {
        for slot in self.slots_of(instance) {
            slot.track_record.recall(memory.failing_since.get(slot.name).copied());
        }
    }

    /// Goes on from all that collectors of an instance have remembered; to be called before the first look, also where that
    /// is nothing, by who asks for it again with [`Crew::remember`].
    pub fn recall(&self, instance: &str, memory: &Memory) {
        self.recall_failures(instance, memory);
        for slot in self.slots_of(instance) {
            let content = memory.collectors.get(slot.name).cloned();
            if let Err(error) = slot.work.recall(content, &self.managers) {
                let (collector, error) = (slot.name, error.to_string());
                tracing::error!(
                    instance,
                    collector,
                    error,
                    "What was remembered can not be understood; counting begins anew."
                );
            }
        }
    }

    /// What the collectors of an instance remember now; of those that can not be asked, because they are not on, or hang, what
    /// they remembered before.
    pub fn remember(&self, instance: &str, before: Memory) -> Memory {
        let mut memory = before;
        for slot in self.slots_of(instance) {
            let name = slot.name.to_owned();
            match slot.track_record.failing_since() {
                Some(since) => drop(memory.failing_since.insert(name.clone(), since)),
                None => drop(memory.failing_since.remove(&name)),
            }
            match slot.work.remember(&self.managers) {
                Ok(Some(content)) => drop(memory.collectors.insert(name, content)),
                Ok(None) => drop(memory.collectors.remove(&name)),
                Err(Busy) => {}
            }
        }
        memory
    }

    fn slots_of(&self, instance: &str) -> impl Iterator<Item = &Slot> {
        let of_instance = move |station: &&std::sync::Arc<Station>| station.instance.name == instance;
        self.stations.iter().filter(of_instance).flat_map(|station| station.slots.iter().map(AsRef::as_ref))
    }
}

/// A collector that is still at work for a look that has given up on it.
struct Busy;

impl Work {
    fn recall(&self, memory: Option<Value>, managers: &Managers) -> Result<(), serde_json::Error> {
        match self {
            Work::Reads(collector) => match collector.try_lock() {
                Ok(mut collector) => collector.recall(memory),
                Err(_) => Ok(()),
            },
            Work::Asks(collector) => match collector.try_lock() {
                Ok(mut collector) => collector.recall(memory, managers),
                Err(_) => Ok(()),
            },
        }
    }

    fn remember(&self, managers: &Managers) -> Result<Option<Value>, Busy> {
        match self {
            Work::Reads(collector) => match collector.try_lock() {
                Ok(collector) => Ok(collector.remember()),
                // What it has counted may be half-done.
                Err(TryLockError::Poisoned(_) | TryLockError::WouldBlock) => Err(Busy),
            },
            Work::Asks(collector) => {
                collector.try_lock().map(|collector| collector.remember(managers)).map_err(|_| Busy)
            }
        }
    }
}
