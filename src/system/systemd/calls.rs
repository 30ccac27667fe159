//! What a manager is asked: the list of units in one call, then the properties of each that are not [kept](super::kept),
//! many at once.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt};
use zbus::proxy::CacheProperties;
use zbus::{Connection, OwnedObjectPath, OwnedVariant, fdo};

use super::failures::Sample;
use super::kept::{Doing, Kept};
use super::unit::{is_enabled, is_name};
use super::{ActiveState, Kind, LoadState, ServiceIdentity, Timer, Unit, Wanted};
use crate::system::time::Timestamp;

/// The most units that one pattern brings.
const MOST_MATCHES: usize = 500;

/// How many units are asked for their properties at a time, with at most seven questions each.
const UNITS_AT_ONCE: usize = 16;

const UNIT: &str = "org.freedesktop.systemd1.Unit";
const SERVICE: &str = "org.freedesktop.systemd1.Service";
const TIMER: &str = "org.freedesktop.systemd1.Timer";

/// A line of the list of units: name, description, load state, active state, sub state, followed unit, object,
/// and the number, kind and object of a job that waits for it.
type Row = (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

#[zbus::proxy(
    interface = "org.freedesktop.systemd1.Manager",
    default_service = "org.freedesktop.systemd1",
    default_path = "/org/freedesktop/systemd1"
)]
trait Manager {
    fn list_units_by_names(&self, names: &[&str]) -> zbus::Result<Vec<Row>>;
    fn list_units_by_patterns(&self, states: &[&str], patterns: &[&str]) -> zbus::Result<Vec<Row>>;
    fn subscribe(&self) -> zbus::Result<()>;
}

#[zbus::proxy(interface = "org.freedesktop.DBus.Properties", default_service = "org.freedesktop.systemd1")]
trait Properties {
    fn get(&self, interface: &str, property: &str) -> zbus::Result<OwnedVariant>;
}

/// What one round of questions has found.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// Units by the names they were asked for, and those that match patterns by their own.
    pub(super) units: HashMap<String, Unit>,
    /// The names of the units that match each pattern.
    pub(super) matches: HashMap<String, Vec<String>>,
    /// The units of which could not be told how they are.
    pub(super) untold: BTreeSet<String>,
    /// How each service was.
    pub(super) samples: Vec<(String, Sample)>,
}

impl Round {
    fn add(&mut self, name: String, unit: Unit, sample: Option<Sample>) {
        self.samples.extend(sample.map(|sample| (unit.name.clone(), sample)));
        self.units.insert(name, unit);
    }
}

fn doing(row: &Row) -> Doing {
    Doing { load: row.2.clone(), active: row.3.clone(), sub: row.4.clone() }
}

/// Has the manager send signals to this connection.
pub(super) async fn subscribe(connection: &Connection) -> zbus::Result<()> {
    let manager = ManagerProxy::builder(connection).cache_properties(CacheProperties::No).build().await?;
    manager.subscribe().await
}

/// Asks for everything that is wanted, and for the units that the timers among it start.
///
/// `started_by_timers` is what timers were seen to start before; it saves the second list.
pub(super) async fn ask(
    connection: &Connection,
    wanted: &Wanted,
    started_by_timers: &mut BTreeMap<String, String>,
    kept: &mut Kept,
) -> zbus::Result<Round> {
    let manager = ManagerProxy::builder(connection).cache_properties(CacheProperties::No).build().await?;
    let mut names = wanted.names.clone();
    names.extend(wanted.names.iter().filter_map(|name| started_by_timers.get(name).cloned()));
    let by_pattern = wanted.patterns.iter().map(|pattern| {
        let manager = &manager;
        async move {
            let mut rows = manager.list_units_by_patterns(&[], &[pattern]).await?;
            rows.retain(|row| is_name(&row.0));
            rows.sort_by(|one, other| one.0.cmp(&other.0));
            rows.truncate(MOST_MATCHES);
            zbus::Result::Ok((pattern.clone(), rows))
        }
    });
    let (by_name, by_pattern) = tokio::try_join!(list(&manager, &names), try_join_all(by_pattern))?;

    let mut round = Round::default();
    let mut rows: BTreeMap<String, Row> = by_name;
    let mut identities = wanted.identities.clone();
    for (pattern, matching) in by_pattern {
        if wanted.identities.contains(&pattern) {
            identities.extend(matching.iter().map(|row| row.0.clone()));
        }
        round.matches.insert(pattern, matching.iter().map(|row| row.0.clone()).collect());
        rows.extend(matching.into_iter().map(|row| (row.0.clone(), row)));
    }
    describe(connection, rows, &identities, kept, &mut round).await?;

    let timers = round.units.iter().filter_map(|(name, unit)| match &unit.kind {
        Kind::Timer(timer) => Some((name.clone(), timer.starts.clone())),
        Kind::Service { .. } | Kind::Other => None,
    });
    *started_by_timers = timers.collect();
    let is_known = |name: &String| round.units.contains_key(name) || round.untold.contains(name);
    let missing: BTreeSet<String> = started_by_timers.values().filter(|started| !is_known(started)).cloned().collect();
    let rows = list(&manager, &missing).await?;
    describe(connection, rows, &BTreeSet::new(), kept, &mut round).await?;
    Ok(round)
}

/// The rows of units, by the names they are asked for (which may be other names of the same unit).
async fn list(manager: &ManagerProxy<'_>, names: &BTreeSet<String>) -> zbus::Result<BTreeMap<String, Row>> {
    // There can be no unit of another name, and the rows of the answer would not fit the names of the question.
    let names: Vec<&str> = names.iter().map(String::as_str).filter(|name| is_name(name)).collect();
    if names.is_empty() {
        return Ok(BTreeMap::new());
    }
    let rows = manager.list_units_by_names(&names).await?;
    if rows.len() != names.len() {
        return Err(zbus::Error::InvalidReply);
    }
    Ok(names.into_iter().map(str::to_owned).zip(rows).collect())
}

/// Asks for the properties of units. An error is one of the connection; what is wrong with one unit is its own.
async fn describe(
    connection: &Connection,
    rows: BTreeMap<String, Row>,
    identities: &BTreeSet<String>,
    kept: &mut Kept,
    round: &mut Round,
) -> zbus::Result<()> {
    let mut asked = Vec::new();
    for (name, row) in rows {
        match kept.get(&row.0, &doing(&row), identities.contains(&name)) {
            Some((unit, sample)) => round.add(name, unit, Some(sample)),
            None => asked.push((name, row)),
        }
    }
    let described = asked.into_iter().map(|(name, row)| async move {
        let unit = read(connection, &row, identities.contains(&name)).await;
        (name, row, unit)
    });
    // Not all at once: a bus lets a connection wait for so many replies (dbus-daemon: 128), and refuses the rest.
    let mut described = stream::iter(described).buffer_unordered(UNITS_AT_ONCE);
    while let Some((name, row, unit)) = described.next().await {
        match unit {
            Ok((unit, sample)) => {
                if let Some(sample) = &sample {
                    kept.keep(doing(&row), identities.contains(&name), &unit, sample);
                }
                round.add(name, unit, sample);
            }
            // Unloaded between the list and the question, it has nothing to tell; it is there at the next look.
            Err(error) if is_about_the_unit(&error) => {
                tracing::debug!(unit = name, %error, "a unit could not be read");
                round.untold.insert(name);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether the manager has answered, and only this question has failed.
fn is_about_the_unit(error: &zbus::Error) -> bool {
    match error {
        zbus::Error::MethodError(..) | zbus::Error::IncorrectType => true,
        zbus::Error::FDO(error) => !matches!(
            **error,
            fdo::Error::NoReply(_)
                | fdo::Error::Timeout(_)
                | fdo::Error::TimedOut(_)
                | fdo::Error::Disconnected(_)
                | fdo::Error::ServiceUnknown(_)
                | fdo::Error::NameHasNoOwner(_)
                | fdo::Error::LimitsExceeded(_)
                | fdo::Error::AccessDenied(_)
        ),
        _ => false,
    }
}

async fn read(connection: &Connection, row: &Row, with_identity: bool) -> zbus::Result<(Unit, Option<Sample>)> {
    let load = LoadState::parse(&row.2);
    let active = ActiveState::parse(&row.3).ok_or(zbus::Error::IncorrectType)?;
    let unit = Unit {
        name: row.0.clone(),
        load,
        active,
        is_enabled: None,
        changed: None,
        active_since: None,
        kind: Kind::Other,
        failures: BTreeMap::new(),
    };
    if load != LoadState::Loaded {
        // What is not there, masked or wrong is not started either.
        return Ok((Unit { is_enabled: Some(false), ..unit }, None));
    }
    let properties =
        PropertiesProxy::builder(connection).path(&row.6).cache_properties(CacheProperties::No).build().await?;
    let properties = &Properties { proxy: properties };
    let common = async {
        let (unit_file_state, active_since, changed) = tokio::try_join!(
            properties.get::<String>(UNIT, "UnitFileState"),
            properties.get::<u64>(UNIT, "ActiveEnterTimestamp"),
            properties.get::<u64>(UNIT, "StateChangeTimestamp"),
        )?;
        zbus::Result::Ok((is_enabled(&unit_file_state), moment(active_since), moment(changed)))
    };
    let kind = async {
        match row.0.rsplit('.').next() {
            Some("service") => properties.service(with_identity).await,
            Some("timer") => Ok((Kind::Timer(properties.timer().await?), None)),
            _ => Ok((Kind::Other, None)),
        }
    };
    let ((is_enabled, active_since, changed), (kind, sample)) = tokio::try_join!(common, kind)?;
    let is_active = matches!(active, ActiveState::Active | ActiveState::Reloading | ActiveState::Maintenance);
    Ok((Unit { is_enabled, changed, active_since: active_since.filter(|_| is_active), kind, ..unit }, sample))
}

struct Properties<'a> {
    proxy: PropertiesProxy<'a>,
}

impl Properties<'_> {
    async fn get<T: TryFrom<OwnedVariant>>(&self, interface: &str, property: &str) -> zbus::Result<T> {
        let value = self.proxy.get(interface, property).await?;
        T::try_from(value).map_err(|_| zbus::Error::IncorrectType)
    }

    /// The result is asked for first: what comes later can only be newer.
    async fn service(&self, with_identity: bool) -> zbus::Result<(Kind, Option<Sample>)> {
        let (result, restarts, main_start, identity) = tokio::try_join!(
            self.get::<String>(SERVICE, "Result"),
            self.get::<u32>(SERVICE, "NRestarts"),
            self.get::<u64>(SERVICE, "ExecMainStartTimestamp"),
            async {
                match with_identity {
                    true => self.identity().await.map(Some),
                    false => Ok(None),
                }
            },
        )?;
        let restarts = u64::from(restarts);
        let sample = Sample { result: result.clone(), main_start, restarts };
        Ok((Kind::Service { result, restarts, identity }, Some(sample)))
    }

    async fn identity(&self) -> zbus::Result<ServiceIdentity> {
        let (user, environment) =
            tokio::try_join!(self.get::<String>(SERVICE, "User"), self.get::<Vec<String>>(SERVICE, "Environment"),)?;
        Ok(ServiceIdentity { user, environment })
    }

    async fn timer(&self) -> zbus::Result<Timer> {
        let (starts, last, next_by_clock, next_by_uptime) = tokio::try_join!(
            self.get::<String>(TIMER, "Unit"),
            self.get::<u64>(TIMER, "LastTriggerUSec"),
            self.get::<u64>(TIMER, "NextElapseUSecRealtime"),
            self.get::<u64>(TIMER, "NextElapseUSecMonotonic"),
        )?;
        let in_uptime =
            |at: Timestamp| Timestamp::from_seconds(Timestamp::now().seconds() + at.seconds() - uptime_seconds());
        let by_uptime = moment(next_by_uptime).and_then(in_uptime);
        let next_trigger = match (moment(next_by_clock), by_uptime) {
            // A timer may have both; it elapses at the earlier one.
            (Some(by_clock), Some(by_uptime)) => Some(if by_clock < by_uptime { by_clock } else { by_uptime }),
            (by_clock, by_uptime) => by_clock.or(by_uptime),
        };
        Ok(Timer { starts, last_trigger: moment(last), next_trigger })
    }
}

/// systemd counts in microseconds; 0 is never, and the largest number is not set.
fn moment(microseconds: u64) -> Option<Timestamp> {
    let is_set = microseconds != 0 && microseconds != u64::MAX;
    is_set.then(|| Timestamp::from_seconds(microseconds as f64 / 1e6)).flatten()
}

/// How long this machine has been up, without the time it slept, as systemd's monotonic times count.
fn uptime_seconds() -> f64 {
    let uptime = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    uptime.tv_sec as f64 + uptime.tv_nsec as f64 / 1e9
}
