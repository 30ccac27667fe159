//! The newest of the files that match a pattern: the mark of a restore that was rehearsed, a bundle for an emergency.

use std::path::{Component, Path, PathBuf};

use glob::MatchOptions;

use crate::exporter::backup::Artifacts;
use crate::exporter::collect::problems::Because;
use crate::exporter::snapshot::{Reading, Reason, backups};
use crate::system::files::{self, FileError};

/// The most files of one pattern: each of them is looked at in every look.
const MOST_FILES: usize = 10_000;

/// As a shell has it: a `*` stops at a slash, and finds no hidden files, which are often unfinished ones.
const AS_A_SHELL: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: true };

/// Why the files of a pattern could not be looked at.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArtifactsError {
    /// A file or a folder on the way could not be looked at.
    #[error(transparent)]
    File(#[from] FileError),
    /// More than [`MOST_FILES`].
    #[error("more than {MOST_FILES} files match {pattern}")]
    TooMany {
        /// The pattern.
        pattern: String,
    },
    /// Not a pattern.
    #[error("{pattern} is not a shell pattern")]
    Pattern {
        /// What was taken for one.
        pattern: String,
        /// What is wrong with it.
        #[source]
        source: glob::PatternError,
    },
}

impl Because for ArtifactsError {
    fn reason(&self) -> Reason {
        match self {
            ArtifactsError::File(error) => error.reason(),
            ArtifactsError::TooMany { .. } | ArtifactsError::Pattern { .. } => Reason::Unsupported,
        }
    }
}

/// How many regular files match, and the newest of them. That there are none is known.
pub(super) fn find(wanted: &Artifacts) -> Result<backups::Artifacts, ArtifactsError> {
    let pattern = &wanted.pattern;
    // What is below a folder that may not be entered does not match, for a pattern.
    match folder_before_wildcards(pattern) {
        Some(folder) => drop(files::entries(&folder)?),
        None => drop(files::stamp(Path::new(pattern))?),
    }
    let failed = |source| ArtifactsError::Pattern { pattern: pattern.clone(), source };
    let mut found = backups::Artifacts::default();
    let mut newest = None;
    for path in glob::glob_with(pattern, AS_A_SHELL).map_err(failed)? {
        let path = match path {
            Ok(path) => path,
            Err(error) => {
                let path = error.path().to_owned();
                match files::absent_or_error::<()>(&path, error.into()) {
                    Ok(_) => continue,
                    Err(error) => return Err(error.into()),
                }
            }
        };
        let metadata = match std::fs::metadata(&path) {
            Ok(metadata) => metadata,
            Err(error) => match files::absent_or_error::<()>(&path, error) {
                // It has just been taken away, or is a link that leads nowhere.
                Ok(_) => continue,
                Err(error) => return Err(error.into()),
            },
        };
        if !metadata.is_file() {
            continue;
        }
        found.files += 1;
        if found.files > MOST_FILES as u64 {
            return Err(ArtifactsError::TooMany { pattern: pattern.clone() });
        }
        let stamp = files::Stamp::of(&metadata);
        if let Some(modified) = stamp.modified().filter(|modified| newest.is_none_or(|newest| *modified >= newest)) {
            newest = Some(modified);
            found.newest_bytes = Reading::Known(stamp.size);
        }
    }
    found.newest = newest.into();
    Ok(found)
}

/// The folder that the search begins in; `None` for a pattern without wildcards.
fn folder_before_wildcards(pattern: &str) -> Option<PathBuf> {
    let is_plain = |part: &Component<'_>| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']);
    let plain: PathBuf = Path::new(pattern).components().take_while(is_plain).collect();
    (plain != Path::new(pattern)).then_some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporter::backup::MaxAge;
    use std::time::{Duration, SystemTime};

    fn found(folder: &Path, pattern: &str) -> backups::Artifacts {
        let pattern = folder.join(pattern).to_string_lossy().into_owned();
        find(&Artifacts { pattern, max_age: MaxAge::Off }).unwrap()
    }

    fn write(path: &Path, content: &str, seconds: u64) {
        std::fs::write(path, content).unwrap();
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        std::fs::File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
    }

    #[test]
    fn the_newest_regular_file_counts() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        write(&path.join("bundle-1.tar"), "one", 1_000);
        write(&path.join("bundle-2.tar"), "three", 3_000);
        write(&path.join("bundle-3.tar"), "", 2_000);
        write(&path.join(".bundle-4.tar"), "unfinished", 9_000);
        write(&path.join("other"), "", 9_000);
        std::fs::create_dir(path.join("bundle-5.tar")).unwrap();
        std::os::unix::fs::symlink("nowhere", path.join("bundle-6.tar")).unwrap();
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, path.join("bundle-7.tar"), fifo, rustix::fs::Mode::RUSR, 0).unwrap();
        let bundles = found(path, "bundle-*.tar");
        assert_eq!((bundles.files, bundles.newest_bytes), (3, Reading::Known(5)));
        assert_eq!(bundles.newest.known().map(|newest| newest.seconds()), Some(3_000.0));
        assert_eq!(found(path, "other").files, 1);
    }

    #[test]
    fn that_there_are_none_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let none = backups::Artifacts::default();
        assert_eq!(found(folder.path(), "*"), none);
        assert_eq!(found(folder.path(), "missing/*.tar"), none);
        assert_eq!(found(folder.path(), "mis*ing/*.tar"), none);
        assert_eq!(found(folder.path(), "missing"), none);
    }

    #[test]
    fn wildcards_begin_where_they_begin() {
        assert_eq!(folder_before_wildcards("/a/b/c-*.tar").as_deref(), Some(Path::new("/a/b")));
        assert_eq!(folder_before_wildcards("/a/*/c").as_deref(), Some(Path::new("/a")));
        assert_eq!(folder_before_wildcards("/a/b"), None);
    }
}
