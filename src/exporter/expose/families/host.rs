//! The machine.

use super::put;
use crate::exporter::expose::family::{Family, gauge};
use crate::exporter::snapshot::host::Host;
use crate::exporter::snapshot::{Fleet, Reading};

pub(super) static FAMILIES: &[Family] = &[
    gauge("hermes_host_cpus", &[], "Processors of this machine")
        .host(|fleet, sink| of_host(fleet, |host| sink.sample(&[], host.cpus.into()))),
    gauge(
        "hermes_host_cpu_usage_ratio",
        &[],
        "The part of this machine's processor time that was used since the last look",
    )
    .host(|fleet, sink| of_host(fleet, |host| put(sink, &[], &host.cpu_usage_ratio))),
    gauge("hermes_host_memory_size_bytes", &[], "Memory of this machine")
        .host(|fleet, sink| of_host(fleet, |host| sink.sample(&[], host.memory_size_bytes.into()))),
    gauge("hermes_host_memory_available_bytes", &[], "Memory of this machine that programs can still get")
        .host(|fleet, sink| of_host(fleet, |host| sink.sample(&[], host.memory_available_bytes.into()))),
    gauge("hermes_host_swap_size_bytes", &[], "Swap of this machine")
        .host(|fleet, sink| of_host(fleet, |host| sink.sample(&[], host.swap_size_bytes.into()))),
    gauge("hermes_host_swap_free_bytes", &[], "Swap of this machine that is not used")
        .host(|fleet, sink| of_host(fleet, |host| sink.sample(&[], host.swap_free_bytes.into()))),
    gauge("hermes_host_load1", &[], "Load of this machine over one minute")
        .host(|fleet, sink| of_host(fleet, |host| put(sink, &[], &host.load.map(|load| load[0])))),
    gauge("hermes_host_load5", &[], "Load of this machine over five minutes")
        .host(|fleet, sink| of_host(fleet, |host| put(sink, &[], &host.load.map(|load| load[1])))),
    gauge("hermes_host_load15", &[], "Load of this machine over fifteen minutes")
        .host(|fleet, sink| of_host(fleet, |host| put(sink, &[], &host.load.map(|load| load[2])))),
    gauge("hermes_host_boot_time_seconds", &[], "When this machine was started")
        .host(|fleet, sink| of_host(fleet, |host| put(sink, &[], &host.boot_time))),
    gauge("hermes_host_uptime_seconds", &[], "How long this machine has been up")
        .host(|fleet, sink| of_host(fleet, |host| put(sink, &[], &host.uptime_seconds))),
];

fn of_host(fleet: &Fleet, put: impl FnOnce(&Host)) {
    if let Reading::Known(host) = &fleet.host {
        put(host);
    }
}
