//! Looking leaves no trace: everything in a home is the same afterwards, times and status-change times included.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use walkdir::WalkDir;

use crate::homes::{Homes, look, of, problems};

type Entry = (u64, u32, u32, u64, (i64, i64), (i64, i64), u64);

fn listing(home: &Path) -> BTreeMap<PathBuf, Entry> {
    let describe = |entry: walkdir::DirEntry| {
        let metadata = entry.metadata().unwrap();
        let mut hasher = DefaultHasher::new();
        if metadata.is_file() {
            std::fs::read(entry.path()).unwrap().hash(&mut hasher);
        }
        let modified = (metadata.mtime(), metadata.mtime_nsec());
        let changed = (metadata.ctime(), metadata.ctime_nsec());
        let facts =
            (metadata.size(), metadata.mode(), metadata.uid(), metadata.ino(), modified, changed, hasher.finish());
        (entry.path().to_owned(), facts)
    };
    WalkDir::new(home).into_iter().map(|entry| describe(entry.unwrap())).collect()
}

#[test]
fn a_hundred_looks_leave_every_home_as_it_was() {
    let homes = Homes::unpack();
    // As a running gateway leaves its store between two writes, and as a killed one leaves it.
    std::fs::write(homes.vijay().join("state.db-wal"), b"").unwrap();
    std::fs::write(homes.vijay().join("state.db-shm"), vec![0; 32 * 1024]).unwrap();
    leave_a_killed_writer(&homes.bheem().join("state.db"));
    let before = (listing(&homes.vijay()), listing(&homes.bheem()));
    let crew = homes.crew("");
    for _ in 0..50 {
        let fleet = look(&crew);
        assert_eq!(problems(of(&fleet, "vijay"), "sessions"), []);
        assert_eq!(problems(of(&fleet, "bheem"), "sessions"), []);
        // A fresh crew remembers nothing and reads everything.
        look(&homes.crew(""));
    }
    assert_eq!(listing(&homes.vijay()), before.0);
    assert_eq!(listing(&homes.bheem()), before.1);
}

/// Leaves a `-wal` with content and its `-shm` beside a database, and nobody who has it open.
fn leave_a_killed_writer(path: &Path) {
    let copy = path.with_extension("copy");
    std::fs::create_dir(&copy).unwrap();
    let writer = Connection::open(path).unwrap();
    writer.execute("UPDATE schema_version SET version = version + 1", []).unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let name = format!("state.db{suffix}");
        std::fs::copy(path.with_file_name(&name), copy.join(&name)).unwrap();
    }
    drop(writer);
    for suffix in ["", "-wal", "-shm"] {
        let name = format!("state.db{suffix}");
        std::fs::rename(copy.join(&name), path.with_file_name(&name)).unwrap();
    }
    std::fs::remove_dir(copy).unwrap();
    assert!(std::fs::metadata(path.with_file_name("state.db-wal")).unwrap().len() > 0);
}
