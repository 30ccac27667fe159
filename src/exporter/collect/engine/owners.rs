//! Which instances are read as somebody else, the threads that do it, and what it takes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::exporter::instance::Instance;
use crate::system::owner::{Identity, Owner};
use crate::system::privileges::Privileges;
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

impl Owners {
    /// Who reads this instance: the user it is configured with, where that is another one and this program may take
    /// their identity; else `None`, and it is read with the program's own rights.
    pub(super) fn of(&self, instance: &Instance) -> Option<Arc<Owner>> {
        let privileges = Privileges::of_this_process();
        let Whose::Others(user) = whose(instance, &privileges) else {
            return None;
        };
        if !privileges.can_take_identities() {
            return None;
        }
        let mut owners = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let owner = owners.entry(user.id).or_insert_with(|| {
            let groups = users::groups_of(&user.name);
            Owner::new(Identity { user: user.id, group: user.group, groups })
        });
        Some(Arc::clone(owner))
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

/// Logs what this program may do, and what it lacks or has too much of for these instances.
pub(super) fn report_privileges<'a>(instances: impl Iterator<Item = &'a Instance>) {
    let privileges = Privileges::of_this_process();
    let mut others = Vec::new();
    for instance in instances {
        match whose(instance, &privileges) {
            Whose::Own => {}
            Whose::Others(_) => others.push(instance.name.as_str()),
            Whose::Nobodys => tracing::warn!(
                instance = instance.name,
                user = instance.user,
                "There is no such user here; the instance is read with the exporter's own rights."
            ),
        }
    }
    let (user, capabilities) = (users::name_of(privileges.user), listed(&privileges.names()));
    tracing::info!(user, capabilities, read_as_others = others.join(","), "Privileges.");
    if !others.is_empty() && !privileges.can_take_identities() {
        tracing::warn!(
            instances = others.join(","),
            "These belong to other users, whose homes and managers may stay unknown; run as their user, or with CAP_SETUID and CAP_SETGID."
        );
    }
    let surplus = privileges.surplus(!others.is_empty());
    if !surplus.is_empty() {
        tracing::warn!(
            surplus = listed(&surplus),
            "The exporter has more privileges than it needs; see docs/privileges.md."
        );
    }
}
