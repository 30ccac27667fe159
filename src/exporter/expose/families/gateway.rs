//! The gateway process and its platforms.

use super::{put, put_state};
use crate::exporter::expose::family::{Family, Number, counter, gauge, info};
use crate::exporter::snapshot::gateway::{Gateway, GatewayProcess, GatewayState, PlatformState};
use crate::exporter::snapshot::{Label, Reading, Snapshot};

pub(super) static FAMILIES: &[Family] = &[
    gauge(
        "hermes_gateway_up",
        &[],
        "1 when the gateway's process is alive (process id, start time and command line agree) and its heartbeat fresh",
    )
    .instance(|snapshot, sink| of_gateway(snapshot, |gateway| put(sink, &[], &gateway.up))),
    gauge(
        "hermes_gateway_state",
        &["state"],
        "1 for the state the gateway is in; crashed: its file says at work and there is no process; frozen: a process without a fresh heartbeat",
    )
    .instance(|snapshot, sink| {
        of_gateway(snapshot, |gateway| {
            if let Reading::Known(current) = gateway.state {
                put_state(sink, &[], GatewayState::ALL.into_iter().map(|state| (state.as_str(), state == current)));
            }
        });
    }),
    gauge("hermes_gateway_start_time_seconds", &[], "When the gateway's process was started")
        .instance(|snapshot, sink| of_gateway(snapshot, |gateway| put(sink, &[], &gateway.start_time))),
    gauge("hermes_gateway_heartbeat_timestamp_seconds", &[], "The last sign of life of the gateway's event loop, given every 30 s")
        .instance(|snapshot, sink| of_gateway(snapshot, |gateway| put(sink, &[], &gateway.heartbeat))),
    gauge("hermes_gateway_active_agents", &[], "Agents at work in the gateway")
        .instance(|snapshot, sink| of_gateway(snapshot, |gateway| put(sink, &[], &gateway.active_agents))),
    gauge("hermes_gateway_restart_requested", &[], "1 when somebody has asked the gateway to restart")
        .instance(|snapshot, sink| of_gateway(snapshot, |gateway| put(sink, &[], &gateway.restart_requested))),
    counter("hermes_gateway_starts_total", &[], "Starts of the gateway, from its own log of starts")
        .instance(|snapshot, sink| of_gateway(snapshot, |gateway| put(sink, &[], &gateway.starts))),
    gauge("hermes_gateway_recent_starts", &[], "Starts of the gateway within the last 15 minutes, from its own log of starts")
        .instance(|snapshot, sink| of_gateway(snapshot, |gateway| put(sink, &[], &gateway.recent_starts))),
    gauge("hermes_gateway_processes", &[], "Living gateway processes that serve this home; more than one fight over it")
        .instance(|snapshot, sink| of_gateway(snapshot, |gateway| put(sink, &[], &gateway.processes))),
    gauge(
        "hermes_gateway_unit_processes",
        &["manager", "unit"],
        "Living gateway processes that serve this home by what runs them: manager system, user (systemd), s6 or none, and the name of the unit",
    )
    .instance(|snapshot, sink| {
        of_gateway(snapshot, |gateway| {
            for of_unit in gateway.unit_processes.known().into_iter().flatten() {
                sink.sample(&[of_unit.manager.as_str(), of_unit.unit.as_str()], of_unit.processes.into());
            }
        });
    }),
    gauge("hermes_gateway_served_profiles", &[], "Profiles that one gateway serves, its own among them; only where it serves several")
        .instance(|snapshot, sink| of_gateway(snapshot, |gateway| put(sink, &[], &gateway.served_profiles))),
    info("hermes_gateway_served_by_info", &["profile"], "The profile whose gateway serves this one; what is said of the gateway is said of that one")
        .instance(|snapshot, sink| {
            of_gateway(snapshot, |gateway| {
                if let Reading::Known(profile) = &gateway.served_by {
                    sink.sample(&[profile.as_str()], Number::Whole(1));
                }
            });
        }),
    gauge("hermes_container_boot_timestamp_seconds", &[], "When the container that the gateway is in was last started").instance(
        |snapshot, sink| {
            of_gateway(snapshot, |gateway| {
                if let Reading::Known(boot) = &gateway.container_boot {
                    sink.sample(&[], boot.at.into());
                }
            });
        },
    ),
    info(
        "hermes_container_boot_info",
        &["action", "prior_state"],
        "What the container did with the gateway when it was last started (started, or only registered), and what the gateway was meant to do before",
    )
    .instance(|snapshot, sink| {
        of_gateway(snapshot, |gateway| {
            if let Reading::Known(boot) = &gateway.container_boot {
                sink.sample(&[boot.action.as_str(), boot.prior_state.as_str()], Number::Whole(1));
            }
        });
    }),
    gauge("hermes_gateway_memory_bytes", &[], "Resident memory of the gateway's process").instance(|snapshot, sink| {
        of_gateway_process(snapshot, |process| sink.sample(&[], process.memory_bytes.into()));
    }),
    counter("hermes_gateway_cpu_seconds_total", &[], "Processor time of the gateway's process, user and system")
        .instance(|snapshot, sink| of_gateway_process(snapshot, |process| sink.sample(&[], process.cpu_seconds.into()))),
    gauge("hermes_gateway_open_fds", &[], "Open file descriptors of the gateway's process")
        .instance(|snapshot, sink| of_gateway_process(snapshot, |process| put(sink, &[], &process.open_fds))),
    gauge("hermes_gateway_threads", &[], "Threads of the gateway's process")
        .instance(|snapshot, sink| of_gateway_process(snapshot, |process| sink.sample(&[], process.threads.into()))),
    gauge("hermes_platform_up", &["platform"], "1 when a living gateway is connected to the messaging platform").instance(
        |snapshot, sink| {
            of_platforms(snapshot, |name, state, _| sink.sample(&[name], (state == PlatformState::Connected).into()));
        },
    ),
    gauge("hermes_platform_state", &["platform", "state"], "1 for the state in which a living gateway is with the platform")
        .instance(|snapshot, sink| {
            of_platforms(snapshot, |name, current, _| {
                put_state(sink, &[name], PlatformState::ALL.into_iter().map(|state| (state.as_str(), state == current)));
            });
        }),
    info("hermes_platform_error_info", &["platform", "error_code"], "The code of the last error of a living gateway with the platform")
        .instance(|snapshot, sink| {
            of_platforms(snapshot, |name, _, code| {
                if let Some(code) = code {
                    sink.sample(&[name, code.as_str()], Number::Whole(1));
                }
            });
        }),
];

fn of_gateway(snapshot: &Snapshot, put: impl FnOnce(&Gateway)) {
    if let Reading::Known(gateway) = &snapshot.gateway {
        put(gateway);
    }
}

fn of_gateway_process(snapshot: &Snapshot, put: impl FnOnce(&GatewayProcess)) {
    of_gateway(snapshot, |gateway| {
        if let Reading::Known(process) = &gateway.process {
            put(process);
        }
    });
}

fn of_platforms(snapshot: &Snapshot, mut put: impl FnMut(&str, PlatformState, Option<&Label>)) {
    of_gateway(snapshot, |gateway| {
        for (name, platform) in gateway.platforms.known().into_iter().flatten() {
            put(name.as_str(), platform.state, platform.error_code.as_ref());
        }
    });
}
