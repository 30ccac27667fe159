//! The two files in which `s6-supervise` says how things are: `status` and `death_tally`.
//!
//! They are bytes without a version or a magic number; only the length tells which form of `status` it is.

use std::path::Path;

use super::{Cause, Death, Readiness, Run, S6Error};
use crate::system::time::Timestamp;

/// The lengths of a status, and where its wait status begins in it. s6 2.13 alone writes the longer one, with the
/// process group before the wait status.
const LENGTHS: [(usize, usize); 2] = [(35, 32), (43, 40)];

/// The length of one death in the tally.
pub(super) const DEATH: usize = 14;

/// The most deaths that s6 keeps, whatever a service asks for.
const MOST_DEATHS: usize = 4096;

/// The label that TAI64 gives to the beginning of the Unix epoch, in the seconds of today: TAI was ten seconds ahead
/// of UTC in 1972, and 27 leap seconds have come since. There has been none since 2017.
const EPOCH: u64 = (1 << 62) + 37;

/// A status as it was written.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Status {
    /// When it last came up or went down.
    pub(super) changed: Timestamp,
    /// When it last became ready, or `finish` ended.
    pub(super) ready: Timestamp,
    process: u32,
    /// How its last process ended; 0 before the first has.
    pub(super) wait_status: u16,
    flags: u8,
}

impl Status {
    const PAUSED: u8 = 1;
    const FINISHING: u8 = 2;
    const WANTED_UP: u8 = 4;
    const READY: u8 = 8;

    pub(super) fn parse(content: &[u8], path: &Path) -> Result<Status, S6Error> {
        let length = content.len();
        let Some((_, wait_status)) = LENGTHS.into_iter().find(|(known, _)| *known == length) else {
            return Err(S6Error::Length { path: path.to_owned(), length });
        };
        let status = || {
            Some(Status {
                changed: tai64n(at(content, 0)?)?,
                ready: tai64n(at(content, 12)?)?,
                process: u32::try_from(u64::from_be_bytes(at(content, 24)?)).ok()?,
                wait_status: u16::from_be_bytes(at(content, wait_status)?),
                flags: *content.get(wait_status + 2)?,
            })
        };
        status().ok_or_else(|| S6Error::Content { path: path.to_owned() })
    }

    fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(super) fn is_wanted_up(&self) -> bool {
        self.has(Status::WANTED_UP)
    }

    /// The process, where the service is up. While `finish` runs, it is the one that is told of.
    pub(super) fn run(&self) -> Option<Run> {
        (self.process != 0 && !self.has(Status::FINISHING)).then(|| Run {
            process: self.process,
            readiness: if self.has(Status::READY) { Readiness::Ready } else { Readiness::Unsaid },
            is_paused: self.has(Status::PAUSED),
            is_wanted_up: self.is_wanted_up(),
        })
    }
}

/// The records of a tally, the newest last. One that is not whole is left out.
pub(super) fn tally(content: &[u8]) -> Vec<[u8; DEATH]> {
    let (records, _) = content.as_chunks::<DEATH>();
    records.iter().skip(records.len().saturating_sub(MOST_DEATHS)).copied().collect()
}

impl Death {
    pub(super) fn of(record: &[u8; DEATH]) -> Death {
        let [.., exit_code, signal] = *record;
        Death {
            at: at(record, 0).and_then(tai64n),
            cause: if signal == 0 { Cause::Exit(exit_code) } else { Cause::Signal(signal) },
        }
    }
}

/// The `N` bytes from `place` on.
fn at<const N: usize>(content: &[u8], place: usize) -> Option<[u8; N]> {
    content.get(place..)?.first_chunk().copied()
}

/// The moment of a TAI64N label: 8 bytes of seconds and 4 of nanoseconds.
fn tai64n(label: [u8; 12]) -> Option<Timestamp> {
    let seconds = u64::from_be_bytes(at(&label, 0)?).checked_sub(EPOCH)?;
    let nanoseconds = u32::from_be_bytes(at(&label, 8)?);
    (nanoseconds < 1_000_000_000).then_some(())?;
    Timestamp::from_seconds(seconds as f64 + f64::from(nanoseconds) / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(content: &[u8]) -> Result<Status, S6Error> {
        Status::parse(content, Path::new("status"))
    }

    #[test]
    fn a_label_is_a_moment_of_utc() {
        // From the recorded status whose file has the time 1795164942.
        let label = [0x40, 0, 0, 0, 0x6b, 0, 0x0b, 0x33, 0x23, 0x20, 0xa9, 0x6d];
        assert_eq!(tai64n(label).unwrap().seconds(), 1_795_164_942.589_343);
        assert_eq!(tai64n([0; 12]), None);
        assert_eq!(tai64n([0xff; 12]), None);
    }

    #[test]
    fn another_length_is_named_and_zeroes_are_no_status() {
        for length in [0, 34, 36, 42, 44, 4096] {
            assert!(matches!(parse(&vec![1; length]), Err(S6Error::Length { length: named, .. }) if named == length));
        }
        for length in [35, 43] {
            assert!(matches!(parse(&vec![0; length]), Err(S6Error::Content { .. })));
        }
    }

    #[test]
    fn a_tally_without_an_end_is_cut_to_its_newest() {
        let mut content: Vec<u8> =
            (0..5000_u32).flat_map(|death| [[0; 10].as_slice(), &death.to_be_bytes()].concat()).collect();
        content.extend([9; 13]);
        let tally = tally(&content);
        assert_eq!(tally.len(), MOST_DEATHS);
        assert_eq!(tally.last().unwrap()[10..], 4999_u32.to_be_bytes());
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(content in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = parse(&content);
            for record in tally(&content) {
                Death::of(&record);
            }
        }

        #[test]
        fn every_status_of_the_right_length_is_read_or_refused(
            content in prop_oneof![prop::collection::vec(any::<u8>(), 35), prop::collection::vec(any::<u8>(), 43)],
            seconds in 0..u64::from(u32::MAX),
        ) {
            let mut content = content;
            content[0..8].copy_from_slice(&(EPOCH + 1 + seconds).to_be_bytes());
            content[12..20].copy_from_slice(&(EPOCH + 1 + seconds).to_be_bytes());
            if let Ok(status) = parse(&content) {
                prop_assert_eq!(status.run().is_some(), status.process != 0 && status.flags & 2 == 0);
                Cause::of(status.wait_status);
            }
        }
    }
}
