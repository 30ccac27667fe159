//! Follows a log that another program appends to and rotates: every line once, whatever becomes of its file.
//!
//! Between two looks the log may have been
//!
//! * appended to: reading goes on where it ended;
//! * rotated by renaming (`x.log` to `x.log.1`, and that to `x.log.2`), once or several times: the file that was read is
//!   found again by what it is and not by its name, its rest is read, then what was written after it, oldest first;
//! * truncated, or rotated by copying and truncating: the copy is known by what stands before the place that was reached,
//!   and its rest is read from there. Without a copy the rest is lost, and reading goes on from the beginning;
//! * deleted and made anew: its rest is lost, and the new one is read from its beginning.
//!
//! A last line that has no end yet is a line when it has one, or when its file is left for the next. Where nothing has
//! changed a look costs one `stat`. No descriptor is kept open: that would keep a deleted log on the disk.
//!
//! What can not be seen: lines of a log that was truncated, or rotated away for good, before they were read; and those of
//! a file that was empty at one look and copied and truncated before the next.
//!
//! A [`Bookmark`] is where another process goes on.
//!
//! This knows nothing of what stands in a line.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fs::{File, Metadata};
use std::io::BufRead;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::files::{self, FileError, Stamp};

/// What is read of a file at once.
const PIECE: usize = 64 * 1024;

/// What is kept and told of a longer line: its beginning.
pub const LONGEST_LINE: usize = 4096;

/// What is kept of what was read last, to know the file by.
const LANDMARK: usize = 256;

/// The most rotated files that are looked through.
const MOST_ROTATED: usize = 100;

/// While a log is being rotated one number is missing; where more than one is, there are no more files.
const LARGEST_GAP: usize = 1;

/// A log that is followed.
pub struct Follower {
    path: PathBuf,
    place: Place,
    line: Line,
    /// The log when all of it was read, where a later change would show in it.
    read_up: Option<Stamp>,
    /// Files that are older than the place that was reached, the newest last.
    older: VecDeque<Identity>,
}

/// How far a look has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// There is no such log now; one that is just being rotated is there.
    Absent,
    /// All there is has been read.
    AtEnd,
    /// There is more to be read than could be now.
    Behind,
}

/// How far a log has been read: what another process needs to go on. It has in it what was read last.
#[derive(Clone, Serialize, Deserialize)]
pub struct Bookmark {
    place: Place,
    line: Line,
    read_up: Option<Stamp>,
    older: VecDeque<Identity>,
}

/// Where reading goes on.
#[derive(Clone, Serialize, Deserialize)]
enum Place {
    /// Nobody has looked.
    Unbegun,
    /// There was no log: the one that comes is read from its beginning.
    Nowhere,
    In(Position),
}

#[derive(Clone, Serialize, Deserialize)]
struct Position {
    file: Identity,
    offset: u64,
    /// What stands right before it.
    landmark: Vec<u8>,
}

/// The line at the place that was reached.
#[derive(Clone, Default, Serialize, Deserialize)]
enum Line {
    #[default]
    None,
    /// The beginning of one that has no end yet; not empty.
    Begun(Vec<u8>),
    /// One that was begun before anybody looked.
    Passed,
}

/// What makes a file the same one under any name. Inodes are used again, moments are not; not every filesystem tells when
/// a file was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    device: u64,
    inode: u64,
    made: Option<SystemTime>,
}

impl Identity {
    fn of(metadata: &Metadata) -> Identity {
        Identity { device: metadata.dev(), inode: metadata.ino(), made: metadata.created().ok() }
    }
}

/// A file that has something to be read.
struct Part {
    file: File,
    identity: Identity,
    from: u64,
}

impl Follower {
    /// Follows the log at `path`, which need not exist, from its end at the first look. One that comes later is read from its
    /// beginning.
    pub fn from_end(path: PathBuf) -> Self {
        Follower { path, place: Place::Unbegun, line: Line::None, read_up: None, older: VecDeque::new() }
    }

    /// Follows a log from where somebody has come to.
    pub fn from_bookmark(path: PathBuf, bookmark: Bookmark) -> Self {
        let Bookmark { place, line, read_up, older } = bookmark;
        Follower { path, place, line, read_up, older }
    }

    /// Where it has come to.
    pub fn bookmark(&self) -> Bookmark {
        Bookmark {
            place: self.place.clone(),
            line: self.line.clone(),
            read_up: self.read_up,
            older: self.older.clone(),
        }
    }

    /// The log that is followed.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Tells `each` line that has come to its end since the last look, without that end, cut to [`LONGEST_LINE`]. Reads no
    /// more than `budget` bytes, and lessens it by those it has read.
    ///
    /// After an error the next look goes on where this one has come to.
    pub fn read(&mut self, budget: &mut u64, each: &mut dyn FnMut(&[u8])) -> Result<Progress, FileError> {
        let stamp = files::stamp(&self.path)?;
        match (&self.place, stamp) {
            (_, Some(stamp)) if self.read_up == Some(stamp) => return Ok(Progress::AtEnd),
            (Place::Nowhere, None) => return Ok(Progress::Absent),
            _ => self.read_up = None,
        }
        let current = files::open(&self.path)?;
        let stamp = current.as_ref().map(|(_, metadata)| Stamp::of(metadata));
        if let Place::Unbegun = self.place {
            return self.begin(current);
        }
        let parts = self.unread(current)?;
        if parts.is_empty() {
            return Ok(Progress::Absent);
        }
        let mut buffer = vec![0; PIECE];
        let mut parts = parts.into_iter().peekable();
        while let Some(part) = parts.next() {
            self.go_to(&part, each);
            if !self.read_part(&part.file, &mut buffer, budget, each)? {
                return Ok(Progress::Behind);
            }
            if parts.peek().is_some() {
                self.leave(each);
            }
        }
        // What has grown meanwhile is read at the next look.
        let is_read_up = |stamp: &Stamp| matches!(&self.place, Place::In(position) if position.offset == stamp.size);
        self.read_up = stamp.filter(|stamp| is_read_up(stamp) && stamp.is_settled_at(SystemTime::now()));
        Ok(Progress::AtEnd)
    }

    /// The first look: what is there is history.
    fn begin(&mut self, current: Option<(File, Metadata)>) -> Result<Progress, FileError> {
        let older = self.rotated(|_, _| Ok(false))?;
        self.older = older.iter().rev().map(|part| part.identity).collect();
        let Some((file, metadata)) = current else {
            self.place = Place::Nowhere;
            return Ok(Progress::Absent);
        };
        let offset = metadata.len();
        let landmark = landmark(&self.path, &file, offset)?;
        self.line = if landmark.last().is_none_or(|last| *last == b'\n') { Line::None } else { Line::Passed };
        self.place = Place::In(Position { file: Identity::of(&metadata), offset, landmark });
        Ok(Progress::AtEnd)
    }

    /// The files that have something to be read, oldest first.
    fn unread(&self, current: Option<(File, Metadata)>) -> Result<Vec<Part>, FileError> {
        let position = match &self.place {
            Place::In(position) => Some(position),
            Place::Unbegun | Place::Nowhere => None,
        };
        let mut is_truncated = false;
        let mut newest = None;
        if let Some((file, metadata)) = current {
            let identity = Identity::of(&metadata);
            if let Some(position) = position.filter(|position| position.file == identity) {
                if self.has_landmark(position, &file, &metadata)? {
                    return Ok(vec![Part { file, identity, from: position.offset }]);
                }
                is_truncated = true;
            }
            newest = Some(Part { file, identity, from: 0 });
        }
        let rotated = self.rotated(|file, metadata| {
            let Some(position) = position else { return Ok(false) };
            let is_it = position.file == Identity::of(metadata);
            let may_be_it = is_it || is_truncated && position.offset > 0;
            let is_reached = may_be_it && self.has_landmark(position, file, metadata)?;
            // Truncated first and then renamed: its copy is further back.
            is_truncated |= is_it && !is_reached;
            Ok(is_reached)
        })?;
        let is_newest = |part: &Part| newest.as_ref().is_some_and(|newest| newest.identity == part.identity);
        // It may have been rotated after it was opened.
        let mut parts: Vec<Part> = rotated.into_iter().filter(|part| !is_newest(part)).collect();
        parts.reverse();
        parts.extend(newest);
        Ok(parts)
    }

    /// The rotated files that are newer than the one that `is_reached` finds, and that one from where it was reached; newest
    /// first. Where it finds none, those that are newer than any that is known to be older.
    ///
    /// They are opened in the direction in which they move, so that none slips by while somebody rotates them.
    fn rotated(
        &self,
        mut is_reached: impl FnMut(&File, &Metadata) -> Result<bool, FileError>,
    ) -> Result<Vec<Part>, FileError> {
        let mut parts: Vec<Part> = Vec::new();
        let mut gap = 0;
        for number in 1..=MOST_ROTATED {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            let (file, metadata) = match files::open(Path::new(&name)) {
                Ok(Some(opened)) => opened,
                // What is no file is no log.
                Ok(None) | Err(FileError::NotRegular { .. }) if gap < LARGEST_GAP => {
                    gap += 1;
                    continue;
                }
                Ok(None) | Err(FileError::NotRegular { .. }) => break,
                Err(error) => return Err(error),
            };
            gap = 0;
            let identity = Identity::of(&metadata);
            if parts.iter().any(|part| part.identity == identity) {
                continue;
            }
            let is_reached = is_reached(&file, &metadata)?;
            let from = match &self.place {
                Place::In(position) if is_reached => position.offset,
                _ => 0,
            };
            parts.push(Part { file, identity, from });
            if is_reached {
                return Ok(parts);
            }
        }
        let known = parts.iter().position(|part| self.older.contains(&part.identity));
        parts.truncate(known.unwrap_or(parts.len()));
        Ok(parts)
    }

    /// Whether a file has before `position` what stood there.
    fn has_landmark(&self, position: &Position, file: &File, metadata: &Metadata) -> Result<bool, FileError> {
        Ok(metadata.len() >= position.offset && landmark(&self.path, file, position.offset)? == position.landmark)
    }

    /// Goes on in `part`.
    fn go_to(&mut self, part: &Part, each: &mut dyn FnMut(&[u8])) {
        match &mut self.place {
            // The same file, or a copy of it.
            Place::In(position) if part.from > 0 && position.offset == part.from => position.file = part.identity,
            Place::In(position) if position.file == part.identity && position.offset == part.from => {}
            _ => {
                self.leave(each);
                self.place = Place::In(Position { file: part.identity, offset: part.from, landmark: Vec::new() });
                self.older.retain(|older| *older != part.identity);
            }
        }
    }

    /// Leaves a file for good: a line in it that has no end gets none any more.
    fn leave(&mut self, each: &mut dyn FnMut(&[u8])) {
        if let Line::Begun(line) = std::mem::take(&mut self.line) {
            each(&line);
        }
        if let Place::In(position) = &self.place
            && self.older.back() != Some(&position.file)
        {
            self.older.push_back(position.file);
            if self.older.len() > MOST_ROTATED {
                self.older.pop_front();
            }
        }
    }

    /// Reads a file to its end; `false` where the budget does not reach that far.
    fn read_part(
        &mut self,
        file: &File,
        buffer: &mut [u8],
        budget: &mut u64,
        each: &mut dyn FnMut(&[u8]),
    ) -> Result<bool, FileError> {
        loop {
            let Place::In(position) = &mut self.place else { return Ok(true) };
            let most = usize::try_from(*budget).map_or(buffer.len(), |budget| budget.min(buffer.len()));
            let Some(room) = buffer.get_mut(..most).filter(|room| !room.is_empty()) else { return Ok(false) };
            let read = match file.read_at(room, position.offset) {
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(files::failed(&self.path, error)),
            };
            let Some(piece) = room.get(..read).filter(|piece| !piece.is_empty()) else { return Ok(true) };
            position.advance(piece);
            *budget -= read as u64;
            self.line.extend(piece, each);
        }
    }
}

/// What was read is somebody's, and is not shown.
impl std::fmt::Debug for Follower {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Follower").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Position {
    fn advance(&mut self, piece: &[u8]) {
        self.offset += piece.len() as u64;
        self.landmark.extend_from_slice(piece.get(piece.len().saturating_sub(LANDMARK)..).unwrap_or(piece));
        self.landmark.drain(..self.landmark.len().saturating_sub(LANDMARK));
    }
}

impl Line {
    /// Goes on with what was read next.
    fn extend(&mut self, piece: &[u8], each: &mut dyn FnMut(&[u8])) {
        let mut rest = piece;
        while !rest.is_empty() {
            let left = rest;
            // Of a slice this never fails.
            let length = rest.skip_until(b'\n').unwrap_or(left.len());
            let read = left.get(..length).unwrap_or(left);
            let Some(read) = read.strip_suffix(b"\n") else {
                self.begin_or_go_on(read);
                return;
            };
            match std::mem::take(self) {
                Line::None => each(read.get(..LONGEST_LINE).unwrap_or(read)),
                Line::Passed => {}
                Line::Begun(begun) => {
                    *self = Line::Begun(begun);
                    self.begin_or_go_on(read);
                    if let Line::Begun(whole) = std::mem::take(self) {
                        each(&whole);
                    }
                }
            }
        }
    }

    fn begin_or_go_on(&mut self, read: &[u8]) {
        match self {
            Line::Passed => {}
            Line::None => *self = Line::Begun(read.get(..LONGEST_LINE).unwrap_or(read).to_vec()),
            Line::Begun(begun) => {
                begun.extend_from_slice(read.get(..LONGEST_LINE.saturating_sub(begun.len())).unwrap_or(read));
            }
        }
    }
}

/// What stands right before `offset` in a file.
fn landmark(path: &Path, file: &File, offset: u64) -> Result<Vec<u8>, FileError> {
    let length = offset.min(LANDMARK as u64);
    let mut landmark = vec![0; length as usize];
    match file.read_exact_at(&mut landmark, offset - length) {
        Ok(()) => Ok(landmark),
        // It was truncated meanwhile.
        Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Ok(Vec::new()),
        Err(error) => Err(files::failed(path, error)),
    }
}
