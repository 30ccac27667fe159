//! The gateway: is the process alive, does it make progress, and what does it say of itself.
//!
//! No single file tells. `gateway_state.json` goes on saying `running` and `connected` after a crash; its
//! `updated_at` stands still on a healthy idle gateway; `gateway.pid` is removed by other Hermes programs; a
//! stopped or blocked process passes every check of its id. So the state is judged from all of them together:
//! see [`judge`].
//!
//! What is not read here: the supervisor's own view (systemd, s6), and the gateway's HTTP endpoints.

mod judge;
mod process;
mod records;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use process::{GatewayProcesses, looks_like_gateway};

use super::problems::{Because, Problems};
use super::{Collector, Look, Part};
use crate::exporter::instance::Instance;
use crate::exporter::snapshot::gateway::{Gateway, GatewayProcess, Platform, PlatformState, Supervisor};
use crate::exporter::snapshot::{Label, Reading, Reason};
use crate::system::files::{self, Watched};
use crate::system::processes::Process;
use crate::system::time::Timestamp;
use judge::{Evidence, Pulse, Verdict};
use process::{Liveness, LockWatch};
use records::{Heartbeat, Life, ProcessRecord, StateRecord};

const STATE: &str = "gateway_state.json";
const PID: &str = "gateway.pid";
const HEARTBEAT: &str = "state/gateway.heartbeat";
const STARTS: &str = "gateway-starts.log";
const LOCK: &str = "gateway.lock";
const CLEAN_SHUTDOWN: &str = ".clean_shutdown";

/// The most platforms of one gateway that are shown.
const MOST_PLATFORMS: usize = 100;

/// Looks at the gateway of one instance.
#[derive(Debug)]
pub struct GatewayCollector {
    state: Watched<StateRecord>,
    pid: Watched<ProcessRecord>,
    heartbeat: Watched<Heartbeat>,
    starts: Watched<Vec<Timestamp>>,
    start_counter: StartCounter,
    lock: LockWatch,
    pulse_watch: PulseWatch,
}

impl GatewayCollector {
    /// A collector for this instance.
    pub fn new(instance: &Instance) -> Self {
        GatewayCollector {
            state: Watched::new(instance.path(STATE)),
            pid: Watched::new(instance.path(PID)),
            heartbeat: Watched::new(instance.path(HEARTBEAT)),
            starts: Watched::new(instance.path(STARTS)),
            start_counter: StartCounter::default(),
            lock: LockWatch::default(),
            pulse_watch: PulseWatch::default(),
        }
    }

    fn gateway(&mut self, look: &Look<'_>, problems: &mut Problems) -> Reading<Arc<Gateway>> {
        let state = problems.reading(STATE, self.state.get(records::parse_state));
        let pid = problems.reading(PID, self.pid.get(records::parse_process));
        let heartbeat = problems.reading(HEARTBEAT, self.heartbeat.get(records::parse_heartbeat));
        let starts = problems.reading(STARTS, self.starts.get(records::parse_starts));
        let starts = starts.map(|starts| self.start_counter.count(starts));
        let serving = look.gateways.of_home(&look.instance.home);
        let nothing_was_ever_here = matches!(
            (&state, &pid, &heartbeat, &starts),
            (Reading::Absent, Reading::Absent, Reading::Absent, Reading::Absent)
        );
        if nothing_was_ever_here && serving.as_ref().is_ok_and(|serving| serving.is_empty()) {
            return Reading::Absent;
        }
        if let Err(reason) = &serving {
            problems.note("processes", *reason);
        }

        let claims = [pid.known().map(|record| **record), state.known().and_then(|state| state.process)];
        let beat = heartbeat.known().copied();
        let limit = look.instance.thresholds.gateway_heartbeat_seconds;
        let fresh_beat = beat.map(|beat| beat.at).filter(|at| look.now.seconds_since(*at) <= limit);
        let visible = process::liveness(look, &claims, &mut self.lock, fresh_beat, &serving);
        let liveness = self.pulse_watch.see(visible, beat, look.now, limit);
        if let Liveness::Unknown(reason) = liveness {
            problems.note("process", reason);
        }
        let was_stopped_in_order = match files::stamp(&look.instance.path(CLEAN_SHUTDOWN)) {
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
        let Verdict { up, state: judged } = judge::judge(&evidence);
        if let Reading::Unknown(reason) = up {
            problems.note("gateway", reason);
        }

        let is_there = liveness.is_there();
        // What a dead gateway wrote of its work is what once was, and so is what its predecessor wrote.
        let reading_of_state = || match &state {
            Reading::Known(state) if is_there && !liveness.is_another_than(state.process) => Reading::Known(*state),
            Reading::Unknown(reason) if is_there => Reading::Unknown(*reason),
            _ => Reading::Absent,
        };
        let makes_progress = matches!(up, Reading::Known(true));
        let process = match &liveness {
            Liveness::Alive(process) => Reading::Known(process),
            Liveness::Unknown(reason) => Reading::Unknown(*reason),
            Liveness::Dead | Liveness::Elsewhere => Reading::Absent,
        };
        let usage = process.map(Process::usage);
        if usage.known().is_some_and(|usage| usage.open_fds.is_none()) {
            problems.note("open files", Reason::Permission);
        }
        Reading::Known(Arc::new(Gateway {
            up,
            state: judged,
            start_time: usage.and_then(|usage| usage.start_time.into()),
            heartbeat: heartbeat.map(|beat| beat.at),
            active_agents: reading_of_state().and_then(|state| state.active_agents.into()),
            restart_requested: reading_of_state().and_then(|state| state.restart_requested.into()),
            starts,
            processes: serving.map_or_else(Reading::Unknown, |serving| Reading::Known(serving.len() as u64)),
            process: usage.map(|usage| GatewayProcess {
                memory_bytes: usage.memory_bytes,
                cpu_seconds: usage.cpu_seconds,
                open_fds: usage.open_fds.map_or(Reading::Unknown(Reason::Permission), Reading::Known),
                threads: usage.threads,
            }),
            supervisor: process.map(supervisor),
            platforms: if makes_progress { reading_of_state().map(platforms) } else { Reading::Absent },
        }))
    }
}

impl Collector for GatewayCollector {
    fn collect(&mut self, look: &Look<'_>, problems: &mut Problems) -> Part {
        Part::Gateway(self.gateway(look, problems))
    }
}

fn supervisor(process: &Process) -> Supervisor {
    if process.parent_name().as_deref() == Some("s6-supervise") {
        Supervisor::S6
    } else if process.is_in_systemd_service() {
        Supervisor::Systemd
    } else {
        Supervisor::None
    }
}

fn platforms(state: &StateRecord) -> BTreeMap<Label, Platform> {
    let platform = |(name, record): (&String, &records::PlatformRecord)| {
        let state = match record.state.as_deref() {
            Some("connecting") => PlatformState::Connecting,
            Some("connected") => PlatformState::Connected,
            Some("retrying") => PlatformState::Retrying,
            Some("paused") => PlatformState::Paused,
            Some("disconnected") => PlatformState::Disconnected,
            Some("fatal") => PlatformState::Fatal,
            _ => PlatformState::Other,
        };
        (Label::new(name), Platform { state, error_code: record.error_code.as_deref().map(Label::new) })
    };
    state.platforms.iter().take(MOST_PLATFORMS).map(platform).collect()
}

/// Tells a gateway that is dead from one whose process is not visible: the heart of the latter beats on.
///
/// A gateway that was started and ended between two looks has left a new heartbeat too. So it takes a second beat
/// of the same life, after the look that has found no process.
#[derive(Debug, Default)]
struct PulseWatch {
    missed: Option<Missed>,
}

/// A life whose process was not to be seen.
#[derive(Debug, Clone, Copy)]
struct Missed {
    life: Life,
    /// When that was found.
    at: Timestamp,
}

impl PulseWatch {
    fn see(&mut self, visible: Liveness, beat: Option<&Heartbeat>, now: Timestamp, limit: f64) -> Liveness {
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

/// Counts starts from a log that keeps only the newest: the count goes on when old lines are dropped.
#[derive(Debug, Default)]
struct StartCounter {
    counted: u64,
    last: Option<Timestamp>,
}

impl StartCounter {
    fn count(&mut self, starts: &[Timestamp]) -> u64 {
        // By its place in the log, not by its time: clocks are set.
        let known = starts.iter().rposition(|start| Some(*start) == self.last).map_or(0, |place| place + 1);
        self.counted += (starts.len() - known) as u64;
        self.last = starts.last().copied().or(self.last);
        self.counted
    }
}

#[cfg(test)]
mod tests {
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
        let mut see = |visible, pid, beaten, now| watch.see(visible, Some(&beat(pid, beaten)), at(now), 90.0);
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

    #[test]
    fn starts_go_on_counting_when_the_log_drops_its_oldest_lines() {
        let mut counter = StartCounter::default();
        let mut count = |starts: &[f64]| {
            counter.count(&starts.iter().filter_map(|start| Timestamp::from_seconds(*start)).collect::<Vec<_>>())
        };
        assert_eq!(count(&[100.0, 200.0]), 2);
        assert_eq!(count(&[100.0, 200.0, 300.0]), 3);
        assert_eq!(count(&[200.0, 300.0, 400.0]), 4);
        assert_eq!(count(&[]), 4);
        // A clock that was set back.
        assert_eq!(count(&[300.0, 400.0, 50.0]), 5);
        assert_eq!(count(&[400.0, 50.0, 60.0]), 6);
    }
}
