//! Services and timers.

use super::{put, put_state};
use crate::exporter::expose::family::{Family, counter, gauge};
use crate::exporter::snapshot::units::{Unit, UnitState};
use crate::exporter::snapshot::{Reading, Snapshot};

pub(super) static FAMILIES: &[Family] = &[
    gauge(
        "hermes_unit_up",
        &["unit", "role"],
        "1 when the unit is at work; of a service that a timer starts, when it has not failed; 0 also when there is no such unit",
    )
    .instance(|snapshot, sink| of_units(snapshot, |unit, labels| put(sink, &labels, &unit.up))),
    gauge(
        "hermes_unit_state",
        &["unit", "role", "state"],
        "1 for the state the unit is in; load-failed: its file is wrong; no-manager: its user is not logged in and does not linger",
    )
    .instance(|snapshot, sink| {
        of_units(snapshot, |unit, labels| {
            if let Reading::Known(current) = unit.state {
                put_state(sink, &labels, UnitState::ALL.into_iter().map(|state| (state.as_str(), state == current)));
            }
        });
    }),
    gauge("hermes_unit_state_timestamp_seconds", &["unit", "role"], "Since when the unit is in its state, by its supervisor's word")
        .instance(|snapshot, sink| of_units(snapshot, |unit, labels| put(sink, &labels, &unit.state_since))),
    gauge("hermes_unit_enabled", &["unit", "role"], "1 when the unit is started at boot or at login")
        .instance(|snapshot, sink| of_units(snapshot, |unit, labels| put(sink, &labels, &unit.enabled))),
    gauge(
        "hermes_unit_expected",
        &["unit", "role"],
        "1 when somebody counts on the unit: the configuration names it; 0 when it was found by the name that Hermes gives it",
    )
    .instance(|snapshot, sink| of_units(snapshot, |unit, labels| sink.sample(&labels, unit.is_expected.into()))),
    counter(
        "hermes_unit_restarts_total",
        &["unit", "role"],
        "How often the supervisor has started the unit again by itself; under systemd begins anew when somebody starts it, under s6 counts every death",
    )
    .instance(|snapshot, sink| of_units(snapshot, |unit, labels| put(sink, &labels, &unit.restarts))),
    counter(
        "hermes_unit_failures_total",
        &["unit", "role", "result"],
        "Failures of the unit by the supervisor's word for the result, also those between two scrapes: under systemd since the exporter watches, under s6 those that its tally holds",
    )
    .instance(|snapshot, sink| {
        of_units(snapshot, |unit, [name, role]| {
            for (result, count) in unit.failures.known().into_iter().flatten() {
                sink.sample(&[name, role, result.as_str()], (*count).into());
            }
        });
    }),
    gauge("hermes_unit_start_time_seconds", &["unit", "role"], "Since when the unit is at work")
        .instance(|snapshot, sink| of_units(snapshot, |unit, labels| put(sink, &labels, &unit.start_time))),
    gauge(
        "hermes_unit_manager_active",
        &["unit", "role", "manager"],
        "For each manager that knows the unit, 1 when the unit is at work there; in more than one, they fight",
    )
    .instance(|snapshot, sink| {
        of_units(snapshot, |unit, [name, role]| {
            for (manager, is_active) in &unit.managers {
                sink.sample(&[name, role, manager.as_str()], (*is_active).into());
            }
        });
    }),
    gauge("hermes_timer_last_trigger_timestamp_seconds", &["unit", "role"], "When the timer last started its service").instance(
        |snapshot, sink| {
            of_units(snapshot, |unit, labels| put(sink, &labels, &unit.timer.and_then(|timer| timer.last_trigger)));
        },
    ),
    gauge("hermes_timer_next_trigger_timestamp_seconds", &["unit", "role"], "When the timer will start its service next").instance(
        |snapshot, sink| {
            of_units(snapshot, |unit, labels| put(sink, &labels, &unit.timer.and_then(|timer| timer.next_trigger)));
        },
    ),
];

fn of_units(snapshot: &Snapshot, mut put: impl FnMut(&Unit, [&str; 2])) {
    for unit in snapshot.units.known().into_iter().flat_map(|units| &units.0) {
        put(unit, [unit.unit.as_str(), unit.role.as_str()]);
    }
}
