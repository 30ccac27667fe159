//! From evidence to a verdict: is the gateway up, and in which state is it.
//!
//! | the file says | process | heartbeat | verdict |
//! |---|---|---|---|
//! | at work (starting to stopping) | there | fresh | up, in that state |
//! | at work | there | stale, or the process is stopped by a signal | not up, frozen |
//! | running, degraded or other | there | never one | up: a Hermes without heartbeats |
//! | starting | there | none yet | not up yet, starting |
//! | stopped, startup_failed or nothing | there | | as if it said starting: a start has not written its state yet |
//! | stopped, startup_failed | gone | | not up, in that state |
//! | draining, stopping | gone | | not up, stopped |
//! | anything else | gone | | not up: stopped where it left its mark of a shutdown in order, else crashed |
//! | anything | can not be told | | unknown |
//! | anything | there | from the future, or damaged | unknown |

use super::process::Liveness;
use super::records::{Heartbeat, RecordedState};
use crate::exporter::collect::Look;
use crate::exporter::snapshot::gateway::GatewayState;
use crate::exporter::snapshot::{Reading, Reason};
use crate::system::processes::Activity;

/// Everything that is known of the gateway.
#[derive(Debug)]
pub(super) struct Evidence<'a> {
    pub(super) recorded: Reading<RecordedState>,
    pub(super) liveness: &'a Liveness,
    pub(super) pulse: Pulse,
    pub(super) was_stopped_in_order: bool,
}

/// What the heartbeat tells of this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pulse {
    /// It beat lately.
    Fresh,
    /// It beat, and not lately.
    Stale,
    /// The last beat is a predecessor's, and its own is overdue.
    Former,
    /// There is none: this Hermes writes none, or has not begun.
    None,
    /// The file does not tell.
    Unknown(Reason),
}

impl Pulse {
    pub(super) fn of(beat: &Heartbeat, liveness: &Liveness, look: &Look<'_>) -> Pulse {
        let limit = look.instance.thresholds.gateway_heartbeat_seconds();
        if let Liveness::Alive(process) = liveness {
            let age = process.age().as_secs_f64();
            // Clocks of processes and of files differ by a tick.
            if look.now.seconds_since(beat.at) > age + 1.0 {
                // Beaten before this process was started. One that is young may not have begun yet.
                return if age <= limit { Pulse::None } else { Pulse::Former };
            }
        }
        match look.now.seconds_since(beat.at) {
            // A clock was set: nothing can be told from a beat that lies ahead.
            age if age < -limit => Pulse::Unknown(Reason::Stale),
            age if age <= limit => Pulse::Fresh,
            _ => Pulse::Stale,
        }
    }
}

/// What is concluded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Verdict {
    pub(super) up: Reading<bool>,
    pub(super) state: Reading<GatewayState>,
}

impl Verdict {
    fn known(up: bool, state: GatewayState) -> Verdict {
        Verdict { up: Reading::Known(up), state: Reading::Known(state) }
    }

    fn unknown(reason: Reason) -> Verdict {
        Verdict { up: Reading::Unknown(reason), state: Reading::Unknown(reason) }
    }
}

pub(super) fn judge(evidence: &Evidence<'_>) -> Verdict {
    match evidence.liveness {
        Liveness::Unknown(reason) => Verdict::unknown(*reason),
        Liveness::Dead => dead(evidence),
        Liveness::Alive(process) => alive(evidence, process.activity),
        Liveness::Elsewhere => alive(evidence, Activity::Scheduled),
    }
}

fn dead(evidence: &Evidence<'_>) -> Verdict {
    let state = match evidence.recorded {
        // Without a process it is down, whatever it did last.
        Reading::Unknown(reason) => {
            return Verdict { up: Reading::Known(false), state: Reading::Unknown(reason) };
        }
        Reading::Known(RecordedState::Stopped | RecordedState::Draining | RecordedState::Stopping) => {
            GatewayState::Stopped
        }
        Reading::Known(RecordedState::StartupFailed) => GatewayState::StartupFailed,
        _ if evidence.was_stopped_in_order => GatewayState::Stopped,
        Reading::Known(_) | Reading::Absent => GatewayState::Crashed,
    };
    Verdict::known(false, state)
}

fn alive(evidence: &Evidence<'_>, activity: Activity) -> Verdict {
    if activity == Activity::Stopped {
        return Verdict::known(false, GatewayState::Frozen);
    }
    let state = match evidence.recorded {
        Reading::Unknown(reason) => Reading::Unknown(reason),
        Reading::Known(RecordedState::Running) => Reading::Known(GatewayState::Running),
        Reading::Known(RecordedState::Degraded) => Reading::Known(GatewayState::Degraded),
        Reading::Known(RecordedState::Draining) => Reading::Known(GatewayState::Draining),
        Reading::Known(RecordedState::Stopping) => Reading::Known(GatewayState::Stopping),
        Reading::Known(RecordedState::Other) => Reading::Known(GatewayState::Other),
        Reading::Known(RecordedState::Starting | RecordedState::Stopped | RecordedState::StartupFailed)
        | Reading::Absent => Reading::Known(GatewayState::Starting),
    };
    let is_starting = state == Reading::Known(GatewayState::Starting);
    match evidence.pulse {
        Pulse::Fresh => Verdict { up: Reading::Known(true), state },
        Pulse::Stale if is_starting => Verdict::known(false, GatewayState::Starting),
        Pulse::Stale => Verdict::known(false, GatewayState::Frozen),
        Pulse::None | Pulse::Former if is_starting => Verdict::known(false, GatewayState::Starting),
        Pulse::None => Verdict { up: Reading::Known(true), state },
        // It has come up, and its loop has never beaten since its predecessor's.
        Pulse::Former => Verdict::known(false, GatewayState::Frozen),
        Pulse::Unknown(reason) => Verdict::unknown(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::processes;
    use RecordedState::*;

    fn living() -> Liveness {
        Liveness::Alive(processes::find(std::process::id()).unwrap().unwrap())
    }

    fn stopped() -> Liveness {
        match living() {
            Liveness::Alive(mut process) => {
                process.activity = Activity::Stopped;
                Liveness::Alive(process)
            }
            other => other,
        }
    }

    fn verdict(
        recorded: Reading<RecordedState>,
        liveness: &Liveness,
        pulse: Pulse,
        in_order: bool,
    ) -> (Reading<bool>, Reading<GatewayState>) {
        let verdict = judge(&Evidence { recorded, liveness, pulse, was_stopped_in_order: in_order });
        (verdict.up, verdict.state)
    }

    fn known(up: bool, state: GatewayState) -> (Reading<bool>, Reading<GatewayState>) {
        (Reading::Known(up), Reading::Known(state))
    }

    #[test]
    fn a_living_gateway_with_a_fresh_heartbeat_is_up_in_its_own_state() {
        for (recorded, state) in [
            (Running, GatewayState::Running),
            (Degraded, GatewayState::Degraded),
            (Draining, GatewayState::Draining),
            (Stopping, GatewayState::Stopping),
            (Starting, GatewayState::Starting),
            (Other, GatewayState::Other),
            // The new process has not written its state yet.
            (Stopped, GatewayState::Starting),
            (StartupFailed, GatewayState::Starting),
        ] {
            assert_eq!(verdict(Reading::Known(recorded), &living(), Pulse::Fresh, false), known(true, state));
        }
    }

    #[test]
    fn a_living_gateway_without_a_pulse_is_frozen() {
        for recorded in [Running, Degraded, Draining, Stopping, Other] {
            assert_eq!(
                verdict(Reading::Known(recorded), &living(), Pulse::Stale, false),
                known(false, GatewayState::Frozen)
            );
        }
        assert_eq!(
            verdict(Reading::Known(Running), &stopped(), Pulse::Fresh, false),
            known(false, GatewayState::Frozen)
        );
        assert_eq!(
            verdict(Reading::Known(Running), &living(), Pulse::Former, false),
            known(false, GatewayState::Frozen)
        );
    }

    #[test]
    fn a_start_is_not_up_until_its_heart_beats() {
        for pulse in [Pulse::None, Pulse::Former, Pulse::Stale] {
            for recorded in [Reading::Known(Starting), Reading::Known(Stopped), Reading::Absent] {
                assert_eq!(verdict(recorded, &living(), pulse, true), known(false, GatewayState::Starting));
            }
        }
    }

    #[test]
    fn a_hermes_that_writes_no_heartbeat_is_believed() {
        assert_eq!(verdict(Reading::Known(Running), &living(), Pulse::None, false), known(true, GatewayState::Running));
    }

    #[test]
    fn a_dead_gateway_ended_in_order_or_crashed() {
        for (recorded, in_order, state) in [
            (Reading::Known(Running), false, GatewayState::Crashed),
            (Reading::Known(Degraded), false, GatewayState::Crashed),
            (Reading::Known(Starting), false, GatewayState::Crashed),
            (Reading::Absent, false, GatewayState::Crashed),
            // SIGTERM from a supervisor: the file goes on saying running.
            (Reading::Known(Running), true, GatewayState::Stopped),
            (Reading::Known(Draining), false, GatewayState::Stopped),
            (Reading::Known(Stopped), false, GatewayState::Stopped),
            (Reading::Known(StartupFailed), false, GatewayState::StartupFailed),
        ] {
            for pulse in [Pulse::Fresh, Pulse::Stale, Pulse::None] {
                assert_eq!(verdict(recorded, &Liveness::Dead, pulse, in_order), known(false, state));
            }
        }
    }

    #[test]
    fn unknown_is_never_down() {
        let refused = Liveness::Unknown(Reason::Permission);
        let unknown = (Reading::Unknown(Reason::Permission), Reading::Unknown(Reason::Permission));
        assert_eq!(verdict(Reading::Known(Running), &refused, Pulse::Stale, false), unknown);
        let skewed = verdict(Reading::Known(Running), &living(), Pulse::Unknown(Reason::Stale), false);
        assert_eq!(skewed, (Reading::Unknown(Reason::Stale), Reading::Unknown(Reason::Stale)));
        // A damaged state file hides the state, not that there is no process.
        let damaged = verdict(Reading::Unknown(Reason::Parse), &Liveness::Dead, Pulse::None, false);
        assert_eq!(damaged, (Reading::Known(false), Reading::Unknown(Reason::Parse)));
    }
}
