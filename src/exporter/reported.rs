//! One Hermes installation that is told of by the report of its own exporter, as the validated configuration describes it.
//!
//! Nothing of its home is known here, nor touched: what can be opened and asked is an [`Instance`](super::instance::Instance).

use std::path::PathBuf;

use super::findings::Code;
use super::snapshot::Thresholds;
use crate::system::users;

/// One installation that is told of by a report.
#[derive(Debug, Clone, PartialEq)]
pub struct Reported {
    /// Its name: the value of the `instance` label, unique in the fleet, and the one that the report must bear.
    pub name: String,
    /// The report, as an absolute path.
    pub report: PathBuf,
    /// Whose file it has to be, where the configuration says; else whoever owns it is taken for the installation's user.
    pub user: Option<String>,
    /// The limits in force: those of who reads, and not of who has written.
    pub thresholds: Thresholds,
    /// What is not to be found of it.
    pub ignored_findings: Vec<Code>,
    /// How many instances that this exporter looks at itself stand before it in the configuration.
    pub after: usize,
}

impl Reported {
    /// Whether a file of the user with this id may be its report. Root may write any.
    pub fn may_be_of(&self, owner: u32) -> bool {
        const ROOT: u32 = 0;
        match &self.user {
            None => true,
            Some(name) => owner == ROOT || users::named(name).is_some_and(|user| user.id == owner),
        }
    }
}

/// Puts what is of instances that are looked at here, each with its place among them, and what is of those that are told
/// of, each with the number of the others before it, into the order of the configuration.
pub fn in_order<T>(looked_at: impl Iterator<Item = (usize, T)>, told_of: impl Iterator<Item = (usize, T)>) -> Vec<T> {
    let looked_at = looked_at.map(|(place, of)| ((place, true), of));
    let told_of = told_of.map(|(after, of)| ((after, false), of));
    let mut all: Vec<_> = looked_at.chain(told_of).collect();
    // Stable, so that those that are told of stay in their order.
    all.sort_by_key(|(place, _)| *place);
    all.into_iter().map(|(_, of)| of).collect()
}
