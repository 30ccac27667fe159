//! What is seen of the gateway that a home calls its own: the files it writes there, and its process.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::judge::{self, Evidence, Pulse, Verdict};
use super::process::{self, Liveness, LockWatch};
use super::pulse::PulseWatch;
use super::records::{self, Heartbeat, ProcessRecord, StateRecord};
use super::starts::{self, StartCounter};
use crate::exporter::collect::Look;
use crate::exporter::collect::problems::{Because, Problems};
use crate::exporter::snapshot::{Reading, Reason};
use crate::system::files::{self, Watched};
use crate::system::processes::Process;
use crate::system::time::Timestamp;

const STATE: &str = "gateway_state.json";
const PID: &str = "gateway.pid";
const HEARTBEAT: &str = "state/gateway.heartbeat";
const STARTS: &str = "gateway-starts.log";
const LOCK: &str = "gateway.lock";
const CLEAN_SHUTDOWN: &str = ".clean_shutdown";

/// Looks at the gateway of one home again and again.
#[derive(Debug)]
pub(super) struct HomeWatch {
    home: PathBuf,
    state: Watched<StateRecord>,
    pid: Watched<ProcessRecord>,
    heartbeat: Watched<Heartbeat>,
    starts: Watched<Vec<Timestamp>>,
    start_counter: StartCounter,
    lock: LockWatch,
    pulse_watch: PulseWatch,
}

/// What goes to the next process: what its files do not say at any moment.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Remembered {
    starts: StartCounter,
    pulse: PulseWatch,
}

/// What was seen in one look.
#[derive(Debug)]
pub(super) struct Sight<'a> {
    /// What its file says, whoever wrote it.
    pub(super) state: Reading<&'a StateRecord>,
    pub(super) heartbeat: Reading<Heartbeat>,
    /// Starts counted so far.
    pub(super) starts: Reading<u64>,
    pub(super) recent_starts: Reading<u64>,
    /// The living gateway processes that serve this home.
    pub(super) serving: Result<Vec<Process>, Reason>,
    pub(super) liveness: Liveness,
    pub(super) verdict: Verdict,
    /// Since when it is not up.
    pub(super) down_since: Reading<Timestamp>,
    /// Whether a gateway has ever left anything in the home.
    has_left_something: bool,
}

impl<'a> Sight<'a> {
    /// What the file says, where it was written by the gateway that lives. What a dead gateway wrote of its work is what
    /// once was, and so is what its predecessor wrote.
    pub(super) fn living_state(&self) -> Reading<&'a StateRecord> {
        if !self.liveness.is_there() {
            return Reading::Absent;
        }
        self.state.and_then(|state| {
            let is_its_own = !self.liveness.is_another_than(state.process);
            is_its_own.then_some(state).into()
        })
    }

    /// Whether there is no gateway, and never was one.
    pub(super) fn is_nothing(&self) -> bool {
        !self.has_left_something && self.serving.as_ref().is_ok_and(|serving| serving.is_empty())
    }

    /// The processes that serve the home, and the one that its files speak of, which a search need not find.
    pub(super) fn processes(&self) -> Result<Vec<Process>, Reason> {
        let mut processes = self.serving.clone()?;
        if let Liveness::Alive(process) = &self.liveness
            && processes.iter().all(|other| other.id != process.id)
        {
            processes.push(process.clone());
        }
        Ok(processes)
    }
}

impl HomeWatch {
    pub(super) fn new(home: PathBuf) -> Self {
        HomeWatch {
            state: Watched::new(home.join(STATE)),
            pid: Watched::new(home.join(PID)),
            heartbeat: Watched::new(home.join(HEARTBEAT)),
            starts: Watched::new(home.join(STARTS)),
            start_counter: StartCounter::default(),
            lock: LockWatch::new(home.join(LOCK)),
            pulse_watch: PulseWatch::default(),
            home,
        }
    }

    pub(super) fn recall(&mut self, Remembered { starts, pulse }: Remembered) -> Result<(), serde_json::Error> {
        starts.assert()?;
        (self.start_counter, self.pulse_watch) = (starts, pulse);
        Ok(())
    }

    pub(super) fn remember(&self) -> Remembered {
        Remembered { starts: self.start_counter, pulse: self.pulse_watch }
    }

    /// Looks, and judges what is seen.
    pub(super) fn see(&mut self, look: &Look<'_>, problems: &mut Problems) -> Sight<'_> {
        let state = problems.reading(STATE, self.state.get(records::parse_state));
        let pid = problems.reading(PID, self.pid.get(records::parse_process)).map(|record| *record);
        let heartbeat = problems.reading(HEARTBEAT, self.heartbeat.get(records::parse_heartbeat)).map(|beat| *beat);
        let starts = problems.reading(STARTS, self.starts.get(records::parse_starts));
        let recent_starts = starts.map(|starts| starts::recent(starts, look.now));
        let starts = starts.map(|starts| self.start_counter.count(starts));
        let serving = look.gateways.of_home(&self.home, look.instance.user.as_deref());
        let has_left_something =
            !matches!((&pid, &heartbeat, &starts), (Reading::Absent, Reading::Absent, Reading::Absent))
                || match &state {
                    Reading::Known(state) => state.is_of_a_gateway,
                    Reading::Absent => false,
                    Reading::Unknown(_) => true,
                };
        if !has_left_something && serving.as_ref().is_ok_and(|serving| serving.is_empty()) {
            // Not looked for any further: there is nothing to tell it from.
            let verdict = Verdict { up: Reading::Absent, state: Reading::Absent };
            let liveness = Liveness::Dead;
            return Sight {
                state,
                heartbeat,
                starts,
                recent_starts,
                serving,
                liveness,
                verdict,
                down_since: Reading::Absent,
                has_left_something,
            };
        }
        if let Err(reason) = &serving {
            problems.note("processes", *reason);
        }

        let claims = [pid.known().copied(), state.known().and_then(|state| state.process)];
        let beat = heartbeat.known();
        let limit = look.instance.thresholds.gateway_heartbeat_seconds();
        let fresh_beat = beat.map(|beat| beat.at).filter(|at| look.now.seconds_since(*at) <= limit);
        let visible = process::liveness(look, &claims, &mut self.lock, fresh_beat, &serving);
        let liveness = self.pulse_watch.see(visible, beat, look.now, limit);
        if let Liveness::Unknown(reason) = liveness {
            problems.note("process", reason);
        }
        let was_stopped_in_order = match files::stamp(&self.home.join(CLEAN_SHUTDOWN)) {
            Ok(marker) => marker.is_some(),
            Err(error) => {
                problems.note(CLEAN_SHUTDOWN, error.reason());
                false
            }
        };
        let evidence = Evidence {
            recorded: match &state {
                Reading::Known(state) if liveness.is_another_than(state.process) => Reading::Absent,
                Reading::Known(state) => Reading::Known(state.state),
                Reading::Absent => Reading::Absent,
                Reading::Unknown(reason) => Reading::Unknown(*reason),
            },
            liveness: &liveness,
            pulse: match &heartbeat {
                Reading::Known(beat) => Pulse::of(beat, &liveness, look),
                Reading::Absent => Pulse::None,
                Reading::Unknown(reason) => Pulse::Unknown(*reason),
            },
            was_stopped_in_order,
        };
        let verdict = judge::judge(&evidence);
        if let Reading::Unknown(reason) = verdict.up {
            problems.note("gateway", reason);
        }
        let down_since = match verdict.up {
            Reading::Known(false) => {
                let signs = [
                    heartbeat.known().map(|beat| beat.at),
                    state.known().filter(|state| state.is_of_a_gateway).and_then(|state| state.written),
                    match &liveness {
                        Liveness::Alive(process) => process.usage().start_time,
                        Liveness::Elsewhere | Liveness::Dead | Liveness::Unknown(_) => None,
                    },
                ];
                last_sign(signs, look.now).into()
            }
            _ => Reading::Absent,
        };
        Sight { state, heartbeat, starts, recent_starts, serving, liveness, verdict, down_since, has_left_something }
    }
}

/// The last that was seen of a gateway: it has been as it is since then. What lies ahead was written before the clock
/// was set back, and tells nothing.
fn last_sign(signs: impl IntoIterator<Item = Option<Timestamp>>, now: Timestamp) -> Option<Timestamp> {
    signs.into_iter().flatten().filter(|sign| *sign <= now).reduce(Timestamp::later)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_sign_of_a_gateway_is_the_latest_that_does_not_lie_ahead() {
        let at = |seconds: f64| Timestamp::from_seconds(seconds);
        let now = at(100.0).unwrap();
        assert_eq!(last_sign([at(50.0), at(70.0), None], now), at(70.0));
        assert_eq!(last_sign([at(50.0), at(170.0)], now), at(50.0));
        assert_eq!(last_sign([None, at(170.0)], now), None);
    }
}
