//! A reading that is too expensive for every look: kept as long as it is good, then made again, at once or in
//! the background while the old one is still shown.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::background::{Background, Job};

/// A value that takes longer than this to make again is not shown in the meantime any more.
const LONGEST_MAKING: Duration = Duration::from_secs(300);

/// A reading that is kept.
#[derive(Debug)]
pub(super) struct Kept<T> {
    state: Arc<Mutex<State<T>>>,
}

#[derive(Debug)]
struct State<T> {
    value: Option<(Instant, T)>,
    /// Since when a new one is being made.
    being_made_since: Option<Instant>,
}

/// What is to be done with a kept value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freshness {
    /// It is good.
    Good,
    /// It is old, and may be shown until there is a new one.
    Old,
    /// It must be made again before anything is shown.
    Wrong,
}

impl Freshness {
    /// Good up to a time to live, old after it.
    pub(super) fn by_age(age: Duration, time_to_live: Duration) -> Freshness {
        if age < time_to_live { Freshness::Good } else { Freshness::Old }
    }
}

impl<T: Clone + Send + 'static> Kept<T> {
    pub(super) fn new() -> Self {
        Kept { state: Arc::new(Mutex::new(State { value: None, being_made_since: None })) }
    }

    /// The value, made by `make` where there is none yet or where `judge` does not find it good. `None` where one
    /// has been in the making for so long that the old one says nothing any more.
    pub(super) fn get(
        &self,
        judge: impl FnOnce(&T, Duration) -> Freshness,
        background: &Background,
        make: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let mut state = lock(&self.state);
        let shown = match &state.value {
            None => None,
            Some((made, value)) => match judge(value, made.elapsed()) {
                Freshness::Good => return Some(value.clone()),
                Freshness::Old if state.being_made_since.is_some() => {
                    let is_overdue = state.being_made_since.is_some_and(|since| since.elapsed() > LONGEST_MAKING);
                    return Some(value.clone()).filter(|_| !is_overdue);
                }
                Freshness::Old if background.is_inline() => None,
                Freshness::Old => Some(value.clone()),
                Freshness::Wrong => None,
            },
        };
        state.being_made_since = Some(Instant::now());
        drop(state);
        let state = Arc::clone(&self.state);
        let renew = move || {
            let value = make();
            let mut state = lock(&state);
            state.value = Some((Instant::now(), value.clone()));
            state.being_made_since = None;
            value
        };
        match shown {
            None => Some(renew()),
            Some(value) => {
                background.submit(Job::new(move || {
                    renew();
                    None
                }));
                Some(value)
            }
        }
    }
}

fn lock<T>(state: &Mutex<State<T>>) -> MutexGuard<'_, State<T>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn a_value_is_kept_while_it_is_good_and_renewed_behind_the_scenes_when_it_is_old() {
        let background = Background::start().unwrap();
        let kept = Kept::new();
        assert_eq!(kept.get(|_, _| Freshness::Old, &background, || 1), Some(1));
        assert_eq!(kept.get(|_, _| Freshness::Good, &background, || 2), Some(1));
        let (made, wait) = channel();
        let renewal = move || {
            made.send(()).unwrap();
            3
        };
        assert_eq!(kept.get(|_, _| Freshness::Old, &background, renewal), Some(1), "the old one is shown meanwhile");
        wait.recv().unwrap();
        while kept.get(|_, _| Freshness::Good, &background, || 4) == Some(1) {
            std::thread::yield_now();
        }
        assert_eq!(kept.get(|_, _| Freshness::Good, &background, || 5), Some(3));
        assert_eq!(kept.get(|_, _| Freshness::Wrong, &background, || 6), Some(6), "a wrong one is never shown");
    }

    #[test]
    fn a_one_shot_run_makes_an_old_value_again_at_once() {
        let kept = Kept::new();
        let background = Background::inline();
        assert_eq!(kept.get(|_, _| Freshness::Good, &background, || 1), Some(1));
        assert_eq!(kept.get(|_, _| Freshness::Old, &background, || 2), Some(2));
    }
}
