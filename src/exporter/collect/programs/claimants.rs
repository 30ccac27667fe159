//! Whose processes may say that they serve a home.
//!
//! What a process says of itself, its arguments and its environment, anybody can make up.

use std::cell::OnceCell;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::system::processes::Process;
use crate::system::users;

const ROOT: u32 = 0;

/// Those who are believed to serve a home: its owner, root, and the user that its instance is configured with.
///
/// User ids of processes and of files are both told as this program's user namespace has them, so that they are the same
/// for a container that has another one.
#[derive(Debug)]
pub struct Claimants<'a> {
    owner: Option<u32>,
    configured: Option<&'a str>,
    configured_id: OnceCell<Option<u32>>,
}

impl<'a> Claimants<'a> {
    /// Those of a home of the user with the id `owner`, of an instance that is configured with a user of the name or
    /// number `configured`.
    pub fn new(owner: Option<u32>, configured: Option<&'a str>) -> Self {
        Claimants { owner, configured, configured_id: OnceCell::new() }
    }

    /// Those of the home at this path.
    pub fn of(home: &Path, configured: Option<&'a str>) -> Self {
        Claimants::new(std::fs::metadata(home).ok().map(|metadata| metadata.uid()), configured)
    }

    /// Whether a process of this user is believed; one of whom it is not known whose it is, is not.
    pub fn have(&self, user: Option<u32>) -> bool {
        user == Some(ROOT) || self.are_particularly(user)
    }

    /// Whether the home is this user's own, by its owner or by configuration: root serves everybody's.
    pub fn are_particularly(&self, user: Option<u32>) -> bool {
        user.is_some() && (user == self.owner || user == self.configured_id())
    }

    /// Whether this process is believed.
    pub fn have_process(&self, process: &Process) -> bool {
        self.have(process.user())
    }

    fn configured_id(&self) -> Option<u32> {
        let find = || self.configured.and_then(users::named).map(|user| user.id);
        *self.configured_id.get_or_init(find)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owner_root_and_the_configured_user_are_believed_and_nobody_else() {
        let claimants = Claimants::new(Some(1001), Some("1002"));
        let believed = [Some(0), Some(1001), Some(1002), Some(1003), None].map(|user| claimants.have(user));
        assert_eq!(believed, [true, true, true, false, false]);
        assert!(!claimants.are_particularly(Some(0)) && claimants.are_particularly(Some(1002)));
        assert!(!Claimants::new(None, None).have(None), "of neither it is known whose it is");
        let home = tempfile::tempdir().unwrap();
        assert!(Claimants::of(home.path(), None).are_particularly(Some(rustix::process::geteuid().as_raw())));
    }
}
