//! What this process may do beyond the rights of its user.
//!
//! Not for deciding whether something may be read: that is tried, and the operating system says.

use rustix::process::geteuid;
use rustix::thread::{CapabilitySet, capabilities};

/// What it takes to [read what is another user's as that user](super::owner).
pub const TO_TAKE_IDENTITIES: CapabilitySet = CapabilitySet::SETUID.union(CapabilitySet::SETGID);

/// What it takes to look into root's processes: they have all capabilities, and who has fewer may look with this one
/// alone.
pub const TO_SEE_ROOTS_PROCESSES: CapabilitySet = CapabilitySet::SYS_PTRACE;

/// The user and the capabilities of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Privileges {
    /// The id of the effective user.
    pub user: u32,
    capabilities: CapabilitySet,
}

impl Privileges {
    /// Those of this process; where they can not be told, none.
    pub fn of_this_process() -> Privileges {
        let capabilities = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
        Privileges { user: geteuid().as_raw(), capabilities }
    }

    /// Those of a process that is only thought of.
    #[cfg(test)]
    pub(crate) fn of(user: u32, capabilities: CapabilitySet) -> Privileges {
        Privileges { user, capabilities }
    }

    /// Whether another user's identity can be taken.
    pub fn can_take_identities(&self) -> bool {
        self.capabilities.contains(TO_TAKE_IDENTITIES)
    }

    /// The names of its capabilities.
    pub fn names(&self) -> Vec<String> {
        names(self.capabilities)
    }

    /// The names of its capabilities beyond those that are `needed`.
    pub fn surplus(&self, needed: CapabilitySet) -> Vec<String> {
        names(self.capabilities.difference(needed))
    }
}

fn names(capabilities: CapabilitySet) -> Vec<String> {
    capabilities.iter_names().map(|(name, _)| format!("CAP_{name}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_needed_is_named() {
        let with = |capabilities| Privileges { user: 1, capabilities };
        let service = with(TO_TAKE_IDENTITIES);
        assert!(service.can_take_identities());
        assert_eq!(service.surplus(TO_TAKE_IDENTITIES), Vec::<String>::new());
        assert_eq!(service.surplus(CapabilitySet::empty()), ["CAP_SETGID", "CAP_SETUID"]);
        let half = with(CapabilitySet::SETUID | CapabilitySet::DAC_READ_SEARCH);
        assert!(!half.can_take_identities());
        assert_eq!(half.names(), ["CAP_DAC_READ_SEARCH", "CAP_SETUID"]);
        assert_eq!(half.surplus(TO_TAKE_IDENTITIES), ["CAP_DAC_READ_SEARCH"]);
        let looking = with(TO_TAKE_IDENTITIES | TO_SEE_ROOTS_PROCESSES);
        assert_eq!(looking.surplus(TO_TAKE_IDENTITIES | TO_SEE_ROOTS_PROCESSES), Vec::<String>::new());
        assert_eq!(looking.surplus(TO_TAKE_IDENTITIES), ["CAP_SYS_PTRACE"]);
    }
}
