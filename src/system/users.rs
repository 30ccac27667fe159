//! User names, home folders and groups, from the passwd and group files alone.
//!
//! Name services behind NSS (LDAP, systemd-homed) are not asked: the lookup must neither block nor need a
//! shared library. A user that is only known there is shown by number.

use std::path::{Path, PathBuf};
use std::sync::mpsc::channel;
use std::time::Duration;

use super::files::{self, FileError};

/// Where Linux keeps its users.
pub const PASSWD: &str = "/etc/passwd";

/// Where Linux keeps its groups.
const GROUP: &str = "/etc/group";

/// One line of the passwd file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// The login name.
    pub name: String,
    /// The numeric id.
    pub id: u32,
    /// The primary group; `None` for a user of whom nothing but the number is known, such as one of a container.
    pub group: Option<u32>,
    /// The home folder.
    pub home: PathBuf,
}

/// All users of the passwd file at `path`; lines that do not parse are left out.
pub fn all(path: &Path) -> Result<Vec<User>, FileError> {
    let content = files::read(path)?.unwrap_or_default();
    Ok(String::from_utf8_lossy(&content).lines().filter_map(parse).collect())
}

/// The name of the user with this id, or the id in digits where the passwd file has none.
pub fn name_of(id: u32) -> String {
    let users = all(Path::new(PASSWD)).unwrap_or_default();
    users.into_iter().find(|user| user.id == id).map_or_else(|| id.to_string(), |user| user.name)
}

fn parse(line: &str) -> Option<User> {
    let mut fields = line.split(':');
    let name = fields.next().filter(|name| !name.is_empty())?.to_owned();
    let id = fields.nth(1)?.parse().ok()?;
    let group = Some(fields.next()?.parse().ok()?);
    let home = fields.nth(1).filter(|home| home.starts_with('/'))?.into();
    Some(User { name, id, group, home })
}

/// The group of a user of whom no group is known.
const NO_GROUP: u32 = 65_534;

/// Looking at a folder takes microseconds; on a dead filesystem it never ends.
const LONGEST_LOOK: Duration = Duration::from_secs(1);

impl User {
    /// The primary group; where none is known that of the user's own folder, because the kernel lets nobody of another
    /// group look into a process. Never root's, which the user need not be in to have a folder of it.
    pub fn group_by(&self, folder: &Path) -> u32 {
        self.group.or_else(|| self.group_of(folder)).unwrap_or(NO_GROUP)
    }

    fn group_of(&self, folder: &Path) -> Option<u32> {
        let (user, group) = owner_and_group(folder)?;
        (user == self.id && group != 0).then_some(group)
    }
}

/// The user who owns a folder, of whom nothing but the number is told; `None` where it can not be seen in time.
pub fn owner_of(folder: &Path) -> Option<User> {
    let (id, _) = owner_and_group(folder)?;
    Some(User { name: id.to_string(), id, group: None, home: "/".into() })
}

fn owner_and_group(folder: &Path) -> Option<(u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    let (answer, answered) = channel();
    let path = folder.to_owned();
    let look = move || drop(answer.send(std::fs::metadata(path)));
    std::thread::Builder::new().name("look-up".to_owned()).spawn(look).ok()?;
    let metadata = answered.recv_timeout(LONGEST_LOOK).ok()?.ok()?;
    Some((metadata.uid(), metadata.gid()))
}

/// The user with this login name or number; `None` for a name that the passwd file does not have.
pub fn named(name: &str) -> Option<User> {
    let users = all(Path::new(PASSWD)).unwrap_or_default();
    let number = name.parse().ok();
    let known = users.into_iter().find(|user| user.name == name || Some(user.id) == number);
    known.or_else(|| Some(User { name: name.to_owned(), id: number?, group: None, home: "/".into() }))
}

/// The groups that a user is a member of, besides the primary one.
pub fn groups_of(user: &str) -> Vec<u32> {
    let content = files::read(Path::new(GROUP)).ok().flatten().unwrap_or_default();
    parse_groups(&String::from_utf8_lossy(&content), user)
}

fn parse_groups(content: &str, user: &str) -> Vec<u32> {
    let group = |line: &str| {
        let mut fields = line.split(':');
        let id = fields.nth(2)?.parse().ok()?;
        fields.next()?.split(',').any(|member| member.trim() == user).then_some(id)
    };
    content.lines().filter_map(group).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_name_and_by_number_and_a_number_is_enough() {
        assert_eq!(named("root").map(|user| user.id), Some(0));
        assert_eq!(named("0").map(|user| user.name), Some("root".to_owned()));
        assert_eq!(named("4000000001").map(|user| (user.id, user.group)), Some((4_000_000_001, None)));
        assert_eq!(named("nobody-of-this-name"), None);
    }

    #[test]
    fn the_group_of_a_number_is_that_of_the_folder_of_its_own() {
        use std::os::unix::fs::{MetadataExt, chown};
        let folder = tempfile::tempdir().unwrap();
        let metadata = std::fs::metadata(folder.path()).unwrap();
        let user = |id, group| User { name: "uma".to_owned(), id, group, home: "/".into() };
        let of_the_folder = if metadata.gid() == 0 { NO_GROUP } else { metadata.gid() };
        assert_eq!(user(metadata.uid(), None).group_by(folder.path()), of_the_folder);
        assert_eq!(user(metadata.uid(), Some(7)).group_by(folder.path()), 7);
        assert_eq!(user(metadata.uid() + 1, None).group_by(folder.path()), NO_GROUP, "another's folder");
        assert_eq!(user(metadata.uid(), None).group_by(&folder.path().join("none")), NO_GROUP);
        if metadata.uid() == 0 {
            chown(folder.path(), Some(10_000), Some(10_001)).unwrap();
            assert_eq!(user(10_000, None).group_by(folder.path()), 10_001);
        }
    }

    #[test]
    fn groups_are_those_that_name_the_user() {
        let content = "root:x:0:\nadm:x:4:root,uma\nbroken:x\numa:x:1002:\nhermes:x:900:uma\numas:x:901:umas\n";
        assert_eq!(parse_groups(content, "uma"), [4, 900]);
        assert_eq!(parse_groups(content, "bob"), Vec::<u32>::new());
    }

    #[test]
    fn lines_become_users_and_damage_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("passwd");
        std::fs::write(
            &path,
            "root:x:0:0:root:/root:/bin/bash\n\n+::::::\nbroken:x\numa:x:1001:1002:Uma,,,:/home/uma:/bin/sh\nnumber:x:many:1:::/\n",
        )
        .unwrap();
        let users = all(&path).unwrap();
        let names: Vec<_> = users.iter().map(|user| (user.name.as_str(), user.id)).collect();
        assert_eq!(names, [("root", 0), ("uma", 1001)]);
        assert_eq!(users[1].home, Path::new("/home/uma"));
        assert_eq!(users[1].group, Some(1002));
    }
}
