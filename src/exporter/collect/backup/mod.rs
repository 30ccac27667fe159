//! Backups: the repositories of git that an instance is backed up to, and the proofs that they can be used.
//!
//! No `git` is run and no remote is asked: what has been pushed is what the repository itself has noted of it. No name
//! of a file, a branch or a commit is kept. An instance for which nothing is configured costs nothing.
//!
//! * [`repository`]: one repository, as it is at this look.
//! * [`scan`]: what its commits have in them; followed as they come.
//! * [`walks`]: how folders and commits are gone through, a piece at a time.
//! * [`forbidden`]: what looks like a secret or a live database.
//! * [`artifacts`]: the newest of the files that match a pattern.

mod artifacts;
mod forbidden;
mod repository;
mod scan;
#[cfg(test)]
mod tests;
mod walks;

use std::sync::Arc;
use std::time::Duration;

use super::problems::Problems;
use super::{Collector, Look, Part};
use crate::exporter::backup::Artifacts;
use crate::exporter::instance::Instance;
use crate::exporter::snapshot::backups::{self, Backups};
use crate::exporter::snapshot::{Label, Reading, Threshold};
use repository::WatchedRepository;

/// Looks at the backups of one instance.
#[derive(Debug)]
pub struct BackupCollector {
    repositories: Vec<(Label, WatchedRepository)>,
    restore_drills: Option<Artifacts>,
    emergency_bundles: Option<Artifacts>,
}

impl BackupCollector {
    /// A collector for this instance; working trees are looked through again after `time_to_live`.
    pub fn new(instance: &Instance, time_to_live: Duration) -> Self {
        let watched =
            |backup: &crate::exporter::backup::Backup| WatchedRepository::new(backup.clone(), instance, time_to_live);
        BackupCollector {
            repositories: instance.backups.iter().map(|backup| (Label::new(&backup.name), watched(backup))).collect(),
            restore_drills: instance.restore_drills.clone(),
            emergency_bundles: instance.emergency_bundles.clone(),
        }
    }
}

impl Collector for BackupCollector {
    fn collect(&mut self, look: &Look<'_>, problems: &mut Problems) -> Part {
        if self.repositories.is_empty() && self.restore_drills.is_none() && self.emergency_bundles.is_none() {
            return Part::Backups(Reading::Absent);
        }
        let mut repositories = std::collections::BTreeMap::new();
        for (name, repository) in &mut self.repositories {
            let mut own = Problems::default();
            repositories.insert(name.clone(), repository.look(look, &mut own));
            problems.include(own.of(name.as_str()));
        }
        let mut newest = |what: &str, wanted: &Option<Artifacts>, threshold| match wanted {
            None => Reading::Absent,
            Some(wanted) => problems.reading(what, artifacts::find(wanted).map(Some)).map(|found| backups::Artifacts {
                max_age_seconds: wanted.max_age.seconds(look.instance, threshold).into(),
                ..found
            }),
        };
        Part::Backups(Reading::Known(Arc::new(Backups {
            restore_drills: newest("restore_drills", &self.restore_drills, Threshold::RestoreDrillAge),
            emergency_bundles: newest("emergency_bundles", &self.emergency_bundles, Threshold::EmergencyBundleAge),
            repositories,
        })))
    }
}
