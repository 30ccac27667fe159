//! Who besides its owner may do what with a file, by modes alone.
//!
//! What counts is what an account can do, not what a file's own mode would allow: a readable file in a folder that
//! nobody else may enter is read by nobody else. So every folder on the way is looked at too. Access control lists
//! show only as far as they show in the group's part of a mode; that of root is taken for granted.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::FileError;

/// Bits of a part of a mode.
pub const READ: u32 = 0o4;
/// See [`READ`].
pub const WRITE: u32 = 0o2;
/// Running a file, entering a folder; see [`READ`].
pub const EXECUTE: u32 = 0o1;

/// What may be done with something, as bits: [`READ`], [`WRITE`], [`EXECUTE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rights {
    /// By its group, or by the group of a folder on the way.
    pub group: u32,
    /// By everybody.
    pub others: u32,
}

/// Who can get into a folder.
#[derive(Debug, Clone, Copy)]
struct Reach {
    is_open_to_a_group: bool,
    is_open_to_others: bool,
}

/// Looks at modes, and remembers the folders on the way.
#[derive(Debug, Default)]
pub struct Modes {
    reached: HashMap<PathBuf, Reach>,
}

impl Modes {
    /// What others than its owner may do with what is at `path`; `None` where nothing is.
    pub fn rights(&mut self, path: &Path) -> Result<Option<Rights>, FileError> {
        let canonical = match std::fs::canonicalize(path) {
            Ok(canonical) => canonical,
            Err(error) => return absent_or_error(path, error),
        };
        let metadata = match std::fs::metadata(&canonical) {
            Ok(metadata) => metadata,
            Err(error) => return absent_or_error(path, error),
        };
        let reach = match canonical.parent() {
            Some(folder) => self.reach(folder)?,
            None => Reach::EVERYBODY,
        };
        let mode = metadata.mode();
        Ok(Some(Rights {
            group: if reach.is_open_to_a_group { mode >> 3 & 0o7 } else { 0 },
            others: if reach.is_open_to_others { mode & 0o7 } else { 0 },
        }))
    }

    fn reach(&mut self, folder: &Path) -> Result<Reach, FileError> {
        if let Some(known) = self.reached.get(folder) {
            return Ok(*known);
        }
        let before = match folder.parent() {
            Some(parent) => self.reach(parent)?,
            None => Reach::EVERYBODY,
        };
        let mode = std::fs::metadata(folder).map_err(|error| failed(folder, error))?.mode();
        let reach = Reach {
            is_open_to_a_group: before.is_open_to_a_group && mode & (EXECUTE << 3 | EXECUTE) != 0,
            is_open_to_others: before.is_open_to_others && mode & EXECUTE != 0,
        };
        self.reached.insert(folder.to_owned(), reach);
        Ok(reach)
    }
}

impl Reach {
    const EVERYBODY: Reach = Reach { is_open_to_a_group: true, is_open_to_others: true };
}

fn absent_or_error<T>(path: &Path, error: std::io::Error) -> Result<Option<T>, FileError> {
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Ok(None),
        // Links that lead to each other lead nowhere.
        _ if error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => Ok(None),
        _ => Err(failed(path, error)),
    }
}

fn failed(path: &Path, error: std::io::Error) -> FileError {
    match error.kind() {
        ErrorKind::PermissionDenied => FileError::Permission { path: path.to_owned() },
        _ => FileError::Io { path: path.to_owned(), source: Arc::new(error) },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn set(path: &Path, mode: u32) {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    fn rights(path: &Path) -> (u32, u32) {
        let rights = Modes::default().rights(path).unwrap().unwrap();
        (rights.group, rights.others)
    }

    #[test]
    fn every_folder_on_the_way_counts() {
        let base = tempfile::tempdir().unwrap();
        let folder = base.path().join("folder");
        let file = folder.join("file");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(&file, "").unwrap();
        set(base.path(), 0o755);
        set(&file, 0o664);
        for (mode, expected) in
            [(0o755, (6, 4)), (0o750, (6, 0)), (0o701, (6, 4)), (0o710, (6, 0)), (0o744, (0, 0)), (0o700, (0, 0))]
        {
            set(&folder, mode);
            assert_eq!(rights(&file), expected, "{mode:o}");
        }
        set(&folder, 0o777);
        set(base.path(), 0o700);
        assert_eq!(rights(&file), (0, 0));
        assert_eq!(rights(&folder), (0, 0));
        assert_eq!(Modes::default().rights(&folder.join("none")).unwrap(), None);
        assert_eq!(Modes::default().rights(&file.join("none")).unwrap(), None);
    }

    #[test]
    fn a_link_is_judged_by_where_it_leads() {
        let (base, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let secret = elsewhere.path().join("secret");
        std::fs::write(&secret, "").unwrap();
        set(&secret, 0o644);
        let link = base.path().join("link");
        std::os::unix::fs::symlink(&secret, &link).unwrap();
        set(elsewhere.path(), 0o755);
        assert_eq!(rights(&link), (4, 4), "the folder of the link does not shield it");
        set(elsewhere.path(), 0o700);
        assert_eq!(rights(&link), (0, 0));
        let circle = base.path().join("circle");
        std::os::unix::fs::symlink(&circle, &circle).unwrap();
        assert_eq!(Modes::default().rights(&circle).unwrap(), None);
    }
}
