//! Which instances are read as somebody else, and the threads that do it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::exporter::instance::Instance;
use crate::system::owner::{Identity, Owner};
use crate::system::privileges::Privileges;
use crate::system::users;

/// One set of threads per user, shared by all instances of that user.
#[derive(Debug, Default)]
pub(super) struct Owners(Mutex<HashMap<u32, Arc<Owner>>>);

impl Owners {
    /// Who reads this instance: the user it is configured with, where that is another one and this program may take
    /// their identity; else `None`, and it is read with the program's own rights.
    pub(super) fn of(&self, instance: &Instance) -> Option<Arc<Owner>> {
        let privileges = Privileges::of_this_process();
        let name = instance.user.as_ref()?;
        if !privileges.can_take_identities() {
            return None;
        }
        let user = users::named(name)?;
        if user.id == privileges.user {
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
