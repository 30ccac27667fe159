//! Handing objects to libgit2 that it can read to an end.
//!
//! libgit2 1.9 reads a loose object whose file ends too early for ever, at full speed. Machines that lose their power
//! leave such files. So every loose object is unpacked here first; what stands in a pack needs no such care.

use std::io::Read;

use flate2::{Decompress, FlushDecompress, Status};
use git2::{Blob, Commit, ErrorClass, ErrorCode, Tree};

use super::{GitError, ObjectId, Repository};
use crate::system::files::{self, FileError};

/// The largest file of a loose object that is read.
const MOST_PACKED: u64 = 64 * 1024 * 1024;

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

    /// Refuses a loose object that does not end as it should. One whose file may not be read would be missing to
    /// libgit2.
    pub(super) fn check_object(&self, id: ObjectId) -> Result<(), GitError> {
        let name = id.to_string();
        let (folder, file) = name.split_at(2);
        let path = self.inner.commondir().join("objects").join(folder).join(file);
        let file = match files::open(&path) {
            Ok(Some((file, _))) => file,
            Ok(None) => return Ok(()),
            Err(FileError::Permission { .. }) => return Err(GitError::Permission { path: self.path.clone() }),
            Err(error) => return Err(error.into()),
        };
        let mut content = Vec::new();
        file.take(MOST_PACKED + 1).read_to_end(&mut content).map_err(|error| files::failed(&path, error))?;
        if content.len() as u64 > MOST_PACKED {
            return Err(self.too_much(MOST_PACKED, "bytes in an object"));
        }
        if ends_well(&content) {
            return Ok(());
        }
        Err(GitError::Damaged { path: self.path.clone(), class: ErrorClass::Zlib, code: ErrorCode::GenericError })
    }
}

fn ends_well(mut packed: &[u8]) -> bool {
    let mut stream = Decompress::new(true);
    let mut unpacked = [0; 16 * 1024];
    loop {
        let before = (stream.total_in(), stream.total_out());
        let status = stream.decompress(packed, &mut unpacked, FlushDecompress::None);
        let read = (stream.total_in() - before.0) as usize;
        packed = packed.get(read..).unwrap_or_default();
        match status {
            Ok(Status::StreamEnd) => return true,
            Ok(_) if read > 0 || stream.total_out() > before.1 => {}
            Ok(_) | Err(_) => return false,
        }
    }
}
