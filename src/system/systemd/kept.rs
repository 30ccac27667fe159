//! Properties of units that were read before, and that the manager has not said to have changed since.
//!
//! A manager announces what changes of its units, so that they need not be asked for it again; on a machine with many
//! units a look is then one question. What they are doing comes with every list all the same, and a unit that does
//! something else than before is asked anew, whatever was announced.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::Unit;
use super::failures::Sample;

/// After this long a unit is asked anew though nothing was announced.
const LONGEST_KEPT: Duration = Duration::from_secs(60);

/// Announcements that are remembered one by one.
const MOST_CHANGES: usize = 4096;

/// What the manager has announced since it was last asked.
#[derive(Debug, Default)]
pub(super) struct Changes {
    units: HashSet<String>,
    is_everything: bool,
}

impl Changes {
    /// Something of this unit has changed.
    pub(super) fn note(&mut self, unit: String) {
        self.units.insert(unit);
        if self.units.len() > MOST_CHANGES {
            self.note_everything();
        }
    }

    /// Anything may have changed.
    pub(super) fn note_everything(&mut self) {
        self.units.clear();
        self.is_everything = true;
    }
}

/// What a line of the list says a unit does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Doing {
    pub(super) load: String,
    pub(super) active: String,
    pub(super) sub: String,
}

#[derive(Debug)]
struct Entry {
    doing: Doing,
    has_identity: bool,
    read: Instant,
    unit: Unit,
    sample: Sample,
}

/// Services as they were when they were last asked, by their own names.
#[derive(Debug, Default)]
pub(super) struct Kept(HashMap<String, Entry>);

impl Kept {
    /// Forgets what has changed. Must be called before the list is asked for: what is announced later than that is for
    /// the next look.
    pub(super) fn forget(&mut self, changes: Changes) {
        if changes.is_everything {
            self.0.clear();
        }
        self.0.retain(|name, entry| !changes.units.contains(name) && entry.read.elapsed() < LONGEST_KEPT);
    }

    /// What is known of a unit that does this.
    pub(super) fn get(&self, name: &str, doing: &Doing, with_identity: bool) -> Option<(Unit, Sample)> {
        let entry = self.0.get(name)?;
        let is_enough = entry.doing == *doing && (entry.has_identity || !with_identity);
        is_enough.then(|| (entry.unit.clone(), entry.sample.clone()))
    }

    /// Remembers a service.
    pub(super) fn keep(&mut self, doing: Doing, with_identity: bool, unit: &Unit, sample: &Sample) {
        let entry = Entry {
            doing,
            has_identity: with_identity,
            read: Instant::now(),
            unit: unit.clone(),
            sample: sample.clone(),
        };
        self.0.insert(unit.name.clone(), entry);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ActiveState, Kind, LoadState};
    use super::*;
    use std::collections::BTreeMap;

    fn doing(sub: &str) -> Doing {
        Doing { load: "loaded".to_owned(), active: "active".to_owned(), sub: sub.to_owned() }
    }

    fn kept() -> Kept {
        let mut kept = Kept::default();
        let unit = Unit {
            name: "a.service".to_owned(),
            load: LoadState::Loaded,
            active: ActiveState::Active,
            is_enabled: None,
            changed: None,
            active_since: None,
            kind: Kind::Other,
            failures: BTreeMap::new(),
        };
        let sample = Sample { result: "success".to_owned(), main_start: 1, restarts: 0 };
        kept.keep(doing("running"), false, &unit, &sample);
        kept
    }

    #[test]
    fn what_has_not_changed_is_not_asked_again() {
        let mut kept = kept();
        let mut changes = Changes::default();
        changes.note("b.service".to_owned());
        kept.forget(changes);
        assert!(kept.get("a.service", &doing("running"), false).is_some());
        assert!(kept.get("a.service", &doing("exited"), false).is_none(), "it does something else");
        assert!(kept.get("a.service", &doing("running"), true).is_none(), "whose it is was not asked");
    }

    #[test]
    fn what_was_announced_to_have_changed_is_asked_again() {
        let (mut one, mut every) = (Changes::default(), Changes::default());
        one.note("a.service".to_owned());
        every.note_everything();
        let mut many = Changes::default();
        (0..=MOST_CHANGES).for_each(|number| many.note(format!("{number}.service")));
        for changes in [one, every, many] {
            let mut kept = kept();
            kept.forget(changes);
            assert!(kept.get("a.service", &doing("running"), false).is_none());
        }
    }
}
