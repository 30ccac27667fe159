//! From what systemd's managers say to one unit.
//!
//! Hermes can be installed as a service of the system and as one of the user, and then both start each other's
//! gateway anew. So unless the configuration says which manager has a unit, both are asked: it is shown as the one
//! that runs it sees it, and [`Unit::managers`] tells when that is more than one.
//!
//! The gateways of all users go by one name. So a unit of that name in the system's manager may be another user's; one
//! that surely is, is left out ([`belongs`]).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use crate::exporter::collect::problems::Because;
use crate::exporter::instance::{UnitName, UnitSpec};
use crate::exporter::snapshot::units::{self, ManagerKind, Unit, UnitState};
use crate::exporter::snapshot::{Label, Reading, Reason};
use crate::system::systemd::{self, ActiveState, FAILURES, Kind, LoadState, ManagerError, View};

/// A manager, and what it said.
#[derive(Debug)]
pub(super) struct Manager {
    pub(super) kind: ManagerKind,
    pub(super) asked: Asked,
}

/// What became of asking a manager.
#[derive(Debug)]
pub(super) enum Asked {
    /// There was nothing to ask it for.
    Nothing,
    /// The instance's user does not exist here.
    NoUser,
    /// It does not run.
    NotRunning {
        /// Whether that is as it should be, because root has no manager of its own as a rule.
        is_usual: bool,
    },
    /// It answered.
    Said(Arc<View>),
    /// It could not be asked.
    Failed(Arc<ManagerError>),
}

impl Manager {
    fn unit(&self, name: &str) -> Option<&systemd::Unit> {
        match &self.asked {
            Asked::Said(view) => match &**view {
                View::Running { units, .. } => units.get(name),
                View::NotRunning => None,
            },
            _ => None,
        }
    }

    /// Whether a unit is there, and could not be read.
    fn is_untold(&self, name: &str) -> bool {
        match &self.asked {
            Asked::Said(view) => matches!(&**view, View::Running { untold, .. } if untold.contains(name)),
            _ => false,
        }
    }

    fn matches(&self, pattern: &str) -> &[String] {
        match &self.asked {
            Asked::Said(view) => match &**view {
                View::Running { matches, .. } => matches.get(pattern).map_or(&[], Vec::as_slice),
                View::NotRunning => &[],
            },
            _ => &[],
        }
    }

    /// Why it can not be told what it knows; `None` where it can, or where there is no such manager.
    fn failure(&self) -> Option<Reason> {
        match &self.asked {
            Asked::Failed(error) => Some(error.reason()),
            Asked::NoUser => Some(Reason::NotFound),
            Asked::Nothing | Asked::NotRunning { .. } | Asked::Said(_) => None,
        }
    }
}

/// Whose units are looked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whose<'a> {
    /// The home.
    pub(super) home: &'a Path,
    /// The id of the user.
    pub(super) user: Option<u32>,
    /// What a unit may call the user.
    pub(super) names: &'a [String],
}

/// The services that the timers among these units start.
pub(super) fn started_by_timers(specs: &[UnitSpec], managers: &[Manager]) -> BTreeSet<String> {
    let mut started = BTreeSet::new();
    for spec in specs {
        for manager in managers {
            let names = match &spec.unit {
                UnitName::Named(name) => std::slice::from_ref(name),
                UnitName::Pattern(pattern) => manager.matches(pattern),
            };
            for name in names {
                if let Some(Kind::Timer(timer)) = manager.unit(name).map(|unit| &unit.kind) {
                    started.insert(timer.starts.clone());
                }
            }
        }
    }
    started
}

/// The units that are meant by `spec`, with the services that timers among them start.
///
/// Where two managers know a unit and neither runs it, the first of `managers` goes before.
pub(super) fn units(
    spec: &UnitSpec,
    whose: &Whose<'_>,
    by_timers: &BTreeSet<String>,
    managers: &[Manager],
) -> Vec<Unit> {
    let occasion = |name: &str| match by_timers.contains(name) {
        true => Occasion::StartedByTimer,
        false => Occasion::OfItself,
    };
    let asked: Vec<&Manager> =
        managers.iter().filter(|manager| spec.manager.is_none_or(|kind| kind == manager.kind)).collect();
    let names: Vec<&str> = match &spec.unit {
        UnitName::Named(name) => vec![name],
        UnitName::Pattern(pattern) => {
            asked.iter().flat_map(|manager| manager.matches(pattern)).map(String::as_str).collect()
        }
    };
    let mut units = Vec::new();
    for name in names {
        let Some((unit, manager)) = unit(spec, name, whose, occasion(name), &asked) else { continue };
        units.push(unit);
        let started = manager.and_then(|manager| match &manager.unit(name)?.kind {
            Kind::Timer(timer) => Some((&timer.starts, manager)),
            Kind::Service { .. } | Kind::Other => None,
        });
        if let Some((started, manager)) = started
            && let Some(unit) = manager.unit(started)
        {
            units.push(describe(spec, started, unit, &[manager], Occasion::StartedByTimer));
        }
    }
    units
}

/// The unit called `name`, and the manager it is shown as seen by; `None` for one that need not be there and is not.
fn unit<'a>(
    spec: &UnitSpec,
    name: &str,
    whose: &Whose<'_>,
    occasion: Occasion,
    asked: &[&'a Manager],
) -> Option<(Unit, Option<&'a Manager>)> {
    let exists = |unit: &systemd::Unit| unit.load != LoadState::NotFound;
    let belongs =
        |manager: &Manager| manager.unit(name).map_or(Belongs::No, |unit| belongs(unit, manager.kind, spec, whose));
    let knowing: Vec<&Manager> = asked
        .iter()
        .copied()
        .filter(|manager| manager.unit(name).is_some_and(exists) && belongs(manager) > Belongs::No)
        .collect();
    let liveliness = |manager: &&&Manager| (belongs(manager), manager.unit(name).map_or(0, liveliness));
    // The first of those that are equally lively.
    if let Some(manager) = knowing.iter().rev().max_by_key(liveliness).copied()
        && let Some(found) = manager.unit(name)
    {
        return Some((describe(spec, name, found, &knowing, occasion), Some(manager)));
    }
    if !spec.is_expected {
        return None;
    }
    // Nobody knows it; but somebody may who could not be asked.
    let untold = asked.iter().any(|manager| manager.is_untold(name)).then_some(Reason::Bus);
    let failure = untold.or_else(|| asked.iter().find_map(|manager| manager.failure()));
    let is_without_manager = asked.iter().any(|manager| match manager.asked {
        Asked::NotRunning { is_usual } => !is_usual || spec.manager.is_some(),
        _ => false,
    });
    let state = match failure {
        Some(reason) => Reading::Unknown(reason),
        None if is_without_manager => Reading::Known(UnitState::NoManager),
        None => Reading::Known(UnitState::NotFound),
    };
    let unit = Unit {
        unit: Label::new(name),
        role: Label::new(&spec.role),
        is_expected: spec.is_expected,
        up: state.map(|_| false),
        state,
        state_since: Reading::Absent,
        enabled: if state == Reading::Known(UnitState::NotFound) { Reading::Known(false) } else { Reading::Absent },
        restarts: Reading::Absent,
        failures: Reading::Absent,
        start_time: Reading::Absent,
        timer: Reading::Absent,
        managers: BTreeMap::new(),
    };
    Some((unit, None))
}

/// Whether a unit of the right name is this instance's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Belongs {
    No,
    /// Nothing speaks for another one.
    Perhaps,
    Yes,
}

/// Whether a unit of the right name is this instance's: by the home it is started with, else by the user it runs as.
/// Whoever says which manager has it is believed.
fn belongs(unit: &systemd::Unit, manager: ManagerKind, spec: &UnitSpec, whose: &Whose<'_>) -> Belongs {
    let yes_or = |is_own: bool, otherwise: Belongs| if is_own { Belongs::Yes } else { otherwise };
    let is_in_own_manager = manager == ManagerKind::User || whose.user == Some(0);
    let identity = match &unit.kind {
        _ if spec.manager.is_some() => return Belongs::Yes,
        Kind::Service { identity: Some(identity), .. } => identity,
        // Every unit that Hermes makes is a service that names its home.
        _ if !spec.is_expected => return Belongs::No,
        // These do not say. A name was meant; what happens to match a pattern may be anybody's.
        Kind::Service { identity: None, .. } | Kind::Timer(_) | Kind::Other => {
            let is_named = matches!(spec.unit, UnitName::Named(_));
            return yes_or(is_in_own_manager, if is_named { Belongs::Perhaps } else { Belongs::No });
        }
    };
    let started_with = identity.environment.iter().find_map(|variable| variable.strip_prefix("HERMES_HOME="));
    if let Some(started_with) = started_with {
        return yes_or(Path::new(started_with).components().eq(whose.home.components()), Belongs::No);
    }
    if !spec.is_expected {
        return Belongs::No;
    }
    match identity.user.as_str() {
        // Root may run anything for anybody.
        "" => yes_or(is_in_own_manager, Belongs::Perhaps),
        name => yes_or(whose.names.iter().any(|own| own == name), Belongs::No),
    }
}

/// The livelier of two units of one name is the one that matters.
fn liveliness(unit: &systemd::Unit) -> u8 {
    match (unit.load, unit.active) {
        (_, ActiveState::Active | ActiveState::Reloading | ActiveState::Maintenance) => 4,
        (_, ActiveState::Activating | ActiveState::Deactivating) => 3,
        (LoadState::Loaded, ActiveState::Failed | ActiveState::Inactive) => 2,
        (LoadState::Masked | LoadState::Failed | LoadState::NotFound, _) => 1,
    }
}

/// What a unit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Occasion {
    OfItself,
    /// It is there to run now and then, and is down in between.
    StartedByTimer,
}

fn describe(spec: &UnitSpec, name: &str, unit: &systemd::Unit, knowing: &[&Manager], occasion: Occasion) -> Unit {
    let state = state(unit);
    let result = match &unit.kind {
        Kind::Service { result, .. } => Some(result.as_str()),
        Kind::Timer(_) | Kind::Other => None,
    };
    let is_up = match occasion {
        Occasion::OfItself => state.is_at_work(),
        Occasion::StartedByTimer => {
            state.is_at_work()
                || matches!(state, UnitState::Inactive | UnitState::Activating | UnitState::Deactivating)
                    && result == Some("success")
        }
    };
    let is_at_work = |manager: &&Manager| manager.unit(name).is_some_and(|unit| self::state(unit).is_at_work());
    Unit {
        unit: Label::new(name),
        role: Label::new(&spec.role),
        is_expected: spec.is_expected,
        up: Reading::Known(is_up),
        state: Reading::Known(state),
        state_since: unit.changed.into(),
        enabled: unit.is_enabled.into(),
        restarts: match &unit.kind {
            Kind::Service { restarts, .. } => Reading::Known(*restarts),
            Kind::Timer(_) | Kind::Other => Reading::Absent,
        },
        failures: match &unit.kind {
            Kind::Service { .. } => Reading::Known(failures(unit)),
            Kind::Timer(_) | Kind::Other => Reading::Absent,
        },
        start_time: unit.active_since.into(),
        timer: match &unit.kind {
            Kind::Timer(timer) => Reading::Known(units::Timer {
                last_trigger: timer.last_trigger.into(),
                next_trigger: timer.next_trigger.into(),
            }),
            Kind::Service { .. } | Kind::Other => Reading::Absent,
        },
        managers: knowing.iter().map(|manager| (manager.kind, is_at_work(manager))).collect(),
    }
}

/// Each way to fail is there from the beginning: a counter that first shows with 1 has no increase to be seen.
fn failures(unit: &systemd::Unit) -> BTreeMap<Label, u64> {
    let mut failures: BTreeMap<Label, u64> = FAILURES.iter().map(|result| (Label::new(result), 0)).collect();
    for (result, count) in &unit.failures {
        *failures.entry(Label::new(result)).or_default() += count;
    }
    failures
}

fn state(unit: &systemd::Unit) -> UnitState {
    // A unit whose file was removed, masked or broken while it runs goes on running.
    match (unit.load, unit.active) {
        (_, ActiveState::Active) => UnitState::Active,
        (_, ActiveState::Reloading) => UnitState::Reloading,
        (_, ActiveState::Maintenance) => UnitState::Maintenance,
        (_, ActiveState::Activating) => UnitState::Activating,
        (_, ActiveState::Deactivating) => UnitState::Deactivating,
        (LoadState::NotFound, _) => UnitState::NotFound,
        (LoadState::Failed, _) => UnitState::LoadFailed,
        (LoadState::Masked, _) => UnitState::Masked,
        (LoadState::Loaded, ActiveState::Failed) => UnitState::Failed,
        (LoadState::Loaded, ActiveState::Inactive) => UnitState::Inactive,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::systemd::ServiceIdentity;
    use crate::system::time::Timestamp;
    use std::collections::HashMap;

    fn service(active: ActiveState, result: &str) -> systemd::Unit {
        systemd::Unit {
            name: GATEWAY.to_owned(),
            load: LoadState::Loaded,
            active,
            is_enabled: Some(true),
            changed: Timestamp::from_seconds(1_795_165_255.0),
            active_since: None,
            kind: Kind::Service {
                result: result.to_owned(),
                restarts: 3,
                identity: Some(identity("", &["PATH=/bin", "HERMES_HOME=/srv/vijay/"])),
            },
            failures: BTreeMap::from([("exit-code".to_owned(), 2), ("novelty".to_owned(), 1)]),
        }
    }

    fn identity(user: &str, environment: &[&str]) -> ServiceIdentity {
        let environment = environment.iter().map(|variable| (*variable).to_owned()).collect();
        ServiceIdentity { user: user.to_owned(), environment }
    }

    fn missing() -> systemd::Unit {
        let load = LoadState::NotFound;
        systemd::Unit { load, is_enabled: Some(false), kind: Kind::Other, ..service(ActiveState::Inactive, "success") }
    }

    const GATEWAY: &str = "hermes-gateway.service";

    fn manager(kind: ManagerKind, units: Vec<(&str, systemd::Unit)>) -> Manager {
        let units: HashMap<_, _> = units.into_iter().map(|(name, unit)| (name.to_owned(), unit)).collect();
        let names: Vec<_> = units.keys().cloned().collect();
        let matches = HashMap::from([("*".to_owned(), names)]);
        Manager { kind, asked: Asked::Said(Arc::new(View::Running { units, matches, untold: BTreeSet::new() })) }
    }

    fn both(user: systemd::Unit, system: systemd::Unit) -> [Manager; 2] {
        [manager(ManagerKind::User, vec![(GATEWAY, user)]), manager(ManagerKind::System, vec![(GATEWAY, system)])]
    }

    fn spec() -> UnitSpec {
        let unit = UnitName::Named(GATEWAY.to_owned());
        UnitSpec { role: "gateway".to_owned(), unit, manager: None, is_expected: true }
    }

    fn units_of(spec: &UnitSpec, home: &str, user: u32, managers: &[Manager]) -> Vec<Unit> {
        let names = [user.to_string()];
        let whose = Whose { home: Path::new(home), user: Some(user), names: &names };
        units(spec, &whose, &started_by_timers(std::slice::from_ref(spec), managers), managers)
    }

    fn only(spec: &UnitSpec, managers: &[Manager]) -> Unit {
        let mut units = units_of(spec, "/srv/vijay", 0, managers);
        assert_eq!(units.len(), 1);
        units.remove(0)
    }

    #[test]
    fn the_manager_that_runs_a_unit_is_believed_and_both_are_named() {
        let inactive = || service(ActiveState::Inactive, "success");
        let active = || service(ActiveState::Active, "success");
        let managers = |user, system| only(&spec(), &both(user, system)).managers;
        let (user, system) = (ManagerKind::User, ManagerKind::System);
        assert_eq!(only(&spec(), &both(inactive(), active())).up, Reading::Known(true));
        assert_eq!(only(&spec(), &both(inactive(), active())).state_since, active().changed.into());
        assert_eq!(managers(inactive(), active()), BTreeMap::from([(user, false), (system, true)]));
        assert_eq!(managers(active(), active()), BTreeMap::from([(user, true), (system, true)]));
        assert_eq!(managers(missing(), active()), BTreeMap::from([(system, true)]));
        let only_user = UnitSpec { manager: Some(user), ..spec() };
        assert_eq!(only(&only_user, &both(inactive(), active())).state, Reading::Known(UnitState::Inactive));
    }

    #[test]
    fn what_nobody_knows_is_missing_without_a_manager_or_unknown() {
        let state = |user: Asked| {
            let user = Manager { kind: ManagerKind::User, asked: user };
            let system = manager(ManagerKind::System, vec![(GATEWAY, missing())]);
            only(&spec(), &[user, system]).state
        };
        assert_eq!(state(Asked::Nothing), Reading::Known(UnitState::NotFound));
        let missing_one = only(&spec(), &both(missing(), missing()));
        assert_eq!((missing_one.is_expected, missing_one.state_since), (true, Reading::Absent));
        assert_eq!(state(Asked::NotRunning { is_usual: false }), Reading::Known(UnitState::NoManager));
        assert_eq!(state(Asked::NotRunning { is_usual: true }), Reading::Known(UnitState::NotFound));
        assert_eq!(state(Asked::Failed(Arc::new(ManagerError::Timeout))), Reading::Unknown(Reason::Timeout));
        assert_eq!(state(Asked::NoUser), Reading::Unknown(Reason::NotFound));
        // Who is found in one manager is known, whatever the other would have said.
        let system = manager(ManagerKind::System, vec![(GATEWAY, service(ActiveState::Active, "success"))]);
        let user = Manager { kind: ManagerKind::User, asked: Asked::Failed(Arc::new(ManagerError::Timeout)) };
        assert_eq!(only(&spec(), &[user, system]).up, Reading::Known(true));
    }

    #[test]
    fn a_unit_that_nobody_has_named_is_shown_only_where_it_is_of_this_home() {
        let spec = UnitSpec { is_expected: false, ..spec() };
        let managers = both(missing(), service(ActiveState::Active, "success"));
        let found = |home: &str| units_of(&spec, home, 0, &managers).len();
        assert_eq!(found("/srv/vijay"), 1);
        assert!(!units_of(&spec, "/srv/vijay", 0, &managers)[0].is_expected);
        assert_eq!(found("/srv/bheem"), 0);
    }

    #[test]
    fn the_unit_of_another_user_is_not_taken_for_this_ones() {
        let of = |user: &str, environment: &[&str]| {
            let mut unit = service(ActiveState::Active, "success");
            unit.kind = Kind::Service {
                result: "success".to_owned(),
                restarts: 0,
                identity: Some(identity(user, environment)),
            };
            unit
        };
        let state = |system: systemd::Unit, user: u32| {
            let managers = both(service(ActiveState::Failed, "exit-code"), system);
            units_of(&spec(), "/srv/vijay", user, &managers)[0].state
        };
        let (active, failed) = (Reading::Known(UnitState::Active), Reading::Known(UnitState::Failed));
        // By the home it is started with.
        assert_eq!(state(of("", &["HERMES_HOME=/srv/vijay"]), 1001), active);
        assert_eq!(state(of("", &["HERMES_HOME=/srv/bheem"]), 0), failed);
        // By the user it runs as.
        assert_eq!(state(of("", &[]), 0), active);
        assert_eq!(state(of("", &[]), 1001), failed, "the one in the user's own manager is more likely meant");
        assert_eq!(state(of("1001", &[]), 1001), active);
        assert_eq!(state(of("1001", &[]), 0), failed);
        // One that root runs for a user who has none of this name.
        let system = manager(ManagerKind::System, vec![(GATEWAY, of("", &[]))]);
        let user = manager(ManagerKind::User, vec![(GATEWAY, missing())]);
        assert_eq!(units_of(&spec(), "/srv/vijay", 1001, &[user, system])[0].state, active);
    }

    #[test]
    fn a_service_that_a_timer_starts_is_up_until_it_fails() {
        let timer = |service: systemd::Unit| {
            let kind = Kind::Timer(systemd::Timer {
                starts: "backup.service".to_owned(),
                last_trigger: None,
                next_trigger: None,
            });
            let timer = systemd::Unit { kind, ..self::service(ActiveState::Active, "success") };
            let managers = [manager(ManagerKind::System, vec![("backup.timer", timer), ("backup.service", service)])];
            let spec = UnitSpec { unit: UnitName::Named("backup.timer".to_owned()), ..spec() };
            let units = units_of(&spec, "/srv/vijay", 0, &managers);
            let names: Vec<_> = units.iter().map(|unit| unit.unit.as_str().to_owned()).collect();
            assert_eq!(names, ["backup.timer", "backup.service"]);
            assert_eq!(units[0].up, Reading::Known(true));
            units[1].up
        };
        assert_eq!(timer(service(ActiveState::Inactive, "success")), Reading::Known(true));
        assert_eq!(timer(service(ActiveState::Activating, "success")), Reading::Known(true));
        assert_eq!(timer(service(ActiveState::Failed, "exit-code")), Reading::Known(false));
        assert_eq!(timer(service(ActiveState::Activating, "exit-code")), Reading::Known(false));
    }

    #[test]
    fn a_service_that_is_named_beside_its_timer_is_judged_by_what_starts_it() {
        let kind = Kind::Timer(systemd::Timer { starts: GATEWAY.to_owned(), last_trigger: None, next_trigger: None });
        let timer = systemd::Unit { kind, ..service(ActiveState::Active, "success") };
        let named = [(GATEWAY, service(ActiveState::Inactive, "success")), ("backup.timer", timer)];
        let managers = [manager(ManagerKind::System, named.to_vec())];
        let specs = [spec(), UnitSpec { unit: UnitName::Named("backup.timer".to_owned()), ..spec() }];
        let by_timers = started_by_timers(&specs, &managers);
        let whose = Whose { home: Path::new("/srv/vijay"), user: Some(0), names: &[] };
        assert_eq!(units(&specs[0], &whose, &by_timers, &managers)[0].up, Reading::Known(true));
    }

    #[test]
    fn a_unit_that_could_not_be_read_is_unknown() {
        let untold = BTreeSet::from([GATEWAY.to_owned()]);
        let view = View::Running { units: HashMap::new(), matches: HashMap::new(), untold };
        let managers = [Manager { kind: ManagerKind::System, asked: Asked::Said(Arc::new(view)) }];
        assert_eq!(only(&spec(), &managers).up, Reading::Unknown(Reason::Bus));
    }

    #[test]
    fn every_way_to_fail_is_counted_from_the_beginning() {
        let managers = both(missing(), service(ActiveState::Failed, "exit-code"));
        let unit = only(&spec(), &managers);
        let failures = unit.failures.known().unwrap();
        assert_eq!(failures.len(), FAILURES.len() + 1);
        let count = |result: &str| failures[&Label::new(result)];
        assert_eq!((count("exit-code"), count("novelty"), count("oom-kill")), (2, 1, 0));
    }

    #[test]
    fn states_are_those_of_systemd_and_what_it_says_of_loading() {
        let with = |load, active| state(&systemd::Unit { load, ..service(active, "success") });
        assert_eq!(with(LoadState::Masked, ActiveState::Inactive), UnitState::Masked);
        assert_eq!(with(LoadState::Failed, ActiveState::Inactive), UnitState::LoadFailed);
        assert_eq!(with(LoadState::NotFound, ActiveState::Active), UnitState::Active, "its file was removed");
        assert_eq!(with(LoadState::NotFound, ActiveState::Failed), UnitState::NotFound);
        assert_eq!(with(LoadState::Loaded, ActiveState::Failed), UnitState::Failed);
    }

    #[test]
    fn a_pattern_shows_what_matches_in_either_manager() {
        let managers = [
            manager(ManagerKind::User, vec![("a.service", service(ActiveState::Active, "success"))]),
            manager(ManagerKind::System, vec![("b.service", service(ActiveState::Failed, "signal"))]),
        ];
        let spec = UnitSpec { unit: UnitName::Pattern("*".to_owned()), ..spec() };
        let units = units_of(&spec, "/srv/vijay", 0, &managers);
        let names: Vec<_> = units.iter().map(|unit| (unit.unit.as_str(), unit.up)).collect();
        assert_eq!(names, [("a.service", Reading::Known(true)), ("b.service", Reading::Known(false))]);
    }
}
