//! Small files of other programs, read defensively.
//!
//! A Hermes home belongs to a running program and, on a shared machine, to another person: a file may vanish,
//! be half-written, be a FIFO that never answers, or be large enough to exhaust memory. Every read here is
//! bounded, never blocks on a special file, and distinguishes "not there" from "could not look".
//!
//! This is not for SQLite databases (see [`super::sqlite`]) and not for following logs (see [`super::log_tail`]).

use std::fs::{File, Metadata};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};

use super::time::Timestamp;

/// The most that is read of one small file; a larger one is refused, not truncated.
pub const SIZE_LIMIT: u64 = 16 * 1024 * 1024;

/// A file is taken as settled when it was last modified at least this long before it was read.
///
/// File systems stamp times with the granularity of the kernel's tick (up to 10 ms), so two writes in one
/// tick can leave one stamp. What was read that soon after a write is read again at the next look.
const SETTLING_TIME: Duration = Duration::from_millis(50);

/// Why a file could not be read. A file that is not there is no error: the functions here answer `None`.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FileError {
    /// The kernel refused to open it or to look into its folder.
    #[error("no permission to read {}", path.display())]
    Permission {
        /// What was to be read.
        path: PathBuf,
    },
    /// A folder, FIFO, socket or device stands where a file is expected.
    #[error("{} is not a regular file", path.display())]
    NotRegular {
        /// What was to be read.
        path: PathBuf,
    },
    /// Larger than what is read of such a file.
    #[error("{} has {size} bytes, more than the {most} that are read", path.display())]
    TooLarge {
        /// What was to be read.
        path: PathBuf,
        /// Its size in bytes.
        size: u64,
        /// The most that is read.
        most: u64,
    },
    /// The content is not what the reader expects. Only the position is kept: the content may be secret.
    #[error("{} does not parse (line {line}, column {column})", path.display())]
    Parse {
        /// What was to be read.
        path: PathBuf,
        /// The line, from 1; 0 where it is not known.
        line: usize,
        /// The column, from 1; 0 where it is not known.
        column: usize,
    },
    /// Any other failure of the operating system.
    #[error("reading {} failed", path.display())]
    Io {
        /// What was to be read.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: Arc<std::io::Error>,
    },
}

/// Where a parser stopped; the reason is left out, because parsers quote what they read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseFault {
    /// The line, from 1; 0 where it is not known.
    pub line: usize,
    /// The column, from 1; 0 where it is not known.
    pub column: usize,
}

impl ParseFault {
    /// A fault whose position is not known.
    pub const SOMEWHERE: ParseFault = ParseFault { line: 0, column: 0 };

    /// The error of the file at `path`.
    pub fn of(self, path: &Path) -> FileError {
        FileError::Parse { path: path.to_owned(), line: self.line, column: self.column }
    }
}

impl From<serde_json::Error> for ParseFault {
    fn from(error: serde_json::Error) -> Self {
        ParseFault { line: error.line(), column: error.column() }
    }
}

/// What tells one content of a file from the next without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stamp {
    device: u64,
    inode: u64,
    /// Size in bytes.
    pub size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// The stamp that a file's metadata gives.
    pub fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.size(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Whether the last modification lies far enough back that another one would show.
    pub fn is_settled_at(&self, now: SystemTime) -> bool {
        let modified = nanoseconds(self.modified).max(nanoseconds(self.changed));
        let now = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i128);
        (now - modified).unsigned_abs() > SETTLING_TIME.as_nanos()
    }

    /// When its content was last changed.
    pub fn modified(&self) -> Option<Timestamp> {
        Timestamp::from_seconds(nanoseconds(self.modified) as f64 / 1e9)
    }

    /// Device and inode: the same file under any name.
    pub fn identity(&self) -> (u64, u64) {
        (self.device, self.inode)
    }
}

fn nanoseconds((seconds, nanoseconds): (i64, i64)) -> i128 {
    i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)
}

/// The file's stamp, or `None` where there is no such file.
pub fn stamp(path: &Path) -> Result<Option<Stamp>, FileError> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(Some(Stamp::of(&metadata))),
        Err(error) => absent_or_error(path, error),
    }
}

/// Whether something exists at `path`, of whatever kind.
pub fn exists(path: &Path) -> Result<bool, FileError> {
    Ok(stamp(path)?.is_some())
}

/// The whole content of a regular file, or `None` where there is no such file.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, FileError> {
    Ok(read_stamped(path)?.map(|(content, _)| content))
}

/// The names of a folder's entries, or `None` where there is no such folder. Entries whose name is not
/// UTF-8 are left out: Hermes makes none.
pub fn entries(path: &Path) -> Result<Option<Vec<String>>, FileError> {
    let listing = match std::fs::read_dir(path) {
        Ok(listing) => listing,
        Err(error) => return absent_or_error(path, error),
    };
    let mut names = Vec::new();
    for entry in listing {
        match entry {
            Ok(entry) => names.extend(entry.file_name().into_string().ok()),
            Err(error) => return absent_or_error(path, error),
        }
    }
    names.sort_unstable();
    Ok(Some(names))
}

/// What was read of a file, and the stamp it had before; `None` for a stamp that was not settled then.
type Stamped = (Vec<u8>, Option<Stamp>);

/// Opens a regular file for reading, or answers `None` where there is no such file.
pub(super) fn open(path: &Path) -> Result<Option<(File, Metadata)>, FileError> {
    open_with(path, OFlags::empty())
}

/// The same of a file that others may have put there: a symlink is no regular file.
pub fn open_no_link(path: &Path) -> Result<Option<(File, Metadata)>, FileError> {
    open_with(path, OFlags::NOFOLLOW)
}

fn open_with(path: &Path, more: OFlags) -> Result<Option<(File, Metadata)>, FileError> {
    // Without NONBLOCK, opening a FIFO waits for a writer for ever.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC | more;
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(descriptor) => File::from(descriptor),
        Err(rustix::io::Errno::LOOP) if more.contains(OFlags::NOFOLLOW) => {
            return Err(FileError::NotRegular { path: path.to_owned() });
        }
        Err(error) => return absent_or_error(path, error.into()),
    };
    let metadata = file.metadata().map_err(|error| failed(path, error))?;
    if metadata.is_file() { Ok(Some((file, metadata))) } else { Err(FileError::NotRegular { path: path.to_owned() }) }
}

/// The error of a failure that has no name of its own.
pub(super) fn failed(path: &Path, error: std::io::Error) -> FileError {
    FileError::Io { path: path.to_owned(), source: Arc::new(error) }
}

/// The stamp of what is about to be read, where a later change would show in it.
///
/// Asked before the read: what is written during it must not find the stamp settled meanwhile.
pub fn settled(metadata: &Metadata) -> Option<Stamp> {
    Some(Stamp::of(metadata)).filter(|stamp| stamp.is_settled_at(SystemTime::now()))
}

fn read_stamped(path: &Path) -> Result<Option<Stamped>, FileError> {
    let Some((mut file, metadata)) = open(path)? else {
        return Ok(None);
    };
    let stamp = settled(&metadata);
    Ok(Some((read_at_most(path, &mut file, &metadata, SIZE_LIMIT)?, stamp)))
}

/// The whole content of an open file, which is refused and not truncated where it has more than `most` bytes.
pub fn read_at_most(path: &Path, file: &mut File, metadata: &Metadata, most: u64) -> Result<Vec<u8>, FileError> {
    let too_large = |size| FileError::TooLarge { path: path.to_owned(), size, most };
    if metadata.len() > most {
        return Err(too_large(metadata.len()));
    }
    let mut content = Vec::with_capacity(metadata.len() as usize + 1);
    // The file may grow while it is read.
    let read = file.take(most + 1).read_to_end(&mut content).map_err(|error| failed(path, error))?;
    if read as u64 > most { Err(too_large(read as u64)) } else { Ok(content) }
}

/// The whole content of a file of which no more than `most` bytes are read; `None` where there is none.
pub fn read_up_to(path: &Path, most: u64) -> Result<Option<Vec<u8>>, FileError> {
    let Some((mut file, metadata)) = open(path)? else {
        return Ok(None);
    };
    read_at_most(path, &mut file, &metadata, most).map(Some)
}

/// The whole lines among the last `most` bytes of a file.
fn read_tail_stamped(path: &Path, most: u64) -> Result<Option<Stamped>, FileError> {
    let Some((mut file, metadata)) = open(path)? else {
        return Ok(None);
    };
    let stamp = settled(&metadata);
    let skipped = metadata.len().saturating_sub(most);
    file.seek(SeekFrom::Start(skipped)).map_err(|error| failed(path, error))?;
    let mut content = Vec::new();
    file.take(most).read_to_end(&mut content).map_err(|error| failed(path, error))?;
    if skipped > 0 {
        // The first line has lost its beginning.
        let whole = content.iter().position(|byte| *byte == b'\n').map_or(content.len(), |end| end + 1);
        content.drain(..whole);
    }
    Ok(Some((content, stamp)))
}

/// `None` where the failure means that there is no such thing, else the error that it is.
pub fn absent_or_error<T>(path: &Path, error: std::io::Error) -> Result<Option<T>, FileError> {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Ok(None),
        ErrorKind::PermissionDenied => Err(FileError::Permission { path: path.to_owned() }),
        // ENXIO: a socket, or a device without a driver behind it.
        _ if error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => {
            Err(FileError::NotRegular { path: path.to_owned() })
        }
        _ => Err(FileError::Io { path: path.to_owned(), source: Arc::new(error) }),
    }
}

/// A file that is parsed again only when it has changed: an unchanged one costs one `stat`.
#[derive(Debug)]
pub struct Watched<T> {
    path: PathBuf,
    /// The most bytes that are read, counted from the end; `None` for the whole file.
    most: Option<u64>,
    /// What was parsed, and the stamp it had, where a later change would show in it.
    seen: Option<(Option<Stamp>, Result<T, ParseFault>)>,
}

impl<T> Watched<T> {
    /// Watches the file at `path`, which need not exist.
    pub fn new(path: PathBuf) -> Self {
        Watched { path, most: None, seen: None }
    }

    /// Watches the end of the file at `path`: the whole lines among its last `most` bytes.
    pub fn tail(path: PathBuf, most: u64) -> Self {
        Watched { path, most: Some(most), seen: None }
    }

    /// What is watched.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The parsed content as it is now, or `None` where there is no such file.
    pub fn get(&mut self, parse: impl FnOnce(&[u8]) -> Result<T, ParseFault>) -> Result<Option<&T>, FileError> {
        let Some(now) = stamp(&self.path)? else {
            self.seen = None;
            return Ok(None);
        };
        if self.seen.as_ref().is_none_or(|(seen, _)| *seen != Some(now)) {
            self.seen = None;
            let read = match self.most {
                None => read_stamped(&self.path)?,
                Some(most) => read_tail_stamped(&self.path, most)?,
            };
            let Some((content, stamp)) = read else {
                return Ok(None);
            };
            self.seen = Some((stamp, parse(&content)));
        }
        self.answer()
    }

    fn answer(&self) -> Result<Option<&T>, FileError> {
        match &self.seen {
            Some((_, Ok(value))) => Ok(Some(value)),
            Some((_, Err(fault))) => Err(fault.of(&self.path)),
            None => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    fn old() -> SystemTime {
        SystemTime::now() - Duration::from_secs(60)
    }

    fn write(path: &Path, content: &str, modified: SystemTime) {
        std::fs::write(path, content).unwrap();
        File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
    }

    #[test]
    fn a_missing_file_is_none_and_a_folder_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(&folder.path().join("nothing")).unwrap().is_none());
        assert!(matches!(read(folder.path()), Err(FileError::NotRegular { .. })));
    }

    #[test]
    fn a_fifo_does_not_block() {
        let folder = tempfile::tempdir().unwrap();
        let fifo = folder.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert!(matches!(read(&fifo), Err(FileError::NotRegular { .. })));
    }

    #[test]
    fn a_symlink_is_followed_only_where_nobody_else_could_have_put_it() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        write(&file, "content", old());
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(read(&link).unwrap().unwrap(), b"content");
        assert!(matches!(open_no_link(&link), Err(FileError::NotRegular { .. })));
        assert!(open_no_link(&file).unwrap().is_some());
        assert!(open_no_link(&folder.path().join("nothing")).unwrap().is_none());
    }

    #[test]
    fn a_file_over_the_limit_is_refused_without_reading_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large");
        File::create(&path).unwrap().set_len(SIZE_LIMIT + 1).unwrap();
        assert!(matches!(read(&path), Err(FileError::TooLarge { .. })));
    }

    #[test]
    fn an_unchanged_file_is_parsed_once_and_a_changed_one_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watched");
        let parses = Cell::new(0);
        let parse = |content: &[u8]| {
            parses.set(parses.get() + 1);
            Ok(content.len())
        };
        let mut watched = Watched::new(path.clone());
        assert_eq!(watched.get(parse).unwrap(), None);
        write(&path, "one", old());
        // The status-change time is now, so what is read at once is not trusted yet.
        while !Stamp::of(&path.metadata().unwrap()).is_settled_at(SystemTime::now()) {
            std::thread::yield_now();
        }
        assert_eq!(watched.get(parse).unwrap(), Some(&3));
        assert_eq!(watched.get(parse).unwrap(), Some(&3));
        assert_eq!(parses.get(), 1);
        write(&path, "three", old());
        assert_eq!(watched.get(parse).unwrap(), Some(&5));
        assert_eq!(parses.get(), 2);
    }

    #[test]
    fn a_file_read_right_after_it_was_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watched");
        write(&path, "one", SystemTime::now());
        let mut watched = Watched::new(path);
        let parses = Cell::new(0);
        for _ in 0..2 {
            watched
                .get(|content| {
                    parses.set(parses.get() + 1);
                    Ok(content.len())
                })
                .unwrap();
        }
        assert_eq!(parses.get(), 2);
    }

    #[test]
    fn a_stamp_that_settles_during_the_read_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("watched");
        write(&path, "one", SystemTime::now());
        let mut watched = Watched::new(path.clone());
        let parses = Cell::new(0);
        for _ in 0..2 {
            let slowly = |content: &[u8]| {
                parses.set(parses.get() + 1);
                while !Stamp::of(&path.metadata().unwrap()).is_settled_at(SystemTime::now()) {
                    std::thread::yield_now();
                }
                Ok(content.len())
            };
            watched.get(slowly).unwrap();
        }
        assert_eq!(parses.get(), 2);
    }

    #[test]
    fn of_a_tail_only_whole_lines_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        write(&path, "first\nsecond\nthird\n", old());
        let tail = |most| {
            let mut watched = Watched::tail(path.clone(), most);
            watched.get(|content| Ok(String::from_utf8_lossy(content).into_owned())).unwrap().unwrap().clone()
        };
        assert_eq!(tail(100), "first\nsecond\nthird\n");
        assert_eq!(tail(19), "first\nsecond\nthird\n");
        assert_eq!(tail(10), "third\n");
        assert_eq!(tail(3), "");
        assert_eq!(tail(0), "");
        // A sparse file of any size costs no more than its tail.
        File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
        assert_eq!(tail(10), "");
    }

    #[test]
    fn a_parse_fault_names_the_place_and_nothing_of_the_content() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret.json");
        write(&path, "{\"token\": \"hunter2\"", old());
        let mut watched: Watched<u64> = Watched::new(path);
        let error = watched.get(|content| Ok(serde_json::from_slice(content)?)).unwrap_err();
        assert!(matches!(error, FileError::Parse { line: 1, .. }));
        assert!(!error.to_string().contains("hunter2"));
    }
}
