//! The sample homes of the tests, for the tests of collectors.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The folder that goes away with the test, and in it the homes of vijay and bheem.
pub(super) fn unpack() -> (TempDir, PathBuf, PathBuf) {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hermes-0.19.0/homes.tar.gz");
    let folder = tempfile::tempdir().unwrap();
    let archive = flate2::read::GzDecoder::new(std::fs::File::open(archive).unwrap());
    tar::Archive::new(archive).unpack(folder.path()).unwrap();
    let (vijay, bheem) = (folder.path().join("home-vijay"), folder.path().join("home-bheem"));
    (folder, vijay, bheem)
}
