//! Repositories whose owner means harm: nothing is waited for, or taken into memory without an end.

use std::io::Write;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use super::*;
use crate::error_chain::display_chain;
use crate::exporter::collect::problems::Because;
use crate::system::git::{self, Place};

pub(super) fn fifo(path: &Path) {
    let _ = std::fs::remove_file(path);
    let kind = rustix::fs::FileType::Fifo;
    rustix::fs::mknodat(rustix::fs::CWD, path, kind, rustix::fs::Mode::RUSR, 0).unwrap();
}

/// A file without content that takes no space on the disk.
fn large(path: &Path, bytes: u64) {
    std::fs::File::create(path).unwrap().set_len(bytes).unwrap();
}

#[test]
fn nothing_waits_for_a_pipe() {
    for name in
        ["HEAD", "config", "index", "packed-refs", "commondir", "shallow", "refs/heads/main", "objects/info/alternates"]
    {
        let made = Made::empty();
        made.commit(&[("a", b"1")], NOW);
        fifo(&made.inner(name));
        let (seen, problems) = Eyes::on(&made.path()).look();
        assert_eq!(seen.state, Unknown(Reason::Unsupported), "{name}");
        assert_ne!(problems, []);
    }
    let made = Made::empty();
    made.commit(&[("a", b"1")], NOW);
    std::fs::rename(made.inner(""), made.folder.path().join("inner")).unwrap();
    fifo(&made.path().join(".git"));
    assert_eq!(Eyes::on(&made.path()).look().0.state, Unknown(Reason::Unsupported));
}

#[test]
fn nothing_that_the_repository_names_is_waited_for_or_taken_whole() {
    type Trap = fn(&Path);
    let traps: [Trap; 3] =
        [|path| fifo(path), |path| large(path, 8 << 30), |path| std::os::unix::fs::symlink("/dev/zero", path).unwrap()];
    for (number, trap) in traps.into_iter().enumerate() {
        let made = Made::empty();
        made.commit(&[("a", b"1")], NOW);
        trap(&made.inner("trap"));
        let mut config = std::fs::OpenOptions::new().append(true).open(made.inner("config")).unwrap();
        config.write_all(b"[include]\n\tpath = trap\n").unwrap();
        assert_eq!(Eyes::on(&made.path()).look().0.state, Unknown(Reason::Unsupported), "{number}");
    }
    // What others would have in their objects is not waited for either.
    let made = Made::empty();
    made.commit(&[("a", b"1")], NOW);
    let beside = made.folder.path().join("objects");
    std::fs::create_dir_all(beside.join("info")).unwrap();
    fifo(&beside.join("info/alternates"));
    std::fs::write(made.inner("objects/info/alternates"), format!("{}\n", beside.display())).unwrap();
    assert_eq!(Eyes::on(&made.path()).look().0.newest_commit, Unknown(Reason::Unsupported));
}

#[test]
fn lists_of_patterns_are_not_waited_for_or_taken_whole() {
    for name in [".gitignore", ".git/info/exclude", "named"] {
        for (trap, what) in [(fifo as fn(&Path), "a pipe"), (|path| large(path, 8 << 30), "a large one")] {
            let made = Made::empty();
            made.commit(&[("a", b"1")], NOW);
            let path = made.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            let _ = std::fs::remove_file(&path);
            trap(&path);
            if name == "named" {
                made.repository.config().unwrap().set_str("core.excludesFile", path.to_str().unwrap()).unwrap();
            }
            let (seen, _) = Eyes::on(&made.path()).look();
            assert_eq!(seen.dirty_files, Unknown(Reason::Unsupported), "{name}, {what}");
            assert_eq!(seen.newest_commit, at(NOW), "{name}, {what}");
        }
    }
}

#[test]
fn a_tree_that_stands_in_itself_is_a_trap_that_ends() {
    let made = Made::empty();
    let blob = made.repository.blob(b"x").unwrap();
    let mut builder = made.repository.treebuilder(None).unwrap();
    builder.insert("file", blob, 0o100_644).unwrap();
    let mut tree = builder.write().unwrap();
    for _ in 0..200 {
        let mut builder = made.repository.treebuilder(None).unwrap();
        builder.insert("d", tree, 0o040_000).unwrap();
        tree = builder.write().unwrap();
    }
    let tree = made.repository.find_tree(tree).unwrap();
    made.repository.commit(Some("HEAD"), &by(NOW), &by(NOW), "trap", &tree, &[]).unwrap();
    let (seen, _) = Eyes::with(&made.path(), |backup| backup.changes = Changes::Ignored).look();
    assert_eq!(seen.forbidden, Unknown(Reason::Unsupported));
}

#[test]
fn ten_folders_can_not_be_more_files_than_there_are_atoms() {
    let made = Made::empty();
    let mut inner = (made.repository.blob(b"x").unwrap(), 0o100_644);
    for _ in 0..20 {
        let mut builder = made.repository.treebuilder(None).unwrap();
        for number in 0..10 {
            builder.insert(number.to_string(), inner.0, inner.1).unwrap();
        }
        inner = (builder.write().unwrap(), 0o040_000);
    }
    let tree = made.repository.find_tree(inner.0).unwrap();
    made.repository.commit(Some("HEAD"), &by(NOW), &by(NOW), "bomb", &tree, &[]).unwrap();
    let mut eyes = Eyes::on(&made.path());
    for (_, repository) in &mut eyes.collector.repositories {
        repository.scan_nothing_at_once();
    }
    let (seen, _) = eyes.look();
    assert_eq!((seen.dirty_files, seen.forbidden), (Unknown(Reason::Unsupported), Unknown(Reason::Timeout)));
    assert_eq!(seen.newest_commit, at(NOW));
}

#[test]
fn an_object_that_is_larger_than_the_memory_is_not_taken_into_it() {
    let made = Made::empty();
    let bomb = made.commit(&[("a", b"1")], NOW);
    std::fs::remove_file(made.object(bomb)).unwrap();
    let mut packed = ZlibEncoder::new(std::fs::File::create(made.object(bomb)).unwrap(), Compression::fast());
    packed.write_all(format!("commit {}\0tree ", 8_u64 << 30).as_bytes()).unwrap();
    packed.finish().unwrap();
    let (seen, _) = Eyes::on(&made.path()).look();
    assert_eq!((seen.newest_commit, seen.forbidden), (Unknown(Reason::Unsupported), Unknown(Reason::Unsupported)));
}

#[test]
fn no_error_names_a_branch_or_an_object() {
    let made = Made::empty();
    let commit = made.commit(&[("a", b"1")], NOW);
    fifo(&made.object(commit));
    let Ok(Place::Repository(repository)) = git::Repository::open(&made.path()) else { panic!() };
    let of_object = repository.time_of(commit).unwrap_err();
    fifo(&made.inner("refs/heads/main"));
    let of_branch = repository.head().unwrap_err();
    let of_log =
        repository.part(crate::system::files::FileError::NotRegular { path: repository.log_of("refs/heads/main") });
    for error in [of_object, of_branch, of_log] {
        let told = display_chain(&error).to_string();
        assert!(!told.contains(&commit.to_string()[2..]) && !told.contains("heads/main"), "{told}");
        assert_eq!(error.reason(), Reason::Unsupported);
    }
}
