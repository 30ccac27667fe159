//! Which folder a program means by the path of its home, without waiting for a filesystem that does not answer.
//!
//! Anybody may start a program whose home is on a dead network filesystem, and who looks there may never return. So each
//! look has a thread of its own, and is waited for only so long; nobody looks a second time while one is at it.

use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::FolderIdentity;
use super::own_threads::{NoThread, OwnThreads, start_here};
use crate::system::processes::Process;

/// Looking takes microseconds: who has been at it for this long hangs, and is no more waited for.
const HANGING: Duration = Duration::from_secs(1);

/// How long to wait for all places that are asked for at once: for one that hangs, and for threads to start.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// The most looks at homes of one user's programs that may hang at a time.
const MOST_HANGING: usize = 64;

/// How long what was found is believed. A path means another folder only after somebody has moved something.
const KEPT: Duration = Duration::from_secs(60);

/// How long it is believed that there is nothing.
const NOTHING_KEPT: Duration = Duration::from_secs(2);

/// What a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// This folder.
    Folder(FolderIdentity),
    /// There is nothing.
    Nothing,
    /// It may not be looked at.
    Refused,
    /// Nobody has answered yet.
    Late,
    /// Its filesystem does not answer.
    Hanging,
}

/// With whose rights a place is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Rights {
    /// The program's own.
    Own,
    /// Those of the calling thread, which is of this user.
    Callers(u32),
}

/// What is asked of a place.
#[derive(Debug, Clone, Copy)]
pub(super) struct Asked<'a> {
    /// Whose home it is.
    pub(super) process: &'a Process,
    /// The user who has started that.
    pub(super) user: u32,
    /// The path of the home, as the process knows it.
    pub(super) path: &'a Path,
    /// Who looks.
    pub(super) rights: Rights,
}

impl Asked<'_> {
    fn key(&self) -> Key {
        let Asked { process, path, rights, .. } = *self;
        Key { process: process.id, start_ticks: process.start_ticks, path: path.to_owned(), rights }
    }
}

/// Where the homes of programs were found.
#[derive(Debug, Default)]
pub(super) struct Places {
    entries: Mutex<HashMap<Key, Entry>>,
    answered: Condvar,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    process: u32,
    start_ticks: u64,
    path: PathBuf,
    rights: Rights,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    /// Whose process it is.
    user: u32,
    progress: Progress,
    /// Since when that is so.
    since: Instant,
}

#[derive(Debug, Clone, Copy)]
enum Progress {
    /// A thread is to look.
    Asked,
    /// It is at it.
    Begun,
    /// It has looked.
    Found(Place),
}

impl Entry {
    fn is_fresh(&self) -> bool {
        match self.progress {
            Progress::Asked | Progress::Begun => true,
            Progress::Found(Place::Folder(_)) => self.since.elapsed() < KEPT,
            Progress::Found(Place::Nothing) => self.since.elapsed() < NOTHING_KEPT,
            Progress::Found(Place::Refused | Place::Late | Place::Hanging) => false,
        }
    }

    fn is_hanging(&self) -> bool {
        matches!(self.progress, Progress::Begun) && self.since.elapsed() >= HANGING
    }
}

impl Places {
    /// What a program means by the path of its home, as it was found a while ago, or is found now and at the latest at
    /// `until`. In a container the same path is another folder than here.
    pub(super) fn look(self: &Arc<Self>, asked: Asked<'_>, threads: &OwnThreads, until: Instant) -> Place {
        let seen = asked.process.path_as_seen(asked.path);
        self.find(asked, threads, until, move || place_at(&seen))
    }

    /// Forgets what was found, so that the next look is a fresh one.
    pub(super) fn forget(&self, asked: Asked<'_>) {
        let key = asked.key();
        let mut entries = self.entries();
        if entries.get(&key).is_some_and(|entry| matches!(entry.progress, Progress::Found(_))) {
            entries.remove(&key);
        }
    }

    fn find(
        self: &Arc<Self>,
        asked: Asked<'_>,
        threads: &OwnThreads,
        until: Instant,
        look: impl FnOnce() -> Place + Send + 'static,
    ) -> Place {
        let (user, key) = (asked.user, asked.key());
        let mut entries = self.entries();
        if !entries.get(&key).is_some_and(Entry::is_fresh) {
            // Some may still be waiting for one that is not kept.
            entries.retain(|_, entry| entry.is_fresh() || entry.since.elapsed() < NOTHING_KEPT);
            if entries.values().filter(|entry| entry.user == user && entry.is_hanging()).count() >= MOST_HANGING {
                return Place::Late;
            }
            entries.insert(key.clone(), Entry { user, progress: Progress::Asked, since: Instant::now() });
            drop(entries);
            let (places, of) = (Arc::clone(self), key.clone());
            let work = move |thread: Result<(), NoThread>| {
                let note = |progress| {
                    places.entries().insert(of.clone(), Entry { user, progress, since: Instant::now() });
                    places.answered.notify_all();
                };
                note(Progress::Begun);
                note(Progress::Found(thread.map_or(Place::Refused, |()| look())));
            };
            match asked.rights {
                Rights::Own => threads.start(work),
                Rights::Callers(_) => start_here(work),
            }
            entries = self.entries();
        }
        loop {
            let Some(entry) = entries.get(&key) else {
                return Place::Late;
            };
            let left = until.saturating_duration_since(Instant::now());
            let patience = match entry.progress {
                Progress::Found(found) => return found,
                Progress::Begun => HANGING.saturating_sub(entry.since.elapsed()),
                Progress::Asked => left,
            };
            if entry.is_hanging() {
                return Place::Hanging;
            }
            if left.is_zero() {
                return Place::Late;
            }
            let left = left.min(patience);
            entries = self.answered.wait_timeout(entries, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether anybody has ever looked at a home of this process.
    #[cfg(test)]
    pub(super) fn have_looked_for(&self, process: u32) -> bool {
        self.entries().keys().any(|key| key.process == process)
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn place_at(path: &Path) -> Place {
    match std::fs::metadata(path) {
        Ok(metadata) => Place::Folder((metadata.dev(), metadata.ino())),
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Place::Refused,
        Err(_) => Place::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::processes;
    use std::sync::mpsc::channel;

    const FOLDER: Place = Place::Folder((1, 2));

    /// Looks on behalf of this process.
    struct Asker {
        places: Arc<Places>,
        process: Process,
    }

    impl Asker {
        fn new() -> Asker {
            let process = processes::find(std::process::id()).unwrap().unwrap();
            Asker { places: Arc::default(), process }
        }

        fn asked<'a>(&'a self, path: &'a str) -> Asked<'a> {
            Asked { process: &self.process, user: 1, path: Path::new(path), rights: Rights::Own }
        }

        fn find(&self, asked: Asked<'_>, look: impl FnOnce() -> Place + Send + 'static) -> Place {
            let until = Instant::now() + Duration::from_secs(600);
            self.places.find(asked, &OwnThreads::default(), until, look)
        }

        fn age(&self, by: Duration) {
            for entry in self.places.entries().values_mut() {
                entry.since -= by;
            }
        }
    }

    #[test]
    fn what_was_found_is_believed_for_a_while_and_nothing_for_less() {
        let asker = Asker::new();
        let asked = asker.asked("/a");
        let find = |place| asker.find(asked, move || place);
        assert_eq!((find(Place::Refused), find(Place::Nothing)), (Place::Refused, Place::Nothing));
        asker.age(NOTHING_KEPT);
        assert_eq!((find(FOLDER), find(Place::Nothing)), (FOLDER, FOLDER));
        asker.places.forget(asked);
        assert_eq!(find(Place::Nothing), Place::Nothing);
        let with_other_rights = Asked { rights: Rights::Callers(7), ..asked };
        assert_eq!(asker.find(with_other_rights, || FOLDER), FOLDER);
    }

    #[test]
    fn one_that_hangs_is_looked_at_once_and_keeps_nobody_from_the_others() {
        let asker = Asker::new();
        let (answer, answers) = channel::<()>();
        let (begin, begun) = channel();
        let hanging = move || {
            begin.send(()).unwrap();
            answers.recv().map_or(Place::Nothing, |()| FOLDER)
        };
        let dead = asker.asked("/dead");
        let at_once = asker.places.find(dead, &OwnThreads::default(), Instant::now(), hanging);
        assert_eq!(at_once, Place::Late);
        let never = || panic!("it is looked at already");
        begun.recv().unwrap();
        asker.age(HANGING);
        assert_eq!(asker.find(dead, never), Place::Hanging);
        assert_eq!(asker.find(asker.asked("/alive"), || FOLDER), FOLDER);
        answer.send(()).unwrap();
        while asker.find(dead, never) != FOLDER {
            std::thread::yield_now();
        }
    }

    #[test]
    fn so_many_of_one_user_may_hang_and_no_more() {
        let asker = Asker::new();
        for number in 0..MOST_HANGING {
            let path = format!("/dead/{number}");
            let since = Instant::now() - 2 * HANGING;
            asker
                .places
                .entries()
                .insert(asker.asked(&path).key(), Entry { user: 1, progress: Progress::Begun, since });
        }
        let of_another = Asked { user: 2, ..asker.asked("/alive") };
        assert_eq!(asker.find(asker.asked("/alive"), || FOLDER), Place::Late);
        assert_eq!(asker.find(of_another, || FOLDER), FOLDER);
    }
}
