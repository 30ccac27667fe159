//! The folder an instance lives in: how large it is, and how much space is left around it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use walkdir::WalkDir;

use super::kept::{Freshness, Kept};
use super::problems::Problems;
use super::{Collector, Look, Part};
use crate::exporter::instance::Instance;
use crate::exporter::snapshot::home::Home;
use crate::exporter::snapshot::{Reading, Reason};

/// Measures one home.
#[derive(Debug)]
pub struct HomeCollector {
    bytes: Kept<Result<u64, Reason>>,
    time_to_live: Duration,
}

impl HomeCollector {
    /// A collector whose walk through the home is made again after `time_to_live`.
    pub fn new(_: &Instance, time_to_live: Duration) -> Self {
        HomeCollector { bytes: Kept::new(), time_to_live }
    }
}

impl Collector for HomeCollector {
    fn collect(&mut self, look: &Look<'_>, problems: &mut Problems) -> Part {
        let mut reading = |subject: &str, result: Result<u64, Reason>| match result {
            Ok(bytes) => Reading::Known(bytes),
            Err(reason) => {
                problems.note(subject, reason);
                Reading::Unknown(reason)
            }
        };
        let folder = look.instance.home.clone();
        let judge = |_: &_, age| Freshness::by_age(age, self.time_to_live);
        let bytes = reading(
            "size of the home",
            self.bytes.get(judge, look.background, move || total_size(&folder)).unwrap_or(Err(Reason::Timeout)),
        );
        let space = rustix::fs::statvfs(&look.instance.home).map_err(|error| match error {
            rustix::io::Errno::ACCESS => Reason::Permission,
            rustix::io::Errno::NOENT => Reason::NotFound,
            _ => Reason::Io,
        });
        Part::Home(Reading::Known(Arc::new(Home {
            bytes,
            filesystem_available_bytes: reading(
                "filesystem",
                space.as_ref().map(|space| space.f_bavail * space.f_frsize).map_err(|reason| *reason),
            ),
            filesystem_size_bytes: reading(
                "filesystem",
                space.as_ref().map(|space| space.f_blocks * space.f_frsize).map_err(|reason| *reason),
            ),
        })))
    }
}

/// The sum of the sizes of all files below `folder`, on its own filesystem; links are not followed.
fn total_size(folder: &Path) -> Result<u64, Reason> {
    let mut total = 0;
    for entry in WalkDir::new(folder).same_file_system(true) {
        match entry.and_then(|entry| if entry.file_type().is_file() { entry.metadata().map(Some) } else { Ok(None) }) {
            Ok(metadata) => total += metadata.map_or(0, |metadata| metadata.len()),
            Err(error) => match error.io_error().map(std::io::Error::kind) {
                Some(std::io::ErrorKind::NotFound) if error.depth() == 0 => return Err(Reason::NotFound),
                // A busy home loses files while it is measured.
                Some(std::io::ErrorKind::NotFound) => {}
                Some(std::io::ErrorKind::PermissionDenied) => return Err(Reason::Permission),
                _ => return Err(Reason::Io),
            },
        }
    }
    Ok(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_count_and_links_do_not() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        std::fs::write(folder.path().join("a/b"), "12345").unwrap();
        std::fs::write(folder.path().join("c"), "123").unwrap();
        std::os::unix::fs::symlink(folder.path().join("c"), folder.path().join("link")).unwrap();
        assert_eq!(total_size(folder.path()), Ok(8));
        assert_eq!(total_size(&folder.path().join("none")), Err(Reason::NotFound));
    }
}
