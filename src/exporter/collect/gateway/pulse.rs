//! Whether the heart of a gateway beats whose process is not visible.

use serde::{Deserialize, Serialize};

use super::process::Liveness;
use super::records::{Heartbeat, Life};
use crate::system::time::Timestamp;

/// Tells a gateway that is dead from one whose process is not visible: the heart of the latter beats on.
///
/// A gateway that was started and ended between two looks has left a new heartbeat too. So it takes a second beat
/// of the same life, after the look that has found no process.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct PulseWatch {
    missed: Option<Missed>,
}

/// A life whose process was not to be seen.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Missed {
    life: Life,
    /// When that was found.
    at: Timestamp,
}

impl PulseWatch {
    pub(super) fn see(&mut self, visible: Liveness, beat: Option<&Heartbeat>, now: Timestamp, limit: f64) -> Liveness {
        let Liveness::Dead = visible else {
            self.missed = None;
            return visible;
        };
        let Some(beat) = beat else {
            return Liveness::Dead;
        };
        match self.missed {
            Some(missed) if missed.life == beat.life => {
                let is_fresh = now.seconds_since(beat.at) <= limit;
                if beat.at > missed.at && is_fresh { Liveness::Elsewhere } else { Liveness::Dead }
            }
            _ => {
                self.missed = Some(Missed { life: beat.life, at: now });
                Liveness::Dead
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::records;
    use super::*;
    use crate::system::processes;

    #[test]
    fn a_second_beat_of_a_life_without_a_process_comes_from_elsewhere() {
        let at = |seconds| Timestamp::from_seconds(seconds).unwrap();
        let beat = |pid: u32, seconds: f64| {
            let text = format!(r#"{{"pid": {pid}, "start_time": 50, "updated_at": {seconds}}}"#);
            records::parse_heartbeat(text.as_bytes()).unwrap()
        };
        let mut watch = PulseWatch::default();
        let mut see = |visible, pid, beaten, now| {
            // Each time in another process.
            watch = serde_json::from_str(&serde_json::to_string(&watch).unwrap()).unwrap();
            watch.see(visible, Some(&beat(pid, beaten)), at(now), 90.0)
        };
        assert!(matches!(see(Liveness::Dead, 7, 100.0, 110.0), Liveness::Dead));
        assert!(matches!(see(Liveness::Dead, 7, 100.0, 125.0), Liveness::Dead), "it was beaten before");
        assert!(matches!(see(Liveness::Dead, 7, 130.0, 140.0), Liveness::Elsewhere));
        assert!(matches!(see(Liveness::Dead, 7, 130.0, 155.0), Liveness::Elsewhere));
        assert!(matches!(see(Liveness::Dead, 7, 130.0, 300.0), Liveness::Dead), "it has stopped beating");
        // Started and killed between two looks, again and again: each life beats once.
        for (pid, beaten) in [(8, 310.0), (9, 340.0), (10, 370.0)] {
            assert!(matches!(see(Liveness::Dead, pid, beaten, beaten + 5.0), Liveness::Dead));
        }
        // One that was seen alive and is killed has left its last beat behind.
        let alive = || Liveness::Alive(processes::find(std::process::id()).unwrap().unwrap());
        assert!(matches!(see(alive(), 11, 400.0, 401.0), Liveness::Alive(_)));
        assert!(matches!(see(Liveness::Dead, 11, 430.0, 431.0), Liveness::Dead));
        assert!(matches!(see(Liveness::Dead, 11, 430.0, 445.0), Liveness::Dead));
    }
}
