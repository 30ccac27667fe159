//! Which instances are read as somebody else, the threads that do it, and what it takes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::thread::CapabilitySet;

use crate::exporter::instance::Instance;
use crate::system::owner::{Identity, Owner};
use crate::system::privileges::{Privileges, TO_SEE_ROOTS_PROCESSES, TO_TAKE_IDENTITIES};
use crate::system::users::{self, User};

/// One set of threads per user, shared by all instances of that user.
#[derive(Debug, Default)]
pub(super) struct Owners(Mutex<HashMap<u32, Arc<Owner>>>);

/// Whose an instance is, as this program sees it.
#[derive(Debug)]
enum Whose {
    /// Its own user's, or it is not said.
    Own,
    /// Another user's.
    Others(User),
    /// That of a user who does not exist here.
    Nobodys,
}

fn whose(instance: &Instance, privileges: &Privileges) -> Whose {
    let Some(name) = &instance.user else {
        return Whose::Own;
    };
    match users::named(name) {
        Some(user) if user.id == privileges.user => Whose::Own,
        Some(user) => Whose::Others(user),
        None => Whose::Nobodys,
    }
}

/// With whose rights an instance is read.
#[derive(Debug, Clone)]
pub(super) enum Reader {
    /// The program's own.
    Own,
    /// Another user's.
    Owner(Arc<Owner>),
}

impl Reader {
    /// Who reads it, where that is not the program's own user.
    pub(super) fn owner(&self) -> Option<&Arc<Owner>> {
        match self {
            Reader::Own => None,
            Reader::Owner(owner) => Some(owner),
        }
    }
}

impl PartialEq for Reader {
    fn eq(&self, other: &Self) -> bool {
        self.owner().map(|owner| owner.identity()) == other.owner().map(|owner| owner.identity())
    }
}

impl Owners {
    /// With whose rights this instance is read: those of the user it is configured with, where that is another one and
    /// this program may take their identity.
    ///
    /// A user who does not exist here is a slip, or one of a directory service; then whoever owns the home is meant,
    /// so that a home of another user is not read with more rights than theirs.
    pub(super) fn reader(&self, instance: &Instance) -> Reader {
        let privileges = Privileges::of_this_process();
        if !privileges.can_take_identities() {
            return Reader::Own;
        }
        let identity = match whose(instance, &privileges) {
            Whose::Own => return Reader::Own,
            Whose::Others(user) => {
                let group = user.group_by(&instance.home);
                Identity { user: user.id, group, groups: users::groups_of(&user.name) }
            }
            Whose::Nobodys => match users::owner_of(&instance.home) {
                Some(owner) if owner.id != privileges.user => {
                    Identity { user: owner.id, group: owner.group_by(&instance.home), groups: Vec::new() }
                }
                _ => return Reader::Own,
            },
        };
        let mut owners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Owner::new(identity.clone());
        let owner = owners.entry(identity.user).or_insert_with(new);
        if *owner.identity() != identity {
            *owner = new();
        }
        Reader::Owner(Arc::clone(owner))
    }
}

/// Names in one line; root has some forty capabilities, which nobody reads.
fn listed(names: &[String]) -> String {
    const MOST_SHOWN: usize = 6;
    match names.len().checked_sub(MOST_SHOWN + 1) {
        None => names.join(","),
        Some(more) => format!("{} and {} more", names[..MOST_SHOWN].join(","), more + 1),
    }
}

/// What the program may do and need not, where homes are read with the rights of these users.
fn surplus(privileges: &Privileges, readers: &[u32]) -> Vec<String> {
    // Of a file that names no instance yet nobody can say whose homes it is going to name.
    let nobody_knows = readers.is_empty();
    let mut needed = CapabilitySet::empty();
    if nobody_knows || readers.iter().any(|reader| *reader != privileges.user) {
        needed |= TO_TAKE_IDENTITIES;
    }
    if nobody_knows || readers.contains(&0) {
        needed |= TO_SEE_ROOTS_PROCESSES;
    }
    privileges.surplus(needed)
}

/// Logs what this program may do, and what it lacks or has too much of for these instances.
pub(super) fn report_privileges<'a>(instances: impl Iterator<Item = &'a Instance>) {
    let privileges = Privileges::of_this_process();
    let (mut others, mut readers) = (Vec::new(), Vec::new());
    for instance in instances {
        readers.push(match whose(instance, &privileges) {
            Whose::Own => privileges.user,
            Whose::Others(user) => {
                others.push(instance.name.as_str());
                user.id
            }
            Whose::Nobodys => {
                tracing::warn!(
                    instance = instance.name,
                    user = instance.user,
                    "There is no such user here; the instance is read with the rights of whoever owns its home."
                );
                users::owner_of(&instance.home).map_or(privileges.user, |owner| owner.id)
            }
        });
    }
    let (user, capabilities) = (users::name_of(privileges.user), listed(&privileges.names()));
    tracing::info!(user, capabilities, read_as_others = others.join(","), "Privileges.");
    if !others.is_empty() && !privileges.can_take_identities() {
        tracing::warn!(
            instances = others.join(","),
            "These belong to other users, whose homes and managers may stay unknown; run as their user, or with CAP_SETUID and CAP_SETGID."
        );
    }
    let surplus = surplus(&privileges, &readers);
    if !surplus.is_empty() {
        tracing::warn!(
            surplus = listed(&surplus),
            "The exporter has more privileges than it needs; see docs/privileges.md."
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_needed_follows_from_whose_homes_are_read() {
        let capabilities = CapabilitySet::SETUID | CapabilitySet::SETGID | CapabilitySet::SYS_PTRACE;
        let of = |readers: &[u32]| surplus(&Privileges::of(7, capabilities), readers);
        let identities = ["CAP_SETGID", "CAP_SETUID"];
        assert_eq!(of(&[0, 1]), [""; 0]);
        assert_eq!(of(&[7, 1]), ["CAP_SYS_PTRACE"]);
        assert_eq!(of(&[7]), [&identities[..], &["CAP_SYS_PTRACE"]].concat());
        assert_eq!(surplus(&Privileges::of(0, capabilities), &[0]), identities, "root's own");
        assert_eq!(of(&[]), [""; 0], "a file that names none yet");
    }
}
