//! The gateway: is the process alive, does it make progress, and what does it say of itself.
//!
//! No single file tells. `gateway_state.json` goes on saying `running` and `connected` after a crash; its
//! `updated_at` stands still on a healthy idle gateway; `gateway.pid` is removed by other Hermes programs; a
//! stopped or blocked process passes every check of its id. So the state is judged from all of them together:
//! see [`judge`].
//!
//! A profile may be served by the gateway of its root home, and then has none of its own: see [`multiplexing`].
//!
//! * [`watch`]: what is seen of the gateway of one home; from [`records`], [`process`], [`pulse`] and [`starts`].
//! * [`units`]: which supervisor runs a gateway process.
//! * [`boot`]: what the container did with it when it was started.
//!
//! What is not read here: the supervisor's own view (systemd, s6), and the gateway's HTTP endpoints.

mod boot;
mod judge;
mod multiplexing;
#[cfg(test)]
mod pretender;
mod process;
mod pulse;
mod records;
mod starts;
mod units;
mod watch;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use process::GatewayProcesses;

use serde_json::Value;

use super::memory;
use super::problems::Problems;
use super::{Collector, Look, Part};
use crate::exporter::instance::Instance;
use crate::exporter::snapshot::gateway::{Gateway, GatewayProcess, Platform, PlatformState, UnitProcesses};
use crate::exporter::snapshot::{Label, Reading, Reason};
use crate::system::processes::Process;
use boot::{BOOT_LOG, BootLog};
use multiplexing::Multiplexing;
use process::Liveness;
use records::PlatformRecord;
use watch::{HomeWatch, Sight};

/// The most platforms of one gateway that are shown.
const MOST_PLATFORMS: usize = 100;

/// The profile whose home is the root.
const ROOT_PROFILE: &str = "default";

/// Looks at the gateway of one instance.
#[derive(Debug)]
pub struct GatewayCollector {
    own: HomeWatch,
    /// The gateway of the root home, where this home is a profile of it.
    root: Option<HomeWatch>,
    multiplexing: Multiplexing,
    boot: BootLog,
}

impl GatewayCollector {
    /// A collector for this instance.
    pub fn new(instance: &Instance) -> Self {
        let root_home = instance.root_home().unwrap_or(&instance.home);
        GatewayCollector {
            own: HomeWatch::new(instance.home.clone()),
            root: instance.root_home().map(|home| HomeWatch::new(home.to_owned())),
            multiplexing: Multiplexing::new(root_home),
            boot: BootLog::new(root_home, instance.profile()),
        }
    }

    fn gateway(&mut self, look: &Look<'_>, problems: &mut Problems) -> Reading<Arc<Gateway>> {
        let container_boot = problems.reading(BOOT_LOG, self.boot.read());
        let mut own_problems = Problems::default();
        let own = self.own.see(look, &mut own_problems);
        let Some(root) = &mut self.root else {
            let served_profiles = self.multiplexing.served_profiles(&own).map(|profiles| profiles.len() as u64);
            problems.include(own_problems);
            let gateway = shown(&own, container_boot.known().is_some(), problems);
            return gateway.map(|gateway| Arc::new(Gateway { served_profiles, container_boot, ..gateway }));
        };

        let mut root_problems = Problems::default();
        let root = root.see(look, &mut root_problems);
        let profile = look.instance.profile();
        let serves_this = |profiles: &[String]| profiles.iter().any(|served| served == profile);
        let is_served = self.multiplexing.served_profiles(&root).map(serves_this);
        let gateway = match is_served {
            Reading::Known(true) if !own.liveness.is_there() => {
                // Whatever an earlier gateway of its own has left here is history.
                problems.include(root_problems.of("root home"));
                shown_as_served(&root, profile, problems)
            }
            Reading::Known(true) => {
                // Somebody has forced a gateway of its own upon it, and now two serve it.
                problems.include(own_problems);
                let (processes, unit_processes) = processes(&[&own, &root], problems);
                let served_by = Reading::Known(Label::new(ROOT_PROFILE));
                shown(&own, true, problems).map(|gateway| Gateway { served_by, processes, unit_processes, ..gateway })
            }
            Reading::Unknown(reason) if !own.liveness.is_there() => {
                problems.include(root_problems.of("root home"));
                problems.note("served profiles", reason);
                Reading::Unknown(reason)
            }
            _ => {
                problems.include(own_problems);
                shown(&own, container_boot.known().is_some(), problems)
            }
        };
        gateway.map(|gateway| Arc::new(Gateway { container_boot, ..gateway }))
    }
}

impl Collector for GatewayCollector {
    fn collect(&mut self, look: &Look<'_>, problems: &mut Problems) -> Part {
        Part::Gateway(self.gateway(look, problems))
    }

    fn recall(&mut self, memory: Option<Value>) -> Result<(), serde_json::Error> {
        let Some(memory) = memory else { return Ok(()) };
        let (own, root): (_, Option<watch::Remembered>) = memory::believe(memory)?;
        self.own.recall(own)?;
        match (&mut self.root, root) {
            (Some(watch), Some(root)) => watch.recall(root),
            _ => Ok(()),
        }
    }

    fn remember(&self) -> Option<Value> {
        memory::keep(&(self.own.remember(), self.root.as_ref().map(HomeWatch::remember)))
    }
}

/// The gateway of a home as it was seen; absent where there is no trace of one, unless it is to be shown all the same.
fn shown(seen: &Sight<'_>, in_any_case: bool, problems: &mut Problems) -> Reading<Gateway> {
    if seen.is_nothing() && !in_any_case {
        return Reading::Absent;
    }
    let state = seen.living_state();
    let process = match &seen.liveness {
        Liveness::Alive(process) => Reading::Known(process),
        Liveness::Unknown(reason) => Reading::Unknown(*reason),
        Liveness::Dead | Liveness::Elsewhere => Reading::Absent,
    };
    let usage = process.map(Process::usage);
    if usage.known().is_some_and(|usage| usage.open_fds.is_none()) {
        problems.note("open files", Reason::Permission);
    }
    let (processes, unit_processes) = processes(&[seen], problems);
    Reading::Known(Gateway {
        up: seen.verdict.up,
        state: seen.verdict.state,
        state_since: seen.down_since,
        start_time: usage.and_then(|usage| usage.start_time.into()),
        heartbeat: seen.heartbeat.map(|beat| beat.at),
        active_agents: state.and_then(|state| state.active_agents.into()),
        restart_requested: state.and_then(|state| state.restart_requested.into()),
        starts: seen.starts,
        recent_starts: seen.recent_starts,
        processes,
        unit_processes,
        process: usage.map(|usage| GatewayProcess {
            memory_bytes: usage.memory_bytes,
            cpu_seconds: usage.cpu_seconds,
            open_fds: usage.open_fds.map_or(Reading::Unknown(Reason::Permission), Reading::Known),
            threads: usage.threads,
        }),
        supervisor: process.map(units::supervisor),
        platforms: platforms(seen, |key| Some(Label::new(key))),
        ..Gateway::default()
    })
}

/// The gateway of the root home as one of the profiles that it serves has it. What the process uses is left to the root's
/// own instance, so that a sum over all instances is right.
fn shown_as_served(root: &Sight<'_>, profile: &str, problems: &mut Problems) -> Reading<Gateway> {
    let gateway = shown(root, true, problems);
    gateway.map(|gateway| Gateway {
        served_by: Reading::Known(Label::new(ROOT_PROFILE)),
        process: Reading::Absent,
        platforms: platforms(root, |key| multiplexing::platform_of(profile, key)),
        ..gateway
    })
}

/// How many processes serve a home, and what runs them.
fn processes(seen: &[&Sight<'_>], problems: &mut Problems) -> (Reading<u64>, Reading<Vec<UnitProcesses>>) {
    let serving: Result<Vec<_>, Reason> =
        seen.iter().map(|seen| Ok(seen.serving.as_ref().map_err(|reason| *reason)?.len())).collect();
    let all: Result<Vec<_>, Reason> = seen.iter().map(|seen| seen.processes()).collect();
    (
        serving.map_or_else(Reading::Unknown, |counts| Reading::Known(counts.into_iter().sum::<usize>() as u64)),
        match all {
            Ok(all) => units::unit_processes(&all.concat(), problems),
            Err(reason) => Reading::Unknown(reason),
        },
    )
}

/// The platforms of a gateway that makes progress, by the name that each key of its file stands for.
fn platforms(seen: &Sight<'_>, name: impl Fn(&str) -> Option<Label>) -> Reading<BTreeMap<Label, Platform>> {
    if seen.verdict.up != Reading::Known(true) {
        return Reading::Absent;
    }
    seen.living_state().map(|state| {
        let named = state.platforms.iter().filter_map(|(key, record)| Some((name(key)?, platform(record))));
        named.take(MOST_PLATFORMS).collect()
    })
}

fn platform(record: &PlatformRecord) -> Platform {
    let state = match record.state.as_deref() {
        Some("connecting") => PlatformState::Connecting,
        Some("connected") => PlatformState::Connected,
        Some("retrying") => PlatformState::Retrying,
        Some("paused") => PlatformState::Paused,
        Some("disconnected") => PlatformState::Disconnected,
        Some("fatal") => PlatformState::Fatal,
        _ => PlatformState::Other,
    };
    Platform { state, error_code: record.error_code.as_deref().map(Label::word) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporter::collect::background::Background;
    use crate::exporter::collect::exposure::Sockets;
    use crate::exporter::collect::programs::HermesPrograms;
    use crate::exporter::instance::tests::instance_at;
    use crate::exporter::snapshot::Problem;
    use crate::exporter::snapshot::gateway::{GatewayState, Manager};
    use crate::system::time::Timestamp;
    use pretender::Pretender;
    use serde_json::json;
    use std::path::{Path, PathBuf};
    use std::time::{Duration, SystemTime};

    /// A root home with a profile called `coder`.
    struct Homes {
        folder: tempfile::TempDir,
    }

    const SWITCHED_ON: &str = "gateway: {multiplex_profiles: true}\n";

    impl Homes {
        /// Homes whose configuration was written long ago.
        fn with_config(config: &str) -> Homes {
            let homes = Homes { folder: tempfile::tempdir().unwrap() };
            std::fs::create_dir_all(homes.coder().join("state")).unwrap();
            std::fs::create_dir(homes.root().join("state")).unwrap();
            homes.write("config.yaml", config);
            let config = std::fs::File::options().write(true).open(homes.root().join("config.yaml")).unwrap();
            config.set_modified(SystemTime::now() - Duration::from_secs(3600)).unwrap();
            homes
        }

        fn root(&self) -> PathBuf {
            self.folder.path().to_owned()
        }

        fn coder(&self) -> PathBuf {
            self.folder.path().join("profiles/coder")
        }

        fn write(&self, name: &str, content: &str) {
            std::fs::write(self.root().join(name), content).unwrap();
        }

        /// What a gateway of the root home writes that serves `coder` too.
        fn write_state(&self, gateway: &Pretender) {
            let platforms = json!({
                "telegram": {"state": "connected"},
                "coder:discord": {"state": "retrying"},
                "other:slack": {"state": "fatal"},
            });
            let state = json!({
                "pid": gateway.id(), "start_time": gateway.start_ticks(), "gateway_state": "running", "active_agents": 2,
                "platforms": platforms, "served_profiles": ["default", "coder", "other"],
            });
            self.write("gateway_state.json", &state.to_string());
            let beat = json!({"pid": gateway.id(), "updated_at": Timestamp::now().seconds(), "start_time": 1});
            self.write("state/gateway.heartbeat", &beat.to_string());
        }

        /// What a gateway of its own has left behind in `coder` when it was killed.
        fn leave_a_crash_behind(&self) {
            let state = json!({"pid": 4_000_000, "start_time": 1, "gateway_state": "running"});
            std::fs::write(self.coder().join("gateway_state.json"), state.to_string()).unwrap();
            std::fs::write(self.coder().join("state/gateway.heartbeat"), "damaged").unwrap();
        }
    }

    fn see(home: &Path) -> (Reading<Arc<Gateway>>, Vec<Problem>) {
        let instance = instance_at(home);
        let programs = Arc::new(HermesPrograms::default());
        let gateways = GatewayProcesses::new(Arc::clone(&programs));
        let sockets = Sockets::default();
        let background = Background::inline();
        let look = Look {
            now: Timestamp::now(),
            instance: &instance,
            gateways: &gateways,
            programs: &programs,
            sockets: &sockets,
            background: &background,
        };
        let mut problems = Problems::default();
        let gateway = GatewayCollector::new(&instance).gateway(&look, &mut problems);
        (gateway, problems.into_sorted())
    }

    fn known(seen: (Reading<Arc<Gateway>>, Vec<Problem>)) -> Arc<Gateway> {
        assert_eq!(seen.1, []);
        seen.0.known().unwrap().clone()
    }

    #[test]
    fn a_served_profile_has_the_gateway_that_serves_it() {
        let homes = Homes::with_config(SWITCHED_ON);
        let gateway = Pretender::start(&homes.root());
        homes.write_state(&gateway);
        let starts = [3_600.0, 60.0, 30.0].map(|ago| format!("{}\n", Timestamp::now().seconds() - ago));
        homes.write("gateway-starts.log", &starts.concat());
        for has_left_something in [false, true] {
            if has_left_something {
                homes.leave_a_crash_behind();
            }
            let coder = known(see(&homes.coder()));
            assert_eq!(coder.up, Reading::Known(true));
            assert_eq!(coder.state, Reading::Known(GatewayState::Running));
            assert!(coder.heartbeat.known().is_some() && coder.start_time.known().is_some());
            assert_eq!(coder.active_agents, Reading::Known(2));
            assert_eq!(coder.state_since, Reading::Absent);
            assert_eq!((coder.starts, coder.recent_starts), (Reading::Known(3), Reading::Known(2)));
            assert_eq!(coder.served_by, Reading::Known(Label::new("default")));
            assert_eq!(coder.served_profiles, Reading::Absent);
            assert_eq!(coder.processes, Reading::Known(1));
            assert_eq!(coder.process, Reading::Absent, "it is the root's");
            let platforms = coder.platforms.known().unwrap();
            let platforms: Vec<_> = platforms.iter().map(|(name, platform)| (name.as_str(), platform.state)).collect();
            assert_eq!(platforms, [("discord", PlatformState::Retrying)]);
        }
        let root = known(see(&homes.root()));
        assert_eq!((root.served_profiles, &root.served_by), (Reading::Known(3), &Reading::Absent));
        assert_eq!(root.platforms.known().unwrap().len(), 3);
        assert!(root.process.known().is_some());
        // One that is not in the list has nothing of it.
        std::fs::create_dir(homes.root().join("profiles/stranger")).unwrap();
        assert_eq!(see(&homes.root().join("profiles/stranger")), (Reading::Absent, Vec::new()));
    }

    #[test]
    fn without_a_living_gateway_of_the_root_a_profile_is_on_its_own() {
        let homes = Homes::with_config(SWITCHED_ON);
        let gateway = Pretender::start(&homes.root());
        homes.write_state(&gateway);
        drop(gateway);
        assert_eq!(see(&homes.coder()), (Reading::Absent, Vec::new()));
        homes.leave_a_crash_behind();
        std::fs::remove_file(homes.coder().join("state/gateway.heartbeat")).unwrap();
        let coder = known(see(&homes.coder()));
        assert_eq!((coder.state, &coder.served_by), (Reading::Known(GatewayState::Crashed), &Reading::Absent));
        let root = known(see(&homes.root()));
        assert_eq!((root.state, root.served_profiles), (Reading::Known(GatewayState::Crashed), Reading::Absent));
        assert_eq!(root.state_since, root.heartbeat, "the last that was seen of it");
    }

    #[test]
    fn a_list_that_an_earlier_gateway_has_left_is_not_believed() {
        let homes = Homes::with_config("gateway: {}\n");
        let gateway = Pretender::start(&homes.root());
        homes.write_state(&gateway);
        assert_eq!(see(&homes.coder()), (Reading::Absent, Vec::new()));
        assert_eq!(known(see(&homes.root())).served_profiles, Reading::Absent);
        // What was switched off after the gateway was started is on until it is started again.
        homes.write("config.yaml", "gateway: {multiplex_profiles: false}\n");
        let config = std::fs::File::options().write(true).open(homes.root().join("config.yaml")).unwrap();
        config.set_modified(SystemTime::now() + Duration::from_secs(60)).unwrap();
        assert_eq!(known(see(&homes.coder())).up, Reading::Known(true));
    }

    #[test]
    fn the_environment_of_the_gateway_decides_first() {
        for (word, config, is_served) in [("1", "{}\n", true), ("off", SWITCHED_ON, false), (" ", SWITCHED_ON, true)] {
            let homes = Homes::with_config(config);
            let gateway = Pretender::start_with(&homes.root(), &[("GATEWAY_MULTIPLEX_PROFILES", word)]);
            homes.write_state(&gateway);
            assert_eq!(see(&homes.coder()).0.known().is_some(), is_served, "{word:?}");
        }
    }

    #[test]
    fn a_profile_with_a_living_gateway_of_its_own_keeps_it_and_both_are_counted() {
        let homes = Homes::with_config(SWITCHED_ON);
        let (gateway, own) = (Pretender::start(&homes.root()), Pretender::start(&homes.coder()));
        homes.write_state(&gateway);
        let state = json!({"pid": own.id(), "start_time": own.start_ticks(), "gateway_state": "degraded"});
        std::fs::write(homes.coder().join("gateway_state.json"), state.to_string()).unwrap();
        let coder = known(see(&homes.coder()));
        assert_eq!(coder.state, Reading::Known(GatewayState::Degraded));
        assert_eq!(coder.processes, Reading::Known(2));
        assert_eq!(coder.served_by, Reading::Known(Label::new("default")));
        assert_eq!(coder.unit_processes.known().unwrap().iter().map(|unit| unit.processes).sum::<u64>(), 2);
        assert_eq!(known(see(&homes.root())).processes, Reading::Known(1));
    }

    #[test]
    fn a_damaged_state_of_the_serving_gateway_makes_its_profiles_unknown_and_not_down() {
        let homes = Homes::with_config(SWITCHED_ON);
        let _gateway = Pretender::start(&homes.root());
        homes.write("gateway_state.json", "{\"served_profiles\": [");
        homes.leave_a_crash_behind();
        let (gateway, problems) = see(&homes.coder());
        assert_eq!(gateway, Reading::Unknown(Reason::Parse));
        let subjects: Vec<_> = problems.iter().map(|problem| problem.subject.as_str()).collect();
        assert!(subjects.contains(&"served profiles") && subjects.contains(&"root home: gateway_state.json"));
    }

    #[test]
    fn a_gateway_that_its_container_only_registered_is_told_of() {
        let homes = Homes::with_config("{}\n");
        std::fs::create_dir(homes.root().join("logs")).unwrap();
        homes.write(
            "logs/container-boot.log",
            "2026-11-20T08:51:27+0000 profile=default prior_state=running action=started\n\
             2026-11-20T08:51:27+0000 profile=coder prior_state=None action=registered\n",
        );
        let coder = known(see(&homes.coder()));
        let boot = coder.container_boot.known().unwrap();
        assert_eq!((boot.action.as_str(), boot.prior_state.as_str()), ("registered", "none"));
        assert_eq!((coder.up, coder.state, coder.processes), (Reading::Absent, Reading::Absent, Reading::Known(0)));
        let root = known(see(&homes.root()));
        assert_eq!(root.container_boot.known().unwrap().action.as_str(), "started");
    }

    #[test]
    fn a_gateway_that_only_its_files_speak_of_is_counted_by_unit() {
        let homes = Homes::with_config("{}\n");
        // It serves this home, though its environment says another: as seen from outside its container.
        let gateway = Pretender::start(Path::new("/opt/data"));
        homes.write_state(&gateway);
        let root = known(see(&homes.root()));
        assert_eq!((root.up, root.processes), (Reading::Known(true), Reading::Known(0)));
        let units = root.unit_processes.known().unwrap();
        assert_eq!(units.iter().map(|unit| unit.processes).sum::<u64>(), 1);
        assert!(!matches!(units[0].manager, Manager::S6));
    }
}
