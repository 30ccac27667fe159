//! What becomes of a log between two looks, one thing at a time and in any order.

use std::io::Write;
use std::path::PathBuf;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// A log, who writes it, and who follows it.
struct Log {
    folder: TempDir,
    follower: Follower,
    seen: Vec<String>,
}

const BACKUPS: usize = 3;

impl Log {
    /// One that is there when it is first looked at, with `history` in it.
    fn with(history: &str) -> Log {
        let mut log = Log::without();
        log.append(history);
        assert_eq!(log.look(), Progress::AtEnd);
        assert_eq!(log.seen, [""; 0]);
        log
    }

    fn without() -> Log {
        let folder = tempfile::tempdir().unwrap();
        let follower = Follower::from_end(folder.path().join("x.log"));
        Log { folder, follower, seen: Vec::new() }
    }

    fn path(&self, number: usize) -> PathBuf {
        let name = if number == 0 { "x.log".to_owned() } else { format!("x.log.{number}") };
        self.folder.path().join(name)
    }

    fn append(&self, text: impl AsRef<[u8]>) {
        let mut file = File::options().append(true).create(true).open(self.path(0)).unwrap();
        file.write_all(text.as_ref()).unwrap();
    }

    /// Moves each file on by one, as Python's handlers do.
    fn rotate(&self) {
        for number in (0..BACKUPS).rev() {
            if self.path(number).exists() {
                std::fs::rename(self.path(number), self.path(number + 1)).unwrap();
            }
        }
    }

    fn copy_and_truncate(&self) {
        for number in (1..BACKUPS).rev() {
            if self.path(number).exists() {
                std::fs::rename(self.path(number), self.path(number + 1)).unwrap();
            }
        }
        std::fs::copy(self.path(0), self.path(1)).unwrap();
        self.truncate();
    }

    fn truncate(&self) {
        File::options().write(true).truncate(true).open(self.path(0)).unwrap();
    }

    /// Another process goes on, from what is written of how far this one has come.
    fn hand_over(&mut self) {
        let kept = serde_json::to_string(&self.follower.bookmark()).unwrap();
        self.follower = Follower::from_bookmark(self.path(0), serde_json::from_str(&kept).unwrap());
    }

    fn look(&mut self) -> Progress {
        self.look_with(u64::MAX)
    }

    fn look_with(&mut self, budget: u64) -> Progress {
        self.try_look(budget).unwrap()
    }

    fn try_look(&mut self, mut budget: u64) -> Result<Progress, FileError> {
        let Log { follower, seen, .. } = self;
        follower.read(&mut budget, &mut |line| seen.push(String::from_utf8_lossy(line).into_owned()))
    }

    /// Looks, and answers with the lines that were told.
    fn told(&mut self) -> Vec<String> {
        self.look();
        std::mem::take(&mut self.seen)
    }
}

#[test]
fn what_is_there_at_the_first_look_is_history_and_what_comes_is_told_once() {
    let mut log = Log::with("a\nb\n");
    assert_eq!(log.told(), [""; 0]);
    log.append("c\nd\n");
    assert_eq!(log.told(), ["c", "d"]);
    assert_eq!(log.told(), [""; 0]);
}

#[test]
fn a_log_that_comes_later_is_told_from_its_beginning() {
    let mut log = Log::without();
    // Of a log that somebody has removed.
    std::fs::write(log.path(1), "old\n").unwrap();
    assert_eq!(log.look(), Progress::Absent);
    log.append("a\n");
    log.rotate();
    log.append("b\n");
    assert_eq!(log.told(), ["a", "b"]);
}

#[test]
fn a_line_is_told_when_it_has_its_end() {
    let mut log = Log::with("begun bef");
    log.append("ore\na\nb");
    assert_eq!(log.told(), ["a"]);
    log.append("c");
    assert_eq!(log.told(), [""; 0]);
    log.append("d\n\ne\n");
    assert_eq!(log.told(), ["bcd", "", "e"]);
}

#[test]
fn the_rest_of_a_rotated_file_goes_before_the_new_one() {
    let mut log = Log::with("a\n");
    log.append("b\nc");
    log.look();
    log.append("\nd\n");
    log.rotate();
    // While it is being rotated.
    assert_eq!(log.told(), ["b", "c", "d"]);
    assert_eq!(log.look(), Progress::AtEnd);
    log.append("e\n");
    assert_eq!(log.told(), ["e"]);
    log.append("f\n");
    log.rotate();
    log.append("g\n");
    log.rotate();
    log.append("h\n");
    log.rotate();
    std::fs::create_dir(log.path(5)).unwrap();
    assert_eq!(log.told(), ["f", "g", "h"]);
}

#[test]
fn what_was_rotated_away_is_lost_and_what_came_after_it_is_not() {
    let mut log = Log::with("a\n");
    for line in ["b\n", "c\n", "d\n", "e\n"] {
        log.append(line);
        log.rotate();
    }
    log.append("f\n");
    assert_eq!(log.told(), ["c", "d", "e", "f"]);
}

#[test]
fn a_truncated_log_goes_on_from_its_beginning() {
    let mut log = Log::with("a\n");
    log.append("b\nbegun");
    log.look();
    log.truncate();
    assert_eq!(log.told(), ["b", "begun"]);
    log.append("c\n");
    assert_eq!(log.told(), ["c"]);
    // Grown longer than it was.
    log.truncate();
    log.append("d\nlonger than before\n");
    assert_eq!(log.told(), ["d", "longer than before"]);
    // Exactly as long.
    log.truncate();
    log.append("e\nlonger than before\n");
    assert_eq!(log.told(), ["e", "longer than before"]);
}

#[test]
fn the_rest_of_a_log_that_was_copied_and_truncated_is_read_from_the_copy() {
    let mut log = Log::with("a\n");
    log.append("b\n");
    log.copy_and_truncate();
    log.append("c\n");
    assert_eq!(log.told(), ["b", "c"]);
    log.append("d\n");
    log.copy_and_truncate();
    log.append("e\n");
    log.copy_and_truncate();
    log.append("f and more than there was\n");
    assert_eq!(log.told(), ["d", "e", "f and more than there was"]);
}

#[test]
fn a_log_that_was_deleted_and_made_anew_is_another_one() {
    let mut log = Log::with("a\n");
    log.append("b\n");
    log.rotate();
    log.append("c\nbegun");
    assert_eq!(log.told(), ["b", "c"]);
    std::fs::remove_file(log.path(0)).unwrap();
    assert_eq!(log.look(), Progress::Absent);
    log.append("and longer than the first\n");
    assert_eq!(log.told(), ["begun", "and longer than the first"]);
}

#[test]
fn no_more_than_the_budget_is_read_and_the_rest_later() {
    let mut log = Log::with("");
    log.append("first\nsecond\n");
    log.rotate();
    log.append("third\n");
    assert_eq!(log.look_with(8), Progress::Behind);
    assert_eq!(log.seen, ["first"]);
    log.rotate();
    log.append("fourth\n");
    assert_eq!(log.look_with(5), Progress::Behind);
    assert_eq!(log.look_with(0), Progress::Behind);
    assert_eq!(log.look_with(100), Progress::AtEnd);
    assert_eq!(log.seen, ["first", "second", "third", "fourth"]);
}

#[test]
fn a_line_without_an_end_is_one_line_and_is_not_kept() {
    let mut log = Log::with("");
    for _ in 0..40 {
        log.append(vec![b'x'; PIECE / 2 + 1]);
        log.look();
        assert!(matches!(&log.follower.line, Line::Begun(line) if line.len() == LONGEST_LINE));
    }
    log.append("\nshort\n");
    let told = log.told();
    assert_eq!((told[0].len(), told[1].as_str()), (LONGEST_LINE, "short"));
    // In one piece.
    log.append([vec![b'y'; 2 * LONGEST_LINE], b"\n".to_vec()].concat());
    assert_eq!(log.told()[0].len(), LONGEST_LINE);
}

#[test]
fn bytes_of_any_kind_stand_in_lines() {
    let mut log = Log::with("");
    log.append(b"a\0b\n\xff\xfe\n\r\n");
    assert_eq!(log.told(), ["a\0b", "\u{fffd}\u{fffd}", "\r"]);
}

#[test]
fn what_is_no_file_is_an_error_and_what_is_linked_is_followed() {
    let mut log = Log::with("a\n");
    std::fs::rename(log.path(0), log.path(9)).unwrap();
    rustix::fs::mknodat(rustix::fs::CWD, log.path(0), rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    assert!(matches!(log.try_look(100), Err(FileError::NotRegular { .. })));
    std::fs::remove_file(log.path(0)).unwrap();
    std::fs::create_dir(log.path(0)).unwrap();
    assert!(matches!(log.try_look(100), Err(FileError::NotRegular { .. })));
    std::fs::remove_dir(log.path(0)).unwrap();
    std::os::unix::fs::symlink(log.path(9), log.path(0)).unwrap();
    log.append("b\n");
    assert_eq!(log.told(), ["b"]);
}

#[test]
fn one_that_may_not_be_read_is_an_error_and_goes_on_later() {
    use crate::system::owner::{Identity, Owner};
    use crate::system::privileges::Privileges;
    use std::os::unix::fs::PermissionsExt;
    if !Privileges::of_this_process().can_take_identities() {
        return;
    }
    let mut log = Log::with("a\n");
    log.append("b\n");
    let mode = |mode| std::fs::set_permissions(log.path(0), PermissionsExt::from_mode(mode)).unwrap();
    std::fs::set_permissions(log.folder.path(), PermissionsExt::from_mode(0o755)).unwrap();
    mode(0o600);
    let owner = Owner::new(Identity { user: 12_345, group: 12_345, groups: Vec::new() });
    let mut log = owner
        .run_blocking(move || {
            assert!(matches!(log.try_look(100), Err(FileError::Permission { .. })));
            log
        })
        .unwrap();
    assert_eq!(log.told(), ["b"]);
}

#[test]
fn a_log_that_has_not_changed_costs_one_stat() {
    let mut log = Log::with("a\n");
    let an_hour_ago = SystemTime::now() - std::time::Duration::from_secs(3600);
    File::options().append(true).open(log.path(0)).unwrap().set_modified(an_hour_ago).unwrap();
    // The change of the time is a change itself, and settles.
    while log.follower.read_up.is_none() {
        log.look();
    }
    // It is not opened: what is put into its place with the same stamp is not seen.
    assert_eq!(log.follower.read_up, files::stamp(&log.path(0)).unwrap());
    log.follower.place = Place::Nowhere;
    assert_eq!(log.look(), Progress::AtEnd);
    assert_eq!(log.seen, [""; 0]);
}

#[derive(Debug, Clone)]
enum Event {
    Append(usize),
    Begin,
    Finish,
    Rotate,
    CopyAndTruncate,
    Truncate,
    Delete,
    Look(u64),
    HandOver,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (1..5_usize).prop_map(Event::Append),
        2 => Just(Event::Begin),
        2 => Just(Event::Finish),
        3 => Just(Event::Rotate),
        1 => Just(Event::CopyAndTruncate),
        1 => Just(Event::Truncate),
        1 => Just(Event::Delete),
        4 => prop_oneof![Just(u64::MAX), 0..40_u64].prop_map(Event::Look),
        2 => Just(Event::HandOver),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Whatever is not thrown away before a look is told once, and in order.
    #[test]
    fn every_line_is_told_once_in_any_order_of_events(events in prop::collection::vec(event(), 1..60)) {
        let mut log = Log::with("");
        let (mut expected, mut number) = (Vec::new(), 0);
        let mut begun = String::new();
        // Files that were written since the last look at everything.
        let mut unseen = 0;
        for event in events {
            match event {
                Event::Append(lines) => {
                    let first = std::mem::take(&mut begun);
                    for line in 0..lines {
                        number += 1;
                        let line = format!("{}{number}", if line == 0 { first.as_str() } else { "" });
                        log.append(format!("{number}\n"));
                        expected.push(line);
                    }
                }
                Event::Begin => {
                    number += 1;
                    let text = format!("begun {number} ");
                    log.append(&text);
                    begun.push_str(&text);
                }
                Event::Finish if !begun.is_empty() => {
                    log.append("\n");
                    expected.push(std::mem::take(&mut begun));
                }
                Event::Look(budget) => {
                    if log.look_with(budget) != Progress::Behind {
                        unseen = 0;
                    }
                }
                Event::Rotate | Event::CopyAndTruncate | Event::Truncate | Event::Delete => {
                    let is_lost = !matches!(event, Event::Rotate) || unseen + 1 >= BACKUPS;
                    if is_lost {
                        log.look();
                        unseen = 0;
                    }
                    if !log.path(0).exists() {
                        continue;
                    }
                    expected.extend(Some(std::mem::take(&mut begun)).filter(|begun| !begun.is_empty()));
                    unseen += 1;
                    match event {
                        Event::Rotate => log.rotate(),
                        Event::CopyAndTruncate => log.copy_and_truncate(),
                        Event::Truncate => log.truncate(),
                        _ => std::fs::remove_file(log.path(0)).unwrap(),
                    }
                }
                Event::HandOver => log.hand_over(),
                Event::Finish => {}
            }
        }
        // Leaves the last file, with what was begun in it.
        log.append("\n");
        expected.push(begun);
        log.look();
        prop_assert_eq!(&log.seen, &expected);
    }
}
