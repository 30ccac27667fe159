//! The table of every metric: name, kind, labels, help, and how its samples follow from a Snapshot.
//!
//! The names are a contract with dashboards, alert rules and other people's queries. A reading that is absent
//! or unknown has no sample; a thing that is configured and missing is known, and is 0.

use std::collections::BTreeMap;

use super::family::{ExporterFacts, Family, Kind, Number, Sink, counter, family, gauge, info};
use crate::exporter::snapshot::credentials::Token;
use crate::exporter::snapshot::cron::{Job, JobState};
use crate::exporter::snapshot::endpoints::{Access, Endpoint, Probe, Verdict};
use crate::exporter::snapshot::gateway::{Gateway, GatewayProcess, GatewayState, PlatformState};
use crate::exporter::snapshot::host::Host;
use crate::exporter::snapshot::tailscale::{Tailscale, TailscaleState};
use crate::exporter::snapshot::units::{Unit, UnitState};
use crate::exporter::snapshot::{CollectorRun, Fleet, Label, Reading, Snapshot, Tally};
use crate::system::processes::Usage;

/// A sample of a reading, where it is known.
fn put<T: Copy + Into<Number>>(sink: &mut dyn Sink, labels: &[&str], reading: &Reading<T>) {
    if let Reading::Known(value) = reading {
        sink.sample(labels, (*value).into());
    }
}

/// A 0 or 1 for each of the things that something can be.
fn put_state(sink: &mut dyn Sink, labels: &[&str], states: impl Iterator<Item = (&'static str, bool)>) {
    let mut with_state: Vec<&str> = labels.to_vec();
    with_state.push("");
    for (state, is_it) in states {
        if let Some(last) = with_state.last_mut() {
            *last = state;
        }
        sink.sample(&with_state, is_it.into());
    }
}

fn put_tally(sink: &mut dyn Sink, reading: &Reading<Tally>) {
    for (label, count) in reading.known().into_iter().flat_map(Tally::iter) {
        sink.sample(&[label.as_str()], count.into());
    }
}

fn put_tallies(sink: &mut dyn Sink, reading: &Reading<BTreeMap<Label, Tally>>) {
    for (outer, tally) in reading.known().into_iter().flatten() {
        for (inner, count) in tally.iter() {
            sink.sample(&[outer.as_str(), inner.as_str()], count.into());
        }
    }
}

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

fn of_units(snapshot: &Snapshot, mut put: impl FnMut(&Unit, [&str; 2])) {
    for unit in snapshot.units.known().into_iter().flat_map(|units| &units.0) {
        put(unit, [unit.unit.as_str(), unit.role.as_str()]);
    }
}

fn of_jobs(snapshot: &Snapshot, mut put: impl FnMut(&str, &Job)) {
    if let Reading::Known(cron) = &snapshot.cron {
        for (name, job) in cron.jobs.known().into_iter().flatten() {
            put(name.as_str(), job);
        }
    }
}

fn of_tokens(snapshot: &Snapshot, mut put: impl FnMut(&str, &Token)) {
    if let Reading::Known(credentials) = &snapshot.credentials {
        for (name, token) in &credentials.tokens {
            put(name.as_str(), token);
        }
    }
}

fn of_endpoints(snapshot: &Snapshot, mut put: impl FnMut(&str, &Endpoint)) {
    for (name, endpoint) in snapshot.endpoints.known().into_iter().flat_map(|endpoints| &endpoints.0) {
        put(name.as_str(), endpoint);
    }
}

fn of_probes(snapshot: &Snapshot, mut put: impl FnMut(&str, &Probe)) {
    of_endpoints(snapshot, |name, endpoint| {
        if let Reading::Known(probe) = &endpoint.probe {
            put(name, probe);
        }
    });
}

fn of_host(fleet: &Fleet, put: impl FnOnce(&Host)) {
    if let Reading::Known(host) = &fleet.host {
        put(host);
    }
}

fn of_tailscale(fleet: &Fleet, put: impl FnOnce(&Tailscale)) {
    if let Reading::Known(tailscale) = &fleet.tailscale {
        put(tailscale);
    }
}

fn put_success(run: &CollectorRun, sink: &mut dyn Sink) {
    sink.sample(&[&run.collector], run.problems.is_empty().into());
}

fn put_duration(run: &CollectorRun, sink: &mut dyn Sink) {
    sink.sample(&[&run.collector], run.duration_seconds.into());
}

fn put_failures(run: &CollectorRun, sink: &mut dyn Sink) {
    let mut reasons: Vec<_> = run.problems.iter().map(|problem| problem.reason).collect();
    reasons.sort_unstable();
    reasons.dedup();
    for reason in reasons {
        sink.sample(&[&run.collector, reason.as_str()], Number::Whole(1));
    }
}

/// Every family, in the order in which it is exposed and documented.
pub static FAMILIES: &[Family] = &[
    info(
        "hermes_instance_info",
        &["user", "profile", "supervisor", "version", "source"],
        "An installation: whose it is, its Hermes profile, who restarts its gateway, its Hermes version, and how it is looked at",
    )
    .instance(|snapshot, sink| {
        let supervisor = snapshot.gateway.known().and_then(|gateway| gateway.supervisor.known().copied());
        let version = snapshot.inventory.known().and_then(|inventory| inventory.version.known());
        let identity = &snapshot.identity;
        let labels = [
            identity.user.as_str(),
            identity.profile.as_str(),
            supervisor.map_or("", |supervisor| supervisor.as_str()),
            version.map_or("", Label::as_str),
            identity.source.as_str(),
        ];
        sink.sample(&labels, Number::Whole(1));
    }),
    gauge("hermes_snapshot_timestamp_seconds", &[], "When the instance was looked at")
        .instance(|snapshot, sink| sink.sample(&[], snapshot.taken_at.into())),
    gauge(
        "hermes_collector_success",
        &["collector"],
        "1 when a collector could tell everything it looks at, 0 when something is unknown",
    )
    .instance(|snapshot, sink| snapshot.collectors.iter().for_each(|run| put_success(run, sink)))
    .host(|fleet, sink| fleet.machine_runs.iter().for_each(|run| put_success(run, sink))),
    gauge("hermes_collector_duration_seconds", &["collector"], "How long a collector took")
        .instance(|snapshot, sink| snapshot.collectors.iter().for_each(|run| put_duration(run, sink)))
        .host(|fleet, sink| fleet.machine_runs.iter().for_each(|run| put_duration(run, sink))),
    info(
        "hermes_collector_failure_info",
        &["collector", "reason"],
        "Why something is unknown: timeout, permission, not_found, parse, io, bus, http, stale or unsupported",
    )
    .instance(|snapshot, sink| snapshot.collectors.iter().for_each(|run| put_failures(run, sink)))
    .host(|fleet, sink| fleet.machine_runs.iter().for_each(|run| put_failures(run, sink))),
    gauge("hermes_threshold_seconds", &["threshold"], "The limit in force for the instance").instance(|snapshot, sink| {
        sink.sample(&["gateway_heartbeat"], snapshot.thresholds.gateway_heartbeat_seconds.into());
    }),
    // The gateway.
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
    // Units.
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
    gauge("hermes_unit_enabled", &["unit", "role"], "1 when the unit is started at boot or at login")
        .instance(|snapshot, sink| of_units(snapshot, |unit, labels| put(sink, &labels, &unit.enabled))),
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
    // Sessions.
    gauge("hermes_sessions", &["source", "archived"], "Stored sessions; in a large store a slow count is up to five minutes old")
        .instance(|snapshot, sink| {
            let counts = snapshot.sessions.known().and_then(|sessions| sessions.counts.known());
            for (tally, archived) in counts.into_iter().flat_map(|counts| [(&counts.current, "false"), (&counts.archived, "true")]) {
                for (source, count) in tally.iter() {
                    sink.sample(&[source.as_str(), archived], count.into());
                }
            }
        }),
    gauge(
        "hermes_sessions_active",
        &[],
        "Sessions in progress: open, not archived, not delegated, with a message in the last five minutes",
    )
    .instance(|snapshot, sink| {
        if let Reading::Known(sessions) = &snapshot.sessions {
            put(sink, &[], &sessions.active);
        }
    }),
    gauge("hermes_sessions_open", &[], "Sessions that have not ended and are not archived; many are merely abandoned").instance(
        |snapshot, sink| {
            if let Some(counts) = snapshot.sessions.known().and_then(|sessions| sessions.counts.known()) {
                sink.sample(&[], counts.open.into());
            }
        },
    ),
    gauge("hermes_sessions_ended", &["reason"], "Stored sessions that have ended, by the reason they ended for").instance(
        |snapshot, sink| {
            let counts = snapshot.sessions.known().and_then(|sessions| sessions.counts.known());
            for (reason, count) in counts.into_iter().flat_map(|counts| counts.ended.iter()) {
                sink.sample(&[reason.as_str()], count.into());
            }
        },
    ),
    gauge("hermes_stored_messages", &[], "Messages that are stored now; in a large store a deletion shows after up to five minutes")
        .instance(|snapshot, sink| {
            if let Reading::Known(sessions) = &snapshot.sessions {
                put(sink, &[], &sessions.messages_stored);
            }
        }),
    counter("hermes_messages_total", &[], "Messages ever stored").instance(|snapshot, sink| {
        if let Reading::Known(sessions) = &snapshot.sessions {
            put(sink, &[], &sessions.messages_ever);
        }
    }),
    gauge("hermes_last_message_timestamp_seconds", &[], "When the newest message was stored").instance(|snapshot, sink| {
        if let Reading::Known(sessions) = &snapshot.sessions {
            put(sink, &[], &sessions.last_message);
        }
    }),
    counter("hermes_turns_total", &[], "Turns: from a message of a person to the answer that calls no tool").instance(
        |snapshot, sink| {
            if let Reading::Known(activity) = &snapshot.activity {
                sink.sample(&[], activity.turns.count().into());
            }
        },
    ),
    family(Kind::Histogram, "hermes_turn_duration_seconds", &[], "How long turns took").instance(|snapshot, sink| {
        if let Reading::Known(activity) = &snapshot.activity {
            sink.histogram(&activity.turns);
        }
    }),
    counter("hermes_tool_calls_total", &["tool"], "Calls that the model made, by tool").instance(|snapshot, sink| {
        if let Reading::Known(activity) = &snapshot.activity {
            for (tool, count) in activity.tool_calls.iter() {
                sink.sample(&[tool.as_str()], count.into());
            }
        }
    }),
    gauge(
        "hermes_model_tokens",
        &["model", "provider", "task", "kind"],
        "Tokens of the sessions that are stored, as Hermes sums them up; the task is empty for the conversation itself",
    )
    .instance(|snapshot, sink| {
        let usage = snapshot.sessions.known().and_then(|sessions| sessions.model_usage.known());
        for usage in usage.into_iter().flatten() {
            for (kind, count) in usage.tokens.by_kind() {
                sink.sample(&[usage.model.as_str(), usage.provider.as_str(), usage.task.as_str(), kind], count.into());
            }
        }
    }),
    gauge(
        "hermes_model_cost_usd",
        &["model", "provider", "task"],
        "Cost of the sessions that are stored in US dollars: as billed where that is known, else as estimated",
    )
    .instance(|snapshot, sink| {
        let usage = snapshot.sessions.known().and_then(|sessions| sessions.model_usage.known());
        for usage in usage.into_iter().flatten() {
            if let Some(cost) = usage.cost_usd {
                sink.sample(&[usage.model.as_str(), usage.provider.as_str(), usage.task.as_str()], cost.into());
            }
        }
    }),
    gauge("hermes_model_api_calls", &["model", "provider", "task"], "Calls to the model of the sessions that are stored").instance(
        |snapshot, sink| {
            let usage = snapshot.sessions.known().and_then(|sessions| sessions.model_usage.known());
            for usage in usage.into_iter().flatten() {
                sink.sample(&[usage.model.as_str(), usage.provider.as_str(), usage.task.as_str()], usage.api_calls.into());
            }
        },
    ),
    gauge("hermes_state_db_bytes", &[], "Size of the session store's main file").instance(|snapshot, sink| {
        if let Reading::Known(sessions) = &snapshot.sessions {
            sink.sample(&[], sessions.database_bytes.into());
        }
    }),
    gauge("hermes_state_db_wal_bytes", &[], "Size of the session store's write-ahead log; 0 without one").instance(|snapshot, sink| {
        if let Reading::Known(sessions) = &snapshot.sessions {
            sink.sample(&[], sessions.wal_bytes.into());
        }
    }),
    gauge("hermes_state_db_schema_version", &[], "The version of the session store's schema").instance(|snapshot, sink| {
        if let Reading::Known(sessions) = &snapshot.sessions {
            put(sink, &[], &sessions.schema_version);
        }
    }),
    // Cron.
    gauge("hermes_cron_jobs", &["state"], "Cron jobs by state; error: Hermes could not tell when to run it again").instance(
        |snapshot, sink| {
            let jobs = snapshot.cron.known().and_then(|cron| cron.jobs.known());
            for state in JobState::ALL.into_iter().filter(|_| jobs.is_some()) {
                let count = jobs.map_or(0, |jobs| jobs.values().filter(|job| job.state == state).count());
                sink.sample(&[state.as_str()], (count as u64).into());
            }
        },
    ),
    gauge("hermes_cron_jobs_overdue", &[], "Cron jobs whose next run should have begun, by more than the grace that Hermes itself allows")
        .instance(|snapshot, sink| {
            if let Some(jobs) = snapshot.cron.known().and_then(|cron| cron.jobs.known()) {
                sink.sample(&[], (jobs.values().filter(|job| job.overdue).count() as u64).into());
            }
        }),
    gauge("hermes_cron_job_state", &["cron_job", "state"], "1 for the state of the cron job").instance(|snapshot, sink| {
        of_jobs(snapshot, |name, job| {
            put_state(sink, &[name], JobState::ALL.into_iter().map(|state| (state.as_str(), state == job.state)));
        });
    }),
    gauge("hermes_cron_job_overdue", &["cron_job"], "1 when the cron job's next run should have begun")
        .instance(|snapshot, sink| of_jobs(snapshot, |name, job| sink.sample(&[name], job.overdue.into()))),
    gauge("hermes_cron_job_last_run_timestamp_seconds", &["cron_job"], "When the cron job last ran")
        .instance(|snapshot, sink| of_jobs(snapshot, |name, job| put(sink, &[name], &job.last_run))),
    gauge("hermes_cron_job_last_run_success", &["cron_job"], "1 when the cron job's last run succeeded")
        .instance(|snapshot, sink| of_jobs(snapshot, |name, job| put(sink, &[name], &job.last_run_success))),
    gauge("hermes_cron_job_last_delivery_success", &["cron_job"], "1 when what the cron job's last run had to say was delivered")
        .instance(|snapshot, sink| of_jobs(snapshot, |name, job| put(sink, &[name], &job.last_delivery_success))),
    gauge("hermes_cron_job_next_run_timestamp_seconds", &["cron_job"], "When the cron job runs next; stays in the past for a paused one")
        .instance(|snapshot, sink| of_jobs(snapshot, |name, job| put(sink, &[name], &job.next_run))),
    gauge("hermes_cron_job_last_duration_seconds", &["cron_job"], "How long the cron job's last finished run took")
        .instance(|snapshot, sink| of_jobs(snapshot, |name, job| put(sink, &[name], &job.last_duration_seconds))),
    gauge("hermes_cron_executions", &["status"], "Recorded runs of cron jobs by status; Hermes keeps the newest thousand").instance(
        |snapshot, sink| {
            if let Reading::Known(cron) = &snapshot.cron {
                put_tally(sink, &cron.executions);
            }
        },
    ),
    gauge("hermes_cron_ticker_heartbeat_timestamp_seconds", &[], "When cron's ticker last went round, which it does every minute")
        .instance(|snapshot, sink| {
            if let Reading::Known(cron) = &snapshot.cron {
                put(sink, &[], &cron.ticker_heartbeat);
            }
        }),
    gauge("hermes_cron_ticker_last_success_timestamp_seconds", &[], "When cron's ticker last went round without an error").instance(
        |snapshot, sink| {
            if let Reading::Known(cron) = &snapshot.cron {
                put(sink, &[], &cron.ticker_last_success);
            }
        },
    ),
    // Credentials.
    gauge("hermes_token_present", &["token"], "1 when there is such a token; the Google token is always looked for")
        .instance(|snapshot, sink| of_tokens(snapshot, |name, token| put(sink, &[name], &token.present))),
    gauge("hermes_token_valid", &["token"], "1 when the token would work now: not expired, or refreshed when it is used")
        .instance(|snapshot, sink| of_tokens(snapshot, |name, token| put(sink, &[name], &token.valid))),
    gauge("hermes_token_refreshable", &["token"], "1 when the token can be refreshed without a person")
        .instance(|snapshot, sink| of_tokens(snapshot, |name, token| put(sink, &[name], &token.refreshable))),
    gauge("hermes_token_expiry_timestamp_seconds", &["token"], "When the token's access expires; in the past is normal for a refreshable one")
        .instance(|snapshot, sink| of_tokens(snapshot, |name, token| put(sink, &[name], &token.expiry))),
    gauge("hermes_token_scopes", &["token"], "Permissions that the token carries, where it says")
        .instance(|snapshot, sink| of_tokens(snapshot, |name, token| put(sink, &[name], &token.scopes))),
    gauge("hermes_credential_pool_entries", &["provider", "status"], "Entries of the credential pools: ok (also: never tried), exhausted, dead or other")
        .instance(|snapshot, sink| {
            if let Reading::Known(credentials) = &snapshot.credentials {
                put_tallies(sink, &credentials.pools);
            }
        }),
    gauge("hermes_env_key_present", &["key"], "1 when the key of .env is set to something").instance(|snapshot, sink| {
        let keys = snapshot.credentials.known().and_then(|credentials| credentials.env_keys.known());
        for (key, is_set) in keys.into_iter().flatten() {
            sink.sample(&[key.as_str()], (*is_set).into());
        }
    }),
    // Inventory.
    gauge("hermes_memory_chars", &["file"], "Length of the memory file in characters").instance(|snapshot, sink| {
        for (file, reading) in snapshot.inventory.known().into_iter().flat_map(|inventory| &inventory.memory) {
            if let Reading::Known(memory) = reading {
                sink.sample(&[file.as_str()], memory.chars.into());
            }
        }
    }),
    gauge("hermes_memory_limit_chars", &["file"], "The most characters that Hermes lets the memory file have").instance(|snapshot, sink| {
        for (file, reading) in snapshot.inventory.known().into_iter().flat_map(|inventory| &inventory.memory) {
            if let Reading::Known(memory) = reading {
                sink.sample(&[file.as_str()], memory.limit_chars.into());
            }
        }
    }),
    gauge("hermes_skills", &["state"], "Skills, enabled and disabled; counted anew once a minute").instance(|snapshot, sink| {
        if let Reading::Known(inventory) = &snapshot.inventory {
            put_tally(sink, &inventory.skills);
        }
    }),
    gauge("hermes_mcp_servers", &["state"], "Configured MCP servers, enabled and disabled").instance(|snapshot, sink| {
        if let Reading::Known(inventory) = &snapshot.inventory {
            put_tally(sink, &inventory.mcp_servers);
        }
    }),
    gauge("hermes_webhooks", &["state"], "Webhook subscriptions, enabled and disabled").instance(|snapshot, sink| {
        if let Reading::Known(inventory) = &snapshot.inventory {
            put_tally(sink, &inventory.webhooks);
        }
    }),
    gauge("hermes_paired_users", &["platform", "state"], "People who may talk to the gateway (approved) and who have asked to in the last hour (pending)")
        .instance(|snapshot, sink| {
            if let Reading::Known(inventory) = &snapshot.inventory {
                put_tallies(sink, &inventory.paired_users);
            }
        }),
    gauge("hermes_kanban_tasks", &["board", "status"], "Kanban tasks by board and status").instance(|snapshot, sink| {
        if let Reading::Known(inventory) = &snapshot.inventory {
            put_tallies(sink, &inventory.kanban_tasks);
        }
    }),
    gauge("hermes_delivery_obligations", &["state"], "Replies that Hermes owes somebody, by state").instance(|snapshot, sink| {
        if let Reading::Known(inventory) = &snapshot.inventory {
            put_tally(sink, &inventory.delivery_obligations);
        }
    }),
    gauge("hermes_delegations", &["state"], "Background delegations, by state").instance(|snapshot, sink| {
        if let Reading::Known(inventory) = &snapshot.inventory {
            put_tally(sink, &inventory.delegations);
        }
    }),
    gauge("hermes_dead_targets", &["platform"], "Chats that the gateway has found it can not reach any more").instance(|snapshot, sink| {
        if let Reading::Known(inventory) = &snapshot.inventory {
            put_tally(sink, &inventory.dead_targets);
        }
    }),
    gauge("hermes_update_available", &[], "1 when Hermes' last check found something newer").instance(|snapshot, sink| {
        if let Some(update) = snapshot.inventory.known().and_then(|inventory| inventory.update.known()) {
            put(sink, &[], &update.available);
        }
    }),
    gauge("hermes_update_behind_commits", &[], "Commits (or releases) that the installation is behind, where Hermes could count them")
        .instance(|snapshot, sink| {
            if let Some(update) = snapshot.inventory.known().and_then(|inventory| inventory.update.known()) {
                put(sink, &[], &update.behind_commits);
            }
        }),
    gauge("hermes_update_check_timestamp_seconds", &[], "When Hermes last checked for an update").instance(|snapshot, sink| {
        if let Some(update) = snapshot.inventory.known().and_then(|inventory| inventory.update.known()) {
            put(sink, &[], &update.checked);
        }
    }),
    gauge("hermes_config_version", &[], "The version of the form of Hermes' configuration").instance(|snapshot, sink| {
        if let Reading::Known(inventory) = &snapshot.inventory {
            put(sink, &[], &inventory.config_version);
        }
    }),
    // The home.
    gauge("hermes_home_bytes", &[], "The sum of the sizes of all files in the home; measured anew every ten minutes").instance(
        |snapshot, sink| {
            if let Reading::Known(home) = &snapshot.home {
                put(sink, &[], &home.bytes);
            }
        },
    ),
    gauge("hermes_home_filesystem_avail_bytes", &[], "Space left for the home's owner on its filesystem").instance(|snapshot, sink| {
        if let Reading::Known(home) = &snapshot.home {
            put(sink, &[], &home.filesystem_available_bytes);
        }
    }),
    gauge("hermes_home_filesystem_size_bytes", &[], "Size of the home's filesystem").instance(|snapshot, sink| {
        if let Reading::Known(home) = &snapshot.home {
            put(sink, &[], &home.filesystem_size_bytes);
        }
    }),
    // Endpoints.
    info("hermes_endpoint_info", &["endpoint", "kind"], "A configured endpoint, and what is expected to answer there")
        .instance(|snapshot, sink| {
            of_endpoints(snapshot, |name, endpoint| sink.sample(&[name, endpoint.kind.as_str()], Number::Whole(1)));
        }),
    gauge("hermes_endpoint_up", &["endpoint"], "1 when the endpoint answers, and is what it should be").instance(
        |snapshot, sink| of_probes(snapshot, |name, probe| sink.sample(&[name], (probe.verdict == Verdict::Up).into())),
    ),
    info("hermes_endpoint_failure_info", &["endpoint", "reason"], "How an endpoint that is down fails to answer as it should").instance(
        |snapshot, sink| {
            of_probes(snapshot, |name, probe| {
                if let Verdict::Down(failure) = probe.verdict {
                    sink.sample(&[name, failure.as_str()], Number::Whole(1));
                }
            });
        },
    ),
    gauge("hermes_endpoint_duration_seconds", &["endpoint"], "How long it took to find out whether the endpoint answers")
        .instance(|snapshot, sink| of_probes(snapshot, |name, probe| sink.sample(&[name], probe.duration_seconds.into()))),
    gauge("hermes_endpoint_status_code", &["endpoint"], "The HTTP status that the endpoint answered with; a dashboard refuses the probe with 401 when all is well")
        .instance(|snapshot, sink| {
            of_probes(snapshot, |name, probe| put(sink, &[name], &probe.status_code.map(u64::from)));
        }),
    gauge("hermes_endpoint_certificate_expiry_timestamp_seconds", &["endpoint"], "Until when the endpoint's certificate is valid, also of one that is not trusted")
        .instance(|snapshot, sink| of_probes(snapshot, |name, probe| put(sink, &[name], &probe.certificate_expiry))),
    gauge("hermes_endpoint_login_required", &["endpoint"], "1 when people log in to the dashboard, 0 when whoever can reach it may use it")
        .instance(|snapshot, sink| {
            of_probes(snapshot, |name, probe| {
                put(sink, &[name], &probe.access.map(|access| access == Access::Login));
            });
        }),
    // Exposure and guardrails.
    gauge(
        "hermes_listener",
        &["port", "scope", "program"],
        "1 for a TCP port that a process of the installation listens on; scope: loopback, private, tailscale or public, the last also for every address",
    )
    .instance(|snapshot, sink| {
        let exposure = snapshot.exposure.known();
        for listener in exposure.and_then(|exposure| exposure.listeners.known()).into_iter().flatten() {
            sink.sample(&[&listener.port.to_string(), listener.scope.as_str(), listener.program.as_str()], Number::Whole(1));
        }
    }),
    gauge(
        "hermes_guardrail_ok",
        &["guardrail"],
        "1 when the guardrail is in place: private_listeners, approvals_enforced, secrets_redacted, pii_redacted, home_private or secrets_private",
    )
    .instance(|snapshot, sink| {
        if let Reading::Known(exposure) = &snapshot.exposure {
            put(sink, &["private_listeners"], &exposure.private_listeners);
        }
        for (name, reading) in snapshot.guardrails.known().into_iter().flat_map(|guardrails| guardrails.named()) {
            put(sink, &[name], reading);
        }
    }),
    // The host.
    gauge("hermes_host_cpus", &[], "Processors of this machine")
        .host(|fleet, sink| of_host(fleet, |host| sink.sample(&[], host.cpus.into()))),
    gauge("hermes_host_cpu_usage_ratio", &[], "The part of this machine's processor time that was used since the last look")
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
    // Tailscale.
    gauge("hermes_tailscale_up", &[], "1 when this machine is in its tailnet: Tailscale runs, and does not say that it has lost touch")
        .host(|fleet, sink| of_tailscale(fleet, |tailscale| sink.sample(&[], tailscale.is_up().into()))),
    gauge("hermes_tailscale_state", &["state"], "1 for what Tailscale on this machine is at").host(|fleet, sink| {
        of_tailscale(fleet, |tailscale| {
            put_state(sink, &[], TailscaleState::ALL.into_iter().map(|state| (state.as_str(), state == tailscale.state)));
        });
    }),
    gauge("hermes_tailscale_key_expiry_timestamp_seconds", &[], "When this machine has to log in to its tailnet again; none where its key does not expire")
        .host(|fleet, sink| of_tailscale(fleet, |tailscale| put(sink, &[], &tailscale.key_expiry))),
    gauge("hermes_tailscale_health_warnings", &[], "Warnings of Tailscale on this machine about itself")
        .host(|fleet, sink| of_tailscale(fleet, |tailscale| put(sink, &[], &tailscale.health_warnings))),
    info("hermes_tailscale_info", &["version"], "Tailscale's version on this machine").host(|fleet, sink| {
        of_tailscale(fleet, |tailscale| {
            if let Reading::Known(version) = &tailscale.version {
                sink.sample(&[version.as_str()], Number::Whole(1));
            }
        });
    }),
    // The exporter itself.
    info("hermes_exporter_build_info", &["version"], "The exporter's version")
        .exporter(|_, sink| sink.sample(&[env!("CARGO_PKG_VERSION")], Number::Whole(1))),
    gauge("hermes_exporter_config_last_reload_successful", &[], "1 when the last attempt to load the exporter's configuration succeeded")
        .exporter(|facts, sink| facts.service.iter().for_each(|service| sink.sample(&[], service.is_config_loaded.into()))),
    gauge("hermes_exporter_config_last_reload_success_timestamp_seconds", &[], "When the exporter's configuration in force was loaded")
        .exporter(|facts, sink| facts.service.iter().for_each(|service| sink.sample(&[], service.config_loaded_at.into()))),
    counter("process_cpu_seconds_total", &[], "Processor time of the exporter, user and system")
        .exporter(|facts, sink| of_process(facts, |process| sink.sample(&[], process.cpu_seconds.into()))),
    gauge("process_resident_memory_bytes", &[], "Resident memory of the exporter")
        .exporter(|facts, sink| of_process(facts, |process| sink.sample(&[], process.memory_bytes.into()))),
    gauge("process_open_fds", &[], "Open file descriptors of the exporter")
        .exporter(|facts, sink| of_process(facts, |process| put(sink, &[], &process.open_fds.into()))),
    gauge("process_threads", &[], "Threads of the exporter")
        .exporter(|facts, sink| of_process(facts, |process| sink.sample(&[], process.threads.into()))),
    gauge("process_start_time_seconds", &[], "When the exporter was started")
        .exporter(|facts, sink| of_process(facts, |process| put(sink, &[], &process.start_time.into()))),
];

fn of_process(facts: &ExporterFacts, put: impl FnOnce(&Usage)) {
    if let Some(process) = facts.service.as_ref().and_then(|service| service.process.as_ref()) {
        put(process);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn names_and_labels_are_what_prometheus_expects_of_them() {
        let mut names = HashSet::new();
        for family in FAMILIES {
            assert!(names.insert(family.name), "{} stands twice", family.name);
            assert!(family.name.starts_with("hermes_") || family.name.starts_with("process_"));
            assert_eq!(family.name.ends_with("_total"), family.kind == Kind::Counter, "{}", family.name);
            assert_eq!(family.name.ends_with("_info"), family.kind == Kind::Info, "{}", family.name);
            assert!(
                !family.help.ends_with('.') && !family.help.contains('\n') && !family.help.is_empty(),
                "{}",
                family.name
            );
            for label in family.labels {
                // These are Prometheus' own, or are taken by convention.
                assert!(
                    !["instance", "job", "le", "type", "service", "env"].contains(label),
                    "{} {label}",
                    family.name
                );
            }
            let sources = [family.of_instance.is_some(), family.of_exporter.is_some()];
            assert!(sources.contains(&true) || family.of_host.is_some(), "{} has no samples", family.name);
        }
    }
}
