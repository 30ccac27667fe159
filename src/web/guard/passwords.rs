//! Names and passwords: comparing what somebody gives with bcrypt hashes, without letting them tie the machine up.
//!
//! Each comparison takes a processor for a tenth of a second or more, so only a few run at once and only a few wait; and
//! a password that was right is remembered, so that a scrape every few seconds costs nothing. What was wrong is not:
//! there is no end of it.

use std::collections::HashSet;
use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

/// As many are compared at once.
const AT_ONCE: usize = 2;

/// As many are compared or wait for it; whoever comes then is sent away.
const LONGEST_QUEUE: usize = 32;

/// More than there are users: it is filled only by a password that is the same one in many spellings, which bcrypt takes
/// where it has more than 72 bytes.
const MOST_REMEMBERED: usize = 256;

/// Who may ask: names, and the hashes of their passwords.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Users(Arc<[(String, String)]>);

impl Users {
    /// These; the hashes are sound.
    pub(super) fn of(users: Vec<(String, String)>) -> Users {
        Users(users.into())
    }

    /// Whether there is none, and so nobody is asked.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// What comes of a name and a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// They are those of a user.
    Right,
    /// They are not.
    Wrong,
    /// Too many others are being looked at.
    Busy,
}

/// Compares passwords.
#[derive(Debug)]
pub(super) struct Passwords {
    turns: Arc<Semaphore>,
    queue: Arc<Semaphore>,
    /// Hashes of a name, its password, and the bcrypt hash that it was compared with.
    right: Mutex<HashSet<[u8; 32]>>,
    stand_ins: RandomState,
}

impl Default for Passwords {
    fn default() -> Self {
        Passwords {
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            queue: Arc::new(Semaphore::new(LONGEST_QUEUE)),
            right: Mutex::default(),
            stand_ins: RandomState::new(),
        }
    }
}

impl Passwords {
    /// Whether these are the name and the password of one of the users.
    ///
    /// The password of somebody who is no user is compared with that of one who is: with the same one each time, so that
    /// how long it takes does not tell which names there are.
    pub(super) async fn judge(&self, users: &Users, name: &str, password: &str) -> Verdict {
        let known = users.0.iter().find(|(user, _)| user == name);
        let stand_in = || users.0.get(self.stand_ins.hash_one(name) as usize % users.0.len().max(1));
        let Some((_, hash)) = known.or_else(stand_in) else { return Verdict::Wrong };
        let proof = proof(name, password, hash);
        let is_remembered = || self.right.lock().unwrap_or_else(PoisonError::into_inner).contains(&proof);
        if known.is_some() && is_remembered() {
            return Verdict::Right;
        }
        let Ok(place) = Arc::clone(&self.queue).try_acquire_owned() else { return Verdict::Busy };
        let Ok(turn) = Arc::clone(&self.turns).acquire_owned().await else { return Verdict::Busy };
        // Several requests of one client can have waited together.
        if known.is_some() && is_remembered() {
            return Verdict::Right;
        }
        let (hash, password) = (hash.clone(), password.to_owned());
        let compared = tokio::task::spawn_blocking(move || {
            let is_same = bcrypt::verify(password, &hash).unwrap_or(false);
            // Whoever gives up waiting does not end the work, and so must not give the turn to the next.
            drop((turn, place));
            is_same
        });
        match compared.await {
            Ok(true) if known.is_some() => {
                let mut right = self.right.lock().unwrap_or_else(PoisonError::into_inner);
                if right.len() >= MOST_REMEMBERED {
                    right.clear();
                }
                right.insert(proof);
                Verdict::Right
            }
            _ => Verdict::Wrong,
        }
    }
}

fn proof(name: &str, password: &str, hash: &str) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in [name, password, hash] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part.as_bytes());
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users() -> Users {
        let hash = |password| bcrypt::hash(password, 4).unwrap();
        Users::of(vec![("prometheus".to_owned(), hash("correct horse")), ("uma".to_owned(), hash("battery staple"))])
    }

    #[tokio::test]
    async fn a_name_goes_with_its_own_password_alone() {
        let (passwords, users) = (Passwords::default(), users());
        for (name, password, verdict) in [
            ("prometheus", "correct horse", Verdict::Right),
            ("prometheus", "correct horse", Verdict::Right),
            ("uma", "correct horse", Verdict::Wrong),
            ("prometheus", "battery staple", Verdict::Wrong),
            ("uma", "battery staple", Verdict::Right),
            ("Uma", "battery staple", Verdict::Wrong),
            ("nobody", "correct horse", Verdict::Wrong),
            ("nobody", "battery staple", Verdict::Wrong),
            ("", "", Verdict::Wrong),
        ] {
            assert_eq!(passwords.judge(&users, name, password).await, verdict, "{name} {password}");
        }
        assert_eq!(passwords.judge(&Users::default(), "uma", "battery staple").await, Verdict::Wrong);
    }

    #[tokio::test]
    async fn only_what_was_right_is_remembered_and_only_for_its_hash() {
        let (passwords, users) = (Passwords::default(), users());
        passwords.judge(&users, "prometheus", "correct horse").await;
        passwords.judge(&users, "prometheus", "wrong").await;
        passwords.judge(&users, "nobody", "correct horse").await;
        assert_eq!(passwords.right.lock().unwrap().len(), 1);
        // Nothing has to be compared for it any more.
        let _all = Arc::clone(&passwords.queue).try_acquire_many_owned(LONGEST_QUEUE as u32).unwrap();
        assert_eq!(passwords.judge(&users, "prometheus", "correct horse").await, Verdict::Right);
        assert_eq!(passwords.judge(&users, "prometheus", "wrong").await, Verdict::Busy);
        assert_eq!(passwords.judge(&users, "nobody", "correct horse").await, Verdict::Busy);
        let changed = Users::of(vec![("prometheus".to_owned(), bcrypt::hash("new", 4).unwrap())]);
        assert_eq!(passwords.judge(&changed, "prometheus", "correct horse").await, Verdict::Busy);
    }

    #[tokio::test]
    async fn who_waits_for_a_turn_finds_what_another_request_has_found() {
        let (passwords, users) = (Arc::new(Passwords::default()), users());
        let turns = Arc::clone(&passwords.turns).try_acquire_many_owned(AT_ONCE as u32).unwrap();
        let waiting: Vec<_> = (0..8)
            .map(|_| {
                let (passwords, users) = (Arc::clone(&passwords), users.clone());
                tokio::spawn(async move { passwords.judge(&users, "uma", "battery staple").await })
            })
            .collect();
        while passwords.queue.available_permits() > LONGEST_QUEUE - 8 {
            tokio::task::yield_now().await;
        }
        drop(turns);
        for waiting in waiting {
            assert_eq!(waiting.await.unwrap(), Verdict::Right);
        }
        while passwords.queue.available_permits() < LONGEST_QUEUE {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_is_remembered_has_an_end() {
        let passwords = Passwords::default();
        let long = "x".repeat(72);
        let users = Users::of(vec![("uma".to_owned(), bcrypt::hash(&long, 4).unwrap())]);
        for more in 0..MOST_REMEMBERED + 10 {
            assert_eq!(passwords.judge(&users, "uma", &format!("{long}{more}")).await, Verdict::Right);
        }
        assert_eq!(passwords.right.lock().unwrap().len(), 10);
    }

    #[test]
    fn no_hash_is_shown() {
        assert_eq!(format!("{:?}", users()), "[\"prometheus\", \"uma\"]");
    }
}
