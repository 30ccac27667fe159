//! From what s6 says of its services to units.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::exporter::collect::problems::Problems;
use crate::exporter::instance::{Instance, UnitName, UnitSpec};
use crate::exporter::snapshot::units::{ManagerKind, Unit, UnitState};
use crate::exporter::snapshot::{Label, Reading, Reason};
use crate::system::files;
use crate::system::s6::{DeathCounter, Service, State, Watch};

/// The services of one instance.
#[derive(Debug)]
pub(super) struct Services {
    scan_directory: PathBuf,
    services: Vec<WatchedService>,
}

#[derive(Debug)]
struct WatchedService {
    spec: UnitSpec,
    name: String,
    watch: Watch,
}

impl Services {
    /// Those that the instance has under s6.
    pub(super) fn new(instance: &Instance) -> Services {
        let service = |spec: &UnitSpec| match (&spec.unit, spec.manager) {
            (UnitName::Named(name), Some(ManagerKind::S6)) => {
                let watch = Watch::new(instance.s6_scan_directory.join(name));
                Some(WatchedService { spec: spec.clone(), name: name.clone(), watch })
            }
            _ => None,
        };
        Services {
            scan_directory: instance.s6_scan_directory.clone(),
            services: instance.units.iter().filter_map(service).collect(),
        }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.services.is_empty()
    }

    /// Goes on from what another process has counted of services, by their names.
    pub(super) fn recall(&mut self, mut counters: BTreeMap<String, DeathCounter>) {
        for service in &mut self.services {
            if let Some(counter) = counters.remove(&service.name) {
                service.watch.go_on_from(counter);
            }
        }
    }

    /// What was counted of each service.
    pub(super) fn remember(&self) -> BTreeMap<String, DeathCounter> {
        self.services.iter().map(|service| (service.name.clone(), service.watch.counter())).collect()
    }

    /// The units; reads files.
    pub(super) fn read(&mut self, problems: &mut Problems) -> Vec<Unit> {
        let mut units = Vec::new();
        // Without the folder of all services nothing is known of any: it is not mounted, or a slip.
        let is_there = problems.reading("s6", files::exists(&self.scan_directory).map(Some));
        if is_there == Reading::Known(false) {
            problems.note("s6", Reason::NotFound);
        }
        for WatchedService { spec, name, watch } in &mut self.services {
            let read = match is_there {
                Reading::Known(true) | Reading::Absent => problems.reading(&format!("s6/{name}"), watch.read()),
                Reading::Known(false) => Reading::Unknown(Reason::NotFound),
                Reading::Unknown(reason) => Reading::Unknown(reason),
            };
            if spec.is_expected || !matches!(read, Reading::Absent) {
                units.push(describe(spec, name, &read));
            }
        }
        units
    }
}

fn describe(spec: &UnitSpec, name: &str, read: &Reading<Service>) -> Unit {
    let service = read.known();
    let state = match read {
        Reading::Known(service) => Reading::Known(state(service)),
        Reading::Absent => Reading::Known(UnitState::NotFound),
        Reading::Unknown(reason) => Reading::Unknown(*reason),
    };
    let of_service = |value: fn(&Service) -> u64| service.map(value).into();
    let failures = |service: &Service| {
        let by_result = [("exit-code", service.deaths.by_exit_code), ("signal", service.deaths.by_signal)];
        by_result.into_iter().map(|(result, count)| (Label::new(result), count)).collect::<BTreeMap<_, _>>()
    };
    Unit {
        unit: Label::new(name),
        role: Label::new(&spec.role),
        is_expected: spec.is_expected,
        up: state.map(UnitState::is_at_work),
        state,
        // Without a supervisor it is that of another state.
        state_since: service
            .filter(|service| service.state != State::Unsupervised)
            .and_then(|service| service.changed)
            .into(),
        enabled: service.map(|service| !service.is_down_by_default).into(),
        // Each of them is followed by a start, unless somebody has seen to it that it is not.
        restarts: of_service(|service| service.deaths.total),
        failures: service.map(failures).into(),
        start_time: service
            .filter(|service| matches!(service.state, State::Up(_)))
            .and_then(|service| service.changed)
            .into(),
        timer: Reading::Absent,
        managers: service
            .filter(|service| service.state != State::Unsupervised)
            .map(|service| (ManagerKind::S6, matches!(service.state, State::Up(_))))
            .into_iter()
            .collect(),
    }
}

fn state(service: &Service) -> UnitState {
    match service.state {
        State::Up(_) => UnitState::Active,
        State::BackingOff => UnitState::Activating,
        State::Failed => UnitState::Failed,
        State::Stopped => UnitState::Inactive,
        State::Unsupervised => UnitState::NoManager,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exporter::instance::tests::instance_at;

    #[test]
    fn a_service_that_is_not_there_is_missing_where_it_was_named() {
        let folder = tempfile::tempdir().unwrap();
        let spec = |is_expected| UnitSpec {
            role: "gateway".to_owned(),
            unit: UnitName::Named("gateway-default".to_owned()),
            manager: Some(ManagerKind::S6),
            is_expected,
        };
        let read = |is_expected| {
            let mut instance = instance_at(folder.path());
            instance.s6_scan_directory = folder.path().to_owned();
            instance.units = vec![spec(is_expected)];
            let mut problems = Problems::default();
            let units = Services::new(&instance).read(&mut problems);
            (units, problems.into_sorted())
        };
        let (units, problems) = read(true);
        assert_eq!((units[0].state, units[0].up), (Reading::Known(UnitState::NotFound), Reading::Known(false)));
        assert_eq!(problems, []);
        assert_eq!(read(false), (vec![], vec![]));
        // The folder of all services is not there.
        let elsewhere = {
            let mut instance = instance_at(folder.path());
            instance.s6_scan_directory = folder.path().join("not-mounted");
            instance.units = vec![spec(true)];
            Services::new(&instance).read(&mut Problems::default())
        };
        assert_eq!(elsewhere[0].up, Reading::Unknown(Reason::NotFound));
        // Files without a supervisor, as they are left behind.
        std::fs::create_dir_all(folder.path().join("gateway-default/supervise")).unwrap();
        let (units, problems) = read(false);
        assert_eq!((units[0].state, units[0].up), (Reading::Known(UnitState::NoManager), Reading::Known(false)));
        assert_eq!((units[0].managers.len(), problems.len()), (0, 0));
        assert_eq!((units[0].is_expected, units[0].state_since), (false, Reading::Absent));
    }
}
