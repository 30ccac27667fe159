//! Repositories in every state, looked at as the collector does.
//!
//! * [`traps`]: those whose owner means harm.

mod traps;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use git2::Oid;

use super::super::exposure::Sockets;
use super::super::gateway::GatewayProcesses;
use super::super::programs::HermesPrograms;
use super::*;
use crate::exporter::backup::{Backup, Changes, MaxAge};
use crate::exporter::collect::background::Background;
use crate::exporter::instance::tests::instance_at;
use crate::exporter::snapshot::Reading::{Absent, Known, Unknown};
use crate::exporter::snapshot::backups::{Payload, RecentCommits, RemoteBranch, Repository, RepositoryState};
use crate::exporter::snapshot::{Problem, Reason};
use crate::system::git::made::{Made, by, init};
use crate::system::time::Timestamp;

const NOW: i64 = 1_795_165_255;
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

struct Eyes {
    collector: BackupCollector,
    instance: Instance,
    background: Background,
}

impl Eyes {
    fn on(path: &Path) -> Eyes {
        Eyes::with(path, |_| {})
    }

    fn with(path: &Path, change: impl FnOnce(&mut Backup)) -> Eyes {
        let mut backup = Backup {
            name: "vm".to_owned(),
            path: path.to_owned(),
            remote: None,
            branch: None,
            payload: None,
            max_age: MaxAge::OfInstance,
            forbidden: Vec::new(),
            allowed: Vec::new(),
            changes: Changes::Sought,
        };
        change(&mut backup);
        let mut instance = instance_at(Path::new("/nowhere"));
        instance.backups = vec![backup];
        let collector = BackupCollector::new(&instance, Duration::from_secs(600));
        Eyes { collector, instance, background: Background::inline() }
    }

    fn look(&mut self) -> (Repository, Vec<Problem>) {
        let programs = Arc::new(HermesPrograms::new(Arc::default()));
        let look = Look {
            now: moment(NOW),
            instance: &self.instance,
            gateways: &GatewayProcesses::new(Arc::clone(&programs)),
            programs: &programs,
            sockets: &Sockets::default(),
            background: &self.background,
        };
        let mut problems = Problems::default();
        let Part::Backups(Known(backups)) = self.collector.collect(&look, &mut problems) else {
            panic!("no backups");
        };
        (backups.repositories[&Label::new("vm")].clone(), problems.into_sorted())
    }

    /// What is seen where nothing fails.
    fn see(&mut self) -> Repository {
        let (seen, problems) = self.look();
        assert_eq!(problems, []);
        seen
    }
}

fn moment(seconds: i64) -> Timestamp {
    Timestamp::from_seconds(seconds as f64).unwrap()
}

fn at(seconds: i64) -> Reading<Timestamp> {
    Known(moment(seconds))
}

fn state(path: &Path) -> Reading<RepositoryState> {
    Eyes::on(path).see().state
}

#[test]
fn an_instance_without_backups_costs_nothing() {
    let instance = instance_at(Path::new("/nowhere"));
    let mut eyes = Eyes::on(Path::new("/nowhere"));
    eyes.collector = BackupCollector::new(&instance, Duration::from_secs(1));
    let programs = Arc::new(HermesPrograms::new(Arc::default()));
    let look = Look {
        now: moment(NOW),
        instance: &instance,
        gateways: &GatewayProcesses::new(Arc::clone(&programs)),
        programs: &programs,
        sockets: &Sockets::default(),
        background: &Background::inline(),
    };
    assert_eq!(eyes.collector.collect(&look, &mut Problems::default()), Part::Backups(Absent));
}

#[test]
fn what_is_not_a_repository_is_known() {
    let made = Made::empty();
    made.commit(&[("below/file", b"x")], NOW);
    assert_eq!(state(&made.folder.path().join("missing")), Known(RepositoryState::Missing));
    assert_eq!(state(&made.path().join("below/file/deeper")), Known(RepositoryState::Missing));
    assert_eq!(state(&made.path().join("below/file")), Known(RepositoryState::NotARepository));
    assert_eq!(state(&made.path().join("below")), Known(RepositoryState::NotARepository), "inside of a repository");
    std::fs::create_dir(made.folder.path().join("plain")).unwrap();
    assert_eq!(state(&made.folder.path().join("plain")), Known(RepositoryState::NotARepository));
    std::fs::write(made.folder.path().join("plain/.git"), "gitdir: ../gone\n").unwrap();
    assert_eq!(state(&made.folder.path().join("plain")), Known(RepositoryState::NotARepository));
    let seen = Eyes::on(&made.folder.path().join("missing")).see();
    assert_eq!((seen.newest_commit, seen.unpushed_commits, seen.forbidden), (Absent, Absent, Absent));
    assert_eq!(seen.max_age_seconds, Known(26.0 * 3_600.0), "the instance's threshold");
}

#[test]
fn an_empty_one_has_nothing_to_be_old() {
    let made = Made::empty();
    let seen = Eyes::with(&made.path(), |backup| backup.payload = Some("data".to_owned())).see();
    assert_eq!(seen.state, Known(RepositoryState::Empty));
    assert_eq!((seen.newest_commit, seen.backed_up_until()), (Absent, Absent));
    assert_eq!(seen.commits, Known(RecentCommits::default()));
    assert_eq!(seen.payload, Known(Payload::default()));
    assert!(seen.forbidden.known().unwrap().is_clean());
}

#[test]
fn a_detached_one_and_a_bare_one_are_ready() {
    let made = Made::empty();
    let commit = made.commit(&[("a", b"x")], NOW - HOUR);
    made.repository.set_head_detached(commit).unwrap();
    let seen = Eyes::on(&made.path()).see();
    assert_eq!((seen.state, seen.newest_commit), (Known(RepositoryState::Ready), at(NOW - HOUR)));
    assert_eq!((seen.dirty_files, seen.unpushed_commits), (Known(0), Absent));

    made.repository.set_head("refs/heads/main").unwrap();
    made.add_remote("origin");
    made.push("origin");
    let seen = Eyes::on(&made.folder.path().join("origin.git")).see();
    assert_eq!((seen.state, seen.newest_commit), (Known(RepositoryState::Ready), at(NOW - HOUR)));
    assert_eq!((seen.dirty_files, seen.unpushed_commits, seen.backed_up_until()), (Absent, Absent, at(NOW - HOUR)));
}

#[test]
fn whatever_somebody_is_in_the_middle_of_is_an_interruption() {
    let made = Made::empty();
    let commit = made.commit(&[("a", b"x")], NOW);
    for mark in ["MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "BISECT_LOG"] {
        std::fs::write(made.inner(mark), format!("{commit}\n")).unwrap();
        assert_eq!(state(&made.path()), Known(RepositoryState::Interrupted), "{mark}");
        std::fs::remove_file(made.inner(mark)).unwrap();
    }
    for mark in ["rebase-merge", "rebase-apply"] {
        std::fs::create_dir(made.inner(mark)).unwrap();
        assert_eq!(state(&made.path()), Known(RepositoryState::Interrupted), "{mark}");
        std::fs::remove_dir(made.inner(mark)).unwrap();
    }
    assert_eq!(state(&made.path()), Known(RepositoryState::Ready));
}

#[test]
fn in_the_middle_of_a_rebase_the_branch_is_the_one_that_is_rebased() {
    let made = Made::empty();
    let commit = made.commit(&[("a", b"x")], NOW - DAY);
    made.add_remote("origin");
    made.push("origin");
    made.commit(&[("a", b"y")], NOW - HOUR);
    made.repository.set_head_detached(commit).unwrap();
    std::fs::create_dir(made.inner("rebase-merge")).unwrap();
    std::fs::write(made.inner("rebase-merge/head-name"), "refs/heads/main\n").unwrap();
    let seen = Eyes::on(&made.path()).see();
    assert_eq!((seen.state, seen.remote_branch), (Known(RepositoryState::Interrupted), Known(RemoteBranch::Present)));
    assert_eq!(seen.newest_pushed_commit, at(NOW - DAY));
}

#[test]
fn what_is_pushed_is_safe_and_what_is_not_is_counted() {
    let made = Made::empty();
    made.commit(&[("a", b"1")], NOW - 3 * DAY);
    made.commit(&[("a", b"2")], NOW - 2 * DAY);
    made.add_remote("origin");
    let mut eyes = Eyes::on(&made.path());
    let seen = eyes.see();
    assert_eq!((seen.remote_branch, seen.newest_pushed_commit), (Known(RemoteBranch::Missing), Absent));
    assert_eq!((seen.unpushed_commits, seen.oldest_unpushed_commit), (Known(2), at(NOW - 3 * DAY)));
    assert_eq!(seen.backed_up_until(), at(NOW - 3 * DAY), "nothing is safe since the first commit");
    assert_eq!(seen.last_push, Absent);

    let before = Timestamp::now();
    made.push("origin");
    let seen = eyes.see();
    assert_eq!((seen.remote_branch, seen.newest_pushed_commit), (Known(RemoteBranch::Present), at(NOW - 2 * DAY)));
    assert_eq!((seen.unpushed_commits, seen.oldest_unpushed_commit), (Known(0), Absent));
    assert!(seen.last_push.known().unwrap().seconds() >= before.seconds().floor());

    made.commit(&[("a", b"3")], NOW - 2 * HOUR);
    made.commit(&[("a", b"4")], NOW - HOUR);
    let seen = eyes.see();
    assert_eq!((seen.newest_commit, seen.backed_up_until()), (at(NOW - HOUR), at(NOW - 2 * DAY)));
    assert_eq!((seen.unpushed_commits, seen.oldest_unpushed_commit), (Known(2), at(NOW - 2 * HOUR)));
}

#[test]
fn a_fetch_is_not_a_push() {
    let made = Made::empty();
    let commit = made.commit(&[("a", b"1")], NOW - DAY);
    made.add_remote("origin");
    made.repository.reference("refs/remotes/origin/main", commit, true, "fetch: fast-forward").unwrap();
    let log = made.inner("logs/refs/remotes/origin/main");
    let text = |message: &str| format!("{} {commit} A <a@b> {} +0000\t{message}\n", "0".repeat(40), NOW - HOUR);
    std::fs::write(&log, text("fetch origin: fast-forward")).unwrap();
    let mut eyes = Eyes::on(&made.path());
    let seen = eyes.see();
    assert_eq!((seen.last_push, seen.unpushed_commits), (Absent, Known(0)));
    std::fs::write(&log, text("update by push") + &text("fetch origin: fast-forward")).unwrap();
    assert_eq!(eyes.see().last_push, at(NOW - HOUR));
}

#[test]
fn what_somebody_else_has_pushed_is_no_backup_of_here() {
    let made = Made::empty();
    let ours = made.commit(&[("a", b"1")], NOW - 3 * DAY);
    made.commit(&[("b", b"1")], NOW - HOUR);
    made.add_remote("origin");
    made.push("origin");
    made.set("refs/heads/main", ours);
    let seen = Eyes::on(&made.path()).see();
    assert_eq!((seen.unpushed_commits, seen.backed_up_until()), (Known(0), at(NOW - 3 * DAY)));
}

#[test]
fn an_upstream_that_is_gone_has_nothing() {
    let made = Made::empty();
    made.commit(&[("a", b"1")], NOW - DAY);
    made.add_remote("origin");
    made.push("origin");
    let mut config = made.repository.config().unwrap();
    config.set_str("branch.main.remote", "origin").unwrap();
    config.set_str("branch.main.merge", "refs/heads/elsewhere").unwrap();
    let seen = Eyes::on(&made.path()).see();
    assert_eq!((seen.remote_branch, seen.unpushed_commits), (Known(RemoteBranch::Missing), Known(1)));
    assert_eq!(seen.backed_up_until(), at(NOW - DAY));
    // What the exporter's configuration names wins.
    let seen = Eyes::with(&made.path(), |backup| backup.branch = Some("main".to_owned())).see();
    assert_eq!((seen.remote_branch, seen.unpushed_commits), (Known(RemoteBranch::Present), Known(0)));
}

#[test]
fn a_remote_that_is_named_and_not_there_has_nothing() {
    let made = Made::empty();
    made.commit(&[("a", b"1")], NOW - DAY);
    let seen = Eyes::with(&made.path(), |backup| backup.remote = Some("offsite".to_owned())).see();
    assert_eq!((seen.remote_branch, seen.unpushed_commits), (Known(RemoteBranch::Missing), Known(1)));
    // Without a remote there is nothing to reach.
    let seen = Eyes::on(&made.path()).see();
    assert_eq!((seen.remote_branch, seen.unpushed_commits, seen.backed_up_until()), (Absent, Absent, at(NOW - DAY)));
}

#[test]
fn of_several_remotes_the_upstream_counts_else_origin() {
    let made = Made::empty();
    made.commit(&[("a", b"1")], NOW - DAY);
    made.add_remote("offsite");
    made.add_remote("origin");
    made.push("offsite");
    let seen = Eyes::on(&made.path()).see();
    assert_eq!(seen.remote_branch, Known(RemoteBranch::Missing), "origin");
    let mut config = made.repository.config().unwrap();
    config.set_str("branch.main.remote", "offsite").unwrap();
    config.set_str("branch.main.merge", "refs/heads/main").unwrap();
    assert_eq!(Eyes::on(&made.path()).see().remote_branch, Known(RemoteBranch::Present));
    made.repository.remote_rename("origin", "third").unwrap();
    config.remove("branch.main.remote").unwrap();
    assert_eq!(Eyes::on(&made.path()).see().remote_branch, Absent, "none of two");
}

#[test]
fn histories_that_have_parted_are_counted_on_this_side() {
    let made = Made::empty();
    let first = made.commit(&[("a", b"1")], NOW - 3 * DAY);
    made.commit(&[("a", b"2")], NOW - 2 * DAY);
    made.add_remote("origin");
    made.push("origin");
    made.set("refs/heads/main", first);
    made.commit(&[("a", b"3")], NOW - HOUR);
    let seen = Eyes::on(&made.path()).see();
    assert_eq!((seen.unpushed_commits, seen.oldest_unpushed_commit), (Known(1), at(NOW - HOUR)));
    assert_eq!(seen.newest_pushed_commit, at(NOW - 2 * DAY));
}

#[test]
fn without_a_branch_the_remotes_own_counts() {
    let made = Made::empty();
    let commit = made.commit(&[("a", b"1")], NOW - DAY);
    made.add_remote("origin");
    made.repository.set_head_detached(commit).unwrap();
    assert_eq!(Eyes::on(&made.path()).see().remote_branch, Known(RemoteBranch::Missing));
    made.set("refs/remotes/origin/main", commit);
    assert_eq!(Eyes::on(&made.path()).see().unpushed_commits, Known(0), "the only one");
    made.set("refs/remotes/origin/other", commit);
    let (seen, problems) = Eyes::on(&made.path()).look();
    assert_eq!((seen.remote_branch, seen.backed_up_until()), (Unknown(Reason::NotFound), Unknown(Reason::NotFound)));
    assert_eq!(problems[0].subject, "vm: which branch of the remote counts");
    made.repository.reference_symbolic("refs/remotes/origin/HEAD", "refs/remotes/origin/main", true, "").unwrap();
    assert_eq!(Eyes::on(&made.path()).see().unpushed_commits, Known(0));
}

#[test]
fn a_remote_whose_branches_are_not_noted_tells_nothing() {
    let made = Made::empty();
    made.commit(&[("a", b"1")], NOW - DAY);
    let mut config = made.repository.config().unwrap();
    config.set_str("remote.origin.url", "/nowhere.git").unwrap();
    assert_eq!(Eyes::on(&made.path()).see().remote_branch, Absent);
    let (seen, _) = Eyes::with(&made.path(), |backup| backup.remote = Some("origin".to_owned())).look();
    assert_eq!(seen.remote_branch, Unknown(Reason::NotFound));
}

#[test]
fn commits_of_late_are_counted_by_their_times() {
    let made = Made::empty();
    let mut eyes = Eyes::on(&made.path());
    for age in [400 * DAY, 29 * DAY, 8 * DAY, 6 * DAY, 2 * DAY, 23 * HOUR, HOUR, -DAY] {
        made.commit(&[("a", age.to_string().as_bytes())], NOW - age);
    }
    assert_eq!(eyes.see().commits, Known(RecentCommits { day: 3, week: 5, month: 7 }));
    made.commit(&[("a", b"again")], NOW);
    let seen = eyes.see();
    assert_eq!(seen.commits, Known(RecentCommits { day: 4, week: 6, month: 8 }));
    // One that lies ahead is not older than nothing.
    made.commit(&[("a", b"ahead")], NOW + DAY);
    assert_eq!(eyes.see().newest_commit.known().unwrap().age_at(moment(NOW)), Duration::ZERO);
}

#[test]
fn the_payload_is_what_the_newest_commit_has() {
    let made = Made::empty();
    made.commit(&[("data/a", b"12345"), ("data/deep/er/b", b"123"), ("data-not", b"1"), ("README", b"12")], NOW);
    std::fs::write(made.path().join("data/uncommitted"), "x").unwrap();
    std::os::unix::fs::symlink("a", made.path().join("data/link")).unwrap();
    let counted =
        |folder: &str| Eyes::with(&made.path(), |backup| backup.payload = Some(folder.to_owned())).see().payload;
    assert_eq!(counted("data"), Known(Payload { files: 2, bytes: 8 }));
    assert_eq!(counted("data/deep"), Known(Payload { files: 1, bytes: 3 }));
    assert_eq!(counted(""), Known(Payload { files: 4, bytes: 11 }));
    assert_eq!(counted("missing"), Known(Payload::default()));
    assert_eq!(Eyes::on(&made.path()).see().payload, Absent);
    let mut eyes = Eyes::with(&made.path(), |backup| backup.payload = Some("data".to_owned()));
    eyes.see();
    made.commit(&[("README", b"another")], NOW);
    assert_eq!(eyes.see().payload, Known(Payload { files: 3, bytes: 9 }), "a link counts as none");
    made.commit(&[("README", b"a third")], NOW);
    assert_eq!(eyes.see().payload, Known(Payload { files: 3, bytes: 9 }), "the folder is as it was");
    std::fs::remove_dir_all(made.path().join("data")).unwrap();
    made.commit(&[], NOW);
    assert_eq!(eyes.see().payload, Known(Payload::default()));
}

#[test]
fn what_is_not_committed_is_counted_as_git_status_does() {
    let made = Made::empty();
    made.commit(&[("a", b"1"), ("b", b"1"), ("c", b"1"), (".gitignore", b"*.log\n")], NOW);
    assert_eq!(Eyes::on(&made.path()).see().dirty_files, Known(0));
    std::fs::write(made.path().join("a"), "22").unwrap();
    std::fs::remove_file(made.path().join("b")).unwrap();
    std::fs::write(made.path().join("new"), "").unwrap();
    std::fs::create_dir(made.path().join("folder")).unwrap();
    std::fs::write(made.path().join("folder/one"), "").unwrap();
    std::fs::write(made.path().join("folder/two"), "").unwrap();
    std::fs::write(made.path().join("ignored.log"), "").unwrap();
    traps::fifo(&made.path().join("pipe"));
    assert_eq!(Eyes::on(&made.path()).see().dirty_files, Known(4));
    assert_eq!(Eyes::with(&made.path(), |backup| backup.changes = Changes::Ignored).see().dirty_files, Absent);
}

#[test]
fn changes_are_kept_until_something_is_committed() {
    let made = Made::empty();
    made.commit(&[("a", b"1")], NOW);
    let mut eyes = Eyes::on(&made.path());
    assert_eq!(eyes.see().dirty_files, Known(0));
    std::fs::write(made.path().join("new"), "").unwrap();
    assert_eq!(eyes.see().dirty_files, Known(0), "kept");
    made.commit(&[("a", b"2")], NOW);
    std::fs::write(made.path().join("newer"), "").unwrap();
    assert_eq!(eyes.see().dirty_files, Known(1));
}

fn found(eyes: &mut Eyes) -> (u64, u64) {
    let seen = eyes.see();
    let forbidden = seen.forbidden.known().unwrap();
    assert_eq!(forbidden.is_clean(), forbidden.ever.total() == 0);
    (forbidden.current.total(), forbidden.ever.total())
}

#[test]
fn a_secret_once_committed_is_out_also_when_it_is_deleted() {
    let made = Made::empty();
    let clean = made.commit(&[("data/notes.md", b"x"), (".env.example", b"KEY=")], NOW);
    let mut eyes = Eyes::on(&made.path());
    assert_eq!(found(&mut eyes), (0, 0));
    made.commit(&[("data/.env", b"KEY=secret"), ("data/state.db", b"SQLite format 3")], NOW);
    assert_eq!(found(&mut eyes), (2, 2));
    made.commit(&[("data/.env", b"KEY=another")], NOW);
    assert_eq!(found(&mut eyes), (2, 2), "the same path again");
    std::fs::remove_file(made.path().join("data/.env")).unwrap();
    made.commit(&[], NOW);
    assert_eq!(found(&mut eyes), (1, 2));
    assert_eq!(found(&mut Eyes::on(&made.path())), (1, 2), "as somebody sees it who looks for the first time");
    let seen = eyes.see();
    let ever = &seen.forbidden.known().unwrap().ever;
    assert_eq!((ever.get("env"), ever.get("database"), ever.get("token")), (1, 1, 0));
    // Rewritten: nothing of it is reachable any more.
    made.set("refs/heads/main", clean);
    assert_eq!(found(&mut eyes), (0, 0));
}

#[test]
fn what_only_the_remote_has_is_out_as_well() {
    let made = Made::empty();
    let clean = made.commit(&[("a", b"x")], NOW);
    made.commit(&[("id_ed25519", b"secret")], NOW);
    made.add_remote("origin");
    made.push("origin");
    made.set("refs/heads/main", clean);
    assert_eq!(found(&mut Eyes::on(&made.path())), (0, 1));
}

#[test]
fn only_content_that_is_a_secret_is_one() {
    let made = Made::empty();
    let files: &[(&str, &[u8])] = &[
        (".env", b"\0GITCRYPT\0......"),
        ("auth.json", b""),
        ("tls/chain.pem", b"-----BEGIN CERTIFICATE-----"),
        ("tls/key.pem", b"-----BEGIN PRIVATE KEY-----"),
    ];
    std::os::unix::fs::symlink("/run/secrets/state.db", made.path().join("state.db")).unwrap();
    made.commit(files, NOW);
    assert_eq!(found(&mut Eyes::on(&made.path())), (1, 1));
    let pattern = |text: &str| glob::Pattern::new(text).unwrap();
    let mut eyes = Eyes::with(&made.path(), |backup| {
        backup.allowed = vec![pattern("tls/*.pem")];
        backup.forbidden = vec![pattern("chain.pem"), pattern("state.db")];
    });
    assert_eq!(found(&mut eyes), (0, 0), "allowed wins, and a link has no content");
}

#[test]
fn a_merge_brings_nothing_that_was_not_there() {
    let made = Made::empty();
    let base = made.commit(&[("a", b"x")], NOW);
    let left = made.commit(&[("state.db", b"x")], NOW);
    made.set("refs/heads/main", base);
    std::fs::remove_file(made.path().join("state.db")).unwrap();
    let right = made.commit(&[("folder/.env", b"x")], NOW);
    let find = |id: Oid| made.repository.find_commit(id).unwrap();
    let tree = find(right).tree().unwrap();
    made.repository.commit(Some("HEAD"), &by(NOW), &by(NOW), "merge", &tree, &[&find(right), &find(left)]).unwrap();
    assert_eq!(found(&mut Eyes::on(&made.path())), (1, 2));
}

#[test]
fn a_long_scan_goes_on_in_the_background_and_finds_the_same() {
    let made = Made::empty();
    for number in 0..30 {
        let name = format!("folder-{}/file-{number}", number % 7);
        made.commit(&[(&name, b"x"), (&format!("k-{}/auth.json", number % 3), &[number])], NOW);
    }
    let change = |backup: &mut Backup| backup.payload = Some(String::new());
    let at_once = Eyes::with(&made.path(), change).see();
    let mut eyes = Eyes::with(&made.path(), change);
    eyes.background = Background::start().unwrap();
    for (_, repository) in &mut eyes.collector.repositories {
        repository.scan_nothing_at_once();
    }
    let (seen, problems) = eyes.look();
    assert_eq!((seen.forbidden, seen.payload), (Unknown(Reason::Timeout), Unknown(Reason::Timeout)));
    assert_eq!(problems[0].subject, "vm: the first pass over the commits");
    while !eyes.look().1.is_empty() {
        std::thread::yield_now();
    }
    assert_eq!(eyes.see(), at_once);
    // What was found stays until there is more.
    made.commit(&[(".env", b"x")], NOW);
    loop {
        let forbidden = eyes.see().forbidden.known().cloned().unwrap();
        match forbidden.current.total() {
            3 => std::thread::yield_now(),
            current => break assert_eq!((current, forbidden.ever.total()), (4, 4)),
        }
    }
}

#[test]
fn damage_is_unknown_and_hides_nothing_else() {
    let made = Made::empty();
    made.commit(&[("data/a", b"1")], NOW - HOUR);
    let newest = made.commit(&[("data/a", b"2")], NOW);
    let tree = made.repository.find_commit(newest).unwrap().tree().unwrap().get_name("data").unwrap().id();
    let path = made.object(tree);
    let content = std::fs::read(&path).unwrap();
    let rewrite = |path: &Path, content: &[u8]| {
        std::fs::remove_file(path).unwrap();
        std::fs::write(path, content).unwrap();
    };
    let mut eyes = Eyes::with(&made.path(), |backup| {
        backup.payload = Some("data".to_owned());
        backup.changes = Changes::Ignored;
    });
    rewrite(&path, b"not what zlib has written");
    let (seen, problems) = eyes.look();
    assert_eq!((seen.payload, seen.forbidden), (Unknown(Reason::Parse), Unknown(Reason::Parse)));
    assert_eq!((seen.state, seen.newest_commit), (Known(RepositoryState::Ready), at(NOW)));
    assert_eq!(problems, [Problem { reason: Reason::Parse, subject: "vm: commits".to_owned() }]);
    rewrite(&path, &content[..content.len() / 2]);
    assert_eq!(Eyes::on(&made.path()).look().0.forbidden, Unknown(Reason::Parse));
    rewrite(&path, &content);
    assert_eq!(found(&mut Eyes::on(&made.path())), (0, 0));

    // The commit itself.
    std::fs::remove_file(made.object(newest)).unwrap();
    let (seen, _) = Eyes::on(&made.path()).look();
    assert_eq!((seen.state, seen.newest_commit), (Known(RepositoryState::Ready), Unknown(Reason::Parse)));
    assert_eq!(seen.forbidden, Unknown(Reason::Parse));
    std::fs::write(made.inner("HEAD"), "nonsense\n").unwrap();
    assert_eq!(Eyes::on(&made.path()).look().0.state, Unknown(Reason::Parse));
    std::fs::write(made.inner("HEAD"), "ref: refs/heads/main\n").unwrap();
    std::fs::write(made.inner("config"), "[core\n").unwrap();
    assert_eq!(Eyes::on(&made.path()).look().0.state, Unknown(Reason::Parse));
}

#[test]
fn what_was_found_before_the_damage_is_found() {
    let made = Made::empty();
    let newest = made.commit(&[(".env", b"KEY=1"), ("data/a", b"2")], NOW);
    let tree = made.repository.find_commit(newest).unwrap().tree().unwrap().get_name("data").unwrap().id();
    std::fs::remove_file(made.object(tree)).unwrap();
    let (seen, problems) = Eyes::with(&made.path(), |backup| backup.changes = Changes::Ignored).look();
    assert!(!seen.forbidden.known().unwrap().is_clean());
    assert_eq!(problems, [Problem { reason: Reason::Parse, subject: "vm: commits".to_owned() }]);
}

#[test]
fn repositories_of_kinds_that_are_not_read_are_unsupported() {
    let made = Made::empty();
    made.commit(&[("a", b"1")], NOW);
    let head = "[core]\n\trepositoryformatversion = 1\n\tbare = false\n";
    for extension in ["objectformat = sha256", "refstorage = reftable", "partialclone = origin", "ofTheFuture = 1"] {
        std::fs::write(made.inner("config"), format!("{head}[extensions]\n\t{extension}\n")).unwrap();
        let (seen, _) = Eyes::on(&made.path()).look();
        assert_eq!(seen.state, Unknown(Reason::Unsupported), "{extension}");
    }
    std::fs::write(made.inner("config"), head.replace("= 1", "= 7")).unwrap();
    assert_eq!(Eyes::on(&made.path()).look().0.state, Unknown(Reason::Unsupported));
}

#[test]
fn an_index_that_is_split_is_unsupported_and_hides_nothing_else() {
    let made = Made::empty();
    made.commit(&[("a", b"1")], NOW);
    let mut index = b"DIRC\0\0\0\x02\0\0\0\0link\0\0\0\x14".to_vec();
    index.extend([7; 20 + 20]);
    std::fs::write(made.inner("index"), index).unwrap();
    let (seen, problems) = Eyes::on(&made.path()).look();
    assert_eq!((seen.dirty_files, seen.newest_commit), (Unknown(Reason::Unsupported), at(NOW)));
    assert_eq!(problems.len(), 1);
}

#[test]
fn shallow_ones_packed_ones_and_linked_working_trees_are_read() {
    let made = Made::empty();
    let old = made.commit(&[("a", b"1")], NOW - 2 * DAY);
    let boundary = made.commit(&[("a", b"2")], NOW - DAY);
    let newest = made.commit(&[("a", b"3")], NOW);
    std::fs::write(
        made.inner("packed-refs"),
        format!("{newest} refs/heads/main\n{boundary} refs/remotes/origin/main\n"),
    )
    .unwrap();
    std::fs::remove_file(made.inner("refs/heads/main")).unwrap();
    made.add_remote("origin");
    let seen = Eyes::on(&made.path()).see();
    assert_eq!((seen.newest_commit, seen.unpushed_commits), (at(NOW), Known(1)));

    let beside = made.folder.path().join("beside");
    made.repository.worktree("beside", &beside, None).unwrap();
    let seen = Eyes::with(&beside, |backup| backup.branch = Some("main".to_owned())).see();
    assert_eq!((seen.state, seen.newest_commit), (Known(RepositoryState::Ready), at(NOW)));
    assert_eq!((seen.unpushed_commits, seen.dirty_files), (Known(1), Known(0)));

    std::fs::write(made.inner("shallow"), format!("{boundary}\n")).unwrap();
    std::fs::remove_file(made.object(old)).unwrap();
    let seen = Eyes::with(&made.path(), |backup| backup.remote = Some("elsewhere".to_owned())).see();
    assert_eq!((seen.unpushed_commits, seen.oldest_unpushed_commit), (Known(2), at(NOW - DAY)));
    assert_eq!(found(&mut Eyes::on(&made.path())), (0, 0));
}

/// Everything below a folder, with its times.
fn listing(folder: &Path) -> BTreeMap<PathBuf, (u64, u64, u32, [i64; 4])> {
    let describe = |entry: walkdir::DirEntry| {
        let found = entry.metadata().unwrap();
        let times = [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()];
        (entry.path().to_owned(), (found.ino(), found.size(), found.mode(), times))
    };
    walkdir::WalkDir::new(folder).into_iter().map(|entry| describe(entry.unwrap())).collect()
}

#[test]
fn nothing_is_run_and_nothing_is_changed() {
    let made = Made::empty();
    made.commit(&[("a", b"1"), (".gitattributes", b"a filter=trap diff=trap\n"), ("b", b"1")], NOW);
    made.add_remote("origin");
    made.push("origin");
    let mark = made.folder.path().join("trapped");
    let command = format!("touch {}", mark.display());
    let mut config = made.repository.config().unwrap();
    for key in
        ["core.fsmonitor", "filter.trap.clean", "filter.trap.smudge", "filter.trap.process", "diff.trap.textconv"]
    {
        config.set_str(key, &command).unwrap();
    }
    config.set_str("core.pager", &command).unwrap();
    for hook in ["post-index-change", "fsmonitor-watchman"] {
        std::fs::create_dir_all(made.inner("hooks")).unwrap();
        let path = made.inner("hooks").join(hook);
        std::fs::write(&path, format!("#!/bin/sh\n{command}\n")).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }
    // Changed, and touched: what another program would note in the index.
    std::fs::write(made.path().join("a"), "2").unwrap();
    std::fs::File::options()
        .write(true)
        .open(made.path().join("b"))
        .unwrap()
        .set_modified(std::time::UNIX_EPOCH)
        .unwrap();
    let before = listing(made.folder.path());
    for _ in 0..3 {
        assert_eq!(Eyes::on(&made.path()).see().dirty_files, Known(1));
    }
    assert_eq!(listing(made.folder.path()), before);
    assert!(!mark.exists());
}

#[test]
fn one_in_another_is_itself() {
    let made = Made::empty();
    made.commit(&[("a", b"1")], NOW - DAY);
    init(&made.path().join("inner"), false);
    assert_eq!(state(&made.path().join("inner")), Known(RepositoryState::Empty));
    assert_eq!(state(&made.path()), Known(RepositoryState::Ready));
}
