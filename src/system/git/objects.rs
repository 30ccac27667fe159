//! Handing objects to libgit2 that it can read to an end.
//!
//! libgit2 1.9 reads a loose object whose file ends too early for ever, at full speed. Machines that lose their power
//! leave such files. So every loose object is unpacked here first; what stands in a pack needs no such care.
//!
//! And libgit2 takes an object whole into memory, as large as it says it is: a file of two megabytes can say two
//! gigabytes. So it is asked for the size before.

use std::io::Read;

use flate2::{Decompress, FlushDecompress, Status};
use git2::{Blob, Commit, ErrorClass, ErrorCode, Tree};

use super::{GitError, ObjectId, Repository};
use crate::system::files::{self, FileError};

/// The largest file of a loose object that is read.
const MOST_PACKED: u64 = 64 * 1024 * 1024;

/// The largest object that is taken into memory: a folder of a million files has half of it.
const MOST_UNPACKED: u64 = 64 * 1024 * 1024;

/// `commit 123` and a zero.
const MOST_HEADER: u64 = 64;

impl Repository {
    pub(super) fn find_commit(&self, id: ObjectId) -> Result<Commit<'_>, GitError> {
        self.check_object(id)?;
        self.inner.find_commit(id).map_err(|error| self.failed(&error))
    }

    pub(super) fn find_tree(&self, id: ObjectId) -> Result<Tree<'_>, GitError> {
        self.check_object(id)?;
        self.inner.find_tree(id).map_err(|error| self.failed(&error))
    }

    pub(super) fn find_blob(&self, id: ObjectId) -> Result<Blob<'_>, GitError> {
        self.check_object(id)?;
        self.inner.find_blob(id).map_err(|error| self.failed(&error))
    }

    /// Refuses an object that is too large, and a loose one that does not end as it should. One whose file may not be
    /// read would be missing to libgit2.
    pub(super) fn check_object(&self, id: ObjectId) -> Result<(), GitError> {
        let name = id.to_string();
        let (folder, file) = name.split_at(2);
        let path = self.inner.commondir().join("objects").join(folder).join(file);
        let loose = match files::open(&path) {
            Ok(found) => found.map(|(file, _)| file),
            Err(FileError::Permission { .. }) => return Err(GitError::Permission { path: self.path.clone() }),
            Err(error) => return Err(self.part(error)),
        };
        // Unlike a whole object, a header is not read for ever.
        let header = self.inner.odb().and_then(|objects| objects.read_header(id));
        let size = header.map_err(|error| self.failed(&error))?.0 as u64;
        if size > MOST_UNPACKED {
            return Err(self.too_much(MOST_UNPACKED, "bytes in an object"));
        }
        let Some(file) = loose else {
            return Ok(());
        };
        let mut content = Vec::new();
        let failed = |error| self.part(files::failed(&path, error));
        file.take(MOST_PACKED + 1).read_to_end(&mut content).map_err(failed)?;
        if content.len() as u64 > MOST_PACKED {
            return Err(self.too_much(MOST_PACKED, "bytes in an object"));
        }
        if ends_well(&content, size) {
            return Ok(());
        }
        Err(GitError::Damaged { path: self.path.clone(), class: ErrorClass::Zlib, code: ErrorCode::GenericError })
    }
}

/// Whether what is packed ends, or goes on after `size`, where libgit2 stops.
fn ends_well(mut packed: &[u8], size: u64) -> bool {
    let mut stream = Decompress::new(true);
    let mut unpacked = [0; 16 * 1024];
    loop {
        let before = (stream.total_in(), stream.total_out());
        let status = stream.decompress(packed, &mut unpacked, FlushDecompress::None);
        let read = (stream.total_in() - before.0) as usize;
        packed = packed.get(read..).unwrap_or_default();
        match status {
            Ok(Status::StreamEnd) => return true,
            Ok(_) if stream.total_out() > size + MOST_HEADER => return true,
            Ok(_) if read > 0 || stream.total_out() > before.1 => {}
            Ok(_) | Err(_) => return false,
        }
    }
}
