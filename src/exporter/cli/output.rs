//! Files that a command writes: whole or not at all, readable by all or by nobody else, and only where that loses nothing.
//!
//! Works in a folder that can neither be listed nor read, such as one that many users leave their reports in.

use std::fs::{FileType, Metadata, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;

use crate::system::users;

/// Why a file could not be written. What was there before still is.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The operating system refused.
    #[error("{path} could not be written")]
    Write {
        /// The file.
        path: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// There is something that is no file.
    #[error("{path} could not be written: it is {what}, and only a file is replaced; name a file")]
    NotAFile {
        /// The file.
        path: String,
        /// What there is.
        what: &'static str,
    },
    /// There is a file of another kind, which somebody may still want.
    #[error(
        "{path} was not replaced: it has something else in it than what --state keeps; name another file, or delete it"
    )]
    AnotherKind {
        /// The file.
        path: String,
    },
    /// There is a file, and only its owner may replace it.
    #[error(
        "{path} could not be written: it belongs to {owner}, and in this folder nobody may replace what is another's"
    )]
    AnothersFile {
        /// The file.
        path: String,
        /// Whose it is.
        owner: String,
    },
}

/// Writes beside the file and renames, so that nobody ever reads half of it; readable by all, whatever the umask.
pub(super) fn write_atomically(path: &Path, text: &str) -> Result<(), OutputError> {
    write(path, text, 0o644)
}

/// The same, readable by nobody but its owner.
pub(super) fn write_privately(path: &Path, text: &str) -> Result<(), OutputError> {
    write(path, text, 0o600)
}

fn write(path: &Path, text: &str, mode: u32) -> Result<(), OutputError> {
    let shown = || path.display().to_string();
    let failed = |source| OutputError::Write { path: shown(), source };
    let before = before(path).map_err(failed)?;
    if let Some(what) = before.as_ref().and_then(|metadata| other_than_file(metadata.file_type())) {
        return Err(OutputError::NotAFile { path: shown(), what });
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Asked for itself, because the error of what is made in it names a file that nobody has heard of.
    std::fs::metadata(folder).map_err(failed)?;
    replace(path, folder, text, mode).map_err(|source| match before {
        Some(metadata) if source.kind() == ErrorKind::PermissionDenied && is_anothers(&metadata) => {
            OutputError::AnothersFile { path: shown(), owner: users::name_of(metadata.uid()) }
        }
        _ => failed(source),
    })
}

/// What is there now, without following a link.
fn before(path: &Path) -> std::io::Result<Option<Metadata>> {
    match path.symlink_metadata() {
        Ok(metadata) => Ok(Some(metadata)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What it is, where it is no regular file. None of these is meant to be replaced by one.
fn other_than_file(there: FileType) -> Option<&'static str> {
    match there {
        there if there.is_file() => None,
        there if there.is_symlink() => Some("a symbolic link"),
        there if there.is_dir() => Some("a folder"),
        there if there.is_fifo() => Some("a named pipe"),
        there if there.is_socket() => Some("a socket"),
        _ => Some("a device"),
    }
}

fn replace(path: &Path, folder: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    // Not of the file's own ending, so that nobody who takes all files of a kind reads it before it is whole.
    let mut file = tempfile::Builder::new().prefix(".hermes-exporter-").tempfile_in(folder).map_err(plain)?;
    // Made for its owner alone, and opened to others when it is whole.
    file.write_all(text.as_bytes()).map_err(plain)?;
    file.as_file().set_permissions(Permissions::from_mode(mode))?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// The error without the name of the file beside, which is gone when somebody reads it.
fn plain(error: std::io::Error) -> std::io::Error {
    let source = error.get_ref().and_then(|error| error.source()).and_then(|source| source.downcast_ref());
    let number = source.and_then(std::io::Error::raw_os_error);
    number.map_or_else(|| std::io::Error::from(error.kind()), std::io::Error::from_raw_os_error)
}

fn is_anothers(metadata: &Metadata) -> bool {
    metadata.uid() != rustix::process::geteuid().as_raw()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// The names in a folder.
    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("report.json");
        for text in ["one", "two, which is longer", ""] {
            write_atomically(&path, text).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
            assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o644);
        }
        write_privately(&path, "mine").unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(names(folder.path()), ["report.json"]);
    }

    #[test]
    fn what_is_no_file_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        std::fs::write(place("target"), "precious").unwrap();
        symlink(place("target"), place("link")).unwrap();
        symlink(place("nothing"), place("dangling")).unwrap();
        std::fs::create_dir(place("folder")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, place("pipe"), rustix::fs::Mode::RWXU).unwrap();
        let before = names(folder.path());
        for (name, what) in [
            ("link", "a symbolic link"),
            ("dangling", "a symbolic link"),
            ("folder", "a folder"),
            ("pipe", "a named pipe"),
        ] {
            let error = write_atomically(&place(name), "x").unwrap_err();
            assert!(matches!(&error, OutputError::NotAFile { what: there, .. } if *there == what), "{error}");
        }
        let error = write_atomically(Path::new("/dev/null"), "x").unwrap_err();
        assert!(matches!(error, OutputError::NotAFile { what: "a device", .. }), "{error}");
        assert_eq!(names(folder.path()), before);
        assert_eq!(std::fs::read_to_string(place("target")).unwrap(), "precious");
    }

    #[test]
    fn an_error_says_what_the_operating_system_said_and_nothing_of_a_file_nobody_knows() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_atomically(&folder.path().join("no/such/report.json"), "x").unwrap_err();
        let text = crate::error_chain::display_chain(&error);
        assert!(
            text.ends_with("no/such/report.json could not be written: No such file or directory (os error 2)"),
            "{text}"
        );
        // Nobody, not even root, may make a file there.
        let error = write_atomically(Path::new("/proc/self/report.json"), "x").unwrap_err();
        let text = crate::error_chain::display_chain(&error);
        assert!(
            text.starts_with("/proc/self/report.json could not be written: ") && !text.contains(".hermes-"),
            "{text}"
        );
    }
}
