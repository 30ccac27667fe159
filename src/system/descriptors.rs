//! How many files and connections this process may have open.
//!
//! Most systems give a process 1,024 descriptors and permit it to take many more: the small number is for programs that
//! use `select`, which can not wait for a higher one. Nothing here does.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// As many as this program would ever use; the kernel permits up to a thousand million.
const MOST: u64 = 65_536;

/// How many descriptors this process may have; `None` where that is not limited.
pub fn limit() -> Option<u64> {
    getrlimit(Resource::Nofile).current
}

/// Raises the limit as far as this process may, up to 65,536. The error is what the kernel said to that.
pub fn raise_limit() -> std::io::Result<()> {
    match raised(getrlimit(Resource::Nofile)) {
        Some(limit) => Ok(setrlimit(Resource::Nofile, limit)?),
        None => Ok(()),
    }
}

/// What a limit can be raised to; `None` where it is high enough, or as high as it may be.
fn raised(limit: Rlimit) -> Option<Rlimit> {
    let attainable = limit.maximum.map_or(MOST, |maximum| maximum.min(MOST));
    let is_lower = limit.current.is_some_and(|current| current < attainable);
    is_lower.then_some(Rlimit { current: Some(attainable), ..limit })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_raised_as_far_as_is_permitted_and_useful() {
        let limit = |current, maximum| Rlimit { current, maximum };
        for (before, after) in [
            ((Some(1_024), Some(4_096)), Some((Some(4_096), Some(4_096)))),
            ((Some(1_024), Some(524_288)), Some((Some(MOST), Some(524_288)))),
            ((Some(1_024), None), Some((Some(MOST), None))),
            ((Some(1_024), Some(1_024)), None),
            ((Some(100_000), Some(524_288)), None),
            ((None, None), None),
        ] {
            assert_eq!(raised(limit(before.0, before.1)), after.map(|(current, maximum)| limit(current, maximum)));
        }
    }
}
